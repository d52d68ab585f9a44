//! The sync facade: the locks, atomics and threads that the engine uses, from std, or from loom or
//! shuttle when their explorers drive the schedule (`RUSTFLAGS="--cfg loom"` or `"--cfg shuttle"`). With
//! `--cfg tsan`, locks tell ThreadSanitizer of their order.
//!
//! Invariant 1: no module of the engine names `std::sync` or `std::thread` for anything that two
//! threads share; it names this one, so that the explorers see every step.
//!
//! `Arc` stays std's: it is used for ownership only, never to publish data.
//!
//! Callers: `os`, `log`, `index`, `store`.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::fence as compiler_fence;
#[cfg(loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::sync::atomic::fence as compiler_fence;
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

#[cfg(not(any(loom, shuttle, tsan)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{
    sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    },
    thread,
};
#[cfg(tsan)]
pub(crate) use tsan::{Condvar, Mutex, MutexGuard};

#[cfg(tsan)]
mod tsan;

use crate::error::{Error, Result};

/// Locks `mutex`. A lock that a panic left behind is an error of the store, never a second panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::Poisoned("a panic while a lock was held".to_string()))
}
