//! The tree: its root, the way down to a key, and what the writer finds there.
//!
//! Invariants:
//! 1. A node has at least two of child and terminator, so every node has a leaf below it, and the
//!    depth of the tree is bounded by the keys in it, not by their length.
//! 2. All keys below a node agree in the bytes up to and with its prefix. The first eight bytes of the
//!    prefix are in the node, the others in the record of any leaf below.
//! 3. The way down is a loop: no recursion anywhere.
//!
//! Callers: the other files of `index`.

use crate::error::{Error, Result};
use crate::index::KeySource;
use crate::index::arena::Arena;
use crate::index::bytes::{common_length, first_bytes};
use crate::index::node::{Node, any_leaf};
use crate::index::pins::Pins;
use crate::index::reference::{Fingerprint, Kind, Ref, Target};
use crate::index::versions::newest_position;
use crate::sync::{AtomicU64, Ordering};
use crate::types::Position;

/// What the writer tells about the memory in use. On cache lines of its own, as it changes all the time.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counters {
    pub(super) live_bytes: AtomicU64,
    pub(super) committed_bytes: AtomicU64,
    pub(super) keys: AtomicU64,
}

/// What readers and the writer share.
#[derive(Debug)]
pub(super) struct Tree {
    /// The newest version of each key, and those beside it that readers may still see.
    pub(super) root: AtomicU64,
    /// A tree of the same kind: older versions, which only snapshots see, of some of those keys.
    pub(super) older: AtomicU64,
    pub(super) arena: Arena,
    pub(super) pins: Pins,
    pub(super) counters: Counters,
}

/// A prefix's bytes.
pub(super) enum Prefix<'k> {
    /// All of them, from the node, and how many.
    Inline([u8; 8], usize),
    /// From a record.
    Record(&'k [u8]),
}

impl Prefix<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Prefix::Inline(bytes, length) => bytes.get(..*length).unwrap_or(bytes),
            Prefix::Record(bytes) => bytes,
        }
    }
}

/// The node that a word is in: to change the node, the word that points to it is changed.
#[derive(Clone, Copy)]
pub(super) struct Owner<'t> {
    /// The word that points to the node.
    pub(super) slot: &'t AtomicU64,
    /// The node.
    pub(super) node: Ref,
    /// The key byte that leads from it to the word, or `None` for the terminator.
    pub(super) byte: Option<u8>,
}

/// What there is where a key belongs.
pub(super) enum Spot<'t, 'k> {
    /// The key itself.
    Found { slot: &'t AtomicU64, found: Ref, owner: Option<Owner<'t>> },
    /// A word that is null and where the key's leaf goes.
    Empty { slot: &'t AtomicU64 },
    /// A node without a place for the key's next byte.
    NoPlace { slot: &'t AtomicU64, node: Ref, byte: u8 },
    /// The leaf of another key, which agrees with this one in the first `depth` bytes.
    OtherKey { slot: &'t AtomicU64, other: Ref, other_key: &'k [u8], depth: usize },
    /// A node at `depth` whose prefix agrees with the key in `common` bytes only.
    OtherPrefix { slot: &'t AtomicU64, node: Ref, prefix: Prefix<'k>, common: usize, depth: usize },
}

impl Tree {
    pub(super) fn new(limit: u64) -> Result<Tree> {
        Ok(Tree {
            root: AtomicU64::new(0),
            older: AtomicU64::new(0),
            arena: Arena::new(limit)?,
            pins: Pins::new()?,
            counters: Counters {
                live_bytes: AtomicU64::new(0),
                committed_bytes: AtomicU64::new(0),
                keys: AtomicU64::new(0),
            },
        })
    }

    /// The leaf or the versions that may be those of `key`, or null. Prefixes are skipped, not compared:
    /// the record tells.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Ref {
        self.find_below(&self.root, key)
    }

    /// As [`Tree::find`], in the tree below `root`.
    #[inline]
    pub(super) fn find_below(&self, root: &AtomicU64, key: &[u8]) -> Ref {
        let mut current = Ref::from_word(root.load(Ordering::Acquire));
        let mut depth = 0;
        while let Some(node) = Node::at(&self.arena, current) {
            let lines = match node.kind() {
                Kind::N11 => 2,
                Kind::N25 => 4,
                _ => 1,
            };
            for line in 1..lines {
                self.arena.prefetch(current.line() + line);
            }
            depth += current.prefix_length();
            current = match self.step(&node, key, depth) {
                Some(word) => Ref::from_word(word.load(Ordering::Acquire)),
                None => return Ref::NULL,
            };
            depth += 1;
        }
        if current.may_be(Fingerprint::of(key)) { current } else { Ref::NULL }
    }

    /// Whether there are older versions of any key.
    #[inline]
    pub(super) fn has_older(&self) -> bool {
        self.older.load(Ordering::Relaxed) != 0
    }

    /// The word in `node` where a key goes on whose first `depth` bytes led to it.
    #[inline]
    pub(super) fn step<'t>(&self, node: &Node<'t>, key: &[u8], depth: usize) -> Option<&'t AtomicU64> {
        match key.get(depth) {
            Some(byte) => node.child(*byte),
            None if depth == key.len() => Some(node.terminator()),
            None => None,
        }
    }

    /// The prefix of `node`, whose keys agree in the `depth` bytes before it.
    pub(super) fn prefix<'k>(&self, node: Ref, depth: usize, keys: &'k impl KeySource) -> Result<Prefix<'k>> {
        let length = node.prefix_length();
        if length <= 8 {
            let word = match length {
                0 => 0,
                _ => Node::at(&self.arena, node).map_or(0, |node| node.prefix()),
            };
            return Ok(Prefix::Inline(word.to_le_bytes(), length));
        }
        let position = self.position_of(any_leaf(&self.arena, node))?;
        let key = keys.key_at(position)?;
        let bytes = key.get(depth..depth + length);
        Ok(Prefix::Record(bytes.ok_or(Error::Internal("a key is shorter than its node's prefix"))?))
    }

    /// The position of a leaf's record, or of a list's newest version.
    pub(super) fn position_of(&self, leaf: Ref) -> Result<Position> {
        match leaf.target() {
            Target::Leaf(position) => Ok(position),
            Target::Versions(line) => Ok(newest_position(&self.arena, line)),
            _ => Err(Error::Internal("a node of the index has no leaf below it")),
        }
    }

    /// What there is where `key` belongs in the tree below `root`. For the writer.
    ///
    /// One way down is enough where all prefixes on it are short enough to stand in the nodes; where one
    /// is not, or differs from the key, and the key is not there, a second one compares them in full.
    pub(super) fn locate<'t, 'k>(
        &'t self,
        root: &'t AtomicU64,
        key: &[u8],
        fingerprint: Fingerprint,
        keys: &'k impl KeySource,
    ) -> Result<Spot<'t, 'k>> {
        let mut slot = root;
        let mut owner = None;
        let mut depth = 0;
        let mut compared = true;
        loop {
            let current = Ref::from_word(slot.load(Ordering::Acquire));
            let Some(node) = Node::at(&self.arena, current) else {
                if current.is_null() {
                    return if compared {
                        Ok(Spot::Empty { slot })
                    } else {
                        self.locate_exactly(root, key, keys)
                    };
                }
                if !compared && !current.may_be(fingerprint) {
                    return self.locate_exactly(root, key, keys);
                }
                let other_key = keys.key_at(self.position_of(current)?)?;
                if other_key == key {
                    return Ok(Spot::Found { slot, found: current, owner });
                }
                if !compared {
                    return self.locate_exactly(root, key, keys);
                }
                return Ok(Spot::OtherKey { slot, other: current, other_key, depth });
            };
            let length = current.prefix_length();
            if length > 0 {
                // The header of a node of 256 is on a line of its own: not worth fetching for a key that
                // is most probably there.
                if length <= 8 && node.kind() != Kind::N256 {
                    let differing = node.prefix() ^ first_bytes(key.get(depth..).unwrap_or(&[]));
                    if depth + length > key.len() || differing.trailing_zeros() < 8 * length as u32 {
                        return self.locate_exactly(root, key, keys);
                    }
                } else {
                    compared = false;
                }
                depth += length;
            }
            let Some(word) = self.step(&node, key, depth) else {
                return match key.get(depth) {
                    Some(byte) if compared => Ok(Spot::NoPlace { slot, node: current, byte: *byte }),
                    _ => self.locate_exactly(root, key, keys),
                };
            };
            let byte = key.get(depth).copied();
            if let Some(byte) = byte
                && node.kind() == Kind::N256
                && word.load(Ordering::Relaxed) == 0
            {
                // A place that is not in use.
                return match compared {
                    true => Ok(Spot::NoPlace { slot, node: current, byte }),
                    false => self.locate_exactly(root, key, keys),
                };
            }
            owner = Some(Owner { slot, node: current, byte });
            slot = word;
            depth += 1;
        }
    }

    /// As [`Tree::locate`], with every prefix compared in full.
    fn locate_exactly<'t, 'k>(
        &'t self,
        root: &'t AtomicU64,
        key: &[u8],
        keys: &'k impl KeySource,
    ) -> Result<Spot<'t, 'k>> {
        let mut slot = root;
        let mut owner = None;
        let mut depth = 0;
        loop {
            let current = Ref::from_word(slot.load(Ordering::Acquire));
            let Some(node) = Node::at(&self.arena, current) else {
                if current.is_null() {
                    return Ok(Spot::Empty { slot });
                }
                let other_key = keys.key_at(self.position_of(current)?)?;
                if other_key == key {
                    return Ok(Spot::Found { slot, found: current, owner });
                }
                return Ok(Spot::OtherKey { slot, other: current, other_key, depth });
            };
            let prefix = self.prefix(current, depth, keys)?;
            let common = common_length(prefix.bytes(), key.get(depth..).unwrap_or(&[]));
            if common < current.prefix_length() {
                return Ok(Spot::OtherPrefix { slot, node: current, prefix, common, depth });
            }
            depth += common;
            let byte = key.get(depth).copied();
            owner = Some(Owner { slot, node: current, byte });
            slot = match byte {
                None => node.terminator(),
                Some(byte) => match node.child(byte) {
                    // In a node of 256 a null word is a place that is not in use.
                    Some(word) if node.kind() != Kind::N256 || word.load(Ordering::Relaxed) != 0 => word,
                    _ => return Ok(Spot::NoPlace { slot, node: current, byte }),
                },
            };
            depth += 1;
        }
    }

    /// The word that holds what [`Tree::find_below`] finds, and the node it is in.
    pub(super) fn candidate<'t>(
        &'t self,
        root: &'t AtomicU64,
        key: &[u8],
        fingerprint: Fingerprint,
    ) -> Option<(&'t AtomicU64, Ref, Option<Owner<'t>>)> {
        let mut slot = root;
        let mut owner = None;
        let mut depth = 0;
        let mut current = Ref::from_word(slot.load(Ordering::Acquire));
        while let Some(node) = Node::at(&self.arena, current) {
            depth += current.prefix_length();
            let word = self.step(&node, key, depth)?;
            owner = Some(Owner { slot, node: current, byte: key.get(depth).copied() });
            slot = word;
            current = Ref::from_word(slot.load(Ordering::Acquire));
            depth += 1;
        }
        current.may_be(fingerprint).then_some((slot, current, owner))
    }
}
