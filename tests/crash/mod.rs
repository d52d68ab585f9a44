//! The bench that the crash tests and the planted-bug tests share.
//!
//! ```text
//! random      dice: the same seed gives the same run
//! model       what a store may hold after a crash at a position
//! life        one run of the engine on one simulated disk, and what it promised where
//! changes     the steps of a life that change more than a key, or rest on what is there
//! workload    what a life does: families of steps, made from a seed
//! situations  short lives, tried to the end
//! oracle      recovers an image and holds it against the model
//! damage      disks that no crash leaves
//! campaign    lives, images of them, lives that begin in an image, and so on; counts; replay
//! ```
//!
//! A failure is a [`oracle::Violation`], which carries the id that replays it.
#![allow(dead_code, reason = "two test programs share this, and neither uses all of it")]

pub mod campaign;
pub mod changes;
pub mod damage;
pub mod life;
pub mod model;
pub mod oracle;
pub mod random;
pub mod situations;
pub mod workload;
