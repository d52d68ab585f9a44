//! Directories, files and mappings of the simulated disk.
//!
//! Callers: `sim`.
#![allow(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, Errno, Live};
use super::fault::Call;
use super::region::Region;
use super::trace::{DirectoryNumber, Inode, Operation, SyncTarget};
use crate::error::{Error, Result};
use crate::os::{Access, Directory, Entry, EntryKind, File, Lock, Map, MapBackend, MapMode, check_name};

/// A directory of the simulated disk.
pub(super) struct SimDirectory {
    pub(super) disk: Arc<Disk>,
    pub(super) number: DirectoryNumber,
    pub(super) path: PathBuf,
}

impl fmt::Debug for SimDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SimDirectory({})", self.path.display())
    }
}

impl SimDirectory {
    fn display(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Counts the call and does it, unless it is to fail.
    fn call<T>(
        &self,
        call: Call,
        operation: &'static str,
        name: &str,
        act: impl FnOnce(&mut Live, &Arc<str>) -> std::result::Result<T, Errno>,
    ) -> Result<T> {
        check_name(name)?;
        let mut live = self.disk.lock()?;
        let result = match live.faults.on_call(call, name) {
            Some(failure) => Err(failure.errno),
            None => act(&mut live, &Arc::from(name)),
        };
        result.map_err(|errno| Error::os(operation, self.display(name), errno))
    }

    fn file(&self, inode: Inode, name: &str, access: Access) -> SimFile {
        SimFile {
            disk: self.disk.clone(),
            inode,
            name: Arc::from(name),
            path: self.display(name),
            access,
            holds_lock: false,
        }
    }
}

impl Directory for SimDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let mut live = self.disk.lock()?;
        let path = self.path.display().to_string();
        if let Some(failure) = live.faults.on_call(Call::List, &path) {
            return Err(Error::os("readdir", path, failure.errno));
        }
        let directory = live.directory(self.number).map_err(|errno| Error::os("readdir", path, errno))?;
        let entry = |name: &Arc<str>| Entry { name: name.to_string(), kind: EntryKind::File };
        Ok(directory.names.keys().map(entry).collect())
    }

    fn create(&self, name: &str) -> Result<Box<dyn File>> {
        let inode = self.call(Call::Create, "create", name, |live, name| {
            let inode = live.create(self.number, name)?;
            live.open(inode)?;
            Ok(inode)
        })?;
        Ok(Box::new(self.file(inode, name, Access::ReadWrite)))
    }

    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        let inode = self.call(Call::Open, "open", name, |live, name| {
            let inode = live.inode_of(self.number, name)?;
            live.open(inode)?;
            Ok(inode)
        })?;
        Ok(Box::new(self.file(inode, name, access)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        self.call(Call::Rename, "rename", from, |live, from| live.rename(self.number, from, &Arc::from(to)))
    }

    fn unlink(&self, name: &str) -> Result<()> {
        self.call(Call::Unlink, "unlink", name, |live, name| live.unlink(self.number, name))
    }

    fn sync(&self) -> Result<()> {
        let path = self.path.display().to_string();
        let target = SyncTarget::Directory(self.number);
        self.disk
            .sync(target, Call::SyncDirectory, &Arc::from(path.as_str()))?
            .map_err(|errno| Error::sync("fsync", path, errno))
    }

    fn lock(&self, name: &str) -> Result<Lock> {
        let (inode, acquired) = self.call(Call::Lock, "flock", name, |live, name| {
            let inode = match live.inode_of(self.number, name) {
                Ok(inode) => inode,
                Err(libc::ENOENT) => live.create(self.number, name)?,
                Err(errno) => return Err(errno),
            };
            live.open(inode)?;
            let acquired = live.locked.insert(inode);
            live.operations.push(Operation::Lock { name: name.clone(), acquired });
            Ok((inode, acquired))
        })?;
        let mut file = self.file(inode, name, Access::ReadWrite);
        file.holds_lock = acquired;
        Ok(if acquired { Lock::Acquired(Box::new(file)) } else { Lock::Held(Box::new(file)) })
    }
}

/// A file of the simulated disk: one of its handles.
pub(super) struct SimFile {
    disk: Arc<Disk>,
    inode: Inode,
    name: Arc<str>,
    path: String,
    access: Access,
    holds_lock: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SimFile({})", self.path)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.release(self.inode, self.holds_lock);
    }
}

impl SimFile {
    fn error(&self, operation: &'static str, errno: Errno) -> Error {
        Error::os(operation, self.path.as_str(), errno)
    }

    fn call<T>(
        &self,
        call: Call,
        operation: &'static str,
        act: impl FnOnce(&mut Live) -> std::result::Result<T, Errno>,
    ) -> Result<T> {
        let mut live = self.disk.lock()?;
        let result = match live.faults.on_call(call, &self.name) {
            Some(failure) => Err(failure.errno),
            None => act(&mut live),
        };
        result.map_err(|errno| self.error(operation, errno))
    }

    fn check_writable(&self, errno: Errno) -> std::result::Result<(), Errno> {
        if self.access == Access::ReadWrite { Ok(()) } else { Err(errno) }
    }

    fn sync(&self, call: Call, operation: &'static str, metadata: bool) -> Result<()> {
        let target = SyncTarget::File { inode: self.inode, metadata };
        let synced = self.disk.sync(target, call, &self.name)?;
        synced.map_err(|errno| Error::sync(operation, self.path.as_str(), errno))
    }
}

impl File for SimFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64> {
        self.call(Call::Size, "fstat", |live| Ok(live.file(self.inode)?.length))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let complete =
            self.call(Call::Read, "pread", |live| Ok(live.file(self.inode)?.read(buffer, offset)))?;
        if complete || buffer.is_empty() { Ok(()) } else { Err(self.error("read past the end", 0)) }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut live = self.disk.lock()?;
        let failure = live.faults.on_call(Call::Write, &self.name);
        self.check_writable(libc::EBADF)
            .and_then(|()| live.write(self.inode, &self.name, offset, bytes, false, failure))
            .map_err(|errno| self.error("pwrite", errno))
    }

    fn allocate(&self, size: u64) -> Result<()> {
        self.call(Call::Allocate, "fallocate", |live| {
            self.check_writable(libc::EBADF)?;
            live.resize(self.inode, &self.name, size, true)
        })
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.call(Call::Truncate, "ftruncate", |live| {
            self.check_writable(libc::EINVAL)?;
            live.resize(self.inode, &self.name, size, false)
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.sync(Call::SyncData, "fdatasync", false)
    }

    fn sync_all(&self) -> Result<()> {
        self.sync(Call::SyncAll, "fsync", true)
    }

    fn map(&self, size: u64, mode: MapMode) -> Result<Map> {
        if size == 0 {
            return Err(Error::InvalidArgument(format!("{}: a mapping of no bytes", self.path)));
        }
        let length = usize::try_from(size).map_err(|_| self.error("mmap", libc::EOVERFLOW))?;
        let mut live = self.disk.lock()?;
        if let Some(failure) = live.faults.on_call(Call::Map, &self.name) {
            return Err(self.error("mmap", failure.errno));
        }
        if mode == MapMode::ReadWrite && !live.write_mapping {
            return Err(Error::Unsupported(format!("mapping {}: as the test wishes", self.path)));
        }
        let file = live.file(self.inode).map_err(|errno| self.error("mmap", errno))?;
        if file.length < size {
            return Err(self.error("mmap past the end", 0));
        }
        if mode == MapMode::ReadWrite {
            self.check_writable(libc::EACCES).map_err(|errno| self.error("mmap", errno))?;
        }
        let region = file.region(size).map_err(|errno| self.error("mmap", errno))?;
        live.open(self.inode).map_err(|errno| self.error("mmap", errno))?;
        drop(live);
        let base = region.base();
        let backend = SimMapping {
            disk: self.disk.clone(),
            inode: self.inode,
            name: self.name.clone(),
            path: self.path.clone(),
            mode,
            size,
            _region: region,
        };
        // SAFETY: the region has at least `length` bytes at `base` (region.rs, invariant 1) and lives as
        // long as the backend that owns a share of it; `write` never leaves the store to the caller.
        Ok(unsafe { Map::new(base, length, Box::new(backend)) })
    }
}

/// A mapping: takes every write itself, to record it.
struct SimMapping {
    disk: Arc<Disk>,
    inode: Inode,
    name: Arc<str>,
    path: String,
    mode: MapMode,
    size: u64,
    _region: Arc<Region>,
}

impl Drop for SimMapping {
    fn drop(&mut self) {
        self.disk.release(self.inode, false);
    }
}

impl MapBackend for SimMapping {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<bool> {
        let mut live = self.disk.lock()?;
        let failure = match self.mode {
            MapMode::Read => return Err(Error::Internal("a write through a read-only mapping")),
            MapMode::Pwrite => live.faults.on_call(Call::Write, &self.name),
            MapMode::ReadWrite => {
                live.note_store(self.inode, offset, bytes.len());
                None
            }
        };
        let mapped = self.mode == MapMode::ReadWrite;
        live.write(self.inode, &self.name, offset, bytes, mapped, failure)
            .map_err(|errno| Error::os(if mapped { "store" } else { "pwrite" }, self.path.as_str(), errno))?;
        Ok(true)
    }

    fn populate(&self, offset: u64, size: u64) -> Result<()> {
        if self.mode != MapMode::ReadWrite || size == 0 {
            return Ok(());
        }
        let end = offset.checked_add(size).filter(|&end| end <= self.size);
        let end = end.ok_or(Error::Internal("populating beyond the end of a mapping"))?;
        let mut live = self.disk.lock()?;
        if !live.populating {
            return Err(Error::Unsupported(format!("populating {}: as the test wishes", self.path)));
        }
        let result = match live.faults.on_call(Call::Populate, &self.name) {
            Some(failure) => Err(failure.errno),
            None => live.populate(self.inode, offset, end),
        };
        result.map_err(|errno| Error::os("populate", self.path.as_str(), errno))
    }
}
