//! `tstore_txn`: transactions.
//!
//! Callers: C.

use std::ffi::c_void;

use super::boundary::{
    Answer, Object, create, exclusive, free, guard, handle_output, key, optional_output, output,
    poison_on_panic, value,
};
use super::error::{TSTORE_OK, tstore_error};
use super::expiry::expires_at;
use super::iter::{Source, create_iter, scan_options, tstore_iter};
use super::read::{self, found};
use super::store::{durability, tstore, value_type, with_store};
use super::typed::check_encoding;
use super::value::tstore_value;
use crate::store::{Savepoint, Store, Transaction, WriteOptions};

/// Reads of one moment, and writes that happen together, at the commit, or not at all.
///
/// A transaction reads the store as it was when it began, and what it wrote itself. Its writes are in memory
/// until the commit, and nobody else sees them. Nothing is locked meanwhile: the commit finds out whether
/// anything that the transaction read has changed since, be it a key that was there, one that was not, or
/// what a scan or tstore_txn_delete_range passed over; a record that has expired since counts as changed.
/// If so it answers TSTORE_E_CONFLICT and writes nothing, and the whole transaction has to be done again.
/// What commits could as well have been done alone, one transaction after the other: they are serializable.
/// One that only reads never conflicts. To run one until it is done:
///
/// @code{.c}
///     int32_t status;
///     do {
///         tstore_txn *txn = NULL;
///         status = tstore_txn_begin(db, &txn, &err);
///         if (status == TSTORE_OK) status = transfer(txn, &err); // reads and writes, as often as it takes
///         if (status == TSTORE_OK) status = tstore_txn_commit(txn, 0, &err);
///         tstore_txn_free(txn); // rolls back what was not committed
///     } while (status == TSTORE_E_CONFLICT);
/// @endcode
///
/// Keep it short: it holds a snapshot, and the longer it runs the more it may conflict with.
///
/// Threads: one thread at a time, any one; a second one gets TSTORE_E_BUSY. Its iterators count as handles
/// of their own.
pub struct tstore_txn {
    _private: [u8; 0],
}

/// What is behind a `tstore_txn`.
struct Txn {
    store: Store,
    transaction: Transaction,
}

impl Drop for Txn {
    fn drop(&mut self) {
        // Iterators outlive the handle, and would hold the snapshot.
        let _ = self.transaction.roll_back();
    }
}

/// Tag of the handles of transactions.
pub(super) const TAG: u32 = 0x7478_6e01;

impl Object for Txn {
    type C = tstore_txn;
    const NAME: &'static str = "tstore_txn";
    const TAG: u32 = TAG;
}

/// Runs `body` on the transaction behind `txn`, inside the panic guard.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn with_txn(txn: *mut tstore_txn, err: *mut tstore_error, body: impl FnOnce(&Txn) -> Answer) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        guard(err, || {
            let txn = exclusive::<Txn>(txn, "txn")?;
            poison_on_panic(&txn.store, || body(&txn))
        })
    }
}

/// Begins a transaction on the store as it is now.
///
/// @param txn  Where the transaction goes; NULL on failure.
/// @return As tstore_snapshot_create.
///
/// Ownership: the caller frees it with tstore_txn_free, also after the commit. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_begin(
    db: *mut tstore,
    txn: *mut *mut tstore_txn,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        let output = handle_output(txn, "txn");
        with_store(db, err, |store| {
            let mut output = output?;
            output.set(create(Txn { store: store.clone(), transaction: store.begin()? })?);
            Ok(TSTORE_OK)
        })
    }
}

/// Copies the value of a key, as the transaction has it, of any type, to a buffer. There are no typed calls
/// here: the bytes of a number are as its TSTORE_TYPE_... says, tstore_txn_get_value tells the type, and
/// tstore_txn_put_until stores one.
///
/// @param buffer, buffer_size, value_size  As for tstore_get.
/// @return As tstore_get; TSTORE_E_CLOSED where the store was closed, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY,
///         TSTORE_E_INVALID_ARGUMENT also where the transaction has ended.
///
/// Ownership: the caller's buffer. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_get(
    txn: *mut tstore_txn,
    key: *const c_void,
    key_size: usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_size: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| read::get(&txn.transaction, key, key_size, buffer, buffer_size, value_size))
    }
}

/// Gets the value of a key, as the transaction has it, of any type, without copying it. It outlives the
/// transaction.
///
/// @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
/// @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_txn_get.
///
/// Ownership: the caller frees it with tstore_value_free. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_get_value(
    txn: *mut tstore_txn,
    key: *const c_void,
    key_size: usize,
    value: *mut *mut tstore_value,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        // Before the transaction is looked at: NULL on every failure.
        let _ = handle_output(value, "value");
        with_txn(txn, err, |txn| read::get_value(&txn.transaction, key, key_size, value))
    }
}

/// Tells whether there is a key, as the transaction has it.
///
/// @return TSTORE_OK if there is, TSTORE_NOT_FOUND if not; errors as tstore_txn_get.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_exists(
    txn: *mut tstore_txn,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_txn(txn, err, |txn| read::exists(&txn.transaction, key, key_size)) }
}

/// Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, when the transaction commits.
///
/// @return TSTORE_OK; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also
///         where the transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Ownership: key and value are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_put(
    txn: *mut tstore_txn,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            let key = self::key(key, key_size, "key")?;
            txn.transaction.put(key, self::value(value, value_size, "value")?)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Stores a value under a key, with its type and its expiry, when the transaction commits.
///
/// @param value, value_size  The value's bytes as its type defines them.
/// @param value_type         TSTORE_TYPE_...
/// @param expires_at         As for tstore_put_until; 0 for never.
/// @return As tstore_txn_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
///
/// Ownership: key and value are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_put_until(
    txn: *mut tstore_txn,
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
        with_txn(txn, err, |txn| {
            let key = self::key(key, key_size, "key")?;
            let value = self::value(value, value_size, "value")?;
            let value_type = self::value_type(value_type)?;
            check_encoding(value_type, value)?;
            let expires_at = self::expires_at(expires_at)?;
            let options = WriteOptions { value_type, expires_at, ..WriteOptions::default() };
            txn.transaction.put_with(key, value, options)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Deletes a key when the transaction commits. Whether it is there counts as read.
///
/// @return TSTORE_OK if it is there, TSTORE_NOT_FOUND if not; errors as tstore_txn_get.
///
/// Ownership: the key is copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_delete(
    txn: *mut tstore_txn,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_txn(txn, err, |txn| Ok(found(txn.transaction.delete(self::key(key, key_size, "key")?)?))) }
}

/// Deletes every key from `from` on and before `to`, as the transaction has them, when it commits. The whole
/// range counts as read. Takes memory for each key until the transaction ends.
///
/// @param from, from_size  The first key of the range; no bytes for the first one of the store.
/// @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
///                         the prefix with its last byte one larger, "user0" for "user/".
/// @param count            Where the number of keys that are there goes; may be NULL.
/// @return TSTORE_OK, also where there are none; errors as tstore_txn_get. After an error some of the keys
///         may be deleted in the transaction: go back to a savepoint, or roll back.
///
/// Ownership: the keys are copied. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_delete_range(
    txn: *mut tstore_txn,
    from: *const c_void,
    from_size: usize,
    to: *const c_void,
    to_size: usize,
    count: *mut u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            let (from, to) = (key(from, from_size, "from")?, key(to, to_size, "to")?);
            let mut output = optional_output(count, "count")?;
            output.set(txn.transaction.delete_range(from, to)?);
            Ok(TSTORE_OK)
        })
    }
}

/// Begins a walk over the records between two keys, as the transaction has them, before the first of them. It
/// also shows what the transaction writes while the walk goes on, where that is still ahead. What it has
/// passed counts as read, whether there are keys or not. When the transaction has ended, the iterator answers
/// TSTORE_E_INVALID_ARGUMENT.
///
/// @param from, from_size, to, to_size, flags  As for tstore_scan_range.
/// @param iter                                 Where the iterator goes; NULL on failure.
/// @return As tstore_scan; TSTORE_E_CLOSED where the store was closed, TSTORE_E_BUSY,
///         TSTORE_E_INVALID_ARGUMENT also where the transaction has ended.
///
/// Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free, before or after the
/// transaction. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_scan(
    txn: *mut tstore_txn,
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
        with_txn(txn, err, |txn| {
            let mut output = output?;
            let scan = txn.transaction.scan(&scan_options(from, from_size, to, to_size, flags)?)?;
            output.set(create_iter(&txn.store, Source::Transaction(scan))?);
            Ok(TSTORE_OK)
        })
    }
}

/// Remembers what the transaction has written so far, to go back to with tstore_txn_rollback_to.
///
/// @param savepoint  Where the number of the savepoint goes, 1 or more.
/// @return TSTORE_OK; TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also where the
///         transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_savepoint(
    txn: *mut tstore_txn,
    savepoint: *mut u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            let mut output = output(savepoint, "savepoint")?;
            output.set(txn.transaction.savepoint()?.number());
            Ok(TSTORE_OK)
        })
    }
}

/// Takes back what the transaction wrote since a savepoint. That one stays valid, those made after it do not.
/// What was read since still counts as read.
///
/// @param savepoint  A number that tstore_txn_savepoint gave for this transaction.
/// @return TSTORE_OK; errors as tstore_txn_savepoint, TSTORE_E_INVALID_ARGUMENT also where there is no such
///         savepoint.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_rollback_to(
    txn: *mut tstore_txn,
    savepoint: u64,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            txn.transaction.roll_back_to(Savepoint::from_number(savepoint))?;
            Ok(TSTORE_OK)
        })
    }
}

/// Commits: makes all writes of the transaction at once, or none of them. It has ended then, whatever the
/// answer (but for TSTORE_E_BUSY, and TSTORE_E_INVALID_ARGUMENT for the flags), and only frees remain.
///
/// @param flags  0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
/// @return TSTORE_OK; TSTORE_E_CONFLICT where something that was read has changed: nothing was written, begin
///         again; TSTORE_E_CLOSED where the store was closed, TSTORE_E_BUSY, TSTORE_E_CORRUPT, errors as
///         tstore_put; TSTORE_E_INVALID_ARGUMENT also where the transaction has ended, or writes over 2 GiB.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_commit(txn: *mut tstore_txn, flags: u32, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            txn.transaction.commit(durability(flags)?)?;
            Ok(TSTORE_OK)
        })
    }
}

/// Ends the transaction without a trace. One that has ended stays as it is.
///
/// @return TSTORE_OK; TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_rollback(txn: *mut tstore_txn, err: *mut tstore_error) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_txn(txn, err, |txn| {
            txn.transaction.roll_back()?;
            Ok(TSTORE_OK)
        })
    }
}

/// Frees a transaction, and rolls it back where it has not ended.
///
/// @param txn  The transaction, or NULL, which does nothing.
///
/// Threads: no other call may use the transaction; its iterators may be in use.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_txn_free(txn: *mut tstore_txn) {
    // SAFETY: the caller's part, see `boundary`.
    unsafe { free::<Txn>(txn) }
}
