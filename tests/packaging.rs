//! What `make install` installs can be used from where it was moved to, and its numbers are the package's.
// Helpers of tests may stop the test where they stand, as the tests themselves may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::{compiler, is_installed, make, native_libraries, root, run, soname};

#[test]
fn versions_of_package_and_cmake_file_agree() {
    let file = fs::read_to_string(root().join("packaging/cmake/TinyStoreDBConfigVersion.cmake")).unwrap();
    assert!(file.contains(&format!("set(PACKAGE_VERSION \"{}\")", env!("CARGO_PKG_VERSION"))));
    let config = fs::read_to_string(root().join("packaging/cmake/TinyStoreDBConfig.cmake")).unwrap();
    let names: Vec<String> = native_libraries().iter().map(|name| name.replace("-l", "")).collect();
    assert!(config.contains(&format!("INTERFACE_LINK_LIBRARIES {})", names.join(" "))));
}

/// Compiles the quickstart with what pkg-config says of the installation below `prefix`, and runs it.
fn use_installation(prefix: &Path, program: &str, more: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(program);
    let mut query = Command::new("pkg-config");
    query.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(more).args([
        "--cflags",
        "--libs",
        "tinystoredb",
    ]);
    let flags = run(&mut query);
    let mut command = compiler(false);
    command.arg(root().join("c_examples/01_quickstart.c")).arg("-o").arg(&program);
    let flags: Vec<&str> = flags.split_whitespace().collect();
    if more.contains(&"--static") {
        // The flags would do for a fully static program; here only this library is to be.
        command.arg("-Wl,-Bstatic").args(flags.iter().take_while(|flag| **flag != "-lgcc_s"));
        command.arg("-Wl,-Bdynamic").args(flags.iter().skip_while(|flag| **flag != "-lgcc_s"));
    } else {
        command.args(flags);
    }
    run(&mut command);
    let output = run(Command::new(&program)
        .env("LD_LIBRARY_PATH", if more.is_empty() { prefix.join("lib") } else { "/nowhere".into() })
        .current_dir(directory.path()));
    assert!(output.starts_with("exampleKey is exampleValue\n"));
}

#[test]
fn an_installation_works_from_where_it_was_moved_to() {
    if !is_installed("make", "the installation") || !is_installed("pkg-config", "the installation") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut install = make();
    install.args(["install", "PREFIX=/opt/tinystoredb"]);
    install.arg(format!("DESTDIR={}", place.path().join("staged").display()));
    run(&mut install);
    // A running program has the library mapped: installing again must not write into that file.
    let installed = place.path().join("staged/opt/tinystoredb/lib").join(soname());
    let mapped = fs::File::open(&installed).unwrap();
    run(&mut install);
    assert_ne!(mapped.metadata().unwrap().ino(), fs::metadata(&installed).unwrap().ino());
    let moved = place.path().join("moved");
    fs::rename(place.path().join("staged/opt/tinystoredb"), &moved).unwrap();
    for file in ["include/tinystoredb.h", "include/tinystoredb.hpp", "lib/libtinystoredb.a"] {
        assert!(moved.join(file).is_file(), "{file}");
    }
    assert!(moved.join("lib").join(soname()).is_file());
    assert!(moved.join("lib/cmake/TinyStoreDB/TinyStoreDBConfig.cmake").is_file());
    use_installation(&moved, "shared", &[]);
    use_installation(&moved, "static", &["--static"]);
}
