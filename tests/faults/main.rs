//! What goes wrong around the store: calls of the operating system that fail, disks that are full, limits
//! and permissions. After each of it the store says what happened, answers what it acknowledged, and opens
//! again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod calls;
mod full_disk;
mod process;
mod run;
