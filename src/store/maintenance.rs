//! The background thread of a store in the INTERVAL mode: it syncs the log at every interval.
//!
//! Invariants:
//! 1. Nothing depends on it for correctness: without it commits are durable later, not lost or wrong.
//! 2. It holds no handle that would keep the store open, and is gone when `close` returns.
//!
//! Callers: `store::open`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Inner;
use crate::error::{Error, Result};
use crate::options::SyncMode;
use crate::sync::{Condvar, Mutex, lock, thread};

/// The thread and its stop signal.
pub(super) struct Maintenance {
    signal: Arc<Signal>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Signal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Maintenance {
    pub(super) fn new() -> Maintenance {
        let signal = Signal { stopped: Mutex::new(false), changed: Condvar::new() };
        Maintenance { signal: Arc::new(signal), thread: Mutex::new(None) }
    }

    /// Starts the thread where the store's mode needs one.
    pub(super) fn start(inner: &Arc<Inner>) -> Result<()> {
        let SyncMode::Interval(interval) = inner.options.sync_mode else { return Ok(()) };
        let store = Arc::downgrade(inner);
        let signal = Arc::clone(&inner.maintenance.signal);
        let thread = thread::Builder::new()
            .name("tinystoredb".to_string())
            .spawn(move || run(&store, &signal, interval))
            .map_err(|error| {
                Error::os(
                    "start a thread for",
                    inner.path.display().to_string(),
                    error.raw_os_error().unwrap_or(0),
                )
            })?;
        *lock(&inner.maintenance.thread)? = Some(thread);
        Ok(())
    }

    /// Ends the thread and waits for it. From the thread itself, which holds a handle for a moment and
    /// may be the last to do so, there is nothing to wait for.
    pub(super) fn stop(&self) {
        if let Ok(mut stopped) = lock(&self.signal.stopped) {
            *stopped = true;
        }
        self.signal.changed.notify_all();
        let handle = lock(&self.thread).ok().and_then(|mut thread| thread.take());
        if let Some(handle) = handle.filter(|handle| handle.thread().id() != thread::current().id()) {
            let _ = handle.join();
        }
    }
}

fn run(store: &Weak<Inner>, signal: &Signal, interval: Duration) {
    loop {
        let Ok(stopped) = lock(&signal.stopped) else { return };
        let waited = signal.changed.wait_timeout_while(stopped, interval, |stopped| !*stopped);
        match waited {
            Ok((stopped, _)) if *stopped => return,
            Ok(_) => {}
            Err(_) => return,
        }
        let Some(inner) = store.upgrade() else { return };
        // A failure poisons the log; the next writer hears of it.
        let _ = inner.log.sync();
    }
}
