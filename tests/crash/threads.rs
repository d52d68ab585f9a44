//! Real threads: what each of them was told is kept, whatever order they came in. Their order in the log is
//! read from the disk: the image of a kill at each position shows which commit was added last.

use std::collections::BTreeMap;

use tinystoredb::os::sim::{Enumeration, Replay, SimOs, Unwritten, Variant};
use tinystoredb::{Batch, Durability, Store, SyncMode};

use super::bench::life::PATH;
use super::bench::model::{Generation, History, State};
use super::bench::oracle::{check, read_all, recover};
use super::bench::random::Dice;
use super::bench::situations::Situation;

const COMMITS: u64 = 5;

/// One thread: commits of two keys each. The position at which each of them returned, in order.
fn commit(store: &Store, os: &SimOs, thread: u64) -> Vec<usize> {
    let mut returned = Vec::new();
    for number in 0..COMMITS {
        let mut batch = Batch::new();
        for half in 0..2 {
            batch.put(format!("{thread}.{number}.{half}").as_bytes(), &[thread as u8; 90]).unwrap();
        }
        store.write(&batch, Durability::Default).unwrap();
        returned.push(os.position().unwrap());
    }
    returned
}

/// What is in the store at each position, as far as every byte got.
fn order(os: &SimOs, options: &tinystoredb::Options) -> (Vec<State>, Vec<usize>, BTreeMap<String, usize>) {
    let trace = os.trace().unwrap();
    let (mut states, mut begun, mut places) = (vec![State::default()], Vec::new(), BTreeMap::new());
    for position in 0..=trace.end() {
        let (seed, unwritten) = (trace.seed(), Unwritten::Zeros);
        let image = trace.image(&Replay { seed, position, variant: Variant::Killed, unwritten }).unwrap();
        let state = recover(&image, options, false).unwrap();
        if states.last() == Some(&state) {
            continue;
        }
        states.push(state);
        begun.push(position - 1);
        let store = Store::open_on(SimOs::from_image(&image), PATH, options).unwrap();
        for key in read_all(&store).unwrap().into_keys() {
            let name = String::from_utf8(key).unwrap();
            let commit = name.rsplit_once('.').unwrap().0.to_string();
            places.entry(commit).or_insert(begun.len());
        }
    }
    (states, begun, places)
}

/// Returns the number of images.
fn run(seed: u64, threads: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let situation = Situation { name: "", sync_mode: SyncMode::Always, steps: Vec::new(), last: 0 };
    let options = situation.options();
    let os = SimOs::new(seed);
    let store = Store::open_on(os.clone(), PATH, &options).unwrap();
    let returned: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (store, os) = (store.clone(), os.clone());
                scope.spawn(move || commit(&store, &os, thread))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (states, begun, places) = order(&os, &options);
    assert_eq!(places.len() as u64, threads * COMMITS);
    assert_eq!(begun.len() as u64, threads * COMMITS, "each commit came whole and by itself");
    let mut all = Generation { opened_at: 0, states, begun, kept: Vec::new() };
    for (thread, returned) in returned.iter().enumerate() {
        for (number, &position) in returned.iter().enumerate() {
            all.keep(position, places[&format!("{thread}.{number}")], true);
        }
    }
    let history = History { generations: vec![all] };
    let trace = os.trace().unwrap();
    let plan = Enumeration {
        all_subsets_up_to: dice.between(3, 6) as usize,
        samples: 12,
        random: 8,
        ..Enumeration::default()
    };
    let mut images = 0;
    for image in trace.crash_states(&plan) {
        let found = recover(&image, &options, false);
        if let Err(violation) = check(&image, &found, &history) {
            panic!("seed {seed}, {threads} threads: {violation}\n{returned:?}\n{trace}{image}");
        }
        images += 1;
    }
    images
}

#[test]
fn group_commit_never_acknowledges_a_thread_early() {
    let mut images = 0;
    for seed in 0..24 {
        images += run(seed, 2 + seed % 3);
    }
    println!("{images} images");
    assert!(images > 5000, "{images}");
}
