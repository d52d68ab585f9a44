//! Reads a foreign file twice and makes sure that it was the same file both times.
//!
//! 1. The first pass notes a checksum for each chunk; the second hands out no byte of a chunk whose
//!    checksum differs.
//! 2. The size is taken once. A file that ends before it has changed.
//!
//! The file is read with std and not through the `os` seam: the seam is the door to the store's own
//! directory, whose crashes the simulator plays through; this file is only read. Callers: `go`.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Progress;
use crate::error::{Error, Result};

/// Bytes read at once, checked by one checksum, and between two calls of the progress callback.
const CHUNK_SIZE: usize = 1 << 20;

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The call failed, or was cancelled.
    Failed(Error),
    /// The file is not what it was; at this offset.
    Changed(u64),
    /// The bytes at this offset are not what they should be.
    Damaged(super::ImportDamage),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// A regular file that is read in two passes.
pub(super) struct TwoPassReader<'a> {
    file: File,
    path: String,
    /// Size and time of the last change, when the file was opened.
    version: (u64, i64, i64),
    second_pass: bool,
    checksums: Vec<u32>,
    chunk: Vec<u8>,
    /// Bytes of `chunk` handed out.
    used: usize,
    /// Offset behind `chunk` in the file.
    chunk_end: u64,
    progress: &'a mut dyn FnMut(Progress) -> bool,
    bytes_of_first_pass: u64,
    pairs_done: u64,
}

impl<'a> TwoPassReader<'a> {
    /// Opens the file for the first pass. Anything but a regular file is refused: it could not be read
    /// twice, and could block.
    pub(super) fn open(
        path: &Path,
        progress: &'a mut dyn FnMut(Progress) -> bool,
    ) -> Result<TwoPassReader<'a>> {
        let name = path.display().to_string();
        // Without O_NONBLOCK the open of a FIFO would wait for a writer.
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| io_error("open", &name, &error))?;
        let metadata = file.metadata().map_err(|error| io_error("fstat", &name, &error))?;
        if !metadata.is_file() {
            return Err(Error::InvalidArgument(format!("{name} is not a regular file: nothing to import")));
        }
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(CHUNK_SIZE).map_err(|_| Error::NoMemory("importing a file"))?;
        Ok(TwoPassReader {
            file,
            path: name,
            version: (metadata.size(), metadata.mtime(), metadata.mtime_nsec()),
            second_pass: false,
            checksums: Vec::new(),
            chunk,
            used: 0,
            chunk_end: 0,
            progress,
            bytes_of_first_pass: 0,
            pairs_done: 0,
        })
    }

    /// The path as given, for messages.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where the next byte stands in the file.
    pub(super) fn offset(&self) -> u64 {
        self.chunk_end - (self.chunk.len() - self.used) as u64
    }

    /// Bytes from here to the end of the file.
    pub(super) fn remaining(&self) -> u64 {
        self.version.0 - self.offset()
    }

    /// Tells the callback how far the import is; `pairs_done` counts for the later calls too.
    pub(super) fn report(&mut self, pairs_done: u64) -> Result<()> {
        self.pairs_done = pairs_done;
        let (first, total) = match self.second_pass {
            true => (self.bytes_of_first_pass, self.bytes_of_first_pass.saturating_mul(2)),
            false => (0, self.version.0.saturating_mul(2)),
        };
        let bytes_done = first + self.offset();
        let progress = Progress { bytes_done, bytes_total: total, pairs_done };
        if (self.progress)(progress) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Counts a pair of the second pass, for the next report.
    pub(super) fn count_pair(&mut self) {
        self.pairs_done += 1;
    }

    /// Goes back to the start for the second pass, which will end at `end`.
    pub(super) fn begin_second_pass(&mut self, end: u64) -> std::result::Result<(), Stop> {
        self.check_unchanged()?;
        self.file.seek(SeekFrom::Start(0)).map_err(|error| io_error("lseek", &self.path, &error))?;
        self.second_pass = true;
        self.bytes_of_first_pass = end;
        self.chunk.clear();
        (self.used, self.chunk_end) = (0, 0);
        Ok(())
    }

    /// Whether the file has the size and time of change it was opened with.
    pub(super) fn check_unchanged(&self) -> std::result::Result<(), Stop> {
        let metadata = self.file.metadata().map_err(|error| io_error("fstat", &self.path, &error))?;
        if self.version == (metadata.size(), metadata.mtime(), metadata.mtime_nsec()) {
            Ok(())
        } else {
            Err(Stop::Changed(metadata.size().min(self.offset())))
        }
    }

    /// Fills `buffer`. The caller has looked at `remaining`.
    pub(super) fn read_exact(&mut self, mut buffer: &mut [u8]) -> std::result::Result<(), Stop> {
        while !buffer.is_empty() {
            let bytes = self.next_bytes(buffer.len() as u64)?;
            let (now, later) = buffer.split_at_mut(bytes.len());
            now.copy_from_slice(bytes);
            buffer = later;
        }
        Ok(())
    }

    /// Appends `size` bytes to `buffer`. The caller has looked at `remaining`.
    pub(super) fn append_to(&mut self, buffer: &mut Vec<u8>, size: u64) -> std::result::Result<(), Stop> {
        let mut left = size;
        buffer.try_reserve(size as usize).map_err(|_| Error::NoMemory("importing a pair"))?;
        while left > 0 {
            let bytes = self.next_bytes(left)?;
            buffer.extend_from_slice(bytes);
            left -= bytes.len() as u64;
        }
        Ok(())
    }

    /// Passes over `size` bytes. The caller has looked at `remaining`.
    pub(super) fn skip(&mut self, size: u64) -> std::result::Result<(), Stop> {
        let mut left = size;
        while left > 0 {
            left -= self.next_bytes(left)?.len() as u64;
        }
        Ok(())
    }

    /// At least one byte and at most `most`, as many as the chunk has.
    fn next_bytes(&mut self, most: u64) -> std::result::Result<&[u8], Stop> {
        if self.used == self.chunk.len() {
            self.read_chunk()?;
        }
        let start = self.used;
        let size = (self.chunk.len() - start).min(usize::try_from(most).unwrap_or(usize::MAX));
        self.used += size;
        Ok(self.chunk.get(start..start + size).unwrap_or_default())
    }

    fn read_chunk(&mut self) -> std::result::Result<(), Stop> {
        self.report(self.pairs_done)?;
        let start = self.chunk_end;
        let size = (CHUNK_SIZE as u64).min(self.version.0 - start) as usize;
        self.used = 0;
        // Within the capacity that was reserved when the file was opened.
        self.chunk.resize(size, 0);
        let mut filled = 0;
        while let Some(rest) = self.chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.chunk.clear();
                    return Err(Stop::Failed(io_error("read", &self.path, &error)));
                }
            }
        }
        let checksum = crc32c::crc32c(&self.chunk);
        let index = (start / CHUNK_SIZE as u64) as usize;
        if filled < size || size == 0 || (self.second_pass && self.checksums.get(index) != Some(&checksum)) {
            self.chunk.clear();
            return Err(Stop::Changed(start + filled as u64));
        }
        if !self.second_pass {
            self.checksums.try_reserve(1).map_err(|_| Error::NoMemory("importing a file"))?;
            self.checksums.push(checksum);
        }
        self.chunk_end = start + size as u64;
        Ok(())
    }
}

fn io_error(operation: &'static str, path: &str, error: &std::io::Error) -> Error {
    Error::os(operation, path, error.raw_os_error().unwrap_or(libc::EIO))
}
