//! The store: ties the log and the index together.
//!
//! ```text
//! open          lock, recover, rebuild the index
//! write         put, delete, batch: one commit           batch        changes that take effect together
//! delete_range  a range of keys in one commit            update       a change that rests on the value
//! before read          get, exists, many keys                   scan         ordered iteration visibility   
//! which commits readers see                snapshot     a view that does not change snapshots     which
//! snapshots live                     retained     what the index keeps for them only transaction   reads and
//! writes that are one            conflict     whether what it read has changed recent        what the log
//! gained lately               maintenance  the background thread ```
//!
//! A put goes down once: `write` takes the append lock, the log takes the frame, the index takes its
//! position, the lock is released, and the commit waits for the device as its mode says. A get goes down
//! once: the index names a candidate, the log reads and checks its record, the key is compared.
//!
//! Invariants:
//! 1. The index is derived from the log: what `open` rebuilds is what `write` had built.
//! 2. Everything that changes the log or the index happens under the append lock (`Inner::writer`).
//! 3. Locks are taken in this order: append lock, then those inside `log` or `index`. None is held while
//!    waiting for the device.
//! 4. After `close` every call on every handle answers `Closed`; memory stays valid until the last
//!    handle is gone.
//!
//! Callers: `ffi`, `value`, `import`, and Rust programs.

mod batch;
mod conflict;
mod delete_range;
mod maintenance;
mod open;
mod read;
mod recent;
mod retained;
mod scan;
mod snapshot;
mod snapshots;
#[cfg(all(test, any(loom, shuttle)))]
mod tests;
mod transaction;
mod update;
mod visibility;
mod write;

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::{Index, KeySource, Writer as IndexWriter};
use crate::log::{Log, Writer as LogWriter};
use crate::options::Options;
use crate::os::Os;
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::types::{Lsn, Position};

pub use batch::Batch;
use maintenance::Maintenance;
pub use read::Value;
use recent::Recent;
use retained::Retained;
pub use scan::{Record, Scan, ScanOptions};
pub use snapshot::Snapshot;
use snapshots::Snapshots;
pub use transaction::{Savepoint, Transaction, TransactionScan};
pub use update::Expected;
use visibility::Visibility;
pub use write::{Durability, WriteOptions};

/// An open store. A counted handle: clones are the same store. All calls may be made from any thread at
/// any time.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Open>,
}

/// What closes the store when the last handle is gone. The maintenance thread holds [`Inner`] for moments,
/// so that one's end would come too late for whoever opens the store again at once.
#[derive(Debug)]
struct Open(Arc<Inner>);

impl Deref for Open {
    type Target = Arc<Inner>;

    fn deref(&self) -> &Arc<Inner> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whoever wants to know how it went closes explicitly.
        let _ = self.0.close();
    }
}

/// What all handles of a store share.
struct Inner {
    os: Arc<dyn Os>,
    path: PathBuf,
    options: Options,
    /// The process that opened the store; any other one is a fork of it.
    process_id: u32,
    closed: AtomicBool,
    log: Log,
    index: Index,
    visibility: Visibility,
    snapshots: Snapshots,
    writer: Mutex<Writer>,
    maintenance: Maintenance,
}

/// The writing ends of the log and the index, behind the append lock.
struct Writer {
    log: LogWriter,
    index: IndexWriter,
    retained: Retained,
    recent: Recent,
}

/// Figures of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Keys in the store.
    pub records: u64,
    /// Files of the log.
    pub segments: u64,
    /// Bytes of the log: headers, records, what was overwritten and deleted.
    pub log_bytes: u64,
    /// Bytes of memory that the index uses.
    pub index_bytes: u64,
    /// Sequence number of the last operation.
    pub last_lsn: Lsn,
    /// Sequence number up to which everything is on the device.
    pub durable_lsn: Lsn,
    /// Live snapshots, those of scans and transactions included.
    pub snapshots: u64,
    /// Age of the oldest one, in milliseconds; 0 without any.
    pub oldest_snapshot_age: u64,
    /// Versions of records that are kept for snapshots only.
    pub snapshot_versions: u64,
    /// Bytes of the log that they take.
    pub snapshot_bytes: u64,
}

impl Store {
    /// Figures of the store as of now.
    pub fn stats(&self) -> Result<Stats> {
        let inner = &self.inner;
        inner.check()?;
        let writer = lock(&inner.writer)?;
        let last_lsn = writer.log.last_lsn();
        let (snapshot_versions, snapshot_bytes) = writer.retained.figures();
        drop(writer);
        let snapshots = inner.snapshots.figures();
        let age = snapshots.oldest.map_or(0, |made_at| inner.os.now_millis().saturating_sub(made_at));
        let (segments, log_bytes) = inner.log.size()?;
        let memory = inner.index.memory();
        Ok(Stats {
            records: memory.keys,
            segments,
            log_bytes,
            index_bytes: memory.live_bytes,
            last_lsn,
            durable_lsn: inner.log.durable_lsn(),
            snapshots: snapshots.count,
            oldest_snapshot_age: u64::try_from(age).unwrap_or(0),
            snapshot_versions,
            snapshot_bytes,
        })
    }

    /// Makes the store refuse writes from now on; reading goes on. For a caller that caught a panic.
    pub fn poison(&self, reason: &str) {
        self.inner.log.poison(reason);
    }
}

impl Inner {
    /// An error where the store is closed, or this process is a fork of the one that opened it.
    #[inline]
    fn check(&self) -> Result<()> {
        if self.os.process_id() != self.process_id {
            return Err(Error::Forked);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How the index looks keys up: in the log.
impl KeySource for Log {
    #[inline]
    fn key_at(&self, position: Position) -> Result<&[u8]> {
        Ok(self.peek(position)?.key)
    }

    #[inline]
    fn lsn_at(&self, position: Position) -> Result<Lsn> {
        Ok(self.peek(position)?.header.lsn)
    }

    #[inline]
    fn prefetch(&self, position: Position) {
        Log::prefetch(self, position);
    }
}
