//! What the library exports is what the header declares is what `tests/exports.txt` lists.
// Helpers of tests may stop the test where they stand, as the tests themselves may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{is_installed, listed_functions, release_library_dir, root, run, scratch, soname, target_dir};

fn listed() -> BTreeSet<String> {
    let functions = listed_functions();
    let set: BTreeSet<String> = functions.iter().cloned().collect();
    assert_eq!(
        set.iter().collect::<Vec<_>>(),
        functions.iter().collect::<Vec<_>>(),
        "tests/exports.txt: not sorted"
    );
    set
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(root().join("include/tinystoredb.h")).unwrap();
    let declarations = header.lines().filter(|line| line.starts_with("TSTORE_API "));
    declarations
        .map(|line| {
            let name = line.split('(').next().unwrap();
            name.rsplit([' ', '*']).next().unwrap().to_string()
        })
        .collect()
}

#[test]
fn header_declares_exactly_the_listed_functions() {
    assert_eq!(declared(), listed());
}

#[test]
fn shared_library_exports_exactly_the_listed_functions() {
    if !is_installed("nm", "the list of exported functions") {
        return;
    }
    let library = release_library_dir().join("libtinystoredb.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let exported: BTreeSet<String> =
        symbols.lines().map(|line| line.rsplit(' ').next().unwrap().to_string()).collect();
    assert_eq!(exported, listed());
}

#[test]
fn static_library_has_all_listed_functions() {
    if !is_installed("nm", "the list of functions in the static library") {
        return;
    }
    let library = release_library_dir().join("libtinystoredb.a");
    let output = Command::new("nm").args(["--defined-only", "--extern-only"]).arg(library).output().unwrap();
    let symbols = String::from_utf8_lossy(&output.stdout).into_owned();
    let defined: BTreeSet<&str> = symbols.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    for function in listed() {
        assert!(defined.contains(function.as_str()), "{function} is not in libtinystoredb.a");
    }
}

/// The dynamic section of a library.
fn dynamic_section(library: &Path) -> String {
    run(Command::new("readelf").arg("-dW").arg(library))
}

#[test]
fn shared_library_has_its_soname_and_stays_loaded() {
    if !is_installed("readelf", "the name in the shared library") {
        return;
    }
    // The library as `make lib` builds it, and as a plain `cargo build` does.
    let plain = target_dir().join("debug/libtinystoredb.so");
    let libraries = [release_library_dir().join("libtinystoredb.so"), plain];
    for library in libraries.iter().filter(|library| library.exists()) {
        let section = dynamic_section(library);
        assert!(section.contains(&format!("soname: [{}]", soname())), "{}: {section}", library.display());
        assert!(section.contains("NODELETE"), "{}: {section}", library.display());
    }
}

#[test]
fn every_exported_body_is_inside_the_panic_guard() {
    // Each body begins with one of these, or is a constant or a call of a helper that begins with one.
    let guards = ["guard(", "guard_or(", "with_store(", "change(", "put(db", "get(db", "free::<"];
    let guards = [&guards[..], &["with_iter(", "with_batch(", "with_snapshot(", "with_txn("]].concat();
    let constants = [
        "tstore_version_string",
        "tstore_version_number",
        "tstore_abi_version",
        "tstore_build_info",
        "tstore_status_is_retryable",
        "tstore_sizeof_error",
        "tstore_key_size_max",
        "tstore_value_size_max",
        "tstore_absent",
    ];
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/ffi")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for function in source.split("#[unsafe(no_mangle)]").skip(1) {
            let name = function.split("fn ").nth(1).unwrap().split('(').next().unwrap().to_string();
            let body = function.split_once(" {\n").unwrap().1.split("\n}").next().unwrap();
            let guarded = guards.iter().any(|guard| body.contains(guard));
            assert!(guarded || constants.contains(&name.as_str()), "{name} is not inside the panic guard");
            seen.insert(name);
        }
    }
    assert_eq!(seen, listed());
}

#[test]
fn stripped_shared_library_is_below_1_mb() {
    if !is_installed("strip", "the size of the shared library") {
        return;
    }
    let stripped = scratch().join("stripped.so");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(release_library_dir().join("libtinystoredb.so")));
    let size = fs::metadata(&stripped).unwrap().len();
    assert!(size < 1_000_000, "{size} bytes");
}
