//! The index's memory: lines of eight 64-bit words that every thread may read and one thread changes.
//!
//! [`Arena`] is the shared side: it hands out words as atomics, so that whatever a node's bytes mean,
//! no access to them is a data race. [`Allocator`] is the writer's side: which lines are in use.
//!
//! Invariants:
//! 1. A word is only ever accessed as an `AtomicU64`.
//! 2. Words below `committed` are mapped, initialised, and stay so until the arena is dropped;
//!    `committed` only grows. A line number beyond it, which a sound tree never holds, yields no words.
//! 3. Line 0 is never given out: a reference to it is null.
//! 4. A block on a free list has been out of every reader's reach for a whole epoch, so its first word
//!    may link the list.
//!
//! Callers: the other files of `index`.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
#[cfg(not(any(loom, shuttle, miri)))]
use crate::os::memory::{COMMIT_STEP, Reservation};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
#[cfg(not(any(loom, shuttle, miri)))]
use std::ptr::NonNull;

/// Words in a line of 64 bytes.
pub(super) const LINE_WORDS: usize = 8;
/// Bytes in a line.
pub(super) const LINE_BYTES: u64 = 64;

/// How many blocks' worth of lines an insert leaves untouched, so that removals, which copy nodes too,
/// still work when memory has run out.
const RESERVE_LINES_MAX: u32 = 1024;
/// How much is committed at a time.
const COMMIT_LINES: u32 = (2 << 20) / LINE_BYTES as u32;
/// The least address space to make do with, where the system refuses more.
#[cfg(not(any(loom, shuttle, miri)))]
const SIZE_MIN: usize = 64 << 20;

/// The sizes of blocks: 1, 2, 4, 8, 16 and 33 lines. The last one is a node of 256 children, whose header
/// has a line of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SizeClass(u8);

impl SizeClass {
    /// How many there are.
    pub(super) const COUNT: usize = 6;
    /// The largest.
    pub(super) const LARGEST: SizeClass = SizeClass(5);

    /// The class with this number, at most [`SizeClass::LARGEST`].
    pub(super) const fn new(number: u8) -> SizeClass {
        SizeClass(if number < Self::COUNT as u8 { number } else { Self::COUNT as u8 - 1 })
    }

    /// The smallest class that has room for `words`, or the largest.
    pub(super) fn for_words(words: usize) -> SizeClass {
        let lines = words.div_ceil(LINE_WORDS);
        let number = (0..Self::COUNT as u8).find(|number| SizeClass(*number).lines() as usize >= lines);
        number.map_or(Self::LARGEST, SizeClass)
    }

    /// Its number.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// Its size in lines.
    pub(super) const fn lines(self) -> u32 {
        if self.0 == Self::LARGEST.0 { 33 } else { 1 << self.0 }
    }

    /// Its size in words.
    pub(super) const fn words(self) -> usize {
        self.lines() as usize * LINE_WORDS
    }
}

/// The shared side. See the module.
#[derive(Debug)]
pub(super) struct Arena {
    /// Words at the front that may be used.
    committed: AtomicUsize,
    #[cfg(not(any(loom, shuttle, miri)))]
    base: NonNull<AtomicU64>,
    #[cfg(not(any(loom, shuttle, miri)))]
    reservation: Reservation,
    /// Under an explorer, words of the explorer's own, few enough to follow.
    #[cfg(any(loom, shuttle, miri))]
    heap: Box<[AtomicU64]>,
    /// Lines that may be committed at most.
    limit: u32,
    /// What a word out of range reads as: null.
    nowhere: AtomicU64,
}

// SAFETY: `base` points to atomics (invariant 1) in memory that the arena owns (invariant 2).
#[cfg(not(any(loom, shuttle, miri)))]
unsafe impl Send for Arena {}
// SAFETY: as above; what is reached through `base` are atomics.
#[cfg(not(any(loom, shuttle, miri)))]
unsafe impl Sync for Arena {}

#[cfg(not(any(loom, shuttle, miri)))]
impl Arena {
    /// An arena of at most `limit` bytes; less where the system refuses so much address space.
    pub(super) fn new(limit: u64) -> Result<Arena> {
        let size = usize::try_from(limit).unwrap_or(usize::MAX / 2).min(1 << 38);
        let reservation = Reservation::new(size, size.min(SIZE_MIN))?;
        let lines = (reservation.size() as u64).min(limit) / LINE_BYTES;
        Ok(Arena {
            committed: AtomicUsize::new(0),
            base: reservation.base().cast(),
            reservation,
            limit: u32::try_from(lines).unwrap_or(u32::MAX),
            nowhere: AtomicU64::new(0),
        })
    }

    /// Makes the first `lines` lines usable.
    fn commit(&self, lines: u32) -> Result<()> {
        let bytes = lines as usize * LINE_BYTES as usize;
        self.reservation.commit(bytes)?;
        self.committed.store(bytes / 8, Ordering::Release);
        Ok(())
    }

    /// Gives the memory behind the first step back to the system. Only while no block is in use.
    fn discard(&self) {
        // SAFETY: no block is in use, so there is no reference into the tree through which a reader could
        // come here (invariant 4: every block was out of reach before it was freed), and the writer is
        // in this call. What a new block holds is not relied on.
        unsafe { self.reservation.discard(COMMIT_STEP) };
    }

    /// `count` words from the start of `line` on; none where that is out of range.
    #[inline]
    pub(super) fn words(&self, line: u32, count: usize) -> &[AtomicU64] {
        let start = line as usize * LINE_WORDS;
        if start + count > self.committed.load(Ordering::Relaxed) {
            debug_assert!(false, "line {line} is beyond the arena");
            return &[];
        }
        // SAFETY: the range was just checked to be below `committed`, so it is mapped, initialised
        // (anonymous memory starts as zeros) and lives as long as `self` (invariant 2); all access to it
        // is atomic (invariant 1). `start + count` cannot overflow: `line` has 32 bits.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), count) }
    }

    /// Hints that the line is read soon.
    #[inline]
    pub(super) fn prefetch(&self, line: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = self.base.as_ptr().wrapping_add(line as usize * LINE_WORDS);
            // SAFETY: a prefetch has no effect on memory, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

#[cfg(any(loom, shuttle, miri))]
impl Arena {
    /// An arena of at most `limit` bytes.
    pub(super) fn new(limit: u64) -> Result<Arena> {
        let lines = u32::try_from(limit / LINE_BYTES).unwrap_or(u32::MAX);
        // A whole store reserves more than a model of the index alone.
        let most = if !cfg!(loom) {
            512
        } else if lines > 1 << 20 {
            192
        } else {
            32
        };
        let lines = lines.min(most);
        Ok(Arena {
            committed: AtomicUsize::new(0),
            heap: (0..lines as usize * LINE_WORDS).map(|_| AtomicU64::new(0)).collect(),
            limit: lines,
            nowhere: AtomicU64::new(0),
        })
    }

    fn commit(&self, lines: u32) -> Result<()> {
        self.committed.store(lines as usize * LINE_WORDS, Ordering::Release);
        Ok(())
    }

    fn discard(&self) {}

    /// `count` words from the start of `line` on; none where that is out of range.
    pub(super) fn words(&self, line: u32, count: usize) -> &[AtomicU64] {
        let start = line as usize * LINE_WORDS;
        self.heap.get(start..start + count).unwrap_or(&[])
    }

    /// Hints that the line is read soon.
    pub(super) fn prefetch(&self, _line: u32) {}
}

impl Arena {
    /// The word that stands for every one out of range. Reads as null.
    #[inline]
    pub(super) fn nowhere(&self) -> &AtomicU64 {
        &self.nowhere
    }

    /// Word `index` of the block that starts at `line`.
    #[inline]
    pub(super) fn word(&self, line: u32, index: usize) -> &AtomicU64 {
        let line = line + (index / LINE_WORDS) as u32;
        self.words(line, LINE_WORDS).get(index % LINE_WORDS).unwrap_or(&self.nowhere)
    }

    /// Bytes that may be committed at most.
    pub(super) fn limit_bytes(&self) -> u64 {
        u64::from(self.limit) * LINE_BYTES
    }
}

/// What a block is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To hold something new: leaves the reserve alone.
    Grow,
    /// To take something out: may use the reserve.
    Shrink,
}

/// The writer's side: the next line never used, and a list of free blocks for each size.
///
/// A free block that is larger than needed is split when no smaller one is free; the parts are not
/// joined again. So the arena grows to the largest need for each size, not beyond.
#[derive(Debug)]
pub(super) struct Allocator {
    /// The first line that was never given out.
    next: u32,
    /// Lines that may be given out before more is committed.
    committed: u32,
    /// First block of each size's list, 0 where it is empty.
    free: [u32; SizeClass::COUNT],
    /// Lines on the lists.
    free_lines: u32,
    /// Lines given out and not yet freed.
    used_lines: u32,
    reserve_lines: u32,
}

impl Allocator {
    /// For an arena in which nothing is in use yet.
    pub(super) fn new(arena: &Arena) -> Allocator {
        Allocator {
            next: 1,
            committed: 0,
            free: [0; SizeClass::COUNT],
            free_lines: 0,
            used_lines: 0,
            reserve_lines: RESERVE_LINES_MAX.min(arena.limit / 8),
        }
    }

    /// Bytes in blocks given out and not yet freed.
    pub(super) fn used_bytes(&self) -> u64 {
        u64::from(self.used_lines) * LINE_BYTES
    }

    /// Bytes that are committed.
    pub(super) fn committed_bytes(&self) -> u64 {
        u64::from(self.committed) * LINE_BYTES
    }

    /// A block of `class`. Its words hold anything. Error: `NoMemory`, and nothing has changed.
    pub(super) fn allocate(&mut self, arena: &Arena, class: SizeClass, purpose: Purpose) -> Result<u32> {
        let lines = class.lines();
        if purpose == Purpose::Grow {
            let wanted = lines + self.reserve_lines;
            let spare = self.free_lines + (self.committed - self.next.min(self.committed));
            if spare < wanted {
                self.commit(arena, wanted - spare)?;
            }
        }
        let line = match self.take_free(arena, class) {
            Some(line) => line,
            None => {
                let end = self.next.checked_add(lines).ok_or(Error::NoMemory("the index"))?;
                if end > self.committed {
                    self.commit(arena, end - self.committed)?;
                }
                self.next = end;
                end - lines
            }
        };
        self.used_lines += lines;
        Ok(line)
    }

    /// Sees to it that blocks of `lines` in all can be allocated without asking the system for more, for
    /// either purpose.
    pub(super) fn ensure(&mut self, arena: &Arena, lines: u32) -> Result<()> {
        let wanted = lines.checked_add(self.reserve_lines).ok_or(Error::NoMemory("the index"))?;
        let room = self.committed - self.next.min(self.committed);
        if room < wanted { self.commit(arena, wanted - room) } else { Ok(()) }
    }

    /// Takes back a block that no reader can reach (invariant 4).
    pub(super) fn free(&mut self, arena: &Arena, line: u32, class: SizeClass) {
        self.used_lines = self.used_lines.saturating_sub(class.lines());
        self.push_free(arena, line, class);
        if self.used_lines == 0 && self.next > COMMIT_LINES {
            // Everything is free: start over with whole blocks, and give the memory back.
            self.next = 1;
            self.free = [0; SizeClass::COUNT];
            self.free_lines = 0;
            arena.discard();
        }
    }

    /// Commits at least `lines` more.
    fn commit(&mut self, arena: &Arena, lines: u32) -> Result<()> {
        let least = self.committed.max(self.next).checked_add(lines).ok_or(Error::NoMemory("the index"))?;
        if least > arena.limit {
            return Err(Error::NoMemory("the index: its address space is full"));
        }
        let rounded = least.checked_next_multiple_of(COMMIT_LINES).unwrap_or(u32::MAX).min(arena.limit);
        arena.commit(rounded)?;
        self.committed = rounded;
        Ok(())
    }

    fn push_free(&mut self, arena: &Arena, line: u32, class: SizeClass) {
        if let Some(head) = self.free.get_mut(class.number() as usize) {
            arena.word(line, 0).store(u64::from(*head), Ordering::Relaxed);
            *head = line;
            self.free_lines += class.lines();
        }
    }

    fn pop_free(&mut self, arena: &Arena, class: SizeClass) -> Option<u32> {
        let head = self.free.get_mut(class.number() as usize)?;
        let line = *head;
        if line == 0 {
            return None;
        }
        *head = arena.word(line, 0).load(Ordering::Relaxed) as u32;
        self.free_lines -= class.lines();
        Some(line)
    }

    /// A free block of `class`, or the front of the smallest larger one, the rest of which goes to the
    /// lists it fits.
    fn take_free(&mut self, arena: &Arena, class: SizeClass) -> Option<u32> {
        let larger = (class.number()..SizeClass::COUNT as u8).map(SizeClass::new);
        let (line, found) = larger
            .filter_map(|candidate| self.pop_free(arena, candidate).map(|line| (line, candidate)))
            .next()?;
        let (mut end, wanted) = (found.lines(), class.lines());
        while end > wanted {
            // 33 lines are two halves of 16 and one line; the others are powers of two.
            let part = match end {
                33 => 1,
                32 => 16,
                _ => end / 2,
            };
            end -= part;
            self.push_free(arena, line + end, SizeClass::for_words(part as usize * LINE_WORDS));
        }
        Some(line)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Every block that is out at the same time is apart from every other, whatever was split.
    #[test]
    fn blocks_never_overlap() {
        let arena = Arena::new(1 << 20).unwrap();
        let mut allocator = Allocator::new(&arena);
        let mut random = crate::index::tests::Random::new(7);
        let mut out: Vec<(u32, SizeClass)> = Vec::new();
        let mut owner = vec![false; (arena.limit_bytes() / LINE_BYTES) as usize];
        for _ in 0..20_000 {
            if random.below(100) < 52 {
                let class = SizeClass::new(random.below(6) as u8);
                let Ok(line) = allocator.allocate(&arena, class, Purpose::Grow) else { continue };
                for used in line..line + class.lines() {
                    assert!(!owner[used as usize] && used != 0);
                    owner[used as usize] = true;
                }
                out.push((line, class));
            } else if !out.is_empty() {
                let (line, class) = out.swap_remove(random.below(out.len() as u64) as usize);
                owner[line as usize..(line + class.lines()) as usize].fill(false);
                allocator.free(&arena, line, class);
            }
        }
        let used: u64 = out.iter().map(|(_, class)| u64::from(class.lines()) * LINE_BYTES).sum();
        assert_eq!(allocator.used_bytes(), used);
    }

    #[test]
    fn a_freed_large_block_serves_small_needs_before_the_arena_grows() {
        let arena = Arena::new(1 << 20).unwrap();
        let mut allocator = Allocator::new(&arena);
        let large = allocator.allocate(&arena, SizeClass::LARGEST, Purpose::Grow).unwrap();
        let _keeps_it_from_starting_over =
            allocator.allocate(&arena, SizeClass::new(0), Purpose::Grow).unwrap();
        allocator.free(&arena, large, SizeClass::LARGEST);
        let next = allocator.next;
        for _ in 0..33 {
            allocator.allocate(&arena, SizeClass::new(0), Purpose::Grow).unwrap();
        }
        assert_eq!(allocator.next, next);
    }

    #[test]
    fn removals_find_memory_when_inserts_no_longer_do() {
        let arena = Arena::new(1 << 16).unwrap();
        let mut allocator = Allocator::new(&arena);
        while allocator.allocate(&arena, SizeClass::new(0), Purpose::Grow).is_ok() {}
        assert!(allocator.allocate(&arena, SizeClass::new(4), Purpose::Shrink).is_ok());
    }
}
