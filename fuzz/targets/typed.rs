//! The bytes of a typed value, read as every type. What decodes is the same when it is written again.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tinystoredb::os::sim::SimOs;
use tinystoredb::{Error, Store, ValueType, WriteOptions};
use tinystoredb_fuzz::{PATH, options};

#[derive(Serialize, Deserialize, Debug)]
enum Shape {
    Nothing,
    Line(i64, i64),
    Named { name: String, tags: Vec<String>, within: Option<Box<Shape>> },
    Many(Vec<Shape>),
}

static STORE: LazyLock<Store> = LazyLock::new(fresh);

fn fresh() -> Store {
    Store::open_on(SimOs::new(1), PATH, &options()).unwrap()
}

fuzz_target!(|data: &[u8]| {
    let Some((&number, data)) = data.split_first() else { return };
    let Some(value_type) = ValueType::from_number(number % 8) else { return };
    // A log only grows: every input gets a store of its own once it is large.
    let own;
    let store = if data.len() > 64 || STORE.stats().unwrap().log_bytes > 1 << 20 {
        own = fresh();
        &own
    } else {
        &*STORE
    };
    store.put_with(b"k", data, WriteOptions { value_type, ..WriteOptions::default() }).unwrap();
    let scalars = [
        store.get_string(b"k").map(drop),
        store.get_i64(b"k").map(drop),
        store.get_u64(b"k").map(drop),
        store.get_f64(b"k").map(drop),
        store.get_bool(b"k").map(drop),
    ];
    for (place, read) in scalars.into_iter().enumerate() {
        match read {
            Ok(()) => assert_eq!(value_type as usize, place + 1),
            Err(Error::WrongType { found, .. }) => assert_eq!(found, value_type),
            Err(Error::Decode(_)) => assert_eq!(value_type as usize, place + 1),
            Err(other) => panic!("{other:?}"),
        }
    }
    decoded::<Shape>(store, value_type);
    decoded::<Vec<Vec<u8>>>(store, value_type);
    decoded::<BTreeMap<String, u64>>(store, value_type);
    decoded::<HashMap<u8, Vec<()>>>(store, value_type);
    decoded::<(u8, char, f32, Option<i128>)>(store, value_type);
    decoded::<Vec<()>>(store, value_type);
    decoded::<String>(store, value_type);
});

fn decoded<T: Serialize + DeserializeOwned + Debug>(store: &Store, value_type: ValueType) {
    match store.get_serde::<T>(b"k") {
        Ok(Some(value)) => {
            assert_eq!(value_type, ValueType::Serde);
            store.put_serde(b"copy", &value).unwrap();
            let copy = store.get_serde::<T>(b"copy").unwrap().unwrap();
            // A map may hold its keys in another order, a NaN differs from itself.
            assert_eq!(format!("{value:?}").len(), format!("{copy:?}").len());
        }
        Ok(None) => panic!("it was put just now"),
        Err(Error::WrongType { found, .. }) => assert_eq!(found, value_type),
        Err(Error::Decode(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
}
