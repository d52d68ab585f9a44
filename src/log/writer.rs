//! Appends frames to the active segment, and starts a new one when it is full.
//!
//! Invariants:
//! 1. One writer: `Writer` is not shared; `store` keeps it behind the append lock.
//! 2. A frame is accepted only after its space is allocated and its pages are present, so that a full
//!    device is an error before the write and not a signal or a half frame during it.
//! 3. LSNs are given out without gaps, and only to frames that were written completely.
//! 4. A segment that recovery has read is never appended to: a session starts its own.
//! 5. Room for the seal is kept free in the active segment.
//! 6. A segment takes frames only after its name is durable and the witness names it.
//!
//! Callers: `store`.
#![allow(unsafe_code)]

use std::sync::Arc;

use super::Log;
use super::format::{
    BATCH_COUNT_SIZE, FRAME_SIZE_MAX, Kind, NewRecord, Predecessor, RECORD_HEADER_SIZE, SEAL_FRAME_SIZE,
    SEGMENT_HEADER_SIZE, SEGMENT_START_FRAME_SIZE, SealReason, lag, padded,
};
use super::prepared::RESERVE_SIZE;
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::options::SyncMode;
use crate::planted::{Bug, planted};
use crate::types::{Lsn, Position};

/// Frames up to this size are put together in memory and stored at once.
const SCRATCH_MAX: u64 = 1 << 20;

/// Pages made present ahead of the writer where commits are synced one by one. What is made present is
/// dirty and goes to the device with the next sync, so the window is small.
const POPULATE_SYNCED: u64 = 16 << 10;
/// The same where the device is waited for rarely: one large page.
const POPULATE_BUFFERED: u64 = 2 << 20;

/// Where a commit went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Of the first operation.
    pub first_lsn: Lsn,
    /// Of the last operation.
    pub last_lsn: Lsn,
    /// Of the first record. The records of a batch follow in the order given; see
    /// [`Writer::append_batch`].
    pub position: Position,
}

/// The writing end of a log.
#[derive(Debug)]
pub struct Writer {
    active: Option<Active>,
    next_lsn: Lsn,
    next_segment_id: u64,
    predecessor: Predecessor,
    /// Capacity of the next segment: doubles from the smallest to the option's size.
    next_capacity: u64,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    end: u64,
    capacity: u64,
    populated: u64,
    /// Whether the next segment was asked for.
    successor_wanted: bool,
    /// Made from the reserve: what it has is for deletes.
    reserved: bool,
}

impl Writer {
    /// A writer that goes on after everything recovery found.
    pub(super) fn new(
        next_lsn: Lsn,
        next_segment_id: u64,
        predecessor: Predecessor,
        first_capacity: u64,
    ) -> Writer {
        Writer {
            active: None,
            next_lsn,
            next_segment_id,
            predecessor,
            next_capacity: first_capacity,
            scratch: Vec::new(),
        }
    }

    /// As [`Writer::new`], but one that goes on in the last segment: a bug.
    #[cfg(feature = "planted")]
    pub(super) fn resume(mut self, segment: Arc<Segment>, capacity: u64) -> Writer {
        let end = segment.end();
        self.active =
            Some(Active { segment, end, capacity, populated: end, successor_wanted: false, reserved: false });
        self
    }

    /// LSN of the last operation in the log.
    pub fn last_lsn(&self) -> Lsn {
        self.next_lsn - 1
    }

    /// Appends one operation as a frame of its own. It is in the log, not necessarily on the device,
    /// when this returns; after an error it is not in the log, and never will be.
    pub fn append(&mut self, log: &Log, record: &NewRecord<'_>) -> Result<Appended> {
        log.commit.check()?;
        let offset = self.make_room(log, padded(record.size()), record.kind)?;
        let lsn = self.next_lsn;
        let position = self.write_frame(log, offset, record, lsn, lag(lsn, log.commit.durable()))?;
        self.next_lsn = lsn + 1;
        log.commit.advance_written(lsn);
        Ok(Appended { first_lsn: lsn, last_lsn: lsn, position })
    }

    /// Appends several operations as one frame: after a crash all of them are there or none. `positions`
    /// receives where each record lies, in the order of `records`, which must not be empty.
    pub fn append_batch(
        &mut self,
        log: &Log,
        records: &[NewRecord<'_>],
        positions: &mut Vec<Position>,
    ) -> Result<Appended> {
        log.commit.check()?;
        positions.clear();
        let body: u64 = records.iter().map(|record| padded(record.size())).sum();
        let size = (RECORD_HEADER_SIZE + BATCH_COUNT_SIZE) as u64 + body;
        if size > FRAME_SIZE_MAX {
            return Err(Error::InvalidArgument(format!(
                "the batch takes {size} bytes; at most {FRAME_SIZE_MAX} are allowed: write it as several batches"
            )));
        }
        let (Ok(body_size), Ok(_)) = (usize::try_from(size), u32::try_from(records.len())) else {
            return Err(Error::InvalidArgument("the batch has too many operations".to_string()));
        };
        let mut body = Vec::new();
        let reserved = body.try_reserve_exact(body_size).and_then(|()| positions.try_reserve(records.len()));
        reserved.map_err(|_| Error::NoMemory("a batch"))?;
        let offset = self.make_room(log, size, Kind::Batch)?;
        let seed = self.active()?.segment.seed();
        let lsn = self.next_lsn;
        body.extend_from_slice(&(records.len() as u64).to_le_bytes());
        let mut place = offset + (RECORD_HEADER_SIZE + BATCH_COUNT_SIZE) as u64;
        for (index, record) in records.iter().enumerate() {
            record
                .encode_element_front(&mut body, seed, place, lsn + index as u64, index as u32)
                .ok_or(Error::Internal("a record too large for a frame"))?;
            body.extend_from_slice(record.value);
            body.resize(padded(body.len() as u64) as usize, 0);
            positions.push(self.active()?.segment.position(place)?);
            place += padded(record.size());
        }
        let frame = NewRecord::new(Kind::Batch, &[], &body);
        self.write_frame(log, offset, &frame, lsn, lag(lsn, log.commit.durable()))?;
        self.next_lsn = lsn + records.len() as u64;
        log.commit.advance_written(self.last_lsn());
        let position = positions.first().copied().ok_or(Error::Internal("an empty batch"))?;
        Ok(Appended { first_lsn: lsn, last_lsn: self.last_lsn(), position })
    }

    /// Seals the active segment, so that the next open finds a log that says it is complete. Appending
    /// again starts a new segment.
    pub fn close(&mut self, log: &Log) -> Result<()> {
        let Some(active) = &self.active else { return Ok(()) };
        log.commit.check()?;
        let segment = Arc::clone(&active.segment);
        self.seal(log, SealReason::Closed)?;
        log.commit.sync()?;
        log.prepared.discard(log)?;
        let finished = segment.finish();
        if let Err(error) = &finished {
            log.commit.poison(&error.to_string());
        }
        finished
    }

    /// Where a frame of `size` bytes goes: the active segment's end, after starting a new segment where
    /// it would not fit.
    fn make_room(&mut self, log: &Log, size: u64, kind: Kind) -> Result<u64> {
        let seal = if planted(Bug::NoRoomForSeal) { 0 } else { SEAL_FRAME_SIZE };
        let fits = |active: &Active| {
            let open = may_use_reserve(kind) || !active.reserved;
            open && active.end + size + seal <= active.capacity
        };
        if !self.active.as_ref().is_some_and(fits) {
            self.start_segment(log, size, kind)?;
        }
        let window = match log.options.sync_mode {
            SyncMode::Always => POPULATE_SYNCED,
            SyncMode::Interval(_) | SyncMode::OnRequest => POPULATE_BUFFERED,
        };
        let active = self.active.as_mut().ok_or(Error::Internal("no active segment"))?;
        active.populate(active.end + size + seal, window)?;
        if active.end > active.capacity / 2 && !active.successor_wanted {
            active.successor_wanted = true;
            log.prepared.want(self.next_segment_id, self.next_capacity)?;
        }
        Ok(active.end)
    }

    /// Starts a segment with room for a frame of `size` bytes. The new one is ready before the old one
    /// is sealed: when it cannot be had, nothing has changed.
    fn start_segment(&mut self, log: &Log, size: u64, kind: Kind) -> Result<()> {
        let needed = SEGMENT_HEADER_SIZE + SEGMENT_START_FRAME_SIZE + size + SEAL_FRAME_SIZE;
        let (segment, capacity, reserved) = self.take_segment(log, needed, kind)?;
        let mut next = Active {
            segment,
            end: SEGMENT_HEADER_SIZE,
            capacity,
            populated: SEGMENT_HEADER_SIZE,
            successor_wanted: false,
            reserved,
        };
        next.populate(SEGMENT_HEADER_SIZE + SEGMENT_START_FRAME_SIZE, POPULATE_SYNCED)?;
        // A segment that was not taken into use keeps its number: the next attempt replaces its file.
        self.next_segment_id += 1;
        if !reserved {
            self.next_capacity = (capacity * 2).min(log.options.segment_size_max);
        }
        if self.active.is_some() {
            self.seal(log, SealReason::Full)?;
        }
        log.segments.insert(&next.segment)?;
        log.commit.enter(&next.segment)?;
        self.active = Some(next);
        let start = self.predecessor.encode();
        self.append_unchecked(log, &NewRecord::new(Kind::SegmentStart, &[], &start))
    }

    /// A segment with room for `needed` bytes, its capacity, and whether it comes from the reserve. Where
    /// the device is nearly full it is as small as it can be, and for a delete it may be the reserve's.
    fn take_segment(&self, log: &Log, needed: u64, kind: Kind) -> Result<(Arc<Segment>, u64, bool)> {
        let (id, step) = (self.next_segment_id, log.options.segment_size_step());
        let smallest = needed.next_multiple_of(step);
        let capacity = self.next_capacity.next_multiple_of(step).max(smallest);
        let mut taken = log.prepared.take(log, id, needed, capacity);
        if matches!(taken, Err(Error::NoSpace { .. })) && smallest < capacity {
            taken = log.prepared.take(log, id, needed, smallest);
        }
        match taken {
            Err(full @ Error::NoSpace { .. }) if may_use_reserve(kind) && needed <= RESERVE_SIZE => {
                let reserve = log.prepared.take_reserve(log, id, needed);
                reserve.map(|(segment, capacity)| (segment, capacity, true)).map_err(|_| full)
            }
            outcome => outcome.map(|(segment, capacity)| (segment, capacity, false)),
        }
    }

    /// Writes the seal for which room was kept, and remembers it for the next segment's start.
    fn seal(&mut self, log: &Log, reason: SealReason) -> Result<()> {
        let reason = (reason as u64).to_le_bytes();
        self.append_unchecked(log, &NewRecord::new(Kind::Seal, &[], &reason))?;
        let active = self.active.take().ok_or(Error::Internal("no active segment"))?;
        let offset = active.end - SEAL_FRAME_SIZE;
        let segment = &active.segment;
        let seal = segment.parse(offset).ok_or_else(|| segment.damaged(offset))?;
        let checksum = seal.header.checksum;
        self.predecessor = Predecessor { segment_id: active.segment.id(), end: active.end, checksum };
        Ok(())
    }

    /// Appends a record of the log's own, whose room is there already.
    fn append_unchecked(&mut self, log: &Log, record: &NewRecord<'_>) -> Result<()> {
        let lsn = self.next_lsn;
        let offset = self.active()?.end;
        let written = self.write_frame(log, offset, record, lsn, lag(lsn, log.commit.durable()));
        // A segment without its start or its seal cannot be gone on from.
        written.map_err(|error| {
            log.commit.poison(&error.to_string());
            // That nothing was written and that trying again would help does not hold here.
            if matches!(error, Error::NoSpace { .. }) { Error::Poisoned(error.to_string()) } else { error }
        })?;
        self.next_lsn = lsn + 1;
        log.commit.advance_written(lsn);
        Ok(())
    }

    /// Stores a frame at the end of the active segment and makes it readable.
    fn write_frame(
        &mut self,
        log: &Log,
        offset: u64,
        record: &NewRecord<'_>,
        lsn: Lsn,
        extra: u32,
    ) -> Result<Position> {
        let mut front = std::mem::take(&mut self.scratch);
        front.clear();
        let active = self.active.as_mut().ok_or(Error::Internal("no active segment"))?;
        let position = active.segment.position(offset)?;
        record
            .encode_front(&mut front, active.segment.seed(), offset, lsn, extra)
            .ok_or(Error::Internal("a record too large for a frame"))?;
        let together = record.size() <= SCRATCH_MAX;
        if together {
            front.extend_from_slice(record.value);
        }
        // SAFETY: the range lies above the segment's published end, which no reader goes beyond, and
        // `&mut self` is the only writer.
        let mut written = unsafe { active.segment.map().write(offset, &front) };
        if written.is_ok() && !together {
            // SAFETY: as above.
            written = unsafe { active.segment.map().write(offset + front.len() as u64, record.value) };
        }
        self.scratch = front;
        if let Err(error) = written {
            // Part of the frame may be in the file. Without space the rest is not, so it is no frame, and the
            // next one takes its place. After any other failure nothing may ever follow it.
            if !matches!(error, Error::NoSpace { .. }) {
                log.commit.poison(&error.to_string());
            }
            return Err(error);
        }
        active.end = offset + padded(record.size());
        active.segment.publish(active.end);
        Ok(position)
    }

    fn active(&self) -> Result<&Active> {
        self.active.as_ref().ok_or(Error::Internal("no active segment"))
    }
}

/// Whether the space that is set aside is for this change: it makes room.
fn may_use_reserve(kind: Kind) -> bool {
    matches!(kind, Kind::Delete | Kind::DeleteRange)
}

impl Active {
    /// Makes pages present up to `end`, a window ahead.
    fn populate(&mut self, end: u64, window: u64) -> Result<()> {
        if end <= self.populated || planted(Bug::SkipPopulate) {
            return Ok(());
        }
        let target = end.next_multiple_of(window).min(self.capacity);
        let start = self.populated - self.populated % SEGMENT_HEADER_SIZE;
        self.segment.map().populate(start, target - start)?;
        self.populated = target;
        Ok(())
    }
}
