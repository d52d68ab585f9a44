//! What the promises say about crashes, on the simulated disk: every image that a crash leaves is
//! recovered and held against what was promised when it happened.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "crash/mod.rs"]
mod bench;

use bench::campaign::{Campaign, Id, Plan, replay as replay_image};
use bench::situations;
use bench::workload::Family;

/// Every crash of the short lives made by hand, and every crash in the recovery from it.
fn exhaust(which: impl Fn(&str) -> bool) {
    let start = std::time::Instant::now();
    let mut campaign = Campaign::new(Plan::of(u64::MAX));
    for (number, situation) in situations::all().iter().enumerate().filter(|(_, one)| which(one.name)) {
        if let Err(failure) = campaign.exhaust(number, situation) {
            panic!("{}: {failure}", situation.name);
        }
        println!("{}: {:?}", situation.name, campaign.counts);
    }
    println!("{:.0} images per second", campaign.counts.total() as f64 / start.elapsed().as_secs_f64());
}

#[test]
fn recovery_can_be_interrupted_at_every_step_again_and_again() {
    exhaust(|_| true);
}

/// Recovers `images` different images of lives of these families.
fn campaign(families: &[Family], images: u64, seed: u64) {
    let start = std::time::Instant::now();
    println!("seed {seed}, {families:?}");
    let mut campaign = Campaign::new(Plan::of(images));
    if let Err(failure) = campaign.run(families, seed) {
        panic!("{failure}");
    }
    let (counts, seconds) = (campaign.counts, start.elapsed().as_secs_f64());
    println!("{counts:?}: {:.0} images per second", counts.total() as f64 / seconds);
    assert!(counts.total() >= images);
}

#[test]
fn a_commit_is_there_whole_or_not_at_all_after_any_crash() {
    campaign(&[Family::Batches, Family::Values], 3_000, 1);
}

#[test]
fn what_was_acknowledged_survives_kills_and_power_losses_as_its_mode_says() {
    campaign(&[Family::Singles, Family::Segments], 3_000, 2);
}

#[test]
fn after_a_crash_the_store_holds_a_prefix_of_the_commits_with_every_durable_one() {
    campaign(&[Family::Refill, Family::Sessions], 3_000, 3);
}

#[test]
fn a_full_disk_is_an_error_before_a_write_is_accepted_and_survives_crashes() {
    campaign(&[Family::FullDisk], 3_000, 4);
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_and_nothing_durable_is_lost() {
    campaign(&[Family::FailedSync], 3_000, 5);
}

#[test]
fn large_values_and_full_segments_survive_crashes() {
    campaign(&[Family::LargeSegments], 300, 6);
}

#[test]
fn what_threads_commit_while_another_syncs_is_acknowledged_by_their_own_sync() {
    campaign(&[Family::Threads], 3_000, 7);
}

#[test]
fn damage_is_reported_and_bytes_from_elsewhere_do_not_pass() {
    for (name, check) in bench::damage::CHECKS {
        if let Err(violation) = check() {
            panic!("{name}: {violation}");
        }
    }
}

/// As many images as TSTORE_TORTURE_IMAGES says, of lives of all families from TSTORE_TORTURE_SEED on. Several
/// processes with different seeds can run at once; their sums add up.
#[test]
fn torture() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let Some(images) = number("TSTORE_TORTURE_IMAGES") else { return };
    let seed = number("TSTORE_TORTURE_SEED").unwrap_or(1);
    let chosen = std::env::var("TSTORE_TORTURE_FAMILY").ok().and_then(|name| Family::of_name(&name));
    let families = chosen.map_or(Family::ALL.to_vec(), |family| vec![family]);
    campaign(&families, images, 1000 + seed);
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
