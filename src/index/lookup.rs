//! Finding keys: one, or many at a time.
//!
//! Callers: the store, through [`Pin`].

use crate::index::node::Node;
use crate::index::reference::{Fingerprint, Ref, Target};
use crate::index::tree::Tree;
use crate::index::versions::Versions;
use crate::index::{Found, KeySource, Pin};
use crate::sync::Ordering;

/// Keys that go down the tree side by side.
const LANES: usize = 16;

impl Pin<'_> {
    /// The record or the versions that may be those of `key`: the record's own key has the last word.
    /// `None` is certain.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Found<'_> {
        self.found(self.tree.find(key))
    }

    /// As [`Pin::find`], of the versions of `key` that only snapshots see. To be asked after [`Pin::find`],
    /// for a snapshot that none of the versions is visible to that were found there.
    pub fn find_older(&self, key: &[u8]) -> Found<'_> {
        self.found(self.tree.find_below(&self.tree.older, key))
    }

    #[inline]
    fn found(&self, reference: Ref) -> Found<'_> {
        match reference.target() {
            Target::Leaf(position) => Found::One(position),
            Target::Versions(line) => Found::Many(Versions::new(&self.tree.arena, line)),
            _ => Found::None,
        }
    }

    /// As [`Pin::find`] for each of `wanted`, in order. The ways down are taken side by side, so that the
    /// waits for memory overlap, and each record is fetched ahead.
    pub fn find_many<'p, K: AsRef<[u8]>>(
        &'p self,
        wanted: &[K],
        keys: &impl KeySource,
        mut each: impl FnMut(usize, Found<'p>),
    ) {
        let mut lanes = [Lane { current: Ref::NULL, depth: 0, done: true }; LANES];
        for (group, wanted) in wanted.chunks(LANES).enumerate() {
            let root = Ref::from_word(self.tree.root.load(Ordering::Acquire));
            for (lane, _) in lanes.iter_mut().zip(wanted) {
                *lane = Lane { current: root, depth: 0, done: false };
            }
            let mut active = true;
            while active {
                active = false;
                for (lane, key) in lanes.iter_mut().zip(wanted) {
                    if !lane.done {
                        lane.advance(self.tree, key.as_ref(), keys);
                        active |= !lane.done;
                    }
                }
            }
            for (index, lane) in lanes.iter().take(wanted.len()).enumerate() {
                each(group * LANES + index, self.found(lane.current));
            }
        }
    }
}

/// One key on its way down.
#[derive(Clone, Copy)]
struct Lane {
    current: Ref,
    depth: usize,
    done: bool,
}

impl Lane {
    /// Goes one node down, and fetches what the next step needs.
    #[inline]
    fn advance(&mut self, tree: &Tree, key: &[u8], keys: &impl KeySource) {
        let Some(node) = Node::at(&tree.arena, self.current) else {
            self.done = true;
            if !self.current.may_be(Fingerprint::of(key)) {
                self.current = Ref::NULL;
            } else if let Ok(position) = tree.position_of(self.current) {
                keys.prefetch(position);
            }
            return;
        };
        let depth = self.depth + self.current.prefix_length();
        let word = tree.step(&node, key, depth);
        self.current = word.map_or(Ref::NULL, |word| Ref::from_word(word.load(Ordering::Acquire)));
        self.depth = depth + 1;
        if let Some(kind) = self.current.kind() {
            let line = self.current.line();
            let next = key.get(self.depth + self.current.prefix_length());
            let other = next.map_or(line, |byte| Node::line_of_child(kind, line, *byte));
            if other == line || !kind.is_direct() {
                tree.arena.prefetch(line);
            }
            if other != line {
                tree.arena.prefetch(other);
            }
        }
    }
}
