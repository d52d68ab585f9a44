//! Tests of the log by itself: the format's bytes, appending, recovery of whole and damaged files.
#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use super::format::{Kind, NewRecord, Predecessor, Record, SEGMENT_HEADER_SIZE, SegmentHeader, padded};
use super::lock_file::LockFile;
use super::{Log, Replayed, Writer, segment_file_name, segment_id_of};
use crate::error::{Error, Result};
use crate::options::{Options, SyncMode, WriteMode};
use crate::os::Os;
use crate::os::real::RealOs;
use crate::types::ValueType;

/// What a log replays: kind, key, value, LSN.
type Replay = Vec<(Kind, Vec<u8>, Vec<u8>, u64)>;

fn open_with(path: &Path, options: &Options) -> Result<(Log, Writer, Replay)> {
    let os = RealOs::new();
    let directory = os.open_directory(path, true)?;
    let lock_file = LockFile::acquire(directory.as_ref(), os.process_id())?;
    let entries = directory.list()?;
    let mut replay = Replay::new();
    let (log, writer) =
        Log::open(os, directory, lock_file, &entries, options, &mut |log, Replayed { record, position }| {
            assert_eq!(log.read(position)?.key, record.key, "a position that leads elsewhere");
            replay.push((record.header.kind, record.key.into(), record.value.into(), record.header.lsn));
            Ok(())
        })?;
    Ok((log, writer, replay))
}

fn open(path: &Path) -> Result<(Log, Writer, Replay)> {
    open_with(path, &Options::default())
}

fn put(log: &Log, writer: &mut Writer, key: &str, value: &[u8]) -> Result<u64> {
    let appended = writer.append(log, &NewRecord::new(Kind::Put, key.as_bytes(), value))?;
    log.wait_durable(appended.last_lsn)?;
    Ok(appended.last_lsn)
}

/// A directory with a closed log of three puts.
fn three_puts() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (log, mut writer, replay) = open(&directory.path().join("db")).unwrap();
    assert!(replay.is_empty());
    for key in ["one", "two", "three"] {
        put(&log, &mut writer, key, b"value").unwrap();
    }
    writer.close(&log).unwrap();
    directory
}

#[test]
fn what_was_appended_is_replayed_in_order_after_close_and_after_a_kill() {
    for close in [true, false] {
        for write_mode in [WriteMode::Mapped, WriteMode::Pwrite] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("db");
            let options = Options { write_mode, ..Options::default() };
            for session in 0..3_u64 {
                let (log, mut writer, replay) = open_with(&path, &options).unwrap();
                let expected: Vec<_> =
                    (0..session).flat_map(|s| [format!("a{s}"), format!("b{s}")]).collect();
                let keys: Vec<_> = replay.iter().map(|r| String::from_utf8(r.1.clone()).unwrap()).collect();
                assert_eq!(keys, expected);
                assert!(replay.is_sorted_by_key(|r| r.3));
                put(&log, &mut writer, &format!("a{session}"), b"x").unwrap();
                put(&log, &mut writer, &format!("b{session}"), &vec![7; 100_000]).unwrap();
                if close {
                    writer.close(&log).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_batch_is_one_frame_and_its_records_are_read_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let (log, mut writer, _) = open(&path).unwrap();
    let seven = 7_i64.to_le_bytes();
    let records = [
        NewRecord { value_type: ValueType::I64, ..NewRecord::new(Kind::Put, b"n", &seven) },
        NewRecord { expiry: Some(-5), ..NewRecord::new(Kind::Put, b"with expiry", b"v") },
        NewRecord::new(Kind::Delete, b"gone", b""),
    ];
    let mut positions = Vec::new();
    let appended = writer.append_batch(&log, &records, &mut positions).unwrap();
    assert_eq!(appended.last_lsn - appended.first_lsn, 2);
    for (position, record) in positions.iter().zip(&records) {
        let read = log.read(*position).unwrap();
        assert_eq!((read.key, read.value, read.expiry), (record.key, record.value, record.expiry));
        assert_eq!(read.value_type(), record.value_type);
    }
    drop((log, writer));
    let (_, _, replay) = open(&path).unwrap();
    let kinds: Vec<_> = replay.iter().map(|r| (r.0, r.3 - appended.first_lsn)).collect();
    assert_eq!(kinds, [(Kind::Put, 0), (Kind::Put, 1), (Kind::Delete, 2)]);
}

#[test]
fn a_full_segment_is_followed_by_a_larger_one_and_no_frame_spans_two() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = Options { sync_mode: SyncMode::OnRequest, segment_size_max: 8 << 20, ..Options::default() };
    let (log, mut writer, _) = open_with(&path, &options).unwrap();
    let value = vec![1; 300_000];
    for n in 0..100 {
        writer.append(&log, &NewRecord::new(Kind::Put, format!("{n:03}").as_bytes(), &value)).unwrap();
    }
    // Larger than any segment the options ask for: it gets one of its own size.
    let large = vec![2; 20 << 20];
    writer.append(&log, &NewRecord::new(Kind::Put, b"large", &large)).unwrap();
    writer.close(&log).unwrap();
    drop(log);
    let (log, _, replay) = open_with(&path, &options).unwrap();
    assert_eq!(replay.len(), 101);
    assert_eq!(replay.last().map(|r| r.2 == large), Some(true));
    assert!(log.size().unwrap().0 >= 5, "4 + 8 + 8 + ... MiB for 30 MB, and one for the large value");
}

#[test]
fn a_closed_log_takes_no_more_space_than_its_frames() {
    let directory = three_puts();
    let size = std::fs::metadata(directory.path().join("db/00000001.bin")).unwrap().len();
    assert!(size < SEGMENT_HEADER_SIZE + 512, "{size}");
}

#[test]
fn a_torn_tail_is_cut_and_never_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let (log, mut writer, _) = open(&path).unwrap();
    for key in ["one", "two", "three"] {
        put(&log, &mut writer, key, b"value").unwrap();
    }
    drop((log, writer));
    // The last frame, which nothing after it proves to have been durable.
    damage(&path.join("00000001.bin"), b"three");
    for _ in 0..2 {
        let (_, _, replay) = open(&path).unwrap();
        assert_eq!(
            replay.iter().map(|r| r.1.clone()).collect::<Vec<_>>(),
            [b"one".to_vec(), b"two".to_vec()]
        );
    }
}

/// Its records check out one by one and carry an index where frames say what was durable: none of them
/// may be taken for a frame.
#[test]
fn a_torn_batch_is_cut_though_records_in_it_are_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let (log, mut writer, _) = open(&path).unwrap();
    put(&log, &mut writer, "before", b"value").unwrap();
    let records = [b"first", b"third", b"fifth"].map(|key| NewRecord::new(Kind::Put, key, b"value"));
    writer.append_batch(&log, &records, &mut Vec::new()).unwrap();
    drop((log, writer));
    damage(&path.join("00000001.bin"), b"fifth");
    let (_, _, replay) = open(&path).unwrap();
    assert_eq!(replay.iter().map(|r| r.1.clone()).collect::<Vec<_>>(), [b"before".to_vec()]);
}

#[test]
fn damage_before_a_durable_frame_is_reported_with_file_and_offset_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let (log, mut writer, _) = open(&path).unwrap();
    for key in ["one", "two", "three"] {
        put(&log, &mut writer, key, b"value").unwrap();
    }
    drop((log, writer));
    let file = path.join("00000001.bin");
    let offset = damage(&file, b"two");
    let before = std::fs::read(&file).unwrap();
    match open(&path).unwrap_err() {
        Error::Corrupt { file, offset: at, .. } => {
            assert_eq!((file.as_str(), at), ("00000001.bin", offset - 24));
        }
        other => panic!("{other}"),
    }
    assert!(std::fs::read(&file).unwrap() == before);
}

#[test]
fn a_missing_segment_is_damage_wherever_it_stood() {
    for missing in 1..=3 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        for key in ["one", "two", "three"] {
            let (log, mut writer, _) = open(&path).unwrap();
            put(&log, &mut writer, key, b"value").unwrap();
            writer.close(&log).unwrap();
        }
        std::fs::remove_file(path.join(segment_file_name(missing))).unwrap();
        match open(&path).unwrap_err() {
            Error::Corrupt { file, reason, .. } => {
                assert_eq!(file, segment_file_name(missing));
                assert!(reason.contains("missing"), "{reason}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_segment_of_a_newer_format_is_refused_by_version() {
    let directory = three_puts();
    let file = directory.path().join("db/00000001.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    match open(&directory.path().join("db")).unwrap_err() {
        Error::UnsupportedVersion { found: 2, supported: 1, .. } => {}
        other => panic!("{other}"),
    }
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let (one, two) = (three_puts(), three_puts());
    std::fs::copy(two.path().join("db/00000001.bin"), one.path().join("db/00000002.bin")).unwrap();
    let error = open(&one.path().join("db")).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "under another number: {error}");
    let mut bytes = std::fs::read(two.path().join("db/00000001.bin")).unwrap();
    bytes[32] = 2;
    let checksum = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(one.path().join("db/00000002.bin"), bytes).unwrap();
    let error = open(&one.path().join("db")).unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "under its own number: {error}");
}

#[test]
fn the_lock_names_its_holder_and_ends_with_it() {
    let directory = three_puts();
    let path = directory.path().join("db");
    let held = open(&path).unwrap();
    match open(&path).unwrap_err() {
        Error::Locked { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    drop(held);
    open(&path).unwrap();
}

#[test]
fn a_checksum_holds_only_for_its_bytes_its_place_and_its_segment() {
    let header = SegmentHeader { store_id: [1; 16], segment_id: 1, salt: [2; 16], capacity: 4 << 20 };
    let other = SegmentHeader { salt: [3; 16], ..header.clone() };
    let record = NewRecord { expiry: Some(99), ..NewRecord::new(Kind::Put, b"key", b"value") };
    let mut bytes = Vec::new();
    record.encode_front(&mut bytes, header.seed(), 4096, 7, 1).unwrap();
    bytes.extend_from_slice(record.value);
    let read = Record::verify(&bytes, header.seed(), 4096).unwrap();
    assert_eq!(
        (read.key, read.value, read.expiry, read.header.lsn),
        (&b"key"[..], &b"value"[..], Some(99), 7)
    );
    assert_eq!(read.header.synced_lsn(), 6);
    assert!(Record::verify(&bytes, header.seed(), 4104).is_none(), "another offset");
    assert!(Record::verify(&bytes, other.seed(), 4096).is_none(), "another segment");
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::verify(&bytes, header.seed(), 4096).is_none(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for size in 0..bytes.len() {
        assert!(Record::verify(&bytes[..size], header.seed(), 4096).is_none(), "cut to {size}");
    }
}

#[test]
fn a_record_costs_at_most_32_bytes_over_key_and_value() {
    for size in 0..200 {
        let value = vec![0; size];
        let record = NewRecord::new(Kind::Put, b"0123456789abcdef", &value);
        assert!(padded(record.size()) - 16 - size as u64 <= 32);
    }
}

#[test]
fn only_canonical_names_are_segments() {
    assert_eq!(segment_id_of("00000001.bin"), Some(1));
    assert_eq!(segment_id_of("123456789.bin"), Some(123_456_789));
    for name in ["1.bin", "00000000.bin", "00000001.bin.tmp", "+0000001.bin", "x.bin", "00000001", ".bin"] {
        assert_eq!(segment_id_of(name), None, "{name}");
    }
}

#[test]
fn the_worked_example_in_the_format_description_is_what_the_code_writes() {
    let header = SegmentHeader {
        store_id: *b"0123456789abcdef",
        segment_id: 1,
        salt: *b"fedcba9876543210",
        capacity: 4 << 20,
    };
    let mut bytes = header.encode().to_vec();
    let mut dump = String::new();
    hexdump(&mut dump, 0, &bytes);
    bytes.clear();
    let start = Predecessor::default().encode();
    let put = NewRecord {
        value_type: ValueType::String,
        ..NewRecord::new(Kind::Put, b"exampleKey", b"exampleValue")
    };
    let mut offset = SEGMENT_HEADER_SIZE;
    for (record, lsn, extra) in [(NewRecord::new(Kind::SegmentStart, &[], &start), 1, u32::MAX), (put, 2, 1)]
    {
        record.encode_front(&mut bytes, header.seed(), offset, lsn, extra).unwrap();
        bytes.extend_from_slice(record.value);
        bytes.resize(padded(bytes.len() as u64) as usize, 0);
        offset += padded(record.size());
    }
    hexdump(&mut dump, SEGMENT_HEADER_SIZE, &bytes);
    let described = include_str!("../../docs/file_format.md");
    assert!(described.contains(&dump), "docs/file_format.md should hold this dump:\n{dump}");
}

fn hexdump(out: &mut String, at: u64, bytes: &[u8]) {
    use std::fmt::Write;
    for (line, chunk) in bytes.chunks(16).enumerate() {
        write!(out, "{:08x} ", at + 16 * line as u64).unwrap();
        for byte in chunk {
            write!(out, " {byte:02x}").unwrap();
        }
        out.push('\n');
    }
}

/// Flips a bit of the first place where `text` stands in the file; returns that offset.
fn damage(file: &Path, text: &[u8]) -> u64 {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
    at as u64
}

/// The log may be shared between threads.
#[test]
fn a_log_can_be_shared_and_a_writer_moved() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send>() {}
    shared::<Arc<Log>>();
    moved::<Writer>();
}
