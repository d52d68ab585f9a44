//! Reading many keys with one call.
//!
//! Callers: C; `snapshot` for its own call.

use std::ffi::c_void;

use super::boundary::{Answer, check_buffer, copy_out, key, output};
use super::error::{TSTORE_BUFFER_TOO_SMALL, TSTORE_OK, tstore_error};
use super::store::{tstore, with_store};
use crate::error::{Error, Result};
use crate::types::ValueType;

/// The header's `TSTORE_ABSENT`: what stands in place of the size of a value that is not there.
const ABSENT: usize = usize::MAX;

/// The parameters of a call that reads many keys.
pub(super) struct Many {
    pub(super) count: usize,
    pub(super) keys: *const c_void,
    pub(super) key_sizes: *const usize,
    pub(super) buffer: *mut c_void,
    pub(super) buffer_size: usize,
    pub(super) value_sizes: *mut usize,
    pub(super) used: *mut usize,
}

/// Takes the place of a key in the call, and its value if it has one.
pub(super) type Look<'a> = &'a mut dyn FnMut(usize, Option<(ValueType, &[u8])>);

/// An error where a required array is not there or misaligned.
fn check_array<T>(array: *const T, count: usize, name: &str) -> Result<()> {
    if array.is_null() && count > 0 {
        return Err(Error::InvalidArgument(format!("{name} is NULL but count is {count}")));
    }
    if !array.is_aligned() {
        return Err(Error::InvalidArgument(format!("{name} is misaligned")));
    }
    Ok(())
}

impl Many {
    /// The keys, which lie one after the other.
    ///
    /// # Safety
    /// The pointers keep the caller's part, see `boundary`.
    unsafe fn keys<'a>(&self) -> Result<Vec<&'a [u8]>> {
        let mut keys = Vec::new();
        keys.try_reserve_exact(self.count).map_err(|_| Error::NoMemory("reading many keys"))?;
        let mut at = 0_usize;
        for index in 0..self.count {
            // SAFETY: the caller's part: `count` sizes, and as many bytes of keys as they add up to. The
            // array is aligned and not NULL. Where `keys` is NULL, the first key with bytes is refused.
            unsafe {
                let size = self.key_sizes.add(index).read();
                keys.push(key(self.keys.wrapping_byte_add(at), size, "keys")?);
                at = at.checked_add(size).ok_or(Error::NoMemory("reading many keys"))?;
            }
        }
        Ok(keys)
    }

    /// Reads the keys with `read`, which goes through them in order.
    ///
    /// # Safety
    /// The pointers keep the caller's part, see `boundary`.
    pub(super) unsafe fn read(&self, read: impl FnOnce(&[&[u8]], Look<'_>) -> Result<()>) -> Answer {
        check_array(self.key_sizes, self.count, "key_sizes")?;
        check_array(self.value_sizes, self.count, "value_sizes")?;
        check_buffer(self.buffer, self.buffer_size)?;
        // SAFETY: the caller's part.
        let (keys, mut used) = unsafe { (self.keys()?, output(self.used, "used")?) };
        let mut sizes = Vec::new();
        sizes.try_reserve_exact(self.count).map_err(|_| Error::NoMemory("reading many keys"))?;
        let mut needed = 0_usize;
        read(&keys, &mut |_, found| {
            let Some((_, bytes)) = found else { return sizes.push(ABSENT) };
            sizes.push(bytes.len());
            // Only counted from the first one on that does not fit.
            if let Some(room) = self.buffer_size.checked_sub(needed) {
                // SAFETY: the caller's part; nothing is written beyond the buffer's end.
                unsafe { copy_out(bytes, self.buffer.wrapping_byte_add(needed), room) };
            }
            needed = needed.saturating_add(bytes.len());
        })?;
        if sizes.len() != self.count {
            return Err(Error::Internal("reading many keys skipped one"));
        }
        for (index, size) in sizes.into_iter().enumerate() {
            // SAFETY: the caller's part; not NULL and aligned, with room for `count` sizes.
            unsafe { self.value_sizes.add(index).write(size) };
        }
        used.set(needed);
        Ok(if needed <= self.buffer_size { TSTORE_OK } else { TSTORE_BUFFER_TOO_SMALL })
    }
}

/// Copies the values of several keys, of any type, to one buffer. The waits for memory overlap, so that this
/// takes a fraction of the time of as many tstore_get. Each value is that of its own moment; use
/// tstore_snapshot_get_many for values of one moment.
///
/// @param count                Number of keys; 0 is allowed.
/// @param keys                 The bytes of all keys, one after the other.
/// @param key_sizes            The size of each key, `count` of them.
/// @param buffer, buffer_size  Where the values go, one after the other, in the order of the keys. NULL of
///                             size 0 asks for the sizes only, as in tstore_get.
/// @param value_sizes          Where the size of each value goes, `count` of them; TSTORE_ABSENT for a key
///                             that is not there, which takes nothing in the buffer. May be the array
///                             key_sizes, which is then lost for a second call with a larger buffer.
/// @param used                 Where the number of bytes that the values take goes.
/// @return TSTORE_OK, whichever keys are there; TSTORE_BUFFER_TOO_SMALL: value_sizes and used say what is
///         needed, and what is in the buffer has no meaning; TSTORE_E_NO_MEMORY, errors as tstore_get.
///
/// Ownership: the caller's arrays and buffer. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_get_many(
    db: *mut tstore,
    count: usize,
    keys: *const c_void,
    key_sizes: *const usize,
    buffer: *mut c_void,
    buffer_size: usize,
    value_sizes: *mut usize,
    used: *mut usize,
    err: *mut tstore_error,
) -> i32 {
    let many = Many { count, keys, key_sizes, buffer, buffer_size, value_sizes, used };
    // SAFETY: the caller's part, see `boundary`.
    unsafe { with_store(db, err, |store| many.read(|keys, look| store.read_many(keys, look))) }
}

/// TSTORE_ABSENT of the library that is running.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_absent() -> usize {
    ABSENT
}
