//! The background thread of a store: it makes the next segment ahead of need, takes out of the index what
//! snapshots that have ended left, and in the INTERVAL mode syncs the log at every interval. It starts when
//! there is first something for it to do.
//!
//! Invariants:
//! 1. Nothing depends on it for correctness: without it a put that needs a new segment makes it itself.
//!    Only the INTERVAL mode promises what it does, so a store is not opened in that mode without it.
//! 2. It holds nothing that keeps the store open, and is gone when `close` returns.
//!
//! Callers: the other modules of `store`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Inner;
use crate::error::{Error, Result};
use crate::options::SyncMode;
use crate::os::real::without_signals;
use crate::sync::{Condvar, Mutex, lock, thread};

/// The thread and how it is told what to do.
pub(super) struct Maintenance {
    signal: Arc<Signal>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// Whether there is something to do before the interval is over.
    woken: bool,
}

impl Maintenance {
    pub(super) fn new() -> Maintenance {
        let signal = Signal { state: Mutex::new(State::default()), changed: Condvar::new() };
        Maintenance { signal: Arc::new(signal), thread: Mutex::new(None) }
    }

    /// Tells the thread to look for work, and starts it if it does not run yet.
    pub(super) fn wake(&self, inner: &Arc<Inner>) -> Result<()> {
        if !inner.options.maintenance {
            return Ok(());
        }
        let mut running = lock(&self.thread)?;
        let mut state = lock(&self.signal.state)?;
        if state.stopped {
            return Ok(());
        }
        state.woken = true;
        self.signal.changed.notify_all();
        if running.is_some() {
            return Ok(());
        }
        let store = Arc::downgrade(inner);
        let signal = Arc::clone(&self.signal);
        let interval = match inner.options.sync_mode {
            SyncMode::Interval(interval) => Some(interval),
            SyncMode::Always | SyncMode::OnRequest => None,
        };
        // The host's signals are for the host's threads.
        let started = without_signals(|| {
            let builder = thread::Builder::new().name("tinystoredb".to_string());
            builder.spawn(move || run(&store, &signal, interval))
        });
        let failed = |error: std::io::Error| {
            let path = inner.path.display().to_string();
            Error::os("making the background thread", path, error.raw_os_error().unwrap_or(0))
        };
        *running = Some(started.map_err(failed)?);
        Ok(())
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        if let Ok(mut state) = lock(&self.signal.state) {
            state.stopped = true;
        }
        self.signal.changed.notify_all();
        let handle = lock(&self.thread).ok().and_then(|mut thread| thread.take());
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }
}

fn run(store: &Weak<Inner>, signal: &Signal, interval: Option<Duration>) {
    while wait(signal, interval) {
        let Some(inner) = store.upgrade() else { return };
        // Whatever fails here is met again by the write that needs it, or has poisoned the log.
        if inner.log.wants_preparation() {
            let _ = inner.log.prepare();
        }
        inner.settle_all();
        if interval.is_some() {
            let _ = inner.log.sync();
        }
    }
}

/// Waits until there is something to do. False: the thread is to end.
fn wait(signal: &Signal, interval: Option<Duration>) -> bool {
    let Ok(mut state) = lock(&signal.state) else { return false };
    while !state.stopped && !state.woken {
        let waited = match interval {
            None => signal.changed.wait(state).ok().map(|state| (state, false)),
            Some(interval) => signal
                .changed
                .wait_timeout(state, interval)
                .ok()
                .map(|(state, waited)| (state, waited.timed_out())),
        };
        let Some((next, timed_out)) = waited else { return false };
        state = next;
        if timed_out {
            break;
        }
    }
    state.woken = false;
    !state.stopped
}
