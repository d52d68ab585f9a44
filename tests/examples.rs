//! The programs of `c_examples` do what they say, compiled as strictly as the tests.
// Helpers of tests may stop the test where they stand, as the tests themselves may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{compiler, native_libraries, release_library_dir, root, run, scratch, skipped};

/// Compiles an example and links it with the static library.
fn build(source: &str) -> PathBuf {
    let program = scratch().join(source.trim_end_matches(".c"));
    for version in ["c99", "c11"] {
        let mut command = compiler(false);
        command.args([&format!("-std={version}"), "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]);
        command.arg("-I").arg(root().join("include")).arg(root().join("c_examples").join(source));
        command.arg("-o").arg(&program).arg(release_library_dir().join("libtinystoredb.a"));
        run(command.args(native_libraries()));
    }
    program
}

/// A shell in a directory of its own.
struct Shell {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Shell {
    fn new() -> Shell {
        static PROGRAM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
        let program = PROGRAM.get_or_init(|| build("tstore.c")).clone();
        Shell { program, directory: tempfile::tempdir().unwrap() }
    }

    fn output(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(&self.program);
        command.current_dir(self.directory.path()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes it early.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs a command on the store `db`: what it answers by its exit status and its output.
    fn answers(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.output(&[&["db"], arguments].concat(), b"");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn complaint(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.output(arguments, b"");
        assert_eq!(output.stdout, b"");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn done(output: &str) -> (i32, String) {
    (0, output.to_string())
}

fn legacy_file() -> String {
    root().join("tests/fixtures/legacy/demo.bin").to_string_lossy().into_owned()
}

#[test]
fn the_quickstart_prints_its_value_each_time() {
    let program = build("01_quickstart.c");
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(Command::new(&program).arg("my.db").current_dir(directory.path()));
        assert_eq!(output, "exampleKey is exampleValue\notherKey is not there\n");
    }
    let missing =
        Command::new(&program).arg("no/such/directory").current_dir(directory.path()).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("TSTORE_E_NO_STORE"));
}

/// What each of the examples that follow the quickstart prints, each time.
const OUTPUTS: [(&str, &str); 6] = [
    (
        "02_scan.c",
        "all towns:\n  town/Ashby = here\n  town/Birchwood = here\n  town/Elmford = here\n  \
         town/Oakham = here\nfrom B up to O:\n  town/Birchwood = here\n  town/Elmford = here\n\
         the last two, backward:\n  zoo = here\n  town/Oakham = here\ntwo behind Birchwood:\n  \
         town/Elmford = here\n  town/Oakham = here\n",
    ),
    ("03_batch.c", "3 changes\nuser/ann/mail is gone\nuser/anna/city is Elmford\n"),
    ("04_snapshot.c", "the price was 10 and is 12\nthere were 2 records\n"),
    ("05_transaction.c", "1000 from b: there is not that much\na has 70, b has 50\n"),
    ("06_threads.c", "100 visits, 100 of them noted\n"),
    (
        "07_expiry_and_counters.c",
        "the session ends within a minute: yes\nthe session is over\n42 hits\n\
         43 less: the result is out of range\nworker 1 has the job\nworker 2 is too late\n",
    ),
];

#[test]
fn every_example_prints_what_it_is_about_each_time() {
    for (source, expected) in OUTPUTS {
        let program = build(source);
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let output = run(Command::new(&program).arg("my.db").current_dir(directory.path()));
            assert_eq!(output, expected, "{source}");
        }
        let mut missing = Command::new(&program);
        let missing = missing.arg("no/such/directory").current_dir(directory.path()).output().unwrap();
        assert_eq!(missing.status.code(), Some(1), "{source}");
        assert!(String::from_utf8_lossy(&missing.stderr).contains("TSTORE_E_NO_STORE"), "{source}");
    }
}

#[test]
fn the_shell_lists_and_deletes_ranges() {
    let shell = Shell::new();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(shell.answers(&["put", key, "v"]), done(""));
    }
    assert_eq!(shell.answers(&["range", "b", "d"]), done("b\tv\nc\tv\n"));
    assert_eq!(shell.answers(&["range", "", "", "--backward"]), done("d\tv\nc\tv\nb\tv\na\tv\n"));
    assert_eq!(shell.answers(&["del-range", "b", "d"]), done("2\n"));
    assert_eq!(shell.answers(&["scan"]), done("a\tv\nd\tv\n"));
    assert_eq!(shell.answers(&["del-range", "", ""]), done("2\n"));
    assert_eq!(shell.answers(&["scan"]), done(""));
}

#[test]
fn the_shell_lets_keys_expire() {
    let shell = Shell::new();
    assert_eq!(shell.answers(&["ttl", "k"]).0, 3, "there is no store yet");
    assert_eq!(shell.answers(&["put", "k", "v"]), done(""));
    assert_eq!(shell.answers(&["ttl", "k"]), done("never\n"));
    assert_eq!(shell.answers(&["ttl", "k", "1000000"]), done(""));
    let (status, seconds) = shell.answers(&["ttl", "k"]);
    assert!(status == 0 && (1..=1_000_000).contains(&seconds.trim().parse::<i32>().unwrap()), "{seconds}");
    assert_eq!(shell.answers(&["ttl", "k", "0"]), done(""));
    for command in ["get", "exists", "ttl"] {
        assert_eq!(shell.answers(&[command, "k"]), (1, String::new()), "{command}");
    }
}

#[test]
fn the_shell_puts_gets_deletes_and_scans() {
    let shell = Shell::new();
    assert_eq!(shell.answers(&["put", "b", "two"]), done(""));
    assert_eq!(shell.answers(&["put", "a", "one"]), done(""));
    assert_eq!(shell.answers(&["put", "ab", "tab\there"]), done(""));
    assert_eq!(shell.answers(&["get", "b"]), done("two"));
    assert_eq!(shell.answers(&["put", "b", "other"]), done(""));
    assert_eq!(shell.answers(&["get", "b"]), done("other"));
    assert_eq!(shell.answers(&["scan"]), done("a\tone\nab\ttab\\there\nb\tother\n"));
    assert_eq!(shell.answers(&["scan", "a"]), done("a\tone\nab\ttab\\there\n"));
    assert_eq!(shell.answers(&["scan", "c"]), done(""));
    assert_eq!(shell.answers(&["exists", "b"]), done(""));
    assert_eq!(shell.answers(&["del", "b"]), done(""));
    for command in ["get", "del", "exists"] {
        assert_eq!(shell.answers(&[command, "b"]), (1, String::new()), "{command}");
    }
    let (status, figures) = shell.answers(&["stat"]);
    assert!(status == 0 && figures.contains("records      2\n"), "{figures}");
}

#[test]
fn the_shell_keeps_every_byte() {
    let shell = Shell::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    assert!(shell.output(&["db", "put", "k"], &bytes).status.success());
    assert_eq!(shell.output(&["db", "get", "k"], b"").stdout, bytes);
    assert!(shell.output(&["db", "put", "k"], b"a\0\n\\\xff").status.success());
    assert_eq!(shell.answers(&["scan"]), done("k\ta\\x00\\n\\\\\\xff\n"));
}

#[test]
fn the_shell_imports_a_legacy_file() {
    let shell = Shell::new();
    let (status, said) = shell.answers(&["import-go", &legacy_file()]);
    assert_eq!(
        (status, said.starts_with("read 201 pairs: imported 200, left out 1 duplicates")),
        (0, true),
        "{said}"
    );
    assert_eq!(shell.answers(&["get", "town/Alderbridge/population"]), done("900"));
    assert_eq!(shell.answers(&["get", "town/Alderbridge/mayor"]), done("Elm Ölund-bridge"));
    let towns = "town/Alderbridge/founded\t1100\ntown/Alderbridge/mayor\tElm Ölund-bridge\n";
    assert!(shell.answers(&["scan", "town/Alder"]).1.starts_with(towns));
}

#[test]
fn the_shell_tells_where_a_legacy_file_is_damaged() {
    let shell = Shell::new();
    let mut bytes = fs::read(legacy_file()).unwrap();
    bytes.truncate(bytes.len() - 3);
    let damaged = shell.directory.path().join("damaged.bin");
    fs::write(&damaged, bytes).unwrap();
    let damaged = damaged.to_string_lossy().into_owned();
    let (status, complaint) = shell.complaint(&["db", "import-go", &damaged]);
    assert_eq!(status, 3);
    assert!(complaint.contains("damaged.bin") && complaint.contains("offset"), "{complaint}");
    assert_eq!(shell.answers(&["scan"]), done(""));
    let output = shell.output(&["db", "import-go", &damaged, "--keep-going"], b"");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stopped at damage at byte"));
    assert_eq!(shell.answers(&["get", "town/Alderbridge/population"]), done("900"));
}

#[test]
fn the_shell_refuses_what_it_does_not_understand() {
    let shell = Shell::new();
    let wrong: [&[&str]; 15] = [
        &[],
        &["db"],
        &["db", "fly"],
        &["db", "put"],
        &["db", "get"],
        &["db", "get", "a", "b"],
        &["db", "scan", "a", "b"],
        &["db", "import-go", "f", "--fly"],
        &["db", "stat", "a"],
        &["db", "range", "a"],
        &["db", "range", "a", "b", "--sideways"],
        &["db", "del-range", "a"],
        &["db", "ttl"],
        &["db", "ttl", "k", "soon"],
        &["db", "ttl", "k", "-1"],
    ];
    for arguments in wrong {
        let (status, complaint) = shell.complaint(arguments);
        assert!(status == 2 && complaint.starts_with("usage:"), "{arguments:?}");
    }
    // Nothing was created by any of them, nor is it by looking for something.
    assert_eq!(shell.complaint(&["db", "get", "k"]).0, 3);
    assert!(!shell.directory.path().join("db").exists());
    fs::write(shell.directory.path().join("file"), "hello").unwrap();
    let (status, complaint) = shell.complaint(&["file", "put", "k", "v"]);
    assert!(status == 3 && complaint.contains("TSTORE_E_NOT_A_STORE"), "{complaint}");
}

#[test]
fn the_shell_fails_where_its_output_cannot_be_written() {
    if !Path::new("/dev/full").exists() {
        skipped("writing to a full device", "there is no /dev/full");
        return;
    }
    let shell = Shell::new();
    assert_eq!(shell.answers(&["put", "k", "v"]), done(""));
    let mut command = Command::new(&shell.program);
    command.current_dir(shell.directory.path()).args(["db", "scan"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stdout(full).status().unwrap().code(), Some(3));
}

#[test]
fn every_example_is_in_the_list() {
    let list = fs::read_to_string(root().join("c_examples/README.md")).unwrap();
    for entry in fs::read_dir(root().join("c_examples")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".c") {
            assert!(list.contains(&format!("| `{name}` |")), "{name} is not in c_examples/README.md");
        }
    }
}
