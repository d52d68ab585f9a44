//! The index: an ordered map from keys to positions in the log, in memory only.
//!
//! It is an adaptive radix tree: a node holds up to 4, 11, 25, 54, 111 or 256 children, one for each
//! byte that the keys below it go on with, and the bytes they share are skipped. Keys are not stored. A
//! leaf is the position of a record, which carries its key, and 23 bits of the key's hash, so that most
//! keys that are not there are told without reading a record. Only while a commit is under way is the leaf
//! of a key it changes a list of versions. Older versions that snapshots need stand in a second tree of the
//! same kind, so that whoever reads what is new does not pay for them.
//!
//! Invariants:
//! 1. One writer at a time ([`Writer`], methods of `&mut self`); any number of readers, which never wait
//!    and are never waited for.
//! 2. A reader goes through a [`Pin`]. Each change is one Release store: a reader sees all of it or
//!    nothing. A key that is not itself being changed is never missed.
//! 3. What a change takes out of the tree is reused only when every pin from before it is gone.
//! 4. A change that fails leaves the index as it was.
//!
//! The files, from the bottom up: `bytes`, `arena` (blocks of words), `pins` (who reads), `reference` and
//! `node` (what the words mean), `tree` (the way down), `versions`, `lookup`, `cursor` and `changes` (for
//! readers), `writer`, `insert`, `remove`, `update` (for the writer).
//!
//! Callers: `store`. Imports from the crate only `error`, `types`, `sync` and `os::memory`.

mod arena;
mod bytes;
mod changes;
mod cursor;
mod insert;
mod lookup;
mod node;
mod pins;
mod reference;
mod remove;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod versions;
mod writer;

use std::sync::Arc;

use crate::error::Result;
use crate::sync::Ordering;
use crate::types::{Lsn, Position};

pub use changes::Newest;
pub use cursor::{Cursor, LOOK_AHEAD};
pub use versions::{Version, Versions};
pub use writer::{Mark, Room, Writer};

/// Address space that is asked for: 2^30 lines, more than the log has room for records.
const SIZE_MAX: u64 = 64 << 30;

/// What the index needs to know of the log.
///
/// A position that a reader got from the index under a pin must stay readable while it holds the pin:
/// see [`Writer::mark`].
pub trait KeySource {
    /// The key of the record at `position`.
    fn key_at(&self, position: Position) -> Result<&[u8]>;

    /// The LSN of the record at `position`. Asked for only by [`Writer::push_version`].
    fn lsn_at(&self, position: Position) -> Result<Lsn>;

    /// The start of the record at `position` is needed soon.
    fn prefetch(&self, position: Position) {
        let _ = position;
    }
}

/// A handle to an index, for readers. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Index {
    tree: Arc<tree::Tree>,
}

/// Who needs an older version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Nobody.
    Nobody,
    /// Only snapshots.
    Snapshots,
    /// Readers of what is visible now. Of the newer ones, none is needed by snapshots only.
    Readers,
}

/// What a lookup finds. A candidate: another key may have the same fingerprint, so the caller compares
/// the record's key.
#[derive(Clone, Debug)]
pub enum Found<'p> {
    /// The key is not there.
    None,
    /// The key, if it is there, has this record, and no older version is kept.
    One(Position),
    /// The key, if it is there, has these versions.
    Many(Versions<'p>),
}

/// Which way a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// In ascending byte order of keys.
    Forward,
    /// In descending order.
    Backward,
}

/// How much memory the index has. Read without a lock: a moment old where a writer is at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexMemory {
    /// Bytes of nodes and lists in use.
    pub live_bytes: u64,
    /// Bytes asked for from the system.
    pub committed_bytes: u64,
    /// Bytes of address space that may become committed.
    pub reserved_bytes: u64,
    /// Keys.
    pub keys: u64,
}

impl Index {
    /// An empty index and the one that may change it.
    ///
    /// Errors: `NoMemory` where not even 64 MiB of address space can be had.
    pub fn new() -> Result<(Index, Writer)> {
        Index::with_limit(SIZE_MAX)
    }

    /// As [`Index::new`], with at most `limit` bytes of memory.
    pub fn with_limit(limit: u64) -> Result<(Index, Writer)> {
        let tree = Arc::new(tree::Tree::new(limit)?);
        Ok((Index { tree: Arc::clone(&tree) }, Writer::new(tree)))
    }

    /// Announces a reader. To be held for the length of one operation: what the writer takes out of the
    /// tree meanwhile is kept. May be moved to another thread. Errors: `NoMemory`, with more than 256
    /// readers at the same moment.
    #[inline]
    pub fn pin(&self) -> Result<Pin<'_>> {
        let ticket = self.tree.pins.enter()?;
        Ok(Pin { tree: &self.tree, ticket })
    }

    /// Whether no reader is left from before `mark`.
    pub fn is_past(&self, mark: Mark) -> bool {
        self.tree.pins.oldest() > mark.0
    }

    /// How much memory is used, for how many keys.
    pub fn memory(&self) -> IndexMemory {
        let counters = &self.tree.counters;
        IndexMemory {
            live_bytes: counters.live_bytes.load(Ordering::Relaxed),
            committed_bytes: counters.committed_bytes.load(Ordering::Relaxed),
            reserved_bytes: self.tree.arena.limit_bytes(),
            keys: counters.keys.load(Ordering::Relaxed),
        }
    }
}

/// A reader's announcement, withdrawn when it is dropped.
#[derive(Debug)]
pub struct Pin<'i> {
    tree: &'i tree::Tree,
    ticket: pins::Ticket,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.tree.pins.leave(&self.ticket);
    }
}
