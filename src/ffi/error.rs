//! Statuses and `tstore_error`.
//!
//! Invariants:
//! 1. A status number never changes its meaning and is never used again for another one.
//! 2. 0 is success, a positive status is an outcome that a caller expects, a negative one is an error.
//! 3. `tstore_error` has 312 bytes for ever; it grows into `reserved` only.
//!
//! Callers: `boundary`, which writes every `tstore_error`; the other files for the status numbers.

use std::ffi::{CStr, c_char};
use std::mem::{offset_of, size_of};

use super::boundary::guard_or;
use crate::error::Error;

/// The call did what it was asked to.
pub const TSTORE_OK: i32 = 0;
/// There is no such key.
pub const TSTORE_NOT_FOUND: i32 = 1;
/// The iterator has no further record.
pub const TSTORE_END: i32 = 2;
/// There is such a key already. Nothing was written.
pub const TSTORE_EXISTS: i32 = 3;
/// The value is not the one that was expected. Nothing was written.
pub const TSTORE_MISMATCH: i32 = 4;
/// The buffer is too small; the size that is needed was written.
pub const TSTORE_BUFFER_TOO_SMALL: i32 = 5;
/// The value is of another type; err->detail is the type it has.
pub const TSTORE_WRONG_TYPE: i32 = 6;
/// An argument is not acceptable; the message names it.
pub const TSTORE_E_INVALID_ARGUMENT: i32 = -1;
/// The operating system refused a call; see err->os_errno.
pub const TSTORE_E_IO: i32 = -2;
/// A file is damaged at err->offset. Nothing was changed.
pub const TSTORE_E_CORRUPT: i32 = -3;
/// The store is open elsewhere; err->detail is the process, 0 if unknown.
pub const TSTORE_E_LOCKED: i32 = -4;
/// What a transaction read was changed by a newer commit: nothing was written; begin it again.
pub const TSTORE_E_CONFLICT: i32 = -5;
/// The device or the quota is full. Nothing was written; the store stays usable. (From tstore_sync and
/// tstore_close it means what their comments say.)
pub const TSTORE_E_NO_SPACE: i32 = -6;
/// Memory could not be had.
pub const TSTORE_E_NO_MEMORY: i32 = -7;
/// The store is open for reading only. (No function answers this yet.)
pub const TSTORE_E_READ_ONLY: i32 = -8;
/// The store that this handle belongs to was closed.
pub const TSTORE_E_CLOSED: i32 = -9;
/// Another thread is using this handle right now.
pub const TSTORE_E_BUSY: i32 = -10;
/// The progress callback asked to stop.
pub const TSTORE_E_CANCELLED: i32 = -11;
/// A key or a value is over its limit.
pub const TSTORE_E_TOO_LARGE: i32 = -12;
/// The store was written by a newer library; err->detail is its format version.
pub const TSTORE_E_VERSION: i32 = -13;
/// The file system lacks something that the store needs.
pub const TSTORE_E_UNSUPPORTED: i32 = -14;
/// A bug in the library was caught on its way out; the store refuses writes from now on.
pub const TSTORE_E_PANIC: i32 = -15;
/// The store refuses writes since an earlier failure: close it and open it again.
pub const TSTORE_E_POISONED: i32 = -16;
/// This process is a fork of the one that opened the store.
pub const TSTORE_E_FORKED: i32 = -17;
/// The path holds something that is not a store.
pub const TSTORE_E_NOT_A_STORE: i32 = -18;
/// The process may not read or write the file or directory.
pub const TSTORE_E_PERMISSION: i32 = -19;
/// The result of an addition is out of range. Nothing was written.
pub const TSTORE_E_OVERFLOW: i32 = -20;
/// There is no store at the path.
pub const TSTORE_E_NO_STORE: i32 = -21;
/// There is a store at the path already.
pub const TSTORE_E_ALREADY_EXISTS: i32 = -22;
/// The file to import is damaged at err->offset.
pub const TSTORE_E_DAMAGED_IMPORT: i32 = -23;
/// The value's bytes are not what its type says.
pub const TSTORE_E_DECODE: i32 = -24;
/// A state was met that the code rules out: please report it.
pub const TSTORE_E_INTERNAL: i32 = -25;

/// Bytes of tstore_error.message, the terminating NUL included.
pub const TSTORE_MESSAGE_SIZE: usize = 256;

/// What a call answered, and why. It lives where the caller puts it, usually on the stack; it need not be
/// initialised. Each call writes it anew: code is the status that the call returned, and after TSTORE_OK
/// the other fields are 0 and the message is empty. Pass NULL to do without.
#[repr(C)]
pub struct tstore_error {
    /// The status.
    pub code: i32,
    /// The operating system's error number, or 0.
    pub os_errno: i32,
    /// TSTORE_E_LOCKED: the process that holds the store; TSTORE_WRONG_TYPE: the type of the value;
    /// TSTORE_E_VERSION: the format version found. Otherwise 0.
    pub detail: u32,
    /// 0.
    pub reserved0: u32,
    /// TSTORE_E_CORRUPT, TSTORE_E_DAMAGED_IMPORT: byte offset of the damage in the file. Otherwise 0.
    pub offset: u64,
    /// 0.
    pub reserved: [u64; 4],
    /// What went wrong and what to do about it, in English: UTF-8, ends with a NUL. A message that does
    /// not fit has its middle replaced by three dots.
    pub message: [c_char; TSTORE_MESSAGE_SIZE],
}

const _: () = assert!(size_of::<tstore_error>() == 312 && offset_of!(tstore_error, message) == 56);

/// A status, its constant's name and a sentence about it.
struct Status(i32, &'static CStr, &'static CStr);

const STATUSES: [Status; 32] = [
    Status(TSTORE_OK, c"TSTORE_OK", c"success"),
    Status(TSTORE_NOT_FOUND, c"TSTORE_NOT_FOUND", c"there is no such key"),
    Status(TSTORE_END, c"TSTORE_END", c"the iterator has no further record"),
    Status(TSTORE_EXISTS, c"TSTORE_EXISTS", c"there is such a key already"),
    Status(TSTORE_MISMATCH, c"TSTORE_MISMATCH", c"the value is not the expected one"),
    Status(
        TSTORE_BUFFER_TOO_SMALL,
        c"TSTORE_BUFFER_TOO_SMALL",
        c"the buffer is too small: the size it needs was written",
    ),
    Status(TSTORE_WRONG_TYPE, c"TSTORE_WRONG_TYPE", c"the value is of another type"),
    Status(TSTORE_E_INVALID_ARGUMENT, c"TSTORE_E_INVALID_ARGUMENT", c"an argument is not acceptable"),
    Status(TSTORE_E_IO, c"TSTORE_E_IO", c"the operating system refused a call"),
    Status(TSTORE_E_CORRUPT, c"TSTORE_E_CORRUPT", c"a file of the store is damaged"),
    Status(TSTORE_E_LOCKED, c"TSTORE_E_LOCKED", c"the store is open elsewhere"),
    Status(TSTORE_E_CONFLICT, c"TSTORE_E_CONFLICT", c"a newer commit is in the way: begin again"),
    Status(TSTORE_E_NO_SPACE, c"TSTORE_E_NO_SPACE", c"no space left: nothing was written"),
    Status(TSTORE_E_NO_MEMORY, c"TSTORE_E_NO_MEMORY", c"out of memory"),
    Status(TSTORE_E_READ_ONLY, c"TSTORE_E_READ_ONLY", c"the store is open for reading only"),
    Status(TSTORE_E_CLOSED, c"TSTORE_E_CLOSED", c"the store is closed"),
    Status(TSTORE_E_BUSY, c"TSTORE_E_BUSY", c"another thread is using the handle"),
    Status(TSTORE_E_CANCELLED, c"TSTORE_E_CANCELLED", c"cancelled by the progress callback"),
    Status(TSTORE_E_TOO_LARGE, c"TSTORE_E_TOO_LARGE", c"a key or a value is over its limit"),
    Status(TSTORE_E_VERSION, c"TSTORE_E_VERSION", c"the store was written by a newer library"),
    Status(TSTORE_E_UNSUPPORTED, c"TSTORE_E_UNSUPPORTED", c"not supported by the file system"),
    Status(TSTORE_E_PANIC, c"TSTORE_E_PANIC", c"a bug in the library was caught"),
    Status(TSTORE_E_POISONED, c"TSTORE_E_POISONED", c"the store refuses writes since an earlier failure"),
    Status(TSTORE_E_FORKED, c"TSTORE_E_FORKED", c"this process is a fork of the store's"),
    Status(TSTORE_E_NOT_A_STORE, c"TSTORE_E_NOT_A_STORE", c"the path holds something that is not a store"),
    Status(TSTORE_E_PERMISSION, c"TSTORE_E_PERMISSION", c"no permission"),
    Status(TSTORE_E_OVERFLOW, c"TSTORE_E_OVERFLOW", c"the result is out of range"),
    Status(TSTORE_E_NO_STORE, c"TSTORE_E_NO_STORE", c"there is no store at the path"),
    Status(TSTORE_E_ALREADY_EXISTS, c"TSTORE_E_ALREADY_EXISTS", c"there is a store at the path already"),
    Status(TSTORE_E_DAMAGED_IMPORT, c"TSTORE_E_DAMAGED_IMPORT", c"the file to import is damaged"),
    Status(TSTORE_E_DECODE, c"TSTORE_E_DECODE", c"the value's bytes are not what its type says"),
    Status(TSTORE_E_INTERNAL, c"TSTORE_E_INTERNAL", c"a bug in the library was met"),
];

/// Where the table's row for a status is: outcomes first, then errors.
fn status(number: i32) -> Option<&'static Status> {
    let row = if number >= 0 { number } else { TSTORE_WRONG_TYPE.checked_sub(number)? };
    STATUSES.get(usize::try_from(row).ok()?).filter(|status| status.0 == number)
}

/// The name of a status constant, such as "TSTORE_NOT_FOUND"; "TSTORE_?" for a number that is none.
///
/// Ownership: a constant of the library. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_status_name(status: i32) -> *const c_char {
    guard_or(c"TSTORE_?".as_ptr(), || self::status(status).map(|status| status.1.as_ptr()))
}

/// A short English sentence about a status, for where there is no tstore_error; "unknown status" for a
/// number that is none.
///
/// Ownership: a constant of the library. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_status_message(status: i32) -> *const c_char {
    guard_or(c"unknown status".as_ptr(), || self::status(status).map(|status| status.2.as_ptr()))
}

/// 1 if the same may succeed later without anything being repaired, else 0. After TSTORE_E_BUSY and
/// TSTORE_E_LOCKED that is the same call; after TSTORE_E_CONFLICT it is the whole transaction, from
/// tstore_txn_begin on, as the commit that conflicted has ended it.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_status_is_retryable(status: i32) -> i32 {
    i32::from(matches!(status, TSTORE_E_BUSY | TSTORE_E_CONFLICT | TSTORE_E_LOCKED))
}

/// sizeof(tstore_error), 312 in every release: for callers that cannot ask their compiler.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_sizeof_error() -> usize {
    size_of::<tstore_error>()
}

/// The status that stands for `error`.
pub(super) fn status_of(error: &Error) -> i32 {
    match error {
        Error::InvalidArgument(_) => TSTORE_E_INVALID_ARGUMENT,
        Error::KeyTooLarge { .. } | Error::ValueTooLarge { .. } => TSTORE_E_TOO_LARGE,
        Error::WrongType { .. } => TSTORE_WRONG_TYPE,
        Error::Decode(_) => TSTORE_E_DECODE,
        Error::Io { .. } => TSTORE_E_IO,
        Error::NoSpace { .. } => TSTORE_E_NO_SPACE,
        Error::NoMemory(_) => TSTORE_E_NO_MEMORY,
        Error::Permission { .. } => TSTORE_E_PERMISSION,
        Error::NotFound { .. } => TSTORE_E_NO_STORE,
        Error::AlreadyExists { .. } => TSTORE_E_ALREADY_EXISTS,
        Error::NotAStore { .. } => TSTORE_E_NOT_A_STORE,
        Error::Locked { .. } => TSTORE_E_LOCKED,
        Error::Corrupt { .. } => TSTORE_E_CORRUPT,
        Error::UnsupportedVersion { .. } => TSTORE_E_VERSION,
        Error::ImportDamaged { .. } => TSTORE_E_DAMAGED_IMPORT,
        Error::Unsupported(_) => TSTORE_E_UNSUPPORTED,
        Error::Overflow => TSTORE_E_OVERFLOW,
        Error::Conflict => TSTORE_E_CONFLICT,
        Error::Closed => TSTORE_E_CLOSED,
        Error::Poisoned(_) => TSTORE_E_POISONED,
        Error::Forked => TSTORE_E_FORKED,
        Error::Busy(_) => TSTORE_E_BUSY,
        Error::Cancelled => TSTORE_E_CANCELLED,
        Error::Internal(_) => TSTORE_E_INTERNAL,
    }
}

impl tstore_error {
    /// Fills in an outcome: a status of 0 or more.
    pub(super) fn set_outcome(&mut self, code: i32) {
        self.clear(code);
        // Absent keys and ends of scans are frequent: no more than a copy.
        if let (true, Some(Status(_, _, message))) = (code != TSTORE_OK, status(code)) {
            for (place, byte) in self.message.iter_mut().zip(message.to_bytes_with_nul()) {
                *place = *byte as c_char;
            }
        }
    }

    /// Fills in `error`.
    pub(super) fn set_error(&mut self, code: i32, error: &Error) {
        self.clear(code);
        self.os_errno = error.errno();
        match error {
            Error::Locked { pid, .. } => self.detail = pid.unwrap_or(0),
            Error::WrongType { found, .. } => self.detail = *found as u32,
            Error::UnsupportedVersion { found, .. } => self.detail = *found,
            Error::Corrupt { offset, .. } | Error::ImportDamaged { offset, .. } => self.offset = *offset,
            _ => {}
        }
        self.set_message(&error.to_string());
    }

    /// Fills in a panic with its text.
    pub(super) fn set_panic(&mut self, text: &str) {
        self.clear(TSTORE_E_PANIC);
        self.set_message(&format!(
            "a bug in the library was caught ({text}): please report it; close the store and open it again"
        ));
    }

    fn clear(&mut self, code: i32) {
        self.code = code;
        self.os_errno = 0;
        self.detail = 0;
        self.reserved0 = 0;
        self.offset = 0;
        self.reserved = [0; 4];
        if let Some(first) = self.message.first_mut() {
            *first = 0;
        }
    }

    fn set_message(&mut self, text: &str) {
        write_text(&mut self.message, text);
    }
}

/// What stands in for the part of a text that does not fit.
const GAP: &str = "...";

/// Writes `text` and a NUL into `target`. Where it does not fit, its middle goes: a long path stands at
/// the beginning and the advice at the end.
pub(super) fn write_text(target: &mut [c_char], text: &str) {
    let room = target.len().saturating_sub(1);
    let (head, gap, tail) = if text.len() <= room {
        (text, "", "")
    } else {
        let left = room.saturating_sub(GAP.len());
        let head_end = (0..=left / 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let tail_size = left - head_end;
        let tail_start =
            (text.len() - tail_size..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        (text.get(..head_end).unwrap_or(""), GAP, text.get(tail_start..).unwrap_or(""))
    };
    // A NUL within the text would end it early.
    let bytes = [head, gap, tail].into_iter().flat_map(str::bytes).map(|byte| byte.max(1).cast_signed());
    for (place, byte) in target.iter_mut().zip(bytes.chain([0])) {
        *place = byte as c_char;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::ValueType;

    fn blank() -> tstore_error {
        // SAFETY: every field is an integer, for which zeros are a value.
        unsafe { std::mem::zeroed() }
    }

    fn message(error: &tstore_error) -> String {
        // SAFETY: `message` lives and ends with a NUL.
        unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_str().unwrap().to_string()
    }

    /// The constants of this file as the header shows them: name and number.
    fn constants() -> Vec<(String, i32)> {
        let mut found = Vec::new();
        for line in include_str!("error.rs").lines() {
            let Some((name, number)) =
                line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": i32 = "))
            else {
                continue;
            };
            found.push((name.to_string(), number.trim_end_matches(';').parse().unwrap()));
        }
        found
    }

    #[test]
    fn every_status_constant_is_in_the_table_once() {
        let in_table: Vec<_> = STATUSES.iter().map(|s| (s.1.to_str().unwrap().to_string(), s.0)).collect();
        assert_eq!(in_table, constants());
        let numbers: BTreeSet<i32> = STATUSES.iter().map(|status| status.0).collect();
        assert_eq!(numbers.len(), STATUSES.len());
    }

    #[test]
    fn status_numbers_are_the_frozen_ones() {
        assert_eq!(
            STATUSES.map(|status| status.0).to_vec(),
            (0..=6).chain((-25..=-1).rev()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_unknown_status_has_a_name_and_a_message_too() {
        for number in [7, -26, i32::MAX, i32::MIN] {
            // SAFETY: the functions return constants that end with a NUL.
            let (name, message) = unsafe {
                (CStr::from_ptr(tstore_status_name(number)), CStr::from_ptr(tstore_status_message(number)))
            };
            assert_eq!((name, message), (c"TSTORE_?", c"unknown status"));
        }
    }

    #[test]
    fn the_c_api_document_lists_exactly_these_statuses() {
        let document = include_str!("../../docs/c_api.md");
        let mut listed = Vec::new();
        for line in document.lines().filter(|line| line.starts_with("| `TSTORE_")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let Ok(number) = cells[2].parse::<i32>() {
                listed.push((cells[1].trim_matches('`').to_string(), number));
            }
        }
        assert_eq!(listed, constants());
    }

    #[test]
    fn details_of_an_error_reach_their_fields() {
        let mut error = blank();
        error.set_error(TSTORE_E_LOCKED, &Error::Locked { path: "a".into(), pid: Some(42) });
        assert_eq!((error.detail, error.offset), (42, 0));
        error.set_error(TSTORE_E_CORRUPT, &Error::corrupt("f", 77, "reason"));
        assert_eq!((error.detail, error.offset), (0, 77));
        error.set_error(TSTORE_E_IO, &Error::os("open", "f", libc::EIO));
        assert_eq!((error.os_errno, error.offset), (libc::EIO, 0));
        let wrong = Error::WrongType { found: ValueType::F64, wanted: ValueType::I64 };
        error.set_error(TSTORE_WRONG_TYPE, &wrong);
        assert_eq!((error.os_errno, error.detail), (0, 4));
        error.set_outcome(TSTORE_OK);
        assert_eq!((error.code, error.detail, message(&error).as_str()), (0, 0, ""));
    }

    #[test]
    fn a_long_message_loses_its_middle_and_stays_utf8() {
        let mut error = blank();
        for filler in ["x", "ä", "€", "𝄞"] {
            for repeat in 60..300 {
                let text = format!("start {} and the advice at the end", filler.repeat(repeat));
                error.set_message(&text);
                let shown = message(&error);
                if text.len() < TSTORE_MESSAGE_SIZE {
                    assert_eq!(shown, text);
                } else {
                    assert!(shown.starts_with("start ") && shown.contains("..."), "{shown}");
                    assert!(shown.ends_with(" and the advice at the end"), "{shown}");
                    assert!(shown.len() > TSTORE_MESSAGE_SIZE - 10, "{}", shown.len());
                }
            }
        }
    }

    #[test]
    fn a_nul_in_a_message_does_not_end_it() {
        let mut error = blank();
        error.set_message("before\0after");
        assert!(message(&error).ends_with("after"));
    }
}
