//! Two small stores of several segments, one closed, one left by a kill, and what each may answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tinystoredb::os::sim::{CrashImage, SimOs};
use tinystoredb::{Batch, Durability, Error, Options, Result, Store, ValueType};

use crate::segment_file::SegmentFile;

pub const PATH: &str = "/store";

pub type Contents = BTreeMap<Vec<u8>, (ValueType, Vec<u8>)>;

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(PATH).join(name)
}

/// ALWAYS, and segments as small as they can be.
pub fn options() -> Options {
    Options { maintenance: false, first_segment_size: Some(8 << 10), ..Options::default() }
}

/// A store on a disk, and what it holds.
pub struct Sample {
    pub image: CrashImage,
    pub contents: Contents,
    /// What it held after each commit of the last session, the last one being `contents`.
    pub history: Vec<Contents>,
    /// Where the process was killed: where the last commit lies in the last segment. Nothing proves that it
    /// had been durable.
    pub last_commit: Option<std::ops::Range<usize>>,
}

impl Sample {
    pub fn names(&self) -> Vec<String> {
        let files = self.image.files().into_iter();
        files.map(|(path, _)| path.rsplit('/').next().unwrap().to_string()).collect()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.image.read(file(name)).unwrap()
    }

    /// The segments' names.
    pub fn segments(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.ends_with(".bin")).collect()
    }
}

pub fn closed() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| sample(true))
}

pub fn killed() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| sample(false))
}

/// Three sessions: new, overwritten and deleted keys, batches, values of every type, a long one.
fn sample(close: bool) -> Sample {
    let os = SimOs::new(11);
    let mut history = Vec::new();
    for session in 0..3_u8 {
        let store = Store::open_on(os.clone(), PATH, &options()).unwrap();
        history = vec![read(&store).unwrap()];
        let mut note = |outcome: Result<()>| {
            outcome.unwrap();
            history.push(read(&store).unwrap());
        };
        for number in 0..6_u8 {
            note(store.put(&[b'k', number], &[session, number, 1, 2, 3, 4, 5]));
        }
        note(store.delete(&[b'k', session]).map(|there| assert!(there)));
        note(store.put_string(b"string", &format!("of session {session}")));
        note(store.put_i64(b"i64", -i64::from(session)));
        note(store.put_u64(b"u64", u64::MAX - u64::from(session)));
        note(store.put_f64(b"f64", f64::from(session) / 3.0));
        note(store.put_bool(b"bool", session == 1));
        note(store.put_serde(b"serde", &(session, "a tuple", [1.5_f32; 3])));
        note(store.put(b"", b"of the empty key"));
        note(store.put(b"empty", b""));
        note(store.put(b"long", &[session; 1500]));
        let mut batch = Batch::new();
        batch.put(b"batch 1", &[session]).unwrap();
        batch.delete(b"k\x05").unwrap();
        batch.put_with(b"batch 2", &u64::from(session).to_le_bytes(), ValueType::U64, None).unwrap();
        note(store.write(&batch, Durability::Default));
        // The last commit is a batch too: all of it goes, or nothing.
        let mut batch = Batch::new();
        batch.put(b"last 1", &[session; 40]).unwrap();
        batch.put(b"last 2", &[session; 40]).unwrap();
        note(store.write(&batch, Durability::Default));
        if close || session < 2 {
            store.close().unwrap();
        } else {
            std::mem::forget(store);
        }
    }
    let image = os.image().unwrap();
    let contents = history.last().unwrap().clone();
    assert!(contents.len() > 15 && history.len() > 15);
    let last_commit = (!close).then(|| {
        let segment = SegmentFile { bytes: image.read(file("00000003.bin")).unwrap() };
        let start = *segment.records().last().unwrap();
        let length = u32::from_le_bytes(segment.bytes[start + 4..start + 8].try_into().unwrap());
        start..start + length as usize
    });
    Sample { image, contents, history, last_commit }
}

/// All of a store, by a scan and by single reads, which must agree.
pub fn read(store: &Store) -> Result<Contents> {
    let mut contents = Contents::new();
    let mut scan = store.scan(b"")?;
    while let Some(record) = scan.next()? {
        contents.insert(record.key.to_vec(), (record.value_type, record.value.to_vec()));
    }
    for (key, (value_type, value)) in &contents {
        let found = store.read(key, |found, bytes| (found, bytes.to_vec()))?;
        assert_eq!(found, Some((*value_type, value.clone())));
    }
    Ok(contents)
}

/// What a disk holds, or why it was refused: then nothing on it was changed.
pub fn open(image: &CrashImage) -> std::result::Result<(Contents, Arc<SimOs>), Error> {
    let os = SimOs::from_image(image);
    let outcome = Store::open_on(os.clone(), PATH, &options()).and_then(|store| {
        let contents = read(&store)?;
        drop(store);
        Ok((contents, os.clone()))
    });
    if let Err(error) = &outcome {
        let after = os.image().unwrap();
        if after.hash() != image.hash() {
            // Only who has the store open is noted, in the first sector of LOCK.
            for (path, _) in image.files() {
                let (before, after) = (image.read(&path), after.read(&path));
                if path.ends_with("/LOCK") {
                    let (before, after) = (before.unwrap(), after.unwrap());
                    assert!(before.get(64..) == after.get(64..), "{error}: {path} was changed");
                } else {
                    assert_eq!(before, after, "{error}: {path} was changed");
                }
            }
        }
    }
    outcome
}
