//! One thread: every answer is compared with that of a sorted map.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Random, Records};
use crate::error::{Error, Result};
use crate::index::{Direction, Found, Index, KeySource, Writer};
use crate::types::{Lsn, Position};

/// An index, its records, and the map that it is to agree with.
struct Checked {
    index: Index,
    writer: Writer,
    records: Records,
    map: BTreeMap<Vec<u8>, Position>,
}

impl Checked {
    fn new() -> Checked {
        let (index, writer) = Index::new().unwrap();
        Checked { index, writer, records: Records::default(), map: BTreeMap::new() }
    }

    fn insert(&mut self, key: &[u8]) {
        let position = self.records.append(key);
        let replaced = self.writer.insert(key, position, &self.records).unwrap();
        assert_eq!(replaced, self.map.insert(key.to_vec(), position));
    }

    fn remove(&mut self, key: &[u8]) {
        let removed = self.writer.remove(key, &self.records).unwrap();
        assert_eq!(removed, self.map.remove(key));
    }

    fn find(&self, key: &[u8]) -> Option<Position> {
        let pin = self.index.pin().unwrap();
        match pin.find(key) {
            Found::None => None,
            Found::One(position) => (self.records.key(position) == key).then_some(position),
            Found::Many(_) => panic!("versions without a snapshot"),
        }
    }

    fn check_find(&self, key: &[u8]) {
        assert_eq!(self.find(key), self.map.get(key).copied(), "{:?}", short(key));
    }

    fn check_range(&self, start: Bound<&[u8]>, direction: Direction, limit: usize) {
        let pin = self.index.pin().unwrap();
        let mut found = Vec::new();
        pin.range(start, direction, || Lsn::MAX, limit, &mut found, &self.records).unwrap();
        let expected: Vec<Position> = match direction {
            Direction::Forward => {
                self.map.range::<[u8], _>((start, Bound::Unbounded)).map(|(_, at)| *at).take(limit).collect()
            }
            Direction::Backward => self
                .map
                .range::<[u8], _>((Bound::Unbounded, start))
                .rev()
                .map(|(_, at)| *at)
                .take(limit)
                .collect(),
        };
        assert_eq!(found, expected, "{:?} {direction:?} {limit}", start.map(short));
    }

    fn check_all(&self) {
        for key in self.map.keys() {
            self.check_find(key);
        }
        for direction in [Direction::Forward, Direction::Backward] {
            self.check_range(Bound::Unbounded, direction, usize::MAX);
        }
        assert_eq!(self.index.memory().keys, self.map.len() as u64);
    }

    fn check_around(&self, key: &[u8], limit: usize) {
        for direction in [Direction::Forward, Direction::Backward] {
            self.check_range(Bound::Included(key), direction, limit);
            self.check_range(Bound::Excluded(key), direction, limit);
        }
    }

    fn remove_all(&mut self) {
        let keys: Vec<Vec<u8>> = self.map.keys().cloned().collect();
        for key in keys {
            self.remove(&key);
        }
        self.writer.reclaim();
        assert_eq!(self.index.memory().live_bytes, 0);
        self.check_range(Bound::Unbounded, Direction::Forward, 10);
    }
}

fn short(key: &[u8]) -> String {
    format!("{} bytes, {:?}..", key.len(), &key[..key.len().min(40)])
}

/// Keys that share `length` bytes with others, then differ, end, or go on.
fn with_common_prefix(length: usize, random: &mut Random) -> Vec<u8> {
    let mut key = vec![b'p'; length];
    match random.below(4) {
        0 => {}
        1 => key.push(random.next() as u8),
        2 if length > 0 => {
            let at = random.below(length as u64) as usize;
            key[at] = random.next() as u8;
        }
        _ => key.extend_from_slice(&random.next().to_le_bytes()[..random.below(9) as usize]),
    }
    key.truncate(65_535);
    key
}

/// A key of one of the shapes that trees get wrong.
fn nasty_key(random: &mut Random) -> Vec<u8> {
    const LENGTHS: [usize; 9] = [0, 1, 7, 8, 9, 15, 16, 17, 100];
    let length = LENGTHS[random.below(9) as usize];
    match random.below(5) {
        0 => with_common_prefix(length, random),
        1 => (0..random.below(6)).map(|_| if random.below(2) == 0 { 0x00 } else { 0xff }).collect(),
        2 => vec![random.next() as u8],
        3 => (0..random.below(5)).map(|_| b'a' + random.below(3) as u8).collect(),
        _ => format!("user:{:05}", random.below(400)).into_bytes(),
    }
}

fn random_operations(seed: u64, operations: usize, mut key: impl FnMut(&mut Random) -> Vec<u8>) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut checked = Checked::new();
    // The share of removals goes up and down, so that nodes grow and shrink all the way.
    for step in 0..operations {
        let removals = if step / 2000 % 2 == 0 { 20 } else { 70 };
        let key = key(&mut random);
        if random.below(100) < removals {
            checked.remove(&key);
        } else {
            checked.insert(&key);
        }
        checked.check_find(&key);
        if step % 7 == 0 {
            checked.check_around(&key, random.below(40) as usize);
        }
        if step % 1000 == 0 {
            checked.check_all();
        }
    }
    checked.check_all();
    checked.remove_all();
}

#[test]
fn random_operations_agree_with_a_sorted_map() {
    for seed in 1..=8 {
        random_operations(seed, 8000, nasty_key);
    }
}

#[test]
fn every_byte_as_a_child_agrees_with_a_sorted_map() {
    random_operations(77, 30_000, |random| {
        let length = 1 + random.below(2) as usize;
        random.next().to_le_bytes()[..length].to_vec()
    });
}

#[test]
fn random_binary_keys_agree_with_a_sorted_map() {
    random_operations(99, 30_000, |random| {
        let start = random.below(20_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [start.to_le_bytes(), start.rotate_left(21).to_le_bytes()].concat()
    });
}

#[test]
fn very_long_prefixes_agree_with_a_sorted_map() {
    for length in [4095, 4096, 5000, 65_527, 65_534, 65_535] {
        let seed = length as u64;
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut checked = Checked::new();
        for step in 0..400 {
            let key = with_common_prefix(length, &mut random);
            if step % 3 == 2 {
                checked.remove(&key);
            } else {
                checked.insert(&key);
            }
            checked.check_around(&key, 5);
        }
        checked.check_all();
        checked.remove_all();
    }
}

/// Keys that are each a prefix of the next: the tree is as deep as there are keys.
#[test]
fn a_chain_of_prefixes_is_kept_and_walked() {
    let mut checked = Checked::new();
    let longest = vec![b'x'; 5000];
    for length in (0..=5000).rev().step_by(2).chain((1..5000).step_by(2)) {
        checked.insert(&longest[..length]);
    }
    checked.check_all();
    for length in [0, 1, 7, 8, 9, 2500, 4999, 5000] {
        checked.check_around(&longest[..length], 3);
    }
    checked.remove_all();
}

#[test]
fn longest_keys_that_differ_in_the_last_byte_are_told_apart() {
    let mut checked = Checked::new();
    let mut key = vec![7u8; 65_535];
    for last in 0..=255u8 {
        key[65_534] = last;
        checked.insert(&key);
    }
    checked.check_all();
    checked.check_around(&key, 3);
    checked.remove_all();
}

#[test]
fn a_key_beyond_the_limit_is_refused() {
    let mut checked = Checked::new();
    let key = vec![7u8; 65_536];
    let position = checked.records.append(&key);
    let refused = checked.writer.insert(&key, position, &checked.records);
    assert!(matches!(refused, Err(Error::KeyTooLarge { size: 65_536 })));
    checked.check_all();
}

/// Records none of which can be read.
struct Damaged;

impl KeySource for Damaged {
    fn key_at(&self, _position: Position) -> Result<&[u8]> {
        Err(Error::Internal("damaged"))
    }

    fn lsn_at(&self, _position: Position) -> Result<Lsn> {
        Err(Error::Internal("damaged"))
    }
}

#[test]
fn a_record_that_cannot_be_read_fails_the_change_and_nothing_else() {
    let mut random = Random::new(21);
    let mut checked = Checked::new();
    for _ in 0..2000 {
        let key = nasty_key(&mut random);
        checked.insert(&key);
    }
    let mut failed = 0;
    for _ in 0..2000 {
        let key = nasty_key(&mut random);
        let before = checked.map.get(&key).copied();
        let position = checked.records.append(&key);
        match checked.writer.insert(&key, position, &Damaged) {
            // No record had to be read for it.
            Ok(replaced) => {
                assert_eq!(replaced, None);
                assert_eq!(checked.map.insert(key, position), None);
            }
            Err(_) => failed += 1,
        }
        if let Some(key) = before.map(|position| checked.records.key(position).to_vec()) {
            assert!(checked.writer.remove(&key, &Damaged).is_err());
        }
    }
    assert!(failed > 100);
    checked.check_all();
    checked.remove_all();
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut checked = Checked::new();
    checked.remove(b"");
    checked.insert(b"abc");
    for absent in [&b""[..], b"a", b"ab", b"abd", b"abcd"] {
        checked.remove(absent);
    }
    checked.check_all();
}

/// An index that is filled and emptied again and again does not grow.
#[test]
fn memory_is_used_again_after_removals() {
    let mut checked = Checked::new();
    let mut random = Random::new(5);
    let mut after_first = 0;
    for round in 0..6 {
        for _ in 0..20_000 {
            let key = random.next().to_be_bytes();
            checked.insert(&key);
        }
        if round == 0 {
            after_first = checked.index.memory().committed_bytes;
        }
        checked.remove_all();
    }
    let committed = checked.index.memory().committed_bytes;
    assert!(committed <= after_first * 2, "{committed} after {after_first}");
}
