//! Putting a key in.
//!
//! A new leaf arrives by one Release store: in a word that was null, as a new place of a node with room,
//! or inside a new node that takes the place of what was there (see `node`, invariant 1).
//!
//! Callers: the store, through [`Writer`]; `update`.

use crate::error::{Error, Result};
use crate::index::KeySource;
use crate::index::arena::Purpose;
use crate::index::bytes::{common_length, first_bytes};
use crate::index::node::Node;
use crate::index::reference::Target;
use crate::index::reference::{Fingerprint, Kind, Ref};
use crate::index::tree::{Spot, Tree};
use crate::index::versions::Versions;
use crate::index::writer::{Memory, Writer};
use crate::sync::Ordering;
use crate::types::{KEY_SIZE_MAX, Position};

impl Writer {
    /// Makes `position` the record of `key` and returns the position it replaces, if the key was there.
    /// Older versions are forgotten with it: see [`Writer::push_version`] for keeping them.
    ///
    /// Errors: `NoMemory`, or what `keys` answers. The index is as it was then.
    pub fn insert(
        &mut self,
        key: &[u8],
        position: Position,
        keys: &impl KeySource,
    ) -> Result<Option<Position>> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        let leaf = Ref::leaf(fingerprint, position);
        memory.prepare(tree, 0)?;
        let replaced = match tree.locate(&tree.root, key, fingerprint, keys)? {
            Spot::Found { slot, found, .. } => {
                let replaced = newest(tree, found);
                if let Target::Versions(line) = found.target() {
                    memory.prepare(tree, Versions::blocks(&tree.arena, line))?;
                }
                slot.store(leaf.to_word(), Ordering::Release);
                memory.retire(tree, found);
                if replaced.is_none() {
                    memory.key_added();
                }
                replaced
            }
            spot => {
                place(tree, memory, spot, key, leaf)?;
                memory.key_added();
                None
            }
        };
        memory.publish(tree);
        Ok(replaced)
    }
}

/// The record that a get finds now, not counting snapshots: none where the newest version is a deletion.
pub(super) fn newest(tree: &Tree, found: Ref) -> Option<Position> {
    match found.target() {
        Target::Leaf(position) => Some(position),
        Target::Versions(line) => Versions::new(&tree.arena, line)
            .next()
            .filter(|version| !version.deleted)
            .map(|version| version.position),
        _ => None,
    }
}

/// Puts `leaf` where `key`, which is not there yet, belongs.
pub(super) fn place(
    tree: &Tree,
    memory: &mut Memory,
    spot: Spot<'_, '_>,
    key: &[u8],
    leaf: Ref,
) -> Result<()> {
    if key.len() > KEY_SIZE_MAX {
        return Err(Error::KeyTooLarge { size: key.len() });
    }
    match spot {
        Spot::Found { .. } => return Err(Error::Internal("a key is put in twice")),
        Spot::Empty { slot } => slot.store(leaf.to_word(), Ordering::Release),
        Spot::NoPlace { slot, node, byte } => {
            let old = Node::at(&tree.arena, node).ok_or(Error::Internal("a node is not one"))?;
            if old.append(byte, leaf) {
                return Ok(());
            }
            // Larger, unless children were taken out of it.
            let kind = Kind::for_children(old.children() + 1);
            let line = memory.allocate(tree, kind.class(), Purpose::Grow)?;
            let new = Node::new(&tree.arena, kind, line);
            new.clear(old.prefix(), Ref::from_word(old.terminator().load(Ordering::Relaxed)));
            if !(new.append_all(&old, None) && new.append(byte, leaf)) {
                memory.give_back(tree, line, kind.class());
                return Err(Error::Internal("a larger node has no room for the smaller one"));
            }
            slot.store(Ref::node(kind, node.prefix_length(), line).to_word(), Ordering::Release);
            memory.retire(tree, node);
        }
        Spot::OtherKey { slot, other, other_key, depth } => {
            let rest = key.get(depth..).unwrap_or(&[]);
            let other_rest =
                other_key.get(depth..).ok_or(Error::Internal("a key is shorter than its depth"))?;
            let common = common_length(rest, other_rest);
            let line = memory.allocate(tree, Kind::N4.class(), Purpose::Grow)?;
            let fork = Node::new(&tree.arena, Kind::N4, line);
            fork.clear(first_bytes(rest.get(..common).unwrap_or(rest)), Ref::NULL);
            attach(&fork, other_rest.get(common), other);
            attach(&fork, rest.get(common), leaf);
            slot.store(Ref::node(Kind::N4, common, line).to_word(), Ordering::Release);
        }
        Spot::OtherPrefix { slot, node, prefix, common, depth } => {
            let prefix = prefix.bytes();
            let old = Node::at(&tree.arena, node).ok_or(Error::Internal("a node is not one"))?;
            let (line, copy_line) = memory.allocate_two(tree, Kind::N4, old.kind(), Purpose::Grow)?;
            // The node itself, with what is left of its prefix.
            let rest = prefix.get(common + 1..).unwrap_or(&[]);
            let copy = Node::new(&tree.arena, old.kind(), copy_line);
            copy.clear(first_bytes(rest), Ref::from_word(old.terminator().load(Ordering::Relaxed)));
            copy.append_all(&old, None);
            let copy = Ref::node(old.kind(), rest.len(), copy_line);
            // The fork above it.
            let fork = Node::new(&tree.arena, Kind::N4, line);
            fork.clear(first_bytes(prefix.get(..common).unwrap_or(prefix)), Ref::NULL);
            attach(&fork, prefix.get(common), copy);
            attach(&fork, key.get(depth + common), leaf);
            slot.store(Ref::node(Kind::N4, common, line).to_word(), Ordering::Release);
            memory.retire(tree, node);
        }
    }
    Ok(())
}

/// Adds what is below `byte`, or the leaf of the key that ends, to a new node of 4, which has room.
fn attach(node: &Node<'_>, byte: Option<&u8>, below: Ref) {
    match byte {
        Some(byte) => {
            node.append(*byte, below);
        }
        None => node.terminator().store(below.to_word(), Ordering::Relaxed),
    }
}
