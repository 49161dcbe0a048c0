//! The append-only files of Redis and Valkey, to be read once.
//!
//! - [`parts`]: which files there are, in their order.
//! - [`commands`]: what is in one of them.

pub mod commands;
pub mod parts;

pub use commands::{Commands, Fault, Item};
pub use parts::{Parts, manifest};
