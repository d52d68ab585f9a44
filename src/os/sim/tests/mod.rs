//! What the simulated disk promises, and what it does not.
#![allow(unsafe_code)]

mod durability;
mod faults;
mod images;
mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::os::{Access, File, Lock, MapMode};

const PATH: &str = "/store";

fn disk() -> (Arc<SimOs>, Arc<dyn Directory>) {
    let os = SimOs::new(1);
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    (os, directory)
}

/// A file whose name and first bytes are durable.
fn durable_file(directory: &Arc<dyn Directory>, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = directory.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    directory.sync().unwrap();
    file
}

fn power_losses() -> Enumeration {
    Enumeration { kills: false, ..Enumeration::default() }
}

/// All contents that a file can have after a power loss now; `None` for a file that is missing.
fn outcomes(os: &SimOs, name: &str, plan: &Enumeration) -> BTreeSet<Option<Vec<u8>>> {
    let trace = os.trace().unwrap();
    let path = Path::new(PATH).join(name);
    let plan = Enumeration { from: trace.end(), ..plan.clone() };
    trace.crash_states(&plan).map(|image| image.read(&path)).collect()
}

fn some(text: &[u8]) -> Option<Vec<u8>> {
    Some(text.to_vec())
}

fn read(file: &dyn File, offset: u64, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; size];
    file.read_at(&mut buffer, offset).unwrap();
    buffer
}

/// A run of random operations on a few files; failing syncs among them, if wished.
fn random_run(os: &SimOs, seed: u64, steps: u64, failures: bool) {
    let directory = os.open_directory(Path::new(PATH), true).unwrap();
    let mut files: BTreeMap<String, Box<dyn File>> = BTreeMap::new();
    for step in 0..steps {
        let dice = mix(seed ^ mix(step));
        let name = format!("f{}", dice >> 8 & 3);
        let (offset, size) = (dice >> 16 & 0x1fff, (dice >> 32 & 0x7ff) + 1);
        let Some(file) = files.get(&name) else {
            let file = match directory.open(&name, Access::ReadWrite) {
                Ok(file) => file,
                Err(_) => directory.create(&name).unwrap(),
            };
            files.insert(name, file);
            continue;
        };
        match dice & 15 {
            0..=5 => file.write_at(&vec![dice as u8 | 1; size as usize], offset).unwrap(),
            6 => file.allocate(offset).unwrap(),
            7 => file.truncate(offset).unwrap(),
            8 => file.sync_all().unwrap(),
            9 => file.sync_data().unwrap(),
            10 => directory.sync().unwrap(),
            11 if failures => {
                os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::SyncAll))).unwrap();
                file.sync_all().unwrap_err();
            }
            12 => {
                directory.unlink(&name).unwrap();
                files.remove(&name);
            }
            13 => {
                let to = format!("f{}", dice >> 40 & 3);
                directory.rename(&name, &to).unwrap();
                let file = files.remove(&name).unwrap();
                files.insert(to, file);
            }
            _ if file.size().unwrap() > 0 => {
                let length = file.size().unwrap();
                let map = file.map(length, MapMode::ReadWrite).unwrap();
                let size = size.min(length);
                let offset = offset.min(length - size);
                // SAFETY: nobody else uses the mapping.
                unsafe { map.write(offset, &vec![dice as u8 | 1; size as usize]) }.unwrap();
            }
            _ => {}
        }
    }
}

fn contents(os: &SimOs) -> Vec<(String, Vec<u8>)> {
    let directory = os.open_directory(Path::new(PATH), false).unwrap();
    let mut all = Vec::new();
    for entry in directory.list().unwrap() {
        let file = directory.open(&entry.name, Access::Read).unwrap();
        all.push((entry.name, read(&*file, 0, file.size().unwrap() as usize)));
    }
    all
}
