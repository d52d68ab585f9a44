//! Every bit of a store, flipped by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use tinystoredb::Error;

use crate::segment_file::HEADER_SIZE;
use crate::store::{Sample, closed, file, killed, open};

/// What flipping one bit led to.
#[derive(Default)]
struct Outcomes {
    right: AtomicU64,
    refused: AtomicU64,
    without_last: AtomicU64,
}

/// Flips every bit of every file, the reserve aside: nobody reads it.
fn flip_every_bit(sample: &Sample) -> Outcomes {
    let outcomes = Outcomes::default();
    let mut places = Vec::new();
    for name in sample.names().into_iter().filter(|name| name != "RESERVE") {
        let bytes = sample.bytes(&name);
        places.extend((0..bytes.len()).map(|at| (name.clone(), at, bytes[at])));
    }
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (places, outcomes) = (&places, &outcomes);
            scope.spawn(move || {
                for (name, at, byte) in places.iter().skip(worker).step_by(workers) {
                    for bit in 0..8 {
                        flip(sample, name, *at, byte ^ (1 << bit), outcomes);
                    }
                }
            });
        }
    });
    outcomes
}

fn flip(sample: &Sample, name: &str, at: usize, byte: u8, outcomes: &Outcomes) {
    let context = format!("{name}, byte {at} is {byte:#04x}");
    let image = sample.image.with_bytes(file(name), at as u64, &[byte]);
    let outcome = match open(&image) {
        Ok((contents, _)) if contents == sample.contents => &outcomes.right,
        Ok((contents, os)) => {
            // Only the one commit that nothing proves can have gone, and for good.
            let range = sample.last_commit.as_ref().unwrap_or_else(|| panic!("{context}: {contents:?}"));
            assert!(name == "00000003.bin" && range.contains(&at), "{context}: {contents:?}");
            let before_last = &sample.history[sample.history.len() - 2];
            assert_eq!(&contents, before_last, "{context}");
            assert_eq!(&open(&os.image().unwrap()).unwrap().0, before_last, "{context}: opened again");
            &outcomes.without_last
        }
        Err(Error::Corrupt { file, offset, .. }) => {
            assert!(file == name && offset <= at as u64, "{context}: {file} at {offset}");
            &outcomes.refused
        }
        Err(Error::NotAStore { path, .. }) => {
            assert!(path.ends_with(name) && at < HEADER_SIZE, "{context}: {path}");
            &outcomes.refused
        }
        Err(other) => panic!("{context}: {other:?}"),
    };
    outcome.fetch_add(1, Ordering::Relaxed);
}

fn report(what: &str, outcomes: &Outcomes) -> [u64; 3] {
    let counts = [&outcomes.right, &outcomes.refused, &outcomes.without_last]
        .map(|count| count.load(Ordering::Relaxed));
    println!(
        "{what}: {} bits flipped: {} answered right, {} refused, {} without the last commit",
        counts.iter().sum::<u64>(),
        counts[0],
        counts[1],
        counts[2]
    );
    counts
}

#[test]
fn every_flipped_bit_of_a_closed_store_is_refused_or_does_not_matter() {
    let [right, refused, without_last] = report("closed", &flip_every_bit(closed()));
    assert!(right + refused > 130_000 && refused > 50_000, "{right} {refused}");
    assert_eq!(without_last, 0);
}

#[test]
fn every_flipped_bit_of_a_killed_store_costs_at_most_the_last_commit() {
    let [right, refused, without_last] = report("killed", &flip_every_bit(killed()));
    assert!(right + refused > 130_000 && refused > 50_000, "{right} {refused}");
    // The frame, its header and checksum included, and nothing else.
    assert_eq!(without_last, 8 * killed().last_commit.as_ref().unwrap().len() as u64);
}
