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

use super::visibility::Seen;
use super::write::check_sizes;
use super::{Inner, Store};
use crate::error::Result;
use crate::index::{Found, Pin, Versions};
use crate::log::PinnedRecord;
use crate::log::format::Record;
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
        let pin = inner.index.pin()?;
        match inner.find(&pin, key)? {
            Some((position, _)) => Ok(Some(Value { record: inner.log.read_pinned(position)? })),
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
        Ok(inner.find(&pin, key)?.map(|(_, record)| look(record.value_type(), record.value)))
    }

    /// Whether `key` has a value.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.read(key, |_, _| ())?.is_some())
    }
}

impl Inner {
    /// The record of `key` that is visible now, checked, and where it lies.
    #[inline]
    fn find(&self, pin: &Pin<'_>, key: &[u8]) -> Result<Option<(Position, Record<'_>)>> {
        match pin.find(key) {
            Found::None => Ok(None),
            Found::One(position) => {
                let record = self.log.read(position)?;
                if record.key != key {
                    return Ok(None);
                }
                self.visible_version(position, record)
            }
            Found::Many(versions) => self.find_among(key, &versions),
        }
    }

    /// What is visible of a key whose only version in the index is `record`.
    #[inline]
    pub(super) fn visible_version<'a>(
        &'a self,
        position: Position,
        record: Record<'a>,
    ) -> Result<Option<(Position, Record<'a>)>> {
        match self.visibility.of_only_version(record.header.lsn) {
            Seen::Visible => Ok(Some((position, record))),
            Seen::Replaces(before) => Ok(Some((before, self.log.read(before)?))),
            Seen::NotYet => Ok(None),
        }
    }

    #[cold]
    fn find_among(&self, key: &[u8], versions: &Versions<'_>) -> Result<Option<(Position, Record<'_>)>> {
        let visible = self.visibility.visible();
        let Some(version) = versions.at(visible).filter(|version| !version.deleted) else { return Ok(None) };
        let record = self.log.read(version.position)?;
        Ok((record.key == key).then_some((version.position, record)))
    }
}
