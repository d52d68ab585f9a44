//! The writer's own state: free memory, and what waits until no reader can reach it.
//!
//! Invariants:
//! 1. There is one [`Writer`] to an index, and its methods take `&mut self`: one change at a time.
//! 2. What is taken out of the tree is queued with the epoch of that moment, after the store that took
//!    it out, and freed once every reader's epoch is later.
//! 3. A change that fails has published nothing and holds no memory: all that it needs is allocated,
//!    room in the queue included, before its one Release store.
//!
//! Callers: `insert`, `remove`, `update` add the changes to [`Writer`]; the store holds it in its append
//! lock.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::arena::{Allocator, LINE_BYTES, Purpose, SizeClass};
use crate::index::reference::{Kind, Ref, Target};
use crate::index::tree::Tree;
use crate::index::versions::{self, BLOCK_VERSIONS_MAX, HEADER_WORDS, Version};
use crate::sync::Ordering;

/// Blocks that are retired before their memory is asked for back.
#[cfg(not(any(loom, shuttle)))]
const RECLAIM_EVERY: usize = 256;
#[cfg(any(loom, shuttle))]
const RECLAIM_EVERY: usize = 1;
/// Most blocks that one change of a key without versions retires.
const RETIRED_BY_A_CHANGE: usize = 6;

/// Most lines that one change of a key takes: a list beside the newest version, a list of older ones, and
/// there a fork and a copy of the node below it.
const LINES_OF_A_CHANGE: u32 = 3 * SizeClass::LARGEST.lines() + 1;

/// The one that may change the index.
#[derive(Debug)]
pub struct Writer {
    pub(super) tree: Arc<Tree>,
    pub(super) memory: Memory,
}

#[derive(Debug)]
struct Retired {
    epoch: u64,
    line: u32,
    class: SizeClass,
}

/// The writer's side of the arena.
#[derive(Debug)]
pub(super) struct Memory {
    allocator: Allocator,
    retired: VecDeque<Retired>,
    retired_bytes: u64,
    /// Blocks retired since the last look at the readers.
    since_reclaim: usize,
    keys: u64,
    /// Room for the versions of a key before and after a change.
    pub(super) scratch: Scratch,
}

/// See [`Memory::scratch`].
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) before: Vec<Version>,
    pub(super) after: Vec<Version>,
}

impl Scratch {
    fn reserve(&mut self) -> Result<()> {
        let before = self.before.try_reserve(BLOCK_VERSIONS_MAX);
        let after = self.after.try_reserve(BLOCK_VERSIONS_MAX + 1);
        before.and(after).map_err(|_| Error::NoMemory("the versions of a key"))
    }
}

/// What new versions of many keys take. See [`Writer::reserve_room`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Room {
    lines: u32,
    blocks: usize,
}

impl Room {
    /// Adds a change of any key, as [`Writer::reserve`] counts it.
    pub fn add_change(&mut self) {
        self.lines = self.lines.saturating_add(LINES_OF_A_CHANGE);
        self.blocks = self.blocks.saturating_add(RETIRED_BY_A_CHANGE);
    }

    /// Adds all that another one is for.
    pub fn join(&mut self, other: &Room) {
        self.lines = self.lines.saturating_add(other.lines);
        self.blocks = self.blocks.saturating_add(other.blocks);
    }

    /// Adds a key that will have so many versions.
    pub fn add(&mut self, versions: usize) {
        let full = versions / BLOCK_VERSIONS_MAX;
        let rest = SizeClass::for_words(HEADER_WORDS + 2 * (versions % BLOCK_VERSIONS_MAX)).lines();
        let full_lines = u32::try_from(full).unwrap_or(u32::MAX).saturating_mul(SizeClass::LARGEST.lines());
        // What does not fit the arena is refused when it is asked for.
        self.lines = self.lines.saturating_add(rest).saturating_add(full_lines);
        self.blocks = self.blocks.saturating_add(2 + full);
    }
}

/// A moment in the index's life, as [`Writer::mark`] gives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark(pub(super) u64);

impl Writer {
    pub(super) fn new(tree: Arc<Tree>) -> Writer {
        let memory = Memory {
            allocator: Allocator::new(&tree.arena),
            retired: VecDeque::new(),
            retired_bytes: 0,
            since_reclaim: 0,
            keys: 0,
            scratch: Scratch::default(),
        };
        Writer { tree, memory }
    }

    /// Frees what no reader can reach any more. Changes do this by themselves every so often; worth
    /// calling when writes have stopped.
    pub fn reclaim(&mut self) {
        self.memory.reclaim(&self.tree);
        self.memory.publish(&self.tree);
    }

    /// Bytes taken out of the tree that wait for readers to leave.
    pub fn waiting_bytes(&self) -> u64 {
        self.memory.retired_bytes
    }

    /// Sees to it that the next `changes` changes have the memory they need, so that they cannot fail for
    /// want of it; changes of a key with more than a hundred versions excepted. Error: `NoMemory`.
    pub fn reserve(&mut self, changes: usize) -> Result<()> {
        let lines = u32::try_from(changes).ok().and_then(|changes| changes.checked_mul(LINES_OF_A_CHANGE));
        self.memory.prepare(&self.tree, changes.saturating_mul(RETIRED_BY_A_CHANGE))?;
        self.memory.scratch.reserve()?;
        self.memory.ensure(&self.tree, lines.ok_or(Error::NoMemory("the index"))?)
    }

    /// As [`Writer::reserve`], for new versions of keys whose number of versions is known.
    pub fn reserve_room(&mut self, room: &Room) -> Result<()> {
        self.memory.prepare(&self.tree, room.blocks)?;
        self.memory.scratch.reserve()?;
        self.memory.ensure(&self.tree, room.lines)
    }

    /// Marks this moment: once [`Index::is_past`](super::Index::is_past) says so, no reader can still
    /// hold a position that was taken out of the index before it.
    pub fn mark(&mut self) -> Mark {
        let mark = self.tree.pins.epoch();
        self.tree.pins.advance();
        Mark(mark)
    }
}

impl Memory {
    /// To be called before a change: makes room in the queue for `blocks` and frees what it can.
    pub(super) fn prepare(&mut self, tree: &Tree, blocks: usize) -> Result<()> {
        if self.since_reclaim >= RECLAIM_EVERY {
            self.reclaim(tree);
        }
        self.retired
            .try_reserve(blocks.max(RETIRED_BY_A_CHANGE))
            .map_err(|_| Error::NoMemory("the index: its queue of retired nodes"))
    }

    fn ensure(&mut self, tree: &Tree, lines: u32) -> Result<()> {
        self.allocator.ensure(&tree.arena, lines)
    }

    /// To be called after a change: tells the readers of [`IndexMemory`](super::IndexMemory).
    pub(super) fn publish(&self, tree: &Tree) {
        let live = self.allocator.used_bytes() - self.retired_bytes;
        tree.counters.live_bytes.store(live, Ordering::Relaxed);
        tree.counters.committed_bytes.store(self.allocator.committed_bytes(), Ordering::Relaxed);
        tree.counters.keys.store(self.keys, Ordering::Relaxed);
    }

    pub(super) fn key_added(&mut self) {
        self.keys += 1;
    }

    pub(super) fn key_removed(&mut self) {
        self.keys = self.keys.saturating_sub(1);
    }

    /// A block of `class`; its words hold anything.
    pub(super) fn allocate(&mut self, tree: &Tree, class: SizeClass, purpose: Purpose) -> Result<u32> {
        self.allocator.allocate(&tree.arena, class, purpose).or_else(|_| {
            self.reclaim(tree);
            self.allocator.allocate(&tree.arena, class, purpose)
        })
    }

    /// Gives back a block that was never published.
    pub(super) fn give_back(&mut self, tree: &Tree, line: u32, class: SizeClass) {
        self.allocator.free(&tree.arena, line, class);
    }

    /// Two blocks, or none.
    pub(super) fn allocate_two(
        &mut self,
        tree: &Tree,
        first: Kind,
        second: Kind,
        purpose: Purpose,
    ) -> Result<(u32, u32)> {
        let one = self.allocate(tree, first.class(), purpose)?;
        match self.allocate(tree, second.class(), purpose) {
            Ok(other) => Ok((one, other)),
            Err(error) => {
                self.give_back(tree, one, first.class());
                Err(error)
            }
        }
    }

    /// Queues what `reference` pointed to, which has just been taken out of the tree.
    pub(super) fn retire(&mut self, tree: &Tree, reference: Ref) {
        match reference.target() {
            Target::Null | Target::Leaf(_) => {}
            Target::Node(kind) => self.retire_block(tree, reference.line(), kind.class()),
            Target::Versions(mut line) => {
                while line != 0 {
                    let (_, class, next) = versions::header(&tree.arena, line);
                    self.retire_block(tree, line, class);
                    line = next;
                }
            }
        }
    }

    fn retire_block(&mut self, tree: &Tree, line: u32, class: SizeClass) {
        self.retired.push_back(Retired { epoch: tree.pins.epoch(), line, class });
        self.retired_bytes += u64::from(class.lines()) * LINE_BYTES;
        self.since_reclaim += 1;
    }

    fn reclaim(&mut self, tree: &Tree) {
        self.since_reclaim = 0;
        if self.retired.is_empty() {
            return;
        }
        let oldest = tree.pins.advance();
        while let Some(block) = self.retired.front()
            && block.epoch < oldest
        {
            self.retired_bytes -= u64::from(block.class.lines()) * LINE_BYTES;
            self.allocator.free(&tree.arena, block.line, block.class);
            self.retired.pop_front();
        }
    }
}
