//! The store as a Rust program uses it: one claim a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::time::Duration;

use tinystoredb::{
    Batch, Durability, Error, KEY_SIZE_MAX, Options, ScanOptions, Store, SyncMode, VALUE_SIZE_MAX, ValueType,
    WriteMode, WriteOptions,
};

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place { path: directory.path().join("my.db"), _directory: directory }
    }

    fn open(&self) -> Store {
        Store::open(&self.path, &Options::default()).unwrap()
    }
}

fn fast() -> Options {
    Options { sync_mode: SyncMode::OnRequest, ..Options::default() }
}

fn keys(store: &Store, prefix: &[u8]) -> Vec<Vec<u8>> {
    let mut scan = store.scan(prefix).unwrap();
    let mut keys = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        keys.push(record.key.to_vec());
    }
    keys
}

#[test]
fn a_value_is_read_back_updated_and_deleted() {
    let place = Place::new();
    let store = place.open();
    assert!(store.get(b"k").unwrap().is_none());
    store.put(b"k", b"one").unwrap();
    assert_eq!(&*store.get(b"k").unwrap().unwrap(), b"one");
    store.put(b"k", b"two").unwrap();
    assert_eq!(&*store.get(b"k").unwrap().unwrap(), b"two");
    assert!(store.exists(b"k").unwrap());
    assert!(store.delete(b"k").unwrap());
    assert!(!store.delete(b"k").unwrap());
    assert!(!store.exists(b"k").unwrap());
    assert!(store.get(b"k").unwrap().is_none());
    assert!(keys(&store, b"").is_empty());
}

#[test]
fn an_empty_key_and_an_empty_value_are_a_key_and_a_value() {
    let place = Place::new();
    let store = place.open();
    store.put(b"", b"of the empty key").unwrap();
    store.put(b"empty", b"").unwrap();
    let reopened = {
        store.close().unwrap();
        place.open()
    };
    assert_eq!(&*reopened.get(b"").unwrap().unwrap(), b"of the empty key");
    assert_eq!(&*reopened.get(b"empty").unwrap().unwrap(), b"");
    assert_eq!(keys(&reopened, b""), [b"".to_vec(), b"empty".to_vec()]);
}

#[test]
fn what_was_written_is_there_after_close_and_reopen_and_after_being_dropped_unclosed() {
    let place = Place::new();
    for session in 0..4_u32 {
        let store = place.open();
        for earlier in 0..session {
            assert_eq!(&*store.get(&earlier.to_be_bytes()).unwrap().unwrap(), b"v");
        }
        assert_eq!(store.stats().unwrap().records, u64::from(session));
        store.put(&session.to_be_bytes(), b"v").unwrap();
        store.put(b"gone", b"v").unwrap();
        store.delete(b"gone").unwrap();
        if session % 2 == 0 {
            store.close().unwrap();
        }
    }
}

#[test]
fn opening_to_read_creates_no_segment() {
    let place = Place::new();
    place.open().put(b"k", b"v").unwrap();
    for _ in 0..3 {
        assert_eq!(place.open().stats().unwrap().segments, 1);
    }
}

#[test]
fn every_write_mode_and_sync_mode_keeps_its_data() {
    for write_mode in [WriteMode::Auto, WriteMode::Mapped, WriteMode::Pwrite] {
        for sync_mode in [SyncMode::Always, SyncMode::OnRequest, SyncMode::Interval(Duration::from_millis(1))]
        {
            let place = Place::new();
            let options = Options { write_mode, sync_mode, ..Options::default() };
            let store = Store::open(&place.path, &options).unwrap();
            for n in 0..50_u32 {
                store.put(&n.to_be_bytes(), &[n as u8; 1000]).unwrap();
            }
            store.sync().unwrap();
            let stats = store.stats().unwrap();
            assert_eq!(stats.durable_lsn, stats.last_lsn);
            store.close().unwrap();
            let store = Store::open(&place.path, &options).unwrap();
            for n in 0..50_u32 {
                assert_eq!(&*store.get(&n.to_be_bytes()).unwrap().unwrap(), [n as u8; 1000]);
            }
        }
    }
}

#[test]
fn always_acknowledges_only_what_is_durable_and_no_wait_does_not_wait() {
    let place = Place::new();
    let store = place.open();
    store.put(b"a", b"v").unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.durable_lsn, stats.last_lsn);
    let no_wait = WriteOptions { durability: Durability::NoWait, ..WriteOptions::default() };
    store.put_with(b"b", b"v", no_wait).unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.durable_lsn < stats.last_lsn);
    assert!(store.exists(b"b").unwrap(), "one's own writes are visible");
    store.close().unwrap();
    let store = Store::open(&place.path, &fast()).unwrap();
    let wait = WriteOptions { durability: Durability::Wait, ..WriteOptions::default() };
    store.put_with(b"c", b"v", wait).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.durable_lsn, stats.last_lsn);
}

#[test]
fn a_scan_is_ordered_by_bytes_and_ends_with_its_prefix() {
    let place = Place::new();
    let store = Store::open(&place.path, &fast()).unwrap();
    let all: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\x00".to_vec(),
        b"a".to_vec(),
        b"a\x00".to_vec(),
        b"aa".to_vec(),
        b"ab".to_vec(),
        b"b".to_vec(),
        b"b\xff".to_vec(),
        b"b\xff\xff".to_vec(),
        b"c".to_vec(),
        b"\xff".to_vec(),
        b"\xff\xff".to_vec(),
        b"\xff\xff\x00".to_vec(),
    ];
    for key in all.iter().rev() {
        store.put(key, key).unwrap();
    }
    for prefix in [&b""[..], b"a", b"b", b"b\xff", b"\xff", b"\xff\xff", b"d", b"ab", b"abc"] {
        let expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(keys(&store, prefix), expected, "{prefix:?}");
    }
}

#[test]
fn a_long_scan_meets_every_key_once_while_others_come_and_go() {
    let place = Place::new();
    let store = Store::open(&place.path, &fast()).unwrap();
    for n in 0..5000_u32 {
        store.put(format!("stays {n:05}").as_bytes(), &n.to_le_bytes()).unwrap();
    }
    let mut scan = store.scan(b"").unwrap();
    let mut met = 0_u32;
    while let Some(record) = scan.next().unwrap() {
        if record.key.starts_with(b"stays") {
            assert_eq!(record.key, format!("stays {met:05}").as_bytes());
            assert_eq!(record.value, met.to_le_bytes());
            met += 1;
        }
        let come = format!("comes {:05}", met * 7919 % 5000);
        store.put(come.as_bytes(), b"x").unwrap();
        store.delete(format!("comes {:05}", met * 104_729 % 5000).as_bytes()).unwrap();
        store
            .put(format!("stays {:05}", met * 31 % 5000).as_bytes(), &(met * 31 % 5000).to_le_bytes())
            .unwrap();
    }
    assert_eq!(met, 5000);
}

#[test]
fn a_record_of_a_scan_comes_again_where_it_is_asked_to() {
    let place = Place::new();
    let store = Store::open(&place.path, &fast()).unwrap();
    // More than two of the runs that a scan asks the index for.
    for number in 0..200_u32 {
        store.put(&number.to_be_bytes(), b"v").unwrap();
    }
    for options in [ScanOptions::default(), ScanOptions::default().backward()] {
        let mut scan = store.scan_with(&options).unwrap();
        scan.repeat();
        let mut seen = Vec::new();
        while let Some(record) = scan.next().unwrap() {
            let key = record.key.to_vec();
            scan.repeat();
            scan.repeat();
            assert_eq!(scan.next().unwrap().unwrap().key, key);
            seen.push(key);
        }
        scan.repeat();
        assert!(scan.next().unwrap().is_none());
        let ordered =
            seen.windows(2).all(|pair| if options.backward { pair[0] > pair[1] } else { pair[0] < pair[1] });
        assert!(seen.len() == 200 && ordered);
        scan.seek(&7_u32.to_be_bytes()).unwrap();
        scan.repeat();
        assert_eq!(scan.next().unwrap().unwrap().key, 7_u32.to_be_bytes());
    }
}

#[test]
fn the_clock_of_a_store_on_a_real_disk_is_the_systems() {
    let store = Place::new().open();
    let (before, now, after) = (Store::system_now(), store.now(), Store::system_now());
    assert!(before <= now && now <= after, "{before} {now} {after}");
}

#[test]
fn a_value_outlives_its_overwriting_and_the_store() {
    let place = Place::new();
    let store = place.open();
    store.put(b"k", b"pinned").unwrap();
    let value = store.get(b"k").unwrap().unwrap();
    store.put(b"k", b"newer").unwrap();
    store.delete(b"k").unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!((&*value, value.value_type()), (&b"pinned"[..], ValueType::Bytes));
}

#[test]
fn a_closed_store_answers_closed_on_every_handle_and_lets_others_open_it() {
    let place = Place::new();
    let store = place.open();
    store.put(b"k", b"v").unwrap();
    let other = store.clone();
    let mut scan = store.scan(b"").unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(other.get(b"k"), Err(Error::Closed)));
    assert!(matches!(other.put(b"k", b"v"), Err(Error::Closed)));
    assert!(matches!(other.delete(b"k"), Err(Error::Closed)));
    assert!(matches!(other.scan(b""), Err(Error::Closed)));
    assert!(matches!(other.stats(), Err(Error::Closed)));
    assert!(matches!(other.sync(), Err(Error::Closed)));
    assert!(matches!(scan.next(), Err(Error::Closed)));
    assert!(place.open().exists(b"k").unwrap(), "while handles of the closed one are still there");
}

#[test]
fn a_second_open_is_locked_and_names_the_holder() {
    let place = Place::new();
    let store = place.open();
    match Store::open(&place.path, &Options::default()).unwrap_err() {
        Error::Locked { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    drop(store);
    place.open();
}

#[test]
fn keys_and_values_over_the_limit_are_refused_and_those_at_it_are_kept() {
    let place = Place::new();
    let store = Store::open(&place.path, &fast()).unwrap();
    let key = vec![b'k'; KEY_SIZE_MAX];
    store.put(&key, b"v").unwrap();
    assert!(store.exists(&key).unwrap());
    let longer = vec![b'k'; KEY_SIZE_MAX + 1];
    assert!(matches!(store.put(&longer, b""), Err(Error::KeyTooLarge { .. })));
    assert!(matches!(store.get(&longer), Err(Error::KeyTooLarge { .. })));
    // Not touched: the pages of a value over the limit are never read.
    let value = vec![0; VALUE_SIZE_MAX + 1];
    assert!(matches!(store.put(b"v", &value), Err(Error::ValueTooLarge { .. })));
    store.put(b"large", &value[..100 << 20]).unwrap();
    store.put(b"after", b"v").unwrap();
    drop(store);
    let store = Store::open(&place.path, &fast()).unwrap();
    assert_eq!(store.get(b"large").unwrap().unwrap().len(), 100 << 20);
    assert!(store.exists(&key).unwrap() && store.exists(b"after").unwrap());
}

#[test]
fn paths_that_cannot_be_a_store_are_refused_with_a_reason() {
    let place = Place::new();
    let root = place.path.parent().unwrap();
    let no_create = Options { create_if_missing: false, ..Options::default() };
    assert!(matches!(Store::open(&place.path, &no_create), Err(Error::NotFound { .. })));
    assert!(matches!(
        Store::open(root.join("no/such/parent"), &Options::default()),
        Err(Error::NotFound { .. })
    ));
    let file = root.join("file");
    std::fs::write(&file, "text").unwrap();
    assert!(matches!(Store::open(&file, &Options::default()), Err(Error::NotAStore { .. })));
    // `root` itself holds the file.
    assert!(matches!(Store::open(root, &Options::default()), Err(Error::NotAStore { .. })));
    assert!(!root.join("LOCK").exists(), "somebody else's directory was written to");
    drop(place.open());
    let must_be_new = Options { error_if_exists: true, ..Options::default() };
    assert!(matches!(Store::open(&place.path, &must_be_new), Err(Error::AlreadyExists { .. })));
}

#[test]
fn a_foreign_file_under_a_segments_name_is_refused_and_any_other_is_left_alone() {
    let place = Place::new();
    place.open().put(b"k", b"v").unwrap();
    std::fs::write(place.path.join("notes.txt"), "mine").unwrap();
    std::fs::write(place.path.join("00000009.bin.tmp"), "left over").unwrap();
    assert!(place.open().exists(b"k").unwrap());
    assert!(place.path.join("notes.txt").exists());
    assert!(!place.path.join("00000009.bin.tmp").exists());
    std::fs::write(place.path.join("00000009.bin"), vec![b'x'; 10_000]).unwrap();
    let error = Store::open(&place.path, &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::NotAStore { reason, .. } if reason.contains("move it away")), "{error}");
    std::fs::remove_file(place.path.join("00000009.bin")).unwrap();
    std::fs::create_dir(place.path.join("00000009.bin")).unwrap();
    assert!(matches!(Store::open(&place.path, &Options::default()), Err(Error::NotAStore { .. })));
}

#[test]
fn options_outside_their_range_are_refused() {
    let place = Place::new();
    for segment_size_max in [0, 1 << 20, (4 << 20) + 1, 8 << 30] {
        let options = Options { segment_size_max, ..Options::default() };
        assert!(matches!(Store::open(&place.path, &options), Err(Error::InvalidArgument(_))));
    }
    let options = Options { sync_mode: SyncMode::Interval(Duration::ZERO), ..Options::default() };
    assert!(matches!(Store::open(&place.path, &options), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_thread_reads_what_it_was_acknowledged_though_others_wait_for_the_device() {
    let place = Place::new();
    let store = Store::open(&place.path, &fast()).unwrap();
    let write = |durability| WriteOptions { durability, ..WriteOptions::default() };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..300_u32 {
                    let durability = if n.is_multiple_of(2) { Durability::Wait } else { Durability::NoWait };
                    store.put_with(&[thread], &n.to_be_bytes(), write(durability)).unwrap();
                    assert_eq!(&*store.get(&[thread]).unwrap().unwrap(), n.to_be_bytes());
                }
            });
        }
    });
}

#[test]
fn several_threads_write_and_read_at_once() {
    let place = Place::new();
    let store = place.open();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..200_u32 {
                    let key = [&[thread][..], &n.to_be_bytes()].concat();
                    store.put(&key, &key).unwrap();
                    assert_eq!(&*store.get(&key).unwrap().unwrap(), &key[..]);
                    assert!(store.get(&[thread ^ 1]).unwrap().is_none());
                }
            });
        }
    });
    assert_eq!(store.stats().unwrap().records, 800);
    drop(store);
    assert_eq!(place.open().stats().unwrap().records, 800);
}

#[test]
fn a_poisoned_store_reads_but_does_not_write_until_it_is_opened_again() {
    let place = Place::new();
    let store = place.open();
    store.put(b"k", b"v").unwrap();
    store.poison("a test");
    assert!(matches!(store.put(b"k", b"w"), Err(Error::Poisoned(_))));
    assert!(matches!(store.delete(b"k"), Err(Error::Poisoned(_))));
    assert!(matches!(store.sync(), Err(Error::Poisoned(_))));
    assert_eq!(&*store.get(b"k").unwrap().unwrap(), b"v");
    assert!(store.close().is_err());
    let store = place.open();
    assert_eq!(&*store.get(b"k").unwrap().unwrap(), b"v");
    store.put(b"k", b"w").unwrap();
}

/// Tells the writers that the reader is done, however it ended.
struct Done<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Nobody ever sees what is between, and nothing is kept of it.
#[test]
fn a_batch_may_change_one_key_a_hundred_thousand_times() {
    let place = Place::new();
    let store = place.open();
    store.put(b"key", b"before").unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut batch = Batch::new();
    for round in 0..100_000_u32 {
        match round % 4 {
            2 => batch.delete(b"key").unwrap(),
            _ => batch.put(b"key", &round.to_le_bytes()).unwrap(),
        }
    }
    store.write(&batch, Durability::Default).unwrap();
    assert_eq!(&**store.get(b"key").unwrap().as_ref().unwrap(), 99_999_u32.to_le_bytes());
    assert_eq!(&**snapshot.get(b"key").unwrap().as_ref().unwrap(), b"before");
    let stats = store.stats().unwrap();
    assert_eq!((stats.records, stats.snapshot_versions), (1, 1));
    assert!(stats.index_bytes < 4096, "{} bytes", stats.index_bytes);
}

/// One key is there all the time while others overwrite it: a scan meets it, and never shows a value that a
/// get afterwards does not know yet.
#[test]
fn a_scan_meets_a_key_that_is_being_overwritten_and_shows_only_what_is_visible() {
    let modes = [(SyncMode::OnRequest, false), (SyncMode::Always, false), (SyncMode::Always, true)];
    for (sync_mode, mixed) in modes {
        let place = Place::new();
        let store = Store::open(&place.path, &Options { sync_mode, ..Options::default() }).unwrap();
        for key in [&b"a"[..], b"k", b"z"] {
            store.put(key, &0_u64.to_le_bytes()).unwrap();
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _done = Done(&done);
                let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
                for _ in 0..if sync_mode == SyncMode::Always { 2_000 } else { 60_000 } {
                    let mut scan = store.scan(b"").unwrap();
                    let mut met = None;
                    while let Some(record) = scan.next().unwrap() {
                        if record.key == b"k" {
                            met = Some(number(record.value));
                        }
                    }
                    let met = met.expect("a key that is there all the time");
                    let got = number(&store.get(b"k").unwrap().unwrap());
                    assert!(met <= got, "a scan showed {met}, and a get after it {got}");
                }
            });
            scope.spawn(|| {
                let no_wait = WriteOptions { durability: Durability::NoWait, ..WriteOptions::default() };
                let mut number = 0_u64;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    number += 1;
                    let options =
                        if mixed && number.is_multiple_of(2) { no_wait } else { WriteOptions::default() };
                    store.put_with(b"k", &number.to_le_bytes(), options).unwrap();
                }
            });
            if mixed {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        store.put(b"other", b"x").unwrap();
                    }
                });
            }
        });
    }
}

#[test]
fn somebody_elses_directory_with_a_lock_file_is_not_taken_over() {
    let place = Place::new();
    std::fs::create_dir(&place.path).unwrap();
    std::fs::write(place.path.join("LOCK"), "held by another program").unwrap();
    std::fs::write(place.path.join("CURRENT"), "MANIFEST-000002\n").unwrap();
    let refused = || {
        let error = Store::open(&place.path, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    };
    refused();
    assert_eq!(std::fs::read(place.path.join("LOCK")).unwrap(), b"held by another program");
    // What LevelDB leaves: an empty LOCK beside files of its own.
    std::fs::write(place.path.join("LOCK"), "").unwrap();
    refused();
    std::fs::remove_file(place.path.join("CURRENT")).unwrap();
    // What a crash may leave of a store that was being created.
    place.open().put(b"k", b"v").unwrap();
}
