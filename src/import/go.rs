//! The Go TinyStoreDB's file: pairs one after the other, each a key and a value, each of these a 4-byte
//! big-endian length and one GOB message that holds a string. No header, no checksum, no end mark.
//!
//! 1. The first pair of a key wins, as it did in that store: it searched from the start of its file.
//! 2. A pair is imported whole or not at all; a damaged file is not imported unless the caller asks for
//!    what stands before the damage.
//! 3. What was imported is on the device when the call returns, also when it returns an error.
//!
//! **Duplicate or there before?** Both are keys that are found in the store, and a pair just imported need
//! not be visible yet where another thread waits for the device. So the import remembers a 128-bit keyed
//! hash (SipHash, random key) of every key it met, 20 to 40 bytes each: of the order of the index itself.
//! Two of 10^9 keys share one with a probability below 10^-20; the second would count as a duplicate.
//!
//! Callers: `import`.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::gob;
use super::reader::{Stop, TwoPassReader};
use super::{ImportDamage, ImportOptions, ImportReport, Progress};
use crate::error::{Error, Result};
use crate::store::{Durability, Store, WriteOptions};
use crate::types::{KEY_SIZE_MAX, VALUE_SIZE_MAX, ValueType};

/// Bytes of a length prefix.
const PREFIX_SIZE: u64 = 4;

/// Imports the Go store's file at `path`.
///
/// Values that are valid UTF-8 become [`ValueType::String`], all others [`ValueType::Bytes`]. A file with
/// damage, or with a key or value over the limits, is [`Error::ImportDamaged`] and changes nothing; with
/// `keep_going` everything before that place is imported and the report names it. The same error, with
/// the number of pairs imported until then, tells that the file was changed while it was read.
///
/// `progress` is called on this thread about once a MiB and answers whether to go on; it may use the
/// store. [`Error::Cancelled`] in the first half of the bytes means that nothing was changed; later, the
/// pairs imported so far stay, and another import of the file takes up where this one ended. The same
/// holds where a write fails, say for want of space. Other threads may use the store meanwhile; a key
/// that one of them writes at the same instant may get the file's value.
pub fn import_go(
    store: &Store,
    path: &Path,
    options: ImportOptions,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<ImportReport> {
    let mut reader = TwoPassReader::open(path, progress)?;
    let checked = check(&mut reader).map_err(|stop| to_error(stop, &reader, 0))?;
    if let Some(damage) = checked.damage.clone()
        && !options.keep_going
    {
        return Err(to_error(Stop::Damaged(damage), &reader, 0));
    }
    let mut report = ImportReport { pairs_read: checked.pairs, damage: checked.damage, ..Default::default() };
    let outcome = reader
        .report(0)
        .map_err(Stop::Failed)
        .and_then(|()| reader.begin_second_pass(checked.end))
        .and_then(|()| import(store, &mut reader, options.overwrite, &mut report));
    // Also after a failure: what is visible in the store must not be lost later.
    let synced = if report.imported > 0 { store.sync() } else { Ok(()) };
    outcome.map_err(|stop| to_error(stop, &reader, report.imported))?;
    synced?;
    // Everything is done: the answer to this last call changes nothing.
    let _ = reader.report(report.pairs_read);
    Ok(report)
}

/// What the first pass found.
struct Checked {
    pairs: u64,
    /// Offset behind the last well-formed pair.
    end: u64,
    damage: Option<ImportDamage>,
}

fn check(reader: &mut TwoPassReader<'_>) -> std::result::Result<Checked, Stop> {
    let mut checked = Checked { pairs: 0, end: 0, damage: None };
    while reader.remaining() > 0 {
        let pair = read_member(reader, "key", KEY_SIZE_MAX, None)
            .and_then(|()| read_member(reader, "value", VALUE_SIZE_MAX, None));
        match pair {
            Ok(()) => {}
            Err(Stop::Damaged(damage)) => {
                checked.damage = Some(damage);
                break;
            }
            Err(stop) => return Err(stop),
        }
        checked.pairs += 1;
        checked.end = reader.offset();
    }
    Ok(checked)
}

fn import(
    store: &Store,
    reader: &mut TwoPassReader<'_>,
    overwrite: bool,
    report: &mut ImportReport,
) -> std::result::Result<(), Stop> {
    let mut seen = SeenKeys::default();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for _ in 0..report.pairs_read {
        read_member(reader, "key", KEY_SIZE_MAX, Some(&mut key))?;
        read_member(reader, "value", VALUE_SIZE_MAX, Some(&mut value))?;
        if !seen.insert(&key)? {
            report.duplicates += 1;
        } else if !overwrite && store.exists(&key)? {
            report.existing += 1;
        } else {
            let is_text = std::str::from_utf8(&value).is_ok();
            let value_type = if is_text { ValueType::String } else { ValueType::Bytes };
            // One wait for the device at the end instead of one for each pair.
            store.put_with(
                &key,
                &value,
                WriteOptions { value_type, durability: Durability::NoWait, ..WriteOptions::default() },
            )?;
            report.imported += 1;
        }
        reader.count_pair();
    }
    reader.check_unchanged()
}

/// Reads one key or value of at most `size_max` bytes, into `keep` or past it.
fn read_member(
    reader: &mut TwoPassReader<'_>,
    what: &'static str,
    size_max: usize,
    keep: Option<&mut Vec<u8>>,
) -> std::result::Result<(), Stop> {
    let offset = reader.offset();
    let damaged = |reason: String| Stop::Damaged(ImportDamage { offset, reason });

    let left = match reader.remaining() {
        0 => return Err(damaged(format!("the file ends where a {what} should start"))),
        left if left < PREFIX_SIZE => return Err(damaged(format!("the file ends inside a {what}'s length"))),
        left => left - PREFIX_SIZE,
    };
    let mut prefix = [0; PREFIX_SIZE as usize];
    reader.read_exact(&mut prefix)?;
    let message_size = u32::from_be_bytes(prefix);
    if u64::from(message_size) > left {
        return Err(damaged(format!("a {what} announces {message_size} bytes, the file has {left} left")));
    }

    let mut head = [0; gob::HEADER_SIZE_MAX];
    let head_size = head.len().min(message_size as usize);
    let head = head.get_mut(..head_size).unwrap_or_default();
    reader.read_exact(head)?;
    let header = gob::parse_header(head, message_size)
        .map_err(|reason| damaged(format!("a {what} cannot be read: {reason}")))?;
    if header.string_size as usize > size_max {
        let size = header.string_size;
        return Err(damaged(format!("a {what} has {size} bytes, at most {size_max} can be stored")));
    }

    let started = head.get(header.size..).unwrap_or_default();
    let rest = u64::from(header.string_size) - started.len() as u64;
    match keep {
        None => reader.skip(rest),
        Some(keep) => {
            keep.clear();
            keep.try_reserve(started.len()).map_err(|_| Error::NoMemory("importing a pair"))?;
            keep.extend_from_slice(started);
            reader.append_to(keep, rest)
        }
    }
}

fn to_error(stop: Stop, reader: &TwoPassReader<'_>, imported: u64) -> Error {
    let (offset, reason) = match stop {
        Stop::Failed(error) => return error,
        Stop::Changed(offset) => (offset, "the file was changed while it was read".to_string()),
        Stop::Damaged(damage) => (damage.offset, damage.reason),
    };
    Error::ImportDamaged { file: reader.path().to_string(), offset, reason, imported }
}

/// The keys that this import has met.
#[derive(Default)]
struct SeenKeys {
    hash_key: RandomState,
    hashes: HashSet<u128>,
}

impl SeenKeys {
    /// Whether the key is new.
    fn insert(&mut self, key: &[u8]) -> Result<bool> {
        let half = |number: u8| u128::from(self.hash_key.hash_one((number, key)));
        let hash = half(0) << 64 | half(1);
        self.hashes.try_reserve(1).map_err(|_| Error::NoMemory("remembering imported keys"))?;
        Ok(self.hashes.insert(hash))
    }
}
