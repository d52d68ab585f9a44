//! Puts that wait for the device, beside loops that do nothing but write a record and call fdatasync; and
//! what reaches the device.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tinystoredb::{Options, Store, SyncMode, WriteMode};

use crate::workload::{KEY_SIZE, VALUE_SIZE, Values, key, median};
use crate::{figure, text, thousands};

const ROUNDS: usize = 9;
const TURN: Duration = Duration::from_millis(200);
const THREADS: usize = 8;

/// What a record of this size takes in the log: a header of 24 bytes, rounded up to 8.
const RECORD_SIZE: usize = (24 + KEY_SIZE + VALUE_SIZE).next_multiple_of(8);

/// Length of the files that are made before they are written to.
const PREPARED_SIZE: u64 = 16 << 20;

/// Puts that are counted against the device.
const COUNTED: u64 = 1000;

/// Measures in `directory` and prints the tables.
pub fn run(directory: &Path) -> Result<(), String> {
    rates(directory)?;
    println!();
    device_writes(directory)
}

/// Everybody takes turns, so that a busy moment hits all of them; medians of the turns, and of the ratios
/// of turns that follow each other.
fn rates(directory: &Path) -> Result<(), String> {
    let options = Options { sync_mode: SyncMode::Always, ..Options::default() };
    let store = Store::open(directory.join("durable"), &options).map_err(text)?;
    let mut growing = Loop::new(directory, "growing", |_| Ok(()))?;
    let mut allocated = Loop::new(directory, "allocated", allocate)?;
    let mut written = Loop::new(directory, "written", |file| {
        (0..PREPARED_SIZE).step_by(1 << 20).try_for_each(|at| file.write_all_at(&vec![0; 1 << 20], at))
    })?;
    let next = AtomicU64::new(0);
    let mut turns = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        for (place, rate) in turns.iter_mut().enumerate() {
            rate.push(match place {
                0 => turn(1, || put(&store, &next))?,
                1 => turn_of(|| growing.append())?,
                2 => turn_of(|| allocated.append())?,
                3 => turn_of(|| written.append())?,
                _ => turn(THREADS, || put(&store, &next))?,
            });
        }
    }
    let [one, growing, allocated, written, eight] = turns;
    println!("  every put on the device          a second   puts of 1 thread to it");
    for (name, rates) in [
        ("puts, 1 thread", &one),
        ("fdatasync, growing file", &growing),
        ("fdatasync, allocated file", &allocated),
        ("fdatasync, written file", &written),
        ("puts, 8 threads", &eight),
    ] {
        let ratio = median(one.iter().zip(rates).map(|(one, other)| one / other).collect());
        let rate = median(rates.clone());
        println!("  {name:<27}{:>13}{ratio:>13.2}", thousands(rate));
        figure(&format!("durable {name}"), "per_second", rate);
        figure(&format!("durable 1 thread to {name}"), "ratio", ratio);
    }
    let group = median(eight.iter().zip(&one).map(|(eight, one)| eight / one).collect());
    println!("  8 threads are {group:.1} times one");
    figure("durable 8 threads", "ratio_to_1_thread", group);
    Ok(())
}

/// The counter is the device's: on one that others write to as well, it counts them too.
fn device_writes(directory: &Path) -> Result<(), String> {
    let Some(device) = Device::of(directory) else {
        println!("  device writes per durable put: this device has no counter");
        return Ok(());
    };
    println!("  device writes per durable put   1st session   2nd session");
    for (name, write_mode) in [("mapped", WriteMode::Mapped), ("pwrite", WriteMode::Pwrite)] {
        let options = Options { sync_mode: SyncMode::Always, write_mode, ..Options::default() };
        let path = directory.join(format!("counted {name}"));
        let next = AtomicU64::new(0);
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let store = Store::open(&path, &options).map_err(text)?;
            // The first one makes the segment.
            put(&store, &next)?;
            sessions.push(device.written_by(|| (0..COUNTED).try_for_each(|_| put(&store, &next)))?);
            store.close().map_err(text)?;
        }
        row(&format!("put, {name}"), &sessions);
    }
    let mut growing = Loop::new(directory, "growing, counted", |_| Ok(()))?;
    let mut allocated = Loop::new(directory, "allocated, counted", allocate)?;
    for (name, file) in [("growing", &mut growing), ("allocated", &mut allocated)] {
        let bytes = device.written_by(|| (0..COUNTED).try_for_each(|_| file.append()))?;
        row(&format!("fdatasync, {name} file"), &[bytes]);
    }
    Ok(())
}

fn row(name: &str, bytes: &[f64]) {
    let columns: String = bytes.iter().map(|bytes| format!("{:>10.1} KiB", bytes / 1024.0)).collect();
    println!("  {name:<30}{columns}");
    for (session, bytes) in bytes.iter().enumerate() {
        figure(&format!("device writes {name} session {}", session + 1), "bytes", *bytes);
    }
}

/// A block device's counter of sectors written.
struct Device(PathBuf);

impl Device {
    fn of(directory: &Path) -> Option<Device> {
        let device = std::fs::metadata(directory).ok()?.dev();
        let (major, minor) = (libc::major(device), libc::minor(device));
        let device = Device(format!("/sys/dev/block/{major}:{minor}/stat").into());
        device.sectors().map(|_| device)
    }

    fn sectors(&self) -> Option<u64> {
        std::fs::read_to_string(&self.0).ok()?.split_whitespace().nth(6)?.parse().ok()
    }

    /// Bytes that reached the device, by the number of puts.
    fn written_by(&self, f: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
        let gone = || format!("{} cannot be read any more", self.0.display());
        let before = self.sectors().ok_or_else(gone)?;
        f()?;
        Ok((self.sectors().ok_or_else(gone)? - before) as f64 * 512.0 / COUNTED as f64)
    }
}

/// Writes a record behind the last one and waits for the device, and nothing else.
struct Loop {
    file: File,
    offset: u64,
}

impl Loop {
    fn new(
        directory: &Path,
        name: &str,
        prepare: impl FnOnce(&File) -> std::io::Result<()>,
    ) -> Result<Loop, String> {
        let failed = |error| format!("cannot write in {}: {error}", directory.display());
        let file = File::create(directory.join(name)).map_err(failed)?;
        prepare(&file).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Loop { file, offset: 0 })
    }

    fn append(&mut self) -> Result<(), String> {
        let record = [0xa5; RECORD_SIZE];
        let written = self.file.write_all_at(&record, self.offset).and_then(|()| self.file.sync_data());
        self.offset = (self.offset + RECORD_SIZE as u64) % (PREPARED_SIZE - RECORD_SIZE as u64);
        written.map_err(|error| error.to_string())
    }
}

/// Space and length, as a segment has it before it takes records.
#[allow(unsafe_code)]
fn allocate(file: &File) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, PREPARED_SIZE as libc::off_t) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
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
