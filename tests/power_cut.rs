//! What was durable survives a power cut: on a real file system, with its real journal.
//!
//! A child writes to a store on an ext4 of its own, in an image file behind a loop device. The parent notes
//! how much is durable, and then shuts the file system down (EXT4_IOC_SHUTDOWN without flushing its
//! journal): nothing more reaches the image, and what the kernel had not written is lost. It unmounts,
//! mounts again, which replays the journal, and holds the store against the child's notes; see
//! `common/storm.rs`. Some cuts hit the recovery of the cut before.
//!
//! What is durable is read before the shutdown: a sync that races it may report success.
//!
//! Needs root, loop devices and mkfs.ext4; without them it says so and is skipped. Everything happens in a
//! mount namespace of the test's own thread: whatever ends the process, the kernel takes mount and loop
//! device back.
//!
//!     TSTORE_TORTURE_CUTS=1000 cargo test --release --test power_cut -- --nocapture
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, unsafe_code)]

#[path = "common/storm.rs"]
mod storm;

use std::ffi::CString;
use std::fs::File;
use std::io::{Error as IoError, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use storm::{Model, Moment, Notes, Numbers, Phase, Role, Session, THREADS_MAX};
use tinystoredb::{Options, Store, SyncMode};

const CUTS: u64 = 8;
/// Cuts that one store goes through.
const CUTS_OF_ONE_STORE: u64 = 16;

/// Size of the image, most of which is never written.
const IMAGE_SIZE: u64 = 1 << 30;
/// Major number of loop devices.
const LOOP_MAJOR: u32 = 7;
/// `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Neither the journal nor anything else is flushed.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;

#[test]
#[ignore = "becomes the process whose power is cut"]
fn writer_process() {
    storm::child();
}

#[test]
fn what_was_durable_survives_a_power_cut() {
    // A thread of its own: leaving the mount namespace concerns the whole thread.
    std::thread::spawn(|| match own_namespace() {
        Ok(()) => run(),
        Err(reason) => {
            // Not a macro's output, which a passing test would swallow.
            let _ = writeln!(std::io::stderr(), "SKIPPED: power cuts on a loop-mounted ext4: {reason}");
        }
    })
    .join()
    .unwrap();
}

fn run() {
    storm::plant();
    let (seed, cuts) = (storm::seed(), storm::parameter("TSTORE_TORTURE_CUTS", CUTS));
    let start = Instant::now();
    let mut totals = Totals::default();
    for store in 0.. {
        let left = cuts.saturating_sub(totals.cuts);
        if left == 0 {
            break;
        }
        let data = ["ordered", "writeback"][store as usize % 2];
        // Two stores at least, for the two ways to mount.
        let cuts = left.min(CUTS_OF_ONE_STORE).min(cuts.div_ceil(2));
        one_store(seed + store, data, cuts, &mut totals);
    }
    println!("{totals:?} in {:.0} s", start.elapsed().as_secs_f64());
}

/// What was done, for the summary.
#[derive(Default, Debug)]
#[allow(dead_code, reason = "read by the summary, which prints all of it")]
struct Totals {
    cuts: u64,
    cuts_of_recovery: u64,
    operations: u64,
    durable: u64,
    /// Acknowledged without waiting, and lost, as they may be.
    lost: u64,
    ended_before: u64,
    /// Ended after the cut, by an error of the store.
    refused_after: u64,
}

/// Lets sessions run on one store and cuts the power of each.
fn one_store(seed: u64, data: &'static str, cuts: u64, totals: &mut Totals) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path(), data);
    let mut campaign = Campaign {
        store: disk.mount_point.join("store"),
        disk,
        seed,
        notes: Notes::open(&directory.path().join("notes"), true),
        recovery_notes: Notes::open(&directory.path().join("recovery notes"), true),
        numbers: Numbers::new(&[seed, 0]),
        model: Model::new(),
    };
    let end = totals.cuts + cuts;
    let mut number = 0;
    while totals.cuts < end {
        if let Err(reason) = campaign.round(number, totals) {
            let kept = campaign.keep();
            let _ = directory.keep();
            panic!("session {number}, data={data}: {reason}\nkept in {kept}; TSTORE_TORTURE_SEED={seed}");
        }
        number += 1;
    }
}

struct Campaign {
    store: PathBuf,
    disk: Disk,
    seed: u64,
    notes: Notes,
    recovery_notes: Notes,
    numbers: Numbers,
    model: Model,
}

impl Campaign {
    /// A session that writes, some that recover, each ended by a cut, and a check.
    fn round(&mut self, number: u32, totals: &mut Totals) -> Result<(), String> {
        let session = Session { seed: self.seed, number, role: Role::Write };
        let durable = self.cut(&session, totals)?;
        self.model.cut(&session, &self.notes, &durable);
        while self.numbers.one_in(3) {
            let recovery = Session { role: Role::Recover, ..session };
            self.cut(&recovery, totals)?;
            totals.cuts_of_recovery += 1;
            self.model.recovered(self.recovery_notes.served())?;
        }
        let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
        let store = Store::open(&self.store, &options).map_err(|error| format!("open: {error}"))?;
        self.model.check(&store, self.seed)?;
        self.model.check_order(&session, &self.notes)?;
        store.close().map_err(|error| format!("close: {error}"))?;
        for (thread, durable) in durable.into_iter().enumerate() {
            totals.operations += u64::from(self.notes.begun(thread));
            totals.durable += u64::from(durable);
            totals.lost += u64::from(self.notes.answered(thread).saturating_sub(self.model.survived(thread)));
        }
        Ok(())
    }

    /// Starts the child, cuts its power at some moment, and mounts again. Returns how many operations of
    /// each thread were durable before.
    fn cut(&mut self, session: &Session, totals: &mut Totals) -> Result<[u32; THREADS_MAX], String> {
        let notes = if session.role == Role::Recover { &self.recovery_notes } else { &self.notes };
        notes.clear();
        let shutdown = self.disk.shutdown()?;
        let mut child = session.start(&self.store, notes);
        match Moment::of(session, &mut self.numbers) {
            Some(moment) => moment.wait(&mut child, notes),
            None => drop(child.wait()),
        }
        let ended = notes.phase() == Phase::Ended;
        let closed = ended && session.plan().closes;
        let durable = notes.durable();
        let failure = notes.failure();
        shutdown.now()?;
        totals.cuts += 1;
        // The child goes on for a moment, on a file system that is no more.
        std::thread::sleep(Duration::from_micros(self.numbers.below(3000)));
        let _ = child.kill();
        let status = child.wait().map_err(|error| error.to_string())?;
        drop(shutdown);
        self.disk.unmount()?;
        self.disk.mount()?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        match (status.signal(), status.code()) {
            (Some(libc::SIGKILL), _) => {}
            (None, Some(0)) if ended => totals.ended_before += 1,
            (None, Some(0)) => totals.refused_after += 1,
            _ => return Err(format!("the child ended with {status}")),
        }
        // A store that was closed is on the device, all of it.
        Ok(if closed { std::array::from_fn(|thread| notes.begun(thread)) } else { durable })
    }

    /// Leaves the image for whoever looks into a failure.
    fn keep(&self) -> String {
        self.disk.image.display().to_string()
    }
}

/// An ext4 in an image file, mounted through a loop device. Unmounted by the drop; and by the kernel, with
/// the namespace, where there is none.
struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
    data: &'static str,
}

impl Disk {
    fn new(directory: &Path, data: &'static str) -> Disk {
        let (image, mount_point) = (directory.join("image"), directory.join("mounted"));
        File::create(&image).unwrap().set_len(IMAGE_SIZE).unwrap();
        std::fs::create_dir(&mount_point).unwrap();
        make_file_system(&image).unwrap();
        let disk = Disk { image, mount_point, data };
        disk.mount().unwrap();
        disk
    }

    fn mount(&self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o"]).arg(format!("loop,data={}", self.data));
        succeed(mount.arg(&self.image).arg(&self.mount_point))
    }

    fn unmount(&self) -> Result<(), String> {
        let path = CString::new(self.mount_point.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is NUL-terminated.
        match unsafe { libc::umount2(path.as_ptr(), 0) } {
            0 => Ok(()),
            _ => Err(format!("unmounting {}: {}", self.mount_point.display(), IoError::last_os_error())),
        }
    }

    /// What shuts this file system down. Fails unless it is certain that it is this one: on the loop device
    /// of this image, and neither the host's root nor that of the image.
    fn shutdown(&self) -> Result<Shutdown, String> {
        let text = |error: IoError| error.to_string();
        let root = File::open(&self.mount_point).map_err(text)?;
        let device = root.metadata().map_err(text)?.dev();
        for other in [Path::new("/"), self.image.as_path(), self.mount_point.parent().unwrap()] {
            if std::fs::metadata(other).map_err(text)?.dev() == device {
                return Err(format!(
                    "{} is on the file system of {}",
                    self.mount_point.display(),
                    other.display()
                ));
            }
        }
        let (major, minor) = (libc::major(device), libc::minor(device));
        if major != LOOP_MAJOR {
            return Err(format!(
                "{} is on device {major}:{minor}, not on a loop device",
                self.mount_point.display()
            ));
        }
        let behind = format!("/sys/dev/block/{major}:{minor}/loop/backing_file");
        let behind = std::fs::read_to_string(behind).map_err(text)?;
        if Path::new(behind.trim_end()) != self.image.canonicalize().map_err(text)? {
            return Err(format!("{} is on {behind}", self.mount_point.display()));
        }
        Ok(Shutdown { root, device })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

struct Shutdown {
    root: File,
    device: u64,
}

impl Shutdown {
    fn now(&self) -> Result<(), String> {
        let text = |error: IoError| format!("EXT4_IOC_SHUTDOWN: {error}");
        if self.root.metadata().map_err(text)?.dev() != self.device {
            return Err("the file system has become another one".to_string());
        }
        // SAFETY: the descriptor is open, and the argument points to a flag as the command wants it.
        match unsafe { libc::ioctl(self.root.as_raw_fd(), EXT4_IOC_SHUTDOWN, &EXT4_GOING_FLAGS_NOLOGFLUSH) } {
            0 => Ok(()),
            _ => Err(text(IoError::last_os_error())),
        }
    }
}

/// Gives this thread mounts of its own, and tries whether a file system can be made and mounted there.
fn own_namespace() -> Result<(), String> {
    // SAFETY: no arguments but a flag; only this thread is concerned.
    if unsafe { libc::geteuid() } != 0 {
        return Err("it takes root".to_string());
    }
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!("no mount namespace: {}", IoError::last_os_error()));
    }
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: strings that are NUL-terminated, or none.
    let private =
        unsafe { libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null()) };
    if private != 0 {
        return Err(format!("no private mounts: {}", IoError::last_os_error()));
    }
    let directory = tempfile::tempdir().unwrap();
    let (image, mounted) = (directory.path().join("image"), directory.path().join("mounted"));
    File::create(&image).unwrap().set_len(16 << 20).unwrap();
    std::fs::create_dir(&mounted).unwrap();
    make_file_system(&image)?;
    let disk = Disk { image, mount_point: mounted, data: "ordered" };
    disk.mount()?;
    disk.shutdown().map(drop)
}

fn make_file_system(image: &Path) -> Result<(), String> {
    succeed(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", "nodiscard"]).arg(image))
}

/// Runs a command, and says why if it fails.
fn succeed(command: &mut Command) -> Result<(), String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command.env("PATH", format!("{path}:/usr/sbin:/sbin")).output();
    match output {
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
