//! Which snapshots live, so that the writer knows which older versions of a key it has to keep.
//!
//! A snapshot announces itself before it reads the visible mark, and the writer announces what it is about
//! to replace (the note of `visibility`) before it looks here: either the writer sees the snapshot and keeps
//! the version, or the snapshot sees the note and keeps the one position itself. Nobody waits for anybody.
//!
//! Invariants:
//! 1. An announcement and the reading of the mark are separated by a SeqCst fence, and so are the writer's
//!    note, or its reading of the mark, and its look at the announcements.
//! 2. Until a snapshot has read the mark, it counts as one that needs every version from its announcement on.
//! 3. A version that a live snapshot sees is not taken out of the index: it is needed by a snapshot at `s`
//!    if it is not newer than `s` and the next version of its key is.
//! 4. Nothing belongs to a thread: a snapshot may end on another one than it began on.
//!
//! Callers: the other modules of `store`.

use super::visibility::Visibility;
use crate::error::{Error, Result};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, fence, lock};
use crate::types::{Lsn, Position};

/// Snapshots that need no lock; the others are for when these are taken.
#[cfg(not(any(loom, shuttle)))]
const SLOTS: usize = 256;
#[cfg(any(loom, shuttle))]
const SLOTS: usize = 1;

const FREE: u64 = 0;
/// Set while a snapshot has not read the mark yet. LSNs stay below it.
const ANNOUNCED: u64 = 1 << 63;

/// The table of live snapshots. See the module.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// How many there are, announced ones included: what the writer looks at when there are none.
    live: AtomicU64,
    /// Slots that were ever used: the writer looks at no others.
    used: AtomicU64,
    slots: Box<[Slot]>,
    /// The word and the time of each that found every slot taken, by its number.
    overflow: Mutex<Vec<(u64, u64, i64)>>,
    /// Whether something is kept for snapshots that have ended. See `retained`.
    pub(super) unsettled: AtomicBool,
}

/// One snapshot's place.
#[derive(Debug)]
struct Slot {
    /// [`FREE`], or the snapshot's LSN plus one, with [`ANNOUNCED`] or without.
    word: AtomicU64,
    /// When it was made, in milliseconds since 1970.
    made_at: AtomicU64,
    /// Whether something is kept for it: whoever ends it has to see to that. It may be true for the one that
    /// had the slot before, which costs a look for nothing.
    retains: AtomicBool,
}

/// Where a snapshot stands, to end it.
#[derive(Debug)]
pub(super) enum Ticket {
    Slot(usize),
    Overflow(u64),
}

/// A snapshot that has been registered.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) ticket: Ticket,
    /// It sees everything up to this.
    pub(super) lsn: Lsn,
    /// The position of a version that it sees and that the index may not keep.
    pub(super) replaced: Option<Position>,
}

/// Figures of the live snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct LiveSnapshots {
    pub(super) count: u64,
    /// When the oldest one was made, in milliseconds since 1970; `None` without any.
    pub(super) oldest: Option<i64>,
}

impl Snapshots {
    pub(super) fn new() -> Result<Snapshots> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(SLOTS).map_err(|_| Error::NoMemory("the table of snapshots"))?;
        slots.extend((0..SLOTS).map(|_| Slot {
            word: AtomicU64::new(FREE),
            made_at: AtomicU64::new(0),
            retains: AtomicBool::new(false),
        }));
        Ok(Snapshots {
            live: AtomicU64::new(0),
            used: AtomicU64::new(0),
            slots: slots.into_boxed_slice(),
            overflow: Mutex::new(Vec::new()),
            unsettled: AtomicBool::new(false),
        })
    }

    /// Registers a snapshot of this moment. Takes no lock unless 256 others live. Error: `NoMemory`, only
    /// then.
    pub(super) fn register(&self, visibility: &Visibility, made_at: i64) -> Result<Registered> {
        let early = planted(Bug::RegisterLate).then(|| (visibility.visible(), None));
        self.live.fetch_add(1, Ordering::Relaxed);
        let announced = ANNOUNCED | (visibility.visible() + 1);
        let ticket = match self.take_slot(announced, made_at) {
            Some(index) => Ticket::Slot(index),
            None => match self.take_overflow(announced, made_at) {
                Ok(number) => Ticket::Overflow(number),
                Err(error) => {
                    self.live.fetch_sub(1, Ordering::Release);
                    return Err(error);
                }
            },
        };
        // Invariant 1.
        fence(Ordering::SeqCst);
        let (lsn, replaced) = early.unwrap_or_else(|| visibility.for_snapshot());
        self.settle(&ticket, lsn + 1);
        Ok(Registered { ticket, lsn, replaced })
    }

    fn take_slot(&self, word: u64, made_at: i64) -> Option<usize> {
        let free = |slot: &Slot| {
            slot.word.load(Ordering::Relaxed) == FREE
                && slot.word.compare_exchange(FREE, word, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let index = self.slots.iter().position(free)?;
        // Read for statistics only, where another snapshot's time does no harm.
        self.slots.get(index)?.made_at.store(made_at.cast_unsigned(), Ordering::Relaxed);
        self.used.fetch_max(index as u64 + 1, Ordering::Relaxed);
        Some(index)
    }

    #[cold]
    fn take_overflow(&self, word: u64, made_at: i64) -> Result<u64> {
        let mut overflow = lock(&self.overflow)?;
        overflow.try_reserve(1).map_err(|_| Error::NoMemory("the table of snapshots"))?;
        let number = overflow.iter().map(|(number, ..)| number + 1).max().unwrap_or(0);
        overflow.push((number, word, made_at));
        self.used.fetch_max(SLOTS as u64 + 1, Ordering::Relaxed);
        Ok(number)
    }

    /// The snapshot has read the mark.
    fn settle(&self, ticket: &Ticket, word: u64) {
        match *ticket {
            Ticket::Slot(index) => {
                if let Some(slot) = self.slots.get(index) {
                    slot.word.store(word, Ordering::Release);
                }
            }
            Ticket::Overflow(number) => {
                // A poisoned lock leaves it announced: more is kept, nothing worse.
                if let Ok(mut overflow) = lock(&self.overflow)
                    && let Some(entry) = overflow.iter_mut().find(|entry| entry.0 == number)
                {
                    entry.1 = word;
                }
            }
        }
    }

    /// Ends a snapshot. Whether versions were kept for it, which are to be looked at now.
    pub(super) fn release(&self, ticket: &Ticket) -> bool {
        let mut retains = false;
        match *ticket {
            Ticket::Slot(index) => {
                if let Some(slot) = self.slots.get(index) {
                    retains = slot.retains.swap(false, Ordering::Relaxed);
                    slot.word.store(FREE, Ordering::Release);
                    // Against `mark_retaining`: either it sees that the snapshot has ended, or this sees the
                    // mark.
                    fence(Ordering::SeqCst);
                    retains |= slot.retains.load(Ordering::Relaxed);
                }
            }
            Ticket::Overflow(number) => {
                if let Ok(mut overflow) = lock(&self.overflow) {
                    overflow.retain(|entry| entry.0 != number);
                }
                retains = true;
            }
        }
        self.live.fetch_sub(1, Ordering::Release);
        retains
    }

    /// A version is kept for the snapshots that need it, see [`Snapshots::needing`]. False: there is none any
    /// more.
    pub(super) fn mark_retaining(&self, older: Lsn, newer: Lsn) -> bool {
        for slot in self.slots.iter().take(self.used()) {
            let word = slot.word.load(Ordering::Acquire);
            if word != FREE && lsn_in_need(word, older, newer).is_some() {
                slot.retains.swap(true, Ordering::Relaxed);
            }
        }
        fence(Ordering::SeqCst);
        self.needing(older, newer).is_some()
    }

    /// Whether there are none. The writer asks after its note, with the fence of invariant 1 between.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        fence(Ordering::SeqCst);
        self.live.load(Ordering::Acquire) == 0
    }

    /// Which snapshot needs the version at `older` of a key whose next version is at `newer`, if any does:
    /// the newest one, or [`UNDECIDED`] for one that has not read the mark yet. For the writer, after a
    /// fence.
    pub(super) fn needing(&self, older: Lsn, newer: Lsn) -> Option<Lsn> {
        let mut found = None;
        self.each(|word, _| found = found.max(lsn_in_need(word, older, newer)));
        found
    }

    /// Whether a snapshot sees everything up to `lsn` and no more.
    pub(super) fn has(&self, lsn: Lsn) -> bool {
        let mut has = false;
        self.each(|word, _| has |= word == lsn + 1);
        has
    }

    fn used(&self) -> usize {
        usize::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Calls `look` with the word and the time of each live snapshot.
    fn each(&self, mut look: impl FnMut(u64, i64)) {
        let used = self.used();
        for slot in self.slots.iter().take(used) {
            let word = slot.word.load(Ordering::Acquire);
            if word != FREE {
                look(word, slot.made_at.load(Ordering::Relaxed).cast_signed());
            }
        }
        if used > SLOTS {
            // A poisoned lock: as if one needed everything.
            match lock(&self.overflow) {
                Ok(overflow) => overflow.iter().for_each(|(_, word, made_at)| look(*word, *made_at)),
                Err(_) => look(ANNOUNCED | 1, i64::MAX),
            }
        }
    }

    /// Figures.
    pub(super) fn figures(&self) -> LiveSnapshots {
        let mut figures = LiveSnapshots::default();
        self.each(|_, made_at| {
            figures.count += 1;
            figures.oldest = Some(figures.oldest.map_or(made_at, |oldest| oldest.min(made_at)));
        });
        figures
    }
}

/// The LSN of the snapshot with this word, or [`UNDECIDED`], where it needs the version at `older` of a key
/// whose next version is at `newer`.
fn lsn_in_need(word: u64, older: Lsn, newer: Lsn) -> Option<Lsn> {
    let lsn = (word & !ANNOUNCED) - 1;
    if word & ANNOUNCED != 0 {
        return (newer > lsn).then_some(UNDECIDED);
    }
    (older <= lsn && lsn < newer).then_some(lsn)
}

/// In place of the LSN of a snapshot that has not read the mark yet.
pub(super) const UNDECIDED: Lsn = Lsn::MAX;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_needed_by_the_snapshots_between_it_and_the_next() {
        let (snapshots, visibility) = (Snapshots::new().unwrap(), Visibility::new(10));
        assert!(snapshots.are_none());
        let registered = snapshots.register(&visibility, 0).unwrap();
        assert_eq!((registered.lsn, registered.replaced), (10, None));
        assert!(!snapshots.are_none());
        assert_eq!(snapshots.needing(10, 11), Some(10));
        assert_eq!(snapshots.needing(3, 12), Some(10));
        assert_eq!(snapshots.needing(11, 12), None);
        assert_eq!(snapshots.needing(3, 10), None);
        snapshots.release(&registered.ticket);
        assert!(snapshots.are_none());
        assert_eq!(snapshots.needing(10, 11), None);
    }

    #[test]
    fn a_snapshot_in_the_middle_of_a_commit_keeps_what_that_replaces() {
        let (snapshots, visibility) = (Snapshots::new().unwrap(), Visibility::new(10));
        visibility.note(11, Some(Position::from_units(7)));
        let registered = snapshots.register(&visibility, 0).unwrap();
        assert_eq!((registered.lsn, registered.replaced), (10, Some(Position::from_units(7))));
        visibility.set_applied(11);
        visibility.advance(10);
        let later = snapshots.register(&visibility, 0).unwrap();
        assert_eq!((later.lsn, later.replaced), (11, None));
    }

    #[test]
    fn more_snapshots_than_slots_are_all_seen() {
        let (snapshots, visibility) = (Snapshots::new().unwrap(), Visibility::new(10));
        let all: Vec<_> =
            (0..2 * SLOTS).map(|at| snapshots.register(&visibility, at as i64).unwrap()).collect();
        assert_eq!(snapshots.figures(), LiveSnapshots { count: 2 * SLOTS as u64, oldest: Some(0) });
        for registered in &all[..SLOTS] {
            snapshots.release(&registered.ticket);
        }
        assert_eq!(snapshots.needing(10, 11), Some(10));
        assert_eq!(snapshots.figures().count, SLOTS as u64);
        for registered in &all[SLOTS..] {
            snapshots.release(&registered.ticket);
        }
        assert_eq!(snapshots.needing(10, 11), None);
        assert!(!snapshots.has(10));
    }
}
