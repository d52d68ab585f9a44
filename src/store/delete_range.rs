//! Deleting a range: one record in the log, a deletion of each key in the index.
//!
//! A deletion in the index stands at a record that has its key. The range's own record has not, so it stands
//! where the version stands that it deletes.
//!
//! Invariant 1: everything here happens under the append lock.
//!
//! A walk comes to the keys of the index in order, some hundred under one pin, with their records fetched
//! ahead: the log of a random load has them anywhere.
//!
//! Callers: the other modules of `store`.

use std::ops::Bound;

use super::{Inner, Writer};
use crate::error::{Error, Result};
use crate::index::{Found, LOOK_AHEAD, Newest, Room, Version, Writer as IndexWriter};
use crate::log::Log;
use crate::log::format::{Kind, NewRecord};
use crate::planted::{Bug, planted};
use crate::sync::lock;
use crate::types::Lsn;

/// Keys that are looked at under one pin.
const RUN: usize = 256;

/// Whether `key` lies before the end `to` of a range; an empty one is no end.
pub(super) fn is_before_end(key: &[u8], to: &[u8]) -> bool {
    to.is_empty() || key < to
}

impl Inner {
    /// Calls `each` with every key that the index has from `from` on and before `to`, also one whose newest
    /// version is a deletion. `each` may change that key.
    fn for_each_in_range(
        &self,
        writer: &mut Writer,
        from: &[u8],
        to: &[u8],
        mut each: impl FnMut(&mut Writer, &[u8], Newest) -> Result<()>,
    ) -> Result<()> {
        let mut start = Bound::Included(from);
        let mut run = Vec::new();
        loop {
            run.clear();
            self.index.pin()?.newest_of_range(start, RUN, &mut run, &self.log)?;
            for (place, newest) in run.iter().enumerate() {
                self.fetch_ahead(&run, place);
                let key = self.log.peek(newest.position)?.key;
                if !is_before_end(key, to) {
                    return Ok(());
                }
                if planted(Bug::StopAtPending) && newest.lsn > Some(self.visibility.visible()) {
                    return Ok(());
                }
                each(writer, key, *newest)?;
                start = Bound::Excluded(key);
            }
            if run.len() < RUN {
                return Ok(());
            }
        }
    }

    /// How many keys there are from `from` on and before `to`, whoever can see them, and what a deletion of
    /// each takes in the index.
    pub(super) fn measure_range(&self, writer: &mut Writer, from: &[u8], to: &[u8]) -> Result<(u64, Room)> {
        let (mut count, mut room) = (0, Room::default());
        self.for_each_in_range(writer, from, to, |_, key, newest| {
            room.add(newest.versions + 1);
            if newest.versions > 1 || !matches!(self.index.pin()?.find_older(key), Found::None) {
                // What it deletes stays beside the deletion. What stood behind that moves to where only
                // snapshots look, or goes from there.
                room.add_change();
            }
            let expired = || self.log.peek(newest.position).map(|record| self.is_expired(&record));
            count += u64::from(!newest.deleted && !expired()?);
            Ok(())
        })?;
        Ok((count, room))
    }

    /// Sees to it that the index can take `records`, some of which delete ranges, without asking for memory.
    pub(super) fn reserve_ranges(&self, writer: &mut Writer, records: &[NewRecord<'_>]) -> Result<()> {
        let mut all = Room::default();
        for record in records {
            if record.kind == Kind::DeleteRange {
                all.join(&self.measure_range(writer, record.key, record.value)?.1);
            } else {
                // One version for the change, and one for a range behind it that deletes what it put.
                all.add_change();
                all.add_change();
            }
        }
        writer.index.reserve_room(&all)
    }

    /// Deletes, at `lsn` of the commit that begins at `first`, every key from `from` on and before `to` in
    /// the index, beside the versions that readers still see.
    pub(super) fn delete_range_beside(
        &self,
        writer: &mut Writer,
        from: &[u8],
        to: &[u8],
        first: Lsn,
        lsn: Lsn,
    ) -> Result<()> {
        self.for_each_in_range(writer, from, to, |writer, key, newest| {
            if newest.deleted {
                return Ok(());
            }
            let version = Version { lsn, position: newest.position, deleted: true };
            self.push_beside(writer, key, first, version)
        })
    }

    /// Prunes every key from `from` on and before `to`, after a commit deleted it. The append lock is taken
    /// for some keys at a time: others may have put them again meanwhile.
    pub(super) fn prune_range(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let (mut start, mut run) = (Bound::Included(from), Vec::new());
        loop {
            let mut writer = lock(&self.writer)?;
            run.clear();
            self.index.pin()?.newest_of_range(start, RUN, &mut run, &self.log)?;
            for (place, newest) in run.iter().enumerate() {
                self.fetch_ahead(&run, place);
                let key = self.log.peek(newest.position)?.key;
                if !is_before_end(key, to) {
                    return Ok(());
                }
                self.prune_key(&mut writer, key)?;
                start = Bound::Excluded(key);
            }
            if run.len() < RUN {
                return Ok(());
            }
        }
    }

    /// The record some places behind this one of a run is needed soon.
    fn fetch_ahead(&self, run: &[Newest], place: usize) {
        if let Some(ahead) = run.get(place + LOOK_AHEAD) {
            self.log.prefetch(ahead.position);
        }
    }
}

/// Takes every key from `from` on and before `to` out of an index that nobody reads yet: for the replay.
pub(super) fn remove_range(
    index: &crate::index::Index,
    writer: &mut IndexWriter,
    log: &Log,
    from: &[u8],
    to: &[u8],
) -> Result<()> {
    let mut run = Vec::new();
    loop {
        run.clear();
        index.pin()?.newest_of_range(Bound::Included(from), RUN, &mut run, log)?;
        for newest in &run {
            let key = log.peek(newest.position)?.key;
            if !is_before_end(key, to) {
                return Ok(());
            }
            writer.remove(key, log)?.ok_or(Error::Internal("a key that the replay met is not there"))?;
        }
        if run.len() < RUN {
            return Ok(());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::options::{Options, SyncMode};
    use crate::store::{Batch, Durability, Store};

    #[test]
    fn deleting_a_range_beside_a_snapshot_takes_no_more_memory_than_without() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
        let store = Store::open(directory.path().join("db"), &options).unwrap();
        for part in 0..40_u32 {
            let mut batch = Batch::new();
            for key in 0..500 {
                batch.put(&(part * 500 + key).to_be_bytes(), b"").unwrap();
            }
            store.write(&batch, Durability::Default).unwrap();
        }
        let _snapshot = store.snapshot().unwrap();
        let before = store.inner.index.memory().committed_bytes;
        assert_eq!(store.delete_range(b"", b"").unwrap(), 20_000);
        let taken = store.inner.index.memory().committed_bytes - before;
        assert!(taken < 20_000 * 500, "{taken} bytes");
    }
}
