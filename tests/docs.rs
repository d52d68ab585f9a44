//! What the documents say can be run: their examples, their commands, their links.

// A helper that cannot go on should stop the test, as the test itself does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{compiler, is_installed, release_dir, release_library_dir, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DOCUMENTS: [&str; 3] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];

fn text(document: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(document)).unwrap()
}

/// The README's fenced blocks in a language.
fn examples(language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    let text = text("README.md");
    let blocks = text.split(fence.as_str()).skip(1);
    let found: Vec<String> = blocks.map(|rest| rest.split("\n```").next().unwrap().to_string()).collect();
    assert!(!found.is_empty(), "README.md has no example in {language}");
    found
}

/// Runs a program in a directory of its own, twice: the second time finds the store of the first.
fn run_twice(program: &Path, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = Command::new(program);
        command.current_dir(directory.path()).env("LD_LIBRARY_PATH", release_library_dir());
        assert_eq!(run(&mut command), expected, "{}", program.display());
    }
    assert!(directory.path().join("my.db").is_dir());
}

fn compile(source: &str, cpp: bool) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("app");
    let file = directory.path().join(if cpp { "app.cpp" } else { "app.c" });
    std::fs::write(&file, source).unwrap();
    let mut command = compiler(cpp);
    command.arg(if cpp { "-std=c++11" } else { "-std=c99" });
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(Path::new(ROOT).join("include"));
    command.arg(&file).arg("-o").arg(&program).arg("-L").arg(release_library_dir()).arg("-ltinystoredb");
    run(&mut command);
    (directory, program)
}

#[test]
fn the_c_example_runs() {
    for source in examples("c") {
        assert!(source.lines().count() <= 12, "the first example has {} lines", source.lines().count());
        let (_directory, program) = compile(&source, false);
        run_twice(&program, "exampleValue\n");
    }
}

#[test]
fn the_cpp_example_runs() {
    for source in examples("cpp") {
        let (_directory, program) = compile(&source, true);
        run_twice(&program, "exampleValue\nexampleKey: 12 bytes\n");
    }
}

#[test]
fn the_rust_example_runs() {
    let release = release_dir();
    for source in examples("rust") {
        let directory = tempfile::tempdir().unwrap();
        let (file, program) = (directory.path().join("app.rs"), directory.path().join("app"));
        std::fs::write(&file, source).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-D", "warnings", "--extern"]);
        rustc.arg(format!("tinystoredb={}", release.join("libtinystoredb.rlib").display()));
        rustc.arg("-L").arg(format!("dependency={}", release.join("deps").display()));
        run(rustc.arg(&file).arg("-o").arg(&program));
        run_twice(
            &program,
            "town/Elmford/mayors: Serde\ntown/Elmford/population: U64\ntown/Elmford/river: Bytes\n",
        );
    }
}

#[test]
fn the_python_example_runs() {
    if !is_installed("python3", "the example in Python") {
        return;
    }
    for source in examples("python") {
        let directory = tempfile::tempdir().unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", &source]).current_dir(directory.path());
        python.env("LD_LIBRARY_PATH", release_library_dir());
        assert_eq!(run(&mut python), "exampleValue\n");
    }
}

#[test]
fn the_commands_are_what_they_are_said_to_be() {
    let lines: Vec<String> =
        examples("sh").iter().flat_map(|block| block.lines().map(String::from).collect::<Vec<_>>()).collect();
    if !is_installed("make", "the commands in README.md") {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    let app = prefix.path().join("app.c");
    std::fs::write(&app, &examples("c")[0]).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let shell = |line: &str, directory: &Path| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", line]).current_dir(directory).env("PREFIX", prefix.path());
        // Not as a part of the make that may be running this test.
        for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
            shell.env_remove(name);
        }
        shell.env("CARGO", env!("CARGO")).env("CARGO_TARGET_DIR", target);
        shell.env("PKG_CONFIG_PATH", prefix.path().join("lib/pkgconfig"));
        run(&mut shell);
    };
    let mut linked = 0;
    for line in lines {
        let line = line.split('#').next().unwrap().trim();
        if line.starts_with("make install") {
            release_dir();
            shell(line, Path::new(ROOT));
        } else if line.starts_with("make ") {
            // That there is such a target; what it does is not repeated here.
            shell(&format!("{line} --dry-run"), Path::new(ROOT));
        } else if line.starts_with("cc ") {
            if line.contains("pkg-config") && !is_installed("pkg-config", "a command in README.md") {
                continue;
            }
            shell(line, prefix.path());
            let directory = tempfile::tempdir().unwrap();
            let mut program = Command::new(prefix.path().join("app"));
            program.current_dir(directory.path()).env_remove("LD_LIBRARY_PATH");
            if line.contains("pkg-config") {
                program.env("LD_LIBRARY_PATH", prefix.path().join("lib"));
            }
            assert_eq!(run(&mut program), "exampleValue\n", "{line}");
            linked += 1;
        } else {
            panic!("no test knows how to run this line of README.md: {line}");
        }
    }
    assert!(linked >= 2);
}

#[test]
fn links_lead_to_files() {
    for document in DOCUMENTS {
        for part in text(document).split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            let exists = target.starts_with("https://") || Path::new(ROOT).join(target).exists();
            assert!(exists, "{document} links to {target}, which is not there");
        }
    }
}

#[test]
fn folders_and_limits_are_the_real_ones() {
    let readme = text("README.md");
    for name in ["include/", "c_examples/", "src/ffi", "src/store", "src/log", "src/index", "src/os"] {
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name {name}");
        assert!(Path::new(ROOT).join(name).is_dir(), "README.md names {name}, which is not there");
    }
    assert_eq!(tinystoredb::KEY_SIZE_MAX, 65_535);
    assert_eq!(tinystoredb::VALUE_SIZE_MAX, 1 << 30);
    assert!(readme.contains("0 to 65,535") && readme.contains("up to 1 GiB"));
    let soname =
        format!("libtinystoredb.so.{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    assert!(readme.contains(&soname), "README.md does not name {soname}");
}
