//! Crashes that the engine once did not survive, kept by name.

use tinystoredb::os::sim::{CrashImage, Enumeration, Replay, Unwritten, Variant};
use tinystoredb::{Durability, SyncMode};

use super::bench::life::{Ended, Life, Step};
use super::bench::oracle::{check, recover};
use super::bench::situations::Situation;

fn live(sync_mode: SyncMode, steps: Vec<Step>) -> Ended {
    let situation = Situation { name: "", sync_mode, steps, last: 0 };
    let mut life = Life::new(7, situation.options()).unwrap();
    life.run(&situation.steps).unwrap();
    life.end(false).unwrap()
}

/// The life that begins in `image`.
fn live_on(ended: &Ended, image: &CrashImage, steps: &[Step]) -> Ended {
    let allowed = ended.history.allowed(image.position(), false);
    let mut life = Life::after(image, &allowed, ended.options.clone(), image.hash())
        .unwrap_or_else(|violation| panic!("{image}: {violation}\n{}", ended.trace));
    life.run(steps).unwrap_or_else(|violation| panic!("{image}: {violation}\n{}", ended.trace));
    life.end(false).unwrap()
}

fn kills(ended: &Ended) -> Vec<CrashImage> {
    let kill = |position| {
        let (seed, unwritten) = (ended.trace.seed(), Unwritten::Zeros);
        ended.trace.image(&Replay { seed, position, variant: Variant::Killed, unwritten }).unwrap()
    };
    (0..=ended.trace.end()).map(kill).collect()
}

/// Every crash of it, as far as `plan` goes, is survived. How many there were.
fn survives(ended: &Ended, plan: &Enumeration) -> u64 {
    let mut images = 0;
    for image in ended.trace.crash_states(plan) {
        let found = recover(&image, &ended.options, false);
        if let Err(violation) = check(&image, &found, &ended.history) {
            panic!("{image}: {violation}\n{}", ended.trace);
        }
        images += 1;
    }
    images
}

fn put(key: &str, size: usize) -> Step {
    Step::Put { key: key.into(), value_type: 0, size, durability: Durability::Default }
}

/// The witness was there, the name of LOCK was not durable, and the next open synced neither: a power loss
/// in its first put left a segment in the making without LOCK, which passed for somebody else's directory.
#[test]
fn a_store_killed_while_it_was_created_opens_after_a_power_loss() {
    let created = live(SyncMode::Always, Vec::new());
    for image in kills(&created) {
        let used = live_on(&created, &image, &[put("a", 30)]);
        assert!(survives(&used, &Enumeration::default()) > 10);
    }
}

/// The kernel held the bytes as clean, so that the next session's sync did nothing: it served them, sealed
/// them, wrote behind them, and a power loss took them back.
#[test]
fn what_a_failed_sync_left_is_durable_once_the_next_session_serves_it() {
    for sync_mode in [SyncMode::Always, SyncMode::OnRequest] {
        let reopen = Step::Reopen {
            close: false,
            options: Situation { name: "", sync_mode, steps: Vec::new(), last: 0 }.options(),
        };
        let mut steps = vec![put("a", 700), put("b", 30), Step::Sync, put("c", 7000)];
        steps.extend([Step::FailSync, put("d", 7000), Step::Sync, reopen, put("e", 30), Step::Sync]);
        let ended = live(sync_mode, steps);
        assert!(ended.trace.to_string().contains("failed"));
        assert!(survives(&ended, &Enumeration::default()) > 1000);
    }
}

/// A recovery was killed between a removal and its sync; the next one saw the segment gone, removed another
/// one or wrote a seal before it, and a power loss brought the segment back.
#[test]
fn a_segment_whose_removal_was_interrupted_may_come_back() {
    let steps = vec![put("a", 7000), put("b", 7000), put("c", 15_000), put("d", 12_000), put("e", 30)];
    let unsynced = live(SyncMode::OnRequest, steps);
    let plan = Enumeration { all_subsets_up_to: 4, samples: 4, random: 0, tears: 0, ..Default::default() };
    let mut images = 0;
    for kept in (1..60).step_by(6) {
        let (seed, position) = (unsynced.trace.seed(), unsynced.trace.end());
        let replay = Replay { seed, position, variant: Variant::Last(kept), unwritten: Unwritten::Zeros };
        let image = unsynced.trace.image(&replay).unwrap();
        let removing = live_on(&unsynced, &image, &[]);
        for image in kills(&removing) {
            images += survives(&live_on(&removing, &image, &[]), &plan);
        }
    }
    assert!(images > 1000);
}

/// The records inside a batch have checksums of their own and passed for frames; their index passed for a
/// lag, which proved that the batch they lie in had been durable.
#[test]
fn the_whole_records_of_a_torn_batch_prove_nothing() {
    let changes = ["a", "b", "c", "d"].map(|key| (key.as_bytes().to_vec(), Some(300))).to_vec();
    let batch = Step::Batch { changes, durability: Durability::Default };
    let ended = live(SyncMode::Always, vec![put("a", 30), batch, put("e", 30)]);
    assert!(survives(&ended, &Enumeration::default()) > 100);
}

/// A delete that failed with its sync stood in the index, seen by nobody; the same delete, which did not
/// have to wait, then said that the key was gone, of a store that refuses writes and still showed it.
#[test]
fn a_delete_after_a_failed_one_is_refused_and_not_answered_with_what_nobody_sees() {
    let delete = Step::Batch { changes: vec![(b"a".to_vec(), None)], durability: Durability::Wait };
    let steps = vec![put("a", 30), Step::Sync, Step::FailSync, delete, Step::Delete { key: b"a".to_vec() }];
    let ended = live(SyncMode::OnRequest, steps);
    assert!(ended.trace.to_string().contains("failed"));
}
