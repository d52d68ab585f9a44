//! What the targets share: a simulated disk with given files, and the check that every opened store has
//! to pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tinystoredb::os::Os;
use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Error, Options, Result, Store, SyncMode};

#[path = "../../tests/common/segment_file.rs"]
pub mod segment_file;

/// Where the store is.
pub const PATH: &str = "/store";

/// Keys and values.
pub type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// A file's path.
pub fn file(name: &str) -> PathBuf {
    Path::new(PATH).join(name)
}

/// An empty store directory.
pub fn empty_directory() -> CrashImage {
    let os = SimOs::new(1);
    os.open_directory(Path::new(PATH), true).unwrap();
    os.image().unwrap()
}

/// Options under which nothing happens by itself.
pub fn options() -> Options {
    Options {
        maintenance: false,
        sync_mode: SyncMode::OnRequest,
        // Small, so that an execution takes microseconds.
        first_segment_size: Some(16 << 10),
        ..Options::default()
    }
}

/// Opens the store on a disk, reads all of it in every way, writes, closes and opens again: whatever the
/// files held, all answers agree with each other, and damage is an error. `None`: it was refused.
pub fn check(image: &CrashImage) -> Option<Contents> {
    let os = SimOs::from_image(image);
    let store = match Store::open_on(os.clone(), PATH, &options()) {
        Ok(store) => store,
        Err(error) => {
            refused(&error);
            return None;
        }
    };
    let contents = match contents(&store) {
        Ok(contents) => contents,
        // A record that only its own checksum gives away.
        Err(error) => {
            refused(&error);
            return None;
        }
    };
    if let Err(error) = store.put(b"one more", b"value") {
        // At the end of the numbers, or of the addresses.
        refused(&error);
        return Some(contents);
    }
    store.close().unwrap();
    let again: Arc<dyn Os> = SimOs::from_image(&os.image().unwrap());
    let store = Store::open_on(again, PATH, &options()).unwrap();
    let mut expected = contents.clone();
    expected.insert(b"one more".to_vec(), b"value".to_vec());
    assert_eq!(self::contents(&store).unwrap(), expected);
    Some(contents)
}

/// All of a store, read by a scan and checked against single reads.
pub fn contents(store: &Store) -> Result<Contents> {
    let mut contents = Contents::new();
    let mut scan = store.scan(b"")?;
    while let Some(record) = scan.next()? {
        let before = contents.last_key_value().map(|(key, _): (&Vec<u8>, _)| key.clone());
        assert!(before.is_none_or(|before| before.as_slice() < record.key), "keys out of order");
        contents.insert(record.key.to_vec(), record.value.to_vec());
    }
    for (key, value) in &contents {
        assert_eq!(store.get(key)?.as_deref(), Some(value.as_slice()));
    }
    // Those that have expired are counted until their keys are written again.
    assert!(store.stats()?.records >= contents.len() as u64);
    Ok(contents)
}

/// Only these errors are an answer to a damaged file.
pub fn refused(error: &Error) {
    assert!(
        matches!(
            error,
            Error::Corrupt { .. }
                | Error::NotAStore { .. }
                | Error::UnsupportedVersion { .. }
                | Error::Unsupported(_)
        ),
        "{error:?}"
    );
}
