//! Images as values: counted, made again, damaged, explored.

use super::*;

#[test]
fn the_trace_leads_to_what_is_seen() {
    for seed in 0..60 {
        let os = SimOs::new(seed);
        random_run(&os, seed, 80, true);
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
        random_run(&second, seed ^ 77, 40, true);
        assert_eq!(contents(&SimOs::from_image(&second.image().unwrap())), contents(&second), "seed {seed}");
    }
}

#[test]
fn same_calls_and_seed_give_the_same_images_and_other_seeds_others() {
    let plan = Enumeration { samples: 8, random: 8, ..Enumeration::default() };
    let hashes = |os_seed: u64| {
        let os = SimOs::new(os_seed);
        random_run(&os, 5, 40, true);
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
        random_run(&os, 3, 40, true);
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
    random_run(&os, 11, 30, true);
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
