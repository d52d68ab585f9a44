//! `tstore_iter`: records in the order of their keys.
//!
//! Callers: C.

use std::ffi::c_void;

use super::boundary::{
    Object, create, exclusive, free, guard, handle_output, key, optional_output, pointer, poison_on_panic,
};
use super::error::{TSTORE_E_INVALID_ARGUMENT, TSTORE_END, TSTORE_OK, tstore_error};
use super::store::{tstore, with_store};
use crate::error::Error;
use crate::store::{Scan, Store};
use crate::types::ValueType;

/// A walk over records in ascending byte order of their keys.
///
/// Threads: one thread at a time, any one; a second one gets TSTORE_E_BUSY.
pub struct tstore_iter {
    _private: [u8; 0],
}

/// What is behind a `tstore_iter`.
struct Iter {
    store: Store,
    scan: Scan,
    at: At,
}

/// Where an iterator stands.
enum At {
    Start,
    Record(ValueType),
    End,
    Failed(Error),
}

/// Tag of the handles of iterators.
pub(super) const TAG: u32 = 0x6974_6501;

impl Object for Iter {
    type C = tstore_iter;
    const NAME: &'static str = "tstore_iter";
    const TAG: u32 = TAG;
}

/// Begins a walk over the records whose keys start with a prefix, before the first of them.
///
/// @param prefix, prefix_size  The prefix; no bytes for all records.
/// @param iter                 Where the iterator goes; NULL on failure.
/// @return TSTORE_OK, also where no key has the prefix; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY,
///         TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Ownership: the prefix is copied; the caller frees the iterator with tstore_iter_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_scan(
    db: *mut tstore,
    prefix: *const c_void,
    prefix_size: usize,
    iter: *mut *mut tstore_iter,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        let output = handle_output(iter, "iter");
        with_store(db, err, |store| {
            let mut output = output?;
            let scan = store.scan(key(prefix, prefix_size, "prefix")?)?;
            output.set(create(Iter { store: store.clone(), scan, at: At::Start })?);
            Ok(TSTORE_OK)
        })
    }
}

/// Goes to the next record. The end and a failure are different answers, and each is given again when
/// asked again.
///
/// @param key, key_size      Where the key goes; each may be NULL.
/// @param value, value_size  Where the value goes; each may be NULL.
/// @return TSTORE_OK, TSTORE_END; TSTORE_E_CLOSED where the store was closed, TSTORE_E_CORRUPT, TSTORE_E_IO,
///         TSTORE_E_NO_MEMORY, TSTORE_E_FORKED, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
///         TSTORE_E_INTERNAL.
///
/// Ownership: key and value are borrowed until the next call on this iterator; they are never NULL after
/// TSTORE_OK. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_next(
    iter: *mut tstore_iter,
    key: *mut *const c_void,
    key_size: *mut usize,
    value: *mut *const c_void,
    value_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(err, || {
            let mut iter = exclusive::<Iter>(iter, "iter")?;
            let Iter { store, scan, at } = &mut *iter;
            let mut key_output = optional_output(key, "key")?;
            let mut key_size_output = optional_output(key_size, "key_size")?;
            let mut value_output = optional_output(value, "value")?;
            let mut value_size_output = optional_output(value_size, "value_size")?;
            match at {
                At::Start | At::Record(_) => {}
                At::End => return Ok(TSTORE_END),
                At::Failed(error) => return Err(error.clone()),
            }
            // What the next call answers where this one panics.
            *at = At::Failed(Error::Internal("this iterator failed"));
            poison_on_panic(store, || match scan.next() {
                Ok(Some(record)) => {
                    key_output.set(pointer(record.key));
                    key_size_output.set(record.key.len());
                    value_output.set(pointer(record.value));
                    value_size_output.set(record.value.len());
                    *at = At::Record(record.value_type);
                    Ok(TSTORE_OK)
                }
                Ok(None) => {
                    *at = At::End;
                    Ok(TSTORE_END)
                }
                Err(error) => {
                    *at = At::Failed(error.clone());
                    Err(error)
                }
            })
        })
    }
}

/// The type of the value of the record that the iterator stands at.
///
/// @return TSTORE_TYPE_..., 0 or more; TSTORE_E_INVALID_ARGUMENT where it stands at none (before the first
///         tstore_iter_next, and after one that did not answer TSTORE_OK) or is NULL.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_value_type(iter: *mut tstore_iter) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(std::ptr::null_mut(), || {
            let iter = exclusive::<Iter>(iter, "iter")?;
            Ok(match iter.at {
                At::Record(value_type) => value_type as i32,
                _ => TSTORE_E_INVALID_ARGUMENT,
            })
        })
    }
}

/// Frees an iterator.
///
/// @param iter  The iterator, or NULL, which does nothing.
///
/// Threads: no other call may use the iterator.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_free(iter: *mut tstore_iter) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Iter>(iter) }
}
