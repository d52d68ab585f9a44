//! Transactions, and changes that rest on the value before.

use super::*;
use crate::store::{Durability, Expected, WriteOptions};

const ACCOUNTS: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Moves one from the first account to the second, however often that takes.
fn transfer(store: &Store, from: &[u8], to: &[u8]) {
    loop {
        let transaction = store.begin().unwrap();
        let balance = |key| transaction.get(key).unwrap().map(|value| count(key, &value)).unwrap();
        let (before, after) = (balance(from), balance(to));
        transaction.put(from, &value(from, before - 1)).unwrap();
        transaction.put(to, &value(to, after + 1)).unwrap();
        match transaction.commit(Durability::Default) {
            Ok(()) => return,
            Err(Error::Conflict) => thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn bank(options: &Options) {
    let store = open(options);
    ACCOUNTS.iter().for_each(|key| store.put(key, &value(key, 10)).unwrap());
    let (one, other, auditor) = (store.clone(), store.clone(), store.clone());
    let sum = |all: &[(Vec<u8>, u64)]| all.iter().map(|(_, balance)| balance).sum::<u64>();
    together(vec![
        Box::new(move || {
            transfer(&one, b"a", b"b");
            transfer(&one, b"b", b"c");
        }),
        Box::new(move || transfer(&other, b"b", b"a")),
        Box::new(move || {
            for backward in [false, true] {
                assert_eq!(sum(&scan_at(&auditor.snapshot().unwrap(), backward)), 30);
            }
        }),
    ]);
    let balances = ACCOUNTS.map(|key| get(&store, key).unwrap());
    assert_eq!(balances, [10, 9, 11]);
}

#[test]
fn money_is_neither_made_nor_lost() {
    explore(|| bank(&options()));
}

#[test]
fn money_is_neither_made_nor_lost_where_commits_wait() {
    explore(|| bank(&always()));
}

/// Two transactions that each put a key into a range that they found empty: only one of them may.
#[test]
fn of_two_transactions_that_read_the_same_gap_one_fills_it() {
    explore(|| {
        let store = open(&options());
        store.put(b"r0", &value(b"r0", 0)).unwrap();
        let fill = |store: Store, key: &'static [u8]| {
            Box::new(move || {
                let transaction = store.begin().unwrap();
                let mut scan = transaction.scan(&crate::store::ScanOptions::prefix(b"r")).unwrap();
                let mut keys = 0;
                while scan.next().unwrap().is_some() {
                    keys += 1;
                }
                if keys == 1 {
                    transaction.put(key, &value(key, 1)).unwrap();
                }
                let outcome = transaction.commit(Durability::Default);
                assert!(matches!(outcome, Ok(()) | Err(Error::Conflict)), "{outcome:?}");
            }) as Box<dyn FnOnce() + Send>
        };
        let (one, other, writer) = (store.clone(), store.clone(), store.clone());
        together(vec![
            fill(one, b"r1"),
            fill(other, b"r2"),
            Box::new(move || writer.put(b"other", &value(b"other", 1)).unwrap()),
        ]);
        let all = scan_at(&store.snapshot().unwrap(), false);
        assert_eq!(all.len(), 3, "{all:?}");
    });
}

/// Counters: nothing that was added is lost, whoever else adds, by whichever means.
#[test]
fn no_increment_is_lost() {
    explore(|| {
        let store = open(&options());
        let adders: Vec<Box<dyn FnOnce() + Send>> = (0..2)
            .map(|_| {
                let store = store.clone();
                Box::new(move || {
                    let first = store.increment_u64(b"n", 1).unwrap();
                    assert!(store.increment_u64(b"n", 1).unwrap() > first);
                }) as Box<dyn FnOnce() + Send>
            })
            .collect();
        together(adders);
        assert_eq!(store.increment_u64(b"n", 0).unwrap(), 4);
    });
}

/// Two threads want the same name; exactly one gets it, and sees its own.
#[test]
fn a_key_is_put_if_absent_by_one_only() {
    explore(|| {
        let store = open(&always());
        let won = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let threads: Vec<Box<dyn FnOnce() + Send>> = (1..3)
            .map(|number| {
                let (store, won) = (store.clone(), Arc::clone(&won));
                Box::new(move || {
                    let mine = value(b"name", number);
                    if store.put_if_absent(b"name", &mine, WriteOptions::default()).unwrap() {
                        won.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        assert_eq!(get(&store, b"name"), Some(number));
                    } else {
                        let swapped = store.compare_and_swap(
                            b"name",
                            Expected::Value(&mine),
                            None,
                            WriteOptions::default(),
                        );
                        assert!(!swapped.unwrap());
                        assert_eq!(get(&store, b"name"), Some(3 - number), "refused for what nobody sees");
                    }
                }) as Box<dyn FnOnce() + Send>
            })
            .collect();
        together(threads);
        assert_eq!(won.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}
