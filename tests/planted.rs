//! Bugs planted in the engine: each one is found, and it is said by what. Without a bug the same search
//! finds nothing. Run with `cargo test --features planted --test planted`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "crash/mod.rs"]
mod bench;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bench::campaign::{Campaign, Plan};
use bench::damage::CHECKS;
use bench::oracle::{Check, Violation, panic_text};
use bench::situations;
use bench::workload::Family;
use tinystoredb::planted::{Bug, plant};

/// Families whose lives are short of large values: most bugs need few bytes.
const FAMILIES: [Family; 9] = [
    Family::Singles,
    Family::Segments,
    Family::Threads,
    Family::Batches,
    Family::FailedSync,
    Family::Refill,
    Family::Sessions,
    Family::FullDisk,
    Family::Values,
];

fn plan(images: u64) -> Plan {
    let nested_one_in = 12;
    Plan { images_of_a_life: 400, nested_one_in, thorough_one_in: 3, exhaust_one_in: 6, ..Plan::of(images) }
}

/// Bugs that no crash of a disk that keeps its promises brings to light.
const NEED_DAMAGE: [Bug; 7] = [
    Bug::DropSalt,
    Bug::DropOffset,
    Bug::IgnoreLsn,
    Bug::NeverDamage,
    Bug::IgnoreChain,
    Bug::IgnoreLength,
    Bug::SkipWitness,
];

/// What finds the bug that is planted now.
fn hunt(images: u64, damage_first: bool) -> Option<String> {
    if damage_first {
        return damage().or_else(|| crashes(images));
    }
    crashes(images).or_else(damage)
}

fn damage() -> Option<String> {
    for (name, check) in CHECKS {
        let outcome = catch_unwind(AssertUnwindSafe(check))
            .unwrap_or_else(|panic| Err(Violation::new(Check::Panic, panic_text(&*panic))));
        if let Err(violation) = outcome {
            return Some(format!("{name}: {violation}"));
        }
    }
    None
}

fn crashes(images: u64) -> Option<String> {
    campaign(images / 6, 20).or_else(exhaust).or_else(|| campaign(images, 21))
}

fn exhaust() -> Option<String> {
    let mut campaign = Campaign::new(plan(u64::MAX));
    for (number, situation) in situations::all().iter().enumerate() {
        if let Err(failure) = campaign.exhaust(number, situation) {
            let at = campaign.counts.total();
            return Some(format!("{:?}, image {at}, {}: {}", situation.name, failure.id, failure.violation));
        }
    }
    None
}

fn campaign(images: u64, seed: u64) -> Option<String> {
    let mut campaign = Campaign::new(plan(images));
    let failure = campaign.run(&FAMILIES, seed).err()?;
    Some(format!("image {}, {}: {}", campaign.counts.total(), failure.id, failure.violation))
}

#[test]
fn every_planted_bug_is_found_and_without_one_nothing_is() {
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let mut missed = Vec::new();
    let one = std::env::var("TSTORE_PLANT").ok();
    for bug in Bug::ALL {
        if one.as_ref().is_some_and(|one| *one != format!("{bug:?}")) {
            continue;
        }
        plant(Some(bug));
        let found = hunt(30_000, NEED_DAMAGE.contains(&bug));
        plant(None);
        match found {
            Some(found) => {
                let mut line: String = found.chars().take(230).collect();
                line = line.replace('\n', " ");
                println!("{:5.1} s {bug:?}: {line}", start.elapsed().as_secs_f64());
            }
            None => {
                println!("{:5.1} s {bug:?}: NOT FOUND", start.elapsed().as_secs_f64());
                missed.push(bug);
            }
        }
    }
    let clean = hunt(30_000, true);
    println!("{:5.1} s without a bug: {clean:?}", start.elapsed().as_secs_f64());
    assert_eq!(clean, None);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
