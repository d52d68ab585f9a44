//! One run of the engine on one simulated disk, from boot to the death of its process, and what it
//! promised at which position of the trace.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tinystoredb::os::sim::{CrashImage, Fault, SimOs, Trace};
use tinystoredb::{Batch, Durability, Error, Options, Store, SyncMode, ValueType, WriteOptions};

use super::changes::{Part, Update};
use super::model::{Allowed, Change, Content, Generation, History, State};
use super::oracle::{Check, Violation, read_all};

/// Where the store lies.
pub const PATH: &str = "/db";

/// Where the clock stands, always: what expires later is there, and counts with its expiry.
pub const CLOCK: i64 = 0;

/// What a life does.
#[derive(Clone, Debug)]
pub enum Step {
    Put {
        key: Vec<u8>,
        value_type: u8,
        size: usize,
        durability: Durability,
    },
    /// Of a key that may be absent.
    Delete {
        key: Vec<u8>,
    },
    Batch {
        changes: Vec<(Vec<u8>, Option<usize>)>,
        durability: Durability,
    },
    /// As a batch, with expiries and deleted ranges too.
    Parts {
        parts: Vec<Part>,
        durability: Durability,
    },
    /// The same in a transaction that has read a key. With `meets`, that key is written before it commits.
    Transaction {
        reads: Vec<u8>,
        meets: bool,
        parts: Vec<Part>,
        durability: Durability,
    },
    DeleteRange {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    /// A change that rests on what the key has.
    Update {
        key: Vec<u8>,
        update: Update,
        durability: Durability,
    },
    /// What has to be refused: a key or a batch that is too large.
    Refused,
    Sync,
    Prepare,
    /// Closes the store, or only drops it, and opens it again.
    Reopen {
        close: bool,
        options: Options,
    },
    /// Limits the disk to what is used and so many bytes.
    Capacity(Option<u64>),
    /// The next sync of a segment's data fails.
    FailSync,
    /// A sync, and while it is under way the puts among these, each on a thread of its own, in this order.
    During(Vec<Step>),
}

/// A running life.
pub struct Life {
    pub os: Arc<SimOs>,
    pub options: Options,
    pub store: Option<Store>,
    pub history: History,
    pub content: Content,
    /// Makes values unlike those of other lives.
    tag: u64,
    values: u64,
    /// A sync failed: nothing more may be accepted.
    pub(super) poisoned: bool,
    pub(super) fault: bool,
}

/// A key that is written just before threads begin.
pub const BEFORE_THREADS: &[u8] = b"before the threads";

/// A put or delete on a thread: whether it was a commit, and the position when it returned.
type Running = JoinHandle<(tinystoredb::Result<bool>, usize)>;

/// What one thread does.
#[derive(Clone)]
struct Task {
    change: Change,
    durability: Durability,
    /// Whether it is a commit, and not a delete of what is absent.
    commits: bool,
    needs: usize,
    waits: bool,
}

impl Task {
    fn run(self, store: &Store) -> tinystoredb::Result<bool> {
        let Task { change: Change { key, value, .. }, durability, .. } = self;
        let Some((number, value)) = value else { return store.delete(&key) };
        let value_type = ValueType::from_number(number).expect("a type");
        store
            .put_with(&key, &value, WriteOptions { value_type, durability, ..WriteOptions::default() })
            .map(|()| true)
    }
}

/// What happens while a sync is under way.
struct Threads {
    os: Arc<SimOs>,
    store: Store,
    tasks: Vec<Task>,
    prepares: bool,
}

impl Threads {
    /// Starts the tasks, each when the one before it is in the log. Whether a put was read that waits.
    fn run(self) -> (Vec<Running>, bool) {
        let last = || self.store.stats().map_or(0, |stats| stats.last_lsn);
        let mut running: Vec<Running> = Vec::new();
        let mut seen = false;
        for task in &self.tasks {
            let before = last();
            let (store, os, copy) = (self.store.clone(), self.os.clone(), task.clone());
            let thread = std::thread::spawn(move || {
                let outcome = copy.run(&store);
                (outcome, os.position().expect("the disk is there"))
            });
            // One that is no commit has nothing to wait for but this sync: it is given a moment.
            let mut moments = 0;
            while last() == before && !thread.is_finished() && (task.commits || moments < 100) {
                std::thread::yield_now();
                moments += 1;
            }
            running.push(thread);
            let value = task.change.value.as_ref().filter(|(_, value)| value.len() >= 16 && task.waits);
            if let Some((_, value)) = value {
                let read = self.store.get(&task.change.key).ok().flatten();
                seen |= read.is_some_and(|read| *read == value[..]);
            }
        }
        if self.prepares {
            let _ = self.store.prepare_segment();
        }
        (running, seen)
    }
}

/// A life that has ended.
pub struct Ended {
    pub trace: Trace,
    pub history: History,
    pub options: Options,
}

impl Life {
    /// On an empty disk.
    pub fn new(seed: u64, options: Options) -> Result<Life, Violation> {
        let os = SimOs::new(seed);
        os.set_now(CLOCK).expect("the disk is there");
        let history = History { generations: vec![Generation::new(0, State::default())] };
        let mut life = Life {
            os,
            options: options.clone(),
            store: None,
            history,
            content: Content::default(),
            tag: seed,
            values: 0,
            poisoned: false,
            fault: false,
        };
        life.open(options)?;
        Ok(life)
    }

    /// On the disk that `image` left, which may hold one of the `allowed` states.
    pub fn after(
        image: &CrashImage,
        allowed: &Allowed<'_>,
        options: Options,
        tag: u64,
    ) -> Result<Life, Violation> {
        let os = SimOs::from_image(image);
        os.set_now(CLOCK).expect("the disk is there");
        let mut first = Generation::new(0, allowed.states[allowed.least]);
        for state in &allowed.states[allowed.least + 1..=allowed.most] {
            first.begin(0, *state);
        }
        let mut life = Life {
            os,
            options: options.clone(),
            store: None,
            history: History { generations: vec![first] },
            content: Content::default(),
            tag,
            values: 0,
            poisoned: false,
            fault: false,
        };
        life.open(options)?;
        // What was found once is found again after a recovery that was interrupted: on a disk of which
        // nothing was pending, always; else as long as the machine runs. More may be found, as long as
        // nobody was served: the first half of a torn frame and the second half of the seal over it can
        // make up the frame.
        let opened = life.content.state;
        let first = &mut life.history.generations[0];
        let place = first.states.iter().rposition(|state| *state == opened);
        let place = place.ok_or_else(|| {
            Violation::new(Check::Prefix, "a store that was opened holds what no prefix gives".to_string())
        })?;
        first.keep(0, place, !image.is_kill());
        first.keep(0, place, false);
        Ok(life)
    }

    fn position(&self) -> usize {
        self.os.position().expect("the disk is there")
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("a life has an open store")
    }

    /// Opens the store; what it holds is what counts from now on, durably.
    fn open(&mut self, options: Options) -> Result<(), Violation> {
        let store = Store::open_on(self.os.clone(), PATH, &options)
            .map_err(|error| Violation::new(Check::of_open(&error), format!("opening failed: {error}")))?;
        let entries = read_all(&store)?;
        let mut state = State::default();
        entries.values().for_each(|entry| state.add(*entry));
        self.content = Content { entries, state };
        let position = self.position();
        self.history.generations.push(Generation::new(position, state));
        self.options = options;
        self.store = Some(store);
        self.poisoned = false;
        Ok(())
    }

    /// A value that no other commit has, if it has 16 bytes or more.
    pub(super) fn value(&mut self, size: usize) -> Vec<u8> {
        self.values += 1;
        let head = [self.tag.to_le_bytes(), self.values.to_le_bytes()].concat();
        let mut value = vec![self.values as u8 | 1; size];
        let length = size.min(16);
        // The end differs too: a value cut short or run together is another one.
        value[size - length..].copy_from_slice(&head[..length]);
        value[..length].copy_from_slice(&head[..length]);
        value
    }

    pub(super) fn waits(&self, durability: Durability) -> bool {
        match durability {
            Durability::Default => self.options.sync_mode == SyncMode::Always,
            Durability::Wait => true,
            Durability::NoWait => false,
        }
    }

    /// Does `act`, which is to make these changes in one commit.
    pub(super) fn commit(
        &mut self,
        changes: &[Change],
        waits: bool,
        act: impl FnOnce(&Store) -> tinystoredb::Result<()>,
    ) -> Result<bool, Violation> {
        let mut after = self.content.clone();
        after.apply(changes);
        let begun = self.position();
        self.history.last().begin(begun, after.state);
        let outcome = act(self.store());
        let position = self.position();
        match outcome {
            Ok(()) if self.poisoned => Err(Violation::new(
                Check::Poison,
                "a commit was accepted after a sync had failed".to_string(),
            )),
            Ok(()) => {
                self.content = after;
                let commits = self.history.last().commits();
                self.history.last().keep(position, commits, waits);
                Ok(true)
            }
            Err(Error::NoSpace { .. }) => {
                self.history.last().refuse();
                Ok(false)
            }
            Err(Error::Poisoned(_)) if self.poisoned => {
                self.history.last().refuse();
                Ok(false)
            }
            // In the log, perhaps on the device, and seen by nobody.
            Err(Error::Io { .. }) if self.fault && !self.poisoned => {
                self.poisoned = true;
                Ok(false)
            }
            Err(error) => Err(Violation::new(Check::Live, format!("a commit failed: {error}"))),
        }
    }

    pub(super) fn change(&mut self, key: &[u8], value: Option<(u8, usize)>) -> Change {
        let value = value.map(|(value_type, size)| (value_type, self.value(size)));
        Change { key: key.to_vec(), value, expiry: None }
    }

    /// Does one step, and checks what it answers.
    pub fn step(&mut self, step: &Step) -> Result<(), Violation> {
        match step {
            Step::Put { key, value_type, size, durability } => {
                let change = self.change(key, Some((*value_type, *size)));
                self.put(&change, *durability)?;
            }
            Step::Delete { key } => self.delete(key)?,
            Step::Batch { changes, durability } => self.batch(changes, *durability)?,
            Step::Parts { parts, durability } => self.parts(parts, *durability)?,
            Step::Transaction { reads, meets, parts, durability } => {
                self.transaction(reads, *meets, parts, *durability)?;
            }
            Step::DeleteRange { from, to } => self.delete_range(from, to)?,
            Step::Update { key, update, durability } => self.update(key, *update, *durability)?,
            Step::Refused => {
                let large = vec![0; tinystoredb::KEY_SIZE_MAX + 1];
                let refused = self.store().put(&large, b"refused");
                if !matches!(refused, Err(Error::KeyTooLarge { .. } | Error::Poisoned(_))) {
                    return Err(Violation::new(Check::Live, format!("{refused:?} for a key too large")));
                }
            }
            Step::Sync => self.sync()?,
            Step::Prepare => {
                let prepared = self.store().prepare_segment();
                if let Err(error) = prepared
                    && !matches!(error, Error::NoSpace { .. } | Error::Poisoned(_))
                {
                    return Err(Violation::new(Check::Live, format!("preparing failed: {error}")));
                }
            }
            Step::Reopen { close, options } => {
                self.end_session(*close)?;
                self.os.set_fault(None).expect("the disk is there");
                self.fault = false;
                let before = (self.content.state, self.poisoned);
                self.open(options.clone())?;
                if before != (self.content.state, false) && !before.1 {
                    let text = format!("{:?} was closed, {:?} opened", before.0, self.content.state);
                    return Err(Violation::new(Check::Lost, text));
                }
            }
            Step::Capacity(room) => {
                let limit = room.map(|room| self.os.used().expect("the disk is there") + room);
                self.os.set_capacity(limit).expect("the disk is there");
            }
            Step::FailSync => {
                let fault = Fault::nth(1, libc::EIO).on(tinystoredb::os::sim::Call::SyncData);
                self.os.set_fault(Some(fault)).expect("the disk is there");
                self.fault = true;
            }
            Step::During(steps) => self.during(steps)?,
        }
        let bare = self.os.unpopulated_stores().expect("the disk is there");
        if bare > 0 {
            return Err(Violation::new(Check::Populated, format!("{bare} stores into pages not present")));
        }
        Ok(())
    }

    pub(super) fn put(&mut self, change: &Change, durability: Durability) -> Result<(), Violation> {
        let (value_type, value) = change.value.clone().expect("a put has a value");
        let value_type = ValueType::from_number(value_type).expect("a type");
        let waits = self.waits(durability);
        let done = self.commit(std::slice::from_ref(change), waits, |store| {
            store.put_with(
                &change.key,
                &value,
                WriteOptions { value_type, durability, ..WriteOptions::default() },
            )
        })?;
        let read = self.store().get(&change.key).map_err(Violation::live)?;
        if done && read.as_deref() != Some(&value[..]) {
            return Err(Violation::new(Check::Live, "a put that was acknowledged is not read".to_string()));
        }
        if !done && read.as_deref() == Some(&value[..]) && value.len() >= 16 {
            return Err(Violation::new(Check::Live, "a put that failed is read".to_string()));
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Violation> {
        let there = self.content.entries.contains_key(key);
        let waits = self.waits(Durability::Default);
        if there {
            let change = Change { key: key.to_vec(), value: None, expiry: None };
            let mut answer = None;
            let done = self.commit(&[change], waits, |store| {
                answer = Some(store.delete(key)?);
                Ok(())
            })?;
            if done && answer != Some(true) {
                return Err(Violation::new(Check::Live, "a key that was there was not deleted".to_string()));
            }
            return Ok(());
        }
        match self.store().delete(key) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Violation::new(Check::Live, "a key that was absent was deleted".to_string())),
            Err(_) if self.poisoned => Ok(()),
            Err(Error::NoSpace { .. }) => Ok(()),
            Err(Error::Io { .. }) if self.fault => {
                self.poisoned = true;
                Ok(())
            }
            Err(error) => Err(Violation::live(error)),
        }
    }

    fn batch(
        &mut self,
        changes: &[(Vec<u8>, Option<usize>)],
        durability: Durability,
    ) -> Result<(), Violation> {
        let changes: Vec<_> =
            changes.iter().map(|(key, size)| self.change(key, size.map(|size| (0, size)))).collect();
        let mut batch = Batch::new();
        for change in &changes {
            match &change.value {
                Some((_, value)) => batch.put(&change.key, value),
                None => batch.delete(&change.key),
            }
            .map_err(Violation::live)?;
        }
        let waits = self.waits(durability);
        self.commit(&changes, waits, |store| store.write(&batch, durability))?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Violation> {
        let outcome = self.store().sync();
        let position = self.position();
        match outcome {
            Ok(()) if self.poisoned => {
                Err(Violation::new(Check::Poison, "a sync succeeded after one had failed".to_string()))
            }
            Ok(()) => {
                let commits = self.history.last().commits();
                self.history.last().keep(position, commits, true);
                Ok(())
            }
            Err(_) if self.poisoned => Ok(()),
            Err(Error::Io { .. }) if self.fault => {
                self.poisoned = true;
                Ok(())
            }
            Err(error) => Err(Violation::live(error)),
        }
    }

    /// What is begun while a sync is under way is not covered by it, and not seen before its own.
    fn during(&mut self, steps: &[Step]) -> Result<(), Violation> {
        if self.poisoned {
            return Ok(());
        }
        let first = self.change(BEFORE_THREADS, Some((0, 50)));
        self.put(&first, Durability::NoWait)?;
        let covered = self.history.last().commits();
        let mut tasks: Vec<Task> = Vec::new();
        for step in steps {
            let (change, durability) = match step {
                Step::Put { key, value_type, size, durability } => {
                    (self.change(key, Some((*value_type, *size))), *durability)
                }
                Step::Delete { key } => {
                    (Change { key: key.clone(), value: None, expiry: None }, Durability::Default)
                }
                _ => continue,
            };
            let commits = change.value.is_some() || self.content.entries.contains_key(&change.key);
            if commits {
                self.content.apply(std::slice::from_ref(&change));
                let (begun, state) = (self.position(), self.content.state);
                self.history.last().begin(begun, state);
            }
            // What has to be durable when it returns: itself, or the delete that it found done.
            let needs = if commits {
                self.history.last().commits()
            } else {
                let before = tasks.iter().rev().find(|task| task.change.key == change.key);
                before.map_or(0, |task| task.needs)
            };
            tasks.push(Task { change, durability, commits, needs, waits: self.waits(durability) });
        }
        let prepares = steps.iter().any(|step| matches!(step, Step::Prepare));
        let running = Arc::new(Mutex::new((Vec::new(), false)));
        let (os, store) = (self.os.clone(), self.store().clone());
        let threads = Threads { os, store, tasks: tasks.clone(), prepares };
        let shared = running.clone();
        self.os.during_next_sync(move || *shared.lock().unwrap() = threads.run()).expect("the disk is there");
        let synced = self.store().sync();
        let position = self.position();
        self.os.during_next_sync(|| {}).expect("the disk is there");
        let (running, seen) = std::mem::take(&mut *running.lock().unwrap());
        if running.len() != tasks.len() {
            let text = "a sync with something to do did not sync anything".to_string();
            return Err(Violation::new(Check::Live, text));
        }
        if synced.is_ok() {
            self.history.last().keep(position, covered, true);
        }
        for (task, thread) in tasks.iter().zip(running) {
            let (outcome, position) = thread.join().expect("a thread that writes");
            match outcome {
                Ok(there) if there != task.commits => {
                    let text = format!("{:?} was there: {there}", task.change.key);
                    return Err(Violation::new(Check::Live, text));
                }
                Ok(_) => self.history.last().keep(position, task.needs, task.waits),
                Err(Error::Io { .. } | Error::Poisoned(_)) if self.fault => {}
                Err(error) => return Err(Violation::live(error)),
            }
        }
        if seen {
            let text = "a commit was read while it was waiting for the device".to_string();
            return Err(Violation::new(Check::Visible, text));
        }
        match synced {
            Ok(()) => Ok(()),
            Err(Error::Io { .. }) if self.fault => {
                self.poisoned = true;
                Ok(())
            }
            Err(error) => Err(Violation::live(error)),
        }
    }

    /// Ends the session, with a close or by dropping the store.
    fn end_session(&mut self, close: bool) -> Result<(), Violation> {
        let store = self.store.take().expect("a life has an open store");
        if close {
            match store.close() {
                Ok(()) => {
                    let (position, commits) = (self.position(), self.history.last().commits());
                    if self.poisoned {
                        let text = "closing succeeded after a failed sync".to_string();
                        return Err(Violation::new(Check::Poison, text));
                    }
                    self.history.last().keep(position, commits, true);
                }
                Err(_) if self.poisoned => {}
                Err(Error::Io { .. }) if self.fault => self.poisoned = true,
                Err(error) => return Err(Violation::live(error)),
            }
        }
        drop(store);
        Ok(())
    }

    pub fn run(&mut self, steps: &[Step]) -> Result<(), Violation> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    /// The process dies here. The store is closed all the same, for the operations that go with it, if
    /// `close` is set.
    pub fn end(mut self, close: bool) -> Result<Ended, Violation> {
        if close {
            self.end_session(true)?;
        }
        let trace = self.os.trace().expect("the disk is there");
        drop(self.store);
        Ok(Ended { trace, history: self.history, options: self.options })
    }
}
