//! Accounts, transfers between them, and auditors who add everything up.

use tinystoredb::{Batch, Durability, Error, ScanOptions, Store};

use super::place::{Place, tick};
use super::random::Dice;

const ACCOUNTS: u64 = 8;
const MONEY: i64 = 800;
const ROUNDS: u64 = 2;

fn name(account: u64) -> Vec<u8> {
    format!("account{account}").into_bytes()
}

fn money(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes.try_into().unwrap())
}

/// An error where an auditor found another sum than there is money.
pub fn check(audits: &[(&'static str, i64)]) -> Result<(), String> {
    match audits.iter().find(|(_, sum)| *sum != MONEY) {
        None => Ok(()),
        Some((how, sum)) => Err(format!("{how} adds up to {sum} of {MONEY}")),
    }
}

/// Moves some money. An account without money is not there; its owner may come back.
fn transfer(store: &Store, dice: &mut Dice, durability: Durability) -> Result<(), String> {
    let transaction = store.begin().unwrap();
    let read = |account| transaction.read(&name(account), |_, bytes| money(bytes)).unwrap().unwrap_or(0);
    let (from, to) = (dice.below(ACCOUNTS), dice.below(ACCOUNTS));
    let before = read(from);
    if before == 0 || from == to {
        return Ok(());
    }
    let amount = if dice.one_in(3) { before } else { dice.between(1, before as u64) as i64 };
    let write = |account, sum: i64| {
        if sum == 0 {
            assert!(transaction.delete(&name(account)).unwrap());
        } else {
            transaction.put(&name(account), &sum.to_le_bytes()).unwrap();
        }
    };
    write(from, before - amount);
    write(to, read(to) + amount);
    match transaction.commit(durability) {
        Ok(()) | Err(Error::Conflict) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn audit(store: &Store, dice: &mut Dice) -> (&'static str, i64) {
    let mut sum = 0;
    let names: Vec<_> = (0..ACCOUNTS).map(name).collect();
    let how = match dice.below(5) {
        0 => {
            let look = |_, found: Option<(_, &[u8])>| sum += found.map_or(0, |(_, bytes)| money(bytes));
            store.snapshot().unwrap().read_many(&names, look).unwrap();
            "a snapshot"
        }
        1 => {
            let snapshot = store.snapshot().unwrap();
            for name in names.iter().rev() {
                sum += snapshot.get(name).unwrap().map_or(0, |value| money(&value));
            }
            "a snapshot key by key"
        }
        how @ (2 | 3) => {
            let options = ScanOptions { backward: how == 3, ..ScanOptions::default() };
            let mut scan = store.scan_with(&options).unwrap();
            while let Some(record) = scan.next().unwrap() {
                sum += money(record.value);
            }
            "a scan"
        }
        _ => {
            let transaction = store.begin().unwrap();
            let mut scan = transaction.scan(&ScanOptions::default()).unwrap();
            while let Some(record) = scan.next().unwrap() {
                sum += money(record.value);
            }
            "a transaction"
        }
    };
    (how, sum)
}

pub fn run(dice: &mut Dice) -> Result<u64, String> {
    let mut place = Place::new(dice);
    let mut batch = Batch::new();
    for account in 0..ACCOUNTS {
        batch.put(&name(account), &(MONEY / ACCOUNTS as i64).to_le_bytes()).unwrap();
    }
    place.store.write(&batch, Durability::Wait).unwrap();
    let mut total = 0;
    for _ in 0..ROUNDS {
        let (threads, count) = (dice.between(2, 4), dice.between(10, 60));
        let moment = dice.below(threads * count);
        let durabilities = place.durabilities();
        let (done, _) = place.round(dice, threads, moment, |store, thread, mut dice| {
            let mut audits = Vec::new();
            for _ in 0..count {
                tick();
                if thread == 0 || dice.one_in(4) {
                    audits.push(audit(store, &mut dice));
                } else {
                    let durability = dice.choose(durabilities);
                    transfer(store, &mut dice, durability)?;
                }
            }
            Ok::<_, String>(audits)
        })?;
        for audits in done {
            check(&audits?)?;
            total += count;
        }
        check(&[("the store after a crash", audit(&place.store, &mut Dice::new(1)).1)])?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_that_saw_half_of_a_transfer_is_refused() {
        check(&[("a scan", MONEY)]).unwrap();
        assert!(check(&[("a scan", MONEY), ("a snapshot", MONEY - 5)]).is_err());
    }
}
