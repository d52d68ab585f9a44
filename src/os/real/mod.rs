//! The real operating system: Linux, and with less help from the kernel other Unix systems.
//!
//! Invariants:
//! 1. Every descriptor is opened with close-on-exec and owned by one value that closes it. None that stays
//!    open has the number of a standard stream.
//! 2. A call that a signal interrupted (EINTR) is made again; a failed sync never is.
//! 3. Nothing grows a file past RLIMIT_FSIZE: that would end the process with SIGXFSZ.
//!
//! Callers: `store` (to open), tests. Everything below is used through the traits of [`crate::os`].
#![allow(unsafe_code)]

mod directory;
mod file;
mod mapping;
mod process;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::os::{Directory, Os};
use directory::RealDirectory;
use process::ProcessId;
pub use process::without_signals;

/// The real operating system. One per process is enough; more do no harm.
#[derive(Debug)]
pub struct RealOs {
    process: ProcessId,
}

impl RealOs {
    /// The operating system this process runs on.
    pub fn new() -> Arc<RealOs> {
        Arc::new(RealOs { process: ProcessId::new() })
    }
}

impl Os for RealOs {
    fn open_directory(&self, path: &Path, create: bool) -> Result<Arc<dyn Directory>> {
        Ok(Arc::new(RealDirectory::open(path, create)?))
    }

    fn now_millis(&self) -> i64 {
        now_millis()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|error| {
            Error::os("getrandom", "the system's random source", error.raw_os_error().unwrap_or(libc::EIO))
        })
    }

    fn process_id(&self) -> u32 {
        self.process.get()
    }
}

/// What [`Os::now_millis`] answers of every [`RealOs`].
pub fn now_millis() -> i64 {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

/// The error number of the last failed call of this thread.
fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Calls until no signal interrupts; a result of -1 becomes the errno.
fn retry<T: PartialEq + From<i8>>(mut call: impl FnMut() -> T) -> std::result::Result<T, i32> {
    loop {
        let result = call();
        if result != T::from(-1) {
            return Ok(result);
        }
        match last_errno() {
            libc::EINTR => {}
            errno => return Err(errno),
        }
    }
}

/// `bytes` for the kernel. A NUL inside is the caller's mistake.
fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::InvalidArgument("a path contains a NUL byte".to_string()))
}

/// The largest size this process may give a file (RLIMIT_FSIZE).
fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a live local of the right type.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if result != 0 || limit.rlim_cur == libc::RLIM_INFINITY { u64::MAX } else { limit.rlim_cur }
}
