//! Segment files made and changed by hand, after `docs/file_format.md` and not after the code: whoever
//! has the file can give any contents the checksums that belong to them.
#![allow(dead_code)]

/// Bytes before the first frame.
pub const HEADER_SIZE: usize = 4096;
/// Bytes of a record before its key.
pub const RECORD_HEADER_SIZE: usize = 24;
/// What the engine gives a file that it starts.
pub const CAPACITY: u64 = 4 << 20;

pub const PUT: u8 = 1;
pub const DELETE: u8 = 2;
pub const DELETE_RANGE: u8 = 3;
pub const SEGMENT_START: u8 = 4;
pub const SEAL: u8 = 5;
pub const SEGMENT_RETIRED: u8 = 6;
pub const BATCH: u8 = 7;

/// Flag of a record inside a batch.
pub const IN_BATCH: u8 = 0x20;

/// `extra` of a frame when nothing is known to be durable.
pub const LAG_UNKNOWN: u32 = u32::MAX;

/// A segment file's bytes.
#[derive(Clone)]
pub struct SegmentFile {
    pub bytes: Vec<u8>,
}

/// A record to be added. `length` and `key_size` are what fits unless they are set.
#[derive(Clone)]
pub struct NewFrame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub extra: u32,
    pub lsn: u64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub length: Option<u32>,
    pub key_size: Option<u16>,
}

impl<'a> NewFrame<'a> {
    pub fn new(kind: u8, lsn: u64, key: &'a [u8], value: &'a [u8]) -> NewFrame<'a> {
        NewFrame { kind, flags: 0, extra: LAG_UNKNOWN, lsn, key, value, length: None, key_size: None }
    }

    fn encode(&self) -> Vec<u8> {
        let size = RECORD_HEADER_SIZE + self.key.len() + self.value.len();
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&self.length.unwrap_or(size as u32).to_le_bytes());
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.key_size.unwrap_or(self.key.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.extra.to_le_bytes());
        bytes.extend_from_slice(&self.lsn.to_le_bytes());
        bytes.extend_from_slice(self.key);
        bytes.extend_from_slice(self.value);
        bytes
    }
}

/// The value of a segment-start.
pub fn predecessor(segment: u64, end: u64, checksum: u32) -> [u8; 24] {
    let mut value = [0; 24];
    value[..8].copy_from_slice(&segment.to_le_bytes());
    value[8..16].copy_from_slice(&end.to_le_bytes());
    value[16..20].copy_from_slice(&checksum.to_le_bytes());
    value
}

impl SegmentFile {
    /// A file with a header and nothing else.
    pub fn new(store_id: [u8; 16], number: u64, salt: [u8; 16], capacity: u64) -> SegmentFile {
        let mut file = SegmentFile { bytes: vec![0; HEADER_SIZE] };
        file.bytes[..8].copy_from_slice(b"\x89TSTORE\n");
        file.set(8, &1_u32.to_le_bytes());
        file.set(12, &4096_u32.to_le_bytes());
        file.set(16, &store_id);
        file.set(32, &number.to_le_bytes());
        file.set(40, &salt);
        file.set(56, &capacity.to_le_bytes());
        file.seal_header();
        file
    }

    /// The first segment of a store, begun.
    pub fn first() -> SegmentFile {
        let mut file = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
        file.push(&NewFrame::new(SEGMENT_START, 1, b"", &predecessor(0, 0, 0)));
        file
    }

    /// Replaces header bytes; [`SegmentFile::seal_header`] makes them hold.
    pub fn set(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    pub fn seal_header(&mut self) {
        let checksum = crc32c::crc32c(&self.bytes[..124]);
        self.set(124, &checksum.to_le_bytes());
    }

    /// What the checksum of a record at `offset` starts from.
    pub fn seed(&self, offset: usize) -> u32 {
        crc32c::crc32c(&self.bytes[40..56]) ^ ((offset / 8) as u32).wrapping_mul(0x9e37_79b1)
    }

    /// Gives the bytes of a record for `offset` the checksum that belongs to them there.
    pub fn seal_record(&self, record: &mut [u8], offset: usize) {
        let length = u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize;
        let covered = &record[4..length.clamp(4, record.len())];
        let checksum = crc32c::crc32c_append(self.seed(offset), covered);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// As [`SegmentFile::seal_record`] for a record that is in the file.
    pub fn reseal(&mut self, offset: usize) {
        let mut record = self.bytes.split_off(offset);
        self.seal_record(&mut record, offset);
        self.bytes.append(&mut record);
    }

    /// Adds a record at the end, sealed and padded; returns its offset.
    pub fn push(&mut self, frame: &NewFrame<'_>) -> usize {
        self.push_bytes(frame.encode())
    }

    /// Adds a batch frame: `count` as given, and the records as they are, each with its own checksum.
    pub fn push_batch(&mut self, lsn: u64, count: u64, records: &[NewFrame<'_>]) -> usize {
        let offset = self.bytes.len();
        let mut body = count.to_le_bytes().to_vec();
        for record in records {
            let at = offset + RECORD_HEADER_SIZE + body.len();
            let mut bytes = record.encode();
            self.seal_record(&mut bytes, at);
            body.extend_from_slice(&bytes);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        self.push(&NewFrame::new(BATCH, lsn, b"", &body))
    }

    /// Ends the segment at `lsn`; returns the seal's checksum.
    pub fn seal(&mut self, lsn: u64) -> u32 {
        let offset = self.push(&NewFrame::new(SEAL, lsn, b"", &2_u64.to_le_bytes()));
        u32::from_le_bytes(self.bytes[offset..offset + 4].try_into().unwrap())
    }

    fn push_bytes(&mut self, mut record: Vec<u8>) -> usize {
        let offset = self.bytes.len();
        self.seal_record(&mut record, offset);
        self.bytes.extend_from_slice(&record);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        offset
    }

    /// Offsets of the records one after the other, as far as their lengths lead.
    pub fn records(&self) -> Vec<usize> {
        let mut offsets = Vec::new();
        let mut offset = HEADER_SIZE;
        while let Some(header) = self.bytes.get(offset..offset + RECORD_HEADER_SIZE) {
            let length = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
            if length < RECORD_HEADER_SIZE || length > self.bytes.len() - offset {
                break;
            }
            offsets.push(offset);
            offset += length.next_multiple_of(8);
        }
        offsets
    }

    /// Gives the header and every record in the file the checksums that belong to them.
    pub fn reseal_all(&mut self) {
        self.seal_header();
        for offset in self.records() {
            if self.bytes[offset + 8] == BATCH {
                self.reseal_batch(offset);
            }
            self.reseal(offset);
        }
    }

    fn reseal_batch(&mut self, frame: usize) {
        let end = frame + u32::from_le_bytes(self.bytes[frame + 4..frame + 8].try_into().unwrap()) as usize;
        let mut offset = frame + RECORD_HEADER_SIZE + 8;
        while offset + RECORD_HEADER_SIZE <= end {
            let length = u32::from_le_bytes(self.bytes[offset + 4..offset + 8].try_into().unwrap()) as usize;
            if length < RECORD_HEADER_SIZE || length > end - offset {
                break;
            }
            self.reseal(offset);
            offset += length.next_multiple_of(8);
        }
    }
}
