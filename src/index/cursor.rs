//! Walking the leaves in key order, either way, from a bound on.
//!
//! A walk keeps a stack of what is still to be visited, the next on top. It sees each node at the moment
//! it comes to it; a key that is in the tree all the time is seen once, at its place, whatever is
//! changed around it, since a node that was replaced meanwhile still leads to it.
//!
//! Invariants:
//! 1. On the stack, whatever is nearer to the top comes before all that is below it.
//! 2. What is on the stack is looked at only under a pin since whose epoch nothing was reused: the one it was
//!    found under, or, in a [`Cursor`], a later one that `Pins::is_unbroken` answers for.
//!
//! Callers: the store, through [`Pin`].

use std::ops::Bound;

use crate::error::{Error, Result};
use crate::index::bytes::common_length;
use crate::index::node::Node;
use crate::index::reference::{Kind, Ref, Target};
use crate::index::tree::Tree;
use crate::index::versions::{Versions, newest_position};
use crate::index::{Direction, KeySource, Pin};
use crate::sync::Ordering;
use crate::types::{Lsn, Position};

/// How many children of a node of 256 are visited at a time.
const CHILDREN_AT_ONCE: usize = 16;
/// How many nodes on top of the stack are fetched ahead.
const NODES_AHEAD: usize = 4;
/// How many lines of each: its key bytes and its first children. For those behind them the processor's own
/// look-ahead is in time.
const NODE_LINES_AHEAD: u32 = 4;
/// Places in a list of positions that are asked for at once.
const RESERVE_MAX: usize = 1024;
/// How many records are fetched ahead: more overrun the processor's miss buffers.
pub const LOOK_AHEAD: usize = 16;

/// A walk between two calls, when no pin is held: what was still to be visited, and when.
#[derive(Debug)]
pub struct Cursor {
    direction: Direction,
    stack: Vec<Frame>,
    /// The epoch in which the stack was filled; 0 where it is not to be used.
    epoch: u64,
}

impl Cursor {
    /// One that has not begun.
    pub fn new(direction: Direction) -> Cursor {
        Cursor { direction, stack: Vec::new(), epoch: 0 }
    }

    /// The next call begins anew.
    pub fn reset(&mut self) {
        self.epoch = 0;
    }
}

impl Pin<'_> {
    /// Appends to `out` the positions of up to `limit` keys in `direction`, from `start` on; fewer mean
    /// that the end was reached. Of a key with several versions, the one visible at `at()` is taken, which
    /// is asked after the versions were found, and a deletion is left out; of all others, and where none is
    /// visible, the newest one, and the caller looks at the record's LSN, and at the older versions.
    ///
    /// The first [`LOOK_AHEAD`] records are fetched ahead; the caller does so for the others, one for
    /// each record it reads. To go on later, under another pin: start behind the last key.
    ///
    /// Errors: `NoMemory`, or what `keys` answers.
    pub fn range(
        &self,
        start: Bound<&[u8]>,
        direction: Direction,
        at: impl Fn() -> Lsn,
        limit: usize,
        out: &mut Vec<Position>,
        keys: &impl KeySource,
    ) -> Result<()> {
        self.range_from(&mut Cursor::new(direction), || Ok(start), at, limit, out, keys)
    }

    /// As [`Pin::range`], going on where `cursor` stopped; its first call begins at `start()`. So does a
    /// later one where the writer has reused memory meanwhile: `start` answers with the bound behind the
    /// last key then. The way down from the root that this saves takes as long as ten records of a scan.
    ///
    /// After an error the cursor begins anew.
    pub fn range_from<'k>(
        &self,
        cursor: &mut Cursor,
        start: impl FnOnce() -> Result<Bound<&'k [u8]>>,
        at: impl Fn() -> Lsn,
        limit: usize,
        out: &mut Vec<Position>,
        keys: &impl KeySource,
    ) -> Result<()> {
        let goes_on = self.tree.pins.is_unbroken(&self.ticket, std::mem::take(&mut cursor.epoch));
        let mut stack = std::mem::take(&mut cursor.stack);
        if !goes_on {
            stack.clear();
        }
        let mut walk = Walk { tree: self.tree, ascending: cursor.direction == Direction::Forward, stack };
        if !goes_on {
            walk.seek(start()?, keys)?;
        }
        out.try_reserve(limit.min(RESERVE_MAX)).map_err(|_| Error::NoMemory("a scan"))?;
        let mut found = 0;
        while found < limit {
            let Some(frame) = walk.stack.pop() else { break };
            let position = match frame.target.target() {
                Target::Null => continue,
                Target::Node(kind) => {
                    walk.expand(frame, kind)?;
                    continue;
                }
                Target::Leaf(position) => position,
                Target::Versions(line) => match Versions::new(&self.tree.arena, line).at(at()) {
                    Some(version) if version.deleted => continue,
                    Some(version) => version.position,
                    None => newest_position(&self.tree.arena, line),
                },
            };
            if found < LOOK_AHEAD {
                keys.prefetch(position);
            }
            if out.len() == out.capacity() {
                out.try_reserve(1).map_err(|_| Error::NoMemory("a scan"))?;
            }
            out.push(position);
            found += 1;
        }
        cursor.stack = walk.stack;
        cursor.epoch = self.ticket.epoch;
        Ok(())
    }
}

/// Something to visit: a leaf, a list of versions, or a node, of which only the children for bytes from
/// `low` to `high` and, where `terminator` says so, the key that ends there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) target: Ref,
    low: u8,
    high: u8,
    terminator: bool,
}

impl Frame {
    fn whole(target: Ref) -> Frame {
        Frame { target, low: 0, high: 255, terminator: true }
    }
}

pub(super) struct Walk<'t> {
    pub(super) tree: &'t Tree,
    pub(super) ascending: bool,
    pub(super) stack: Vec<Frame>,
}

impl Walk<'_> {
    fn push(&mut self, frame: Frame) -> Result<()> {
        self.reserve(1)?;
        self.stack.push(frame);
        Ok(())
    }

    fn reserve(&mut self, frames: usize) -> Result<()> {
        self.stack.try_reserve(frames).map_err(|_| Error::NoMemory("a scan"))
    }

    /// Puts on the stack all that lies from `start` on.
    pub(super) fn seek(&mut self, start: Bound<&[u8]>, keys: &impl KeySource) -> Result<()> {
        let mut current = Ref::from_word(self.tree.root.load(Ordering::Acquire));
        self.reserve(64)?;
        let (key, inclusive) = match start {
            Bound::Unbounded => return self.push(Frame::whole(current)),
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
        };
        let mut depth = 0;
        while !current.is_null() {
            let Some(node) = Node::at(&self.tree.arena, current) else {
                let found = keys.key_at(self.tree.position_of(current)?)?;
                if (found == key && inclusive) || (found != key && (found > key) == self.ascending) {
                    self.push(Frame::whole(current))?;
                }
                return Ok(());
            };
            let prefix = self.tree.prefix(current, depth, keys)?;
            let rest = key.get(depth..).unwrap_or(&[]);
            let common = common_length(prefix.bytes(), rest);
            if let Some(byte) = prefix.bytes().get(common) {
                // The whole node lies on one side of the key.
                let greater = rest.get(common).is_none_or(|key_byte| key_byte < byte);
                if greater == self.ascending {
                    self.push(Frame::whole(current))?;
                }
                return Ok(());
            }
            depth += common;
            let Some(byte) = key.get(depth).copied() else {
                // The key that ends here is the bound; all others in the node are greater.
                let (low, high) = if self.ascending { (0, 255) } else { (1, 0) };
                return self.push(Frame { target: current, low, high, terminator: inclusive });
            };
            let (low, high) = match (self.ascending, byte) {
                (true, 255) | (false, 0) => (1, 0),
                (true, byte) => (byte + 1, 255),
                (false, byte) => (0, byte - 1),
            };
            self.push(Frame { target: current, low, high, terminator: !self.ascending })?;
            let child = node.child(byte).map_or(0, |word| word.load(Ordering::Acquire));
            current = Ref::from_word(child);
            depth += 1;
        }
        Ok(())
    }

    /// Puts the children of a node on the stack in its place.
    pub(super) fn expand(&mut self, frame: Frame, kind: Kind) -> Result<()> {
        let Some(node) = Node::at(&self.tree.arena, frame.target) else { return Ok(()) };
        // Before its children lie on top of them, most of which are leaves.
        self.prefetch();
        self.reserve(kind.capacity().min(Kind::N111.capacity()) + 2)?;
        let ascending = self.ascending;
        let terminator = Frame::whole(Ref::from_word(node.terminator().load(Ordering::Acquire)));
        if kind == Kind::N256 {
            let mut next = [Ref::NULL; CHILDREN_AT_ONCE];
            let mut free = next.iter_mut();
            let mut rest = None;
            node.in_order(frame.low, frame.high, ascending, |byte, child| match free.next() {
                Some(place) => {
                    *place = child;
                    true
                }
                None => {
                    let (low, high) = if ascending { (byte, frame.high) } else { (frame.low, byte) };
                    rest = Some(Frame {
                        target: frame.target,
                        low,
                        high,
                        terminator: !ascending && frame.terminator,
                    });
                    false
                }
            });
            if !ascending && rest.is_none() && frame.terminator {
                self.stack.push(terminator);
            }
            self.stack.extend(rest);
            let children = next.iter().rev().filter(|child| !child.is_null());
            self.stack.extend(children.map(|child| Frame::whole(*child)));
        } else {
            if !ascending && frame.terminator {
                self.stack.push(terminator);
            }
            node.in_order(frame.low, frame.high, !ascending, |_, child| {
                self.stack.push(Frame::whole(child));
                true
            });
        }
        if ascending && frame.terminator {
            self.stack.push(terminator);
        }
        if kind == Kind::N256 {
            self.prefetch();
        }
        Ok(())
    }

    /// Fetches the nodes that come next.
    #[inline]
    fn prefetch(&self) {
        for frame in self.stack.iter().rev().take(NODES_AHEAD) {
            if let Some(kind) = frame.target.kind() {
                let lines = if kind.is_direct() { 1 } else { kind.class().lines().min(NODE_LINES_AHEAD) };
                for line in 0..lines {
                    self.tree.arena.prefetch(frame.target.line() + line);
                }
            }
        }
    }
}
