//! Transactions: reads of one moment and writes that happen at one later moment, or not at all.
//!
//! Optimistic: nothing is locked while it runs. It reads from a snapshot and its own writes, remembers keys
//! and ranges that it read, and commits if none of them has changed since; then all of it could as well have
//! happened at the moment of the commit, so transactions are serializable, phantoms included. One that only
//! reads has nothing to check: it happened at the moment of its snapshot.
//!
//! Invariants:
//! 1. Its writes are in memory, and seen by nobody else, until they are committed as one frame.
//! 2. What it read stays remembered when it rolls back to a savepoint: it may have acted on it.
//! 3. After `commit` and `roll_back`, whatever they answer, it has ended and holds no snapshot; a scan that
//!    somebody still has keeps it until it is dropped.
//!
//! Callers: `ffi`, and Rust programs.

mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conflict::Reads;
use super::read::Value;
use super::scan::ScanOptions;
use super::snapshot::Snapshot;
use super::write::check_sizes;
use super::{Durability, Store, WriteOptions};
use crate::error::{Error, Result};
use crate::log::format::{Kind, NewRecord, Record};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::types::{Lsn, ValueType};

pub use scan::TransactionScan;

/// A running transaction. May be moved between threads; calls on it, and on its scans, take turns. Dropped
/// without a commit it is rolled back. It counts as a handle of the store: that is open until it is closed,
/// or until the last handle is gone.
#[derive(Debug)]
pub struct Transaction {
    shared: Arc<Shared>,
}

/// What a transaction and its scans share.
#[derive(Debug)]
struct Shared {
    store: Store,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once the transaction has ended.
    snapshot: Option<Snapshot>,
    writes: BTreeMap<Vec<u8>, Own>,
    reads: Reads,
    /// What was there before each write, since the first savepoint.
    undo: Vec<(Vec<u8>, Option<Own>)>,
    /// The valid savepoints: the number of each, and how long `undo` was. Both ascend.
    savepoints: Vec<(usize, usize)>,
    /// Savepoints so far. A number is not given twice, so that one that was rolled back stays invalid.
    savepoints_made: usize,
}

/// What the transaction will do to a key.
#[derive(Clone, Debug)]
enum Own {
    Put { value: Arc<[u8]>, value_type: ValueType, expires_at: Option<i64> },
    Delete,
}

/// A state of a transaction that it can go back to. It belongs to that transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint(usize);

impl Savepoint {
    /// Its number, by which [`Savepoint::from_number`] gives it back: 1 or more.
    pub fn number(self) -> u64 {
        self.0 as u64
    }

    /// The savepoint with this number, which a transaction may have or not.
    pub fn from_number(number: u64) -> Savepoint {
        // One that does not fit is no transaction's.
        Savepoint(usize::try_from(number).unwrap_or(0))
    }
}

impl Store {
    /// Begins a transaction on the store as it is now.
    pub fn begin(&self) -> Result<Transaction> {
        let snapshot = self.snapshot()?;
        let state = State {
            snapshot: Some(snapshot),
            writes: BTreeMap::new(),
            reads: Reads::default(),
            undo: Vec::new(),
            savepoints: Vec::new(),
            savepoints_made: 0,
        };
        Ok(Transaction { shared: Arc::new(Shared { store: self.clone(), state: Mutex::new(state) }) })
    }
}

impl Transaction {
    /// The value of `key`: what the transaction put, else what its snapshot has.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        check_sizes(key, &[])?;
        let mut state = self.shared.state()?;
        if let Some(own) = state.writes.get(key) {
            return Ok(own.value(state.snapshot()?));
        }
        let value = state.snapshot()?.get(key)?;
        state.reads.add_key(key)?;
        state.reads.add_expiry(value.as_ref().and_then(Value::expiry));
        Ok(value)
    }

    /// As [`Transaction::get`], without a copy: calls `look` with the value where it lies. `look` must not
    /// call the transaction or the store.
    pub fn read<R>(&self, key: &[u8], look: impl FnOnce(ValueType, &[u8]) -> R) -> Result<Option<R>> {
        check_sizes(key, &[])?;
        let mut state = self.shared.state()?;
        if let Some(own) = state.writes.get(key) {
            return Ok(own.value(state.snapshot()?).map(|value| look(value.value_type(), &value)));
        }
        state.reads.add_key(key)?;
        let look = |record: &Record<'_>| (record.expiry, look(record.value_type(), record.value));
        let Some((expiry, answer)) = state.snapshot()?.read_record(key, look)? else { return Ok(None) };
        state.reads.add_expiry(expiry);
        Ok(Some(answer))
    }

    /// Whether `key` has a value.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.read(key, |_, _| ())?.is_some())
    }

    /// Will set `key` to `value`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, WriteOptions::default())
    }

    /// As [`Transaction::put`], with a value type and an expiry; the durability is that of the commit.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<()> {
        check_sizes(key, value)?;
        let WriteOptions { value_type, expires_at, .. } = options;
        let mut copy = Vec::new();
        copy.try_reserve_exact(value.len()).map_err(|_| Error::NoMemory("a transaction"))?;
        copy.extend_from_slice(value);
        self.shared.state()?.write(key, Own::Put { value: Arc::from(copy), value_type, expires_at })
    }

    /// Will remove `key`. Whether it is there, which counts as read.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        if !self.exists(key)? {
            return Ok(false);
        }
        self.shared.state()?.write(key, Own::Delete)?;
        Ok(true)
    }

    /// Will remove every key from `from` on and before `to`, or to the last one where `to` is empty. Returns
    /// how many there are; all of the range counts as read.
    pub fn delete_range(&self, from: &[u8], to: &[u8]) -> Result<u64> {
        let options = if to.is_empty() {
            ScanOptions { from: std::ops::Bound::Included(from.to_vec()), ..ScanOptions::default() }
        } else {
            ScanOptions::range(from, to)
        };
        let mut scan = self.scan(&options.keys_only())?;
        let mut count = 0;
        while let Some(record) = scan.next()? {
            let key = record.key.to_vec();
            self.shared.state()?.write(&key, Own::Delete)?;
            count += 1;
        }
        Ok(count)
    }

    /// The records that `options` say: those of the snapshot, with the transaction's own writes, also those
    /// made while the scan goes on. What the scan has passed counts as read, whether there are keys or not.
    pub fn scan(&self, options: &ScanOptions) -> Result<TransactionScan> {
        let mut state = self.shared.state()?;
        let scan = state.snapshot()?.scan(options)?;
        let range = state.reads.add_range()?;
        drop(state);
        Ok(TransactionScan::new(Arc::clone(&self.shared), scan, options, range))
    }

    /// Remembers the writes so far, to go back to with [`Transaction::roll_back_to`].
    pub fn savepoint(&self) -> Result<Savepoint> {
        let mut state = self.shared.state()?;
        state.snapshot()?;
        state.savepoints.try_reserve(1).map_err(|_| Error::NoMemory("a transaction"))?;
        state.savepoints_made += 1;
        let savepoint = (state.savepoints_made, state.undo.len());
        state.savepoints.push(savepoint);
        Ok(Savepoint(savepoint.0))
    }

    /// Takes back the writes since `savepoint`, which stays valid; those made after it do not. Reads stay
    /// remembered.
    pub fn roll_back_to(&self, savepoint: Savepoint) -> Result<()> {
        let mut state = self.shared.state()?;
        state.snapshot()?;
        let place = state.savepoints.binary_search_by_key(&savepoint.0, |(number, _)| *number);
        let Some((place, length)) =
            place.ok().and_then(|place| Some((place, state.savepoints.get(place)?.1)))
        else {
            return Err(Error::InvalidArgument(
                "the savepoint is not one of this transaction, or was rolled back".to_string(),
            ));
        };
        state.savepoints.truncate(place + 1);
        while state.undo.len() > length {
            let Some((key, before)) = state.undo.pop() else { break };
            match before {
                Some(own) => state.writes.insert(key, own),
                None => state.writes.remove(&key),
            };
        }
        Ok(())
    }

    /// Commits: all writes at once, or, where something that was read has changed, none.
    ///
    /// Errors: `Conflict`, after which to begin again; those of [`Store::write`].
    pub fn commit(&self, durability: Durability) -> Result<()> {
        let mut state = self.shared.state()?;
        // Whatever the outcome, it has ended; the snapshot is needed up to the check.
        let snapshot = state.snapshot.take().ok_or_else(ended)?;
        let writes = std::mem::take(&mut state.writes);
        let mut reads = std::mem::take(&mut state.reads);
        drop(state);
        let inner = &self.shared.store.inner;
        inner.check()?;
        if writes.is_empty() {
            return Ok(());
        }
        let mut records = Vec::new();
        records.try_reserve_exact(writes.len()).map_err(|_| Error::NoMemory("a transaction"))?;
        records.extend(writes.iter().map(|(key, own)| own.record(key)));
        let writer = inner.lock_unchanged(&snapshot, &mut reads)?;
        // The versions that only this snapshot needs go with the commit.
        drop(snapshot);
        inner.commit_and_wait(writer, &records, durability)
    }

    /// Ends the transaction without a trace. Does nothing where it has ended.
    pub fn roll_back(&self) -> Result<()> {
        let mut state = self.shared.state()?;
        state.snapshot = None;
        state.writes.clear();
        state.undo.clear();
        state.reads = Reads::default();
        Ok(())
    }

    /// Sequence number of the last operation that its snapshot sees.
    pub fn lsn(&self) -> Result<Lsn> {
        Ok(self.shared.state()?.snapshot()?.lsn())
    }
}

fn ended() -> Error {
    Error::InvalidArgument("the transaction has ended: begin another one".to_string())
}

impl Shared {
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        lock(&self.state)
    }
}

impl State {
    fn snapshot(&self) -> Result<&Snapshot> {
        self.snapshot.as_ref().ok_or_else(ended)
    }

    fn write(&mut self, key: &[u8], own: Own) -> Result<()> {
        self.snapshot()?;
        let before = self.writes.insert(key.to_vec(), own);
        if !self.savepoints.is_empty() {
            self.undo.push((key.to_vec(), before));
        }
        Ok(())
    }
}

impl Own {
    /// The value, where it has one that has not expired at the time of the snapshot.
    fn value(&self, snapshot: &Snapshot) -> Option<Value> {
        match self {
            Own::Put { value, value_type, expires_at } => {
                let expired = expires_at.is_some_and(|at| snapshot.view().is_past(at));
                (!expired).then(|| Value::own(*value_type, value))
            }
            Own::Delete => None,
        }
    }

    fn record<'a>(&'a self, key: &'a [u8]) -> NewRecord<'a> {
        match self {
            Own::Put { value, value_type, expires_at } => {
                let (value_type, expiry) = (*value_type, *expires_at);
                NewRecord { value_type, expiry, ..NewRecord::new(Kind::Put, key, value) }
            }
            Own::Delete => NewRecord::new(Kind::Delete, key, &[]),
        }
    }
}
