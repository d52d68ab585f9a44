//! What a word of the tree that points somewhere says: nothing, a record, a list of versions, a node.
//!
//! | bits   | leaf                    | versions                | node                |
//! |--------|-------------------------|-------------------------|---------------------|
//! | 63     | 1                       | 0                       | 0                   |
//! | 60..62 | fingerprint (40..62)    | 0                       | kind, 1 to 6        |
//! | 32..59 | position's upper bits   | fingerprint (32..54)    | prefix length (32..47) |
//! | 0..31  | position's lower bits   | line of the list        | line of the node    |
//!
//! All zeros is null. The kind and the prefix length stand in the reference, not in the node, so a
//! lookup in a node of 256 touches the child's line only, and never reads a prefix.
//!
//! Callers: the other files of `index`.

use crate::index::arena::SizeClass;
use crate::index::bytes::first_bytes;
use crate::types::Position;

const LEAF: u64 = 1 << 63;
const KIND_SHIFT: u32 = 60;
const PREFIX_SHIFT: u32 = 32;
const LEAF_FINGERPRINT_SHIFT: u32 = 40;
const VERSIONS_FINGERPRINT_SHIFT: u32 = 32;
const FINGERPRINT_BITS: u32 = 23;

/// 23 bits of a key's hash, kept beside its position: tells most other keys without reading the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of `key`. It lives in memory only, so the hash may change with any release.
    #[inline]
    pub(super) fn of(key: &[u8]) -> Fingerprint {
        const START: u64 = 0x9e37_79b9_7f4a_7c15;
        const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;
        let fold = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
            product as u64 ^ (product >> 64) as u64
        };
        let (words, rest) = key.as_chunks::<8>();
        let mut hash = START ^ key.len() as u64;
        for word in words {
            hash = fold(hash, u64::from_le_bytes(*word));
        }
        let tail = match key.last_chunk::<8>() {
            _ if rest.is_empty() => 0,
            Some(last) => u64::from_le_bytes(*last),
            None => first_bytes(rest),
        };
        Fingerprint(fold(hash, tail ^ START.rotate_left(17)) >> (64 - FINGERPRINT_BITS))
    }
}

/// The kinds of nodes, named by how many children they hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    N4 = 1,
    N11 = 2,
    N25 = 3,
    N54 = 4,
    N111 = 5,
    N256 = 6,
}

impl Kind {
    /// Every kind, from small to large.
    pub(super) const ALL: [Kind; 6] = [Kind::N4, Kind::N11, Kind::N25, Kind::N54, Kind::N111, Kind::N256];

    /// Children it holds.
    pub(super) const fn capacity(self) -> usize {
        match self {
            Kind::N4 => 4,
            Kind::N11 => 11,
            Kind::N25 => 25,
            Kind::N54 => 54,
            Kind::N111 => 111,
            Kind::N256 => 256,
        }
    }

    /// The block it is kept in.
    pub(super) const fn class(self) -> SizeClass {
        SizeClass::new(self as u8 - 1)
    }

    /// Whether a child's place follows from its byte alone.
    pub(super) const fn is_direct(self) -> bool {
        matches!(self, Kind::N256)
    }

    /// The smallest kind with room for `children`.
    pub(super) fn for_children(children: usize) -> Kind {
        Kind::ALL.into_iter().find(|kind| kind.capacity() >= children).unwrap_or(Kind::N256)
    }

    /// The kind for a node of this kind that has shrunk to `children`: smaller only where some room is
    /// left there, so that a key put and removed in turn does not copy a node each time.
    pub(super) fn shrunk_to(self, children: usize) -> Kind {
        let fits = |kind: &Kind| children < kind.capacity() - kind.capacity() / 10;
        Kind::ALL.into_iter().find(fits).map_or(self, |kind| kind.min(self))
    }
}

/// A reference. See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ref(u64);

/// A reference taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// Nothing.
    Null,
    /// The record of one key.
    Leaf(Position),
    /// The list of one key's versions at this line.
    Versions(u32),
    /// A node.
    Node(Kind),
}

impl Ref {
    /// Points nowhere.
    pub(super) const NULL: Ref = Ref(0);

    /// The reference in a word of the tree.
    #[inline]
    pub(super) const fn from_word(word: u64) -> Ref {
        Ref(word)
    }

    /// As a word of the tree.
    #[inline]
    pub(super) const fn to_word(self) -> u64 {
        self.0
    }

    /// A leaf.
    #[inline]
    pub(super) const fn leaf(fingerprint: Fingerprint, position: Position) -> Ref {
        Ref(LEAF | fingerprint.0 << LEAF_FINGERPRINT_SHIFT | position.to_units())
    }

    /// A list of versions at `line`, which is not 0.
    pub(super) const fn versions(fingerprint: Fingerprint, line: u32) -> Ref {
        Ref(fingerprint.0 << VERSIONS_FINGERPRINT_SHIFT | line as u64)
    }

    /// A node at `line`. `prefix_length` is below 65,536, as a key's length is.
    pub(super) const fn node(kind: Kind, prefix_length: usize, line: u32) -> Ref {
        Ref((kind as u64) << KIND_SHIFT | ((prefix_length & 0xffff) as u64) << PREFIX_SHIFT | line as u64)
    }

    #[inline]
    pub(super) const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The kind of the node it points to, if it is one.
    #[inline]
    pub(super) const fn kind(self) -> Option<Kind> {
        match self.0 >> KIND_SHIFT {
            1 => Some(Kind::N4),
            2 => Some(Kind::N11),
            3 => Some(Kind::N25),
            4 => Some(Kind::N54),
            5 => Some(Kind::N111),
            6 => Some(Kind::N256),
            _ => None,
        }
    }

    /// What it points to.
    #[inline]
    pub(super) const fn target(self) -> Target {
        if self.0 & LEAF != 0 {
            Target::Leaf(Position::from_units(self.0))
        } else if let Some(kind) = self.kind() {
            Target::Node(kind)
        } else if self.0 == 0 {
            Target::Null
        } else {
            Target::Versions(self.line())
        }
    }

    /// The line of a node or of a list of versions.
    #[inline]
    pub(super) const fn line(self) -> u32 {
        self.0 as u32
    }

    /// How many bytes the keys below a node share after the byte that led to it.
    #[inline]
    pub(super) const fn prefix_length(self) -> usize {
        (self.0 >> PREFIX_SHIFT) as u16 as usize
    }

    /// Whether a leaf or a list of versions may be that of a key with this fingerprint. The record has
    /// the last word.
    #[inline]
    pub(super) const fn may_be(self, fingerprint: Fingerprint) -> bool {
        let found = if self.0 & LEAF != 0 {
            self.0 >> LEAF_FINGERPRINT_SHIFT
        } else {
            self.0 >> VERSIONS_FINGERPRINT_SHIFT
        };
        self.0 != 0 && found & ((1 << FINGERPRINT_BITS) - 1) == fingerprint.0
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_reference_comes_apart_as_it_was_put_together() {
        let fingerprint = Fingerprint::of(b"key");
        let position = Position::new((1 << 43) - 8).unwrap();
        let leaf = Ref::leaf(fingerprint, position);
        assert_eq!(leaf.target(), Target::Leaf(position));
        assert!(leaf.may_be(fingerprint) && !leaf.may_be(Fingerprint::of(b"other")));
        assert_eq!(
            Ref::leaf(Fingerprint(0), Position::from_units(0)).target(),
            Target::Leaf(Position::from_units(0))
        );
        let versions = Ref::versions(fingerprint, u32::MAX);
        assert_eq!(versions.target(), Target::Versions(u32::MAX));
        assert!(versions.may_be(fingerprint) && !versions.may_be(Fingerprint::of(b"other")));
        for kind in Kind::ALL {
            let node = Ref::node(kind, 65_535, 77);
            assert_eq!(node.target(), Target::Node(kind));
            assert_eq!((node.prefix_length(), node.line()), (65_535, 77));
        }
        assert_eq!(Ref::NULL.target(), Target::Null);
        assert!(!Ref::NULL.may_be(Fingerprint(0)));
    }

    #[test]
    fn fingerprints_tell_keys_apart_that_differ_in_one_bit() {
        let mut collisions = 0;
        for length in 1..40usize {
            let key = vec![0x61u8; length];
            for bit in 0..length * 8 {
                let mut other = key.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                collisions += u32::from(Fingerprint::of(&key) == Fingerprint::of(&other));
            }
        }
        assert!(collisions < 3, "{collisions} collisions");
        assert_ne!(Fingerprint::of(b""), Fingerprint::of(b"\0"));
        assert_ne!(Fingerprint::of(b"\0"), Fingerprint::of(b"\0\0"));
    }
}
