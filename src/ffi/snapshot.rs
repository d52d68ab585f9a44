//! `tstore_snapshot`: the store as it was at one moment.
//!
//! Callers: C.

use std::ffi::c_void;

use super::boundary::{
    Answer, Object, create, free, guard, guard_or, handle_output, poison_on_panic, shared,
};
use super::error::{TSTORE_OK, tstore_error};
use super::iter::{Source, create_iter, scan_options, tstore_iter};
use super::many::Many;
use super::read;
use super::store::{tstore, with_store};
use super::value::tstore_value;
use crate::store::{Snapshot, Store};

/// The store as it was when the snapshot was created, in one piece: a commit is in it as a whole or not at
/// all. Creating one copies nothing and waits for nobody. It keeps the time of that moment too: what had not
/// expired then is there for as long as the snapshot is. Free it soon: the versions of records that only it
/// needs stay in memory's index and on disk (see snapshot_bytes and oldest_snapshot_ms of tstore_stats).
///
/// Threads: any number at the same time.
pub struct tstore_snapshot {
    _private: [u8; 0],
}

/// What is behind a `tstore_snapshot`.
struct Held {
    store: Store,
    snapshot: Snapshot,
}

/// Tag of the handles of snapshots.
pub(super) const TAG: u32 = 0x736e_7001;

impl Object for Held {
    type C = tstore_snapshot;
    const NAME: &'static str = "tstore_snapshot";
    const TAG: u32 = TAG;
}

/// Runs `body` on what is behind `snapshot`, inside the panic guard.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn with_snapshot(
    snapshot: *const tstore_snapshot,
    err: *mut tstore_error,
    body: impl FnOnce(&Held) -> Answer,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        guard(err, || {
            let held = shared::<Held>(snapshot, "snapshot")?;
            poison_on_panic(&held.store, || body(held))
        })
    }
}

/// Creates a snapshot of this moment. It has everything that was acknowledged before.
///
/// @param snapshot  Where the snapshot goes; NULL on failure.
/// @return TSTORE_OK; TSTORE_E_NO_MEMORY, TSTORE_E_IO, TSTORE_E_CORRUPT, TSTORE_E_FORKED,
///         TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Ownership: the caller frees it with tstore_snapshot_free, before or after the store is closed.
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_create(
    db: *mut tstore,
    snapshot: *mut *mut tstore_snapshot,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        let output = handle_output(snapshot, "snapshot");
        with_store(db, err, |store| {
            let mut output = output?;
            output.set(create(Held { store: store.clone(), snapshot: store.snapshot()? })?);
            Ok(TSTORE_OK)
        })
    }
}

/// Copies the value that a key had, of any type, to a buffer. There are no typed reads here: the bytes of a
/// number are as its TSTORE_TYPE_... says, and tstore_snapshot_get_value tells the type.
///
/// @param buffer, buffer_size, value_size  As for tstore_get.
/// @return As tstore_get; TSTORE_E_CLOSED where the store was closed.
///
/// Ownership: the caller's buffer. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_get(
    snapshot: *const tstore_snapshot,
    key: *const c_void,
    key_size: usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_snapshot(snapshot, err, |held| {
            read::get(&held.snapshot, key, key_size, buffer, buffer_size, value_size)
        })
    }
}

/// Gets the value that a key had, of any type, without copying it. It outlives the snapshot.
///
/// @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
/// @return As tstore_get_value; TSTORE_E_CLOSED where the store was closed.
///
/// Ownership: the caller frees it with tstore_value_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_get_value(
    snapshot: *const tstore_snapshot,
    key: *const c_void,
    key_size: usize,
    value: *mut *mut tstore_value,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        // Before the snapshot is looked at: NULL on every failure.
        let _ = handle_output(value, "value");
        with_snapshot(snapshot, err, |held| read::get_value(&held.snapshot, key, key_size, value))
    }
}

/// Tells whether there was a key.
///
/// @return TSTORE_OK if there was, TSTORE_NOT_FOUND if not; errors as tstore_snapshot_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_exists(
    snapshot: *const tstore_snapshot,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_snapshot(snapshot, err, |held| read::exists(&held.snapshot, key, key_size)) }
}

/// Copies the values that several keys had, of any type, to one buffer: as tstore_get_many, but all values
/// are of one moment.
///
/// @param count, keys, key_sizes, buffer, buffer_size, value_sizes, used  As for tstore_get_many.
/// @return As tstore_get_many; TSTORE_E_CLOSED where the store was closed.
///
/// Ownership: the caller's arrays and buffer. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_get_many(
    snapshot: *const tstore_snapshot,
    count: usize,
    keys: *const c_void,
    key_sizes: *const usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_sizes: *mut usize,
    used: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    let many = Many { count, keys, key_sizes, buffer, buffer_size, value_sizes, used };
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_snapshot(snapshot, err, |held| many.read(|keys, look| held.snapshot.read_many(keys, look)))
    }
}

/// Begins a walk over the records that there were between two keys, before the first of them. The iterator
/// keeps the snapshot's moment, also when the snapshot is freed.
///
/// @param from, from_size, to, to_size, flags  As for tstore_scan_range.
/// @param iter                                 Where the iterator goes; NULL on failure.
/// @return As tstore_scan; TSTORE_E_CLOSED where the store was closed.
///
/// Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_scan(
    snapshot: *const tstore_snapshot,
    from: *const c_void,
    from_size: usize,
    to: *const c_void,
    to_size: usize,
    flags: u32,
    iter: *mut *mut tstore_iter,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        let output = handle_output(iter, "iter");
        with_snapshot(snapshot, err, |held| {
            let mut output = output?;
            let scan = held.snapshot.scan(&scan_options(from, from_size, to, to_size, flags)?)?;
            output.set(create_iter(&held.store, Source::Snapshot(scan))?);
            Ok(TSTORE_OK)
        })
    }
}

/// Log sequence number of the last operation that the snapshot has (see last_lsn of tstore_stats); 0 for the
/// one of an empty store and for NULL.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_lsn(snapshot: *const tstore_snapshot) -> u64 {
    // SAFETY: the caller's part, see `boundary`.
    guard_or(0, || unsafe { shared::<Held>(snapshot, "snapshot") }.ok().map(|held| held.snapshot.lsn()))
}

/// Frees a snapshot. Iterators on it go on.
///
/// @param snapshot  The snapshot, or NULL, which does nothing.
///
/// Threads: no other call may use the snapshot.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_snapshot_free(snapshot: *mut tstore_snapshot) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Held>(snapshot) }
}
