//! The documented promises of the seam, each tried on real files.

mod directory;
mod file;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::mapping::kind_without_stores;
use super::{RealOs, c_string};
use crate::error::Error;
use crate::os::{Access, Directory, EntryKind, Lock, MapMode, Os};

const MIB: u64 = 1 << 20;

fn scratch() -> (TempDir, Arc<dyn Directory>) {
    let temp = tempfile::tempdir().unwrap();
    let directory = RealOs::new().open_directory(&temp.path().join("store"), true).unwrap();
    (temp, directory)
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs the named test of this binary again as a child process, in which `role` is set.
fn run_as_child(test: &str) -> std::process::Output {
    let name = format!("os::real::tests::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--nocapture", "--test-threads=1"])
        .env("TINYSTOREDB_TEST_CHILD", test)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn is_child(test: &str) -> bool {
    std::env::var("TINYSTOREDB_TEST_CHILD").is_ok_and(|role| role == test)
}

fn assert_child_passed(test: &str) {
    let output = run_as_child(test);
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{:?}: {text}", output.status);
}

/// A small file system that goes away with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(kind: &str, options: &str) -> Option<SmallDisk> {
        let temp = tempfile::tempdir().unwrap();
        let path = c_string(temp.path().to_str().unwrap().as_bytes()).unwrap();
        let kind = c_string(kind.as_bytes()).unwrap();
        let options = c_string(options.as_bytes()).unwrap();
        // SAFETY: all pointers are to NUL-terminated strings that live through the call.
        let result =
            unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        if result != 0 {
            println!("skipped: mounting is not possible here: {}", std::io::Error::last_os_error());
            return None;
        }
        Some(SmallDisk(temp))
    }
}

impl SmallDisk {
    /// An ext4 file system of 16 MiB in a file.
    fn mount_ext4() -> Option<SmallDisk> {
        let temp = tempfile::tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(16 * MIB).unwrap();
        let run = |program: &str, args: &[&std::ffi::OsStr]| {
            let output = Command::new(program).args(args).output();
            match output {
                Ok(output) if output.status.success() => true,
                Ok(output) => {
                    println!("skipped: {program}: {}", String::from_utf8_lossy(&output.stderr).trim());
                    false
                }
                Err(error) => {
                    println!("skipped: {program}: {error}");
                    false
                }
            }
        };
        let done = run("mkfs.ext4", &["-q".as_ref(), image.path().as_ref()])
            && run("mount", &["-o".as_ref(), "loop".as_ref(), image.path().as_ref(), temp.path().as_ref()]);
        done.then_some(SmallDisk(temp))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = c_string(self.0.path().to_str().unwrap().as_bytes()).unwrap();
        // SAFETY: the path is NUL-terminated; the mount is this value's own.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}
