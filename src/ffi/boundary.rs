//! Where C and Rust meet: the panic guard, handles, and the checks that every pointer from C goes through.
//!
//! Invariants:
//! 1. No panic crosses into C: it becomes `TSTORE_E_PANIC`, and the store it happened in refuses writes.
//! 2. A pointer is used only when it is not NULL and is aligned for what it points to.
//! 3. A size is held against its limit before a slice is made, so that no slice is larger than memory.
//! 4. A handle's first word tells its kind and its state. A pointer to a live handle of another kind is
//!    always told apart; one to a handle that is gone usually, since its memory may have been used again.
//!
//! What cannot be checked is the caller's part, and the safety condition of every `unsafe fn` here: a
//! pointer that is neither NULL nor misaligned points to as much memory as the call says, and nobody else
//! writes to that memory, or frees it, while the call lasts.
//!
//! Callers: the other files of `ffi`.

use std::any::Any;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::ops::{Deref, DerefMut};
// A conversion of bytes that every Unix path allows, not a call to the operating system.
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
// Not the engine's facade: a handle's state word is no part of what the schedule explorers explore.
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{TSTORE_E_PANIC, status_of, tstore_error};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::types::{KEY_SIZE_MAX, VALUE_SIZE_MAX};

/// What a body answers: a status of 0 or more, or an error.
pub(super) type Answer = Result<i32>;

/// How a body ended.
enum End {
    Outcome(i32),
    Error(Error),
    Panic(String),
}

/// Runs `body` and reports how it ended, to `err` and as the status that C gets.
///
/// # Safety
/// `err` keeps the caller's part.
pub(super) unsafe fn guard(err: *mut tstore_error, body: impl FnOnce() -> Answer) -> i32 {
    // What a panic leaves half done is behind handles: a store, which `poison_on_panic` takes care of.
    let end = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => End::Outcome(status),
        Ok(Err(error)) => End::Error(error),
        Err(payload) => {
            let text = panic_text(&*payload);
            // Dropping a stranger's payload could panic again.
            std::mem::forget(payload);
            End::Panic(text)
        }
    };
    let err = if err.is_null() || !err.is_aligned() {
        None
    } else {
        // SAFETY: the caller's part. All fields are integers: whatever bytes are there are a value.
        Some(unsafe { &mut *err })
    };
    catch_unwind(AssertUnwindSafe(|| report(err, &end))).unwrap_or(TSTORE_E_PANIC)
}

fn report(err: Option<&mut tstore_error>, end: &End) -> i32 {
    let status = match end {
        End::Outcome(status) => *status,
        End::Error(error) => status_of(error),
        End::Panic(_) => TSTORE_E_PANIC,
    };
    if let Some(err) = err {
        match end {
            End::Outcome(_) => err.set_outcome(status),
            End::Error(error) => err.set_error(status, error),
            End::Panic(text) => err.set_panic(text),
        }
    }
    status
}

/// Runs `body`, which calls `store`; where it panics, the store refuses writes from then on. To be used
/// inside [`guard`], which stops the panic.
pub(super) fn poison_on_panic(store: &Store, body: impl FnOnce() -> Answer) -> Answer {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        store.poison(&format!("a panic: {}", panic_text(&*payload)));
        resume_unwind(payload)
    })
}

/// Runs the body of a function that has no status: `default` where it panics or answers `None`.
pub(super) fn guard_or<T>(default: T, body: impl FnOnce() -> Option<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Some(value)) => value,
        _ => default,
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_string()
}

/// What lies behind a handle.
pub(super) trait Object: Sized {
    /// The opaque type that C sees.
    type C;
    /// Its C name, for messages.
    const NAME: &'static str;
    /// Upper half of the state word of its handles. Different for every type.
    const TAG: u32;
}

const LIVE: u32 = 0x6c69_7665;
const IN_USE: u32 = 0x696e_5573;
const GONE: u32 = 0x476f_6e65;

const fn state<T: Object>(state: u32) -> u64 {
    (T::TAG as u64) << 32 | state as u64
}

/// The memory a handle points to. `repr(C)`: the state word comes first whatever the object is.
#[repr(C)]
struct Handle<T> {
    state: AtomicU64,
    object: T,
}

/// Memory for a handle whose object is still to come: for calls that must not fail once they have it.
pub(super) struct Room<T: Object>(Vec<Handle<T>>);

impl<T: Object> Room<T> {
    pub(super) fn new() -> Result<Room<T>> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(1).map_err(|_| Error::NoMemory(T::NAME))?;
        Ok(Room(memory))
    }

    /// Moves `object` there and gives out the handle to it.
    pub(super) fn fill(mut self, object: T) -> *mut T::C {
        self.0.push(Handle { state: AtomicU64::new(state::<T>(LIVE)), object });
        // A boxed slice of one has the memory layout of the box that `release` makes of it again.
        Box::into_raw(self.0.into_boxed_slice()).cast::<T::C>()
    }
}

/// Moves `object` to the heap and gives out the handle to it.
pub(super) fn create<T: Object>(object: T) -> Result<*mut T::C> {
    Ok(Room::new()?.fill(object))
}

fn no_handle<T: Object>(name: &str, found: u64) -> Error {
    let reason = if found == state::<T>(IN_USE) {
        return Error::Busy(T::NAME);
    } else if found == state::<T>(GONE) {
        "was closed or freed already"
    } else {
        "is not a handle of that type, or was freed already"
    };
    Error::InvalidArgument(format!("{name} (a {}) {reason}", T::NAME))
}

/// The memory behind a handle that is live or in use. Its state word may be referred to; its object only
/// by who knows that nobody else changes it.
///
/// # Safety
/// `handle` keeps the caller's part.
unsafe fn memory<T: Object>(handle: *const T::C, name: &str) -> Result<*mut Handle<T>> {
    let memory = handle.cast_mut().cast::<Handle<T>>();
    if memory.is_null() {
        return Err(null(name));
    }
    if !memory.is_aligned() {
        return Err(Error::InvalidArgument(format!("{name} is not a handle: it is misaligned")));
    }
    // SAFETY: the caller's part. Every handle, whatever its type, begins with a state word.
    let found = unsafe { &(*memory).state }.load(Ordering::Acquire);
    if found == state::<T>(LIVE) || found == state::<T>(IN_USE) {
        Ok(memory)
    } else {
        Err(no_handle::<T>(name, found))
    }
}

/// The object behind a handle that several threads may use at the same time.
///
/// # Safety
/// `handle` keeps the caller's part.
pub(super) unsafe fn shared<'a, T: Object + Sync>(handle: *const T::C, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's part.
    let memory = unsafe { memory::<T>(handle, name) }?;
    // SAFETY: a live handle of this type; its object is never changed, since `exclusive` is used for other
    // types than `shared` is.
    Ok(unsafe { &(*memory).object })
}

/// The object behind a handle that one thread may use at a time: a second one gets `Busy`.
///
/// # Safety
/// `handle` keeps the caller's part.
pub(super) unsafe fn exclusive<'a, T: Object + Send>(
    handle: *mut T::C,
    name: &str,
) -> Result<Exclusive<'a, T>> {
    // SAFETY: the caller's part.
    let memory = unsafe { memory::<T>(handle, name) }?;
    // SAFETY: a live handle of this type.
    let state = unsafe { &(*memory).state };
    take::<T>(state, IN_USE, name)?;
    // SAFETY: the state word was LIVE and is IN_USE now, so there is no other reference to the object until
    // it is LIVE again.
    let object = unsafe { &mut (*memory).object };
    Ok(Exclusive { state, object })
}

fn take<T: Object>(word: &AtomicU64, next: u32, name: &str) -> Result<()> {
    word.compare_exchange(state::<T>(LIVE), state::<T>(next), Ordering::Acquire, Ordering::Acquire)
        .map(|_| ())
        .map_err(|found| no_handle::<T>(name, found))
}

/// An object while one call has it to itself.
pub(super) struct Exclusive<'a, T: Object> {
    state: &'a AtomicU64,
    object: &'a mut T,
}

impl<T: Object> Deref for Exclusive<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.object
    }
}

impl<T: Object> DerefMut for Exclusive<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.object
    }
}

impl<T: Object> Drop for Exclusive<'_, T> {
    fn drop(&mut self) {
        self.state.store(state::<T>(LIVE), Ordering::Release);
    }
}

/// Ends the life of a handle: its memory is freed, the object is the caller's. A handle that another call
/// has to itself is refused.
///
/// # Safety
/// `handle` keeps the caller's part, and no other call uses it.
pub(super) unsafe fn release<T: Object>(handle: *mut T::C, name: &str) -> Result<T> {
    // SAFETY: the caller's part.
    let memory = unsafe { memory::<T>(handle, name) }?;
    // SAFETY: a live handle of this type.
    take::<T>(unsafe { &(*memory).state }, GONE, name)?;
    // SAFETY: the handle was LIVE, so it came from `create`, and GONE lets no other call get here.
    Ok(unsafe { Box::from_raw(memory) }.object)
}

/// As [`release`], for the functions that free a handle: NULL, like one that is not live, is passed over.
///
/// # Safety
/// `handle` keeps the caller's part, and no other call uses it.
pub(super) unsafe fn free<T: Object>(handle: *mut T::C) {
    guard_or((), || {
        // SAFETY: the caller's part.
        unsafe { release::<T>(handle, T::NAME) }.ok().map(drop)
    });
}

fn null(name: &str) -> Error {
    Error::InvalidArgument(format!("{name} is NULL"))
}

/// The `size` bytes at `pointer`; NULL stands for no bytes.
///
/// # Safety
/// `pointer` keeps the caller's part.
unsafe fn bytes<'a>(pointer: *const c_void, size: usize, name: &str) -> Result<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::InvalidArgument(format!("{name} is NULL but {name}_size is {size}")));
    }
    // SAFETY: not NULL, the caller's part, and the size was held against a limit below `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) })
}

/// A key, or a prefix of keys.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn key<'a>(pointer: *const c_void, size: usize, name: &str) -> Result<&'a [u8]> {
    if size > KEY_SIZE_MAX {
        return Err(Error::KeyTooLarge { size });
    }
    // SAFETY: the caller's part.
    unsafe { bytes(pointer, size, name) }
}

/// A value.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn value<'a>(pointer: *const c_void, size: usize, name: &str) -> Result<&'a [u8]> {
    if size > VALUE_SIZE_MAX {
        return Err(Error::ValueTooLarge { size });
    }
    // SAFETY: the caller's part.
    unsafe { bytes(pointer, size, name) }
}

/// A path: bytes that end with a NUL.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and the caller's part.
    let path = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    if path.is_empty() {
        return Err(Error::InvalidArgument(format!("{name} is empty")));
    }
    Ok(Path::new(OsStr::from_bytes(path)))
}

/// A place for an output. It is only ever written.
pub(super) struct Output<T>(*mut T);

impl<T> Output<T> {
    /// Writes the output; where the caller passed NULL for one that may be left out, nothing.
    pub(super) fn set(&mut self, value: T) {
        if !self.0.is_null() {
            // SAFETY: checked when it was made (`output`, `optional_output`), and the caller's part.
            unsafe { self.0.write(value) }
        }
    }
}

/// A required output.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn output<T>(pointer: *mut T, name: &str) -> Result<Output<T>> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's part.
    unsafe { optional_output(pointer, name) }
}

/// An output that the caller may leave out.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn optional_output<T>(pointer: *mut T, name: &str) -> Result<Output<T>> {
    if !pointer.is_aligned() {
        return Err(Error::InvalidArgument(format!("{name} is misaligned")));
    }
    Ok(Output(pointer))
}

/// An output that will own a handle: NULL until the call has succeeded.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn handle_output<T>(pointer: *mut *mut T, name: &str) -> Result<Output<*mut T>> {
    // SAFETY: the caller's part.
    let mut output = unsafe { output(pointer, name) }?;
    output.set(std::ptr::null_mut());
    Ok(output)
}

/// The bytes as C gets to see them: never NULL, also where there are none.
pub(super) fn pointer(bytes: &[u8]) -> *const c_void {
    if bytes.is_empty() { c"".as_ptr().cast() } else { bytes.as_ptr().cast() }
}

/// Copies `bytes` to the caller's buffer of `capacity` bytes; `false`, and nothing done, where they do
/// not fit.
///
/// # Safety
/// `buffer` keeps the caller's part.
pub(super) unsafe fn copy_out(bytes: &[u8], buffer: *mut c_void, capacity: usize) -> bool {
    if bytes.len() > capacity {
        return false;
    }
    if !bytes.is_empty() {
        // SAFETY: `check_buffer` has found the buffer not to be NULL; it has room, which is the caller's
        // part; it cannot overlap the store's own memory.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }
    true
}

/// Checks a buffer to copy to: NULL only with a capacity of 0.
pub(super) fn check_buffer(buffer: *mut c_void, capacity: usize) -> Result<()> {
    if buffer.is_null() && capacity > 0 {
        return Err(Error::InvalidArgument(format!("buffer is NULL but buffer_size is {capacity}")));
    }
    Ok(())
}

/// Checks that no flag is set but `known` ones.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<()> {
    if flags & !known != 0 {
        return Err(Error::InvalidArgument(format!("flags has unknown bits: {:#x}", flags & !known)));
    }
    Ok(())
}

/// The state of a `struct_size` field: how many bytes of the caller's struct may be written.
///
/// # Safety
/// `pointer`, which is not NULL, keeps the caller's part.
pub(super) unsafe fn write_struct<T: Copy>(pointer: *mut T, given: u32, value: &T) {
    let size = (given as usize).min(size_of::<T>());
    // SAFETY: the caller's struct has `given` bytes; `value` has at least `size`.
    unsafe { pointer.cast::<u8>().copy_from_nonoverlapping((&raw const *value).cast::<u8>(), size) }
}

/// Reads the `struct_size` that a caller's struct begins with; it has to be at least `smallest`, the size
/// the struct had in the first release.
///
/// # Safety
/// `pointer` keeps the caller's part.
pub(super) unsafe fn struct_size<T>(pointer: *const T, smallest: usize, name: &str) -> Result<u32> {
    if pointer.is_null() {
        return Err(null(name));
    }
    if !pointer.is_aligned() {
        return Err(Error::InvalidArgument(format!("{name} is misaligned")));
    }
    // SAFETY: the caller's part; such a struct begins with a `u32`.
    let size = unsafe { pointer.cast::<u32>().read() };
    if (size as usize) < smallest {
        let advice = format!("{name}->struct_size is {size}: set it to sizeof *{name} before the call");
        return Err(Error::InvalidArgument(advice));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::super::error::{TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT, TSTORE_OK};
    use super::*;

    fn blank() -> tstore_error {
        // SAFETY: every field is an integer, for which zeros are a value.
        unsafe { std::mem::zeroed() }
    }

    fn message(error: &tstore_error) -> String {
        // SAFETY: `message` lives and ends with a NUL.
        unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_str().unwrap().to_string()
    }

    /// An object like those of the other files.
    struct Thing(u32);
    struct ThingHandle;
    impl Object for Thing {
        type C = ThingHandle;
        const NAME: &'static str = "thing";
        const TAG: u32 = 1;
    }

    struct Other;
    impl Object for Other {
        type C = ThingHandle;
        const NAME: &'static str = "other";
        const TAG: u32 = 2;
    }

    #[test]
    fn a_panic_becomes_a_status_with_its_text() {
        let mut err = blank();
        // SAFETY: `err` lives.
        let status = unsafe { guard(&raw mut err, || panic!("number {}", 7)) };
        assert_eq!((status, err.code), (TSTORE_E_PANIC, TSTORE_E_PANIC));
        assert!(message(&err).contains("number 7"), "{}", message(&err));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { guard(std::ptr::null_mut(), || panic!("unseen")) }, TSTORE_E_PANIC);
        // SAFETY: `err` lives.
        let status = unsafe { guard(&raw mut err, || std::panic::panic_any(5)) };
        assert_eq!(status, TSTORE_E_PANIC);
        // SAFETY: `err` lives.
        assert_eq!(unsafe { guard(&raw mut err, || Ok(TSTORE_OK)) }, TSTORE_OK);
        assert_eq!((err.code, message(&err)), (TSTORE_OK, String::new()));
        assert_eq!(guard_or(5, || panic!("unseen")), 5);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_never_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("a second panic");
            }
        }
        // SAFETY: NULL is allowed.
        let status = unsafe { guard(std::ptr::null_mut(), || std::panic::panic_any(Bomb)) };
        assert_eq!(status, TSTORE_E_PANIC);
    }

    #[test]
    fn a_store_refuses_writes_after_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("db"), &crate::Options::default()).unwrap();
        store.put(b"k", b"v").unwrap();
        let mut err = blank();
        // SAFETY: `err` lives.
        let status = unsafe { guard(&raw mut err, || poison_on_panic(&store, || panic!("halfway"))) };
        assert_eq!(status, TSTORE_E_PANIC);
        assert!(matches!(store.put(b"k", b"w"), Err(Error::Poisoned(reason)) if reason.contains("halfway")));
        assert_eq!(&**store.get(b"k").unwrap().as_ref().unwrap(), b"v");
    }

    #[test]
    fn a_handle_in_use_is_busy_for_everybody_else() {
        let handle = create(Thing(3)).unwrap();
        // SAFETY: `handle` lives until it is released below, and is used by this thread only.
        unsafe {
            let mut first = exclusive::<Thing>(handle, "t").unwrap_or_else(|_| panic!());
            first.0 += 1;
            assert!(matches!(exclusive::<Thing>(handle, "t"), Err(Error::Busy("thing"))));
            // Nor can it be freed while it is in use.
            assert!(matches!(release::<Thing>(handle, "t"), Err(Error::Busy("thing"))));
            free::<Thing>(handle);
            let status = guard(std::ptr::null_mut(), || exclusive::<Thing>(handle, "t").map(|_| 0));
            assert_eq!(status, TSTORE_E_BUSY);
            drop(first);
            assert_eq!(exclusive::<Thing>(handle, "t").unwrap_or_else(|_| panic!()).0, 4);
            assert_eq!(release::<Thing>(handle, "t").unwrap_or_else(|_| panic!()).0, 4);
        }
    }

    #[test]
    fn a_handle_is_usable_again_after_a_panic_in_its_call() {
        let handle = create(Thing(3)).unwrap();
        // SAFETY: `handle` lives until it is released below, and is used by this thread only.
        unsafe {
            let status = guard(std::ptr::null_mut(), || {
                let _thing = exclusive::<Thing>(handle, "t")?;
                panic!("halfway")
            });
            assert_eq!(status, TSTORE_E_PANIC);
            assert_eq!(release::<Thing>(handle, "t").unwrap_or_else(|_| panic!()).0, 3);
        }
    }

    #[test]
    fn a_handle_of_another_type_is_told_apart() {
        let handle = create(Other).unwrap();
        // SAFETY: `handle` lives until it is released below, and is used by this thread only.
        unsafe {
            let status = guard(std::ptr::null_mut(), || shared::<Thing>(handle, "t").map(|_| 0));
            assert_eq!(status, TSTORE_E_INVALID_ARGUMENT);
            free::<Thing>(handle);
            release::<Other>(handle, "t").unwrap_or_else(|_| panic!());
        }
    }

    #[test]
    fn every_handle_type_has_a_tag_of_its_own() {
        use super::super::{iter, snapshot, txn};
        let tags = [Store::TAG, crate::Options::TAG, crate::Value::TAG, crate::Batch::TAG];
        let tags = [&tags[..], &[iter::TAG, snapshot::TAG, txn::TAG]].concat();
        for (at, tag) in tags.iter().enumerate() {
            assert!(tags.iter().skip(at + 1).all(|other| other != tag));
        }
    }
}
