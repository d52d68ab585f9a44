//! Lookups from more than one side: a batch of keys, two readers, a reader beside a writer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tinystoredb::Store;

use crate::lmdb::Lmdb;
use crate::workload::{KEY_SIZE, Values, key, median, rate, shuffled, touch};
use crate::{Filled, by_turns, figure, text, thousands};

/// Keys that are looked up together.
const BATCH: usize = 16;
/// Turns of one reader, two readers, and a reader beside a writer.
const ROUNDS: usize = 15;

/// Measures in `directory` and prints the rows.
pub fn run(records: u64, directory: &Path, lmdb: Option<&Lmdb>) -> Result<(), String> {
    let Filled { store, environment } = Filled::new(directory, lmdb, records, key)?;
    let reader = environment.as_ref().map(|environment| environment.reader()).transpose()?;
    println!("  lookups                 TinyStoreDB         LMDB    ratio");
    let theirs = reader.as_ref().map(|reader| {
        |chunk: &[u64]| chunk.iter().try_for_each(|number| found(reader.get(&key(*number), touch)?))
    });
    by_turns("gets of random keys", &shuffled(records, 3), |chunk| get_all(&store, chunk), theirs)?;
    let absent: Vec<u64> = (records..2 * records).collect();
    by_turns(
        "gets of absent keys",
        &absent,
        |chunk| chunk.iter().try_for_each(|number| missing(get(&store, *number)?)),
        reader.as_ref().map(|reader| {
            |chunk: &[u64]| chunk.iter().try_for_each(|number| missing(reader.get(&key(*number), touch)?))
        }),
    )?;
    by_turns(
        "batches of 16 keys",
        &shuffled(records, 4),
        |chunk| {
            let mut seen = 0;
            for batch in chunk.chunks(BATCH) {
                let mut keys = [[0; KEY_SIZE]; BATCH];
                keys.iter_mut().zip(batch).for_each(|(key, number)| *key = self::key(*number));
                let keys = keys.get(..batch.len()).unwrap_or(&keys);
                let look =
                    |_, value: Option<(_, &[u8])>| seen += usize::from(value.map(|v| touch(v.1)).is_some());
                store.read_many(keys, look).map_err(text)?;
            }
            if seen == chunk.len() { Ok(()) } else { Err("a record was missing".to_string()) }
        },
        reader.as_ref().map(|reader| {
            |chunk: &[u64]| chunk.iter().try_for_each(|number| found(reader.get(&key(*number), touch)?))
        }),
    )?;
    drop(reader);
    threads(&store, records)
}

/// One reader, two of them, and one beside a thread that overwrites all the time, in turn.
fn threads(store: &Store, records: u64) -> Result<(), String> {
    let slice = (records / 20).max(1) as usize;
    let order = shuffled(records, 5);
    let mut turns = order.chunks(slice).cycle();
    let mut next = || turns.next().unwrap_or(&[]);
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (case, rates) in rates.iter_mut().enumerate() {
            let (first, second) = (next(), next());
            rates.push(match case {
                0 => rate(first.len() as u64, || get_all(store, first))?,
                1 => std::thread::scope(|scope| {
                    let other = scope.spawn(|| rate(second.len() as u64, || get_all(store, second)));
                    let one = rate(first.len() as u64, || get_all(store, first))?;
                    Ok::<_, String>(one + other.join().map_err(|_| "a thread panicked".to_string())??)
                })?,
                _ => beside_a_writer(store, first, second)?,
            });
        }
    }
    let [one, two, beside] = rates;
    for (name, rates) in [("two readers", &two), ("reader beside a writer", &beside)] {
        let ratio = median(rates.iter().zip(&one).map(|(these, one)| these / one).collect());
        println!("  {name:<22}{:>13}    {ratio:.2} times one reader alone", thousands(median(rates.clone())));
        figure(name, "ratio_to_1_reader", ratio);
    }
    Ok(())
}

fn beside_a_writer(store: &Store, read: &[u64], written: &[u64]) -> Result<f64, String> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut values = Values::new();
            let mut keys = written.iter().cycle();
            while !done.load(Ordering::Relaxed) {
                let Some(number) = keys.next() else { break };
                store.put(&key(*number), values.of(number + 1)).map_err(text)?;
            }
            Ok::<_, String>(())
        });
        let read = rate(read.len() as u64, || get_all(store, read));
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "a thread panicked".to_string())??;
        read
    })
}

fn get(store: &Store, number: u64) -> Result<Option<u64>, String> {
    store.read(&key(number), |_, value| touch(value)).map_err(text)
}

fn get_all(store: &Store, numbers: &[u64]) -> Result<(), String> {
    numbers.iter().try_for_each(|number| found(get(store, *number)?))
}

fn found(found: Option<u64>) -> Result<(), String> {
    found.map(|_| ()).ok_or("a record was missing".to_string())
}

fn missing(found: Option<u64>) -> Result<(), String> {
    if found.is_some() { Err("an absent key was found".to_string()) } else { Ok(()) }
}
