//! Changes of one key that rest on the value it has: under the append lock, so that nothing comes between.
//!
//! Invariants:
//! 1. What is decided on is the last commit of the key, visible yet or not.
//! 2. Whatever is answered is as durable as the mode says, also where nothing is written; and visible, so
//!    that
//!    nobody who was told that a key has changed reads what it had before.
//! 3. A change of a part of the value (increment, append, expire) keeps type and expiry.
//!
//! Callers: `ffi`, and Rust programs.

use std::borrow::Cow;
use std::sync::Arc;

use super::read::Value;
use super::write::{Change, check_sizes};
use super::{Durability, Inner, Store, WriteOptions};
use crate::error::{Error, Result};
use crate::index::{Found, Version};
use crate::log::format::{Kind, NewRecord, Record};
use crate::os::real::now_millis;
use crate::types::{Lsn, Position, VALUE_SIZE_MAX, ValueType};

/// What [`Store::compare_and_swap`] expects of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected<'a> {
    /// That it has no value.
    Absent,
    /// That it has a value, whichever.
    Any,
    /// That it has this value, of whichever type.
    Value(&'a [u8]),
}

/// What the last commit of a key left, visible yet or not.
enum Newest<'a> {
    Present(Position, Record<'a>),
    /// By an operation not after `since`.
    Absent {
        since: Lsn,
    },
}

impl Store {
    /// If `key` has what is `expected`, sets it to `new`, or removes it for `None`. Whether it did.
    pub fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Expected<'_>,
        new: Option<&[u8]>,
        options: WriteOptions,
    ) -> Result<bool> {
        check_sizes(key, new.unwrap_or_default())?;
        self.update(key, options.durability, |current| {
            let matches = match (expected, &current) {
                (Expected::Absent, current) => current.is_none(),
                (Expected::Any, current) => current.is_some(),
                (Expected::Value(expected), current) => {
                    current.as_ref().is_some_and(|record| record.value == expected)
                }
            };
            let change = match (matches, new) {
                (false, _) => Change::Nothing,
                (true, Some(value)) => Change::put(value, &options),
                (true, None) if current.is_none() => Change::Nothing,
                (true, None) => Change::Delete,
            };
            Ok((change, matches))
        })
    }

    /// Sets `key` to `value` if it has none. False: it has one, and nothing was written.
    pub fn put_if_absent(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<bool> {
        self.compare_and_swap(key, Expected::Absent, Some(value), options)
    }

    /// Removes `key` and returns the value that it had, or `None` where it had none.
    pub fn take(&self, key: &[u8]) -> Result<Option<Value>> {
        let inner = &self.inner;
        self.update_at(key, Durability::Default, |current| match current {
            Some((position, _)) => {
                Ok((Change::Delete, Some(Value::of_record(inner.log.read_pinned(position)?))))
            }
            None => Ok((Change::Nothing, None)),
        })
    }

    /// Adds `delta` to the signed integer under `key`, 0 where it has no value, and returns the sum.
    ///
    /// Errors: `WrongType`, `Decode`; `Overflow` where the sum is out of range. Nothing was written.
    pub fn increment_i64(&self, key: &[u8], delta: i64) -> Result<i64> {
        self.increment(key, ValueType::I64, |before| {
            let sum = i64::from_le_bytes(before).checked_add(delta)?;
            Some((sum, sum.to_le_bytes()))
        })
    }

    /// Adds `delta`, which may be negative, to the unsigned integer under `key`, 0 where it has no value, and
    /// returns the sum. Errors: as [`Store::increment_i64`].
    pub fn increment_u64(&self, key: &[u8], delta: i64) -> Result<u64> {
        self.increment(key, ValueType::U64, |before| {
            let sum = u64::from_le_bytes(before).checked_add_signed(delta)?;
            Some((sum, sum.to_le_bytes()))
        })
    }

    fn increment<T: Copy>(
        &self,
        key: &[u8],
        value_type: ValueType,
        add: impl FnOnce([u8; 8]) -> Option<(T, [u8; 8])>,
    ) -> Result<T> {
        self.update(key, Durability::Default, |current| {
            let (before, expires_at) = match &current {
                None => ([0; 8], None),
                Some(record) => {
                    let found = record.value_type();
                    if found != value_type {
                        return Err(Error::WrongType { found, wanted: value_type });
                    }
                    let bytes = <[u8; 8]>::try_from(record.value).map_err(|_| {
                        Error::Decode(format!("{} takes 8 bytes, not {}", found.name(), record.value.len()))
                    })?;
                    (bytes, record.expiry)
                }
            };
            let (sum, bytes) = add(before).ok_or(Error::Overflow)?;
            Ok((Change::Put { value: Cow::Owned(bytes.to_vec()), value_type, expires_at }, sum))
        })
    }

    /// Puts `bytes` behind the value of `key`, which may have none, and returns the size that it has then.
    /// The value is of type bytes or string; bytes that would make a string invalid are refused.
    ///
    /// The whole value is written anew. Errors: `WrongType`, `ValueTooLarge`.
    pub fn append(&self, key: &[u8], bytes: &[u8]) -> Result<u64> {
        self.update(key, Durability::Default, |current| {
            let (before, value_type, expires_at) = match &current {
                None => (&[][..], ValueType::Bytes, None),
                Some(record) => (record.value, record.value_type(), record.expiry),
            };
            match value_type {
                ValueType::Bytes => {}
                ValueType::String if std::str::from_utf8(bytes).is_ok() => {}
                ValueType::String => {
                    let reason = "what is appended to a string must be UTF-8".to_string();
                    return Err(Error::InvalidArgument(reason));
                }
                found => return Err(Error::WrongType { found, wanted: ValueType::Bytes }),
            }
            let size = before.len() + bytes.len();
            if size > VALUE_SIZE_MAX {
                return Err(Error::ValueTooLarge { size });
            }
            let mut value = Vec::new();
            value.try_reserve_exact(size).map_err(|_| Error::NoMemory("appending to a value"))?;
            value.extend_from_slice(before);
            value.extend_from_slice(bytes);
            Ok((Change::Put { value: Cow::Owned(value), value_type, expires_at }, size as u64))
        })
    }

    /// Lets the value of `key` expire at this time, in milliseconds since 1970, or never for `None`. False:
    /// it has none. The value is written anew.
    pub fn expire(&self, key: &[u8], expires_at: Option<i64>) -> Result<bool> {
        self.update(key, Durability::Default, |current| {
            let Some(record) = current else { return Ok((Change::Nothing, false)) };
            if record.expiry == expires_at {
                return Ok((Change::Nothing, true));
            }
            let value_type = record.value_type();
            Ok((Change::Put { value: Cow::Borrowed(record.value), value_type, expires_at }, true))
        })
    }

    /// When the value of `key` expires, in milliseconds since 1970: `Some(None)` for never, `None` where it
    /// has none.
    pub fn expiry(&self, key: &[u8]) -> Result<Option<Option<i64>>> {
        check_sizes(key, &[])?;
        let inner = &self.inner;
        inner.check()?;
        let pin = inner.index.pin()?;
        Ok(inner.find(&pin, key)?.map(|(_, record)| record.expiry))
    }

    /// The clock that expiry goes by, in milliseconds since 1970-01-01 UTC.
    pub fn now(&self) -> i64 {
        self.inner.os.now_millis()
    }

    /// The system's clock, which [`Store::now`] is for every store that [`Store::open`] opened.
    pub fn system_now() -> i64 {
        now_millis()
    }

    /// Lets `decide` say what to do to `key`, knowing what it has, and does it.
    pub(super) fn update<'s, R>(
        &'s self,
        key: &[u8],
        durability: Durability,
        decide: impl FnOnce(Option<Record<'s>>) -> Result<(Change<'s>, R)>,
    ) -> Result<R> {
        self.update_at(key, durability, |current| decide(current.map(|(_, record)| record)))
    }

    fn update_at<'s, R>(
        &'s self,
        key: &[u8],
        durability: Durability,
        decide: impl FnOnce(Option<(Position, Record<'s>)>) -> Result<(Change<'s>, R)>,
    ) -> Result<R> {
        check_sizes(key, &[])?;
        let inner: &Arc<Inner> = &self.inner;
        let writer = inner.lock_writer()?;
        inner.log.check_writable()?;
        let (current, since) = match inner.newest(key)? {
            Newest::Present(position, record) => (Some((position, record)), record.header.lsn),
            // What removed it may be gone from the index; it is visible then.
            Newest::Absent { since } => (None, since.max(inner.visibility.visible())),
        };
        let (change, answer) = decide(current)?;
        let record = match &change {
            Change::Nothing => {
                drop(writer);
                inner.wait_answer(durability, since)?;
                return Ok(answer);
            }
            Change::Delete => NewRecord::new(Kind::Delete, key, &[]),
            Change::Put { value, value_type, expires_at } => {
                let (value_type, expiry) = (*value_type, *expires_at);
                NewRecord { value_type, expiry, ..NewRecord::new(Kind::Put, key, value) }
            }
        };
        inner.commit_and_wait(writer, &[record], durability)?;
        Ok(answer)
    }
}

impl<'a> Change<'a> {
    fn put(value: &'a [u8], options: &WriteOptions) -> Change<'a> {
        let WriteOptions { value_type, expires_at, .. } = *options;
        Change::Put { value: Cow::Borrowed(value), value_type, expires_at }
    }
}

impl Inner {
    /// What the last commit of `key` left. Under the append lock.
    fn newest(&self, key: &[u8]) -> Result<Newest<'_>> {
        let pin = self.index.pin()?;
        let version = match pin.find(key) {
            Found::None => return Ok(Newest::Absent { since: 0 }),
            Found::One(position) => Version { lsn: 0, position, deleted: false },
            Found::Many(mut versions) => {
                versions.next().ok_or(Error::Internal("an empty list of versions"))?
            }
        };
        if version.deleted {
            // Another key with the same fingerprint is not durable later than what it is told.
            return Ok(Newest::Absent { since: version.lsn });
        }
        let record = self.log.read(version.position)?;
        if record.key != key {
            return Ok(Newest::Absent { since: 0 });
        }
        if self.is_expired(&record) {
            return Ok(Newest::Absent { since: record.header.lsn });
        }
        Ok(Newest::Present(version.position, record))
    }
}
