//! Readers beside a writer, on real threads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Random, Records};
use crate::error::Error;
use crate::index::{Direction, Found, Index};
use crate::types::{Lsn, Position};

/// Keys of which every third is stable; the others come and go. They share nodes at all depths.
fn keys(random: &mut Random) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for i in 0..3000u64 {
        keys.push(match i % 4 {
            0 => format!("user:{:06}", random.below(1_000_000)).into_bytes(),
            1 => random.next().to_le_bytes()[..1 + random.below(3) as usize].to_vec(),
            2 => vec![b'l'; 1 + random.below(60) as usize],
            _ => [vec![b'm'; 20], random.next().to_le_bytes().to_vec()].concat(),
        });
    }
    keys.sort();
    keys.dedup();
    keys
}

/// While a writer inserts, moves and removes other keys: a stable key is always found, by `find`,
/// `find_many` and `range`; a range is strictly ascending (or descending) and holds all stable keys.
#[test]
fn readers_never_miss_a_stable_key_nor_see_disorder() {
    let seed = 11;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let keys = keys(&mut random);
    let (index, mut writer) = Index::new().unwrap();
    let mut records = Records::default();
    // Two records of every key, made before the threads start.
    let positions: Vec<[Position; 2]> =
        keys.iter().map(|key| [records.append(key), records.append(key)]).collect();
    let records = &records;
    let stable: Vec<&Vec<u8>> = keys.iter().step_by(3).collect();
    for (key, position) in keys.iter().zip(&positions).step_by(3) {
        writer.insert(key, position[0], records).unwrap();
    }
    let done = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let writer_thread = scope.spawn(|| {
            let mut random = Random::new(seed + 1);
            for step in 0..400_000u64 {
                let at = random.below(keys.len() as u64) as usize;
                let (key, position) = (&keys[at], positions[at][random.below(2) as usize]);
                // Waves of growth and decline, so that nodes of every size come and go.
                let growing = (step / 20_000).is_multiple_of(2);
                if at.is_multiple_of(3) || random.below(100) < if growing { 90 } else { 10 } {
                    writer.insert(key, position, records).unwrap();
                } else {
                    writer.remove(key, records).unwrap();
                }
            }
            done.store(true, Ordering::Release);
            writer
        });
        // Joined one by one: that is an order that ThreadSanitizer sees.
        let mut readers = Vec::new();
        for reader in 0..3u64 {
            let (index, stable, done, rounds) = (&index, &stable, &done, &rounds);
            readers.push(scope.spawn(move || {
                let mut random = Random::new(seed + 10 + reader);
                let mut out: Vec<Position> = Vec::new();
                while !done.load(Ordering::Acquire) {
                    for _ in 0..50 {
                        let key = stable[random.below(stable.len() as u64) as usize];
                        let pin = index.pin().unwrap();
                        let Found::One(position) = pin.find(key) else { panic!("{key:?} is lost") };
                        assert_eq!(records.key(position), key);
                    }
                    let first = random.below(stable.len() as u64) as usize;
                    let some = &stable[first..(first + 40).min(stable.len())];
                    let pin = index.pin().unwrap();
                    pin.find_many(some, records, |at, found| {
                        let Found::One(position) = found else { panic!("{:?} is lost", some[at]) };
                        assert_eq!(records.key(position), some[at]);
                    });
                    for direction in [Direction::Forward, Direction::Backward] {
                        let key = stable[random.below(stable.len() as u64) as usize];
                        out.clear();
                        let limit = 1 + random.below(300) as usize;
                        pin.range(Bound::Included(key), direction, || Lsn::MAX, limit, &mut out, records)
                            .unwrap();
                        let mut found: Vec<&[u8]> =
                            out.iter().map(|position| records.key(*position)).collect();
                        if direction == Direction::Backward {
                            found.reverse();
                        }
                        assert!(found.is_sorted_by(|a, b| a < b));
                        let (low, high) = (found[0], found[found.len() - 1]);
                        let inside = stable.iter().filter(|key| (low..=high).contains(&&key[..]));
                        for key in inside {
                            assert!(found.binary_search(&&key[..]).is_ok(), "{key:?} is missing in a range");
                        }
                    }
                    drop(pin);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        let mut writer = writer_thread.join().unwrap();
        writer.reclaim();
    });
    assert!(rounds.load(Ordering::Relaxed) > 0);
}

/// A pin that outlives many changes keeps what it saw; dropping it, on another thread, lets it go.
#[test]
fn nothing_is_reused_while_a_pin_from_before_is_held() {
    let (index, mut writer) = Index::new().unwrap();
    let mut records = Records::default();
    let key = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    for i in 0..5000 {
        let position = records.append(&key(i));
        writer.insert(&key(i), position, &records).unwrap();
    }
    let pin = index.pin().unwrap();
    let mark = writer.mark();
    for i in 0..5000 {
        writer.remove(&key(i), &records).unwrap();
    }
    writer.reclaim();
    assert!(!index.is_past(mark));
    assert_eq!(index.memory().live_bytes, 0);
    // All that was live is still kept for the pin: the same amount again must come from elsewhere.
    let before = writer.waiting_bytes();
    assert!(before > 0);
    std::thread::scope(|scope| scope.spawn(move || drop(pin)).join().unwrap());
    assert!(index.is_past(mark));
    writer.reclaim();
    assert_eq!(writer.waiting_bytes(), 0);
}

/// When memory has run out: `NoMemory`, all earlier keys are found, removals work, and then inserts.
#[test]
fn a_full_arena_refuses_inserts_and_loses_nothing() {
    let (index, mut writer) = Index::with_limit(1 << 18).unwrap();
    let mut random = Random::new(3);
    let mut records = Records::default();
    let mut map: BTreeMap<Vec<u8>, Position> = BTreeMap::new();
    let check = |index: &Index, records: &Records, map: &BTreeMap<Vec<u8>, Position>| {
        let pin = index.pin().unwrap();
        for (key, position) in map {
            let Found::One(found) = pin.find(key) else { panic!("{key:?} is lost") };
            assert_eq!(found, *position);
        }
        let mut all = Vec::new();
        pin.range(Bound::Unbounded, Direction::Forward, || Lsn::MAX, usize::MAX, &mut all, records).unwrap();
        assert!(all.iter().eq(map.values()));
    };
    for _round in 0..3 {
        let mut refused = 0;
        while refused < 200 {
            let length = 1 + random.below(9) as usize;
            let key = random.next().to_be_bytes()[..length.min(8)].to_vec();
            let position = records.append(&key);
            match writer.insert(&key, position, &records) {
                Ok(_) => {
                    map.insert(key, position);
                }
                Err(Error::NoMemory(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        check(&index, &records, &map);
        assert_eq!(index.memory().keys, map.len() as u64);
        let going: Vec<Vec<u8>> = map.keys().filter(|_| random.below(3) > 0).cloned().collect();
        for key in going {
            assert_eq!(writer.remove(&key, &records).unwrap(), map.remove(&key));
        }
        check(&index, &records, &map);
    }
}

/// Once memory for changes was reserved, they do not fail for want of it, whatever they are.
#[test]
fn a_reserved_change_finds_its_memory() {
    for batch in [1, 7] {
        let (_index, mut writer) = Index::with_limit(1 << 19).unwrap();
        let mut random = Random::new(batch);
        let mut records = Records::default();
        let (mut refused, mut last) = (0, 0);
        while refused < 50 {
            if writer.reserve(batch as usize).is_err() {
                refused += 1;
                // Something goes, and inserts have another try.
                for _ in 0..20 {
                    let key = records.key(Position::from_units(random.below(last))).to_vec();
                    writer.remove(&key, &records).unwrap();
                }
                continue;
            }
            for _ in 0..batch {
                let length = random.below(9) as usize;
                let key = random.next().to_be_bytes()[..length].to_vec();
                let position = records.append(&key);
                last = position.to_units() + 1;
                writer.insert(&key, position, &records).unwrap();
            }
        }
        assert!(last > 1000);
    }
}
