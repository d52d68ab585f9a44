//! The C interface as C and C++ programs see it: each file of `tests/c` is compiled in every language version
//! with every warning, linked with the shared and the static library, and run; then again under valgrind.
// Helpers of tests may stop the test where they stand, as the tests themselves may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{
    compiler, is_installed, listed_functions, native_libraries, release_library_dir, root, run, scratch,
};

const C_VERSIONS: [&str; 2] = ["c99", "c11"];
const CPP_VERSIONS: [&str; 2] = ["c++11", "c++17"];
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];

/// How a program is linked with the library.
#[derive(Clone, Copy, Debug)]
enum Linked {
    Shared,
    Static,
}

fn is_cpp(source: &Path) -> bool {
    source.extension().is_some_and(|extension| extension == "cpp")
}

/// The test programs of `tests/c`.
fn sources() -> Vec<PathBuf> {
    let mut sources: Vec<PathBuf> = fs::read_dir(root().join("tests/c"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c" || extension == "cpp"))
        .collect();
    sources.sort();
    assert!(sources.len() > 10);
    sources
}

/// Compiles `source` as `version` of its language and links it; the program.
fn compile(source: &Path, version: &str, linked: Linked) -> PathBuf {
    let name = source.file_stem().unwrap().to_string_lossy();
    let program = scratch().join(format!("{name}-{version}-{linked:?}"));
    let mut command = compiler(is_cpp(source));
    command.arg(format!("-std={version}")).args(WARNINGS).arg("-I").arg(root().join("include"));
    command.arg(source).arg("-o").arg(&program);
    let library = release_library_dir();
    match linked {
        Linked::Shared => {
            command.arg("-L").arg(library).arg("-ltinystoredb");
            command.arg(format!("-Wl,-rpath,{}", library.display()));
        }
        Linked::Static => {
            command.arg(library.join("libtinystoredb.a")).args(native_libraries());
        }
    }
    command.arg("-lpthread");
    run(&mut command);
    program
}

/// Runs `program`, after `before` on its command line, in an empty directory.
fn run_program(program: &Path, before: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = match before {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        [] => Command::new(program),
    };
    run(command.current_dir(directory.path()));
}

fn compile_and_run_all(linked: Linked) {
    for source in sources() {
        for version in if is_cpp(&source) { CPP_VERSIONS } else { C_VERSIONS } {
            run_program(&compile(&source, version, linked), &[]);
        }
    }
}

#[test]
fn c_and_cpp_programs_pass_with_the_shared_library() {
    compile_and_run_all(Linked::Shared);
}

#[test]
fn c_and_cpp_programs_pass_with_the_static_library() {
    compile_and_run_all(Linked::Static);
}

#[test]
fn valgrind_finds_no_error_and_no_leak_in_any_program() {
    if !is_installed("valgrind", "the C programs under valgrind") {
        return;
    }
    let valgrind =
        ["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"];
    let valgrind = [&valgrind[..], &["--error-exitcode=9", "--trace-children=yes"]].concat();
    for source in sources() {
        let version = if is_cpp(&source) { "c++17" } else { "c11" };
        run_program(&compile(&source, version, Linked::Shared), &valgrind);
    }
}

#[test]
fn headers_compile_alone_and_twice_in_every_language_version() {
    let headers = ["tinystoredb.h", "tinystoredb.hpp"];
    for (header, versions) in [(0, &C_VERSIONS[..]), (0, &CPP_VERSIONS[..]), (1, &CPP_VERSIONS[..])] {
        for version in versions {
            let cpp = version.starts_with("c++");
            let source =
                scratch().join(format!("header{header}-{version}.{}", if cpp { "cpp" } else { "c" }));
            let include = format!("#include \"{}\"\n", headers[header]);
            fs::write(&source, format!("{include}{include}int main(void) {{ return 0; }}\n")).unwrap();
            // The default compiler, and those of the two families that are there.
            let others = if cpp { ["g++", "clang++"] } else { ["gcc", "clang"] };
            let others = others.into_iter().map(Command::new);
            let others = others.filter_map(|mut other| other.arg("--version").output().ok().map(|_| other));
            for command in std::iter::once(compiler(cpp)).chain(others) {
                let mut command = Command::new(command.get_program());
                command.arg(format!("-std={version}")).args(WARNINGS).arg("-I").arg(root().join("include"));
                run(command.arg("-c").arg(&source).arg("-o").arg(source.with_extension("o")));
            }
        }
    }
}

#[test]
fn the_misuse_test_calls_every_exported_function() {
    let source = fs::read_to_string(root().join("tests/c/misuse.c")).unwrap();
    let missing: Vec<String> =
        listed_functions().into_iter().filter(|name| !source.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "tests/c/misuse.c does not call {missing:?}");
}

#[test]
fn the_documented_libraries_are_what_a_static_library_needs() {
    let source = scratch().join("empty.rs");
    fs::write(&source, "").unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--crate-type", "staticlib", "--crate-name", "empty", "--print", "native-static-libs"]);
    let output = command.arg("--out-dir").arg(scratch()).arg(&source).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find_map(|line| line.split_once("native-static-libs: ")).unwrap().1;
    assert_eq!(
        native_libraries(),
        line.split_whitespace().collect::<Vec<_>>(),
        "see NATIVE_LIBS_Linux in the Makefile"
    );
}
