//! Imports of other stores' files. So far one: the `.bin` file of the Go TinyStoreDB.
//!
//! 1. A foreign file is hostile until proved otherwise: every length is checked against the bytes that
//!    are there before anything is allocated, and no content makes the import panic.
//! 2. A file is read twice. The first pass checks all of it and changes nothing; the second imports, and
//!    accepts only bytes whose checksum the first pass has noted.
//! 3. Memory is bounded by one key and one value, a 1 MiB buffer, 4 bytes for each MiB of the file, and 20
//!    to 40 bytes for each key (see `go`).
//!
//! Callers: `ffi`, and Rust users.

mod go;
mod gob;
mod reader;

pub use go::import_go;

/// How a file is imported. The default is the careful way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Import what stands before the damage in a damaged file. Default: import nothing of it.
    pub keep_going: bool,
    /// Replace the values of keys that are in the store already. Default: leave them alone.
    pub overwrite: bool,
}

/// How far an import is. It is told after each MiB, and at the end of each of the two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far, in both passes together.
    pub bytes_done: u64,
    /// Bytes to read in both passes together. It shrinks once where damage ends the file early.
    pub bytes_total: u64,
    /// Pairs of the file dealt with in the second pass; 0 while the file is being checked.
    pub pairs_done: u64,
}

/// What an import did. `pairs_read` is the sum of the next three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Well-formed pairs in the file, up to the damage if there is any.
    pub pairs_read: u64,
    /// Pairs that were stored.
    pub imported: u64,
    /// Pairs left out because the file has an earlier one with the same key: the Go store answered with
    /// the first.
    pub duplicates: u64,
    /// Pairs left out because the key was in the store already.
    pub existing: u64,
    /// Where and why reading stopped before the end of the file.
    pub damage: Option<ImportDamage>,
}

/// Where a damaged file stops being readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDamage {
    /// Byte offset of the key or value that cannot be read (of its length prefix).
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
}
