//! Comparing bytes of keys eight and sixteen at a time.
//!
//! Callers: the other files of `index`.
#![allow(unsafe_code)]

/// Bit i tells whether byte i of `low`, and bit 8 + i whether byte i of `high`, is `byte`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn equal_bytes(low: u64, high: u64, byte: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: SSE2 is part of every x86-64 processor.
    let equal = unsafe {
        let words = _mm_set_epi64x(high.cast_signed(), low.cast_signed());
        _mm_movemask_epi8(_mm_cmpeq_epi8(words, _mm_set1_epi8(byte.cast_signed())))
    };
    u64::from(equal.cast_unsigned())
}

/// Bit i tells whether byte i of `low`, and bit 8 + i whether byte i of `high`, is `byte`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn equal_bytes(low: u64, high: u64, byte: u8) -> u64 {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let of_word = |word: u64| {
        let difference = word ^ (u64::from(byte) * 0x0101_0101_0101_0101);
        let zeros = !(((difference & LOW_SEVEN) + LOW_SEVEN) | difference | LOW_SEVEN);
        // One bit in each byte's top place, gathered into the top byte.
        (zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    of_word(low) | of_word(high) << 8
}

/// The first eight bytes of `bytes` as a little-endian word, zeros where it is shorter.
#[inline]
pub(super) fn first_bytes(bytes: &[u8]) -> u64 {
    if let Some(chunk) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*chunk);
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// How many bytes `a` and `b` have in common at the start.
pub(super) fn common_length(a: &[u8], b: &[u8]) -> usize {
    let (a_words, _) = a.as_chunks::<8>();
    let (b_words, _) = b.as_chunks::<8>();
    let equal = a_words.iter().zip(b_words).take_while(|(a, b)| a == b).count() * 8;
    let rest = a.iter().skip(equal).zip(b.iter().skip(equal));
    equal + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_finds_each_place_and_nothing_else() {
        for byte in [0u8, 1, 0x7f, 0x80, 0xff, b'a'] {
            for bits in 0..1u64 << 16 {
                let value = |i: u64| if bits >> i & 1 == 1 { byte } else { byte ^ (1 << (i % 8)) };
                let word = |from: u64| (0..8).fold(0, |word, i| word | u64::from(value(from + i)) << (8 * i));
                assert_eq!(equal_bytes(word(0), word(8), byte), bits);
            }
        }
    }

    #[test]
    fn first_bytes_and_common_length_agree_with_a_byte_by_byte_look() {
        let bytes: Vec<u8> = (1..40).collect();
        for length in 0..bytes.len() {
            let mut padded = bytes[..length.min(8)].to_vec();
            padded.resize(8, 0);
            assert_eq!(first_bytes(&bytes[..length]).to_le_bytes()[..], padded);
            for at in 0..=length {
                let mut other = bytes.clone();
                other[at] = 0;
                assert_eq!(common_length(&bytes[..length], &other), at);
                assert_eq!(common_length(&other, &bytes[..length]), at);
            }
        }
    }
}
