//! Disks that no crash leaves: damaged, incomplete, or with bytes from elsewhere. Damage to what was
//! acknowledged is reported and nothing is changed; valid bytes from another place never pass.

use std::sync::Arc;

use tinystoredb::os::Os;
use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Batch, Durability, Error, Options, Store, SyncMode, WriteMode, WriteOptions};

use super::life::PATH;
use super::oracle::{Check, Violation, read_all};

type Outcome = Result<(), Violation>;

/// A check, with the name of its test.
pub type Named = (&'static str, fn() -> Outcome);

/// All of them.
pub const CHECKS: [Named; 8] = [
    ("a_frame_of_another_segment_does_not_pass", a_frame_of_another_segment_does_not_pass),
    ("a_frame_of_another_place_does_not_pass", a_frame_of_another_place_does_not_pass),
    (
        "a_frame_whose_number_does_not_follow_does_not_pass",
        a_frame_whose_number_does_not_follow_does_not_pass,
    ),
    ("a_damaged_durable_frame_is_reported", a_damaged_durable_frame_is_reported),
    ("a_missing_segment_is_reported", a_missing_segment_is_reported),
    ("a_missing_newest_segment_is_reported", a_missing_newest_segment_is_reported),
    ("a_shortened_segment_is_reported", a_shortened_segment_is_reported),
    ("a_damaged_witness_says_nothing", a_damaged_witness_says_nothing),
];

fn options(sync_mode: SyncMode) -> Options {
    Options {
        sync_mode,
        write_mode: WriteMode::Pwrite,
        maintenance: false,
        first_segment_size: Some(16 << 10),
        ..Options::default()
    }
}

fn segment(number: usize) -> String {
    format!("{PATH}/{number:08}.bin")
}

/// Boots from `image`, with random numbers that begin later by `skipped`.
fn boot(image: &CrashImage, skipped: usize) -> (Arc<SimOs>, Store) {
    let os = SimOs::from_image(image);
    for _ in 0..skipped {
        os.random(&mut [0; 16]).unwrap();
    }
    let store = Store::open_on(os.clone(), PATH, &options(SyncMode::Always)).unwrap();
    (os, store)
}

/// A store with one put whose process died.
fn one_put() -> CrashImage {
    let os = SimOs::new(1);
    let store = Store::open_on(os.clone(), PATH, &options(SyncMode::Always)).unwrap();
    store.put(b"base", b"value").unwrap();
    os.image().unwrap()
}

/// Where the next frame of the active segment, the second one, goes.
fn end_of_second(os: &SimOs, store: &Store) -> usize {
    let first = os.image().unwrap().files().into_iter().find(|(path, _)| *path == segment(1)).unwrap().1;
    (store.stats().unwrap().log_bytes - first) as usize
}

/// Puts the frame that one process wrote at `from` behind what another one wrote, which both had begun
/// with the same disk, and expects that nothing comes of it.
fn splice(first: impl FnOnce(&Store), second: impl FnOnce(&Store), skipped: usize) -> Outcome {
    let base = one_put();
    let (os, store) = boot(&base, 0);
    first(&store);
    let from = end_of_second(&os, &store);
    put(&store, b"spliced", 40);
    let to = end_of_second(&os, &store);
    let frame = os.image().unwrap().read(segment(2)).unwrap()[from..to].to_vec();
    let (os, store) = boot(&base, skipped);
    second(&store);
    let place = end_of_second(&os, &store);
    let image = os.image().unwrap();
    let expected = read_all(&store)?;
    let (_, store) = boot(&image.with_bytes(segment(2), place as u64, &frame), 0);
    let found = read_all(&store)?;
    if found != expected {
        let text = "a frame from elsewhere was taken for one of the log".to_string();
        return Err(Violation::new(Check::Elsewhere, text));
    }
    Ok(())
}

/// Not durable, so that no frame proves that one before it was.
fn put(store: &Store, key: &[u8], size: usize) {
    let write = WriteOptions { durability: Durability::NoWait, ..WriteOptions::default() };
    store.put_with(key, &vec![1; size], write).unwrap();
}

/// The same place, the same number, another salt.
fn a_frame_of_another_segment_does_not_pass() -> Outcome {
    splice(|store| put(store, b"k1", 40), |store| put(store, b"k1", 40), 1)
}

/// The same segment, as far as its salt says, the same number, another offset.
fn a_frame_of_another_place_does_not_pass() -> Outcome {
    splice(|store| put(store, b"k1", 40), |store| put(store, b"k1", 80), 0)
}

/// The same salt and the same offset, another number: a batch of two takes the bytes of one put.
fn a_frame_whose_number_does_not_follow_does_not_pass() -> Outcome {
    let two = |store: &Store| {
        let mut batch = Batch::new();
        batch.put(b"k1", &[1; 46]).unwrap();
        batch.put(b"k2", &[1; 46]).unwrap();
        store.write(&batch, Durability::NoWait).unwrap();
    };
    splice(two, |store| put(store, b"k1", 150), 0)
}

/// Opens an image that has to be refused as damaged, with nothing changed.
fn expect_damage(image: &CrashImage, what: &str) -> Result<(String, u64), Violation> {
    let os = SimOs::from_image(image);
    match Store::open_on(os.clone(), PATH, &options(SyncMode::Always)) {
        Err(Error::Corrupt { file, offset, .. }) => {
            let after = os.image().unwrap();
            for (path, _) in image.files().iter().filter(|(path, _)| !path.ends_with("LOCK")) {
                if image.read(path) != after.read(path) {
                    let text = format!("{what}: {path} was changed although the store was refused");
                    return Err(Violation::new(Check::Damage, text));
                }
            }
            Ok((file, offset))
        }
        Err(error) => Err(Violation::new(Check::Damage, format!("{what}: {error}"))),
        Ok(_) => Err(Violation::new(Check::Damage, format!("{what}: the store opened all the same"))),
    }
}

/// Every byte of every frame but the last one of a killed process, and of all frames of a closed store.
fn a_damaged_durable_frame_is_reported() -> Outcome {
    for close in [false, true] {
        let os = SimOs::new(2);
        let store = Store::open_on(os.clone(), PATH, &options(SyncMode::Always)).unwrap();
        let mut starts = vec![4096];
        let mut batch = Batch::new();
        for number in 0..5_u8 {
            starts.push(store.stats().unwrap().log_bytes);
            store.put(&[number], b"a value").unwrap();
            batch.put(&[number, 1], b"another value").unwrap();
        }
        starts[1] = 4096 + 48;
        starts.push(store.stats().unwrap().log_bytes);
        store.write(&batch, Durability::Wait).unwrap();
        starts.push(store.stats().unwrap().log_bytes);
        store.put(b"last", b"value").unwrap();
        starts.push(store.stats().unwrap().log_bytes);
        if close {
            store.close().unwrap();
        }
        let image = os.image().unwrap();
        let file = image.read(segment(1)).unwrap();
        let frames = if close { starts.len() - 1 } else { starts.len() - 2 };
        for frame in 0..frames {
            for offset in starts[frame]..starts[frame + 1] {
                // Only padding is not covered.
                let length = u32::from_le_bytes(file[starts[frame] as usize + 4..][..4].try_into().unwrap());
                if offset - starts[frame] >= u64::from(length) {
                    continue;
                }
                let flipped = [file[offset as usize] ^ 0x10];
                let what = format!("byte {offset} of a durable frame");
                let at = expect_damage(&image.with_bytes(segment(1), offset, &flipped), &what)?;
                if at != ("00000001.bin".to_string(), starts[frame]) {
                    let text = format!("{what}: reported as {at:?}, the frame begins at {}", starts[frame]);
                    return Err(Violation::new(Check::Damage, text));
                }
            }
        }
    }
    Ok(())
}

/// Any but the newest, none of them synced, so that only the chain can tell.
fn a_missing_segment_is_reported() -> Outcome {
    let os = SimOs::new(3);
    let store = Store::open_on(os.clone(), PATH, &options(SyncMode::OnRequest)).unwrap();
    let mut number = 0_u64;
    while store.stats().unwrap().segments < 4 {
        store.put(&number.to_be_bytes(), &[3; 3000]).unwrap();
        number += 1;
    }
    let image = os.image().unwrap();
    for missing in 1..=3 {
        let what = format!("without segment {missing}");
        let (file, _) = expect_damage(&image.without(segment(missing)), &what)?;
        if file != format!("{missing:08}.bin") {
            return Err(Violation::new(Check::Damage, format!("{what}: {file} is named")));
        }
    }
    Ok(())
}

fn closed_sessions() -> CrashImage {
    let os = SimOs::new(4);
    for session in 0..3_u8 {
        let store = Store::open_on(os.clone(), PATH, &options(SyncMode::Always)).unwrap();
        store.put(&[session], b"value").unwrap();
        store.put(&[session, 1], b"value").unwrap();
        store.close().unwrap();
    }
    os.image().unwrap()
}

fn a_missing_newest_segment_is_reported() -> Outcome {
    let image = closed_sessions();
    let (file, _) = expect_damage(&image.without(segment(3)), "without the newest segment")?;
    let none = image.without(segment(3)).without(segment(2)).without(segment(1));
    expect_damage(&none, "without any segment")?;
    if file != "00000003.bin" {
        return Err(Violation::new(Check::Damage, format!("{file} is named instead of the newest")));
    }
    Ok(())
}

/// By any number of bytes.
fn a_shortened_segment_is_reported() -> Outcome {
    let image = closed_sessions();
    for number in 1..=3 {
        let length = image.read(segment(number)).unwrap().len() as u64;
        for cut in 0..length {
            if cut > 100 && cut < 4000 {
                continue;
            }
            let what = format!("segment {number} cut to {cut} of {length} bytes");
            expect_damage(&image.with_length(segment(number), cut), &what)?;
        }
    }
    Ok(())
}

fn a_damaged_witness_says_nothing() -> Outcome {
    let image = closed_sessions();
    let lock = format!("{PATH}/LOCK");
    let bytes = image.read(&lock).unwrap();
    for (offset, byte) in bytes.iter().enumerate().skip(512) {
        let damaged = image.with_bytes(&lock, offset as u64, &[byte ^ 1]);
        let os = SimOs::from_image(&damaged);
        let store = Store::open_on(os, PATH, &options(SyncMode::Always))
            .map_err(|error| Violation::new(Check::of_open(&error), error.to_string()))?;
        if read_all(&store)?.len() != 6 {
            return Err(Violation::new(Check::Lost, "a damaged witness cost records".to_string()));
        }
    }
    Ok(())
}
