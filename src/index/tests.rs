//! The index against a sorted map, with the keys that are hardest for a radix tree.

#[cfg(not(any(loom, shuttle)))]
mod bench;
#[cfg(not(any(loom, shuttle)))]
mod cursor;
#[cfg(loom)]
mod loom;
#[cfg(not(any(loom, shuttle)))]
mod model;
#[cfg(all(shuttle, not(loom)))]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod threads;
#[cfg(not(any(loom, shuttle)))]
mod versions;

use crate::error::{Error, Result};
use crate::index::KeySource;
use crate::types::{Lsn, Position};

/// A small generator: the same numbers for the same seed, everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// A log of keys in memory. Position i * 8 is the i-th record.
#[derive(Default)]
pub(super) struct Records {
    keys: Vec<Box<[u8]>>,
}

impl Records {
    /// Appends a record of `key`.
    pub(super) fn append(&mut self, key: &[u8]) -> Position {
        self.keys.push(key.into());
        Position::from_units(self.keys.len() as u64 - 1)
    }

    pub(super) fn key(&self, position: Position) -> &[u8] {
        &self.keys[position.to_units() as usize]
    }
}

impl KeySource for Records {
    fn key_at(&self, position: Position) -> Result<&[u8]> {
        self.keys.get(position.to_units() as usize).map(|key| &**key).ok_or(Error::Internal("no such record"))
    }

    /// Records are numbered from 1 on.
    fn lsn_at(&self, position: Position) -> Result<Lsn> {
        Ok(position.to_units() + 1)
    }
}
