//! What several test files need: the release library as a C program gets it, and a C compiler.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The crate's directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The target directory that this test was built in.
pub fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Where this test program may leave files: a directory of its own below the target directory.
pub fn scratch() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// The name that programs linked with the shared library look for.
pub fn soname() -> String {
    format!("libtinystoredb.so.{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"))
}

/// A directory with `libtinystoredb.so`, the link of its SONAME, and `libtinystoredb.a`: the release library
/// as `make lib` builds it. Made once for each test program, as copies, so that no other build changes it
/// under a running test.
pub fn release_library_dir() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        // Naming the two kinds that C needs leaves out the rlib, with which cargo would silently drop the
        // link-time optimisation of the profile.
        cargo(&["rustc", "--crate-type", "cdylib", "--crate-type", "staticlib"]);
        let directory = scratch().join("library");
        std::fs::create_dir_all(&directory).unwrap();
        for file in ["libtinystoredb.so", "libtinystoredb.a"] {
            let copy = directory.join(file);
            let _ = std::fs::remove_file(&copy);
            std::fs::copy(target_dir().join("release").join(file), copy).unwrap();
        }
        let link = directory.join(soname());
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink("libtinystoredb.so", link).unwrap();
        directory
    })
}

/// Runs a cargo command on the release profile of the library, in the target directory of this test.
/// Cargo's own lock lets several of them wait for each other.
fn cargo(command: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(command).args(["--quiet", "--release", "--lib", "--manifest-path"]);
    cargo.arg(root().join("Cargo.toml")).arg("--target-dir").arg(target_dir());
    // What cargo tells this test about itself says nothing about that build.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_FEATURE_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            cargo.env_remove(name);
        }
    }
    run(&mut cargo);
}

/// Where cargo puts what `cargo build --release --lib` makes, having made it.
pub fn release_dir() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| cargo(&["build"]));
    target_dir().join("release")
}

/// The libraries that a program linked with the static library needs, from the Makefile.
pub fn native_libraries() -> Vec<String> {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let line = makefile.lines().find_map(|line| line.strip_prefix("NATIVE_LIBS_Linux := ")).unwrap();
    line.split_whitespace().map(str::to_string).collect()
}

/// The functions that the library exports: the committed list.
pub fn listed_functions() -> Vec<String> {
    let list = std::fs::read_to_string(root().join("tests/exports.txt")).unwrap();
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_string).collect()
}

/// Says in one line what is not tested, past the test harness, which keeps what passing tests print.
pub fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// Whether there is a program of this name. Where there is none, says what is not tested.
pub fn is_installed(program: &str, what_is_left_out: &str) -> bool {
    let there = Command::new(program).arg("--version").output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        skipped(what_is_left_out, &format!("{program} is not installed"));
    }
    there
}

/// A make that does not take part in the make that may be running this test.
pub fn make() -> Command {
    let mut make = Command::new("make");
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(name);
    }
    make.current_dir(root()).arg("--no-print-directory").arg(format!("CARGO={}", env!("CARGO")));
    make.env("CARGO_TARGET_DIR", target_dir());
    make
}

/// The C compiler (the C++ compiler with `cpp`) that Rust builds use on this machine.
pub fn compiler(cpp: bool) -> Command {
    let version = run(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    cc::Build::new()
        .cpp(cpp)
        .target(host)
        .host(host)
        .opt_level(1)
        .cargo_metadata(false)
        .get_compiler()
        .to_command()
}

/// Runs a command that has to succeed and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
