//! `tstore_batch`: changes that take effect together.
//!
//! Callers: C.

use std::ffi::c_void;

use super::boundary::{Object, create, exclusive, free, guard, guard_or, handle_output, key, value};
use super::error::{TSTORE_OK, tstore_error};
use super::expiry::expires_at;
use super::store::{durability, tstore, value_type, with_store};
use super::typed::check_encoding;
use crate::error::Result;
use crate::store::Batch;

/// Changes to be made together, in the order in which they were added: of two changes of one key the later
/// one counts. A batch is not tied to a store, and nothing happens before tstore_write.
///
/// Threads: one thread at a time; a second one gets TSTORE_E_BUSY.
pub struct tstore_batch {
    _private: [u8; 0],
}

impl Object for Batch {
    type C = tstore_batch;
    const NAME: &'static str = "tstore_batch";
    const TAG: u32 = 0x6261_7401;
}

/// Adds a change to a batch with `add`, which leaves it as it was where it fails.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn with_batch(
    batch: *mut tstore_batch,
    err: *mut tstore_error,
    add: impl FnOnce(&mut Batch) -> Result<()>,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        guard(err, || {
            add(&mut *exclusive::<Batch>(batch, "batch")?)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Creates an empty batch.
///
/// @param batch  Where the batch goes; NULL on failure.
/// @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_NO_MEMORY.
///
/// Ownership: the caller frees it with tstore_batch_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_create(batch: *mut *mut tstore_batch, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        guard(err, || {
            let mut output = handle_output(batch, "batch")?;
            output.set(create(Batch::new())?);
            Ok(TSTORE_OK)
        })
    }
}

/// Adds: store a value of type TSTORE_TYPE_BYTES under a key, without expiry.
///
/// @return TSTORE_OK; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT,
///         TSTORE_E_PANIC, TSTORE_E_INTERNAL: the batch is as it was before.
///
/// Ownership: key and value are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_put(
    batch: *mut tstore_batch,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_batch(batch, err, |batch| {
            batch.put(self::key(key, key_size, "key")?, self::value(value, value_size, "value")?)
        })
    }
}

/// Adds: store a value under a key, with its type and its expiry.
///
/// @param value, value_size  The value's bytes as its type defines them.
/// @param value_type         TSTORE_TYPE_...
/// @param expires_at         As for tstore_put_until; 0 for never.
/// @return As tstore_batch_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
///
/// Ownership: key and value are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_put_until(
    batch: *mut tstore_batch,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    value_type: i32,
    expires_at: i64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_batch(batch, err, |batch| {
            let key = self::key(key, key_size, "key")?;
            let value = self::value(value, value_size, "value")?;
            let value_type = self::value_type(value_type)?;
            check_encoding(value_type, value)?;
            batch.put_with(key, value, value_type, self::expires_at(expires_at)?)
        })
    }
}

/// Adds: delete a key, if it is there. An expired record goes too.
///
/// @return As tstore_batch_put.
///
/// Ownership: the key is copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_delete(
    batch: *mut tstore_batch,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_batch(batch, err, |batch| batch.delete(self::key(key, key_size, "key")?)) }
}

/// Adds: delete every key from `from` on and before `to`, those included that the batch itself stored before.
///
/// @param from, from_size  The first key of the range; no bytes for the first one of the store.
/// @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
///                         the prefix with its last byte one larger, "user0" for "user/".
/// @return As tstore_batch_put.
///
/// Ownership: both keys are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_delete_range(
    batch: *mut tstore_batch,
    from: *const c_void,
    from_size: usize,
    to: *const c_void,
    to_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_batch(batch, err, |batch| {
            batch.delete_range(key(from, from_size, "from")?, key(to, to_size, "to")?)
        })
    }
}

/// Takes all changes out of a batch and keeps its memory for the next ones.
///
/// @return TSTORE_OK; TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_clear(batch: *mut tstore_batch, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_batch(batch, err, |batch| {
            batch.clear();
            Ok(())
        })
    }
}

/// The number of changes in a batch; 0 for NULL, and where another thread is using the batch.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_count(batch: *mut tstore_batch) -> usize {
    // SAFETY: the caller's part, see `boundary`.
    guard_or(0, || unsafe { exclusive::<Batch>(batch, "batch") }.ok().map(|batch| batch.len()))
}

/// Frees a batch.
///
/// @param batch  The batch, or NULL, which does nothing.
///
/// Threads: no other call may use the batch.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_batch_free(batch: *mut tstore_batch) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Batch>(batch) }
}

/// Makes all changes of a batch in one commit: every reader, and the store after a crash, has all of them or
/// none. The batch stays as it is, and may be written again, to other stores too.
///
/// @param batch  The batch; an empty one is fine. Its keys and values take up to 2 GiB.
/// @param flags  0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
/// @return TSTORE_OK; TSTORE_E_BUSY (the batch), errors as tstore_put.
///
/// Threads: any for the store, one at a time for the batch.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_write(
    db: *mut tstore,
    batch: *mut tstore_batch,
    flags: u32,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let batch = exclusive::<Batch>(batch, "batch")?;
            store.write(&batch, durability(flags)?)?;
            Ok(TSTORE_OK)
        })
    }
}
