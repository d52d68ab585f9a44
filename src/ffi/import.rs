//! Import of another store's file, with progress.
//!
//! Callers: C.

use std::ffi::{c_char, c_void};

use super::boundary::{check_flags, path, struct_size, write_struct};
use super::error::{TSTORE_OK, tstore_error, write_text};
use super::store::{tstore, with_store};
use crate::error::Error;
use crate::import::{ImportOptions, ImportReport, Progress, import_go};

/// tstore_import_go: import what stands before the first damage instead of nothing.
pub const TSTORE_IMPORT_KEEP_GOING: u32 = 1;
/// tstore_import_go: replace the values of keys that are in the store already instead of keeping them.
pub const TSTORE_IMPORT_OVERWRITE: u32 = 2;

/// Bytes of tstore_import_report.damage, the terminating NUL included.
pub const TSTORE_DAMAGE_SIZE: usize = 128;

/// How far a long call has come. Later releases append fields.
#[repr(C)]
pub struct tstore_progress {
    /// sizeof(tstore_progress) of the library: a field beyond it is not there.
    pub struct_size: u32,
    /// 0.
    pub reserved0: u32,
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes to do.
    pub total_bytes: u64,
    /// Items (for an import: pairs of key and value) that are done.
    pub done_items: u64,
}

/// Called now and then during a long call, on the thread that made it; `ctx` is what the caller passed
/// there. It returns 0 to go on and anything else to cancel, which makes the call answer
/// TSTORE_E_CANCELLED. It must return (no exception, no longjmp) and must not close the store. `progress` is
/// valid until it returns.
pub type tstore_progress_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, progress: *const tstore_progress) -> i32>;

/// What an import did. Later releases append fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tstore_import_report {
    /// In: sizeof(tstore_import_report), to be set before the call. A library older than the program
    /// leaves the fields it does not know as they are, so set them to 0 as well.
    pub struct_size: u32,
    /// 1 if the file is damaged: it was imported up to stopped_at only. Else 0.
    pub damaged: u32,
    /// Pairs of key and value that were read.
    pub pairs_read: u64,
    /// Pairs that were stored.
    pub imported: u64,
    /// Pairs that were left out since an earlier one in the file has the same key.
    pub duplicates: u64,
    /// Pairs that were left out since the store had a value for the key.
    pub existing: u64,
    /// Byte offset of the damage; 0 if there is none.
    pub stopped_at: u64,
    /// What is wrong there: UTF-8, ends with a NUL; empty if nothing is.
    pub damage: [c_char; TSTORE_DAMAGE_SIZE],
}

/// Size of `tstore_import_report` in the first release.
const REPORT_SIZE_SMALLEST: usize = 176;
const _: () = assert!(size_of::<tstore_import_report>() >= REPORT_SIZE_SMALLEST);

/// Imports a file of the Go TinyStoreDB. A value that is UTF-8 becomes a string (TSTORE_TYPE_STRING), any
/// other one bytes (TSTORE_TYPE_BYTES). Where the file has a key more than once, the first value counts, as
/// it did there.
///
/// @param path      The file. It is not changed.
/// @param flags     0, or TSTORE_IMPORT_KEEP_GOING and TSTORE_IMPORT_OVERWRITE, joined by |.
/// @param progress  Called now and then; may be NULL.
/// @param ctx       Passed on to progress.
/// @param report    Where the figures go, its struct_size set before; may be NULL, but not with
///                  TSTORE_IMPORT_KEEP_GOING, since it is what tells that the file is damaged.
/// @return TSTORE_OK; TSTORE_E_DAMAGED_IMPORT (err->offset is where; nothing was imported, unless the file
///         was changed while it was read, which the message says), TSTORE_E_CANCELLED (what was imported
///         so far stays), TSTORE_E_PERMISSION, errors as tstore_put and tstore_get.
///
/// Threads: any. Other calls on the store may go on meanwhile.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tstore_import_go(
    db: *mut tstore,
    path: *const c_char,
    flags: u32,
    progress: tstore_progress_fn,
    ctx: *mut c_void,
    report: *mut tstore_import_report,
    err: *mut tstore_error,
) -> i32 {
    // SAFETY: the caller's part, see `boundary`.
    unsafe {
        with_store(db, err, |store| {
            let path = self::path(path, "path")?;
            check_flags(flags, TSTORE_IMPORT_KEEP_GOING | TSTORE_IMPORT_OVERWRITE)?;
            let options = ImportOptions {
                keep_going: flags & TSTORE_IMPORT_KEEP_GOING != 0,
                overwrite: flags & TSTORE_IMPORT_OVERWRITE != 0,
            };
            let size = if report.is_null() {
                if options.keep_going {
                    return Err(Error::InvalidArgument(
                        "report is NULL: with TSTORE_IMPORT_KEEP_GOING it is what tells of damage"
                            .to_string(),
                    ));
                }
                0
            } else {
                struct_size(report, REPORT_SIZE_SMALLEST, "report")?
            };
            let imported = import_go(store, path, options, &mut |now: Progress| {
                let Some(progress) = progress else { return true };
                let now = tstore_progress {
                    struct_size: size_of::<tstore_progress>() as u32,
                    reserved0: 0,
                    done_bytes: now.bytes_done,
                    total_bytes: now.bytes_total,
                    done_items: now.pairs_done,
                };
                progress(ctx, &now) == 0
            })?;
            if !report.is_null() {
                write_struct(report, size, &filled(size, &imported));
            }
            Ok(TSTORE_OK)
        })
    }
}

fn filled(struct_size: u32, imported: &ImportReport) -> tstore_import_report {
    let mut report = tstore_import_report {
        struct_size,
        damaged: u32::from(imported.damage.is_some()),
        pairs_read: imported.pairs_read,
        imported: imported.imported,
        duplicates: imported.duplicates,
        existing: imported.existing,
        stopped_at: imported.damage.as_ref().map_or(0, |damage| damage.offset),
        damage: [0; TSTORE_DAMAGE_SIZE],
    };
    if let Some(damage) = &imported.damage {
        write_text(&mut report.damage, &damage.reason);
    }
    report
}
