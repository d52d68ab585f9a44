//! Anonymous memory for the index: a large range of addresses, backed by memory as far as it is used.
//!
//! Invariants:
//! 1. `base` does not move while the [`Reservation`] lives, and is a multiple of 2 MiB.
//! 2. `[base, base + committed)` is readable and writable and was zero when it was committed; the rest
//!    of the range is not accessible. What is committed stays so.
//!
//! Callers: `index`.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use crate::error::{Error, Result};
use crate::sync::{AtomicUsize, Ordering};

/// Memory is committed in steps of this many bytes: the size of a large page.
pub const COMMIT_STEP: usize = 2 << 20;

/// A range of addresses. Dropping it gives memory and addresses back.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    size: usize,
    committed: AtomicUsize,
}

// SAFETY: the range belongs to this value, not to a thread; it is used for unmapping and protection
// only, and what is stored in it is the business of whoever dereferences `base`.
unsafe impl Send for Reservation {}
// SAFETY: as above; concurrent commits only ever add access to a prefix.
unsafe impl Sync for Reservation {}

/// The process's limit of address space, where it has one.
fn address_limit() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid place for the answer.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY)
        .then(|| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX / 2))
}

impl Reservation {
    /// Reserves `size_wanted` bytes of addresses, or half of that, and so on down to `size_min`; both
    /// are rounded up to [`COMMIT_STEP`]. Reserved addresses cost no memory. Errors: `NoMemory` where
    /// not even `size_min` could be had; `InvalidArgument` where `size_min` is 0 or over `size_wanted`.
    pub fn new(size_wanted: usize, size_min: usize) -> Result<Reservation> {
        let round = |size: usize| size.checked_next_multiple_of(COMMIT_STEP);
        let (Some(mut size), Some(size_min)) = (round(size_wanted), round(size_min)) else {
            return Err(Error::NoMemory("mmap"));
        };
        if size_min == 0 || size_min > size {
            return Err(Error::InvalidArgument(format!("a reservation of {size_min} to {size} bytes")));
        }
        // Under a limit of addresses the rest of the process needs some too.
        if let Some(limit) = address_limit() {
            size = size.min((limit / 4).next_multiple_of(COMMIT_STEP)).max(size_min);
        }
        loop {
            if let Some(base) = reserve(size) {
                let reservation = Reservation { base, size, committed: AtomicUsize::new(0) };
                reservation.advise_large_pages();
                return Ok(reservation);
            }
            if size == size_min {
                return Err(Error::NoMemory("mmap"));
            }
            size = (size / 2).next_multiple_of(COMMIT_STEP).max(size_min);
        }
    }

    /// Where the range starts: a multiple of 2 MiB. The same for as long as the reservation lives.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes from `base` on that can be read and written.
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Acquire)
    }

    /// Makes at least `[base, base + bytes)` readable and writable (in steps of [`COMMIT_STEP`]); new
    /// memory is zero. Less than is committed already is no change. From any thread. Errors: `NoMemory`
    /// where the system refuses, or `bytes` is more than was reserved; nothing is changed then.
    pub fn commit(&self, bytes: usize) -> Result<()> {
        if bytes > self.size {
            return Err(Error::NoMemory("the index's address range"));
        }
        let committed = self.committed();
        if bytes <= committed {
            return Ok(());
        }
        let target = bytes.next_multiple_of(COMMIT_STEP).min(self.size);
        // SAFETY: the range lies inside the reservation (`target <= size`), and access is only added.
        let result = unsafe {
            let start = self.base.as_ptr().add(committed);
            libc::mprotect(start.cast(), target - committed, libc::PROT_READ | libc::PROT_WRITE)
        };
        if result != 0 {
            return Err(Error::NoMemory("mprotect"));
        }
        self.committed.fetch_max(target, Ordering::AcqRel);
        Ok(())
    }

    /// Gives the memory behind the first `keep` bytes (rounded up to [`COMMIT_STEP`]) back to the system.
    /// It stays committed and reads as zeros from then on.
    ///
    /// # Safety
    /// Nobody may read or write that memory meanwhile, or rely on what it held.
    pub unsafe fn discard(&self, keep: usize) {
        let committed = self.committed();
        let Some(keep) = keep.checked_next_multiple_of(COMMIT_STEP).filter(|keep| *keep < committed) else {
            return;
        };
        // SAFETY: the range lies inside the committed part; the caller promises that nobody uses it. A
        // refusal only keeps the memory.
        unsafe {
            let start = self.base.as_ptr().add(keep);
            libc::madvise(start.cast(), committed - keep, libc::MADV_DONTNEED);
        }
    }

    /// Wishes for large pages, but for the first step: a small store should stay small.
    fn advise_large_pages(&self) {
        #[cfg(target_os = "linux")]
        if self.size > COMMIT_STEP {
            // SAFETY: the range lies inside the reservation; the advice changes no contents.
            unsafe {
                let start = self.base.as_ptr().add(COMMIT_STEP);
                libc::madvise(start.cast(), self.size - COMMIT_STEP, libc::MADV_HUGEPAGE);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `reserve` and its owner lets go of it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}

/// `size` inaccessible bytes at a multiple of [`COMMIT_STEP`]. Not MAP_NORESERVE: under strict
/// accounting a commit shall fail with an error instead of a later store with a signal.
fn reserve(size: usize) -> Option<NonNull<u8>> {
    let mapped_size = size.checked_add(COMMIT_STEP)?;
    // SAFETY: a new anonymous mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            mapped_size,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    let head = start.addr().next_multiple_of(COMMIT_STEP) - start.addr();
    let tail = COMMIT_STEP - head;
    // SAFETY: head and tail lie inside the mapping made above, around the part that is kept:
    // head + size + tail is its size.
    unsafe {
        let base = start.cast::<u8>().add(head);
        if head > 0 {
            libc::munmap(start, head);
        }
        if tail > 0 {
            libc::munmap(base.add(size).cast(), tail);
        }
        NonNull::new(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_memory_is_aligned_zero_and_writable() {
        let memory = Reservation::new(64 << 20, 1 << 20).unwrap();
        assert_eq!((memory.size(), memory.committed()), (64 << 20, 0));
        assert_eq!(memory.base().as_ptr().addr() % COMMIT_STEP, 0);
        for bytes in [1, COMMIT_STEP, COMMIT_STEP + 1, 1, 64 << 20] {
            let before = memory.committed();
            memory.commit(bytes).unwrap();
            let committed = memory.committed();
            assert!(committed >= bytes.max(before) && committed.is_multiple_of(COMMIT_STEP));
            // SAFETY: the prefix is committed and used by this test alone.
            let slice = unsafe { std::slice::from_raw_parts_mut(memory.base().as_ptr(), committed) };
            assert!(slice[..before].iter().all(|&byte| byte == 7));
            assert!(slice[before..].iter().all(|&byte| byte == 0));
            slice.fill(7);
        }
        assert!(matches!(memory.commit((64 << 20) + 1), Err(Error::NoMemory(_))));
        assert_eq!(memory.committed(), 64 << 20);
    }

    #[test]
    fn reservation_halves_until_it_fits() {
        // More than any address space: 47 bits of it belong to a process.
        let memory = Reservation::new(1 << 50, COMMIT_STEP).unwrap();
        assert!(memory.size() < 1 << 50 && memory.size() >= COMMIT_STEP);
        assert!(matches!(Reservation::new(1 << 50, 1 << 50), Err(Error::NoMemory(_))));
        assert!(matches!(Reservation::new(usize::MAX, 1), Err(Error::NoMemory(_))));
        assert!(matches!(Reservation::new(1 << 20, 0), Err(Error::InvalidArgument(_))));
        assert!(matches!(Reservation::new(1 << 20, 1 << 30), Err(Error::InvalidArgument(_))));
    }
}
