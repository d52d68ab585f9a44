//! What is on the device after a power loss.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

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
fn a_failed_sync_does_not_make_the_length_durable_either() {
    for (call, metadata) in [(Call::SyncData, false), (Call::SyncAll, true)] {
        let (os, directory) = disk();
        let file = durable_file(&directory, "f", b"");
        file.write_at(b"x", 0).unwrap();
        os.set_fault(Some(Fault::nth(1, libc::EIO).on(call))).unwrap();
        if metadata {
            file.sync_all().unwrap_err()
        } else {
            file.sync_data().unwrap_err()
        };
        assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b""), some(b"\0"), some(b"x")]));
    }
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
fn durable_data_stays_readable_whatever_a_failed_sync_did_to_the_length() {
    for metadata in [false, true] {
        let (os, directory) = disk();
        let file = durable_file(&directory, "f", b"0123456789");
        file.truncate(2).unwrap();
        os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncAll))).unwrap();
        file.sync_all().unwrap_err();
        file.write_at(b"x", 6).unwrap();
        if metadata {
            file.sync_all().unwrap()
        } else {
            file.sync_data().unwrap()
        };
        assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([some(b"01\0\0\0\0x")]));
    }
}

#[test]
fn names_that_a_failed_directory_sync_should_have_covered_stay_uncertain() {
    let (os, directory) = disk();
    directory.create("f").unwrap().sync_all().unwrap();
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncDirectory))).unwrap();
    directory.sync().unwrap_err();
    directory.sync().unwrap();
    assert_eq!(outcomes(&os, "f", &power_losses()), BTreeSet::from([None, some(b"")]));
}

#[test]
fn a_file_unlinked_for_good_leaves_nothing_uncertain() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"x");
    file.write_at(b"unsynced", 0).unwrap();
    directory.unlink("f").unwrap();
    directory.sync().unwrap();
    file.write_at(b"later", 0).unwrap();
    let trace = os.trace().unwrap();
    let plan = power_losses();
    assert_eq!(trace.crash_states(&plan).filter(|image| image.position() == trace.end()).count(), 1);
}

#[test]
fn after_syncing_everything_every_image_is_what_is_seen() {
    for seed in 0..60 {
        let os = SimOs::new(seed);
        random_run(&os, seed, 60, false);
        let directory = os.open_directory(Path::new(PATH), false).unwrap();
        for entry in directory.list().unwrap() {
            directory.open(&entry.name, Access::Read).unwrap().sync_all().unwrap();
        }
        directory.sync().unwrap();
        let synced = os.position().unwrap();
        let seen = contents(&os);
        directory.create("more").unwrap().write_at(b"unsynced", 0).unwrap();
        let trace = os.trace().unwrap();
        let plan = Enumeration { from: synced, ..power_losses() };
        for image in trace.crash_states(&plan) {
            let mut found = contents(&SimOs::from_image(&image));
            found.retain(|(name, _)| name != "more");
            assert_eq!(found, seen, "seed {seed}: {image}");
        }
    }
}
