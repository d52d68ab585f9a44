//! A mapped file's memory: zeros at a fixed address, copied into and out of under the disk's lock.
//!
//! Invariants:
//! 1. `base` points to `size` readable and writable bytes until the region is dropped.
//! 2. Writes and reads through this type happen under the disk's lock, so they do not race with each
//!    other. Slices of a [`Map`](crate::os::Map) are read outside of it; that nobody writes what they
//!    cover is promised by their makers (map.rs, invariant 2).
//!
//! Callers: `sim`.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use super::content::PAGE_SIZE;

/// Addresses set aside for a file at least: room to grow under a living mapping.
const SIZE_MIN: u64 = 64 << 20;

/// Memory of one file.
pub(super) struct Region {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: plain memory that belongs to no thread.
unsafe impl Send for Region {}
// SAFETY: accesses through it happen under the disk's lock (invariant 2).
unsafe impl Sync for Region {}

impl Region {
    pub(super) fn new(size: u64) -> std::result::Result<Region, i32> {
        let wanted = size.max(SIZE_MIN).checked_next_power_of_two().ok_or(libc::ENOMEM)?;
        let size = usize::try_from(wanted).map_err(|_| libc::ENOMEM)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping touches no existing memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(libc::ENOMEM);
        }
        #[cfg(target_os = "linux")]
        // A file of a simulated disk holds a few pages: zeroing 2 MiB for each would take all the time.
        // SAFETY: the range is the mapping made above; the advice changes no contents.
        unsafe {
            libc::madvise(base, size, libc::MADV_NOHUGEPAGE);
        }
        Ok(Region { base: NonNull::new(base.cast()).ok_or(libc::ENOMEM)?, size })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn size(&self) -> u64 {
        self.size as u64
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> std::result::Result<(), i32> {
        let start = self.check(offset, bytes.len()).ok_or(libc::EFBIG)?;
        // SAFETY: `check` keeps the range inside the region; nobody reads or writes it (invariant 2).
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(start), bytes.len()) };
        Ok(())
    }

    /// Bytes beyond the region were never written: zeros.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) {
        match self.check(offset, buffer.len()) {
            // SAFETY: `check` keeps the range inside the region; nobody writes it (invariant 2).
            Some(start) => unsafe {
                ptr::copy_nonoverlapping(self.base.as_ptr().add(start), buffer.as_mut_ptr(), buffer.len());
            },
            None => buffer.fill(0),
        }
    }

    /// Zeroes everything from `offset` on, giving the pages back.
    pub(super) fn zero_from(&self, offset: u64) {
        let Ok(start) = usize::try_from(offset) else { return };
        if start >= self.size {
            return;
        }
        let page_start = start.next_multiple_of(PAGE_SIZE).min(self.size);
        // SAFETY: both ranges lie inside the region; nobody reads or writes them (invariant 2).
        // Anonymous private pages read as zeros after MADV_DONTNEED on Linux; elsewhere it is only a
        // wish, so there they are written.
        unsafe {
            ptr::write_bytes(self.base.as_ptr().add(start), 0, page_start - start);
            let pages = self.base.as_ptr().add(page_start);
            let advised = cfg!(target_os = "linux")
                && (page_start == self.size
                    || libc::madvise(pages.cast(), self.size - page_start, libc::MADV_DONTNEED) == 0);
            if !advised {
                ptr::write_bytes(pages, 0, self.size - page_start);
            }
        }
    }

    fn check(&self, offset: u64, size: usize) -> Option<usize> {
        let start = usize::try_from(offset).ok()?;
        (start.checked_add(size)? <= self.size).then_some(start)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; the last owner lets go of it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}
