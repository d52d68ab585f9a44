//! How far the log is on the device, and how several commits share one wait for it.
//!
//! The first thread that finds its commit not yet durable becomes the leader: it reads how far the log
//! is written, syncs, and moves the durable mark to what it read. Whose commit lies before the target
//! waits for this sync, the others for the next one. When a sync ends, all of its group are woken, and one
//! of the next group to lead it: nobody is woken to find that it has to wait again.
//!
//! Left to themselves, threads that commit again and again fall into two groups, one writing while the
//! other is synced, and each sync carries half of them. So a leader waits for as many commits as the last
//! sync released or left waiting, but no longer than a fraction of what that sync took. Measured on ext4
//! with 0.1 ms a sync: 4 and 8 threads commit 1.5 times as often. A thread alone never waits.
//!
//! Invariants:
//! 1. The durable mark is a prefix: everything up to it is on the device, in all segments.
//! 2. The target is read before the sync begins, so that the mark never claims a byte that was written
//!    while the sync ran.
//! 3. At most one sync is in flight.
//! 4. A sync that failed is never repeated: the store is poisoned, every waiter gets the error, and the
//!    mark stays where it was.
//!
//! Callers: `log`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::segment::Segment;
use crate::error::{Error, Result};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, lock};
use crate::types::Lsn;

/// The durable mark and who moves it.
pub struct GroupCommit {
    written: AtomicU64,
    durable: AtomicU64,
    poisoned: AtomicBool,
    state: Mutex<State>,
    /// Where the groups of syncs with an even and with an odd number wait.
    ended: [Condvar; 2],
    /// Where a leader waits for its group.
    gathered: Condvar,
}

/// A leader waits for its group at most this part of what the last sync took.
const GATHER_PART: u32 = 4;
/// It does not wait at all for less than this, which is what being woken takes.
const GATHER_MIN: Duration = Duration::from_micros(10);

#[derive(Default)]
struct State {
    syncing: bool,
    /// Number of the sync that is in flight, or was last.
    sync_number: usize,
    /// How far it goes: everything, as long as its leader waits for its group.
    target: Lsn,
    /// How many threads wait for a sync with an even and with an odd number.
    waiting: [usize; 2],
    /// How many threads took part in the last sync or were waiting for the next one when it ended.
    expected: usize,
    /// What the last sync took.
    sync_time: Duration,
    poison: Option<String>,
    /// Segments with bytes that may not be on the device, oldest first; the last one is the active one.
    unsynced: Vec<Arc<Segment>>,
}

impl GroupCommit {
    /// A mark at the start of the log.
    pub fn new() -> GroupCommit {
        GroupCommit {
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            ended: [Condvar::new(), Condvar::new()],
            gathered: Condvar::new(),
        }
    }

    /// Everything up to this is on the device.
    pub fn durable(&self) -> Lsn {
        self.durable.load(Ordering::Acquire)
    }

    /// Recovery ended at `lsn`, and all of it is on the device.
    pub fn recovered(&self, lsn: Lsn) {
        self.written.store(lsn, Ordering::Release);
        self.durable.store(lsn, Ordering::Release);
    }

    /// A new segment is written from now on.
    pub fn enter(&self, segment: &Arc<Segment>) -> Result<()> {
        lock(&self.state)?.unsynced.push(Arc::clone(segment));
        Ok(())
    }

    /// The log is written up to `lsn`. Only the writer, after the bytes.
    pub fn advance_written(&self, lsn: Lsn) {
        self.written.store(lsn, Ordering::Release);
    }

    /// An error where the store was poisoned.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if !self.poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::Poisoned(lock(&self.state)?.poison.clone().unwrap_or_default()))
    }

    /// Refuses all further writes. The first reason is kept.
    pub fn poison(&self, reason: &str) {
        if let Ok(mut state) = lock(&self.state) {
            state.poison.get_or_insert_with(|| reason.to_string());
        }
        self.poisoned.store(true, Ordering::Release);
        self.ended.iter().for_each(Condvar::notify_all);
        self.gathered.notify_one();
    }

    /// Waits until everything that is written now is on the device.
    pub fn sync(&self) -> Result<()> {
        self.wait_durable(self.written.load(Ordering::Acquire))
    }

    /// Waits until everything up to `lsn` is on the device.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        if self.durable() >= lsn {
            return Ok(());
        }
        let mut state = lock(&self.state)?;
        loop {
            if self.durable() >= lsn {
                // Somebody has to lead the next sync: one is woken to do it, and hands that on here where it
                // finds that it need not.
                let next = state.sync_number.wrapping_add(1);
                if !state.syncing && *of(&mut state.waiting, next) > 0 {
                    self.ended_of(next).notify_one();
                }
                return Ok(());
            }
            if let Some(reason) = &state.poison {
                return Err(Error::Poisoned(reason.clone()));
            }
            state = if state.syncing { self.follow(state, lsn)? } else { self.lead(state)? };
        }
    }

    /// Waits for the sync that carries `lsn`, or for having to lead it.
    fn follow<'a>(&'a self, mut state: MutexGuard<'a, State>, lsn: Lsn) -> Result<MutexGuard<'a, State>> {
        let group = state.sync_number.wrapping_add(usize::from(lsn > state.target));
        *of(&mut state.waiting, group) += 1;
        if state.target == Lsn::MAX && *of(&mut state.waiting, group) + 1 >= state.expected {
            self.gathered.notify_one();
        }
        let mut state = self.ended_of(group).wait(state).map_err(|_| panicked())?;
        *of(&mut state.waiting, group) -= 1;
        Ok(state)
    }

    /// Syncs everything that is written, for everybody.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>> {
        state.syncing = true;
        state.sync_number = state.sync_number.wrapping_add(1);
        state.target = Lsn::MAX;
        let group = state.sync_number;
        state = self.gather(state, group)?;
        if state.poison.is_some() {
            // All have been woken. What was poisoned is not synced any more (invariant 4).
            state.syncing = false;
            return Ok(state);
        }
        let target = self.written.load(Ordering::Acquire);
        state.target = target;
        let segments = state.unsynced.clone();
        drop(state);
        let start = Instant::now();
        let mut outcome = sync_all(&segments);
        if outcome.is_err() && planted(Bug::RetryFailedSync) {
            outcome = sync_all(&segments);
        }
        // An explorer of schedules has no time, and must see the same in every run.
        let sync_time = if cfg!(any(loom, shuttle)) { Duration::ZERO } else { start.elapsed() };
        if let Err(error) = &outcome
            && !planted(Bug::DoNotPoison)
        {
            self.poison(&error.to_string());
        }
        state = lock(&self.state)?;
        state.syncing = false;
        state.sync_time = sync_time;
        state.expected = 1 + state.waiting.iter().sum::<usize>();
        if outcome.is_ok() {
            // What is not the last one was full when the list was taken: nothing is added to it.
            let full = segments.len().saturating_sub(1);
            state.unsynced.drain(..full);
            let target =
                if planted(Bug::TargetAfterSync) { self.written.load(Ordering::Acquire) } else { target };
            self.durable.store(target, Ordering::Release);
        }
        self.ended_of(group).notify_all();
        if planted(Bug::TargetAfterSync) {
            // Nobody is left to lead for those who are told that they are durable.
            self.ended_of(group.wrapping_add(1)).notify_all();
        }
        outcome.map(|()| state)
    }

    /// Gives those who are expected to commit a moment to take part in this sync.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>, group: usize) -> Result<MutexGuard<'a, State>> {
        let limit = state.sync_time / GATHER_PART;
        if limit < GATHER_MIN {
            return Ok(state);
        }
        let start = Instant::now();
        while 1 + *of(&mut state.waiting, group) < state.expected && state.poison.is_none() {
            let Some(left) = limit.checked_sub(start.elapsed()) else { break };
            state = self.gathered.wait_timeout(state, left).map_err(|_| panicked())?.0;
        }
        Ok(state)
    }

    fn ended_of(&self, sync_number: usize) -> &Condvar {
        let [even, odd] = &self.ended;
        if sync_number.is_multiple_of(2) { even } else { odd }
    }
}

/// The one for syncs with this number.
fn of<T>([even, odd]: &mut [T; 2], sync_number: usize) -> &mut T {
    if sync_number.is_multiple_of(2) { even } else { odd }
}

fn panicked() -> Error {
    Error::Poisoned("a panic while a lock was held".to_string())
}

/// Syncs the segments, oldest first, and gives the full ones their final length.
fn sync_all(segments: &[Arc<Segment>]) -> Result<()> {
    let Some((active, full)) = segments.split_last() else { return Ok(()) };
    for segment in full.iter().filter(|_| !planted(Bug::ForgetFullSegments)) {
        segment.finish()?;
    }
    match active.file()? {
        Some(file) if !planted(Bug::SkipCommitSync) => file.sync_data(),
        _ => Ok(()),
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::sync::thread;

    /// `RUSTFLAGS="--cfg loom" cargo test --release --lib log::group_commit`
    ///
    /// A thread that nobody wakes any more would be reported as a deadlock.
    #[test]
    fn every_commit_is_carried_by_a_sync_and_every_thread_is_woken() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = Arc::clone(&orders);
        model.check(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let log = Arc::new((GroupCommit::new(), Mutex::new(0)));
            let commit = |log: &(GroupCommit, Mutex<Lsn>)| {
                let lsn = {
                    let mut last = lock(&log.1).unwrap();
                    *last += 1;
                    log.0.advance_written(*last);
                    *last
                };
                log.0.wait_durable(lsn).unwrap();
                assert!(log.0.durable() >= lsn);
            };
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let log = Arc::clone(&log);
                    thread::spawn(move || commit(&log))
                })
                .collect();
            commit(&log);
            others.into_iter().for_each(|thread| thread.join().unwrap());
        });
        println!("{}: {orders:?} orders", std::thread::current().name().unwrap_or_default());
    }
}
