//! File contents as a sparse set of shared pages: cheap to copy, cheap to compare by hash.
//!
//! Invariants:
//! 1. A page that is all zeros is absent, so equal contents have equal pages and equal hashes.
//! 2. `hash` is the combination of all pages' hashes, kept up to date by every change.
//!
//! Callers: `sim`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Bytes in a page.
pub(super) const PAGE_SIZE: usize = 4096;
const PAGE: u64 = PAGE_SIZE as u64;

/// One page and the hash of its bytes.
#[derive(Clone)]
pub(super) struct Page {
    bytes: [u8; PAGE_SIZE],
    hash: u64,
}

impl Page {
    /// A page of these bytes; `None` where they are all zeros.
    pub(super) fn new(bytes: [u8; PAGE_SIZE]) -> Option<Page> {
        let mut page = Page { bytes, hash: 0 };
        page.rehash().then_some(page)
    }

    /// Computes the hash; whether any byte is not zero.
    fn rehash(&mut self) -> bool {
        // Four independent chains: a multiplication waits for the one before it.
        let mut lanes = [1u64, 2, 3, 4];
        let mut any = 0;
        for block in self.bytes.as_chunks::<32>().0 {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                let word = u64::from_le_bytes(*word);
                any |= word;
                *lane = (*lane ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                *lane ^= *lane >> 32;
            }
        }
        self.hash = lanes.iter().fold(0, |hash, &lane| mix(hash ^ lane));
        any != 0
    }
}

/// Spreads every bit of `value` over all of the result.
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A file's bytes; those never written are zeros. Has no length of its own.
#[derive(Clone, Default)]
pub(super) struct Content {
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
    hash: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} pages, hash {:016x}", self.pages.len(), self.hash)
    }
}

impl Content {
    /// Equal for equal contents.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// The pages that hold anything, with the offsets of their first bytes.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, &[u8; PAGE_SIZE])> {
        self.pages.iter().map(|(index, page)| (index * PAGE, &page.bytes))
    }

    /// The pages themselves, by page number.
    pub(super) fn shared_pages(&self) -> impl Iterator<Item = (u64, &Arc<Page>)> {
        self.pages.iter().map(|(&index, page)| (index, page))
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) {
        let mut position = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (index, start) = (position / PAGE, (position % PAGE) as usize);
            let length = rest.len().min(PAGE_SIZE - start);
            let (part, after) = std::mem::take(&mut rest).split_at_mut(length);
            match self.pages.get(&index).and_then(|page| page.bytes.get(start..start + length)) {
                Some(bytes) => part.copy_from_slice(bytes),
                None => part.fill(0),
            }
            rest = after;
            position += length as u64;
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, start) = (position / PAGE, (position % PAGE) as usize);
            let (part, after) = rest.split_at(rest.len().min(PAGE_SIZE - start));
            self.change(index, |page| {
                if let Some(target) = page.get_mut(start..start + part.len()) {
                    target.copy_from_slice(part);
                }
            });
            rest = after;
            position += part.len() as u64;
        }
    }

    /// Zeroes everything from `length` on.
    pub(super) fn truncate(&mut self, length: u64) {
        let first_gone = length.div_ceil(PAGE);
        if self.pages.range(first_gone..).next().is_some() {
            let gone = Arc::make_mut(&mut self.pages).split_off(&first_gone);
            for (index, page) in gone {
                self.hash ^= place(index, page.hash);
            }
        }
        let (last, start) = (length / PAGE, (length % PAGE) as usize);
        let zeros = [0; PAGE_SIZE];
        let dirty = |page: &Arc<Page>| page.bytes.get(start..) != zeros.get(start..);
        if start > 0 && self.pages.get(&last).is_some_and(dirty) {
            self.change(last, |page| {
                if let Some(tail) = page.get_mut(start..) {
                    tail.fill(0);
                }
            });
        }
    }

    /// Puts a page that is known already at page number `index`, replacing what is there.
    pub(super) fn share(&mut self, index: u64, page: Arc<Page>) {
        self.hash ^= place(index, page.hash);
        if let Some(old) = Arc::make_mut(&mut self.pages).insert(index, page) {
            self.hash ^= place(index, old.hash);
        }
    }

    fn change(&mut self, index: u64, edit: impl FnOnce(&mut [u8; PAGE_SIZE])) {
        let pages = Arc::make_mut(&mut self.pages);
        let slot = pages.entry(index).or_insert_with(|| Arc::new(Page { bytes: [0; PAGE_SIZE], hash: 0 }));
        let page = Arc::make_mut(slot);
        // A page made just now was not counted yet: its hash of 0 marks it.
        if page.hash != 0 {
            self.hash ^= place(index, page.hash);
        }
        edit(&mut page.bytes);
        if page.rehash() {
            self.hash ^= place(index, page.hash);
        } else {
            pages.remove(&index);
        }
    }
}

fn place(index: u64, hash: u64) -> u64 {
    mix(hash ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93))
}
