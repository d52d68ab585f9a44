//! What a crash kept, and how to name it in a line of text.
//!
//! Callers: `sim::crash`; tests.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::os::sim::state::Unwritten;

/// What a crash kept of the units that were not durable, numbered from 0 in the order made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Variant {
    /// No crash of the machine, but of the process: everything is there, and still not durable.
    Killed,
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Those whose bit is set.
    Subset(u64),
    /// All but this one.
    AllBut(usize),
    /// This one alone.
    Only(usize),
    /// The first so many.
    First(usize),
    /// All but the first so many.
    Last(usize),
    /// Those without data (lengths and names) whose bit is set, counted among themselves; and all data,
    /// or none.
    Metadata {
        /// One bit a unit.
        mask: u64,
        /// Whether all data was kept.
        data: bool,
    },
    /// Chosen by this number; some torn.
    Random(u64),
    /// This data unit torn at `cut`, and all others, or those before it.
    Torn {
        /// The unit.
        unit: usize,
        /// Bytes from the unit's start: where the kept part ends, or starts.
        cut: usize,
        /// Whether the part before the cut was kept; else the part after it.
        head: bool,
        /// Whether the units after it were kept too.
        later: bool,
    },
}

/// What it takes to make an image again from the same trace. Its text form can be parsed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Replay {
    /// The seed of the disk.
    pub seed: u64,
    /// The position in its trace.
    pub position: usize,
    /// What was kept.
    pub variant: Variant,
    /// What unwritten space reads as.
    pub unwritten: Unwritten,
}

impl fmt::Display for Replay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:", self.seed, self.position)?;
        match self.variant {
            Variant::Killed => write!(formatter, "killed"),
            Variant::Nothing => write!(formatter, "nothing"),
            Variant::Everything => write!(formatter, "everything"),
            Variant::Subset(mask) => write!(formatter, "subset.{mask}"),
            Variant::AllBut(unit) => write!(formatter, "all-but.{unit}"),
            Variant::Only(unit) => write!(formatter, "only.{unit}"),
            Variant::First(count) => write!(formatter, "first.{count}"),
            Variant::Last(count) => write!(formatter, "last.{count}"),
            Variant::Metadata { mask, data } => write!(formatter, "metadata.{mask}.{}", u8::from(data)),
            Variant::Random(number) => write!(formatter, "random.{number}"),
            Variant::Torn { unit, cut, head, later } => {
                write!(formatter, "torn.{unit}.{cut}.{}.{}", u8::from(head), u8::from(later))
            }
        }?;
        match self.unwritten {
            Unwritten::Zeros => Ok(()),
            Unwritten::Noise => write!(formatter, ":noise"),
            Unwritten::Stale => write!(formatter, ":stale"),
        }
    }
}

impl FromStr for Replay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Replay> {
        let parsed = || {
            let mut parts = text.split(':');
            let seed = parts.next()?.parse().ok()?;
            let position = parts.next()?.parse().ok()?;
            let mut words = parts.next()?.split('.');
            let kind = words.next()?;
            let mut numbers = words.map(|word| word.parse::<u64>().ok());
            let mut number = || numbers.next().flatten();
            let variant = match kind {
                "killed" => Variant::Killed,
                "nothing" => Variant::Nothing,
                "everything" => Variant::Everything,
                "subset" => Variant::Subset(number()?),
                "all-but" => Variant::AllBut(number()? as usize),
                "only" => Variant::Only(number()? as usize),
                "first" => Variant::First(number()? as usize),
                "last" => Variant::Last(number()? as usize),
                "metadata" => Variant::Metadata { mask: number()?, data: number()? == 1 },
                "random" => Variant::Random(number()?),
                "torn" => Variant::Torn {
                    unit: number()? as usize,
                    cut: number()? as usize,
                    head: number()? == 1,
                    later: number()? == 1,
                },
                _ => return None,
            };
            let unwritten = match parts.next() {
                None => Unwritten::Zeros,
                Some("noise") => Unwritten::Noise,
                Some("stale") => Unwritten::Stale,
                Some(_) => return None,
            };
            Some(Replay { seed, position, variant, unwritten })
        };
        parsed().ok_or_else(|| Error::InvalidArgument(format!("{text:?} is not the replay id of an image")))
    }
}
