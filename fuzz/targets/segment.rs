//! One segment file. The first byte says what is done to the rest: taken as it is; given a good header;
//! given good checksums besides; given LSNs in order besides.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tinystoredb::os::sim::CrashImage;
use tinystoredb_fuzz::segment_file::{BATCH, HEADER_SIZE, NewFrame, SEGMENT_START, SegmentFile, predecessor};
use tinystoredb_fuzz::{check, empty_directory, file};

/// Of the file.
const CAPACITY: u64 = 128 << 10;

static EMPTY: LazyLock<CrashImage> = LazyLock::new(empty_directory);

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    if data.len() > 64 << 10 {
        return;
    }
    let mut segment = if mode & 3 == 0 {
        SegmentFile { bytes: data.to_vec() }
    } else {
        // The frames stand where a good header and a good segment-start leave off.
        let mut segment = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
        if mode & 4 == 0 {
            segment.push(&NewFrame::new(SEGMENT_START, 1, b"", &predecessor(0, 0, 0)));
        }
        segment.bytes.extend_from_slice(data);
        segment
    };
    if mode & 3 == 3 {
        number(&mut segment);
    }
    if mode & 3 >= 2 {
        segment.reseal_all();
    }
    // Sealed and cut, or as long as it was made.
    let length = if mode & 8 == 0 { CAPACITY } else { segment.bytes.len() as u64 };
    let name = file("00000001.bin");
    let image = EMPTY.with_bytes(&name, 0, &segment.bytes).with_length(&name, length);
    check(&image);
});

/// Gives the records LSNs in order, and those of a batch their places in it.
fn number(segment: &mut SegmentFile) {
    let mut lsn = 1_u64;
    for offset in segment.records() {
        segment.set(offset + 16, &lsn.to_le_bytes());
        if offset > HEADER_SIZE {
            let lag = 1 + u32::from(segment.bytes[offset + 12] & 7);
            segment.set(offset + 12, &lag.to_le_bytes());
        }
        let length = u32::from_le_bytes(segment.bytes[offset + 4..offset + 8].try_into().unwrap()) as usize;
        if segment.bytes[offset + 8] != BATCH || length < 32 {
            lsn += 1;
            continue;
        }
        let mut inner = offset + 32;
        let mut index = 0_u32;
        while inner + 24 <= offset + length {
            let size = u32::from_le_bytes(segment.bytes[inner + 4..inner + 8].try_into().unwrap()) as usize;
            if size < 24 || size > offset + length - inner {
                break;
            }
            segment.set(inner + 12, &index.to_le_bytes());
            segment.set(inner + 16, &(lsn + u64::from(index)).to_le_bytes());
            index += 1;
            inner += size.next_multiple_of(8);
        }
        // The count stays what the input says when it is large.
        let count = u64::from_le_bytes(segment.bytes[offset + 24..offset + 32].try_into().unwrap());
        if count < 256 {
            segment.set(offset + 24, &u64::from(index).to_le_bytes());
        }
        lsn += u64::from(index);
    }
}
