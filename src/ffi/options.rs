//! `tstore_options`: how a store is opened.
//!
//! Callers: C.

use std::time::Duration;

use super::boundary::{Answer, Object, create, exclusive, free, guard, handle_output};
use super::error::{TSTORE_OK, tstore_error};
use crate::error::{Error, Result};
use crate::options::{Options, SyncMode, WriteMode};

/// Each commit waits for the device (the default). Commits of several threads share one wait.
pub const TSTORE_SYNC_ALWAYS: i32 = 0;
/// The library syncs at an interval: a power loss costs at most that much.
pub const TSTORE_SYNC_INTERVAL: i32 = 1;
/// Only tstore_sync and tstore_close wait for the device.
pub const TSTORE_SYNC_ON_REQUEST: i32 = 2;

/// Through a memory mapping where the file system allows it, else as with PWRITE (the default).
pub const TSTORE_WRITE_MODE_AUTO: i32 = 0;
/// Through a memory mapping; opening answers TSTORE_E_UNSUPPORTED where that is not possible.
pub const TSTORE_WRITE_MODE_MAPPED: i32 = 1;
/// With pwrite(2), for file systems on which allocated space is no promise (copy on write).
pub const TSTORE_WRITE_MODE_PWRITE: i32 = 2;

/// Interval of TSTORE_SYNC_INTERVAL where the caller leaves it to the library.
const INTERVAL_MS_DEFAULT: u64 = 1000;

/// How a store is opened. Every default is the safe choice; a program that wants no other one passes NULL
/// to tstore_open and needs no options at all.
///
/// Threads: one thread at a time; a second one gets TSTORE_E_BUSY. The options may be used for any number
/// of stores and may be changed or freed as soon as tstore_open has returned.
pub struct tstore_options {
    _private: [u8; 0],
}

impl Object for Options {
    type C = tstore_options;
    const NAME: &'static str = "tstore_options";
    const TAG: u32 = 0x6f70_7401;
}

/// Creates options with the defaults.
///
/// @param options  Where the new options go; NULL on failure.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_NO_MEMORY.
///
/// Ownership: the caller frees them with tstore_options_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_create(
    options: *mut *mut tstore_options,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(err, || {
            let mut output = handle_output(options, "options")?;
            output.set(create(Options::default())?);
            Ok(TSTORE_OK)
        })
    }
}

/// Frees options.
///
/// @param options  The options, or NULL, which does nothing.
///
/// Threads: no other call may use the options.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_free(options: *mut tstore_options) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Options>(options) }
}

/// Changes options. Where the changed ones are not valid, they stay as they were.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn change(
    options: *mut tstore_options,
    err: *mut tstore_error,
    change: impl FnOnce(&mut Options) -> Result<()>,
) -> i32 {
    let body = || -> Answer {
        // SAFETY: the caller's part.
        let mut options = unsafe { exclusive::<Options>(options, "options") }?;
        let mut changed = options.clone();
        change(&mut changed)?;
        changed.validate()?;
        *options = changed;
        Ok(TSTORE_OK)
    };
    // SAFETY: the caller's part.
    unsafe { guard(err, body) }
}

/// Sets whether opening creates the store where there is none. Default: 1.
///
/// @param enabled  0 for no, anything else for yes.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_set_create_if_missing(
    options: *mut tstore_options,
    enabled: i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(options, err, |options| {
            options.create_if_missing = enabled != 0;
            Ok(())
        })
    }
}

/// Sets whether opening fails where there is a store already. Default: 0.
///
/// @param enabled  0 for no, anything else for yes.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_set_error_if_exists(
    options: *mut tstore_options,
    enabled: i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(options, err, |options| {
            options.error_if_exists = enabled != 0;
            Ok(())
        })
    }
}

/// Sets when an acknowledged commit is on the device. In every mode it survives the death of the process;
/// the mode decides about power loss.
///
/// @param mode         TSTORE_SYNC_ALWAYS (the default), TSTORE_SYNC_INTERVAL or TSTORE_SYNC_ON_REQUEST.
/// @param interval_ms  For TSTORE_SYNC_INTERVAL the interval in milliseconds, at most 3600000, or 0 for
///                     1000; for the other modes 0.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_set_sync_mode(
    options: *mut tstore_options,
    mode: i32,
    interval_ms: u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(options, err, |options| {
            options.sync_mode = match mode {
                TSTORE_SYNC_INTERVAL => SyncMode::Interval(Duration::from_millis(match interval_ms {
                    0 => INTERVAL_MS_DEFAULT,
                    interval_ms => interval_ms,
                })),
                TSTORE_SYNC_ALWAYS | TSTORE_SYNC_ON_REQUEST if interval_ms != 0 => {
                    let reason = "interval_ms must be 0 unless mode is TSTORE_SYNC_INTERVAL";
                    return Err(Error::InvalidArgument(reason.to_string()));
                }
                TSTORE_SYNC_ALWAYS => SyncMode::Always,
                TSTORE_SYNC_ON_REQUEST => SyncMode::OnRequest,
                mode => return Err(unknown("mode", mode, "TSTORE_SYNC_")),
            };
            Ok(())
        })
    }
}

/// Sets how the log is written.
///
/// @param mode  TSTORE_WRITE_MODE_AUTO (the default), TSTORE_WRITE_MODE_MAPPED or TSTORE_WRITE_MODE_PWRITE.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_set_write_mode(
    options: *mut tstore_options,
    mode: i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(options, err, |options| {
            options.write_mode = match mode {
                TSTORE_WRITE_MODE_AUTO => WriteMode::Auto,
                TSTORE_WRITE_MODE_MAPPED => WriteMode::Mapped,
                TSTORE_WRITE_MODE_PWRITE => WriteMode::Pwrite,
                mode => return Err(unknown("mode", mode, "TSTORE_WRITE_MODE_")),
            };
            Ok(())
        })
    }
}

/// Sets the largest size of a file of the log. Files start small and double up to it.
///
/// @param bytes  A multiple of 4 MiB from 4 MiB to 4 GiB. Default: 128 MiB.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_options_set_segment_size_max(
    options: *mut tstore_options,
    bytes: u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(options, err, |options| {
            options.segment_size_max = bytes;
            Ok(())
        })
    }
}

/// The error for a number that none of the constants has.
pub(super) fn unknown(name: &str, number: i32, constants: &str) -> Error {
    Error::InvalidArgument(format!("{name} is {number}: use one of the constants {constants}..."))
}
