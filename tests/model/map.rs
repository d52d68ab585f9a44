//! The model: a plain ordered map that keeps every version of every key.

use std::collections::BTreeMap;
use std::ops::Bound;

use tinystoredb::{Lsn, ScanOptions, ValueType};

pub type Key = Vec<u8>;

/// What a key may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub bytes: Vec<u8>,
    pub value_type: ValueType,
    pub expiry: Option<i64>,
}

impl Entry {
    pub fn is_expired(&self, now: i64) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
}

/// What one operation left of a key.
#[derive(Clone, Debug)]
pub struct Version {
    pub lsn: Lsn,
    /// `None`: it was removed.
    pub entry: Option<Entry>,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Key, Entry),
    Delete(Key),
    /// An empty end is none.
    DeleteRange(Key, Key),
}

/// Whose eyes the map is seen with.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub lsn: Lsn,
    pub now: i64,
}

/// The map. Each operation has the next number; a commit is one or more of them.
#[derive(Clone, Debug, Default)]
pub struct Map {
    keys: BTreeMap<Key, Vec<Version>>,
    /// What every operation was, its effect or none.
    operations: Vec<(Lsn, Change)>,
    /// The last operation of each commit.
    commits: Vec<Lsn>,
    pub last: Lsn,
}

/// Whether `key` lies from `from` on and before `to`, which may be empty for no end.
pub fn in_range(key: &[u8], from: &[u8], to: &[u8]) -> bool {
    key >= from && (to.is_empty() || key < to)
}

/// Whether `key` lies within both bounds.
pub fn in_bounds(key: &[u8], (from, to): &(Bound<Key>, Bound<Key>)) -> bool {
    let behind = match from {
        Bound::Included(from) => key >= from.as_slice(),
        Bound::Excluded(from) => key > from.as_slice(),
        Bound::Unbounded => true,
    };
    behind
        && match to {
            Bound::Included(to) => key <= to.as_slice(),
            Bound::Excluded(to) => key < to.as_slice(),
            Bound::Unbounded => true,
        }
}

impl Map {
    /// The store has made these changes, the last of which has this number. The log has operations of its own
    /// between commits. False: there are not as many numbers as changes.
    pub fn commit(&mut self, changes: &[Change], last: Lsn) -> bool {
        let Some(before) = last.checked_sub(changes.len() as u64).filter(|before| *before >= self.last)
        else {
            return false;
        };
        self.last = before;
        for change in changes {
            self.last += 1;
            let lsn = self.last;
            self.operations.push((lsn, change.clone()));
            match change {
                Change::Put(key, entry) => {
                    let versions = self.keys.entry(key.clone()).or_default();
                    versions.push(Version { lsn, entry: Some(entry.clone()) });
                }
                Change::Delete(key) => {
                    if let Some(versions) = self.keys.get_mut(key) {
                        remove(versions, lsn);
                    }
                }
                Change::DeleteRange(from, to) => {
                    for (key, versions) in &mut self.keys {
                        if in_range(key, from, to) {
                            remove(versions, lsn);
                        }
                    }
                }
            }
        }
        self.commits.push(last);
        true
    }

    /// The ends of commits from `least` to `most`, newest first, `least` itself among them.
    pub fn ends(&self, least: Lsn, most: Lsn) -> Vec<Lsn> {
        let inside = |end: &Lsn| least < *end && *end <= most;
        self.commits.iter().rev().copied().filter(inside).chain([least]).collect()
    }

    /// Takes back what came after `lsn`. The log goes on behind `last`.
    pub fn cut(&mut self, lsn: Lsn, last: Lsn) {
        self.keys.retain(|_, versions| {
            versions.retain(|version| version.lsn <= lsn);
            !versions.is_empty()
        });
        self.operations.retain(|(at, _)| *at <= lsn);
        self.commits.retain(|end| *end <= lsn);
        self.last = last;
    }

    /// What the last operation up to `lsn` left of `key`, expired or not.
    pub fn raw(&self, key: &[u8], lsn: Lsn) -> Option<&Entry> {
        let versions = self.keys.get(key)?;
        versions.iter().rev().find(|version| version.lsn <= lsn)?.entry.as_ref()
    }

    /// What `view` sees of `key`.
    pub fn get(&self, key: &[u8], view: View) -> Option<&Entry> {
        self.raw(key, view.lsn).filter(|entry| !entry.is_expired(view.now))
    }

    /// The first key behind `start`, or at it where that is included, in the direction of the scan.
    pub fn next(&self, options: &ScanOptions, start: Bound<&[u8]>, view: View) -> Option<(&Key, &Entry)> {
        let seen = |(key, _)| self.seen(key, view);
        if options.backward {
            self.keys.range::<[u8], _>((Bound::Unbounded, start)).rev().find_map(seen)
        } else {
            self.keys.range::<[u8], _>((start, Bound::Unbounded)).find_map(seen)
        }
    }

    fn seen<'a>(&'a self, key: &'a Key, view: View) -> Option<(&'a Key, &'a Entry)> {
        Some((key, self.get(key, view)?))
    }

    /// Everything that `view` sees, in order.
    pub fn all(&self, view: View) -> impl Iterator<Item = (&Key, &Entry)> {
        self.keys.keys().filter_map(move |key| Some((key, self.get(key, view)?)))
    }

    /// Keys whose last operation is not a deletion, expired ones among them.
    pub fn records(&self) -> u64 {
        let there = |versions: &&Vec<Version>| versions.last().is_some_and(|last| last.entry.is_some());
        self.keys.values().filter(there).count() as u64
    }

    /// Older versions that one of `views` sees: records, bytes of their keys and values, and deletions.
    pub fn needed_by(&self, views: &[View]) -> (u64, u64, u64) {
        let (mut records, mut bytes, mut deletions) = (0, 0, 0);
        for (key, versions) in &self.keys {
            for pair in versions.windows(2) {
                let [older, newer] = pair else { continue };
                if views.iter().any(|view| older.lsn <= view.lsn && view.lsn < newer.lsn) {
                    match &older.entry {
                        Some(entry) => {
                            records += 1;
                            bytes += (key.len() + entry.bytes.len()) as u64;
                        }
                        None => deletions += 1,
                    }
                }
            }
        }
        (records, bytes, deletions)
    }

    /// The keys that operations after `lsn` were about.
    pub fn changed_since(&self, lsn: Lsn) -> impl Iterator<Item = &Key> {
        let changed = move |versions: &Vec<Version>| versions.last().is_some_and(|last| last.lsn > lsn);
        self.keys.iter().filter(move |(_, versions)| changed(versions)).map(|(key, _)| key)
    }

    /// The operations after `lsn`, with or without effect.
    pub fn operations_since(&self, lsn: Lsn) -> impl Iterator<Item = &Change> {
        self.operations.iter().rev().take_while(move |(at, _)| *at > lsn).map(|(_, change)| change)
    }
}

fn remove(versions: &mut Vec<Version>, lsn: Lsn) {
    if versions.last().is_some_and(|last| last.entry.is_some()) {
        versions.push(Version { lsn, entry: None });
    }
}
