//! The house rules that a machine can check: layers, unsafe code, sizes, openings, leftovers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of the crate. A module that is missing here fails the test.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("error", &["types"]),
    ("sync", &["error"]),
    ("options", &["error"]),
    ("planted", &[]),
    ("os", &["error", "sync", "types"]),
    ("log", &["os", "error", "sync", "options", "types", "planted"]),
    ("index", &["os", "error", "sync", "types"]),
    ("store", &["log", "index", "os", "error", "sync", "options", "types", "planted"]),
    ("value", &["store", "error", "types"]),
    ("import", &["store", "value", "error", "types"]),
    ("ffi", &["store", "value", "import", "error", "options", "types"]),
];

/// Where unsafe code may stand.
const UNSAFE: &[&str] = &["os", "log", "index", "ffi"];

/// Longest file that is not a test, in lines.
const LINES_MAX: usize = 500;
/// Longest line, in characters.
const COLUMNS_MAX: usize = 110;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"))
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The text without the unit tests at its end.
    fn code(&self) -> &str {
        let tests =
            ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().filter_map(|start| self.text.find(start)).min();
        // A module in a file of its own, declared among the others, is no end.
        let inside = |at: &usize| self.text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
        tests.filter(inside).map_or(&self.text, |at| &self.text[..at])
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_path_buf();
                let module = relative.components().next().unwrap().as_os_str().to_string_lossy();
                let module = module.strip_suffix(".rs").unwrap_or(&module).to_string();
                found.push(Source { text: fs::read_to_string(&path).unwrap(), path: relative, module });
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn fail_if_any(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The modules that `text` names as `crate::...`, also in `use crate::{a, b}`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                !name.is_empty(),
                "write one `use crate::module` a line, so that layers can be checked: {line}"
            );
            named.insert(name);
        }
    }
    named
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let allowed = LAYERS
            .iter()
            .find(|(module, _)| *module == source.module)
            .unwrap_or_else(|| panic!("{} is in no layer", source.path.display()))
            .1;
        for name in imports(source.code()) {
            // A macro or a type at the root would hide where it comes from.
            if name != source.module && !allowed.contains(&name.as_str()) && !source.is_test() {
                wrong.push(format!("{}: names crate::{name}", source.path.display()));
            }
        }
    }
    fail_if_any(wrong);
}

#[test]
fn the_operating_system_is_reached_through_os_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        // The import reads a foreign file by path; errno values are only numbers.
        if source.is_test() || ["os", "lib", "import"].contains(&source.module.as_str()) {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            let call = line.contains("std::fs") || line.contains("std::os") || line.contains("libc::");
            let number_only = line.contains("libc::E") && !line.contains("libc::e");
            // Makes a path of the bytes that C passed: a conversion, not a call.
            let conversion = source.module == "ffi" && line.ends_with("ffi::OsStrExt;");
            if call && !number_only && !conversion && !line.trim_start().starts_with("//") {
                wrong.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    fail_if_any(wrong);
}

#[test]
fn threads_share_only_what_the_sync_facade_offers() {
    let mut wrong = Vec::new();
    for source in sources() {
        // Below the real side of `os` there is nothing that an explorer could drive.
        if source.path.starts_with("os/real") {
            continue;
        }
        if source.is_test() || !["os", "log", "index", "store"].contains(&source.module.as_str()) {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            let direct = ["sync::atomic", "sync::Mutex", "sync::RwLock", "sync::Condvar", "std::thread"]
                .iter()
                .any(|name| line.contains(&format!("std::{}", name.trim_start_matches("std::"))));
            if direct && !line.trim_start().starts_with("//") {
                wrong.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    fail_if_any(wrong);
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    let wrong = sources()
        .iter()
        .filter(|source| source.text.contains("allow(unsafe_code)") && !source.is_test())
        .filter(|source| !UNSAFE.contains(&source.module.as_str()))
        .map(|source| source.path.display().to_string())
        .collect();
    fail_if_any(wrong);
}

#[test]
fn every_module_says_what_it_is_for() {
    let wrong = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.display().to_string())
        .collect();
    fail_if_any(wrong);
}

#[test]
fn files_have_one_job_and_lines_fit() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.code().lines().count();
        if lines > LINES_MAX && !source.is_test() {
            wrong.push(format!("{}: {lines} lines", source.path.display()));
        }
        for (number, line) in source.text.lines().enumerate() {
            // A string or a path that cannot be broken is left alone by the formatter.
            if line.chars().count() > COLUMNS_MAX && !line.contains('"') {
                wrong.push(format!("{}:{}: too long", source.path.display(), number + 1));
            }
        }
    }
    fail_if_any(wrong);
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let words = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let words: Vec<_> = words.chain(["todo!", "unimplemented!", "dbg!("].map(String::from)).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    fail_if_any(wrong);
}
