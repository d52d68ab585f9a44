//! A scan in a transaction: the records of the snapshot, and the transaction's own writes between them.
//!
//! Invariants:
//! 1. What a key has is what the transaction wrote, if it wrote it, at the moment the scan comes to it.
//! 2. The range from where the scan began to where it stands, or to its bound, counts as read.
//!
//! Callers: `ffi` and Rust programs.

use std::ops::Bound;
use std::sync::Arc;

use super::{Own, Shared, State};
use crate::error::{Error, Result};
use crate::planted::{Bug, planted};
use crate::store::read::Value;
use crate::store::scan::{Record, Scan, ScanOptions};

/// A walk over records as a transaction sees them. It may be moved between threads. When the transaction has
/// ended, it answers an error.
#[derive(Debug)]
pub struct TransactionScan {
    shared: Arc<Shared>,
    scan: Scan,
    options: ScanOptions,
    /// Number of the range that it reads.
    range: usize,
    /// Where it began, and then the last key it passed.
    start: Bound<Vec<u8>>,
    passed: Option<Vec<u8>>,
    /// Whether it has come to its bound: all up to there was read, wherever a later write of the transaction
    /// lets it go on.
    ended: bool,
    ahead: Ahead,
    current: Option<(Vec<u8>, Value)>,
}

/// What the scan of the snapshot stands at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ahead {
    /// A record that was passed, or none yet.
    Passed,
    /// One that is still to come.
    ToCome,
    End,
}

/// Which side the next record is from.
enum Next {
    Snapshot,
    Own(Vec<u8>, Option<Value>),
    End,
}

impl TransactionScan {
    pub(super) fn new(
        shared: Arc<Shared>,
        scan: Scan,
        options: &ScanOptions,
        range: usize,
    ) -> TransactionScan {
        TransactionScan {
            shared,
            scan,
            options: options.clone(),
            range,
            start: options.start().map(<[u8]>::to_vec),
            passed: None,
            ended: false,
            ahead: Ahead::Passed,
            current: None,
        }
    }

    /// The next record, or `None` at the end. After an error the scan stays where it was.
    #[expect(clippy::should_implement_trait, reason = "the record is borrowed from the scan")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state()?;
        state.snapshot()?;
        self.current = None;
        loop {
            if self.ahead == Ahead::Passed {
                self.ahead = if self.scan.advance()? { Ahead::ToCome } else { Ahead::End };
            }
            match self.choose(&state)? {
                Next::End => {
                    self.pass(&mut state, None)?;
                    return Ok(None);
                }
                Next::Snapshot => {
                    let key = self.scan.record()?.key.to_vec();
                    state.reads.add_expiry(self.scan.expiry()?);
                    self.pass(&mut state, Some(key))?;
                    self.ahead = Ahead::Passed;
                    return self.scan.record().map(Some);
                }
                Next::Own(key, value) => {
                    self.pass(&mut state, Some(key.clone()))?;
                    if let Some(value) = value {
                        let (key, value) = &*self.current.insert((key, value));
                        let bytes: &[u8] = if self.options.keys_only { &[] } else { value };
                        return Ok(Some(Record { key, value: bytes, value_type: value.value_type() }));
                    }
                }
            }
        }
    }

    /// Goes on from `key`: the next record is the first one that is not before `key` in the direction of the
    /// scan, within its bounds.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        let mut state = self.shared.state()?;
        state.snapshot()?;
        self.scan.seek(key)?;
        self.range = state.reads.add_range()?;
        self.start = if self.options.is_before(key) {
            self.options.start().map(<[u8]>::to_vec)
        } else {
            Bound::Included(key.to_vec())
        };
        self.passed = None;
        self.ended = false;
        self.ahead = Ahead::Passed;
        self.current = None;
        Ok(())
    }

    /// Which record comes next: the snapshot's, or an own write that is not behind it.
    fn choose(&mut self, state: &State) -> Result<Next> {
        let start = match &self.passed {
            Some(passed) => Bound::Excluded(passed.as_slice()),
            None => self.start.as_ref().map(Vec::as_slice),
        };
        let own = if self.options.backward {
            state.writes.range::<[u8], _>((Bound::Unbounded, start)).next_back()
        } else {
            state.writes.range::<[u8], _>((start, Bound::Unbounded)).next()
        };
        let own = own.filter(|(key, _)| !self.options.is_beyond(key));
        let there = match self.ahead {
            Ahead::ToCome => Some(self.scan.record()?.key),
            _ => None,
        };
        let order = match (own, there) {
            (None, None) => return Ok(Next::End),
            (None, Some(_)) => return Ok(Next::Snapshot),
            (Some(_), None) => std::cmp::Ordering::Less,
            (Some((key, _)), Some(there)) => self.options.compare(key, there),
        };
        if order.is_gt() {
            return Ok(Next::Snapshot);
        }
        if order.is_eq() {
            self.ahead = Ahead::Passed;
        }
        let (key, own): (&Vec<u8>, &Own) = own.ok_or(Error::Internal("a write that vanished"))?;
        Ok(Next::Own(key.clone(), own.value(state.snapshot()?)))
    }

    /// The scan has passed `key`, or everything up to its bound.
    fn pass(&mut self, state: &mut State, key: Option<Vec<u8>>) -> Result<()> {
        let range = state.reads.range_mut(self.range).ok_or(Error::Internal("a scan without its range"))?;
        self.ended = key.is_none() || self.ended && !planted(Bug::ForgetEnd);
        let end = match (&key, self.options.backward) {
            (Some(key), _) if !self.ended => Bound::Included(key.clone()),
            (_, false) => self.options.to.clone(),
            (_, true) => self.options.from.clone(),
        };
        *range = if self.options.backward { (end, self.start.clone()) } else { (self.start.clone(), end) };
        if key.is_some() {
            self.passed = key;
        }
        Ok(())
    }
}
