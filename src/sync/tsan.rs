//! Locks whose order ThreadSanitizer sees. The standard library is not instrumented: who got a lock by
//! waiting for it seems to race with who had it before. Here each lock is std's own, and each taking and each
//! letting go of it also touches an atomic, which tells of the order that the lock itself made, and of no
//! other.
//!
//! Callers: `sync`, where the sanitizer is on (`make sanitize`).

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{self, LockResult, PoisonError, TryLockError, TryLockResult, WaitTimeoutResult};
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: sync::Mutex<T>,
    turns: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    /// `None` only while a condition is waited for.
    inner: Option<sync::MutexGuard<'a, T>>,
    turns: &'a AtomicU64,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex { inner: sync::Mutex::new(value), turns: AtomicU64::new(0) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self.inner.lock() {
            Ok(guard) => Ok(self.guard(guard)),
            Err(poisoned) => Err(PoisonError::new(self.guard(poisoned.into_inner()))),
        }
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(guard) => Ok(self.guard(guard)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => {
                Err(TryLockError::Poisoned(PoisonError::new(self.guard(poisoned.into_inner()))))
            }
        }
    }

    fn guard<'a>(&'a self, inner: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.turns.fetch_add(1, Ordering::AcqRel);
        MutexGuard { inner: Some(inner), turns: &self.turns }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[expect(clippy::expect_used, reason = "a guard that is at hand has its lock")]
    fn deref(&self) -> &T {
        self.inner.as_ref().expect("a lock")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[expect(clippy::expect_used, reason = "a guard that is at hand has its lock")]
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("a lock")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // Before the lock is let go of, which happens when the field is dropped.
        if self.inner.is_some() {
            self.turns.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    #[expect(clippy::expect_used, reason = "a guard that is at hand has its lock")]
    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let turns = guard.turns;
        turns.fetch_add(1, Ordering::AcqRel);
        let waited = self.0.wait(guard.inner.take().expect("a lock"));
        turns.fetch_add(1, Ordering::AcqRel);
        match waited {
            Ok(inner) => Ok(MutexGuard { inner: Some(inner), turns }),
            Err(poisoned) => Err(PoisonError::new(MutexGuard { inner: Some(poisoned.into_inner()), turns })),
        }
    }

    #[expect(clippy::expect_used, reason = "a guard that is at hand has its lock")]
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let turns = guard.turns;
        turns.fetch_add(1, Ordering::AcqRel);
        let waited = self.0.wait_timeout(guard.inner.take().expect("a lock"), limit);
        turns.fetch_add(1, Ordering::AcqRel);
        match waited {
            Ok((inner, outcome)) => Ok((MutexGuard { inner: Some(inner), turns }, outcome)),
            Err(poisoned) => {
                let (inner, outcome) = poisoned.into_inner();
                Err(PoisonError::new((MutexGuard { inner: Some(inner), turns }, outcome)))
            }
        }
    }
}
