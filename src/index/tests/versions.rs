//! Several versions of a key, against a full history.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Random, Records};
use crate::index::{Direction, Found, Index, Need, Version, Writer};
use crate::types::{Lsn, Position};

/// Who needs `older`. An operation is visible at once here.
fn need(snapshots: &BTreeSet<Lsn>, older: &Version, newer: Lsn) -> Need {
    if snapshots.range(older.lsn..newer).next().is_some() { Need::Snapshots } else { Need::Nobody }
}

/// An index with snapshots, and everything that was ever written, by key.
struct History {
    index: Index,
    writer: Writer,
    records: Records,
    all: BTreeMap<Vec<u8>, Vec<Version>>,
    snapshots: BTreeSet<Lsn>,
    last: Lsn,
    /// Versions that the index holds, as told by what it took and what it gave back.
    held: i64,
}

impl History {
    fn new() -> History {
        let (index, writer) = Index::new().unwrap();
        let (all, snapshots) = (BTreeMap::new(), BTreeSet::new());
        History { index, writer, records: Records::default(), all, snapshots, last: 0, held: 0 }
    }

    fn write(&mut self, key: &[u8], deleted: bool) {
        let position = self.records.append(key);
        let version = Version { lsn: self.last + 1, position, deleted };
        let before = self.newest_in_index(key);
        let (snapshots, held) = (&self.snapshots, &mut self.held);
        // A batch is visible after it is applied: what readers see is the state before.
        let needed = |older: &Version, newer: Lsn| need(snapshots, older, newer);
        let mut released = 0;
        self.writer.push_version(key, version, &self.records, needed, |_| released += 1).unwrap();
        self.last += 1;
        self.all.entry(key.to_vec()).or_default().push(version);
        *held -= released;
        if !(deleted && before.is_none()) && self.newest_in_index(key) == Some(version.position) {
            self.held += 1;
        }
    }

    fn newest_in_index(&self, key: &[u8]) -> Option<Position> {
        match self.index.pin().unwrap().find(key) {
            Found::None => None,
            Found::One(position) => (self.records.key(position) == key).then_some(position),
            Found::Many(mut versions) => {
                let position = versions.next().unwrap().position;
                (self.records.key(position) == key).then_some(position)
            }
        }
    }

    fn prune(&mut self, key: &[u8]) {
        let snapshots = &self.snapshots;
        let needed = |older: &Version, newer: Lsn| need(snapshots, older, newer);
        let held = &mut self.held;
        self.writer.prune_versions(key, &self.records, needed, |_| *held -= 1).unwrap();
    }

    fn expected(&self, key: &[u8], at: Lsn) -> Option<Position> {
        let version = self.all.get(key)?.iter().rev().find(|version| version.lsn <= at)?;
        (!version.deleted).then_some(version.position)
    }

    fn at(&self, key: &[u8], at: Lsn) -> Option<Position> {
        let pin = self.index.pin().unwrap();
        let seen = |found: Found<'_>| match found {
            Found::None => None,
            Found::One(position) => {
                (self.records.key(position) == key && position.to_units() < at).then_some(Some(position))
            }
            Found::Many(versions) => {
                let found = versions.at(at)?;
                assert_eq!(self.records.key(found.position), key);
                Some((!found.deleted).then_some(found.position))
            }
        };
        seen(pin.find(key)).or_else(|| seen(pin.find_older(key)))?
    }

    /// All versions of a key in the index, newest first.
    fn versions(&self, key: &[u8]) -> Vec<Version> {
        let pin = self.index.pin().unwrap();
        let all = |found: Found<'_>| match found {
            Found::None => Vec::new(),
            Found::One(position) if self.records.key(position) == key => {
                vec![Version { lsn: position.to_units() + 1, position, deleted: false }]
            }
            Found::One(_) => Vec::new(),
            Found::Many(versions) => versions.collect(),
        };
        [all(pin.find(key)), all(pin.find_older(key))].concat()
    }

    fn check(&self) {
        let views: Vec<Lsn> = self.snapshots.iter().copied().chain([self.last]).collect();
        for at in views {
            for key in self.all.keys() {
                assert_eq!(self.at(key, at), self.expected(key, at), "{key:?} at {at}");
            }
            let expected: Vec<Position> = self.all.keys().filter_map(|key| self.expected(key, at)).collect();
            let pin = self.index.pin().unwrap();
            let mut found = Vec::new();
            pin.range(Bound::Unbounded, Direction::Forward, || at, usize::MAX, &mut found, &self.records)
                .unwrap();
            let seen = found.iter().filter_map(|position| self.at(self.records.key(*position), at));
            assert!(seen.eq(expected.iter().copied()), "at {at}");
        }
        let mut held = 0;
        for key in self.all.keys() {
            let versions = self.versions(key);
            assert!(versions.is_sorted_by(|newer, older| newer.lsn > older.lsn));
            assert!(versions.last().is_none_or(|oldest| !oldest.deleted));
            held += versions.len() as i64;
        }
        assert_eq!(held, self.held, "every version that left the index is told of, once");
    }
}

#[test]
fn every_snapshot_sees_its_own_moment() {
    for seed in 1..=6 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut history = History::new();
        for step in 0..1500 {
            let key = format!("key{}", random.below(12)).into_bytes();
            history.write(&key, random.below(3) == 0);
            match random.below(12) {
                0 => {
                    history.snapshots.insert(history.last);
                }
                1 if !history.snapshots.is_empty() => {
                    let chosen = random.below(history.snapshots.len() as u64) as usize;
                    let lsn = *history.snapshots.iter().nth(chosen).unwrap();
                    history.snapshots.remove(&lsn);
                }
                2 => history.prune(&key),
                _ => {}
            }
            if step % 25 == 0 {
                history.check();
            }
        }
        history.snapshots.clear();
        for key in history.all.keys().cloned().collect::<Vec<_>>() {
            history.prune(&key);
        }
        history.check();
        let keys: Vec<Vec<u8>> = history.all.keys().cloned().collect();
        for key in keys {
            history.write(&key, true);
        }
        assert_eq!(history.held, 0);
        history.writer.reclaim();
        assert_eq!(history.index.memory().live_bytes, 0);
    }
}

/// A snapshot between the deletion and the put may be one that the writer has not met: it saw the note of the
/// put, which replaces nothing.
#[test]
fn a_deletion_that_a_put_replaces_stays_before_what_it_deleted() {
    let mut history = History::new();
    history.write(b"key", false);
    history.snapshots.insert(history.last);
    history.write(b"key", true);
    let (unmet, version) = (history.last, |position| Version { lsn: 3, position, deleted: false });
    let version = version(history.records.append(b"key"));
    let snapshots = &history.snapshots;
    let needed = |older: &Version, newer: Lsn| need(snapshots, older, newer);
    history.writer.put_newest(b"key", version, &history.records, |_| true, needed).unwrap();
    assert_eq!(history.at(b"key", unmet), None, "what was deleted is back");
    assert_eq!(history.at(b"key", 1), history.expected(b"key", 1));
    history.snapshots.clear();
    let needed = |_: &Version, _| Need::Nobody;
    history.writer.prune_versions(b"key", &history.records, needed, |_| {}).unwrap();
    assert_eq!(history.versions(b"key"), [version]);
}

/// More versions than one block holds.
#[test]
fn a_key_with_a_thousand_versions_keeps_them_all() {
    let mut history = History::new();
    for _ in 0..1000 {
        history.write(b"key", false);
        history.snapshots.insert(history.last);
    }
    history.check();
    let keep: Vec<Lsn> = history.snapshots.iter().copied().filter(|lsn| lsn % 7 == 0).collect();
    history.snapshots = keep.into_iter().collect();
    history.prune(b"key");
    history.check();
    history.snapshots.clear();
    history.prune(b"key");
    assert_eq!(history.held, 1);
    history.writer.reclaim();
    assert_eq!(history.index.memory().live_bytes, 0);
}

#[test]
fn a_record_that_moved_is_found_at_its_new_place_and_only_then() {
    let mut history = History::new();
    history.write(b"one", false);
    let one = history.newest_in_index(b"one").unwrap();
    let moved = history.records.append(b"one");
    assert!(!history.writer.replace_position(b"one", moved, one));
    assert!(!history.writer.replace_position(b"other", one, moved));
    assert!(history.writer.replace_position(b"one", one, moved));
    assert!(!history.writer.replace_position(b"one", one, moved));
    assert_eq!(history.newest_in_index(b"one"), Some(moved));

    history.last = 2;
    for _ in 0..3 {
        history.write(b"many", false);
        history.snapshots.insert(history.last);
    }
    history.write(b"many", true);
    let old = history.all[&b"many"[..]][1];
    let moved = history.records.append(b"many");
    assert!(history.writer.replace_position(b"many", old.position, moved));
    assert!(!history.writer.replace_position(b"many", old.position, moved));
    assert_eq!(history.at(b"many", old.lsn), Some(moved));
    assert_eq!(history.at(b"many", old.lsn - 1), history.expected(b"many", old.lsn - 1));
    let pin = history.index.pin().unwrap();
    drop(pin);
    assert_eq!(history.versions(b"many").iter().filter(|version| version.deleted).count(), 1);
}
