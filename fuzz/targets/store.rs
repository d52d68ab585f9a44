//! A whole store directory: a store of several sessions, changed as the input says, in a list of edits.
//! Whatever is left, an answer is one that was written, or the store is refused.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Batch, Durability, Store, SyncMode};
use tinystoredb_fuzz::segment_file::SegmentFile;
use tinystoredb_fuzz::{PATH, check, file, options};

/// The disk, cleanly closed or left by a kill, and every value that a key ever had.
struct Base {
    images: [CrashImage; 2],
    written: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let os = SimOs::new(3);
    let mut written: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut killed = None;
    let mut always = options();
    always.sync_mode = SyncMode::Always;
    for session in 0..3_u8 {
        let store = Store::open_on(os.clone(), PATH, &always).unwrap();
        let mut batch = Batch::new();
        for number in 0..8_u8 {
            let (key, value) = (vec![b'k', number], vec![session, number, 1, 2, 3]);
            if number < 5 {
                store.put(&key, &value).unwrap();
            } else {
                batch.put(&key, &value).unwrap();
            }
            written.entry(key).or_default().insert(value);
        }
        store.delete(&[b'k', session]).unwrap();
        store.write(&batch, Durability::Default).unwrap();
        if session == 2 {
            killed = Some(os.image().unwrap());
        }
        store.close().unwrap();
    }
    Base { images: [os.image().unwrap(), killed.unwrap()], written }
});

const NAMES: [&str; 6] =
    ["00000001.bin", "00000002.bin", "00000003.bin", "LOCK", "RESERVE", "00000004.bin.tmp"];

fuzz_target!(|data: &[u8]| {
    let Some((&flags, mut edits)) = data.split_first() else { return };
    let mut image = BASE.images[usize::from(flags & 1)].clone();
    let mut resealed = false;
    while let Some((edit, rest)) = edits.split_first_chunk::<6>() {
        let &[what, which, o0, o1, size, with] = edit;
        let name = file(NAMES[usize::from(which) % NAMES.len()]);
        let Some(bytes) = image.read(&name) else {
            edits = rest;
            continue;
        };
        // Most of a file is an empty header page and an empty end: edits go to what is used.
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 64) as u64;
        let place = u64::from(u16::from_le_bytes([o0, o1]));
        let offset = if place < 128 { place } else { 4096 + place - 128 } % used.max(1);
        edits = rest;
        match what % 8 {
            0 | 1 => {
                let taken = rest.get(..usize::from(size % 32)).unwrap_or(rest);
                image = image.with_bytes(&name, offset, taken);
                edits = &rest[taken.len()..];
            }
            2 => {
                let byte = bytes.get(offset as usize).copied().unwrap_or_default();
                image = image.with_bytes(&name, offset, &[byte ^ (1 << (with & 7))]);
            }
            3 => image = image.with_length(&name, offset),
            4 => image = image.with_length(&name, bytes.len() as u64 + place),
            5 => image = image.without(&name),
            6 => {
                let other = file(NAMES[usize::from(with) % NAMES.len()]);
                image = image.without(&other).with_bytes(&other, 0, &bytes);
            }
            _ => {
                if bytes.len() > 4096 {
                    let mut segment = SegmentFile { bytes };
                    segment.reseal_all();
                    image = image.with_bytes(&name, 0, &segment.bytes);
                    resealed = true;
                }
            }
        }
    }
    let Some(contents) = check(&image) else { return };
    if resealed {
        // With the salt at hand anything can be made to hold.
        return;
    }
    for (key, value) in contents {
        assert!(BASE.written.get(&key).is_some_and(|values| values.contains(&value)), "{key:?}: {value:?}");
    }
});
