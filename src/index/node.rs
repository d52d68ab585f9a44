//! Nodes: where a byte of the key leads.
//!
//! A node is a block of words: word 0 says how many children are in use; word 1 is the terminator, the
//! leaf of the key that ends here; word 2 holds the first eight bytes of the prefix; then the children's
//! key bytes, eight to a word, then the children. In nodes of 4 and 11, word 0 also holds the order of
//! the children, four bits each from bit 4 on; in the larger ones a scan sorts. A node of 256 has a
//! bitmap of its children instead of key bytes, and one child word for every byte.
//!
//! Invariants:
//! 1. What readers see changes by one Release store: of a child or terminator word, or of word 0, which
//!    brings a key byte and a child into use that were written before.
//! 2. A place belongs to its key byte for as long as the node lives. A child is taken out by making its
//!    word null; only a child for the same byte can come to that place again.
//! 3. The prefix of a node that readers can reach is never changed.
//! 4. Nothing in a block is relied on that was not written since it was allocated.
//!
//! Callers: the other files of `index`.

use crate::index::arena::Arena;
use crate::index::bytes::equal_bytes;
use crate::index::reference::{Kind, Ref};
use crate::sync::{AtomicU64, Ordering};

const COUNT: usize = 0;
const TERMINATOR: usize = 1;
const PREFIX: usize = 2;
const KEYS: usize = 3;
/// First child word of a node of 256.
const CHILDREN_256: usize = 8;
/// How often a search for any leaf is begun again before the tree is taken for broken.
const ATTEMPTS: usize = 1000;
/// Bits of the count in word 0 of nodes of 4 and 11.
const SMALL_COUNT: u64 = 15;

/// A node's words. Cheap to copy; owns nothing.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    kind: Kind,
    words: &'a [AtomicU64],
    nowhere: &'a AtomicU64,
}

/// The word of the first child, where a node keeps its key bytes before them.
const fn children_at(kind: Kind) -> usize {
    match kind {
        Kind::N4 => 4,
        Kind::N11 => 5,
        Kind::N25 => 7,
        Kind::N54 => 10,
        Kind::N111 => 17,
        Kind::N256 => CHILDREN_256,
    }
}

/// The index of `byte` among the first `count` of the key bytes in `keys`, at most 63 of them.
#[inline(always)]
fn find_key(keys: &[AtomicU64], count: usize, byte: u8) -> Option<usize> {
    let mut found = 0u64;
    let (pairs, last) = keys.as_chunks::<2>();
    for (index, [low, high]) in pairs.iter().enumerate() {
        let equal = equal_bytes(low.load(Ordering::Relaxed), high.load(Ordering::Relaxed), byte);
        found |= equal << (16 * index);
    }
    if let [last] = last {
        found |= (equal_bytes(last.load(Ordering::Relaxed), 0, byte) & 0xff) << (16 * pairs.len());
    }
    found &= (1u64 << count) - 1;
    if found == 0 { None } else { Some(found.trailing_zeros() as usize) }
}

impl<'a> Node<'a> {
    /// The node that `reference` points to, or `None` where it points to something else.
    #[inline]
    pub(super) fn at(arena: &'a Arena, reference: Ref) -> Option<Node<'a>> {
        Some(Node::new(arena, reference.kind()?, reference.line()))
    }

    /// The node of `kind` at `line`.
    #[inline]
    pub(super) fn new(arena: &'a Arena, kind: Kind, line: u32) -> Node<'a> {
        Node { kind, words: arena.words(line, kind.class().words()), nowhere: arena.nowhere() }
    }

    #[inline]
    fn word(&self, index: usize) -> &'a AtomicU64 {
        self.words.get(index).unwrap_or(self.nowhere)
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Places in use; in a node of 256, those whose word is not null.
    #[inline]
    pub(super) fn count(&self) -> usize {
        let word = self.word(COUNT).load(Ordering::Acquire);
        let count = if self.kind <= Kind::N11 { word & SMALL_COUNT } else { word };
        (count as usize).min(self.kind.capacity())
    }

    /// The word of the leaf of the key that ends here.
    #[inline]
    pub(super) fn terminator(&self) -> &'a AtomicU64 {
        self.word(TERMINATOR)
    }

    /// The first eight bytes of the prefix, the first one lowest.
    #[inline]
    pub(super) fn prefix(&self) -> u64 {
        self.word(PREFIX).load(Ordering::Relaxed)
    }

    /// The word of the child for `byte`; `None` where there is no place for it.
    #[inline]
    pub(super) fn child(&self, byte: u8) -> Option<&'a AtomicU64> {
        let count = || self.word(COUNT).load(Ordering::Acquire) as usize;
        let index = match self.kind {
            Kind::N4 => find_key(self.words.get(KEYS..4)?, count() & 15, byte)?,
            Kind::N11 => find_key(self.words.get(KEYS..5)?, count() & 15, byte)?,
            Kind::N25 => find_key(self.words.get(KEYS..7)?, count() & 31, byte)?,
            Kind::N54 => find_key(self.words.get(KEYS..10)?, count() & 63, byte)?,
            Kind::N111 => {
                let count = count() & 127;
                match find_key(self.words.get(KEYS..11)?, count.min(63), byte) {
                    Some(index) => index,
                    None if count < 64 => return None,
                    None => match find_key(self.words.get(10..17)?, count - 56, byte) {
                        Some(index) => index + 56,
                        None => return None,
                    },
                }
            }
            Kind::N256 => byte as usize,
        };
        self.words.get(children_at(self.kind) + index)
    }

    /// The line to have at hand before [`Node::child`] is asked for `byte`, beside the first one.
    pub(super) fn line_of_child(kind: Kind, line: u32, byte: u8) -> u32 {
        match kind {
            Kind::N4 => line,
            Kind::N256 => line + 1 + u32::from(byte / 8),
            _ => line + 1,
        }
    }

    /// The key byte and child word of place `index`, for `index` below [`Node::count`]; in a node of 256
    /// every byte is its own place.
    #[inline]
    fn place(&self, index: usize) -> (u8, &'a AtomicU64) {
        let byte = match self.kind {
            Kind::N256 => index as u8,
            _ => (self.word(KEYS + index / 8).load(Ordering::Relaxed) >> (8 * (index % 8))) as u8,
        };
        (byte, self.word(children_at(self.kind) + index))
    }

    /// How many children there are: places in use whose word is not null.
    pub(super) fn children(&self) -> usize {
        if self.kind == Kind::N256 {
            return self.count();
        }
        let mut children = 0;
        self.for_each(|_, _| children += 1);
        children
    }

    /// Calls `each` with every child, in no order.
    pub(super) fn for_each(&self, mut each: impl FnMut(u8, Ref)) {
        let places = if self.kind == Kind::N256 { 256 } else { self.count() };
        for index in 0..places {
            let (byte, word) = self.place(index);
            let child = Ref::from_word(word.load(Ordering::Acquire));
            if !child.is_null() {
                each(byte, child);
            }
        }
    }

    /// Any one of the leaf, the children and the terminator.
    pub(super) fn any(&self) -> Ref {
        let terminator = Ref::from_word(self.terminator().load(Ordering::Acquire));
        if !terminator.is_null() {
            return terminator;
        }
        let places = if self.kind == Kind::N256 { 256 } else { self.count() };
        let children = (0..places).map(|index| Ref::from_word(self.place(index).1.load(Ordering::Acquire)));
        children.into_iter().find(|child| !child.is_null()).unwrap_or(Ref::NULL)
    }

    /// Calls `each` with the children for the bytes from `low` to `high`, from the highest to the lowest
    /// or, with `ascending`, the other way. It stops when `each` returns false.
    pub(super) fn in_order(&self, low: u8, high: u8, ascending: bool, mut each: impl FnMut(u8, Ref) -> bool) {
        let mut visit = |(byte, word): (u8, &AtomicU64)| {
            let child = Ref::from_word(word.load(Ordering::Acquire));
            child.is_null() || each(byte, child)
        };
        if self.kind <= Kind::N11 {
            let word = self.word(COUNT).load(Ordering::Acquire);
            let count = (word & SMALL_COUNT) as usize;
            for step in 0..count {
                let rank = if ascending { step } else { count - 1 - step };
                let place = self.place((word >> (4 + 4 * rank)) as usize & 15);
                if (low..=high).contains(&place.0) && !visit(place) {
                    return;
                }
            }
            return;
        }
        // Which bytes there are, and in which place.
        let mut present = [0u64; 4];
        let mut places = [0u8; 256];
        if self.kind == Kind::N256 {
            for (index, word) in present.iter_mut().enumerate() {
                *word = self.word(KEYS + index).load(Ordering::Acquire);
            }
        } else {
            for index in 0..self.count() {
                let byte = self.place(index).0;
                if let (Some(word), Some(place)) =
                    (present.get_mut(byte as usize / 64), places.get_mut(byte as usize))
                {
                    *word |= 1 << (byte % 64);
                    *place = index as u8;
                }
            }
        }
        for step in 0..4usize {
            let index = if ascending { step } else { 3 - step };
            let mut bits = present.get(index).copied().unwrap_or(0) & bits_between(index, low, high);
            while bits != 0 {
                let bit = if ascending { bits.trailing_zeros() } else { 63 - bits.leading_zeros() };
                bits &= !(1 << bit);
                let byte = (index * 64) as u8 + bit as u8;
                let place = match self.kind {
                    Kind::N256 => byte,
                    _ => places.get(byte as usize).copied().unwrap_or(0),
                };
                if !visit(self.place(place as usize)) {
                    return;
                }
            }
        }
    }

    // What follows is the writer's.

    /// Makes an allocated block an empty node.
    pub(super) fn clear(&self, prefix: u64, terminator: Ref) {
        self.word(COUNT).store(0, Ordering::Relaxed);
        self.word(TERMINATOR).store(terminator.to_word(), Ordering::Relaxed);
        self.word(PREFIX).store(prefix, Ordering::Relaxed);
        if self.kind == Kind::N256 {
            for word in self.words.iter().skip(KEYS) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Adds a child for a byte that has no place yet. False where the node is full; nothing is changed
    /// then.
    pub(super) fn append(&self, byte: u8, child: Ref) -> bool {
        let word = self.word(COUNT).load(Ordering::Relaxed);
        if self.kind == Kind::N256 {
            self.set_child(byte, child);
            return true;
        }
        let count = self.count();
        if count == self.kind.capacity() {
            return false;
        }
        let changed = match self.kind {
            Kind::N4 | Kind::N11 => {
                let rank = (0..count).filter(|index| self.place(*index).0 < byte).count();
                let order = word >> 4;
                let below = order & ((1 << (4 * rank)) - 1);
                let above = order >> (4 * rank);
                let order = below | (count as u64) << (4 * rank) | above << (4 * rank + 4);
                order << 4 | (count as u64 + 1)
            }
            _ => count as u64 + 1,
        };
        let keys = self.word(KEYS + count / 8);
        let shift = 8 * (count % 8);
        let others = keys.load(Ordering::Relaxed) & !(0xff << shift);
        keys.store(others | u64::from(byte) << shift, Ordering::Relaxed);
        self.word(children_at(self.kind) + count).store(child.to_word(), Ordering::Relaxed);
        self.word(COUNT).store(changed, Ordering::Release);
        true
    }

    /// Sets or takes out the child for `byte` in a node of 256. A scan that sees the bit without the
    /// child, or the child without the bit, takes it for absent.
    pub(super) fn set_child(&self, byte: u8, child: Ref) {
        debug_assert_eq!(self.kind, Kind::N256);
        let place = self.word(CHILDREN_256 + byte as usize);
        let was_there = place.load(Ordering::Relaxed) != 0;
        let bitmap = self.word(KEYS + byte as usize / 64);
        let count = self.word(COUNT).load(Ordering::Relaxed);
        let bit = 1 << (byte % 64);
        if child.is_null() {
            place.store(0, Ordering::Release);
            bitmap.store(bitmap.load(Ordering::Relaxed) & !bit, Ordering::Relaxed);
            self.word(COUNT).store(count.wrapping_sub(u64::from(was_there)), Ordering::Relaxed);
        } else {
            bitmap.store(bitmap.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
            self.word(COUNT).store(count + u64::from(!was_there), Ordering::Relaxed);
            place.store(child.to_word(), Ordering::Release);
        }
    }

    /// Adds the children of `source` to a node that readers cannot reach yet, but for the one for
    /// `without`. False where they do not all fit.
    pub(super) fn append_all(&self, source: &Node<'_>, without: Option<u8>) -> bool {
        let mut fits = true;
        source.for_each(|byte, child| {
            if Some(byte) != without {
                fits &= self.append(byte, child);
            }
        });
        fits
    }
}

/// The bits of word `index` of a bitmap of bytes that stand for bytes from `low` to `high`.
fn bits_between(index: usize, low: u8, high: u8) -> u64 {
    let first = (index * 64) as u32;
    let (low, high) = (u32::from(low).max(first), u32::from(high).min(first + 63));
    if low > high {
        return 0;
    }
    (u64::MAX >> (63 - (high - low))) << (low - first)
}

/// A leaf or a list of versions below `reference`, or null where there is none.
pub(super) fn any_leaf(arena: &Arena, reference: Ref) -> Ref {
    // A node always has one. But a reader that looks at place after place, while the writer fills those
    // behind and empties those ahead, may have to look again.
    for _ in 0..ATTEMPTS {
        let mut found = reference;
        while let Some(node) = Node::at(arena, found) {
            found = node.any();
        }
        if !found.is_null() {
            return found;
        }
    }
    Ref::NULL
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::types::Position;

    #[test]
    fn bits_between_covers_exactly_the_range() {
        for (low, high) in [(0u8, 255u8), (0, 0), (255, 255), (63, 64), (1, 200), (128, 191), (5, 4)] {
            for byte in 0..=255u8 {
                let word = bits_between(byte as usize / 64, low, high);
                assert_eq!(
                    word >> (byte % 64) & 1 == 1,
                    (low..=high).contains(&byte),
                    "{byte} in {low}..={high}"
                );
            }
        }
    }

    /// In every kind: each child is found, no other is, and they come in order both ways.
    #[test]
    fn every_kind_finds_and_orders_its_children() {
        let arena = Arena::new(1 << 20).unwrap();
        let mut allocator = crate::index::arena::Allocator::new(&arena);
        let purpose = crate::index::arena::Purpose::Grow;
        for kind in Kind::ALL {
            let line = allocator.allocate(&arena, kind.class(), purpose).unwrap();
            let node = Node::new(&arena, kind, line);
            node.clear(0, Ref::NULL);
            let leaf = |byte: u8| {
                Ref::leaf(
                    crate::index::reference::Fingerprint::of(&[byte]),
                    Position::from_units(byte.into()),
                )
            };
            let bytes: Vec<u8> = (0..kind.capacity()).map(|i| (i * 167 + 13) as u8).collect();
            for (used, byte) in bytes.iter().enumerate() {
                assert!(node.child(*byte).is_none_or(|child| child.load(Ordering::Relaxed) == 0));
                assert!(node.append(*byte, leaf(*byte)));
                assert_eq!(node.count(), used + 1);
            }
            for byte in 0..=255u8 {
                let found = node.child(byte).map_or(0, |child| child.load(Ordering::Relaxed));
                let expected = if bytes.contains(&byte) { leaf(byte) } else { Ref::NULL };
                assert_eq!(Ref::from_word(found), expected, "{kind:?} {byte}");
            }
            let mut sorted: Vec<u8> =
                bytes.iter().copied().filter(|byte| (20..=240).contains(byte)).collect();
            sorted.sort_unstable();
            let mut seen = Vec::new();
            node.in_order(20, 240, true, |byte, child| {
                assert_eq!(child, leaf(byte));
                seen.push(byte);
                true
            });
            assert_eq!(seen, sorted);
            seen.clear();
            node.in_order(20, 240, false, |byte, _| {
                seen.push(byte);
                true
            });
            sorted.reverse();
            assert_eq!(seen, sorted);
            if kind != Kind::N256 {
                assert!(!node.append(bytes[0] ^ 1, leaf(0)) || bytes.contains(&(bytes[0] ^ 1)));
            }
        }
    }
}
