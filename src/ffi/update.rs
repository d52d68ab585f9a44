//! Changes that rest on what is there: compare and swap, counters, appending, deleting ranges.
//!
//! Callers: C.

use std::ffi::c_void;

use super::boundary::{Room, handle_output, key, optional_output, value};
use super::error::{TSTORE_EXISTS, TSTORE_MISMATCH, TSTORE_NOT_FOUND, TSTORE_OK, tstore_error};
use super::options::unknown;
use super::store::{tstore, with_store};
use super::value::tstore_value;
use crate::error::{Error, Result};
use crate::store::{Expected, Store, Value, WriteOptions};

/// tstore_compare_and_swap: the key has the value `expected`, of whichever type.
pub const TSTORE_EXPECT_VALUE: i32 = 0;
/// tstore_compare_and_swap: the key is not there.
pub const TSTORE_EXPECT_ABSENT: i32 = 1;
/// tstore_compare_and_swap: the key is there, whatever its value.
pub const TSTORE_EXPECT_ANY: i32 = 2;

/// What the parameters say is expected of a key.
///
/// # Safety
/// The pointer keeps the caller's part, see `boundary`.
unsafe fn expected<'a>(expectation: i32, expected: *const c_void, size: usize) -> Result<Expected<'a>> {
    // SAFETY: the caller's part.
    let bytes = unsafe { value(expected, size, "expected") }?;
    match expectation {
        TSTORE_EXPECT_VALUE => Ok(Expected::Value(bytes)),
        TSTORE_EXPECT_ABSENT | TSTORE_EXPECT_ANY if size > 0 => Err(Error::InvalidArgument(
            "expected has bytes: pass NULL and 0 unless expectation is TSTORE_EXPECT_VALUE".to_string(),
        )),
        TSTORE_EXPECT_ABSENT => Ok(Expected::Absent),
        TSTORE_EXPECT_ANY => Ok(Expected::Any),
        number => Err(unknown("expectation", number, "TSTORE_EXPECT_")),
    }
}

/// The status for a change that was made or not.
fn made(done: bool, otherwise: i32) -> i32 {
    if done { TSTORE_OK } else { otherwise }
}

/// Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, if the key has what is expected.
/// Nothing comes between the look and the change. For more than one key, or other types, use a transaction.
///
/// @param expectation              TSTORE_EXPECT_VALUE, TSTORE_EXPECT_ABSENT or TSTORE_EXPECT_ANY.
/// @param expected, expected_size  With TSTORE_EXPECT_VALUE the value; its bytes are compared, its type is
///                                 not. Otherwise no bytes.
/// @param value, value_size        The new value.
/// @return TSTORE_OK if it was stored, TSTORE_MISMATCH if not; TSTORE_E_CORRUPT, errors as tstore_put.
///
/// Ownership: key and values are copied or used up. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_compare_and_swap(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    expectation: i32,
    expected: *const c_void,
    expected_size: usize,
    value: *const c_void,
    value_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let expected = self::expected(expectation, expected, expected_size)?;
            let value = self::value(value, value_size, "value")?;
            let swapped = store.compare_and_swap(key, expected, Some(value), WriteOptions::default())?;
            Ok(made(swapped, TSTORE_MISMATCH))
        })
    }
}

/// Deletes a key if it has the expected value.
///
/// @param expected, expected_size  The value; its bytes are compared, its type is not.
/// @return TSTORE_OK if it was deleted, TSTORE_MISMATCH if not, also where it is not there; TSTORE_E_CORRUPT,
///         errors as tstore_put.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_compare_and_delete(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    expected: *const c_void,
    expected_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let expected = self::expected(TSTORE_EXPECT_VALUE, expected, expected_size)?;
            let deleted = store.compare_and_swap(key, expected, None, WriteOptions::default())?;
            Ok(made(deleted, TSTORE_MISMATCH))
        })
    }
}

/// Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, if the key is not there.
///
/// @param value, value_size  The value.
/// @return TSTORE_OK if it was stored, TSTORE_EXISTS if not; TSTORE_E_CORRUPT, errors as tstore_put.
///
/// Ownership: key and value are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_if_absent(
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
            let value = self::value(value, value_size, "value")?;
            Ok(made(store.put_if_absent(key, value, WriteOptions::default())?, TSTORE_EXISTS))
        })
    }
}

/// Deletes a key and gets the value that it had: of several threads that take it, one gets the value.
///
/// @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; TSTORE_E_CORRUPT, errors as tstore_put.
///
/// Ownership: the caller frees the value with tstore_value_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_take(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut *mut tstore_value,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        let output = handle_output(value, "value");
        with_store(db, err, |store| {
            let mut output = output?;
            let key = self::key(key, key_size, "key")?;
            // Before the key is deleted: the value could not be given back.
            let room = Room::<Value>::new()?;
            let Some(value) = store.take(key)? else { return Ok(TSTORE_NOT_FOUND) };
            output.set(room.fill(value));
            Ok(TSTORE_OK)
        })
    }
}

/// Changes the value of a key with `change` and tells what came of it.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn change<T>(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    outcome: (*mut T, &str),
    err: *mut tstore_error,
    change: impl FnOnce(&Store, &[u8]) -> Result<T>,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let mut output = optional_output(outcome.0, outcome.1)?;
            output.set(change(store, key)?);
            Ok(TSTORE_OK)
        })
    }
}

/// Adds to the signed integer (TSTORE_TYPE_I64) under a key, 0 where the key is not there. Its expiry stays.
///
/// @param delta  What to add; may be negative.
/// @param sum    Where the new value goes; may be NULL.
/// @return TSTORE_OK, TSTORE_WRONG_TYPE; TSTORE_E_OVERFLOW where the sum is out of range (nothing was
///         written), TSTORE_E_DECODE, TSTORE_E_CORRUPT, errors as tstore_put.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_increment_i64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    delta: i64,
    sum: *mut i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { change(db, key, key_size, (sum, "sum"), err, |store, key| store.increment_i64(key, delta)) }
}

/// Adds to the unsigned integer (TSTORE_TYPE_U64) under a key, 0 where the key is not there. Its expiry
/// stays.
///
/// @param delta  What to add; may be negative.
/// @param sum    Where the new value goes; may be NULL.
/// @return As tstore_increment_i64.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_increment_u64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    delta: i64,
    sum: *mut u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { change(db, key, key_size, (sum, "sum"), err, |store, key| store.increment_u64(key, delta)) }
}

/// Puts bytes behind the value of a key, which is of type TSTORE_TYPE_BYTES or TSTORE_TYPE_STRING and keeps
/// type and expiry. Where the key is not there, they become its value, of type TSTORE_TYPE_BYTES. The whole
/// value is written anew: this is no way to make a long log.
///
/// @param bytes, bytes_size  What to append; for a string UTF-8.
/// @param value_size         Where the size that the value has then goes; may be NULL.
/// @return TSTORE_OK, TSTORE_WRONG_TYPE; TSTORE_E_TOO_LARGE also where the value would be,
///         TSTORE_E_INVALID_ARGUMENT also for a string and bytes that are not UTF-8, TSTORE_E_CORRUPT, errors
///         as tstore_put.
///
/// Ownership: key and bytes are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_append(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    bytes: *const c_void,
    bytes_size: usize,
    value_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        change(db, key, key_size, (value_size, "value_size"), err, |store, key| {
            // At most VALUE_SIZE_MAX.
            Ok(store.append(key, value(bytes, bytes_size, "bytes")?)? as usize)
        })
    }
}

/// Deletes every key from `from` on and before `to`, in one commit. Takes time and memory for each of them.
///
/// @param from, from_size  The first key of the range; no bytes for the first one of the store.
/// @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
///                         the prefix with its last byte one larger, "user0" for "user/".
/// @param count            Where the number of keys that were there goes; may be NULL.
/// @return TSTORE_OK, also where there were none; TSTORE_E_CORRUPT, errors as tstore_put.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_delete_range(
    db: *mut tstore,
    from: *const c_void,
    from_size: usize,
    to: *const c_void,
    to_size: usize,
    count: *mut u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let (from, to) = (key(from, from_size, "from")?, key(to, to_size, "to")?);
            let mut output = optional_output(count, "count")?;
            output.set(store.delete_range(from, to)?);
            Ok(TSTORE_OK)
        })
    }
}
