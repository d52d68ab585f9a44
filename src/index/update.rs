//! Changing what a key's leaf says: a new version beside the old ones, fewer versions, another place.
//!
//! Older versions are kept for snapshots only. The store says which: a version made at `older` and
//! followed by one made at `newer` is needed while there is a snapshot, or a state that readers see, at
//! an LSN from `older` on and below `newer`. So a key has at most one version more than there are
//! snapshots.
//!
//! Callers: the store, through [`Writer`].

use crate::error::{Error, Result};
use crate::index::KeySource;
use crate::index::arena::{Purpose, SizeClass};
use crate::index::insert::{newest, place};
use crate::index::reference::{Fingerprint, Ref, Target};
use crate::index::remove::detach;
use crate::index::tree::{Owner, Spot, Tree};
use crate::index::versions::{BLOCK_VERSIONS_MAX, HEADER_WORDS, Version, Versions, header, write_block};
use crate::index::writer::{Memory, Scratch, Writer};
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Lsn, Position};

impl Writer {
    /// Makes `version`, which is newer than all others, the newest one of `key`, and keeps those older
    /// ones for which `needed(older, newer)` says so. Calls `released` with each version that is no
    /// longer in the index, after the change is visible. A deletion that nothing older follows, or another
    /// deletion, is not kept: the key is taken out, or stays out.
    ///
    /// Errors: `NoMemory`, or what `keys` answers. The index is as it was then.
    pub fn push_version(
        &mut self,
        key: &[u8],
        version: Version,
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> bool,
        released: impl FnMut(Version),
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        memory.prepare(tree, 0)?;
        match tree.locate(key, fingerprint, keys)? {
            Spot::Found { slot, found, owner } => {
                let place = Place { slot, found, owner, fingerprint };
                place.settle(tree, memory, Some(version), keys, needed, released)?;
            }
            _ if version.deleted => {}
            spot => {
                place(tree, memory, spot, key, Ref::leaf(fingerprint, version.position))?;
                memory.key_added();
            }
        }
        memory.publish(tree);
        Ok(())
    }

    /// As [`Writer::push_version`], of a version that is no deletion. Calls `alone` first, with the record that
    /// it replaces: where that answers true, all older versions are forgotten at once, in place.
    pub fn put_newest(
        &mut self,
        key: &[u8],
        version: Version,
        keys: &impl KeySource,
        alone: impl FnOnce(Option<Position>) -> bool,
        needed: impl FnMut(&Version, Lsn) -> bool,
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        let leaf = Ref::leaf(fingerprint, version.position);
        memory.prepare(tree, 0)?;
        match tree.locate(key, fingerprint, keys)? {
            Spot::Found { slot, found, owner } => {
                if let Target::Versions(line) = found.target() {
                    memory.prepare(tree, Versions::blocks(&tree.arena, line))?;
                }
                let replaced = newest(tree, found);
                if alone(replaced) {
                    slot.store(leaf.to_word(), Ordering::Release);
                    memory.retire(tree, found);
                    if replaced.is_none() {
                        memory.key_added();
                    }
                } else {
                    let place = Place { slot, found, owner, fingerprint };
                    place.settle(tree, memory, Some(version), keys, needed, |_| {})?;
                }
            }
            spot => {
                alone(None);
                place(tree, memory, spot, key, leaf)?;
                memory.key_added();
            }
        }
        memory.publish(tree);
        Ok(())
    }

    /// Forgets the older versions of `key` that are no longer needed, as [`Writer::push_version`] does;
    /// the newest one stays, unless it is a deletion that nothing older follows.
    ///
    /// Errors: `NoMemory`, or what `keys` answers. The index is as it was then.
    pub fn prune_versions(
        &mut self,
        key: &[u8],
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> bool,
        released: impl FnMut(Version),
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        memory.prepare(tree, 0)?;
        if let Spot::Found { slot, found, owner } = tree.locate(key, fingerprint, keys)?
            && matches!(found.target(), Target::Versions(_))
        {
            let place = Place { slot, found, owner, fingerprint };
            place.settle(tree, memory, None, keys, needed, released)?;
            memory.publish(tree);
        }
        Ok(())
    }

    /// Says that the record of `key` at `old`, its only version or one of many, has moved to `new`.
    /// False, and nothing is changed, where the index does not lead to `old` any more.
    pub fn replace_position(&mut self, key: &[u8], old: Position, new: Position) -> bool {
        let fingerprint = Fingerprint::of(key);
        let Some((slot, found, _)) = self.tree.candidate(key, fingerprint) else { return false };
        // A position is that of one record, so of one key: no need to compare keys.
        match found.target() {
            Target::Leaf(position) if position == old => {
                slot.store(Ref::leaf(fingerprint, new).to_word(), Ordering::Release);
                true
            }
            Target::Versions(line) => {
                let mut versions = Versions::new(&self.tree.arena, line);
                while let Some((version, word)) = versions.next_with_word() {
                    if version.position == old {
                        word.store(Version { position: new, ..version }.to_word(), Ordering::Release);
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }
}

/// Where a key's leaf or list is.
struct Place<'t> {
    slot: &'t AtomicU64,
    found: Ref,
    owner: Option<Owner<'t>>,
    fingerprint: Fingerprint,
}

impl Place<'_> {
    /// Replaces the key's versions by `newest`, if given, and those of its versions that are needed.
    fn settle(
        self,
        tree: &Tree,
        memory: &mut Memory,
        newest: Option<Version>,
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> bool,
        mut released: impl FnMut(Version),
    ) -> Result<()> {
        let mut scratch = std::mem::take(&mut memory.scratch);
        let Scratch { before, after } = &mut scratch;
        let mut newest = newest;
        let settled = versions_of(tree, self.found, keys, before)
            .and_then(|()| {
                // What is deleted already is not deleted once more.
                let is_gone = before.first().is_some_and(|version| version.deleted);
                newest = newest.filter(|version| !(version.deleted && is_gone));
                kept_of(newest, before, needed, after)
            })
            .and_then(|()| self.replace(tree, memory, newest.is_some(), before, after));
        if settled.is_ok() {
            let mut kept = after.iter().skip(usize::from(newest.is_some())).peekable();
            for version in before.iter() {
                if kept.next_if_eq(&version).is_none() {
                    released(*version);
                }
            }
        }
        before.clear();
        after.clear();
        memory.scratch = scratch;
        settled
    }

    /// Makes `after` the key's versions in place of `before`.
    fn replace(
        self,
        tree: &Tree,
        memory: &mut Memory,
        grown: bool,
        before: &[Version],
        after: &[Version],
    ) -> Result<()> {
        if !grown && after.len() == before.len() {
            return Ok(());
        }
        if let Target::Versions(line) = self.found.target() {
            memory.prepare(tree, Versions::blocks(&tree.arena, line))?;
        }
        let is_there = |versions: &[Version]| versions.first().is_some_and(|newest| !newest.deleted);
        let count = |memory: &mut Memory| match (is_there(before), is_there(after)) {
            (false, true) => memory.key_added(),
            (true, false) => memory.key_removed(),
            _ => {}
        };
        let new = match after {
            [] => {
                detach(tree, memory, self.slot, self.found, self.owner)?;
                count(memory);
                return Ok(());
            }
            [only] => Ref::leaf(self.fingerprint, only.position),
            many => {
                let purpose = if grown { Purpose::Grow } else { Purpose::Shrink };
                Ref::versions(self.fingerprint, write_list(tree, memory, many, purpose)?)
            }
        };
        self.slot.store(new.to_word(), Ordering::Release);
        memory.retire(tree, self.found);
        count(memory);
        Ok(())
    }
}

/// Puts the versions that a key has now into `versions`, newest first.
fn versions_of(tree: &Tree, found: Ref, keys: &impl KeySource, versions: &mut Vec<Version>) -> Result<()> {
    match found.target() {
        Target::Leaf(position) => {
            let lsn = keys.lsn_at(position)?;
            push(versions, Version { lsn, position, deleted: false })
        }
        Target::Versions(line) => {
            Versions::new(&tree.arena, line).try_for_each(|version| push(versions, version))
        }
        _ => Err(Error::Internal("a leaf of the index is not one")),
    }
}

/// Puts `newest`, if given, and those of `before` that are needed into `after`, newest first.
fn kept_of(
    newest: Option<Version>,
    before: &[Version],
    mut needed: impl FnMut(&Version, Lsn) -> bool,
    after: &mut Vec<Version>,
) -> Result<()> {
    let mut newer: Option<Lsn> = None;
    for version in newest.iter().chain(before) {
        if newer.is_none_or(|newer| needed(version, newer)) {
            push(after, *version)?;
        }
        newer = Some(version.lsn);
    }
    // A deletion with nothing before it is the same as nothing.
    while after.last().is_some_and(|version| version.deleted) {
        after.pop();
    }
    Ok(())
}

fn push(versions: &mut Vec<Version>, version: Version) -> Result<()> {
    versions.try_reserve(1).map_err(|_| Error::NoMemory("the versions of a key"))?;
    versions.push(version);
    Ok(())
}

/// A new list of `versions`, not published yet.
fn write_list(tree: &Tree, memory: &mut Memory, versions: &[Version], purpose: Purpose) -> Result<u32> {
    let mut next = 0;
    for chunk in versions.rchunks(BLOCK_VERSIONS_MAX) {
        let class = SizeClass::for_words(HEADER_WORDS + 2 * chunk.len());
        match memory.allocate(tree, class, purpose) {
            Ok(line) => {
                write_block(&tree.arena, line, class, chunk, next);
                next = line;
            }
            Err(error) => {
                while next != 0 {
                    let (_, class, older) = header(&tree.arena, next);
                    memory.give_back(tree, next, class);
                    next = older;
                }
                return Err(error);
            }
        }
    }
    Ok(next)
}
