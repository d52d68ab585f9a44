//! The documented promises of the seam, each tried on real files.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::mapping::kind_without_stores;
use super::{RealOs, c_string};
use crate::error::Error;
use crate::os::{Access, Directory, EntryKind, Lock, MapMode, Os};

const MIB: u64 = 1 << 20;

fn scratch() -> (TempDir, Arc<dyn Directory>) {
    let temp = tempfile::tempdir().unwrap();
    let directory = RealOs::new().open_directory(&temp.path().join("store"), true).unwrap();
    (temp, directory)
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs the named test of this binary again as a child process, in which `role` is set.
fn run_as_child(test: &str) -> std::process::Output {
    let name = format!("os::real::tests::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--nocapture", "--test-threads=1"])
        .env("TINYSTOREDB_TEST_CHILD", test)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn is_child(test: &str) -> bool {
    std::env::var("TINYSTOREDB_TEST_CHILD").is_ok_and(|role| role == test)
}

fn assert_child_passed(test: &str) {
    let output = run_as_child(test);
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{:?}: {text}", output.status);
}

/// A small file system that goes away with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<SmallDisk> {
        let temp = tempfile::tempdir().unwrap();
        let path = c_string(temp.path().to_str().unwrap().as_bytes()).unwrap();
        let options = c_string(options.as_bytes()).unwrap();
        // SAFETY: all pointers are to NUL-terminated strings that live through the call.
        let result = unsafe {
            libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast())
        };
        if result != 0 {
            println!("skipped: mounting is not possible here: {}", std::io::Error::last_os_error());
            return None;
        }
        Some(SmallDisk(temp))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = c_string(self.0.path().to_str().unwrap().as_bytes()).unwrap();
        // SAFETY: the path is NUL-terminated; the mount is this value's own.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn missing_directory_is_not_found() {
    let temp = tempfile::tempdir().unwrap();
    let os = RealOs::new();
    let missing = temp.path().join("missing");
    assert!(matches!(os.open_directory(&missing, false), Err(Error::NotFound { .. })));
    assert!(!missing.exists());
    // Parents are not made.
    assert!(matches!(os.open_directory(&missing.join("store"), true), Err(Error::NotFound { .. })));
    assert!(!missing.exists());
}

#[test]
fn directory_is_created_once_with_mode_0700() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    let os = RealOs::new();
    os.open_directory(&path, true).unwrap();
    assert_eq!(mode_of(&path), 0o700);
    let again = os.open_directory(&path, true).unwrap();
    assert_eq!(again.path(), path);
    os.open_directory(&path, false).unwrap();
}

#[test]
fn file_instead_of_directory_is_not_a_store() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    std::fs::write(&path, b"text").unwrap();
    let os = RealOs::new();
    for create in [false, true] {
        assert!(matches!(os.open_directory(&path, create), Err(Error::NotAStore { .. })));
        assert!(matches!(os.open_directory(&path.join("below"), create), Err(Error::NotAStore { .. })));
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
}

#[test]
fn a_path_with_a_nul_byte_is_an_invalid_argument() {
    let os = RealOs::new();
    assert!(matches!(os.open_directory(Path::new("a\0b"), true), Err(Error::InvalidArgument(_))));
}

#[test]
fn names_that_are_not_one_component_are_refused() {
    let (_temp, directory) = scratch();
    for name in ["", ".", "..", "a/b", "/etc/passwd", "../up", "a\0b"] {
        assert!(matches!(directory.create(name), Err(Error::InvalidArgument(_))), "{name:?}");
        assert!(matches!(directory.open(name, Access::Read), Err(Error::InvalidArgument(_))), "{name:?}");
        assert!(matches!(directory.unlink(name), Err(Error::InvalidArgument(_))), "{name:?}");
        assert!(matches!(directory.rename(name, "x"), Err(Error::InvalidArgument(_))), "{name:?}");
        assert!(matches!(directory.lock(name), Err(Error::InvalidArgument(_))), "{name:?}");
    }
}

#[test]
fn new_files_have_mode_0600_whatever_the_umask() {
    const TEST: &str = "new_files_have_mode_0600_whatever_the_umask";
    if !is_child(TEST) {
        return assert_child_passed(TEST);
    }
    // The umask is the process's: only the child changes it.
    // SAFETY: no pointers.
    unsafe { libc::umask(0) };
    let (temp, directory) = scratch();
    directory.create("file").unwrap();
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Acquired(_)));
    assert_eq!(mode_of(&temp.path().join("store")), 0o700);
    assert_eq!(mode_of(&temp.path().join("store/file")), 0o600);
    assert_eq!(mode_of(&temp.path().join("store/LOCK")), 0o600);
}

#[test]
fn create_refuses_an_existing_name() {
    let (_temp, directory) = scratch();
    directory.create("file").unwrap().write_at(b"kept", 0).unwrap();
    assert_eq!(directory.create("file").unwrap_err().errno(), libc::EEXIST);
    let mut buffer = [0; 4];
    directory.open("file", Access::Read).unwrap().read_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"kept");
}

#[test]
fn missing_file_is_an_error_with_enoent() {
    let (_temp, directory) = scratch();
    let error = directory.open("missing", Access::ReadWrite).unwrap_err();
    assert!(matches!(&error, Error::Io { errno: libc::ENOENT, path, .. } if path.ends_with("store/missing")));
}

#[test]
fn links_directories_and_pipes_are_refused() {
    let (temp, directory) = scratch();
    let at = |name: &str| temp.path().join("store").join(name);
    std::fs::write(temp.path().join("outside"), b"secret").unwrap();
    symlink(temp.path().join("outside"), at("symbolic")).unwrap();
    std::fs::hard_link(temp.path().join("outside"), at("hard")).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    let pipe = c_string(at("pipe").to_str().unwrap().as_bytes()).unwrap();
    // SAFETY: the path is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for name in ["symbolic", "hard", "directory", "pipe", "socket"] {
        for access in [Access::Read, Access::ReadWrite] {
            let result = directory.open(name, access);
            assert!(matches!(result, Err(Error::NotAStore { .. })), "{name}: {result:?}");
        }
        assert!(matches!(directory.lock(name), Err(Error::NotAStore { .. })), "{name}");
    }
    assert_eq!(std::fs::read(temp.path().join("outside")).unwrap(), b"secret");
}

#[test]
fn list_is_sorted_and_names_the_kinds() {
    let (temp, directory) = scratch();
    assert_eq!(directory.list().unwrap(), []);
    let at = |name: &str| temp.path().join("store").join(name);
    directory.create("b").unwrap();
    directory.create("a").unwrap();
    symlink("a", at("link")).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    for _ in 0..2 {
        let entries = directory.list().unwrap();
        let entries: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        let (file, other) = (EntryKind::File, EntryKind::Other);
        assert_eq!(entries, [("a", file), ("b", file), ("directory", other), ("link", other)]);
    }
}

#[test]
fn everything_is_relative_to_the_held_directory() {
    let (temp, directory) = scratch();
    std::fs::rename(temp.path().join("store"), temp.path().join("moved")).unwrap();
    std::fs::create_dir(temp.path().join("store")).unwrap();
    directory.create("file").unwrap();
    assert!(temp.path().join("moved/file").exists());
    assert!(!temp.path().join("store/file").exists());
}

#[test]
fn rename_replaces_and_unlink_removes() {
    let (_temp, directory) = scratch();
    directory.create("old").unwrap().write_at(b"old", 0).unwrap();
    directory.create("new").unwrap().write_at(b"newer", 0).unwrap();
    directory.rename("new", "old").unwrap();
    assert_eq!(directory.open("old", Access::Read).unwrap().size().unwrap(), 5);
    directory.unlink("old").unwrap();
    directory.sync().unwrap();
    assert_eq!(directory.list().unwrap(), []);
    assert_eq!(directory.unlink("old").unwrap_err().errno(), libc::ENOENT);
    assert_eq!(directory.rename("old", "x").unwrap_err().errno(), libc::ENOENT);
}

#[test]
fn lock_conflicts_within_one_process() {
    let (_temp, directory) = scratch();
    let Lock::Acquired(held) = directory.lock("LOCK").unwrap() else { panic!("a fresh lock is held") };
    held.write_at(b"1234", 0).unwrap();
    let Lock::Held(other) = directory.lock("LOCK").unwrap() else { panic!("locked twice") };
    let mut buffer = [0; 4];
    other.read_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"1234");
    // Closing the loser's file does not release the lock.
    drop(other);
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Held(_)));
    drop(held);
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Acquired(_)));
}

#[test]
fn a_forked_child_neither_keeps_nor_releases_the_lock() {
    let (_temp, directory) = scratch();
    let Lock::Acquired(held) = directory.lock("LOCK").unwrap() else { panic!("a fresh lock is held") };
    // SAFETY: the child frees memory, closes a descriptor and exits.
    let dropping = unsafe { libc::fork() };
    if dropping == 0 {
        drop(held);
        // SAFETY: no pointers.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: a null status is allowed.
    assert_eq!(unsafe { libc::waitpid(dropping, std::ptr::null_mut(), 0) }, dropping);
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Held(_)));
    // SAFETY: the child only waits for its end.
    let waiting = unsafe { libc::fork() };
    if waiting == 0 {
        loop {
            // SAFETY: no pointers.
            unsafe { libc::pause() };
        }
    }
    drop(held);
    let again = directory.lock("LOCK").unwrap();
    // SAFETY: the child is this test's own; a null status is allowed.
    unsafe {
        assert_eq!(libc::kill(waiting, libc::SIGKILL), 0);
        assert_eq!(libc::waitpid(waiting, std::ptr::null_mut(), 0), waiting);
    }
    assert!(matches!(again, Lock::Acquired(_)));
}

#[test]
fn missing_permission_is_named() {
    // SAFETY: no pointers.
    if unsafe { libc::geteuid() } == 0 {
        println!("root: the directory's mode does not bind; a file system mounted read-only takes its place");
        let Some(disk) = SmallDisk::mount("size=1m") else { return };
        let path = c_string(disk.0.path().to_str().unwrap().as_bytes()).unwrap();
        let os = RealOs::new();
        let directory = os.open_directory(disk.0.path(), true).unwrap();
        directory.create("file").unwrap();
        let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
        // SAFETY: the strings are NUL-terminated; a remount takes no source and no data.
        let result = unsafe {
            libc::mount(std::ptr::null(), path.as_ptr(), std::ptr::null(), flags, std::ptr::null())
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        assert!(matches!(directory.create("other"), Err(Error::Permission { errno: libc::EROFS, .. })));
        assert!(matches!(directory.open("file", Access::ReadWrite), Err(Error::Permission { .. })));
        directory.open("file", Access::Read).unwrap();
        assert!(matches!(
            os.open_directory(&disk.0.path().join("store"), true),
            Err(Error::Permission { errno: libc::EROFS, .. })
        ));
        return;
    }
    let (temp, directory) = scratch();
    directory.create("file").unwrap();
    let store = temp.path().join("store");
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o500)).unwrap();
    assert!(matches!(directory.create("other"), Err(Error::Permission { .. })));
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o000)).unwrap();
    assert!(matches!(RealOs::new().open_directory(&store, false), Err(Error::Permission { .. })));
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn read_past_the_end_is_an_error_with_errno_0() {
    let (_temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    file.write_at(b"0123456789", 0).unwrap();
    let mut buffer = [0; 4];
    file.read_at(&mut buffer, 6).unwrap();
    assert_eq!(&buffer, b"6789");
    for offset in [7, 10, 1 << 40] {
        let error = file.read_at(&mut buffer, offset).unwrap_err();
        assert!(matches!(error, Error::Io { errno: 0, .. }), "{error:?}");
        assert!(error.to_string().contains("ends"), "{error}");
    }
    file.read_at(&mut [], 1 << 40).unwrap();
    assert!(file.read_at(&mut buffer, u64::MAX).is_err());
    assert!(file.write_at(b"x", u64::MAX).is_err());
}

#[test]
fn a_read_only_file_refuses_writes() {
    let (_temp, directory) = scratch();
    directory.create("file").unwrap();
    let file = directory.open("file", Access::Read).unwrap();
    assert_eq!(file.write_at(b"x", 0).unwrap_err().errno(), libc::EBADF);
}

#[test]
fn allocate_sets_the_length_takes_space_and_reads_as_zeros() {
    let (temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    file.write_at(b"head", 0).unwrap();
    file.allocate(MIB).unwrap();
    file.sync_all().unwrap();
    assert_eq!(file.size().unwrap(), MIB);
    let blocks = std::fs::metadata(temp.path().join("store/file")).unwrap().blocks();
    assert!(blocks * 512 >= MIB, "{blocks} blocks");
    let mut buffer = vec![1; MIB as usize];
    file.read_at(&mut buffer, 0).unwrap();
    assert!(buffer.starts_with(b"head") && buffer[4..].iter().all(|&byte| byte == 0));
    file.allocate(4096).unwrap();
    assert_eq!(file.size().unwrap(), 4096);
    file.truncate(2).unwrap();
    file.truncate(8).unwrap();
    let mut buffer = [1; 8];
    file.read_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"he\0\0\0\0\0\0");
    file.allocate(0).unwrap();
    assert_eq!(file.size().unwrap(), 0);
}

#[test]
fn a_full_disk_is_an_error_that_leaves_length_and_space() {
    let Some(disk) = SmallDisk::mount("size=4m") else { return };
    let directory = RealOs::new().open_directory(&disk.0.path().join("store"), true).unwrap();
    let file = directory.create("file").unwrap();
    file.write_at(b"kept", 0).unwrap();
    let error = file.allocate(64 * MIB).unwrap_err();
    assert!(matches!(error, Error::NoSpace { errno: libc::ENOSPC, .. }), "{error:?}");
    assert_eq!(file.size().unwrap(), 4);
    // The space is there again.
    let other = directory.create("other").unwrap();
    other.allocate(3 * MIB).unwrap();
    // Plain writes report it too.
    let error = file.write_at(&vec![1; 2 * MIB as usize], 0).unwrap_err();
    assert!(matches!(error, Error::NoSpace { errno: libc::ENOSPC, .. }), "{error:?}");
}

#[test]
fn populating_on_a_full_disk_is_an_error_not_a_signal() {
    let Some(disk) = SmallDisk::mount("size=4m") else { return };
    let directory = RealOs::new().open_directory(disk.0.path(), false).unwrap();
    let file = directory.create("sparse").unwrap();
    file.truncate(8 * MIB).unwrap();
    let map = file.map(8 * MIB, MapMode::ReadWrite).unwrap();
    map.populate(0, MIB).unwrap();
    let error = map.populate(MIB, 7 * MIB).unwrap_err();
    assert!(matches!(error, Error::NoSpace { errno: libc::ENOSPC, .. }), "{error:?}");
}

#[test]
fn growing_past_the_file_size_limit_is_an_error_not_a_signal() {
    const TEST: &str = "growing_past_the_file_size_limit_is_an_error_not_a_signal";
    if !is_child(TEST) {
        return assert_child_passed(TEST);
    }
    let (_temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    let long = directory.create("long").unwrap();
    long.allocate(4 * MIB).unwrap();
    let limit = libc::rlimit { rlim_cur: MIB, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a live local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    file.allocate(MIB).unwrap();
    let refused =
        |error: Error| assert!(matches!(error, Error::NoSpace { errno: libc::EFBIG, .. }), "{error:?}");
    refused(file.allocate(MIB + 1).unwrap_err());
    refused(file.truncate(MIB + 1).unwrap_err());
    refused(file.write_at(b"xy", MIB - 1).unwrap_err());
    assert_eq!(file.size().unwrap(), MIB);
    file.write_at(b"x", MIB - 1).unwrap();
    // The kernel refuses these writes by position, not by growth.
    refused(long.write_at(b"x", 2 * MIB).unwrap_err());
    let map = long.map(4 * MIB, MapMode::Pwrite).unwrap();
    // SAFETY: nobody else uses the mapping.
    refused(unsafe { map.write(2 * MIB, b"x") }.unwrap_err());
    // Shrinking is always possible.
    long.truncate(3 * MIB).unwrap();
}

#[test]
fn mapped_writes_are_read_by_read_at_and_after_remapping() {
    for mode in [MapMode::ReadWrite, MapMode::Pwrite] {
        let (_temp, directory) = scratch();
        let file = directory.create("file").unwrap();
        file.allocate(4 * MIB).unwrap();
        let map = file.map(4 * MIB, mode).unwrap();
        map.populate(0, 256 << 10).unwrap();
        // SAFETY: nobody else uses the mapping.
        unsafe { map.write(4090, b"across a page") }.unwrap();
        // SAFETY: nobody writes while the slice lives.
        assert_eq!(unsafe { map.bytes(4090, 13) }.unwrap(), b"across a page");
        let mut buffer = [0; 13];
        file.read_at(&mut buffer, 4090).unwrap();
        assert_eq!(&buffer, b"across a page", "{mode:?}");
        file.sync_data().unwrap();
        drop((map, file));
        let file = directory.open("file", Access::Read).unwrap();
        let map = file.map(4 * MIB, MapMode::Read).unwrap();
        map.advise_sealed();
        // SAFETY: nobody writes.
        assert_eq!(unsafe { map.bytes(4090, 13) }.unwrap(), b"across a page");
    }
}

#[test]
fn mappings_of_large_files_are_aligned() {
    let (_temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    file.allocate(4 * MIB).unwrap();
    let maps: Vec<_> = (0..4).map(|_| file.map(4 * MIB, MapMode::ReadWrite).unwrap()).collect();
    for map in &maps {
        // SAFETY: nobody writes.
        let base = unsafe { map.bytes(0, 1) }.unwrap().as_ptr();
        assert_eq!(base.addr() % (2 << 20), 0);
    }
}

#[test]
fn a_mapping_outlives_its_file() {
    let (_temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    file.allocate(MIB).unwrap();
    for mode in [MapMode::ReadWrite, MapMode::Pwrite] {
        let map = file.map(MIB, mode).unwrap();
        // SAFETY: nobody else uses the mapping.
        unsafe { map.write(8, b"x") }.unwrap();
    }
    let map = file.map(MIB, MapMode::Pwrite).unwrap();
    drop(file);
    directory.unlink("file").unwrap();
    // SAFETY: nobody else uses the mapping.
    unsafe { map.write(9, b"y") }.unwrap();
    // SAFETY: nobody writes.
    assert_eq!(unsafe { map.bytes(8, 2) }.unwrap(), b"xy");
}

#[test]
fn mapping_mistakes_are_errors() {
    let (_temp, directory) = scratch();
    let file = directory.create("file").unwrap();
    file.allocate(MIB).unwrap();
    assert!(matches!(file.map(MIB + 1, MapMode::Read), Err(Error::Io { errno: 0, .. })));
    assert!(matches!(file.map(0, MapMode::Read), Err(Error::InvalidArgument(_))));
    let map = file.map(MIB, MapMode::Read).unwrap();
    // SAFETY: nobody else uses the mapping.
    assert!(matches!(unsafe { map.write(0, b"x") }, Err(Error::Internal(_))));
    let map = file.map(MIB, MapMode::ReadWrite).unwrap();
    assert!(matches!(map.populate(1, MIB), Err(Error::Internal(_))));
    assert!(matches!(map.populate(u64::MAX, 2), Err(Error::Internal(_))));
    map.populate(MIB - 1, 1).unwrap();
    let read_only = directory.open("file", Access::Read).unwrap();
    assert!(matches!(read_only.map(MIB, MapMode::ReadWrite), Err(Error::Permission { .. })));
}

#[test]
fn stores_through_mappings_are_refused_on_remote_and_copy_on_write_file_systems() {
    for (magic, kind) in [(0x6969, "NFS"), (0x0102_1997, "9p"), (0x6573_5546, "FUSE"), (0x9123_683e, "btrfs")]
    {
        assert_eq!(kind_without_stores(magic), Some(kind));
    }
    // ext4, XFS, tmpfs, overlay.
    for magic in [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630] {
        assert_eq!(kind_without_stores(magic), None);
    }
}

#[test]
fn a_forked_child_has_another_process_id() {
    let os = RealOs::new();
    assert_eq!(os.process_id(), std::process::id());
    assert_eq!(os.process_id(), std::process::id());
    // SAFETY: the child calls nothing but loads, getpid and _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            let own = libc::getpid().unsigned_abs();
            libc::_exit(if os.process_id() == own && os.process_id() == own { 7 } else { 1 });
        }
    }
    let mut status = 0;
    // SAFETY: the pointer is to a live local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(libc::WEXITSTATUS(status), 7);
    assert_eq!(os.process_id(), std::process::id());
}

#[test]
fn descriptors_are_closed_on_exec() {
    let (_temp, directory) = scratch();
    let _file = directory.create("file").unwrap();
    let _lock = directory.lock("LOCK").unwrap();
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("store"), "a descriptor was inherited");
}

#[test]
fn random_bytes_differ_and_the_clock_runs() {
    let os = RealOs::new();
    let (mut first, mut second) = ([0; 32], [0; 32]);
    os.random(&mut first).unwrap();
    os.random(&mut second).unwrap();
    assert_ne!(first, second);
    // After 2024: the unit is milliseconds.
    assert!(os.now_millis() > 1_700_000_000_000);
}
