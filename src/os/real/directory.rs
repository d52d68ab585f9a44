//! Directories: everything is relative to a held descriptor, so that renaming or replacing a parent
//! directory under a running store changes nothing.
//!
//! Callers: `real`.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file::RealFile;
use super::{c_string, last_errno, retry};
use crate::error::{Error, Result};
use crate::os::{Access, Directory, Entry, EntryKind, File, Lock, check_name};

/// An open directory.
#[derive(Debug)]
pub(super) struct RealDirectory {
    fd: OwnedFd,
    path: PathBuf,
}

impl RealDirectory {
    /// See [`crate::os::Os::open_directory`]. A symbolic link to a directory is followed: which place
    /// the caller names is the caller's affair.
    pub(super) fn open(path: &Path, create: bool) -> Result<RealDirectory> {
        let text = path.display().to_string();
        let c_path = c_string(path.as_os_str().as_bytes())?;
        let mut opened = open_directory_fd(&c_path);
        if create {
            let mut made = false;
            if matches!(opened, Err(libc::ENOENT)) {
                // SAFETY: the path is a NUL-terminated string.
                match retry(|| unsafe { libc::mkdir(c_path.as_ptr(), 0o700) }) {
                    Ok(_) => made = true,
                    // Someone else was faster.
                    Err(libc::EEXIST) => {}
                    Err(errno) => return Err(open_error("mkdir", text, errno)),
                }
                opened = open_directory_fd(&c_path);
            }
            // Also where it was there already: whoever made it may have died before this sync.
            if opened.is_ok() {
                sync_parent(path, &text, made)?;
            }
        }
        let fd = opened.map_err(|errno| open_error("open", text, errno))?;
        Ok(RealDirectory { fd, path: path.to_path_buf() })
    }

    fn display(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn open_file(&self, name: &str, operation: &'static str, flags: i32) -> Result<RealFile> {
        let name_bytes = c_name(name)?;
        // O_NONBLOCK keeps a FIFO from blocking the open; it means nothing for a regular file.
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the name is NUL-terminated, the descriptor is open, and the mode is an unsigned int
        // as the variadic argument demands.
        let fd = retry(|| unsafe {
            libc::openat(self.fd.as_raw_fd(), name_bytes.as_ptr(), flags, 0o600 as libc::c_uint)
        })
        .map_err(|errno| match errno {
            libc::ELOOP => self.not_a_store(name, "it is a symbolic link; a store's files are never links"),
            libc::EISDIR => self.not_a_store(name, "it is a directory, not a regular file"),
            libc::ENXIO => self.not_a_store(name, "it is a socket or a pipe, not a regular file"),
            errno => Error::os(operation, self.display(name), errno),
        })?;
        // SAFETY: openat returned a new descriptor that nothing else owns.
        let fd = above_standard(unsafe { OwnedFd::from_raw_fd(fd) })
            .map_err(|errno| Error::os("fcntl", self.display(name), errno))?;
        let file = RealFile::new(fd, name, self.display(name));
        let status = file.status()?;
        if status.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(self.not_a_store(name, "it is not a regular file"));
        }
        if status.st_nlink != 1 {
            return Err(self.not_a_store(
                name,
                "it has another hard link, or was removed just now; a store's files have one name each",
            ));
        }
        Ok(file)
    }

    fn not_a_store(&self, name: &str, reason: &str) -> Error {
        Error::NotAStore { path: self.display(name), reason: reason.to_string() }
    }
}

impl Directory for RealDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let failed = |operation| Error::os(operation, self.path.display().to_string(), last_errno());
        // A descriptor of its own: the read position is part of the open file description.
        // SAFETY: the descriptor is open and the name is a C string.
        let fd = retry(|| unsafe {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
            libc::openat(self.fd.as_raw_fd(), c".".as_ptr(), flags)
        })
        .map_err(|errno| Error::os("open", self.path.display().to_string(), errno))?;
        // SAFETY: `fd` is a new descriptor of a directory; on success the stream owns it.
        let stream = unsafe { libc::fdopendir(fd) };
        if stream.is_null() {
            let error = failed("fdopendir");
            // SAFETY: fdopendir failed, so the descriptor is still ours, and nobody uses it after this.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            return Err(error);
        }
        let stream = Stream(stream);
        let mut entries = Vec::new();
        loop {
            set_errno(0);
            // SAFETY: the stream is open and used by this thread alone.
            let entry = unsafe { libc::readdir(stream.0) };
            if entry.is_null() {
                if last_errno() != 0 {
                    return Err(failed("readdir"));
                }
                break;
            }
            // SAFETY: readdir returned an entry that stays valid until the next call on this stream; its
            // name is NUL-terminated. Raw places are used since the record may be shorter than the type.
            let (name, kind) = unsafe {
                (CStr::from_ptr((&raw const (*entry).d_name).cast()), (&raw const (*entry).d_type).read())
            };
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match kind {
                libc::DT_REG => EntryKind::File,
                libc::DT_UNKNOWN => self.kind_of(name)?,
                _ => EntryKind::Other,
            };
            entries.try_reserve(1).map_err(|_| Error::NoMemory("readdir"))?;
            entries.push(Entry { name: name.to_string_lossy().into_owned(), kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create(&self, name: &str) -> Result<Box<dyn File>> {
        Ok(Box::new(self.open_file(name, "create", libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?))
    }

    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        let flags = match access {
            Access::Read => libc::O_RDONLY,
            Access::ReadWrite => libc::O_RDWR,
        };
        Ok(Box::new(self.open_file(name, "open", flags)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (c_from, c_to) = (c_name(from)?, c_name(to)?);
        let fd = self.fd.as_raw_fd();
        // SAFETY: both names are NUL-terminated and the descriptor is open.
        retry(|| unsafe { libc::renameat(fd, c_from.as_ptr(), fd, c_to.as_ptr()) })
            .map_err(|errno| Error::os("rename", self.display(from), errno))?;
        Ok(())
    }

    fn unlink(&self, name: &str) -> Result<()> {
        let name_bytes = c_name(name)?;
        // SAFETY: the name is NUL-terminated and the descriptor is open.
        retry(|| unsafe { libc::unlinkat(self.fd.as_raw_fd(), name_bytes.as_ptr(), 0) })
            .map_err(|errno| Error::os("unlink", self.display(name), errno))?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        sync_directory_fd(&self.fd)
            .map_err(|errno| Error::sync("fsync", self.path.display().to_string(), errno))
    }

    fn lock(&self, name: &str) -> Result<Lock> {
        let mut file = self.open_file(name, "open", libc::O_RDWR | libc::O_CREAT)?;
        Ok(if file.try_lock()? { Lock::Acquired(Box::new(file)) } else { Lock::Held(Box::new(file)) })
    }
}

impl RealDirectory {
    fn kind_of(&self, name: &CStr) -> Result<EntryKind> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the name is NUL-terminated, the descriptor open, the buffer of the right type.
        let result = retry(|| unsafe {
            let flags = libc::AT_SYMLINK_NOFOLLOW;
            libc::fstatat(self.fd.as_raw_fd(), name.as_ptr(), status.as_mut_ptr(), flags)
        });
        match result {
            // SAFETY: fstatat succeeded, so it filled the buffer.
            Ok(_) if unsafe { status.assume_init() }.st_mode & libc::S_IFMT == libc::S_IFREG => {
                Ok(EntryKind::File)
            }
            // An entry that went away meanwhile is not a file of ours.
            Ok(_) | Err(libc::ENOENT) => Ok(EntryKind::Other),
            Err(errno) => Err(Error::os("stat", self.display(&name.to_string_lossy()), errno)),
        }
    }
}

/// `name`, a single path component, for the kernel.
fn c_name(name: &str) -> Result<CString> {
    check_name(name)?;
    c_string(name.as_bytes())
}

/// An open directory stream.
struct Stream(*mut libc::DIR);

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream was opened by fdopendir and is closed once, here.
        unsafe { libc::closedir(self.0) };
    }
}

fn open_directory_fd(path: &CStr) -> std::result::Result<OwnedFd, i32> {
    // SAFETY: the path is a NUL-terminated string.
    let fd =
        retry(|| unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) })?;
    // SAFETY: open returned a new descriptor that nothing else owns.
    above_standard(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `fd`, or a duplicate of it where it has the number of a standard stream: in a program that has closed
/// those, what it prints would otherwise be written into the store.
fn above_standard(fd: OwnedFd) -> std::result::Result<OwnedFd, i32> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    // SAFETY: the descriptor is open.
    let above =
        retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) })?;
    // SAFETY: fcntl returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(above) })
}

fn open_error(operation: &'static str, path: String, errno: i32) -> Error {
    match errno {
        libc::ENOENT => Error::NotFound { path },
        libc::ENOTDIR => Error::NotAStore { path, reason: "it is not a directory".to_string() },
        errno => Error::os(operation, path, errno),
    }
}

/// Makes the name of the directory at `path` durable. A parent that may not be opened is an error only
/// where the directory was `made` just now.
fn sync_parent(path: &Path, text: &str, made: bool) -> Result<()> {
    let parent = match path.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    let fd = match open_directory_fd(&c_string(parent.as_os_str().as_bytes())?) {
        Ok(fd) => fd,
        Err(libc::EACCES | libc::EPERM) if !made => return Ok(()),
        Err(errno) => return Err(Error::os("open", parent.display().to_string(), errno)),
    };
    match sync_directory_fd(&fd) {
        Ok(()) => Ok(()),
        // A read-only file system has nothing to make durable.
        Err(libc::EROFS) if !made => Ok(()),
        Err(errno) => Err(Error::sync("fsync of the directory above", text, errno)),
    }
}

fn sync_directory_fd(fd: &OwnedFd) -> std::result::Result<(), i32> {
    // SAFETY: the descriptor is open.
    match retry(|| unsafe { libc::fsync(fd.as_raw_fd()) }) {
        // Some file systems (remote ones) have no sync of directories: there is nothing to wait for.
        Ok(_) | Err(libc::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn set_errno(errno: i32) {
    // SAFETY: the location is this thread's own.
    unsafe {
        #[cfg(target_os = "linux")]
        libc::__errno_location().write(errno);
        #[cfg(not(target_os = "linux"))]
        libc::__error().write(errno);
    }
}
