//! Every order in which the steps of a writer, of readers and of snapshots can fall, where the store's own
//! marks, tables and the index meet. `RUSTFLAGS="--cfg loom" cargo test --lib store::tests::loom`
//!
//! The table of snapshots has one slot here: the second snapshot is one of the overflow list.

mod close;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::{Found, Index, KeySource, Need, Version, Writer as IndexWriter};
use crate::store::retained::{Note, Retained};
use crate::store::snapshots::{Registered, Snapshots, Ticket};
use crate::store::visibility::{Seen, Visibility};
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock, thread};
use crate::types::{Lsn, Position};

/// Runs `model` in every order with up to `preemptions` preemptions.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{}: {orders:?} orders", std::thread::current().name().unwrap_or_default());
}

/// The records that a model writes: the LSN is the place in the list, from 1 on, and the position.
#[derive(Clone, Copy)]
struct Log(&'static [&'static [u8]]);

impl Log {
    /// LSN of the newest version of `key` that is not newer than `lsn`.
    fn newest(&self, key: &[u8], lsn: Lsn) -> Option<Lsn> {
        (1..=lsn).rev().find(|lsn| self.key(*lsn) == key)
    }

    fn key(&self, lsn: Lsn) -> &'static [u8] {
        self.0[lsn as usize - 1]
    }

    fn position(lsn: Lsn) -> Position {
        Position::from_units(lsn)
    }

    fn lsn(position: Position) -> Lsn {
        position.to_units()
    }
}

impl KeySource for Log {
    fn key_at(&self, position: Position) -> Result<&[u8]> {
        self.0.get(position.to_units() as usize - 1).copied().ok_or(Error::Internal("no such record"))
    }

    fn lsn_at(&self, position: Position) -> Result<Lsn> {
        Ok(Log::lsn(position))
    }
}

/// A store without its files: what `write`, `read` and `snapshot` do to the marks and the index, step by
/// step.
struct Store {
    log: Log,
    index: Index,
    visibility: Visibility,
    snapshots: Snapshots,
}

impl Store {
    /// A store in which the first `present` records of `log` are visible.
    fn new(log: Log, present: Lsn) -> (Arc<Store>, IndexWriter) {
        let (index, mut writer) = Index::with_limit(1 << 20).unwrap();
        for lsn in 1..=present {
            writer.insert(log.key(lsn), Log::position(lsn), &log).unwrap();
        }
        let snapshots = Snapshots::new().unwrap();
        (Arc::new(Store { log, index, visibility: Visibility::new(present), snapshots }), writer)
    }

    fn version(lsn: Lsn) -> Version {
        Version { lsn, position: Log::position(lsn), deleted: false }
    }

    /// As `Inner::commit_one`, of a put that nobody waits for.
    fn put(&self, writer: &mut IndexWriter, lsn: Lsn) {
        let note = |replaced| {
            self.visibility.note(lsn, replaced);
            !self.snapshots.are_none()
        };
        let needed = |older: &Version, newer: Lsn| self.retain(older, newer);
        writer.put_newest(self.log.key(lsn), Store::version(lsn), &self.log, note, needed).unwrap();
        self.visibility.set_applied(lsn);
        self.visibility.advance(self.visibility.waiting());
    }

    /// As `Inner::retain`.
    fn retain(&self, older: &Version, newer: Lsn) -> Need {
        self.snapshots.needing(older.lsn, newer).map_or(Need::Nobody, |_| Need::Snapshots)
    }

    /// As `Inner::need`.
    fn need(&self, visible: Lsn, older: &Version, newer: Lsn) -> Need {
        if newer > visible { Need::Readers } else { self.retain(older, newer) }
    }

    /// As `Inner::push_beside`: beside the versions that readers may still see.
    fn push(&self, writer: &mut IndexWriter, lsn: Lsn) {
        let visible = self.visible_for_pruning();
        let needed = |older: &Version, newer: Lsn| self.need(visible, older, newer);
        writer.push_version(self.log.key(lsn), Store::version(lsn), &self.log, needed, |_| {}).unwrap();
    }

    /// As `Inner::prune_key`.
    fn prune(&self, writer: &mut IndexWriter, lsn: Lsn) {
        let visible = self.visible_for_pruning();
        let needed = |older: &Version, newer: Lsn| self.need(visible, older, newer);
        writer.prune_versions(self.log.key(lsn), &self.log, needed, |_| {}).unwrap();
    }

    fn visible_for_pruning(&self) -> Lsn {
        let visible = self.visibility.visible();
        fence(Ordering::SeqCst);
        visible
    }

    /// As `Store::snapshot`.
    fn snapshot(&self) -> Registered {
        let _pin = self.index.pin().unwrap();
        self.snapshots.register(&self.visibility, 0).unwrap()
    }

    /// As `Inner::find_at`.
    fn find_at(&self, key: &[u8], snapshot: &Registered) -> Option<Lsn> {
        if let Some(replaced) = snapshot.replaced.filter(|position| self.log.key(Log::lsn(*position)) == key)
        {
            return Some(Log::lsn(replaced));
        }
        let pin = self.index.pin().unwrap();
        let seen = |found| match found {
            Found::None => None,
            Found::One(position) => Some(Log::lsn(position)).filter(|lsn| *lsn <= snapshot.lsn),
            Found::Many(versions) => versions.at(snapshot.lsn).map(|version| Log::lsn(version.position)),
        };
        seen(pin.find(key)).or_else(|| seen(pin.find_older(key)))
    }

    /// As `Inner::find`.
    fn find(&self, key: &[u8]) -> Option<Lsn> {
        let pin = self.index.pin().unwrap();
        match pin.find(key) {
            Found::None => None,
            Found::One(position) => match self.visibility.of_only_version(Log::lsn(position)) {
                Seen::Visible => Some(Log::lsn(position)),
                Seen::Replaces(before) => Some(Log::lsn(before)),
                Seen::NotYet => None,
            },
            Found::Many(versions) => {
                let visible = self.visibility.visible();
                versions.at(visible).map(|version| Log::lsn(version.position))
            }
        }
    }

    /// Takes a snapshot, looks `keys` up in it, and ends it.
    fn check_snapshot(&self, keys: &[&[u8]]) {
        let snapshot = self.snapshot();
        for key in keys {
            let found = self.find_at(key, &snapshot);
            assert_eq!(found, self.log.newest(key, snapshot.lsn), "{key:?} at {}", snapshot.lsn);
        }
        self.snapshots.release(&snapshot.ticket);
    }
}

const ONE_KEY: Log = Log(&[b"a", b"a", b"a"]);
const TWO_KEYS: Log = Log(&[b"a", b"b", b"a", b"b"]);

/// Runs `read` beside a writer, from the same start.
fn beside(
    preemptions: usize,
    (log, present): (Log, Lsn),
    readers: usize,
    write: fn(&Store, &mut IndexWriter),
    read: fn(&Store),
) {
    explore(preemptions, move || {
        let (store, mut writer) = Store::new(log, present);
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let store = Arc::clone(&store);
                thread::spawn(move || read(&store))
            })
            .collect();
        write(&store, &mut writer);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        read(&store);
    });
}

/// The mark and the note alone, without an index: a snapshot keeps what the one commit replaces that has not
/// met it, whichever of several commits that is.
#[test]
fn a_snapshot_keeps_what_is_replaced_by_a_commit_that_has_not_met_it() {
    explore(3, || {
        let shared = Arc::new((Visibility::new(1), Snapshots::new().unwrap(), AtomicU64::new(1)));
        let snapshot = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (visibility, snapshots, newest) = &*shared;
                let Registered { lsn, replaced, ticket } = snapshots.register(visibility, 0).unwrap();
                let found = replaced.map_or_else(|| newest.load(Ordering::Acquire), Log::lsn);
                assert!(found == lsn, "the snapshot at {lsn} finds {found}");
                snapshots.release(&ticket);
            })
        };
        let (visibility, snapshots, newest) = &*shared;
        for lsn in [2, 3] {
            visibility.note(lsn, Some(Log::position(lsn - 1)));
            if !snapshots.are_none() {
                // It would be kept beside the older one from here on.
                break;
            }
            newest.store(lsn, Ordering::Release);
            visibility.set_applied(lsn);
            visibility.advance(visibility.waiting());
        }
        snapshot.join().unwrap();
    });
}

#[test]
fn a_snapshot_finds_its_version_whatever_is_put_in_place_of_it() {
    beside(
        2,
        (ONE_KEY, 1),
        1,
        |store, writer| {
            store.put(writer, 2);
            store.put(writer, 3);
        },
        |store| store.check_snapshot(&[b"a"]),
    );
}

#[test]
fn two_snapshots_find_their_versions_though_one_has_no_slot() {
    beside(2, (ONE_KEY, 1), 2, |store, writer| store.put(writer, 2), |store| store.check_snapshot(&[b"a"]));
}

/// A commit that waits for the device, then is visible and pruned.
#[test]
fn a_snapshot_finds_its_version_beside_commits_that_wait() {
    beside(
        3,
        (ONE_KEY, 1),
        1,
        |store, writer| {
            store.visibility.set_waiting(2);
            store.push(writer, 2);
            store.visibility.set_applied(2);
            store.visibility.advance(1);
            store.visibility.advance(2);
            store.prune(writer, 2);
        },
        |store| store.check_snapshot(&[b"a"]),
    );
}

/// A batch of two keys, and the same two keys as one snapshot sees them.
#[test]
fn a_snapshot_sees_all_of_a_batch_or_nothing() {
    beside(
        2,
        (TWO_KEYS, 2),
        1,
        |store, writer| {
            store.push(writer, 3);
            store.push(writer, 4);
            store.visibility.set_applied(4);
            store.visibility.advance(store.visibility.waiting());
            store.prune(writer, 3);
            store.prune(writer, 4);
        },
        |store| {
            store.check_snapshot(&[b"a", b"b"]);
        },
    );
}

/// Keys that were not there before a batch put them: two readers tell each other what is visible.
#[test]
fn who_sees_one_key_of_a_batch_sees_the_other_one() {
    const LOG: Log = Log(&[b"a", b"b"]);
    beside(
        2,
        (LOG, 0),
        2,
        |store, writer| {
            store.push(writer, 1);
            store.push(writer, 2);
            store.visibility.set_applied(2);
            store.visibility.advance(store.visibility.waiting());
        },
        |store| {
            if store.find(b"a").is_some() {
                assert_eq!(store.find(b"b"), Some(2), "half of a batch");
            }
        },
    );
}

/// The same of the marks alone, in all orders.
#[test]
fn what_a_reader_was_told_is_visible_brings_all_before_it() {
    explore(3, || {
        let shared = Arc::new((Visibility::new(0), AtomicU64::new(0)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (visibility, other) = &*shared;
                    if visibility.of_only_version(1) == Seen::Visible {
                        assert_eq!(other.load(Ordering::Acquire), 2, "half of a batch");
                    }
                })
            })
            .collect();
        let (visibility, other) = &*shared;
        other.store(2, Ordering::Release);
        visibility.set_applied(2);
        visibility.advance(visibility.waiting());
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// A reader beside two puts in place: the key has a value all the time, and never an older one than before.
#[test]
fn a_reader_finds_a_value_whatever_is_put_in_place_of_it() {
    beside(
        3,
        (ONE_KEY, 1),
        1,
        |store, writer| {
            store.put(writer, 2);
            store.put(writer, 3);
        },
        |store| {
            let first = store.find(b"a").expect("the key is lost");
            let second = store.find(b"a").expect("the key is lost");
            assert!(first <= second, "{first} and then {second}");
        },
    );
}

/// The same of the marks alone: what the index gives as the only version is visible, or its note is found.
#[test]
fn a_record_that_is_not_visible_yet_leads_to_the_one_before_it() {
    explore(3, || {
        let shared = Arc::new((Visibility::new(1), AtomicU64::new(1)));
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (visibility, newest) = &*shared;
                let found = newest.load(Ordering::Acquire);
                match visibility.of_only_version(found) {
                    Seen::Visible => {}
                    Seen::Replaces(before) => assert_eq!(Log::lsn(before), found - 1),
                    Seen::NotYet => panic!("what was put before {found} is lost"),
                }
            })
        };
        let (visibility, newest) = &*shared;
        for lsn in [2, 3] {
            visibility.note(lsn, Some(Log::position(lsn - 1)));
            newest.store(lsn, Ordering::Release);
            visibility.set_applied(lsn);
            visibility.advance(visibility.waiting());
        }
        reader.join().unwrap();
    });
}

/// What `Inner::settle` does, to the notes alone.
fn settle(snapshots: &Snapshots, notes: &Mutex<Retained>) {
    let mut notes = lock(notes).unwrap();
    snapshots.begin_to_settle();
    while let Some(note) = notes.take(snapshots) {
        fence(Ordering::SeqCst);
        if let Some(lsn) = snapshots.needing(note.older, note.newer) {
            notes.add(snapshots, lsn, note);
            return;
        }
    }
}

/// What `Held` and `Inner::settle_soon` do when a snapshot ends.
fn end(snapshots: &Snapshots, notes: &Mutex<Retained>, ticket: &Ticket) {
    if snapshots.release(ticket) {
        snapshots.set_unsettled();
        settle(snapshots, notes);
    }
}

/// Nothing is kept for a snapshot that has ended without that being known.
fn assert_settled(snapshots: &Snapshots, notes: &Mutex<Retained>) {
    let kept = lock(notes).unwrap().figures().0;
    assert!(kept == 0 || snapshots.unsettled(), "a version is kept for nobody");
}

const NOTE: Note = Note { position: Position::from_units(1), older: 1, newer: 2, bytes: 0 };

/// A commit notes what a snapshot needs while that one begins and ends.
#[test]
fn what_is_kept_for_a_snapshot_is_looked_at_when_it_has_ended() {
    explore(3, || {
        let shared =
            Arc::new((Visibility::new(1), Snapshots::new().unwrap(), Mutex::new(Retained::default())));
        let (visibility, snapshots, notes) = &*shared;
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (visibility, snapshots, notes) = &*shared;
                let ticket = snapshots.register(visibility, 0).unwrap().ticket;
                end(snapshots, notes, &ticket);
            })
        };
        {
            let mut notes = lock(notes).unwrap();
            visibility.set_applied(2);
            visibility.advance(visibility.waiting());
            fence(Ordering::SeqCst);
            if let Some(lsn) = snapshots.needing(1, 2) {
                notes.add(snapshots, lsn, NOTE);
            }
        }
        other.join().unwrap();
        assert_settled(snapshots, notes);
    });
}

/// A snapshot ends while the notes are looked at because of another one.
#[test]
fn a_snapshot_that_ends_during_a_look_at_what_is_kept_is_not_overlooked() {
    explore(3, || {
        let shared =
            Arc::new((Visibility::new(1), Snapshots::new().unwrap(), Mutex::new(Retained::default())));
        let (visibility, snapshots, notes) = &*shared;
        let ticket = snapshots.register(visibility, 0).unwrap().ticket;
        lock(notes).unwrap().add(snapshots, 1, NOTE);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || settle(&shared.1, &shared.2))
        };
        // As where the append lock is not free: only the flag is set.
        if snapshots.release(&ticket) {
            snapshots.set_unsettled();
        }
        other.join().unwrap();
        assert_settled(snapshots, notes);
    });
}
