//! What a run does: operations on one store, made at random and made smaller by proptest.

use std::ops::Bound;
use std::time::Duration as Time;

use proptest::prelude::*;
use tinystoredb::{Durability, Options, ScanOptions, SyncMode, ValueType, WriteMode};

use super::map::{Entry, Key};

/// Where the clock of the simulated system stands at first, in milliseconds since 1970.
pub const CLOCK_START: i64 = 1_600_000_000_000;

/// One of the keys, by number: first those of nasty shapes, then many plain ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct K(pub u16);

/// Plain keys, enough for several runs of a scan.
pub const MANY: u16 = 300;

impl K {
    pub fn key(self) -> Key {
        let long = |end: &[u8]| [&[b'k'; 300][..], end].concat();
        let shapes: [&dyn Fn() -> Key; 26] = [
            &|| b"".to_vec(),
            &|| b"\0".to_vec(),
            &|| b"\0\0".to_vec(),
            &|| b"\0\x01".to_vec(),
            &|| b"a".to_vec(),
            &|| b"a\0".to_vec(),
            &|| b"a\0b".to_vec(),
            &|| b"aa".to_vec(),
            &|| b"ab".to_vec(),
            &|| b"abc".to_vec(),
            &|| b"a\xff".to_vec(),
            &|| b"a\xff\xff".to_vec(),
            &|| b"b".to_vec(),
            &|| b"ba".to_vec(),
            &|| b"\x7f".to_vec(),
            &|| b"\x80".to_vec(),
            &|| b"\xfe".to_vec(),
            &|| b"\xfe\xff".to_vec(),
            &|| b"\xff".to_vec(),
            &|| b"\xff\0".to_vec(),
            &|| b"\xff\xff".to_vec(),
            &|| b"\xff\xff\xff".to_vec(),
            &|| long(b""),
            &|| long(b"\0"),
            &|| long(b"\xff"),
            &|| long(&[0xff; 900]),
        ];
        match shapes.get(usize::from(self.0)) {
            Some(shape) => shape(),
            None => format!("n{:03}", self.0 - 26).into_bytes(),
        }
    }
}

impl std::fmt::Debug for K {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "K({})", self.0)
    }
}

/// A change of a batch.
#[derive(Clone, Debug)]
pub enum Part {
    Put(K, Entry),
    Delete(K),
    DeleteRange(K, K),
}

/// What a compare-and-swap expects.
#[derive(Clone, Debug)]
pub enum Expect {
    Absent,
    Any,
    /// What it has, where it has something.
    Current,
    Value(Vec<u8>),
}

/// One step. Snapshots, scans and transactions are named by a number that wraps around.
#[derive(Clone, Debug)]
pub enum Operation {
    Put(K, Entry, Durability),
    Delete(K),
    DeleteRange(K, K),
    Batch(Vec<Part>, Durability),
    /// A batch that puts so many of the plain keys from this one on.
    Fill(K, u16),
    Cas(K, Expect, Option<Entry>, Durability),
    PutIfAbsent(K, Entry, Durability),
    Take(K),
    IncrementI64(K, i64),
    IncrementU64(K, i64),
    Append(K, Vec<u8>),
    Expire(K, Option<i64>),
    Get(K),
    ReadMany(Vec<K>),
    Snapshot,
    DropSnapshot(u8),
    SnapshotGet(u8, K),
    SnapshotReadMany(u8, Vec<K>),
    /// Of the store, or of a snapshot.
    Scan(Option<u8>, ScanOptions),
    ScanNext(u8, u16),
    ScanSeek(u8, K),
    DropScan(u8),
    Begin,
    TransactionGet(u8, K),
    TransactionPut(u8, K, Entry),
    TransactionDelete(u8, K),
    TransactionDeleteRange(u8, K, K),
    TransactionScan(u8, ScanOptions),
    TransactionScanNext(u8, u16),
    TransactionScanSeek(u8, K),
    DropTransactionScan(u8),
    Savepoint(u8),
    RollBackTo(u8, u8),
    Commit(u8, Durability),
    RollBack(u8),
    DropTransaction(u8),
    /// Sets the clock so many steps of ten milliseconds behind its start.
    Clock(i64),
    Sync,
    Prepare,
    Statistics,
    /// Everything that can be read, forward and backward.
    Everything,
    Reopen(bool, SyncMode),
    /// A crash of the machine, or of the process: how far back, what is kept, and the next session's mode.
    Crash(u16, Loss, SyncMode),
}

/// What a crash leaves.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    Kill,
    Nothing,
    Everything,
    First(u8),
    Random(u32),
    Torn(u8, u16),
}

pub fn options(sync_mode: SyncMode, pwrite: bool) -> Options {
    Options {
        sync_mode,
        write_mode: if pwrite { WriteMode::Pwrite } else { WriteMode::Mapped },
        segment_size_max: 4 << 20,
        maintenance: false,
        first_segment_size: Some(64 << 10),
        ..Options::default()
    }
}

fn key() -> impl Strategy<Value = K> {
    prop_oneof![8 => (0u16..26).prop_map(K), 3 => (26u16..34).prop_map(K), 1 => (26..26 + MANY).prop_map(K)]
}

pub fn expiry() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        8 => Just(None),
        5 => (-3i64..30).prop_map(|step| Some(CLOCK_START + 10 * step)),
        1 => prop_oneof![Just(i64::MIN + 1), Just(-1), Just(0), Just(1), Just(i64::MAX)].prop_map(Some),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 20usize..400).prop_map(|(byte, size)| vec![byte; size]),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let number = prop_oneof![
        4 => -50i64..50,
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(i64::MAX - 3)],
    ];
    let typed = prop_oneof![
        6 => bytes().prop_map(|bytes| (bytes, ValueType::Bytes)),
        1 => "[a-zä]{0,6}".prop_map(|text| (text.into_bytes(), ValueType::String)),
        2 => number.clone().prop_map(|number| (number.to_le_bytes().to_vec(), ValueType::I64)),
        2 => number.prop_map(|number| (number.to_le_bytes().to_vec(), ValueType::U64)),
        1 => bytes().prop_map(|bytes| (bytes, ValueType::I64)),
        1 => bytes().prop_map(|bytes| (bytes, ValueType::Serde)),
        1 => (14_000usize..60_000).prop_map(|size| (vec![size as u8; size / 40 * 40], ValueType::Bytes)),
    ];
    (typed, expiry()).prop_map(|((bytes, value_type), expiry)| Entry { bytes, value_type, expiry })
}

pub fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![3 => Just(Durability::Default), 2 => Just(Durability::NoWait), 1 => Just(Durability::Wait)]
}

fn sync_mode() -> impl Strategy<Value = SyncMode> {
    prop_oneof![
        Just(SyncMode::Always),
        Just(SyncMode::OnRequest),
        Just(SyncMode::Interval(Time::from_secs(3600)))
    ]
}

fn scan_options() -> impl Strategy<Value = ScanOptions> {
    let bound = || {
        prop_oneof![
            2 => Just(Bound::Unbounded),
            2 => key().prop_map(|key| Bound::Included(key.key())),
            2 => key().prop_map(|key| Bound::Excluded(key.key())),
        ]
    };
    let bounded =
        (bound(), bound()).prop_map(|(from, to)| ScanOptions { from, to, ..ScanOptions::default() });
    let prefix = key().prop_map(|key| ScanOptions::prefix(&key.key()));
    (prop_oneof![3 => bounded, 1 => prefix], any::<bool>(), any::<bool>())
        .prop_map(|(options, backward, keys_only)| ScanOptions { backward, keys_only, ..options })
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        5 => (key(), entry()).prop_map(|(key, entry)| Part::Put(key, entry)),
        2 => key().prop_map(Part::Delete),
        2 => (key(), key()).prop_map(|(from, to)| Part::DeleteRange(from, to)),
    ];
    proptest::collection::vec(part, 0..9)
}

fn slot() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0u8), 2 => 0u8..4]
}

/// One operation.
pub fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let expect = prop_oneof![
        2 => Just(Expect::Absent),
        2 => Just(Expect::Any),
        4 => Just(Expect::Current),
        1 => bytes().prop_map(Expect::Value),
    ];
    let many = || proptest::collection::vec(key(), 0..40);
    let loss = prop_oneof![
        3 => Just(Loss::Kill),
        1 => Just(Loss::Nothing),
        1 => Just(Loss::Everything),
        2 => (0u8..20).prop_map(Loss::First),
        3 => any::<u32>().prop_map(Loss::Random),
        2 => (0u8..12, any::<u16>()).prop_map(|(unit, cut)| Loss::Torn(unit, cut)),
    ];
    let delta = || prop_oneof![4 => -20i64..20, 1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)]];
    let writes = prop_oneof![
        12 => (key(), entry(), durability()).prop_map(|(key, entry, how)| Put(key, entry, how)),
        5 => key().prop_map(Delete),
        3 => (key(), key()).prop_map(|(from, to)| DeleteRange(from, to)),
        5 => (parts(), durability()).prop_map(|(parts, how)| Batch(parts, how)),
        1 => (26..26 + MANY, 1u16..280).prop_map(|(from, count)| Fill(K(from), count)),
        4 => (key(), expect, proptest::option::of(entry()), durability())
            .prop_map(|(key, expect, new, how)| Cas(key, expect, new, how)),
        2 => (key(), entry(), durability()).prop_map(|(key, entry, how)| PutIfAbsent(key, entry, how)),
        2 => key().prop_map(Take),
        2 => (key(), delta()).prop_map(|(key, delta)| IncrementI64(key, delta)),
        2 => (key(), delta()).prop_map(|(key, delta)| IncrementU64(key, delta)),
        2 => (key(), bytes()).prop_map(|(key, bytes)| Append(key, bytes)),
        2 => (key(), expiry()).prop_map(|(key, expiry)| Expire(key, expiry)),
    ];
    let reads = prop_oneof![
        8 => key().prop_map(Get),
        2 => many().prop_map(ReadMany),
        3 => Just(Snapshot),
        2 => slot().prop_map(DropSnapshot),
        6 => (slot(), key()).prop_map(|(slot, key)| SnapshotGet(slot, key)),
        2 => (slot(), many()).prop_map(|(slot, keys)| SnapshotReadMany(slot, keys)),
        3 => (proptest::option::of(slot()), scan_options()).prop_map(|(slot, options)| Scan(slot, options)),
        9 => (slot(), 1u16..24).prop_map(|(slot, count)| ScanNext(slot, count)),
        3 => (slot(), key()).prop_map(|(slot, key)| ScanSeek(slot, key)),
        1 => slot().prop_map(DropScan),
    ];
    let transactions = prop_oneof![
        4 => Just(Begin),
        8 => (slot(), key()).prop_map(|(slot, key)| TransactionGet(slot, key)),
        7 => (slot(), key(), entry()).prop_map(|(slot, key, entry)| TransactionPut(slot, key, entry)),
        3 => (slot(), key()).prop_map(|(slot, key)| TransactionDelete(slot, key)),
        1 => (slot(), key(), key()).prop_map(|(slot, from, to)| TransactionDeleteRange(slot, from, to)),
        3 => (slot(), scan_options()).prop_map(|(slot, options)| TransactionScan(slot, options)),
        8 => (slot(), 1u16..12).prop_map(|(slot, count)| TransactionScanNext(slot, count)),
        2 => (slot(), key()).prop_map(|(slot, key)| TransactionScanSeek(slot, key)),
        1 => slot().prop_map(DropTransactionScan),
        2 => slot().prop_map(Savepoint),
        2 => (slot(), any::<u8>()).prop_map(|(slot, which)| RollBackTo(slot, which)),
        5 => (slot(), durability()).prop_map(|(slot, how)| Commit(slot, how)),
        1 => slot().prop_map(RollBack),
        1 => slot().prop_map(DropTransaction),
    ];
    let others = prop_oneof![
        60 => (-2i64..32).prop_map(Clock),
        30 => Just(Sync),
        15 => Just(Prepare),
        90 => Just(Statistics),
        30 => Just(Everything),
        8 => (any::<bool>(), sync_mode()).prop_map(|(close, mode)| Reopen(close, mode)),
        8 => (any::<u16>(), loss, sync_mode()).prop_map(|(back, loss, mode)| Crash(back, loss, mode)),
    ];
    prop_oneof![9 => writes, 9 => reads, 9 => transactions, 2 => others]
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Run {
    pub sync_mode: SyncMode,
    pub pwrite: bool,
    pub seed: u64,
    pub operations: Vec<Operation>,
}

pub fn run(length: usize) -> impl Strategy<Value = Run> {
    let operations = proptest::collection::vec(operation(), 1..length);
    (sync_mode(), any::<bool>(), any::<u64>(), operations)
        .prop_map(|(sync_mode, pwrite, seed, operations)| Run { sync_mode, pwrite, seed, operations })
}
