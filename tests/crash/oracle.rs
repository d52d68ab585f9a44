//! Recovers images, and says which promise a store breaks.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Durability, Error, Options, Store, WriteOptions};

use super::life::{CLOCK, PATH};
use super::model::{History, State, entry, expiring};

/// What was checked when a promise was found broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// The content is that after a prefix of the commits, each of them whole.
    Prefix,
    /// What was promised is in the prefix.
    Lost,
    /// What had not been begun, or was gone once, is not.
    Appeared,
    /// A crash is never called damage.
    CalledDamage,
    /// The store opens.
    Open,
    /// Nothing panics.
    Panic,
    /// Opening twice gives the same, and what is written after a crash is kept.
    Again,
    /// Scan, get and the figures agree.
    Agree,
    /// What is answered while the store is open.
    Live,
    /// After a failed sync nothing is accepted.
    Poison,
    /// Nothing is stored into pages that were not made present.
    Populated,
    /// Nobody sees a commit that waits for the device before it is there.
    Visible,
    /// A closed store takes no more space than its records.
    Space,
    /// Damage is reported.
    Damage,
    /// Bytes from elsewhere do not pass.
    Elsewhere,
}

impl Check {
    /// Which promise an error of `open` breaks.
    pub fn of_open(error: &Error) -> Check {
        if matches!(error, Error::Corrupt { .. }) { Check::CalledDamage } else { Check::Open }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    pub check: Check,
    pub text: String,
}

impl Violation {
    pub fn new(check: Check, text: String) -> Violation {
        Violation { check, text }
    }

    pub fn live(error: Error) -> Violation {
        Violation::new(Check::Live, error.to_string())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.check, self.text)
    }
}

/// Everything in the store, as entries by key.
pub fn read_all(store: &Store) -> Result<BTreeMap<Vec<u8>, u64>, Violation> {
    let disagree = |text: String| Violation::new(Check::Agree, text);
    let mut entries = BTreeMap::new();
    let mut scan = store.scan(b"").map_err(Violation::live)?;
    loop {
        let record = scan.next().map_err(|error| disagree(format!("a scan failed: {error}")))?;
        let Some(record) = record else { break };
        let expiry = store.expiry(record.key).map_err(Violation::live)?;
        let expiry = expiry.ok_or_else(|| disagree("a scan found what get does not".to_string()))?;
        let number = expiring(entry(record.key, record.value_type as u8, record.value), expiry);
        if entries.insert(record.key.to_vec(), number).is_some() {
            return Err(disagree("a scan gave a key twice".to_string()));
        }
    }
    for (key, number) in &entries {
        let expiry = store.expiry(key).map_err(Violation::live)?.flatten();
        let found =
            store.read(key, |value_type, value| expiring(entry(key, value_type as u8, value), expiry));
        if found.as_ref().ok() != Some(&Some(*number)) {
            return Err(disagree(format!("get of {key:?} does not find what a scan found: {found:?}")));
        }
    }
    let stats = store.stats().map_err(Violation::live)?;
    if stats.records != entries.len() as u64 {
        return Err(disagree(format!("{} records in the figures, {} read", stats.records, entries.len())));
    }
    if stats.durable_lsn > stats.last_lsn {
        return Err(disagree("more is durable than was written".to_string()));
    }
    Ok(entries)
}

/// Recovers `image`. With `thorough`, recovers it again, writes, closes and reads it once more.
pub fn recover(image: &CrashImage, options: &Options, thorough: bool) -> Result<State, Violation> {
    catch_unwind(AssertUnwindSafe(|| recover_inner(image, options, thorough)))
        .unwrap_or_else(|panic| Err(Violation::new(Check::Panic, panic_text(&*panic))))
}

pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_string()
}

fn open(os: &std::sync::Arc<SimOs>, options: &Options) -> Result<Store, Violation> {
    Store::open_on(os.clone(), PATH, options)
        .map_err(|error| Violation::new(Check::of_open(&error), error.to_string()))
}

fn recover_inner(image: &CrashImage, options: &Options, thorough: bool) -> Result<State, Violation> {
    let os = SimOs::from_image(image);
    os.set_now(CLOCK).expect("the disk is there");
    let store = open(&os, options)?;
    let entries = read_all(&store)?;
    let mut state = State::default();
    entries.values().for_each(|entry| state.add(*entry));
    if !thorough {
        return Ok(state);
    }
    let again = |text: &str| Violation::new(Check::Again, text.to_string());
    // Another open without a write in between, after a close or a drop.
    if image.hash() & 64 == 0 {
        store.close().map_err(Violation::live)?;
    }
    drop(store);
    let store = open(&os, options)?;
    let mut expected = read_all(&store)?;
    if expected != entries {
        return Err(again("opening a second time gives something else"));
    }
    // It takes writes of every kind, and keeps them.
    let keys: Vec<_> = entries.keys().take(2).cloned().collect();
    let refused = |error: Error| Violation::new(Check::Again, format!("a write after a crash: {error}"));
    for (number, durability) in [Durability::Wait, Durability::NoWait].into_iter().enumerate() {
        let key = [b"after the crash".as_slice(), &[number as u8]].concat();
        let write = WriteOptions { durability, ..WriteOptions::default() };
        store.put_with(&key, b"written after the crash", write).map_err(refused)?;
        expected.insert(key.clone(), entry(&key, 0, b"written after the crash"));
    }
    for key in keys {
        if !store.delete(&key).map_err(refused)? {
            return Err(again("a key that was read is not there to be deleted"));
        }
        expected.remove(&key);
    }
    store.close().map_err(refused)?;
    drop(store);
    check_space(&os)?;
    let store = open(&os, options)?;
    if read_all(&store)? != expected {
        return Err(again("what was written after the crash is not what is read"));
    }
    Ok(state)
}

/// After a close no file is longer than what it holds.
fn check_space(os: &SimOs) -> Result<(), Violation> {
    let image = os.image().expect("the disk is there");
    for (path, length) in image.files() {
        let bytes = image.read(&path).expect("the file is there");
        if path.ends_with(".bin") && (length > 4096) && bytes.ends_with(&[0; 64]) {
            return Err(Violation::new(Check::Space, format!("{path} was not cut to its end")));
        }
    }
    Ok(())
}

/// Holds what was found in `image` against what a crash there may leave.
pub fn check(
    image: &CrashImage,
    found: &Result<State, Violation>,
    history: &History,
) -> Result<(), Violation> {
    let found = found.as_ref().map_err(Clone::clone)?;
    let allowed = history.allowed(image.position(), image.is_kill());
    if allowed.place(*found).is_some() {
        return Ok(());
    }
    let (least, most) = (allowed.least, allowed.most);
    let (check, place) = match allowed.states.iter().rposition(|state| state == found) {
        Some(place) if place < least => (Check::Lost, format!("after {place} commits")),
        Some(place) => (Check::Appeared, format!("after {place} commits")),
        None => (Check::Prefix, "after no prefix of the commits".to_string()),
    };
    let whose = if image.is_kill() { "the process" } else { "the machine" };
    Err(Violation::new(
        check,
        format!(
            "a crash of {whose} left a store with {} records, as it was {place}; it has to be that after {least} to {most}",
            found.records
        ),
    ))
}
