//! The wire format as pure bytes: no input or output, no store, nothing of Roster's upper rooms.
//!
//! - [`request`]: the resumable parser of RESP arrays and inline commands.
//! - [`args`]: the arguments of a request, borrowed from the receive buffer or owned.
//! - [`big`]: a large argument on its way in, whose memory follows what arrived.
//! - [`inline`]: the quoting rules of inline commands.
//! - [`error`]: violations of the protocol, in the words of Redis.
//! - [`number`]: integers and doubles as Redis reads them; [`double`]: doubles as it prints them.
//! - [`extended`]: the long double of INCRBYFLOAT.
//! - [`reply`]: the reply writer; [`glob`]: patterns of keys; [`word`]: short strings in registers.

pub mod args;
pub mod big;
pub mod double;
pub mod error;
pub mod extended;
pub mod glob;
mod header;
pub mod inline;
mod natural;
pub mod number;
pub mod reply;
pub mod request;
pub mod word;

pub use args::{Args, Frame, Words};
pub use big::Big;
pub use error::ProtocolError;
pub use reply::{Mark, Reply, Version};
pub use request::{Limits, Parser, Step};

/// The part of a key between the first `{` and the first `}` after it, unless it is empty: keys that share it share their
/// slot (Redis Cluster specification, "Hash tags").
#[inline]
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    if !word::contains(key, b'{') {
        return None;
    }
    let open = key.iter().position(|&b| b == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&b| b == b'}')?;
    (close > 0).then(|| &rest[..close])
}
