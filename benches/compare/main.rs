//! `make bench`: the figures of one run, beside LMDB's where it is installed.
//!
//! One thread, nothing waits for the device: random puts, overwrites, gets, absent keys, a full scan,
//! deletes, and reopening; then lookups and scans in stores of their own (`reads`, `scans`). The two stores
//! take turns in chunks, so that a busy moment of the machine hits both; the table has the medians of the
//! chunks and the median of their ratios. Then puts that wait for the device, with one and with eight
//! threads, beside a loop that only writes and calls fdatasync.
//!
//!     cargo bench --bench compare -- [--records N] [--dir DIRECTORY] [--only writes|reads|scans|durable]
//!
//! or TSTORE_BENCH_RECORDS and TSTORE_BENCH_DIR. The default, 1,000,000 records in a temporary
//! directory under `target`, takes about a minute and 2 GiB of disk.

mod durable;
mod lmdb;
mod reads;
mod scans;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use lmdb::{Environment, Lmdb};
use tinystoredb::{Options, Store, SyncMode};
use workload::{KEY_SIZE, VALUE_SIZE, Values, key, median, rate, shuffled, touch};

const RECORDS: u64 = 1_000_000;
const CHUNKS: usize = 50;

static FIGURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the command line and the environment say.
struct Settings {
    records: u64,
    directory: PathBuf,
    /// The one part to run, or all of them.
    only: Option<String>,
}

const PARTS: [&str; 4] = ["writes", "reads", "scans", "durable"];

fn main() -> ExitCode {
    // Under `cargo test` there is no --bench: a benchmark is not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("compare: run it with `make bench`");
        return ExitCode::SUCCESS;
    }
    match settings().and_then(|settings| run(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<Settings, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut records = variable("TSTORE_BENCH_RECORDS");
    let mut directory = variable("TSTORE_BENCH_DIR");
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--records" => records = arguments.next(),
            "--dir" => directory = arguments.next(),
            "--only" => only = arguments.next(),
            other => {
                return Err(format!(
                    "unknown argument {other}: use --records N, --dir DIRECTORY, --only PART"
                ));
            }
        }
    }
    if let Some(part) = &only
        && !PARTS.contains(&part.as_str())
    {
        return Err(format!("{part} is no part: use one of {}", PARTS.join(", ")));
    }
    let records = match records {
        None => RECORDS,
        Some(text) => text.parse().map_err(|_| format!("{text} is not a number of records"))?,
    };
    if records < CHUNKS as u64 {
        return Err(format!("{records} records are too few: use {CHUNKS} or more"));
    }
    let directory = directory.unwrap_or(env!("CARGO_TARGET_TMPDIR").to_string()).into();
    Ok(Settings { records, directory, only })
}

/// One line of the table: the rates of the chunks.
struct Row {
    name: &'static str,
    ours: Vec<f64>,
    lmdb: Vec<f64>,
}

impl Row {
    fn print(self) {
        let ratios = self.ours.iter().zip(&self.lmdb).map(|(ours, lmdb)| ours / lmdb).collect();
        let (ours, lmdb, ratio) = (median(self.ours), median(self.lmdb), median(ratios));
        let or_dash = |number: f64, text: String| if number > 0.0 { text } else { "-".to_string() };
        println!(
            "  {:<22}{:>13}{:>13}{:>9}",
            self.name,
            thousands(ours),
            or_dash(lmdb, thousands(lmdb)),
            or_dash(ratio, format!("{ratio:.2}")),
        );
        figure(self.name, "per_second", ours);
        if lmdb > 0.0 {
            figure(self.name, "lmdb_per_second", lmdb);
            figure(self.name, "ratio", ratio);
        }
    }
}

/// Notes a line for programs to read, printed after the tables: `figure NAME UNIT VALUE`.
fn figure(name: &str, unit: &str, value: f64) {
    let name = name.replace([',', '+'], "").split_whitespace().collect::<Vec<_>>().join("_");
    if let Ok(mut figures) = FIGURES.lock() {
        figures.push(format!("figure {name} {unit} {value:.2}"));
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn run(settings: &Settings) -> Result<(), String> {
    let parent = &settings.directory;
    let directory = std::fs::create_dir_all(parent)
        .and_then(|()| tempfile::tempdir_in(parent))
        .map_err(|error| format!("cannot make a directory in {}: {error}", parent.display()))?;
    let lmdb = Lmdb::load();
    let beside = match &lmdb {
        Some(lmdb) => lmdb.version(),
        None => "LMDB is not installed (liblmdb.so): no comparison".to_string(),
    };
    println!(
        "{} records, keys of {KEY_SIZE} bytes, values of {VALUE_SIZE} bytes",
        thousands(settings.records as f64)
    );
    println!("in {}\nbeside: {beside}\n", directory.path().display());
    for part in PARTS {
        if settings.only.as_ref().is_some_and(|only| only != part) {
            continue;
        }
        let part_directory = directory.path().join(part);
        std::fs::create_dir(&part_directory).map_err(|error| error.to_string())?;
        match part {
            "writes" => compare(settings.records, &part_directory, lmdb.as_ref())?,
            "reads" => reads::run(settings.records, &part_directory, lmdb.as_ref())?,
            "scans" => scans::run(settings.records, &part_directory, lmdb.as_ref())?,
            _ => durable::run(&part_directory)?,
        }
        // What the kernel has not written yet must not be written while the next part measures the device.
        std::fs::remove_dir_all(&part_directory).map_err(|error| error.to_string())?;
        println!();
    }
    let figures = FIGURES.lock().map_err(|error| error.to_string())?;
    figures.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Lets the two take turns over `numbers`, chunk by chunk.
fn by_turns(
    name: &'static str,
    numbers: &[u64],
    mut ours: impl FnMut(&[u64]) -> Result<(), String>,
    mut theirs: Option<impl FnMut(&[u64]) -> Result<(), String>>,
) -> Result<(), String> {
    let mut row = Row { name, ours: Vec::new(), lmdb: Vec::new() };
    for chunk in numbers.chunks(numbers.len().div_ceil(CHUNKS).max(1)) {
        row.ours.push(rate(chunk.len() as u64, || ours(chunk))?);
        if let Some(theirs) = &mut theirs {
            row.lmdb.push(rate(chunk.len() as u64, || theirs(chunk))?);
        }
    }
    row.print();
    Ok(())
}

fn compare(records: u64, directory: &Path, lmdb: Option<&Lmdb>) -> Result<(), String> {
    let path = directory.join("tinystoredb");
    let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
    let open = || Store::open(&path, &options).map_err(|error| error.to_string());
    let store = open()?;
    let lmdb_directory = directory.join("lmdb");
    std::fs::create_dir(&lmdb_directory).map_err(|error| error.to_string())?;
    let map_size = (1 << 30) + records as usize * 1024;
    let environment = lmdb.map(|lmdb| Environment::open(lmdb, &lmdb_directory, map_size)).transpose()?;
    let environment = environment.as_ref();
    let in_order: Vec<u64> = (0..records).collect();
    let order = shuffled(records, 1);

    println!("  one thread, no sync     TinyStoreDB         LMDB    ratio");
    put_all("random puts", &store, environment, &in_order, 0)?;
    let after_puts = store.stats().map_err(text)?;
    put_all("overwrites", &store, environment, &order, 1 << 40)?;
    gets(&store, environment, records)?;
    scan(&store, environment, records)?;

    let written = store.stats().map_err(text)?.last_lsn;
    store.close().map_err(text)?;
    drop(store);
    let mut row = Row { name: "reopen, replayed", ours: Vec::new(), lmdb: Vec::new() };
    for _ in 0..3 {
        row.ours.push(rate(written, || open().map(drop))?);
    }
    row.print();

    let store = open()?;
    by_turns(
        "deletes",
        &shuffled(records, 2),
        |chunk| {
            chunk.iter().try_for_each(|number| match store.delete(&key(*number)) {
                Ok(true) => Ok(()),
                Ok(false) => Err("a record was missing".to_string()),
                Err(error) => Err(error.to_string()),
            })
        },
        environment
            .map(|lmdb| |chunk: &[u64]| chunk.iter().try_for_each(|number| lmdb.delete(&key(*number)))),
    )?;

    let per_record = |bytes: u64| bytes as f64 / records as f64;
    let index = per_record(after_puts.index_bytes);
    let overhead = per_record(after_puts.log_bytes) - (KEY_SIZE + VALUE_SIZE) as f64;
    println!("\n  index                     {index:>7.1} bytes a key");
    println!("  log, over key and value   {overhead:>7.1} bytes a record");
    figure("index", "bytes_per_key", index);
    figure("log overhead", "bytes_per_record", overhead);
    Ok(())
}

/// A store and an LMDB environment with the same records, put in the order of `numbers`.
struct Filled<'l> {
    store: Store,
    environment: Option<Environment<'l>>,
}

impl<'l> Filled<'l> {
    fn new(
        directory: &Path,
        lmdb: Option<&'l Lmdb>,
        records: u64,
        key: impl Fn(u64) -> [u8; KEY_SIZE],
    ) -> Result<Filled<'l>, String> {
        let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
        let store = Store::open(directory.join("tinystoredb"), &options).map_err(text)?;
        let mut values = Values::new();
        (0..records).try_for_each(|number| store.put(&key(number), values.of(number))).map_err(text)?;
        let lmdb_directory = directory.join("lmdb");
        std::fs::create_dir(&lmdb_directory).map_err(|error| error.to_string())?;
        let map_size = (1 << 30) + records as usize * 1024;
        let open = |lmdb| Environment::open(lmdb, &lmdb_directory, map_size);
        let environment = lmdb.map(open).transpose()?;
        if let Some(environment) = &environment {
            for chunk in (0..records).collect::<Vec<_>>().chunks(50_000) {
                environment.put_many(chunk, &key, &mut values)?;
            }
        }
        Ok(Filled { store, environment })
    }
}

fn text(error: tinystoredb::Error) -> String {
    error.to_string()
}

fn put_all(
    name: &'static str,
    store: &Store,
    environment: Option<&Environment<'_>>,
    numbers: &[u64],
    generation: u64,
) -> Result<(), String> {
    let (mut values, mut lmdb_values) = (Values::new(), Values::new());
    by_turns(
        name,
        numbers,
        |chunk| {
            let mut put = |number: &u64| store.put(&key(*number), values.of(number + generation));
            chunk.iter().try_for_each(&mut put).map_err(text)
        },
        environment.map(|lmdb| {
            let mut put = move |number: &u64| lmdb.put(&key(*number), lmdb_values.of(number + generation));
            move |chunk: &[u64]| chunk.iter().try_for_each(&mut put)
        }),
    )
}

fn gets(store: &Store, environment: Option<&Environment<'_>>, records: u64) -> Result<(), String> {
    let found = |found: Option<u64>| found.map(|_| ()).ok_or("a record was missing".to_string());
    let absent = |found: Option<u64>| match found {
        None => Ok(()),
        Some(_) => Err("an absent key was found".to_string()),
    };
    let reader = environment.map(|environment| environment.reader()).transpose()?;
    let lmdb_get = |number: &u64| match &reader {
        Some(reader) => reader.get(&key(*number), touch),
        None => Ok(None),
    };
    let has_lmdb = reader.is_some();

    let get = |number: &u64| store.read(&key(*number), |_, value| touch(value)).map_err(text);
    by_turns(
        "random gets",
        &shuffled(records, 3),
        |chunk| chunk.iter().try_for_each(|number| found(get(number)?)),
        has_lmdb.then_some(|chunk: &[u64]| chunk.iter().try_for_each(|number| found(lmdb_get(number)?))),
    )?;
    let pinned = |number: &u64| store.get(&key(*number)).map_err(text);
    by_turns(
        "random gets, pinned",
        &shuffled(records, 4),
        |chunk| chunk.iter().try_for_each(|number| found(pinned(number)?.map(|value| touch(&value)))),
        has_lmdb.then_some(|chunk: &[u64]| chunk.iter().try_for_each(|number| found(lmdb_get(number)?))),
    )?;
    let others: Vec<u64> = (records..2 * records).collect();
    by_turns(
        "absent keys",
        &others,
        |chunk| chunk.iter().try_for_each(|number| absent(get(number)?)),
        has_lmdb.then_some(|chunk: &[u64]| chunk.iter().try_for_each(|number| absent(lmdb_get(number)?))),
    )
}

fn scan(store: &Store, environment: Option<&Environment<'_>>, records: u64) -> Result<(), String> {
    let ended = || "the scan ended early".to_string();
    let mut scan = store.scan(b"").map_err(text)?;
    let reader = environment.map(|environment| environment.reader()).transpose()?;
    let mut cursor = reader.as_ref().map(|reader| reader.cursor()).transpose()?;
    let numbers: Vec<u64> = (0..records).collect();
    by_turns(
        "scan, records",
        &numbers,
        |chunk| {
            chunk.iter().try_for_each(|_| {
                let record = scan.next().map_err(text)?.ok_or_else(ended)?;
                touch(record.key);
                touch(record.value);
                Ok(())
            })
        },
        cursor.as_mut().map(|cursor| {
            |chunk: &[u64]| {
                chunk.iter().try_for_each(|_| {
                    let record = cursor.next(|key, value| (touch(key), touch(value)))?;
                    record.map(|_| ()).ok_or_else(ended)
                })
            }
        }),
    )
}
