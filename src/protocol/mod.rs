//! Pure bytes: the request parser and the reply writer. No I/O, no store.

pub mod args;
pub mod big;
pub mod extended;
pub mod glob;
pub mod inline;
mod natural;
pub mod number;
pub mod reply;
pub mod request;

pub use args::{Args, Frame};
pub use big::Big;
pub use reply::{Mark, Reply, Version};
pub use request::{Limits, Parser, ProtocolError, Step};

/// The part of a key between the first `{` and the first `}` after it, unless it is empty: keys that share it share their
/// slot (Redis Cluster specification, "Hash tags").
#[inline]
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&b| b == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&b| b == b'}')?;
    (close > 0).then(|| &rest[..close])
}
