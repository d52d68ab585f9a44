//! Everything at once, on real threads and a real file system: nobody reads what nobody wrote, a snapshot stays
//! as it is on whichever thread, and what changes together is seen together.
//!
//! `TSTORE_STRESS_OPERATIONS` says how many operations each thread makes. `make sanitize` runs this under
//! AddressSanitizer and ThreadSanitizer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tinystoredb::{Batch, Durability, Error, Options, ScanOptions, Snapshot, Store, SyncMode};

const OPERATIONS: u64 = 10_000;
/// Keys that everybody overwrites and deletes.
const SHARED: u64 = 200;
/// Keys of a range that is put as one and deleted as one.
const RANGE: u64 = 12;
const ACCOUNTS: u64 = 6;
const BALANCE: u64 = 1000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// What all threads share.
struct Stress {
    store: Store,
    operations: u64,
    /// Writers that are still at work: readers read as long as there is one.
    writing: AtomicU64,
    /// Snapshots, and what was seen in them, on their way to other threads.
    handed_on: Mutex<Vec<(Snapshot, Contents)>>,
}

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn shared_key(number: u64) -> Vec<u8> {
    // Of different lengths, so that the keys share nodes at all depths.
    let mut key = format!("shared:{number}").into_bytes();
    key.resize(key.len() + (number % 40) as usize, b'-');
    key
}

/// A value that names its key, its writer, and how often that has written; up to some thousand bytes.
fn value(key: &[u8], writer: u64, count: u64) -> Vec<u8> {
    let size = 24 + key.len() + [0, 10, 100, 3000][(count % 4) as usize];
    let mut value = Vec::with_capacity(size);
    value.extend_from_slice(&writer.to_le_bytes());
    value.extend_from_slice(&count.to_le_bytes());
    value.extend_from_slice(&(key.len() as u64).to_le_bytes());
    value.extend_from_slice(key);
    value.resize(size, (writer ^ count) as u8);
    value
}

/// Compares a value of a shared key to the last byte. Its writer and count.
fn check(key: &[u8], found: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_le_bytes(found[at..at + 8].try_into().unwrap());
    let (writer, count) = (word(0), word(8));
    assert_eq!(found, value(key, writer, count), "a value that nobody wrote, of {key:?}");
    (writer, count)
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().unwrap())
}

impl Stress {
    fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Relaxed) > 0
    }

    /// Puts, overwrites and deletes; what it wrote itself last must not be older when it is read again.
    fn write(&self, writer: u64) {
        let mut random = Random(writer.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut last = BTreeMap::new();
        for count in 0..self.operations {
            let key = shared_key(random.below(SHARED));
            match random.below(10) {
                0 => {
                    self.store.delete(&key).unwrap();
                }
                1 => {
                    let mut batch = Batch::new();
                    for _ in 0..4 {
                        let key = shared_key(random.below(SHARED));
                        batch.put(&key, &value(&key, writer, count)).unwrap();
                        last.insert(key, count);
                    }
                    self.store.write(&batch, Durability::Default).unwrap();
                }
                _ => {
                    self.store.put(&key, &value(&key, writer, count)).unwrap();
                    last.insert(key.clone(), count);
                    self.read_own(&key, writer, count);
                }
            }
            let other = shared_key(random.below(SHARED));
            if let Some(least) = last.get(&other) {
                self.read_own(&other, writer, *least);
            }
        }
        self.writing.fetch_sub(1, Ordering::Relaxed);
    }

    fn read_own(&self, key: &[u8], writer: u64, least: u64) {
        if let Some(found) = self.store.get(key).unwrap() {
            let (by, count) = check(key, &found);
            assert!(by != writer || count >= least, "{key:?} went back from {least} to {count}");
        }
    }

    /// Puts a range of keys as one, and deletes it as one.
    fn put_and_delete_range(&self) {
        for round in 0..self.operations / 4 {
            let mut batch = Batch::new();
            for key in 0..RANGE {
                batch.put(format!("range:{key:02}").as_bytes(), &round.to_le_bytes()).unwrap();
            }
            self.store.write(&batch, Durability::Default).unwrap();
            if round % 3 != 0 {
                assert_eq!(self.store.delete_range(b"range:", b"range;").unwrap(), RANGE);
            }
        }
        self.writing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Moves money about.
    fn transfer(&self, seed: u64) {
        let mut random = Random(seed);
        for _ in 0..self.operations / 4 {
            let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
            let keys = [from, to].map(|account| format!("account:{account}").into_bytes());
            if from == to {
                continue;
            }
            loop {
                let transaction = self.store.begin().unwrap();
                let [before, after] = [0, 1].map(|at| number(&transaction.get(&keys[at]).unwrap().unwrap()));
                if before == 0 {
                    break;
                }
                transaction.put(&keys[0], &(before - 1).to_le_bytes()).unwrap();
                transaction.put(&keys[1], &(after + 1).to_le_bytes()).unwrap();
                match transaction.commit(Durability::Default) {
                    Ok(()) => break,
                    Err(Error::Conflict) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        self.writing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Everything that a snapshot has, by a scan one way, held against all that must be true of it.
    fn contents(&self, snapshot: &Snapshot, backward: bool) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let options = ScanOptions { backward, ..ScanOptions::default() };
        let mut scan = snapshot.scan(&options).unwrap();
        let (mut all, mut before) = (BTreeMap::new(), None);
        while let Some(record) = scan.next().unwrap() {
            let key = record.key.to_vec();
            if let Some(before) = before.replace(key.clone()) {
                assert!(if backward { key < before } else { key > before }, "{before:?}, then {key:?}");
            }
            if key.starts_with(b"shared:") {
                check(&key, record.value);
            }
            all.insert(key, record.value.to_vec());
        }
        let with = |prefix: &'static [u8]| {
            let bounds = (Bound::Included(prefix), Bound::Unbounded);
            all.range::<[u8], _>(bounds).take_while(move |(key, _)| key.starts_with(prefix))
        };
        let money: u64 = with(b"account:").map(|(_, value)| number(value)).sum();
        assert_eq!(money, ACCOUNTS * BALANCE, "money was made or lost");
        let rounds: Vec<u64> = with(b"range:").map(|(_, value)| number(value)).collect();
        assert!(rounds.is_empty() || rounds.len() == RANGE as usize, "part of a range: {rounds:?}");
        assert!(rounds.windows(2).all(|pair| pair[0] == pair[1]), "parts of two batches: {rounds:?}");
        all
    }

    /// Takes snapshots, looks at all of them one way, and hands them on.
    fn take_snapshots(&self, backward: bool) {
        while self.is_writing() {
            let snapshot = self.store.snapshot().unwrap();
            let all = self.contents(&snapshot, backward);
            self.handed_on.lock().unwrap().push((snapshot, all));
            let waiting = self.handed_on.lock().unwrap().len();
            if waiting > 20 {
                thread::yield_now();
                self.check_handed_on(&mut Random(waiting as u64));
            }
        }
    }

    /// Looks at a snapshot that another thread took, and ends it here.
    fn check_handed_on(&self, random: &mut Random) {
        let Some((snapshot, all)) = self.handed_on.lock().unwrap().pop() else { return };
        for _ in 0..50 {
            let key = shared_key(random.below(SHARED));
            let found = snapshot.get(&key).unwrap();
            assert_eq!(found.as_deref(), all.get(&key).map(Vec::as_slice), "{key:?} changed in a snapshot");
        }
        assert!(self.contents(&snapshot.clone(), random.below(2) == 0) == all, "a snapshot changed");
    }

    fn check_snapshots(&self) {
        let mut random = Random(99);
        while self.is_writing() {
            self.check_handed_on(&mut random);
            // And what is there now, several keys side by side.
            let keys: Vec<Vec<u8>> = (0..20).map(|_| shared_key(random.below(SHARED))).collect();
            let look = |at: usize, found: Option<(_, &[u8])>| {
                found.into_iter().for_each(|(_, value)| {
                    check(&keys[at], value);
                });
            };
            self.store.read_many(&keys, look).unwrap();
        }
    }
}

fn run(options: Options, operations: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.db");
    let store = Store::open(&path, &options).unwrap();
    for account in 0..ACCOUNTS {
        store.put(format!("account:{account}").as_bytes(), &BALANCE.to_le_bytes()).unwrap();
    }
    let writing = AtomicU64::new(5);
    let stress = Stress { store, operations, writing, handed_on: Mutex::new(Vec::new()) };
    thread::scope(|scope| {
        let stress = &stress;
        for writer in 1..3 {
            scope.spawn(move || stress.write(writer));
            scope.spawn(move || stress.transfer(writer));
        }
        scope.spawn(|| stress.put_and_delete_range());
        for backward in [false, true] {
            scope.spawn(move || stress.take_snapshots(backward));
        }
        scope.spawn(|| stress.check_snapshots());
    });
    stress.handed_on.lock().unwrap().clear();
    let Stress { store, .. } = stress;
    // Without snapshots nothing is kept for them for long.
    while store.stats().unwrap().snapshot_versions > 0 {
        store.put(b"settle", b"").unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let all: Vec<_> = scan(&snapshot);
    assert_eq!(store.stats().unwrap().records, all.len() as u64);
    drop(snapshot);
    store.close().unwrap();
    let store = Store::open(&path, &options).unwrap();
    assert!(scan(&store.snapshot().unwrap()) == all, "recovery found something else");
}

fn scan(snapshot: &Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = snapshot.scan(&ScanOptions::default()).unwrap();
    let mut all = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        all.push((record.key.to_vec(), record.value.to_vec()));
    }
    all
}

fn operations() -> u64 {
    std::env::var("TSTORE_STRESS_OPERATIONS").map_or(OPERATIONS, |text| text.parse().expect("a number"))
}

#[test]
fn readers_see_what_was_written_whatever_happens_at_once() {
    run(Options { sync_mode: SyncMode::OnRequest, ..Options::default() }, operations());
}

#[test]
fn readers_see_what_was_written_where_commits_wait_for_the_device() {
    run(Options { sync_mode: SyncMode::Always, ..Options::default() }, operations().div_ceil(10));
}

#[test]
fn readers_see_what_was_written_without_the_background_thread() {
    run(
        Options { sync_mode: SyncMode::OnRequest, maintenance: false, ..Options::default() },
        operations() / 3,
    );
}
