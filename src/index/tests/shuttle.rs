//! Longer runs than loom can follow, under schedules that put a few preemptions where they may hurt.
//! `RUSTFLAGS="--cfg shuttle" cargo test --lib index::tests::shuttle`

use std::ops::Bound;
use std::sync::Arc;

use super::{Random, Records};
use crate::index::{Direction, Found, Index};
use crate::sync::thread;
use crate::types::{Lsn, Position};

/// Keys in four nodes; the first of each is stable.
const KEYS: [&[u8]; 16] = [
    b"aa",
    b"ab",
    b"ac",
    b"ad",
    b"ba",
    b"bb",
    b"bbb",
    b"bbbb",
    b"cprefix1",
    b"cprefix2",
    b"cpref",
    b"c",
    b"",
    b"d1",
    b"d2",
    b"d3",
];

/// A writer inserts, replaces and removes; two readers look for the stable keys, one by one and in
/// ranges.
#[test]
fn stable_keys_are_seen_whatever_the_schedule() {
    shuttle::check_pct(
        || {
            let mut records = Records::default();
            for key in KEYS.iter().chain(&KEYS) {
                records.append(key);
            }
            let records = Arc::new(records);
            let position =
                |key: usize, copy: u64| Position::from_units(key as u64 + copy * KEYS.len() as u64);
            let (index, mut writer) = Index::with_limit(1 << 15).unwrap();
            for key in (0..KEYS.len()).step_by(4) {
                writer.insert(KEYS[key], position(key, 0), &*records).unwrap();
            }
            let readers: Vec<_> = (0..2)
                .map(|reader| {
                    let (index, records) = (index.clone(), Arc::clone(&records));
                    thread::spawn(move || {
                        for key in (0..KEYS.len()).step_by(4) {
                            let pin = index.pin().unwrap();
                            let Found::One(found) = pin.find(KEYS[key]) else { panic!("a key is lost") };
                            assert_eq!(records.key(found), KEYS[key]);
                        }
                        let (direction, step) =
                            if reader == 0 { (Direction::Forward, 1) } else { (Direction::Backward, -1) };
                        let pin = index.pin().unwrap();
                        let mut all = Vec::new();
                        pin.range(Bound::Unbounded, direction, || Lsn::MAX, 99, &mut all, &*records).unwrap();
                        let keys: Vec<&[u8]> = all.iter().map(|position| records.key(*position)).collect();
                        assert!(keys.is_sorted_by(|a, b| if step > 0 { a < b } else { a > b }), "{keys:?}");
                        assert!(KEYS.iter().step_by(4).all(|key| keys.contains(key)), "{keys:?}");
                    })
                })
                .collect();
            // The same changes in every run; the schedule is what differs.
            let mut random = Random::new(17);
            for _ in 0..60 {
                let key = random.below(KEYS.len() as u64) as usize;
                if key % 4 == 0 || random.below(3) > 0 {
                    writer.insert(KEYS[key], position(key, random.below(2)), &*records).unwrap();
                } else {
                    writer.remove(KEYS[key], &*records).unwrap();
                }
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        },
        3000,
        3,
    );
}
