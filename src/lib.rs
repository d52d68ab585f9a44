//! TinyStoreDB: an embedded, persistent, ordered key-value store with a C ABI.
mod error;
#[allow(dead_code, unused_imports)]
mod index;
mod options;
#[cfg(not(feature = "sim"))]
#[allow(dead_code)]
mod os;
#[cfg(feature = "sim")]
pub mod os;
#[allow(dead_code)]
mod sync;
mod types;

pub use error::{Error, Result};
pub use options::{Options, SyncMode, WriteMode};
pub use types::{KEY_SIZE_MAX, Lsn, VALUE_SIZE_MAX, ValueType};
