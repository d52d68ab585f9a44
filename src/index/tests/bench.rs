//! Figures of the index alone, over records in plain memory. Run with
//! `cargo test --release --lib index::tests::bench -- --ignored --nocapture --test-threads 1`.

use std::hint::black_box;
use std::ops::Bound;

use super::Random;
use crate::error::{Error, Result};
use crate::index::{Direction, Found, Index, KeySource, LOOK_AHEAD, Pin, Writer};
use crate::types::{Lsn, Position};

const HEADER: usize = 24;
const KEY: usize = 16;
const VALUE: usize = 100;
/// Bytes of a record, padded to 8.
const RECORD: usize = (HEADER + KEY + VALUE).next_multiple_of(8);

/// Records of a 24-byte header, a 16-byte key and a 100-byte value, one after another.
struct Log(Vec<u8>);

impl Log {
    /// Room for `records`, in large pages as the store's log has them.
    #[allow(unsafe_code)]
    fn with_room_for(records: usize) -> Log {
        let bytes: Vec<u8> = Vec::with_capacity(records * RECORD);
        let start = (bytes.as_ptr() as usize).next_multiple_of(2 << 20);
        let end = bytes.as_ptr() as usize + bytes.capacity();
        // SAFETY: advice on memory that belongs to the vector changes nothing of what it holds.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
        Log(bytes)
    }

    fn append(&mut self, key: &[u8; KEY]) -> Position {
        let position = Position::new(self.0.len() as u64).unwrap();
        self.0.extend_from_slice(&[1; HEADER]);
        self.0.extend_from_slice(key);
        self.0.resize(position.address() as usize + RECORD, 2);
        position
    }

    fn record(&self, position: Position) -> &[u8] {
        &self.0[position.address() as usize..][..RECORD]
    }
}

impl KeySource for Log {
    #[inline]
    fn key_at(&self, position: Position) -> Result<&[u8]> {
        let start = position.address() as usize + HEADER;
        self.0.get(start..start + KEY).ok_or(Error::Internal("no such record"))
    }

    fn lsn_at(&self, position: Position) -> Result<Lsn> {
        Ok(position.address())
    }

    #[inline]
    fn prefetch(&self, position: Position) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..3 {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = self.0.as_ptr().wrapping_add(position.address() as usize + 64 * line);
            #[allow(unsafe_code)]
            // SAFETY: a prefetch has no effect on memory, whatever the address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(address.cast())
            };
        }
    }
}

fn touch(record: &[u8]) -> u64 {
    record.chunks_exact(8).fold(0, |sum, word| sum ^ u64::from_le_bytes(word.try_into().unwrap()))
}

fn get(pin: &Pin<'_>, log: &Log, key: &[u8; KEY]) -> Option<u64> {
    match pin.find(key) {
        Found::One(position) => {
            log.prefetch(position);
            let record = log.record(position);
            (record[HEADER..HEADER + KEY] == *key).then(|| touch(record))
        }
        _ => None,
    }
}

/// Nanoseconds of processor time of this thread: other processes' share does not count.
#[allow(unsafe_code)]
fn thread_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Runs `work`, which does `count` operations, in slices, and prints the best and the median slice.
fn report(name: &str, keys: &[[u8; KEY]], mut work: impl FnMut(&[[u8; KEY]])) {
    let mut slices: Vec<f64> = keys
        .chunks(50_000)
        .map(|slice| {
            let start = thread_time();
            work(slice);
            (thread_time() - start) / slice.len() as f64
        })
        .collect();
    slices.sort_by(f64::total_cmp);
    println!("  {name:<28} best {:7.1}  median {:7.1} ns", slices[0], slices[slices.len() / 2]);
}

fn shuffled(keys: &[[u8; KEY]], seed: u64) -> Vec<[u8; KEY]> {
    let mut random = Random::new(seed);
    let mut keys = keys.to_vec();
    for i in (1..keys.len()).rev() {
        keys.swap(i, random.below(i as u64 + 1) as usize);
    }
    keys
}

fn run(name: &str, keys: &[[u8; KEY]]) {
    let mut log = Log::with_room_for(keys.len() * 2 + 1);
    let (index, mut writer): (Index, Writer) = Index::new().unwrap();
    println!("{name}: {} keys", keys.len());
    let positions: Vec<Position> = keys.iter().map(|key| log.append(key)).collect();
    let mut next = positions.iter();
    report("insert", keys, |slice| {
        for key in slice {
            writer.insert(key, *next.next().unwrap(), &log).unwrap();
        }
    });
    writer.reclaim();
    let memory = index.memory();
    println!(
        "  live {:.1} bytes a key, committed {:.1}",
        memory.live_bytes as f64 / keys.len() as f64,
        memory.committed_bytes as f64 / keys.len() as f64
    );
    let wanted = shuffled(keys, 3);
    let pin = index.pin().unwrap();
    report("get", &wanted, |slice| {
        for key in slice {
            black_box(get(&pin, &log, key).unwrap());
        }
    });
    drop(pin);
    report("get, a pin each", &wanted, |slice| {
        for key in slice {
            let pin = index.pin().unwrap();
            black_box(get(&pin, &log, key).unwrap());
        }
    });
    let pin = index.pin().unwrap();
    let missing: Vec<[u8; KEY]> = wanted
        .iter()
        .map(|key| {
            let mut key = *key;
            key[KEY - 1] ^= 0x80;
            key
        })
        .collect();
    report("get of an absent key", &missing, |slice| {
        for key in slice {
            black_box(pin.find(key));
        }
    });
    report("find_many of 16", &wanted, |slice| {
        for group in slice.chunks(16) {
            let mut found = [None; 16];
            pin.find_many(group, &log, |index, result| {
                if let Found::One(position) = result {
                    found[index] = Some(position);
                }
            });
            for (position, key) in found.iter().zip(group) {
                let record = log.record(position.unwrap());
                assert!(record[HEADER..HEADER + KEY] == *key);
                black_box(touch(record));
            }
        }
    });
    let mut out = Vec::new();
    let mut scan = |start: &[u8; KEY], direction, limit| {
        out.clear();
        pin.range(Bound::Included(start), direction, || Lsn::MAX, limit, &mut out, &log).unwrap();
        for (index, position) in out.iter().enumerate() {
            if let Some(ahead) = out.get(index + LOOK_AHEAD) {
                log.prefetch(*ahead);
            }
            black_box(touch(log.record(*position)));
        }
        out.last().map(|position| *log.record(*position)[HEADER..].first_chunk::<KEY>().unwrap())
    };
    report("seek", &wanted[..100_000], |slice| {
        for key in slice {
            scan(key, Direction::Forward, 1);
        }
    });
    report("seek and 50", &wanted[..100_000], |slice| {
        for key in slice {
            scan(key, Direction::Forward, 50);
        }
    });
    for (name, direction, start) in
        [("scan", Direction::Forward, [0; KEY]), ("scan backward", Direction::Backward, [0xff; KEY])]
    {
        let mut at = start;
        report(name, keys, |slice| {
            for _ in 0..slice.len() / 250 {
                at = scan(&at, direction, 251).unwrap();
            }
        });
    }
    drop(pin);
    let again = shuffled(keys, 4);
    let positions: Vec<Position> = again.iter().map(|key| log.append(key)).collect();
    let mut next = positions.iter();
    report("overwrite", &again, |slice| {
        for key in slice {
            writer.insert(key, *next.next().unwrap(), &log).unwrap().unwrap();
        }
    });
    report("remove", &shuffled(keys, 5), |slice| {
        for key in slice {
            writer.remove(key, &log).unwrap().unwrap();
        }
    });
    writer.reclaim();
    println!("  live after removing all {} bytes", index.memory().live_bytes);
}

#[test]
#[ignore = "prints figures, proves nothing"]
fn random_keys() {
    let mut random = Random::new(1);
    let keys: Vec<[u8; KEY]> = (0..1_000_000)
        .map(|_| [random.next().to_le_bytes(), random.next().to_le_bytes()].concat().try_into().unwrap())
        .collect();
    run("random", &keys);
}

#[test]
#[ignore = "prints figures, proves nothing"]
fn decimal_keys() {
    let keys: Vec<[u8; KEY]> =
        (0..1_000_000).map(|i| format!("key:{i:012}").into_bytes().try_into().unwrap()).collect();
    run("decimal in order", &keys);
    run("decimal in random order", &shuffled(&keys, 9));
}
