//! Puts, batches, deletes, snapshots, closing and crashing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::{Batch, Durability, WriteOptions};

/// Overwrites in place, and readers that must never go back or find nothing.
#[test]
fn a_key_that_is_overwritten_has_a_value_all_the_time() {
    explore(|| {
        let store = open(&options());
        for key in [b"a", b"b"] {
            store.put(key, &value(key, 0)).unwrap();
        }
        let (writer, reader, scanner) = (store.clone(), store.clone(), store.clone());
        together(vec![
            Box::new(move || {
                for round in 1..4 {
                    writer.put(b"a", &value(b"a", round)).unwrap();
                    writer.put(b"b", &value(b"b", round)).unwrap();
                }
            }),
            Box::new(move || {
                let mut before = (0, 0);
                for _ in 0..3 {
                    // `b` first: whoever sees it sees what was put before it.
                    let b = get(&reader, b"b").expect("a key is lost");
                    let a = get(&reader, b"a").expect("a key is lost");
                    assert!(a >= b && a >= before.0 && b >= before.1, "{before:?}, then {a} {b}");
                    before = (a, b);
                }
            }),
            Box::new(move || {
                for backward in [false, true] {
                    let all = scan_at(&scanner.snapshot().unwrap(), backward);
                    assert_eq!(all.len(), 2, "{all:?}");
                    assert!(all[0].1 == all[1].1 || all[0].1 == all[1].1 + 1, "{all:?}");
                }
            }),
        ]);
    });
}

/// What a snapshot answers, twice, by gets and by scans, while its keys are put in place.
#[test]
fn a_snapshot_never_changes_beside_puts() {
    explore(|| {
        let store = open(&options());
        store.put(b"a", &value(b"a", 0)).unwrap();
        let (writer, reader) = (store.clone(), store.clone());
        let read = move |reader: &Store| {
            let snapshot = reader.snapshot().unwrap();
            let first = get_at(&snapshot, b"a").expect("the snapshot lost its version");
            let all = scan_at(&snapshot, false);
            assert_eq!(all[0], (b"a".to_vec(), first));
            assert_eq!(get_at(&snapshot, b"a"), Some(first));
            assert_eq!(get_at(&snapshot, b"b").is_some(), all.len() == 2);
        };
        together(vec![
            Box::new(move || {
                for round in 1..4 {
                    writer.put(b"a", &value(b"a", round)).unwrap();
                }
                writer.put(b"b", &value(b"b", 1)).unwrap();
            }),
            Box::new(move || (0..2).for_each(|_| read(&reader))),
            Box::new(move || (0..2).for_each(|_| read(&store))),
        ]);
    });
}

/// A new snapshot while a deleted key is put again, of which an old snapshot still has a version.
#[test]
fn what_an_old_snapshot_keeps_is_not_seen_by_a_new_one() {
    explore(|| {
        let store = open(&options());
        store.put(b"a", &value(b"a", 0)).unwrap();
        let old = store.snapshot().unwrap();
        store.delete(b"a").unwrap();
        let (writer, reader) = (store.clone(), store);
        together(vec![
            Box::new(move || writer.put(b"a", &value(b"a", 1)).unwrap()),
            Box::new(move || {
                let snapshot = reader.snapshot().unwrap();
                let first = get_at(&snapshot, b"a");
                assert_ne!(first, Some(0), "what was deleted is back");
                assert_eq!(scan_at(&snapshot, false).len(), usize::from(first.is_some()));
                assert_eq!(get_at(&snapshot, b"a"), first);
            }),
        ]);
        assert_eq!(get_at(&old, b"a"), Some(0));
    });
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    explore(|| {
        let store = open(&options());
        let (writer, reader, other) = (store.clone(), store.clone(), store.clone());
        together(vec![
            Box::new(move || {
                for round in 1..3 {
                    let mut batch = Batch::new();
                    batch.put(b"x", &value(b"x", round)).unwrap();
                    batch.put(b"y", &value(b"y", round)).unwrap();
                    writer.write(&batch, Durability::Default).unwrap();
                }
                let mut batch = Batch::new();
                batch.delete(b"x").unwrap();
                batch.delete(b"y").unwrap();
                writer.write(&batch, Durability::Default).unwrap();
            }),
            Box::new(move || {
                for _ in 0..2 {
                    let snapshot = reader.snapshot().unwrap();
                    let x = get_at(&snapshot, b"x");
                    assert_eq!(x, get_at(&snapshot, b"y"), "half of a batch");
                    assert_eq!(x, get_at(&snapshot, b"x"), "the snapshot changed");
                    assert_eq!(scan_at(&snapshot, true).len(), if x.is_some() { 2 } else { 0 });
                }
            }),
            Box::new(move || {
                // What is there now is there until the batch that deletes both.
                let x = get(&other, b"x");
                let y = get(&other, b"y");
                assert!(y >= x || y.is_none(), "{x:?}, then {y:?}");
            }),
        ]);
        assert_eq!(store.stats().unwrap().records, 0);
    });
}

/// Two writers that share syncs, and a reader that must see nothing that a power cut could take back.
#[test]
fn what_is_visible_is_durable_where_commits_wait() {
    explore(|| {
        let store = open(&always());
        let writers = [b"a", b"b"].map(|key| {
            let store = store.clone();
            Box::new(move || {
                for round in 1..3 {
                    store.put(key, &value(key, round)).unwrap();
                    assert_eq!(get(&store, key), Some(round), "an acknowledged put is not seen");
                }
            }) as Box<dyn FnOnce() + Send>
        });
        let reader = store.clone();
        let mut threads = Vec::from(writers);
        threads.push(Box::new(move || {
            for _ in 0..2 {
                let snapshot = reader.snapshot().unwrap();
                let durable = reader.inner.log.durable_lsn();
                assert!(snapshot.lsn() <= durable, "{} is visible, {durable} durable", snapshot.lsn());
                assert_eq!(get_at(&snapshot, b"a"), get_at(&snapshot, b"a"));
            }
        }));
        together(threads);
        assert_eq!((get(&store, b"a"), get(&store, b"b")), (Some(2), Some(2)));
    });
}

/// A put that does not wait, behind ones that do: it is acknowledged when its thread can read it.
#[test]
fn a_put_that_does_not_wait_is_seen_when_it_is_acknowledged() {
    explore(|| {
        let store = open(&always());
        let (waiting, hasty) = (store.clone(), store.clone());
        together(vec![
            Box::new(move || {
                (1..3).for_each(|round| waiting.put(b"a", &value(b"a", round)).unwrap());
            }),
            Box::new(move || {
                for round in 1..3 {
                    let options = WriteOptions { durability: Durability::NoWait, ..WriteOptions::default() };
                    hasty.put_with(b"b", &value(b"b", round), options).unwrap();
                    assert_eq!(get(&hasty, b"b"), Some(round));
                }
            }),
        ]);
    });
}

fn churn(options: &Options) {
    let store = open(options);
    store.put(b"a", &value(b"a", 0)).unwrap();
    let (writer, reader, other) = (store.clone(), store.clone(), store.clone());
    let read = |store: &Store| {
        for _ in 0..2 {
            let snapshot = store.snapshot().unwrap();
            let first = get_at(&snapshot, b"a");
            assert_eq!(first, get_at(&snapshot.clone(), b"a"));
            assert!(first.is_some());
        }
    };
    together(vec![
        Box::new(move || {
            for round in 1..4 {
                writer.put(b"a", &value(b"a", round)).unwrap();
            }
            writer.delete(b"b").unwrap();
        }),
        Box::new(move || read(&reader)),
        Box::new(move || read(&other)),
    ]);
    // One more commit finds what is left, if there is no thread that does.
    store.put(b"c", &value(b"c", 0)).unwrap();
    store.put(b"c", &value(b"c", 1)).unwrap();
    if !options.maintenance {
        let stats = store.stats().unwrap();
        assert_eq!((stats.snapshots, stats.snapshot_versions), (0, 0), "kept for nobody");
    }
    let pin = store.inner.index.pin().unwrap();
    if !options.maintenance {
        assert!(!matches!(pin.find(b"a"), crate::index::Found::Many(_)), "an older version is left");
    }
    drop(pin);
    store.close().unwrap();
}

#[test]
fn versions_go_when_the_snapshots_that_need_them_end() {
    explore(|| churn(&options()));
}

#[test]
fn versions_go_with_the_background_thread_too() {
    explore(|| churn(&Options { maintenance: true, ..options() }));
}

#[test]
fn a_deleted_range_is_gone_at_once() {
    explore(|| {
        let store = open(&options());
        let keys: [&[u8]; 3] = [b"k1", b"k2", b"k3"];
        let mut batch = Batch::new();
        keys.iter().for_each(|key| batch.put(key, &value(key, 1)).unwrap());
        store.write(&batch, Durability::Default).unwrap();
        let (writer, reader, other) = (store.clone(), store.clone(), store.clone());
        together(vec![
            Box::new(move || {
                assert_eq!(writer.delete_range(b"k", b"l").unwrap(), 3);
                writer.put(b"k2", &value(b"k2", 2)).unwrap();
            }),
            Box::new(move || {
                let snapshot = reader.snapshot().unwrap();
                let all = scan_at(&snapshot, false);
                let whole = all.len() == 3 && all.iter().all(|(_, count)| *count == 1);
                let gone = all.is_empty() || all == [(b"k2".to_vec(), 2)];
                assert!(whole || gone, "{all:?}");
                assert_eq!(scan_at(&snapshot, true), all);
                assert_eq!(get_at(&snapshot, b"k1").is_some(), whole);
            }),
            Box::new(move || {
                let first = get(&other, b"k1");
                assert!(get(&other, b"k3").is_none() || first.is_some(), "half of a range");
            }),
        ]);
        assert_eq!(store.stats().unwrap().records, 1);
    });
}

/// Closing while others write, read, and hold snapshots; what was acknowledged is there afterwards.
#[test]
fn a_store_may_be_closed_whatever_others_do() {
    explore(|| {
        let os = SimOs::new(1);
        let store = open_on(&os, &Options { maintenance: true, ..options() });
        store.put(b"a", &value(b"a", 0)).unwrap();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let (writer, reader, known) = (store.clone(), store.clone(), Arc::clone(&acknowledged));
        together(vec![
            Box::new(move || {
                for round in 1..4 {
                    if unless_closed(writer.put(b"a", &value(b"a", round))).is_none() {
                        return;
                    }
                    known.store(round, Ordering::Relaxed);
                }
            }),
            Box::new(move || {
                let Some(snapshot) = unless_closed(reader.snapshot()) else { return };
                let kept = unless_closed(snapshot.get(b"a")).map(|value| value.unwrap());
                let Some(scan) = unless_closed(snapshot.scan(&Default::default())) else { return };
                drop(snapshot);
                let mut scan = scan;
                if let Some(Some(record)) = unless_closed(scan.next()) {
                    assert_eq!(record.key, b"a");
                }
                drop(scan);
                // Pinned: closing does not take it away.
                kept.iter().for_each(|kept| assert!(count(b"a", kept) < 4));
            }),
            Box::new(move || {
                store.close().unwrap();
                assert!(matches!(store.put(b"a", b""), Err(Error::Closed)));
            }),
        ]);
        let store = open_on(&os, &options());
        assert!(get(&store, b"a").unwrap() >= acknowledged.load(Ordering::Relaxed), "a put is lost");
    });
}

/// The last handle goes in some thread, of whichever kind it is; the store can be opened again at once.
#[test]
fn the_last_handle_closes_the_store_in_whichever_thread_it_goes() {
    explore(|| {
        let os = SimOs::new(1);
        let store = open_on(&os, &Options { maintenance: true, ..options() });
        store.put(b"a", &value(b"a", 0)).unwrap();
        let (snapshot, transaction) = (store.snapshot().unwrap(), store.begin().unwrap());
        together(vec![
            Box::new(move || {
                store.put(b"a", &value(b"a", 1)).unwrap();
                drop(store);
            }),
            Box::new(move || assert_eq!(get_at(&snapshot, b"a"), Some(0))),
            Box::new(move || {
                transaction.put(b"b", &value(b"b", 1)).unwrap();
                transaction.commit(Durability::Default).unwrap();
            }),
        ]);
        let store = open_on(&os, &options());
        assert_eq!((get(&store, b"a"), get(&store, b"b")), (Some(1), Some(1)));
    });
}

/// All processes die at some moment while threads write; what was acknowledged by then is recovered.
#[test]
fn a_kill_at_any_moment_leaves_what_was_acknowledged() {
    explore(|| {
        let os = SimOs::new(1);
        let store = open_on(&os, &always());
        let known: Arc<[AtomicU64; 2]> = Arc::default();
        let writers = [(0, b"a"), (1, b"b")].map(|(number, key)| {
            let (store, known) = (store.clone(), Arc::clone(&known));
            Box::new(move || {
                for round in 1..3 {
                    let mut batch = Batch::new();
                    batch.put(key, &value(key, round)).unwrap();
                    batch.put(&[key, &b"2"[..]].concat(), &value(&[key, &b"2"[..]].concat(), round)).unwrap();
                    store.write(&batch, Durability::Default).unwrap();
                    known[number].store(round, Ordering::Relaxed);
                }
            }) as Box<dyn FnOnce() + Send>
        });
        let mut threads = Vec::from(writers);
        let (disk, acknowledged) = (Arc::clone(&os), Arc::clone(&known));
        threads.push(Box::new(move || {
            thread::yield_now();
            let least = [0, 1].map(|number| acknowledged[number].load(Ordering::Relaxed));
            let image = disk.image().unwrap();
            let store = open_on(&SimOs::from_image(&image), &options());
            for (key, least) in [b"a", b"b"].into_iter().zip(least) {
                let found = get(&store, key).unwrap_or(0);
                assert!((least..3).contains(&found), "{found} where {least} was acknowledged");
                assert_eq!(get(&store, &[key, &b"2"[..]].concat()).unwrap_or(0), found, "half of a batch");
            }
        }));
        together(threads);
    });
}
