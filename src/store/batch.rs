//! Several changes that take effect together.
//!
//! Callers: Rust programs; `write` commits what is gathered here.

use super::write::check_sizes;
use crate::error::{Error, Result};
use crate::log::format::{Kind, NewRecord};
use crate::types::ValueType;

/// Changes that [`Store::write`](super::Store::write) makes in one commit, in the order they were added:
/// of two changes of one key the later one counts. Not tied to a store; may be written several times.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    kind: Kind,
    value_type: ValueType,
    expires_at: Option<i64>,
    /// Where the key, the value, and the change end in `bytes`.
    start: usize,
    key_end: usize,
    end: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds: set `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.add(Kind::Put, ValueType::Bytes, None, key, value)
    }

    /// As [`Batch::put`], for a value of this type, and with an expiry (see
    /// [`WriteOptions::expires_at`](super::WriteOptions::expires_at)).
    pub fn put_with(
        &mut self,
        key: &[u8],
        value: &[u8],
        value_type: ValueType,
        expires_at: Option<i64>,
    ) -> Result<()> {
        self.add(Kind::Put, value_type, expires_at, key, value)
    }

    /// Adds: remove `key`, if it is there.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.add(Kind::Delete, ValueType::Bytes, None, key, &[])
    }

    /// Adds: remove every key from `from` on and before `to`, or to the last one where `to` is empty, those
    /// among them that earlier changes of the batch put.
    pub fn delete_range(&mut self, from: &[u8], to: &[u8]) -> Result<()> {
        check_sizes(to, &[])?;
        self.add(Kind::DeleteRange, ValueType::Bytes, None, from, to)
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes that the batch takes in memory for keys and values.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all changes out and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    fn add(
        &mut self,
        kind: Kind,
        value_type: ValueType,
        expires_at: Option<i64>,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        check_sizes(key, value)?;
        let no_memory = |_| Error::NoMemory("a batch");
        self.bytes.try_reserve(key.len() + value.len()).map_err(no_memory)?;
        self.changes.try_reserve(1).map_err(no_memory)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (key_end, end) = (start + key.len(), self.bytes.len());
        self.changes.push(Change { kind, value_type, expires_at, start, key_end, end });
        Ok(())
    }

    /// The changes as records for the log.
    pub(super) fn records(&self) -> Result<Vec<NewRecord<'_>>> {
        let mut records = Vec::new();
        records.try_reserve_exact(self.len()).map_err(|_| Error::NoMemory("a batch"))?;
        for change in &self.changes {
            let key = self.bytes.get(change.start..change.key_end).unwrap_or_default();
            let value = self.bytes.get(change.key_end..change.end).unwrap_or_default();
            let record = NewRecord::new(change.kind, key, value);
            let Change { value_type, expires_at: expiry, .. } = *change;
            records.push(NewRecord { value_type, expiry, ..record });
        }
        Ok(records)
    }
}
