//! Files that are not what was written: damaged bit by bit, cut, grown, missing, mixed up, and files that somebody
//! made to do harm. What opens answers right; what was proven durable and is gone is an error that names file and
//! offset, and then nothing was changed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../common/allocations.rs"]
mod allocations;
mod bits;
mod files;
mod hostile;
#[path = "../common/segment_file.rs"]
mod segment_file;
mod store;

#[global_allocator]
static ALLOCATOR: allocations::Watched = allocations::Watched;
