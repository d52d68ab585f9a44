//! A file of the Go store: any bytes, and any bytes behind a good pair.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tinystoredb::os::sim::SimOs;
use tinystoredb::{Error, ImportOptions, Store, import_go};
use tinystoredb_fuzz::{PATH, contents, options};

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
});

fuzz_target!(|data: &[u8]| {
    let Some((&flags, data)) = data.split_first() else { return };
    let path = DIRECTORY.path().join("go.bin");
    std::fs::write(&path, data).unwrap();
    let store = Store::open_on(SimOs::new(1), PATH, &options()).unwrap();
    store.put(b"key0", b"here already").unwrap();
    let how = ImportOptions { keep_going: flags & 1 != 0, overwrite: flags & 2 != 0 };
    match import_go(&store, &path, how, &mut |_| true) {
        Ok(report) => {
            assert_eq!(report.pairs_read, report.imported + report.duplicates + report.existing);
            assert!(how.keep_going || report.damage.is_none());
            let records = contents(&store).unwrap().len() as u64;
            assert!(records >= report.imported && records <= report.imported + 1);
        }
        Err(Error::ImportDamaged { offset, imported: 0, .. }) => {
            assert!(!how.keep_going && offset <= data.len() as u64);
            assert_eq!(contents(&store).unwrap().len(), 1);
        }
        Err(other) => panic!("{other:?}"),
    }
});
