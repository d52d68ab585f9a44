//! `tstore_iter`: records in the order of their keys.
//!
//! Callers: C; `snapshot` and `txn` make iterators of their own.

use std::ffi::c_void;
use std::ops::Bound;

use super::boundary::{
    Answer, Object, check_buffer, check_flags, copy_out, create, exclusive, free, guard, handle_output, key,
    optional_output, output, pointer, poison_on_panic,
};
use super::error::{TSTORE_BUFFER_TOO_SMALL, TSTORE_E_INVALID_ARGUMENT, TSTORE_END, TSTORE_OK, tstore_error};
use super::store::{tstore, with_store};
use crate::error::{Error, Result};
use crate::store::{Record, Scan, ScanOptions, Store, TransactionScan};
use crate::types::ValueType;

/// Flag of a scan: from the largest key to the smallest.
pub const TSTORE_SCAN_BACKWARD: u32 = 1;
/// Flag of a scan: leave the values out. Each record shows an empty one.
pub const TSTORE_SCAN_KEYS_ONLY: u32 = 2;
/// Flag of a scan: the keys that begin with `from`. Goes with neither `to` nor the next two flags.
pub const TSTORE_SCAN_PREFIX: u32 = 4;
/// Flag of a scan: leave the key `from` out. To go on behind the last key of an earlier scan.
pub const TSTORE_SCAN_FROM_EXCLUSIVE: u32 = 8;
/// Flag of a scan: take the key `to` in.
pub const TSTORE_SCAN_TO_INCLUSIVE: u32 = 16;

/// A walk over records in the byte order of their keys, as they were when the walk began: it holds a
/// snapshot, so no write comes into its way and it comes into the way of none. One of a transaction also
/// shows what the transaction wrote, up to the moment at which the walk comes by. Free it soon: what the
/// snapshot needs takes space.
///
/// Threads: one thread at a time, any one; a second one gets TSTORE_E_BUSY.
pub struct tstore_iter {
    _private: [u8; 0],
}

/// What is behind a `tstore_iter`.
struct Iter {
    store: Store,
    source: Source,
    at: At,
}

/// What an iterator walks over.
pub(super) enum Source {
    Snapshot(Scan),
    Transaction(TransactionScan),
}

/// Where an iterator stands.
enum At {
    /// Before a record: at the start, after a seek and after a batch.
    Before,
    Record(ValueType),
    End,
    Failed(Error),
}

/// What the next call answers where a call panics.
const FAILED: At = At::Failed(Error::Internal("this iterator failed"));

/// Tag of the handles of iterators.
pub(super) const TAG: u32 = 0x6974_6501;

impl Object for Iter {
    type C = tstore_iter;
    const NAME: &'static str = "tstore_iter";
    const TAG: u32 = TAG;
}

impl Source {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        match self {
            Source::Snapshot(scan) => scan.next(),
            Source::Transaction(scan) => scan.next(),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        match self {
            Source::Snapshot(scan) => scan.seek(key),
            Source::Transaction(scan) => scan.seek(key),
        }
    }

    /// Lets the record that came last, which has this key, come again.
    fn repeat(&mut self, key: &[u8]) -> Result<()> {
        match self {
            Source::Snapshot(scan) => {
                scan.repeat();
                Ok(())
            }
            // What the transaction writes until then counts.
            Source::Transaction(scan) => scan.seek(key),
        }
    }
}

/// Makes an iterator of a store's records.
pub(super) fn create_iter(store: &Store, source: Source) -> Result<*mut tstore_iter> {
    create(Iter { store: store.clone(), source, at: At::Before })
}

/// Which records the parameters of a scan mean.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
pub(super) unsafe fn scan_options(
    from: *const c_void,
    from_size: usize,
    to: *const c_void,
    to_size: usize,
    flags: u32,
) -> Result<ScanOptions> {
    // SAFETY: the caller's part.
    let (from, to) = unsafe { (key(from, from_size, "from")?, key(to, to_size, "to")?) };
    let bounds = TSTORE_SCAN_FROM_EXCLUSIVE | TSTORE_SCAN_TO_INCLUSIVE;
    check_flags(flags, TSTORE_SCAN_BACKWARD | TSTORE_SCAN_KEYS_ONLY | TSTORE_SCAN_PREFIX | bounds)?;
    let has = |flag: u32| flags & flag != 0;
    let options = if has(TSTORE_SCAN_PREFIX) {
        if !to.is_empty() || has(bounds) {
            return Err(Error::InvalidArgument(
                "to and flags: with TSTORE_SCAN_PREFIX there is neither a to nor a say about bounds"
                    .to_string(),
            ));
        }
        ScanOptions::prefix(from)
    } else {
        let from = from.to_vec();
        let from =
            if has(TSTORE_SCAN_FROM_EXCLUSIVE) { Bound::Excluded(from) } else { Bound::Included(from) };
        let to = match (to.is_empty(), has(TSTORE_SCAN_TO_INCLUSIVE)) {
            (true, _) => Bound::Unbounded,
            (false, true) => Bound::Included(to.to_vec()),
            (false, false) => Bound::Excluded(to.to_vec()),
        };
        ScanOptions { from, to, ..ScanOptions::default() }
    };
    Ok(ScanOptions { backward: has(TSTORE_SCAN_BACKWARD), keys_only: has(TSTORE_SCAN_KEYS_ONLY), ..options })
}

/// Runs `body` on the iterator behind `iter`, inside the panic guard.
///
/// # Safety
/// The pointers keep the caller's part, see `boundary`.
unsafe fn with_iter(
    iter: *mut tstore_iter,
    err: *mut tstore_error,
    body: impl FnOnce(&mut Source, &mut At) -> Answer,
) -> i32 {
    // SAFETY: the caller's part.
    unsafe {
        guard(err, || {
            let mut iter = exclusive::<Iter>(iter, "iter")?;
            let Iter { store, source, at } = &mut *iter;
            poison_on_panic(store, || body(source, at))
        })
    }
}

/// Begins a walk over the records whose keys start with a prefix, in ascending order, before the first of
/// them. tstore_scan_range does it backward too; tstore_snapshot_scan and tstore_txn_scan take what that one
/// takes.
///
/// @param prefix, prefix_size  The prefix; no bytes for all records.
/// @param iter                 Where the iterator goes; NULL on failure.
/// @return TSTORE_OK, also where no key has the prefix; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY,
///         TSTORE_E_CORRUPT, TSTORE_E_IO, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
///         TSTORE_E_INTERNAL.
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
            output.set(create_iter(store, Source::Snapshot(scan))?);
            Ok(TSTORE_OK)
        })
    }
}

/// Begins a walk over the records between two keys, in either direction, before the first of them.
///
/// `from` is the smaller bound and `to` the larger one, whatever the direction. The key `from` is taken in
/// and the key `to` is not, unless flags say otherwise. No bytes in `from` are no bound below (with
/// TSTORE_SCAN_FROM_EXCLUSIVE: all but the empty key); no bytes in `to` are no bound above, whatever the
/// flags. Where `from` is behind `to` there are no records.
///
/// @param from, from_size  The smaller bound; with TSTORE_SCAN_PREFIX the prefix.
/// @param to, to_size      The larger bound.
/// @param flags            0, or some of TSTORE_SCAN_..., joined by |.
/// @param iter             Where the iterator goes; NULL on failure.
/// @return As tstore_scan.
///
/// Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_scan_range(
    db: *mut tstore,
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
        with_store(db, err, |store| {
            let mut output = output?;
            let scan = store.scan_with(&scan_options(from, from_size, to, to_size, flags)?)?;
            output.set(create_iter(store, Source::Snapshot(scan))?);
            Ok(TSTORE_OK)
        })
    }
}

/// Goes to the next record. The end and a failure are different answers, and each is given again when
/// asked again, until a tstore_iter_seek.
///
/// @param key, key_size      Where the key goes; each may be NULL.
/// @param value, value_size  Where the value goes; each may be NULL.
/// @return TSTORE_OK, TSTORE_END; TSTORE_E_CLOSED where the store was closed, TSTORE_E_CORRUPT, TSTORE_E_IO,
///         TSTORE_E_NO_MEMORY, TSTORE_E_FORKED, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also where the
///         iterator's transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
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
        with_iter(iter, err, |source, at| {
            let mut key_output = optional_output(key, "key")?;
            let mut key_size_output = optional_output(key_size, "key_size")?;
            let mut value_output = optional_output(value, "value")?;
            let mut value_size_output = optional_output(value_size, "value_size")?;
            match at {
                At::Before | At::Record(_) => {}
                At::End => return Ok(TSTORE_END),
                At::Failed(error) => return Err(error.clone()),
            }
            *at = FAILED;
            match source.next() {
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
            }
        })
    }
}

/// Gets as many of the next records as fit into a buffer, each of them whole: for callers to whom each call
/// is dear. tstore_iter_next and this one may be mixed.
///
/// A record in the buffer is, one after the other: three uint32_t in the byte order of the machine (size of
/// the key, size of the value, type of the value), the bytes of the key, the bytes of the value, and zeros up
/// to the next multiple of 4. The first one starts where the buffer does. To go through them:
///
/// @code{.c}
///     uint32_t head[3]; // key size, value size, value type
///     for (size_t at = 0; at < used; at += (sizeof head + head[0] + head[1] + 3) / 4 * 4) {
///         memcpy(head, buffer + at, sizeof head);
///         use(buffer + at + sizeof head, head[0], buffer + at + sizeof head + head[0], head[1]);
///     }
/// @endcode
///
/// @param buffer, buffer_size  Where the records go. It need not be aligned. NULL of size 0 asks for what the
///                             next record takes.
/// @param count                Where their number goes, 1 or more; may be NULL.
/// @param used                 Where the number of bytes they take goes; with TSTORE_BUFFER_TOO_SMALL, how
///                             many bytes the next record takes.
/// @return TSTORE_OK, TSTORE_END where there is no further record; TSTORE_BUFFER_TOO_SMALL where the next one
///         does not fit: it is not lost but comes with the next call; errors as tstore_iter_next. A failure
///         behind the first record is told by the next call.
///
/// Ownership: the caller's buffer. Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_next_batch(
    iter: *mut tstore_iter,
    buffer: *mut c_void,
    buffer_size: usize,
    count: *mut usize,
    used: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_iter(iter, err, |source, at| {
            check_buffer(buffer, buffer_size)?;
            let mut count_output = optional_output(count, "count")?;
            let mut used_output = output(used, "used")?;
            match at {
                At::Before | At::Record(_) => {}
                At::End => return Ok(TSTORE_END),
                At::Failed(error) => return Err(error.clone()),
            }
            *at = FAILED;
            let filled = fill(source, buffer, buffer_size);
            *at = filled.at;
            match (filled.count, filled.too_large, &*at) {
                (0, Some(size), _) => {
                    used_output.set(size);
                    return Ok(TSTORE_BUFFER_TOO_SMALL);
                }
                (0, None, At::Failed(error)) => return Err(error.clone()),
                (0, None, _) => return Ok(TSTORE_END),
                _ => {}
            }
            count_output.set(filled.count);
            used_output.set(filled.used);
            Ok(TSTORE_OK)
        })
    }
}

/// What a batch of records came to.
struct Filled {
    count: usize,
    used: usize,
    /// What the record takes that was too large for the rest of the buffer.
    too_large: Option<usize>,
    at: At,
}

/// Puts records into the caller's buffer of `capacity` bytes until one does not fit or none is left.
///
/// # Safety
/// `buffer` keeps the caller's part, see `boundary`.
unsafe fn fill(source: &mut Source, buffer: *mut c_void, capacity: usize) -> Filled {
    let mut filled = Filled { count: 0, used: 0, too_large: None, at: At::Before };
    loop {
        let record = match source.next() {
            Ok(Some(record)) => record,
            Ok(None) if filled.count == 0 => return Filled { at: At::End, ..filled },
            // The next call looks again: a transaction may write something ahead until then.
            Ok(None) => return filled,
            Err(error) => return Filled { at: At::Failed(error), ..filled },
        };
        let size = batched_size(&record);
        let room = capacity - filled.used;
        if size > room {
            let key = record.key.to_vec();
            if let Err(error) = source.repeat(&key) {
                return Filled { at: At::Failed(error), ..filled };
            }
            return Filled { too_large: Some(size), ..filled };
        }
        // SAFETY: the caller's part; there is room for `size` bytes.
        unsafe { put_batched(&record, buffer.byte_add(filled.used), size) }
        filled.count += 1;
        filled.used += size;
    }
}

/// Bytes that a record takes in a batch.
fn batched_size(record: &Record<'_>) -> usize {
    (size_of::<[u32; 3]>() + record.key.len() + record.value.len()).next_multiple_of(4)
}

/// Writes a record to `place`, which has room for the `size` bytes that it takes.
///
/// # Safety
/// `place` keeps the caller's part, see `boundary`.
unsafe fn put_batched(record: &Record<'_>, place: *mut c_void, size: usize) {
    // Both sizes are below their limits, which are below 2^32.
    let head = [record.key.len() as u32, record.value.len() as u32, record.value_type as u32];
    let head = head.map(u32::to_ne_bytes);
    let mut at = 0;
    let padding = size - size_of_val(&head) - record.key.len() - record.value.len();
    let zeros = [0; 3];
    for part in [head.as_flattened(), record.key, record.value, zeros.get(..padding).unwrap_or_default()] {
        // SAFETY: the caller's part; the parts take `size` bytes together.
        unsafe { copy_out(part, place.byte_add(at), part.len()) };
        at += part.len();
    }
}

/// Goes to just before a key: the next record is the first one that is not before it in the direction of
/// the walk, within its bounds. It may go back as well as forth, and also clears the end and a failure.
///
/// @param key, key_size  The key. It need not be there.
/// @return TSTORE_OK; TSTORE_E_TOO_LARGE (nothing changed), errors as tstore_iter_next.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_seek(
    iter: *mut tstore_iter,
    key: *const c_void,
    key_size: usize,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_iter(iter, err, |source, at| {
            let key = self::key(key, key_size, "key")?;
            *at = FAILED;
            match source.seek(key) {
                Ok(()) => {
                    *at = At::Before;
                    Ok(TSTORE_OK)
                }
                Err(error) => {
                    *at = At::Failed(error.clone());
                    Err(error)
                }
            }
        })
    }
}

/// The type of the value of the record that the iterator stands at.
///
/// @return TSTORE_TYPE_..., 0 or more; TSTORE_E_INVALID_ARGUMENT where it stands at none (unless the last
///         call was a tstore_iter_next that answered TSTORE_OK) or is NULL; TSTORE_E_BUSY.
///
/// Threads: one at a time.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_iter_value_type(iter: *mut tstore_iter) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_iter(iter, std::ptr::null_mut(), |_, at| {
            Ok(match at {
                At::Record(value_type) => *value_type as i32,
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
