//! What the simulated disk promises, and what it does not.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::os::{Access, File, Lock, MapMode};

const PATH: &str = "/store";

fn disk() -> (Arc<SimOs>, Arc<dyn Directory>) {
    let os = SimOs::new(1);
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    (os, directory)
}

/// A file whose name and first bytes are durable.
fn durable_file(directory: &Arc<dyn Directory>, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = directory.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    directory.sync().unwrap();
    file
}

fn power_losses() -> Enumeration {
    Enumeration { kills: false, ..Enumeration::default() }
}

/// All contents that a file can have after a power loss now; `None` for a file that is missing.
fn outcomes(os: &SimOs, name: &str, plan: &Enumeration) -> BTreeSet<Option<Vec<u8>>> {
    let trace = os.trace().unwrap();
    let path = Path::new(PATH).join(name);
    let images = trace.crash_states(plan).filter(|image| image.position() == trace.end());
    images.map(|image| image.read(&path)).collect()
}

fn some(text: &[u8]) -> Option<Vec<u8>> {
    Some(text.to_vec())
}

fn read(file: &dyn File, offset: u64, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; size];
    file.read_at(&mut buffer, offset).unwrap();
    buffer
}

#[test]
fn unsynced_write_can_be_lost_and_can_survive() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"old");
    file.write_at(b"new", 0).unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"old"), some(b"new")]));
}

#[test]
fn synced_write_is_in_every_image_from_then_on() {
    for all in [false, true] {
        let (os, directory) = disk();
        let file = durable_file(&directory, "f", b"old");
        let before = os.position().unwrap();
        file.write_at(b"new!", 0).unwrap();
        if all {
            file.sync_all().unwrap()
        } else {
            file.sync_data().unwrap()
        };
        let synced = os.position().unwrap();
        directory.create("other").unwrap().write_at(b"noise", 0).unwrap();
        let trace = os.trace().unwrap();
        let mut lost = 0;
        for image in trace.crash_states(&power_losses()) {
            let found = image.read("/store/f");
            if image.position() >= synced {
                assert_eq!(found, some(b"new!"), "{image}");
            } else if image.position() > before {
                lost += u32::from(found != some(b"new!"));
            }
        }
        assert!(lost > 0);
    }
}

#[test]
fn two_unsynced_writes_can_survive_in_any_combination() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", &[0; 1024]);
    file.write_at(b"1", 0).unwrap();
    file.write_at(b"2", 600).unwrap();
    let pairs: BTreeSet<_> = outcomes(&os, "f", &power_losses())
        .into_iter()
        .flatten()
        .map(|bytes| (bytes[0], bytes[600]))
        .collect();
    assert_eq!(pairs, BTreeSet::from([(0, 0), (b'1', 0), (0, b'2'), (b'1', b'2')]));
}

#[test]
fn writes_are_torn_at_sectors_and_at_8_bytes() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", &[0; 2048]);
    file.write_at(&[1; 1024], 500).unwrap();
    let plan = Enumeration { tears: 16, ..power_losses() };
    let mut cuts = BTreeSet::new();
    for bytes in outcomes(&os, "f", &plan).into_iter().flatten() {
        assert!(bytes[..500].iter().all(|&byte| byte == 0) && bytes[1524..].iter().all(|&byte| byte == 0));
        for index in 501..1524 {
            if bytes[index] != bytes[index - 1] {
                cuts.insert(index);
            }
        }
    }
    assert!(cuts.iter().all(|cut| cut % 8 == 0), "{cuts:?}");
    assert!(cuts.contains(&512) && cuts.contains(&1024), "{cuts:?}");
    assert!(cuts.iter().filter(|&cut| cut % 512 != 0).count() > 10, "{cuts:?}");
}

#[test]
fn length_can_survive_without_data_and_data_without_length() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"ab");
    file.write_at(b"cd", 2).unwrap();
    let outcomes = outcomes(&os, "f", &power_losses());
    // Data that lies beyond the length is not seen: as if both were lost.
    assert_eq!(outcomes, BTreeSet::from([some(b"ab"), some(b"ab\0\0"), some(b"abcd")]));
}

#[test]
fn data_without_length_is_seen_once_a_later_length_survives() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"");
    file.write_at(b"a", 0).unwrap();
    file.write_at(b"b", 1).unwrap();
    let outcomes = outcomes(&os, "f", &power_losses());
    assert!(outcomes.contains(&some(b"a\0")) && outcomes.contains(&some(b"\0b")), "{outcomes:?}");
}

#[test]
fn allocated_length_is_durable_after_sync_all_only() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"");
    file.allocate(4096).unwrap();
    file.write_at(b"frame", 0).unwrap();
    file.sync_data().unwrap();
    let lengths: BTreeSet<_> =
        outcomes(&os, "f", &power_losses()).into_iter().flatten().map(|bytes| bytes.len()).collect();
    assert_eq!(lengths, BTreeSet::from([5, 4096]));
    for bytes in outcomes(&os, "f", &power_losses()) {
        assert!(bytes.unwrap().starts_with(b"frame"));
    }
    file.sync_all().unwrap();
    let outcomes = outcomes(&os, "f", &power_losses());
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes.first().unwrap().as_ref().unwrap().len(), 4096);
}

#[test]
fn truncation_is_durable_after_sync_all_only() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"0123456789");
    file.truncate(4).unwrap();
    file.sync_data().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"0123"), some(b"0123456789")]));
    file.sync_all().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"0123")]));
}

#[test]
fn data_behind_an_unsynced_truncation_is_kept_by_sync_data() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"0123456789");
    file.truncate(4).unwrap();
    file.write_at(b"xy", 8).unwrap();
    file.sync_data().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"0123\0\0\0\0xy")]));
}

#[test]
fn a_created_name_is_durable_after_the_directory_sync_only() {
    let (os, directory) = disk();
    let file = directory.create("f").unwrap();
    file.write_at(b"x", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([None, some(b"x")]));
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"x")]));
}

#[test]
fn a_directory_sync_says_nothing_about_files() {
    let (os, directory) = disk();
    let file = directory.create("f").unwrap();
    file.write_at(b"x", 0).unwrap();
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b""), some(b"\0"), some(b"x")]));
}

#[test]
fn rename_without_directory_sync_can_be_lost() {
    let (os, directory) = disk();
    durable_file(&directory, "tmp", b"new");
    durable_file(&directory, "f", b"old");
    directory.rename("tmp", "f").unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"old"), some(b"new")]));
    assert_eq!(outcomes(&os, "tmp", &power_losses()), BTreeSet::from([None, some(b"new")]));
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"new")]));
    assert_eq!(outcomes(&os, "tmp", &power_losses()), BTreeSet::from([None]));
}

#[test]
fn unlink_without_directory_sync_can_be_lost_in_any_order() {
    let (os, directory) = disk();
    durable_file(&directory, "a", b"a");
    durable_file(&directory, "b", b"b");
    directory.unlink("a").unwrap();
    directory.unlink("b").unwrap();
    let trace = os.trace().unwrap();
    let plan = power_losses();
    let last = trace.crash_states(&plan).filter(|image| image.position() == trace.end());
    let left: BTreeSet<_> = last.map(|image| image.files().len()).collect();
    assert_eq!(left, BTreeSet::from([0, 1, 2]));
    assert_eq!(outcomes(&os, "a", &plan), BTreeSet::from([None, some(b"a")]));
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "b", &plan), BTreeSet::from([None]));
}

#[test]
fn a_failed_sync_covers_nothing_and_no_later_one_makes_up_for_it() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"old...");
    file.write_at(b"new", 0).unwrap();
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncData))).unwrap();
    let error = file.sync_data().unwrap_err();
    assert!(matches!(error, Error::Io { operation: "fdatasync", errno: libc::EIO, .. }), "{error:?}");
    // The process still sees it, and the next sync says that all is well.
    assert_eq!(read(&*file, 0, 3), b"new");
    file.sync_data().unwrap();
    file.write_at(b"!", 3).unwrap();
    file.sync_all().unwrap();
    // What was written after the failure is covered by the later sync.
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"old!.."), some(b"new!..")]));
}

#[test]
fn a_lost_write_never_comes_over_a_later_durable_one() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"old");
    file.write_at(b"lost", 0).unwrap();
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncAll))).unwrap();
    file.sync_all().unwrap_err();
    file.write_at(b"good", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"good")]));
}

#[test]
fn what_is_written_during_a_sync_is_not_covered_by_it() {
    let (os, directory) = disk();
    let file: Arc<dyn File> = Arc::from(durable_file(&directory, "f", b"--"));
    file.write_at(b"1", 0).unwrap();
    let writer = file.clone();
    os.during_next_sync(move || writer.write_at(b"2", 1).unwrap()).unwrap();
    file.sync_data().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"1-"), some(b"12")]));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"12")]));
}

#[test]
fn a_crash_within_a_sync_keeps_no_promise() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"old");
    file.write_at(b"new", 0).unwrap();
    let position = Arc::new(AtomicUsize::new(0));
    let (seen, other) = (position.clone(), SimOs { disk: os.disk.clone() });
    os.during_next_sync(move || seen.store(other.position().unwrap(), Ordering::Relaxed)).unwrap();
    file.sync_data().unwrap();
    let within = position.load(Ordering::Relaxed);
    assert!(within > 0 && within < os.position().unwrap());
    let trace = os.trace().unwrap();
    let plan = power_losses();
    let images = trace.crash_states(&plan).filter(|image| image.position() == within);
    let found: BTreeSet<_> = images.map(|image| image.read("/store/f")).collect();
    assert_eq!(found, BTreeSet::from([some(b"old"), some(b"new")]));
}

#[test]
fn a_kill_keeps_every_byte_but_makes_none_durable() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"old");
    let Lock::Acquired(_lock) = directory.lock("LOCK").unwrap() else { panic!("held") };
    file.write_at(b"new", 0).unwrap();
    let image = os.image().unwrap();
    assert!(image.is_kill());
    assert_eq!(image.read("/store/f"), some(b"new"));
    for sync_first in [false, true] {
        let os = SimOs::from_image(&image);
        let directory = os.open_directory(Path::new(PATH), false).unwrap();
        assert!(
            matches!(directory.lock("LOCK").unwrap(), Lock::Acquired(_)),
            "the lock died with its process"
        );
        let file = directory.open("f", Access::Read).unwrap();
        assert_eq!(read(&*file, 0, 3), b"new");
        if sync_first {
            file.sync_all().unwrap();
            assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"new")]));
        } else {
            assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"old"), some(b"new")]));
        }
    }
}

#[test]
fn a_kill_between_unlink_and_directory_sync_can_bring_the_file_back() {
    let (os, directory) = disk();
    durable_file(&directory, "f", b"x");
    directory.unlink("f").unwrap();
    let os = SimOs::from_image(&os.image().unwrap());
    let directory = os.open_directory(Path::new(PATH), false).unwrap();
    assert_eq!(directory.list().unwrap(), []);
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([None, some(b"x")]));
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([None]));
}

#[test]
fn unwritten_space_can_read_as_noise_or_as_another_file() {
    let (os, directory) = disk();
    durable_file(&directory, "old", &[7; 8192]);
    let file = durable_file(&directory, "f", b"head");
    file.allocate(8192).unwrap();
    for (unwritten, expected) in [(Unwritten::Zeros, 0), (Unwritten::Stale, 7)] {
        let plan = Enumeration { unwritten, ..power_losses() };
        let tail = [expected; 8188];
        let outcomes = outcomes(&os, "f", &plan);
        assert_eq!(outcomes, BTreeSet::from([some(b"head"), some(&[b"head".as_slice(), &tail].concat())]));
    }
    let plan = Enumeration { unwritten: Unwritten::Noise, ..power_losses() };
    let noisy = outcomes(&os, "f", &plan).into_iter().flatten().find(|bytes| bytes.len() == 8192).unwrap();
    assert!(noisy.starts_with(b"head"));
    assert!(noisy[4..].iter().filter(|&&byte| byte != 0).count() > 8000);
    // Once the allocation is durable there is nothing unwritten.
    file.sync_all().unwrap();
    assert_eq!(outcomes(&os, "f", &plan).len(), 1);
}

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

/// Calls everything there is once or more; stops at the first error.
fn call_everything(os: &SimOs) -> Result<()> {
    let directory = os.open_directory(Path::new(PATH), true)?;
    let _lock = directory.lock("LOCK")?;
    os.random(&mut [0; 8])?;
    directory.list()?;
    let file = directory.create("tmp")?;
    file.allocate(8192)?;
    file.write_at(b"abcd", 0)?;
    file.sync_all()?;
    directory.rename("tmp", "f")?;
    directory.sync()?;
    let map = file.map(8192, MapMode::ReadWrite)?;
    map.populate(0, 8192)?;
    file.sync_data()?;
    let again = directory.open("f", Access::ReadWrite)?;
    again.size()?;
    again.read_at(&mut [0; 4], 0)?;
    again.truncate(4)?;
    let map = again.map(4, MapMode::Pwrite)?;
    // SAFETY: nobody else uses the range.
    unsafe { map.write(0, b"efgh") }?;
    directory.unlink("f")
}

#[test]
fn a_fault_loop_reaches_every_call() {
    let os = SimOs::new(1);
    call_everything(&os).unwrap();
    let calls = os.calls().unwrap();
    assert!(Call::ALL.iter().all(|call| calls.contains_key(call)), "{calls:?}");
    let errnos: BTreeSet<i32> = Call::ALL.iter().flat_map(|call| call.errnos()).copied().collect();
    for errno in errnos {
        let can_fail = |call: &Call| call.errnos().contains(&errno);
        let expected: u64 = calls.iter().filter(|(call, _)| can_fail(call)).map(|(_, count)| count).sum();
        for n in 1.. {
            let os = SimOs::new(1);
            os.set_fault(Some(Fault::nth(n, errno))).unwrap();
            let result = call_everything(&os);
            if os.fault_hits().unwrap() == 0 {
                result.unwrap();
                assert_eq!(n - 1, expected);
                break;
            }
            assert_eq!(result.unwrap_err().errno(), errno);
        }
    }
    // And by kind, with each errno that the call can return.
    for call in Call::ALL {
        for &errno in call.errnos() {
            let os = SimOs::new(1);
            os.set_fault(Some(Fault::nth(1, errno).on(call))).unwrap();
            assert_eq!(call_everything(&os).unwrap_err().errno(), errno, "{call:?}");
        }
    }
}

#[test]
fn faults_last_as_long_as_planned_and_stay_with_their_name() {
    let (os, directory) = disk();
    let (a, b) = (durable_file(&directory, "a", b"x"), durable_file(&directory, "b", b"x"));
    let plan = Fault::nth(2, libc::EIO).on(Call::SyncData);
    os.set_fault(Some(plan.clone())).unwrap();
    let syncs = |file: &dyn File| [(); 4].map(|()| file.sync_data().is_ok());
    assert_eq!(syncs(&*a), [true, false, true, true]);
    os.set_fault(Some(plan.clone().lasting(Duration::SameCall))).unwrap();
    assert_eq!(syncs(&*a), [true, false, false, false]);
    assert!(a.sync_all().is_ok() && b.sync_data().is_err());
    os.set_fault(Some(plan.clone().named("a").lasting(Duration::SameCall))).unwrap();
    assert_eq!((syncs(&*b), syncs(&*a)), ([true; 4], [true, false, false, false]));
    assert!(b.sync_data().is_ok());
    os.set_fault(Some(plan.lasting(Duration::EveryCall))).unwrap();
    assert_eq!(syncs(&*a), [true, false, false, false]);
    assert!(b.sync_all().is_err() && directory.list().is_err());
    assert_eq!(os.fault_hits().unwrap(), 5);
    os.set_fault(None).unwrap();
    assert!(a.sync_data().is_ok() && directory.list().is_ok());
    // A full disk stays full, but can be read.
    os.set_fault(Some(Fault::nth(1, libc::ENOSPC).lasting(Duration::EveryCall))).unwrap();
    assert_eq!(a.size().unwrap(), 1);
    a.write_at(b"y", 0).unwrap_err();
    assert!(directory.create("c").is_err() && a.read_at(&mut [0], 0).is_ok());
}

#[test]
fn a_failing_write_may_leave_a_part() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"........");
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::Write).partial())).unwrap();
    file.write_at(b"12345678", 0).unwrap_err();
    assert_eq!(read(&*file, 0, 8), b"1234....");
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::Write))).unwrap();
    file.write_at(b"abcd", 4).unwrap_err();
    assert_eq!(read(&*file, 0, 8), b"1234....");
    assert_eq!(os.image().unwrap().read("/store/f"), some(b"1234...."));
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

/// A run of random operations on a few files.
fn random_run(os: &SimOs, seed: u64, steps: u64) {
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    let mut files: BTreeMap<String, Box<dyn File>> = BTreeMap::new();
    for step in 0..steps {
        let dice = mix(seed ^ mix(step));
        let name = format!("f{}", dice >> 8 & 3);
        let (offset, size) = (dice >> 16 & 0x1fff, (dice >> 32 & 0x7ff) + 1);
        let Some(file) = files.get(&name) else {
            let file = match directory.open(&name, Access::ReadWrite) {
                Ok(file) => file,
                Err(_) => directory.create(&name).unwrap(),
            };
            files.insert(name, file);
            continue;
        };
        match dice & 15 {
            0..=5 => file.write_at(&vec![dice as u8 | 1; size as usize], offset).unwrap(),
            6 => file.allocate(offset).unwrap(),
            7 => file.truncate(offset).unwrap(),
            8 => file.sync_all().unwrap(),
            9 => file.sync_data().unwrap(),
            10 => directory.sync().unwrap(),
            11 => {
                os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncAll))).unwrap();
                file.sync_all().unwrap_err();
            }
            12 => {
                directory.unlink(&name).unwrap();
                files.remove(&name);
            }
            13 => {
                let to = format!("f{}", dice >> 40 & 3);
                directory.rename(&name, &to).unwrap();
                let file = files.remove(&name).unwrap();
                files.insert(to, file);
            }
            _ if file.size().unwrap() > 0 => {
                let length = file.size().unwrap();
                let map = file.map(length, MapMode::ReadWrite).unwrap();
                let size = size.min(length);
                let offset = offset.min(length - size);
                // SAFETY: nobody else uses the mapping.
                unsafe { map.write(offset, &vec![dice as u8 | 1; size as usize]) }.unwrap();
            }
            _ => {}
        }
    }
}

fn contents(os: &SimOs) -> Vec<(String, Vec<u8>)> {
    let directory = os.open_directory(Path::new(PATH), false).unwrap();
    let mut all = Vec::new();
    for entry in directory.list().unwrap() {
        let file = directory.open(&entry.name, Access::Read).unwrap();
        all.push((entry.name, read(&*file, 0, file.size().unwrap() as usize)));
    }
    all
}

#[test]
fn the_trace_leads_to_what_is_seen() {
    for seed in 0..60 {
        let os = SimOs::new(seed);
        random_run(&os, seed, 80);
        let seen = contents(&os);
        let image = os.image().unwrap();
        assert_eq!(contents(&SimOs::from_image(&image)), seen, "seed {seed}\n{}", os.trace().unwrap());
        // Everything kept is what was seen.
        let trace = os.trace().unwrap();
        let variant = Variant::Everything;
        let replay = Replay { seed, position: trace.end(), variant, unwritten: Unwritten::Zeros };
        assert_eq!(contents(&SimOs::from_image(&trace.image(&replay).unwrap())), seen, "seed {seed}");
        // And a second life goes on from there.
        let second = SimOs::from_image(&image);
        random_run(&second, seed ^ 77, 40);
        assert_eq!(contents(&SimOs::from_image(&second.image().unwrap())), contents(&second), "seed {seed}");
    }
}

#[test]
fn same_calls_and_seed_give_the_same_images_and_other_seeds_others() {
    let plan = Enumeration { samples: 8, random: 8, ..Enumeration::default() };
    let hashes = |os_seed: u64| {
        let os = SimOs::new(os_seed);
        random_run(&os, 5, 40);
        let mut random = [0; 16];
        os.random(&mut random).unwrap();
        let trace = os.trace().unwrap();
        (random, trace.crash_states(&plan).map(|image| image.hash()).collect::<Vec<_>>())
    };
    assert_eq!(hashes(1), hashes(1));
    let (first, second) = (hashes(1), hashes(2));
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

#[test]
fn every_image_can_be_made_again_from_its_replay_id() {
    for unwritten in [Unwritten::Zeros, Unwritten::Noise, Unwritten::Stale] {
        let plan = Enumeration { samples: 4, random: 4, unwritten, ..Enumeration::default() };
        let os = SimOs::new(9);
        random_run(&os, 3, 40);
        let trace = os.trace().unwrap();
        for image in trace.crash_states(&plan) {
            let replay: Replay = image.replay().to_string().parse().unwrap();
            assert_eq!(replay, image.replay());
            assert_eq!(trace.image(&replay).unwrap().hash(), image.hash(), "{image}");
        }
    }
    let (os, _) = disk();
    let trace = os.trace().unwrap();
    for text in
        ["", "1", "1:0:subset", "1:0:what", "x:0:nothing", "1:0:nothing:dust", "2:0:nothing", "1:9:nothing"]
    {
        assert!(text.parse::<Replay>().and_then(|replay| trace.image(&replay)).is_err(), "{text}");
    }
}

#[test]
fn equal_images_have_equal_hashes_and_different_ones_different() {
    let os = SimOs::new(4);
    random_run(&os, 11, 30);
    let trace = os.trace().unwrap();
    let plan = Enumeration { samples: 8, random: 8, ..power_losses() };
    let mut by_hash = BTreeMap::new();
    let mut by_content = BTreeMap::new();
    // Position 0 is a disk without the directory: without files, but another one.
    for image in trace.crash_states(&plan).filter(|image| image.position() > 0) {
        let files: Vec<_> = image.files().into_iter().map(|(path, _)| (image.read(&path), path)).collect();
        assert_eq!(by_hash.entry(image.hash()).or_insert_with(|| files.clone()), &files);
        assert_eq!(by_content.entry(files).or_insert(image.hash()), &image.hash());
    }
    assert!(by_hash.len() > 100);
}

#[test]
fn many_units_give_a_bounded_number_of_images_of_every_kind() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"");
    file.write_at(&vec![1; 1 << 20], 0).unwrap();
    let trace = os.trace().unwrap();
    let plan = Enumeration::default();
    let images: Vec<_> = trace.crash_states(&plan).filter(|image| image.position() == trace.end()).collect();
    assert!(images.len() > 300 && images.len() < 1000, "{}", images.len());
    let kinds: BTreeSet<_> = images
        .iter()
        .map(|image| image.replay().to_string().split([':', '.']).nth(2).unwrap().to_string())
        .collect();
    let all =
        ["all-but", "everything", "first", "killed", "last", "metadata", "nothing", "only", "random", "torn"];
    assert_eq!(kinds, all.iter().map(|kind| kind.to_string()).collect());
}

#[test]
fn images_can_be_damaged_by_hand() {
    let (os, directory) = disk();
    durable_file(&directory, "f", b"0123");
    durable_file(&directory, "g", b"g");
    let image = os.image().unwrap();
    let damaged =
        image.with_bytes("/store/f", 3, b"xy").with_length("/store/g", 3).with_bytes("/store/h", 1, b"h");
    assert_eq!(damaged.read("/store/f"), some(b"012xy"));
    assert_eq!(damaged.read("/store/g"), some(b"g\0\0"));
    assert_eq!(damaged.read("/store/h"), some(b"\0h"));
    let less = damaged
        .without("/store/g")
        .without("/store/h")
        .with_length("/store/f", 4)
        .with_bytes("/store/f", 3, b"3");
    assert_eq!(less.files(), [("/store/f".to_string(), 4)]);
    assert_eq!(less.read("/store/f"), image.read("/store/f"));
    assert_eq!(contents(&SimOs::from_image(&less)), [("f".to_string(), b"0123".to_vec())]);
    assert_ne!(damaged.hash(), image.hash());
}

/// A log of numbered 8-byte records, acknowledged after a sync unless `sync` is false.
fn write_log(os: &SimOs, records: u64, sync: bool) -> Vec<usize> {
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    let file = directory.create("log").unwrap();
    file.allocate(4096).unwrap();
    file.sync_all().unwrap();
    directory.sync().unwrap();
    let mut acknowledged = Vec::new();
    for number in 1..=records {
        file.write_at(&number.to_le_bytes(), number * 8).unwrap();
        if sync {
            file.sync_data().unwrap();
        }
        acknowledged.push(os.position().unwrap());
    }
    acknowledged
}

/// The length of the prefix of records.
fn recover_log(image: &CrashImage) -> u64 {
    let os = SimOs::from_image(image);
    let Ok(directory) = os.open_directory(Path::new(PATH), false) else { return 0 };
    let Ok(file) = directory.open("log", Access::Read) else { return 0 };
    let found = |number: u64| {
        let mut record = [0; 8];
        file.read_at(&mut record, number * 8).is_ok() && record == number.to_le_bytes()
    };
    (1..).take_while(|&number| found(number)).count() as u64
}

#[test]
fn exploring_finds_a_missing_sync_and_passes_a_correct_log() {
    for sync in [true, false] {
        let os = SimOs::new(1);
        let acknowledged = write_log(&os, 12, sync);
        let mut violations = 0;
        let explored =
            explore(&os.trace().unwrap(), &Enumeration::default(), recover_log, |image, &found| {
                let promised =
                    acknowledged.iter().filter(|&&position| position <= image.position()).count() as u64;
                violations += u32::from(found < promised);
            });
        assert!(explored.distinct > 10 && explored.images > explored.distinct);
        assert_eq!(violations == 0, sync, "{violations} of {explored:?}");
    }
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
