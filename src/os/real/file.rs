//! Regular files: whole transfers, allocation, syncs.
//!
//! Callers: `real`.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{file_size_limit, mapping, retry};
use crate::error::{Error, Result};
use crate::os::{File, Map, MapMode};

/// An open regular file.
#[derive(Debug)]
pub(super) struct RealFile {
    fd: OwnedFd,
    name: String,
    path: String,
    /// The process that took the advisory lock through this file, if one did.
    locked_by: Option<u32>,
}

impl Drop for RealFile {
    fn drop(&mut self) {
        // A forked child shares the lock: without this it would hold it on for as long as it lives. And
        // what the child drops must not release its parent's lock.
        if self.locked_by.is_some_and(|process| process == std::process::id()) {
            // SAFETY: the descriptor is open.
            unsafe { libc::flock(self.fd.as_raw_fd(), libc::LOCK_UN) };
        }
    }
}

/// Bytes that are written at once where a file is filled with zeros.
const ZEROS_SIZE: usize = 64 << 10;

impl RealFile {
    pub(super) fn new(fd: OwnedFd, name: &str, path: String) -> RealFile {
        RealFile { fd, name: name.to_string(), path, locked_by: None }
    }

    /// Takes the advisory lock; `false` where someone else holds it. Released by the drop.
    pub(super) fn try_lock(&mut self) -> Result<bool> {
        // SAFETY: the descriptor is open.
        match retry(|| unsafe { libc::flock(self.fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(_) => {
                self.locked_by = Some(std::process::id());
                Ok(true)
            }
            Err(libc::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(self.error("flock", errno)),
        }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn status(&self) -> Result<libc::stat> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open and the buffer is of the right type.
        retry(|| unsafe { libc::fstat(self.fd.as_raw_fd(), status.as_mut_ptr()) })
            .map_err(|errno| self.error("fstat", errno))?;
        // SAFETY: fstat succeeded, so it filled the buffer.
        Ok(unsafe { status.assume_init() })
    }

    fn error(&self, operation: &'static str, errno: i32) -> Error {
        Error::os(operation, self.path.as_str(), errno)
    }

    fn set_length(&self, size: u64) -> Result<()> {
        let length = to_offset(size).ok_or_else(|| self.error("ftruncate", libc::EFBIG))?;
        // SAFETY: the descriptor is open.
        retry(|| unsafe { libc::ftruncate(self.fd.as_raw_fd(), length) })
            .map_err(|errno| self.error("ftruncate", errno))?;
        Ok(())
    }

    /// Allocates `[0, size)` where the file has `old_size` bytes.
    fn allocate_from(&self, old_size: u64, size: u64) -> Result<()> {
        match kernel_allocate(&self.fd, size) {
            Ok(()) => Ok(()),
            Err(libc::EOPNOTSUPP | libc::ENOSYS) => self.write_zeros(old_size, size),
            Err(errno) => Err(self.error("fallocate", errno)),
        }
    }

    /// The stand-in where the file system cannot allocate.
    fn write_zeros(&self, from: u64, to: u64) -> Result<()> {
        // Not on the stack: the caller's thread may have a small one. And not in the library's file.
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(ZEROS_SIZE).map_err(|_| Error::NoMemory("making a file"))?;
        zeros.resize(ZEROS_SIZE, 0);
        let mut offset = from;
        while offset < to {
            let length = usize::try_from(to - offset).unwrap_or(usize::MAX).min(zeros.len());
            write_all_at(&self.fd, &self.path, zeros.get(..length).unwrap_or_default(), offset)?;
            offset += length as u64;
        }
        Ok(())
    }
}

impl File for RealFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64> {
        Ok(u64::try_from(self.status()?.st_size).unwrap_or(0))
    }

    fn read_at(&self, mut buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut offset = to_offset(offset).ok_or_else(|| self.error("pread", libc::EINVAL))?;
        while !buffer.is_empty() {
            // SAFETY: the pointer and length are those of a live, exclusively borrowed slice.
            let read = retry(|| unsafe {
                libc::pread(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), offset)
            })
            .map_err(|errno| self.error("pread", errno))?;
            if read == 0 {
                return Err(self.error("read past the end", 0));
            }
            let rest = std::mem::take(&mut buffer).get_mut(read.unsigned_abs()..);
            buffer = rest.ok_or(Error::Internal("pread returned more than was asked for"))?;
            offset += read as libc::off_t;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        write_all_at(&self.fd, &self.path, bytes, offset)
    }

    fn allocate(&self, size: u64) -> Result<()> {
        let old_size = self.size()?;
        if size > file_size_limit() {
            return Err(self.error("fallocate", libc::EFBIG));
        }
        let allocated = if size == 0 { Ok(()) } else { self.allocate_from(old_size, size) };
        if allocated.is_err() && size > old_size {
            // A failed fallocate leaves the file grown by all the space there was. Giving it back is
            // worth a try only: the first error is the one to report.
            let _ = self.set_length(old_size);
        }
        allocated?;
        if size < old_size { self.set_length(size) } else { Ok(()) }
    }

    fn truncate(&self, size: u64) -> Result<()> {
        if size > file_size_limit() && size > self.size()? {
            return Err(self.error("ftruncate", libc::EFBIG));
        }
        self.set_length(size)
    }

    fn sync_data(&self) -> Result<()> {
        sync(&self.fd, true).map_err(|errno| Error::sync("fdatasync", self.path.as_str(), errno))
    }

    fn sync_all(&self) -> Result<()> {
        sync(&self.fd, false).map_err(|errno| Error::sync("fsync", self.path.as_str(), errno))
    }

    fn map(&self, size: u64, mode: MapMode) -> Result<Map> {
        mapping::map(self, size, mode)
    }
}

/// Writes all of `bytes`; refuses what would raise SIGXFSZ.
pub(super) fn write_all_at(fd: &OwnedFd, path: &str, mut bytes: &[u8], offset: u64) -> Result<()> {
    let error = |errno| Error::os("pwrite", path, errno);
    let end = offset.checked_add(bytes.len() as u64).and_then(to_offset).ok_or_else(|| error(libc::EFBIG))?;
    if end.unsigned_abs() > file_size_limit() {
        return Err(error(libc::EFBIG));
    }
    let mut offset = to_offset(offset).ok_or_else(|| error(libc::EFBIG))?;
    while !bytes.is_empty() {
        // SAFETY: the pointer and length are those of a live slice.
        let written =
            retry(|| unsafe { libc::pwrite(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), offset) })
                .map_err(error)?;
        if written == 0 {
            return Err(error(libc::EIO));
        }
        bytes = bytes
            .get(written.unsigned_abs()..)
            .ok_or(Error::Internal("pwrite returned more than was asked for"))?;
        offset += written as libc::off_t;
    }
    Ok(())
}

fn to_offset(offset: u64) -> Option<libc::off_t> {
    libc::off_t::try_from(offset).ok()
}

#[cfg(target_os = "linux")]
fn kernel_allocate(fd: &OwnedFd, size: u64) -> std::result::Result<(), i32> {
    let length = to_offset(size).ok_or(libc::EFBIG)?;
    // The raw call: glibc's posix_fallocate would write a byte to every block where it is missing.
    // SAFETY: the descriptor is open.
    retry(|| unsafe { libc::fallocate(fd.as_raw_fd(), 0, 0, length) })?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn kernel_allocate(_fd: &OwnedFd, _size: u64) -> std::result::Result<(), i32> {
    Err(libc::ENOSYS)
}

#[cfg(not(target_vendor = "apple"))]
fn sync(fd: &OwnedFd, data_only: bool) -> std::result::Result<(), i32> {
    // SAFETY: the descriptor is open.
    retry(|| unsafe {
        if data_only { libc::fdatasync(fd.as_raw_fd()) } else { libc::fsync(fd.as_raw_fd()) }
    })?;
    Ok(())
}

/// `fsync` there does not reach the medium.
#[cfg(target_vendor = "apple")]
fn sync(fd: &OwnedFd, _data_only: bool) -> std::result::Result<(), i32> {
    // SAFETY: the descriptor is open; the command takes no argument.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_FULLFSYNC) })?;
    Ok(())
}
