//! What the linker has to know to make a shared library that other programs can be linked against.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (name, from) in [("TSTORE_BUILD_TARGET", "TARGET"), ("TSTORE_BUILD_PROFILE", "PROFILE")] {
        println!("cargo::rustc-env={name}={}", env::var(from).unwrap_or_else(|_| "unknown".to_string()));
    }

    // Before 1.0 each minor release has a binary interface of its own.
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let minor = env::var("CARGO_PKG_VERSION_MINOR").unwrap_or_default();
    // cargo-c sets the name itself, and the last one on the linker's command line would win.
    let names_itself = env::var_os("CARGO_FEATURE_CAPI").is_none();
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {
            if names_itself {
                link_arg(&format!("-Wl,-soname,libtinystoredb.so.{major}.{minor}"));
            }
            // Symbols of dependencies stay inside.
            link_arg("-Wl,--exclude-libs,ALL");
            // Rust's runtime cannot be unloaded safely while threads that used it are alive.
            link_arg("-Wl,-z,nodelete");
        }
        Ok("macos") if names_itself => {
            link_arg(&format!("-Wl,-install_name,@rpath/libtinystoredb.{major}.{minor}.dylib"));
        }
        _ => {}
    }
}

fn link_arg(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg={argument}");
}
