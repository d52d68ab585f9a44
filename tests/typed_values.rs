//! Typed values: what is stored comes back with its type, and nothing else passes for it.
// A helper that cannot go on should stop the test, as the test itself does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/allocations.rs"]
mod allocations;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use allocations::{Watched, largest_allocation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tinystoredb::{Error, Options, Scalar, Store, SyncMode, ValueType, WriteOptions};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn open() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sync_mode: SyncMode::OnRequest, ..Options::default() };
    let store = Store::open(directory.path().join("db"), &options).unwrap();
    (directory, store)
}

fn put_raw(store: &Store, value_type: ValueType, bytes: &[u8]) {
    store.put_with(b"k", bytes, WriteOptions { value_type, ..WriteOptions::default() }).unwrap();
}

fn decode_error<T: Debug>(answer: tinystoredb::Result<T>) -> String {
    match answer {
        Err(Error::Decode(reason)) => reason,
        other => panic!("expected a decode error, got {other:?}"),
    }
}

#[test]
fn every_scalar_comes_back_as_it_was() {
    let (_directory, store) = open();
    for number in [i64::MIN, -1, 0, 1, i64::MAX] {
        store.put_i64(b"k", number).unwrap();
        assert_eq!(store.get_i64(b"k").unwrap(), Some(number));
    }
    for number in [0, 1, u64::MAX] {
        store.put_u64(b"k", number).unwrap();
        assert_eq!(store.get_u64(b"k").unwrap(), Some(number));
    }
    for flag in [false, true] {
        store.put_bool(b"k", flag).unwrap();
        assert_eq!(store.get_bool(b"k").unwrap(), Some(flag));
    }
    for string in ["", "a", "nul\0inside", "ключ-鍵-🔑"] {
        store.put_string(b"k", string).unwrap();
        assert_eq!(store.get_string(b"k").unwrap().as_deref(), Some(string));
    }
}

#[test]
fn every_bit_pattern_of_a_float_is_kept() {
    let (_directory, store) = open();
    let patterns = [
        0,
        1 << 63,
        1,
        f64::INFINITY.to_bits(),
        f64::NAN.to_bits(),
        0x7ff0_0000_0000_0001,
        0xfff8_dead_beef_cafe,
        u64::MAX,
    ];
    for bits in patterns {
        store.put_f64(b"k", f64::from_bits(bits)).unwrap();
        assert_eq!(store.get_f64(b"k").unwrap().map(f64::to_bits), Some(bits));
    }
}

#[test]
fn scalars_have_the_documented_bytes() {
    let mut scratch = [0xaa; 8];
    assert_eq!(Scalar::I64(-2).encode(&mut scratch), [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(Scalar::U64(0x0102).encode(&mut scratch), [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Scalar::F64(1.0).encode(&mut scratch), [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    assert_eq!(Scalar::Bool(true).encode(&mut scratch), [1]);
    assert_eq!(Scalar::Bool(false).encode(&mut scratch), [0]);
    assert_eq!(Scalar::String("é").encode(&mut scratch), [0xc3, 0xa9]);
    assert_eq!(Scalar::Bytes(&[0, 255]).encode(&mut scratch), [0, 255]);
}

#[test]
fn an_absent_key_is_none_for_every_type() {
    let (_directory, store) = open();
    assert_eq!(store.get_i64(b"absent").unwrap(), None);
    assert_eq!(store.get_u64(b"absent").unwrap(), None);
    assert_eq!(store.get_f64(b"absent").unwrap(), None);
    assert_eq!(store.get_bool(b"absent").unwrap(), None);
    assert_eq!(store.get_string(b"absent").unwrap(), None);
    assert_eq!(store.get_serde::<u8>(b"absent").unwrap(), None);
}

#[test]
fn a_value_is_never_read_as_another_type() {
    let (_directory, store) = open();
    let types = [
        ValueType::Bytes,
        ValueType::String,
        ValueType::I64,
        ValueType::U64,
        ValueType::F64,
        ValueType::Bool,
        ValueType::Serde,
    ];
    for stored in types {
        // Eight bytes that every one of the types could be, but for the bool.
        put_raw(&store, stored, b"\x01\0\0\0\0\0\0\0");
        let answers = [
            (ValueType::String, store.get_string(b"k").err()),
            (ValueType::I64, store.get_i64(b"k").err()),
            (ValueType::U64, store.get_u64(b"k").err()),
            (ValueType::F64, store.get_f64(b"k").err()),
            (ValueType::Bool, store.get_bool(b"k").err()),
            (ValueType::Serde, store.get_serde::<[u8; 8]>(b"k").err()),
        ];
        for (asked, error) in answers {
            match error {
                Some(Error::WrongType { found, wanted }) if asked != stored => {
                    assert_eq!((found, wanted), (stored, asked));
                }
                Some(Error::Decode(_)) if asked == stored && stored == ValueType::Bool => {}
                None if asked == stored => {}
                other => panic!("stored as {stored:?}, asked for {asked:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_scalar_of_another_length_is_an_error() {
    for value_type in [ValueType::I64, ValueType::U64, ValueType::F64, ValueType::Bool] {
        let right = if value_type == ValueType::Bool { 1 } else { 8 };
        for length in (0..20).filter(|length| *length != right) {
            let reason = decode_error(Scalar::decode(value_type, &vec![0; length]));
            assert!(reason.contains(&format!("{length}")), "{reason}");
        }
        Scalar::decode(value_type, &vec![0; right]).unwrap();
    }
}

#[test]
fn a_bool_is_zero_or_one() {
    for byte in 2..=255 {
        decode_error(Scalar::decode(ValueType::Bool, &[byte]));
    }
}

#[test]
fn a_string_is_valid_utf8_and_the_error_says_where_not() {
    let reason = decode_error(Scalar::decode(ValueType::String, b"abc\xff"));
    assert!(reason.ends_with("at byte 3"), "{reason}");
    decode_error(Scalar::decode(ValueType::String, b"\xed\xa0\x80"));
    let (_directory, store) = open();
    put_raw(&store, ValueType::String, b"\xc3");
    decode_error(store.get_string(b"k"));
}

#[test]
fn a_serde_value_is_not_a_scalar() {
    decode_error(Scalar::decode(ValueType::Serde, b"\x01"));
}

// serde types

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Named(String),
    Pair(i64, f64),
    Full { id: u64, tags: Vec<String>, more: Option<Box<Shape>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    integers: (i8, i16, i32, i64, i128, u8, u16, u32, u64, u128),
    letters: Vec<char>,
    shapes: Vec<Shape>,
    map: BTreeMap<String, Option<Vec<u8>>>,
    other_map: HashMap<u32, bool>,
    fixed: [u16; 3],
    nothing: (),
    wrapped: Wrapped,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct List {
    next: Option<Box<List>>,
}

fn list(length: usize) -> List {
    let mut list = List { next: None };
    for _ in 1..length {
        list = List { next: Some(Box::new(list)) };
    }
    list
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(store: &Store, value: &T) {
    store.put_serde(b"k", value).unwrap();
    assert_eq!(store.get(b"k").unwrap().unwrap().value_type(), ValueType::Serde);
    assert_eq!(store.get_serde::<T>(b"k").unwrap().as_ref(), Some(value));
}

#[test]
fn a_serde_value_comes_back_as_it_was() {
    let (_directory, store) = open();
    let full =
        Shape::Full { id: 7, tags: vec!["a".into(), String::new()], more: Some(Box::new(Shape::Empty)) };
    round_trip(
        &store,
        &Everything {
            integers: (
                i8::MIN,
                i16::MIN,
                i32::MIN,
                i64::MIN,
                i128::MIN,
                255,
                65_535,
                u32::MAX,
                u64::MAX,
                u128::MAX,
            ),
            letters: vec!['a', 'é', '鍵', '🔑'],
            shapes: vec![Shape::Named("n".into()), Shape::Pair(-1, 0.5), full, Shape::Empty],
            map: [("x".to_string(), None), ("y".to_string(), Some(vec![0; 300]))].into(),
            other_map: [(1, true), (2, false)].into(),
            fixed: [1, 2, 3],
            nothing: (),
            wrapped: Wrapped("w".repeat(70_000)),
        },
    );
    round_trip(&store, &());
    round_trip(&store, &vec![(); 1000]);
    round_trip(&store, &vec![1u8; 1 << 20]);
}

#[test]
fn a_serde_value_has_the_standard_bincode_bytes() {
    let (_directory, store) = open();
    store.put_serde(b"k", &(300u32, -1i64, "ab", Some(true))).unwrap();
    assert_eq!(&*store.get(b"k").unwrap().unwrap(), b"\xfb\x2c\x01\x01\x02ab\x01\x01");
}

#[test]
fn a_byte_left_over_is_an_error() {
    let (_directory, store) = open();
    put_raw(&store, ValueType::Serde, b"\x01\x02");
    assert!(decode_error(store.get_serde::<u8>(b"k")).contains("1 byte(s) are left over"));
    store.put_serde(b"k", &(1u8, 2u8)).unwrap();
    decode_error(store.get_serde::<u8>(b"k"));
    decode_error(store.get_serde::<()>(b"k"));
}

#[test]
fn every_truncation_of_a_serde_value_is_an_error() {
    let (_directory, store) = open();
    let value = (Shape::Full { id: 300, tags: vec!["tag".into()], more: None }, 5u8);
    store.put_serde(b"k", &value).unwrap();
    let bytes = store.get(b"k").unwrap().unwrap().to_vec();
    for length in 0..bytes.len() {
        put_raw(&store, ValueType::Serde, &bytes[..length]);
        decode_error(store.get_serde::<(Shape, u8)>(b"k"));
    }
}

/// A length prefix of 8 bytes.
fn announced(length: u64) -> Vec<u8> {
    [&[253], &length.to_le_bytes()[..]].concat()
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Buffer(#[serde(deserialize_with = "byte_buffer")] Vec<u8>);

/// What `serde_bytes` does: asks the format for an owned byte buffer.
fn byte_buffer<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Bytes;
    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("bytes")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    deserializer.deserialize_byte_buf(Bytes)
}

#[test]
fn an_announced_length_allocates_nothing() {
    let (_directory, store) = open();
    for length in [100, 1 << 20, 1 << 32, 1 << 60, i64::MAX as u64, u64::MAX] {
        put_raw(&store, ValueType::Serde, &announced(length));
        let check = |answer: Result<(), Error>, allocated: usize| {
            decode_error(answer);
            assert!(allocated < 4096, "{length} bytes announced, {allocated} bytes allocated");
        };
        let (answer, allocated) = largest_allocation(|| store.get_serde::<String>(b"k").map(drop));
        check(answer, allocated);
        let (answer, allocated) = largest_allocation(|| store.get_serde::<Buffer>(b"k").map(drop));
        check(answer, allocated);
        let (answer, allocated) = largest_allocation(|| store.get_serde::<Vec<u8>>(b"k").map(drop));
        check(answer, allocated);
        let (answer, allocated) = largest_allocation(|| store.get_serde::<Vec<[u64; 32]>>(b"k").map(drop));
        check(answer, allocated);
        let (answer, allocated) =
            largest_allocation(|| store.get_serde::<HashMap<u64, String>>(b"k").map(drop));
        check(answer, allocated);
    }
}

#[test]
fn elements_without_bytes_are_not_counted_forever() {
    let (_directory, store) = open();
    for length in [1 << 32, u64::MAX] {
        put_raw(&store, ValueType::Serde, &announced(length));
        decode_error(store.get_serde::<Vec<()>>(b"k"));
        decode_error(store.get_serde::<HashMap<(), ()>>(b"k"));
        decode_error(store.get_serde::<Vec<[(); 4]>>(b"k"));
    }
    // Nor when each of them announces as many again.
    put_raw(&store, ValueType::Serde, &[251, 255, 255].repeat(1000));
    decode_error(store.get_serde::<Vec<Vec<()>>>(b"k"));
}

#[test]
fn what_could_not_be_read_back_is_refused_when_it_is_written() {
    let (_directory, store) = open();
    let refused = |answer: Result<(), Error>| match answer {
        Err(Error::InvalidArgument(reason)) => reason,
        other => panic!("{other:?}"),
    };
    round_trip(&store, &vec![(); 65_536]);
    round_trip(&store, &vec![[(); 2]; 65_536]);
    let reason = refused(store.put_serde(b"k", &vec![(); 65_600]));
    assert!(reason.contains("more elements than its bytes allow"), "{reason}");
    // A struct and an option a link: 64 links nest 128 deep.
    round_trip(&store, &list(64));
    let reason = refused(store.put_serde(b"k", &list(65)));
    assert!(reason.contains("nests deeper than 128 levels"), "{reason}");
    // The value that was there is still there.
    assert_eq!(store.get_serde::<List>(b"k").unwrap(), Some(list(64)));
}

#[test]
fn a_value_that_no_format_without_names_can_hold_is_refused() {
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
    }
    let (_directory, store) = open();
    let answer = store.put_serde(b"k", &Flat { inner: BTreeMap::new() });
    assert!(matches!(answer, Err(Error::InvalidArgument(_))), "{answer:?}");
    assert!(store.get(b"k").unwrap().is_none());
}

#[test]
fn hostile_nesting_does_not_overflow_the_stack() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    enum Tree {
        Leaf,
        Boxed(Box<Tree>),
        Tuple(Box<Tree>, u8),
        Struct { inner: Box<Tree> },
        Many(Vec<Tree>),
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Newtype(Vec<Newtype>);

    let (_directory, store) = open();
    for byte in 1..=4 {
        put_raw(&store, ValueType::Serde, &vec![byte; 1 << 20]);
        if byte == 1 {
            assert!(decode_error(store.get_serde::<List>(b"k")).contains("nests deeper"));
            assert!(decode_error(store.get_serde::<Newtype>(b"k")).contains("nests deeper"));
        }
        assert!(decode_error(store.get_serde::<Tree>(b"k")).contains("nests deeper"));
    }
}

#[test]
fn random_bytes_never_decode_to_more_than_they_are() {
    // xorshift64*: the same bytes on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    println!("seed {state:#x}");
    let mut random = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let (_directory, store) = open();
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random() % 40).map(|_| (random() >> 30) as u8).collect();
        put_raw(&store, ValueType::Serde, &bytes);
        let (_, allocated) = largest_allocation(|| {
            let _ = store.get_serde::<Everything>(b"k");
            let _ = store.get_serde::<Shape>(b"k");
            let _ = store.get_serde::<Vec<(String, Vec<u64>)>>(b"k");
        });
        assert!(allocated < 64 << 10, "{allocated} bytes allocated for {bytes:02x?}");
    }
}
