//! Typed values: what the bytes of a record mean, and the store's calls that read and write them.
//!
//! 1. The type is kept in the record. Reading a value as another type is [`Error::WrongType`], never a
//!    conversion.
//! 2. Encodings are fixed: integers and floats in 8 little-endian bytes, a bool in one byte 0 or 1, a
//!    string as its UTF-8 bytes, a `serde` type in bincode 2 standard encoding.
//! 3. Decoding is strict: another length, invalid UTF-8, a bool of 2 or a byte left over is
//!    [`Error::Decode`]. No bytes, however hostile, make it allocate or recurse without bound.
//! 4. bincode is named in this module only.
//!
//! Callers: `import`, `ffi` (for [`Scalar`]), and Rust users.

mod limits;

use std::cell::Cell;
use std::marker::PhantomData;

use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::store::{Store, WriteOptions};
use crate::types::{VALUE_SIZE_MAX, ValueType};
use limits::{Limited, Limits, Target};

/// A value of one of the types that C knows too. Strings and bytes are borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Bytes without further meaning.
    Bytes(&'a [u8]),
    /// Valid UTF-8.
    String(&'a str),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating-point number; every bit pattern is kept, NaN payloads included.
    F64(f64),
    /// True or false.
    Bool(bool),
}

impl<'a> Scalar<'a> {
    /// What the record will say the value is.
    pub const fn value_type(&self) -> ValueType {
        match self {
            Scalar::Bytes(_) => ValueType::Bytes,
            Scalar::String(_) => ValueType::String,
            Scalar::I64(_) => ValueType::I64,
            Scalar::U64(_) => ValueType::U64,
            Scalar::F64(_) => ValueType::F64,
            Scalar::Bool(_) => ValueType::Bool,
        }
    }

    /// The value's bytes: its own where it has any, else written to `scratch`.
    pub fn encode<'b>(self, scratch: &'b mut [u8; 8]) -> &'b [u8]
    where
        'a: 'b,
    {
        *scratch = match self {
            Scalar::Bytes(bytes) => return bytes,
            Scalar::String(string) => return string.as_bytes(),
            Scalar::I64(number) => number.to_le_bytes(),
            Scalar::U64(number) => number.to_le_bytes(),
            Scalar::F64(number) => number.to_bits().to_le_bytes(),
            Scalar::Bool(flag) => u64::from(flag).to_le_bytes(),
        };
        let size = if matches!(self, Scalar::Bool(_)) { 1 } else { scratch.len() };
        scratch.get(..size).unwrap_or_default()
    }

    /// The value that `bytes` are, where they are of type `found`. A [`ValueType::Serde`] value is
    /// [`Error::Decode`]: only [`Store::get_serde`] knows what it is.
    pub fn decode(found: ValueType, bytes: &'a [u8]) -> Result<Scalar<'a>> {
        Ok(match found {
            ValueType::Bytes => Scalar::Bytes(bytes),
            ValueType::String => Scalar::String(std::str::from_utf8(bytes).map_err(|error| {
                Error::Decode(format!("a string is not valid UTF-8 at byte {}", error.valid_up_to()))
            })?),
            ValueType::I64 => Scalar::I64(i64::from_le_bytes(sized(found, bytes)?)),
            ValueType::U64 => Scalar::U64(u64::from_le_bytes(sized(found, bytes)?)),
            ValueType::F64 => Scalar::F64(f64::from_bits(u64::from_le_bytes(sized(found, bytes)?))),
            ValueType::Bool => match sized(found, bytes)? {
                [0] => Scalar::Bool(false),
                [1] => Scalar::Bool(true),
                [other] => return Err(Error::Decode(format!("a bool is {other} instead of 0 or 1"))),
            },
            ValueType::Serde => {
                return Err(Error::Decode("a serde value can be read through the Rust API only".to_string()));
            }
        })
    }

    /// As [`Scalar::decode`], where the value must be of type `wanted`: else [`Error::WrongType`].
    pub fn decode_as(wanted: ValueType, found: ValueType, bytes: &'a [u8]) -> Result<Scalar<'a>> {
        check_type(wanted, found)?;
        Scalar::decode(found, bytes)
    }
}

fn check_type(wanted: ValueType, found: ValueType) -> Result<()> {
    if wanted == found { Ok(()) } else { Err(Error::WrongType { found, wanted }) }
}

fn sized<const SIZE: usize>(value_type: ValueType, bytes: &[u8]) -> Result<[u8; SIZE]> {
    <[u8; SIZE]>::try_from(bytes).map_err(|_| {
        Error::Decode(format!("{} takes {SIZE} byte(s), the value has {}", value_type.name(), bytes.len()))
    })
}

/// Encodes a `serde` type: the bytes of a [`ValueType::Serde`] value.
fn encode_serde<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let elements = Cell::new(0);
    let limits = Limits::for_encoding(&elements);
    let mut buffer = Buffer::default();
    let config = bincode::config::standard();
    let encoded = bincode::serde::encode_into_writer(Limited::new(value, limits), &mut buffer, config);
    if buffer.out_of_memory {
        return Err(Error::NoMemory("encoding a value"));
    }
    let refused = |reason: String| Error::InvalidArgument(format!("the value cannot be encoded: {reason}"));
    encoded.map_err(|error| refused(encode_reason(error)))?;
    if buffer.size > VALUE_SIZE_MAX {
        return Err(Error::ValueTooLarge { size: buffer.size });
    }
    limits.check_encoded(buffer.size).map_err(|reason| refused(reason.to_string()))?;
    Ok(buffer.bytes)
}

/// Decodes a [`ValueType::Serde`] value; all of `bytes` must belong to it.
fn decode_serde<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let elements = Cell::new(0);
    let target = Limited::new(Target::<T>(PhantomData), Limits::for_decoding(bytes.len(), &elements));
    let config = bincode::config::standard();
    let (value, used) = bincode::serde::seed_decode_from_slice(target, bytes, config)
        .map_err(|error| Error::Decode(decode_reason(error)))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        left => Err(Error::Decode(format!("{left} byte(s) are left over: it was written as another type"))),
    }
}

fn encode_reason(error: EncodeError) -> String {
    match error {
        EncodeError::Other(reason) => reason.to_string(),
        EncodeError::OtherString(reason) => reason,
        other => other.to_string(),
    }
}

fn decode_reason(error: DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { .. } => {
            "the bytes end before the value does: it was written as another type".to_string()
        }
        DecodeError::Other(reason) => reason.to_string(),
        DecodeError::OtherString(reason) => reason,
        other => other.to_string(),
    }
}

/// Where bincode writes to. Bytes over the limit are counted, so that the error can name the size.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    size: usize,
    out_of_memory: bool,
}

impl bincode::enc::write::Writer for &mut Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), EncodeError> {
        self.size = self.size.saturating_add(bytes.len());
        if self.size > VALUE_SIZE_MAX {
            self.bytes = Vec::new();
            return Ok(());
        }
        self.bytes.try_reserve(bytes.len()).map_err(|_| {
            self.out_of_memory = true;
            EncodeError::Other("out of memory")
        })?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Typed values. A `get_` call answers `None` where the key is absent, [`Error::WrongType`] where the
/// value is of another type, and [`Error::Decode`] where its bytes are not what its type says. All of
/// them may be called from any thread.
impl Store {
    /// Stores a value with its type.
    pub fn put_scalar(&self, key: &[u8], value: Scalar<'_>) -> Result<()> {
        let write = WriteOptions { value_type: value.value_type(), ..WriteOptions::default() };
        self.put_with(key, value.encode(&mut [0; 8]), write)
    }

    /// Stores a string.
    pub fn put_string(&self, key: &[u8], value: &str) -> Result<()> {
        self.put_scalar(key, Scalar::String(value))
    }

    /// Stores a signed integer.
    pub fn put_i64(&self, key: &[u8], value: i64) -> Result<()> {
        self.put_scalar(key, Scalar::I64(value))
    }

    /// Stores an unsigned integer.
    pub fn put_u64(&self, key: &[u8], value: u64) -> Result<()> {
        self.put_scalar(key, Scalar::U64(value))
    }

    /// Stores a floating-point number; its bits are kept as they are.
    pub fn put_f64(&self, key: &[u8], value: f64) -> Result<()> {
        self.put_scalar(key, Scalar::F64(value))
    }

    /// Stores a bool.
    pub fn put_bool(&self, key: &[u8], value: bool) -> Result<()> {
        self.put_scalar(key, Scalar::Bool(value))
    }

    /// Stores any `serde` type, in bincode 2 standard encoding.
    ///
    /// The encoding names no fields and no types: read it back as the type it was written as. Types that
    /// need a self-describing format (`#[serde(flatten)]`, `#[serde(untagged)]`, `serde_json::Value`) are
    /// refused here or by [`Store::get_serde`]. More than 128 levels of nesting, or more than 65,536
    /// elements that take no bytes, are [`Error::InvalidArgument`].
    pub fn put_serde<T: Serialize + ?Sized>(&self, key: &[u8], value: &T) -> Result<()> {
        let write = WriteOptions { value_type: ValueType::Serde, ..WriteOptions::default() };
        self.put_with(key, &encode_serde(value)?, write)
    }

    /// The string under the key.
    pub fn get_string(&self, key: &[u8]) -> Result<Option<String>> {
        self.get_scalar(key, ValueType::String, |value| match value {
            Scalar::String(string) => {
                let mut copy = String::new();
                copy.try_reserve_exact(string.len()).map_err(|_| Error::NoMemory("reading a string"))?;
                copy.push_str(string);
                Ok(copy)
            }
            _ => Err(OTHER_TYPE),
        })
    }

    /// The signed integer under the key.
    pub fn get_i64(&self, key: &[u8]) -> Result<Option<i64>> {
        self.get_scalar(key, ValueType::I64, |value| match value {
            Scalar::I64(number) => Ok(number),
            _ => Err(OTHER_TYPE),
        })
    }

    /// The unsigned integer under the key.
    pub fn get_u64(&self, key: &[u8]) -> Result<Option<u64>> {
        self.get_scalar(key, ValueType::U64, |value| match value {
            Scalar::U64(number) => Ok(number),
            _ => Err(OTHER_TYPE),
        })
    }

    /// The floating-point number under the key.
    pub fn get_f64(&self, key: &[u8]) -> Result<Option<f64>> {
        self.get_scalar(key, ValueType::F64, |value| match value {
            Scalar::F64(number) => Ok(number),
            _ => Err(OTHER_TYPE),
        })
    }

    /// The bool under the key.
    pub fn get_bool(&self, key: &[u8]) -> Result<Option<bool>> {
        self.get_scalar(key, ValueType::Bool, |value| match value {
            Scalar::Bool(flag) => Ok(flag),
            _ => Err(OTHER_TYPE),
        })
    }

    /// The value that [`Store::put_serde`] stored under the key, as the type it was written as.
    pub fn get_serde<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        // Pinned, not read in place: the caller's own `Deserialize` code runs here and may use the store.
        let Some(value) = self.get(key)? else { return Ok(None) };
        check_type(ValueType::Serde, value.value_type())?;
        decode_serde(&value).map(Some)
    }

    fn get_scalar<R>(
        &self,
        key: &[u8],
        wanted: ValueType,
        take: impl FnOnce(Scalar<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        self.read(key, |found, bytes| take(Scalar::decode_as(wanted, found, bytes)?))?.transpose()
    }
}

/// Not reachable: `decode_as` has compared the types.
const OTHER_TYPE: Error = Error::Internal("a value was decoded as another type than it was checked for");
