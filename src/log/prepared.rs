//! Segments before they take frames: made ahead of need, made at need, or made from the reserve.
//!
//! The next segment is made while the active one still has room, by whoever calls [`Prepared::prepare`]
//! (the maintenance thread), so that a put does not wait for it. Without that it is made by the put that
//! needs it. The reserve is a small allocated file that is given up when the device is full, so that
//! deletes, and with them compaction, can still be written down.
//!
//! Invariants:
//! 1. A segment's file gets its name when its header and its space are on the device, and takes frames
//!    only after that name is durable and the witness names it.
//! 2. A segment that was made and not used is replaced by the next one of its number, or removed by
//!    `close` or by the next open.
//! 3. A failed sync on the way poisons the log; running out of space does not.
//!
//! Callers: `writer` and `log`.

use std::sync::Arc;

use super::format::{SEGMENT_HEADER_SIZE, SegmentHeader};
use super::segment::Segment;
use super::{Log, segment_file_name};
use crate::error::{Error, Result};
use crate::options::{SyncMode, WriteMode};
use crate::os::{Access, MapMode};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// Name of the reserve.
pub(super) const RESERVE_FILE_NAME: &str = "RESERVE";

/// Bytes of the reserve, and of a segment made from it: some thousand deletes.
pub(super) const RESERVE_SIZE: u64 = 256 << 10;

/// The next segment, and whether it is time to make it.
pub(super) struct Prepared {
    wanted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number and capacity of the segment that the writer will need next.
    next: Option<(u64, u64)>,
    spare: Option<Spare>,
}

struct Spare {
    segment: Arc<Segment>,
    capacity: u64,
}

impl Prepared {
    pub(super) fn new() -> Prepared {
        Prepared { wanted: AtomicBool::new(false), state: Mutex::new(State::default()) }
    }

    /// The writer will need segment `id` before long.
    pub(super) fn want(&self, id: u64, capacity: u64) -> Result<()> {
        lock(&self.state)?.next = Some((id, capacity));
        self.wanted.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether [`Prepared::prepare`] has something to do.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Makes the segment that the writer will need. A writer that needs it meanwhile waits for it.
    pub(super) fn prepare(&self, log: &Log) -> Result<()> {
        let mut state = lock(&self.state)?;
        self.wanted.store(false, Ordering::Release);
        let Some((id, capacity)) = state.next.take() else { return Ok(()) };
        state.spare = Some(Spare { segment: create(log, id, capacity)?, capacity });
        Ok(())
    }

    /// A segment with the number `id` and room for `needed` bytes: the one made ahead, or a new one of
    /// `capacity` bytes.
    pub(super) fn take(&self, log: &Log, id: u64, needed: u64, capacity: u64) -> Result<(Arc<Segment>, u64)> {
        let mut state = lock(&self.state)?;
        state.next = None;
        self.wanted.store(false, Ordering::Release);
        if planted(Bug::WitnessBeforeName) {
            log.set_witness(id)?;
        }
        let spare = state.spare.take().filter(|spare| spare.segment.id() == id && spare.capacity >= needed);
        let Spare { segment, capacity } = match spare {
            Some(spare) => spare,
            None => Spare { segment: create(log, id, capacity)?, capacity },
        };
        take_into_use(log, id)?;
        self.fill_reserve(log);
        Ok((segment, capacity))
    }

    /// A segment in the space of the reserve, with room for `needed` bytes, on a device that has no other.
    pub(super) fn take_reserve(&self, log: &Log, id: u64, needed: u64) -> Result<(Arc<Segment>, u64)> {
        let _state = lock(&self.state)?;
        match log.directory.unlink(RESERVE_FILE_NAME) {
            // Used up before.
            Err(Error::Io { errno: libc::ENOENT, .. }) => {}
            outcome => outcome?,
        }
        let mut capacity = RESERVE_SIZE;
        let segment = loop {
            match create(log, id, capacity) {
                // What is left of the device may do for some more.
                Err(Error::NoSpace { .. }) if capacity / 2 >= needed => capacity /= 2,
                outcome => break outcome?,
            }
        };
        take_into_use(log, id)?;
        Ok((segment, capacity))
    }

    /// Removes a segment that was made ahead and not used.
    pub(super) fn discard(&self, log: &Log) -> Result<()> {
        let mut state = lock(&self.state)?;
        state.next = None;
        self.wanted.store(false, Ordering::Release);
        match state.spare.take() {
            Some(spare) => log.directory.unlink(&segment_file_name(spare.segment.id())),
            None => Ok(()),
        }
    }

    /// Sees to it that there is a reserve, if there is space for one. Nothing depends on it now.
    fn fill_reserve(&self, log: &Log) {
        let there = |_| log.directory.open(RESERVE_FILE_NAME, Access::ReadWrite);
        // One that a crash left behind may be empty.
        if let Ok(file) = log.directory.create(RESERVE_FILE_NAME).or_else(there)
            && file.size().is_ok_and(|size| size < RESERVE_SIZE)
            && file.allocate(RESERVE_SIZE).is_err()
        {
            let _ = log.directory.unlink(RESERVE_FILE_NAME);
        }
    }
}

/// Lets the witness name a segment that will take frames. Without space for that it can be tried again.
fn take_into_use(log: &Log, id: u64) -> Result<()> {
    if planted(Bug::SkipWitness) {
        return Ok(());
    }
    log.set_witness(id).inspect_err(|error| {
        if !matches!(error, Error::NoSpace { .. }) {
            log.commit.poison(&error.to_string());
        }
    })
}

/// Creates a segment file under a temporary name and gives it its own when all of it is on the device.
fn create(log: &Log, id: u64, capacity: u64) -> Result<Arc<Segment>> {
    let name = segment_file_name(id);
    let temporary = format!("{name}.tmp");
    let mut salt = [0; 16];
    log.os.random(&mut salt)?;
    let header = SegmentHeader { store_id: log.store_id, segment_id: id, salt, capacity };
    let poison = |error: &Error| log.commit.poison(&error.to_string());
    let made = (|| {
        let file = match log.directory.create(&temporary) {
            // Left by a creation that failed and could not clean up.
            Err(Error::Io { errno: libc::EEXIST, .. }) => {
                log.directory.unlink(&temporary)?;
                log.directory.create(&temporary)?
            }
            outcome => outcome?,
        };
        file.allocate(capacity)?;
        file.write_at(&header.encode(), 0)?;
        if !planted(Bug::SkipHeaderSync) {
            file.sync_all().inspect_err(poison)?;
        }
        log.directory.rename(&temporary, &name)?;
        if !planted(Bug::SkipDirectorySync) {
            log.directory.sync().inspect_err(poison)?;
        }
        // Opened again by the name that later errors are to tell.
        log.directory.open(&name, Access::ReadWrite)
    })();
    let file = match made {
        Ok(file) => file,
        Err(error) => {
            // What is left under either name has no frames: removed here if that works, else by the
            // next open. The error that is reported is the first one.
            let _ = log.directory.unlink(&temporary);
            return Err(error);
        }
    };
    // A kernel that cannot make pages present ahead says so at the first one.
    let mapped = || {
        let map = file.map(capacity, MapMode::ReadWrite)?;
        if log.options.sync_mode == SyncMode::OnRequest {
            map.advise_large_pages();
        }
        map.populate(0, SEGMENT_HEADER_SIZE)?;
        Ok(map)
    };
    let map = match log.options.write_mode {
        WriteMode::Mapped => mapped()?,
        WriteMode::Pwrite => file.map(capacity, MapMode::Pwrite)?,
        WriteMode::Auto => match mapped() {
            Err(Error::Unsupported(_)) => file.map(capacity, MapMode::Pwrite)?,
            outcome => outcome?,
        },
    };
    let base = log.segments.place(capacity)?;
    Ok(Arc::new(Segment::new(id, header.seed(), map, base, SEGMENT_HEADER_SIZE, file)))
}
