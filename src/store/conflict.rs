//! What a transaction has read, and whether it is still so.
//!
//! A transaction may commit if every key it read, and every key of the ranges it read, those included that
//! were not there, is now as it was in its snapshot. Two ways to tell, and neither misses a change: the index
//! knows the last operation on each key, and `recent` knows what the log gained lately. `recent` also has
//! what a batch did without effect, deletions of absent keys and of ranges without keys, and calls that a
//! change. A few keys are looked up under the append lock. Much is looked up before, without it, and under
//! the lock only what came meanwhile.
//!
//! Invariants:
//! 1. A change of a key that the snapshot sees leaves a newer version in the index, since the snapshot lives.
//! 2. A key that the snapshot does not see and that is absent from the index is as it was: absent.
//! 3. The last look is under the append lock that the commit is made under.
//!
//! Callers: `transaction`.

use std::collections::HashSet;
use std::ops::Bound;

use super::snapshot::{Snapshot, View};
use super::{Inner, Writer};
use crate::error::{Error, Result};
use crate::index::Found;
use crate::log::format::Kind;
use crate::planted::{Bug, planted};
use crate::sync::MutexGuard;
use crate::types::{Lsn, Position};

/// Keys that are looked up under the append lock: some 20 microseconds.
const KEYS_UNDER_LOCK: usize = 64;
/// Operations that are looked at under the append lock.
const GAINED_UNDER_LOCK: u64 = 1024;
/// After so many attempts to look without the lock the look is under it, however long it takes.
const ATTEMPTS: usize = 4;
/// Keys of a range that are looked at under one pin.
const RUN: usize = 256;

/// A range of keys.
pub(super) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What a transaction has read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    keys: HashSet<Vec<u8>>,
    /// Each grows with the scan that it belongs to.
    ranges: Vec<KeyRange>,
    /// When the first of the records that were read expires.
    first_expiry: Option<i64>,
}

impl Reads {
    /// A key was read, there or not.
    pub(super) fn add_key(&mut self, key: &[u8]) -> Result<()> {
        if !self.keys.contains(key) {
            self.keys.try_reserve(1).map_err(|_| Error::NoMemory("a transaction"))?;
            self.keys.insert(key.to_vec());
        }
        Ok(())
    }

    /// A record was read that expires at this time.
    pub(super) fn add_expiry(&mut self, expiry: Option<i64>) {
        if let Some(expiry) = expiry {
            self.first_expiry = Some(self.first_expiry.map_or(expiry, |first| first.min(expiry)));
        }
    }

    /// A scan begins; returns the number that its range has from now on.
    pub(super) fn add_range(&mut self) -> Result<usize> {
        self.ranges.try_reserve(1).map_err(|_| Error::NoMemory("a transaction"))?;
        // Nothing yet: no key lies between.
        self.ranges.push((Bound::Excluded(Vec::new()), Bound::Excluded(Vec::new())));
        Ok(self.ranges.len() - 1)
    }

    /// The range with this number.
    pub(super) fn range_mut(&mut self, number: usize) -> Option<&mut KeyRange> {
        self.ranges.get_mut(number)
    }

    /// Makes the ranges disjoint and sorts them.
    fn merge_ranges(&mut self) {
        self.ranges.retain(|(from, to)| !is_empty(from, to));
        self.ranges.sort_by(|a, b| compare_starts(&a.0, &b.0));
        let mut merged: Vec<KeyRange> = Vec::new();
        for (from, to) in self.ranges.drain(..) {
            match merged.last_mut() {
                Some(last) if !starts_behind(&from, &last.1) => {
                    if ends_behind(&to, &last.1) {
                        last.1 = to;
                    }
                }
                _ => merged.push((from, to)),
            }
        }
        self.ranges = merged;
    }

    /// Whether `key` was read. The ranges are merged.
    fn has(&self, key: &[u8]) -> bool {
        if self.keys.contains(key) {
            return true;
        }
        let behind = self.ranges.partition_point(|(from, _)| starts_at_or_before(from, key));
        let candidate = behind.checked_sub(1).and_then(|index| self.ranges.get(index));
        candidate.is_some_and(|(_, to)| ends_at_or_behind(to, key))
    }

    /// Whether a key from `from` on and before `to`, which may be empty for no end, was read.
    fn meets(&self, from: &[u8], to: &[u8]) -> bool {
        let inside = |key: &[u8]| key >= from && super::delete_range::is_before_end(key, to);
        if self.keys.iter().any(|key| inside(key)) {
            return true;
        }
        self.ranges.iter().any(|(start, end)| {
            let starts = match start {
                Bound::Included(start) | Bound::Excluded(start) => {
                    super::delete_range::is_before_end(start, to)
                }
                Bound::Unbounded => true,
            };
            starts && ends_at_or_behind(end, from)
        })
    }
}

fn is_empty(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}

fn compare_starts(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> std::cmp::Ordering {
    let rank = |bound: &Bound<Vec<u8>>| match bound {
        Bound::Unbounded => 0,
        Bound::Included(_) => 1,
        Bound::Excluded(_) => 2,
    };
    match (a, b) {
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => {
            x.cmp(y).then(rank(a).cmp(&rank(b)))
        }
        _ => rank(a).min(1).cmp(&rank(b).min(1)),
    }
}

/// Whether there are keys, or one at least, between the end `to` of a range and the start `from` of another.
fn starts_behind(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from > to
        }
        _ => false,
    }
}

fn ends_behind(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> bool {
    match (a, b) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, _) => true,
        (Bound::Included(x), Bound::Excluded(y)) => x >= y,
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => x > y,
    }
}

fn starts_at_or_before(from: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match from {
        Bound::Included(from) => from.as_slice() <= key,
        Bound::Excluded(from) => from.as_slice() < key,
        Bound::Unbounded => true,
    }
}

fn ends_at_or_behind(to: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match to {
        Bound::Included(to) => to.as_slice() >= key,
        Bound::Excluded(to) => to.as_slice() > key,
        Bound::Unbounded => true,
    }
}

impl Inner {
    /// Takes the append lock for a commit of a transaction that has read `reads` from `snapshot`. Error:
    /// `Conflict` where any of it has changed.
    pub(super) fn lock_unchanged(
        &self,
        snapshot: &Snapshot,
        reads: &mut Reads,
    ) -> Result<MutexGuard<'_, Writer>> {
        if planted(Bug::CheckKeysOnly) {
            reads.ranges.clear();
        }
        reads.merge_ranges();
        let view = snapshot.view();
        // The one commit that the index may have kept nothing of.
        if view.replaced()?.is_some_and(|replaced| reads.has(replaced.key)) {
            return Err(Error::Conflict);
        }
        if planted(Bug::CheckBeforeLock) {
            return self.check_index(view, reads).and_then(|()| self.lock_writer());
        }
        let mut checked = view.lsn;
        for attempt in 0.. {
            let mut writer = self.lock_writer()?;
            self.log.check_writable()?;
            if reads.first_expiry.is_some_and(|expiry| expiry <= self.os.now_millis()) {
                // It was read as there, and is not any more.
                return Err(Error::Conflict);
            }
            let last = writer.log.last_lsn();
            if last == checked {
                return Ok(writer);
            }
            let few = reads.ranges.is_empty() && reads.keys.len() <= KEYS_UNDER_LOCK;
            if few || attempt >= ATTEMPTS {
                self.check_index(view, reads)?;
                return Ok(writer);
            }
            let looked = match writer.recent.behind(checked) {
                Some(gained) if last - checked <= GAINED_UNDER_LOCK => {
                    self.check_gained(gained, reads)?;
                    true
                }
                _ => false,
            };
            if looked {
                return Ok(writer);
            }
            // Everything up to `last` is in the index, since the append lock was free to be taken. What comes
            // from now on is remembered for the next attempt.
            writer.recent.begin(last)?;
            drop(writer);
            self.check_index(view, reads)?;
            checked = last;
        }
        Err(Error::Internal("a transaction that was neither committed nor refused"))
    }

    /// Looks at each of the operations that the log gained.
    fn check_gained(&self, gained: impl Iterator<Item = Position>, reads: &Reads) -> Result<()> {
        for position in gained {
            let record = self.log.peek(position)?;
            let read = match record.header.kind {
                Kind::DeleteRange => reads.meets(record.key, record.value),
                _ => reads.has(record.key),
            };
            if read {
                return Err(Error::Conflict);
            }
        }
        Ok(())
    }

    /// Looks every key up that was read, and every key of the ranges.
    fn check_index(&self, view: &View, reads: &Reads) -> Result<()> {
        let keys: Vec<&[u8]> = reads.keys.iter().map(Vec::as_slice).collect();
        for keys in keys.chunks(RUN) {
            let pin = self.index.pin()?;
            let mut outcome = Ok(());
            pin.find_many(keys, &self.log, |place, found| {
                let key = keys.get(place).copied().unwrap_or_default();
                if outcome.is_ok() {
                    outcome = self.check_found(found, key, view.lsn);
                }
            });
            outcome?;
        }
        reads.ranges.iter().try_for_each(|(from, to)| self.check_range(from, to, view.lsn))
    }

    /// Whether the last operation on `key`, of which the index has `found`, is not behind `lsn`.
    fn check_found(&self, found: Found<'_>, key: &[u8], lsn: Lsn) -> Result<()> {
        let newest = match found {
            Found::None => return Ok(()),
            Found::One(position) => {
                let record = self.log.read(position)?;
                if record.key == key { record.header.lsn } else { 0 }
            }
            Found::Many(mut versions) => match versions.next() {
                Some(newest) if self.log.peek(newest.position)?.key == key => newest.lsn,
                _ => 0,
            },
        };
        if newest > lsn { Err(Error::Conflict) } else { Ok(()) }
    }

    fn check_range(&self, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>, lsn: Lsn) -> Result<()> {
        let mut start = from.as_ref().map(Vec::as_slice);
        let mut run = Vec::new();
        loop {
            run.clear();
            self.index.pin()?.newest_of_range(start, RUN, &mut run, &self.log)?;
            for newest in &run {
                let record = self.log.peek(newest.position)?;
                if !ends_at_or_behind(to, record.key) {
                    return Ok(());
                }
                if newest.lsn.unwrap_or(record.header.lsn) > lsn {
                    return Err(Error::Conflict);
                }
                start = Bound::Excluded(record.key);
            }
            if run.len() < RUN {
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn included(key: &str) -> Bound<Vec<u8>> {
        Bound::Included(key.as_bytes().to_vec())
    }

    fn excluded(key: &str) -> Bound<Vec<u8>> {
        Bound::Excluded(key.as_bytes().to_vec())
    }

    /// Every pair of bounds over three letters, merged with every other: what is inside stays inside.
    #[test]
    fn merged_ranges_hold_exactly_what_they_held() {
        let bounds: Vec<Bound<Vec<u8>>> = ["b", "d", "f"]
            .iter()
            .flat_map(|key| [included(key), excluded(key)])
            .chain([Bound::Unbounded])
            .collect();
        let pairs: Vec<KeyRange> =
            bounds.iter().flat_map(|from| bounds.iter().map(|to| (from.clone(), to.clone()))).collect();
        for one in &pairs {
            for other in &pairs {
                let inside = |(from, to): &KeyRange, key: &[u8]| {
                    starts_at_or_before(from, key) && ends_at_or_behind(to, key)
                };
                let mut reads = Reads { ranges: vec![one.clone(), other.clone()], ..Reads::default() };
                reads.merge_ranges();
                for key in ["a", "b", "c", "d", "e", "f", "g"] {
                    let key = key.as_bytes();
                    assert_eq!(reads.has(key), inside(one, key) || inside(other, key), "{one:?} {other:?}");
                    if reads.has(key) {
                        assert!(reads.meets(key, &[key, b"\0"].concat()) && reads.meets(key, b""));
                    }
                }
            }
        }
    }
}
