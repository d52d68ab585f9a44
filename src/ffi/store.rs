//! `tstore`: opening, closing, and what is done with bytes.
//!
//! Callers: C.

use std::ffi::{c_char, c_void};

use super::boundary::{
    Answer, Object, check_flags, create, exclusive, guard, handle_output, key, optional_output, path,
    poison_on_panic, release, shared, struct_size, value, write_struct,
};
use super::error::{TSTORE_NOT_FOUND, TSTORE_OK, tstore_error};
use super::options::{tstore_options, unknown};
use super::read::{self, found};
use super::typed::check_encoding;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::store::{Durability, Store, WriteOptions};
use crate::types::{KEY_SIZE_MAX, VALUE_SIZE_MAX, ValueType};

/// Longest key, in bytes. A key may have any bytes, or none.
pub const TSTORE_KEY_SIZE_MAX: usize = 65535;
/// Longest value, in bytes (1 GiB). A value may have any bytes, or none.
pub const TSTORE_VALUE_SIZE_MAX: usize = 1073741824;

const _: () = assert!(TSTORE_KEY_SIZE_MAX == KEY_SIZE_MAX && TSTORE_VALUE_SIZE_MAX == VALUE_SIZE_MAX);

/// Flag of a write: wait until the commit is on the device, whatever the store's sync mode. A call without
/// flags goes by the sync mode.
pub const TSTORE_WRITE_WAIT: u32 = 1;
/// Flag of a write: do not wait for the device, whatever the store's sync mode. A power loss may take the
/// commit back until a later one that waits, or tstore_sync, has returned.
pub const TSTORE_WRITE_NO_WAIT: u32 = 2;

/// An open store.
///
/// Threads: every function that takes a tstore may be called from any number of threads at the same time,
/// but tstore_close: no other call may use the tstore when it is closed, or afterwards.
pub struct tstore {
    _private: [u8; 0],
}

/// What tstore_stat tells. Later releases append fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tstore_stats {
    /// In: sizeof(tstore_stats), to be set before the call. A library older than the program leaves the
    /// fields it does not know as they are, so set them to 0 as well.
    pub struct_size: u32,
    /// 0.
    pub reserved0: u32,
    /// Keys in the store. An expired one may count for long, see tstore_put_until.
    pub records: u64,
    /// Files of the log.
    pub segments: u64,
    /// Bytes of the log, overwritten and deleted records included.
    pub log_bytes: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Log sequence number (LSN) of the last operation; 0 before the first one. Each change takes one, and
    /// so do some of the log's own records.
    pub last_lsn: u64,
    /// LSN of the last operation that is known to be on the device.
    pub durable_lsn: u64,
    /// Live snapshots, those of iterators and transactions included.
    pub snapshots: u64,
    /// Age of the oldest one in milliseconds; 0 without any. One that somebody forgot to free shows here.
    pub oldest_snapshot_ms: u64,
    /// Versions of records that are kept for snapshots only.
    pub snapshot_versions: u64,
    /// Bytes of the log that they take.
    pub snapshot_bytes: u64,
}

/// Size of `tstore_stats` in the first release.
const STATS_SIZE_SMALLEST: usize = 56;
const _: () = assert!(size_of::<tstore_stats>() >= STATS_SIZE_SMALLEST);

impl Object for Store {
    type C = tstore;
    const NAME: &'static str = "tstore";
    const TAG: u32 = 0x7374_6f01;
}

/// Runs `body` on the store behind `db`, inside the panic guard.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
pub(super) unsafe fn with_store(
    db: *mut tstore,
    err: *mut tstore_error,
    body: impl FnOnce(&Store) -> Answer,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        guard(err, || {
            let store = shared::<Store>(db, "db")?;
            poison_on_panic(store, || body(store))
        })
    }
}

/// Opens the store at a path, a directory, and creates it where there is none.
///
/// One process at a time may have a store open, and that process only once.
///
/// @param path     The directory. Its parent has to exist.
/// @param options  Options, or NULL for the defaults.
/// @param db       Where the open store goes; NULL on failure, with nothing to be closed.
/// @return TSTORE_OK; TSTORE_E_LOCKED where the store is open already (err->detail is the process),
///         TSTORE_E_NOT_A_STORE where the path is a file, or a directory without a store but with other
///         files, TSTORE_E_NO_STORE where there is none and its parent is missing or the options say not to
///         create one, TSTORE_E_ALREADY_EXISTS (see the options), TSTORE_E_PERMISSION, TSTORE_E_CORRUPT,
///         TSTORE_E_VERSION, TSTORE_E_UNSUPPORTED, TSTORE_E_NO_SPACE, TSTORE_E_NO_MEMORY, TSTORE_E_IO,
///         TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY (the options), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Ownership: the caller closes it with tstore_close. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_open(
    path: *const c_char,
    options: *const tstore_options,
    db: *mut *mut tstore,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(err, || {
            let mut output = handle_output(db, "db")?;
            let path = self::path(path, "path")?;
            let options = if options.is_null() {
                Options::default()
            } else {
                exclusive::<Options>(options.cast_mut(), "options")?.clone()
            };
            output.set(create(Store::open(path, &options)?)?);
            Ok(TSTORE_OK)
        })
    }
}

/// Closes a store: waits until everything acknowledged is on the device, lets other processes open it,
/// and frees the handle, in every case, also when it answers an error.
///
/// What belongs to the store may be freed before or after. Iterators, snapshots and transactions answer
/// TSTORE_E_CLOSED from now on, and what was not committed never happened; a value keeps its bytes.
///
/// @param db  The store, or NULL, which does nothing.
/// @return TSTORE_OK; TSTORE_E_IO, TSTORE_E_NO_SPACE or TSTORE_E_POISONED where the last commits may not be
///         on the device, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT (not an open store: nothing was freed),
///         TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Threads: no other call may use the handle at the same time or afterwards.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_close(db: *mut tstore, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(err, || {
            if !db.is_null() {
                release::<Store>(db, "db")?.close()?;
            }
            Ok(TSTORE_OK)
        })
    }
}

/// Stores a value of type TSTORE_TYPE_BYTES under a key, new or not. When the call has answered TSTORE_OK,
/// the value is on the device, unless the options set another sync mode.
///
/// @param key, key_size      The key, at most TSTORE_KEY_SIZE_MAX bytes.
/// @param value, value_size  The value, at most TSTORE_VALUE_SIZE_MAX bytes.
/// @return TSTORE_OK; TSTORE_E_TOO_LARGE (before a byte was read), TSTORE_E_NO_SPACE, TSTORE_E_NO_MEMORY,
///         TSTORE_E_IO, TSTORE_E_POISONED, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
///         TSTORE_E_INTERNAL.
///
/// Ownership: key and value are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            store.put(key, self::value(value, value_size, "value")?)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Stores a value under a key as tstore_put does, with a say in its type and in how long the call waits.
///
/// @param key, key_size      The key, at most TSTORE_KEY_SIZE_MAX bytes.
/// @param value, value_size  The value's bytes as its type defines them (see TSTORE_TYPE_BYTES and on).
/// @param value_type         TSTORE_TYPE_...
/// @param flags              0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
/// @return As tstore_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
///
/// Ownership: key and value are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_with(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    value_type: i32,
    flags: u32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let value = self::value(value, value_size, "value")?;
            let value_type = self::value_type(value_type)?;
            check_encoding(value_type, value)?;
            let durability = durability(flags)?;
            store.put_with(key, value, WriteOptions { value_type, durability, ..WriteOptions::default() })?;
            Ok(TSTORE_OK)
        })
    }
}

/// The value type with this number.
pub(super) fn value_type(number: i32) -> Result<ValueType> {
    let known = u8::try_from(number).ok().and_then(ValueType::from_number);
    known.ok_or_else(|| unknown("value_type", number, "TSTORE_TYPE_"))
}

/// What the flags of a write say about waiting.
pub(super) fn durability(flags: u32) -> Result<Durability> {
    check_flags(flags, TSTORE_WRITE_WAIT | TSTORE_WRITE_NO_WAIT)?;
    match flags {
        0 => Ok(Durability::Default),
        TSTORE_WRITE_WAIT => Ok(Durability::Wait),
        TSTORE_WRITE_NO_WAIT => Ok(Durability::NoWait),
        _ => Err(Error::InvalidArgument(
            "flags has both TSTORE_WRITE_WAIT and TSTORE_WRITE_NO_WAIT: use one of them".to_string(),
        )),
    }
}

/// Copies the value of a key, of any type, to a buffer.
///
/// A NULL buffer of size 0 asks for the size only: the answer is TSTORE_BUFFER_TOO_SMALL, or TSTORE_OK for
/// an empty value, which fits. The value may change between two calls: use tstore_get_value where that
/// matters and the size is not known.
///
/// @param buffer, buffer_size  Where the value goes. No NUL is appended.
/// @param value_size           Where the value's size goes, also with TSTORE_BUFFER_TOO_SMALL.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_BUFFER_TOO_SMALL; TSTORE_E_TOO_LARGE (the key),
///         TSTORE_E_CORRUPT, TSTORE_E_IO, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
///         TSTORE_E_INTERNAL.
///
/// Ownership: the caller's buffer. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_store(db, err, |store| read::get(store, key, key_size, buffer, buffer_size, value_size)) }
}

/// Tells whether there is a key.
///
/// @return TSTORE_OK if there is, TSTORE_NOT_FOUND if not; errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_exists(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_store(db, err, |store| read::exists(store, key, key_size)) }
}

/// Tells size and type of the value of a key without copying it.
///
/// @param value_size  Where the size goes; may be NULL.
/// @param value_type  Where the type goes, TSTORE_TYPE_...; may be NULL.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_describe(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value_size: *mut usize,
    value_type: *mut i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let mut size_output = optional_output(value_size, "value_size")?;
            let mut type_output = optional_output(value_type, "value_type")?;
            let Some((value_type, size)) = store.read(key, |value_type, bytes| (value_type, bytes.len()))?
            else {
                return Ok(TSTORE_NOT_FOUND);
            };
            size_output.set(size);
            type_output.set(value_type as i32);
            Ok(TSTORE_OK)
        })
    }
}

/// Deletes a key.
///
/// @return TSTORE_OK if it was there, TSTORE_NOT_FOUND if not; errors as tstore_put.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_delete(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_store(db, err, |store| Ok(found(store.delete(self::key(key, key_size, "key")?)?))) }
}

/// Waits until everything that was acknowledged is on the device. In sync mode ALWAYS it is already.
///
/// @return TSTORE_OK; TSTORE_E_IO or TSTORE_E_NO_SPACE: what is on the device is unknown and the store
///         refuses writes from now on; TSTORE_E_POISONED, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT,
///         TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_sync(db: *mut tstore, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            store.sync()?;
            Ok(TSTORE_OK)
        })
    }
}

/// Tells figures about a store.
///
/// @param stats  Where they go; its struct_size has to be set before.
/// @return TSTORE_OK; TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_stat(
    db: *mut tstore,
    stats: *mut tstore_stats,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let struct_size = struct_size(stats, STATS_SIZE_SMALLEST, "stats")?;
            let figures = store.stats()?;
            let filled = tstore_stats {
                struct_size,
                reserved0: 0,
                records: figures.records,
                segments: figures.segments,
                log_bytes: figures.log_bytes,
                index_bytes: figures.index_bytes,
                last_lsn: figures.last_lsn,
                durable_lsn: figures.durable_lsn,
                snapshots: figures.snapshots,
                oldest_snapshot_ms: figures.oldest_snapshot_age,
                snapshot_versions: figures.snapshot_versions,
                snapshot_bytes: figures.snapshot_bytes,
            };
            write_struct(stats, struct_size, &filled);
            Ok(TSTORE_OK)
        })
    }
}

/// TSTORE_KEY_SIZE_MAX of the library that is running.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_key_size_max() -> usize {
    KEY_SIZE_MAX
}

/// TSTORE_VALUE_SIZE_MAX of the library that is running.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_value_size_max() -> usize {
    VALUE_SIZE_MAX
}
