//! A store on a simulated disk beside the model of it, and one operation after the other on both.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use tinystoredb::os::sim::SimOs;
use tinystoredb::{Durability, Lsn, Options, Store, SyncMode};

use super::map::{Map, View};
use super::operation::{CLOCK_START, Operation, Run, options};
use super::scans::{LiveScan, LiveSnapshot};
use super::transactions::{LiveTransaction, LiveTransactionScan};

pub const PATH: &str = "/db";

/// What differs, in words.
pub type Outcome<T = ()> = Result<T, String>;

/// What was promised by the time the trace of the disk was so long.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub position: usize,
    pub acknowledged: Lsn,
    pub durable: Lsn,
}

/// See the module.
pub struct Bench {
    pub os: Arc<SimOs>,
    pub options: Options,
    pub store: Store,
    pub map: Map,
    pub now: i64,
    /// Up to which operation a power loss leaves everything.
    pub durable: Lsn,
    /// Of this session, in order.
    pub promises: Vec<Promise>,
    pub snapshots: Vec<LiveSnapshot>,
    pub scans: Vec<LiveScan>,
    pub transactions: Vec<LiveTransaction>,
    pub transaction_scans: Vec<LiveTransactionScan>,
    /// Every view that a handle may still hold.
    views: Vec<Weak<View>>,
    numbers: u64,
}

pub fn live(error: impl std::fmt::Display) -> String {
    format!("an operation failed: {error}")
}

/// An error where `found` is not what the model says.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    let (mut found, mut expected) = (format!("{found:?}"), format!("{expected:?}"));
    for text in [&mut found, &mut expected] {
        if let Some((end, _)) = text.char_indices().nth(400) {
            text.truncate(end);
        }
    }
    Err(format!("{what}: found {found}, expected {expected}"))
}

impl Bench {
    pub fn new(seed: u64, options: Options) -> Outcome<Bench> {
        let os = SimOs::new(seed);
        let store = Store::open_on(os.clone(), PATH, &options).map_err(live)?;
        let mut bench = Bench {
            os,
            options,
            store,
            map: Map::default(),
            now: CLOCK_START,
            durable: 0,
            promises: Vec::new(),
            snapshots: Vec::new(),
            scans: Vec::new(),
            transactions: Vec::new(),
            transaction_scans: Vec::new(),
            views: Vec::new(),
            numbers: 0,
        };
        bench.promise()?;
        Ok(bench)
    }

    /// A new view of this moment, for a handle.
    pub fn view(&mut self) -> Rc<View> {
        let view = Rc::new(View { lsn: self.map.last, now: self.now });
        self.views.push(Rc::downgrade(&view));
        view
    }

    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// What a reader sees that holds nothing.
    pub fn current(&self) -> View {
        View { lsn: self.map.last, now: self.now }
    }

    fn live_views(&mut self) -> Vec<View> {
        self.views.retain(|view| view.strong_count() > 0);
        self.views.iter().filter_map(|view| view.upgrade().map(|view| *view)).collect()
    }

    pub fn waits(&self, durability: Durability) -> bool {
        match durability {
            Durability::Default => self.options.sync_mode == SyncMode::Always,
            Durability::Wait => true,
            Durability::NoWait => false,
        }
    }

    /// A commit of what the map has now was acknowledged with this durability.
    pub fn acknowledged(&mut self, durability: Durability) -> Outcome {
        if self.waits(durability) {
            self.durable = self.map.last;
        }
        self.promise()
    }

    pub fn promise(&mut self) -> Outcome {
        let position = self.os.position().map_err(live)?;
        self.promises.push(Promise { position, acknowledged: self.map.last, durable: self.durable });
        Ok(())
    }

    /// Lets go of everything that reads from the store, in an order of its own.
    pub fn drop_readers(&mut self) {
        self.transaction_scans.clear();
        self.scans.clear();
        self.transactions.clear();
        self.snapshots.clear();
    }

    /// What the figures say, when all that snapshots left has been seen to.
    pub fn statistics(&mut self) -> Outcome {
        // The end of a snapshot settles what earlier ones left; here nobody else has the append lock.
        drop(self.store.snapshot().map_err(live)?);
        let stats = self.store.stats().map_err(live)?;
        let views = self.live_views();
        same("records", stats.records, self.map.records())?;
        same("last_lsn", stats.last_lsn, self.map.last)?;
        same("snapshots", stats.snapshots, views.len() as u64)?;
        if stats.durable_lsn < self.durable || stats.durable_lsn > stats.last_lsn {
            return Err(format!("durable up to {}, promised {}", stats.durable_lsn, self.durable));
        }
        let oldest = views.iter().map(|view| self.now.saturating_sub(view.now)).max();
        same("oldest_snapshot_age", stats.oldest_snapshot_age, oldest.unwrap_or(0).max(0) as u64)?;
        let (records, bytes, deletions) = self.map.needed_by(&views);
        if !(records..=records + deletions).contains(&stats.snapshot_versions) {
            return Err(format!(
                "{} versions are kept; snapshots see {records} older ones, and {deletions} deletions",
                stats.snapshot_versions
            ));
        }
        if !(bytes..=bytes + 64 * records).contains(&stats.snapshot_bytes) {
            return Err(format!("{} bytes are kept, of which {bytes} are needed", stats.snapshot_bytes));
        }
        Ok(())
    }

    fn clock(&mut self, step: i64) -> Outcome {
        self.now = CLOCK_START + 10 * step;
        self.os.set_now(self.now).map_err(live)
    }

    fn reopen(&mut self, close: bool, sync_mode: SyncMode) -> Outcome {
        if close {
            self.store.close().map_err(live)?;
            self.closed_handles_say_so()?;
        }
        self.drop_readers();
        let options = Options { sync_mode, ..self.options.clone() };
        if !close {
            // The last handle closes the store.
            self.store = Store::open_on(SimOs::new(0), PATH, &options).map_err(live)?;
        }
        self.store = Store::open_on(self.os.clone(), PATH, &options).map_err(live)?;
        self.options = options;
        let last = self.store.stats().map_err(live)?.last_lsn;
        if last < self.map.last {
            return Err(format!("{last} operations after {} were there", self.map.last));
        }
        self.map.last = last;
        self.durable = last;
        self.promises.clear();
        self.promise()?;
        self.everything()?;
        self.statistics()
    }

    fn closed_handles_say_so(&mut self) -> Outcome {
        let is_closed = |error: Option<tinystoredb::Error>| {
            same("after a close", matches!(error, Some(tinystoredb::Error::Closed)), true)
        };
        is_closed(self.store.get(b"a").err())?;
        is_closed(self.store.snapshot().err())?;
        is_closed(self.store.put(b"a", b"").err())?;
        is_closed(self.store.begin().err())?;
        for snapshot in &self.snapshots {
            is_closed(snapshot.handle.get(b"a").err())?;
        }
        for scan in &mut self.scans {
            is_closed(scan.handle.next().err())?;
        }
        for transaction in &self.transactions {
            is_closed(transaction.handle.read(b"not written", |_, _| ()).err())?;
        }
        Ok(())
    }

    /// Does one operation on both, and compares what they answer.
    pub fn step(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        match operation {
            Put(..) | Delete(_) | DeleteRange(..) | Batch(..) | Fill(..) | Cas(..) | PutIfAbsent(..)
            | Take(_) | IncrementI64(..) | IncrementU64(..) | Append(..) | Expire(..) => {
                self.write(operation)
            }
            Get(key) => self.get(&key.key()),
            ReadMany(keys) => self.read_many(keys, None),
            Snapshot => self.snapshot(),
            DropSnapshot(_) | SnapshotGet(..) | SnapshotReadMany(..) => self.at_snapshot(operation),
            Scan(..) | ScanNext(..) | ScanSeek(..) | DropScan(_) => self.scan(operation),
            Clock(step) => self.clock(*step),
            Sync => {
                self.store.sync().map_err(live)?;
                self.durable = self.map.last;
                self.promise()
            }
            Prepare => self.store.prepare_segment().map_err(live),
            Statistics => self.statistics(),
            Everything => self.everything(),
            Reopen(close, sync_mode) => self.reopen(*close, *sync_mode),
            Crash(back, loss, sync_mode) => self.crash(*back, *loss, *sync_mode),
            _ => self.transaction(operation),
        }
    }
}

/// Does a whole run.
pub fn execute(run: &Run) -> Outcome {
    let mut bench = Bench::new(run.seed, options(run.sync_mode, run.pwrite))?;
    for (number, operation) in run.operations.iter().enumerate() {
        bench.step(operation).map_err(|text| format!("operation {number}, {operation:?}: {text}"))?;
    }
    bench.everything()?;
    bench.drop_readers();
    bench.statistics()?;
    let stats = bench.store.stats().map_err(live)?;
    same("kept for nobody", (stats.snapshots, stats.snapshot_versions, stats.snapshot_bytes), (0, 0, 0))
}
