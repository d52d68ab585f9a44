//! Every byte of the log: segment headers, records, checksums. Pure functions over byte slices.
//!
//! `docs/file_format.md` says the same in prose; a test compares its worked example with this code.
//!
//! Invariants:
//! 1. The offsets and sizes of the format are written down here and nowhere else.
//! 2. No field of a record is believed before the checksum of the frame it lies in has passed, except
//!    its length, which is held against the bytes at hand first.
//! 3. A checksum is seeded with the segment's salt and the record's offset, and covers the LSN: bytes
//!    from another segment, another offset or an earlier life of a file do not pass.
//!
//! Callers: the other modules of `log`.

mod checksum;
mod header;

pub use header::{HeaderError, Predecessor, SEGMENT_HEADER_USED, SEGMENT_START_SIZE, SegmentHeader};

use crate::planted::{Bug, planted};
use crate::types::{Lsn, ValueType};

/// The newest format version, which is the one that is written.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes before the first frame: one page of its own, so that no append rewrites the header's sector.
pub const SEGMENT_HEADER_SIZE: u64 = 4096;

/// Bytes before a record's expiry, key and value.
pub const RECORD_HEADER_SIZE: usize = 24;

/// Bytes of an expiry time, where there is one.
pub const EXPIRY_SIZE: usize = 8;

/// Bytes between a batch frame's header and its first record: the number of records, as a `u64`.
pub const BATCH_COUNT_SIZE: usize = 8;

/// Largest frame. A commit is one frame.
pub const FRAME_SIZE_MAX: u64 = 1 << 31;

/// Bytes that a seal takes, and that a writer therefore keeps free at the end of a segment.
pub const SEAL_FRAME_SIZE: u64 = padded(RECORD_HEADER_SIZE as u64 + 8);

/// Bytes that a segment-start takes.
pub const SEGMENT_START_FRAME_SIZE: u64 = padded((RECORD_HEADER_SIZE + SEGMENT_START_SIZE) as u64);

/// `size` rounded up to the 8 bytes that every record starts at.
pub const fn padded(size: u64) -> u64 {
    (size + 7) & !7
}

/// What a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A key has a value.
    Put = 1,
    /// A key is absent (a tombstone).
    Delete = 2,
    /// The keys from `key` to before `value` are absent.
    DeleteRange = 3,
    /// First record of a segment: its place in the chain of segments.
    SegmentStart = 4,
    /// Last record of a segment: the segment ends here and is complete.
    Seal = 5,
    /// Segments that were removed on purpose.
    SegmentRetired = 6,
    /// A frame whose body is a sequence of records that take effect together.
    Batch = 7,
}

impl Kind {
    #[inline]
    fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Put,
            2 => Kind::Delete,
            3 => Kind::DeleteRange,
            4 => Kind::SegmentStart,
            5 => Kind::Seal,
            6 => Kind::SegmentRetired,
            7 => Kind::Batch,
            _ => return None,
        })
    }
}

/// Low bits of the flags: the value type.
const FLAG_TYPE_MASK: u8 = 0x0f;
/// The record has an expiry time.
const FLAG_EXPIRY: u8 = 0x10;
/// The record lies inside a batch. Without it a record of a torn batch would pass for a frame, and its
/// index for a lag.
const FLAG_ELEMENT: u8 = 0x20;

/// `extra` of a frame where nothing, or nothing within 2^32 operations, was durable before it.
const LAG_UNKNOWN: u32 = u32::MAX;

/// A segment's part of the checksum seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(u32);

impl Seed {
    /// The seed at `offset`: different for every record offset of a segment, since multiplying by an
    /// odd number is a bijection and a segment has fewer than 2^32 multiples of 8.
    #[inline]
    fn at(self, offset: u64) -> u32 {
        if planted(Bug::DropOffset) {
            return self.0;
        }
        self.0 ^ ((offset >> 3) as u32).wrapping_mul(0x9e37_79b1)
    }

    /// The checksum of a record at `offset` whose bytes after the checksum field are `parts`, joined.
    pub fn checksum(self, offset: u64, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(self.at(offset), |checksum, part| crc32c::crc32c_append(checksum, part))
    }
}

/// A record's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// Of everything after it, seeded.
    pub checksum: u32,
    /// Bytes of the record with this header, without padding.
    pub length: u32,
    /// What the record says.
    pub kind: Kind,
    /// Value type and expiry bit.
    pub flags: u8,
    /// Bytes of the key.
    pub key_size: u16,
    /// Of a frame: how far the durable mark lagged behind `lsn`. Inside a batch: the record's index.
    pub extra: u32,
    /// Of the operation; of a batch: of its first operation.
    pub lsn: Lsn,
}

impl RecordHeader {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; RECORD_HEADER_SIZE] {
        let mut bytes = [0; RECORD_HEADER_SIZE];
        let mut fields = Fields(&mut bytes);
        fields.put(&self.checksum.to_le_bytes());
        fields.put(&self.length.to_le_bytes());
        fields.put(&[self.kind as u8, self.flags]);
        fields.put(&self.key_size.to_le_bytes());
        fields.put(&self.extra.to_le_bytes());
        fields.put(&self.lsn.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`, or `None` where it cannot be one: too few bytes, a
    /// kind or type that does not exist, or parts longer than the whole. Its checksum is not checked.
    #[inline(always)]
    pub fn decode(bytes: &[u8]) -> Option<RecordHeader> {
        let bytes: &[u8; RECORD_HEADER_SIZE] = bytes.first_chunk()?;
        let &[c0, c1, c2, c3, l0, l1, l2, l3, kind, flags, k0, k1, e0, e1, e2, e3, lsn @ ..] = bytes;
        let header = RecordHeader {
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            kind: Kind::from_number(kind)?,
            flags,
            key_size: u16::from_le_bytes([k0, k1]),
            extra: u32::from_le_bytes([e0, e1, e2, e3]),
            lsn: u64::from_le_bytes(lsn),
        };
        ValueType::from_number(flags & FLAG_TYPE_MASK)?;
        if flags & !(FLAG_TYPE_MASK | FLAG_EXPIRY | FLAG_ELEMENT) != 0
            || header.value_start() > header.length as usize
        {
            return None;
        }
        Some(header)
    }

    /// Whether it lies inside a batch, and is no frame of its own.
    #[inline]
    pub fn is_element(&self) -> bool {
        self.flags & FLAG_ELEMENT != 0
    }

    /// What was known to be durable when the frame was written: every operation up to this one.
    pub fn synced_lsn(&self) -> Lsn {
        if (self.is_element() && !planted(Bug::ElementsProve)) || self.extra == LAG_UNKNOWN {
            return 0;
        }
        self.lsn.saturating_sub(u64::from(self.extra))
    }

    /// Bytes up to where the next record starts.
    #[inline]
    pub const fn padded_length(&self) -> u64 {
        padded(self.length as u64)
    }

    #[inline]
    fn key_start(&self) -> usize {
        RECORD_HEADER_SIZE + if self.flags & FLAG_EXPIRY != 0 { EXPIRY_SIZE } else { 0 }
    }

    #[inline]
    fn value_start(&self) -> usize {
        self.key_start() + usize::from(self.key_size)
    }
}

/// The `extra` of a frame at `lsn` when everything up to `synced` is durable.
pub fn lag(lsn: Lsn, synced: Lsn) -> u32 {
    if planted(Bug::ClaimWritten) {
        return 1;
    }
    if synced == 0 { LAG_UNKNOWN } else { u32::try_from(lsn - synced).unwrap_or(LAG_UNKNOWN) }
}

/// A record in the log, borrowed from the mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its header.
    pub header: RecordHeader,
    /// Milliseconds since 1970-01-01 UTC from which on it reads as absent.
    pub expiry: Option<i64>,
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes` without checking its checksum, or `None` where the
    /// bytes cannot be one.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        let header = RecordHeader::decode(bytes)?;
        let bytes = bytes.get(..header.length as usize)?;
        let (front, value) = bytes.split_at_checked(header.value_start())?;
        let (front, key) = front.split_at_checked(header.key_start())?;
        let expiry =
            (header.flags & FLAG_EXPIRY != 0).then(|| u64_at(front, RECORD_HEADER_SIZE).cast_signed());
        Some(Record { header, expiry, key, value })
    }

    /// Reads the record at the start of `bytes`, which lies at `offset` of a segment, and checks it.
    #[inline(always)]
    pub fn verify(bytes: &'a [u8], seed: Seed, offset: u64) -> Option<Record<'a>> {
        let record = Record::parse(bytes)?;
        let bytes = bytes.get(..record.header.length as usize)?;
        (checksum::of_record(seed.at(offset), bytes) == record.header.checksum).then_some(record)
    }

    /// The type of its value.
    #[inline]
    pub fn value_type(&self) -> ValueType {
        ValueType::from_number(self.header.flags & FLAG_TYPE_MASK).unwrap_or(ValueType::Bytes)
    }

    /// The records of a batch frame, each with its distance from the frame's start; `None` at an
    /// element where the body is not a batch. Only for a frame that was verified.
    pub fn batch(&self) -> Batch<'a> {
        let start = self.header.value_start() as u64;
        match self.value.split_first_chunk() {
            Some((count, body)) => Batch {
                body,
                distance: start + BATCH_COUNT_SIZE as u64,
                left: u64::from_le_bytes(*count),
                lsn: self.header.lsn,
                index: 0,
            },
            None => Batch { body: &[], distance: start, left: 1, lsn: 0, index: 0 },
        }
    }
}

/// The records of a batch. See [`Record::batch`].
pub struct Batch<'a> {
    body: &'a [u8],
    distance: u64,
    left: u64,
    lsn: Lsn,
    index: u32,
}

impl Batch<'_> {
    /// How many records the frame says it has left.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Option<(u64, Record<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = Record::parse(self.body).filter(|record| {
            record.header.is_element()
                && record.header.lsn == self.lsn.wrapping_add(u64::from(self.index))
                && record.header.extra == self.index
                && matches!(record.header.kind, Kind::Put | Kind::Delete | Kind::DeleteRange)
        });
        let Some(record) = record else {
            self.left = 0;
            return Some(None);
        };
        let size = record.header.padded_length();
        let distance = self.distance;
        self.distance += size;
        self.body = usize::try_from(size).ok().and_then(|size| self.body.get(size..)).unwrap_or(&[]);
        self.index = self.index.wrapping_add(1);
        Some(Some((distance, record)))
    }
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What it says.
    pub kind: Kind,
    /// The type of its value.
    pub value_type: ValueType,
    /// See [`Record::expiry`].
    pub expiry: Option<i64>,
    /// Its key, at most `KEY_SIZE_MAX` bytes.
    pub key: &'a [u8],
    /// Its value, at most `VALUE_SIZE_MAX` bytes.
    pub value: &'a [u8],
}

impl<'a> NewRecord<'a> {
    /// A record without value type or expiry.
    pub fn new(kind: Kind, key: &'a [u8], value: &'a [u8]) -> NewRecord<'a> {
        NewRecord { kind, value_type: ValueType::Bytes, expiry: None, key, value }
    }

    /// Bytes of the record without padding.
    pub fn size(&self) -> u64 {
        let expiry = if self.expiry.is_some() { EXPIRY_SIZE } else { 0 };
        (RECORD_HEADER_SIZE + expiry) as u64 + self.key.len() as u64 + self.value.len() as u64
    }

    /// The bytes before the value, checksum included, for a frame at `offset` of the segment whose
    /// durable mark lags behind by `lag`. `None` where the record is too large for the format.
    pub fn encode_front(
        &self,
        front: &mut Vec<u8>,
        seed: Seed,
        offset: u64,
        lsn: Lsn,
        lag: u32,
    ) -> Option<()> {
        self.encode(front, seed, offset, lsn, lag, 0)
    }

    /// As [`NewRecord::encode_front`], for the record with this index inside a batch.
    pub fn encode_element_front(
        &self,
        front: &mut Vec<u8>,
        seed: Seed,
        offset: u64,
        lsn: Lsn,
        index: u32,
    ) -> Option<()> {
        self.encode(front, seed, offset, lsn, index, FLAG_ELEMENT)
    }

    fn encode(
        &self,
        front: &mut Vec<u8>,
        seed: Seed,
        offset: u64,
        lsn: Lsn,
        extra: u32,
        flags: u8,
    ) -> Option<()> {
        let mut header = RecordHeader {
            checksum: 0,
            length: u32::try_from(self.size()).ok().filter(|&size| u64::from(size) <= FRAME_SIZE_MAX)?,
            kind: self.kind,
            flags: flags | self.value_type as u8 | if self.expiry.is_some() { FLAG_EXPIRY } else { 0 },
            key_size: u16::try_from(self.key.len()).ok()?,
            extra,
            lsn,
        };
        let start = front.len();
        front.extend_from_slice(&header.encode());
        if let Some(expiry) = self.expiry {
            front.extend_from_slice(&expiry.to_le_bytes());
        }
        front.extend_from_slice(self.key);
        header.checksum = seed.checksum(offset, &[front.get(start + 4..)?, self.value]);
        front.get_mut(start..start + 4)?.copy_from_slice(&header.checksum.to_le_bytes());
        Some(())
    }
}

/// Why a segment ended: the value of its seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum SealReason {
    /// It was full, and another one follows.
    Full = 1,
    /// The store was closed.
    Closed = 2,
    /// Recovery ended it after a crash.
    Recovered = 3,
}

/// Writes fields one after the other.
struct Fields<'a>(&'a mut [u8]);

impl Fields<'_> {
    fn put(&mut self, field: &[u8]) {
        let rest = std::mem::take(&mut self.0);
        debug_assert!(field.len() <= rest.len(), "a field beyond the end of a fixed layout");
        if let Some((place, rest)) = rest.split_at_mut_checked(field.len()) {
            place.copy_from_slice(field);
            self.0 = rest;
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array(bytes, at).map_or(0, u64::from_le_bytes)
}
