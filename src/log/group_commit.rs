//! How far the log is on the device, and how several commits share one wait for it.
//!
//! The first thread that finds its commit not yet durable becomes the leader: it reads how far the log
//! is written, syncs, and moves the durable mark to what it read. The others wait for the mark.
//!
//! Invariants:
//! 1. The durable mark is a prefix: everything up to it is on the device, in all segments.
//! 2. The target is read before the sync begins, so that the mark never claims a byte that was written
//!    while the sync ran.
//! 3. At most one sync is in flight.
//! 4. A sync that failed is never repeated: the store is poisoned, every waiter gets the error, and the
//!    mark stays where it was.
//!
//! Callers: `log`.

use std::sync::Arc;

use super::segment::Segment;
use crate::error::{Error, Result};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering, lock};
use crate::types::Lsn;

/// The durable mark and who moves it.
pub struct GroupCommit {
    written: AtomicU64,
    durable: AtomicU64,
    poisoned: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    syncing: bool,
    poison: Option<String>,
    /// Segments with bytes that may not be on the device, oldest first; the last one is the active one.
    unsynced: Vec<Arc<Segment>>,
}

impl GroupCommit {
    /// A mark at the start of the log.
    pub fn new() -> GroupCommit {
        GroupCommit {
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    /// Everything up to this is on the device.
    pub fn durable(&self) -> Lsn {
        self.durable.load(Ordering::Acquire)
    }

    /// Recovery ended at `lsn`, and all of it is on the device.
    pub fn recovered(&self, lsn: Lsn) {
        self.written.store(lsn, Ordering::Release);
        self.durable.store(lsn, Ordering::Release);
    }

    /// A new segment is written from now on.
    pub fn enter(&self, segment: &Arc<Segment>) -> Result<()> {
        lock(&self.state)?.unsynced.push(Arc::clone(segment));
        Ok(())
    }

    /// The log is written up to `lsn`. Only the writer, after the bytes.
    pub fn advance_written(&self, lsn: Lsn) {
        self.written.store(lsn, Ordering::Release);
    }

    /// An error where the store was poisoned.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if !self.poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::Poisoned(lock(&self.state)?.poison.clone().unwrap_or_default()))
    }

    /// Refuses all further writes. The first reason is kept.
    pub fn poison(&self, reason: &str) {
        if let Ok(mut state) = lock(&self.state) {
            state.poison.get_or_insert_with(|| reason.to_string());
        }
        self.poisoned.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits until everything that is written now is on the device.
    pub fn sync(&self) -> Result<()> {
        self.wait_durable(self.written.load(Ordering::Acquire))
    }

    /// Waits until everything up to `lsn` is on the device.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        if self.durable() >= lsn {
            return Ok(());
        }
        let mut state = lock(&self.state)?;
        loop {
            if self.durable() >= lsn {
                return Ok(());
            }
            if let Some(reason) = &state.poison {
                return Err(Error::Poisoned(reason.clone()));
            }
            if state.syncing {
                state = self
                    .changed
                    .wait(state)
                    .map_err(|_| Error::Poisoned("a panic while a lock was held".to_string()))?;
                continue;
            }
            state.syncing = true;
            let target = self.written.load(Ordering::Acquire);
            let segments = state.unsynced.clone();
            drop(state);
            let mut outcome = sync_all(&segments);
            if outcome.is_err() && planted(Bug::RetryFailedSync) {
                outcome = sync_all(&segments);
            }
            if let Err(error) = &outcome
                && !planted(Bug::DoNotPoison)
            {
                self.poison(&error.to_string());
            }
            state = lock(&self.state)?;
            state.syncing = false;
            if outcome.is_ok() {
                // What is not the last one was full when the list was taken: nothing is added to it.
                let full = segments.len().saturating_sub(1);
                state.unsynced.drain(..full);
                let target =
                    if planted(Bug::TargetAfterSync) { self.written.load(Ordering::Acquire) } else { target };
                self.durable.store(target, Ordering::Release);
            }
            self.changed.notify_all();
            outcome?;
        }
    }
}

/// Syncs the segments, oldest first, and gives the full ones their final length.
fn sync_all(segments: &[Arc<Segment>]) -> Result<()> {
    let Some((active, full)) = segments.split_last() else { return Ok(()) };
    for segment in full.iter().filter(|_| !planted(Bug::ForgetFullSegments)) {
        segment.finish()?;
    }
    match active.file()? {
        Some(file) if !planted(Bug::SkipCommitSync) => file.sync_data(),
        _ => Ok(()),
    }
}
