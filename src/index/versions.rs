//! Several versions of one key, kept while a snapshot needs an older one than the newest.
//!
//! A list is a block of words: word 0 the number of versions in it (and, from bit 32 on, its size
//! class), word 1 the line of the block with still older ones, then two words a version, newest first:
//! its LSN, and its position in units with bit 63 for a deletion.
//!
//! Invariants:
//! 1. A list is never empty, and its LSNs descend.
//! 2. A list that readers can reach does not change, but for a position: the record has moved.
//!
//! Callers: the other files of `index`; [`Versions`] is handed to the store.

use crate::index::arena::{Arena, SizeClass};
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Lsn, Position};

pub(super) const HEADER_WORDS: usize = 2;
const CLASS_SHIFT: u32 = 32;
/// Versions in the largest block.
pub(super) const BLOCK_VERSIONS_MAX: usize = (SizeClass::LARGEST.words() - HEADER_WORDS) / 2;
const DELETED: u64 = 1 << 63;

/// One version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// The LSN of the operation that made it.
    pub lsn: Lsn,
    /// Its record.
    pub position: Position,
    /// Whether the operation deleted the key.
    pub deleted: bool,
}

impl Version {
    pub(super) fn to_word(self) -> u64 {
        self.position.to_units() | if self.deleted { DELETED } else { 0 }
    }
}

/// The versions of a key, newest first.
#[derive(Clone, Debug)]
pub struct Versions<'p> {
    arena: &'p Arena,
    line: u32,
    index: usize,
}

impl<'p> Versions<'p> {
    pub(super) fn new(arena: &'p Arena, line: u32) -> Versions<'p> {
        Versions { arena, line, index: 0 }
    }

    /// How many blocks the list at `line` takes.
    pub(super) fn blocks(arena: &Arena, mut line: u32) -> usize {
        let mut blocks = 0;
        while line != 0 {
            blocks += 1;
            line = header(arena, line).2;
        }
        blocks
    }

    /// The newest version that is not newer than `lsn`; it may be a deletion.
    pub fn at(&self, lsn: Lsn) -> Option<Version> {
        self.clone().find(|version| version.lsn <= lsn)
    }
}

impl<'p> Versions<'p> {
    /// The next version, and the word that holds its position.
    pub(super) fn next_with_word(&mut self) -> Option<(Version, &'p AtomicU64)> {
        while self.line != 0 {
            let (count, _, next) = header(self.arena, self.line);
            if self.index < count {
                let word = HEADER_WORDS + 2 * self.index;
                self.index += 1;
                let lsn = self.arena.word(self.line, word).load(Ordering::Relaxed);
                let word = self.arena.word(self.line, word + 1);
                let position = word.load(Ordering::Acquire);
                let deleted = position & DELETED != 0;
                return Some((Version { lsn, position: Position::from_units(position), deleted }, word));
            }
            self.line = next;
            self.index = 0;
        }
        None
    }
}

impl Iterator for Versions<'_> {
    type Item = Version;

    fn next(&mut self) -> Option<Version> {
        self.next_with_word().map(|(version, _)| version)
    }
}

/// Fills an allocated block of `class` with `versions`, which are followed by those in the block `next`.
pub(super) fn write_block(arena: &Arena, line: u32, class: SizeClass, versions: &[Version], next: u32) {
    let header = versions.len() as u64 | u64::from(class.number()) << CLASS_SHIFT;
    arena.word(line, 0).store(header, Ordering::Relaxed);
    arena.word(line, 1).store(u64::from(next), Ordering::Relaxed);
    for (index, version) in versions.iter().enumerate() {
        let word = HEADER_WORDS + 2 * index;
        arena.word(line, word).store(version.lsn, Ordering::Relaxed);
        arena.word(line, word + 1).store(version.to_word(), Ordering::Relaxed);
    }
}

/// How many versions a block holds, its size class, and the line of the next block or 0.
pub(super) fn header(arena: &Arena, line: u32) -> (usize, SizeClass, u32) {
    let word = arena.word(line, 0).load(Ordering::Relaxed);
    let next = arena.word(line, 1).load(Ordering::Relaxed) as u32;
    let class = SizeClass::new((word >> CLASS_SHIFT) as u8);
    let room = (class.words() - HEADER_WORDS) / 2;
    ((word as u32 as usize).min(room), class, next)
}

/// The position of the newest version in the list at `line`.
pub(super) fn newest_position(arena: &Arena, line: u32) -> Position {
    Position::from_units(arena.word(line, HEADER_WORDS + 1).load(Ordering::Acquire))
}
