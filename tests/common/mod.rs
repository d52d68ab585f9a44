//! What several test files need: the release library as a C program gets it, and a C compiler.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A directory with `libtinystoredb.so`, the name that programs linked to it look for
/// (`libtinystoredb.so.0.1`), and `libtinystoredb.a`, of the release profile. Built once for each test
/// binary; cargo's own lock lets several of them wait for each other.
pub fn release_library_dir() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let release = release_dir();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
        std::fs::create_dir_all(&directory).unwrap();
        let soname = format!(
            "libtinystoredb.so.{}.{}",
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR")
        );
        for (name, file) in [
            ("libtinystoredb.so", "libtinystoredb.so"),
            (soname.as_str(), "libtinystoredb.so"),
            ("libtinystoredb.a", "libtinystoredb.a"),
        ] {
            let file = release.join(file);
            assert!(file.is_file(), "cargo did not make {}", file.display());
            // Another test binary may be doing the same: whoever comes second finds the link.
            if let Err(error) = std::os::unix::fs::symlink(&file, directory.join(name)) {
                assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
            }
        }
        directory
    })
}

/// Where cargo puts what `cargo build --release --lib` makes, having made it.
pub fn release_dir() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--lib", "--manifest-path"]);
        cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        run(cargo.arg("--target-dir").arg(target));
    });
    target.join("release")
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
