//! The only door to the operating system: directories, files, mappings, the lock, clock, randomness.
//!
//! Two sides stand behind it. [`real`] calls the operating system; [`sim`] keeps a disk in memory that
//! remembers which bytes are durable, records every call, fails the n-th one on demand, and yields every
//! state a crash could leave behind.
//!
//! Invariants:
//! 1. Nothing above this module names `std::fs`, `std::os` or `libc` calls.
//! 2. A call either does all it says or returns an error that names the call, the file and the errno;
//!    EINTR and short transfers are dealt with here.
//! 3. A mapping never moves and never changes its size while it lives.
//! 4. Files are opened relative to the directory's handle, never through a symbolic link, only if they
//!    are regular files, with close-on-exec. New files have mode 0600, new directories 0700.
//!
//! Callers: `log` and `store`; `index` for its memory.

mod map;
pub mod memory;
pub mod real;
#[cfg(feature = "sim")]
pub mod sim;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

pub use map::{Map, MapBackend};

/// An operating system: the real one, or a simulated one.
pub trait Os: Send + Sync + Debug {
    /// Opens the directory at `path`. With `create`, makes it first (mode 0700) if it is missing, and
    /// syncs its parent in either case; parents are not made. Errors: `NotFound` where it is missing and
    /// `create` is false or the parent is missing; `NotAStore` where the path is not a directory;
    /// `Permission`.
    fn open_directory(&self, path: &Path, create: bool) -> Result<Arc<dyn Directory>>;

    /// Milliseconds since 1970-01-01 UTC by the wall clock.
    fn now_millis(&self) -> i64;

    /// Fills `bytes` from a source an attacker cannot predict (the simulated one: from its seed).
    fn random(&self, bytes: &mut [u8]) -> Result<()>;

    /// This process's number. A different one than at opening time means that the process forked.
    fn process_id(&self) -> u32;
}

/// Refuses what is not a single path component.
fn check_name(name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(Error::InvalidArgument(format!("{name:?} is not a file name")));
    }
    Ok(())
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// Anything else: directory, symbolic link, device, socket, pipe.
    Other,
}

/// A directory entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
}

/// Whether a lock was had.
pub enum Lock {
    /// It is held for as long as this file lives.
    Acquired(Box<dyn File>),
    /// Someone else holds it; the file can be read to find out who.
    Held(Box<dyn File>),
}

/// An open directory. Names are single path components.
pub trait Directory: Send + Sync + Debug {
    /// The path it was opened with, for messages.
    fn path(&self) -> &Path;

    /// All entries but `.` and `..`, sorted by name.
    fn list(&self) -> Result<Vec<Entry>>;

    /// Creates `name` (which must not exist) for reading and writing.
    fn create(&self, name: &str) -> Result<Box<dyn File>>;

    /// Opens the existing regular file `name`. Errors: `Io` with ENOENT where it is missing,
    /// `NotAStore` where it is a link, has a second hard link, or is no regular file.
    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>>;

    /// Renames `from` to `to`, replacing it. Durable after [`Directory::sync`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes `name`. Durable after [`Directory::sync`].
    fn unlink(&self, name: &str) -> Result<()>;

    /// Makes created, renamed and removed names durable (`fsync` of the directory).
    fn sync(&self) -> Result<()>;

    /// Opens `name`, creating it if missing, and takes the exclusive advisory lock on it (`flock`)
    /// without waiting. Two opens conflict within one process too.
    fn lock(&self, name: &str) -> Result<Lock>;
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    ReadWrite,
}

/// How a file is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapMode {
    /// Read-only and shared; of a file that no longer changes in the mapped range.
    Read,
    /// Shared; bytes are stored through the mapping.
    ReadWrite,
    /// Read-only and shared, each write goes through `pwrite` and is seen through the mapping. For file
    /// systems on which storing through a mapping can fail with a signal.
    Pwrite,
}

/// An open regular file. All offsets and lengths are in bytes.
pub trait File: Send + Sync + Debug {
    /// Its name in its directory.
    fn name(&self) -> &str;

    /// Its length.
    fn size(&self) -> Result<u64>;

    /// Reads exactly `buffer.len()` bytes at `offset`. A file that ends earlier is an `Io` error with
    /// errno 0 that says so.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Allocates device space for `[0, size)` and sets the length to `size`; new space reads as zeros.
    /// On an error the file has its old length and space. Sizes over RLIMIT_FSIZE are refused with
    /// `NoSpace` (EFBIG) before the kernel could send SIGXFSZ. Where the file system cannot allocate,
    /// the space is written with zeros.
    fn allocate(&self, size: u64) -> Result<()>;

    /// Sets the length to `size`.
    fn truncate(&self, size: u64) -> Result<()>;

    /// Waits until the file's data, and its length if needed to read it, are on the device
    /// (`fdatasync`). Bytes stored through a mapping are included. An error means that what is on the
    /// device is unknown: never retried.
    fn sync_data(&self) -> Result<()>;

    /// As [`File::sync_data`], with all metadata (`fsync`). To be used after [`File::allocate`] and
    /// [`File::truncate`].
    fn sync_all(&self) -> Result<()>;

    /// Maps `[0, size)`; the file must be at least that long. `Unsupported` where the file system
    /// cannot map it, and for [`MapMode::ReadWrite`] where a store could fail although its space was
    /// allocated: on remote and on copy-on-write file systems. The mapping lives on when the file is
    /// closed (dropped).
    fn map(&self, size: u64, mode: MapMode) -> Result<Map>;
}
