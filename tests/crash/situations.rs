//! Short lives that end where recovery has the most to do. All crashes of them are tried, and in the
//! recovery from each all crashes again, and from some of those once more.

use tinystoredb::{Durability, Options, SyncMode, WriteMode};

use super::life::Step;

/// A short life.
pub struct Situation {
    pub name: &'static str,
    pub sync_mode: SyncMode,
    pub steps: Vec<Step>,
    /// How many operations before its end crashes are tried from.
    pub last: usize,
}

impl Situation {
    pub fn options(&self) -> Options {
        Options {
            sync_mode: self.sync_mode,
            write_mode: WriteMode::Mapped,
            maintenance: false,
            first_segment_size: Some(16 << 10),
            ..Options::default()
        }
    }
}

fn put(key: &str, size: usize, durability: Durability) -> Step {
    Step::Put { key: key.as_bytes().to_vec(), value_type: 0, size, durability }
}

fn batch(keys: &[&str], size: usize, durability: Durability) -> Step {
    let changes = keys.iter().map(|key| (key.as_bytes().to_vec(), Some(size))).collect();
    Step::Batch { changes, durability }
}

/// All of them.
pub fn all() -> Vec<Situation> {
    use Durability::{Default, NoWait, Wait};
    let situation = |name, sync_mode, last, steps: Vec<Step>| Situation { name, sync_mode, steps, last };
    let reopen = |close| Step::Reopen {
        close,
        options: Situation { name: "", sync_mode: SyncMode::Always, steps: Vec::new(), last: 0 }.options(),
    };
    let mut all = vec![
        situation("a store is created", SyncMode::Always, usize::MAX, vec![put("a", 30, Default)]),
        situation(
            "commits of which none is synced",
            SyncMode::OnRequest,
            8,
            vec![
                put("a", 30, Default),
                batch(&["b", "c", "a"], 400, Default),
                put("d", 700, Default),
                Step::Delete { key: b"a".to_vec() },
                batch(&["e", "f"], 30, Default),
            ],
        ),
        situation(
            "a batch behind what is durable",
            SyncMode::Always,
            4,
            vec![put("a", 30, Default), batch(&["b", "c", "d"], 300, NoWait), put("e", 30, NoWait)],
        ),
        situation(
            "several segments of which none is synced",
            SyncMode::OnRequest,
            6,
            vec![
                put("a", 7000, Default),
                put("b", 7000, Default),
                put("c", 15_000, Default),
                put("d", 12_000, Default),
                put("e", 30, Default),
            ],
        ),
        situation(
            "a durable commit behind full segments",
            SyncMode::OnRequest,
            24,
            vec![put("a", 7000, NoWait), put("b", 7000, NoWait), put("c", 30, Wait)],
        ),
        situation(
            "a segment made ahead",
            SyncMode::Always,
            24,
            vec![put("a", 7000, NoWait), Step::Prepare, put("b", 7000, Default), put("c", 30, NoWait)],
        ),
        situation(
            "a failed sync, and another session",
            SyncMode::Always,
            40,
            vec![
                put("a", 30, Default),
                Step::FailSync,
                put("b", 600, Default),
                reopen(false),
                put("c", 30, Default),
            ],
        ),
        situation(
            "sessions that close",
            SyncMode::Always,
            30,
            vec![put("a", 30, Default), reopen(true), put("b", 30, Default), reopen(true)],
        ),
    ];
    // A first segment filled to its last bytes: 4096 of header, 48 of its start, the frame, up to 40 bytes.
    for left in (0..=40).step_by(8) {
        let size = (16 << 10) - 4096 - 48 - 24 - 8 - left;
        all.push(situation(
            "a segment filled to its last bytes",
            SyncMode::Always,
            30,
            vec![put("12345678", size, NoWait), put("", 0, NoWait), put("", 0, NoWait)],
        ));
    }
    all
}
