//! Walks that go on under another pin, with changes between.

use std::cell::Cell;
use std::ops::Bound;

use super::{Random, Records};
use crate::index::{Cursor, Direction, Index};
use crate::types::Lsn;

/// Keys of one to four of twelve letters: nodes of all sizes up to 25, and keys that end in nodes.
fn key(random: &mut Random) -> Vec<u8> {
    (0..1 + random.below(4)).map(|_| b'a' + random.below(12) as u8).collect()
}

#[test]
fn a_walk_that_goes_on_sees_every_key_that_stays_once_and_in_order() {
    let mut random = Random::new(7);
    let (mut began, mut calls) = (0, 0);
    for round in 0..60 {
        let (index, mut writer) = Index::new().unwrap();
        let mut records = Records::default();
        let staying: std::collections::BTreeSet<Vec<u8>> = (0..300).map(|_| key(&mut random)).collect();
        for key in &staying {
            let position = records.append(key);
            writer.insert(key, position, &records).unwrap();
        }
        let direction = if round % 2 == 0 { Direction::Forward } else { Direction::Backward };
        let mut cursor = Cursor::new(direction);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        loop {
            let limit = 1 + random.below(20) as usize;
            let mut found = Vec::new();
            let anew = Cell::new(false);
            let start = || {
                anew.set(true);
                Ok(seen.last().map_or(Bound::Unbounded, |last| Bound::Excluded(last.as_slice())))
            };
            let pin = index.pin().unwrap();
            pin.range_from(&mut cursor, start, || Lsn::MAX, limit, &mut found, &records).unwrap();
            drop(pin);
            began += u32::from(anew.get());
            calls += 1;
            seen.extend(found.iter().map(|position| records.key(*position).to_vec()));
            if found.len() < limit {
                break;
            }
            // Changes that take nodes out, and others that use their memory again.
            for _ in 0..random.below(40) {
                let key = key(&mut random);
                if staying.contains(&key) || random.below(2) == 0 {
                    let position = records.append(&key);
                    writer.insert(&key, position, &records).unwrap();
                } else {
                    writer.remove(&key, &records).unwrap();
                }
            }
            if random.below(3) == 0 {
                writer.reclaim();
            }
        }
        let ordered = |pair: &[Vec<u8>]| match direction {
            Direction::Forward => pair[0] < pair[1],
            Direction::Backward => pair[0] > pair[1],
        };
        assert!(seen.windows(2).all(ordered), "round {round}: out of order");
        let missed = staying.iter().find(|key| !seen.contains(key));
        assert_eq!(missed, None, "round {round}");
    }
    assert!(60 < began && began < calls, "{began} of {calls} calls began anew: both ways are to be taken");
}

#[test]
fn a_cursor_that_was_reset_begins_anew() {
    let (index, mut writer) = Index::new().unwrap();
    let mut records = Records::default();
    for key in [b"a", b"b", b"c"] {
        let position = records.append(key);
        writer.insert(key, position, &records).unwrap();
    }
    let mut cursor = Cursor::new(Direction::Forward);
    let mut found = Vec::new();
    let pin = index.pin().unwrap();
    for (start, expected) in [(&b"a"[..], &b"a"[..]), (b"a", b"b"), (b"c", b"c")] {
        if expected == b"c" {
            cursor.reset();
        }
        found.clear();
        let start = || Ok(Bound::Included(start));
        pin.range_from(&mut cursor, start, || Lsn::MAX, 1, &mut found, &records).unwrap();
        assert_eq!(records.key(found[0]), expected);
    }
}
