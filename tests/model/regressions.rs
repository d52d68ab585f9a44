//! What the engine once answered wrongly, kept by name: as a run of the model where that finds it, else by hand.

use std::sync::Arc;
use std::time::Duration as Time;

use tinystoredb::os::sim::SimOs;
use tinystoredb::{
    Batch, Durability, Error, Expected, ScanOptions, Store, SyncMode, ValueType, WriteOptions,
};

use super::bench::{PATH, execute};
use super::map::Entry;
use super::operation::{K, Operation, Part, Run, options};

fn entry() -> Entry {
    Entry { bytes: b"value".to_vec(), value_type: ValueType::Bytes, expiry: None }
}

fn run(operations: Vec<Operation>) {
    for sync_mode in [SyncMode::Always, SyncMode::OnRequest, SyncMode::Interval(Time::from_secs(3600))] {
        execute(&Run { sync_mode, pwrite: false, seed: 1, operations: operations.clone() }).unwrap();
    }
}

fn store(sync_mode: SyncMode) -> (Arc<SimOs>, Store) {
    let os = SimOs::new(1);
    let store = Store::open_on(os.clone(), PATH, &options(sync_mode, false)).unwrap();
    (os, store)
}

/// Each change of the key pruned what the batch had replaced, and noted it again.
#[test]
fn a_version_that_a_batch_replaces_twice_is_counted_once() {
    let put = Operation::Put(K(4), entry(), Durability::Default);
    let batch = vec![Part::Put(K(4), entry()), Part::Put(K(4), entry())];
    let batch = Operation::Batch(batch, Durability::Default);
    run(vec![put, Operation::Snapshot, batch, Operation::Statistics]);
}

/// The second deletion stood in the index beside the first.
#[test]
fn a_deletion_of_what_is_deleted_keeps_no_version() {
    let put = Operation::Put(K(33), entry(), Durability::Default);
    let delete = Operation::Batch(vec![Part::Delete(K(33))], Durability::Default);
    let read = || Operation::SnapshotGet(0, K(33));
    let steps = vec![put, Operation::Snapshot, delete.clone(), Operation::Snapshot, delete, read()];
    run([steps, vec![Operation::Statistics]].concat());
}

/// Two commits of a key became visible together; the later one was pruned first and dropped the version
/// between, so that nobody noted the one before it.
#[test]
fn what_a_snapshot_saw_is_given_back_though_later_commits_became_visible_together() {
    let (os, store) = store(SyncMode::Always);
    for round in 0..50u8 {
        let key = [round];
        store.put(&key, b"one").unwrap();
        let snapshot = store.snapshot().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = store.clone();
        // While something else syncs both are put in, one after the other, and then wait for one sync.
        os.during_next_sync(move || {
            let last = || other.stats().unwrap().last_lsn;
            for value in [b"two", b"333"] {
                let (before, copy) = (last(), other.clone());
                sender.send(std::thread::spawn(move || copy.put(&key, value).unwrap())).unwrap();
                while last() == before {
                    std::thread::yield_now();
                }
            }
        })
        .unwrap();
        store.put(&[round, 0], b"something else").unwrap();
        receiver.iter().take(2).for_each(|thread| thread.join().unwrap());
        assert_eq!(&*snapshot.get(&key).unwrap().unwrap(), b"one");
        assert_eq!(store.stats().unwrap().snapshot_versions, 1, "round {round}");
        drop(snapshot);
        let alone = store.stats().unwrap();
        assert_eq!((alone.snapshot_versions, alone.snapshot_bytes), (0, 0));
    }
}

/// A write of its own behind the last record let the scan go on, and what it had read ended there from then on.
#[test]
fn a_scan_that_came_to_its_end_has_read_all_of_its_range_though_it_goes_on() {
    for backward in [false, true] {
        let (_os, store) = store(SyncMode::OnRequest);
        store.put(b"m", b"").unwrap();
        let transaction = store.begin().unwrap();
        let options = ScanOptions { backward, ..ScanOptions::default() };
        let mut scan = transaction.scan(&options).unwrap();
        while scan.next().unwrap().is_some() {}
        let (near, far): (&[u8], &[u8]) = if backward { (b"d", b"a") } else { (b"p", b"z") };
        transaction.put(near, b"").unwrap();
        assert_eq!(scan.next().unwrap().unwrap().key, near);
        store.put(far, b"a phantom").unwrap();
        assert!(matches!(transaction.commit(Durability::Default), Err(Error::Conflict)));
    }
}

/// It counted as valid again as soon as there were as many writes as when it was made.
#[test]
fn a_savepoint_that_was_rolled_back_stays_invalid() {
    let (_os, store) = store(SyncMode::OnRequest);
    let transaction = store.begin().unwrap();
    let first = transaction.savepoint().unwrap();
    transaction.put(b"a", b"1").unwrap();
    let second = transaction.savepoint().unwrap();
    transaction.roll_back_to(first).unwrap();
    for key in [b"b", b"c", b"d"] {
        transaction.put(key, b"2").unwrap();
    }
    assert!(matches!(transaction.roll_back_to(second), Err(Error::InvalidArgument(_))));
    transaction.commit(Durability::Default).unwrap();
    assert!(store.exists(b"c").unwrap() && store.exists(b"d").unwrap() && !store.exists(b"a").unwrap());
}

/// A record may expire at any time there is, and a batch may put what has expired already.
#[test]
fn what_expires_at_the_ends_of_time_is_absent_or_present_for_ever() {
    let (os, store) = store(SyncMode::OnRequest);
    let mut batch = Batch::new();
    batch.put_with(b"never there", b"", ValueType::Bytes, Some(i64::MIN)).unwrap();
    store.write(&batch, Durability::Default).unwrap();
    let write = WriteOptions { expires_at: Some(i64::MAX), ..WriteOptions::default() };
    store.put_with(b"nearly for ever", b"", write).unwrap();
    for now in [i64::MIN, 0, i64::MAX - 1, i64::MAX] {
        os.set_now(now).unwrap();
        assert!(!store.exists(b"never there").unwrap());
        assert_eq!(store.exists(b"nearly for ever").unwrap(), now < i64::MAX);
        assert_eq!(store.snapshot().unwrap().exists(b"nearly for ever").unwrap(), now < i64::MAX);
    }
}

/// A commit was waiting for the device, seen by nobody; a comparison that does not wait was answered by what it
/// had written, and who was told so still read the value before it.
#[test]
fn who_is_told_that_a_key_has_changed_does_not_read_what_it_had_before() {
    let (os, store) = store(SyncMode::Always);
    store.put(b"k", b"one").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = store.clone();
    os.during_next_sync(move || {
        let compare = std::thread::spawn(move || {
            let options = WriteOptions { durability: Durability::NoWait, ..WriteOptions::default() };
            let swapped = other.compare_and_swap(b"k", Expected::Value(b"one"), Some(b"x"), options).unwrap();
            (swapped, other.get(b"k").unwrap().map(|value| value.to_vec()))
        });
        // It may be answered while the sync is under way; it is given a moment.
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        sender.send(compare).unwrap();
    })
    .unwrap();
    store.put(b"k", b"two").unwrap();
    let compared = receiver.recv().unwrap().join().unwrap();
    assert_eq!(compared, (false, Some(b"two".to_vec())));
}
