//! Snapshots: the store as it was at one moment, for as long as somebody wants it.
//!
//! A snapshot is a position in the log. The versions that it sees stay in the index until it ends; it holds
//! nothing else, and slows nobody.
//!
//! Invariants:
//! 1. What a snapshot answers never changes: its LSN, and the time that it tells expired records by, are
//!    those of the moment it was made.
//! 2. The one version that the index may not keep for it, since the commit that replaces it was under way, is
//!    pinned by the snapshot itself.
//!
//! Callers: `ffi`, and Rust programs; `scan` and `transaction` read through one.

use std::sync::Arc;

use super::read::Value;
use super::scan::{Scan, ScanOptions};
use super::snapshots::{Registered, Ticket};
use super::write::check_sizes;
use super::{Open, Store};
use crate::error::Result;
use crate::log::PinnedRecord;
use crate::log::format::Record;
use crate::planted::{Bug, planted};
use crate::types::{Lsn, ValueType};

/// What a reader sees: everything up to an LSN, at a time.
#[derive(Debug)]
pub(super) struct View {
    pub(super) lsn: Lsn,
    /// In milliseconds since 1970: what expires by then is absent.
    now: i64,
    replaced: Option<PinnedRecord>,
}

impl View {
    /// The record that the snapshot keeps, see invariant 2.
    #[inline]
    pub(super) fn replaced(&self) -> Result<Option<Record<'_>>> {
        let replaced = self.replaced.as_ref().filter(|_| !planted(Bug::IgnoreKept));
        replaced.map(PinnedRecord::record).transpose()
    }

    /// The same, to be pinned by others too.
    pub(super) fn kept(&self) -> Option<PinnedRecord> {
        self.replaced.clone()
    }

    #[inline]
    pub(super) fn is_expired(&self, record: &Record<'_>) -> bool {
        record.expiry.is_some_and(|expiry| self.is_past(expiry))
    }

    /// Whether `time`, in milliseconds since 1970, is past for the snapshot.
    #[inline]
    pub(super) fn is_past(&self, time: i64) -> bool {
        time <= self.now
    }
}

/// The store as it was when the snapshot was made. A counted handle: clones are the same snapshot, which ends
/// with the last of them and of the scans on it. May be used by several threads and moved between them. It
/// counts as a handle of the store: that is open until it is closed, or until the last handle is gone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    held: Arc<Held>,
}

/// A registered snapshot, until it is dropped.
#[derive(Debug)]
struct Held {
    store: Arc<Open>,
    ticket: Ticket,
    view: View,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Also what others left that ended while the append lock was not free.
        if self.store.snapshots.release(&self.ticket) || self.store.snapshots.unsettled() {
            self.store.settle_soon();
        }
    }
}

impl Store {
    /// A snapshot of this moment. Takes no lock and waits for nobody.
    ///
    /// Errors: `NoMemory`, `Closed`, `Forked`.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let inner = &self.inner;
        inner.check()?;
        let now = inner.os.now_millis();
        // While the index is pinned, what its commits replace stays where it is.
        let pin = inner.index.pin()?;
        let Registered { ticket, lsn, replaced } = inner.snapshots.register(&inner.visibility, now)?;
        let view = View { lsn, now, replaced: None };
        let mut held = Held { store: Arc::clone(inner), ticket, view };
        if let Some(position) = replaced {
            held.view.replaced = Some(inner.log.read_pinned(position)?);
        }
        drop(pin);
        Ok(Snapshot { held: Arc::new(held) })
    }
}

impl Snapshot {
    /// The value that `key` had, or `None` where it had none.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        check_sizes(key, &[])?;
        let Held { store, view, .. } = &*self.held;
        store.check()?;
        let pin = store.index.pin()?;
        match store.find_at(&pin, pin.find(key), key, view)? {
            Some((position, _)) => store.pinned(position, view).map(Some),
            None => Ok(None),
        }
    }

    /// Calls `look` with the value that `key` had where it lies, without copying it; `None` where it had
    /// none. `look` must not call the store.
    pub fn read<R>(&self, key: &[u8], look: impl FnOnce(ValueType, &[u8]) -> R) -> Result<Option<R>> {
        self.read_record(key, |record| look(record.value_type(), record.value))
    }

    /// As [`Store::read_many`](super::Store::read_many): the values that the keys had, all of one moment.
    pub fn read_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        look: impl FnMut(usize, Option<(ValueType, &[u8])>),
    ) -> Result<()> {
        self.held.store.read_many(keys, Some(&self.held.view), look)
    }

    /// Whether `key` had a value.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.read(key, |_, _| ())?.is_some())
    }

    /// The records that there were, in the order of their keys.
    pub fn scan(&self, options: &ScanOptions) -> Result<Scan> {
        Scan::new(self.clone(), options)
    }

    /// Sequence number of the last operation that the snapshot sees.
    pub fn lsn(&self) -> Lsn {
        self.held.view.lsn
    }

    /// Calls `look` with the record of `key`.
    pub(super) fn read_record<R>(
        &self,
        key: &[u8],
        look: impl FnOnce(&Record<'_>) -> R,
    ) -> Result<Option<R>> {
        check_sizes(key, &[])?;
        let Held { store, view, .. } = &*self.held;
        store.check()?;
        let pin = store.index.pin()?;
        Ok(store.find_at(&pin, pin.find(key), key, view)?.map(|(_, record)| look(&record)))
    }

    pub(super) fn store(&self) -> &Arc<Open> {
        &self.held.store
    }

    pub(super) fn view(&self) -> &View {
        &self.held.view
    }
}
