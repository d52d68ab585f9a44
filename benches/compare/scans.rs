//! Scans of a log in random order and of one in key order: all of it, either way, and short ones.

use std::path::Path;

use tinystoredb::ScanOptions;

use crate::lmdb::{Cursor, Lmdb};
use crate::workload::{KEY_SIZE, key, key_in_order, shuffled, touch};
use crate::{Filled, by_turns, text};

/// Records that a short scan takes behind its start.
const SHORT: usize = 50;

/// Measures in `directory` and prints the rows.
pub fn run(records: u64, directory: &Path, lmdb: Option<&Lmdb>) -> Result<(), String> {
    println!("  scans, records          TinyStoreDB         LMDB    ratio");
    let names = ["forward, random log", "backward, random log", "seek + 50, random log"];
    of_a_log(names, &directory.join("random"), lmdb, records, key)?;
    let names = ["forward, ordered log", "backward, ordered log", "seek + 50, ordered log"];
    of_a_log(names, &directory.join("ordered"), lmdb, records, key_in_order)
}

fn of_a_log(
    [forward, backward, seek]: [&'static str; 3],
    directory: &Path,
    lmdb: Option<&Lmdb>,
    records: u64,
    key: impl Fn(u64) -> [u8; KEY_SIZE],
) -> Result<(), String> {
    std::fs::create_dir(directory).map_err(|error| error.to_string())?;
    let Filled { store, environment } = Filled::new(directory, lmdb, records, &key)?;
    let reader = environment.as_ref().map(|environment| environment.reader()).transpose()?;
    let numbers: Vec<u64> = (0..records).collect();
    for (name, options) in [(forward, ScanOptions::default()), (backward, ScanOptions::default().backward())]
    {
        let mut scan = store.scan_with(&options).map_err(text)?;
        let mut cursor = reader.as_ref().map(|reader| reader.cursor()).transpose()?;
        by_turns(
            name,
            &numbers,
            |chunk| {
                chunk.iter().try_for_each(|_| {
                    let record = scan.next().map_err(text)?.ok_or_else(ended)?;
                    touch(record.key);
                    touch(record.value);
                    Ok(())
                })
            },
            cursor
                .as_mut()
                .map(|cursor| |chunk: &[u64]| chunk.iter().try_for_each(|_| step(cursor, options.backward))),
        )?;
    }
    // Near the end of the keys a scan is shorter.
    let starts: Vec<u64> = shuffled(records, 6).into_iter().take(50_000.min(records as usize)).collect();
    let mut scan = store.scan_with(&ScanOptions::default()).map_err(text)?;
    let mut cursor = reader.as_ref().map(|reader| reader.cursor()).transpose()?;
    by_turns(
        seek,
        &starts,
        |chunk| {
            for number in chunk {
                scan.seek(&key(*number)).map_err(text)?;
                for _ in 0..SHORT {
                    let Some(record) = scan.next().map_err(text)? else { break };
                    touch(record.key);
                    touch(record.value);
                }
            }
            Ok(())
        },
        cursor.as_mut().map(|cursor| {
            |chunk: &[u64]| {
                for number in chunk {
                    cursor.seek(&key(*number), |key, value| (touch(key), touch(value)))?;
                    for _ in 1..SHORT {
                        if cursor.next(|key, value| (touch(key), touch(value)))?.is_none() {
                            break;
                        }
                    }
                }
                Ok(())
            }
        }),
    )
}

fn ended() -> String {
    "the scan ended early".to_string()
}

fn step(cursor: &mut Cursor<'_>, backward: bool) -> Result<(), String> {
    let see = |key: &[u8], value: &[u8]| {
        touch(key);
        touch(value);
    };
    if backward { cursor.previous(see) } else { cursor.next(see) }?.ok_or_else(ended)
}
