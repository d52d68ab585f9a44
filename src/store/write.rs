//! Changing the store. All changes go through one `commit`.
//!
//! Invariants:
//! 1. A commit is in the log before it is in the index, and in the index before the append lock is
//!    released: the order of the log is the order everybody sees.
//! 2. What is refused leaves neither log nor index changed.
//!
//! Callers: `ffi`, `value`, `import`, and Rust programs.

use std::sync::Arc;

use super::{Inner, Store, Writer};
use crate::error::{Error, Result};
use crate::log::Appended;
use crate::log::format::{Kind, NewRecord};
use crate::options::SyncMode;
use crate::sync::lock;
use crate::types::{KEY_SIZE_MAX, VALUE_SIZE_MAX, ValueType};

/// When a single commit is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// As the store's sync mode says.
    #[default]
    Default,
    /// When it is on the device, whatever the mode.
    Wait,
    /// At once, whatever the mode: a later sync makes it durable.
    NoWait,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteOptions {
    /// The type that is kept with the value.
    pub value_type: ValueType,
    /// When the commit is acknowledged.
    pub durability: Durability,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { value_type: ValueType::Bytes, durability: Durability::Default }
    }
}

impl Store {
    /// Sets `key` to `value`, whether or not it had one.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, WriteOptions::default())
    }

    /// As [`Store::put`], with a value type and a durability of its own.
    ///
    /// Errors: `KeyTooLarge`, `ValueTooLarge`, `NoSpace`, `NoMemory`, `Poisoned`, `Closed`: nothing was
    /// written. `Io` under a waiting mode: the device failed, whether the commit is on it is unknown, and
    /// the store refuses writes until it is opened again.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<()> {
        check_sizes(key, value)?;
        let record = NewRecord { value_type: options.value_type, ..NewRecord::new(Kind::Put, key, value) };
        let inner = &self.inner;
        let appended = {
            let mut writer = inner.lock_writer()?;
            inner.commit_one(&mut writer, &record)?
        };
        inner.acknowledge(appended, options.durability)
    }

    /// Removes `key`. False: it was not there, and nothing was written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        check_sizes(key, &[])?;
        let inner = &self.inner;
        let appended = {
            let mut writer = inner.lock_writer()?;
            if inner.find_newest(key)?.is_none() {
                return Ok(false);
            }
            inner.commit_one(&mut writer, &NewRecord::new(Kind::Delete, key, &[]))?
        };
        inner.acknowledge(appended, Durability::Default)?;
        Ok(true)
    }

    /// Waits until every commit that was acknowledged before is on the device.
    pub fn sync(&self) -> Result<()> {
        self.inner.check()?;
        self.inner.log.sync()
    }
}

impl Inner {
    /// Takes the append lock. The store may have been closed while waiting for it.
    pub(super) fn lock_writer(&self) -> Result<crate::sync::MutexGuard<'_, Writer>> {
        self.check()?;
        let writer = lock(&self.writer)?;
        self.check()?;
        Ok(writer)
    }

    /// Appends one operation to the log and makes it visible.
    fn commit_one(&self, writer: &mut Writer, record: &NewRecord<'_>) -> Result<Appended> {
        let appended = writer.log.append(&self.log, record)?;
        let applied = match record.kind {
            Kind::Delete => writer.index.remove(record.key, &self.log),
            _ => writer.index.insert(record.key, appended.position, &self.log),
        };
        if let Err(error) = applied {
            // The log has it and the index has not: what this handle would answer from now on could be
            // wrong after the next open.
            self.log.poison("the index could not take a change that is in the log");
            return Err(error);
        }
        self.visibility.set_applied(appended.last_lsn);
        self.visibility.advance(self.log.durable_lsn());
        Ok(appended)
    }

    /// Waits for the device where the mode, or the commit, asks for it.
    fn acknowledge(self: &Arc<Self>, appended: Appended, durability: Durability) -> Result<()> {
        if self.log.wants_preparation() {
            self.maintenance.wake(self)?;
        }
        let wait = match durability {
            Durability::Default => self.options.sync_mode == SyncMode::Always,
            Durability::Wait => true,
            Durability::NoWait => false,
        };
        if wait { self.log.wait_durable(appended.last_lsn) } else { Ok(()) }
    }
}

/// Refuses what the format has no room for, before a byte of it is read.
pub(super) fn check_sizes(key: &[u8], value: &[u8]) -> Result<()> {
    if key.len() > KEY_SIZE_MAX {
        return Err(Error::KeyTooLarge { size: key.len() });
    }
    if value.len() > VALUE_SIZE_MAX {
        return Err(Error::ValueTooLarge { size: value.len() });
    }
    Ok(())
}
