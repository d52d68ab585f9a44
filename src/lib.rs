//! TinyStoreDB: an embedded, persistent, ordered key-value store, for C, C++ and every language that can
//! call C, and for Rust.
//!
//! ```
//! use tinystoredb::{Options, Store};
//!
//! # fn main() -> tinystoredb::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("my.db");
//! let store = Store::open(&path, &Options::default())?;
//! store.put(b"exampleKey", b"exampleValue")?;
//! let value = store.get(b"exampleKey")?;
//! assert_eq!(value.as_deref(), Some(&b"exampleValue"[..]));
//! store.close()
//! # }
//! ```
//!
//! What it promises: a commit is atomic; what was acknowledged survives the death of the process, and a
//! power loss as the [`SyncMode`] says; after a crash the store holds a prefix of the commits, in order;
//! damage is reported, never served and never dropped; reads take no lock; no file and no argument
//! crashes the host.
//!
//! The layers, whose imports go down only:
//!
//! ```text
//! ffi  ->  store  ->  log, index  ->  os  ->  error, types
//!          value, import
//! ```
//!
//! `docs/design.md` follows a put, a get, a scan and an open through them; `docs/file_format.md` has every
//! byte on disk; `include/tinystoredb.h` is the manual of the C interface.

mod error;
mod ffi;
mod import;
#[allow(
    dead_code,
    reason = "what snapshots and compaction will ask of the index is built and tested with it"
)]
mod index;
mod log;
mod options;
#[cfg(feature = "sim")]
pub mod os;
#[cfg(not(feature = "sim"))]
#[allow(dead_code, reason = "the seam is whole: its simulated side and later layers use all of it")]
mod os;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod store;
#[allow(unused_imports, reason = "the facade is whole, whoever uses it")]
mod sync;
mod types;
mod value;

/// Every byte of the log, for fuzz targets.
#[cfg(feature = "sim")]
pub use log::format as log_format;

pub use error::{Error, Result};
pub use import::{ImportDamage, ImportOptions, ImportReport, Progress, import_go};
pub use options::{Options, SyncMode, WriteMode};
pub use store::{
    Batch, Durability, Expected, Record, Savepoint, Scan, ScanOptions, Snapshot, Stats, Store, Transaction,
    TransactionScan, Value, WriteOptions,
};
pub use types::{KEY_SIZE_MAX, Lsn, VALUE_SIZE_MAX, ValueType};
pub use value::Scalar;
