//! Every order in which one writer's and one reader's steps can fall.
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib index::tests::loom`

use std::ops::Bound;
use std::sync::Arc;

use super::Records;
use crate::index::{Direction, Found, Index, Need, Version, Writer};
use crate::sync::thread;
use crate::types::{Lsn, Position};

/// Runs a writer beside a reader, in every order, from the same start.
fn explore(start: fn(&mut Writer, &Log), write: fn(&mut Writer, &Log), read: fn(&Index, &Log)) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 10_000;
    let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&orders);
    model.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = Arc::new(Log::new());
        let (index, mut writer) = Index::with_limit(1 << 20).unwrap();
        start(&mut writer, &log);
        let reader = {
            let (index, log) = (index.clone(), Arc::clone(&log));
            thread::spawn(move || read(&index, &log))
        };
        write(&mut writer, &log);
        reader.join().unwrap();
        // Nobody reads any more: what the writer sees is in order too.
        read(&index, &log);
    });
    println!("{}: {orders:?} orders", std::thread::current().name().unwrap_or_default());
}

const KEYS: [&[u8]; 10] = [b"a1", b"a2", b"a3", b"a4", b"a5", b"b", b"c1", b"a", b"c2", b"c3"];

/// Two records of each key.
struct Log(Records);

impl Log {
    fn new() -> Log {
        let mut records = Records::default();
        for key in KEYS.iter().chain(&KEYS) {
            records.append(key);
        }
        Log(records)
    }

    fn put(&self, writer: &mut Writer, key: usize) {
        writer.insert(KEYS[key], Position::from_units(key as u64), &self.0).unwrap();
    }

    fn put_again(&self, writer: &mut Writer, key: usize) {
        writer.insert(KEYS[key], Position::from_units((key + KEYS.len()) as u64), &self.0).unwrap();
    }

    fn remove(&self, writer: &mut Writer, key: usize) {
        writer.remove(KEYS[key], &self.0).unwrap().unwrap();
    }

    /// Whether the key is there; that its record is its own, where it is found.
    fn has(&self, index: &Index, key: usize) -> bool {
        let pin = index.pin().unwrap();
        match pin.find(KEYS[key]) {
            Found::One(position) => self.0.key(position) == KEYS[key],
            Found::Many(mut versions) => versions.all(|version| self.0.key(version.position) == KEYS[key]),
            Found::None => false,
        }
    }
}

#[test]
fn a_child_is_published_whole() {
    explore(
        |writer, log| [0, 1].into_iter().for_each(|key| log.put(writer, key)),
        |writer, log| log.put(writer, 2),
        |index, log| {
            assert!(log.has(index, 0));
            if log.has(index, 2) {
                assert!(log.has(index, 2), "what was there once stays");
            }
        },
    );
}

#[test]
fn growth_of_a_node_loses_no_key() {
    explore(
        |writer, log| [0, 1, 2, 3].into_iter().for_each(|key| log.put(writer, key)),
        |writer, log| log.put(writer, 4),
        |index, log| {
            assert!(log.has(index, 3));
        },
    );
}

/// The writer splits a prefix, which retires a node, then uses its memory again for others.
#[test]
fn a_node_is_not_reused_under_a_reader() {
    explore(
        |writer, log| [0, 1].into_iter().for_each(|key| log.put(writer, key)),
        |writer, log| {
            log.put(writer, 5);
            writer.reclaim();
            log.put_again(writer, 2);
            writer.reclaim();
        },
        |index, log| assert!(log.has(index, 0)),
    );
}

/// The last but one key below a node goes, which removes the node.
#[test]
fn removal_of_a_neighbour_loses_no_key() {
    explore(
        |writer, log| [0, 1, 5].into_iter().for_each(|key| log.put(writer, key)),
        |writer, log| {
            log.remove(writer, 1);
            writer.reclaim();
            log.put(writer, 7);
        },
        |index, log| assert!(log.has(index, 0)),
    );
}

#[test]
fn a_place_emptied_and_filled_again_is_never_another_keys() {
    explore(
        |writer, log| [0, 1, 2].into_iter().for_each(|key| log.put(writer, key)),
        |writer, log| {
            log.remove(writer, 1);
            log.put_again(writer, 1);
        },
        |index, log| {
            log.has(index, 1);
            assert!(log.has(index, 2));
        },
    );
}

#[test]
fn a_range_is_in_order_and_holds_every_stable_key() {
    explore(
        |writer, log| {
            // The node's memory was another node's, whose children must not come to light again.
            [5, 0, 1, 2, 3, 4].into_iter().for_each(|key| log.put(writer, key));
            writer.reclaim();
            [6, 9].into_iter().for_each(|key| log.put(writer, key));
        },
        |writer, log| log.put(writer, 8),
        |index, log| {
            let pin = index.pin().unwrap();
            let mut found = Vec::new();
            pin.range(Bound::Included(b"c"), Direction::Forward, || Lsn::MAX, 9, &mut found, &log.0).unwrap();
            let keys: Vec<&[u8]> = found.iter().map(|position| log.0.key(*position)).collect();
            assert!(keys == [KEYS[6], KEYS[9]] || keys == [KEYS[6], KEYS[8], KEYS[9]], "{keys:?}");
        },
    );
}

/// The writer makes a leaf a list of versions, then prunes it to the newest.
#[test]
fn a_snapshot_finds_its_version_until_it_is_pruned() {
    explore(
        |writer, log| log.put(writer, 5),
        |writer, log| {
            let version = Version { lsn: 100, position: Position::from_units(15), deleted: false };
            writer.push_version(KEYS[5], version, &log.0, |_, _| Need::Readers, |_| ()).unwrap();
            writer.prune_versions(KEYS[5], &log.0, |_, _| Need::Nobody, |_| ()).unwrap();
            writer.reclaim();
            log.put(writer, 0);
        },
        |index, log| {
            let pin = index.pin().unwrap();
            match pin.find(KEYS[5]) {
                Found::One(position) => assert_eq!(log.0.key(position), KEYS[5]),
                Found::Many(versions) => {
                    assert_eq!(versions.at(100).unwrap().position, Position::from_units(15));
                    assert_eq!(versions.at(99).unwrap().position, Position::from_units(5));
                }
                Found::None => panic!("the key is lost"),
            }
        },
    );
}

/// Two readers and a writer at the table of readers alone: nothing is out of reach while one is in.
#[test]
fn an_epoch_is_past_only_when_its_readers_are_gone() {
    use crate::index::pins::Pins;
    use crate::sync::{AtomicU64, Ordering};
    let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&orders);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let shared = Arc::new((Pins::new().unwrap(), AtomicU64::new(1), AtomicU64::new(0)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (pins, root, freed) = &*shared;
                    let ticket = pins.enter().unwrap();
                    if root.load(Ordering::Acquire) == 1 {
                        assert_eq!(freed.load(Ordering::Relaxed), 0, "used after it was freed");
                    }
                    pins.leave(&ticket);
                })
            })
            .collect();
        let (pins, root, freed) = &*shared;
        root.store(2, Ordering::Release);
        let epoch = pins.epoch();
        if pins.advance() > epoch {
            freed.store(1, Ordering::Relaxed);
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    println!("{}: {orders:?} orders", std::thread::current().name().unwrap_or_default());
}

/// A reader that comes back, and a writer: what it saw the first time is in its place as long as it is told
/// so.
#[test]
fn what_a_walk_stands_on_is_not_freed_while_it_is_unbroken() {
    use crate::index::pins::Pins;
    use crate::sync::{AtomicU64, Ordering};
    loom::model(|| {
        let shared = Arc::new((Pins::new().unwrap(), AtomicU64::new(1), AtomicU64::new(0)));
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (pins, root, freed) = &*shared;
                let ticket = pins.enter().unwrap();
                let found = root.load(Ordering::Acquire);
                let epoch = ticket.epoch;
                pins.leave(&ticket);
                let ticket = pins.enter().unwrap();
                if found == 1 && pins.is_unbroken(&ticket, epoch) {
                    assert_eq!(freed.load(Ordering::Relaxed), 0, "used after it was freed");
                }
                pins.leave(&ticket);
            })
        };
        let (pins, root, freed) = &*shared;
        root.store(2, Ordering::Release);
        let epoch = pins.epoch();
        if pins.advance() > epoch {
            freed.store(1, Ordering::Relaxed);
        }
        reader.join().unwrap();
    });
}
