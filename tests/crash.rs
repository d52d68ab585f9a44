//! What the promises say about crashes, on the simulated disk: every image that a crash leaves is
//! recovered and held against what was promised when it happened.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "crash/mod.rs"]
mod bench;
#[path = "crash/regressions.rs"]
mod regressions;
#[path = "crash/threads.rs"]
mod threads;

use std::time::Instant;

use bench::campaign::{Campaign, Counts, Id, Plan, lives, replay as replay_image};
use bench::situations;
use bench::workload::Family;

/// Different images that each test recovers at least.
const ATOMIC: u64 = 14_000;
const ACKNOWLEDGED: u64 = 14_000;
const PREFIX: u64 = 14_000;
const FULL_DISK: u64 = 7_000;
const FAILED_SYNC: u64 = 7_000;
const THREADS: u64 = 7_000;
const LARGE: u64 = 250;
const INTERRUPTED: u64 = 45_000;
const CHANGES: u64 = 10_000;

// Tests have different seeds, and the salts of their stores differ: no image is counted twice.
const _: () = assert!(
    ATOMIC + ACKNOWLEDGED + PREFIX + FULL_DISK + FAILED_SYNC + THREADS + LARGE + INTERRUPTED >= 100_000
);

/// Prints what was done, in a line that sums up.
fn report(what: &str, counts: &Counts, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let [one, two, three] = counts.distinct;
    println!(
        "{what}: {} different images ({one} of one crash, {two} of two, {three} of three) of {} lives, {} images made, \
         {seconds:.1} s, {:.0} different images per second",
        counts.total(),
        counts.lives,
        counts.images,
        counts.total() as f64 / seconds
    );
}

/// Recovers `images` different images of lives of these families.
fn campaign(families: &[Family], images: u64, seed: u64) -> Counts {
    let start = Instant::now();
    println!("seed {seed}, {families:?}");
    let mut campaign = Campaign::new(Plan::of(images));
    if let Err(failure) = campaign.run(families, seed) {
        panic!("{failure}");
    }
    report(&format!("seed {seed}"), &campaign.counts, start);
    assert!(campaign.counts.total() >= images);
    campaign.counts
}

#[test]
fn a_commit_is_there_whole_or_not_at_all_after_any_crash() {
    campaign(&[Family::Batches, Family::Values], ATOMIC, 1);
}

#[test]
fn a_transaction_a_deleted_range_and_an_update_are_there_whole_or_not_at_all_after_any_crash() {
    campaign(&[Family::Changes], CHANGES, 8);
}

#[test]
fn what_was_acknowledged_survives_kills_and_power_losses_as_its_mode_says() {
    campaign(&[Family::Singles, Family::Segments], ACKNOWLEDGED, 2);
}

#[test]
fn after_a_crash_the_store_holds_a_prefix_of_the_commits_with_every_durable_one() {
    campaign(&[Family::Refill, Family::Sessions], PREFIX, 3);
}

#[test]
fn a_full_disk_is_an_error_before_a_write_is_accepted_and_survives_crashes() {
    campaign(&[Family::FullDisk], FULL_DISK, 4);
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_and_nothing_durable_is_lost() {
    campaign(&[Family::FailedSync], FAILED_SYNC, 5);
}

#[test]
fn large_values_and_full_segments_survive_crashes() {
    campaign(&[Family::LargeSegments], LARGE, 6);
}

#[test]
fn what_threads_commit_while_another_syncs_is_acknowledged_by_their_own_sync() {
    campaign(&[Family::Threads], THREADS, 7);
}

/// Every crash of short lives made by hand, in the recovery from it every crash, and then some more.
#[test]
fn recovery_can_be_interrupted_at_every_step_again_and_again() {
    let start = Instant::now();
    let mut campaign = Campaign::new(Plan { exhaust_one_in: 3, ..Plan::of(u64::MAX) });
    for (number, situation) in situations::all().iter().enumerate() {
        if let Err(failure) = campaign.exhaust(number, situation) {
            panic!("{}: {failure}", situation.name);
        }
    }
    report("short lives", &campaign.counts, start);
    assert!(campaign.counts.total() >= INTERRUPTED);
    assert!(campaign.counts.distinct[1] >= 10_000 && campaign.counts.distinct[2] >= 1_000);
}

/// The bench says something only if its lives reach what it is about.
#[test]
fn the_lives_reach_every_corner_of_the_log() {
    let corners: [(Family, &[&str]); 6] = [
        (Family::Segments, &["rename 00000003.bin.tmp", "truncate 00000002.bin"]),
        (Family::LargeSegments, &["to 8388608", "rename 00000003.bin.tmp"]),
        (Family::Sessions, &["rename 00000003.bin.tmp"]),
        (Family::FullDisk, &["unlink RESERVE", "unlink 00000001.bin.tmp", "rename 00000002.bin.tmp"]),
        (Family::FailedSync, &["fdatasync 00000001.bin failed", "fdatasync 00000002.bin failed"]),
        (Family::Threads, &["rename 00000002.bin.tmp"]),
    ];
    for (family, wanted) in corners {
        let traces = lives(family, 8, 60).unwrap_or_else(|failure| panic!("{failure}"));
        for text in wanted {
            let reached = traces.iter().filter(|trace| trace.contains(text)).count();
            println!("{family:?}: {reached} of {} lives reach {text:?}", traces.len());
            assert!(reached > 0, "no life of {family:?} reaches {text:?}");
        }
    }
}

#[test]
fn damage_is_reported_and_bytes_from_elsewhere_do_not_pass() {
    for (name, check) in bench::damage::CHECKS {
        if let Err(violation) = check() {
            panic!("{name}: {violation}");
        }
    }
}

/// As many images as TSTORE_TORTURE_IMAGES says, of lives of all families (or of TSTORE_TORTURE_FAMILY) from
/// TSTORE_TORTURE_SEED on. Processes with different seeds can run at once; what they print adds up.
#[test]
fn torture() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let Some(images) = number("TSTORE_TORTURE_IMAGES") else { return };
    let seed = number("TSTORE_TORTURE_SEED").unwrap_or(1);
    let chosen = std::env::var("TSTORE_TORTURE_FAMILY").ok();
    let chosen = chosen.map(|name| vec![Family::of_name(&name).unwrap()]);
    campaign(&chosen.unwrap_or(Family::ALL.to_vec()), images, (seed + 1) << 32);
}

/// Recovers the image that TSTORE_REPLAY names, and says what it found.
#[test]
fn replay() {
    let Ok(text) = std::env::var("TSTORE_REPLAY") else { return };
    let id: Id = text.parse().unwrap();
    match replay_image(&id) {
        Ok(found) => println!("{found}"),
        Err(failure) => panic!("{failure}"),
    }
}
