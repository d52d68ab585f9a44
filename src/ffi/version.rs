//! Which library this is.
//!
//! Callers: C.

use std::ffi::{CStr, c_char};

/// Version of the binary interface. It changes when a program has to be compiled again.
pub const TSTORE_ABI_VERSION: u32 = 1;

/// `text`, which ends with a NUL, as C sees it.
const fn c_text(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"?",
    }
}

const VERSION: &CStr = c_text(concat!(env!("CARGO_PKG_VERSION"), "\0"));

const BUILD_INFO: &CStr = c_text(concat!(
    "TinyStoreDB ",
    env!("CARGO_PKG_VERSION"),
    " for ",
    env!("TSTORE_BUILD_TARGET"),
    ", ",
    env!("TSTORE_BUILD_PROFILE"),
    "\0"
));

/// The number in a part of the version.
const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}

const VERSION_NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
    + number(env!("CARGO_PKG_VERSION_PATCH"));

/// The version of the library that is running, such as "0.1.0"; TSTORE_VERSION_STRING is the one the
/// program was compiled with.
///
/// Ownership: a constant of the library. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_version_string() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the library that is running as a number: major * 1000000 + minor * 1000 + patch.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_version_number() -> u32 {
    VERSION_NUMBER
}

/// The version of the binary interface of the library that is running. A program that loads the library
/// by name compares it with the TSTORE_ABI_VERSION it was compiled with and stops where they differ.
///
/// Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_abi_version() -> u32 {
    TSTORE_ABI_VERSION
}

/// Version, target and profile of the library that is running, for bug reports.
///
/// Ownership: a constant of the library. Threads: any.
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn tstore_build_info() -> *const c_char {
    BUILD_INFO.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_texts_are_the_ones_of_the_package() {
        assert_eq!(VERSION.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
        assert!(BUILD_INFO.to_str().unwrap().contains(env!("CARGO_PKG_VERSION")));
        let mut parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap());
        let number = parts.next().unwrap() * 1_000_000 + parts.next().unwrap() * 1000 + parts.next().unwrap();
        assert_eq!(tstore_version_number(), number);
    }
}
