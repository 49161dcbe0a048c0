//! The log: every change, in one order, in files that survive the process and, as far as the policy promises, the machine.
//!
//! Workers publish records ([`crate::store::Journal`]); one thread, the [`Keeper`], merges them and writes them to segments.
//! [`recover`] reads them back at start. A segment is a file of a fixed length that was written with zeros when it was made, so that
//! a sync has no metadata to write; those that are not needed any more are used again.

mod base;
mod disk;
mod frame;
mod keeper;
mod manifest;
mod recover;
#[cfg(test)]
mod simulation;
mod writer;

pub use base::{Base, Bases, Rewrite};
pub use disk::{Disk, Folder};
pub use keeper::{Keeper, Policy, Status};
pub use manifest::name_of_base;
pub use recover::{Failure, Reader, Recovered, Torn, read, recover};
pub use writer::{Log, SEGMENT_BYTES};
