//! What was last done to the keys of a range, whoever can see it: for the writer, and for checks of what has
//! changed.
//!
//! Callers: the store, through [`Pin`].

use std::ops::Bound;

use crate::error::{Error, Result};
use crate::index::cursor::Walk;
use crate::index::reference::Target;
use crate::index::versions::{Version, Versions};
use crate::index::{KeySource, LOOK_AHEAD, Pin};
use crate::types::{Lsn, Position};

/// The newest version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newest {
    /// A record that has the key: its newest, where that is no deletion.
    pub position: Position,
    /// Its LSN, where the record's is not it or need not be looked at.
    pub lsn: Option<Lsn>,
    /// Whether it is a deletion, which stands there for as long as an older version does.
    pub deleted: bool,
    /// Versions of the key in the index.
    pub versions: usize,
}

impl Pin<'_> {
    /// Appends to `out` the newest versions of up to `limit` keys in ascending order from `start` on;
    /// fewer mean that the end was reached. To go on later, under another pin: start behind the last key.
    ///
    /// Errors: `NoMemory`, or what `keys` answers.
    pub fn newest_of_range(
        &self,
        start: Bound<&[u8]>,
        limit: usize,
        out: &mut Vec<Newest>,
        keys: &impl KeySource,
    ) -> Result<()> {
        let mut walk = Walk { tree: self.tree, ascending: true, stack: Vec::new() };
        walk.seek(start, keys)?;
        let mut found = 0;
        while found < limit {
            let Some(frame) = walk.stack.pop() else { break };
            let newest = match frame.target.target() {
                Target::Null => continue,
                Target::Node(kind) => {
                    walk.expand(frame, kind)?;
                    continue;
                }
                Target::Leaf(position) => Newest { position, lsn: None, deleted: false, versions: 1 },
                Target::Versions(line) => {
                    let mut versions = Versions::new(&self.tree.arena, line);
                    let newest = versions.next().ok_or(Error::Internal("an empty list of versions"))?;
                    let versions = 1 + versions.count();
                    let Version { lsn, position, deleted } = newest;
                    Newest { position, lsn: Some(lsn), deleted, versions }
                }
            };
            if found < LOOK_AHEAD {
                keys.prefetch(newest.position);
            }
            out.try_reserve(1).map_err(|_| Error::NoMemory("a walk over keys"))?;
            out.push(newest);
            found += 1;
        }
        Ok(())
    }
}
