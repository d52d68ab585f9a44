//! Older versions that only snapshots see: which ones there are, and how they go when their snapshot does.
//!
//! Each version that a commit replaces and a snapshot needs is noted here under that snapshot, once,
//! whichever commit of the key comes to prune it first. When the snapshot has ended, the note is looked at
//! again: another snapshot may need the version and takes the note over, else the version is taken out of the
//! index. So the work is bounded by versions times snapshots that saw them, and keys that nobody writes again
//! are tidied too.
//!
//! Invariants:
//! 1. Under the append lock. A note is made for each version that stays in the index for a snapshot.
//! 2. A note leads to its key by the position of the version itself, which stays in the index, and so in the
//!    log, as long as a snapshot needs it.
//!
//! Callers: the other modules of `store`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::snapshots::{Snapshots, UNDECIDED};
use super::{Inner, Writer};
use crate::error::Result;
use crate::index::{Need, Version};
use crate::planted::{Bug, planted};
use crate::sync::{MutexGuard, Ordering, lock};
use crate::types::{Lsn, Position};

/// Notes that are looked at under one hold of the append lock: some 50 microseconds.
const SLICE: usize = 128;
/// Notes that a commit looks at, where nobody else does.
const SLICE_OF_A_COMMIT: usize = 8;

/// The notes. See the module.
#[derive(Debug, Default)]
pub(super) struct Retained {
    by_snapshot: BTreeMap<Lsn, Vec<Note>>,
    /// The versions that there are notes of: a deleted range has one position for two versions of a key.
    noted: HashSet<(Position, Lsn)>,
    versions: u64,
    bytes: u64,
}

/// A version at `older` that the one at `newer` replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) position: Position,
    pub(super) older: Lsn,
    pub(super) newer: Lsn,
    pub(super) bytes: u64,
}

impl Retained {
    /// Versions, and bytes of their records.
    pub(super) fn figures(&self) -> (u64, u64) {
        (self.versions, self.bytes)
    }

    /// Notes that the snapshot at `lsn` needs `version`, whose record takes `bytes` and which the one at
    /// `newer` replaced.
    pub(super) fn add(&mut self, snapshots: &Snapshots, lsn: Lsn, note: Note) {
        if self.noted.contains(&(note.position, note.older)) {
            return;
        }
        let notes = self.by_snapshot.entry(lsn).or_default();
        // Without memory for it the version stays until its key is written again.
        if notes.try_reserve(1).is_ok() && self.noted.try_reserve(1).is_ok() {
            self.noted.insert((note.position, note.older));
            notes.push(note);
            self.versions += 1;
            self.bytes += note.bytes;
            if !snapshots.mark_retaining(note.older, note.newer) {
                // No end of a snapshot will ask for a look at it.
                snapshots.set_unsettled();
            }
        }
    }

    /// Takes a note of a snapshot that has ended.
    pub(super) fn take(&mut self, snapshots: &Snapshots) -> Option<Note> {
        let ended = |lsn: &&Lsn| **lsn == UNDECIDED || !snapshots.has(**lsn);
        let lsn = *self.by_snapshot.keys().find(ended)?;
        let notes = self.by_snapshot.get_mut(&lsn)?;
        let note = notes.pop();
        if notes.is_empty() {
            self.by_snapshot.remove(&lsn);
        }
        let note = note?;
        self.noted.remove(&(note.position, note.older));
        self.versions -= 1;
        self.bytes -= note.bytes;
        Some(note)
    }
}

impl Inner {
    /// Who needs `older`, which the version at `newer` replaced, when readers see everything up to `visible`.
    /// The commit that replaced it passes the `notes`, once it is visible.
    pub(super) fn need(
        &self,
        visible: Lsn,
        older: &Version,
        newer: Lsn,
        notes: Option<&mut Retained>,
    ) -> Need {
        if newer > visible { Need::Readers } else { self.retain(older, newer, notes) }
    }

    /// Whether a snapshot needs `older`, which the version at `newer` replaced. With `notes` it is noted.
    pub(super) fn retain(&self, older: &Version, newer: Lsn, notes: Option<&mut Retained>) -> Need {
        let Some(lsn) = self.snapshots.needing(older.lsn, newer) else { return Need::Nobody };
        if planted(Bug::DropNeeded) {
            return Need::Nobody;
        }
        if let Some(notes) = notes {
            let size = |position| self.log.peek(position).map(|record| record.header.padded_length());
            let bytes = if older.deleted { 0 } else { size(older.position).unwrap_or(0) };
            let note = Note { position: older.position, older: older.lsn, newer, bytes };
            notes.add(&self.snapshots, lsn, note);
        }
        Need::Snapshots
    }

    /// A snapshot has ended for which versions were kept. Never waits: what it needed alone is taken out of
    /// the index by the background thread, or here if the append lock is free, or by the commits that follow.
    pub(super) fn settle_soon(self: &Arc<Self>) {
        if self.check().is_err() || planted(Bug::NeverRelease) {
            return;
        }
        self.snapshots.set_unsettled();
        if self.options.maintenance && self.maintenance.wake(self).is_ok() {
            return;
        }
        while let Ok(mut writer) = self.writer.try_lock() {
            if !self.settle(&mut writer, SLICE).unwrap_or(false) {
                break;
            }
        }
    }

    /// Looks at what snapshots that have ended left, with the append lock free in between.
    pub(super) fn settle_all(&self) {
        while self.snapshots.unsettled() {
            let Ok(mut writer) = lock(&self.writer) else { return };
            if !self.settle(&mut writer, SLICE).unwrap_or(false) {
                return;
            }
        }
    }

    /// As [`Inner::settle_all`], as much as a commit may take upon itself.
    #[inline]
    pub(super) fn settle_some(&self, writer: &mut MutexGuard<'_, Writer>) {
        if self.snapshots.unsettled() && !self.options.maintenance {
            // What cannot be pruned now stays in the index; the commit is not concerned.
            let _ = self.settle(writer, SLICE_OF_A_COMMIT);
        }
    }

    /// Looks at up to `limit` notes of snapshots that have ended. False: there is none left.
    fn settle(&self, writer: &mut MutexGuard<'_, Writer>, limit: usize) -> Result<bool> {
        self.snapshots.begin_to_settle();
        let Writer { index, retained, .. } = &mut **writer;
        for _ in 0..limit {
            let Some(note) = retained.take(&self.snapshots) else { return Ok(false) };
            // The fence orders the look at the mark before the look at the snapshots.
            let visible = self.visibility.visible();
            let _ = self.snapshots.are_none();
            if let Some(lsn) = self.snapshots.needing(note.older, note.newer) {
                retained.add(&self.snapshots, lsn, note);
                if lsn == UNDECIDED {
                    // It is about to read the mark; the next look will know.
                    return Ok(false);
                }
                continue;
            }
            let key = self.log.peek(note.position)?.key;
            index.prune_versions(
                key,
                &self.log,
                |older, newer| self.need(visible, older, newer, None),
                |_| {},
            )?;
        }
        self.snapshots.set_unsettled();
        Ok(true)
    }
}

impl Snapshots {
    /// Before a look at what is kept. A snapshot that has said that it has ended is seen to have; one that
    /// ends from now on says so again. A plain store could come after the look, and take back what was said.
    pub(super) fn begin_to_settle(&self) {
        self.unsettled.swap(false, Ordering::AcqRel);
    }

    /// Something may be kept for nobody. Exchanged here too, so that there is one order of both.
    pub(super) fn set_unsettled(&self) {
        self.unsettled.swap(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }
}
