//! Which readers are inside the index, so that the writer knows what nobody can reach any more.
//!
//! A reader announces the epoch it starts in before it loads the root; the writer tags what it takes out
//! of the tree with the epoch of that moment and reuses it once every announced epoch is later.
//!
//! Invariants:
//! 1. A reader's announcement and its loads of the tree are separated by a SeqCst fence, and so are the
//!    writer's stores to the tree and its look at the announcements: either the writer sees the
//!    announcement, or the reader sees the stores.
//! 2. An announcement is withdrawn with Release and looked at with Acquire: what the reader did happens
//!    before the memory is reused.
//! 3. Nothing belongs to a thread: a pin may be dropped by another one than took it.
//!
//! Callers: `index` itself.

use crate::error::{Error, Result};
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};

#[cfg(not(any(loom, shuttle)))]
const SLOTS: usize = 256;
#[cfg(any(loom, shuttle))]
const SLOTS: usize = 1;
/// Slots that a search starts from; the others are for when these are taken.
const STARTS: usize = if SLOTS < 64 { SLOTS } else { 64 };

const FREE: u64 = 0;

/// One reader's announcement, on a pair of cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Slot(AtomicU64);

/// The table of announcements. See the module.
#[derive(Debug)]
pub(super) struct Pins {
    epoch: AtomicU64,
    slots: Box<[Slot]>,
    /// Epochs of the readers that found every slot taken.
    overflow: Mutex<Vec<u64>>,
}

/// Where an announcement is, to withdraw it.
#[derive(Debug)]
pub(super) struct Ticket {
    /// What was announced.
    pub(super) epoch: u64,
    /// The slot's number; `OVERFLOW` where every slot was taken.
    slot: usize,
}

const OVERFLOW: usize = usize::MAX;

impl Pins {
    pub(super) fn new() -> Result<Pins> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(SLOTS).map_err(|_| Error::NoMemory("the table of readers"))?;
        slots.extend((0..SLOTS).map(|_| Slot(AtomicU64::new(FREE))));
        Ok(Pins {
            epoch: AtomicU64::new(FREE + 1),
            slots: slots.into_boxed_slice(),
            overflow: Mutex::new(Vec::new()),
        })
    }

    /// Announces a reader. Fails only when all slots are taken and there is no memory for one more.
    #[inline]
    pub(super) fn enter(&self) -> Result<Ticket> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let (before, from) = self.slots.split_at_checked(first_slot()).unwrap_or((&[], &self.slots));
        for (distance, slot) in from.iter().chain(before).enumerate() {
            if slot.0.load(Ordering::Relaxed) == FREE
                && slot.0.compare_exchange(FREE, epoch, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            {
                fence_after_exchange();
                let slot = (before.len() + distance) % self.slots.len();
                return Ok(Ticket { epoch, slot });
            }
        }
        self.enter_overflow(epoch)
    }

    #[cold]
    fn enter_overflow(&self, epoch: u64) -> Result<Ticket> {
        let mut overflow = lock(&self.overflow)?;
        overflow.try_reserve(1).map_err(|_| Error::NoMemory("the table of readers"))?;
        // The lock orders this with the writer's look as the fence does for slots: whoever comes second
        // sees what the first one did.
        overflow.push(epoch);
        Ok(Ticket { epoch, slot: OVERFLOW })
    }

    /// Withdraws an announcement.
    #[inline]
    pub(super) fn leave(&self, ticket: &Ticket) {
        if let Some(slot) = self.slots.get(ticket.slot) {
            slot.0.store(FREE, Ordering::Release);
        } else if let Ok(mut overflow) = lock(&self.overflow)
            && let Some(index) = overflow.iter().position(|entry| *entry == ticket.epoch)
        {
            // A poisoned lock keeps the announcement: memory is not reused, nothing worse.
            overflow.swap_remove(index);
        }
    }

    /// Whether nothing that the holder of `ticket` could have reached under an earlier one of epoch `epoch`
    /// has been reused since.
    ///
    /// What was reachable then is tagged with `epoch` or a later one when it is taken out, and freed after a
    /// look at the announcements that follows the start of a still later epoch. If that epoch is not seen
    /// here, behind the fence of invariant 1, then the look is still to come and sees `ticket`.
    #[inline]
    pub(super) fn is_unbroken(&self, ticket: &Ticket, epoch: u64) -> bool {
        ticket.epoch == epoch && self.epoch.load(Ordering::Acquire) == epoch
    }

    /// The epoch now: what the writer takes out of the tree before [`Pins::advance`] carries it.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Starts a new epoch and returns the oldest one that a reader may still be in: everything taken out
    /// in an earlier one is out of reach. Only the writer calls this.
    pub(super) fn advance(&self) -> u64 {
        self.epoch.store(self.epoch() + 1, Ordering::Release);
        self.oldest()
    }

    /// The oldest epoch that a reader may still be in; `u64::MAX` without readers.
    pub(super) fn oldest(&self) -> u64 {
        fence(Ordering::SeqCst);
        let mut oldest = u64::MAX;
        for slot in &self.slots {
            let epoch = slot.0.load(Ordering::Acquire);
            if epoch != FREE {
                oldest = oldest.min(epoch);
            }
        }
        match lock(&self.overflow) {
            Ok(overflow) => overflow.iter().fold(oldest, |oldest, epoch| oldest.min(*epoch)),
            Err(_) => FREE,
        }
    }
}

/// A SeqCst fence that follows a successful exchange. On x86 the exchange itself is a full barrier, and a
/// second one would keep the processor from working ahead, for a fifth of a get's time: the compiler
/// alone needs to be told.
#[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
#[inline]
fn fence_after_exchange() {
    crate::sync::compiler_fence(Ordering::SeqCst);
}

/// A SeqCst fence that follows a successful exchange.
#[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
#[inline]
fn fence_after_exchange() {
    fence(Ordering::SeqCst);
}

/// Where a search for a free slot starts. Threads are told apart by where their stacks are: without
/// thread-local state, and mostly the same slot for the same thread.
#[cfg(not(any(loom, shuttle, miri)))]
#[inline]
fn first_slot() -> usize {
    let on_the_stack = 0u8;
    let page = (&raw const on_the_stack).addr() as u64 >> 14;
    (page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % STARTS
}

/// An explorer must see the same choice in every run.
#[cfg(any(loom, shuttle, miri))]
fn first_slot() -> usize {
    0 % STARTS
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn more_readers_than_slots_are_all_seen() {
        let pins = Pins::new().unwrap();
        let tickets: Vec<Ticket> = (0..3 * SLOTS).map(|_| pins.enter().unwrap()).collect();
        assert!(tickets.iter().filter(|ticket| ticket.slot == OVERFLOW).count() == 2 * SLOTS);
        assert_eq!(pins.advance(), 1);
        for ticket in &tickets[..SLOTS] {
            pins.leave(ticket);
        }
        assert_eq!(pins.advance(), 1);
        for ticket in &tickets[SLOTS..] {
            pins.leave(ticket);
        }
        assert_eq!(pins.advance(), u64::MAX);
    }
}
