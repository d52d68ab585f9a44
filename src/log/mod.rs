//! The log: the only truth. Segments of checksummed frames, appended by one writer, read by anyone.
//!
//! ```text
//! format        every byte: headers, records, checksums
//! segment       one file, its mapping, how far it is filled; position -> segment
//! writer        append a frame, start the next segment
//! prepared      segments before they take frames; the reserve for a full device
//! group_commit  the durable mark, one wait for many commits
//! recovery      open: scan, torn tail or damage, finish
//! lock_file     who has the store open; the newest segment's witness
//! ```
//!
//! Invariants:
//! 1. LSNs are continuous over all frames and segments, in the order the frames lie in.
//! 2. Bytes below a segment's end never change; space is never reused.
//! 3. A commit is one frame under one checksum: after a crash all of it is there or none of it.
//! 4. After any crash the log is a prefix of what was appended that contains everything durable.
//!
//! Callers: `store` only. The log knows nothing of keys' order: the index is somebody else's.

pub mod format;
mod group_commit;
pub mod lock_file;
mod prepared;
mod recovery;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::options::Options;
use crate::os::{Directory, Entry, EntryKind, Os};
use crate::planted::{Bug, planted};
use crate::sync::{Mutex, lock};
use crate::types::{Lsn, Position};

use format::Record;
use group_commit::GroupCommit;
use lock_file::{LockFile, Witness};
use prepared::Prepared;
pub use recovery::Replayed;
use segment::{Segment, SegmentTable};
pub use writer::Writer;

/// The file name of a segment.
pub fn segment_file_name(id: u64) -> String {
    format!("{id:08}.bin")
}

/// The number of the segment with this file name, or `None` where it is no segment's name.
pub fn segment_id_of(name: &str) -> Option<u64> {
    let id = name.strip_suffix(".bin")?.parse().ok()?;
    (id != 0 && segment_file_name(id) == name).then_some(id)
}

/// An open log.
pub struct Log {
    os: Arc<dyn Os>,
    directory: Arc<dyn Directory>,
    lock_file: Mutex<Option<LockFile>>,
    options: Options,
    store_id: [u8; 16],
    segments: SegmentTable,
    commit: GroupCommit,
    prepared: Prepared,
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").field("directory", &self.directory.path()).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in `directory`, of which `lock_file` is the lock and `entries` the contents: recovers
    /// it, and hands every operation to `visit` in LSN order. An empty directory is an empty log.
    ///
    /// Errors: `Corrupt`, `UnsupportedVersion`, `NotAStore` with nothing changed; those of the os.
    pub fn open(
        os: Arc<dyn Os>,
        directory: Arc<dyn Directory>,
        lock_file: LockFile,
        entries: &[Entry],
        options: &Options,
        visit: &mut recovery::Visit<'_>,
    ) -> Result<(Log, Writer)> {
        let mut ids = Vec::new();
        for entry in entries {
            let Some(id) = segment_id_of(&entry.name) else { continue };
            if entry.kind != EntryKind::File {
                return Err(Error::NotAStore {
                    path: directory.path().join(&entry.name).display().to_string(),
                    reason: "it has a segment's name but is not a regular file: move it away".to_string(),
                });
            }
            ids.push(id);
        }
        ids.sort_unstable();
        if planted(Bug::OrderByFile) {
            ids.reverse();
        }
        let found = recovery::find_segments(directory.as_ref(), &ids)?;
        let witness = lock_file.witness()?;
        let mut store_id = [0; 16];
        match (found.first(), witness) {
            (Some(first), _) => store_id = first.header.store_id,
            (None, Some(witness)) => store_id = witness.store_id,
            (None, None) => os.random(&mut store_id)?,
        }
        let witness = witness.filter(|witness| witness.store_id == store_id);
        let newest = witness.map_or(0, |witness| witness.newest_segment);
        let log = Log {
            os,
            directory,
            lock_file: Mutex::new(Some(lock_file)),
            options: options.clone(),
            store_id,
            segments: SegmentTable::new(),
            commit: GroupCommit::new(),
            prepared: Prepared::new(),
        };
        let writer = recovery::recover(&log, found, newest, visit)?;
        log.commit.recovered(writer.last_lsn());
        log.tidy(entries)?;
        Ok((log, writer))
    }

    /// Removes what an interrupted creation left, and sees to it that the witness says what is true.
    fn tidy(&self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            if entry.kind == EntryKind::File
                && entry.name.strip_suffix(".tmp").is_some_and(|name| segment_id_of(name).is_some())
            {
                self.directory.unlink(&entry.name)?;
            }
        }
        let newest_segment = self.segments.all()?.iter().map(|s| s.id()).max().unwrap_or(0);
        let witness = Witness { store_id: self.store_id, newest_segment };
        let held = lock(&self.lock_file)?;
        let lock_file = held.as_ref().ok_or(Error::Closed)?;
        // Before the first segment the witness may be there and its file's name not yet durable, left so by
        // a process that was killed. A directory with a segment in the making and no LOCK is no store.
        if lock_file.witness()? != Some(witness) || (newest_segment == 0 && !planted(Bug::TrustLockName)) {
            lock_file.set_witness(&witness)?;
            self.directory.sync()?;
        }
        Ok(())
    }

    /// Lets the witness name `newest_segment` as the newest one, durably.
    fn set_witness(&self, newest_segment: u64) -> Result<()> {
        let witness = Witness { store_id: self.store_id, newest_segment };
        lock(&self.lock_file)?.as_ref().ok_or(Error::Closed)?.set_witness(&witness)
    }

    /// Lets another process, or another handle, open the store. Nothing may be written any more.
    pub fn release_lock(&self) -> Result<()> {
        *lock(&self.lock_file)? = None;
        Ok(())
    }

    /// The record at `position`, its checksum checked.
    #[inline(always)]
    pub fn read(&self, position: Position) -> Result<Record<'_>> {
        self.look(position).ok_or_else(|| self.missing(position))
    }

    /// As [`Log::read`], where [`Log::missing`] tells why there is none. For those who read many: an error
    /// among the answers keeps the compiler from leaving a record in registers, which doubles the time.
    #[inline(always)]
    pub fn look(&self, position: Position) -> Option<Record<'_>> {
        let (segment, offset) = self.segments.get(position)?;
        // The lines behind the header arrive while the header is looked at.
        segment.map().prefetch(offset, PREFETCH_SIZE);
        segment.verify(offset)
    }

    /// As [`Log::look`], for a record that [`Log::prefetch`] was called for some records ago.
    #[inline(always)]
    pub fn look_fetched(&self, position: Position) -> Option<Record<'_>> {
        let (segment, offset) = self.segments.get(position)?;
        segment.verify(offset)
    }

    /// Why there is no record at `position`.
    #[cold]
    pub fn missing(&self, position: Position) -> Error {
        match self.segments.find(position) {
            Ok((segment, offset)) => segment.damaged(offset),
            Err(error) => error,
        }
    }

    /// As [`Log::read`], pinned: it stays readable after the log is gone.
    pub fn read_pinned(&self, position: Position) -> Result<PinnedRecord> {
        let (segment, offset) = self.segments.find_owned(position)?;
        segment.verify(offset).ok_or_else(|| segment.damaged(offset))?;
        Ok(PinnedRecord { segment, offset })
    }

    /// The record at `position`, unchecked: for the index, whose answers are verified, and for a record
    /// that was read a moment ago.
    #[inline(always)]
    pub fn peek(&self, position: Position) -> Result<Record<'_>> {
        let record = self.segments.get(position).and_then(|(segment, offset)| segment.parse(offset));
        record.ok_or_else(|| self.missing(position))
    }

    /// The first bytes of the record at `position` are needed soon.
    #[inline(always)]
    pub fn prefetch(&self, position: Position) {
        if let Some((segment, offset)) = self.segments.get(position) {
            segment.map().prefetch(offset, PREFETCH_SIZE);
        }
    }

    /// Everything up to this is on the device.
    pub fn durable_lsn(&self) -> Lsn {
        self.commit.durable()
    }

    /// Waits until everything up to `lsn` is on the device.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        self.commit.wait_durable(lsn)
    }

    /// Waits until everything that was appended is on the device.
    pub fn sync(&self) -> Result<()> {
        self.commit.check()?;
        self.commit.sync()
    }

    /// An error where the log refuses writes.
    pub fn check_writable(&self) -> Result<()> {
        self.commit.check()
    }

    /// Makes the log refuse writes from now on.
    pub fn poison(&self, reason: &str) {
        self.commit.poison(reason);
    }

    /// Whether [`Log::prepare`] has something to do.
    #[inline]
    pub fn wants_preparation(&self) -> bool {
        self.prepared.is_wanted()
    }

    /// Makes the next segment ahead of need. For a background thread; nothing depends on it. An error is
    /// met again, and reported, by the write that needs the segment.
    pub fn prepare(&self) -> Result<()> {
        self.commit.check()?;
        self.prepared.prepare(self)
    }

    /// Number of segments, and bytes of frames in them.
    pub fn size(&self) -> Result<(u64, u64)> {
        let segments = self.segments.all()?;
        Ok((segments.len() as u64, segments.iter().map(|segment| segment.end()).sum()))
    }
}

/// Bytes of a record that are fetched ahead: header, a short key, the start of the value.
const PREFETCH_SIZE: usize = 192;

/// A record whose segment stays mapped as long as this lives. Counted; can be sent between threads.
#[derive(Clone, Debug)]
pub struct PinnedRecord {
    segment: Arc<Segment>,
    offset: u64,
}

impl PinnedRecord {
    /// The record. It was verified when it was pinned.
    pub fn record(&self) -> Result<Record<'_>> {
        self.segment.parse(self.offset).ok_or_else(|| self.segment.damaged(self.offset))
    }
}
