//! The header of a segment file, and what its first record says of the segment before it.
//!
//! Invariants: those of `format`.
//!
//! Callers: `format`.

use crate::planted::{Bug, planted};

use super::{FORMAT_VERSION, Fields, SEGMENT_HEADER_SIZE, Seed, array, u32_at, u64_at};

/// First bytes of a segment. The first one is not ASCII, so that no text file is taken for one.
pub const SEGMENT_MAGIC: [u8; 8] = *b"\x89TSTORE\n";

/// Bytes of the segment header that mean something; in every version the last four are their checksum.
pub const SEGMENT_HEADER_USED: usize = 128;

/// Bytes of a segment-start record's value.
pub const SEGMENT_START_SIZE: usize = 24;

/// Header of a segment file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// The store the segment belongs to.
    pub store_id: [u8; 16],
    /// Its number; equal to its file name.
    pub segment_id: u64,
    /// Random bytes that seed its checksums.
    pub salt: [u8; 16],
    /// Length of the file until the segment is sealed and cut to its end.
    pub capacity: u64,
}

/// Why a segment header was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The first bytes are not a segment's.
    Magic,
    /// Its checksum does not match.
    Checksum,
    /// It is of this newer version.
    Version(u32),
}

impl SegmentHeader {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_USED] {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let mut fields = Fields(&mut bytes);
        fields.put(&SEGMENT_MAGIC);
        fields.put(&FORMAT_VERSION.to_le_bytes());
        fields.put(&(SEGMENT_HEADER_SIZE as u32).to_le_bytes());
        fields.put(&self.store_id);
        fields.put(&self.segment_id.to_le_bytes());
        fields.put(&self.salt);
        fields.put(&self.capacity.to_le_bytes());
        let (covered, checksum) = bytes.split_at_mut(SEGMENT_HEADER_USED - 4);
        checksum.copy_from_slice(&crc32c::crc32c(covered).to_le_bytes());
        bytes
    }

    /// Reads a header. Where the magic, the version and the checksum are holds in every version.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_USED]) -> Result<SegmentHeader, HeaderError> {
        if array::<8>(bytes, 0) != Some(SEGMENT_MAGIC) {
            return Err(HeaderError::Magic);
        }
        let (covered, _) = bytes.split_at(SEGMENT_HEADER_USED - 4);
        if u32_at(bytes, SEGMENT_HEADER_USED - 4) != crc32c::crc32c(covered) {
            return Err(HeaderError::Checksum);
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION => {}
            version => return Err(HeaderError::Version(version)),
        }
        Ok(SegmentHeader {
            store_id: array(bytes, 16).unwrap_or_default(),
            segment_id: u64_at(bytes, 32),
            salt: array(bytes, 40).unwrap_or_default(),
            capacity: u64_at(bytes, 56),
        })
    }

    /// What the segment's checksums are seeded with.
    pub fn seed(&self) -> Seed {
        Seed(if planted(Bug::DropSalt) { 0 } else { crc32c::crc32c(&self.salt) })
    }
}

/// What a segment-start says: the segment that came before, or zeros for the first one of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Predecessor {
    /// Its number.
    pub segment_id: u64,
    /// Where its seal ends.
    pub end: u64,
    /// Its seal's checksum.
    pub checksum: u32,
}

impl Predecessor {
    /// The value of the segment-start record.
    pub fn encode(&self) -> [u8; SEGMENT_START_SIZE] {
        let mut bytes = [0; SEGMENT_START_SIZE];
        let mut fields = Fields(&mut bytes);
        fields.put(&self.segment_id.to_le_bytes());
        fields.put(&self.end.to_le_bytes());
        fields.put(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads the value of a segment-start record.
    pub fn decode(value: &[u8]) -> Option<Predecessor> {
        (value.len() == SEGMENT_START_SIZE).then(|| Predecessor {
            segment_id: u64_at(value, 0),
            end: u64_at(value, 8),
            checksum: u32_at(value, 16),
        })
    }
}
