//! Transactions: what they read, and which of them may commit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;

use tinystoredb::{Durability, Error, Savepoint, ScanOptions, Transaction, TransactionScan};

use super::bench::{Bench, Outcome, live, same};
use super::map::{Change, Entry, Key, Map, View, in_bounds, in_range};
use super::operation::Operation;
use super::scans::{before_end, keep, plain, seek, slot, start, typed};
use super::writes::write_options;

/// What a transaction has written.
type Writes = BTreeMap<Key, Option<Entry>>;

/// A transaction, and what it has to know.
pub struct LiveTransaction {
    pub handle: Transaction,
    number: u64,
    view: Rc<View>,
    writes: Writes,
    keys: BTreeSet<Key>,
    /// One for each scan, and for each seek of one.
    ranges: Vec<(Bound<Key>, Bound<Key>)>,
    first_expiry: Option<i64>,
    savepoints: Vec<(Savepoint, Writes)>,
}

/// A scan in a transaction, and where it has to stand.
pub struct LiveTransactionScan {
    handle: TransactionScan,
    /// Of the transaction, which may have ended.
    number: u64,
    /// Which the scan holds as well.
    _view: Rc<View>,
    options: ScanOptions,
    /// Where it began, and the last key that it has passed.
    start: Bound<Key>,
    passed: Option<Key>,
    /// Its place among the ranges, and whether it has come to its end.
    range: usize,
    ended: bool,
}

/// What a commit has to answer.
#[derive(Debug)]
enum Verdict {
    Commits,
    Conflicts,
    /// Something read was written or deleted since, and is again, or still, as it was read.
    Either,
}

impl LiveTransaction {
    /// What it sees of `key`, its own writes first.
    fn get<'a>(&'a self, key: &[u8], map: &'a Map) -> Option<&'a Entry> {
        match self.writes.get(key) {
            Some(own) => own.as_ref().filter(|entry| !entry.is_expired(self.view.now)),
            None => map.get(key, *self.view),
        }
    }

    /// Notes a read of `key` if the snapshot was asked.
    fn note(&mut self, key: &[u8], map: &Map) {
        if !self.writes.contains_key(key) {
            self.keys.insert(key.to_vec());
            self.note_expiry(map.get(key, *self.view));
        }
    }

    fn note_expiry(&mut self, entry: Option<&Entry>) {
        if let Some(expiry) = entry.and_then(|entry| entry.expiry) {
            self.first_expiry = Some(self.first_expiry.map_or(expiry, |first| first.min(expiry)));
        }
    }

    fn has_read(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || self.ranges.iter().any(|range| in_bounds(key, range))
    }

    fn verdict(&self, map: &Map, now: i64) -> Verdict {
        if self.writes.is_empty() {
            return Verdict::Commits;
        }
        if self.first_expiry.is_some_and(|expiry| expiry <= now) {
            return Verdict::Conflicts;
        }
        let mut touched = false;
        for key in map.changed_since(self.view.lsn).filter(|key| self.has_read(key)) {
            let was_there = map.get(key, *self.view).is_some();
            let is_there = map.get(key, View { lsn: map.last, now }).is_some();
            if was_there || is_there {
                return Verdict::Conflicts;
            }
            touched = true;
        }
        let met = |change: &Change| match change {
            Change::Put(key, _) | Change::Delete(key) => self.has_read(key),
            Change::DeleteRange(from, to) => {
                self.keys.iter().any(|key| in_range(key, from, to)) || !self.ranges.is_empty()
            }
        };
        if touched || map.operations_since(self.view.lsn).any(met) {
            Verdict::Either
        } else {
            Verdict::Commits
        }
    }

    /// Goes to the next record of a scan: its key and entry.
    fn next(&mut self, scan: &mut LiveTransactionScan, map: &Map) -> Option<(Key, Entry)> {
        let options = &scan.options;
        loop {
            let from = match &scan.passed {
                Some(passed) => Bound::Excluded(passed.clone()),
                None => scan.start.clone(),
            };
            let from = from.as_ref().map(Vec::as_slice);
            let there = map.next(options, from, *self.view);
            let own = if options.backward {
                self.writes.range::<[u8], _>((Bound::Unbounded, from)).next_back()
            } else {
                self.writes.range::<[u8], _>((from, Bound::Unbounded)).next()
            };
            let there = there.filter(|(key, _)| before_end(options, key));
            let own = own.filter(|(key, _)| before_end(options, key));
            let own_first = match (own, there) {
                (None, None) => {
                    scan.ended = true;
                    self.pass(scan);
                    return None;
                }
                (Some((own, _)), Some((there, _))) if options.backward => own >= there,
                (Some((own, _)), Some((there, _))) => own <= there,
                (own, _) => own.is_some(),
            };
            let (key, entry) = if own_first {
                let (key, own) = own.expect("there is one");
                (key.clone(), own.clone().filter(|entry| !entry.is_expired(self.view.now)))
            } else {
                let (key, entry) = there.expect("there is one");
                (key.clone(), Some(entry.clone()))
            };
            scan.passed = Some(key.clone());
            if !own_first {
                self.note_expiry(entry.as_ref());
            }
            self.pass(scan);
            if let Some(entry) = entry {
                return Some((key, entry));
            }
        }
    }

    /// The range that the scan has read by now.
    fn pass(&mut self, scan: &LiveTransactionScan) {
        let end = match (&scan.passed, scan.ended, scan.options.backward) {
            (_, true, false) => scan.options.to.clone(),
            (_, true, true) => scan.options.from.clone(),
            (Some(passed), ..) => Bound::Included(passed.clone()),
            (None, ..) => return,
        };
        let start = scan.start.clone();
        self.ranges[scan.range] = if scan.options.backward { (end, start) } else { (start, end) };
    }

    fn add_range(&mut self) -> usize {
        self.ranges.push((Bound::Excluded(Vec::new()), Bound::Excluded(Vec::new())));
        self.ranges.len() - 1
    }
}

impl Bench {
    pub fn transaction(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        match operation {
            Begin => self.begin(),
            TransactionScanNext(..) | TransactionScanSeek(..) | DropTransactionScan(_) => {
                self.transaction_scan(operation)
            }
            TransactionGet(which, _)
            | TransactionPut(which, ..)
            | TransactionDelete(which, _)
            | TransactionDeleteRange(which, ..)
            | TransactionScan(which, _)
            | Savepoint(which)
            | RollBackTo(which, _)
            | Commit(which, _)
            | RollBack(which)
            | DropTransaction(which) => {
                if self.transactions.is_empty() {
                    return Ok(());
                }
                let place = usize::from(*which) % self.transactions.len();
                let mut transaction = self.transactions.remove(place);
                let (outcome, goes_on) = match operation {
                    Commit(_, durability) => (self.commit(&mut transaction, *durability), false),
                    RollBack(_) => (transaction.handle.roll_back().map_err(live), false),
                    DropTransaction(_) => (Ok(()), false),
                    _ => (self.in_transaction(&mut transaction, operation), true),
                };
                if goes_on {
                    self.transactions.insert(place, transaction);
                } else if outcome.is_ok() && !matches!(operation, DropTransaction(_)) {
                    let ended = transaction.handle.read(b"a", |_, _| ());
                    same("after its end", matches!(ended, Err(Error::InvalidArgument(_))), true)?;
                }
                outcome
            }
            _ => Err("not of a transaction".to_string()),
        }
    }

    fn begin(&mut self) -> Outcome {
        let view = self.view();
        let handle = self.store.begin().map_err(live)?;
        same("the transaction's number", handle.lsn().map_err(live)?, view.lsn)?;
        let number = self.next_number();
        let transaction = LiveTransaction {
            handle,
            number,
            view,
            writes: Writes::new(),
            keys: BTreeSet::new(),
            ranges: Vec::new(),
            first_expiry: None,
            savepoints: Vec::new(),
        };
        keep(&mut self.transactions, transaction, self.map.last);
        Ok(())
    }

    fn in_transaction(&mut self, transaction: &mut LiveTransaction, operation: &Operation) -> Outcome {
        use Operation::*;
        let map = &self.map;
        match operation {
            TransactionGet(_, key) => {
                let key = key.key();
                let expected = typed(transaction.get(&key, map));
                let found = match key.len() % 3 {
                    0 => plain(transaction.handle.get(&key).map_err(live)?),
                    1 => {
                        let read = |value_type, value: &[u8]| (value_type, value.to_vec());
                        transaction.handle.read(&key, read).map_err(live)?
                    }
                    _ => {
                        let there = transaction.handle.exists(&key).map_err(live)?;
                        same("exists", there, expected.is_some())?;
                        expected.clone()
                    }
                };
                transaction.note(&key, map);
                same("a transaction's get", found, expected)
            }
            TransactionPut(_, key, entry) => {
                let options = write_options(entry, Durability::Default);
                transaction.handle.put_with(&key.key(), &entry.bytes, options).map_err(live)?;
                transaction.writes.insert(key.key(), Some(entry.clone()));
                Ok(())
            }
            TransactionDelete(_, key) => {
                let key = key.key();
                let there = transaction.get(&key, map).is_some();
                same("a transaction's delete", transaction.handle.delete(&key).map_err(live)?, there)?;
                transaction.note(&key, map);
                if there {
                    transaction.writes.insert(key, None);
                }
                Ok(())
            }
            TransactionDeleteRange(_, from, to) => {
                let (from, to) = (from.key(), to.key());
                let found = transaction.handle.delete_range(&from, &to).map_err(live)?;
                let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to.clone()) };
                let range = (Bound::Included(from), end);
                let all = map.all(*transaction.view).map(|(key, _)| key.clone());
                let all: BTreeSet<Key> = all.chain(transaction.writes.keys().cloned()).collect();
                let mut count = 0;
                for key in all.iter().filter(|key| in_bounds(key, &range)) {
                    if let Some(entry) = transaction.get(key, map).cloned() {
                        if !transaction.writes.contains_key(key) {
                            transaction.note_expiry(Some(&entry));
                        }
                        transaction.writes.insert(key.clone(), None);
                        count += 1;
                    }
                }
                transaction.ranges.push(range);
                same("a transaction's delete_range", found, count)
            }
            TransactionScan(_, options) => {
                let handle = transaction.handle.scan(options).map_err(live)?;
                let range = transaction.add_range();
                let scan = LiveTransactionScan {
                    handle,
                    number: transaction.number,
                    _view: transaction.view.clone(),
                    options: options.clone(),
                    start: start(options),
                    passed: None,
                    range,
                    ended: false,
                };
                keep(&mut self.transaction_scans, scan, self.map.last);
                Ok(())
            }
            Savepoint(_) => {
                let savepoint = transaction.handle.savepoint().map_err(live)?;
                transaction.savepoints.push((savepoint, transaction.writes.clone()));
                Ok(())
            }
            RollBackTo(_, which) => {
                if transaction.savepoints.is_empty() {
                    return Ok(());
                }
                let place = usize::from(*which) % transaction.savepoints.len();
                let (savepoint, writes) = transaction.savepoints[place].clone();
                transaction.handle.roll_back_to(savepoint).map_err(live)?;
                transaction.writes = writes;
                transaction.savepoints.truncate(place + 1);
                Ok(())
            }
            _ => Err("not in a transaction".to_string()),
        }
    }

    fn commit(&mut self, transaction: &mut LiveTransaction, durability: Durability) -> Outcome {
        let verdict = transaction.verdict(&self.map, self.now);
        let outcome = match transaction.handle.commit(durability) {
            Ok(()) => true,
            Err(Error::Conflict) => false,
            Err(error) => return Err(live(error)),
        };
        match (&verdict, outcome) {
            (Verdict::Commits, true) | (Verdict::Conflicts, false) | (Verdict::Either, _) => {}
            _ => return Err(format!("a commit answered {outcome}, expected that it {verdict:?}")),
        }
        if outcome && !transaction.writes.is_empty() {
            let changes = std::mem::take(&mut transaction.writes).into_iter();
            let changes = changes.map(|(key, entry)| match entry {
                Some(entry) => Change::Put(key, entry),
                None => Change::Delete(key),
            });
            self.committed(&changes.collect::<Vec<_>>(), durability)?;
        }
        Ok(())
    }

    fn transaction_scan(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        let (TransactionScanNext(which, _) | TransactionScanSeek(which, _) | DropTransactionScan(which)) =
            operation
        else {
            return Err("not of a transaction's scan".to_string());
        };
        let Some(scan) = slot(&mut self.transaction_scans, *which) else { return Ok(()) };
        let number = scan.number;
        let Some(transaction) = self.transactions.iter_mut().find(|one| one.number == number) else {
            // A transaction that was only dropped goes on as long as its scans.
            let place = usize::from(*which) % self.transaction_scans.len();
            self.transaction_scans.remove(place);
            return Ok(());
        };
        match operation {
            TransactionScanNext(_, count) => {
                for _ in 0..*count {
                    let expected = transaction.next(scan, &self.map);
                    let found = scan.handle.next().map_err(live)?;
                    let found = found.map(|record| (record.key, record.value, record.value_type));
                    let value =
                        |entry: &Entry| if scan.options.keys_only { Vec::new() } else { entry.bytes.clone() };
                    let expected = expected.map(|(key, entry)| (key, value(&entry), entry.value_type));
                    let expected = expected.as_ref();
                    let expected =
                        expected.map(|(key, value, typed)| (key.as_slice(), value.as_slice(), *typed));
                    same("a transaction's record", found, expected)?;
                }
                Ok(())
            }
            TransactionScanSeek(_, key) => {
                let key = key.key();
                scan.handle.seek(&key).map_err(live)?;
                scan.range = transaction.add_range();
                scan.start = seek(&scan.options, key);
                scan.passed = None;
                scan.ended = false;
                Ok(())
            }
            _ => {
                let place = usize::from(*which) % self.transaction_scans.len();
                self.transaction_scans.remove(place);
                Ok(())
            }
        }
    }
}
