//! A disk without space: a write is refused before it is accepted, reading and deleting go on, and so does
//! writing once there is space.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tinystoredb::os::sim::SimOs;
use tinystoredb::{Error, Options, Store, SyncMode, WriteMode};

use super::run::{PATH, SEGMENT_SIZE};

/// What the engine sets aside for deletes.
const RESERVE_SIZE: u64 = 256 << 10;

fn options(sync_mode: SyncMode, write_mode: WriteMode) -> Options {
    Options { sync_mode, write_mode, maintenance: false, ..Options::default() }
}

fn small(sync_mode: SyncMode, write_mode: WriteMode) -> Options {
    Options { first_segment_size: Some(SEGMENT_SIZE), ..options(sync_mode, write_mode) }
}

fn each_mode(mut test: impl FnMut(SyncMode, WriteMode)) {
    for sync_mode in [SyncMode::Always, SyncMode::OnRequest] {
        for write_mode in [WriteMode::Mapped, WriteMode::Pwrite] {
            test(sync_mode, write_mode);
        }
    }
}

/// Puts until not even an empty value under a new key is taken. Returns how many keys there are.
fn fill(store: &Store) -> u32 {
    let mut keys = 0;
    for size in [16 << 10, 1 << 10, 100, 0] {
        loop {
            match store.put(&u32::to_be_bytes(keys), &vec![7; size]) {
                Ok(()) => keys += 1,
                Err(Error::NoSpace { .. }) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        check(store, 0..keys);
    }
    keys
}

fn check(store: &Store, keys: std::ops::Range<u32>) {
    assert_eq!(store.stats().unwrap().records, u64::from(keys.end - keys.start));
    for key in keys {
        let right = store.read(&key.to_be_bytes(), |_, value| value.iter().all(|&byte| byte == 7)).unwrap();
        assert_eq!(right, Some(true), "{key}");
    }
}

fn is_full(outcome: Result<(), Error>) -> bool {
    matches!(outcome, Err(Error::NoSpace { errno: libc::ENOSPC, .. }))
}

#[test]
fn a_full_disk_refuses_writes_and_takes_deletes_and_writes_again_when_there_is_space() {
    each_mode(|sync_mode, write_mode| {
        let os = SimOs::new(1);
        os.set_capacity(Some(1 << 20)).unwrap();
        let store = Store::open_on(os.clone(), PATH, &small(sync_mode, write_mode)).unwrap();
        let keys = fill(&store);
        assert!(keys > 20, "{keys}");
        let last_lsn = store.stats().unwrap().last_lsn;
        assert!(is_full(store.put(b"refused", b"")));
        assert_eq!(store.stats().unwrap().last_lsn, last_lsn, "refused before it was accepted");
        // A delete needs space too: the reserve's.
        for key in 0..keys / 2 {
            assert!(store.delete(&key.to_be_bytes()).unwrap());
        }
        check(&store, keys / 2..keys);
        // What is left of the reserve stays for deletes.
        assert!(is_full(store.put(b"refused", b"")));
        assert!(!store.exists(b"refused").unwrap());
        store.sync().unwrap();

        os.set_capacity(None).unwrap();
        store.put(b"there is space", b"again").unwrap();
        store.close().unwrap();
        let os = SimOs::from_image(&os.image().unwrap());
        let store = Store::open_on(os.clone(), PATH, &small(sync_mode, write_mode)).unwrap();
        assert!(store.delete(b"there is space").unwrap());
        check(&store, keys / 2..keys);
        let reserve = os.image().unwrap().files().into_iter().find(|file| file.0.ends_with("/RESERVE"));
        assert_eq!(reserve.map(|file| file.1), Some(RESERVE_SIZE), "set aside again");
    });
}

#[test]
fn a_full_disk_takes_the_deletion_of_a_range() {
    each_mode(|sync_mode, write_mode| {
        let os = SimOs::new(1);
        os.set_capacity(Some(1 << 20)).unwrap();
        let store = Store::open_on(os.clone(), PATH, &small(sync_mode, write_mode)).unwrap();
        let keys = fill(&store);
        assert_eq!(store.delete_range(b"", &(keys / 2).to_be_bytes()).unwrap(), u64::from(keys / 2));
        check(&store, keys / 2..keys);
        assert!(is_full(store.put(b"refused", b"")));
        store.close().unwrap();
        let os = SimOs::from_image(&os.image().unwrap());
        let store = Store::open_on(os, PATH, &small(sync_mode, write_mode)).unwrap();
        check(&store, keys / 2..keys);
    });
}

#[test]
fn the_reserve_takes_some_thousand_deletes() {
    let os = SimOs::new(1);
    let options = options(SyncMode::OnRequest, WriteMode::Mapped);
    let store = Store::open_on(os.clone(), PATH, &options).unwrap();
    for key in 0..10_000_u32 {
        store.put(&key.to_be_bytes(), &[7; 10]).unwrap();
    }
    os.set_capacity(Some(os.used().unwrap())).unwrap();
    let keys = 10_000 + {
        let mut keys = 0;
        while store.put(&u32::to_be_bytes(10_000 + keys), &[7; 10]).is_ok() {
            keys += 1;
        }
        keys
    };
    let mut deleted = 0;
    let error = loop {
        match store.delete(&u32::to_be_bytes(deleted)) {
            Ok(there) => assert!(there),
            Err(error) => break error,
        }
        deleted += 1;
    };
    assert!(is_full(Err(error)) && deleted > 5_000, "{deleted}");
    check(&store, deleted..keys);
    os.set_capacity(None).unwrap();
    assert!(store.delete(&u32::to_be_bytes(deleted)).unwrap());
    store.close().unwrap();
}

#[test]
fn a_store_on_a_full_disk_opens_and_reads_and_deletes() {
    each_mode(|sync_mode, write_mode| {
        for closed in [false, true] {
            let os = SimOs::new(1);
            os.set_capacity(Some(1 << 20)).unwrap();
            let store = Store::open_on(os.clone(), PATH, &small(sync_mode, write_mode)).unwrap();
            let keys = fill(&store);
            if closed {
                store.close().unwrap();
            }
            let os = SimOs::from_image(&os.image().unwrap());
            // Not a byte more than what it takes now.
            os.set_capacity(Some(os.used().unwrap())).unwrap();
            let store = Store::open_on(os.clone(), PATH, &small(sync_mode, write_mode)).unwrap();
            check(&store, 0..keys);
            // Whether a put finds space depends on what cutting the last segment gave back.
            for key in 0..20_u32 {
                assert!(store.delete(&key.to_be_bytes()).unwrap());
            }
            check(&store, 20..keys);
            store.close().unwrap();
            let os = SimOs::from_image(&os.image().unwrap());
            let store = Store::open_on(os, PATH, &small(sync_mode, write_mode)).unwrap();
            check(&store, 20..keys);
            store.put(b"there is space", b"again").unwrap();
        }
    });
}

#[test]
fn every_disk_size_ends_in_a_clean_refusal() {
    for kib in 0..400 {
        let os = SimOs::new(1);
        os.set_capacity(Some(kib << 10)).unwrap();
        let options = small(SyncMode::Always, WriteMode::Mapped);
        let mut keys = 0_u32;
        match Store::open_on(os.clone(), PATH, &options) {
            Ok(store) => {
                while keys < 50 {
                    match store.put(&keys.to_be_bytes(), &[7; 1000]) {
                        Ok(()) => keys += 1,
                        Err(error) => {
                            assert!(is_full(Err(error)), "{kib} KiB");
                            break;
                        }
                    }
                }
                check(&store, 0..keys);
                os.set_capacity(None).unwrap();
                store.put(&keys.to_be_bytes(), &[7; 1000]).unwrap();
                keys += 1;
            }
            Err(error) => assert!(is_full(Err(error)), "{kib} KiB"),
        }
        let os = SimOs::from_image(&os.image().unwrap());
        check(&Store::open_on(os, PATH, &options).unwrap(), 0..keys);
    }
}

/// A real file system of a few MiB, mounted for as long as this lives.
struct Mounted {
    directory: tempfile::TempDir,
    _image: Option<tempfile::NamedTempFile>,
}

impl Mounted {
    fn run(program: &str, arguments: &[&str]) -> bool {
        let done = Command::new(program).args(arguments).output();
        done.is_ok_and(|output| output.status.success())
    }

    fn tmpfs() -> Option<Mounted> {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_str().unwrap();
        let mounted = Mounted::run("mount", &["-t", "tmpfs", "-o", "size=12m", "tmpfs", place]);
        mounted.then_some(Mounted { directory, _image: None })
    }

    fn ext4() -> Option<Mounted> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(24 << 20).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (file, place) = (image.path().to_str().unwrap(), directory.path().to_str().unwrap());
        let mounted = Mounted::run("mkfs.ext4", &["-q", "-m", "0", file])
            && Mounted::run("mount", &["-o", "loop", file, place]);
        mounted.then_some(Mounted { directory, _image: Some(image) })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Mounted::run("umount", &["-l", self.directory.path().to_str().unwrap()]);
    }
}

fn fills_a_real_disk(disk: Option<Mounted>, write_mode: WriteMode) {
    let Some(disk) = disk else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let path = disk.directory.path().join("my.db");
    let options = options(SyncMode::OnRequest, write_mode);
    let store = Store::open(&path, &options).unwrap();
    store.put(b"first", b"").unwrap();
    assert!(store.delete(b"first").unwrap());
    // All that the store does not hold already belongs to somebody else.
    let other = disk.directory.path().join("other");
    take_all_space(&other);
    let keys = fill(&store);
    for key in 0..keys / 2 {
        assert!(store.delete(&key.to_be_bytes()).unwrap());
    }
    assert!(is_full(store.put(b"refused", &[1; 1000])));
    check(&store, keys / 2..keys);
    drop(store);

    // Closed by the drop. A full disk is no reason not to open, and the space that the close gave back,
    // too little for a segment, will do for deletes.
    let store = Store::open(&path, &options).unwrap();
    check(&store, keys / 2..keys);
    for key in keys / 2..keys - 1 {
        assert!(store.delete(&key.to_be_bytes()).unwrap());
    }
    check(&store, keys - 1..keys);
    std::fs::remove_file(&other).unwrap();
    store.put(b"there is space", &[1; 1000]).unwrap();
    store.close().unwrap();
    let store = Store::open(&path, &options).unwrap();
    assert!(store.exists(b"there is space").unwrap());
}

/// Writes, in ever smaller pieces, until nothing more goes into the file system.
fn take_all_space(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 64 << 10, 4096, 512] {
        while file.write_all(&vec![3; size]).is_ok() {}
    }
    file.sync_all().unwrap();
}

#[test]
fn a_full_tmpfs_refuses_writes_and_takes_deletes() {
    for write_mode in [WriteMode::Mapped, WriteMode::Pwrite] {
        fills_a_real_disk(Mounted::tmpfs(), write_mode);
    }
}

#[test]
fn a_full_ext4_refuses_writes_and_takes_deletes() {
    for write_mode in [WriteMode::Mapped, WriteMode::Pwrite] {
        fills_a_real_disk(Mounted::ext4(), write_mode);
    }
}

#[test]
fn a_reserve_that_a_crash_left_empty_is_filled_again() {
    let options = small(SyncMode::Always, WriteMode::Mapped);
    let os = SimOs::new(1);
    let store = Store::open_on(os.clone(), PATH, &options).unwrap();
    store.put(b"k", b"v").unwrap();
    let image = os.image().unwrap().with_length(format!("{PATH}/RESERVE"), 0);
    let os = SimOs::from_image(&image);
    let store = Store::open_on(os.clone(), PATH, &options).unwrap();
    store.put(b"k", b"v").unwrap();
    assert!(os.image().unwrap().files().contains(&(format!("{PATH}/RESERVE"), RESERVE_SIZE)));
}

/// The engine's own promise is a number in its source; the tests lean on it.
#[test]
fn the_reserve_is_set_aside_with_the_first_write() {
    let os = SimOs::new(1);
    let os: Arc<SimOs> = os;
    let store =
        Store::open_on(os.clone(), PATH, &Options { maintenance: false, ..Options::default() }).unwrap();
    let reserve =
        |os: &SimOs| os.image().unwrap().files().into_iter().find(|file| file.0.ends_with("/RESERVE"));
    assert_eq!(reserve(&os), None, "opening to read takes no space");
    store.put(b"k", b"v").unwrap();
    assert_eq!(reserve(&os).map(|file| file.1), Some(RESERVE_SIZE));
}
