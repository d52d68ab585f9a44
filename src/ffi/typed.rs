//! Values with a type: strings, integers, floating-point numbers, truth values.
//!
//! Invariants:
//! 1. What is stored as a type is a value of that type: `check_encoding` is the only judge of it.
//! 2. A value is read as the type it was stored as, never converted.
//!
//! Callers: C; `store` for [`check_encoding`].

use std::ffi::{c_char, c_void};

use super::boundary::{Answer, check_buffer, copy_out, key, output, value};
use super::error::{TSTORE_BUFFER_TOO_SMALL, TSTORE_NOT_FOUND, TSTORE_OK, tstore_error};
use super::store::{tstore, with_store};
use crate::error::{Error, Result};
use crate::store::{Store, WriteOptions};
use crate::types::ValueType;

/// Why bytes are no value of a type, or `None` if they are one. What is encoded by serde is known when it
/// is decoded.
fn fault(value_type: ValueType, bytes: &[u8]) -> Option<String> {
    let name = value_type.name();
    match value_type {
        ValueType::Bytes | ValueType::Serde => None,
        ValueType::String => {
            let error = std::str::from_utf8(bytes).err()?;
            Some(format!("a string is UTF-8, which ends at byte {}", error.valid_up_to()))
        }
        ValueType::I64 | ValueType::U64 | ValueType::F64 => {
            (bytes.len() != 8).then(|| format!("a value of type {name} has 8 bytes, not {}", bytes.len()))
        }
        ValueType::Bool => (!matches!(bytes, [0] | [1]))
            .then(|| format!("a value of type {name} is one byte, 0 or 1, not these {} bytes", bytes.len())),
    }
}

/// Refuses bytes that are no value of their type.
pub(super) fn check_encoding(value_type: ValueType, bytes: &[u8]) -> Result<()> {
    match fault(value_type, bytes) {
        None => Ok(()),
        Some(fault) => {
            Err(Error::InvalidArgument(format!("{fault}: store these bytes with tstore_put instead")))
        }
    }
}

/// Stores `bytes` as `value_type`.
fn put(store: &Store, key: &[u8], bytes: &[u8], value_type: ValueType) -> Answer {
    check_encoding(value_type, bytes)?;
    store.put_with(key, bytes, WriteOptions { value_type, ..WriteOptions::default() })?;
    Ok(TSTORE_OK)
}

/// Reads a value of type `wanted`, and of no other, with `decode`.
fn read<T>(
    store: &Store,
    key: &[u8],
    wanted: ValueType,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>> {
    let read = store.read(key, |found, bytes| {
        if found != wanted {
            return Err(Error::WrongType { found, wanted });
        }
        if let Some(fault) = fault(wanted, bytes) {
            return Err(Error::Decode(fault));
        }
        decode(bytes).ok_or(Error::Internal("a value that was checked does not decode"))
    })?;
    read.transpose()
}

/// Stores an 8-byte number.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn put_number(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    bytes: [u8; 8],
    value_type: ValueType,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe { with_store(db, err, |store| put(store, self::key(key, key_size, "key")?, &bytes, value_type)) }
}

/// Reads a value of `wanted` that `decode` makes a `T` of.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn get<T>(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut T,
    wanted: ValueType,
    decode: impl FnOnce(&[u8]) -> Option<T>,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        with_store(db, err, |store| {
            let key = self::key(key, key_size, "key")?;
            let mut output = output(value, "value")?;
            let Some(value) = read(store, key, wanted, decode)? else { return Ok(TSTORE_NOT_FOUND) };
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
            put(store, key, value(string.cast(), string_size, "string")?, ValueType::String)
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
            let read = read(store, key, ValueType::String, |bytes| {
                let fits = bytes.len() < buffer_size && copy_out(bytes, buffer.cast(), buffer_size);
                if fits {
                    buffer.add(bytes.len()).write(0);
                }
                Some((bytes.len(), fits))
            })?;
            let Some((size, fits)) = read else { return Ok(TSTORE_NOT_FOUND) };
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
    unsafe { put_number(db, key, key_size, value.to_le_bytes(), ValueType::I64, err) }
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
    let decode = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_le_bytes);
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, ValueType::I64, decode, err) }
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
    unsafe { put_number(db, key, key_size, value.to_le_bytes(), ValueType::U64, err) }
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
    let decode = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, ValueType::U64, decode, err) }
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
    unsafe { put_number(db, key, key_size, value.to_le_bytes(), ValueType::F64, err) }
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
    let decode = |bytes: &[u8]| bytes.try_into().ok().map(f64::from_le_bytes);
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, ValueType::F64, decode, err) }
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
    unsafe {
        with_store(db, err, |store| {
            put(store, self::key(key, key_size, "key")?, &[u8::from(value != 0)], ValueType::Bool)
        })
    }
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
    let decode = |bytes: &[u8]| bytes.first().map(|byte| i32::from(*byte));
    // SAFETY: the caller's part, see `boundary`.
    unsafe { get(db, key, key_size, value, ValueType::Bool, decode, err) }
}
