//! Transactions that read lists, scan ranges of them and append to them.

use std::collections::{BTreeMap, BTreeSet};

use tinystoredb::{Durability, Error, ScanOptions, Store};

use super::cycles::{Key, Transaction, check};
use super::place::{Place, tick};
use super::random::Dice;

const KEYS: u64 = 8;
const ROUNDS: u64 = 3;

fn name(key: Key) -> Vec<u8> {
    format!("list{key}").into_bytes()
}

fn key_of(name: &[u8]) -> Key {
    std::str::from_utf8(&name[4..]).unwrap().parse().unwrap()
}

fn list(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|element| u64::from_le_bytes(*element)).collect()
}

/// A transaction under way: what it noted, and what it has to find of its own.
struct Running {
    handle: tinystoredb::Transaction,
    noted: Transaction,
}

impl Running {
    /// It found `found` under `key`.
    fn note(&mut self, key: Key, found: &[u64]) -> Result<(), String> {
        let own = self.noted.appends.iter().filter(|(of, _)| *of == key).map(|(_, element)| *element);
        let own: Vec<_> = own.collect();
        let Some(before) = found.strip_suffix(&own[..]) else {
            return Err(format!("a transaction appended {own:?} to {key} and reads {found:?}"));
        };
        let first = self.noted.reads.entry(key).or_insert_with(|| before.to_vec());
        if first == before {
            return Ok(());
        }
        Err(format!("a transaction has read {first:?} of {key}, and then {found:?}"))
    }

    fn read(&mut self, key: Key) -> Result<Vec<u64>, String> {
        let found = self.handle.read(&name(key), |_, bytes| list(bytes)).unwrap().unwrap_or_default();
        self.note(key, &found).map(|()| found)
    }

    fn append(&mut self, key: Key, element: u64) -> Result<(), String> {
        let mut all = self.read(key)?;
        all.push(element);
        let bytes: Vec<u8> = all.iter().flat_map(|element| element.to_le_bytes()).collect();
        self.handle.put(&name(key), &bytes).unwrap();
        self.noted.appends.push((key, element));
        Ok(())
    }

    /// Scans from `from` on and before `to`, to the end or to the record number `until`.
    fn scan(&mut self, from: Key, to: Key, backward: bool, until: usize) -> Result<(), String> {
        let options = ScanOptions { backward, ..ScanOptions::range(&name(from), &name(to)) };
        let mut scan = self.handle.scan(&options).unwrap();
        let mut found = BTreeMap::new();
        let mut ended = false;
        while found.len() < until && !ended {
            match scan.next().unwrap() {
                Some(record) => {
                    found.insert(key_of(record.key), list(record.value));
                }
                None => ended = true,
            }
        }
        let passed = if backward { found.keys().next() } else { found.keys().last() };
        let seen: Vec<Key> = match passed {
            _ if ended => (from..to).collect(),
            None => Vec::new(),
            Some(passed) if backward => (*passed..to).collect(),
            Some(passed) => (from..passed + 1).collect(),
        };
        seen.iter().try_for_each(|key| self.note(*key, found.get(key).map_or(&[], Vec::as_slice)))
    }
}

/// One transaction; `None` if it met a conflict. Elements that it appends begin with `unlike`.
fn transact(
    store: &Store,
    dice: &mut Dice,
    unlike: u64,
    durability: Durability,
) -> Result<Option<Transaction>, String> {
    let begun = tick();
    let mut running =
        Running { handle: store.begin().unwrap(), noted: Transaction { begun, ..Transaction::default() } };
    for step in 0..dice.between(1, 4) {
        let key = dice.below(KEYS);
        match dice.below(8) {
            0..2 => running.read(key).map(|_| ())?,
            2..4 => {
                let to = dice.between(key, KEYS - 1);
                let until = if dice.one_in(2) { usize::MAX } else { dice.below(4) as usize };
                running.scan(key, to, dice.one_in(2), until)?;
            }
            4 => {
                // What is rolled back was read all the same.
                let savepoint = running.handle.savepoint().unwrap();
                let appends = running.noted.appends.clone();
                running.append(key, unlike | 0xf0 | step)?;
                running.handle.roll_back_to(savepoint).unwrap();
                running.noted.appends = appends;
            }
            _ => running.append(key, unlike | step)?,
        }
        if dice.one_in(3) {
            std::thread::yield_now();
        }
    }
    match running.handle.commit(durability) {
        Ok(()) => Ok(Some(Transaction { returned: tick(), ..running.noted })),
        Err(Error::Conflict) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn final_reads(store: &Store) -> Transaction {
    let begun = tick();
    let snapshot = store.snapshot().unwrap();
    let read = |key: Key| {
        let found = snapshot.read(&name(key), |_, bytes| list(bytes)).unwrap();
        (key, found.unwrap_or_default())
    };
    Transaction { begun, reads: (0..KEYS).map(read).collect(), returned: tick(), appends: Vec::new() }
}

pub fn run(dice: &mut Dice) -> Result<u64, String> {
    let mut place = Place::new(dice);
    let mut history: Vec<Transaction> = Vec::new();
    let mut total = 0;
    for round in 0..ROUNDS {
        let threads = dice.between(2, 4);
        let count = dice.between(5, 25);
        let moment = dice.below(2 * threads * count + 20);
        let durabilities = place.durabilities();
        let (done, [crash, _]) = place.round(dice, threads, moment, |store, thread, mut dice| {
            let mut one = |number| {
                let unlike = (round << 8 | thread) << 24 | number << 8;
                let durability = dice.choose(durabilities);
                transact(store, &mut dice, unlike, durability)
            };
            (0..count).map(&mut one).collect::<Result<Vec<_>, String>>()
        })?;
        let last = final_reads(&place.store);
        let there: BTreeSet<u64> = last.reads.values().flatten().copied().collect();
        for threads in done {
            for transaction in threads? {
                total += 1;
                let Some(transaction) = transaction else { continue };
                let is_there = transaction.appends.iter().any(|(_, element)| there.contains(element));
                // After the crash it counts if it is there: all of it, then.
                if transaction.returned < crash || is_there {
                    history.push(transaction);
                }
            }
        }
        history.push(last);
        check(&history).map_err(|text| format!("round {round}, crash at {crash}: {text}"))?;
    }
    Ok(total)
}
