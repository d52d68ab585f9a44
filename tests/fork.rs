//! A process that forked: the child has the store's memory and must not touch its files. Every call says so,
//! closing and dropping there harms nothing, and the parent goes on.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tinystoredb::{
    Batch, Durability, Error, Expected, ImportOptions, Options, Result, ScanOptions, Store, SyncMode,
    WriteOptions, import_go,
};

/// Runs `test` in a forked child and waits for it; the child ends without returning into the harness.
fn in_fork(test: impl FnOnce()) {
    // SAFETY: the child runs the test on its one thread and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_ok();
        // SAFETY: ends this process at once, without the harness's handlers.
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the pointer is to a live local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
}

fn forked<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::Forked))
}

/// The names and bytes of a store's files.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        files.push((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    }
    files.sort();
    files
}

/// A key and a value, as the Go store wrote them.
fn file_to_import(directory: &Path) -> PathBuf {
    let path = directory.join("go.bin");
    std::fs::write(&path, b"\0\0\0\x08\x07\x0c\0\x04key0\0\0\0\x08\x07\x0c\0\x04val0").unwrap();
    path
}

fn every_call_is_refused(store: &Store, import: &Path) {
    let mut batch = Batch::new();
    batch.put(b"k", b"child").unwrap();
    let wait = WriteOptions { durability: Durability::Wait, ..WriteOptions::default() };
    assert!(forked(store.put(b"k", b"child")));
    assert!(forked(store.put_with(b"k", b"child", wait)));
    assert!(forked(store.delete(b"k")));
    assert!(forked(store.write(&batch, Durability::NoWait)));
    assert!(forked(store.write(&Batch::new(), Durability::Default)));
    assert!(forked(store.sync()));
    assert!(forked(store.get(b"k")));
    assert!(forked(store.read(b"k", |_, _| ())));
    assert!(forked(store.exists(b"k")));
    assert!(forked(store.scan(b"")));
    assert!(forked(store.stats()));
    assert!(forked(store.snapshot()));
    assert!(forked(store.begin()));
    assert!(forked(store.scan_with(&ScanOptions::default())));
    assert!(forked(store.read_many(&[b"k"], |_, _| ())));
    assert!(forked(store.compare_and_swap(b"k", Expected::Any, None, wait)));
    assert!(forked(store.put_if_absent(b"k", b"child", wait)));
    assert!(forked(store.take(b"k")));
    assert!(forked(store.increment_i64(b"k", 1)));
    assert!(forked(store.append(b"k", b"child")));
    assert!(forked(store.delete_range(b"", b"")));
    assert!(forked(store.expire(b"k", None)));
    assert!(forked(store.expiry(b"k")));
    assert!(forked(store.put_i64(b"k", 1)));
    assert!(forked(store.get_i64(b"k")));
    assert!(forked(store.put_serde(b"k", &1_u8)));
    assert!(forked(store.get_serde::<u8>(b"k")));
    assert!(forked(import_go(store, import, ImportOptions::default(), &mut |_| true)));
    assert!(forked(store.close()));
    assert!(forked(store.close()), "also the second time");
}

#[test]
fn a_forked_child_gets_forked_from_every_call_and_changes_nothing() {
    for sync_mode in [SyncMode::Always, SyncMode::Interval(Duration::from_millis(1)), SyncMode::OnRequest] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("my.db");
        let import = file_to_import(directory.path());
        let store = Store::open(&path, &Options { sync_mode, ..Options::default() }).unwrap();
        store.put(b"k", b"parent").unwrap();
        store.put(b"l", b"parent").unwrap();
        store.sync().unwrap();
        let value = store.get(b"k").unwrap().unwrap();
        let mut scan = store.scan(b"").unwrap();
        assert!(scan.next().unwrap().is_some());
        let (snapshot, transaction) = (store.snapshot().unwrap(), store.begin().unwrap());
        transaction.put(b"k", b"of the transaction").unwrap();
        let before = files(&path);

        in_fork(|| {
            every_call_is_refused(&store, &import);
            assert!(forked(scan.next().map(drop)));
            assert!(forked(snapshot.get(b"k")));
            assert!(forked(transaction.get(b"l")));
            assert!(forked(transaction.commit(Durability::Wait)));
            // Memory that was handed out stays what it is.
            assert_eq!(&*value, b"parent");
            // The last handles of the child: nothing is closed, sealed, cut, removed or unlocked.
            drop(value.clone());
            drop(store.clone());
            // SAFETY: the child never returns, so that the values are not used or dropped again.
            unsafe {
                drop(std::ptr::read(&scan));
                drop(std::ptr::read(&snapshot));
                drop(std::ptr::read(&transaction));
                drop(std::ptr::read(&value));
                drop(std::ptr::read(&store));
            }
            assert!(matches!(Store::open(&path, &Options::default()), Err(Error::Locked { .. })));
        });
        assert!(files(&path) == before, "the child changed a file");

        // The parent goes on: reading, writing, iterating, and still alone.
        assert_eq!(&*value, b"parent");
        assert_eq!(scan.next().unwrap().unwrap().key, b"l");
        assert_eq!(snapshot.get(b"k").unwrap().as_deref(), Some(&b"parent"[..]));
        transaction.roll_back().unwrap();
        store.put(b"m", b"parent").unwrap();
        assert!(matches!(Store::open(&path, &Options::default()), Err(Error::Locked { .. })));
        store.close().unwrap();
        let store = Store::open(&path, &Options::default()).unwrap();
        assert_eq!(store.stats().unwrap().records, 3);
        assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"parent"[..]));
    }
}

#[test]
fn a_child_that_lives_on_does_not_keep_the_lock_when_the_parent_closes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.db");
    let store = Store::open(&path, &Options::default()).unwrap();
    store.put(b"k", b"parent").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child waits and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        use std::io::Read;
        drop(writer);
        let _ = reader.read(&mut [0]);
        // The parent has closed by now: the child may open the store for itself.
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mine = Store::open(&path, &Options::default()).unwrap();
            mine.put(b"k", b"child").unwrap();
            mine.close().unwrap();
            assert!(forked(store.get(b"k")), "the parent's handle stays the parent's");
        }));
        // SAFETY: ends this process at once, without the harness's handlers.
        unsafe { libc::_exit(i32::from(passed.is_err())) };
    }
    store.close().unwrap();
    let again = Store::open(&path, &Options::default()).expect("the child holds the lock");
    again.put(b"k", b"parent again").unwrap();
    again.close().unwrap();
    drop(writer);
    let mut status = 0;
    // SAFETY: the child is ours, and the pointer is to a live local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
    let store = Store::open(&path, &Options::default()).unwrap();
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"child"[..]));
}

#[test]
fn a_fork_while_other_threads_write_hurts_neither_side() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.db");
    let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
    let store = Store::open(&path, &options).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let written: Vec<u32> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u8)
            .map(|thread| {
                let (store, stop) = (&store, &stop);
                scope.spawn(move || {
                    let mut count = 0_u32;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let key = [&[thread][..], &count.to_be_bytes()].concat();
                        store.put(&key, &[7; 100]).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for _ in 0..20 {
            // Whatever lock a writer held at this moment stays held in the child: nothing waits for it.
            in_fork(|| {
                assert!(forked(store.put(b"child", b"")));
                assert!(forked(store.get(b"child")));
                assert!(forked(store.stats()));
                assert!(forked(store.close()));
            });
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    store.close().unwrap();
    let store = Store::open(&path, &options).unwrap();
    assert_eq!(store.stats().unwrap().records, written.iter().map(|&count| u64::from(count)).sum::<u64>());
    assert!(!store.exists(b"child").unwrap());
}

/// On the simulated disk the same, without a process: another number is a fork.
#[test]
fn a_fork_on_the_simulated_disk_makes_no_call_at_all() {
    let os = tinystoredb::os::sim::SimOs::new(1);
    let store =
        Store::open_on(os.clone(), "/store", &Options { maintenance: false, ..Options::default() }).unwrap();
    store.put(b"k", b"parent").unwrap();
    let before = os.calls().unwrap();
    os.set_process_id(4243);
    let directory = tempfile::tempdir().unwrap();
    every_call_is_refused(&store, &file_to_import(directory.path()));
    assert_eq!(os.calls().unwrap(), before);
    os.set_process_id(4242);
    store.put(b"k", b"parent again").unwrap();
    os.set_process_id(4243);
    let before = os.calls().unwrap();
    drop(store);
    assert_eq!(os.calls().unwrap(), before, "a drop in the child");
}
