//! Segments whose checksums are right and whose contents are absurd. Whoever can write the files can make
//! them: the answer is an error or what the file says, in bounded time and memory, never a crash.

use tinystoredb::os::Os;
use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Error, Options, Store, ValueType};

use crate::allocations::largest_allocation;
use crate::segment_file::*;
use crate::store::{Contents, PATH, file, read};

fn directory() -> CrashImage {
    let os = SimOs::new(1);
    os.open_directory(PATH.as_ref(), true).unwrap();
    os.image().unwrap()
}

/// Opens a store of these segments, grown to these lengths.
fn open_files(files: &[(&str, &SegmentFile, u64)]) -> Result<Contents, Error> {
    let mut image = directory();
    for (name, segment, length) in files {
        image = image.with_bytes(file(name), 0, &segment.bytes).with_length(file(name), *length);
    }
    let os = SimOs::from_image(&image);
    let options = Options { maintenance: false, ..Options::default() };
    let bytes: u64 = files.iter().map(|(_, segment, _)| segment.bytes.len() as u64).sum();
    let mut opened = false;
    let (outcome, largest) = largest_allocation(|| {
        let store = Store::open_on(os.clone(), PATH, &options)?;
        opened = true;
        let contents = read(&store)?;
        // What was accepted can be built upon.
        store.put(b"one more", b"value")?;
        store.close()?;
        let store = Store::open_on(SimOs::from_image(&os.image()?), PATH, &options)?;
        let mut again = read(&store)?;
        assert_eq!(again.remove(&b"one more"[..]), Some((ValueType::Bytes, b"value".to_vec())));
        assert_eq!(again, contents);
        Ok(contents)
    });
    assert!(largest as u64 <= 4 * bytes + (8 << 20), "{largest} bytes at once for files of {bytes}");
    if !opened {
        let after = os.image().unwrap();
        let small = files.iter().filter(|(_, _, length)| *length <= 16 << 20);
        for (name, _, _) in small {
            assert!(image.read(file(name)) == after.read(file(name)), "{name} was changed");
        }
    }
    outcome
}

/// The one segment of a store, as long as it was created.
fn open_segment(segment: &SegmentFile) -> Result<Contents, Error> {
    open_files(&[("00000001.bin", segment, CAPACITY.max(segment.bytes.len() as u64))])
}

fn corrupt(outcome: Result<Contents, Error>) -> u64 {
    match outcome {
        Err(Error::Corrupt { file, offset, .. }) => {
            assert!(file.ends_with(".bin"), "{file}");
            offset
        }
        other => panic!("{other:?}"),
    }
}

fn put(lsn: u64) -> NewFrame<'static> {
    NewFrame::new(PUT, lsn, b"key", b"value")
}

fn one_pair() -> Contents {
    Contents::from([(b"key".to_vec(), (ValueType::Bytes, b"value".to_vec()))])
}

/// A record inside a batch.
fn inner(index: u32, lsn: u64) -> NewFrame<'static> {
    NewFrame { extra: index, flags: IN_BATCH, ..put(lsn + u64::from(index)) }
}

#[test]
fn a_file_made_by_hand_after_the_description_is_read() {
    let mut segment = SegmentFile::first();
    segment.push(&put(2));
    segment.push_batch(3, 2, &[inner(0, 3), inner(1, 3)]);
    assert_eq!(open_segment(&segment).unwrap(), one_pair());
    segment.seal(5);
    assert_eq!(open_segment(&segment).unwrap(), one_pair(), "sealed and not cut");
    let length = segment.bytes.len() as u64;
    assert_eq!(open_files(&[("00000001.bin", &segment, length)]).unwrap(), one_pair(), "sealed and cut");
}

#[test]
fn a_batch_with_an_absurd_count_is_damage() {
    for count in [2, 3, 1 << 32, 1 << 63, u64::MAX - 2, u64::MAX] {
        let mut segment = SegmentFile::first();
        let offset = segment.push_batch(2, count, &[inner(0, 2)]);
        assert_eq!(corrupt(open_segment(&segment)), offset as u64, "{count}");
    }
    let mut segment = SegmentFile::first();
    segment.push_batch(2, 0, &[]);
    segment.push(&put(2));
    assert_eq!(open_segment(&segment).unwrap(), one_pair(), "an empty batch takes no number");
}

#[test]
fn a_batch_without_a_body_or_with_records_that_do_not_fit_is_damage() {
    for size in 0..8 {
        let mut segment = SegmentFile::first();
        let offset = segment.push(&NewFrame::new(BATCH, 2, b"", &vec![1; size]));
        assert_eq!(corrupt(open_segment(&segment)), offset as u64);
    }
    let wrong = [
        NewFrame { lsn: 9, ..inner(0, 2) },
        NewFrame { extra: 1, ..inner(0, 2) },
        NewFrame { kind: BATCH, ..inner(0, 2) },
        NewFrame { kind: SEAL, ..inner(0, 2) },
        NewFrame { kind: 99, ..inner(0, 2) },
        NewFrame { length: Some(u32::MAX), ..inner(0, 2) },
        NewFrame { length: Some(0), ..inner(0, 2) },
        NewFrame { key_size: Some(u16::MAX), ..inner(0, 2) },
    ];
    for (number, record) in wrong.into_iter().enumerate() {
        let mut segment = SegmentFile::first();
        let offset = segment.push_batch(2, 1, &[record]);
        assert_eq!(corrupt(open_segment(&segment)), offset as u64, "{number}");
    }
}

#[test]
fn a_record_of_a_batch_with_a_wrong_checksum_is_found_when_it_is_read() {
    let mut segment = SegmentFile::first();
    let offset = segment.push_batch(2, 1, &[inner(0, 2)]);
    let last = offset + 32 + 24;
    segment.bytes[last] ^= 1;
    segment.reseal(offset);
    assert_eq!(corrupt(open_segment(&segment)), offset as u64 + 32);
}

#[test]
fn lengths_at_the_limits_end_the_log() {
    for length in [0, 1, 23, 24, 26, (4 << 20) - 4096, 4 << 20, 1 << 31, u32::MAX] {
        let mut segment = SegmentFile::first();
        segment.push(&put(2));
        segment.push(&NewFrame { length: Some(length), ..put(3) });
        assert_eq!(open_segment(&segment).unwrap(), one_pair(), "{length}");
    }
    // A frame up to the very end: its segment has no room for the seal that belongs there.
    let mut segment = SegmentFile::first();
    let rest = CAPACITY as usize - segment.bytes.len() - RECORD_HEADER_SIZE;
    segment.push(&NewFrame::new(PUT, 2, b"", &vec![7; rest]));
    corrupt(open_segment(&segment));
}

#[test]
fn the_longest_key_is_a_key() {
    let key = vec![b'k'; 65_535];
    let mut segment = SegmentFile::first();
    segment.push(&NewFrame::new(PUT, 2, &key, b""));
    assert_eq!(open_segment(&segment).unwrap(), Contents::from([(key, (ValueType::Bytes, vec![]))]));
}

#[test]
fn numbers_out_of_order_or_at_the_end_of_their_range_end_the_log() {
    for lsn in [0, 1, 2, 4, 1 << 32, u64::MAX - 1, u64::MAX] {
        let mut segment = SegmentFile::first();
        segment.push(&put(2));
        segment.push(&put(lsn));
        assert_eq!(open_segment(&segment).unwrap(), one_pair(), "{lsn}");
        // With a durable mark that reaches beyond the end, it is damage.
        let mut segment = SegmentFile::first();
        segment.push(&put(2));
        let offset = segment.push(&NewFrame { extra: 1, ..put(lsn) });
        let outcome = open_segment(&segment);
        if lsn <= 3 {
            assert_eq!(outcome.unwrap(), one_pair());
        } else {
            assert_eq!(corrupt(outcome), offset as u64, "{lsn}");
        }
    }
    // A first frame with another number than 1: the segment was never used.
    let mut segment = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
    segment.push(&NewFrame::new(SEGMENT_START, u64::MAX, b"", &predecessor(0, 0, 0)));
    assert_eq!(open_segment(&segment).unwrap(), Contents::new());
}

#[test]
fn reserved_and_unknown_kinds_types_and_flags_are_never_taken_for_something_else() {
    let mut segment = SegmentFile::first();
    segment.push(&NewFrame { kind: SEGMENT_RETIRED, ..put(2) });
    assert!(matches!(open_segment(&segment), Err(Error::Unsupported(_))));
    for kind in [0, 8, 9, 100, 255] {
        let mut segment = SegmentFile::first();
        segment.push(&NewFrame { kind, ..put(2) });
        assert_eq!(open_segment(&segment).unwrap(), Contents::new(), "kind {kind}");
    }
    for flags in 0..=255 {
        let mut segment = SegmentFile::first();
        segment.push(&NewFrame { flags, ..put(2) });
        match ValueType::from_number(flags) {
            Some(value_type) => assert_eq!(open_segment(&segment).unwrap()[&b"key"[..]].0, value_type),
            // An expiry takes 8 bytes of what is there.
            None if flags & 0xf0 == 0x10 && flags & 0x0f < 7 => drop(open_segment(&segment)),
            None => assert_eq!(open_segment(&segment).unwrap(), Contents::new(), "flags {flags:#x}"),
        }
    }
}

/// Ends before the beginning, at it, of any size, and none.
#[test]
fn a_deleted_range_removes_what_lies_in_it_and_nothing_else() {
    let cases: [(&[u8], &[u8], bool); 8] = [
        (b"", b"", true),
        (b"key", b"", true),
        (b"key", b"key\0", true),
        (b"kex", b"kez", true),
        (b"", b"key", false),
        (b"kez", b"", false),
        (b"z", b"a", false),
        (b"key", b"key", false),
    ];
    for (from, to, removed) in cases {
        let mut segment = SegmentFile::first();
        segment.push(&put(2));
        segment.push(&NewFrame::new(DELETE_RANGE, 3, from, to));
        let expected = if removed { Contents::new() } else { one_pair() };
        assert_eq!(open_segment(&segment).unwrap(), expected, "{from:?} to {to:?}");
    }
    let mut segment = SegmentFile::first();
    segment.push(&put(2));
    segment.push(&NewFrame::new(DELETE_RANGE, 3, b"", &vec![0xff; 100_000]));
    assert_eq!(open_segment(&segment).unwrap(), Contents::new());
}

#[test]
fn a_segment_start_or_a_seal_in_the_wrong_place_is_damage_or_the_end() {
    let mut twice = SegmentFile::first();
    let offset = twice.push(&NewFrame::new(SEGMENT_START, 2, b"", &predecessor(0, 0, 0)));
    assert_eq!(corrupt(open_segment(&twice)), offset as u64);

    let mut none = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
    none.push(&put(1));
    assert_eq!(corrupt(open_segment(&none)), 4096);

    let mut seal_first = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
    seal_first.seal(1);
    assert_eq!(corrupt(open_segment(&seal_first)), 4096);

    // Behind a seal nothing is read.
    let mut behind = SegmentFile::first();
    behind.push(&put(2));
    behind.seal(3);
    behind.push(&NewFrame::new(DELETE, 4, b"key", b""));
    assert_eq!(open_segment(&behind).unwrap(), one_pair());
}

#[test]
fn a_segment_that_names_itself_or_what_is_not_there_is_damage() {
    for (number, end, checksum) in
        [(1, 0, 0), (1, 4096, 1), (2, 0, 0), (u64::MAX, u64::MAX, u32::MAX), (0, 1, 0)]
    {
        let mut segment = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
        segment.push(&NewFrame::new(SEGMENT_START, 1, b"", &predecessor(number, end, checksum)));
        corrupt(open_segment(&segment));
    }
    for size in [0, 8, 23, 25, 100] {
        let mut segment = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
        segment.push(&NewFrame::new(SEGMENT_START, 1, b"", &vec![0; size]));
        assert_eq!(corrupt(open_segment(&segment)), 4096, "{size}");
    }
}

#[test]
fn two_segments_in_a_circle_are_damage() {
    let mut one = SegmentFile::new([7; 16], 1, [9; 16], CAPACITY);
    one.push(&NewFrame::new(SEGMENT_START, 1, b"", &predecessor(2, 4176, 7)));
    one.seal(2);
    let mut two = SegmentFile::new([7; 16], 2, [8; 16], CAPACITY);
    two.push(&NewFrame::new(SEGMENT_START, 3, b"", &predecessor(1, one.bytes.len() as u64, 7)));
    two.seal(4);
    let lengths = [one.bytes.len() as u64, two.bytes.len() as u64];
    let files = [("00000001.bin", &one, lengths[0]), ("00000002.bin", &two, lengths[1])];
    corrupt(open_files(&files));
}

/// A segment with a number, the first of its store, sealed.
fn numbered(number: u64) -> SegmentFile {
    let mut segment = SegmentFile::new([7; 16], number, [9; 16], CAPACITY);
    segment.push(&NewFrame::new(SEGMENT_START, 1, b"", &predecessor(0, 0, 0)));
    segment.push(&put(2));
    segment.seal(3);
    segment
}

#[test]
fn the_last_number_that_a_segment_can_have_is_refused_and_the_one_before_is_not_followed_by_zero() {
    for number in [u64::MAX, u64::MAX - 1, u64::MAX - 2] {
        let segment = numbered(number);
        let name = format!("{number}.bin");
        match open_files(&[(&name, &segment, segment.bytes.len() as u64)]) {
            Ok(contents) => assert_eq!(contents, one_pair()),
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, name),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn absurd_capacities_are_damage_or_do_not_matter() {
    for capacity in [0, 1, 4095, 4096, 4 << 30, (4 << 30) + 1, 1 << 40, 1 << 63, u64::MAX] {
        let mut segment = SegmentFile::first();
        segment.set(56, &capacity.to_le_bytes());
        segment.seal_header();
        segment.push(&put(2));
        corrupt(open_segment(&segment));
        segment.seal(3);
        let length = segment.bytes.len() as u64;
        match open_files(&[("00000001.bin", &segment, length)]) {
            Ok(contents) => assert_eq!(contents, one_pair(), "{capacity}"),
            Err(Error::Corrupt { .. }) => assert!(capacity < length || capacity > 4 << 30, "{capacity}"),
            Err(other) => panic!("{capacity}: {other:?}"),
        }
    }
}

/// Files may claim any length without holding a byte: as many pages to look through.
#[test]
fn a_sparse_file_of_absurd_length_is_refused_before_it_is_read() {
    for length in [(4 << 30) + (4 << 20), 1 << 36, 1 << 40, 1 << 46] {
        let mut segment = SegmentFile::first();
        segment.set(56, &u64::to_le_bytes(length));
        segment.seal_header();
        segment.push(&put(2));
        corrupt(open_files(&[("00000001.bin", &segment, length)]));
    }
}

#[test]
fn a_torn_tail_in_the_largest_segment_is_cut() {
    let length = 4_u64 << 30;
    let mut segment = SegmentFile::first();
    segment.set(56, &length.to_le_bytes());
    segment.seal_header();
    segment.push(&put(2));
    segment.push(&NewFrame { length: Some(99), ..put(3) });
    assert_eq!(open_files(&[("00000001.bin", &segment, length)]).unwrap(), one_pair());
}

#[test]
fn many_tiny_frames_are_read_one_by_one() {
    let mut segment = SegmentFile::first();
    segment.push(&put(2));
    let mut lsn = 3;
    while segment.bytes.len() < 3 << 20 {
        match lsn % 3 {
            0 => segment.push(&NewFrame::new(DELETE, lsn, b"", b"")),
            1 => segment.push(&NewFrame::new(PUT, lsn, b"", b"")),
            _ => {
                segment.push_batch(lsn, 0, &[]);
                segment.push_batch(lsn, 1, &[NewFrame { key: b"", value: b"", ..inner(0, lsn) }])
            }
        };
        lsn += 1;
    }
    segment.push(&NewFrame::new(DELETE, lsn, b"", b""));
    assert_eq!(open_segment(&segment).unwrap(), one_pair());
}

/// Behind a torn frame every 8 bytes look like the start of a frame of a MiB that proves the torn one
/// durable: to sum each of them would take hours.
#[test]
fn candidates_at_every_offset_behind_a_torn_tail_take_bounded_work() {
    let mut segment = SegmentFile::first();
    segment.push(&put(2));
    let torn = segment.push(&put(3));
    segment.bytes[torn] ^= 1;
    // As a record's first 8 bytes: a length; as the second: a put and its lag; as the third: an LSN.
    let word = [1, 0, 0, 0, 0, 0, 16, 0];
    while (segment.bytes.len() as u64) < CAPACITY {
        segment.bytes.extend_from_slice(&word);
    }
    match open_segment(&segment) {
        Ok(contents) => assert_eq!(contents, one_pair()),
        Err(Error::Corrupt { offset, .. }) => assert_eq!(offset, torn as u64),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_name_of_a_segment_that_is_no_segment_is_refused_and_left_alone() {
    for bytes in [vec![], b"hello".to_vec(), vec![0; 4096], vec![0xff; 5000], b"\x89TSTORE\n".to_vec()] {
        let segment = SegmentFile { bytes };
        let length = segment.bytes.len() as u64;
        let outcome = open_files(&[("00000001.bin", &segment, length)]);
        assert!(matches!(outcome, Err(Error::Corrupt { .. } | Error::NotAStore { .. })), "{outcome:?}");
    }
}
