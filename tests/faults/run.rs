//! One session on the simulated disk, and what it promised: every state that its commits led to, how many of
//! them were acknowledged, how many were durable.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tinystoredb::os::sim::{Call, CrashImage, Replay, SimOs, Unwritten, Variant};
use tinystoredb::{Batch, Durability, Error, Options, Result, Store, SyncMode, WriteOptions};

pub const PATH: &str = "/store";

/// Keys and values.
pub type State = BTreeMap<&'static str, &'static [u8]>;

/// Bytes of a session's first segment.
pub const SEGMENT_SIZE: u64 = 16 << 10;

/// Larger than what is left of a session's first segment.
pub static LARGE: [u8; 12 << 10] = [1; 12 << 10];

/// Fills more than half of a session's first segment.
pub static MEDIUM: [u8; 5 << 10] = [2; 5 << 10];

/// What a program does.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Open,
    Put(&'static str, &'static [u8]),
    /// Waits for the device in every mode.
    PutWait(&'static str, &'static [u8]),
    Delete(&'static str),
    /// Puts and deletes as one commit.
    Batch(&'static [(&'static str, Option<&'static [u8]>)]),
    /// What the background thread does when it is time to.
    Prepare,
    Sync,
    Close,
}

/// A store, what it was told, and what it said.
pub struct Run {
    pub os: Arc<SimOs>,
    pub options: Options,
    pub store: Option<Store>,
    /// `states[n]`: after `n` commits that may have been accepted.
    pub states: Vec<State>,
    /// Commits that were acknowledged. What follows is unknown: in the log, or lost.
    pub acknowledged: usize,
    /// Of those, on the device for certain.
    pub durable: usize,
    pub errors: Vec<Error>,
    /// For messages.
    pub context: String,
}

impl Run {
    /// On a disk that holds a store in `state`.
    pub fn new(os: Arc<SimOs>, options: &Options, state: State) -> Run {
        let options = options.clone();
        Run {
            os,
            options,
            store: None,
            states: vec![state],
            acknowledged: 0,
            durable: 0,
            errors: vec![],
            context: String::new(),
        }
    }

    /// What readers see.
    pub fn visible(&self) -> &State {
        &self.states[self.acknowledged]
    }

    /// Does a step; an error is kept, and what must hold afterwards is checked.
    pub fn step(&mut self, step: Step) {
        if self.store.is_none() != matches!(step, Step::Open) {
            return;
        }
        if let Err(error) = self.try_step(step) {
            if matches!(step, Step::Close) {
                let store = self.store.take().unwrap();
                assert!(matches!(store.get(b"a"), Err(Error::Closed)));
                store.close().unwrap();
            }
            self.errors.push(error);
        }
        if let Some(store) = &self.store {
            check_reads(store, self.visible());
        }
    }

    fn try_step(&mut self, step: Step) -> Result<()> {
        if let Step::Open = step {
            let store = Store::open_on(self.os.clone(), PATH, &self.options)?;
            // What recovery has read is on the device before it is served.
            self.adopt(&store);
            self.store = Some(store);
            return Ok(());
        }
        let store = self.store.clone().unwrap();
        let mut next = self.states.last().unwrap().clone();
        let (outcome, waits) = match step {
            Step::Put(key, value) => {
                next.insert(key, value);
                (store.put(key.as_bytes(), value), false)
            }
            Step::PutWait(key, value) => {
                next.insert(key, value);
                let options = WriteOptions { durability: Durability::Wait, ..WriteOptions::default() };
                (store.put_with(key.as_bytes(), value, options), true)
            }
            Step::Delete(key) => {
                let there = next.remove(key).is_some();
                let outcome = store.delete(key.as_bytes());
                if let Ok(was_there) = outcome {
                    assert_eq!(was_there, there, "{key}");
                }
                if !there {
                    // Nothing is written, so nothing is accepted or refused.
                    return outcome.map(drop);
                }
                (outcome.map(drop), false)
            }
            Step::Batch(changes) => {
                let mut batch = Batch::new();
                for &(key, value) in changes {
                    match value {
                        Some(value) => batch.put(key.as_bytes(), value)?,
                        None => batch.delete(key.as_bytes())?,
                    }
                    match value {
                        Some(value) => next.insert(key, value),
                        None => next.remove(key),
                    };
                }
                (store.write(&batch, Durability::Default), false)
            }
            Step::Prepare => return store.prepare_segment(),
            Step::Sync => {
                store.sync()?;
                self.durable = self.acknowledged;
                return Ok(());
            }
            Step::Close => {
                store.close()?;
                self.store = None;
                self.durable = self.acknowledged;
                return Ok(());
            }
            Step::Open => return Ok(()),
        };
        match &outcome {
            Ok(()) => {
                let certain = self.acknowledged + 1 == self.states.len();
                assert!(certain, "{}: a commit after one whose outcome is unknown", self.context);
                self.states.push(next);
                self.acknowledged += 1;
                if waits || self.options.sync_mode == SyncMode::Always {
                    self.durable = self.acknowledged;
                }
            }
            // Refused, unless the commit was in the log and the wait for the device failed.
            Err(error) if outcome_is_unknown(error) => self.states.push(next),
            Err(_) => {}
        }
        outcome
    }

    /// The store was opened: it holds one of the states that it may hold, and from now on that one.
    fn adopt(&mut self, store: &Store) {
        let found = contents(store);
        let position = self.states[self.acknowledged..].iter().position(|state| holds(&found, state));
        let position =
            position.unwrap_or_else(|| panic!("{}: opened with {:?}", self.context, short(&found)));
        let state = self.states.swap_remove(self.acknowledged + position);
        (self.states, self.acknowledged, self.durable) = (vec![state], 0, 0);
    }

    /// Boots from what a kill now, and power losses now, would leave, and checks what is there.
    pub fn check_images(&self, seen: &mut HashSet<(u64, u64)>, losses: &[Variant]) {
        let killed = self.os.image().unwrap();
        self.check_image(seen, &killed, self.acknowledged);
        let trace = self.os.trace().unwrap();
        for &variant in losses {
            let replay = Replay { variant, unwritten: Unwritten::Zeros, ..killed.replay() };
            self.check_image(seen, &trace.image(&replay).unwrap(), self.durable);
        }
    }

    fn check_image(&self, seen: &mut HashSet<(u64, u64)>, image: &CrashImage, least: usize) {
        let allowed = &self.states[least..];
        let mut hasher = DefaultHasher::new();
        for (key, value) in allowed.iter().flatten() {
            (key, value.len(), value.first()).hash(&mut hasher);
        }
        if !seen.insert((image.hash(), hasher.finish())) {
            return;
        }
        let os = SimOs::from_image(image);
        let mut run = Run::new(os, &self.options, State::new());
        run.context = format!("{}: {image}", self.context);
        run.states = allowed.to_vec();
        for step in [Step::Open, Step::Put("after", b"a crash"), Step::Close, Step::Open, Step::Close] {
            run.step(step);
            let trace = self.os.trace().unwrap();
            assert!(run.errors.is_empty(), "{}: {image}: {:?}\n{trace}", self.context, run.errors);
        }
    }
}

/// Whether the commit may be in the log although it was not acknowledged: the device did not confirm it.
fn outcome_is_unknown(error: &Error) -> bool {
    match error {
        Error::Io { operation, path, .. } => {
            ["fdatasync", "fsync", "ftruncate"].contains(operation) && path.ends_with(".bin")
        }
        Error::NoSpace { operation, .. } => *operation == "ftruncate",
        _ => false,
    }
}

fn contents(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut scan = store.scan(b"").unwrap();
    while let Some(record) = scan.next().unwrap() {
        found.insert(record.key.to_vec(), record.value.to_vec());
    }
    found
}

fn holds(found: &BTreeMap<Vec<u8>, Vec<u8>>, state: &State) -> bool {
    found.len() == state.len()
        && found.iter().zip(state).all(|(a, b)| a.0.as_slice() == b.0.as_bytes() && a.1.as_slice() == *b.1)
}

fn short(found: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<(String, usize)> {
    found.iter().map(|(key, value)| (String::from_utf8_lossy(key).into(), value.len())).collect()
}

/// Every key that any workload uses.
const KEYS: [&str; 10] = ["a", "b", "c", "d", "e", "large", "medium", "after", "lifted", "never"];

fn check_reads(store: &Store, state: &State) {
    for key in KEYS {
        let found = store.read(key.as_bytes(), |_, value| state.get(key) == Some(&value)).unwrap();
        assert_eq!(found, state.contains_key(key).then_some(true), "{key}");
    }
    let found = contents(store);
    assert!(holds(&found, state), "{:?}", short(&found));
}

/// What the message calls a failed call.
pub fn operation_of(call: Call) -> &'static str {
    match call {
        Call::OpenDirectory | Call::Open => "open",
        Call::List => "readdir",
        Call::Create => "create",
        Call::Rename => "rename",
        Call::Unlink => "unlink",
        Call::Lock => "flock",
        Call::Size => "fstat",
        Call::Read => "pread",
        Call::Write => "pwrite",
        Call::Allocate => "fallocate",
        Call::Truncate => "ftruncate",
        Call::SyncData => "fdatasync",
        Call::SyncAll | Call::SyncDirectory => "fsync",
        Call::Map => "mmap",
        Call::Populate => "populate",
        Call::Random => "getrandom",
    }
}
