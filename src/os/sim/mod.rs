//! A simulated operating system: a disk in memory that can lose its power.
//!
//! [`SimOs`] does what the real side does and writes down every operation. Its [`Trace`] then yields
//! every disk that a power loss or a kill at any moment could have left ([`Trace::crash_states`]), each a
//! value ([`CrashImage`]) that a new [`SimOs`] boots from. [`Fault`]s let the n-th call fail.
//!
//! Invariants:
//! 1. Nothing depends on time, addresses or chance: the same calls on the same seed give the same trace,
//!    the same random bytes and the same images.
//! 2. What the disk promises is what POSIX and the trait's documentation promise, and nothing more (see
//!    `state.rs`): code that only works on a kinder disk shall fail here.
//!
//! Files are found by their path in directories of the disk; `/` and the working directory always exist.
//!
//! Callers: tests.

mod content;
mod crash;
mod disk;
mod fault;
mod file;
mod region;
mod state;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::os::{Directory, Os};
use crate::sync::Ordering;
use content::mix;
pub use crash::{CrashImage, CrashStates, Enumeration, Explored, Replay, Variant, explore};
use disk::Disk;
pub use fault::{Call, Duration, Fault};
use file::SimDirectory;
use state::DiskState;
pub use state::Unwritten;
pub use trace::Trace;

/// 2020-09-13 12:26:40 UTC: where the clock of a new disk stands.
const CLOCK_START: i64 = 1_600_000_000_000;

/// A simulated operating system with one disk. Handles and mappings keep the disk alive.
pub struct SimOs {
    disk: Arc<Disk>,
}

impl fmt::Debug for SimOs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimOs").finish_non_exhaustive()
    }
}

impl SimOs {
    /// An empty disk. `seed` decides what [`Os::random`] gives and which random images are enumerated.
    pub fn new(seed: u64) -> Arc<SimOs> {
        let state = DiskState { now: CLOCK_START, ..DiskState::default() };
        Arc::new(SimOs { disk: Arc::new(Disk::boot(Arc::new(state), seed)) })
    }

    /// Boots from an image: nobody holds a lock, no faults are planned, the trace is empty. Random bytes
    /// are other ones than before, decided by the image.
    pub fn from_image(image: &CrashImage) -> Arc<SimOs> {
        let seed = mix(image.replay().seed ^ image.hash());
        Arc::new(SimOs { disk: Arc::new(Disk::boot(image.state().clone(), seed)) })
    }

    /// The number of operations so far: the trace's position now. A promise that holds from now on must
    /// hold in every image at this position and later.
    pub fn position(&self) -> Result<usize> {
        Ok(self.disk.lock()?.operations.len())
    }

    /// What was done so far.
    pub fn trace(&self) -> Result<Trace> {
        let live = self.disk.lock()?;
        Ok(Trace {
            initial: live.initial.clone(),
            operations: live.operations.clone(),
            seed: live.seed,
            now: live.now,
        })
    }

    /// The disk as it would be if all processes died now: every byte is there, none more durable for it.
    pub fn image(&self) -> Result<CrashImage> {
        let trace = self.trace()?;
        let seed = trace.seed;
        trace.image(&Replay {
            seed,
            position: trace.end(),
            variant: Variant::Killed,
            unwritten: Unwritten::Zeros,
        })
    }

    /// Plans a fault, replacing the one before and starting its count; `None` ends all faults.
    pub fn set_fault(&self, fault: Option<Fault>) -> Result<()> {
        self.disk.lock()?.faults.set(fault);
        Ok(())
    }

    /// Calls that failed by the fault planned last. 0 after a whole run means that its n was never
    /// reached: the loop over n is done.
    pub fn fault_hits(&self) -> Result<u64> {
        Ok(self.disk.lock()?.faults.hits())
    }

    /// The first call that failed by the fault planned last, and the name it was about.
    pub fn first_failed(&self) -> Result<Option<(Call, String)>> {
        Ok(self.disk.lock()?.faults.fired())
    }

    /// How often each call was made since booting.
    pub fn calls(&self) -> Result<BTreeMap<Call, u64>> {
        Ok(self.disk.lock()?.faults.calls().clone())
    }

    /// Limits the space of all files together, in bytes; `None` lifts it. What is used already stays.
    pub fn set_capacity(&self, bytes: Option<u64>) -> Result<()> {
        self.disk.lock()?.capacity = bytes;
        Ok(())
    }

    /// Bytes of space that all files take together, unlinked ones that are still open included.
    pub fn used(&self) -> Result<u64> {
        Ok(self.disk.lock()?.used())
    }

    /// Whether [`MapMode::ReadWrite`](crate::os::MapMode::ReadWrite) works here. It does at first.
    pub fn set_write_mapping(&self, possible: bool) -> Result<()> {
        self.disk.lock()?.write_mapping = possible;
        Ok(())
    }

    /// Whether the kernel can populate pages. It can at first; where it cannot, `Unsupported`.
    pub fn set_populating(&self, possible: bool) -> Result<()> {
        self.disk.lock()?.populating = possible;
        Ok(())
    }

    /// Stores through mappings into pages that were not populated before: each could have been SIGBUS.
    pub fn unpopulated_stores(&self) -> Result<u64> {
        Ok(self.disk.lock()?.unpopulated_stores)
    }

    /// Runs `action` once, in the middle of the next sync of anything, on its thread and outside of all
    /// locks of the disk. What it writes is not covered by that sync.
    pub fn during_next_sync(&self, action: impl FnOnce() + Send + 'static) -> Result<()> {
        self.disk.lock()?.sync_hook = Some(Box::new(action));
        Ok(())
    }

    /// Sets the wall clock, in milliseconds since 1970. It only moves when it is set.
    pub fn set_now(&self, millis: i64) -> Result<()> {
        self.disk.lock()?.now = millis;
        Ok(())
    }

    /// Sets what [`Os::process_id`] says: another number than before looks like a fork.
    pub fn set_process_id(&self, id: u32) {
        self.disk.process_id.store(id, Ordering::Relaxed);
    }
}

impl Os for SimOs {
    fn open_directory(&self, path: &Path, create: bool) -> Result<Arc<dyn Directory>> {
        let text = path.display().to_string();
        let mut live = self.disk.lock()?;
        if let Some(failure) = live.faults.on_call(Call::OpenDirectory, &text) {
            return Err(Error::os("open", text, failure.errno));
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        let top = parent.as_os_str().is_empty() || parent == Path::new("/");
        let above = live.find_directory(parent);
        let number = match live.find_directory(path) {
            Some(number) => number,
            None => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if above.is_some_and(|number| live.inode_of(number, name).is_ok()) {
                    return Err(Error::NotAStore { path: text, reason: "it is not a directory".to_string() });
                }
                if !create || !(top || above.is_some()) {
                    return Err(Error::NotFound { path: text });
                }
                live.make_directory(path)
            }
        };
        drop(live);
        Ok(Arc::new(SimDirectory { disk: self.disk.clone(), number, path: path.to_path_buf() }))
    }

    fn now_millis(&self) -> i64 {
        self.disk.lock().map_or(CLOCK_START, |live| live.now)
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        let mut live = self.disk.lock()?;
        if let Some(failure) = live.faults.on_call(Call::Random, "") {
            return Err(Error::os("getrandom", "the simulated random source", failure.errno));
        }
        for chunk in bytes.chunks_mut(8) {
            let word = live.next_random().to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(byte, random)| *byte = random);
        }
        Ok(())
    }

    fn process_id(&self) -> u32 {
        self.disk.process_id.load(Ordering::Relaxed)
    }
}
