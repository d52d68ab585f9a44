//! The vocabulary every layer shares: sizes, positions, log sequence numbers, value types.
//!
//! Callers: every module. Imports nothing from the crate.

/// Log sequence number: the place of one operation in the order of all operations, from 1, without
/// gaps. 0 means "before the first operation".
pub type Lsn = u64;

/// Longest key, in bytes: a key's length is a `u16` on disk.
pub const KEY_SIZE_MAX: usize = 65_535;

/// Longest value, in bytes (1 GiB).
pub const VALUE_SIZE_MAX: usize = 1 << 30;

/// Bytes of log address space, and so of live log, that one store can hold: a leaf of the index keeps
/// a position in 40 bits, in units of 8 bytes.
pub const LOG_SIZE_MAX: u64 = 1 << 43;

/// Where a record starts in the log's address space: a multiple of 8 below [`LOG_SIZE_MAX`].
///
/// The address space is memory-only. It is made of regions that segments are placed into when they are
/// opened; it never appears in a file, so a retired segment's regions can be given out again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(u64);

impl Position {
    /// The position at `address`, or `None` where it is out of range or not a multiple of 8.
    pub const fn new(address: u64) -> Option<Position> {
        if address < LOG_SIZE_MAX && address.is_multiple_of(8) { Some(Position(address)) } else { None }
    }

    /// The byte address.
    pub const fn address(self) -> u64 {
        self.0
    }

    /// The address in units of 8 bytes: 40 bits, as a leaf of the index keeps it.
    pub const fn to_units(self) -> u64 {
        self.0 >> 3
    }

    /// The position of a 40-bit unit number; higher bits are ignored.
    pub const fn from_units(units: u64) -> Position {
        Position((units & ((1 << 40) - 1)) << 3)
    }
}

/// What a value is. The number is stored in the record and is the C constant `TSTORE_TYPE_...`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ValueType {
    /// Bytes without further meaning: what `put` writes.
    Bytes = 0,
    /// Valid UTF-8.
    String = 1,
    /// 8 bytes, little-endian, two's complement.
    I64 = 2,
    /// 8 bytes, little-endian.
    U64 = 3,
    /// 8 bytes, little-endian, IEEE 754.
    F64 = 4,
    /// One byte, 0 or 1.
    Bool = 5,
    /// A `serde` type in `bincode` 2 standard encoding: written and read through the Rust API.
    Serde = 6,
}

impl ValueType {
    /// The type with this number.
    pub const fn from_number(number: u8) -> Option<ValueType> {
        Some(match number {
            0 => ValueType::Bytes,
            1 => ValueType::String,
            2 => ValueType::I64,
            3 => ValueType::U64,
            4 => ValueType::F64,
            5 => ValueType::Bool,
            6 => ValueType::Serde,
            _ => return None,
        })
    }

    /// The name used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            ValueType::Bytes => "bytes",
            ValueType::String => "string",
            ValueType::I64 => "i64",
            ValueType::U64 => "u64",
            ValueType::F64 => "f64",
            ValueType::Bool => "bool",
            ValueType::Serde => "serde",
        }
    }
}
