//! The whole store on the simulated disk, closed while another thread is in a call.

use std::path::Path;
use std::sync::Arc;

use super::explore;
use crate::error::{Error, Result};
use crate::options::{Options, SyncMode};
use crate::os::sim::SimOs;
use crate::store::Store;
use crate::sync::thread;

/// Runs `call` beside another thread that closes the store.
fn closed_beside(call: fn(&Store) -> Result<()>) {
    explore(2, move || {
        let os = SimOs::new(1);
        let options = Options {
            sync_mode: SyncMode::OnRequest,
            maintenance: false,
            first_segment_size: Some(4096),
            ..Options::default()
        };
        let store = Store::open_on(os.clone(), Path::new("/my.db"), &options).unwrap();
        store.put(b"a", b"1").unwrap();
        let closer = {
            let store = store.clone();
            thread::spawn(move || store.close().unwrap())
        };
        let outcome = call(&store);
        assert!(matches!(outcome, Ok(()) | Err(Error::Closed)), "{outcome:?}");
        closer.join().unwrap();
        assert!(matches!(call(&store), Err(Error::Closed)));
    });
}

#[test]
fn a_read_beside_a_close_is_answered_or_refused() {
    closed_beside(|store| store.get(b"a").map(|value| assert_eq!(value.as_deref(), Some(&b"1"[..]))));
}

#[test]
fn a_snapshot_beside_a_close_is_answered_or_refused() {
    closed_beside(|store| {
        let snapshot = store.snapshot()?;
        snapshot.get(b"a").map(|value| assert_eq!(value.as_deref(), Some(&b"1"[..])))
    });
}

#[test]
fn a_put_beside_a_close_is_in_the_log_or_refused() {
    closed_beside(|store| store.put(b"b", b"2"));
}

/// Keeps the disk alive beyond the store, as a value that outlives it does.
#[test]
fn a_value_outlives_the_store_that_is_closed_beside_it() {
    explore(2, || {
        let os = SimOs::new(1);
        let options = Options {
            sync_mode: SyncMode::OnRequest,
            maintenance: false,
            first_segment_size: Some(4096),
            ..Options::default()
        };
        let store = Store::open_on(os, Path::new("/my.db"), &options).unwrap();
        store.put(b"a", b"1").unwrap();
        let value = Arc::new(store.get(b"a").unwrap().unwrap());
        let reader = {
            let value = Arc::clone(&value);
            thread::spawn(move || assert_eq!(&**value, b"1"))
        };
        store.close().unwrap();
        drop(store);
        assert_eq!(&**value, b"1");
        reader.join().unwrap();
    });
}
