//! Recorded histories of concurrent threads, held against what they may look like: each key by itself is
//! linearizable, and transactions are strictly serializable, ranges included; crashes in between take nothing
//! back that was acknowledged. Checkers that accept everything would pass as well: each is fed known anomalies.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "histories/bank.rs"]
mod bank;
#[path = "histories/cycles.rs"]
mod cycles;
#[path = "histories/keys.rs"]
mod keys;
#[path = "histories/linear.rs"]
mod linear;
#[path = "histories/lists.rs"]
mod lists;
#[path = "histories/place.rs"]
mod place;
#[path = "crash/random.rs"]
mod random;

use std::time::Instant;

use random::{Dice, mix};

/// Histories of each kind, unless TSTORE_HISTORIES says otherwise.
const HISTORIES: u64 = 100;

/// Runs histories from TSTORE_TORTURE_SEED on and prints how many there were. The seed decides what the threads
/// do, not how they meet: a failure may take several runs to come back.
fn histories(what: &str, run: fn(&mut Dice) -> Result<u64, String>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("TSTORE_HISTORIES").unwrap_or(HISTORIES);
    let first = number("TSTORE_TORTURE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("histories of {what}: from seed {first}");
    let start = Instant::now();
    let mut operations = 0;
    for seed in first..first + count {
        match run(&mut Dice::new(mix(seed))) {
            Ok(done) => operations += done,
            Err(text) => panic!("TSTORE_TORTURE_SEED={seed}, {what}: {text}"),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("histories of {what}: {count} with {operations} operations in {seconds:.1} s");
}

#[test]
fn every_key_by_itself_is_linearizable_through_crashes() {
    histories("keys", keys::run);
}

#[test]
fn transactions_are_strictly_serializable_with_ranges_and_through_crashes() {
    histories("lists", lists::run);
}

#[test]
fn money_is_neither_made_nor_lost_whoever_looks_and_through_crashes() {
    histories("a bank", bank::run);
}
