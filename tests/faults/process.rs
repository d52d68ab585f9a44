//! Limits and permissions of the process, each in a child process of its own: the limit on a file's size, on
//! open files, and a user who may not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinystoredb::{Error, Options, Store};

/// Runs this test again in a child process, with `CHILD` set. In the child: the path it gets.
fn in_child(test: &str, path: &Path) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TSTORE_TEST_CHILD") {
        return Some(PathBuf::from(path));
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("process::{test}"), "--nocapture", "--test-threads=1"])
        .env("TSTORE_TEST_CHILD", path)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{:?}\n{text}", output.status);
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        println!("{line}");
    }
    None
}

#[allow(unsafe_code)]
fn set_limit(resource: libc::__rlimit_resource_t, value: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live local of the right type.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        limit.rlim_cur = value;
        assert_eq!(libc::setrlimit(resource, &limit), 0);
    }
}

#[allow(unsafe_code)]
fn become_nobody() {
    // SAFETY: no pointers. Applies to all threads of the process.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(65534), 0);
        assert_eq!(libc::setuid(65534), 0);
    }
}

#[allow(unsafe_code)]
fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk_and_not_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.db");
    if std::env::var_os("TSTORE_TEST_CHILD").is_none() {
        let store = Store::open(&path, &Options::default()).unwrap();
        store.put(b"a", b"1").unwrap();
        store.put(b"b", b"2").unwrap();
        store.close().unwrap();
    }
    let Some(path) = in_child("a_limit_on_file_sizes_is_a_full_disk_and_not_a_signal", &path) else { return };
    set_limit(libc::RLIMIT_FSIZE, 1 << 20);
    let store = Store::open(&path, &Options::default()).unwrap();
    for _ in 0..2 {
        let error = store.put(b"c", b"3").unwrap_err();
        assert!(matches!(error, Error::NoSpace { errno: libc::EFBIG, .. }), "{error:?}");
    }
    assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(!store.exists(b"c").unwrap());
    // There is room for the reserve's segment.
    assert!(store.delete(b"a").unwrap());
    set_limit(libc::RLIMIT_FSIZE, libc::RLIM_INFINITY);
    store.put(b"c", b"3").unwrap();
    // A limit below what the open segment has: it was allocated before.
    set_limit(libc::RLIMIT_FSIZE, 4096);
    store.put(b"d", b"4").unwrap();
    set_limit(libc::RLIMIT_FSIZE, libc::RLIM_INFINITY);
    store.close().unwrap();
    let store = Store::open(&path, &Options::default()).unwrap();
    let there = [&b"a"[..], b"b", b"c", b"d"].map(|key| store.exists(key).unwrap());
    assert_eq!(there, [false, true, true, true]);
}

#[test]
fn every_limit_on_open_files_ends_in_a_clean_refusal() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = in_child("every_limit_on_open_files_ends_in_a_clean_refusal", directory.path()) else {
        return;
    };
    let mut opened = 0;
    for limit in 0..64 {
        // Enough for what the test has open, and nothing for the store, at first.
        let path = path.join(format!("{limit}.db"));
        set_limit(libc::RLIMIT_NOFILE, limit);
        let outcome = Store::open(&path, &Options::default()).and_then(|store| {
            let put = store.put(b"a", b"1");
            let there = store.exists(b"a")?;
            assert_eq!(there, put.is_ok());
            let closed = store.close();
            put.and(closed)
        });
        set_limit(libc::RLIMIT_NOFILE, 1024);
        match outcome {
            Ok(()) => opened += 1,
            Err(Error::Io { errno, .. }) => assert!([libc::EMFILE, libc::ENFILE].contains(&errno), "{errno}"),
            Err(other) => panic!("{limit}: {other:?}"),
        }
        let store = Store::open(&path, &Options::default()).unwrap();
        store.put(b"b", b"2").unwrap();
        store.close().unwrap();
    }
    assert!(opened > 0);
}

#[test]
fn a_user_who_may_not_gets_permission_and_changes_nothing() {
    if !is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o755);
    let path = directory.path().join("my.db");
    if std::env::var_os("TSTORE_TEST_CHILD").is_none() {
        let store = Store::open(&path, &Options::default()).unwrap();
        store.put(b"a", b"1").unwrap();
        store.close().unwrap();
    }
    let Some(path) = in_child("a_user_who_may_not_gets_permission_and_changes_nothing", &path) else {
        // Root opens it as it was.
        let store = Store::open(&path, &Options::default()).unwrap();
        assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
        return;
    };
    // The modes are set as root, and met as nobody, by a process that is forked for each.
    let segment = path.join("00000001.bin");
    let cases: [(u32, u32, u32, &Path); 4] = [
        (0o700, 0o600, 0o600, &path),
        (0o755, 0o600, 0o600, &path.join("LOCK")),
        (0o755, 0o666, 0o600, &segment),
        (0o755, 0o666, 0o444, &segment),
    ];
    for (of_directory, of_lock, of_segment, named) in cases {
        set_mode(&path.join("LOCK"), of_lock);
        set_mode(&segment, of_segment);
        set_mode(&path, of_directory);
        as_nobody(|| refused(&path, named));
    }
    // No store, and no right to make one.
    let above = path.parent().unwrap();
    as_nobody(|| refused(&above.join("new.db"), &above.join("new.db")));
    assert!(!above.join("new.db").exists());
    // A directory that may be read but holds no store.
    let empty = above.join("empty.db");
    std::fs::create_dir(&empty).unwrap();
    set_mode(&empty, 0o755);
    as_nobody(|| refused(&empty, &empty.join("LOCK")));
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}

fn refused(path: &Path, named: &Path) -> bool {
    match Store::open(path, &Options::default()) {
        Err(Error::Permission { path, errno, .. }) => {
            Path::new(&path) == named && [libc::EACCES, libc::EPERM].contains(&errno)
        }
        _ => false,
    }
}

/// Runs `test` in a forked process of another user; it has no other threads to wait for.
#[allow(unsafe_code)]
fn as_nobody(test: impl FnOnce() -> bool) {
    // SAFETY: the child runs the test and ends without returning into the harness.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        become_nobody();
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).unwrap_or(false);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the pointer is to a live local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child process was not refused as it should be");
}
