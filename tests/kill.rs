//! What was acknowledged survives the death of the process, in every mode and at every moment.
//!
//! A child writes with one to eight threads and is killed (SIGKILL) at random: while it starts, opens,
//! recovers what the last one left, writes, rolls segments over, lives on the reserve, or closes. The
//! store is then opened and held against what the child noted in shared memory; see `common/storm.rs`.
//! One store goes through several such sessions, not all of them checked before the next one.
//!
//!     TSTORE_TORTURE_KILLS=20000 cargo test --release --test kill -- --nocapture
//!
//! A failure prints the seed of its store: TSTORE_TORTURE_SEED=that lets the same sessions run first. The
//! moments of the kills are the machine's; the verdict does not depend on them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "common/storm.rs"]
mod storm;

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use storm::{Model, Moment, Notes, Numbers, Role, Session};
use tinystoredb::{Options, Store, SyncMode};

const KILLS: u64 = 500;
/// Sessions that one store goes through.
const SESSIONS: u32 = 24;
/// Stores that are tormented at the same time.
const LANES: u64 = 2;

#[test]
#[ignore = "becomes the process that is killed"]
fn writer_process() {
    storm::child();
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    storm::plant();
    let (seed, kills) = (storm::seed(), storm::parameter("TSTORE_TORTURE_KILLS", KILLS));
    let start = Instant::now();
    let (totals, next) = (Totals::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while totals.kills.load(Ordering::Relaxed) < kills {
                    one_store(seed + next.fetch_add(1, Ordering::Relaxed), &totals);
                }
            });
        }
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let moments = totals.moments.iter().map(count).collect::<Vec<_>>();
    println!(
        "{} kills of {} sessions in {} stores: {moments:?} of them while starting, opening, writing, closing; \
         {} operations begun, {} checks, {:.0} s",
        count(&totals.kills),
        count(&totals.sessions),
        count(&next),
        count(&totals.operations),
        count(&totals.checks),
        start.elapsed().as_secs_f64(),
    );
}

/// What was done, for the summary.
#[derive(Default)]
struct Totals {
    kills: AtomicU64,
    /// Kills by the phase that the child was in.
    moments: [AtomicU64; 4],
    sessions: AtomicU64,
    operations: AtomicU64,
    checks: AtomicU64,
}

/// Lets sessions run on one store, kills most of them, and checks what they leave.
fn one_store(seed: u64, totals: &Totals) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let notes = Notes::open(&directory.path().join("notes"), true);
    let mut numbers = Numbers::new(&[seed, 0]);
    let mut model = Model::new();
    let mut outcome = Ok(());
    for number in 0..SESSIONS {
        let role = match numbers.below(10) {
            0..2 => Role::Recover,
            2 => Role::Full,
            _ => Role::Write,
        };
        let session = Session { seed, number, role };
        outcome = one_session(&session, &path, &notes, &mut numbers, totals).and_then(|()| {
            match role {
                Role::Recover => model.recovered(notes.served())?,
                Role::Write | Role::Full => model.killed(&session, &notes),
            }
            // Sometimes the next child finds what this one left, and not what a check has recovered.
            if numbers.one_in(3) && number + 1 < SESSIONS {
                return Ok(());
            }
            totals.checks.fetch_add(1, Ordering::Relaxed);
            let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
            let store = Store::open(&path, &options).map_err(|error| format!("open: {error}"))?;
            model.check(&store, seed)?;
            store.close().map_err(|error| format!("close: {error}"))
        });
        if let Err(reason) = &outcome {
            outcome = Err(format!("session {number} ({role:?}, {:?}): {reason}", session.plan()));
            break;
        }
    }
    if let Err(reason) = outcome {
        let kept = directory.keep();
        panic!("{reason}\nits store is kept in {}; TSTORE_TORTURE_SEED={seed}", kept.display());
    }
}

/// Runs the child and kills it, or lets it end.
fn one_session(
    session: &Session,
    store: &std::path::Path,
    notes: &Notes,
    numbers: &mut Numbers,
    totals: &Totals,
) -> Result<(), String> {
    notes.clear();
    let mut child = session.start(store, notes);
    let status = match Moment::of(session, numbers) {
        None => child.wait(),
        Some(moment) => {
            moment.wait(&mut child, notes);
            // An error says that it has ended by itself, and says so again below.
            let _ = child.kill();
            child.wait()
        }
    };
    let status = status.map_err(|error| error.to_string())?;
    if let Some(message) = notes.failure() {
        return Err(message);
    }
    totals.sessions.fetch_add(1, Ordering::Relaxed);
    totals
        .operations
        .fetch_add((0..storm::THREADS_MAX).map(|t| u64::from(notes.begun(t))).sum(), Ordering::Relaxed);
    match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) => {
            totals.kills.fetch_add(1, Ordering::Relaxed);
            let moment = (notes.phase() as usize).min(totals.moments.len() - 1);
            totals.moments[moment].fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        (None, Some(0)) => Ok(()),
        _ => Err(format!("the child ended with {status}")),
    }
}
