//! Values: data structures that know neither protocol nor keys, clock, network or disk.
//!
//! Each collection has a compact form for few elements and a proper structure for many. It changes from the first to
//! the second when it outgrows [`Limits`] (never back), and `encoding()` names the form as Redis would.

mod arena;
pub mod buffer;
pub mod compact;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod item;
pub mod list;
pub mod memory;
mod node;
pub mod packed;
pub mod scores;
pub(crate) mod sequence;
pub mod set;
pub mod sorted_set;
pub mod stream;
mod table;
#[cfg(test)]
mod testing;
mod tree;

use std::fmt;

pub use item::Item;

/// Up to which size a collection stays compact: Redis's `*-max-listpack-entries` and `*-max-listpack-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements (pairs of a hash or sorted set).
    pub entries: usize,
    /// Bytes of one element (of a field or value of a hash).
    pub value: usize,
}

/// A collection cannot address more: a packed sequence of 1 GiB, or a large collection of 4 billion elements or 16 GiB
/// of elements under 1 KiB. Nothing was changed. The remedy is to spread the elements over several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the collection is full, spread its elements over several keys")
    }
}

impl std::error::Error for Full {}
