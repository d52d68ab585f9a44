//! A disk that a crash left behind, as a value that can be read, damaged by hand, and booted.
//!
//! Callers: `sim`; tests.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::replay::{Replay, Variant};
use crate::os::sim::state::{DiskState, InodeState};
use crate::os::sim::trace::Inode;

/// A disk that a crash left behind. Cheap to clone;
/// [`SimOs::from_image`](crate::os::sim::SimOs::from_image) boots it.
#[derive(Clone, Debug)]
pub struct CrashImage {
    state: Arc<DiskState>,
    hash: u64,
    replay: Replay,
}

impl CrashImage {
    pub(super) fn new(state: DiskState, replay: Replay) -> CrashImage {
        CrashImage { hash: state.hash(), state: Arc::new(state), replay }
    }

    pub(in crate::os::sim) fn state(&self) -> &Arc<DiskState> {
        &self.state
    }

    /// Equal for equal names, lengths and bytes.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The position in the trace at which the crash happened.
    pub fn position(&self) -> usize {
        self.replay.position
    }

    /// How to make it again.
    pub fn replay(&self) -> Replay {
        self.replay
    }

    /// Whether only the process died. Then every acknowledged write must be there, durable or not.
    pub fn is_kill(&self) -> bool {
        self.replay.variant == Variant::Killed
    }

    /// The files' paths and lengths, sorted.
    pub fn files(&self) -> Vec<(String, u64)> {
        let live = self.live();
        let mut files = Vec::new();
        for directory in &live.directories {
            for (name, inode) in &directory.names {
                let length = live.inodes.get(inode).map_or(0, |file| file.length);
                files.push((directory.path.join(&**name).display().to_string(), length));
            }
        }
        files.sort();
        files
    }

    /// A file's bytes, or `None` where there is no such file.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let live = self.live();
        let file = live.inodes.get(&find(&live, path.as_ref())?)?;
        let mut bytes = vec![0; usize::try_from(file.length).ok()?];
        file.content.read(&mut bytes, 0);
        Some(bytes)
    }

    /// This image, with `bytes` at `offset` of a file; it grows if they end beyond its length. A file
    /// that is missing is made if its directory is there.
    #[must_use]
    pub fn with_bytes(&self, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) -> CrashImage {
        self.edited(|state| {
            let inode = find(state, path.as_ref()).or_else(|| make(state, path.as_ref()));
            if let Some(file) = inode.and_then(|inode| state.inodes.get_mut(&inode)) {
                file.content.write(bytes, offset);
                file.length = file.length.max(offset + bytes.len() as u64);
            }
        })
    }

    /// This image, with a file cut or grown to `length`.
    #[must_use]
    pub fn with_length(&self, path: impl AsRef<Path>, length: u64) -> CrashImage {
        self.edited(|state| {
            if let Some(file) = find(state, path.as_ref()).and_then(|inode| state.inodes.get_mut(&inode)) {
                file.content.truncate(length);
                file.length = length;
            }
        })
    }

    /// This image, without a file.
    #[must_use]
    pub fn without(&self, path: impl AsRef<Path>) -> CrashImage {
        self.edited(|state| {
            let path = path.as_ref();
            let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
            else {
                return;
            };
            if let Some(directory) = state.directories.iter_mut().find(|one| one.path == parent) {
                directory.names.remove(name);
            }
        })
    }

    fn live(&self) -> DiskState {
        self.state.live()
    }

    fn edited(&self, edit: impl FnOnce(&mut DiskState)) -> CrashImage {
        let mut state = self.live();
        edit(&mut state);
        CrashImage::new(state, self.replay)
    }
}

impl fmt::Display for CrashImage {
    /// How to make it again, and what is in it, in one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "image {} ({:016x}):", self.replay, self.hash)?;
        for (path, length) in self.files() {
            write!(formatter, " {path} {length}")?;
        }
        Ok(())
    }
}

fn find(state: &DiskState, path: &Path) -> Option<Inode> {
    let directory = state.directories.iter().find(|one| Some(one.path.as_path()) == path.parent())?;
    directory.names.get(path.file_name()?.to_str()?).copied()
}

fn make(state: &mut DiskState, path: &Path) -> Option<Inode> {
    let directory = state.directories.iter_mut().find(|one| Some(one.path.as_path()) == path.parent())?;
    let inode = state.inodes.keys().next_back().map_or(0, |last| last + 1);
    directory.names.insert(Arc::from(path.file_name()?.to_str()?), inode);
    state.inodes.insert(inode, InodeState::default());
    Some(inode)
}
