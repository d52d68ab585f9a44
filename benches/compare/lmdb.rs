//! LMDB, loaded at run time where it is installed: the store that the figures are compared with.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use libloading::Library;

use crate::workload::{KEY_SIZE, Values};

const NOSYNC: c_uint = 0x1_0000;
const WRITEMAP: c_uint = 0x8_0000;
const NORDAHEAD: c_uint = 0x80_0000;
const RDONLY: c_uint = 0x2_0000;
const NOTFOUND: c_int = -30_798;
const NEXT: c_int = 8;
const PREV: c_int = 12;
const SET_RANGE: c_int = 17;

#[repr(C)]
struct Bytes {
    size: usize,
    data: *mut c_void,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        Bytes { size: bytes.len(), data: bytes.as_ptr().cast_mut().cast() }
    }

    fn empty() -> Bytes {
        Bytes { size: 0, data: ptr::null_mut() }
    }
}

macro_rules! functions {
    ($($name:ident($($arg:ty),*) -> $result:ty;)*) => {
        /// The functions of liblmdb that are used here. `_library` keeps them loaded.
        #[derive(Debug)]
        pub struct Lmdb {
            $($name: unsafe extern "C" fn($($arg),*) -> $result,)*
            _library: Library,
        }

        impl Lmdb {
            fn from_library(library: Library) -> Result<Lmdb, libloading::Error> {
                Ok(Lmdb {
                    // SAFETY: the signatures are those of lmdb.h, which LMDB has not changed since 0.9.0.
                    $($name: unsafe { *library.get(stringify!($name))? },)*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    mdb_version(*mut c_int, *mut c_int, *mut c_int) -> *const c_char;
    mdb_strerror(c_int) -> *const c_char;
    mdb_env_create(*mut *mut c_void) -> c_int;
    mdb_env_set_mapsize(*mut c_void, usize) -> c_int;
    mdb_env_open(*mut c_void, *const c_char, c_uint, c_uint) -> c_int;
    mdb_env_close(*mut c_void) -> ();
    mdb_txn_begin(*mut c_void, *mut c_void, c_uint, *mut *mut c_void) -> c_int;
    mdb_txn_commit(*mut c_void) -> c_int;
    mdb_txn_abort(*mut c_void) -> ();
    mdb_dbi_open(*mut c_void, *const c_char, c_uint, *mut c_uint) -> c_int;
    mdb_put(*mut c_void, c_uint, *mut Bytes, *mut Bytes, c_uint) -> c_int;
    mdb_get(*mut c_void, c_uint, *mut Bytes, *mut Bytes) -> c_int;
    mdb_del(*mut c_void, c_uint, *mut Bytes, *mut Bytes) -> c_int;
    mdb_cursor_open(*mut c_void, c_uint, *mut *mut c_void) -> c_int;
    mdb_cursor_get(*mut c_void, *mut Bytes, *mut Bytes, c_int) -> c_int;
    mdb_cursor_close(*mut c_void) -> ();
}

impl Lmdb {
    /// The installed library, if there is one.
    pub fn load() -> Option<Lmdb> {
        ["liblmdb.so", "liblmdb.so.0"].into_iter().find_map(|name| {
            // SAFETY: liblmdb has no initializers.
            let library = unsafe { Library::new(name) }.ok()?;
            Lmdb::from_library(library).ok()
        })
    }

    /// Its version, as it tells it.
    pub fn version(&self) -> String {
        // SAFETY: NULL for a number that is not asked for is allowed; the string is static.
        let text =
            unsafe { CStr::from_ptr((self.mdb_version)(ptr::null_mut(), ptr::null_mut(), ptr::null_mut())) };
        text.to_string_lossy().into_owned()
    }

    fn check(&self, operation: &str, status: c_int) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: mdb_strerror answers with a static string for every number.
        let text = unsafe { CStr::from_ptr((self.mdb_strerror)(status)) };
        Err(format!("LMDB: {operation} failed: {}", text.to_string_lossy()))
    }
}

/// An open environment with its unnamed database.
pub struct Environment<'a> {
    lmdb: &'a Lmdb,
    environment: *mut c_void,
    database: c_uint,
}

impl<'a> Environment<'a> {
    /// Opens a new environment in the directory: no sync, writes through the mapping, no read-ahead.
    pub fn open(lmdb: &'a Lmdb, directory: &Path, map_size: usize) -> Result<Environment<'a>, String> {
        let path = CString::new(directory.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let mut environment = ptr::null_mut();
        // SAFETY: `environment` is filled in by the first call and passed to the others as lmdb.h asks.
        unsafe {
            lmdb.check("mdb_env_create", (lmdb.mdb_env_create)(&mut environment))?;
            let mut this = Environment { lmdb, environment, database: 0 };
            lmdb.check("mdb_env_set_mapsize", (lmdb.mdb_env_set_mapsize)(environment, map_size))?;
            let flags = NOSYNC | WRITEMAP | NORDAHEAD;
            lmdb.check("mdb_env_open", (lmdb.mdb_env_open)(environment, path.as_ptr(), flags, 0o600))?;
            let transaction = this.begin(0)?;
            let opened = (lmdb.mdb_dbi_open)(transaction, ptr::null(), 0, &mut this.database);
            lmdb.check("mdb_dbi_open", opened)?;
            lmdb.check("mdb_txn_commit", (lmdb.mdb_txn_commit)(transaction))?;
            Ok(this)
        }
    }

    fn begin(&self, flags: c_uint) -> Result<*mut c_void, String> {
        let mut transaction = ptr::null_mut();
        // SAFETY: the environment is open; NULL means no parent transaction.
        let status =
            unsafe { (self.lmdb.mdb_txn_begin)(self.environment, ptr::null_mut(), flags, &mut transaction) };
        self.lmdb.check("mdb_txn_begin", status).map(|()| transaction)
    }

    /// One put in a transaction of its own.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let transaction = self.begin(0)?;
        let (mut key, mut value) = (Bytes::of(key), Bytes::of(value));
        // SAFETY: the transaction is live until the commit; LMDB does not write to a key or value passed in.
        unsafe {
            let put = (self.lmdb.mdb_put)(transaction, self.database, &mut key, &mut value, 0);
            self.lmdb.check("mdb_put", put)?;
            self.lmdb.check("mdb_txn_commit", (self.lmdb.mdb_txn_commit)(transaction))
        }
    }

    /// One delete in a transaction of its own.
    pub fn delete(&self, key: &[u8]) -> Result<(), String> {
        let transaction = self.begin(0)?;
        let mut key = Bytes::of(key);
        // SAFETY: as in `put`; NULL for the value deletes the key whatever its value.
        unsafe {
            let deleted = (self.lmdb.mdb_del)(transaction, self.database, &mut key, ptr::null_mut());
            self.lmdb.check("mdb_del", deleted)?;
            self.lmdb.check("mdb_txn_commit", (self.lmdb.mdb_txn_commit)(transaction))
        }
    }

    /// A put for each of `numbers`, all in one transaction.
    pub fn put_many(
        &self,
        numbers: &[u64],
        key: impl Fn(u64) -> [u8; KEY_SIZE],
        values: &mut Values,
    ) -> Result<(), String> {
        let transaction = self.begin(0)?;
        for number in numbers {
            let (key, value) = (key(*number), values.of(*number));
            let (mut key, mut value) = (Bytes::of(&key), Bytes::of(value));
            // SAFETY: as in `put`.
            let put = unsafe { (self.lmdb.mdb_put)(transaction, self.database, &mut key, &mut value, 0) };
            self.lmdb.check("mdb_put", put)?;
        }
        // SAFETY: the transaction is live and ends here.
        self.lmdb.check("mdb_txn_commit", unsafe { (self.lmdb.mdb_txn_commit)(transaction) })
    }

    /// A read transaction.
    pub fn reader(&self) -> Result<Reader<'_>, String> {
        Ok(Reader { environment: self, transaction: self.begin(RDONLY)? })
    }
}

impl Drop for Environment<'_> {
    fn drop(&mut self) {
        // SAFETY: readers borrow the environment, so no transaction is live.
        unsafe { (self.lmdb.mdb_env_close)(self.environment) }
    }
}

/// A read transaction.
pub struct Reader<'a> {
    environment: &'a Environment<'a>,
    transaction: *mut c_void,
}

impl Reader<'_> {
    /// Calls `f` on the value in the mapping.
    pub fn get<R>(&self, key: &[u8], f: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, String> {
        let Environment { lmdb, database, .. } = self.environment;
        let (mut key, mut value) = (Bytes::of(key), Bytes::empty());
        // SAFETY: the transaction is live; a found value stays valid until it ends.
        unsafe {
            match (lmdb.mdb_get)(self.transaction, *database, &mut key, &mut value) {
                NOTFOUND => Ok(None),
                status => {
                    lmdb.check("mdb_get", status)?;
                    Ok(Some(f(std::slice::from_raw_parts(value.data.cast(), value.size))))
                }
            }
        }
    }

    /// A cursor before the first record.
    pub fn cursor(&self) -> Result<Cursor<'_>, String> {
        let Environment { lmdb, database, .. } = self.environment;
        let mut cursor = ptr::null_mut();
        // SAFETY: the transaction is live.
        let status = unsafe { (lmdb.mdb_cursor_open)(self.transaction, *database, &mut cursor) };
        lmdb.check("mdb_cursor_open", status)?;
        Ok(Cursor { lmdb, cursor, reader: std::marker::PhantomData })
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: cursors borrow the reader, so none is open.
        unsafe { (self.environment.lmdb.mdb_txn_abort)(self.transaction) }
    }
}

/// A walk in key order.
pub struct Cursor<'a> {
    lmdb: &'a Lmdb,
    cursor: *mut c_void,
    reader: std::marker::PhantomData<&'a ()>,
}

impl Cursor<'_> {
    /// Calls `f` on the next record; `None` at the end.
    pub fn next<R>(&mut self, f: impl FnOnce(&[u8], &[u8]) -> R) -> Result<Option<R>, String> {
        self.go(&[], NEXT, f)
    }

    /// Calls `f` on the record before; `None` at the start.
    pub fn previous<R>(&mut self, f: impl FnOnce(&[u8], &[u8]) -> R) -> Result<Option<R>, String> {
        self.go(&[], PREV, f)
    }

    /// Calls `f` on the first record whose key is not below `key`.
    pub fn seek<R>(&mut self, key: &[u8], f: impl FnOnce(&[u8], &[u8]) -> R) -> Result<Option<R>, String> {
        self.go(key, SET_RANGE, f)
    }

    fn go<R>(
        &mut self,
        key: &[u8],
        operation: c_int,
        f: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Result<Option<R>, String> {
        let (mut key, mut value) = (Bytes::of(key), Bytes::empty());
        // SAFETY: the cursor is open; what it finds stays valid until the transaction ends.
        unsafe {
            match (self.lmdb.mdb_cursor_get)(self.cursor, &mut key, &mut value, operation) {
                NOTFOUND => Ok(None),
                status => {
                    self.lmdb.check("mdb_cursor_get", status)?;
                    let key = std::slice::from_raw_parts(key.data.cast(), key.size);
                    Ok(Some(f(key, std::slice::from_raw_parts(value.data.cast(), value.size))))
                }
            }
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // SAFETY: the cursor is open, and its transaction outlives it.
        unsafe { (self.lmdb.mdb_cursor_close)(self.cursor) }
    }
}
