//! The process id, cheap enough to compare on every call.
//!
//! Invariant 1: the page holds this process's id or zero. The kernel zeroes it in a forked child
//! (MADV_WIPEONFORK), so no call into the kernel is needed to notice a fork: one load.
//!
//! Where the kernel cannot do that, each call asks it (getpid, some 50 ns). A `vfork`ed child shares its
//! parent's memory and sees its parent's id; it may do nothing but exec anyway.
//!
//! Callers: `real`.

use std::ptr::NonNull;
// std's atomic, not the facade's: it lives in memory that the kernel writes.
use std::sync::atomic::{AtomicU32, Ordering};

/// Remembers the process id until a fork.
#[derive(Debug)]
pub(super) struct ProcessId {
    page: Option<NonNull<AtomicU32>>,
}

// SAFETY: the page belongs to this value alone and is only accessed as an atomic.
unsafe impl Send for ProcessId {}
// SAFETY: as above.
unsafe impl Sync for ProcessId {}

const PAGE_SIZE: usize = 4096;

impl ProcessId {
    pub(super) fn new() -> ProcessId {
        ProcessId { page: wiped_page() }
    }

    #[inline]
    pub(super) fn get(&self) -> u32 {
        let Some(page) = self.page else { return std::process::id() };
        // SAFETY: the page is mapped, zeroed or written as an atomic, and lives as long as `self`.
        let cell = unsafe { page.as_ref() };
        match cell.load(Ordering::Relaxed) {
            0 => {
                let id = std::process::id();
                cell.store(id, Ordering::Relaxed);
                id
            }
            id => id,
        }
    }
}

impl Drop for ProcessId {
    fn drop(&mut self) {
        if let Some(page) = self.page {
            // SAFETY: mapped by `wiped_page` with this size; nobody else holds the address.
            unsafe { libc::munmap(page.as_ptr().cast(), PAGE_SIZE) };
        }
    }
}

#[cfg(target_os = "linux")]
fn wiped_page() -> Option<NonNull<AtomicU32>> {
    // SAFETY: a new anonymous mapping touches no existing memory.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE_SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the mapping made above.
    if unsafe { libc::madvise(page, PAGE_SIZE, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above; the address goes nowhere else.
        unsafe { libc::munmap(page, PAGE_SIZE) };
        return None;
    }
    NonNull::new(page.cast())
}

#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<NonNull<AtomicU32>> {
    None
}

/// Runs `action` with all signals blocked in this thread; a thread that it starts has them blocked for good.
pub fn without_signals<R>(action: impl FnOnce() -> R) -> R {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills `all`, which is then read only; `before` is written.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let outcome = action();
    if blocked {
        // SAFETY: `before` was filled by the call that blocked the signals.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    outcome
}
