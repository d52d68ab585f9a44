//! Opening a log: one way after a clean close, the death of the process, and a power loss.
//!
//! The segments are read in order, read-only. The first frame that does not check out ends the log. If
//! anything behind that point proves that the frame had been durable, acknowledged data is damaged and
//! the log is refused, unchanged. Otherwise the point is a torn tail: what lies behind it was never
//! acknowledged as durable, and is cut.
//!
//! Then the log is finished, in steps each of which may be interrupted and is simply repeated by the
//! next open: later segments, which hold nothing durable, are removed, newest first; the bytes that were
//! read are made durable, so that nothing is served that a power loss could still take back; the last
//! segment gets its seal and is cut to its end.
//!
//! Bytes that no frame says were synced are written again before they are synced: where an earlier
//! process failed to sync them, the kernel may hold them as clean, and a sync alone would do nothing.
//!
//! Invariants:
//! 1. Before the scan has decided that the log is whole, no file is changed.
//! 2. A frame counts only if its checksum passes and its LSN follows the one before it.
//! 3. A segment is complete if it ends in a seal; only the last one may lack it. A file that is shorter
//!    than it was created must end with its seal.
//! 4. Each segment names its predecessor, where that one's seal ends, and the seal's checksum.
//! 5. Work and memory are bounded by the bytes of the files, whatever they hold.
//!
//! Callers: `log`.
#![allow(unsafe_code)]

#[cfg(feature = "planted")]
mod planted;

use std::sync::Arc;

use super::format::{
    HeaderError, Kind, NewRecord, Predecessor, Record, RecordHeader, SEAL_FRAME_SIZE, SEGMENT_HEADER_SIZE,
    SEGMENT_HEADER_USED, SealReason, SegmentHeader, lag,
};
use super::segment::Segment;
use super::writer::Writer;
use super::{Log, segment_file_name};
use crate::error::{Error, Result};
use crate::options::SEGMENT_SIZE_MAX;
use crate::os::{Access, Directory, File, Map, MapMode};
use crate::planted::{Bug, planted};
use crate::types::{Lsn, Position};

/// An operation that recovery met, in LSN order.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// Its record.
    pub record: Record<'a>,
    /// Where the record lies.
    pub position: Position,
}

/// Receives every operation of the log, in order; may look up earlier records in the log meanwhile.
pub type Visit<'a> = dyn FnMut(&Log, Replayed<'_>) -> Result<()> + 'a;

/// Bytes made present ahead of the scan, so that a bad device is an error and not a signal.
const LOAD_WINDOW: u64 = 4 << 20;

/// Numbers that segments never reach, so that the next one can always be counted.
const SEGMENT_ID_END: u64 = 1 << 63;

/// What is passed over at once where a segment was never written.
const ZEROS: [u8; 4096] = [0; 4096];

/// A segment file as it was found.
pub(super) struct Found {
    pub(super) header: SegmentHeader,
    file: Box<dyn File>,
    size: u64,
}

/// Opens the segment files that `directory` holds and checks their headers, in order of their numbers.
pub(super) fn find_segments(directory: &dyn Directory, names: &[u64]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for &id in names {
        let name = segment_file_name(id);
        let file = directory.open(&name, Access::ReadWrite)?;
        let size = file.size()?;
        if size < SEGMENT_HEADER_SIZE {
            return Err(Error::corrupt(name, size, "the file is shorter than a segment's header"));
        }
        let mut bytes = [0; SEGMENT_HEADER_USED];
        file.read_at(&mut bytes, 0)?;
        let header = SegmentHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Magic => Error::NotAStore {
                path: directory.path().join(&name).display().to_string(),
                reason: "it has a segment's name but not its first bytes: if it is not of this store, move it away"
                    .to_string(),
            },
            HeaderError::Checksum => Error::corrupt(&name, 0, "the segment header's checksum does not match"),
            HeaderError::Version(found) => Error::UnsupportedVersion {
                file: name.clone(),
                found,
                supported: super::format::FORMAT_VERSION,
            },
        })?;
        if header.segment_id != id {
            let reason = format!("it is segment {} under another's name", header.segment_id);
            return Err(Error::corrupt(name, 32, reason));
        }
        if header.capacity > SEGMENT_SIZE_MAX {
            let reason = format!("a segment of {} bytes is larger than any", header.capacity);
            return Err(Error::corrupt(name, 56, reason));
        }
        if size > header.capacity {
            return Err(Error::corrupt(name, header.capacity, "the file is longer than it was created"));
        }
        found.push(Found { header, file, size });
    }
    if let Some((first, rest)) = found.split_first()
        && let Some(other) = rest.iter().find(|other| other.header.store_id != first.header.store_id)
    {
        return Err(Error::NotAStore {
            path: directory.path().join(segment_file_name(other.header.segment_id)).display().to_string(),
            reason: "it belongs to another store than the segments before it: move it away".to_string(),
        });
    }
    Ok(found)
}

/// Where the scan of one segment ended.
struct Scanned {
    segment: Arc<Segment>,
    size: u64,
    /// What the file was created with; a file of that size has not been finished.
    capacity: u64,
    end: u64,
    /// Of the last valid frame.
    checksum: u32,
    sealed: bool,
}

/// State of the scan over all segments.
struct Scan<'log> {
    log: &'log Log,
    next_lsn: Lsn,
    /// Everything up to this is on the device, by what the frames say.
    synced_lsn: Lsn,
    scanned: Vec<Scanned>,
}

/// Reads the log, decides what holds, and finishes it. Returns the writer that goes on after it.
pub(super) fn recover(log: &Log, found: Vec<Found>, newest: u64, visit: &mut Visit<'_>) -> Result<Writer> {
    if let Some(missing) = missing_newest(&found, newest) {
        return Err(Error::corrupt(segment_file_name(missing), 0, "the newest segment is missing"));
    }
    let last_id = found.last().map_or(0, |last| last.header.segment_id);
    if last_id >= SEGMENT_ID_END {
        return Err(Error::corrupt(segment_file_name(last_id), 32, "no store has had so many segments"));
    }
    let next_segment_id = last_id + 1;
    let mut scan = Scan { log, next_lsn: 1, synced_lsn: 0, scanned: Vec::new() };
    let mut found = found.into_iter();
    let mut behind = Vec::new();
    for next in found.by_ref() {
        if !scan.segment(next, visit)? {
            behind.extend(found);
            break;
        }
    }
    let next_lsn = scan.next_lsn;
    if let Some(last) = scan.scanned.last().filter(|last| !last.sealed) {
        refuse_if_durable(last, &behind, next_lsn)?;
    }
    finish(log, scan, behind, next_segment_id)
}

/// The segment that the witness names, where it is newer than any that is there.
fn missing_newest(found: &[Found], newest: u64) -> Option<u64> {
    (found.last().map_or(0, |last| last.header.segment_id) < newest).then_some(newest)
}

impl Scan<'_> {
    /// Scans one segment. False: the log ends in it.
    fn segment(&mut self, found: Found, visit: &mut Visit<'_>) -> Result<bool> {
        let Found { header, file, size } = found;
        let name = segment_file_name(header.segment_id);
        let mode = if planted(Bug::AppendAfterTornTail) { MapMode::Pwrite } else { MapMode::Read };
        let map = file.map(size, mode)?;
        // Before its pages are read: those that are there already stay as they are.
        map.advise_large_pages();
        let base = self.log.segments.place(size)?;
        let segment =
            Arc::new(Segment::new(header.segment_id, header.seed(), map, base, SEGMENT_HEADER_SIZE, file));
        let capacity = header.capacity;
        let mut scanned =
            Scanned { segment, size, capacity, end: SEGMENT_HEADER_SIZE, checksum: 0, sealed: false };
        let mut loaded = 0;
        while !scanned.sealed {
            if scanned.end >= loaded && scanned.end < size {
                let window = LOAD_WINDOW.min(size - loaded);
                scanned.segment.map().populate_read(loaded, window)?;
                loaded += window;
                continue;
            }
            if !self.frame(&mut scanned, visit)? {
                break;
            }
        }
        let (sealed, end) = (scanned.sealed, scanned.end);
        self.scanned.push(scanned);
        // A file is cut only when its seal is on the device, so a shorter one without it was damaged.
        let whole = size == header.capacity || (sealed && end == size) || planted(Bug::IgnoreLength);
        if !whole {
            return Err(Error::corrupt(
                name,
                end,
                format!("the file has {size} bytes, and its valid part ends at {end} without being complete"),
            ));
        }
        Ok(sealed)
    }

    /// Reads the frame at the end of what is valid so far. False: there is none.
    fn frame(&mut self, scanned: &mut Scanned, visit: &mut Visit<'_>) -> Result<bool> {
        let segment = &scanned.segment;
        let Some(bytes) = unpublished(segment.map(), scanned.end, scanned.size) else { return Ok(false) };
        let record = if planted(Bug::SkipFrameCheck) {
            Record::parse(bytes)
        } else {
            Record::verify(bytes, segment.seed(), scanned.end)
        };
        #[cfg(feature = "planted")]
        if record.is_none() && planted(Bug::KeepPartialBatch) {
            return planted::keep_partial_batch(self, scanned, visit);
        }
        let Some(record) = record else { return Ok(false) };
        if record.header.is_element() {
            return Ok(false);
        }
        let first = scanned.end == SEGMENT_HEADER_SIZE;
        if first != (record.header.kind == Kind::SegmentStart) {
            let reason = "a segment-start where none belongs, or none where one belongs";
            return Err(damaged(scanned, reason));
        }
        if first && !planted(Bug::IgnoreChain) {
            self.check_predecessor(scanned, &record)?;
        }
        if record.header.lsn != self.next_lsn && !planted(Bug::IgnoreLsn) {
            return Ok(false);
        }
        let end = scanned.end + record.header.padded_length();
        if end > scanned.size {
            return Ok(false);
        }
        if first {
            self.log.segments.insert(segment)?;
        }
        segment.publish(end);
        let mut operations = 1;
        match record.header.kind {
            Kind::SegmentStart => {}
            Kind::Seal => scanned.sealed = true,
            Kind::Put | Kind::Delete | Kind::DeleteRange | Kind::SegmentRetired => {
                visit(self.log, Replayed { record, position: segment.position(scanned.end)? })?;
            }
            Kind::Batch => {
                operations = record.batch().left();
                for element in record.batch() {
                    let (distance, element) =
                        element.ok_or_else(|| damaged(scanned, "a batch whose records do not fit it"))?;
                    let position = segment.position(scanned.end + distance)?;
                    visit(self.log, Replayed { record: element, position })?;
                }
            }
        }
        self.next_lsn = self
            .next_lsn
            .checked_add(operations)
            .ok_or_else(|| damaged(scanned, "more operations than can be numbered"))?;
        self.synced_lsn = self.synced_lsn.max(record.header.synced_lsn());
        scanned.checksum = record.header.checksum;
        scanned.end = end;
        Ok(true)
    }

    /// Holds what a segment says of its predecessor against the segment that came before it.
    fn check_predecessor(&self, scanned: &Scanned, record: &Record<'_>) -> Result<()> {
        let named = Predecessor::decode(record.value)
            .ok_or_else(|| damaged(scanned, "a segment-start of the wrong size"))?;
        let before = self.scanned.last().map_or_else(Predecessor::default, |before| Predecessor {
            segment_id: before.segment.id(),
            end: before.end,
            checksum: before.checksum,
        });
        if named == before {
            return Ok(());
        }
        let file = segment_file_name(named.segment_id);
        if named.segment_id != before.segment_id {
            return Err(Error::corrupt(file, 0, "the segment is missing, and a later one names it"));
        }
        Err(Error::corrupt(file, before.end, format!("a later segment says that it ends at {}", named.end)))
    }
}

/// The bytes from `offset` to the file's size, for the scan, before they are published.
fn unpublished(map: &Map, offset: u64, size: u64) -> Option<&[u8]> {
    let size = usize::try_from(size.checked_sub(offset)?).ok()?;
    // SAFETY: recovery runs before any writer exists, on a file of which the lock is held, so nobody
    // writes the range.
    unsafe { map.bytes(offset, size) }
}

fn damaged(scanned: &Scanned, reason: &str) -> Error {
    Error::corrupt(segment_file_name(scanned.segment.id()), scanned.end, reason)
}

/// Fails if any frame behind the end of the log says that the operation at `next_lsn` had been durable.
fn refuse_if_durable(last: &Scanned, behind: &[Found], next_lsn: Lsn) -> Result<()> {
    let lost = |by: u64| {
        Error::corrupt(
            segment_file_name(last.segment.id()),
            last.end,
            format!(
                "the frame of operation {next_lsn} does not check out, and segment {by} proves that it was durable"
            ),
        )
    };
    if planted(Bug::NeverDamage) {
        return Ok(());
    }
    let segment = &last.segment;
    if proves_durable(segment.map(), segment.seed(), last.end, last.size, next_lsn)? {
        return Err(lost(segment.id()));
    }
    for later in behind {
        let map = later.file.map(later.size, MapMode::Read)?;
        if proves_durable(&map, later.header.seed(), SEGMENT_HEADER_SIZE, later.size, next_lsn)? {
            return Err(lost(later.header.segment_id));
        }
    }
    Ok(())
}

/// Whether a valid frame at or behind `from` says that everything up to `lsn` was durable.
fn proves_durable(map: &Map, seed: super::format::Seed, from: u64, size: u64, lsn: Lsn) -> Result<bool> {
    // A hostile file could offer a candidate at every offset, each to be summed to the end of the file.
    let mut budget = 4 * size + (1 << 20);
    for window in (from - from % LOAD_WINDOW..size).step_by(LOAD_WINDOW as usize) {
        map.populate_read(window, LOAD_WINDOW.min(size - window))?;
        let (mut next, end) = (window.max(from), (window + LOAD_WINDOW).min(size));
        while next < end {
            let offset = next;
            let Some(bytes) = unpublished(map, offset, size) else { break };
            // Most of what lies behind the end is zeros, whole pages of them.
            if bytes.first_chunk() == Some(&ZEROS) {
                next += ZEROS.len() as u64;
                continue;
            }
            next += 8;
            let Some(header) = RecordHeader::decode(bytes) else { continue };
            if planted(Bug::AlwaysDamage) {
                return Ok(true);
            }
            if header.synced_lsn() < lsn || u64::from(header.length) > size - offset {
                continue;
            }
            let Some(left) = budget.checked_sub(u64::from(header.length)) else {
                return Ok(true);
            };
            budget = left;
            if Record::verify(bytes, seed, offset).is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Makes what the scan accepted final, on the device, and complete.
fn finish(log: &Log, mut scan: Scan<'_>, behind: Vec<Found>, next_segment_id: u64) -> Result<Writer> {
    // A segment without a single frame was never used: it goes too.
    let unused = scan.scanned.pop_if(|last| last.end == SEGMENT_HEADER_SIZE);
    let remaining = scan.scanned.last().map_or(0, |last| last.segment.id());
    let mut remove: Vec<u64> = behind.iter().map(|later| later.header.segment_id).collect();
    remove.extend(unused.iter().map(|unused| unused.segment.id()));
    remove.sort_unstable();
    let unsealed = scan.scanned.last().is_some_and(|last| !last.sealed);
    if (unsealed || !remove.is_empty()) && !planted(Bug::SkipRemovalSync) {
        // An earlier recovery may have been interrupted between a removal and its sync. If a segment that it
        // removed came back when one before it is gone or ends in a seal written here, that would look like
        // damage.
        log.directory.sync()?;
    }
    if planted(Bug::RemoveOldestFirst) {
        remove.reverse();
    }
    if !remove.is_empty() {
        if !planted(Bug::LowerWitnessLate) {
            log.set_witness(remaining)?;
        }
        for &id in remove.iter().rev() {
            log.directory.unlink(&segment_file_name(id))?;
            if !planted(Bug::SkipRemovalSync) {
                log.directory.sync()?;
            }
        }
        if planted(Bug::LowerWitnessLate) {
            log.set_witness(remaining)?;
        }
    }
    let mut predecessor = Predecessor::default();
    for scanned in &mut scan.scanned {
        #[cfg(feature = "planted")]
        if !scanned.sealed && planted(Bug::AppendAfterTornTail) {
            let writer = Writer::new(scan.next_lsn, next_segment_id, predecessor, scanned.capacity);
            return planted::append_after_torn_tail(log, scanned, writer);
        }
        if !scanned.sealed && planted(Bug::LeaveTail) {
            scanned.segment.file()?.ok_or(Error::Closed)?.sync_data()?;
            let (segment_id, end, checksum) = (scanned.segment.id(), scanned.end, scanned.checksum);
            predecessor = Predecessor { segment_id, end, checksum };
            continue;
        }
        if scanned.size == scanned.capacity && !planted(Bug::TrustFailedSync) {
            write_again(scanned, scan.synced_lsn)?;
        }
        if !scanned.sealed {
            let (end, checksum) = seal(scanned, scan.next_lsn)?;
            scan.next_lsn += 1;
            scanned.end = end;
            scanned.checksum = checksum;
        }
        scanned.segment.publish(scanned.end);
        if planted(Bug::ServeUnsynced) {
            scanned.segment.file()?.ok_or(Error::Closed)?.truncate(scanned.end)?;
            scanned.segment.close_file()?;
        } else if scanned.size == scanned.capacity {
            scanned.segment.finish()?;
        } else {
            scanned.segment.close_file()?;
            scanned.segment.map().advise_sealed();
        }
        predecessor =
            Predecessor { segment_id: scanned.segment.id(), end: scanned.end, checksum: scanned.checksum };
    }
    Ok(Writer::new(scan.next_lsn, next_segment_id, predecessor, log.options.segment_size_step()))
}

/// Bytes that are written again at once.
const WRITE_AGAIN_SIZE: usize = 1 << 20;

/// Writes the frames behind `synced_lsn` as they are, so that the next sync has something to do.
fn write_again(scanned: &Scanned, synced_lsn: Lsn) -> Result<()> {
    let segment = &scanned.segment;
    let file = segment.file()?.ok_or(Error::Internal("a segment closed before it was recovered"))?;
    let mut offset = SEGMENT_HEADER_SIZE;
    while offset < scanned.end {
        let header = segment.parse(offset).ok_or_else(|| segment.damaged(offset))?.header;
        if header.lsn > synced_lsn {
            break;
        }
        offset += header.padded_length();
    }
    // Through memory of its own: a write from a file's mapping to the same page is asking for trouble.
    let mut buffer = Vec::new();
    let rest = unpublished(segment.map(), offset, scanned.end).unwrap_or_default();
    for part in rest.chunks(WRITE_AGAIN_SIZE) {
        buffer.clear();
        buffer.try_reserve_exact(part.len()).map_err(|_| Error::NoMemory("recovery"))?;
        buffer.extend_from_slice(part);
        file.write_at(&buffer, offset)?;
        offset += part.len() as u64;
    }
    Ok(())
}

/// Writes the seal of a segment that a crash left without one.
fn seal(scanned: &Scanned, lsn: Lsn) -> Result<(u64, u32)> {
    let segment = &scanned.segment;
    let file = segment.file()?.ok_or(Error::Internal("a segment closed before it was recovered"))?;
    if scanned.end + SEAL_FRAME_SIZE > scanned.size {
        return Err(damaged(scanned, "the segment has no room for its seal"));
    }
    // The seal says that everything before it is durable, so that has to be true first.
    if !planted(Bug::SealBeforeSync) && !planted(Bug::ServeUnsynced) {
        file.sync_data()?;
    }
    let reason = (SealReason::Recovered as u64).to_le_bytes();
    let record = NewRecord::new(Kind::Seal, &[], &reason);
    let mut bytes = Vec::new();
    record
        .encode_front(&mut bytes, segment.seed(), scanned.end, lsn, lag(lsn, lsn - 1))
        .ok_or(Error::Internal("a seal too large for a frame"))?;
    bytes.extend_from_slice(record.value);
    file.write_at(&bytes, scanned.end)?;
    let checksum = RecordHeader::decode(&bytes).map_or(0, |header| header.checksum);
    Ok((scanned.end + SEAL_FRAME_SIZE, checksum))
}
