//! What was done to a simulated disk, call by call.
//!
//! Callers: `sim`; tests.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::state::DiskState;

/// The number of a file for as long as any image knows it.
pub(super) type Inode = u32;

/// Number of a directory: its place in the disk's list.
pub(super) type DirectoryNumber = usize;

/// What a sync is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SyncTarget {
    /// A file; with `metadata`, all of it (`fsync`), else what is needed to read the data (`fdatasync`).
    File { inode: Inode, metadata: bool },
    /// The names in a directory.
    Directory(DirectoryNumber),
}

/// One operation on the disk, as recorded.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    MakeDirectory { path: PathBuf },
    Create { directory: DirectoryNumber, name: Arc<str>, inode: Inode },
    Rename { directory: DirectoryNumber, from: Arc<str>, to: Arc<str>, inode: Inode },
    Unlink { directory: DirectoryNumber, name: Arc<str> },
    Write { inode: Inode, name: Arc<str>, offset: u64, bytes: Arc<[u8]>, mapped: bool, grows: bool },
    Resize { inode: Inode, name: Arc<str>, from: u64, to: u64, allocated: bool },
    SyncBegin { token: u64, name: Arc<str>, target: SyncTarget },
    SyncEnd { token: u64, name: Arc<str>, target: SyncTarget, succeeded: bool },
    Lock { name: Arc<str>, acquired: bool },
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sync_name = |target: &SyncTarget| match target {
            SyncTarget::File { metadata: true, .. } => "fsync",
            SyncTarget::File { metadata: false, .. } => "fdatasync",
            SyncTarget::Directory(_) => "fsync of the directory",
        };
        match self {
            Operation::MakeDirectory { path } => write!(formatter, "mkdir {}", path.display()),
            Operation::Create { name, .. } => write!(formatter, "create {name}"),
            Operation::Rename { from, to, .. } => write!(formatter, "rename {from} to {to}"),
            Operation::Unlink { name, .. } => write!(formatter, "unlink {name}"),
            Operation::Write { name, offset, bytes, mapped, .. } => {
                let how = if *mapped { "store" } else { "write" };
                write!(formatter, "{how} {name} [{offset}, {})", offset + bytes.len() as u64)
            }
            Operation::Resize { name, from, to, allocated, .. } => {
                let how = if *allocated { "allocate" } else { "truncate" };
                write!(formatter, "{how} {name} from {from} to {to}")
            }
            Operation::SyncBegin { name, target, .. } => {
                write!(formatter, "{} {name} begins", sync_name(target))
            }
            Operation::SyncEnd { name, target, succeeded, .. } => {
                let how = if *succeeded { "succeeded" } else { "failed" };
                write!(formatter, "{} {name} {how}", sync_name(target))
            }
            Operation::Lock { name, acquired } => {
                write!(formatter, "lock {name} {}", if *acquired { "acquired" } else { "refused" })
            }
        }
    }
}

/// Everything a simulated disk went through since it was made or booted. A position in it is a number
/// of operations: position 0 is the disk as booted.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) initial: Arc<DiskState>,
    pub(super) operations: Vec<Operation>,
    pub(super) seed: u64,
    /// The clock at the end; images stand there.
    pub(super) now: i64,
}

impl Trace {
    /// The position after the last operation.
    pub fn end(&self) -> usize {
        self.operations.len()
    }

    /// The seed of the disk: a [`Replay`](super::Replay) of this trace names it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The operation that leads to `position`, for messages.
    pub fn describe(&self, position: usize) -> String {
        match position.checked_sub(1).and_then(|index| self.operations.get(index)) {
            Some(operation) => operation.to_string(),
            None => "nothing done yet".to_string(),
        }
    }

    /// The disk at position 0.
    pub(super) fn start(&self) -> DiskState {
        DiskState { now: self.now, ..(*self.initial).clone() }
    }

    /// The disk at `position`, what is not yet durable included.
    pub(super) fn state_at(&self, position: usize) -> DiskState {
        let mut state = self.start();
        for operation in self.operations.iter().take(position) {
            state.apply(operation);
        }
        state
    }
}

impl fmt::Display for Trace {
    /// One numbered line an operation.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operation) in self.operations.iter().enumerate() {
            writeln!(formatter, "{:>6} {operation}", index + 1)?;
        }
        Ok(())
    }
}
