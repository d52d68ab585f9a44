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

use std::borrow::Cow;
use std::sync::Arc;

use super::batch::Batch;
use super::{Inner, Store, Writer};
use crate::error::{Error, Result};
use crate::index::{Need, Version};
use crate::log::format::{Kind, NewRecord};
use crate::options::SyncMode;
use crate::planted::{Bug, planted};
use crate::sync::{MutexGuard, Ordering, fence, lock};
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
    /// From when on the record reads as absent, in milliseconds since 1970-01-01 UTC by the system's clock.
    pub expires_at: Option<i64>,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { value_type: ValueType::Bytes, durability: Durability::Default, expires_at: None }
    }
}

impl Store {
    /// Sets `key` to `value`, whether or not it had one.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, WriteOptions::default())
    }

    /// As [`Store::put`], with a value type, an expiry, and a durability of its own.
    ///
    /// Errors: `KeyTooLarge`, `ValueTooLarge`, `NoSpace`, `NoMemory`, `Poisoned`, `Closed`: nothing was
    /// written. `Io` from a commit that waits: the device failed, whether the commit is on it is unknown,
    /// nobody sees it, and the store refuses writes until it is opened again.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<()> {
        check_sizes(key, value)?;
        let record = NewRecord {
            value_type: options.value_type,
            expiry: options.expires_at,
            ..NewRecord::new(Kind::Put, key, value)
        };
        self.inner.commit_and_wait(self.inner.lock_writer()?, &[record], options.durability)
    }

    /// Removes `key`. False: it was not there, and nothing was written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.update(key, Durability::Default, |current| match current {
            Some(_) => Ok((Change::Delete, true)),
            None => Ok((Change::Nothing, false)),
        })
    }

    /// Removes every key from `from` on and before `to`, or to the last one where `to` is empty, in one
    /// commit. Returns how many there were; 0: nothing was written.
    ///
    /// Takes time and memory for each key: some hundred nanoseconds, and 64 bytes until the commit is
    /// visible. Errors: as [`Store::put_with`].
    pub fn delete_range(&self, from: &[u8], to: &[u8]) -> Result<u64> {
        check_sizes(from, &[])?;
        check_sizes(to, &[])?;
        let mut writer = self.inner.lock_writer()?;
        self.inner.log.check_writable()?;
        let (found, room) = self.inner.measure_range(&mut writer, from, to)?;
        if found == 0 {
            let since = writer.log.last_lsn();
            drop(writer);
            self.inner.wait_answer(Durability::Default, since)?;
            return Ok(0);
        }
        writer.index.reserve_room(&room)?;
        let record = NewRecord::new(Kind::DeleteRange, from, to);
        self.inner.commit_reserved(writer, &[record], Durability::Default)?;
        Ok(found)
    }

    /// Makes all changes of `batch` in one commit: readers, and every later open, see all of them or none.
    ///
    /// Errors: as [`Store::put_with`]; `InvalidArgument` for a batch over 2 GiB.
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let records = batch.records()?;
        let writer = self.inner.lock_writer()?;
        if records.is_empty() {
            return self.inner.log.check_writable();
        }
        self.inner.commit_and_wait(writer, &records, durability)
    }

    /// Waits until every commit that was acknowledged before is on the device.
    pub fn sync(&self) -> Result<()> {
        self.inner.check()?;
        self.inner.log.sync()?;
        self.inner.visibility.advance(self.inner.log.durable_lsn());
        Ok(())
    }
}

/// What [`Store::update`] does to a key.
pub(super) enum Change<'a> {
    /// Leaves it as it is.
    Nothing,
    /// Sets it.
    Put { value: Cow<'a, [u8]>, value_type: ValueType, expires_at: Option<i64> },
    /// Removes it.
    Delete,
}

/// Keys that are pruned under one hold of the append lock.
const KEYS_UNDER_LOCK: usize = 256;

/// A commit that is in the log and the index.
struct Commit {
    last_lsn: Lsn,
    waits: bool,
    /// Whether the index keeps older versions beside it until it is visible.
    beside: bool,
}

impl Inner {
    /// Takes the append lock. The store may have been closed while waiting for it.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
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

    /// Waits until what an answer rests on, all up to `since`, is as durable as the answer has to be, so that
    /// no power loss takes it back, and visible, so that nobody who was answered sees what was before.
    pub(super) fn wait_answer(&self, durability: Durability, since: Lsn) -> Result<()> {
        if planted(Bug::AnswerEarly) {
            return Ok(());
        }
        if self.waits(durability) {
            self.log.wait_durable(since)?;
        }
        if planted(Bug::AnswerUnseen) {
            return Ok(());
        }
        // The log has operations of its own behind the last commit.
        self.wait_visible(since.min(self.visibility.applied()))
    }

    /// Waits until everything up to `lsn`, a commit that is in the index, is visible.
    fn wait_visible(&self, lsn: Lsn) -> Result<()> {
        self.visibility.advance(self.log.durable_lsn());
        // A later commit may have begun to wait meanwhile, and then the mark stops at what is durable,
        // which need not reach this one: so once more, for that later one.
        while self.visibility.visible() < lsn && !planted(Bug::AcknowledgeEarly) {
            self.log.wait_durable(self.visibility.waiting())?;
            self.visibility.advance(self.log.durable_lsn());
        }
        Ok(())
    }

    /// Commits `records`, of which there is at least one, as one frame, releases the append lock, and waits
    /// as `durability` says. The way of every change.
    pub(super) fn commit_and_wait(
        self: &Arc<Self>,
        mut writer: MutexGuard<'_, Writer>,
        records: &[NewRecord<'_>],
        durability: Durability,
    ) -> Result<()> {
        // What the index needs is had before the log takes the change (invariant 2).
        self.reserve(&mut writer, records)?;
        self.commit_reserved(writer, records, durability)
    }

    /// As [`Inner::commit_and_wait`], when the index has room for `records` already.
    fn commit_reserved(
        self: &Arc<Self>,
        mut writer: MutexGuard<'_, Writer>,
        records: &[NewRecord<'_>],
        durability: Durability,
    ) -> Result<()> {
        let waits = self.waits(durability);
        let commit = match records {
            [record] => self.commit_one(&mut writer, record, waits)?,
            _ => self.commit_batch(&mut writer, records, waits)?,
        };
        self.settle_some(&mut writer);
        drop(writer);
        self.acknowledge(&commit, records)
    }

    /// Commits one change.
    fn commit_one(&self, writer: &mut Writer, record: &NewRecord<'_>, waits: bool) -> Result<Commit> {
        let mut beside = waits || record.kind != Kind::Put || self.visibility.is_behind();
        let appended = writer.log.append(&self.log, record)?;
        let lsn = appended.last_lsn;
        writer.recent.push(lsn, appended.position);
        if waits {
            self.visibility.set_waiting(lsn);
        }
        if beside {
            self.put_beside(writer, record, lsn, lsn, appended.position)?;
        } else {
            self.put_alone(writer, record.key, lsn, appended.position)?;
        }
        self.visibility.set_applied(lsn);
        self.visibility.advance(self.log.durable_lsn());
        let commit = Commit { last_lsn: lsn, waits, beside };
        if beside && record.kind != Kind::DeleteRange && self.visibility.visible() >= lsn {
            // Visible already: what it replaced can go at once. Without memory for it it stays until the key
            // is written again.
            let _ = self.prune_key(writer, record.key);
            beside = false;
        }
        Ok(Commit { beside, ..commit })
    }

    /// Commits several changes as one.
    fn commit_batch(&self, writer: &mut Writer, records: &[NewRecord<'_>], waits: bool) -> Result<Commit> {
        let mut positions = Vec::new();
        let appended = writer.log.append_batch(&self.log, records, &mut positions)?;
        if waits {
            self.visibility.set_waiting(appended.last_lsn);
        }
        for ((record, position), lsn) in records.iter().zip(positions).zip(appended.first_lsn..) {
            writer.recent.push(lsn, position);
            self.put_beside(writer, record, appended.first_lsn, lsn, position)?;
            if planted(Bug::PieceByPiece) {
                self.visibility.set_applied(lsn);
                self.visibility.advance(self.log.durable_lsn());
            }
        }
        self.visibility.set_applied(appended.last_lsn);
        self.visibility.advance(self.log.durable_lsn());
        Ok(Commit { last_lsn: appended.last_lsn, waits, beside: true })
    }

    /// Sees to it that the index can take `records` without asking for memory.
    fn reserve(&self, writer: &mut Writer, records: &[NewRecord<'_>]) -> Result<()> {
        if records.iter().all(|record| record.kind != Kind::DeleteRange) {
            return writer.index.reserve(records.len());
        }
        self.reserve_ranges(writer, records)
    }

    /// Puts a change into the index that is visible at once, in place of what was there. What snapshots need
    /// of that is kept.
    fn put_alone(&self, writer: &mut Writer, key: &[u8], lsn: Lsn, position: Position) -> Result<()> {
        let Writer { index, retained, .. } = writer;
        let version = Version { lsn, position, deleted: false };
        let note = |replaced| {
            self.visibility.note(lsn, replaced);
            !self.snapshots.are_none()
        };
        let needed =
            |older: &Version, newer: Lsn| self.retain(older, newer, (newer == lsn).then_some(&mut *retained));
        let put = index.put_newest(key, version, &self.log, note, needed);
        put.map_err(|error| self.index_failed(error))
    }

    /// Puts a change of the commit that begins at `first` into the index beside the versions that readers
    /// still see.
    fn put_beside(
        &self,
        writer: &mut Writer,
        record: &NewRecord<'_>,
        first: Lsn,
        lsn: Lsn,
        position: Position,
    ) -> Result<()> {
        let put = match record.kind {
            Kind::DeleteRange => self.delete_range_beside(writer, record.key, record.value, first, lsn),
            kind => {
                let version = Version { lsn, position, deleted: kind == Kind::Delete };
                self.push_beside(writer, record.key, first, version)
            }
        };
        put.map_err(|error| self.index_failed(error))
    }

    /// Puts one version of a key into the index beside the versions that readers still see. What the same
    /// commit, which begins at `first`, made of the key before is seen by nobody, and would grow with it.
    pub(super) fn push_beside(
        &self,
        writer: &mut Writer,
        key: &[u8],
        first: Lsn,
        version: Version,
    ) -> Result<()> {
        let visible = self.visible_for_pruning();
        let needed = |older: &Version, newer: Lsn| {
            if older.lsn >= first { Need::Nobody } else { self.need(visible, older, newer, None) }
        };
        writer.index.push_version(key, version, &self.log, needed, |_| {})
    }

    /// The mark, with the fence that a look at the snapshots needs before it.
    pub(super) fn visible_for_pruning(&self) -> Lsn {
        let visible = self.visibility.visible();
        fence(Ordering::SeqCst);
        visible
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
        if self.log.wants_preparation() || self.snapshots.unsettled() {
            // Without the thread the put that needs a new segment makes it, and commits settle a few each.
            let _ = self.maintenance.wake(self);
        }
        if !commit.beside {
            return Ok(());
        }
        if commit.waits && !planted(Bug::AcknowledgeEarly) {
            self.log.wait_durable(commit.last_lsn)?;
        }
        self.wait_visible(commit.last_lsn)?;
        self.prune(records);
        if self.snapshots.unsettled() {
            // A snapshot has ended while something was noted for it.
            if !self.options.maintenance
                && let Ok(mut writer) = lock(&self.writer)
            {
                self.settle_some(&mut writer);
            }
            let _ = self.maintenance.wake(self);
        }
        Ok(())
    }

    /// Takes the older versions of these keys out of the index that nobody needs any more, and notes those
    /// that were replaced and a snapshot needs. The append lock is free again after some keys.
    fn prune(&self, records: &[NewRecord<'_>]) {
        for records in records.chunk_by(|a, b| (a.kind == Kind::DeleteRange) == (b.kind == Kind::DeleteRange))
        {
            for records in records.chunks(KEYS_UNDER_LOCK) {
                // Without memory for it they stay until the key is written again.
                if let [NewRecord { kind: Kind::DeleteRange, .. }, ..] = records {
                    records.iter().for_each(|range| {
                        let _ = self.prune_range(range.key, range.value);
                    });
                } else if let Ok(mut writer) = lock(&self.writer) {
                    records.iter().for_each(|record| {
                        let _ = self.prune_key(&mut writer, record.key);
                    });
                }
            }
        }
    }

    /// As [`Inner::prune`], for one key. What an earlier commit replaced is noted too: where several become
    /// visible together, the first one pruned drops what stands between the others.
    pub(super) fn prune_key(&self, writer: &mut Writer, key: &[u8]) -> Result<()> {
        let Writer { index, retained, .. } = writer;
        let visible = self.visible_for_pruning();
        let needed = |older: &Version, newer: Lsn| self.need(visible, older, newer, Some(&mut *retained));
        index.prune_versions(key, &self.log, needed, |_| {})
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
