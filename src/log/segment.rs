//! A segment: one file of the log, its mapping, and how far it is filled. And the table that finds the
//! segment a position lies in.
//!
//! Invariants:
//! 1. Bytes below `end` never change again; a reader touches nothing at or above it.
//! 2. `end` grows with a Release store after the bytes below it were written, by the one writer.
//! 3. A segment's place in the address space is given out once and holds until the segment is removed
//!    from the table, which happens only when nobody can have a position in it any more.
//!
//! Callers: the other modules of `log`; `store` sees records only.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::{Arc, OnceLock};

use super::format::{Record, Seed};
use crate::error::{Error, Result};
use crate::options::SEGMENT_SIZE_STEP;
use crate::os::{File, Map};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicPtr, AtomicU64, Mutex, Ordering, lock};
use crate::types::{LOG_SIZE_MAX, Position};

/// A field that writers change often, kept off the cache line of what readers read.
#[repr(align(128))]
#[derive(Debug)]
struct OwnLine<T>(T);

/// One file of the log.
#[derive(Debug)]
pub struct Segment {
    id: u64,
    seed: Seed,
    map: Map,
    /// Address of offset 0 in the log's address space.
    base: u64,
    /// What readers last saw of `end`; they look at the writer's line only beyond it.
    seen_end: AtomicU64,
    end: OwnLine<AtomicU64>,
    /// Kept open until the last sync, since a failed write-back is reported per open file.
    file: Mutex<Option<Arc<dyn File>>>,
}

impl Segment {
    /// A segment at `base` of the address space whose bytes below `end` are written.
    pub fn new(id: u64, seed: Seed, map: Map, base: u64, end: u64, file: Box<dyn File>) -> Segment {
        Segment {
            id,
            seed,
            map,
            base,
            seen_end: AtomicU64::new(end),
            end: OwnLine(AtomicU64::new(end)),
            file: Mutex::new(Some(Arc::from(file))),
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What its checksums are seeded with.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Its mapping.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Where it is filled to.
    pub fn end(&self) -> u64 {
        self.end.0.load(Ordering::Acquire)
    }

    /// Its file, unless it has been released.
    pub fn file(&self) -> Result<Option<Arc<dyn File>>> {
        Ok(lock(&self.file)?.clone())
    }

    /// Closes the file of a segment that is in its final state; the mapping stays.
    pub fn close_file(&self) -> Result<()> {
        *lock(&self.file)? = None;
        Ok(())
    }

    /// Brings a segment that gets no more frames to its final state: on the device, cut to its end, and
    /// its file closed; the mapping stays. Does nothing the second time.
    ///
    /// The bytes are synced before the length changes: a file that is shorter than its header says and
    /// does not end in a seal is damaged, never half sealed.
    pub fn finish(&self) -> Result<()> {
        let Some(file) = self.file()? else { return Ok(()) };
        if !planted(Bug::CutBeforeSync) {
            file.sync_data()?;
        }
        file.truncate(self.end())?;
        file.sync_all()?;
        self.map.advise_sealed();
        self.close_file()
    }

    /// The position of `offset`.
    pub fn position(&self, offset: u64) -> Result<Position> {
        Position::new(self.base + offset).ok_or(Error::Internal("a record outside the log's address space"))
    }

    /// Makes the bytes up to `end` readable. Only the writer, after writing them.
    pub fn publish(&self, end: u64) {
        debug_assert!(end >= self.end.0.load(Ordering::Relaxed) && end <= self.map.size());
        self.end.0.store(end, Ordering::Release);
    }

    /// The bytes from `offset` to the end that readers have seen; none where the offset is beyond it.
    #[inline(always)]
    fn bytes_from(&self, offset: u64) -> &[u8] {
        let mut end = self.seen_end.load(Ordering::Acquire);
        if offset + 4096 > end {
            end = self.look_at_end();
        }
        let Some(size) = end.checked_sub(offset) else { return &[] };
        // SAFETY: invariants 1 and 2: the bytes below an `end` that was loaded with Acquire are written
        // and never change.
        unsafe { self.map.bytes(offset, size as usize) }.unwrap_or(&[])
    }

    /// Where it is filled to, for readers to remember. Written only where it has moved: other readers have
    /// the line too.
    fn look_at_end(&self) -> u64 {
        let end = self.end();
        if self.seen_end.load(Ordering::Relaxed) != end {
            self.seen_end.store(end, Ordering::Release);
        }
        end
    }

    /// The record at `offset`, not verified. For keys that the index compares.
    #[inline(always)]
    pub fn parse(&self, offset: u64) -> Option<Record<'_>> {
        let mut again = false;
        loop {
            let record = Record::parse(self.bytes_from(offset));
            if record.is_some() || again {
                return record;
            }
            // One that reaches beyond what readers had seen of the segment is looked at once more.
            self.look_at_end();
            again = true;
        }
    }

    /// The record at `offset`, verified.
    #[inline(always)]
    pub fn verify(&self, offset: u64) -> Option<Record<'_>> {
        let mut again = false;
        loop {
            let record = Record::verify(self.bytes_from(offset), self.seed, offset);
            if record.is_some() || again {
                return record;
            }
            self.look_at_end();
            again = true;
        }
    }

    /// Why there is no record at `offset` where one was.
    #[cold]
    pub fn damaged(&self, offset: u64) -> Error {
        Error::corrupt(
            super::segment_file_name(self.id),
            offset,
            "a record that was valid when it was written or last read is not any more",
        )
    }
}

/// Regions in one chunk of the table.
const CHUNK: usize = if cfg!(loom) { 1 } else { 1024 };
/// Chunks.
const CHUNKS: usize = if cfg!(loom) { 2 } else { CHUNKS_MAX };
const CHUNKS_MAX: usize = (LOG_SIZE_MAX / SEGMENT_SIZE_STEP) as usize / CHUNK;

type Chunk = Box<[AtomicPtr<Segment>]>;

/// Finds the segment of a position without a lock.
pub struct SegmentTable {
    /// Regions of 4 MiB; each entry is a segment that `owners` keeps alive, or null.
    chunks: Box<[OnceLock<Chunk>]>,
    owners: Mutex<Owners>,
}

struct Owners {
    segments: Vec<Arc<Segment>>,
    next_region: u64,
}

impl SegmentTable {
    /// An empty table.
    pub fn new() -> SegmentTable {
        SegmentTable {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            owners: Mutex::new(Owners { segments: Vec::new(), next_region: 0 }),
        }
    }

    /// Gives out the addresses for a segment of `size` bytes.
    pub fn place(&self, size: u64) -> Result<u64> {
        let mut owners = lock(&self.owners)?;
        let base = owners.next_region * SEGMENT_SIZE_STEP;
        let regions = size.div_ceil(SEGMENT_SIZE_STEP).max(1);
        if base + regions * SEGMENT_SIZE_STEP > LOG_SIZE_MAX {
            return Err(Error::InvalidArgument("the log has reached its largest size, 8 TiB".to_string()));
        }
        owners.next_region += regions;
        Ok(base)
    }

    /// Enters a segment at the addresses that [`SegmentTable::place`] gave out for it.
    pub fn insert(&self, segment: &Arc<Segment>) -> Result<()> {
        let mut owners = lock(&self.owners)?;
        let first = segment.base / SEGMENT_SIZE_STEP;
        let regions = segment.map.size().div_ceil(SEGMENT_SIZE_STEP).max(1);
        for region in first..first + regions {
            let chunk = self
                .chunks
                .get(region as usize / CHUNK)
                .ok_or(Error::Internal("a segment outside the log's address space"))?
                .get_or_init(|| (0..CHUNK).map(|_| AtomicPtr::new(ptr::null_mut())).collect());
            if let Some(entry) = chunk.get(region as usize % CHUNK) {
                entry.store(Arc::as_ptr(segment).cast_mut(), Ordering::Release);
            }
        }
        owners.segments.push(Arc::clone(segment));
        Ok(())
    }

    /// All segments, in the order they were entered.
    pub fn all(&self) -> Result<Vec<Arc<Segment>>> {
        Ok(lock(&self.owners)?.segments.clone())
    }

    /// The segment that `position` lies in, and the offset there.
    #[inline(always)]
    pub fn find(&self, position: Position) -> Result<(&Segment, u64)> {
        self.get(position).ok_or(Error::Internal("a position without a segment"))
    }

    /// As [`SegmentTable::find`], `None` where there is none.
    #[inline(always)]
    pub fn get(&self, position: Position) -> Option<(&Segment, u64)> {
        let region = (position.address() / SEGMENT_SIZE_STEP) as usize;
        let entry = self.chunks.get(region / CHUNK)?.get()?.get(region % CHUNK)?;
        let pointer = entry.load(Ordering::Acquire);
        // SAFETY: a pointer in the table came from an Arc in `owners`, where it stays as long as the
        // table lives (invariant 3).
        let segment = unsafe { pointer.as_ref() }?;
        Some((segment, position.address() - segment.base))
    }

    /// As [`SegmentTable::find`], counted, so that the segment outlives the store.
    pub fn find_owned(&self, position: Position) -> Result<(Arc<Segment>, u64)> {
        let (segment, offset) = self.find(position)?;
        // SAFETY: the reference came from an Arc in `owners` that is still there (invariant 3), so its
        // count can be raised and the raised count handed out.
        let owned = unsafe {
            Arc::increment_strong_count(ptr::from_ref(segment));
            Arc::from_raw(ptr::from_ref(segment))
        };
        Ok((owned, offset))
    }
}

#[cfg(all(test, loom))]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::format::{Kind, NewRecord, SEGMENT_HEADER_SIZE, SegmentHeader};
    use crate::os::sim::SimOs;
    use crate::os::{MapMode, Os};
    use crate::sync::thread;

    /// A segment of the smallest size, with nothing in it.
    fn segment(os: &SimOs, table: &SegmentTable, id: u64) -> Arc<Segment> {
        let directory = os.open_directory(Path::new("/log"), true).unwrap();
        let file = directory.create(&id.to_string()).unwrap();
        file.allocate(SEGMENT_SIZE_STEP).unwrap();
        let map = file.map(SEGMENT_SIZE_STEP, MapMode::ReadWrite).unwrap();
        map.populate(0, SEGMENT_HEADER_SIZE * 2).unwrap();
        let header = SegmentHeader { store_id: [0; 16], segment_id: id, salt: [id as u8; 16], capacity: 0 };
        let base = table.place(SEGMENT_SIZE_STEP).unwrap();
        Arc::new(Segment::new(id, header.seed(), map, base, SEGMENT_HEADER_SIZE, file))
    }

    /// Writes a record and makes it readable, as `Writer::write_frame` does.
    fn append(segment: &Segment, lsn: u64, size: usize, written: &AtomicU64) -> u64 {
        let offset = segment.end();
        let value = vec![lsn as u8; size];
        let record = NewRecord::new(Kind::Put, b"key", &value);
        let mut bytes = Vec::new();
        record.encode_front(&mut bytes, segment.seed(), offset, lsn, 0).unwrap();
        bytes.extend_from_slice(&value);
        // SAFETY: above the published end, by the only writer.
        unsafe { segment.map().write(offset, &bytes) }.unwrap();
        // The explorer does not follow plain memory: this stands for the bytes.
        written.store(lsn, Ordering::Relaxed);
        segment.publish(offset + crate::log::format::padded(record.size()));
        segment.position(offset).unwrap().to_units()
    }

    /// The log goes on in a new segment while two readers follow what the index names last.
    /// `RUSTFLAGS="--cfg loom" cargo test --lib log::segment`
    #[test]
    fn a_record_that_the_index_names_is_found_and_whole_while_the_log_goes_on() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.max_branches = 10_000;
        let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = Arc::clone(&orders);
        model.check(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (os, table, written) = (SimOs::new(1), SegmentTable::new(), AtomicU64::new(0));
            let first = segment(&os, &table, 1);
            table.insert(&first).unwrap();
            let named = AtomicU64::new(append(&first, 1, 10, &written));
            let second = segment(&os, &table, 2);
            let shared = Arc::new((table, named, written));
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let (table, named, written) = &*shared;
                        let position = Position::from_units(named.load(Ordering::Acquire));
                        let (segment, offset) = table.find(position).unwrap();
                        let record = segment.verify(offset).unwrap();
                        assert!(written.load(Ordering::Relaxed) >= record.header.lsn, "read before written");
                    })
                })
                .collect();
            let (table, named, written) = &*shared;
            // Larger than what readers take from what they have seen of the end.
            named.store(append(&first, 2, 5000, written), Ordering::Release);
            table.insert(&second).unwrap();
            named.store(append(&second, 3, 10, written), Ordering::Release);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
        println!("{}: {orders:?} orders", std::thread::current().name().unwrap_or_default());
    }
}
