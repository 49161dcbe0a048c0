//! The wire format as pure bytes: no input or output, no store, nothing of Roster's upper rooms.
//!
//! - [`request`]: the resumable parser of RESP arrays and inline commands.
//! - [`args`]: the arguments of a request, borrowed from the receive buffer or owned.
//! - [`big`]: a large argument on its way in, whose memory follows what arrived.
//! - [`inline`]: the quoting rules of inline commands.
//! - [`error`]: violations of the protocol, in the words of Redis.
//! - [`number`]: integers and doubles as Redis reads them; [`double`]: doubles as it prints them.
//! - [`extended`]: the long double of INCRBYFLOAT.

pub mod args;
pub mod big;
pub mod double;
pub mod error;
pub mod extended;
mod header;
pub mod inline;
mod natural;
pub mod number;
pub mod request;

pub use args::{Args, Frame};
pub use big::Big;
pub use error::ProtocolError;
pub use request::{Limits, Parser, Step};
