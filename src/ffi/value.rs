//! `tstore_value`: a value in the store's own memory, held in place until it is freed.
//!
//! Callers: C.

use std::ffi::c_void;
use std::ptr;

use super::boundary::{Object, free, guard_or, handle_output, pointer, shared};
use super::error::{TSTORE_E_INVALID_ARGUMENT, tstore_error};
use super::read;
use super::store::{tstore, with_store};
use crate::store::Value;
use crate::types::ValueType;

/// Bytes without further meaning: what tstore_put stores.
pub const TSTORE_TYPE_BYTES: i32 = 0;
/// Text in UTF-8.
pub const TSTORE_TYPE_STRING: i32 = 1;
/// int64_t: 8 bytes, little-endian, two's complement.
pub const TSTORE_TYPE_I64: i32 = 2;
/// uint64_t: 8 bytes, little-endian.
pub const TSTORE_TYPE_U64: i32 = 3;
/// double: 8 bytes, little-endian, IEEE 754.
pub const TSTORE_TYPE_F64: i32 = 4;
/// A truth value: one byte, 0 or 1.
pub const TSTORE_TYPE_BOOL: i32 = 5;
/// A value of the Rust interface, encoded by serde and bincode.
pub const TSTORE_TYPE_SERDE: i32 = 6;

const _: () = assert!(
    TSTORE_TYPE_BYTES == ValueType::Bytes as i32
        && TSTORE_TYPE_STRING == ValueType::String as i32
        && TSTORE_TYPE_I64 == ValueType::I64 as i32
        && TSTORE_TYPE_U64 == ValueType::U64 as i32
        && TSTORE_TYPE_F64 == ValueType::F64 as i32
        && TSTORE_TYPE_BOOL == ValueType::Bool as i32
        && TSTORE_TYPE_SERDE == ValueType::Serde as i32
);

/// A value as it was when tstore_get_value returned it. It stays that way until it is freed, whatever
/// happens to its key, also after the store was closed. It holds back the disk space of its file.
///
/// Threads: any number at the same time.
pub struct tstore_value {
    _private: [u8; 0],
}

impl Object for Value {
    type C = tstore_value;
    const NAME: &'static str = "tstore_value";
    const TAG: u32 = 0x7661_6c01;
}

/// Gets the value of a key, of any type, without copying it.
///
/// @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get, and TSTORE_E_NO_MEMORY.
///
/// Ownership: the caller frees it with tstore_value_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_value(
    db: *mut tstore,
    key: *const c_void,
    key_size: usize,
    value: *mut *mut tstore_value,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        // Before the store is looked at: NULL on every failure.
        let _ = handle_output(value, "value");
        with_store(db, err, |store| read::get_value(store, key, key_size, value))
    }
}

/// The bytes of a value. Never NULL for a value, also when it is empty; NULL for NULL.
///
/// Ownership: borrowed from the value until that is freed. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_value_data(value: *const tstore_value) -> *const c_void {
    // SAFETY: the caller's part, see `boundary`.
    guard_or(ptr::null(), || unsafe { shared::<Value>(value, "value") }.ok().map(|value| pointer(value)))
}

/// The number of bytes of a value; 0 for NULL.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_value_size(value: *const tstore_value) -> usize {
    // SAFETY: the caller's part, see `boundary`.
    guard_or(0, || unsafe { shared::<Value>(value, "value") }.ok().map(|value| value.len()))
}

/// The type of a value, TSTORE_TYPE_...; TSTORE_E_INVALID_ARGUMENT for NULL.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_value_type(value: *const tstore_value) -> i32 {
    guard_or(TSTORE_E_INVALID_ARGUMENT, || {
        // SAFETY: the caller's part, see `boundary`.
        unsafe { shared::<Value>(value, "value") }.ok().map(|value| value.value_type() as i32)
    })
}

/// Frees a value.
///
/// @param value  The value, or NULL, which does nothing.
///
/// Threads: no other call may use the value.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_value_free(value: *mut tstore_value) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Value>(value) }
}
