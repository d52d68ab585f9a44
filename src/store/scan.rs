//! Ordered iteration.
//!
//! A scan asks the index for a run of positions at a time, each under one pin that is let go before the
//! call returns: a scan that somebody forgets holds back no memory. The records of a run are prefetched
//! while it is collected; without that, a scan over a log in random order waits for memory at each one.
//!
//! Callers: `ffi` and Rust programs.

use std::ops::Bound;
use std::sync::Arc;

use super::write::check_sizes;
use super::{Open, Store};
use crate::error::Result;
use crate::index::{Direction, LOOK_AHEAD};
use crate::types::{Position, ValueType};

/// Positions asked for at first: a short scan does not pay for a long one.
const FIRST_RUN: usize = 16;
/// Positions asked for from then on.
const RUN: usize = 64;

/// One record of a scan, borrowed until the next call on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The type the value was written with.
    pub value_type: ValueType,
}

/// The keys with a prefix, in ascending byte order. It may be moved between threads, and counts as a handle:
/// the store is open until it is closed, or until the last handle is gone.
#[derive(Debug)]
pub struct Scan {
    inner: Arc<Open>,
    prefix: Vec<u8>,
    run: Vec<Position>,
    /// The record of `run` that comes next.
    next: usize,
    /// Whether nothing comes after `run`.
    ended: bool,
}

impl Store {
    /// The keys that begin with `prefix` (all of them where it is empty), in ascending byte order. Keys
    /// that are put or deleted meanwhile may or may not be met; all others are met exactly once.
    pub fn scan(&self, prefix: &[u8]) -> Result<Scan> {
        check_sizes(prefix, &[])?;
        self.inner.check()?;
        Ok(Scan {
            inner: Arc::clone(&self.inner),
            prefix: prefix.to_vec(),
            run: Vec::new(),
            next: 0,
            ended: false,
        })
    }
}

impl Scan {
    /// The next record, or `None` at the end. After an error the scan stays where it was.
    #[expect(clippy::should_implement_trait, reason = "the record is borrowed from the scan")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.inner.check()?;
        loop {
            if self.next == self.run.len() && !self.ended {
                self.fill()?;
            }
            let Some(&position) = self.run.get(self.next) else { return Ok(None) };
            if let Some(&ahead) = self.run.get(self.next + LOOK_AHEAD) {
                self.inner.log.prefetch(ahead);
            }
            let record = self.inner.log.read(position)?;
            if !record.key.starts_with(&self.prefix) {
                self.ended = true;
                self.run.clear();
                self.next = 0;
                return Ok(None);
            }
            let visible = self.inner.visible_version(position, record)?.map(|(position, _)| position);
            self.next += 1;
            if let (Some(visible), Some(place)) = (visible, self.run.get_mut(self.next - 1)) {
                *place = visible;
                break;
            }
        }
        let Some(&position) = self.run.get(self.next - 1) else { return Ok(None) };
        let record = self.inner.log.peek(position)?;
        Ok(Some(Record { key: record.key, value: record.value, value_type: record.value_type() }))
    }

    /// Gets the next run of positions. The last one of a run is where the following run begins.
    fn fill(&mut self) -> Result<()> {
        let last = match self.run.last() {
            Some(&position) => Some(self.inner.log.peek(position)?.key),
            None => None,
        };
        let start = last.map_or(Bound::Included(self.prefix.as_slice()), Bound::Excluded);
        let limit = if last.is_none() { FIRST_RUN } else { RUN };
        let mut run = Vec::new();
        let pin = self.inner.index.pin()?;
        // The mark is looked at after the versions of a key: those it needs may be pruned while it moves.
        let at = || self.inner.visibility.visible();
        pin.range(start, Direction::Forward, at, limit, &mut run, &self.inner.log)?;
        drop(pin);
        self.ended = run.len() < limit;
        self.run = run;
        self.next = 0;
        Ok(())
    }
}
