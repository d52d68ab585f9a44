//! Threads that put, get, delete, compare, take and increment a few keys.

use std::collections::BTreeMap;

use tinystoredb::{Durability, Expected, Store, ValueType, WriteOptions};

use super::linear::{Action, Call, check};
use super::place::{NEVER, Place, tick};
use super::random::Dice;

const KEYS: u64 = 3;
const ROUNDS: u64 = 3;

fn integer(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes.try_into().unwrap())
}

fn get(store: &Store, key: u64) -> Option<i64> {
    store.read(&[key as u8], |_, bytes| integer(bytes)).unwrap()
}

/// One call on a key.
fn call(store: &Store, key: u64, dice: &mut Dice, unlike: i64, durabilities: &[Durability]) -> Call {
    let name = [key as u8];
    let durability = dice.choose(durabilities);
    let write = WriteOptions { value_type: ValueType::I64, durability, expires_at: None };
    let begun = tick();
    let action = match dice.below(13) {
        0..4 => match dice.below(3) {
            0 => Action::Get(store.get(&name).unwrap().map(|value| integer(&value))),
            1 => Action::Get(store.snapshot().unwrap().read(&name, |_, bytes| integer(bytes)).unwrap()),
            _ => Action::Get(get(store, key)),
        },
        4..6 => {
            store.put_with(&name, &unlike.to_le_bytes(), write).unwrap();
            Action::Put(unlike)
        }
        6 => Action::Delete(store.delete(&name).unwrap()),
        7 => Action::Take(store.take(&name).unwrap().map(|value| integer(&value))),
        8..11 => {
            // What was there a moment ago, or not there.
            let before = if dice.one_in(4) { None } else { get(store, key) };
            let bytes = before.map(i64::to_le_bytes);
            let expected = bytes.as_ref().map_or(Expected::Absent, |bytes| Expected::Value(bytes));
            let new = if dice.one_in(5) { None } else { Some(unlike) };
            let bytes = new.map(i64::to_le_bytes);
            let bytes = bytes.as_ref().map(<[u8; 8]>::as_slice);
            Action::Cas(before, new, store.compare_and_swap(&name, expected, bytes, write).unwrap())
        }
        _ => {
            let delta = dice.below(7) as i64 - 3;
            Action::Increment(delta, store.increment_i64(&name, delta).unwrap())
        }
    };
    Call { begun, returned: tick(), action }
}

pub fn run(dice: &mut Dice) -> Result<u64, String> {
    let mut place = Place::new(dice);
    let mut state = BTreeMap::new();
    let mut total = 0;
    for _ in 0..ROUNDS {
        let threads = dice.between(2, 4);
        let calls = dice.between(10, 40);
        let moment = dice.below(2 * threads * calls + 20);
        let durabilities = place.durabilities();
        let (done, [before, after]) = place.round(dice, threads, moment, |store, thread, mut dice| {
            let unlike = |number: u64| ((thread + 1) << 40 | number << 8) as i64;
            let mut one = |number| {
                let key = dice.below(KEYS);
                (key, call(store, key, &mut dice, unlike(number), durabilities))
            };
            (0..calls).map(&mut one).collect::<Vec<_>>()
        })?;
        let mut histories: BTreeMap<u64, Vec<Call>> = BTreeMap::new();
        for (key, mut call) in done.into_iter().flatten() {
            total += 1;
            if call.begun > after {
                continue;
            }
            if call.returned > before {
                if matches!(call.action, Action::Get(_)) {
                    continue;
                }
                call.returned = NEVER;
            }
            histories.entry(key).or_default().push(call);
        }
        for key in 0..KEYS {
            let history = histories.entry(key).or_default();
            let found = get(&place.store, key);
            history.push(Call { begun: tick(), returned: tick(), action: Action::Get(found) });
            let first = state.insert(key, found).flatten();
            check(first, history).map_err(|text| format!("key {key}, crash at {before}: {text}"))?;
        }
    }
    Ok(total)
}
