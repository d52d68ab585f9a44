//! A reserved range of address space whose front is committed memory, for the arena.
//!
//! Invariants:
//! 1. `base` is aligned to 2 MiB and stays the same until the reservation is dropped.
//! 2. The first `committed` bytes are readable and writable and start as zeros; the rest is not
//!    accessible.
//!
//! Callers: `arena`.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::error::{Error, Result};

/// Alignment of the range, and the size of a large page.
const LARGE_PAGE: usize = 2 << 20;
/// The smallest range that is worth having.
const SIZE_MIN: usize = 64 << 20;

/// A reserved range. Dropping it unmaps it.
#[derive(Debug)]
pub(super) struct Reservation {
    base: NonNull<u8>,
    size: usize,
    committed: usize,
}

// SAFETY: the range belongs to this handle alone; moving the handle moves no memory.
unsafe impl Send for Reservation {}
// SAFETY: a shared handle only tells where the range is.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `size` bytes of address space, or half of it as often as the system refuses (a limit on
    /// address space), down to 64 MiB. Nothing is committed yet.
    pub(super) fn new(size: usize) -> Result<Reservation> {
        let mut size = size.max(LARGE_PAGE).next_multiple_of(LARGE_PAGE);
        loop {
            match Self::reserve(size) {
                Ok(base) => return Ok(Reservation { base, size, committed: 0 }),
                Err(error) if size <= SIZE_MIN => return Err(error),
                Err(_) => size = (size / 2).next_multiple_of(LARGE_PAGE),
            }
        }
    }

    fn reserve(size: usize) -> Result<NonNull<u8>> {
        let refused =
            || Error::os("mmap", "the index", std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
        let padded = size + LARGE_PAGE;
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches no memory
        // that anyone else uses.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                padded,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(refused());
        }
        let before = mapped.align_offset(LARGE_PAGE).min(LARGE_PAGE);
        let start = mapped.wrapping_byte_add(before);
        // SAFETY: both ranges are parts of the mapping made above that nobody has a pointer to: the
        // part before the aligned start and the part behind the aligned end. A failure only wastes
        // address space.
        unsafe {
            if before > 0 {
                libc::munmap(mapped, before);
            }
            if LARGE_PAGE - before > 0 {
                libc::munmap(start.wrapping_byte_add(size), LARGE_PAGE - before);
            }
        }
        NonNull::new(start.cast()).ok_or(Error::NoMemory("mmap"))
    }

    /// Where the range starts.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes of address space.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Makes the first `size` bytes accessible (never fewer than before). From 2 MiB on, large pages
    /// are asked for. On an error nothing has changed.
    pub(super) fn commit(&mut self, size: usize) -> Result<()> {
        let size = size.next_multiple_of(4096);
        if size > self.size {
            return Err(Error::NoMemory("the index: its address space is full"));
        }
        if size <= self.committed {
            return Ok(());
        }
        let start = self.base.as_ptr().wrapping_add(self.committed);
        let added = size - self.committed;
        // SAFETY: the range is inside the reservation (size was checked) and belongs to this handle.
        let result = unsafe { libc::mprotect(start.cast(), added, libc::PROT_READ | libc::PROT_WRITE) };
        if result != 0 {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            return Err(Error::os("mprotect", "the index", errno));
        }
        if size > LARGE_PAGE {
            // SAFETY: as above; a wish, whose failure changes nothing.
            unsafe { libc::madvise(start.cast(), added, libc::MADV_HUGEPAGE) };
        }
        self.committed = size;
        Ok(())
    }

    /// Gives the pages behind the first `keep` bytes back to the system; they stay accessible and read
    /// as zeros. The caller promises by `&mut` that nobody uses them.
    pub(super) fn discard(&mut self, keep: usize) {
        let keep = keep.next_multiple_of(LARGE_PAGE);
        if keep < self.committed {
            let start = self.base.as_ptr().wrapping_add(keep);
            // SAFETY: the range is inside the committed part of this handle's own mapping.
            unsafe { libc::madvise(start.cast(), self.committed - keep, libc::MADV_DONTNEED) };
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range is this handle's own mapping and nothing can refer to it after the drop.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_memory_is_zeroed_aligned_and_bounded() {
        let mut memory = Reservation::new(8 << 20).unwrap();
        assert_eq!(memory.base().as_ptr() as usize % LARGE_PAGE, 0);
        assert_eq!(memory.size(), 8 << 20);
        memory.commit(4 << 20).unwrap();
        memory.commit(8 << 20).unwrap();
        // SAFETY: the last byte of the committed range of a mapping that this test owns.
        let last = unsafe { *memory.base().as_ptr().add((8 << 20) - 1) };
        assert_eq!(last, 0);
        assert!(matches!(memory.commit((8 << 20) + 1), Err(Error::NoMemory(_))));
    }
}
