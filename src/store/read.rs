//! Reading one key.
//!
//! Invariants:
//! 1. No lock is taken: the index is pinned, the record is read from the mapping.
//! 2. Nothing is returned whose checksum did not pass, and nothing is called absent because a damaged
//!    record no longer looks like the key's.
//!
//! Callers: `ffi`, `value`, `import`, and Rust programs.

use std::fmt;
use std::ops::Deref;

use super::write::check_sizes;
use super::{Inner, Store};
use crate::error::Result;
use crate::index::Found;
use crate::log::PinnedRecord;
use crate::types::{Position, ValueType};

/// A value in the log, pinned: valid for as long as this lives, even after the store is closed. Counted;
/// may be sent between threads.
#[derive(Clone)]
pub struct Value {
    record: PinnedRecord,
}

impl Value {
    /// The type it was written with.
    pub fn value_type(&self) -> ValueType {
        self.record.record().map_or(ValueType::Bytes, |record| record.value_type())
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.record.record().map_or(&[], |record| record.value)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Value").field("type", &self.value_type()).field("size", &self.len()).finish()
    }
}

impl Store {
    /// The value of `key`, or `None` where it has none.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        check_sizes(key, &[])?;
        let inner = &self.inner;
        inner.check()?;
        match inner.find_newest(key)? {
            Some(position) => Ok(Some(Value { record: inner.log.read_pinned(position)? })),
            None => Ok(None),
        }
    }

    /// Calls `look` with the value of `key` where it lies, without copying it; `None` where there is
    /// none. `look` must not call the store.
    pub fn read<R>(&self, key: &[u8], look: impl FnOnce(ValueType, &[u8]) -> R) -> Result<Option<R>> {
        check_sizes(key, &[])?;
        let inner = &self.inner;
        inner.check()?;
        let pin = inner.index.pin()?;
        let Found::One(position) = pin.find(key) else { return Ok(None) };
        let record = inner.log.read(position)?;
        if record.key != key {
            return Ok(None);
        }
        Ok(Some(look(record.value_type(), record.value)))
    }

    /// Whether `key` has a value.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.read(key, |_, _| ())?.is_some())
    }
}

impl Inner {
    /// Where the newest record of `key` lies, checked.
    pub(super) fn find_newest(&self, key: &[u8]) -> Result<Option<Position>> {
        let pin = self.index.pin()?;
        let Found::One(position) = pin.find(key) else { return Ok(None) };
        Ok((self.log.read(position)?.key == key).then_some(position))
    }
}
