//! Bounds on what encoding and decoding a `serde` type may cost, laid around bincode's own serializer.
//!
//! bincode bounds neither nesting nor the number of elements: a few hostile bytes can announce 2^60
//! bytes of string (allocated at once), 2^60 elements that take no bytes (counted one by one), or
//! a nesting that overflows the stack. bincode's own limit is a compile-time constant that `serde` types
//! mostly pass by. So:
//!
//! 1. A string or byte buffer is borrowed from the input before it is copied: never more than there is.
//! 2. Compound values (option, newtype, tuple, struct, enum, sequence, map) nest at most [`DEPTH_MAX`]
//!    deep.
//! 3. The elements of all sequences and maps together are at most one a byte of the value plus
//!    [`EMPTY_ELEMENTS_MAX`], the allowance for elements without bytes; announced sizes are passed on
//!    only up to the bytes of the value.
//! 4. Writing checks 2 and 3 by the same count as reading: what was stored can be read back.
//!
//! Memory while decoding is therefore at most proportional to the value's bytes, the factor being the
//! size of the caller's own element types. Callers: `value`.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Visitor};
use serde::ser::{self, Serialize, Serializer};

/// Deepest nesting of compound values.
pub(super) const DEPTH_MAX: u32 = 128;

/// How many elements that take no bytes, such as `()`, one value may hold.
pub(super) const EMPTY_ELEMENTS_MAX: u64 = 65_536;

const TOO_DEEP: &str = "it nests deeper than 128 levels";
const TOO_MANY: &str = "it has more elements than its bytes allow";

/// The limits at one level of nesting.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    depth: u32,
    size_hint_max: usize,
    elements: &'a Cell<u64>,
}

impl<'a> Limits<'a> {
    /// Limits for decoding `size` bytes; `elements` is where the elements still allowed are counted.
    pub(super) fn for_decoding(size: usize, elements: &'a Cell<u64>) -> Limits<'a> {
        elements.set((size as u64).saturating_add(EMPTY_ELEMENTS_MAX));
        Limits { depth: 0, size_hint_max: size, elements }
    }

    /// Limits for encoding. The size is known afterwards only: `elements` then holds what is left of
    /// `u64::MAX`, to be checked with [`Limits::check_encoded`].
    pub(super) fn for_encoding(elements: &'a Cell<u64>) -> Limits<'a> {
        elements.set(u64::MAX);
        Limits { depth: 0, size_hint_max: usize::MAX, elements }
    }

    /// Whether a value of `size` bytes, just encoded, can be decoded again.
    pub(super) fn check_encoded(self, size: usize) -> Result<(), &'static str> {
        let elements = u64::MAX - self.elements.get();
        if elements > (size as u64).saturating_add(EMPTY_ELEMENTS_MAX) { Err(TOO_MANY) } else { Ok(()) }
    }

    fn deeper(self) -> Option<Limits<'a>> {
        (self.depth < DEPTH_MAX).then_some(Limits { depth: self.depth + 1, ..self })
    }

    fn take_element(self) -> bool {
        let left = self.elements.get().checked_sub(1);
        left.inspect(|left| self.elements.set(*left)).is_some()
    }
}

/// Something of serde's together with the limits that hold inside it.
pub(super) struct Limited<'a, T> {
    inner: T,
    limits: Limits<'a>,
    /// Whether each element counts: true for sequences and maps, false for what the type itself fixes.
    counted: bool,
}

impl<'a, T> Limited<'a, T> {
    /// `inner` under `limits`.
    pub(super) fn new(inner: T, limits: Limits<'a>) -> Limited<'a, T> {
        Limited { inner, limits, counted: false }
    }

    fn counted(inner: T, limits: Limits<'a>) -> Limited<'a, T> {
        Limited { inner, limits, counted: true }
    }

    fn deeper_de<E: de::Error>(&self) -> Result<Limits<'a>, E> {
        self.limits.deeper().ok_or_else(|| E::custom(TOO_DEEP))
    }

    fn deeper_ser<E: ser::Error>(&self) -> Result<Limits<'a>, E> {
        self.limits.deeper().ok_or_else(|| E::custom(TOO_DEEP))
    }

    fn count_ser<E: ser::Error>(&self) -> Result<(), E> {
        if self.counted && !self.limits.take_element() { Err(E::custom(TOO_MANY)) } else { Ok(()) }
    }
}

// Decoding: each compound value is visited through a visitor that hands on the limits one level deeper.

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Limited<'_, T> {
    type Value = T::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.inner.deserialize(Limited::new(deserializer, self.limits))
    }
}

macro_rules! forward_deserialize {
    ($($method:ident => $inner:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$inner(visitor)
        })*
    };
}

macro_rules! deserialize_compound {
    ($($method:ident($($arg:ident: $type:ty),*) $wrap:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let limits = self.deeper_de()?;
            self.inner.$method($($arg,)* Limited::$wrap(visitor, limits))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Limited<'_, D> {
    type Error = D::Error;

    forward_deserialize! {
        deserialize_any => deserialize_any, deserialize_bool => deserialize_bool,
        deserialize_i8 => deserialize_i8, deserialize_i16 => deserialize_i16,
        deserialize_i32 => deserialize_i32, deserialize_i64 => deserialize_i64,
        deserialize_i128 => deserialize_i128, deserialize_u8 => deserialize_u8,
        deserialize_u16 => deserialize_u16, deserialize_u32 => deserialize_u32,
        deserialize_u64 => deserialize_u64, deserialize_u128 => deserialize_u128,
        deserialize_f32 => deserialize_f32, deserialize_f64 => deserialize_f64,
        deserialize_char => deserialize_char, deserialize_unit => deserialize_unit,
        deserialize_identifier => deserialize_identifier,
        deserialize_ignored_any => deserialize_ignored_any,
        // Borrowed, not owned: bincode allocates an owned one before it knows that the bytes are there.
        deserialize_str => deserialize_str, deserialize_string => deserialize_str,
        deserialize_bytes => deserialize_bytes, deserialize_byte_buf => deserialize_bytes,
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    deserialize_compound! {
        deserialize_option() new,
        deserialize_newtype_struct(name: &'static str) new,
        deserialize_seq() counted,
        deserialize_tuple(len: usize) new,
        deserialize_tuple_struct(name: &'static str, len: usize) new,
        deserialize_map() counted,
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) new,
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) new,
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Limited<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }
    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Limited::new(deserializer, self.limits))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Limited::new(deserializer, self.limits))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Limited { inner: access, limits: self.limits, counted: self.counted })
    }
    fn visit_map<A: de::MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Limited { inner: access, limits: self.limits, counted: self.counted })
    }
    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Limited::new(access, self.limits))
    }
}

impl<T> Limited<'_, T> {
    /// Counts one element, where elements count.
    fn count_de<E: de::Error>(&self) -> Result<(), E> {
        if self.counted && !self.limits.take_element() { Err(E::custom(TOO_MANY)) } else { Ok(()) }
    }

    /// What a container may reserve ahead: never more elements than the value has bytes.
    fn bounded_hint(&self, hint: Option<usize>) -> Option<usize> {
        hint.map(|hint| if self.counted { hint.min(self.limits.size_hint_max) } else { hint })
    }
}

impl<'de, A: de::SeqAccess<'de>> de::SeqAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let element = self.inner.next_element_seed(Limited::new(seed, self.limits))?;
        if element.is_some() {
            self.count_de()?;
        }
        Ok(element)
    }
    fn size_hint(&self) -> Option<usize> {
        self.bounded_hint(self.inner.size_hint())
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let key = self.inner.next_key_seed(Limited::new(seed, self.limits))?;
        if key.is_some() {
            self.count_de()?;
        }
        Ok(key)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Limited::new(seed, self.limits))
    }
    fn size_hint(&self) -> Option<usize> {
        self.bounded_hint(self.inner.size_hint())
    }
}

impl<'de, 'a, A: de::EnumAccess<'de>> de::EnumAccess<'de> for Limited<'a, A> {
    type Error = A::Error;
    type Variant = Limited<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Limited::new(variant, self.limits)))
    }
}

impl<'de, A: de::VariantAccess<'de>> de::VariantAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Limited::new(seed, self.limits))
    }
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Limited::new(visitor, self.limits))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Limited::new(visitor, self.limits))
    }
}

/// A target type as a seed, so that decoding starts under the limits.
pub(super) struct Target<T>(pub(super) std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Target<T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

// Encoding: the same levels and the same elements counted.

impl<T: Serialize + ?Sized> Serialize for Limited<'_, &T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Limited::new(serializer, self.limits))
    }
}

macro_rules! forward_serialize {
    ($($method:ident($($arg:ident: $type:ty),*),)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($arg),*)
        })*
    };
}

macro_rules! serialize_compound {
    ($($method:ident($($arg:ident: $type:ty),*) -> $compound:ident $wrap:ident,)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<Self::$compound, S::Error> {
            let limits = self.deeper_ser()?;
            Ok(Limited::$wrap(self.inner.$method($($arg),*)?, limits))
        })*
    };
}

impl<'a, S: Serializer> Serializer for Limited<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Limited<'a, S::SerializeSeq>;
    type SerializeTuple = Limited<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Limited<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Limited<'a, S::SerializeTupleVariant>;
    type SerializeMap = Limited<'a, S::SerializeMap>;
    type SerializeStruct = Limited<'a, S::SerializeStruct>;
    type SerializeStructVariant = Limited<'a, S::SerializeStructVariant>;

    forward_serialize! {
        serialize_bool(v: bool), serialize_i8(v: i8), serialize_i16(v: i16), serialize_i32(v: i32),
        serialize_i64(v: i64), serialize_i128(v: i128), serialize_u8(v: u8), serialize_u16(v: u16),
        serialize_u32(v: u32), serialize_u64(v: u64), serialize_u128(v: u128), serialize_f32(v: f32),
        serialize_f64(v: f64), serialize_char(v: char), serialize_str(v: &str), serialize_bytes(v: &[u8]),
        serialize_unit(), serialize_unit_struct(name: &'static str),
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.deeper_ser()?;
        self.inner.serialize_none()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let limits = self.deeper_ser()?;
        self.inner.serialize_some(&Limited::new(value, limits))
    }
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.deeper_ser()?;
        self.inner.serialize_unit_variant(name, index, variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let limits = self.deeper_ser()?;
        self.inner.serialize_newtype_struct(name, &Limited::new(value, limits))
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let limits = self.deeper_ser()?;
        self.inner.serialize_newtype_variant(name, index, variant, &Limited::new(value, limits))
    }

    serialize_compound! {
        serialize_seq(len: Option<usize>) -> SerializeSeq counted,
        serialize_tuple(len: usize) -> SerializeTuple new,
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct new,
        serialize_map(len: Option<usize>) -> SerializeMap counted,
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct new,
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let limits = self.deeper_ser()?;
        Ok(Limited::new(self.inner.serialize_tuple_variant(name, index, variant, len)?, limits))
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let limits = self.deeper_ser()?;
        Ok(Limited::new(self.inner.serialize_struct_variant(name, index, variant, len)?, limits))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! serialize_parts {
    ($($trait:ident: $method:ident($($name:ident)?),)*) => {
        $(impl<C: ser::$trait> ser::$trait for Limited<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), C::Error> {
                self.count_ser()?;
                self.inner.$method($($name,)? &Limited::new(value, self.limits))
            }
            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

serialize_parts! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(name),
    SerializeStructVariant: serialize_field(name),
}

impl<C: ser::SerializeMap> ser::SerializeMap for Limited<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.count_ser()?;
        self.inner.serialize_key(&Limited::new(key, self.limits))
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&Limited::new(value, self.limits))
    }
    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
