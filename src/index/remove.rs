//! Taking a key out.
//!
//! The leaf's word becomes null, in place. Nodes shrink with what they hold, so that memory comes back:
//! a node that fits a smaller kind is copied into one, and a node with only one thing left is replaced
//! by it.
//!
//! Callers: the store, through [`Writer`]; `update`.

use crate::error::{Error, Result};
use crate::index::KeySource;
use crate::index::arena::Purpose;
use crate::index::insert::newest;
use crate::index::node::Node;
use crate::index::reference::{Fingerprint, Kind, Ref, Target};
use crate::index::tree::{Owner, Spot, Tree};
use crate::index::versions::Versions;
use crate::index::writer::{Memory, Writer};
use crate::sync::{AtomicU64, Ordering};
use crate::types::Position;

impl Writer {
    /// Takes `key` out, with all its versions, and returns the position of its record, if it was there.
    ///
    /// Errors: `NoMemory` (rarely: some memory is kept back for removals), or what `keys`
    /// answers. The index is as it was then.
    pub fn remove(&mut self, key: &[u8], keys: &impl KeySource) -> Result<Option<Position>> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        memory.prepare(tree, 0)?;
        let spot = tree.locate(&tree.root, key, Fingerprint::of(key), keys)?;
        let Spot::Found { slot, found, owner } = spot else { return Ok(None) };
        let removed = newest(tree, found);
        detach(tree, memory, slot, found, owner)?;
        if removed.is_some() {
            memory.key_removed();
        }
        memory.publish(tree);
        Ok(removed)
    }
}

/// Takes the leaf or list `found` out of the word `slot`, and retires it.
pub(super) fn detach(
    tree: &Tree,
    memory: &mut Memory,
    slot: &AtomicU64,
    found: Ref,
    owner: Option<Owner<'_>>,
) -> Result<()> {
    if let Target::Versions(line) = found.target() {
        memory.prepare(tree, Versions::blocks(&tree.arena, line) + 2)?;
    }
    match owner {
        None => slot.store(Ref::NULL.to_word(), Ordering::Release),
        Some(owner) => detach_from(tree, memory, slot, owner)?,
    }
    memory.retire(tree, found);
    Ok(())
}

fn detach_from(tree: &Tree, memory: &mut Memory, slot: &AtomicU64, owner: Owner<'_>) -> Result<()> {
    let node = Node::at(&tree.arena, owner.node).ok_or(Error::Internal("a node is not one"))?;
    let terminator = Ref::from_word(node.terminator().load(Ordering::Relaxed));
    let children = node.children() - usize::from(owner.byte.is_some());
    let others = children + usize::from(owner.byte.is_some() && !terminator.is_null());
    debug_assert!(others > 0, "a node with one leaf");
    if others == 1 {
        return collapse(tree, memory, &node, owner);
    }
    let kind = node.kind().shrunk_to(children);
    // Without memory for a smaller copy the node stays as large as it is.
    if let Some(byte) = owner.byte
        && kind != node.kind()
        && let Ok(line) = memory.allocate(tree, kind.class(), Purpose::Shrink)
    {
        let copy = Node::new(&tree.arena, kind, line);
        copy.clear(node.prefix(), terminator);
        if !copy.append_all(&node, Some(byte)) {
            memory.give_back(tree, line, kind.class());
            return Err(Error::Internal("a node that shrinks has too many children"));
        }
        let copy = Ref::node(kind, owner.node.prefix_length(), line);
        owner.slot.store(copy.to_word(), Ordering::Release);
        memory.retire(tree, owner.node);
        return Ok(());
    }
    match owner.byte {
        Some(byte) if node.kind() == Kind::N256 => node.set_child(byte, Ref::NULL),
        _ => slot.store(Ref::NULL.to_word(), Ordering::Release),
    }
    Ok(())
}

/// Puts the only other thing that a node holds in the node's place. A node below takes over its prefix
/// and byte, so it is copied.
fn collapse(tree: &Tree, memory: &mut Memory, node: &Node<'_>, owner: Owner<'_>) -> Result<()> {
    let mut last = (0, Ref::NULL);
    node.for_each(|byte, child| {
        if Some(byte) != owner.byte {
            last = (byte, child);
        }
    });
    if owner.byte.is_some() && last.1.is_null() {
        last = (0, Ref::from_word(node.terminator().load(Ordering::Relaxed)));
    }
    let (byte, below) = last;
    if below.is_null() {
        return Err(Error::Internal("a node of the index has too few children"));
    }
    let mut moved = below;
    if let Some(child) = Node::at(&tree.arena, below) {
        let line = memory.allocate(tree, child.kind().class(), Purpose::Shrink)?;
        let copy = Node::new(&tree.arena, child.kind(), line);
        let upper = owner.node.prefix_length();
        let prefix = joined_prefix(node.prefix(), upper, byte, child.prefix());
        copy.clear(prefix, Ref::from_word(child.terminator().load(Ordering::Relaxed)));
        copy.append_all(&child, None);
        moved = Ref::node(child.kind(), upper + 1 + below.prefix_length(), line);
    }
    owner.slot.store(moved.to_word(), Ordering::Release);
    memory.retire(tree, owner.node);
    if moved != below {
        memory.retire(tree, below);
    }
    Ok(())
}

/// The first eight bytes of the prefix that starts with `length` bytes of `upper`, then `byte`, then
/// `lower`.
fn joined_prefix(upper: u64, length: usize, byte: u8, lower: u64) -> u64 {
    let Some(shift) = u32::try_from(length * 8).ok().filter(|shift| *shift < 64) else { return upper };
    let start = upper & ((1u64 << shift) - 1);
    let rest = u128::from(lower) << 8 | u128::from(byte);
    start | (rest << shift) as u64
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::index::bytes::first_bytes;

    #[test]
    fn joined_prefix_is_that_of_the_joined_bytes() {
        let (upper, lower) = (b"abcdefghij", b"ABCDEFGHIJ");
        for u in 0..=upper.len() {
            for l in 0..=lower.len() {
                let whole = [&upper[..u], b"-", &lower[..l]].concat();
                let joined = joined_prefix(first_bytes(&upper[..u]), u, b'-', first_bytes(&lower[..l]));
                let known = whole.len().min(8);
                assert_eq!(joined.to_le_bytes()[..known], whole[..known]);
            }
        }
    }
}
