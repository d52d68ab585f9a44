//! A process that writes and is stopped in the middle: what `kill.rs` and `power_cut.rs` share.
//!
//! The test binary runs itself as a child. The child opens a store and writes with up to eight threads;
//! every operation follows from a seed, so that the parent knows what each was without being told. In
//! memory that both map, the child notes each operation twice: before it begins, and when it was
//! acknowledged. The parent stops the child, opens the store, and holds it against the notes.
//!
//! Each thread writes keys of its own, whose contents are known exactly: all that was acknowledged (or,
//! after a power cut, all that was durable), then any number of the operations begun after that, in
//! order, without a gap. Four more keys are written by all threads; a value found there must be one that
//! no acknowledged operation is known to have replaced.
#![allow(dead_code, unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tinystoredb::{Batch, Durability, Error, Options, Store, SyncMode, WriteMode, WriteOptions};

/// Most threads that a child writes with.
pub const THREADS_MAX: usize = 8;
/// Most operations of one thread in one session.
pub const OPERATIONS_MAX: usize = 8192;
/// Keys that a thread has for itself.
const OWN: usize = 48;
/// Keys that all threads write, numbered behind the own ones.
const SHARED: usize = 4;
/// Bytes of a value that say who wrote it.
const SIGNATURE_SIZE: u32 = 16;

/// The child: store, notes, seed, number and role of the session, separated by `|`.
const CHILD_VARIABLE: &str = "TSTORE_TEST_WRITER";
/// The name of the test in each binary that becomes the child.
pub const CHILD_TEST: &str = "writer_process";

/// Numbers that look random and follow from a seed (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(parts: &[u64]) -> Numbers {
        let mut numbers = Numbers(0x5704);
        for part in parts {
            numbers.0 = numbers.next() ^ part;
        }
        numbers
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The seed of this run: TSTORE_TORTURE_SEED, or one that nobody chose. Printed, so that a failing test
/// shows it.
pub fn seed() -> u64 {
    let seed = match std::env::var("TSTORE_TORTURE_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TSTORE_TORTURE_SEED={text} is not a number")),
        Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8) >> 16,
    };
    println!("seed {seed} (again: TSTORE_TORTURE_SEED={seed})");
    seed
}

/// A number from the environment, or `default`.
pub fn parameter(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opens the store and writes.
    Write,
    /// Opens the store and waits to be stopped.
    Recover,
    /// As `Write`, without space for another segment: what is left is the reserve.
    Full,
}

/// One life of the child.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    pub seed: u64,
    pub number: u32,
    pub role: Role,
}

/// How a session goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub threads: usize,
    pub operations: u32,
    pub options: Options,
    /// Whether it closes the store when all operations are done, or just ends.
    pub closes: bool,
    /// Whether values are large, so that segments fill up.
    large: bool,
    /// One in so many writes waits for the device, or does not, against the mode.
    overrides: u64,
}

/// Who wrote a value: it can be made again from this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Written {
    session: u32,
    thread: u32,
    operation: u32,
    part: u32,
    size: u32,
}

#[derive(Debug)]
pub enum Operation {
    Put(usize, Written, Durability),
    Delete(usize),
    Batch(Vec<(usize, Option<Written>)>, Durability),
    Read(usize),
    Sync,
}

impl Session {
    pub fn plan(&self) -> Plan {
        let mut numbers = Numbers::new(&[self.seed, u64::from(self.number), 1]);
        let sync_mode = match numbers.below(3) {
            0 => SyncMode::Always,
            1 => SyncMode::Interval(Duration::from_millis(1 + numbers.below(20))),
            _ => SyncMode::OnRequest,
        };
        let large = numbers.one_in(4);
        let operations = match (self.role, sync_mode, large) {
            (Role::Recover, _, _) => 0,
            (_, SyncMode::Always, _) => 1 + numbers.below(60),
            (_, _, true) => 1 + numbers.below(60),
            _ => 1 + numbers.below(1500),
        };
        Plan {
            threads: 1 + numbers.below(THREADS_MAX as u64) as usize,
            operations: operations as u32,
            options: Options {
                sync_mode,
                write_mode: if numbers.one_in(3) { WriteMode::Pwrite } else { WriteMode::Mapped },
                segment_size_max: (4 << 20) * (1 + numbers.below(2)),
                maintenance: !numbers.one_in(4),
                ..Options::default()
            },
            closes: !numbers.one_in(3),
            large,
            overrides: if numbers.one_in(2) { 300 } else { 4 },
        }
    }

    /// What `thread` does as its `index`-th operation.
    pub fn operation(&self, plan: &Plan, thread: usize, index: u32) -> Operation {
        let mut numbers =
            Numbers::new(&[self.seed, u64::from(self.number), thread as u64, u64::from(index), 2]);
        let written = |numbers: &mut Numbers, part| Written {
            session: self.number,
            thread: thread as u32,
            operation: index,
            part,
            size: value_size(numbers, plan.large),
        };
        let durability = match (numbers.one_in(plan.overrides), numbers.one_in(2)) {
            (false, _) => Durability::Default,
            (true, true) => Durability::Wait,
            (true, false) => Durability::NoWait,
        };
        let own = numbers.below(OWN as u64) as usize;
        let shared = OWN + numbers.below(SHARED as u64) as usize;
        match numbers.below(100) {
            0..50 => Operation::Put(own, written(&mut numbers, 0), durability),
            50..68 => Operation::Delete(own),
            68..76 => Operation::Put(shared, written(&mut numbers, 0), durability),
            76..78 => Operation::Delete(shared),
            78..88 => {
                let count = 1 + numbers.below(12);
                let mut changes = Vec::new();
                for part in 0..count as u32 {
                    let value = (!numbers.one_in(3)).then(|| written(&mut numbers, part));
                    changes.push((numbers.below(OWN as u64) as usize, value));
                }
                Operation::Batch(changes, durability)
            }
            88..99 => Operation::Read(own),
            _ if numbers.one_in(plan.overrides) => Operation::Sync,
            _ => Operation::Read(own),
        }
    }

    /// Starts the child. Its verdict on itself comes through the notes.
    pub fn start(&self, store: &Path, notes: &Notes) -> Child {
        let role = match self.role {
            Role::Write => "write",
            Role::Recover => "recover",
            Role::Full => "full",
        };
        let (store, notes) = (store.display(), notes.path.display());
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--test-threads=1", CHILD_TEST])
            .env(CHILD_VARIABLE, format!("{store}|{notes}|{}|{}|{role}", self.seed, self.number))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

fn value_size(numbers: &mut Numbers, large: bool) -> u32 {
    let most = match (large, numbers.below(8)) {
        (true, 0) => 300 << 10,
        (true, _) => 40 << 10,
        (false, 0) => 3000,
        (false, _) => 150,
    };
    SIGNATURE_SIZE + numbers.below(most) as u32
}

impl Operation {
    /// What it changes, in order.
    fn changes(&self) -> Vec<(usize, Option<Written>)> {
        match self {
            Operation::Put(slot, written, _) => vec![(*slot, Some(*written))],
            Operation::Delete(slot) => vec![(*slot, None)],
            Operation::Batch(changes, _) => changes.clone(),
            Operation::Read(_) | Operation::Sync => Vec::new(),
        }
    }

    /// Whether everything up to it is on the device when it was acknowledged.
    fn waits(&self, mode: SyncMode) -> bool {
        let durability = match self {
            Operation::Put(_, _, durability) | Operation::Batch(_, durability) => *durability,
            Operation::Delete(_) => Durability::Default,
            Operation::Read(_) => Durability::NoWait,
            Operation::Sync => Durability::Wait,
        };
        match durability {
            Durability::Wait => true,
            Durability::NoWait => false,
            Durability::Default => mode == SyncMode::Always,
        }
    }
}

fn key(thread: usize, slot: usize) -> Vec<u8> {
    if slot >= OWN {
        return format!("shared/{}", slot - OWN).into_bytes();
    }
    // Of different lengths, some the beginning of others.
    let mut key = format!("{thread}/{}", slot / 3).into_bytes();
    key.resize(key.len() + slot % 3 * 9, b'.');
    key
}

impl Written {
    fn value(&self) -> Vec<u8> {
        let signature = [self.session, self.thread, self.operation, self.part];
        let mut value: Vec<u8> = signature.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut numbers = Numbers::new(&signature.map(u64::from));
        while value.len() < self.size as usize {
            value.extend_from_slice(&numbers.next().to_le_bytes());
        }
        value.truncate(self.size as usize);
        value
    }

    fn from_value(value: &[u8]) -> Result<Written, String> {
        let number =
            |at: usize| value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let [Some(session), Some(thread), Some(operation), Some(part)] = [0, 4, 8, 12].map(number) else {
            return Err(format!("a value of {} bytes, which nobody wrote", value.len()));
        };
        let written = Written { session, thread, operation, part, size: value.len() as u32 };
        if written.value() != value {
            return Err(format!("a value that is signed as {written:?} and is not what that wrote"));
        }
        Ok(written)
    }
}

/// How far the child has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Phase {
    Started = 0,
    Opening = 1,
    Writing = 2,
    Closing = 3,
    Ended = 4,
}

#[repr(C)]
struct Board {
    phase: AtomicU32,
    failure_size: AtomicU32,
    failure: [AtomicU8; 1024],
    /// Counts every beginning and every acknowledgement of all threads.
    clock: AtomicU64,
    /// Digest of what a recovered store served; 0: nothing yet.
    served: AtomicU64,
    threads: [ThreadBoard; THREADS_MAX],
}

#[repr(C, align(128))]
struct ThreadBoard {
    /// Operations that are durable, with all before them.
    durable: AtomicU32,
    /// When an operation began; 0: it has not.
    begun: [AtomicU64; OPERATIONS_MAX],
    /// Twice the time when it was acknowledged, plus 1 if it was refused; 0: it has not been.
    answered: [AtomicU64; OPERATIONS_MAX],
}

/// Memory that parent and child share; what the child stored there outlives it.
pub struct Notes {
    board: NonNull<Board>,
    path: std::path::PathBuf,
}

// SAFETY: the board is made of atomics only, and stays mapped as long as this lives.
unsafe impl Send for Notes {}
// SAFETY: as above.
unsafe impl Sync for Notes {}

impl Drop for Notes {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this size, and not used any more.
        unsafe { libc::munmap(self.board.as_ptr().cast(), size_of::<Board>()) };
    }
}

impl Notes {
    /// Maps the notes in the file `path`, creating them if `create`.
    pub fn open(path: &Path, create: bool) -> Notes {
        let file = File::options().read(true).write(true).create(create).truncate(create).open(path).unwrap();
        if create {
            file.set_len(size_of::<Board>() as u64).unwrap();
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of an open file of this length.
        let board = unsafe {
            let size = size_of::<Board>();
            libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert!(board != libc::MAP_FAILED, "mmap of the notes: {}", std::io::Error::last_os_error());
        Notes { board: NonNull::new(board.cast()).unwrap(), path: path.to_path_buf() }
    }

    fn board(&self) -> &Board {
        // SAFETY: all bit patterns are a board, which is mapped and holds nothing but atomics.
        unsafe { self.board.as_ref() }
    }

    /// Forgets everything. Only while there is no child.
    pub fn clear(&self) {
        // SAFETY: zeros are a board; no other thread or process looks at it.
        unsafe { self.board.as_ptr().write_bytes(0, 1) };
    }

    pub fn phase(&self) -> Phase {
        match self.board().phase.load(Ordering::SeqCst) {
            0 => Phase::Started,
            1 => Phase::Opening,
            2 => Phase::Writing,
            3 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    fn enter(&self, phase: Phase) {
        self.board().phase.store(phase as u32, Ordering::SeqCst);
    }

    fn fail(&self, message: &str) {
        let board = self.board();
        if board.failure_size.load(Ordering::SeqCst) == 0 {
            for (place, byte) in board.failure.iter().zip(message.bytes()) {
                place.store(byte, Ordering::SeqCst);
            }
            board.failure_size.store(message.len().min(board.failure.len()) as u32, Ordering::SeqCst);
        }
    }

    /// What went wrong in the child.
    pub fn failure(&self) -> Option<String> {
        let board = self.board();
        let size = board.failure_size.load(Ordering::SeqCst) as usize;
        let bytes: Vec<u8> = board.failure.iter().take(size).map(|b| b.load(Ordering::SeqCst)).collect();
        (size > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How often the child has begun an operation or had one acknowledged.
    pub fn clock(&self) -> u64 {
        self.board().clock.load(Ordering::SeqCst)
    }

    /// Digest of what the child read from the store that it recovered, if it came that far.
    pub fn served(&self) -> Option<u64> {
        Some(self.board().served.load(Ordering::SeqCst)).filter(|digest| *digest != 0)
    }

    /// How many operations of each thread are durable.
    pub fn durable(&self) -> [u32; THREADS_MAX] {
        std::array::from_fn(|thread| self.board().threads[thread].durable.load(Ordering::SeqCst))
    }

    fn begin(&self, thread: usize, index: u32) {
        let time = self.board().clock.fetch_add(1, Ordering::SeqCst) + 1;
        self.board().threads[thread].begun[index as usize].store(time, Ordering::SeqCst);
    }

    fn answer(&self, thread: usize, index: u32, refused: bool) {
        let time = self.board().clock.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = 2 * time + u64::from(refused);
        self.board().threads[thread].answered[index as usize].store(answer, Ordering::SeqCst);
    }

    fn set_durable(&self, thread: usize, count: u32) {
        self.board().threads[thread].durable.store(count, Ordering::SeqCst);
    }

    /// How many operations `thread` began.
    pub fn begun(&self, thread: usize) -> u32 {
        let begun = &self.board().threads[thread].begun;
        begun.iter().take_while(|time| time.load(Ordering::SeqCst) != 0).count() as u32
    }

    /// How many operations of `thread` were answered.
    pub fn answered(&self, thread: usize) -> u32 {
        let answered = &self.board().threads[thread].answered;
        answered.iter().take_while(|time| time.load(Ordering::SeqCst) != 0).count() as u32
    }

    fn began_at(&self, thread: usize, index: u32) -> u64 {
        self.board().threads[thread].begun[index as usize].load(Ordering::SeqCst)
    }

    /// When the operation was answered, or never; and whether it was refused.
    fn answered_at(&self, thread: usize, index: u32) -> (u64, bool) {
        match self.board().threads[thread].answered.get(index as usize).map(|a| a.load(Ordering::SeqCst)) {
            None | Some(0) => (u64::MAX, false),
            Some(answer) => (answer / 2, answer % 2 == 1),
        }
    }
}

/// Plants the bug that TSTORE_PLANT names, to see whether it is found: with the feature `planted`, in the
/// parent and in the child.
pub fn plant() {
    #[cfg(feature = "planted")]
    if let Ok(name) = std::env::var("TSTORE_PLANT") {
        use tinystoredb::planted::{Bug, plant};
        let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
        plant(Some(bug.unwrap_or_else(|| panic!("TSTORE_PLANT={name} is no bug"))));
    }
}

/// The child's side: what the test named [`CHILD_TEST`] does. Returns at once where it was not started
/// by [`Session::start`].
pub fn child() {
    let Ok(order) = std::env::var(CHILD_VARIABLE) else { return };
    plant();
    // SAFETY: no pointers; a test that is gone leaves no child behind.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let parts: Vec<&str> = order.split('|').collect();
    let [store, notes, seed, number, role] = parts[..] else { panic!("{order}") };
    let role = match role {
        "write" => Role::Write,
        "recover" => Role::Recover,
        _ => Role::Full,
    };
    let session = Session { seed: seed.parse().unwrap(), number: number.parse().unwrap(), role };
    let notes = Notes::open(Path::new(notes), false);
    if let Err(message) = session.run(Path::new(store), &notes) {
        notes.fail(&message);
    }
    // Without destructors: what is not written down by now must not have been promised.
    std::process::exit(0);
}

impl Session {
    fn run(&self, path: &Path, notes: &Notes) -> Result<(), String> {
        let plan = self.plan();
        if self.role == Role::Full {
            limit_file_size(2 << 20);
        }
        notes.enter(Phase::Opening);
        // Never dropped: that would close it.
        let store = match Store::open(path, &plan.options) {
            Ok(store) => ManuallyDrop::new(store),
            // Recovery has to write to a segment beyond the limit.
            Err(Error::NoSpace { .. }) if self.role == Role::Full => return Ok(()),
            Err(error) => return Err(format!("open: {error}")),
        };
        if self.role == Role::Recover {
            let digest = digest(&store).map_err(|error| format!("reading: {error}"))?;
            notes.board().served.store(digest, Ordering::SeqCst);
        }
        notes.enter(Phase::Writing);
        if self.role == Role::Recover {
            loop {
                std::thread::park();
            }
        }
        std::thread::scope(|scope| {
            for thread in 0..plan.threads {
                let (plan, store) = (&plan, &*store);
                scope.spawn(move || {
                    if let Err(message) = self.write(plan, store, notes, thread) {
                        notes.fail(&format!("thread {thread}: {message}"));
                    }
                });
            }
        });
        notes.enter(Phase::Closing);
        if plan.closes && notes.failure().is_none() {
            store.close().map_err(|error| format!("close: {error}"))?;
        }
        notes.enter(Phase::Ended);
        Ok(())
    }

    fn write(&self, plan: &Plan, store: &Store, notes: &Notes, thread: usize) -> Result<(), String> {
        // What this thread left in its keys in this session.
        let mut left: [Option<Option<Written>>; OWN] = [None; OWN];
        for index in 0..plan.operations {
            let operation = self.operation(plan, thread, index);
            notes.begin(thread, index);
            let (refused, waited) = match perform(store, thread, &operation, &left) {
                Ok(written) => (false, written && operation.waits(plan.options.sync_mode)),
                Err(Failure::Store(Error::NoSpace { .. })) if self.role == Role::Full => (true, false),
                Err(Failure::Store(error)) => return Err(format!("operation {index}: {error}")),
                Err(Failure::Wrong(reason)) => {
                    return Err(format!("operation {index}: wrong answer: {reason}"));
                }
            };
            notes.answer(thread, index, refused);
            if refused {
                continue;
            }
            if waited {
                notes.set_durable(thread, index + 1);
            }
            for (slot, value) in operation.changes() {
                if let Some(place) = left.get_mut(slot) {
                    *place = Some(value);
                }
            }
        }
        Ok(())
    }
}

enum Failure {
    Store(Error),
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Store(error)
    }
}

/// Does it, and checks the answer as far as the thread can know it. False: there was nothing to write, and
/// so nothing to wait for.
fn perform(
    store: &Store,
    thread: usize,
    operation: &Operation,
    left: &[Option<Option<Written>>; OWN],
) -> Result<bool, Failure> {
    let options = |durability| WriteOptions { durability, ..WriteOptions::default() };
    match operation {
        Operation::Put(slot, written, durability) => {
            store.put_with(&key(thread, *slot), &written.value(), options(*durability))?;
        }
        Operation::Delete(slot) => {
            let was_there = store.delete(&key(thread, *slot))?;
            if let Some(Some(known)) = left.get(*slot)
                && known.is_some() != was_there
            {
                return Err(Failure::Wrong(format!("deleting {slot}: {was_there}, but {known:?} was left")));
            }
            return Ok(was_there);
        }
        Operation::Batch(changes, durability) => {
            let mut batch = Batch::new();
            for (slot, value) in changes {
                match value {
                    Some(written) => batch.put(&key(thread, *slot), &written.value())?,
                    None => batch.delete(&key(thread, *slot))?,
                }
            }
            store.write(&batch, *durability)?;
        }
        Operation::Read(slot) => {
            let found = store.get(&key(thread, *slot))?;
            if let Some(Some(known)) = left.get(*slot)
                && known.map(|written| written.value()).as_deref() != found.as_deref()
            {
                return Err(Failure::Wrong(format!("reading {slot}: not the {known:?} that was left")));
            }
        }
        Operation::Sync => store.sync()?,
    }
    Ok(true)
}

/// A number that tells what the store holds; never 0.
fn digest(store: &Store) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    let mut scan = store.scan(b"")?;
    while let Some(record) = scan.next()? {
        record.key.hash(&mut hasher);
        record.value.hash(&mut hasher);
    }
    Ok(hasher.finish() | 1)
}

fn limit_file_size(size: u64) {
    let limit = libc::rlimit { rlim_cur: size, rlim_max: size };
    // SAFETY: the structure is initialised and outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
}

type State = [Option<Written>; OWN];

/// What a thread's keys may hold.
#[derive(Clone)]
struct Candidate {
    state: State,
    /// Least and most operations of the last session after which they hold this.
    survived: (u32, u32),
}

/// What the store may hold.
pub struct Model {
    threads: Vec<Vec<Candidate>>,
    shared: [Vec<Option<Written>>; SHARED],
    /// Digest of what was read since the last write: served once, it has to stay.
    served: Option<u64>,
}

impl Model {
    /// Of a store that does not exist.
    pub fn new() -> Model {
        let empty = Candidate { state: [None; OWN], survived: (0, 0) };
        let shared = std::array::from_fn(|_| vec![None]);
        Model { threads: vec![vec![empty]; THREADS_MAX], shared, served: None }
    }

    /// The session ended: all that was answered is there, and of each thread at most what it had begun.
    pub fn killed(&mut self, session: &Session, notes: &Notes) {
        self.after(session, notes, &std::array::from_fn(|thread| notes.answered(thread)));
        for slot in 0..SHARED {
            self.after_shared(session, notes, slot, false);
        }
    }

    /// The power was cut when `durable` operations of each thread were durable.
    pub fn cut(&mut self, session: &Session, notes: &Notes, durable: &[u32; THREADS_MAX]) {
        self.after(session, notes, durable);
        for slot in 0..SHARED {
            self.after_shared(session, notes, slot, true);
        }
    }

    /// A child recovered the store and read all of it.
    pub fn recovered(&mut self, served: Option<u64>) -> Result<(), String> {
        match (self.served, served) {
            (Some(before), Some(after)) if before != after => {
                Err("recovering again found something else than what had been read".to_string())
            }
            _ => {
                self.served = self.served.or(served);
                Ok(())
            }
        }
    }

    fn after(&mut self, session: &Session, notes: &Notes, least: &[u32; THREADS_MAX]) {
        self.served = None;
        let plan = session.plan();
        for (thread, candidates) in self.threads.iter_mut().enumerate().take(plan.threads) {
            let begun = notes.begun(thread);
            let mut after: BTreeMap<State, (u32, u32)> = BTreeMap::new();
            for candidate in candidates.iter() {
                let mut state = candidate.state;
                for count in 0..=begun {
                    if count >= least[thread] {
                        let survived = after.entry(state).or_insert((count, count));
                        *survived = (survived.0.min(count), survived.1.max(count));
                    }
                    if count < begun && !notes.answered_at(thread, count).1 {
                        for (slot, value) in session.operation(&plan, thread, count).changes() {
                            if let Some(place) = state.get_mut(slot) {
                                *place = value;
                            }
                        }
                    }
                }
            }
            *candidates = after.into_iter().map(|(state, survived)| Candidate { state, survived }).collect();
        }
    }

    /// What may be in a key that all threads write. A power cut may take back any of it: then only what
    /// was never written is wrong.
    fn after_shared(&mut self, session: &Session, notes: &Notes, slot: usize, lossy: bool) {
        let plan = session.plan();
        // What was written there, when it began, and when it was answered.
        let mut writes = Vec::new();
        for thread in 0..plan.threads {
            for index in 0..notes.begun(thread) {
                let (answered, refused) = notes.answered_at(thread, index);
                let operation = session.operation(&plan, thread, index);
                for (_, value) in operation.changes().iter().filter(|(at, _)| *at == OWN + slot && !refused) {
                    writes.push((*value, notes.began_at(thread, index), answered));
                }
            }
        }
        // Everything that was answered before this began has been replaced.
        let acknowledged = writes.iter().filter(|(_, _, answered)| !lossy && *answered != u64::MAX);
        let latest = acknowledged.map(|(_, began, _)| *began).max();
        if latest.is_some() {
            self.shared[slot].clear();
        }
        let possible =
            writes.iter().filter(|(_, _, answered)| latest.is_none_or(|latest| *answered > latest));
        self.shared[slot].extend(possible.map(|(value, _, _)| *value));
    }

    /// Holds the store against what it may hold, and goes on from what it does hold.
    pub fn check(&mut self, store: &Store, seed: u64) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        self.recovered(Some(digest(store).map_err(text)?))?;
        let mut found = BTreeMap::new();
        let mut scan = store.scan(b"").map_err(text)?;
        while let Some(record) = scan.next().map_err(text)? {
            if found.last_key_value().is_some_and(|(last, _): (&Vec<u8>, _)| last.as_slice() >= record.key) {
                return Err(format!("a scan that goes back to {:?}", record.key));
            }
            found.insert(record.key.to_vec(), Written::from_value(record.value)?);
        }
        let records = store.stats().map_err(text)?.records;
        if records != found.len() as u64 {
            return Err(format!("a scan of {} records, of {records}", found.len()));
        }
        let mut look = |thread: usize, slot: usize| -> Result<Option<Written>, String> {
            let key = key(thread, slot);
            let scanned = found.remove(&key);
            let got = store.get(&key).map_err(text)?;
            let got = got.map(|value| Written::from_value(&value)).transpose()?;
            if got != scanned || store.exists(&key).map_err(text)? != got.is_some() {
                return Err(format!("key {thread}/{slot}: a scan finds {scanned:?}, a get {got:?}"));
            }
            if let Some(written) = got {
                let session = Session { seed, number: written.session, role: Role::Write };
                let operation =
                    session.operation(&session.plan(), written.thread as usize, written.operation);
                if !operation.changes().contains(&(slot, got))
                    || (slot < OWN && thread != written.thread as usize)
                {
                    return Err(format!("key {thread}/{slot} holds another key's value, {written:?}"));
                }
            }
            Ok(got)
        };
        for (thread, candidates) in self.threads.iter_mut().enumerate() {
            let mut state = [None; OWN];
            for (slot, place) in state.iter_mut().enumerate() {
                *place = look(thread, slot)?;
            }
            if !candidates.iter().any(|candidate| candidate.state == state) {
                return Err(format!("thread {thread}: {}", difference(candidates, &state)));
            }
            candidates.retain(|candidate| candidate.state == state);
        }
        for (slot, possible) in self.shared.iter_mut().enumerate() {
            let value = look(0, OWN + slot)?;
            if !possible.contains(&value) {
                return Err(format!("shared key {slot} holds {value:?}, and may hold {possible:?}"));
            }
            *possible = vec![value];
        }
        match found.first_key_value() {
            Some((key, written)) => Err(format!("key {key:?}, which nobody wrote, holds {written:?}")),
            None => Ok(()),
        }
    }

    /// After a check: how many operations of the last session `thread` kept, at most.
    pub fn survived(&self, thread: usize) -> u32 {
        self.threads[thread].first().map_or(0, |candidate| candidate.survived.1)
    }

    /// After a power cut and a check: what survived is the beginning of the log. No operation is lost
    /// that was acknowledged before one that survived began.
    pub fn check_order(&self, session: &Session, notes: &Notes) -> Result<(), String> {
        let survivors = self.threads.iter().enumerate().take(session.plan().threads);
        let survivors: Vec<_> = survivors
            .filter_map(|(thread, candidates)| candidates.first().map(|c| (thread, c.survived)))
            .collect();
        let began = survivors
            .iter()
            .filter(|(_, survived)| survived.0 > 0)
            .map(|(thread, survived)| (notes.began_at(*thread, survived.0 - 1), *thread, survived.0 - 1))
            .max();
        let Some((latest, by, operation)) = began else { return Ok(()) };
        for (thread, (_, lost)) in survivors {
            let (answered, refused) = notes.answered_at(thread, lost);
            if answered < latest && !refused {
                return Err(format!(
                    "operation {lost} of thread {thread} is lost, and operation {operation} of thread {by}, which \
                     began after it was acknowledged, is there"
                ));
            }
        }
        Ok(())
    }
}

/// How a thread's keys differ from the nearest state that they may be in.
fn difference(candidates: &[Candidate], found: &State) -> String {
    let differs = |candidate: &Candidate| candidate.state.iter().zip(found).filter(|(a, b)| a != b).count();
    let Some(nearest) = candidates.iter().min_by_key(|candidate| differs(candidate)) else {
        return "there is no state that its keys may be in".to_string();
    };
    let (states, (least, most)) = (candidates.len(), nearest.survived);
    let mut text = format!(
        "its keys are in none of the {states} states they may be in. From the nearest, after {least} to {most} \
         operations of the last session, they differ in:"
    );
    for (slot, (expected, found)) in nearest.state.iter().zip(found).enumerate() {
        if expected != found {
            text.push_str(&format!("\n  key {slot}: {found:?} and not {expected:?}"));
        }
    }
    text
}

/// When to stop the child: once it is in this phase and its clock there, and after a delay.
pub struct Moment {
    phase: Phase,
    clock: u64,
    delay: Duration,
}

impl Moment {
    /// A random moment of the session; `None`: let it end by itself.
    pub fn of(session: &Session, numbers: &mut Numbers) -> Option<Moment> {
        let plan = session.plan();
        let answers = u64::from(plan.operations) * plan.threads as u64 * 2;
        let (choice, clock) = (numbers.below(16), numbers.below(answers));
        let mut at = |phase, most| {
            let delay = Duration::from_micros(numbers.below(most));
            Moment { phase, clock: 0, delay }
        };
        if session.role == Role::Recover {
            return Some(at(if choice < 4 { Phase::Writing } else { Phase::Opening }, 3000));
        }
        Some(match choice {
            0 => return None,
            1 => at(Phase::Started, 20_000),
            2..4 => at(Phase::Opening, 3000),
            4..6 => at(Phase::Closing, 1500),
            6..8 => at(Phase::Writing, 1500),
            _ => Moment { clock, ..at(Phase::Writing, 300) },
        })
    }

    /// Waits until the child is there, or has ended.
    pub fn wait(&self, child: &mut Child, notes: &Notes) {
        let there = || {
            let phase = notes.phase();
            phase > self.phase || phase == self.phase && notes.clock() >= self.clock
        };
        while !there() {
            if child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        std::thread::sleep(self.delay);
    }
}
