//! The durability model: what is on the device for certain, and what may be.
//!
//! Invariants:
//! 1. Every change that no sync has covered is a unit of `pending`, in the order made: data in units of
//!    one 512-byte sector, each change of a length, each change of a name.
//! 2. A power loss keeps any subset of the units. Units that are kept take effect in the order made.
//! 3. A sync covers what was done before it began. `fsync` covers data and length; `fdatasync` the data
//!    and as much length as is needed to read it; a directory's sync the names in it. A file's sync says
//!    nothing about its name, a directory's nothing about any file.
//! 4. What a failed sync should have covered stays optional for ever: later syncs do not cover it.
//!
//! Callers: `sim`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::content::{Content, Page, mix};
use super::trace::{DirectoryNumber, Inode, Operation, SyncTarget};

/// Bytes that a device writes whole, or else torn.
const SECTOR_SIZE: u64 = 512;

/// A directory's names.
#[derive(Clone, Debug)]
pub(super) struct DirectoryState {
    pub(super) path: PathBuf,
    pub(super) names: BTreeMap<Arc<str>, Inode>,
}

/// A file's bytes and length.
#[derive(Clone, Default, Debug)]
pub(super) struct InodeState {
    pub(super) length: u64,
    pub(super) content: Content,
}

/// A change of what a name stands for.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Bind { name: Arc<str>, inode: Inode },
    Move { from: Arc<str>, to: Arc<str>, inode: Inode },
    Unbind { name: Arc<str> },
}

/// A change that reaches the device whole or not at all (data: or torn).
#[derive(Clone, Debug)]
pub(super) enum Change {
    Data { inode: Inode, offset: u64, bytes: Arc<[u8]>, range: Range<usize> },
    Length { inode: Inode, to: u64, shrinks: bool },
    Name { directory: DirectoryNumber, change: NameChange },
}

/// What is known about a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// A later sync can cover it.
    Open,
    /// Covered by a sync; kept in the list only because a lost unit comes before it.
    Durable,
    /// Covered by a sync that failed.
    Lost,
}

/// A change that may not be on the device.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    sequence: u64,
    standing: Standing,
    change: Change,
}

/// How much of a unit a power loss leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    Nothing,
    Everything,
    /// This range of its data.
    Part(Range<usize>),
}

/// What space reads as whose length reached the device but whose data did not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Unwritten {
    /// Zeros, as file systems with unwritten extents promise.
    #[default]
    Zeros,
    /// Random bytes.
    Noise,
    /// What another file holds at the same place: whole old frames, with valid checksums.
    Stale,
}

/// A disk: what is durable, and what may be.
#[derive(Clone, Default, Debug)]
pub(super) struct DiskState {
    pub(super) directories: Vec<DirectoryState>,
    pub(super) inodes: BTreeMap<Inode, InodeState>,
    pub(super) pending: Vec<Unit>,
    pub(super) now: i64,
    pub(super) next_sequence: u64,
    pub(super) syncs: BTreeMap<u64, u64>,
}

impl Change {
    fn inode(&self) -> Option<Inode> {
        match self {
            Change::Data { inode, .. } | Change::Length { inode, .. } => Some(*inode),
            Change::Name { .. } => None,
        }
    }

    /// Whether a sync of `target` covers it if it covers anything of the file.
    fn belongs_to(&self, target: SyncTarget) -> bool {
        match (target, self) {
            (SyncTarget::File { inode, .. }, change) => change.inode() == Some(inode),
            (SyncTarget::Directory(number), Change::Name { directory, .. }) => *directory == number,
            (SyncTarget::Directory(_), _) => false,
        }
    }
}

impl DiskState {
    /// The units that a power loss may keep or lose, in order: for data the offset and size in the file.
    pub(super) fn optional_units(&self) -> impl Iterator<Item = Option<(u64, usize)>> {
        self.pending.iter().filter(|unit| unit.standing != Standing::Durable).map(|unit| match &unit.change {
            Change::Data { offset, range, .. } => Some((*offset, range.len())),
            _ => None,
        })
    }

    /// Does `operation`.
    pub(super) fn apply(&mut self, operation: &Operation) {
        match operation {
            // The directory's parent is synced within the call.
            Operation::MakeDirectory { path } => {
                self.directories.push(DirectoryState { path: path.clone(), names: BTreeMap::new() });
            }
            Operation::Create { directory, name, inode } => {
                self.inodes.insert(*inode, InodeState::default());
                self.push_name(*directory, NameChange::Bind { name: name.clone(), inode: *inode });
            }
            Operation::Rename { directory, from, to, inode } => {
                let change = NameChange::Move { from: from.clone(), to: to.clone(), inode: *inode };
                self.push_name(*directory, change);
            }
            Operation::Unlink { directory, name } => {
                self.push_name(*directory, NameChange::Unbind { name: name.clone() });
            }
            Operation::Write { inode, offset, bytes, grows, .. } => {
                let end = offset + bytes.len() as u64;
                if *grows {
                    self.push(Change::Length { inode: *inode, to: end, shrinks: false });
                }
                let mut start = *offset;
                while start < end {
                    let stop = end.min((start / SECTOR_SIZE + 1) * SECTOR_SIZE);
                    let range = (start - offset) as usize..(stop - offset) as usize;
                    self.push(Change::Data { inode: *inode, offset: start, bytes: bytes.clone(), range });
                    start = stop;
                }
            }
            Operation::Resize { inode, from, to, .. } => {
                if from != to {
                    self.push(Change::Length { inode: *inode, to: *to, shrinks: to < from });
                }
            }
            Operation::SyncBegin { token, .. } => {
                self.syncs.insert(*token, self.next_sequence);
            }
            Operation::SyncEnd { token, target, succeeded, .. } => {
                if let Some(limit) = self.syncs.remove(token) {
                    self.settle(*target, limit, *succeeded);
                }
            }
            Operation::Lock { .. } => {}
        }
    }

    fn push(&mut self, change: Change) {
        // A file without a name for good: open still, but nothing of it outlives a crash.
        if change.inode().is_some_and(|inode| !self.inodes.contains_key(&inode)) {
            return;
        }
        self.pending.push(Unit { sequence: self.next_sequence, standing: Standing::Open, change });
        self.next_sequence += 1;
    }

    fn push_name(&mut self, directory: DirectoryNumber, change: NameChange) {
        self.push(Change::Name { directory, change });
    }

    /// The end of a sync of `target` that began before unit number `limit`.
    fn settle(&mut self, target: SyncTarget, limit: u64, succeeded: bool) {
        let standing = if succeeded { Standing::Durable } else { Standing::Lost };
        let (lengths_needed, data_only) = match target {
            SyncTarget::File { inode, metadata } if succeeded => {
                (self.lengths_needed(inode, limit), !metadata)
            }
            _ => (false, false),
        };
        for unit in self.pending.iter_mut().filter(|unit| unit.sequence < limit) {
            let is_length = matches!(unit.change, Change::Length { .. });
            let covered = match unit.standing {
                Standing::Open => !is_length || lengths_needed || !data_only,
                // Data that is durable can be read, whatever happened to a change of length before.
                Standing::Lost => is_length && lengths_needed,
                Standing::Durable => false,
            };
            if covered && unit.change.belongs_to(target) {
                unit.standing = standing;
            }
        }
        if succeeded {
            self.fold(target);
        }
    }

    /// Whether a sync must cover all changes of length before unit number `limit`, for the data that it
    /// covers to be readable. Where the file only grew, the length up to the end of the data is made
    /// durable here, and the changes themselves can stay open.
    fn lengths_needed(&mut self, inode: Inode, limit: u64) -> bool {
        let Some(file) = self.inodes.get_mut(&inode) else { return true };
        let (mut shortest, mut data_end, mut shrinks_any) = (file.length, 0, false);
        for unit in &self.pending {
            if unit.sequence >= limit {
                continue;
            }
            match &unit.change {
                Change::Data { inode: of, offset, range, .. }
                    if *of == inode && unit.standing == Standing::Open =>
                {
                    data_end = data_end.max(offset + range.len() as u64);
                }
                Change::Length { inode: of, to, shrinks } if *of == inode => {
                    shortest = shortest.min(*to);
                    shrinks_any |= shrinks;
                }
                _ => {}
            }
        }
        if data_end <= shortest {
            return false;
        }
        if !shrinks_any {
            file.length = file.length.max(data_end);
        }
        shrinks_any
    }

    /// Moves what is durable of `target` from the list into the files and directories. A unit behind a
    /// lost one has to wait: the lost one may take effect before it.
    fn fold(&mut self, target: SyncTarget) {
        let mut lost_before = false;
        let mut rest = Vec::with_capacity(self.pending.len());
        for unit in std::mem::take(&mut self.pending) {
            if unit.change.belongs_to(target) {
                lost_before |= unit.standing == Standing::Lost;
                if unit.standing == Standing::Durable && !lost_before {
                    self.take_effect(&unit.change, None);
                    continue;
                }
            }
            rest.push(unit);
        }
        self.pending = rest;
        match target {
            SyncTarget::File { inode, .. } => self.clip([inode].into_iter()),
            SyncTarget::Directory(_) => self.forget_unreachable(),
        }
    }

    fn take_effect(&mut self, change: &Change, part: Option<&Range<usize>>) {
        match change {
            Change::Data { inode, offset, bytes, range } => {
                let part = part.cloned().unwrap_or(0..range.len());
                let within = range.start + part.start..range.start + part.end;
                if let (Some(file), Some(bytes)) = (self.inodes.get_mut(inode), bytes.get(within)) {
                    file.content.write(bytes, offset + part.start as u64);
                }
            }
            Change::Length { inode, to, shrinks } => {
                let Some(file) = self.inodes.get_mut(inode) else { return };
                if *shrinks {
                    file.length = file.length.min(*to);
                    file.content.truncate(file.length);
                } else {
                    file.length = file.length.max(*to);
                }
            }
            Change::Name { directory, change } => {
                let Some(directory) = self.directories.get_mut(*directory) else { return };
                match change {
                    NameChange::Bind { name, inode } => directory.names.insert(name.clone(), *inode),
                    NameChange::Unbind { name } => directory.names.remove(name),
                    NameChange::Move { from, to, inode } => {
                        if directory.names.get(from) == Some(inode) {
                            directory.names.remove(from);
                        }
                        directory.names.insert(to.clone(), *inode)
                    }
                };
            }
        }
    }

    /// The disk after a power loss that left of the i-th optional unit what `keep(i)` says.
    pub(super) fn after_power_loss(
        &self,
        keep: impl Fn(usize) -> Kept,
        unwritten: Unwritten,
        seed: u64,
    ) -> DiskState {
        let mut state = self.without_pending();
        let mut optional = 0;
        let mut chosen = Vec::with_capacity(self.pending.len());
        for unit in &self.pending {
            let kept = if unit.standing == Standing::Durable {
                Kept::Everything
            } else {
                optional += 1;
                keep(optional - 1)
            };
            if kept != Kept::Nothing {
                chosen.push((unit, kept));
            }
        }
        if unwritten != Unwritten::Zeros {
            self.fill_unwritten(&mut state, chosen.iter().map(|(unit, _)| *unit), unwritten, seed);
        }
        for (unit, kept) in &chosen {
            let part = if let Kept::Part(part) = kept { Some(part) } else { None };
            state.take_effect(&unit.change, part);
        }
        state.clip(chosen.iter().filter_map(|(unit, _)| unit.change.inode()));
        state.forget_nameless();
        state
    }

    /// The disk as the processes on it see it: every unit has taken effect.
    pub(super) fn live(&self) -> DiskState {
        let mut state = self.without_pending();
        for unit in &self.pending {
            state.take_effect(&unit.change, None);
        }
        state.clip(self.pending.iter().filter_map(|unit| unit.change.inode()));
        state.forget_nameless();
        state
    }

    /// The disk after the death of its processes: all bytes are there, none is more durable for it.
    pub(super) fn after_kill(&self) -> DiskState {
        let mut state = DiskState { syncs: BTreeMap::new(), ..self.clone() };
        state.forget_unreachable();
        state
    }

    fn without_pending(&self) -> DiskState {
        DiskState {
            directories: self.directories.clone(),
            inodes: self.inodes.clone(),
            pending: Vec::new(),
            now: self.now,
            next_sequence: 0,
            syncs: BTreeMap::new(),
        }
    }

    /// Bytes that lie beyond the length a file ended up with are not part of it.
    fn clip(&mut self, inodes: impl Iterator<Item = Inode>) {
        let mut last = None;
        for inode in inodes {
            // Most units in a row are of the same file.
            if last.replace(inode) != Some(inode)
                && let Some(file) = self.inodes.get_mut(&inode)
            {
                file.content.truncate(file.length);
            }
        }
    }

    fn forget_nameless(&mut self) {
        let directories = &self.directories;
        let named =
            |inode: &Inode| directories.iter().any(|one| one.names.values().any(|other| other == inode));
        self.inodes.retain(|inode, _| named(inode));
    }

    /// Forgets files that no name leads to, nor any change of names that may be lost or kept.
    fn forget_unreachable(&mut self) {
        let (directories, pending) = (&self.directories, &self.pending);
        let named =
            |inode: &Inode| directories.iter().any(|one| one.names.values().any(|other| other == inode));
        let may_be_named = |inode: &Inode| {
            pending.iter().any(|unit| match &unit.change {
                Change::Name { change: NameChange::Bind { inode: other, .. }, .. }
                | Change::Name { change: NameChange::Move { inode: other, .. }, .. } => other == inode,
                _ => false,
            })
        };
        self.inodes.retain(|inode, _| named(inode) || may_be_named(inode));
        let inodes = &self.inodes;
        self.pending.retain(|unit| unit.change.inode().is_none_or(|inode| inodes.contains_key(&inode)));
    }

    /// Fills what the chosen units add to the files' lengths.
    fn fill_unwritten<'a>(
        &self,
        state: &mut DiskState,
        chosen: impl Iterator<Item = &'a Unit>,
        unwritten: Unwritten,
        seed: u64,
    ) {
        let noise = noise_page(seed);
        for unit in chosen {
            let Change::Length { inode, to, shrinks: false } = &unit.change else { continue };
            let Some(file) = state.inodes.get_mut(inode) else { continue };
            let (start, end) = (file.length, *to);
            let stale = self
                .inodes
                .iter()
                .filter(|(other, _)| *other != inode)
                .max_by_key(|(_, other)| other.content.shared_pages().count());
            let (first, last) = (start / 4096, end.div_ceil(4096));
            match (unwritten, stale) {
                (Unwritten::Stale, Some((_, other))) => {
                    for (index, page) in
                        other.content.shared_pages().filter(|(index, _)| (first..last).contains(index))
                    {
                        keep_head(&mut file.content, index, page, start);
                    }
                }
                _ => {
                    if let Some(page) = &noise {
                        (first..last).for_each(|index| keep_head(&mut file.content, index, page, start));
                    }
                }
            }
        }
    }

    /// Equal for equal images: names, lengths and bytes, of what is durable and of what is seen.
    pub(super) fn hash(&self) -> u64 {
        let durable = self.hash_of_names();
        if self.pending.is_empty() {
            durable
        } else {
            mix(durable ^ self.live().hash_of_names().rotate_left(1))
        }
    }

    fn hash_of_names(&self) -> u64 {
        let mut hash = 0u64;
        for (number, directory) in self.directories.iter().enumerate() {
            hash = mix(hash ^ number as u64);
            for (name, inode) in &directory.names {
                for byte in name.bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                if let Some(file) = self.inodes.get(inode) {
                    hash = mix(mix(hash ^ file.length) ^ file.content.hash());
                }
            }
        }
        hash
    }
}

/// Puts `page` at page number `index`, but keeps the bytes before `start`.
fn keep_head(content: &mut Content, index: u64, page: &Arc<Page>, start: u64) {
    let offset = index * 4096;
    let head = start.saturating_sub(offset).min(4096) as usize;
    let mut bytes = [0; 4096];
    if let Some(head) = bytes.get_mut(..head) {
        content.read(head, offset);
    }
    content.share(index, page.clone());
    if let Some(head) = bytes.get(..head) {
        content.write(head, offset);
    }
}

fn noise_page(seed: u64) -> Option<Arc<Page>> {
    let mut bytes = [0; 4096];
    for (index, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = mix(seed ^ index as u64).to_le_bytes();
    }
    Page::new(bytes).map(Arc::new)
}
