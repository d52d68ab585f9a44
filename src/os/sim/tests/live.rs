//! What the processes on the disk see.

use super::*;

#[test]
fn mapped_stores_are_recorded_and_seen_everywhere() {
    for mode in [MapMode::ReadWrite, MapMode::Pwrite] {
        let (os, directory) = disk();
        let file = durable_file(&directory, "f", b"head");
        file.allocate(4 << 20).unwrap();
        file.sync_all().unwrap();
        let map = file.map(4 << 20, mode).unwrap();
        // SAFETY: nobody writes.
        assert_eq!(unsafe { map.bytes(0, 4) }.unwrap(), b"head");
        map.populate(0, 8192).unwrap();
        // SAFETY: nobody else uses the range.
        unsafe { map.write(4090, b"across a page") }.unwrap();
        assert_eq!(read(&*file, 4090, 13), b"across a page");
        let second = file.map(4 << 20, MapMode::Read).unwrap();
        // SAFETY: nobody writes.
        assert_eq!(unsafe { second.bytes(4090, 13) }.unwrap(), b"across a page");
        assert_eq!(os.image().unwrap().read("/store/f").unwrap()[4090..4103], *b"across a page");
        let durable = |os: &SimOs| {
            let found = outcomes(os, "f", &power_losses());
            found.into_iter().all(|bytes| bytes.unwrap()[4090..4103] == *b"across a page")
        };
        assert!(!durable(&os));
        file.sync_data().unwrap();
        assert!(durable(&os), "{mode:?}");
        drop((second, file));
        directory.unlink("f").unwrap();
        // SAFETY: nobody writes.
        assert_eq!(unsafe { map.bytes(4090, 13) }.unwrap(), b"across a page");
        assert_eq!(os.used().unwrap(), 4 << 20, "mapped files keep their space");
        drop(map);
        assert_eq!(os.used().unwrap(), 0);
    }
}

#[test]
fn truncating_a_mapped_file_zeroes_what_is_cut() {
    let (_os, directory) = disk();
    let file = durable_file(&directory, "f", &[1; 10_000]);
    let map = file.map(10_000, MapMode::Read).unwrap();
    file.truncate(4097).unwrap();
    file.truncate(10_000).unwrap();
    // SAFETY: nobody writes.
    let bytes = unsafe { map.bytes(0, 10_000) }.unwrap();
    assert!(bytes[..4097].iter().all(|&byte| byte == 1) && bytes[4097..].iter().all(|&byte| byte == 0));
    assert_eq!(read(&*file, 0, 10_000), bytes);
}

#[test]
fn stores_into_pages_that_were_not_populated_are_counted() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"");
    file.allocate(16384).unwrap();
    let map = file.map(16384, MapMode::ReadWrite).unwrap();
    map.populate(0, 4096).unwrap();
    // SAFETY: nobody else uses the mapping.
    unsafe { map.write(4000, &[1; 96]) }.unwrap();
    assert_eq!(os.unpopulated_stores().unwrap(), 0);
    // SAFETY: nobody else uses the mapping.
    unsafe { map.write(4000, &[1; 97]) }.unwrap();
    assert_eq!(os.unpopulated_stores().unwrap(), 1);
}

#[test]
fn mapping_mistakes_and_missing_features_are_errors() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", &[1; 4096]);
    assert!(matches!(file.map(4097, MapMode::Read), Err(Error::Io { errno: 0, .. })));
    assert!(matches!(file.map(0, MapMode::Read), Err(Error::InvalidArgument(_))));
    let map = file.map(4096, MapMode::Read).unwrap();
    // SAFETY: nobody else uses the mapping.
    assert!(matches!(unsafe { map.write(0, b"x") }, Err(Error::Internal(_))));
    let read_only = directory.open("f", Access::Read).unwrap();
    assert!(matches!(read_only.map(4096, MapMode::ReadWrite), Err(Error::Permission { .. })));
    assert_eq!(read_only.write_at(b"x", 0).unwrap_err().errno(), libc::EBADF);
    assert!(read_only.allocate(1).is_err() && read_only.truncate(1).is_err());
    assert!(matches!(file.read_at(&mut [0; 2], 4095), Err(Error::Io { errno: 0, .. })));
    os.set_populating(false).unwrap();
    let map = file.map(4096, MapMode::ReadWrite).unwrap();
    assert!(matches!(map.populate(0, 1), Err(Error::Unsupported(_))));
    os.set_write_mapping(false).unwrap();
    assert!(matches!(file.map(4096, MapMode::ReadWrite), Err(Error::Unsupported(_))));
    file.map(4096, MapMode::Pwrite).unwrap();
}

#[test]
fn directories_and_names_answer_as_the_real_ones_do() {
    let os = SimOs::new(1);
    assert!(matches!(os.open_directory(Path::new(PATH), false), Err(Error::NotFound { .. })));
    assert!(matches!(os.open_directory(Path::new("/a/b"), true), Err(Error::NotFound { .. })));
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    os.open_directory(Path::new("/store/"), false).unwrap();
    directory.create("b").unwrap();
    directory.create("a").unwrap();
    let names: Vec<_> = directory.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(matches!(os.open_directory(Path::new("/store/a"), true), Err(Error::NotAStore { .. })));
    assert_eq!(directory.create("a").unwrap_err().errno(), libc::EEXIST);
    assert_eq!(directory.open("c", Access::Read).unwrap_err().errno(), libc::ENOENT);
    assert_eq!(directory.unlink("c").unwrap_err().errno(), libc::ENOENT);
    assert_eq!(directory.rename("c", "d").unwrap_err().errno(), libc::ENOENT);
    for name in ["", ".", "..", "a/b"] {
        assert!(matches!(directory.create(name), Err(Error::InvalidArgument(_))));
        assert!(matches!(directory.rename("a", name), Err(Error::InvalidArgument(_))));
    }
    let below = os.open_directory(Path::new("/store/below"), true).unwrap();
    assert_eq!(below.list().unwrap(), []);
}

#[test]
fn locks_conflict_until_the_holder_is_dropped() {
    let (_os, directory) = disk();
    let Lock::Acquired(held) = directory.lock("LOCK").unwrap() else { panic!("held") };
    held.write_at(b"77", 0).unwrap();
    let Lock::Held(other) = directory.lock("LOCK").unwrap() else { panic!("locked twice") };
    assert_eq!(read(&*other, 0, 2), b"77");
    drop(other);
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Held(_)));
    drop(held);
    assert!(matches!(directory.lock("LOCK").unwrap(), Lock::Acquired(_)));
}

#[test]
fn a_full_disk_refuses_space_and_gives_it_back() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", &[1; 4096]);
    os.set_capacity(Some(16384)).unwrap();
    let other = directory.create("other").unwrap();
    let error = other.allocate(16384).unwrap_err();
    assert!(matches!(error, Error::NoSpace { errno: libc::ENOSPC, .. }), "{error:?}");
    assert_eq!((other.size().unwrap(), os.used().unwrap()), (0, 4096));
    other.allocate(8192).unwrap();
    let error = file.write_at(&[2; 8192], 4096).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
    assert_eq!(file.size().unwrap(), 8192, "as much as there was space for was written");
    // Sparse space is taken when it is populated.
    drop(other);
    directory.unlink("other").unwrap();
    file.truncate(32768).unwrap();
    let map = file.map(32768, MapMode::ReadWrite).unwrap();
    map.populate(0, 16384).unwrap();
    assert!(matches!(map.populate(16384, 4096), Err(Error::NoSpace { .. })));
}

#[test]
fn clock_and_process_are_set_by_the_test_and_the_clock_survives_a_crash() {
    let (os, _directory) = disk();
    let before = os.now_millis();
    assert_eq!(os.now_millis(), before);
    os.set_now(before + 5).unwrap();
    assert_eq!(os.now_millis(), before + 5);
    assert_eq!(SimOs::from_image(&os.image().unwrap()).now_millis(), before + 5);
    os.set_process_id(1);
    assert_eq!(os.process_id(), 1);
}

#[test]
fn a_store_beyond_the_end_of_the_file_is_an_error() {
    let (_os, directory) = disk();
    let file = durable_file(&directory, "f", &[1; 8192]);
    let map = file.map(8192, MapMode::ReadWrite).unwrap();
    file.truncate(4096).unwrap();
    // SAFETY: nobody else uses the mapping.
    let error = unsafe { map.write(4095, b"xy") }.unwrap_err();
    assert_eq!(error.errno(), libc::EFAULT);
    assert_eq!(file.size().unwrap(), 4096);
}
