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
        self.add(Kind::Put, ValueType::Bytes, key, value)
    }

    /// As [`Batch::put`], for a value of this type.
    pub fn put_with_type(&mut self, key: &[u8], value: &[u8], value_type: ValueType) -> Result<()> {
        self.add(Kind::Put, value_type, key, value)
    }

    /// Adds: remove `key`, if it is there.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.add(Kind::Delete, ValueType::Bytes, key, &[])
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes all changes out and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    fn add(&mut self, kind: Kind, value_type: ValueType, key: &[u8], value: &[u8]) -> Result<()> {
        check_sizes(key, value)?;
        let no_memory = |_| Error::NoMemory("a batch");
        self.bytes.try_reserve(key.len() + value.len()).map_err(no_memory)?;
        self.changes.try_reserve(1).map_err(no_memory)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let change = Change { kind, value_type, start, key_end: start + key.len(), end: self.bytes.len() };
        self.changes.push(change);
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
            records.push(NewRecord { value_type: change.value_type, ..record });
        }
        Ok(records)
    }
}
