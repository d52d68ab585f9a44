//! The LOCK file: who has the store open, and which segment was the newest.
//!
//! The lock itself is the operating system's and ends with the process. The first sector says who holds
//! it. The second one is a witness: the store's id and the number of the newest segment that was ever
//! used, so that a store whose last segment went missing is damaged and not just older.
//!
//! Invariants:
//! 1. The witness names a segment only after that segment's name is durable; a segment is removed only
//!    after the witness names an older one. So a segment that the witness names must exist.
//! 2. A witness that does not check out says nothing: it is never a reason to refuse a store.
//! 3. The file is never removed: whoever removed it could let two processes in.
//!
//! Callers: `log`, and `store` to take the lock.

use crate::error::{Error, Result};
use crate::os::{Access, Directory, File, Lock};

/// Name of the file.
pub const LOCK_FILE_NAME: &str = "LOCK";

const WITNESS_OFFSET: u64 = 512;
const WITNESS_MAGIC: [u8; 8] = *b"\x89TSLOCK\n";
const WITNESS_SIZE: usize = 36;
const HOLDER_SIZE: usize = 64;
/// What the first sector begins with.
const HOLDER_START: &[u8] = b"TinyStoreDB: ";

/// What the witness says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Witness {
    /// The store's id.
    pub store_id: [u8; 16],
    /// The newest segment that was used; 0 before the first.
    pub newest_segment: u64,
}

/// The lock, held until dropped.
#[derive(Debug)]
pub struct LockFile {
    file: Box<dyn File>,
}

impl LockFile {
    /// Takes the lock and enters this process as its holder, or says who holds it.
    pub fn acquire(directory: &dyn Directory, process_id: u32) -> Result<LockFile> {
        match directory.lock(LOCK_FILE_NAME)? {
            Lock::Acquired(file) => {
                let mut holder = [0; HOLDER_SIZE];
                let text = format!("opened by pid {process_id}\n");
                for (place, byte) in holder.iter_mut().zip(HOLDER_START.iter().copied().chain(text.bytes())) {
                    *place = byte;
                }
                file.write_at(&holder, 0)?;
                Ok(LockFile { file })
            }
            Lock::Held(file) => Err(Error::Locked {
                path: directory.path().display().to_string(),
                pid: holder(file.as_ref()),
            }),
        }
    }

    /// The witness, where there is one that checks out.
    pub fn witness(&self) -> Result<Option<Witness>> {
        let mut bytes = [0; WITNESS_SIZE];
        if self.file.size()? < WITNESS_OFFSET + WITNESS_SIZE as u64 {
            return Ok(None);
        }
        self.file.read_at(&mut bytes, WITNESS_OFFSET)?;
        Ok(decode(&bytes))
    }

    /// Replaces the witness, durably.
    pub fn set_witness(&self, witness: &Witness) -> Result<()> {
        self.file.write_at(&encode(witness), WITNESS_OFFSET)?;
        self.file.sync_all()
    }
}

/// Whether the file named LOCK in `directory` says that it is a store's.
pub fn is_lock_file(directory: &dyn Directory) -> Result<bool> {
    let file = directory.open(LOCK_FILE_NAME, Access::Read)?;
    let mut start = [0; HOLDER_START.len()];
    if file.size()? < start.len() as u64 {
        return Ok(false);
    }
    file.read_at(&mut start, 0)?;
    Ok(start == HOLDER_START)
}

fn encode(witness: &Witness) -> [u8; WITNESS_SIZE] {
    let mut bytes = [0; WITNESS_SIZE];
    let fields = [&WITNESS_MAGIC[..], &witness.store_id, &witness.newest_segment.to_le_bytes()].concat();
    let checksum = crc32c::crc32c(&fields).to_le_bytes();
    for (place, byte) in bytes.iter_mut().zip(fields.iter().chain(&checksum)) {
        *place = *byte;
    }
    bytes
}

fn decode(bytes: &[u8; WITNESS_SIZE]) -> Option<Witness> {
    let (fields, checksum) = bytes.split_last_chunk::<4>()?;
    let fields = (crc32c::crc32c(fields) == u32::from_le_bytes(*checksum)).then_some(fields)?;
    let (magic, fields) = fields.split_first_chunk::<8>()?;
    let (store_id, fields) = fields.split_first_chunk::<16>()?;
    let newest = fields.first_chunk::<8>()?;
    (*magic == WITNESS_MAGIC)
        .then(|| Witness { store_id: *store_id, newest_segment: u64::from_le_bytes(*newest) })
}

/// The pid in the first sector of a lock file that someone else holds.
fn holder(file: &dyn File) -> Option<u32> {
    let mut bytes = [0; HOLDER_SIZE];
    file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    text.split_once("pid ")?.1.split_once('\n')?.0.parse().ok()
}
