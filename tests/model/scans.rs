//! Reading: keys, snapshots and scans.

use std::ops::Bound;
use std::rc::Rc;

use tinystoredb::{Scan, ScanOptions, Snapshot, Value, ValueType};

use super::bench::{Bench, Outcome, live, same};
use super::map::{Entry, Key, View, in_bounds};
use super::operation::{K, Operation};

/// A snapshot, and what it has to see.
pub struct LiveSnapshot {
    pub handle: Snapshot,
    pub view: Rc<View>,
}

/// A scan, and where it has to stand.
pub struct LiveScan {
    pub handle: Scan,
    view: Rc<View>,
    options: ScanOptions,
    /// The next record is behind this, or at it where it is included.
    start: Bound<Key>,
}

/// As many as there may be of each kind of handle.
pub const SLOTS: usize = 4;

/// Puts `handle` among `all`, in place of one of them where there are enough.
pub fn keep<T>(all: &mut Vec<T>, handle: T, dice: u64) {
    if all.len() < SLOTS {
        all.push(handle);
    } else {
        let place = dice as usize % all.len();
        all[place] = handle;
    }
}

pub fn slot<T>(all: &mut [T], slot: u8) -> Option<&mut T> {
    if all.is_empty() { None } else { Some(&mut all[usize::from(slot) % SLOTS.min(all.len())]) }
}

pub fn plain(value: Option<Value>) -> Option<(ValueType, Vec<u8>)> {
    value.map(|value| (value.value_type(), value.to_vec()))
}

pub fn typed(entry: Option<&Entry>) -> Option<(ValueType, Vec<u8>)> {
    entry.map(|entry| (entry.value_type, entry.bytes.clone()))
}

/// Where a scan with these options begins that goes to `key`.
pub fn seek(options: &ScanOptions, key: Key) -> Bound<Key> {
    let bounds = (options.from.clone(), options.to.clone());
    let start = if options.backward { &options.to } else { &options.from };
    let one_side = if options.backward { (Bound::Unbounded, bounds.1) } else { (bounds.0, Bound::Unbounded) };
    if in_bounds(&key, &one_side) { Bound::Included(key) } else { start.clone() }
}

/// Whether `key` is within the bound that a scan ends at.
pub fn before_end(options: &ScanOptions, key: &Key) -> bool {
    let end = match options.backward {
        true => (options.from.clone(), Bound::Unbounded),
        false => (Bound::Unbounded, options.to.clone()),
    };
    in_bounds(key, &end)
}

pub fn start(options: &ScanOptions) -> Bound<Key> {
    if options.backward { options.to.clone() } else { options.from.clone() }
}

impl Bench {
    /// Every way to read one key.
    pub fn get(&mut self, key: &Key) -> Outcome {
        let expected = self.now_at(key);
        let expected = expected.as_ref();
        same("get", plain(self.store.get(key).map_err(live)?), typed(expected))?;
        let read = self.store.read(key, |value_type, value| (value_type, value.to_vec()));
        same("read", read.map_err(live)?, typed(expected))?;
        same("exists", self.store.exists(key).map_err(live)?, expected.is_some())?;
        same("expiry", self.store.expiry(key).map_err(live)?, expected.map(|entry| entry.expiry))
    }

    /// Of the store, or of a snapshot.
    pub fn read_many(&self, keys: &[K], snapshot: Option<&LiveSnapshot>) -> Outcome {
        let keys: Vec<_> = keys.iter().map(|key| key.key()).collect();
        let mut found = Vec::new();
        let look = |place: usize, value: Option<(ValueType, &[u8])>| {
            found.push((place, value.map(|(value_type, value)| (value_type, value.to_vec()))));
        };
        let view = match snapshot {
            None => {
                self.store.read_many(&keys, look).map_err(live)?;
                self.current()
            }
            Some(snapshot) => {
                snapshot.handle.read_many(&keys, look).map_err(live)?;
                *snapshot.view
            }
        };
        let expected: Vec<_> = keys.iter().map(|key| typed(self.map.get(key, view))).enumerate().collect();
        same("read_many", found, expected)
    }

    pub fn snapshot(&mut self) -> Outcome {
        let view = self.view();
        let handle = self.store.snapshot().map_err(live)?;
        same("the snapshot's number", handle.lsn(), view.lsn)?;
        keep(&mut self.snapshots, LiveSnapshot { handle, view }, self.map.last);
        Ok(())
    }

    pub fn at_snapshot(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        let (DropSnapshot(which) | SnapshotGet(which, _) | SnapshotReadMany(which, _)) = operation else {
            return Err("not of a snapshot".to_string());
        };
        if self.snapshots.is_empty() {
            return Ok(());
        }
        let place = usize::from(*which) % self.snapshots.len();
        let snapshot = &self.snapshots[place];
        match operation {
            SnapshotGet(_, key) => {
                let key = key.key();
                let expected = self.map.get(&key, *snapshot.view);
                same("get", plain(snapshot.handle.get(&key).map_err(live)?), typed(expected))?;
                let read = snapshot.handle.read(&key, |value_type, value| (value_type, value.to_vec()));
                same("read", read.map_err(live)?, typed(expected))?;
                same("exists", snapshot.handle.exists(&key).map_err(live)?, expected.is_some())
            }
            SnapshotReadMany(_, keys) => self.read_many(keys, Some(snapshot)),
            _ => {
                self.snapshots.remove(place);
                Ok(())
            }
        }
    }

    pub fn scan(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        match operation {
            Scan(of, options) => {
                let of = of.and_then(|which| slot(&mut self.snapshots, which));
                let (handle, view) = match of {
                    Some(snapshot) => (snapshot.handle.scan(options).map_err(live)?, snapshot.view.clone()),
                    None => (self.store.scan_with(options).map_err(live)?, self.view()),
                };
                let start = start(options);
                let scan = LiveScan { handle, view, options: options.clone(), start };
                keep(&mut self.scans, scan, self.map.last);
                Ok(())
            }
            ScanNext(which, count) => {
                let map = &self.map;
                let Some(scan) = slot(&mut self.scans, *which) else { return Ok(()) };
                (0..*count).try_for_each(|_| scan.next(map).map(|_| ()))
            }
            ScanSeek(which, key) => {
                let Some(scan) = slot(&mut self.scans, *which) else { return Ok(()) };
                let key = key.key();
                scan.handle.seek(&key).map_err(live)?;
                scan.start = seek(&scan.options, key);
                scan.next(&self.map).map(|_| ())
            }
            DropScan(which) => {
                if !self.scans.is_empty() {
                    let place = usize::from(*which) % self.scans.len();
                    self.scans.remove(place);
                }
                Ok(())
            }
            _ => Err("not of a scan".to_string()),
        }
    }

    /// All that is there now, forward and backward, and key by key.
    pub fn everything(&mut self) -> Outcome {
        for backward in [false, true] {
            let options = ScanOptions { backward, ..ScanOptions::default() };
            let handle = self.store.scan_with(&options).map_err(live)?;
            let view = Rc::new(self.current());
            let mut scan = LiveScan { handle, view, options, start: Bound::Unbounded };
            while scan.next(&self.map)? {}
        }
        for number in 0..26 {
            let key = K(number).key();
            let found = self.store.read(&key, |value_type, value| (value_type, value.to_vec()));
            same("read", found.map_err(live)?, typed(self.map.get(&key, self.current())))?;
        }
        Ok(())
    }
}

impl LiveScan {
    /// Compares the next record. Whether there is one.
    fn next(&mut self, map: &super::map::Map) -> Outcome<bool> {
        let found = self.handle.next().map_err(live)?;
        let start = self.start.as_ref().map(Vec::as_slice);
        let expected = map.next(&self.options, start, *self.view);
        let expected = expected.filter(|(key, _)| before_end(&self.options, key));
        let Some((key, entry)) = expected else {
            return match found {
                None => Ok(false),
                Some(record) => Err(format!("a scan goes on to {:?}, and should end", record.key)),
            };
        };
        let value = if self.options.keys_only { &[][..] } else { &entry.bytes };
        let found = found.map(|record| (record.key, record.value, record.value_type));
        same("a scan's record", found, Some((key.as_slice(), value, entry.value_type)))?;
        self.start = Bound::Excluded(key.clone());
        Ok(true)
    }
}
