//! The disks that a crash could leave behind, as values.
//!
//! At each position of a trace some units (see `state.rs`) are not durable. Where they are few, every
//! subset of them is an image; where they are many, a choice that has found bugs elsewhere: none, all,
//! each one missing, each one alone, each prefix and each suffix of them, metadata without data and the
//! reverse, and random ones; besides, each write torn at a multiple of 8 bytes.
//!
//! Callers: tests.

mod image;
mod replay;

use std::collections::HashMap;

use super::content::mix;
use super::state::{DiskState, Kept, Unwritten};
use super::trace::Trace;
use crate::error::{Error, Result};
pub use image::CrashImage;
pub use replay::{Replay, Variant};

/// Which images to make.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// Up to this many units (at most 20), all subsets. Default: 10.
    pub all_subsets_up_to: usize,
    /// Beyond, at most this many of each kind that goes through the units one by one. Default: 64.
    pub samples: usize,
    /// Beyond, this many random subsets; tears among them. Default: 64.
    pub random: usize,
    /// Cuts tried for each write, at random multiples of 8 bytes. Default: 2.
    pub tears: usize,
    /// What space reads as whose length reached the device but whose data did not. Default: zeros.
    pub unwritten: Unwritten,
    /// Whether to make the image of a kill too, at each position. Default: yes.
    pub kills: bool,
    /// The first position to make images of. Default: 0.
    pub from: usize,
}

impl Default for Enumeration {
    fn default() -> Enumeration {
        Enumeration {
            all_subsets_up_to: 10,
            samples: 64,
            random: 64,
            tears: 2,
            unwritten: Unwritten::Zeros,
            kills: true,
            from: 0,
        }
    }
}

impl Trace {
    /// Every image that `plan` asks for, in the order of positions. Images of later positions that equal
    /// earlier ones come again: more may have been promised by then. To recover each only once, use
    /// [`explore`].
    pub fn crash_states<'a>(&'a self, plan: &'a Enumeration) -> CrashStates<'a> {
        CrashStates {
            trace: self,
            plan,
            state: self.state_at(plan.from),
            position: plan.from,
            units: Vec::new(),
            variants: Vec::new(),
            ready: false,
        }
    }

    /// Makes an image again. Errors: `InvalidArgument` where it belongs to another seed or trace.
    pub fn image(&self, replay: &Replay) -> Result<CrashImage> {
        if replay.seed != self.seed || replay.position > self.end() {
            return Err(Error::InvalidArgument(format!("{replay} belongs to another trace")));
        }
        let state = self.state_at(replay.position);
        let units: Vec<_> = state.optional_units().collect();
        Ok(make_image(&state, &units, *replay))
    }
}

/// A unit, if it is data: its offset and size.
type UnitData = Option<(u64, usize)>;

fn make_image(state: &DiskState, units: &[UnitData], replay: Replay) -> CrashImage {
    let seed = mix(replay.seed) ^ replay.position as u64;
    let keep_if = |condition: bool| if condition { Kept::Everything } else { Kept::Nothing };
    let is_data = |unit: usize| units.get(unit).is_some_and(Option::is_some);
    let metadata_before = |unit: usize| units.iter().take(unit).filter(|unit| unit.is_none()).count();
    let bit = |mask: u64, index: usize| index < 64 && mask >> index & 1 == 1;
    let keep = |unit: usize| match replay.variant {
        Variant::Killed | Variant::Everything => Kept::Everything,
        Variant::Nothing => Kept::Nothing,
        Variant::Subset(mask) => keep_if(bit(mask, unit)),
        Variant::AllBut(other) => keep_if(unit != other),
        Variant::Only(other) => keep_if(unit == other),
        Variant::First(count) => keep_if(unit < count),
        Variant::Last(count) => keep_if(unit >= count),
        Variant::Metadata { data, .. } if is_data(unit) => keep_if(data),
        Variant::Metadata { mask, .. } => keep_if(bit(mask, metadata_before(unit))),
        Variant::Random(number) => random_part(mix(seed ^ mix(number)), unit, units),
        Variant::Torn { unit: torn, cut, head, later } => match unit.cmp(&torn) {
            std::cmp::Ordering::Less => Kept::Everything,
            std::cmp::Ordering::Greater => keep_if(later),
            std::cmp::Ordering::Equal => {
                let size = units.get(unit).copied().flatten().map_or(0, |(_, size)| size);
                Kept::Part(if head { 0..cut.min(size) } else { cut.min(size)..size })
            }
        },
    };
    let state = match replay.variant {
        Variant::Killed => state.after_kill(),
        _ => state.after_power_loss(keep, replay.unwritten, seed),
    };
    CrashImage::new(state, replay)
}

/// What the random image `number` keeps of a unit. Few, half or most of them are kept, some torn.
fn random_part(number: u64, unit: usize, units: &[UnitData]) -> Kept {
    let chance = [16, 128, 240].get((number % 3) as usize).copied().unwrap_or(128);
    let dice = mix(number ^ mix(unit as u64 + 1));
    if dice % 256 >= chance {
        return Kept::Nothing;
    }
    match units.get(unit).copied().flatten() {
        Some((offset, size)) if (dice >> 8).is_multiple_of(8) => {
            let cut = tear(dice >> 16, offset, size);
            Kept::Part(if dice >> 15 & 1 == 0 { 0..cut } else { cut..size })
        }
        _ => Kept::Everything,
    }
}

/// A place to tear a data unit at: a multiple of 8 in the file, inside the unit if it is that large.
fn tear(dice: u64, offset: u64, size: usize) -> usize {
    let first = (8 - offset % 8) as usize;
    let places = size.saturating_sub(first).div_ceil(8);
    if places == 0 { size } else { first + (dice % places as u64) as usize * 8 }
}

/// The iterator over the images of a trace.
#[derive(Debug)]
pub struct CrashStates<'a> {
    trace: &'a Trace,
    plan: &'a Enumeration,
    state: DiskState,
    position: usize,
    units: Vec<UnitData>,
    /// Of this position, still to come, last first.
    variants: Vec<Variant>,
    ready: bool,
}

impl Iterator for CrashStates<'_> {
    type Item = CrashImage;

    fn next(&mut self) -> Option<CrashImage> {
        loop {
            if !self.ready {
                self.units = self.state.optional_units().collect();
                self.variants = variants(&self.units, self.plan, mix(self.trace.seed) ^ self.position as u64);
                self.variants.reverse();
                self.ready = true;
            }
            if let Some(variant) = self.variants.pop() {
                let (seed, position, unwritten) = (self.trace.seed, self.position, self.plan.unwritten);
                let replay = Replay { seed, position, variant, unwritten };
                return Some(make_image(&self.state, &self.units, replay));
            }
            self.state.apply(self.trace.operations.get(self.position)?);
            self.position += 1;
            self.ready = false;
        }
    }
}

/// The images to make of one position.
fn variants(units: &[UnitData], plan: &Enumeration, seed: u64) -> Vec<Variant> {
    let count = units.len();
    let mut variants = Vec::new();
    if plan.kills {
        variants.push(Variant::Killed);
    }
    if count == 0 {
        variants.push(Variant::Nothing);
        return variants;
    }
    let sampled = || sample(count, plan.samples);
    if count <= plan.all_subsets_up_to.min(20) {
        variants.extend((0..1u64 << count).map(Variant::Subset));
    } else {
        variants.extend([Variant::Nothing, Variant::Everything]);
        variants.extend(sampled().map(Variant::AllBut));
        variants.extend(sampled().map(Variant::Only));
        variants.extend(sampled().map(Variant::First));
        variants.extend(sampled().map(Variant::Last));
        let metadata = units.iter().filter(|unit| unit.is_none()).count();
        let masks = if metadata <= 5 { (0..1u64 << metadata).collect() } else { vec![0, u64::MAX] };
        for mask in masks {
            variants.extend([true, false].map(|data| Variant::Metadata { mask, data }));
        }
        variants.extend((0..plan.random as u64).map(Variant::Random));
    }
    for unit in sampled() {
        let Some((offset, size)) = units.get(unit).copied().flatten() else { continue };
        for attempt in 0..plan.tears as u64 {
            let dice = mix(seed ^ mix(unit as u64 ^ attempt << 32));
            let (cut, head) = (tear(dice >> 8, offset, size), !(dice & 7).is_multiple_of(8));
            if cut < size {
                variants.extend([true, false].map(|later| Variant::Torn { unit, cut, head, later }));
            }
        }
    }
    variants
}

/// All of `0..count`, or `limit` of them from the first to the last.
fn sample(count: usize, limit: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(limit);
    let steps = taken.saturating_sub(1).max(1);
    (0..taken).map(move |index| index * (count - 1) / steps)
}

/// How many images there were.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Explored {
    /// All of them.
    pub images: u64,
    /// Different ones: so many were recovered.
    pub distinct: u64,
}

/// Recovers each different image of a trace once, and checks what it became at every position at which
/// it can arise: the later the position, the more was promised.
pub fn explore<R>(
    trace: &Trace,
    plan: &Enumeration,
    mut recover: impl FnMut(&CrashImage) -> R,
    mut check: impl FnMut(&CrashImage, &R),
) -> Explored {
    let mut recovered = HashMap::new();
    let mut images = 0;
    for image in trace.crash_states(plan) {
        images += 1;
        check(&image, recovered.entry(image.hash()).or_insert_with(|| recover(&image)));
    }
    Explored { images, distinct: recovered.len() as u64 }
}
