//! Puts that wait for the device, beside loops that do nothing but write a record and call fdatasync.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tinystoredb::{Options, Store, SyncMode};

use crate::workload::{KEY_SIZE, VALUE_SIZE, Values, key, median};
use crate::{figure, text, thousands};

const ROUNDS: usize = 6;
const TURN: Duration = Duration::from_millis(300);
const THREADS: usize = 8;

/// What a record of this size takes in the log: a header of 24 bytes, rounded up to 8.
const RECORD_SIZE: usize = (24 + KEY_SIZE + VALUE_SIZE).next_multiple_of(8);

/// A file of zeros to write into, so that fdatasync has no metadata to write.
const PREPARED_SIZE: u64 = 16 << 20;

/// Measures in `directory` and prints the table.
pub fn run(directory: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| format!("cannot write in {}: {error}", directory.display());
    let options = Options { sync_mode: SyncMode::Always, ..Options::default() };
    let store = Store::open(directory.join("durable"), &options).map_err(text)?;
    let mut growing = File::create(directory.join("growing")).map_err(io)?;
    let prepared = File::create(directory.join("prepared")).map_err(io)?;
    for offset in (0..PREPARED_SIZE).step_by(1 << 20) {
        prepared.write_all_at(&vec![0; 1 << 20], offset).map_err(io)?;
    }
    prepared.sync_all().map_err(io)?;

    let next = AtomicU64::new(0);
    let record = [0xa5; RECORD_SIZE];
    let mut offset = 0;
    let (mut one, mut eight, mut append, mut overwrite) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        one.push(turn(1, || put(&store, &next))?);
        append.push(turn_of(|| growing.write_all(&record).and_then(|()| growing.sync_data()).map_err(io))?);
        eight.push(turn(THREADS, || put(&store, &next))?);
        overwrite.push(turn_of(|| {
            offset = (offset + RECORD_SIZE as u64) % (PREPARED_SIZE - RECORD_SIZE as u64);
            prepared.write_all_at(&record, offset).and_then(|()| prepared.sync_data()).map_err(io)
        })?);
    }

    println!("  every put on the device    a second");
    let (one, eight, append, overwrite) = (median(one), median(eight), median(append), median(overwrite));
    for (name, rate) in [
        ("puts, 1 thread", one),
        ("puts, 8 threads", eight),
        ("append + fdatasync", append),
        ("rewrite + fdatasync", overwrite),
    ] {
        println!("  {name:<22}{:>13}", thousands(rate));
        figure(&format!("durable {name}"), "per_second", rate);
    }
    figure("durable 1 thread", "ratio_to_append", one / append);
    figure("durable 8 threads", "ratio_to_1_thread", eight / one);
    Ok(())
}

fn put(store: &Store, next: &AtomicU64) -> Result<(), String> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    store.put(&key(number), Values::new().of(number)).map_err(text)
}

/// Runs `f` again and again for one turn: how often a second.
fn turn_of(mut f: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let start = Instant::now();
    let mut count = 0.0;
    while start.elapsed() < TURN {
        f()?;
        count += 1.0;
    }
    Ok(count / start.elapsed().as_secs_f64())
}

/// The same on several threads, summed up.
fn turn(threads: usize, f: impl Fn() -> Result<(), String> + Sync) -> Result<f64, String> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| turn_of(&f))).collect();
        running.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_string())?).sum()
    })
}
