//! Changing what a key's leaf says: a new version beside the old ones, fewer versions, another place.
//!
//! Older versions are kept for snapshots, and while a commit is not visible yet. The store says which: a
//! version made at `older` and followed by one made at `newer` is needed while there is a snapshot, or a
//! state that readers see, at an LSN from `older` on and below `newer`. So a key has at most one version more
//! than there are snapshots. Those that readers may see stand beside the newest one, in a list in the place
//! of its leaf; those that only snapshots see, in the tree of older versions.
//!
//! Invariants:
//! 1. A key in the tree of older versions is in the tree of newest ones too, and all its versions there are
//!    newer: a deletion stays there as long as the key has older versions.
//! 2. A version gets into the tree of older ones before it leaves the other one.
//!
//! Callers: the store, through [`Writer`].

use crate::error::{Error, Result};
use crate::index::arena::{Purpose, SizeClass};
use crate::index::insert::{newest, place};
use crate::index::reference::{Fingerprint, Ref, Target};
use crate::index::remove::detach;
use crate::index::tree::{Owner, Spot, Tree};
use crate::index::versions::{BLOCK_VERSIONS_MAX, HEADER_WORDS, Version, Versions, header, write_block};
use crate::index::writer::{Memory, Scratch, Writer};
use crate::index::{KeySource, Need};
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Lsn, Position};

impl Writer {
    /// Makes `version`, which is newer than all others, the newest one of `key`, and keeps those older
    /// ones that `needed(older, newer LSN)` says somebody needs. Calls `released` with each version that is
    /// no longer in the index, after the change is visible. A deletion that nothing older follows, or another
    /// deletion, is not kept: the key is taken out, or stays out.
    ///
    /// Errors: `NoMemory`, or what `keys` answers. Nothing has changed then that a reader could see.
    pub fn push_version(
        &mut self,
        key: &[u8],
        version: Version,
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> Need,
        released: impl FnMut(Version),
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        memory.prepare(tree, 0)?;
        match tree.locate(&tree.root, key, fingerprint, keys)? {
            Spot::Found { slot, found, owner } => {
                let place = Place { key, slot, found, owner, fingerprint };
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

    /// As [`Writer::push_version`], of a version that is no deletion and that readers see from now on. Calls
    /// `note` first, with the record that it replaces, and what is kept are only versions for snapshots;
    /// where `note` answers that there are none, nothing is.
    pub fn put_newest(
        &mut self,
        key: &[u8],
        version: Version,
        keys: &impl KeySource,
        note: impl FnOnce(Option<Position>) -> bool,
        needed: impl FnMut(&Version, Lsn) -> Need,
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        memory.prepare(tree, 0)?;
        match tree.locate(&tree.root, key, fingerprint, keys)? {
            Spot::Found { slot, found, owner } => {
                if let Target::Versions(line) = found.target() {
                    memory.prepare(tree, Versions::blocks(&tree.arena, line))?;
                }
                let replaced = newest(tree, found);
                if note(replaced) {
                    let place = Place { key, slot, found, owner, fingerprint };
                    place.keep_older(tree, memory, version, keys, needed)?;
                }
                slot.store(Ref::leaf(fingerprint, version.position).to_word(), Ordering::Release);
                memory.retire(tree, found);
                if replaced.is_none() {
                    memory.key_added();
                }
            }
            spot => {
                note(None);
                place(tree, memory, spot, key, Ref::leaf(fingerprint, version.position))?;
                memory.key_added();
            }
        }
        memory.publish(tree);
        Ok(())
    }

    /// Forgets the older versions of `key` that are no longer needed, as [`Writer::push_version`] does;
    /// the newest one stays, unless it is a deletion that nothing older follows.
    ///
    /// Errors: `NoMemory`, or what `keys` answers. Nothing has changed then that a reader could see.
    pub fn prune_versions(
        &mut self,
        key: &[u8],
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> Need,
        released: impl FnMut(Version),
    ) -> Result<()> {
        let Writer { tree, memory } = self;
        let tree: &Tree = tree;
        let fingerprint = Fingerprint::of(key);
        memory.prepare(tree, 0)?;
        let Spot::Found { slot, found, owner } = tree.locate(&tree.root, key, fingerprint, keys)? else {
            return Ok(());
        };
        if matches!(found.target(), Target::Versions(_)) || tree.has_older() {
            let place = Place { key, slot, found, owner, fingerprint };
            place.settle(tree, memory, None, keys, needed, released)?;
            memory.publish(tree);
        }
        Ok(())
    }

    /// Says that the record of `key` at `old`, its only version or one of many, has moved to `new`.
    /// False, and nothing is changed, where the index does not lead to `old` any more. The deletion of a
    /// range stands at the record that it deletes: more than one version may stand at `old`, and all move.
    pub fn replace_position(&mut self, key: &[u8], old: Position, new: Position) -> bool {
        let tree = &self.tree;
        let fingerprint = Fingerprint::of(key);
        let mut replaced = false;
        for root in [&tree.root, &tree.older] {
            let Some((slot, found, _)) = tree.candidate(root, key, fingerprint) else { continue };
            // A position is that of one record, so of one key: no need to compare keys.
            match found.target() {
                Target::Leaf(position) if position == old => {
                    slot.store(Ref::leaf(fingerprint, new).to_word(), Ordering::Release);
                    replaced = true;
                }
                Target::Versions(line) => {
                    // A deletion may stand at the record of the version that it deletes.
                    let mut versions = Versions::new(&tree.arena, line);
                    while let Some((version, word)) = versions.next_with_word() {
                        if version.position == old {
                            word.store(Version { position: new, ..version }.to_word(), Ordering::Release);
                            replaced = true;
                        }
                    }
                }
                _ => {}
            }
        }
        replaced
    }
}

/// Where a key's leaf or list is.
struct Place<'t, 'k> {
    key: &'k [u8],
    slot: &'t AtomicU64,
    found: Ref,
    owner: Option<Owner<'t>>,
    fingerprint: Fingerprint,
}

impl Place<'_, '_> {
    /// Replaces the key's versions by `newest`, if given, and those of its versions that are needed.
    fn settle(
        self,
        tree: &Tree,
        memory: &mut Memory,
        newest: Option<Version>,
        keys: &impl KeySource,
        needed: impl FnMut(&Version, Lsn) -> Need,
        mut released: impl FnMut(Version),
    ) -> Result<()> {
        let mut scratch = std::mem::take(&mut memory.scratch);
        let Scratch { before, after } = &mut scratch;
        let mut newest = newest;
        let settled = self
            .versions(tree, keys, before)
            .and_then(|beside| {
                // What is deleted already is not deleted once more.
                let is_gone = before.first().is_some_and(|version| version.deleted);
                newest = newest.filter(|version| !(version.deleted && is_gone));
                Ok((beside, kept_of(newest, before, needed, after)?))
            })
            .and_then(|(beside, keep)| {
                let (new, older) = after.split_at_checked(keep).unwrap_or((after.as_slice(), &[]));
                let (before, older_before) =
                    before.split_at_checked(beside).unwrap_or((before.as_slice(), &[]));
                // The older ones first: whoever does not find a version among the new ones looks there next.
                self.set_older(tree, memory, keys, older_before, older)?;
                self.replace(tree, memory, newest.is_some(), before, new)
            });
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

    /// Puts those of the key's versions into the tree of older ones that snapshots need when `newest` takes
    /// their place.
    fn keep_older(
        &self,
        tree: &Tree,
        memory: &mut Memory,
        newest: Version,
        keys: &impl KeySource,
        mut needed: impl FnMut(&Version, Lsn) -> Need,
    ) -> Result<()> {
        let mut only = None;
        if let Target::Leaf(position) = self.found.target() {
            let version = Version { lsn: keys.lsn_at(position)?, position, deleted: false };
            if needed(&version, newest.lsn) == Need::Nobody {
                // What is kept already is not concerned.
                return Ok(());
            }
            only = Some(version);
        }
        let mut scratch = std::mem::take(&mut memory.scratch);
        let Scratch { before, after } = &mut scratch;
        let needed = |version: &Version, newer: Lsn| match only {
            // The one was asked about, and those behind it are kept until they are looked at.
            Some(_) => Need::Snapshots,
            // A snapshot that the store does not know of yet may see that the key is not there. Nothing but
            // the deletion keeps it from seeing what stands before it.
            None if version.deleted && newer == newest.lsn => Need::Snapshots,
            None => needed(version, newer),
        };
        let kept = self
            .versions(tree, keys, before)
            .and_then(|beside| Ok((beside, kept_of(Some(newest), before, needed, after)?)))
            .and_then(|(beside, _)| {
                let older_before = before.get(beside..).unwrap_or_default();
                self.set_older(tree, memory, keys, older_before, after.get(1..).unwrap_or_default())
            });
        before.clear();
        after.clear();
        memory.scratch = scratch;
        kept
    }

    /// Puts the versions that the key has now into `versions`, newest first. How many of them are beside the
    /// newest one; the others are those in the tree of older ones.
    fn versions(&self, tree: &Tree, keys: &impl KeySource, versions: &mut Vec<Version>) -> Result<usize> {
        versions_of(tree, self.found, keys, versions)?;
        let beside = versions.len();
        if tree.has_older()
            && let Spot::Found { found, .. } = tree.locate(&tree.older, self.key, self.fingerprint, keys)?
        {
            versions_of(tree, found, keys, versions)?;
            // A change that failed half way left some in both trees.
            let last = beside.checked_sub(1).and_then(|last| versions.get(last)).map_or(0, |last| last.lsn);
            let doubled = versions.iter().skip(beside).take_while(|version| version.lsn >= last).count();
            versions.drain(beside..beside + doubled);
        }
        Ok(beside)
    }

    /// Makes `after` what the tree of older versions has of the key, in place of `before`.
    fn set_older(
        &self,
        tree: &Tree,
        memory: &mut Memory,
        keys: &impl KeySource,
        before: &[Version],
        after: &[Version],
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        let spot = tree.locate(&tree.older, self.key, self.fingerprint, keys)?;
        let new = match after {
            [] => Ref::NULL,
            [only] if !only.deleted => Ref::leaf(self.fingerprint, only.position),
            many => Ref::versions(self.fingerprint, write_list(tree, memory, many, Purpose::Grow)?),
        };
        match spot {
            Spot::Found { slot, found, owner } if new.is_null() => detach(tree, memory, slot, found, owner),
            Spot::Found { slot, found, .. } => {
                if let Target::Versions(line) = found.target() {
                    memory.prepare(tree, Versions::blocks(&tree.arena, line))?;
                }
                slot.store(new.to_word(), Ordering::Release);
                memory.retire(tree, found);
                Ok(())
            }
            _ if new.is_null() => Ok(()),
            spot => place(tree, memory, spot, self.key, new),
        }
    }

    /// Makes `after` the key's versions beside the newest one in place of `before`.
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
            [only] if !only.deleted => Ref::leaf(self.fingerprint, only.position),
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

/// Puts `newest`, if given, and those of `before` that are needed into `after`, newest first. How many of
/// them stand beside the newest one; the others are for snapshots.
fn kept_of(
    newest: Option<Version>,
    before: &[Version],
    mut needed: impl FnMut(&Version, Lsn) -> Need,
    after: &mut Vec<Version>,
) -> Result<usize> {
    let mut newer: Option<Lsn> = None;
    let mut beside = 0;
    for version in newest.iter().chain(before) {
        match newer.map_or(Need::Readers, |newer| needed(version, newer)) {
            Need::Nobody => {}
            Need::Snapshots => push(after, *version)?,
            Need::Readers => {
                push(after, *version)?;
                // None of those before it may be missed there.
                beside = after.len();
            }
        }
        newer = Some(version.lsn);
    }
    // A deletion with nothing before it is the same as nothing.
    while after.last().is_some_and(|version| version.deleted) {
        after.pop();
    }
    Ok(beside.min(after.len()))
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
