//! Mapped files.
//!
//! Invariants:
//! 1. A mapping is made once, over its full size, and unmapped by the drop of its owner only.
//! 2. Space under a writable mapping is on a file system that keeps what it allocated, so that a store
//!    into a populated page does not fail. Remote and copy-on-write file systems do not: there a
//!    writable mapping is `Unsupported`, and [`MapMode::Pwrite`] is the way.
//!
//! Callers: `real::file`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use super::file::{RealFile, write_all_at};
use super::{last_errno, retry};
use crate::error::{Error, Result};
use crate::os::{File, Map, MapBackend, MapMode};

/// Alignment that lets the kernel use its large pages.
const HUGE_PAGE_SIZE: usize = 2 << 20;

/// See [`File::map`].
pub(super) fn map(file: &RealFile, size: u64, mode: MapMode) -> Result<Map> {
    let failed = |errno| Error::os("mmap", file.path(), errno);
    let length = usize::try_from(size).map_err(|_| failed(libc::EOVERFLOW))?;
    if length == 0 {
        return Err(Error::InvalidArgument(format!("{}: a mapping of no bytes", file.path())));
    }
    if file.size()? < size {
        return Err(Error::os("mmap past the end", file.path(), 0));
    }
    if mode == MapMode::ReadWrite
        && let Some(kind) = file_system_without_stores(file.fd())
    {
        return Err(unsupported(file, &format!("writing through a mapping is not safe on {kind}")));
    }
    // Shares the open file description, so that an error of its writes is reported by the file's sync.
    let writer = match mode {
        MapMode::Pwrite => Some(
            file.fd().try_clone().map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EMFILE)))?,
        ),
        MapMode::Read | MapMode::ReadWrite => None,
    };
    let protection = match mode {
        MapMode::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        MapMode::Read | MapMode::Pwrite => libc::PROT_READ,
    };
    // SAFETY: not MAP_FIXED, so no existing mapping is touched; the descriptor is open.
    let base = unsafe {
        libc::mmap(aligned_hint(length), length, protection, libc::MAP_SHARED, file.fd().as_raw_fd(), 0)
    };
    if base == libc::MAP_FAILED {
        return Err(match last_errno() {
            libc::ENODEV | libc::EINVAL => unsupported(file, "its file system cannot map it"),
            errno => failed(errno),
        });
    }
    let base = NonNull::new(base.cast::<u8>()).ok_or(Error::Internal("a mapping at address zero"))?;
    let backend = Mapping { base, length, mode, writer, path: file.path().to_string() };
    // SAFETY: `length` bytes are mapped at `base` until `backend` is dropped; they are writable in mode
    // ReadWrite, in mode Pwrite every write is taken, and in mode Read every write is refused.
    Ok(unsafe { Map::new(base, length, Box::new(backend)) })
}

fn unsupported(file: &RealFile, reason: &str) -> Error {
    Error::Unsupported(format!("mapping {}: {reason}", file.path()))
}

/// An address at a large page's boundary where `length` bytes were free a moment ago. Only a hint: when
/// another thread takes the place meanwhile, the kernel chooses another one, and all that is lost is
/// the alignment. MAP_FIXED would have to trust that a failed call leaves the reservation in place.
fn aligned_hint(length: usize) -> *mut libc::c_void {
    let Some(size) = length.checked_add(HUGE_PAGE_SIZE) else { return ptr::null_mut() };
    if length < HUGE_PAGE_SIZE {
        return ptr::null_mut();
    }
    // SAFETY: a new anonymous mapping touches no existing memory.
    let free = unsafe {
        libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if free == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    // SAFETY: unmaps exactly what was mapped above, which nobody else knows of.
    unsafe { libc::munmap(free, size) };
    ptr::without_provenance_mut((free.addr() + HUGE_PAGE_SIZE - 1) & !(HUGE_PAGE_SIZE - 1))
}

/// What unmaps, and writes where stores are not enough.
struct Mapping {
    base: NonNull<u8>,
    length: usize,
    mode: MapMode,
    writer: Option<OwnedFd>,
    path: String,
}

// SAFETY: the pages belong to the process, not to a thread; the pointer is used for unmapping and
// advice only.
unsafe impl Send for Mapping {}
// SAFETY: as above; every method only calls the kernel.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; `Map` and all slices from it are gone (map.rs,
        // invariant 1).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

impl MapBackend for Mapping {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<bool> {
        match (self.mode, &self.writer) {
            (MapMode::ReadWrite, _) => Ok(false),
            (MapMode::Pwrite, Some(fd)) => write_all_at(fd, &self.path, bytes, offset).map(|()| true),
            _ => Err(Error::Internal("a write through a read-only mapping")),
        }
    }

    fn populate(&self, offset: u64, size: u64) -> Result<()> {
        if self.mode != MapMode::ReadWrite || size == 0 {
            return Ok(());
        }
        let out_of_range = Error::Internal("populating beyond the end of a mapping");
        let start = usize::try_from(offset).ok();
        let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
        match (start, end) {
            (Some(start), Some(end)) if end <= self.length => self.populate_pages(start, end),
            _ => Err(out_of_range),
        }
    }

    #[cfg(target_os = "linux")]
    fn populate_read(&self, offset: u64, size: u64) -> Result<()> {
        let start = usize::try_from(offset).ok();
        let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
        let (Some(start), Some(end)) = (start, end.filter(|&end| end <= self.length)) else {
            return Err(Error::Internal("populating beyond the end of a mapping"));
        };
        let start = start & !(page_size() - 1);
        // SAFETY: `start <= end <= length`.
        let address = unsafe { self.base.as_ptr().add(start) };
        // SAFETY: the range lies in this mapping; making pages present does not change what they hold.
        match retry(|| unsafe { libc::madvise(address.cast(), end - start, libc::MADV_POPULATE_READ) }) {
            // A kernel before 5.14 cannot be asked.
            Ok(_) | Err(libc::EINVAL) => Ok(()),
            Err(libc::EFAULT) => Err(Error::os("read", self.path.as_str(), libc::EIO)),
            Err(errno) => Err(Error::os("read", self.path.as_str(), errno)),
        }
    }

    fn advise_large_pages(&self) {
        #[cfg(target_os = "linux")]
        self.advise(libc::MADV_HUGEPAGE);
    }

    fn advise_sealed(&self) {
        self.advise_large_pages();
        self.advise(libc::MADV_WILLNEED);
    }
}

impl Mapping {
    fn advise(&self, advice: i32) {
        // SAFETY: the range is this mapping, and neither advice changes what it holds.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.length, advice) };
    }

    #[cfg(target_os = "linux")]
    fn populate_pages(&self, start: usize, end: usize) -> Result<()> {
        let page_start = start & !(page_size() - 1);
        // SAFETY: `page_start <= start < length`.
        let address = unsafe { self.base.as_ptr().add(page_start) };
        // SAFETY: the range lies in this writable mapping (its last page included); making pages
        // present does not change what they hold.
        let result =
            retry(|| unsafe { libc::madvise(address.cast(), end - page_start, libc::MADV_POPULATE_WRITE) });
        match result {
            Ok(_) => Ok(()),
            // A kernel before 5.14.
            Err(libc::EINVAL) => Err(Error::Unsupported(format!(
                "{}: this kernel cannot make pages writable ahead of a store",
                self.path
            ))),
            // The store would have been answered with SIGBUS: the file system had no page to give.
            Err(libc::EFAULT) if self.device_is_full(end - page_start) => {
                Err(Error::os("populate", self.path.as_str(), libc::ENOSPC))
            }
            Err(libc::EFAULT) => Err(Error::os("populate", self.path.as_str(), libc::EIO)),
            Err(errno) => Err(Error::os("populate", self.path.as_str(), errno)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn populate_pages(&self, _start: usize, _end: usize) -> Result<()> {
        Err(Error::Unsupported(format!("{}: pages cannot be made writable ahead of a store", self.path)))
    }

    /// Whether the file system has less than `size` bytes to give.
    #[cfg(target_os = "linux")]
    fn device_is_full(&self, size: usize) -> bool {
        let Ok(path) = super::c_string(self.path.as_bytes()) else { return false };
        let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the path is NUL-terminated and the buffer of the right type.
        if retry(|| unsafe { libc::statfs(path.as_ptr(), status.as_mut_ptr()) }).is_err() {
            return false;
        }
        // SAFETY: statfs succeeded, so it filled the buffer.
        let status = unsafe { status.assume_init() };
        status.f_bavail.saturating_mul(status.f_bsize.unsigned_abs()) < size as u64
    }
}

#[cfg(target_os = "linux")]
fn page_size() -> usize {
    // SAFETY: no argument is a pointer.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The kind of file system, where a store through a mapping can fail although the space was allocated:
/// the file can change or vanish elsewhere, or a second write of a page needs new space.
#[cfg(target_os = "linux")]
fn file_system_without_stores(fd: &OwnedFd) -> Option<&'static str> {
    let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open and the buffer of the right type.
    if retry(|| unsafe { libc::fstatfs(fd.as_raw_fd(), status.as_mut_ptr()) }).is_err() {
        return Some("a file system of unknown kind");
    }
    // SAFETY: fstatfs succeeded, so it filled the buffer.
    let magic = unsafe { status.assume_init() }.f_type as u64 & 0xffff_ffff;
    kind_without_stores(magic)
}

#[cfg(not(target_os = "linux"))]
fn file_system_without_stores(_fd: &OwnedFd) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
pub(super) fn kind_without_stores(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0bd0_0bd0 => "Lustre",
        0x786f_4256 => "a VirtualBox shared folder",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "ZFS",
        0xca45_1a4e => "bcachefs",
        0xf2f5_2010 => "F2FS",
        0x3434 => "NILFS",
        _ => return None,
    })
}
