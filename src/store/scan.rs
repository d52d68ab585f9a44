//! Ordered iteration over a snapshot, either way, within bounds.
//!
//! A scan asks the index for a run of positions at a time, each under one pin that is let go before the
//! call returns: a scan that somebody forgets holds back no memory but its snapshot's. The records of a run
//! are prefetched while it is collected; without that, a scan over a log in random order waits for memory at
//! each one.
//!
//! Invariants:
//! 1. A scan shows each key that its snapshot sees within the bounds once, in order, and no other.
//! 2. After an error the scan stands where it stood before.
//!
//! Callers: `ffi` and Rust programs; `transaction` puts its own writes between.

use std::cmp::Ordering;
use std::ops::Bound;

use super::Store;
use super::snapshot::Snapshot;
use super::write::check_sizes;
use crate::error::{Error, Result};
use crate::index::{Cursor, Direction, LOOK_AHEAD};
use crate::log::format::Record as LogRecord;
use crate::types::{Position, ValueType};

/// Positions asked for at first: a short scan does not pay for a long one.
const FIRST_RUN: usize = 32;
/// Positions asked for from then on: as many as so far, but no more than this.
const RUN_MAX: usize = 256;
/// Positions that are left when more are asked for: their records arrive meanwhile.
const LEFT: usize = 8;

/// One record of a scan, borrowed until the next call on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value; empty where the scan shows keys only.
    pub value: &'a [u8],
    /// The type the value was written with.
    pub value_type: ValueType,
}

/// Which records a scan shows, and in which order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanOptions {
    /// The bound of the smallest key. Default: unbounded.
    pub from: Bound<Vec<u8>>,
    /// The bound of the largest key. Default: unbounded.
    pub to: Bound<Vec<u8>>,
    /// From the largest key to the smallest. Default: false.
    pub backward: bool,
    /// Without values. Default: false.
    pub keys_only: bool,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions { from: Bound::Unbounded, to: Bound::Unbounded, backward: false, keys_only: false }
    }
}

impl ScanOptions {
    /// The keys that begin with `prefix`; all of them where it is empty.
    pub fn prefix(prefix: &[u8]) -> ScanOptions {
        let from = Bound::Included(prefix.to_vec());
        // The first key behind all that begin with the prefix: its last byte that can be raised, raised.
        let end = prefix.iter().rposition(|byte| *byte != u8::MAX).map(|last| {
            let mut end = prefix.get(..=last).unwrap_or_default().to_vec();
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            end
        });
        ScanOptions { from, to: end.map_or(Bound::Unbounded, Bound::Excluded), ..ScanOptions::default() }
    }

    /// The keys from `from` on and before `to`.
    pub fn range(from: &[u8], to: &[u8]) -> ScanOptions {
        let (from, to) = (Bound::Included(from.to_vec()), Bound::Excluded(to.to_vec()));
        ScanOptions { from, to, ..ScanOptions::default() }
    }

    /// The same, from the largest key to the smallest.
    pub fn backward(self) -> ScanOptions {
        ScanOptions { backward: true, ..self }
    }

    /// The same, without values.
    pub fn keys_only(self) -> ScanOptions {
        ScanOptions { keys_only: true, ..self }
    }

    pub(super) fn check(&self) -> Result<()> {
        for bound in [&self.from, &self.to] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                check_sizes(key, &[])?;
            }
        }
        Ok(())
    }

    /// The bound that the scan begins at.
    pub(super) fn start(&self) -> Bound<&[u8]> {
        let start = if self.backward { &self.to } else { &self.from };
        start.as_ref().map(Vec::as_slice)
    }

    /// Whether `key` lies beyond the bound that the scan ends at.
    #[inline]
    pub(super) fn is_beyond(&self, key: &[u8]) -> bool {
        if self.backward { is_below(&self.from, key) } else { is_above(&self.to, key) }
    }

    /// Whether `key` lies before the bound that the scan begins at.
    pub(super) fn is_before(&self, key: &[u8]) -> bool {
        if self.backward { is_above(&self.to, key) } else { is_below(&self.from, key) }
    }

    /// How `a` and `b` follow each other in the scan.
    #[inline]
    pub(super) fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.backward { b.cmp(a) } else { a.cmp(b) }
    }
}

fn is_below(from: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match from {
        Bound::Included(from) => key < from.as_slice(),
        Bound::Excluded(from) => key <= from.as_slice(),
        Bound::Unbounded => false,
    }
}

fn is_above(to: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match to {
        Bound::Included(to) => key > to.as_slice(),
        Bound::Excluded(to) => key >= to.as_slice(),
        Bound::Unbounded => false,
    }
}

/// A walk over the records of a snapshot. It may be moved between threads.
#[derive(Debug)]
pub struct Scan {
    snapshot: Snapshot,
    options: ScanOptions,
    /// Where the first run begins.
    start: Bound<Vec<u8>>,
    run: Run,
    /// Whether the record that the snapshot itself keeps is still to come.
    kept: bool,
    at: At,
}

/// What comes next, as the index gives it.
#[derive(Debug)]
struct Run {
    cursor: Cursor,
    positions: Vec<Position>,
    /// The one of `positions` that comes next.
    next: usize,
    /// Positions that were asked for in all.
    asked: usize,
    /// Whether nothing comes after `positions`.
    ended: bool,
}

impl Run {
    fn new(backward: bool) -> Run {
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        Run { cursor: Cursor::new(direction), positions: Vec::new(), next: 0, asked: 0, ended: false }
    }

    /// To begin anew.
    fn clear(&mut self) {
        self.cursor.reset();
        self.positions.clear();
        self.next = 0;
        self.asked = 0;
        self.ended = false;
    }

    /// Nothing comes after the record before the next one.
    fn end(&mut self) {
        self.ended = true;
        self.positions.truncate(self.next);
    }

    /// The position of the next record; that of the record a look-ahead behind is fetched.
    #[inline(always)]
    fn peek(&mut self, snapshot: &Snapshot, start: &Bound<Vec<u8>>) -> Result<Option<Position>> {
        if self.next + LEFT >= self.positions.len() && !self.ended {
            self.fill(snapshot, start)?;
        }
        if let Some(&ahead) = self.positions.get(self.next + LOOK_AHEAD) {
            snapshot.store().log.prefetch(ahead);
        }
        Ok(self.positions.get(self.next).copied())
    }

    /// Gets more positions.
    #[cold]
    #[inline(never)]
    fn fill(&mut self, snapshot: &Snapshot, start: &Bound<Vec<u8>>) -> Result<()> {
        let store = snapshot.store();
        // The last position is kept: the next run begins behind it.
        let gone = self.next.min(self.positions.len().saturating_sub(1));
        self.positions.drain(..gone);
        self.next -= gone;
        let last = self.positions.last().copied();
        let start = || match last {
            Some(position) => Ok(Bound::Excluded(store.log.peek(position)?.key)),
            None => Ok(start.as_ref().map(Vec::as_slice)),
        };
        let size = self.asked.clamp(FIRST_RUN, RUN_MAX);
        let lsn = snapshot.lsn();
        let before = self.positions.len();
        let pin = store.index.pin()?;
        pin.range_from(&mut self.cursor, start, || lsn, size, &mut self.positions, &store.log)?;
        self.ended = self.positions.len() - before < size;
        self.asked += size;
        Ok(())
    }
}

/// What the scan stands at.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Before the first record, or behind the last one.
    Nothing,
    Record(Position),
    Kept,
}

impl Store {
    /// The keys that begin with `prefix` (all of them where it is empty) with their values, in ascending byte
    /// order, as they are now: a scan is one on a snapshot of its own.
    pub fn scan(&self, prefix: &[u8]) -> Result<Scan> {
        self.scan_with(&ScanOptions::prefix(prefix))
    }

    /// The records that `options` say, as they are now.
    pub fn scan_with(&self, options: &ScanOptions) -> Result<Scan> {
        Scan::new(self.snapshot()?, options)
    }
}

impl Scan {
    /// A scan of `snapshot`, before its first record.
    pub(super) fn new(snapshot: Snapshot, options: &ScanOptions) -> Result<Scan> {
        options.check()?;
        snapshot.store().check()?;
        let start = options.start().map(<[u8]>::to_vec);
        let mut scan = Scan {
            snapshot,
            options: options.clone(),
            start,
            run: Run::new(options.backward),
            kept: false,
            at: At::Nothing,
        };
        scan.kept = scan.has_kept()?;
        Ok(scan)
    }

    /// Whether the record that the snapshot itself keeps is among those to come.
    fn has_kept(&self) -> Result<bool> {
        let Some(kept) = self.snapshot.view().replaced()? else { return Ok(false) };
        let before = match &self.start {
            Bound::Unbounded => false,
            Bound::Included(start) => self.options.compare(kept.key, start).is_lt(),
            Bound::Excluded(start) => self.options.compare(kept.key, start).is_le(),
        };
        let seen = !before && !self.options.is_beyond(kept.key);
        Ok(seen && !self.snapshot.view().is_expired(&kept))
    }

    /// The next record, or `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "the record is borrowed from the scan")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        let keys_only = self.options.keys_only;
        Ok(self.step()?.map(|record| {
            let value = if keys_only { &[] } else { record.value };
            Record { key: record.key, value, value_type: record.value_type() }
        }))
    }

    /// Goes on from `key`: the next record is the first one that is not before `key` in the direction of the
    /// scan, within its bounds. May be called at the end, and goes back too.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        check_sizes(key, &[])?;
        self.snapshot.store().check()?;
        self.start = if self.options.is_before(key) {
            self.options.start().map(<[u8]>::to_vec)
        } else {
            Bound::Included(key.to_vec())
        };
        self.run.clear();
        self.at = At::Nothing;
        self.kept = self.has_kept()?;
        Ok(())
    }

    /// Lets the record that [`Scan::next`] returned last come again as the next one. Where it returned none,
    /// or the scan was told where to go since, nothing changes.
    pub fn repeat(&mut self) {
        match self.at {
            At::Nothing => {}
            At::Record(_) => self.run.next = self.run.next.saturating_sub(1),
            At::Kept => self.kept = true,
        }
        self.at = At::Nothing;
    }

    /// Goes to the next record. False: there is none.
    pub(super) fn advance(&mut self) -> Result<bool> {
        Ok(self.step()?.is_some())
    }

    /// The next record.
    #[inline(always)]
    fn step(&mut self) -> Result<Option<LogRecord<'_>>> {
        let Scan { snapshot, options, start, run, kept: kept_comes, at } = self;
        let snapshot: &Snapshot = snapshot;
        let (store, view) = (snapshot.store(), snapshot.view());
        store.check()?;
        while let Some(position) = run.peek(snapshot, start)? {
            let Some(record) = store.log.look_fetched(position) else {
                return Err(store.log.missing(position));
            };
            if options.is_beyond(record.key) {
                run.end();
                break;
            }
            if let Some(kept) = view.replaced()? {
                let order = options.compare(kept.key, record.key);
                if order.is_eq() {
                    // Whatever the index has of this key: the snapshot sees what it keeps.
                    run.next += 1;
                    continue;
                }
                if *kept_comes && order.is_lt() {
                    break;
                }
            }
            // What was written since stands in place of what the snapshot sees.
            let seen = if record.header.lsn <= view.lsn {
                Some((position, record))
            } else {
                store.find_older(&store.index.pin()?, record.key, view.lsn)?
            };
            run.next += 1;
            if let Some((position, record)) = seen
                && !view.is_expired(&record)
            {
                *at = At::Record(position);
                return Ok(Some(record));
            }
        }
        *at = if *kept_comes { At::Kept } else { At::Nothing };
        if std::mem::take(kept_comes) { view.replaced() } else { Ok(None) }
    }

    /// The record that [`Scan::advance`] went to.
    pub(super) fn record(&self) -> Result<Record<'_>> {
        let record = match self.at {
            // Read a moment ago, when its checksum passed.
            At::Record(position) => self.snapshot.store().log.peek(position)?,
            At::Kept => self.snapshot.view().replaced()?.ok_or(MISSING)?,
            At::Nothing => return Err(Error::Internal("a scan that stands at no record was read")),
        };
        let value = if self.options.keys_only { &[] } else { record.value };
        Ok(Record { key: record.key, value, value_type: record.value_type() })
    }

    /// The expiry of the record that [`Scan::advance`] went to.
    pub(super) fn expiry(&self) -> Result<Option<i64>> {
        match self.at {
            At::Record(position) => Ok(self.snapshot.store().log.peek(position)?.expiry),
            At::Kept => Ok(self.snapshot.view().replaced()?.ok_or(MISSING)?.expiry),
            At::Nothing => Ok(None),
        }
    }
}

const MISSING: Error = Error::Internal("a snapshot without the record it saw");
