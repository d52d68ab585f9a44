//! What a life does: families of steps, made from a seed.

use std::time::Duration as Time;

use tinystoredb::{Durability, Options, SyncMode, ValueType, WriteMode};

use super::changes::{Part, Update};
use super::life::{BEFORE_THREADS, Step};
use super::random::Dice;

/// A kind of workload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// Puts, overwrites and deletes of few keys, small values.
    Singles,
    /// Batches of 2 to 50 changes.
    Batches,
    /// Values from nothing to several pages.
    Values,
    /// Small segments, filled and followed by the next ones.
    Segments,
    /// Segments of 4 MiB and larger ones, a value larger than one among them.
    LargeSegments,
    /// Sessions that close, or do not, and change their options.
    Sessions,
    /// Frames of one size, so that what is written after a crash fills exactly what was torn.
    Refill,
    /// A disk that gets full, and has room again.
    FullDisk,
    /// A sync that fails.
    FailedSync,
    /// Commits of other threads while a sync is under way.
    Threads,
    /// Deleted ranges, transactions, records that expire, changes that rest on the value before.
    Changes,
    /// What is written after a short life that was made by hand (see `situations`).
    Situation,
}

impl Family {
    pub const ALL: [Family; 11] = [
        Family::Singles,
        Family::Batches,
        Family::Values,
        Family::Segments,
        Family::LargeSegments,
        Family::Sessions,
        Family::Refill,
        Family::FullDisk,
        Family::FailedSync,
        Family::Threads,
        Family::Changes,
    ];

    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn of_name(name: &str) -> Option<Family> {
        let all = Family::ALL.into_iter().chain([Family::Situation]);
        all.into_iter().find(|family| family.name() == name)
    }
}

/// The options of a session.
pub fn options(family: Family, dice: &mut Dice) -> Options {
    let sync_mode = match (family, dice.below(4)) {
        (Family::Threads, _) | (_, 0 | 1) => SyncMode::Always,
        (_, 2) => SyncMode::OnRequest,
        _ => SyncMode::Interval(Time::from_secs(1)),
    };
    let first = match family {
        Family::LargeSegments => None,
        Family::Segments | Family::FullDisk | Family::Threads | Family::Situation | Family::Changes => {
            Some(16 << 10)
        }
        Family::FailedSync => Some(dice.choose(&[16 << 10, 64 << 10])),
        _ => Some(64 << 10),
    };
    Options {
        sync_mode,
        write_mode: dice.choose(&[WriteMode::Mapped, WriteMode::Pwrite, WriteMode::Auto]),
        segment_size_max: 4 << 20,
        maintenance: false,
        first_segment_size: first,
        ..Options::default()
    }
}

fn durability(dice: &mut Dice) -> Durability {
    dice.choose(&[
        Durability::Default,
        Durability::Default,
        Durability::Default,
        Durability::NoWait,
        Durability::Wait,
    ])
}

fn key(dice: &mut Dice) -> Vec<u8> {
    let number = dice.below(6);
    match dice.below(20) {
        0 => Vec::new(),
        1 => vec![b'k'; 300],
        _ => format!("key{number}").into_bytes(),
    }
}

fn size(family: Family, dice: &mut Dice) -> usize {
    let size = match family {
        Family::Values => match dice.below(8) {
            0 => 0,
            1..4 => dice.below(700),
            4..6 => dice.between(500, 5000),
            _ => dice.between(4000, 14_000),
        },
        Family::Segments | Family::FullDisk => match dice.below(8) {
            0 | 1 => dice.below(100),
            2 | 3 => dice.between(500, 3000),
            4 | 5 => dice.between(3000, 9000),
            6 => dice.between(9000, 20_000),
            // A first segment, filled to its last bytes.
            _ => dice.between(12_130, 12_220),
        },
        Family::LargeSegments => match dice.below(12) {
            0 => (5 << 20) + dice.below(1000),
            1..3 => (2 << 20) + dice.below(1000),
            3..5 => (4 << 20) - 4096 - dice.below(500),
            _ => dice.between(16, 2000),
        },
        Family::Refill => dice.choose(&[40, 40, 40, 40, 40, 472]),
        _ => match dice.below(10) {
            0 => 0,
            1 => dice.below(16),
            9 => dice.below(1500),
            _ => dice.between(16, 200),
        },
    };
    size as usize
}

fn put(family: Family, dice: &mut Dice) -> Step {
    let key = if family == Family::Refill { format!("key{}", dice.below(6)).into_bytes() } else { key(dice) };
    let value_type = if dice.one_in(5) { ValueType::Serde as u8 } else { 0 };
    Step::Put { key, value_type, size: size(family, dice), durability: durability(dice) }
}

fn batch(family: Family, dice: &mut Dice) -> Step {
    let most = if family == Family::Batches { 50 } else { 6 };
    let most = if dice.one_in(2) { most } else { 6 };
    let count = dice.between(2, most);
    let mut change = || {
        let key = format!("key{}", dice.below(12)).into_bytes();
        let size = (!dice.one_in(4)).then(|| size(Family::Singles, dice));
        (key, size)
    };
    let changes = (0..count).map(|_| change()).collect();
    Step::Batch { changes, durability: durability(dice) }
}

fn during(family: Family, dice: &mut Dice) -> Step {
    let mut steps: Vec<_> = (0..dice.between(1, 4)).map(|_| put(family, dice)).collect();
    if dice.one_in(3) {
        // The second one finds it gone, and must not say so before that is durable.
        let delete = Step::Delete { key: BEFORE_THREADS.to_vec() };
        steps.extend([delete.clone(), delete]);
    }
    if dice.one_in(4) {
        steps.push(Step::Prepare);
    }
    Step::During(steps)
}

fn parts(dice: &mut Dice, most: u64) -> Vec<Part> {
    let key = |dice: &mut Dice| format!("key{}", dice.below(12)).into_bytes();
    let mut part = || match dice.below(8) {
        0..5 => {
            let expiry = dice.one_in(3).then(|| dice.between(1, 1 << 40) as i64);
            Part::Put { key: key(dice), size: size(Family::Singles, dice), expiry }
        }
        5 => Part::Delete(key(dice)),
        _ => Part::DeleteRange(key(dice), if dice.one_in(4) { Vec::new() } else { key(dice) }),
    };
    (0..most).map(|_| part()).collect()
}

/// A step that changes more than a key, or rests on what is there.
fn change(dice: &mut Dice) -> Step {
    let count = dice.between(1, 8);
    match dice.below(10) {
        0..3 => Step::Parts { parts: parts(dice, count), durability: durability(dice) },
        3..6 => Step::Transaction {
            reads: key(dice),
            meets: dice.one_in(4),
            parts: parts(dice, count),
            durability: durability(dice),
        },
        6 => Step::DeleteRange { from: key(dice), to: key(dice) },
        _ => Step::Update {
            key: format!("update{}", dice.below(3)).into_bytes(),
            update: dice.choose(&Update::ALL),
            durability: durability(dice),
        },
    }
}

/// The next step of a life.
pub fn step(family: Family, dice: &mut Dice) -> Step {
    let special = match family {
        Family::Changes if !dice.one_in(4) => Some(change(dice)),
        Family::Batches if !dice.one_in(3) => Some(batch(family, dice)),
        Family::Segments | Family::LargeSegments if dice.one_in(8) => Some(Step::Prepare),
        Family::Segments if dice.one_in(8) => Some(Step::Sync),
        Family::Sessions if dice.one_in(4) => {
            Some(Step::Reopen { close: dice.one_in(2), options: options(family, dice) })
        }
        Family::FullDisk => match dice.below(7) {
            0 => Some(Step::Capacity(Some(dice.choose(&[0, 4096, 20 << 10, 40 << 10, 300 << 10])))),
            1 if dice.one_in(3) => Some(Step::Capacity(None)),
            2 => Some(Step::Prepare),
            3 => Some(Step::Delete { key: key(dice) }),
            _ => None,
        },
        Family::FailedSync => match dice.below(8) {
            0 => Some(Step::FailSync),
            1 => Some(Step::Reopen { close: dice.one_in(2), options: options(family, dice) }),
            2 => Some(during(family, dice)),
            _ => None,
        },
        Family::Threads if dice.one_in(2) => Some(during(family, dice)),
        _ => None,
    };
    if let Some(step) = special {
        return step;
    }
    match dice.below(24) {
        0 => Step::Sync,
        1 => Step::Prepare,
        2 => Step::Refused,
        3 => Step::Reopen { close: dice.one_in(2), options: options(family, dice) },
        4..8 => Step::Delete { key: key(dice) },
        8..10 => batch(family, dice),
        _ => put(family, dice),
    }
}

/// The steps of a first life.
pub fn steps(family: Family, dice: &mut Dice) -> Vec<Step> {
    let most = match family {
        Family::LargeSegments => 8,
        Family::Batches | Family::Values | Family::Changes => 14,
        _ => 30,
    };
    (0..dice.between(4, most)).map(|_| step(family, dice)).collect()
}
