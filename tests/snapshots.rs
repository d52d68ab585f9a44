//! Snapshots: what they show, what is kept for them, and that it goes with them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::ops::Bound;

use tinystoredb::{Batch, Durability, Options, ScanOptions, Snapshot, Store, SyncMode};

fn open(place: &tempfile::TempDir, sync_mode: SyncMode, maintenance: bool) -> Store {
    let options = Options { sync_mode, maintenance, ..Options::default() };
    Store::open(place.path().join("db"), &options).unwrap()
}

/// A store for each way in which versions come and go.
fn each_way(test: impl Fn(&Store)) {
    for sync_mode in [SyncMode::Always, SyncMode::OnRequest] {
        for maintenance in [true, false] {
            let place = tempfile::tempdir().unwrap();
            test(&open(&place, sync_mode, maintenance));
        }
    }
}

fn all(snapshot: &Snapshot, options: &ScanOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = snapshot.scan(options).unwrap();
    let mut found = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        found.push((record.key.to_vec(), record.value.to_vec()));
    }
    found
}

fn pair(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}

/// Waits for the background thread; a commit does the same without it.
fn until(store: &Store, done: impl Fn() -> bool) {
    for round in 0.. {
        if done() {
            return;
        }
        assert!(round < 100_000, "{:?}", store.stats().unwrap());
        std::thread::yield_now();
        store.put(b"another key", b"").unwrap();
    }
}

#[test]
fn a_snapshot_never_changes_while_it_lives() {
    each_way(|store| {
        for key in ["a", "b", "c", "d"] {
            store.put(key.as_bytes(), b"old").unwrap();
        }
        let snapshot = store.snapshot().unwrap();
        let before = all(&snapshot, &ScanOptions::default());
        assert_eq!(before, ["a", "b", "c", "d"].map(|key| pair(key, "old")));
        store.put(b"a", b"new").unwrap();
        store.put(b"aa", b"new").unwrap();
        store.delete(b"b").unwrap();
        let mut batch = Batch::new();
        batch.put(b"c", b"new").unwrap();
        batch.delete_range(b"c", b"").unwrap();
        batch.put(b"e", b"new").unwrap();
        store.write(&batch, Durability::Default).unwrap();
        for _ in 0..3 {
            store.put(b"a", b"newer").unwrap();
        }
        assert_eq!(all(&snapshot, &ScanOptions::default()), before);
        let mut backward = all(&snapshot, &ScanOptions::default().backward());
        backward.reverse();
        assert_eq!(backward, before);
        assert_eq!(snapshot.get(b"b").unwrap().as_deref(), Some(&b"old"[..]));
        assert!(!snapshot.exists(b"aa").unwrap() && !snapshot.exists(b"e").unwrap());
        let mut seen = Vec::new();
        let keys = [&b"a"[..], b"aa", b"b", b"d", b"e"];
        snapshot.read_many(&keys, |_, value| seen.push(value.map(|(_, value)| value.to_vec()))).unwrap();
        let old = Some(b"old".to_vec());
        assert_eq!(seen, [old.clone(), None, old.clone(), old, None]);
        // And the store has gone on.
        let now = store.snapshot().unwrap();
        let expected = [pair("a", "newer"), pair("aa", "new"), pair("e", "new")];
        assert_eq!(all(&now, &ScanOptions::default()), expected);
    });
}

#[test]
fn what_is_kept_for_a_snapshot_goes_when_it_ends_though_nobody_writes_the_keys_again() {
    each_way(|store| {
        let key = |number: u32| format!("key {number}").into_bytes();
        for number in 0..1000 {
            store.put_with(&key(number), b"old", no_wait()).unwrap();
        }
        let figures = || store.stats().unwrap();
        let first = store.snapshot().unwrap();
        for number in 0..500 {
            store.put_with(&key(number), b"new", no_wait()).unwrap();
        }
        assert_eq!(store.delete_range(b"key 5", b"key 6").unwrap(), 111);
        store.sync().unwrap();
        let second = store.snapshot().unwrap();
        for number in 0..500 {
            store.put_with(&key(number), b"newest", no_wait()).unwrap();
        }
        store.sync().unwrap();
        let (stats, live) = (figures(), figures().index_bytes);
        assert_eq!((stats.snapshots, stats.records), (2, 900));
        // Two older versions each of 489 keys, three of the eleven that the range took between, one of 100.
        assert!(stats.snapshot_versions >= 1000 && stats.snapshot_bytes > 30 * stats.snapshot_versions);
        drop(first);
        until(store, || figures().snapshot_versions <= 500);
        assert_eq!(all(&second, &ScanOptions::prefix(b"key 1")).len(), 111);
        assert!(
            all(&second, &ScanOptions::prefix(b"key 1"))
                .iter()
                .all(|(_, value)| value == b"new" || value == b"old")
        );
        drop(second);
        until(store, || figures().snapshot_versions == 0);
        let stats = figures();
        assert_eq!((stats.snapshots, stats.snapshot_bytes), (0, 0));
        assert!(stats.index_bytes < live, "{} of {live} bytes", stats.index_bytes);
    });
}

fn no_wait() -> tinystoredb::WriteOptions {
    tinystoredb::WriteOptions { durability: Durability::NoWait, ..Default::default() }
}

#[test]
fn a_snapshot_outlives_the_handles_and_answers_closed_after_a_close() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place, SyncMode::Always, true);
    store.put(b"a", b"1").unwrap();
    let (snapshot, clone) = (store.snapshot().unwrap(), store.clone());
    drop(store);
    drop(clone);
    assert!(snapshot.exists(b"a").unwrap(), "a snapshot counts as a handle");
    let second = open(&tempfile::tempdir().unwrap(), SyncMode::Always, true);
    let snapshot_of_second = second.snapshot().unwrap();
    second.close().unwrap();
    let refused = snapshot_of_second.get(b"a");
    assert!(matches!(refused, Err(tinystoredb::Error::Closed)));
    assert!(matches!(second.snapshot(), Err(tinystoredb::Error::Closed)));
}

#[test]
fn more_snapshots_than_the_table_has_slots_all_keep_their_moment() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place, SyncMode::OnRequest, true);
    let snapshots: Vec<Snapshot> = (0..600u32)
        .map(|number| {
            store.put(b"key", &number.to_le_bytes()).unwrap();
            store.snapshot().unwrap()
        })
        .collect();
    store.delete(b"key").unwrap();
    for (number, snapshot) in snapshots.iter().enumerate() {
        let value = snapshot.get(b"key").unwrap().unwrap();
        assert_eq!(u32::from_le_bytes(value[..].try_into().unwrap()), number as u32);
    }
    assert_eq!(store.stats().unwrap().snapshots, 600);
    drop(snapshots);
    until(&store, || store.stats().unwrap().snapshot_versions == 0);
}

#[test]
fn a_scan_shows_its_moment_within_its_bounds_and_seeks_both_ways() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place, SyncMode::OnRequest, true);
    for number in 0..1000 {
        store.put(format!("{number:04}").as_bytes(), b"x").unwrap();
    }
    let range = ScanOptions {
        from: Bound::Excluded(b"0100".to_vec()),
        to: Bound::Included(b"0900".to_vec()),
        ..ScanOptions::default()
    };
    let mut forward = store.scan_with(&range).unwrap();
    let mut backward = store.scan_with(&range.clone().backward().keys_only()).unwrap();
    store.delete_range(b"", b"").unwrap();
    let key = |record: Option<tinystoredb::Record<'_>>| record.map(|record| record.key.to_vec());
    for number in 101..=900 {
        assert_eq!(key(forward.next().unwrap()), Some(format!("{number:04}").into_bytes()));
        let last = format!("{:04}", 1001 - number).into_bytes();
        let record = backward.next().unwrap().unwrap();
        assert_eq!((record.key, record.value), (&last[..], &b""[..]));
    }
    assert!(forward.next().unwrap().is_none() && backward.next().unwrap().is_none());
    for (seek, ahead, back) in
        [("0500", "0500", "0500"), ("0500x", "0501", "0500"), ("", "0101", "-"), ("1", "-", "0900")]
    {
        forward.seek(seek.as_bytes()).unwrap();
        backward.seek(seek.as_bytes()).unwrap();
        let expected = |key: &str| (key != "-").then(|| key.as_bytes().to_vec());
        assert_eq!(key(forward.next().unwrap()), expected(ahead), "forward to {seek:?}");
        assert_eq!(key(backward.next().unwrap()), expected(back), "backward to {seek:?}");
    }
}
