//! What a store may hold after a crash.
//!
//! A state is the content after some prefix of the commits, kept as a fingerprint. A history says, for
//! each position of a trace, which states a crash there may leave: from the last one that was promised to
//! the last one that was begun.

use std::collections::BTreeMap;

use super::random::mix;

/// Content, as a number that does not depend on the order of keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub fingerprint: u64,
    pub records: u64,
}

impl State {
    pub fn add(&mut self, entry: u64) {
        self.fingerprint = self.fingerprint.wrapping_add(entry);
        self.records += 1;
    }

    pub fn remove(&mut self, entry: u64) {
        self.fingerprint = self.fingerprint.wrapping_sub(entry);
        self.records -= 1;
    }
}

/// The number of a key with its value.
pub fn entry(key: &[u8], value_type: u8, value: &[u8]) -> u64 {
    mix(hash(key) ^ mix(hash(value) ^ u64::from(value_type)))
}

/// The same, of a value that expires, where it does.
pub fn expiring(entry: u64, expiry: Option<i64>) -> u64 {
    expiry.map_or(entry, |expiry| mix(entry ^ mix(expiry.cast_unsigned())))
}

fn hash(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut lanes = [1u64, 2, 3, bytes.len() as u64];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *lane ^= *lane >> 32;
        }
    }
    let hash = lanes.iter().fold(0, |hash, &lane| mix(hash ^ lane));
    rest.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One change of one key.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Vec<u8>,
    /// `None`: it is removed.
    pub value: Option<(u8, Vec<u8>)>,
    pub expiry: Option<i64>,
}

/// The content of a store that works, key by key.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub entries: BTreeMap<Vec<u8>, u64>,
    pub state: State,
}

impl Content {
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let before = match &change.value {
                Some((value_type, value)) => {
                    let new = expiring(entry(&change.key, *value_type, value), change.expiry);
                    self.state.add(new);
                    self.entries.insert(change.key.clone(), new)
                }
                None => self.entries.remove(&change.key),
            };
            if let Some(before) = before {
                self.state.remove(before);
            }
        }
    }
}

/// That from a position on the first so many commits are kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub position: usize,
    pub commits: usize,
    /// Whatever happens to the machine; else only to the process.
    pub durable: bool,
}

/// From one opening of the store to the next.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The position at which the open returned: from here on nothing else is left of what came before.
    pub opened_at: usize,
    /// `states[n]` is the content after `n` commits of this generation.
    pub states: Vec<State>,
    /// `begun[n]` is the position at which commit `n` was begun, which leads to `states[n + 1]`.
    pub begun: Vec<usize>,
    pub kept: Vec<Kept>,
}

impl Generation {
    /// One that begins with what the store held when it was opened.
    pub fn new(opened_at: usize, base: State) -> Generation {
        Generation { opened_at, states: vec![base], begun: Vec::new(), kept: Vec::new() }
    }

    pub fn begin(&mut self, position: usize, state: State) {
        self.begun.push(position);
        self.states.push(state);
    }

    /// The commit begun last was refused: it never happened.
    pub fn refuse(&mut self) {
        self.begun.pop();
        self.states.pop();
    }

    pub fn commits(&self) -> usize {
        self.begun.len()
    }

    pub fn keep(&mut self, position: usize, commits: usize, durable: bool) {
        self.kept.push(Kept { position, commits, durable });
    }
}

/// What was promised when, in one life of a disk.
#[derive(Clone, Debug)]
pub struct History {
    pub generations: Vec<Generation>,
}

/// What a crash may leave: `states[least..=most]`.
#[derive(Clone, Debug)]
pub struct Allowed<'a> {
    pub states: &'a [State],
    pub least: usize,
    pub most: usize,
}

impl Allowed<'_> {
    /// The place of `found` among the allowed states.
    pub fn place(&self, found: State) -> Option<usize> {
        (self.least..=self.most).rev().find(|&place| self.states[place] == found)
    }
}

impl History {
    /// What a crash at `position` may leave, of the machine or, with `kill`, of the process only.
    pub fn allowed(&self, position: usize, kill: bool) -> Allowed<'_> {
        let generation = self.generations.iter().rev().find(|one| one.opened_at <= position);
        let generation = generation.expect("the first generation begins at 0");
        let kept = generation.kept.iter().filter(|kept| kept.position <= position);
        let least = kept.filter(|kept| kept.durable || kill).map(|kept| kept.commits).max().unwrap_or(0);
        let most = generation.begun.iter().filter(|&&begun| begun <= position).count();
        Allowed { states: &generation.states, least, most }
    }

    pub fn last(&mut self) -> &mut Generation {
        self.generations.last_mut().expect("there is a first generation")
    }
}
