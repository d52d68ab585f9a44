//! The whole engine on the simulated disk, under many schedules. `make explore` runs some thousands of each
//! scenario, `make torture` a million:
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" TSTORE_TORTURE_SCHEDULES=100000 cargo test --lib -- --nocapture shuttle::
//! ```
//!
//! Half of the schedules are random, half put a few preemptions where they may hurt. What a scenario does is
//! the same in every run; only the schedule differs. A failing one is printed: with `TSTORE_REPLAY_SCHEDULE`
//! set to it, that scenario alone (`-- NAME`) does the same again.

mod transactions;
mod writes;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ::shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use ::shuttle::{Config, Runner};

use crate::error::Error;
use crate::options::{Options, SyncMode};
use crate::os::sim::SimOs;
use crate::store::{Snapshot, Store};
use crate::sync::thread;

/// Schedules of each scenario unless the environment says otherwise.
const SCHEDULES: usize = 3000;
/// Preemptions that the second half of the schedules has.
const PREEMPTIONS: usize = 3;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs `scenario` under many schedules.
fn explore(scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    if let Ok(schedule) = std::env::var("TSTORE_REPLAY_SCHEDULE") {
        let mut replay = ReplayScheduler::new_from_encoded(&schedule);
        // It ends where it failed; what does not fail any more goes on.
        replay.set_allow_incomplete();
        Runner::new(replay, config).run(scenario);
        return;
    }
    let count = variable("TSTORE_TORTURE_SCHEDULES").map_or(SCHEDULES, |count| count as usize);
    let seed = variable("TSTORE_TORTURE_SEED").unwrap_or(1);
    let start = Instant::now();
    let run = |scheduler: Box<dyn Scheduler + Send>| Runner::new(scheduler, config.clone()).run(scenario);
    run(Box::new(RandomScheduler::new_from_seed(seed, count.div_ceil(2))));
    run(Box::new(PctScheduler::new_from_seed(seed, PREEMPTIONS, count / 2)));
    let seconds = start.elapsed().as_secs_f64();
    let name = thread_name();
    println!(
        "{name}: {count} schedules from seed {seed}, {:.0} schedules per second",
        count as f64 / seconds
    );
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_string()
}

/// A store that does not wait for the device, in small segments, without a background thread.
fn options() -> Options {
    Options {
        sync_mode: SyncMode::OnRequest,
        maintenance: false,
        first_segment_size: Some(4096),
        ..Options::default()
    }
}

/// A store that waits for the device with every commit.
fn always() -> Options {
    Options { sync_mode: SyncMode::Always, ..options() }
}

fn open_on(os: &Arc<SimOs>, options: &Options) -> Store {
    Store::open_on(os.clone(), Path::new("/my.db"), options).unwrap()
}

fn open(options: &Options) -> Store {
    open_on(&SimOs::new(1), options)
}

/// A value that names its key and how often that was written.
fn value(key: &[u8], count: u64) -> Vec<u8> {
    let mut value = key.to_vec();
    value.extend_from_slice(&count.to_le_bytes());
    value
}

/// What [`value`] counted.
fn count(key: &[u8], value: &[u8]) -> u64 {
    let (name, count) = value.split_at(value.len() - 8);
    assert_eq!(name, key, "a value of another key");
    u64::from_le_bytes(count.try_into().unwrap())
}

fn get(store: &Store, key: &[u8]) -> Option<u64> {
    store.get(key).unwrap().map(|value| count(key, &value))
}

fn get_at(snapshot: &Snapshot, key: &[u8]) -> Option<u64> {
    snapshot.get(key).unwrap().map(|value| count(key, &value))
}

/// Keys and counts of a whole snapshot, either way.
fn scan_at(snapshot: &Snapshot, backward: bool) -> Vec<(Vec<u8>, u64)> {
    let options = crate::store::ScanOptions { backward, ..Default::default() };
    let mut scan = snapshot.scan(&options).unwrap();
    let mut all = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        all.push((record.key.to_vec(), count(record.key, record.value)));
    }
    if backward {
        all.reverse();
    }
    assert!(all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
    all
}

/// Runs `threads` at once and waits for all.
fn together(threads: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = threads.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// That a call was made on an open store or a closed one, and nothing else went wrong.
fn unless_closed<T>(outcome: crate::error::Result<T>) -> Option<T> {
    match outcome {
        Ok(answer) => Some(answer),
        Err(Error::Closed) => None,
        Err(other) => panic!("{other}"),
    }
}
