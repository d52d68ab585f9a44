//! Reading one key: what a store, a snapshot and a transaction have in common.
//!
//! Callers: `store`, `value`, `snapshot` and `txn`.

use std::ffi::c_void;

use super::boundary::{Answer, check_buffer, copy_out, create, handle_output, key, output};
use super::error::{TSTORE_BUFFER_TOO_SMALL, TSTORE_NOT_FOUND, TSTORE_OK};
use super::value::tstore_value;
use crate::error::Result;
use crate::store::{Snapshot, Store, Transaction, Value};
use crate::types::ValueType;

/// What keys can be read from.
pub(super) trait Reader {
    /// Calls `look` with the value of `key` where it lies.
    fn look<R>(&self, key: &[u8], look: impl FnOnce(ValueType, &[u8]) -> R) -> Result<Option<R>>;
    /// The value of `key`.
    fn value(&self, key: &[u8]) -> Result<Option<Value>>;
}

macro_rules! reader {
    ($object:ty) => {
        impl Reader for $object {
            #[inline]
            fn look<R>(&self, key: &[u8], look: impl FnOnce(ValueType, &[u8]) -> R) -> Result<Option<R>> {
                self.read(key, look)
            }

            #[inline]
            fn value(&self, key: &[u8]) -> Result<Option<Value>> {
                self.get(key)
            }
        }
    };
}

reader!(Store);
reader!(Snapshot);
reader!(Transaction);

/// The status for a key that is there or not.
pub(super) fn found(there: bool) -> i32 {
    if there { TSTORE_OK } else { TSTORE_NOT_FOUND }
}

/// Copies a value to a buffer.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
pub(super) unsafe fn get(
    reader: &impl Reader,
    key: *const c_void,
    key_size: usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_size: *mut usize,
) -> Answer {
    // SAFETY: the caller's part.
    unsafe {
        let key = self::key(key, key_size, "key")?;
        check_buffer(buffer, buffer_size)?;
        let mut output = output(value_size, "value_size")?;
        let read = reader.look(key, |_, bytes| (bytes.len(), copy_out(bytes, buffer, buffer_size)))?;
        let Some((size, fits)) = read else { return Ok(TSTORE_NOT_FOUND) };
        output.set(size);
        Ok(if fits { TSTORE_OK } else { TSTORE_BUFFER_TOO_SMALL })
    }
}

/// Hands out a value without copying it. `output` was made of the caller's pointer before anything else.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
pub(super) unsafe fn get_value(
    reader: &impl Reader,
    key: *const c_void,
    key_size: usize,
    value: *mut *mut tstore_value,
) -> Answer {
    // SAFETY: the caller's part.
    unsafe {
        let mut output = handle_output(value, "value")?;
        let Some(value) = reader.value(self::key(key, key_size, "key")?)? else {
            return Ok(TSTORE_NOT_FOUND);
        };
        output.set(create(value)?);
        Ok(TSTORE_OK)
    }
}

/// Tells whether there is a key.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
pub(super) unsafe fn exists(reader: &impl Reader, key: *const c_void, key_size: usize) -> Answer {
    // SAFETY: the caller's part.
    let key = unsafe { self::key(key, key_size, "key") }?;
    Ok(found(reader.look(key, |_, _| ())?.is_some()))
}
