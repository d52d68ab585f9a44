//! Campaigns: lives, the images that a crash at any position of them leaves, lives that begin in such an
//! image, the images of those, and once more. Every image is recovered and held against its history.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use tinystoredb::Options;
use tinystoredb::os::sim::{CrashImage, Enumeration, Replay, Unwritten, Variant};

use super::life::{Ended, Life};
use super::model::State;
use super::oracle::{Check, Violation, check, panic_text, recover};
use super::random::{Dice, mix};
use super::situations::{self, Situation};
use super::workload::{Family, options, step, steps};

/// Crashes in a row at most.
pub const DEPTH: usize = 3;

/// The name of an image: the first life, and the crash that ended each life since.
#[derive(Clone, Debug)]
pub struct Id {
    pub family: Family,
    pub seed: u64,
    pub crashes: Vec<Replay>,
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.family.name(), self.seed)?;
        self.crashes.iter().try_for_each(|crash| write!(formatter, "/{crash}"))
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let mut parts = text.split('/');
        let family = parts.next().and_then(Family::of_name).ok_or("no family of this name")?;
        let seed = parts.next().and_then(|seed| seed.parse().ok()).ok_or("no seed")?;
        let crashes = parts.map(|part| part.parse().map_err(|error| format!("{part}: {error}")));
        Ok(Id { family, seed, crashes: crashes.collect::<Result<_, _>>()? })
    }
}

/// A broken promise, and how to see it again.
#[derive(Debug)]
pub struct Failure {
    pub id: Id,
    pub violation: Violation,
    /// The trace of the life that the last crash ended.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { id, violation, trace } = self;
        write!(formatter, "{violation}\nreplay: TSTORE_REPLAY='{id}' cargo test --test crash replay\n{trace}")
    }
}

/// How many different images there were, by how many crashes had made them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub distinct: [u64; DEPTH],
    /// Images of all depths, those that were met before included.
    pub images: u64,
    pub lives: u64,
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.distinct.iter().sum()
    }

    pub fn add(&mut self, other: &Counts) {
        for (sum, one) in self.distinct.iter_mut().zip(other.distinct) {
            *sum += one;
        }
        self.images += other.images;
        self.lives += other.lives;
    }
}

/// How a campaign goes about it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Different images to recover in all.
    pub images: u64,
    /// Different images of one first life at most; then comes the next seed.
    pub images_of_a_life: u64,
    /// Of so many images one is where a second life begins.
    pub nested_one_in: u64,
    /// Images of a second life, and of a third.
    pub nested_images: [u64; DEPTH - 1],
    /// One image in so many is recovered thoroughly.
    pub thorough_one_in: u64,
    /// Of the images of a short life one in so many has all crashes in its recovery tried.
    pub exhaust_one_in: u64,
    /// Lives at most.
    pub lives: u64,
}

impl Plan {
    pub fn of(images: u64) -> Plan {
        Plan {
            images,
            images_of_a_life: 1500,
            nested_one_in: 30,
            nested_images: [10, 6],
            thorough_one_in: 8,
            exhaust_one_in: 1,
            lives: u64::MAX,
        }
    }
}

pub struct Campaign {
    plan: Plan,
    seen: HashSet<u64>,
    pub counts: Counts,
}

impl Campaign {
    pub fn new(plan: Plan) -> Campaign {
        Campaign { plan, seen: HashSet::new(), counts: Counts::default() }
    }

    /// Lives of these families in turn, from `seed` on, until the plan's images are recovered.
    pub fn run(&mut self, families: &[Family], seed: u64) -> Result<(), Box<Failure>> {
        let mut number = 0;
        while self.counts.total() < self.plan.images && number < self.plan.lives {
            let family = families[(number % families.len() as u64) as usize];
            let id = Id { family, seed: mix(seed ^ mix(number)) >> 16, crashes: Vec::new() };
            self.first_life(&id)?;
            number += 1;
        }
        Ok(())
    }

    fn first_life(&mut self, id: &Id) -> Result<(), Box<Failure>> {
        self.counts.lives += 1;
        let ended = first_life(id)?;
        let plan = enumeration(id);
        // An image with segments of several MiB takes as long as a hundred others.
        let share = if id.family == Family::LargeSegments { 60 } else { 1 };
        let limit = self.counts.total() + self.plan.images_of_a_life / share;
        let mut recovered: HashMap<u64, Result<State, Violation>> = HashMap::new();
        let mut dice = Dice::new(id.seed ^ 1);
        // Positions of a long life are visited in strides, so that its end is reached within the limit.
        let stride = dice.between(1, 3);
        for image in ended.trace.crash_states(&plan) {
            if !(image.position() as u64).is_multiple_of(stride) {
                continue;
            }
            let new = self.count(&image, 1);
            let thorough = (image.hash() >> 20).is_multiple_of(self.plan.thorough_one_in);
            let found =
                recovered.entry(image.hash()).or_insert_with(|| recover(&image, &ended.options, thorough));
            check(&image, found, &ended.history)
                .map_err(|violation| failure(id, &image, violation, &ended))?;
            if new && dice.one_in(self.plan.nested_one_in) {
                self.next_life(id, &image, &ended)?;
            }
            if self.counts.total() >= limit || self.counts.total() >= self.plan.images {
                break;
            }
        }
        Ok(())
    }

    /// Every crash of a short life, and in the recovery from it every crash again.
    pub fn exhaust(&mut self, number: usize, situation: &Situation) -> Result<(), Box<Failure>> {
        let id = Id { family: Family::Situation, seed: number as u64, crashes: Vec::new() };
        self.counts.lives += 1;
        let ended = first_life(&id)?;
        let from = ended.trace.end().saturating_sub(situation.last);
        let plan = Enumeration {
            all_subsets_up_to: 7,
            samples: 90,
            random: 16,
            tears: 1,
            from,
            ..Default::default()
        };
        for image in ended.trace.crash_states(&plan) {
            let new = self.count(&image, 1);
            let found = recover(&image, &ended.options, new);
            check(&image, &found, &ended.history)
                .map_err(|violation| failure(&id, &image, violation, &ended))?;
            if new && (image.hash() >> 30).is_multiple_of(self.plan.exhaust_one_in) {
                self.exhaust_recovery(&id, &image, &ended)?;
            }
        }
        Ok(())
    }

    /// Every crash of the life that begins in `image`, coarsely.
    fn exhaust_recovery(
        &mut self,
        before: &Id,
        image: &CrashImage,
        ended: &Ended,
    ) -> Result<(), Box<Failure>> {
        let mut id = before.clone();
        id.crashes.push(image.replay());
        self.counts.lives += 1;
        let next = next_life(&id, image, ended)?;
        let opened = next.history.generations.get(1).map_or(usize::MAX, |one| one.opened_at);
        let plan =
            Enumeration { all_subsets_up_to: 2, samples: 3, random: 1, tears: 0, ..Default::default() };
        let mut dice = Dice::new(image.hash() ^ 4);
        let coarse = dice.between(1, 8);
        for image in next.trace.crash_states(&plan) {
            // Behind the recovery, some.
            if image.position() > opened && !(image.hash() >> 8).is_multiple_of(coarse) {
                continue;
            }
            if !self.count(&image, 2) {
                continue;
            }
            let found = recover(&image, &next.options, false);
            check(&image, &found, &next.history)
                .map_err(|violation| failure(&id, &image, violation, &next))?;
            if dice.one_in(24) {
                self.next_life(&id, &image, &next)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, image: &CrashImage, depth: usize) -> bool {
        self.counts.images += 1;
        let new = self.seen.insert(image.hash());
        if new && let Some(count) = self.counts.distinct.get_mut(depth - 1) {
            *count += 1;
        }
        new
    }

    /// A life that begins in `image`, and images of it.
    fn next_life(&mut self, before: &Id, image: &CrashImage, ended: &Ended) -> Result<(), Box<Failure>> {
        let mut id = before.clone();
        id.crashes.push(image.replay());
        self.counts.lives += 1;
        let next = next_life(&id, image, ended)?;
        let depth = id.crashes.len() + 1;
        let images = self.plan.nested_images[depth - 2];
        let mut dice = Dice::new(image.hash());
        for _ in 0..images {
            let replay = random_crash(&next, &mut dice);
            let image = next.trace.image(&replay).expect("a crash of this trace");
            if !self.count(&image, depth) {
                continue;
            }
            let found = recover(&image, &next.options, dice.one_in(self.plan.thorough_one_in));
            check(&image, &found, &next.history)
                .map_err(|violation| failure(&id, &image, violation, &next))?;
            if depth < DEPTH && dice.one_in(2) {
                self.next_life(&id, &image, &next)?;
            }
        }
        Ok(())
    }
}

fn failure(id: &Id, image: &CrashImage, violation: Violation, ended: &Ended) -> Box<Failure> {
    let mut id = id.clone();
    id.crashes.push(image.replay());
    let trace = format!("{:?}\n{}{image}", ended.options, ended.trace);
    Box::new(Failure { id, violation, trace })
}

/// Runs a life, whatever becomes of it.
fn guarded(
    id: &Id,
    run: impl FnOnce() -> Result<(Life, Result<(), Violation>), Violation>,
) -> Result<Life, Box<Failure>> {
    let fail = |violation, trace| Box::new(Failure { id: id.clone(), violation, trace });
    match catch_unwind(AssertUnwindSafe(run)) {
        Err(panic) => Err(fail(Violation::new(Check::Panic, panic_text(&*panic)), String::new())),
        Ok(Err(violation)) => Err(fail(violation, String::new())),
        Ok(Ok((life, Ok(())))) => Ok(life),
        Ok(Ok((life, Err(violation)))) => {
            let trace = life.os.trace().map_or_else(|error| error.to_string(), |trace| trace.to_string());
            Err(fail(violation, format!("{:?}\n{trace}", life.options)))
        }
    }
}

/// The life that a seed gives.
fn first_life(id: &Id) -> Result<Ended, Box<Failure>> {
    let mut dice = Dice::new(id.seed);
    let (options, steps) = match situations::all().into_iter().nth(id.seed as usize) {
        Some(situation) if id.family == Family::Situation => (situation.options(), situation.steps),
        _ => (options(id.family, &mut dice), steps(id.family, &mut dice)),
    };
    let life = guarded(id, || {
        let mut life = Life::new(id.seed, options)?;
        let outcome = life.run(&steps);
        Ok((life, outcome))
    })?;
    finish(id, life, dice.one_in(2) && id.family != Family::Situation)
}

fn finish(id: &Id, life: Life, close: bool) -> Result<Ended, Box<Failure>> {
    life.end(close).map_err(|violation| Box::new(Failure { id: id.clone(), violation, trace: String::new() }))
}

/// The life that begins in `image`: a few steps of the same family.
fn next_life(id: &Id, image: &CrashImage, ended: &Ended) -> Result<Ended, Box<Failure>> {
    let mut dice = Dice::new(image.hash() ^ 2);
    let options =
        Options { first_segment_size: ended.options.first_segment_size, ..options(id.family, &mut dice) };
    let least = u64::from(id.family == Family::Situation);
    let steps: Vec<_> = (0..dice.between(least, 4)).map(|_| step(id.family, &mut dice)).collect();
    let allowed = ended.history.allowed(image.position(), false);
    let most = ended.history.allowed(image.position(), image.is_kill()).most;
    let allowed = super::model::Allowed { most, ..allowed };
    let life = guarded(id, || {
        let mut life = Life::after(image, &allowed, options, mix(image.hash()))?;
        let outcome = life.run(&steps);
        Ok((life, outcome))
    })?;
    finish(id, life, dice.one_in(2))
}

/// The traces of `count` lives of a family.
pub fn lives(family: Family, seed: u64, count: u64) -> Result<Vec<String>, Box<Failure>> {
    let life = |number| {
        let id = Id { family, seed: mix(seed ^ mix(number)) >> 16, crashes: Vec::new() };
        Ok(first_life(&id)?.trace.to_string())
    };
    (0..count).map(life).collect()
}

/// A crash at some position of a life, more often while it was opened.
fn random_crash(ended: &Ended, dice: &mut Dice) -> Replay {
    let end = ended.trace.end() as u64;
    let opened = ended.history.generations.get(1).map_or(end, |one| one.opened_at as u64);
    let position = if dice.one_in(2) { dice.below(opened + 1) } else { dice.below(end + 1) } as usize;
    let variant = match dice.below(12) {
        0 | 1 => Variant::Killed,
        2 => Variant::Nothing,
        3 => Variant::Everything,
        4 => Variant::First(dice.below(12) as usize),
        5 => Variant::Last(dice.below(12) as usize),
        6 => Variant::AllBut(dice.below(12) as usize),
        7 => Variant::Only(dice.below(12) as usize),
        8 => Variant::Metadata { mask: dice.next(), data: dice.one_in(2) },
        9 => Variant::Random(dice.next() >> 32),
        10 => Variant::Torn {
            unit: dice.below(8) as usize,
            cut: dice.below(64) as usize * 8,
            head: dice.one_in(2),
            later: dice.one_in(2),
        },
        _ => Variant::Subset(dice.next()),
    };
    Replay { seed: ended.trace.seed(), position, variant, unwritten: Unwritten::Zeros }
}

/// Which images of a first life are made.
fn enumeration(id: &Id) -> Enumeration {
    let mut dice = Dice::new(id.seed ^ 3);
    let unwritten = match dice.below(6) {
        0 => Unwritten::Noise,
        1 | 2 => Unwritten::Stale,
        _ => Unwritten::Zeros,
    };
    let unwritten = if id.family == Family::LargeSegments { Unwritten::Zeros } else { unwritten };
    Enumeration {
        all_subsets_up_to: dice.between(3, 7) as usize,
        samples: dice.between(4, 24) as usize,
        random: dice.between(4, 24) as usize,
        tears: dice.between(1, 3) as usize,
        unwritten,
        kills: true,
        from: 0,
    }
}

/// Makes the image that `id` names again and recovers it. What was found, in words.
pub fn replay(id: &Id) -> Result<String, Box<Failure>> {
    let mut at = Id { crashes: Vec::new(), ..id.clone() };
    let mut ended = first_life(&at)?;
    for (number, crash) in id.crashes.iter().enumerate() {
        let trace = ended.trace.clone();
        let image = trace.image(crash).map_err(|error| {
            let violation = Violation::new(Check::Open, error.to_string());
            Box::new(Failure { id: id.clone(), violation, trace: trace.to_string() })
        })?;
        let found = recover(&image, &ended.options, false);
        check(&image, &found, &ended.history).map_err(|violation| failure(&at, &image, violation, &ended))?;
        let found = recover(&image, &ended.options, true);
        check(&image, &found, &ended.history).map_err(|violation| failure(&at, &image, violation, &ended))?;
        at.crashes.push(*crash);
        if number + 1 < id.crashes.len() {
            ended = next_life(&at, &image, &ended)?;
        }
    }
    // A life may have failed before any crash of it.
    if let Some(crash) = id.crashes.last() {
        let image = ended.trace.image(crash).expect("made before");
        ended = next_life(&at, &image, &ended)?;
    }
    Ok(format!("every promise is kept\n{}", ended.trace))
}
