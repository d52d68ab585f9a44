//! Opening and closing.
//!
//! Open: find or make the directory, take the lock, recover the log, put every operation into the index.
//! There is one way, whatever ended the last session.
//!
//! Callers: `ffi` and Rust programs.

use std::path::Path;
use std::sync::Arc;

use super::delete_range::remove_range;
use super::maintenance::Maintenance;
use super::recent::Recent;
use super::retained::Retained;
use super::snapshots::Snapshots;
use super::visibility::Visibility;
use super::{Inner, Open, Store, Writer};
use crate::error::{Error, Result};
use crate::index::{Index, Writer as IndexWriter};
use crate::log::format::Kind;
use crate::log::lock_file::{LOCK_FILE_NAME, LockFile, is_lock_file};
use crate::log::{Log, Replayed, segment_id_of};
use crate::options::{Options, SyncMode};
use crate::os::real::RealOs;
use crate::os::{Directory, Entry, Os};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::types::Position;

impl Store {
    /// Opens the store in the directory `path`, and creates it if the options say so.
    ///
    /// Errors: `NotFound`, `AlreadyExists`, `NotAStore`, `Locked`, `Corrupt`, `UnsupportedVersion`,
    /// `Permission`, `NoSpace`, `NoMemory`, `Io`, `InvalidArgument`. Damage is reported with nothing
    /// changed.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Store> {
        Store::open_with(RealOs::new(), path.as_ref(), options)
    }

    fn open_with(os: Arc<dyn Os>, path: &Path, options: &Options) -> Result<Store> {
        options.validate()?;
        let process_id = os.process_id();
        let directory = os.open_directory(path, options.create_if_missing)?;
        check_contents(directory.as_ref(), &directory.list()?, options)?;
        let lock_file = LockFile::acquire(directory.as_ref(), process_id)?;
        // Listed again under the lock: until then another process could change it.
        let entries = directory.list()?;
        let mut replay = Replay::new()?;
        let (log, log_writer) =
            Log::open(Arc::clone(&os), directory, lock_file, &entries, options, &mut |log, replayed| {
                replay.take(log, &replayed)
            })?;
        replay.flush(&log)?;
        let Replay { index, writer: index_writer, .. } = replay;
        let visibility = Visibility::new(log_writer.last_lsn());
        let inner = Arc::new(Inner {
            os,
            path: path.to_path_buf(),
            options: options.clone(),
            process_id,
            closed: AtomicBool::new(false),
            log,
            index,
            visibility,
            snapshots: Snapshots::new()?,
            writer: Mutex::new(Writer {
                log: log_writer,
                index: index_writer,
                retained: Retained::default(),
                recent: Recent::default(),
            }),
            maintenance: Maintenance::new(),
        });
        if matches!(inner.options.sync_mode, SyncMode::Interval(_)) {
            inner.maintenance.wake(&inner)?;
        }
        Ok(Store { inner: Arc::new(Open(inner)) })
    }

    /// As [`Store::open`], on a given operating system: the door for the simulated one.
    #[cfg(feature = "sim")]
    pub fn open_on(os: Arc<dyn Os>, path: impl AsRef<Path>, options: &Options) -> Result<Store> {
        Store::open_with(os, path.as_ref(), options)
    }

    /// Makes the next segment now, if it is time to, as the background thread would.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub fn prepare_segment(&self) -> Result<()> {
        self.inner.check()?;
        if self.inner.log.wants_preparation() { self.inner.log.prepare() } else { Ok(()) }
    }

    /// Waits until everything is on the device, ends the log's active segment, and releases the store's
    /// lock. Every later call on any handle answers `Closed`; closing again does nothing.
    ///
    /// An error means that the end of the log may not be on the device; the store is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl Inner {
    pub(super) fn close(&self) -> Result<()> {
        if self.os.process_id() != self.process_id {
            // The files and the lock are the parent's. Only memory is given back here.
            return Err(Error::Forked);
        }
        self.maintenance.stop();
        let mut writer = lock(&self.writer)?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let closed = writer.log.close(&self.log);
        self.log.release_lock()?;
        closed
    }
}

/// Tells a store, an empty directory, and somebody else's directory apart, before anything is written.
fn check_contents(directory: &dyn Directory, entries: &[Entry], options: &Options) -> Result<()> {
    let path = || directory.path().display().to_string();
    let has_segments = entries.iter().any(|entry| segment_id_of(&entry.name).is_some());
    let has_lock = entries.iter().any(|entry| entry.name == LOCK_FILE_NAME);
    let other = entries.iter().find(|entry| entry.name != LOCK_FILE_NAME);
    // A crash while the store was created may leave anything in LOCK, but nothing beside it. Other programs
    // have lock files of that name too, beside files of their own.
    let is_store = has_segments || has_lock && (other.is_none() || is_lock_file(directory)?);
    match (is_store, other.or(entries.first())) {
        (true, _) if options.error_if_exists => Err(Error::AlreadyExists { path: path() }),
        (true, _) => Ok(()),
        (false, Some(other)) => Err(Error::NotAStore {
            path: path(),
            reason: format!("it holds other files ({}): choose a new or an empty directory", other.name),
        }),
        (false, None) if !options.create_if_missing => Err(Error::NotFound { path: path() }),
        (false, None) => Ok(()),
    }
}

/// Operations that are gathered before they are put into the index.
const REPLAY_GROUP: usize = 64;

/// Puts the operations of the log into the index, a group at a time: looking all keys of a group up first,
/// side by side, has the tree at hand when they are put in one by one.
struct Replay {
    index: Index,
    writer: IndexWriter,
    group: Vec<(Kind, Position)>,
}

impl Replay {
    fn new() -> Result<Replay> {
        let (index, writer) = Index::new()?;
        Ok(Replay { index, writer, group: Vec::with_capacity(REPLAY_GROUP) })
    }

    /// Takes the next operation. It is in the index after the next [`Replay::flush`].
    fn take(&mut self, log: &Log, replayed: &Replayed<'_>) -> Result<()> {
        let kind = replayed.record.header.kind;
        if kind == Kind::DeleteRange {
            self.flush(log)?;
            let (from, to) = (replayed.record.key, replayed.record.value);
            return remove_range(&self.index, &mut self.writer, log, from, to);
        }
        if !matches!(kind, Kind::Put | Kind::Delete) {
            return Err(Error::Unsupported("an operation of a newer release is in the log".to_string()));
        }
        self.group.push((kind, replayed.position));
        if self.group.len() < REPLAY_GROUP { Ok(()) } else { self.flush(log) }
    }

    fn flush(&mut self, log: &Log) -> Result<()> {
        let mut keys = [&[][..]; REPLAY_GROUP];
        for (key, (_, position)) in keys.iter_mut().zip(&self.group) {
            *key = log.peek(*position)?.key;
        }
        let keys = keys.get(..self.group.len()).unwrap_or(&keys);
        self.index.pin()?.find_many(keys, log, |_, _| {});
        for (key, (kind, position)) in keys.iter().zip(self.group.drain(..)) {
            match kind {
                Kind::Delete => self.writer.remove(key, log)?,
                _ => self.writer.insert(key, position, log)?,
            };
        }
        Ok(())
    }
}
