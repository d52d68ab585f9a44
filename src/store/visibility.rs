//! Which commits readers see: all up to one LSN, and none after it.
//!
//! A commit that waits for the device becomes visible when it is durable. Until then the index keeps it
//! beside the version before it, and readers choose by the visible mark. A commit that does not wait is
//! visible at once, unless one before it still waits: commits become visible in log order.
//!
//! Invariants:
//! 1. The mark never passes a commit that waits for the device and is not durable.
//! 2. The mark never passes a commit that the index does not have completely.
//! 3. The mark never goes back.
//!
//! Callers: the other modules of `store`.

use crate::sync::{AtomicU64, Ordering};
use crate::types::Lsn;

/// The visible mark and what it follows.
#[derive(Debug)]
pub(super) struct Visibility {
    visible: AtomicU64,
    /// Last commit that is in the index completely.
    applied: AtomicU64,
    /// Last commit that waits for the device, or did.
    waiting: AtomicU64,
}

impl Visibility {
    /// Everything up to `lsn`, where recovery ended, is visible.
    pub(super) fn new(lsn: Lsn) -> Visibility {
        let mark = || AtomicU64::new(lsn);
        Visibility { visible: mark(), applied: mark(), waiting: mark() }
    }

    /// What readers see: everything up to this.
    #[inline]
    pub(super) fn visible(&self) -> Lsn {
        self.visible.load(Ordering::Acquire)
    }

    /// Whether a commit that is in the index is not visible yet, so that the next one has to queue behind
    /// it. Under the append lock.
    pub(super) fn is_behind(&self) -> bool {
        self.visible() < self.applied.load(Ordering::Relaxed)
    }

    /// Last commit that waits for the device.
    pub(super) fn waiting(&self) -> Lsn {
        self.waiting.load(Ordering::Acquire)
    }

    /// The commit that ends at `lsn` waits for the device. Under the append lock, before it is applied.
    pub(super) fn set_waiting(&self, lsn: Lsn) {
        self.waiting.store(lsn, Ordering::Release);
    }

    /// The index has everything up to `lsn`. Under the append lock.
    pub(super) fn set_applied(&self, lsn: Lsn) {
        self.applied.store(lsn, Ordering::Release);
    }

    /// Moves the mark as far as the invariants allow when everything up to `durable` is on the device.
    pub(super) fn advance(&self, durable: Lsn) {
        // `applied` first: a commit that waits and is applied by then is seen in `waiting`.
        let applied = self.applied.load(Ordering::Acquire);
        let waiting = self.waiting.load(Ordering::Acquire);
        let mark = if durable >= waiting { applied } else { applied.min(durable) };
        self.visible.fetch_max(mark, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_commit_is_visible_once_durable_and_what_follows_it_with_it() {
        let marks = Visibility::new(10);
        marks.set_waiting(11);
        marks.set_applied(11);
        marks.advance(10);
        assert_eq!((marks.visible(), marks.is_behind()), (10, true));
        marks.set_applied(12);
        marks.advance(10);
        assert_eq!(marks.visible(), 10, "a commit that does not wait stays behind the one that does");
        marks.advance(11);
        assert_eq!((marks.visible(), marks.is_behind()), (12, false));
    }

    #[test]
    fn a_commit_that_does_not_wait_is_visible_at_once() {
        let marks = Visibility::new(10);
        marks.set_applied(11);
        marks.advance(10);
        assert_eq!(marks.visible(), 11);
    }

    #[test]
    fn what_is_durable_but_not_in_the_index_is_not_visible() {
        let marks = Visibility::new(10);
        marks.set_waiting(11);
        marks.advance(11);
        assert_eq!(marks.visible(), 10);
    }
}
