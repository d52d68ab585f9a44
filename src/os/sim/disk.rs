//! The live side of the simulated disk: what the processes on it see, and the trace of what they do.
//!
//! Invariants:
//! 1. Whatever changes names, lengths or bytes appends its operation to the trace under the same lock:
//!    applying the trace to the initial state gives the live state.
//! 2. A file's bytes are pages until it is mapped for the first time, and from then on memory that does
//!    not move.
//! 3. A file without a name and without handles is gone, and its space free.
//!
//! Space is counted as if files had no holes, up to the furthest byte allocated or written.
//!
//! Callers: `sim`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{Content, PAGE_SIZE, mix};
use super::fault::{Call, Failure, Faults};
use super::region::Region;
use super::state::DiskState;
use super::trace::{DirectoryNumber, Inode, Operation, SyncTarget};
use crate::error::Result;
use crate::sync::{AtomicU32, Mutex, MutexGuard, thread};

/// An errno.
pub(super) type Errno = i32;

/// A simulated disk, shared by all handles on it.
pub(super) struct Disk {
    live: Mutex<Live>,
    pub(super) process_id: AtomicU32,
}

/// What runs while a sync is under way.
type SyncHook = Box<dyn FnOnce() + Send>;

/// Everything behind the lock.
pub(super) struct Live {
    pub(super) directories: Vec<LiveDirectory>,
    pub(super) inodes: BTreeMap<Inode, LiveInode>,
    pub(super) initial: Arc<DiskState>,
    pub(super) operations: Vec<Operation>,
    pub(super) faults: Faults,
    pub(super) seed: u64,
    pub(super) now: i64,
    pub(super) capacity: Option<u64>,
    pub(super) write_mapping: bool,
    pub(super) populating: bool,
    pub(super) unpopulated_stores: u64,
    pub(super) sync_hook: Option<SyncHook>,
    pub(super) locked: BTreeSet<Inode>,
    random_state: u64,
    next_inode: Inode,
    next_token: u64,
}

/// A directory as seen.
pub(super) struct LiveDirectory {
    pub(super) path: PathBuf,
    pub(super) names: BTreeMap<Arc<str>, Inode>,
}

/// Where a file's bytes are.
pub(super) enum Memory {
    Pages(Content),
    Mapped(Arc<Region>),
}

/// A file as seen.
pub(super) struct LiveInode {
    pub(super) length: u64,
    pub(super) memory: Memory,
    /// Bytes of the disk it takes.
    space: u64,
    named: bool,
    handles: u32,
    populated: BTreeSet<u64>,
}

impl Disk {
    /// A disk in `state`; what is pending in it is seen, and still pending.
    pub(super) fn boot(state: Arc<DiskState>, seed: u64) -> Disk {
        let live = if state.pending.is_empty() { state.clone() } else { Arc::new(state.live()) };
        let directories = live
            .directories
            .iter()
            .map(|one| LiveDirectory { path: one.path.clone(), names: one.names.clone() })
            .collect();
        let inode = |content: &Content, length: u64| LiveInode {
            length,
            memory: Memory::Pages(content.clone()),
            space: round_up(length),
            named: true,
            handles: 0,
            populated: BTreeSet::new(),
        };
        let inodes =
            live.inodes.iter().map(|(&number, one)| (number, inode(&one.content, one.length))).collect();
        let live = Live {
            directories,
            inodes,
            operations: Vec::new(),
            faults: Faults::default(),
            seed,
            now: state.now,
            capacity: None,
            write_mapping: true,
            populating: true,
            unpopulated_stores: 0,
            sync_hook: None,
            locked: BTreeSet::new(),
            random_state: seed,
            next_inode: state.inodes.keys().next_back().map_or(0, |last| last + 1),
            next_token: 0,
            initial: state,
        };
        Disk { live: Mutex::new(live), process_id: AtomicU32::new(4242) }
    }

    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Live>> {
        crate::sync::lock(&self.live)
    }

    /// A sync in two steps, so that what other threads do meanwhile is not covered.
    pub(super) fn sync(
        &self,
        target: SyncTarget,
        call: Call,
        name: &Arc<str>,
    ) -> Result<std::result::Result<(), Errno>> {
        let mut live = self.lock()?;
        let failure = live.faults.on_call(call, name);
        let token = live.next_token;
        live.next_token += 1;
        live.operations.push(Operation::SyncBegin { token, name: name.clone(), target });
        let hook = live.sync_hook.take();
        drop(live);
        match hook {
            Some(hook) => hook(),
            None => thread::yield_now(),
        }
        let mut live = self.lock()?;
        let succeeded = failure.is_none();
        live.operations.push(Operation::SyncEnd { token, name: name.clone(), target, succeeded });
        Ok(failure.map_or(Ok(()), |failure| Err(failure.errno)))
    }

    /// One handle less. Called from drops: a lock that a panic left behind is left alone.
    pub(super) fn release(&self, inode: Inode, holds_lock: bool) {
        let Ok(mut live) = self.lock() else { return };
        if holds_lock {
            live.locked.remove(&inode);
        }
        if let Some(file) = live.inodes.get_mut(&inode) {
            file.handles = file.handles.saturating_sub(1);
        }
        live.collect(inode);
    }
}

impl Live {
    pub(super) fn directory(&self, number: DirectoryNumber) -> std::result::Result<&LiveDirectory, Errno> {
        self.directories.get(number).ok_or(libc::ENOENT)
    }

    pub(super) fn file(&mut self, inode: Inode) -> std::result::Result<&mut LiveInode, Errno> {
        self.inodes.get_mut(&inode).ok_or(libc::EBADF)
    }

    pub(super) fn inode_of(
        &self,
        directory: DirectoryNumber,
        name: &str,
    ) -> std::result::Result<Inode, Errno> {
        self.directory(directory)?.names.get(name).copied().ok_or(libc::ENOENT)
    }

    pub(super) fn find_directory(&self, path: &Path) -> Option<DirectoryNumber> {
        self.directories.iter().position(|one| one.path == path)
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> DirectoryNumber {
        self.operations.push(Operation::MakeDirectory { path: path.to_path_buf() });
        self.directories.push(LiveDirectory { path: path.to_path_buf(), names: BTreeMap::new() });
        self.directories.len() - 1
    }

    /// One handle more.
    pub(super) fn open(&mut self, inode: Inode) -> std::result::Result<(), Errno> {
        self.file(inode)?.handles += 1;
        Ok(())
    }

    pub(super) fn create(
        &mut self,
        directory: DirectoryNumber,
        name: &Arc<str>,
    ) -> std::result::Result<Inode, Errno> {
        let inode = self.next_inode;
        let names = &mut self.directories.get_mut(directory).ok_or(libc::ENOENT)?.names;
        if names.contains_key(name) {
            return Err(libc::EEXIST);
        }
        names.insert(name.clone(), inode);
        self.next_inode += 1;
        let file = LiveInode {
            length: 0,
            memory: Memory::Pages(Content::default()),
            space: 0,
            named: true,
            handles: 0,
            populated: BTreeSet::new(),
        };
        self.inodes.insert(inode, file);
        self.operations.push(Operation::Create { directory, name: name.clone(), inode });
        Ok(inode)
    }

    pub(super) fn rename(
        &mut self,
        directory: DirectoryNumber,
        from: &Arc<str>,
        to: &Arc<str>,
    ) -> std::result::Result<(), Errno> {
        let inode = self.inode_of(directory, from)?;
        if from == to {
            return Ok(());
        }
        let names = &mut self.directories.get_mut(directory).ok_or(libc::ENOENT)?.names;
        names.remove(from);
        let replaced = names.insert(to.clone(), inode);
        self.operations.push(Operation::Rename { directory, from: from.clone(), to: to.clone(), inode });
        self.lose_name(replaced);
        Ok(())
    }

    pub(super) fn unlink(
        &mut self,
        directory: DirectoryNumber,
        name: &Arc<str>,
    ) -> std::result::Result<(), Errno> {
        let names = &mut self.directories.get_mut(directory).ok_or(libc::ENOENT)?.names;
        let inode = names.remove(name).ok_or(libc::ENOENT)?;
        self.operations.push(Operation::Unlink { directory, name: name.clone() });
        self.lose_name(Some(inode));
        Ok(())
    }

    fn lose_name(&mut self, inode: Option<Inode>) {
        let Some(inode) = inode else { return };
        if let Some(file) = self.inodes.get_mut(&inode) {
            file.named = false;
        }
        self.collect(inode);
    }

    /// Frees the file if nothing leads to it any more.
    fn collect(&mut self, inode: Inode) {
        if self.inodes.get(&inode).is_some_and(|file| !file.named && file.handles == 0) {
            self.inodes.remove(&inode);
        }
    }

    /// Writes `bytes`, as far as there is space and no failure.
    pub(super) fn write(
        &mut self,
        inode: Inode,
        name: &Arc<str>,
        offset: u64,
        bytes: &[u8],
        mapped: bool,
        failure: Option<Failure>,
    ) -> std::result::Result<(), Errno> {
        let mut end = offset.checked_add(bytes.len() as u64).ok_or(libc::EFBIG)?;
        let mut result = Ok(());
        if let Some(failure) = failure {
            end = if failure.partial { offset + bytes.len() as u64 / 2 } else { offset };
            result = Err(failure.errno);
        }
        // A store beyond the end of the file: a signal on a real machine.
        if mapped && end > self.file(inode)?.length {
            return Err(libc::EFAULT);
        }
        let there_is = self.take_space(inode, end);
        if there_is < end {
            (end, result) = (there_is, Err(libc::ENOSPC));
        }
        let written = end.saturating_sub(offset) as usize;
        let Some(bytes) = bytes.get(..written).filter(|bytes| !bytes.is_empty()) else { return result };
        let file = self.file(inode)?;
        match &mut file.memory {
            Memory::Pages(content) => content.write(bytes, offset),
            Memory::Mapped(region) => region.write(bytes, offset)?,
        }
        let grows = end > file.length;
        file.length = file.length.max(end);
        let (name, bytes) = (name.clone(), Arc::from(bytes));
        self.operations.push(Operation::Write { inode, name, offset, bytes, mapped, grows });
        result
    }

    /// Sets the length; with `allocate`, takes the space for it.
    pub(super) fn resize(
        &mut self,
        inode: Inode,
        name: &Arc<str>,
        to: u64,
        allocated: bool,
    ) -> std::result::Result<(), Errno> {
        if allocated {
            let before = self.file(inode)?.space;
            if self.take_space(inode, to) < to {
                self.file(inode)?.space = before;
                return Err(libc::ENOSPC);
            }
        }
        let file = self.file(inode)?;
        let from = file.length;
        if to < from {
            match &mut file.memory {
                Memory::Pages(content) => content.truncate(to),
                Memory::Mapped(region) => region.zero_from(to),
            }
            file.space = file.space.min(round_up(to));
        }
        file.length = to;
        self.operations.push(Operation::Resize { inode, name: name.clone(), from, to, allocated });
        Ok(())
    }

    /// Takes space for the file up to `end`; how far there is some.
    fn take_space(&mut self, inode: Inode, end: u64) -> u64 {
        let wanted = round_up(end);
        let have = self.inodes.get(&inode).map_or(0, |file| file.space);
        let mut space = have.max(wanted);
        if space > have
            && let Some(capacity) = self.capacity
        {
            let others = self.used() - have;
            space =
                space.min(capacity.saturating_sub(others) / PAGE_SIZE as u64 * PAGE_SIZE as u64).max(have);
        }
        if let Some(file) = self.inodes.get_mut(&inode) {
            file.space = space;
        }
        end.min(space)
    }

    /// Bytes taken by all files.
    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|file| file.space).sum()
    }

    /// Takes the space of `[offset, end)` for stores through a mapping and notes that it may be stored to.
    pub(super) fn populate(&mut self, inode: Inode, offset: u64, end: u64) -> std::result::Result<(), Errno> {
        if self.take_space(inode, end) < end {
            return Err(libc::ENOSPC);
        }
        let page = PAGE_SIZE as u64;
        self.file(inode)?.populated.extend(offset / page..end.div_ceil(page));
        Ok(())
    }

    /// Notes a store through a mapping. Into a page that was not populated it could end with a signal.
    pub(super) fn note_store(&mut self, inode: Inode, offset: u64, size: usize) {
        let page = PAGE_SIZE as u64;
        let pages = offset / page..(offset + size as u64).div_ceil(page);
        let Some(file) = self.inodes.get(&inode) else { return };
        if self.populating && pages.into_iter().any(|page| !file.populated.contains(&page)) {
            self.unpopulated_stores += 1;
        }
    }

    pub(super) fn next_random(&mut self) -> u64 {
        self.random_state = self.random_state.wrapping_add(1);
        mix(mix(self.random_state) ^ self.seed)
    }
}

impl LiveInode {
    /// The file's memory at an address that stays, for at least `size` bytes.
    pub(super) fn region(&mut self, size: u64) -> std::result::Result<Arc<Region>, Errno> {
        let pages = match &self.memory {
            Memory::Mapped(region) if region.size() >= size => return Ok(region.clone()),
            // Grown beyond what was set aside while a mapping of it lives: not simulated.
            Memory::Mapped(_) => return Err(libc::EOVERFLOW),
            Memory::Pages(content) => content,
        };
        let region = Arc::new(Region::new(size.max(self.length))?);
        for (offset, bytes) in pages.pages() {
            region.write(bytes, offset)?;
        }
        self.memory = Memory::Mapped(region.clone());
        Ok(region)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return false;
        }
        match &self.memory {
            Memory::Pages(content) => content.read(buffer, offset),
            Memory::Mapped(region) => region.read(buffer, offset),
        }
        true
    }
}

fn round_up(size: u64) -> u64 {
    size.checked_next_multiple_of(PAGE_SIZE as u64).unwrap_or(u64::MAX)
}
