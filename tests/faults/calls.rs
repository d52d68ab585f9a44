//! Every call of the os seam fails with every error that it can end with: the n-th one, for n from 1 until
//! there is no n-th one; once, and for as long as it takes to notice; writes with and without a part done.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tinystoredb::os::sim::{Call, CrashImage, Duration, Fault, SimOs, Variant};
use tinystoredb::{Error, Options, SyncMode, WriteMode};

use super::run::{LARGE, MEDIUM, PATH, Run, SEGMENT_SIZE, State, Step, operation_of};

use Step::{Batch, Close, Delete, Open, Prepare, Put, PutWait, Sync};

/// A disk to start from, and what the store on it holds.
struct Start {
    image: Option<CrashImage>,
    state: State,
}

fn options(sync_mode: SyncMode, write_mode: WriteMode) -> Options {
    let first_segment_size = Some(SEGMENT_SIZE);
    Options { sync_mode, write_mode, maintenance: false, first_segment_size, ..Options::default() }
}

fn interval() -> SyncMode {
    SyncMode::Interval(std::time::Duration::from_secs(1))
}

/// All of them that differ.
fn all_options() -> Vec<Options> {
    let mut all = Vec::new();
    for sync_mode in [SyncMode::Always, interval(), SyncMode::OnRequest] {
        for write_mode in [WriteMode::Mapped, WriteMode::Pwrite] {
            all.push(options(sync_mode, write_mode));
        }
    }
    all
}

/// What a program does with a store that is there.
const SESSION: [Step; 9] = [
    Open,
    Put("b", b"again"),
    Put("c", b"new"),
    Delete("a"),
    Batch(&[("d", Some(b"of a batch")), ("c", None), ("e", Some(b"of a batch"))]),
    PutWait("a", b"durable"),
    Delete("never"),
    Sync,
    Close,
];

/// With a second segment.
const ROLLOVER: [Step; 8] = [
    Open,
    Put("a", b"in the first segment"),
    Put("large", &LARGE),
    Put("b", b"in the second"),
    Sync,
    Delete("a"),
    PutWait("c", b"durable"),
    Close,
];

/// The second segment is made ahead, and a third one that is not used.
const PREPARED: [Step; 10] = [
    Open,
    Put("medium", &MEDIUM),
    Put("a", b"in the first segment"),
    Prepare,
    Put("large", &LARGE),
    Put("b", b"in the second"),
    Put("c", &MEDIUM),
    Prepare,
    Delete("a"),
    Close,
];

/// The disk after some steps on an empty one, the process killed at the end of them.
fn after(steps: &[Step], options: &Options) -> Start {
    let mut run = Run::new(SimOs::new(5), options, State::new());
    for &step in steps {
        run.step(step);
    }
    assert!(run.errors.is_empty(), "{:?}", run.errors);
    Start { image: Some(run.os.image().unwrap()), state: run.visible().clone() }
}

impl Start {
    fn boot(&self) -> Arc<SimOs> {
        match &self.image {
            Some(image) => SimOs::from_image(image),
            None => SimOs::new(5),
        }
    }

    fn changed(self, change: impl FnOnce(CrashImage) -> CrashImage) -> Start {
        Start { image: self.image.map(change), state: self.state }
    }
}

fn file(name: &str) -> String {
    format!("{PATH}/{name}")
}

/// Overwrites the last place where `bytes` stand in a file.
fn torn(image: &CrashImage, name: &str, bytes: &[u8]) -> CrashImage {
    let text = image.read(file(name)).unwrap();
    let at = text.windows(bytes.len()).rposition(|window| window == bytes).unwrap();
    image.with_bytes(file(name), at as u64, &vec![0; bytes.len()])
}

#[derive(Default)]
struct Count {
    runs: u64,
    images: u64,
    calls: BTreeMap<Call, u64>,
}

/// Lets every call of a workload fail in every way.
fn exhaust(what: &str, start: &Start, steps: &[Step], options: &Options) -> Count {
    let mut count = Count::default();
    let mut seen = HashSet::new();
    let Some((Close, open)) = steps.split_last() else { panic!("a workload ends with a close") };
    for call in Call::ALL {
        for &errno in call.errnos() {
            for duration in [Duration::Once, Duration::SameCall, Duration::EveryCall] {
                for partial in [false, true] {
                    if partial && call != Call::Write {
                        continue;
                    }
                    for n in 1.. {
                        let fault = Fault::nth(n, errno).on(call).lasting(duration);
                        let fault = if partial { fault.partial() } else { fault };
                        let context = format!("{what}: {options:?}: {fault:?}");
                        // Left open at the end, so that it can be seen what the store does then; closed only
                        // where the call that fails comes with the close.
                        let plan = (fault, call, errno);
                        let run = one_run(&context, start, open, options, &plan)
                            .or_else(|| one_run(&context, start, steps, options, &plan));
                        let reached = run.is_some();
                        if let Some(run) = run {
                            for (call, number) in run.os.calls().unwrap() {
                                *count.calls.entry(call).or_default() += number;
                            }
                            count.runs += 1;
                            run.check_images(&mut seen, &LOSSES);
                        }
                        if !reached {
                            break;
                        }
                    }
                }
            }
        }
    }
    count.images = seen.len() as u64;
    count
}

/// One run of a workload with a planned fault; `None` where it was not reached.
fn one_run(
    context: &str,
    start: &Start,
    steps: &[Step],
    options: &Options,
    (fault, call, errno): &(Fault, Call, i32),
) -> Option<Run> {
    let os = start.boot();
    let mut run = Run::new(os.clone(), options, start.state.clone());
    run.context = context.to_string();
    os.set_fault(Some(fault.clone())).unwrap();
    for &step in steps {
        run.step(step);
    }
    let failed = os.first_failed().unwrap();
    os.set_fault(None).unwrap();
    assert_eq!(os.unpopulated_stores().unwrap(), 0, "{context}: a store that could have been a signal");
    if failed.is_none() {
        assert!(run.errors.is_empty(), "{context}: {:?}", run.errors);
        return None;
    }
    let (_, name) = failed.unwrap();
    match run.errors.first().cloned() {
        // Nothing depends on the reserve: where there is none, that is all.
        // A segment whose start finds no space cannot be gone on from, and says so.
        Some(Error::Poisoned(reason)) if is_full(*errno) => {
            assert!(reason.contains("no space left"), "{context}: {reason}");
        }
        Some(error) if name == RESERVE => assert_eq!(error.errno(), *errno, "{context}: {error}"),
        None if name == RESERVE => {}
        // Without space for a segment of the usual size a small one is tried.
        None if is_full(*errno) && name.ends_with(".bin.tmp") => {}
        Some(error) => check_error(context, &error, *call, &name, *errno),
        None => panic!("{context}: the failure was not reported\n{}", os.trace().unwrap()),
    }
    after_the_fault(context, &mut run);
    Some(run)
}

const RESERVE: &str = "RESERVE";

fn is_full(errno: i32) -> bool {
    [libc::ENOSPC, libc::EDQUOT, libc::EFBIG].contains(&errno)
}

fn is_sync(call: Call) -> bool {
    matches!(call, Call::SyncData | Call::SyncAll | Call::SyncDirectory)
}

/// The error says what failed, on which file, and is of the kind that a program can act on.
fn check_error(context: &str, error: &Error, call: Call, name: &str, errno: i32) {
    let text = error.to_string();
    assert!(text.contains(operation_of(call)), "{context}: {text}");
    assert_eq!(error.errno(), errno, "{context}: {text}");
    let path = match (error, errno) {
        // A sync that failed says nothing about what is on the device, whatever its errno.
        (Error::Io { path, .. }, _) if is_sync(call) => path,
        (Error::NoSpace { path, .. }, libc::ENOSPC | libc::EDQUOT | libc::EFBIG) if !is_sync(call) => path,
        (Error::Permission { path, .. }, libc::EACCES | libc::EPERM | libc::EROFS) => path,
        (Error::NoMemory(_), libc::ENOMEM) => return,
        (Error::Io { path, .. }, errno) => {
            assert!(![libc::ENOSPC, libc::EDQUOT, libc::EFBIG, libc::EACCES].contains(&errno), "{context}");
            path
        }
        _ => panic!("{context}: {error:?}"),
    };
    assert!(path.ends_with(name) && text.contains(path.as_str()), "{context}: {name}: {text}");
}

/// The fault is gone: what the store does now, and that it opens again.
fn after_the_fault(context: &str, run: &mut Run) {
    if let Some(store) = run.store.clone() {
        let before = run.errors.len();
        run.step(Put("lifted", b"the fault is gone"));
        let poisoned = match run.errors.get(before) {
            None => false,
            Some(Error::Poisoned(_)) => true,
            Some(other) => panic!("{context}: {other:?} although the fault is gone"),
        };
        let says_so = |error: &Error| matches!(error, Error::Poisoned(_));
        let expected = run.errors[..before].iter().any(|error| must_poison(error) || says_so(error));
        assert_eq!(poisoned, expected, "{context}: {:?}", run.errors);
        if poisoned {
            let refused = [
                store.put(b"never", b"accepted"),
                store.delete(run.visible().keys().next().unwrap_or(&"").as_bytes()).map(drop),
                store.sync(),
                store.close(),
            ];
            for (number, outcome) in refused.into_iter().enumerate() {
                // To delete what is not there needs no write, nor to close what took none.
                let nothing_to_do = match number {
                    1 => run.visible().is_empty(),
                    3 => run.durable + 1 == run.states.len(),
                    _ => false,
                };
                assert!(
                    nothing_to_do || matches!(outcome, Err(Error::Poisoned(_))),
                    "{context}: {number}: {outcome:?}"
                );
            }
            assert!(matches!(store.get(b"a"), Err(Error::Closed)));
            run.store = None;
            let trace = run.os.trace().unwrap().to_string();
            let after = trace.lines().skip_while(|line| !line.ends_with(" failed")).skip(1);
            let retried: Vec<_> = after.filter(|line| line.ends_with(" begins")).collect();
            assert!(retried.is_empty(), "{context}: {retried:?}\n{trace}");
        }
    }
    if run.store.is_none() {
        let before = run.errors.len();
        run.step(Open);
        run.step(Put("lifted", b"the fault is gone"));
        assert_eq!(run.errors.len(), before, "{context}: {:?}", run.errors);
    }
}

/// Whether an open store has to refuse writes after this error: what is in a file is not known any more.
fn must_poison(error: &Error) -> bool {
    match error {
        Error::Io { operation, path, .. } | Error::NoSpace { operation, path, .. } => match *operation {
            "fdatasync" | "fsync" | "ftruncate" => true,
            // Part of a frame may be there, or of the witness. Where only space was missing the next one takes
            // its place.
            "pwrite" => (path.ends_with(".bin") || path.ends_with("LOCK")) && !is_full(error.errno()),
            _ => false,
        },
        _ => false,
    }
}

/// What a power loss at the end keeps of what was not durable.
const LOSSES: [Variant; 8] = [
    Variant::Nothing,
    Variant::Everything,
    Variant::First(1),
    Variant::Last(1),
    Variant::Only(1),
    Variant::Random(1),
    Variant::Random(2),
    Variant::Random(3),
];

fn report(what: &str, counts: impl IntoIterator<Item = Count>) -> BTreeMap<Call, u64> {
    let mut all = Count::default();
    for count in counts {
        all.runs += count.runs;
        all.images += count.images;
        for (call, number) in count.calls {
            *all.calls.entry(call).or_default() += number;
        }
    }
    println!("{what}: {} runs with a fault, {} different disks recovered", all.runs, all.images);
    all.calls
}

#[test]
fn creating_a_store_survives_every_failing_call() {
    let empty = Start { image: None, state: State::new() };
    let runs = all_options().into_iter().map(|options| exhaust("create", &empty, &SESSION, &options));
    report("create", runs);
}

#[test]
fn opening_after_a_close_survives_every_failing_call() {
    let before = [Open, Put("a", b"1"), Put("b", b"2"), Close];
    let runs = all_options()
        .into_iter()
        .map(|options| exhaust("after a close", &after(&before, &options), &SESSION, &options));
    report("after a close", runs);
}

#[test]
fn opening_after_a_kill_survives_every_failing_call() {
    let before = [Open, Put("a", b"1"), Close, Open, Put("b", b"2"), Put("d", b"3")];
    let runs = all_options()
        .into_iter()
        .map(|options| exhaust("after a kill", &after(&before, &options), &SESSION, &options));
    report("after a kill", runs);
}

#[test]
fn opening_with_a_torn_tail_survives_every_failing_call() {
    let before = [Open, Put("a", b"1"), Put("b", b"2"), Put("d", b"torn off")];
    let runs = all_options().into_iter().map(|options| {
        let mut start = after(&before, &options).changed(|image| torn(&image, "00000001.bin", b"torn off"));
        start.state.remove("d");
        exhaust("torn tail", &start, &SESSION, &options)
    });
    report("torn tail", runs);
}

#[test]
fn opening_with_leftovers_of_a_creation_survives_every_failing_call() {
    let before = [Open, Put("a", b"1"), Close];
    let runs = all_options().into_iter().map(|options| {
        let start = after(&before, &options);
        let start = start.changed(|image| image.with_bytes(file("00000002.bin.tmp"), 8000, b"part of it"));
        exhaust("leftover", &start, &SESSION, &options)
    });
    report("leftover", runs);
}

#[test]
fn opening_with_segments_that_are_not_used_survives_every_failing_call() {
    let options = options(SyncMode::OnRequest, WriteMode::Mapped);
    // The second segment has its name and no frame when the process dies.
    let os = SimOs::new(5);
    let mut run = Run::new(os.clone(), &options, State::new());
    run.step(Open);
    run.step(Put("a", b"1"));
    os.set_fault(Some(Fault::nth(3, libc::EIO).on(Call::Populate))).unwrap();
    run.step(Put("large", &LARGE));
    assert!(matches!(run.errors[..], [Error::Io { .. }]), "{:?}", run.errors);
    let unused = Start { image: Some(os.image().unwrap()), state: run.visible().clone() };
    assert!(unused.image.as_ref().unwrap().read(file("00000002.bin")).is_some());

    // The first segment is torn, and the second one holds what was never durable.
    let before = [Open, Put("a", b"1"), Put("b", b"torn off"), Put("large", &LARGE)];
    let mut behind = after(&before, &options).changed(|image| torn(&image, "00000001.bin", b"torn off"));
    behind.state = State::from([("a", &b"1"[..])]);

    let runs = [("unused", unused), ("behind", behind)]
        .map(|(what, start)| exhaust(what, &start, &SESSION, &options));
    report("unused segments", runs);
}

#[test]
fn starting_another_segment_survives_every_failing_call() {
    let empty = Start { image: None, state: State::new() };
    let runs = all_options().into_iter().flat_map(|options| {
        [&ROLLOVER[..], &PREPARED[..]].map(|steps| exhaust("rollover", &empty, steps, &options))
    });
    let calls = report("rollover", runs);
    // Together with an open of what is there, which the other tests have.
    let missing: Vec<_> = Call::ALL.into_iter().filter(|call| !calls.contains_key(call)).collect();
    assert!(missing.is_empty(), "calls that no workload makes: {missing:?}");
}
