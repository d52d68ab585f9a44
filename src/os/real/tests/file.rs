//! Files and mappings.

use super::*;

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
fn a_failed_allocation_gives_back_what_it_took() {
    // Other file systems clean up themselves; ext4 leaves the file grown over all the space there is.
    let Some(disk) = SmallDisk::mount_ext4() else { return };
    let directory = RealOs::new().open_directory(disk.0.path(), false).unwrap();
    let file = directory.create("file").unwrap();
    file.write_at(b"kept", 0).unwrap();
    let error = file.allocate(64 * MIB).unwrap_err();
    assert!(matches!(error, Error::NoSpace { errno: libc::ENOSPC, .. }), "{error:?}");
    assert_eq!(file.size().unwrap(), 4);
    directory.create("other").unwrap().allocate(4 * MIB).unwrap();
}

#[test]
fn a_full_disk_is_an_error_that_leaves_length_and_space() {
    let Some(disk) = SmallDisk::mount("tmpfs", "size=4m") else { return };
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
    let Some(disk) = SmallDisk::mount("tmpfs", "size=4m") else { return };
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
    const TEST: &str = "file::growing_past_the_file_size_limit_is_an_error_not_a_signal";
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
fn space_is_written_with_zeros_where_the_file_system_cannot_allocate() {
    // ramfs has no fallocate.
    let Some(disk) = SmallDisk::mount("ramfs", "") else { return };
    let directory = RealOs::new().open_directory(disk.0.path(), false).unwrap();
    let file = directory.create("file").unwrap();
    file.write_at(b"head", 0).unwrap();
    file.allocate(MIB).unwrap();
    assert_eq!(file.size().unwrap(), MIB);
    let blocks = std::fs::metadata(disk.0.path().join("file")).unwrap().blocks();
    assert!(blocks * 512 >= MIB, "{blocks} blocks");
    let mut buffer = vec![1; MIB as usize];
    file.read_at(&mut buffer, 0).unwrap();
    assert!(buffer.starts_with(b"head") && buffer[4..].iter().all(|&byte| byte == 0));
}
