//! The import of the Go store's files: real ones, made ones, and damaged ones.
// A helper that cannot go on should stop the test, as the test itself does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/go_file.rs"]
mod go_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use allocations::{Watched, largest_allocation};
use go_file::GoFile;
use tinystoredb::{
    Error, ImportOptions, ImportReport, Options, Progress, Store, SyncMode, ValueType, import_go,
};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const CAREFUL: ImportOptions = ImportOptions { keep_going: false, overwrite: false };
const KEEP_GOING: ImportOptions = ImportOptions { keep_going: true, overwrite: false };
const OVERWRITE: ImportOptions = ImportOptions { keep_going: false, overwrite: true };

/// A directory with a store in it and room for files.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
        let store = Store::open(directory.path().join("db"), &options).unwrap();
        Bench { directory, store }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join("go.bin");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, bytes: &[u8], options: ImportOptions) -> Result<ImportReport, Error> {
        import_go(&self.store, &self.file(bytes), options, &mut |_| true)
    }

    fn contents(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut scan = self.store.scan(b"").unwrap();
        while let Some(record) = scan.next().unwrap() {
            contents.insert(record.key.to_vec(), record.value.to_vec());
        }
        contents
    }
}

fn report(pairs_read: u64, imported: u64, duplicates: u64, existing: u64) -> ImportReport {
    ImportReport { pairs_read, imported, duplicates, existing, damage: None }
}

fn damage_of(answer: Result<ImportReport, Error>) -> (u64, String) {
    match answer {
        Err(Error::ImportDamaged { offset, reason, imported: 0, .. }) => (offset, reason),
        other => panic!("expected damage before anything was imported, got {other:?}"),
    }
}

#[test]
fn the_demo_file_is_what_its_generator_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/legacy/demo.bin");
    let made = go_file::demo().bytes;
    if std::env::var_os("TSTORE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == made, "run this test with TSTORE_BLESS=1 to rewrite it");
    let bench = Bench::new();
    assert_eq!(import_go(&bench.store, &path, CAREFUL, &mut |_| true).unwrap(), report(201, 200, 1, 0));
    assert_eq!(bench.store.get_string(b"town/Alderbridge/population").unwrap().as_deref(), Some("900"));
    assert_eq!(bench.store.get_string(b"town/Jaymouth/river").unwrap().as_deref(), Some("Amber"));
}

#[test]
fn the_first_value_of_a_key_wins() {
    let file = GoFile::new(&[(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"a", b"3"), (b"b", b"1")]);
    let expected = BTreeMap::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
    let bench = Bench::new();
    assert_eq!(bench.import(&file.bytes, CAREFUL).unwrap(), report(5, 2, 3, 0));
    assert_eq!(bench.contents(), expected);
    // The same where the store was not empty, and where values are replaced.
    for options in [CAREFUL, OVERWRITE] {
        let bench = Bench::new();
        bench.store.put(b"other", b"").unwrap();
        assert_eq!(bench.import(&file.bytes, options).unwrap(), report(5, 2, 3, 0));
        bench.store.delete(b"other").unwrap();
        assert_eq!(bench.contents(), expected);
    }
}

#[test]
fn the_first_value_wins_while_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("db"), &Options::default()).unwrap();
    let mut file = GoFile::default();
    for number in 0..2000u32 {
        file.pair(&number.to_be_bytes(), b"first");
        file.pair(&number.to_be_bytes(), b"second");
    }
    let path = directory.path().join("go.bin");
    std::fs::write(&path, &file.bytes).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each of these waits for the device, and what the import writes meanwhile waits with it.
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.put(b"other", b"").unwrap();
            }
        });
        let report = import_go(&store, &path, CAREFUL, &mut |_| true);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        report.unwrap()
    });
    assert_eq!(report, self::report(4000, 2000, 2000, 0));
    for number in 0..2000u32 {
        assert_eq!(&*store.get(&number.to_be_bytes()).unwrap().unwrap(), b"first");
    }
}

#[test]
fn keys_in_the_store_are_left_alone_unless_told_otherwise() {
    let file = GoFile::new(&[(b"a", b"file"), (b"b", b"file"), (b"a", b"later")]);
    let bench = Bench::new();
    bench.store.put(b"a", b"store").unwrap();
    assert_eq!(bench.import(&file.bytes, CAREFUL).unwrap(), report(3, 1, 1, 1));
    assert_eq!(&*bench.store.get(b"a").unwrap().unwrap(), b"store");
    assert_eq!(bench.import(&file.bytes, CAREFUL).unwrap(), report(3, 0, 1, 2));
    assert_eq!(bench.import(&file.bytes, OVERWRITE).unwrap(), report(3, 2, 1, 0));
    assert_eq!(&*bench.store.get(b"a").unwrap().unwrap(), b"file");
}

#[test]
fn text_becomes_a_string_and_the_rest_bytes() {
    let file =
        GoFile::new(&[(b"empty", b""), (b"text", "ключ".as_bytes()), (b"nul", b"a\0b"), (b"bytes", b"\x80")]);
    let bench = Bench::new();
    bench.import(&file.bytes, CAREFUL).unwrap();
    let type_of = |key: &[u8]| bench.store.get(key).unwrap().unwrap().value_type();
    assert_eq!(type_of(b"empty"), ValueType::String);
    assert_eq!(type_of(b"text"), ValueType::String);
    assert_eq!(type_of(b"nul"), ValueType::String);
    assert_eq!(type_of(b"bytes"), ValueType::Bytes);
}

#[test]
fn every_length_near_a_change_of_encoding_is_read() {
    let mut file = GoFile::default();
    let mut expected = BTreeMap::new();
    for length in (0..=300).chain(65_520..=65_535).chain([65_536, 65_537, (1 << 20) - 1, 1 << 20, 3 << 20]) {
        let value = vec![length as u8; length];
        let key = if length <= 65_535 { vec![b'k'; length] } else { length.to_string().into_bytes() };
        file.pair(&key, &value);
        expected.insert(key, value);
    }
    let bench = Bench::new();
    let pairs = expected.len() as u64;
    assert_eq!(bench.import(&file.bytes, CAREFUL).unwrap(), report(pairs, pairs, 0, 0));
    assert!(bench.contents() == expected);
}

#[test]
fn an_empty_file_imports_nothing() {
    assert_eq!(Bench::new().import(b"", CAREFUL).unwrap(), report(0, 0, 0, 0));
}

#[test]
fn what_was_imported_is_durable() {
    let bench = Bench::new();
    bench.import(&go_file::demo().bytes, CAREFUL).unwrap();
    let stats = bench.store.stats().unwrap();
    assert_eq!((stats.records, stats.durable_lsn), (200, stats.last_lsn));
}

// Damage

#[test]
fn a_damaged_file_imports_nothing() {
    let mut file = GoFile::new(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]);
    file.bytes[file.members[3] + 5] = 0; // The type of b's value.
    let bench = Bench::new();
    let (offset, reason) = damage_of(bench.import(&file.bytes, CAREFUL));
    assert_eq!(offset, file.members[3] as u64);
    assert_eq!(reason, "a value cannot be read: the GOB message holds type 0 instead of a string (12)");
    assert!(bench.contents().is_empty());
}

#[test]
fn what_stands_before_the_damage_is_imported_when_asked_for() {
    let mut file = GoFile::new(&[(b"a", b"1"), (b"a", b"2"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]);
    file.bytes[file.members[6]] = 1; // The length of c.
    let bench = Bench::new();
    let report = bench.import(&file.bytes, KEEP_GOING).unwrap();
    assert_eq!((report.pairs_read, report.imported, report.duplicates), (3, 2, 1));
    let damage = report.damage.unwrap();
    assert_eq!(damage.offset, file.members[6] as u64);
    assert!(damage.reason.starts_with("a key announces 16777221 bytes, the file has"), "{}", damage.reason);
    assert_eq!(bench.contents().into_keys().collect::<Vec<_>>(), [b"a", b"b"]);
}

#[test]
fn keep_going_makes_no_difference_to_a_good_file() {
    let bench = Bench::new();
    assert_eq!(bench.import(&go_file::demo().bytes, KEEP_GOING).unwrap(), report(201, 200, 1, 0));
}

#[test]
fn a_key_over_the_limit_is_named_before_anything_is_imported() {
    let file = GoFile::new(&[(b"a", b"1"), (&[b'k'; 65_536], b"2"), (b"c", b"3")]);
    let bench = Bench::new();
    let (offset, reason) = damage_of(bench.import(&file.bytes, CAREFUL));
    assert_eq!(offset, file.members[2] as u64);
    assert_eq!(reason, "a key has 65536 bytes, at most 65535 can be stored");
    assert!(bench.contents().is_empty());
    let report = bench.import(&file.bytes, KEEP_GOING).unwrap();
    assert_eq!((report.imported, report.damage.unwrap().offset), (1, offset));
}

#[test]
fn a_value_over_the_limit_is_named_before_anything_is_imported() {
    let bench = Bench::new();
    let mut file = GoFile::new(&[(b"a", b"1"), (b"big", b"")]);
    let offset = file.members[3];
    file.bytes.truncate(offset);
    // A value of 1 GiB and a byte, in a file that is mostly a hole.
    let size: u32 = (1 << 30) + 1;
    file.bytes.extend((size + 12).to_be_bytes());
    file.bytes.push(0xfc);
    file.bytes.extend((size + 7).to_be_bytes());
    file.bytes.extend([12, 0, 0xfc]);
    file.bytes.extend(size.to_be_bytes());
    let length = file.bytes.len() as u64 + u64::from(size);
    let path = bench.file(&file.bytes);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    let answer = largest_allocation(|| import_go(&bench.store, &path, CAREFUL, &mut |_| true));
    let (found, reason) = damage_of(answer.0);
    assert_eq!(found, offset as u64);
    assert_eq!(reason, "a value has 1073741825 bytes, at most 1073741824 can be stored");
    assert!(answer.1 <= 1 << 20, "{} bytes allocated", answer.1);
    assert!(bench.contents().is_empty());
}

#[test]
fn every_truncation_is_found_where_it_is() {
    let file = GoFile::new(&[(b"key", b"value"), (b"", &[7; 130]), (b"key2", b"")]);
    let bench = Bench::new();
    for length in 0..file.bytes.len() {
        let members = file.members.iter().filter(|start| **start < length).count();
        let answer = bench.import(&file.bytes[..length], CAREFUL);
        if members % 2 == 0 && file.members.get(members) == Some(&length) {
            assert_eq!(answer.unwrap().pairs_read, members as u64 / 2);
            continue;
        }
        // Where a value is missing altogether the damage is at the end of the file.
        let missing = file.members.get(members) == Some(&length);
        let expected = if missing { length } else { file.members[members - 1] };
        assert_eq!(damage_of(answer).0, expected as u64, "cut to {length}");
    }
}

#[test]
fn every_changed_byte_is_damage_or_another_well_formed_file() {
    let file = GoFile::new(&[(b"key", b"v1"), (b"", &[7; 128]), (b"key", b"v2"), (b"k", b"")]);
    let bench = Bench::new();
    let (mut refused, mut accepted) = (0, 0);
    for at in 0..file.bytes.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x55] {
            let mut bytes = file.bytes.clone();
            bytes[at] ^= flip;
            match go_file::parse(&bytes) {
                None => {
                    let (offset, _) = damage_of(bench.import(&bytes, OVERWRITE));
                    let start = *file.members.iter().rfind(|start| **start <= at).unwrap();
                    assert_eq!(offset, start as u64, "byte {at} flipped by {flip:#x}");
                    refused += 1;
                }
                Some(mut pairs) => {
                    let report = bench.import(&bytes, OVERWRITE).unwrap();
                    assert_eq!(report.pairs_read, pairs.len() as u64);
                    assert_eq!(report.imported + report.duplicates, report.pairs_read);
                    // The first one wins: so it is put into the map last.
                    pairs.reverse();
                    for (key, value) in pairs.into_iter().collect::<BTreeMap<_, _>>() {
                        assert_eq!(&*bench.store.get(&key).unwrap().unwrap(), value);
                    }
                    accepted += 1;
                }
            }
        }
    }
    assert!(refused > 300 && accepted > 1000, "{refused} refused, {accepted} accepted");
}

#[test]
fn an_announced_length_allocates_nothing() {
    let hostile: [&[u8]; 6] = [
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x07\x0c\x00\x04key0",
        b"\x40\x00\x00\x00\xfc\x3f\xff\xff\xfb\x0c\x00\xfc\x3f\xff\xff\xf4",
        b"\x00\x00\x00\x08\xfc\xff\xff\xff\xff\x0c\x00\x00",
        b"\x00\x00\x00\x09\xf8\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x00\x00\x0c\x0b\x0c\x00\xf8\x7f\xff\xff\xff\xff\xff\xff\xff",
    ];
    let bench = Bench::new();
    for bytes in hostile {
        for options in [CAREFUL, KEEP_GOING] {
            let path = bench.file(bytes);
            let (answer, allocated) =
                largest_allocation(|| import_go(&bench.store, &path, options, &mut |_| true));
            let offset = match answer {
                Err(Error::ImportDamaged { offset, .. }) => offset,
                Ok(report) => report.damage.unwrap().offset,
                other => panic!("{other:?}"),
            };
            assert_eq!(offset, 0);
            assert!(allocated <= 1 << 20, "{allocated} bytes allocated for {bytes:02x?}");
        }
    }
}

#[test]
fn a_path_that_is_no_regular_file_is_refused_at_once() {
    let bench = Bench::new();
    let import = |path: &Path| import_go(&bench.store, path, CAREFUL, &mut |_| true);
    let fifo = bench.directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [bench.directory.path(), Path::new("/dev/null"), &fifo] {
        assert!(matches!(import(path), Err(Error::InvalidArgument(_))), "{}", path.display());
    }
    let error = import(&bench.directory.path().join("absent")).unwrap_err();
    assert!(matches!(error, Error::Io { operation: "open", .. }), "{error:?}");
}

// Progress, cancelling, and files that change

/// Five pairs of 1 MiB: each chunk of the file, and so each call of the callback, has one.
fn large() -> GoFile {
    let mut file = GoFile::default();
    for number in 0..5u8 {
        file.pair(&[number], &vec![number; 1 << 20]);
    }
    file
}

#[test]
fn progress_rises_to_the_total() {
    let bench = Bench::new();
    let mut calls: Vec<Progress> = Vec::new();
    let path = bench.file(&large().bytes);
    import_go(&bench.store, &path, CAREFUL, &mut |progress| {
        calls.push(progress);
        true
    })
    .unwrap();
    assert!(calls.len() >= 12, "{}", calls.len());
    assert!(calls.windows(2).all(|pair| pair[0].bytes_done <= pair[1].bytes_done));
    assert!(calls.windows(2).all(|pair| pair[0].pairs_done <= pair[1].pairs_done));
    let total = 2 * large().bytes.len() as u64;
    assert!(calls.iter().all(|progress| progress.bytes_total == total));
    assert_eq!(*calls.last().unwrap(), Progress { bytes_done: total, bytes_total: total, pairs_done: 5 });
    // Nothing is imported while the file is being checked.
    assert!(calls.iter().all(|progress| progress.pairs_done == 0 || progress.bytes_done > total / 2));
}

#[test]
fn cancelling_the_check_changes_nothing() {
    let bench = Bench::new();
    let path = bench.file(&large().bytes);
    let total = 2 * large().bytes.len() as u64;
    for stop_at in [0, 1 << 20, total / 2] {
        let mut go_on = |progress: Progress| progress.bytes_done < stop_at;
        let answer = import_go(&bench.store, &path, CAREFUL, &mut go_on);
        assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
        assert!(bench.contents().is_empty());
    }
}

#[test]
fn a_cancelled_import_can_be_taken_up_again() {
    let bench = Bench::new();
    let path = bench.file(&large().bytes);
    let answer = import_go(&bench.store, &path, CAREFUL, &mut |progress| progress.pairs_done < 2);
    assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
    assert_eq!(bench.contents().len(), 2);
    let stats = bench.store.stats().unwrap();
    assert_eq!(stats.durable_lsn, stats.last_lsn);
    assert_eq!(import_go(&bench.store, &path, CAREFUL, &mut |_| true).unwrap(), report(5, 3, 0, 2));
    assert_eq!(bench.contents().len(), 5);
}

#[test]
fn a_file_that_changes_between_the_passes_imports_nothing() {
    let changes: [fn(&mut Vec<u8>); 3] =
        [|bytes| *bytes.last_mut().unwrap() ^= 1, |bytes| bytes.truncate(20), |bytes| bytes.push(0)];
    for change in changes {
        let bench = Bench::new();
        let mut bytes = GoFile::new(&[(b"a", b"1"), (b"b", b"2")]).bytes;
        let path = bench.file(&bytes);
        let half = bytes.len() as u64;
        let (offset, reason) = damage_of(import_go(&bench.store, &path, CAREFUL, &mut |progress| {
            if progress.bytes_done == half && bench.contents().is_empty() {
                change(&mut bytes);
                std::fs::write(&path, &bytes).unwrap();
            }
            true
        }));
        assert!(reason.contains("changed"), "{reason}");
        assert!(offset <= half);
    }
}

#[test]
fn no_byte_is_imported_that_was_not_checked() {
    let file = large();
    let bench = Bench::new();
    let path = bench.file(&file.bytes);
    let answer = import_go(&bench.store, &path, CAREFUL, &mut |progress| {
        if progress.pairs_done == 2 {
            // Only a byte inside the last value: the file is as well-formed as before.
            let mut bytes = file.bytes.clone();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        true
    });
    let Err(error @ Error::ImportDamaged { imported: 4, .. }) = answer else { panic!("{answer:?}") };
    assert!(error.to_string().contains("4 pair(s) before it were imported"), "{error}");
    assert_eq!(bench.contents().len(), 4);
}

// The real thing. These files are not part of the project: the tests run where they are at hand.

/// The folder with files that the Go store wrote itself, next to the checkout.
fn legacy() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/legacy");
    let folder = std::env::var_os("TSTORE_LEGACY_DIR").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: there is no folder {} with files of the Go store", folder.display());
    None
}

/// What that store's own Get answered: key and value in hex.
fn answers(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(key, value)| (unhex(key), unhex(value)))
        .collect()
}

#[test]
fn the_go_stores_files_import_as_it_answered() {
    let Some(folder) = legacy() else { return };
    for (name, expected) in [("go-plain", report(1000, 1000, 0, 0)), ("go-edge", report(18, 16, 2, 0))] {
        let bench = Bench::new();
        let file = folder.join(name).with_extension("bin");
        assert_eq!(import_go(&bench.store, &file, CAREFUL, &mut |_| true).unwrap(), expected);
        let answers = answers(&folder.join(name).with_extension("tsv"));
        assert_eq!(answers.len() as u64, expected.imported);
        assert!(bench.contents() == answers, "{name}");
    }
}

#[test]
fn the_go_stores_damaged_file_is_told_to_the_byte() {
    let Some(folder) = legacy() else { return };
    let file = folder.join("go-overwritten.bin");
    let bench = Bench::new();
    let (offset, reason) = damage_of(import_go(&bench.store, &file, CAREFUL, &mut |_| true));
    println!("{offset}: {reason}");
    assert!(bench.contents().is_empty());
    let report = import_go(&bench.store, &file, KEEP_GOING, &mut |_| true).unwrap();
    assert_eq!(report.damage.as_ref().unwrap().offset, offset);
    // Everything before the damage, and nothing else: that part alone is a good file.
    let before = &std::fs::read(&file).unwrap()[..offset as usize];
    let pairs = (0..=before.len()).rev().find_map(|end| go_file::parse(&before[..end])).unwrap();
    assert_eq!(report.pairs_read, pairs.len() as u64);
    assert!(report.pairs_read > 0);
    assert_eq!(bench.contents(), pairs.into_iter().rev().collect());
}
