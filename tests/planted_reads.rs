//! Bugs planted where readers meet what others change: each one is found, and it is said by what. Without a bug
//! the same search finds nothing. Run with `cargo test --features planted --test planted_reads`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]
#![allow(dead_code, reason = "the suites have more than is used here")]

#[path = "histories/bank.rs"]
mod bank;
#[path = "model/bench.rs"]
mod bench;
#[path = "model/crashes.rs"]
mod crashes;
#[path = "histories/cycles.rs"]
mod cycles;
#[path = "histories/keys.rs"]
mod keys;
#[path = "histories/linear.rs"]
mod linear;
#[path = "histories/lists.rs"]
mod lists;
#[path = "model/map.rs"]
mod map;
#[path = "model/operation.rs"]
mod operation;
#[path = "histories/place.rs"]
mod place;
#[path = "crash/random.rs"]
mod random;
#[path = "model/scans.rs"]
mod scans;
#[path = "model/transactions.rs"]
mod transactions;
#[path = "model/writes.rs"]
mod writes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tinystoredb::planted::{Bug, plant};
use tinystoredb::{Options, Store, SyncMode};

use random::Dice;

type Found = Result<(), String>;

/// Random runs against the model.
fn model(amount: u64) -> Found {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let runs = operation::run(400);
    for number in 0..amount {
        let run = runs.new_tree(&mut runner).map_err(|reason| reason.to_string())?.current();
        bench::execute(&run).map_err(|text| format!("run {number}: {text}"))?;
    }
    Ok(())
}

/// A thread that puts one key again and again, and one that takes a snapshot and reads it twice.
fn snapshots_amid_puts(amount: u64) -> Found {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
    let store = Store::open(directory.path().join("db"), &options).unwrap();
    let read = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    store.put(b"k", &0u64.to_le_bytes()).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0u64;
            while !ended.load(Ordering::Relaxed) {
                number += 1;
                store.put(b"k", &number.to_le_bytes()).unwrap();
            }
        });
        let outcome = (0..amount * 6000).try_for_each(|number| {
            let snapshot = store.snapshot().unwrap();
            let first = snapshot.read(b"k", |_, bytes| read(bytes)).unwrap();
            (0..number % 64).for_each(|_| std::hint::spin_loop());
            let second = snapshot.read(b"k", |_, bytes| read(bytes)).unwrap();
            let same = first.is_some() && first == second;
            if same { Ok(()) } else { Err(format!("snapshot {number} reads {first:?}, then {second:?}")) }
        });
        ended.store(true, Ordering::Relaxed);
        outcome
    })
}

/// A scan that ends, goes on over a write of its own, and misses a phantom.
fn ended_scans(_: u64) -> Found {
    let store = Store::open_on(
        tinystoredb::os::sim::SimOs::new(1),
        bench::PATH,
        &operation::options(SyncMode::OnRequest, false),
    )
    .unwrap();
    store.put(b"m", b"").unwrap();
    let transaction = store.begin().unwrap();
    let mut scan = transaction.scan(&tinystoredb::ScanOptions::default()).unwrap();
    while scan.next().unwrap().is_some() {}
    transaction.put(b"p", b"").unwrap();
    scan.next().unwrap().unwrap();
    store.put(b"z", b"a phantom").unwrap();
    match transaction.commit(tinystoredb::Durability::Default) {
        Err(tinystoredb::Error::Conflict) => Ok(()),
        outcome => Err(format!("a phantom behind an ended scan: {outcome:?}")),
    }
}

fn histories(amount: u64, run: fn(&mut Dice) -> Result<u64, String>) -> Found {
    (0..amount).try_for_each(|seed| {
        run(&mut Dice::new(seed)).map(|_| ()).map_err(|text| format!("history {seed}: {text}"))
    })
}

type Hunter = (&'static str, fn(u64) -> Found);

const HUNTERS: [Hunter; 6] = [
    ("model", model),
    ("snapshots amid puts", snapshots_amid_puts),
    ("ended scans", ended_scans),
    ("keys", |amount| histories(amount, keys::run)),
    ("lists", |amount| histories(amount, lists::run)),
    ("bank", |amount| histories(amount, bank::run)),
];

/// What finds the bug that is planted now, the hunter with this name first.
fn hunt(first: &str, amount: u64) -> Option<String> {
    let mut hunters = HUNTERS;
    hunters.sort_by_key(|(name, _)| *name != first);
    hunters.iter().find_map(|(name, hunter)| {
        let outcome = catch_unwind(AssertUnwindSafe(|| hunter(amount)));
        let outcome = outcome.unwrap_or_else(|_| Err("a panic".to_string()));
        outcome.err().map(|text| format!("{name}, {text}"))
    })
}

/// Who is likely to find it.
fn hunter_of(bug: Bug) -> &'static str {
    match bug {
        Bug::RegisterLate | Bug::IgnoreKept => "snapshots amid puts",
        Bug::CheckBeforeLock => "lists",
        Bug::PieceByPiece => "bank",
        Bug::AnswerUnseen => "keys",
        Bug::ForgetEnd => "ended scans",
        _ => "model",
    }
}

#[test]
fn every_bug_planted_in_reading_is_found_and_without_one_nothing_is() {
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let one = std::env::var("TSTORE_PLANT").ok();
    let mut missed = Vec::new();
    for bug in Bug::READS {
        if one.as_ref().is_some_and(|one| *one != format!("{bug:?}")) {
            continue;
        }
        plant(Some(bug));
        let found = hunt(hunter_of(bug), 600);
        plant(None);
        let seconds = start.elapsed().as_secs_f64();
        match found {
            Some(found) => {
                let line: String = found.replace('\n', " ").chars().take(230).collect();
                println!("{seconds:5.1} s {bug:?}: {line}");
            }
            None => {
                println!("{seconds:5.1} s {bug:?}: NOT FOUND");
                missed.push(bug);
            }
        }
    }
    let clean = hunt("model", 40);
    println!("{:5.1} s without a bug: {clean:?}", start.elapsed().as_secs_f64());
    let _ = std::panic::take_hook();
    assert_eq!(clean, None);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
