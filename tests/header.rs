//! `include/tinystoredb.h` is what cbindgen makes of `src/ffi`.
//!
//! `TSTORE_BLESS=1 cargo test --test header` (`make header`) writes it.
// Helpers of tests may stop the test where they stand, as the tests themselves may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of `src/ffi` with exported items, in the order of the header, each with the heading that its
/// functions get there.
const SECTIONS: [(&str, &str); 14] = [
    ("version.rs", "VERSION"),
    ("error.rs", "STATUSES"),
    ("options.rs", "OPTIONS"),
    ("store.rs", "THE STORE"),
    ("value.rs", "VALUES WITHOUT A COPY"),
    ("typed.rs", "VALUES WITH A TYPE"),
    ("many.rs", "READING MANY KEYS"),
    ("iter.rs", "WALKING OVER RECORDS"),
    ("update.rs", "CHANGES THAT REST ON WHAT IS THERE"),
    ("expiry.rs", "EXPIRY"),
    ("batch.rs", "BATCHES"),
    ("snapshot.rs", "SNAPSHOTS"),
    ("txn.rs", "TRANSACTIONS"),
    ("import.rs", "IMPORT"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The name of the first exported function of a file.
fn first_function(file: &Path) -> String {
    let source = fs::read_to_string(file).unwrap();
    let after = source.split("extern \"C\" fn ").nth(1).expect("an exported function");
    after.split('(').next().unwrap().to_string()
}

fn fill_in(template: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    let number = parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2];
    template
        .replace("{VERSION}", version)
        .replace("{MAJOR}", &parts[0].to_string())
        .replace("{MINOR}", &parts[1].to_string())
        .replace("{PATCH}", &parts[2].to_string())
        .replace("{NUMBER}", &number.to_string())
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for (file, _) in SECTIONS {
        builder = builder.with_src(root().join("src/ffi").join(file));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let mut header = compact(&fill_in(&String::from_utf8(header).unwrap()));
    for (file, heading) in SECTIONS {
        // The heading goes before the comment of the file's first function.
        let name = first_function(&root().join("src/ffi").join(file));
        // Comments may show calls of it.
        let is_declaration = |line: &str| {
            line.starts_with("TSTORE_API ")
                && [" ", "*"].iter().any(|before| line.contains(&format!("{before}{name}(")))
        };
        let lines = header.split_inclusive('\n');
        let ends = lines.scan(0, |end, line| {
            *end += line.len();
            Some((*end - line.len(), line))
        });
        let mut found = ends.filter(|(_, line)| is_declaration(line));
        let (function, _) = found.next().unwrap_or_else(|| panic!("{name} is not in the header"));
        let comment = header[..function].rfind("/**\n").unwrap();
        header.insert_str(comment, &format!("/* {heading} {} */\n\n", "-".repeat(90 - heading.len())));
    }
    header
}

/// The constants that an empty line stands before in the source.
fn group_starts() -> HashSet<String> {
    let mut starts = HashSet::new();
    for (file, _) in SECTIONS {
        let source = fs::read_to_string(root().join("src/ffi").join(file)).unwrap();
        let mut at_start = false;
        for line in source.lines() {
            match line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':')) {
                Some((name, _)) if at_start => drop(starts.insert(name.to_string())),
                _ => {}
            }
            at_start = line.is_empty() || at_start && line.starts_with("///");
        }
    }
    starts
}

/// The header with one-line comments on one line, constants in the groups of the source, negative ones in
/// parentheses, and each function's prefix on its line with the parameters aligned.
fn compact(header: &str) -> String {
    let starts = group_starts();
    let mut lines: VecDeque<&str> = header.trim_start().lines().collect();
    let mut compacted: Vec<String> = Vec::new();
    let mut in_parameters = false;
    while let Some(line) = lines.pop_front() {
        let mut line = line.to_string();
        if line.trim() == "/**" && lines.get(1).is_some_and(|close| close.trim() == "*/") {
            line += &format!(" {} */", lines[0].trim().trim_start_matches('*').trim());
            lines.drain(..2);
        } else if line == "TSTORE_API" {
            line += &format!(" {}", lines.pop_front().unwrap());
            // What was aligned with the function's parenthesis stays so.
            in_parameters = !line.ends_with(';');
        } else if in_parameters {
            in_parameters = !line.ends_with(';');
            line.insert_str(0, &" ".repeat("TSTORE_API ".len()));
        } else if let Some((define, number)) = line.rsplit_once(' ')
            && define.starts_with("#define ")
            && number.starts_with('-')
        {
            line = format!("{define} ({number})");
        }
        let blank_before = compacted.last().is_none_or(String::is_empty);
        let next_constant = lines.front().and_then(|next| next.strip_prefix("#define "));
        if let Some(next) = next_constant.and_then(|next| next.split(' ').next())
            && line.starts_with("/** ")
            && blank_before
            && !starts.contains(next)
            && !next.starts_with("TSTORE_VERSION")
        {
            compacted.pop();
        }
        if !(line.is_empty() && blank_before) {
            compacted.push(line);
        }
    }
    compacted.join("\n") + "\n"
}

#[test]
fn committed_header_is_the_generated_one() {
    let path = root().join("include/tinystoredb.h");
    let generated = generate();
    if std::env::var_os("TSTORE_BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differing = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        committed == generated,
        "include/tinystoredb.h is out of date from line {}: run `make header` and commit it",
        differing.unwrap_or(committed.lines().count().min(generated.lines().count())) + 1
    );
}
