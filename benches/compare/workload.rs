//! The records that every contender stores, and the way rates are taken.

use std::hint::black_box;
use std::time::Instant;

/// Bytes of a key and of a value.
pub const KEY_SIZE: usize = 16;
pub const VALUE_SIZE: usize = 100;

/// A bijection of 64-bit numbers that looks random (the finalizer of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of record `number`: 16 random-looking bytes, different for different numbers.
pub fn key(number: u64) -> [u8; KEY_SIZE] {
    (u128::from(mix(number)) << 64 | u128::from(mix(!number))).to_be_bytes()
}

/// As [`key`], but in the order of the numbers.
pub fn key_in_order(number: u64) -> [u8; KEY_SIZE] {
    (u128::from(number) << 64 | u128::from(mix(number))).to_be_bytes()
}

/// Makes values that differ in their first 8 bytes.
pub struct Values([u8; VALUE_SIZE]);

impl Values {
    pub fn new() -> Values {
        let mut bytes = [0; VALUE_SIZE];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = mix(place as u64) as u8;
        }
        Values(bytes)
    }

    pub fn of(&mut self, number: u64) -> &[u8] {
        if let Some(first) = self.0.first_chunk_mut() {
            *first = number.to_le_bytes();
        }
        &self.0
    }
}

/// Touches every byte.
pub fn touch(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    let rest = words.remainder().iter().fold(0, |sum, byte| sum + u64::from(*byte));
    let sum = words
        .filter_map(|word| word.first_chunk())
        .fold(rest, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    black_box(sum)
}

/// The numbers below `count` in random order.
pub fn shuffled(count: u64, seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    for place in (1..numbers.len()).rev() {
        numbers.swap(place, (mix(seed ^ place as u64) % (place as u64 + 1)) as usize);
    }
    numbers
}

/// How many a second: `count` by the time that `f` takes.
pub fn rate<E>(count: u64, f: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    f()?;
    Ok(count as f64 / start.elapsed().as_secs_f64().max(1e-9))
}

/// The middle one; 0 where there is none.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
