//! The C interface: `include/tinystoredb.h` is generated from the `pub` items of these files.
//!
//! One file per C noun. The types carry their C names, so that a name found in a C program, in the header
//! or in an issue is found here too.
//!
//! Invariants:
//! 1. The body of every exported function runs inside the panic guard of [`boundary`].
//! 2. A pointer from C becomes a reference or a slice only through the checks of [`boundary`].
//! 3. Outputs are written on success only; an out-pointer that would own something is NULL otherwise. The
//!    one outcome with an output is `TSTORE_BUFFER_TOO_SMALL`, which says how much is needed.
//! 4. Parameters are pointers, `size_t`, fixed-width integers and `double`. Enumerations and flags are
//!    integers that are checked on entry.
//! 5. There is no global and no thread-local state, and no hook is installed: nothing here outlives the
//!    handles.
//!
//! Callers: programs in C and in whatever speaks C. Nothing in the crate calls into `ffi`; it knows `store`
//! and `import`, never `log`, `index` or `os`.
#![allow(unsafe_code)]
#![allow(non_camel_case_types)]

mod batch;
mod boundary;
mod error;
mod expiry;
mod import;
mod iter;
mod many;
mod options;
mod read;
mod snapshot;
mod store;
mod txn;
mod typed;
mod update;
mod value;
mod version;
