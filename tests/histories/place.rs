//! A store that threads use, on the simulated disk or on the real one, and what a crash leaves of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration as Time;

use tinystoredb::os::sim::{Replay, SimOs, Unwritten, Variant};
use tinystoredb::{Durability, Options, Store, SyncMode, WriteMode};

use super::random::Dice;

const PATH: &str = "/db";

/// The order of what the threads note: a tick is later than all that were taken before.
static TICKS: AtomicU64 = AtomicU64::new(1);

pub fn tick() -> u64 {
    TICKS.fetch_add(1, Ordering::SeqCst)
}

/// Later than every tick.
pub const NEVER: u64 = u64::MAX;

enum Disk {
    Simulated(Arc<SimOs>),
    Real(tempfile::TempDir),
}

/// See the module.
pub struct Place {
    disk: Disk,
    options: Options,
    pub store: Store,
}

impl Place {
    pub fn new(dice: &mut Dice) -> Place {
        let simulated = !dice.one_in(3);
        let sync_mode =
            dice.choose(&[SyncMode::Always, SyncMode::OnRequest, SyncMode::Interval(Time::from_millis(1))]);
        let options = Options {
            sync_mode,
            write_mode: dice.choose(&[WriteMode::Mapped, WriteMode::Pwrite]),
            maintenance: dice.one_in(2),
            first_segment_size: simulated.then_some(64 << 10),
            ..Options::default()
        };
        if simulated {
            let os = SimOs::new(dice.next());
            let store = Store::open_on(os.clone(), PATH, &options).unwrap();
            return Place { disk: Disk::Simulated(os), options, store };
        }
        let directory = tempfile::tempdir().unwrap();
        // A real device is waited for in a few histories only.
        let rarely = dice.one_in(6);
        let sync_mode = if rarely { options.sync_mode } else { SyncMode::OnRequest };
        let options = Options { sync_mode, write_mode: WriteMode::Auto, ..options };
        let store = Store::open(directory.path().join("db"), &options).unwrap();
        Place { disk: Disk::Real(directory), options, store }
    }

    /// How a commit may be acknowledged: what is to survive a power loss has to wait.
    pub fn durabilities(&self) -> &'static [Durability] {
        match (&self.disk, self.options.sync_mode) {
            (Disk::Simulated(_), SyncMode::Always) => &[Durability::Default, Durability::Wait],
            _ => &[Durability::Default, Durability::Default, Durability::NoWait, Durability::Wait],
        }
    }

    /// Lets `threads` threads work, and crashes at some moment of it. Returns what they return, and two
    /// ticks: what was acknowledged before the first has to be there, what was begun after the second is not. The
    /// store is the recovered one then.
    pub fn round<T: Send>(
        &mut self,
        dice: &mut Dice,
        threads: u64,
        moment: u64,
        work: impl Fn(&Store, u64, Dice) -> T + Sync,
    ) -> Result<(Vec<T>, [u64; 2]), String> {
        let begin = tick();
        let (mut crash, mut position) = ([NEVER; 2], 0);
        let results = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|number| {
                    let (store, dice, work) = (self.store.clone(), Dice::new(dice.next()), &work);
                    scope.spawn(move || work(&store, number, dice))
                })
                .collect();
            if let Disk::Simulated(os) = &self.disk {
                while TICKS.load(Ordering::SeqCst) < begin + moment
                    && !handles.iter().all(|handle| handle.is_finished())
                {
                    std::thread::yield_now();
                }
                crash[0] = tick();
                position = os.position().unwrap();
                crash[1] = tick();
            }
            handles.into_iter().map(|handle| handle.join()).collect::<Vec<_>>()
        });
        let results: Result<Vec<T>, _> = results.into_iter().collect();
        let results = results.map_err(|_| "a thread panicked".to_string())?;
        match &self.disk {
            Disk::Simulated(os) => {
                let trace = os.trace().unwrap();
                // What the machine may forget is at least what was not acknowledged.
                let variant = match self.options.sync_mode {
                    SyncMode::Always => dice.choose(&[
                        Variant::Killed,
                        Variant::Nothing,
                        Variant::Random(7),
                        Variant::First(3),
                    ]),
                    _ => Variant::Killed,
                };
                let replay = Replay { seed: trace.seed(), position, variant, unwritten: Unwritten::Zeros };
                let next = SimOs::from_image(&trace.image(&replay).unwrap());
                let opened = Store::open_on(next.clone(), PATH, &self.options);
                self.store = opened.map_err(|error| format!("a crash ({replay}): {error}"))?;
                self.disk = Disk::Simulated(next);
            }
            Disk::Real(directory) => {
                // Dropped without a close; the last handle closes it.
                let elsewhere = Store::open_on(SimOs::new(0), PATH, &self.options).unwrap();
                self.store = elsewhere;
                let opened = Store::open(directory.path().join("db"), &self.options);
                self.store = opened.map_err(|error| error.to_string())?;
            }
        }
        Ok((results, crash))
    }
}
