//! Which commits readers see: all up to one LSN, and none after it.
//!
//! A commit that waits for the device becomes visible when it is durable; one that does not wait, at
//! once, unless one before it still waits: commits become visible in log order. A commit that is in the
//! index and not visible yet stands there beside the version before it, and readers choose by the mark.
//!
//! One case does without the second version: a put that is visible the moment it is in the index. It
//! notes the position it replaces first, so that a reader between the two stores finds the old one.
//!
//! Invariants:
//! 1. The mark never passes a commit that waits for the device and is not durable.
//! 2. The mark never passes a commit that the index does not have completely.
//! 3. The mark never goes back.
//! 4. The note is that of the one commit that is between index and mark, or of one that is visible.
//!
//! Callers: the other modules of `store`.

use crate::planted::{Bug, planted};
use crate::sync::{AtomicU64, Ordering, fence};
use crate::types::{Lsn, Position};

/// The visible mark and what it follows.
#[derive(Debug)]
pub(super) struct Visibility {
    /// What a reader last saw of the mark: older records are told by it without the writer's line.
    seen: AtomicU64,
    marks: Marks,
}

/// What the writer changes with every commit, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Marks {
    visible: AtomicU64,
    /// Last commit that is in the index completely.
    applied: AtomicU64,
    /// Last commit that waits for the device, or did.
    waiting: AtomicU64,
    /// The commit that noted `replaced`; 0 while the note is written.
    noted: AtomicU64,
    /// Units of the position that it replaces, or `NOTHING`.
    replaced: AtomicU64,
}

const NOTHING: u64 = u64::MAX;

/// What a reader is to make of a record it found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// It is visible.
    Visible,
    /// It is not, and what it replaces is at this position.
    Replaces(Position),
    /// It is not, and its key had no value before it.
    NotYet,
}

impl Visibility {
    /// Everything up to `lsn`, where recovery ended, is visible.
    pub(super) fn new(lsn: Lsn) -> Visibility {
        let mark = || AtomicU64::new(lsn);
        let marks = Marks {
            visible: mark(),
            applied: mark(),
            waiting: mark(),
            noted: AtomicU64::new(0),
            replaced: AtomicU64::new(NOTHING),
        };
        Visibility { seen: mark(), marks }
    }

    /// What readers see: everything up to this.
    #[inline]
    pub(super) fn visible(&self) -> Lsn {
        self.marks.visible.load(Ordering::Acquire)
    }

    /// What to make of the record of operation `lsn` that the index gave as a key's only version.
    #[inline]
    pub(super) fn of_only_version(&self, lsn: Lsn) -> Seen {
        if lsn <= self.seen.load(Ordering::Acquire) { Seen::Visible } else { self.look(lsn) }
    }

    #[cold]
    fn look(&self, lsn: Lsn) -> Seen {
        if lsn <= self.refresh() {
            return Seen::Visible;
        }
        let noted = self.marks.noted.load(Ordering::Acquire);
        let replaced = self.marks.replaced.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if noted == lsn && self.marks.noted.load(Ordering::Acquire) == lsn {
            return if replaced == NOTHING {
                Seen::NotYet
            } else {
                Seen::Replaces(Position::from_units(replaced))
            };
        }
        // The note is written over only after its commit has become visible: who has read what is there now
        // sees that.
        if lsn <= self.refresh() { Seen::Visible } else { Seen::NotYet }
    }

    fn refresh(&self) -> Lsn {
        let visible = self.visible();
        // With all that the mark brings: who is told by this looks at other keys next.
        self.seen.store(visible, Ordering::Release);
        visible
    }

    /// The mark for a snapshot that is registered already, and the position that the commit replaces, if
    /// any, which is between index and mark at that moment. That one commit may not have met the
    /// registration; each later one meets it.
    ///
    /// Never waits: another try follows only where the writer has made a commit visible meanwhile.
    pub(super) fn for_snapshot(&self) -> (Lsn, Option<Position>) {
        loop {
            let visible = self.visible();
            let noted = self.marks.noted.load(Ordering::Acquire);
            if noted != 0 && noted <= visible {
                return (visible, None);
            }
            let replaced = self.marks.replaced.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            // A note that is being written, 0, is written by a commit that will meet the registration. But
            // the one before it may not have met it, and have become visible since the mark was read.
            if noted == self.marks.noted.load(Ordering::Relaxed) && visible == self.visible() {
                let replaces = noted != 0 && replaced != NOTHING;
                return (visible, replaces.then(|| Position::from_units(replaced)));
            }
        }
    }

    /// Whether a commit that is in the index is not visible yet, so that the next one has to queue behind
    /// it. Under the append lock.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.visible() < self.marks.applied.load(Ordering::Relaxed)
    }

    /// Last commit that is in the index completely.
    pub(super) fn applied(&self) -> Lsn {
        self.marks.applied.load(Ordering::Acquire)
    }

    /// Last commit that waits for the device.
    pub(super) fn waiting(&self) -> Lsn {
        self.marks.waiting.load(Ordering::Acquire)
    }

    /// The commit that ends at `lsn` waits for the device. Under the append lock, before it is applied.
    pub(super) fn set_waiting(&self, lsn: Lsn) {
        self.marks.waiting.store(lsn, Ordering::Release);
    }

    /// Commit `lsn` is about to replace `replaced` in the index, with nothing before it left to become
    /// visible. Under the append lock.
    #[inline]
    pub(super) fn note(&self, lsn: Lsn, replaced: Option<Position>) {
        // Who reads the 0 sees that the commit of the note before is visible.
        self.marks.noted.store(0, Ordering::Release);
        fence(Ordering::Release);
        self.marks.replaced.store(replaced.map_or(NOTHING, Position::to_units), Ordering::Relaxed);
        self.marks.noted.store(lsn, Ordering::Release);
    }

    /// The index has everything up to `lsn`. Under the append lock.
    #[inline]
    pub(super) fn set_applied(&self, lsn: Lsn) {
        self.marks.applied.store(lsn, Ordering::Release);
    }

    /// Moves the mark as far as the invariants allow when everything up to `durable` is on the device.
    #[inline]
    pub(super) fn advance(&self, durable: Lsn) {
        // `applied` first: a commit that waits and is applied by then is seen in `waiting`.
        let applied = self.marks.applied.load(Ordering::Acquire);
        let waiting = self.marks.waiting.load(Ordering::Acquire);
        let mark =
            if durable >= waiting || planted(Bug::VisibleEarly) { applied } else { applied.min(durable) };
        self.marks.visible.fetch_max(mark, Ordering::AcqRel);
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

    #[test]
    fn between_index_and_mark_a_reader_finds_what_is_replaced() {
        let marks = Visibility::new(10);
        let old = Position::from_units(77);
        marks.note(11, Some(old));
        assert_eq!(marks.of_only_version(11), Seen::Replaces(old));
        marks.note(11, None);
        assert_eq!(marks.of_only_version(11), Seen::NotYet);
        assert_eq!(marks.of_only_version(10), Seen::Visible);
        marks.set_applied(11);
        marks.advance(10);
        assert_eq!(marks.of_only_version(11), Seen::Visible);
        assert_eq!(marks.of_only_version(12), Seen::NotYet, "a new key that waits for the device");
    }
}
