//! What the log gained lately, for transactions that ask whether what they read has changed since.
//!
//! Invariants:
//! 1. From `since` on there is an entry for every operation that commits brought, as long as it is not older
//!    than the last [`CAPACITY`] ones: what is not in here is known not to be.
//! 2. Under the append lock.
//!
//! Callers: `write` adds; `transaction` looks.

use crate::error::{Error, Result};
use crate::types::{Lsn, Position};

/// Operations that are remembered.
const CAPACITY: usize = 4096;

/// The last operations. See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// A ring, without room until there is a first transaction.
    ring: Vec<(Lsn, Position)>,
    next: usize,
    /// Every operation behind this one is in the ring, or was.
    since: Lsn,
    /// The last one that had to make room.
    forgotten: Lsn,
}

impl Recent {
    /// Begins to remember what comes behind `last`, if it does not already.
    pub(super) fn begin(&mut self, last: Lsn) -> Result<()> {
        if self.ring.capacity() == 0 {
            self.ring.try_reserve_exact(CAPACITY).map_err(|_| Error::NoMemory("a transaction"))?;
            self.since = last;
        }
        Ok(())
    }

    /// A commit brought the operation `lsn`, whose record lies at `position`.
    #[inline]
    pub(super) fn push(&mut self, lsn: Lsn, position: Position) {
        if self.ring.capacity() == 0 {
            return;
        }
        if self.ring.len() < CAPACITY {
            self.ring.push((lsn, position));
            return;
        }
        if let Some(entry) = self.ring.get_mut(self.next) {
            self.forgotten = entry.0;
            *entry = (lsn, position);
        }
        self.next = (self.next + 1) % CAPACITY;
    }

    /// The records of all operations behind `lsn`, in no order; `None` where they are not all remembered.
    pub(super) fn behind(&self, lsn: Lsn) -> Option<impl Iterator<Item = Position> + '_> {
        let all = self.ring.capacity() > 0 && lsn >= self.since && lsn >= self.forgotten;
        all.then(|| self.ring.iter().filter(move |(at, _)| *at > lsn).map(|(_, position)| *position))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn behind(recent: &Recent, lsn: Lsn) -> Option<usize> {
        recent.behind(lsn).map(Iterator::count)
    }

    #[test]
    fn what_was_forgotten_is_not_called_unchanged() {
        let mut recent = Recent::default();
        recent.push(1, Position::from_units(1));
        assert_eq!(behind(&recent, 0), None);
        recent.begin(1).unwrap();
        assert_eq!((behind(&recent, 0), behind(&recent, 1)), (None, Some(0)));
        for lsn in 2..=CAPACITY as u64 + 1 {
            recent.push(lsn, Position::from_units(lsn));
        }
        assert_eq!((behind(&recent, 1), behind(&recent, 100)), (Some(CAPACITY), Some(CAPACITY - 99)));
        recent.push(CAPACITY as u64 + 2, Position::from_units(7));
        assert_eq!((behind(&recent, 1), behind(&recent, 2)), (None, Some(CAPACITY)));
        recent.begin(9999).unwrap();
        assert_eq!(behind(&recent, 2), Some(CAPACITY));
    }
}
