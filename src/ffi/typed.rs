//! Values with a type: strings, integers, floating-point numbers, truth values.
//!
//! What the bytes of a type are, and that a value is read as the type it was stored as and never converted,
//! is `value`'s business; here are only the C calls.
//!
//! Callers: C; `store` for [`check_encoding`].

use std::ffi::{c_char, c_void};

use super::boundary::{check_buffer, copy_out, key, output, value};
use super::error::{TSTORE_BUFFER_TOO_SMALL, TSTORE_NOT_FOUND, TSTORE_OK, tstore_error};
use super::store::{tstore, with_store};
use crate::error::{Error, Result};
use crate::store::{Store, WriteOptions};
use crate::types::ValueType;
use crate::value::Scalar;

/// Refuses bytes that are no value of their type. What serde encoded is known when it is decoded.
pub(super) fn check_encoding(value_type: ValueType, bytes: &[u8]) -> Result<()> {
    if value_type == ValueType::Serde {
        return Ok(());
    }
    match Scalar::decode(value_type, bytes) {
        Ok(_) => Ok(()),
        Err(Error::Decode(reason)) => {
            Err(Error::InvalidArgument(format!("{reason}: store these bytes with tstore_put instead")))
        }
        Err(error) => Err(error),
    }
}

/// Stores a value with its type.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn put(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: Scalar<'_>,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        with_store(db, err, |store| {
            store.put_scalar(self::key(key, key_size, "key")?, value)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Reads a value with `read` to where the caller wants it.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn get<T>(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut T,
    err: *mut tstore_error,
    read: impl FnOnce(&Store, &[u8]) -> Result<Option<T>>,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let mut output = output(value, "value")?;
            let Some(value) = read(store, key)? else { return Ok(TSTORE_NOT_FOUND) };
            output.set(value);
            Ok(TSTORE_OK)
        })
    }
}

/// Stores a string: UTF-8 of a given size, with or without NULs in it.
///
/// @param string, string_size  The string, without a terminating NUL.
/// @return As tstore_put; TSTORE_E_INVALID_ARGUMENT also where it is not UTF-8.
///
/// Ownership: key and string are copied. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_string(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    string: *const c_char,
    string_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let string = value(string.cast(), string_size, "string")?;
            let value_type = ValueType::String;
            check_encoding(value_type, string)?;
            store.put_with(key, string, WriteOptions { value_type, ..WriteOptions::default() })?;
            Ok(TSTORE_OK)
        })
    }
}

/// Copies a string to a buffer and ends it with a NUL, so the buffer needs one byte more than the string.
/// A NULL buffer of size 0 asks for the size only: the answer is TSTORE_BUFFER_TOO_SMALL.
///
/// @param buffer, buffer_size  Where the string and the NUL go.
/// @param string_size          Where the string's size without the NUL goes, also with
///                             TSTORE_BUFFER_TOO_SMALL.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_BUFFER_TOO_SMALL, TSTORE_WRONG_TYPE; TSTORE_E_DECODE where the
///         stored bytes are not UTF-8, errors as tstore_get.
///
/// Ownership: the caller's buffer. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_string(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    buffer: *mut c_char,
    buffer_size: usize,
    string_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            check_buffer(buffer.cast(), buffer_size)?;
            let mut output = output(string_size, "string_size")?;
            let read = store.read(key, |found, bytes| {
                Scalar::decode_as(ValueType::String, found, bytes)?;
                let fits = bytes.len() < buffer_size && copy_out(bytes, buffer.cast(), buffer_size);
                if fits {
                    buffer.add(bytes.len()).write(0);
                }
                Ok::<_, Error>((bytes.len(), fits))
            })?;
            let Some((size, fits)) = read.transpose()? else { return Ok(TSTORE_NOT_FOUND) };
            output.set(size);
            Ok(if fits { TSTORE_OK } else { TSTORE_BUFFER_TOO_SMALL })
        })
    }
}

/// Stores a signed integer.
///
/// @return As tstore_put. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_i64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { put(db, key, key_size, Scalar::I64(value), err) }
}

/// Reads a signed integer.
///
/// @param value  Where it goes.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_i64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, err, |store, key| store.get_i64(key)) }
}

/// Stores an unsigned integer.
///
/// @return As tstore_put. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_u64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { put(db, key, key_size, Scalar::U64(value), err) }
}

/// Reads an unsigned integer.
///
/// @param value  Where it goes.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_u64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, err, |store, key| store.get_u64(key)) }
}

/// Stores a floating-point number, with all its bits.
///
/// @return As tstore_put. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_f64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: f64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { put(db, key, key_size, Scalar::F64(value), err) }
}

/// Reads a floating-point number.
///
/// @param value  Where it goes.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_f64(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut f64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, err, |store, key| store.get_f64(key)) }
}

/// Stores a truth value.
///
/// @param value  0 for false, anything else for true.
/// @return As tstore_put. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_put_bool(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { put(db, key, key_size, Scalar::Bool(value != 0), err) }
}

/// Reads a truth value.
///
/// @param value  Where it goes: 0 or 1.
/// @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_bool(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut i32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, err, |store, key| Ok(store.get_bool(key)?.map(i32::from))) }
}
