//! How a store is opened. Every default is the safe choice; none needs tuning.
//!
//! Callers: `store`, `ffi`.

use std::time::Duration;

use crate::error::{Error, Result};

/// When an acknowledged commit is on the device. In every mode it survives the death of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// Each commit waits for the device (the default). Commits of several threads share one wait.
    Always,
    /// A background thread syncs at this interval: a power loss costs at most that much.
    Interval(Duration),
    /// Only `sync` and `close` wait for the device.
    OnRequest,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteMode {
    /// Through a mapping where the file system allows it, else with `pwrite` (the default).
    Auto,
    /// Through a mapping; opening fails where that is not possible.
    Mapped,
    /// With `pwrite`, for file systems on which allocated space is no promise (copy on write).
    Pwrite,
}

/// Options of [`Store::open`](crate::Store::open).
#[derive(Clone, Debug)]
pub struct Options {
    /// Create the store where there is none. Default: true.
    pub create_if_missing: bool,
    /// Fail where there is a store already. Default: false.
    pub error_if_exists: bool,
    /// When a commit is on the device. Default: [`SyncMode::Always`].
    pub sync_mode: SyncMode,
    /// How the log is written. Default: [`WriteMode::Auto`].
    pub write_mode: WriteMode,
    /// Largest size of a log segment, in bytes; a multiple of 4 MiB from 4 MiB to 4 GiB. Segments start
    /// small and double up to it. Default: 128 MiB.
    pub segment_size_max: u64,
    /// Whether a background thread may make segments ahead of need. Without it a put that needs one
    /// makes it, and the INTERVAL mode syncs only when asked to. Default: true.
    pub maintenance: bool,
    /// Size of the first segment instead of 4 MiB, a multiple of 4096, so that tests on the simulated disk
    /// reach the end of one with few bytes. The next ones are twice as large each, as always.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub first_segment_size: Option<u64>,
}

/// Step of segment sizes, and size of a region of the log's address space, in bytes.
pub const SEGMENT_SIZE_STEP: u64 = 4 << 20;

/// Largest size of a segment, in bytes. The largest commit fits.
pub const SEGMENT_SIZE_MAX: u64 = 4 << 30;

impl Default for Options {
    fn default() -> Options {
        Options {
            create_if_missing: true,
            error_if_exists: false,
            sync_mode: SyncMode::Always,
            write_mode: WriteMode::Auto,
            segment_size_max: 128 << 20,
            maintenance: true,
            #[cfg(feature = "sim")]
            first_segment_size: None,
        }
    }
}

impl Options {
    /// What segment sizes are multiples of, and the size of the first one.
    pub(crate) fn segment_size_step(&self) -> u64 {
        #[cfg(feature = "sim")]
        if let Some(size) = self.first_segment_size {
            return size;
        }
        SEGMENT_SIZE_STEP
    }

    /// Checks what the type system does not.
    pub(crate) fn validate(&self) -> Result<()> {
        let size = self.segment_size_max;
        if !size.is_multiple_of(SEGMENT_SIZE_STEP) || !(SEGMENT_SIZE_STEP..=SEGMENT_SIZE_MAX).contains(&size)
        {
            return Err(Error::InvalidArgument(format!(
                "segment_size_max is {size}: use a multiple of 4 MiB from 4 MiB to 4 GiB"
            )));
        }
        if let SyncMode::Interval(interval) = self.sync_mode
            && !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&interval)
        {
            return Err(Error::InvalidArgument(
                "the sync interval must be from 1 millisecond to 1 hour".to_string(),
            ));
        }
        Ok(())
    }
}
