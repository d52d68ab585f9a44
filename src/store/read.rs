//! Reading keys: one or many, as they are now or as they were at a snapshot.
//!
//! Invariants:
//! 1. No lock is taken: the index is pinned, the record is read from the mapping.
//! 2. Nothing is returned whose checksum did not pass, and nothing is called absent because a damaged
//!    record no longer looks like the key's.
//! 3. A record whose expiry has come is absent: by the clock now, or by the snapshot's.
//!
//! Callers: `ffi`, `value`, `import`, and Rust programs.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::snapshot::View;
use super::visibility::Seen;
use super::write::check_sizes;
use super::{Inner, Store};
use crate::error::{Error, Result};
use crate::index::{Found, Pin, Versions};
use crate::log::PinnedRecord;
use crate::log::format::Record;
use crate::planted::{Bug, planted};
use crate::types::{Lsn, Position, ValueType};

/// A value in the log, pinned: valid for as long as this lives, even after the store is closed. Counted;
/// may be sent between threads.
#[derive(Clone)]
pub struct Value {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Record(PinnedRecord),
    /// Not in the log: what a transaction will write.
    Own(ValueType, Arc<[u8]>),
}

impl Value {
    /// A value that is not in the log.
    pub(super) fn own(value_type: ValueType, bytes: &Arc<[u8]>) -> Value {
        Value { source: Source::Own(value_type, Arc::clone(bytes)) }
    }

    pub(super) fn of_record(record: PinnedRecord) -> Value {
        Value { source: Source::Record(record) }
    }

    /// When it expires, in milliseconds since 1970, where it does.
    pub(super) fn expiry(&self) -> Option<i64> {
        match &self.source {
            Source::Record(record) => record.record().ok()?.expiry,
            Source::Own(..) => None,
        }
    }

    /// The type it was written with.
    pub fn value_type(&self) -> ValueType {
        match &self.source {
            Source::Record(record) => record.record().map_or(ValueType::Bytes, |record| record.value_type()),
            Source::Own(value_type, _) => *value_type,
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.source {
            Source::Record(record) => record.record().map_or(&[], |record| record.value),
            Source::Own(_, bytes) => bytes,
        }
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
            Some((position, _)) => Ok(Some(Value::of_record(inner.log.read_pinned(position)?))),
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

    /// Calls `look` with the place in `keys` and the type and value of each key, `None` where it has none, in
    /// order: as [`Store::read`] of each, but the waits for memory overlap, which for a few keys or more
    /// takes a fraction of the time. Each value is that of its own moment: see
    /// [`Snapshot::read_many`](super::Snapshot::read_many) for values of one. `look` must not call the store.
    pub fn read_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        look: impl FnMut(usize, Option<(ValueType, &[u8])>),
    ) -> Result<()> {
        self.inner.read_many(keys, None, look)
    }

    /// Whether `key` has a value.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.read(key, |_, _| ())?.is_some())
    }
}

/// Keys that are looked up side by side, under one pin.
const MANY: usize = 16;

impl Inner {
    /// The record of `key` that is visible now, checked, and where it lies.
    #[inline(always)]
    pub(super) fn find(&self, pin: &Pin<'_>, key: &[u8]) -> Result<Option<(Position, Record<'_>)>> {
        self.find_candidate(pin.find(key), key)
    }

    /// What of `found`, the index's answer for `key`, is visible now.
    #[inline(always)]
    fn find_candidate(&self, found: Found<'_>, key: &[u8]) -> Result<Option<(Position, Record<'_>)>> {
        let (position, record) = match found {
            Found::None => return Ok(None),
            Found::One(position) => {
                let Some(record) = self.log.look(position) else { return Err(self.log.missing(position)) };
                if record.key != key {
                    return Ok(None);
                }
                match self.visibility.of_only_version(record.header.lsn) {
                    Seen::Visible => (position, record),
                    Seen::Replaces(before) => (before, self.log.read(before)?),
                    Seen::NotYet => return Ok(None),
                }
            }
            Found::Many(versions) => match self.find_among(key, &versions)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        if self.is_expired(&record) { Ok(None) } else { Ok(Some((position, record))) }
    }

    #[cold]
    fn find_among(&self, key: &[u8], versions: &Versions<'_>) -> Result<Option<(Position, Record<'_>)>> {
        let visible = self.visibility.visible();
        let Some(version) = versions.at(visible).filter(|version| !version.deleted) else { return Ok(None) };
        let record = self.log.read(version.position)?;
        Ok((record.key == key).then_some((version.position, record)))
    }

    /// Whether the moment of a record's expiry has come.
    #[inline]
    pub(super) fn is_expired(&self, record: &Record<'_>) -> bool {
        record.expiry.is_some_and(|expiry| expiry <= self.os.now_millis())
    }

    /// The record of `key` that a snapshot sees, checked, and where it lies; no position for the one that the
    /// snapshot itself keeps.
    pub(super) fn find_at<'a>(
        &'a self,
        pin: &Pin<'_>,
        found: Found<'_>,
        key: &[u8],
        view: &'a View,
    ) -> Result<Option<(Option<Position>, Record<'a>)>> {
        // What the snapshot keeps itself is what it sees of that key, whatever the index still has.
        if let Some(replaced) = view.replaced()?
            && replaced.key == key
        {
            return Ok((!view.is_expired(&replaced)).then_some((None, replaced)));
        }
        let seen = match found {
            Found::None => return Ok(None),
            Found::One(position) => {
                let record = self.log.read(position)?;
                if record.key != key {
                    return Ok(None);
                }
                (record.header.lsn <= view.lsn).then_some((position, record))
            }
            Found::Many(versions) => match versions.at(view.lsn) {
                Some(version) if version.deleted => return Ok(None),
                Some(version) => Some((version.position, self.log.read(version.position)?)),
                None => None,
            },
        };
        let seen = match seen {
            Some(seen) => Some(seen),
            None => self.find_older(pin, key, view.lsn)?,
        };
        let expired = |record: &Record<'_>| {
            view.is_expired(record) || planted(Bug::ExpireByNow) && self.is_expired(record)
        };
        let seen = seen.filter(|(_, record)| record.key == key && !expired(record));
        Ok(seen.map(|(position, record)| (Some(position), record)))
    }

    /// The version of `key` at `lsn` among those that only snapshots see, checked.
    #[cold]
    pub(super) fn find_older(
        &self,
        pin: &Pin<'_>,
        key: &[u8],
        lsn: Lsn,
    ) -> Result<Option<(Position, Record<'_>)>> {
        let position = match pin.find_older(key) {
            Found::None => return Ok(None),
            Found::One(position) => position,
            Found::Many(versions) => match versions.at(lsn) {
                Some(version) if !version.deleted => version.position,
                _ => return Ok(None),
            },
        };
        let record = self.log.read(position)?;
        Ok((record.key == key && record.header.lsn <= lsn).then_some((position, record)))
    }

    /// See [`Store::read_many`]; with `view`, as a snapshot sees them.
    pub(super) fn read_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        view: Option<&View>,
        mut look: impl FnMut(usize, Option<(ValueType, &[u8])>),
    ) -> Result<()> {
        for key in keys {
            check_sizes(key.as_ref(), &[])?;
        }
        self.check()?;
        for (group, keys) in keys.chunks(MANY).enumerate() {
            let pin = self.index.pin()?;
            let mut found = [const { Found::None }; MANY];
            pin.find_many(keys, &self.log, |place, answer| {
                if let Some(found) = found.get_mut(place) {
                    *found = answer;
                }
            });
            for ((place, key), found) in keys.iter().enumerate().zip(found) {
                let key = key.as_ref();
                let record = match view {
                    None => self.find_candidate(found, key)?.map(|(_, record)| record),
                    Some(view) => self.find_at(&pin, found, key, view)?.map(|(_, record)| record),
                };
                look(group * MANY + place, record.map(|record| (record.value_type(), record.value)));
            }
        }
        Ok(())
    }

    /// A pinned value of what [`Inner::find_at`] found.
    pub(super) fn pinned(&self, position: Option<Position>, view: &View) -> Result<Value> {
        let record = match position {
            Some(position) => self.log.read_pinned(position)?,
            None => view.kept().ok_or(Error::Internal("a snapshot without the record it saw"))?,
        };
        Ok(Value::of_record(record))
    }
}
