//! Directories, names, the lock, the process.

use super::*;

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
    const TEST: &str = "directory::new_files_have_mode_0600_whatever_the_umask";
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
    std::fs::write(temp.path().join("target"), b"of the link").unwrap();
    symlink(temp.path().join("target"), at("symbolic")).unwrap();
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
        let Some(disk) = SmallDisk::mount("tmpfs", "size=1m") else { return };
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
