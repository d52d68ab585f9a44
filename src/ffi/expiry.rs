//! Records that expire.
//!
//! Callers: C; `batch` and `txn` for [`expires_at`].

use std::ffi::c_void;

use super::boundary::{guard_or, key, output, value};
use super::error::{TSTORE_NOT_FOUND, TSTORE_OK, tstore_error};
use super::read::found;
use super::store::{durability, tstore, value_type, with_store};
use super::typed::check_encoding;
use crate::error::{Error, Result};
use crate::store::{Store, WriteOptions};

/// What an `expires_at` from C means: 0 is never.
pub(super) fn expires_at(time: i64) -> Result<Option<i64>> {
    if time < 0 {
        return Err(Error::InvalidArgument(format!(
            "expires_at is {time}: use milliseconds since 1970-01-01 UTC, or 0 for never"
        )));
    }
    Ok((time != 0).then_some(time))
}

/// The system's clock, which expiry goes by: milliseconds since 1970-01-01 UTC. So
/// `tstore_clock_ms() + 60000` is in a minute.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_clock_ms() -> i64 {
    guard_or(0, || Some(Store::system_now()))
}

/// Stores a value under a key as tstore_put_with does, until a time: from then on the key reads as absent in
/// every call.
///
/// The system's clock decides. Where it is set back, a record that had expired may be seen again, for as long
/// as nothing was written over it and its space was not given back. Snapshots, iterators and transactions
/// keep the time of their beginning. A put without expiry removes one; tstore_increment_i64, _u64 and
/// tstore_append keep it.
///
/// An expired record keeps its place in the index, and counts in the statistics, until its key is written, or
/// deleted by tstore_batch_delete or tstore_batch_delete_range. tstore_delete and a transaction's deletes
/// take it for absent and leave it as it is; so does tstore_delete_range, unless there is another key in the
/// range, and so does opening the store. No call lists expired keys. A program that makes ever new ones notes
/// each in a second record, whose key begins with the time, and from time to time deletes both in one batch.
///
/// @param value, value_size  The value's bytes as its type defines them.
/// @param value_type         TSTORE_TYPE_...
/// @param expires_at         When it expires, in milliseconds since 1970-01-01 UTC; 0 for never. A time
///                           that is past is allowed: the key is absent then.
/// @param flags              0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
/// @return As tstore_put_with; TSTORE_E_INVALID_ARGUMENT also where expires_at is negative.
///
/// Ownership: key and value are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_until(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    value_type: i32,
    expires_at: i64,
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
            let (expires_at, durability) = (self::expires_at(expires_at)?, durability(flags)?);
            store.put_with(key, value, WriteOptions { value_type, durability, expires_at })?;
            Ok(TSTORE_OK)
        })
    }
}

/// Changes when the value of a key expires, and nothing else of it. The value is written anew.
///
/// @param expires_at  As for tstore_put_until; 0 for never.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; TSTORE_E_CORRUPT, errors as tstore_put; TSTORE_E_INVALID_ARGUMENT
///         also where expires_at is negative.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_expire(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    expires_at: i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            Ok(found(store.expire(self::key(key, key_size, "key")?, self::expires_at(expires_at)?)?))
        })
    }
}

/// Lets the value of a key never expire: tstore_expire with 0.
///
/// @return As tstore_expire.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_persist(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_store(db, err, |store| Ok(found(store.expire(self::key(key, key_size, "key")?, None)?))) }
}

/// Tells how long the value of a key will be there.
///
/// @param ms  Where the number of milliseconds goes, 0 or more; -1 where it never expires.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_remaining(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    ms: *mut i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let mut output = output(ms, "ms")?;
            let Some(expiry) = store.expiry(key)? else { return Ok(TSTORE_NOT_FOUND) };
            // It may have expired since it was looked up.
            output.set(expiry.map_or(-1, |expiry| expiry.saturating_sub(store.now()).max(0)));
            Ok(TSTORE_OK)
        })
    }
}
