//! What can go wrong, and what to do about it.
//!
//! Every message names the cause and the cure; the C layer copies it into `tstore_error` as it is.
//! Callers: every module. Imports only `types`.

use crate::types::{KEY_SIZE_MAX, VALUE_SIZE_MAX, ValueType};

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. No variant leaves the store half changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside what the call accepts.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The key is longer than [`KEY_SIZE_MAX`].
    #[error("the key has {size} bytes; at most {max} are allowed: use a shorter key or a hash of it", max = KEY_SIZE_MAX)]
    KeyTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The value is longer than [`VALUE_SIZE_MAX`].
    #[error("the value has {size} bytes; at most {max} are allowed: split it over several keys", max = VALUE_SIZE_MAX)]
    ValueTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The value under the key has another type than the one asked for.
    #[error("the value is of type {found}, not {wanted}: use a call for its own type", found = found.name(), wanted = wanted.name())]
    WrongType {
        /// What the record says it is.
        found: ValueType,
        /// What the caller asked for.
        wanted: ValueType,
    },
    /// A typed value's bytes do not decode as the type asked for.
    #[error("the value does not decode: {0}")]
    Decode(String),
    /// The operating system refused a call.
    #[error("{operation} of {path} failed: {}", os_message(*errno))]
    Io {
        /// The call, by its own name: `open`, `fdatasync`, ...
        operation: &'static str,
        /// The file or directory it was about.
        path: String,
        /// The operating system's error number.
        errno: i32,
    },
    /// The device or the quota is full. The write was not accepted; the store stays open and readable.
    #[error("no space left for {path} ({operation}: {}): {} and try again; nothing was written", os_message(*errno), space_cure(*errno))]
    NoSpace {
        /// The call that ran out of space.
        operation: &'static str,
        /// The file it was about.
        path: String,
        /// ENOSPC, EDQUOT or EFBIG.
        errno: i32,
    },
    /// Memory could not be had.
    #[error("out of memory in {0}: free memory or raise the process's limit and try again")]
    NoMemory(&'static str),
    /// The process may not read or write the file or directory.
    #[error("no permission to {operation} {path} ({}): the store's directory must be readable and writable by this user", os_message(*errno))]
    Permission {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: String,
        /// EACCES, EPERM or EROFS.
        errno: i32,
    },
    /// There is no store at the path and none was to be created.
    #[error(
        "there is no store at {path}: check the path; create_if_missing makes it where the directory above exists"
    )]
    NotFound {
        /// The path as given.
        path: String,
    },
    /// There is a store at the path already, and the caller asked for a new one.
    #[error("there is a store at {path} already: open it without error_if_exists, or choose another path")]
    AlreadyExists {
        /// The path as given.
        path: String,
    },
    /// The path holds something that is not a store.
    #[error("{path} is not a TinyStoreDB store: {reason}")]
    NotAStore {
        /// The path.
        path: String,
        /// What was found instead, and what to do.
        reason: String,
    },
    /// Another handle, in this process or another, has the store open for writing.
    #[error("{path} is open in {}: close it there first; one process at a time may open a store", holder(*pid))]
    Locked {
        /// The store's directory.
        path: String,
        /// The process that holds the lock, where it could be read.
        pid: Option<u32>,
    },
    /// The files are damaged. Nothing was changed.
    #[error(
        "{file} is damaged at offset {offset}: {reason}; nothing was changed: restore the store from a backup, or salvage what is readable into a new one"
    )]
    Corrupt {
        /// The damaged file's name.
        file: String,
        /// Byte offset of the damage in it.
        offset: u64,
        /// What does not check out.
        reason: String,
    },
    /// The store was written by a newer release.
    #[error(
        "{file} has format version {found}, this library reads up to version {supported}: upgrade the library"
    )]
    UnsupportedVersion {
        /// The file that says so.
        file: String,
        /// Its version.
        found: u32,
        /// The newest one known here.
        supported: u32,
    },
    /// A file to import is damaged, or was changed while it was read; `offset` is where reading stopped.
    #[error("{file} cannot be imported: {reason} at byte offset {offset}; {}", import_outcome(*imported))]
    ImportDamaged {
        /// The file.
        file: String,
        /// Where its first unreadable key or value starts.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// Pairs that are in the store already: 0 unless the file was changed while it was imported.
        imported: u64,
    },
    /// The file system lacks something that the store needs.
    #[error("not supported here: {0}")]
    Unsupported(String),
    /// The sum of an increment is out of range. Nothing was written.
    #[error("the sum is out of the range of the value's type: nothing was written")]
    Overflow,
    /// What the transaction read has changed since it began. Nothing was written.
    #[error("the transaction met a commit that changed what it had read: begin it again")]
    Conflict,
    /// The handle was closed.
    #[error("the store is closed: open it again")]
    Closed,
    /// An earlier write or sync failed, so what is on the device is unknown: this handle refuses writes.
    #[error("the store refuses writes since an earlier failure ({0}): close it and open it again")]
    Poisoned(String),
    /// The process forked and this is the child; the store belongs to the parent.
    #[error(
        "this process is a fork of the one that opened the store: open the store again in the child after the parent has closed it"
    )]
    Forked,
    /// A handle that one thread at a time may use is in use.
    #[error("this {0} is in use by another thread: give each thread its own, or let them take turns")]
    Busy(&'static str),
    /// The caller's callback asked to stop. What was done so far is whole and stays.
    #[error("cancelled by the progress callback: the call can be made again and takes up what is left")]
    Cancelled,
    /// A state that the code rules out was met. Reported instead of crashing the host.
    #[error("internal error: {0}: please report it; close the store and open it again")]
    Internal(&'static str),
}

impl Error {
    /// The error for a failed system call: the variant that fits `errno`.
    pub fn os(operation: &'static str, path: impl Into<String>, errno: i32) -> Error {
        let path = path.into();
        match errno {
            libc::ENOSPC | libc::EDQUOT | libc::EFBIG => Error::NoSpace { operation, path, errno },
            libc::EACCES | libc::EPERM | libc::EROFS => Error::Permission { operation, path, errno },
            libc::ENOMEM => Error::NoMemory(operation),
            _ => Error::Io { operation, path, errno },
        }
    }

    /// The error for a failed sync. Always [`Error::Io`]: what is on the device is unknown, so that no
    /// variant fits that promises that nothing was changed, or that trying again would help.
    pub fn sync(operation: &'static str, path: impl Into<String>, errno: i32) -> Error {
        Error::Io { operation, path: path.into(), errno }
    }

    /// A [`Error::Corrupt`].
    pub fn corrupt(file: impl Into<String>, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { file: file.into(), offset, reason: reason.into() }
    }

    /// The operating system's error number, or 0.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Io { errno, .. } | Error::NoSpace { errno, .. } | Error::Permission { errno, .. } => {
                *errno
            }
            Error::NoMemory(_) => libc::ENOMEM,
            _ => 0,
        }
    }
}

fn space_cure(errno: i32) -> &'static str {
    match errno {
        libc::EFBIG => "raise the process's limit of file sizes (ulimit -f)",
        libc::EDQUOT => "raise the quota or remove files",
        _ => "free space on its file system",
    }
}

fn os_message(errno: i32) -> String {
    if errno == 0 {
        return "the file ends before the range asked for".to_string();
    }
    std::io::Error::from_raw_os_error(errno).to_string()
}

fn import_outcome(imported: u64) -> String {
    match imported {
        0 => "nothing was imported: repair the file, or import the part before the damage with the \
              keep-going flag"
            .to_string(),
        pairs => {
            format!("{pairs} pair(s) before it were imported: import it again when nothing writes to it")
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) if pid == std::process::id() => format!("this process (pid {pid})"),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_string(),
    }
}
