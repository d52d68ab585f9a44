//! Changing the store. All changes go through one commit: log, index, visible.
//!
//! Invariants:
//! 1. A commit is in the log before it is in the index, and in the index before the append lock is
//!    released: the order of the log is the order everybody sees.
//! 2. What is refused leaves neither log nor index changed.
//! 3. A commit that waits for the device is visible to nobody before it is durable (see `visibility`).
//! 4. No lock is held while waiting for the device.
//!
//! Callers: `ffi`, `value`, `import`, and Rust programs.

use std::sync::Arc;

use super::batch::Batch;
use super::{Inner, Store, Writer};
use crate::error::{Error, Result};
use crate::index::{Found, Version};
use crate::log::format::{Kind, NewRecord};
use crate::options::SyncMode;
use crate::planted::{Bug, planted};
use crate::sync::{MutexGuard, lock};
use crate::types::{KEY_SIZE_MAX, Lsn, Position, VALUE_SIZE_MAX, ValueType};

/// When a single commit is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// As the store's sync mode says.
    #[default]
    Default,
    /// When it is on the device, whatever the mode.
    Wait,
    /// Without waiting for it to be on the device, whatever the mode: a later sync makes it durable. Commits
    /// become visible in order, so it waits for earlier ones that do wait.
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
    /// written. `Io` from a commit that waits: the device failed, whether the commit is on it is unknown,
    /// nobody sees it, and the store refuses writes until it is opened again.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<()> {
        check_sizes(key, value)?;
        let record = NewRecord { value_type: options.value_type, ..NewRecord::new(Kind::Put, key, value) };
        let waits = self.inner.waits(options.durability);
        let mut writer = self.inner.lock_writer()?;
        let commit = self.inner.commit_one(&mut writer, &record, waits)?;
        drop(writer);
        self.inner.acknowledge(&commit, std::slice::from_ref(&record))
    }

    /// Removes `key`. False: it was not there, and nothing was written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        check_sizes(key, &[])?;
        let waits = self.inner.waits(Durability::Default);
        let mut writer = self.inner.lock_writer()?;
        if let Newest::Absent { since } = self.inner.newest(key)? {
            drop(writer);
            // The answer must not be taken back by a power loss either.
            if waits && !planted(Bug::AnswerEarly) {
                self.inner.log.wait_durable(since)?;
            }
            return Ok(false);
        }
        let record = NewRecord::new(Kind::Delete, key, &[]);
        let commit = self.inner.commit_one(&mut writer, &record, waits)?;
        drop(writer);
        self.inner.acknowledge(&commit, std::slice::from_ref(&record))?;
        Ok(true)
    }

    /// Makes all changes of `batch` in one commit: readers, and every later open, see all of them or none.
    ///
    /// Errors: as [`Store::put_with`]; `InvalidArgument` for a batch over 2 GiB.
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let records = batch.records()?;
        if records.is_empty() {
            return self.inner.check();
        }
        let waits = self.inner.waits(durability);
        let mut writer = self.inner.lock_writer()?;
        let commit = self.inner.commit_batch(&mut writer, &records, waits)?;
        drop(writer);
        self.inner.acknowledge(&commit, &records)
    }

    /// Waits until every commit that was acknowledged before is on the device.
    pub fn sync(&self) -> Result<()> {
        self.inner.check()?;
        self.inner.log.sync()?;
        self.inner.visibility.advance(self.inner.log.durable_lsn());
        Ok(())
    }
}

/// A commit that is in the log and the index.
struct Commit {
    last_lsn: Lsn,
    waits: bool,
    /// Whether the index keeps older versions beside it until it is visible.
    beside: bool,
}

/// What the last commit of a key left, visible yet or not.
enum Newest {
    Present,
    /// By an operation not after `since`.
    Absent {
        since: Lsn,
    },
}

impl Inner {
    /// Takes the append lock. The store may have been closed while waiting for it.
    fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        self.check()?;
        let writer = lock(&self.writer)?;
        self.check()?;
        Ok(writer)
    }

    fn waits(&self, durability: Durability) -> bool {
        match durability {
            Durability::Default => self.options.sync_mode == SyncMode::Always,
            Durability::Wait => true,
            Durability::NoWait => false,
        }
    }

    /// Commits one change.
    fn commit_one(&self, writer: &mut Writer, record: &NewRecord<'_>, waits: bool) -> Result<Commit> {
        // What the index needs is had before the log takes the change (invariant 2).
        writer.index.reserve(1)?;
        let beside = waits || self.visibility.is_behind();
        let appended = writer.log.append(&self.log, record)?;
        let lsn = appended.last_lsn;
        if beside {
            if waits {
                self.visibility.set_waiting(lsn);
            }
            self.put_beside(writer, record, lsn, appended.position)?;
        } else {
            let applied = match record.kind {
                Kind::Delete => writer.index.remove(record.key, &self.log),
                _ => writer.index.insert_noting(record.key, appended.position, &self.log, |replaced| {
                    self.visibility.note(lsn, replaced);
                }),
            };
            applied.map_err(|error| self.index_failed(error))?;
        }
        self.visibility.set_applied(lsn);
        self.visibility.advance(self.log.durable_lsn());
        Ok(Commit { last_lsn: lsn, waits, beside })
    }

    /// Commits several changes as one.
    fn commit_batch(&self, writer: &mut Writer, records: &[NewRecord<'_>], waits: bool) -> Result<Commit> {
        writer.index.reserve(records.len())?;
        let mut positions = Vec::new();
        let appended = writer.log.append_batch(&self.log, records, &mut positions)?;
        if waits {
            self.visibility.set_waiting(appended.last_lsn);
        }
        for ((record, position), lsn) in records.iter().zip(positions).zip(appended.first_lsn..) {
            self.put_beside(writer, record, lsn, position)?;
        }
        self.visibility.set_applied(appended.last_lsn);
        self.visibility.advance(self.log.durable_lsn());
        Ok(Commit { last_lsn: appended.last_lsn, waits, beside: true })
    }

    /// Puts a change into the index beside the versions that readers still see.
    fn put_beside(
        &self,
        writer: &mut Writer,
        record: &NewRecord<'_>,
        lsn: Lsn,
        position: Position,
    ) -> Result<()> {
        let version = Version { lsn, position, deleted: record.kind == Kind::Delete };
        let visible = self.visibility.visible();
        writer
            .index
            .push_version(record.key, version, &self.log, |_, newer| newer > visible, |_| {})
            .map_err(|error| self.index_failed(error))
    }

    /// The log has a change and the index has not: what this handle answers from now on could differ from
    /// what the next open finds. Memory was reserved, so this is a damaged record or a mistake.
    #[cold]
    fn index_failed(&self, error: Error) -> Error {
        self.log.poison(&format!("the index could not take a change that is in the log: {error}"));
        error
    }

    /// Waits for the device where the commit does, and for being visible where it does not.
    fn acknowledge(self: &Arc<Self>, commit: &Commit, records: &[NewRecord<'_>]) -> Result<()> {
        if self.log.wants_preparation() {
            // Without the thread the put that needs a new segment makes it.
            let _ = self.maintenance.wake(self);
        }
        if !commit.beside {
            return Ok(());
        }
        if commit.waits && !planted(Bug::AcknowledgeEarly) {
            self.log.wait_durable(commit.last_lsn)?;
        }
        self.visibility.advance(self.log.durable_lsn());
        // A later commit may have begun to wait meanwhile, and then the mark stops at what is durable,
        // which need not reach this one: so once more, for that later one.
        while self.visibility.visible() < commit.last_lsn && !planted(Bug::AcknowledgeEarly) {
            self.log.wait_durable(self.visibility.waiting())?;
            self.visibility.advance(self.log.durable_lsn());
        }
        self.prune(records);
        Ok(())
    }

    /// Takes the older versions of these keys out of the index that nobody needs any more.
    fn prune(&self, records: &[NewRecord<'_>]) {
        let Ok(mut writer) = lock(&self.writer) else { return };
        let visible = self.visibility.visible();
        for record in records {
            // Without memory for it they stay until the key is written again.
            let _ = writer.index.prune_versions(record.key, &self.log, |_, newer| newer > visible, |_| {});
        }
    }

    /// What the last commit of `key` left. Under the append lock.
    fn newest(&self, key: &[u8]) -> Result<Newest> {
        let pin = self.index.pin()?;
        let version = match pin.find(key) {
            Found::None => return Ok(Newest::Absent { since: 0 }),
            Found::One(position) => Version { lsn: 0, position, deleted: false },
            Found::Many(mut versions) => {
                versions.next().ok_or(Error::Internal("an empty list of versions"))?
            }
        };
        if version.deleted {
            return Ok(Newest::Absent { since: version.lsn });
        }
        let same = self.log.read(version.position)?.key == key;
        Ok(if same { Newest::Present } else { Newest::Absent { since: 0 } })
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
