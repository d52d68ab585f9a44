//! A mapped file: stable memory that one writer fills and any number of threads read.
//!
//! Invariants:
//! 1. `base` points to `size` bytes that stay mapped, readable, and at the same address until the
//!    [`Map`] is dropped.
//! 2. Memory is only changed through [`Map::write`], whose caller promises that nobody reads or writes
//!    the range meanwhile. Everything else about sharing is the caller's: `log` publishes a range with
//!    a Release store after writing it and never writes it again.
//!
//! Callers: `log`.
#![allow(unsafe_code)]

use std::fmt;
use std::ptr::NonNull;

use crate::error::{Error, Result};

/// What is behind a mapping. Dropping it unmaps.
pub trait MapBackend: Send + Sync {
    /// Called instead of a plain store where stores are not enough (`pwrite`) or must be recorded (the
    /// simulated disk). Returns false where the caller is to store through the mapping itself.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<bool>;

    /// Makes the pages of the range present and writable, so that a later store cannot fault. A full
    /// device or a bad page is an error here.
    fn populate(&self, offset: u64, size: u64) -> Result<()>;

    /// Makes the pages of the range present for reading, so that a bad device or a file that was cut by
    /// someone else is an error here and not a signal later. Where that cannot be asked for: does nothing.
    fn populate_read(&self, _offset: u64, _size: u64) -> Result<()> {
        Ok(())
    }

    /// Asks for large pages wherever pages are made present from now on. A wish: never fails.
    fn advise_large_pages(&self) {}

    /// Asks for large pages and read-ahead for a file that no longer changes. A wish: never fails.
    fn advise_sealed(&self) {}
}

/// A mapped file. See the module.
pub struct Map {
    base: NonNull<u8>,
    size: usize,
    backend: Box<dyn MapBackend>,
}

// SAFETY: the memory is owned by the backend, which is Send; moving the handle moves no memory.
unsafe impl Send for Map {}
// SAFETY: shared access reads ranges nobody changes; `write` is unsafe and its caller promises
// exclusive use of the range (invariant 2).
unsafe impl Sync for Map {}

impl fmt::Debug for Map {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Map").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Map {
    /// Wraps `size` bytes at `base`.
    ///
    /// # Safety
    /// `base` must point to `size` bytes for which invariant 1 holds as long as `backend` lives, and
    /// writable ones unless `backend.write` never returns `Ok(false)`.
    pub unsafe fn new(base: NonNull<u8>, size: usize, backend: Box<dyn MapBackend>) -> Map {
        Map { base, size, backend }
    }

    /// Bytes mapped.
    pub fn size(&self) -> u64 {
        self.size as u64
    }

    /// The bytes at `[offset, offset + size)`, or `None` where that is out of range.
    ///
    /// # Safety
    /// Nobody may write the range while the slice lives.
    #[inline(always)]
    pub unsafe fn bytes(&self, offset: u64, size: usize) -> Option<&[u8]> {
        let start = self.check(offset, size)?;
        // SAFETY: `check` keeps the range inside the mapping (invariant 1); the caller promises that
        // nobody writes it.
        Some(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), size) })
    }

    /// Stores `bytes` at `offset`.
    ///
    /// # Safety
    /// Nobody may read or write the range meanwhile.
    #[inline]
    pub unsafe fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let Some(start) = self.check(offset, bytes.len()) else {
            return Err(Error::Internal("a write beyond the end of a mapping"));
        };
        if !self.backend.write(offset, bytes)? {
            // SAFETY: `check` keeps the range inside the mapping, which is writable as the backend did
            // not take the write (`Map::new`); the caller promises exclusive use.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(start), bytes.len());
            }
        }
        Ok(())
    }

    /// Hints that the cache lines at `[offset, offset + size)` are read soon. Out of range is harmless.
    #[inline(always)]
    pub fn prefetch(&self, offset: u64, size: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in (0..size).step_by(64) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = self.base.as_ptr().wrapping_add(offset as usize).wrapping_add(line);
            // SAFETY: a prefetch has no effect on memory, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (offset, size);
    }

    /// See [`MapBackend::populate`].
    pub fn populate(&self, offset: u64, size: u64) -> Result<()> {
        self.backend.populate(offset, size)
    }

    /// See [`MapBackend::populate_read`].
    pub fn populate_read(&self, offset: u64, size: u64) -> Result<()> {
        self.backend.populate_read(offset, size)
    }

    /// See [`MapBackend::advise_large_pages`].
    pub fn advise_large_pages(&self) {
        self.backend.advise_large_pages();
    }

    /// See [`MapBackend::advise_sealed`].
    pub fn advise_sealed(&self) {
        self.backend.advise_sealed();
    }

    #[inline]
    fn check(&self, offset: u64, size: usize) -> Option<usize> {
        let start = usize::try_from(offset).ok()?;
        (start.checked_add(size)? <= self.size).then_some(start)
    }
}
