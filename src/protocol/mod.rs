//! The wire format as pure bytes: no input or output, no store, nothing of Roster's upper rooms.
//!
//! - [`request`]: the resumable parser of RESP arrays and inline commands.
//! - [`args`]: the arguments of a request, borrowed from the receive buffer or owned.
//! - [`big`]: a large argument on its way in, whose memory follows what arrived.
//! - [`inline`]: the quoting rules of inline commands.
//! - [`number`]: integers and doubles as Redis reads and prints them.
//! - [`extended`]: the long double of INCRBYFLOAT.

pub mod args;
pub mod big;
pub mod extended;
pub mod inline;
mod natural;
pub mod number;
pub mod request;

pub use args::{Args, Frame};
pub use big::Big;
pub use request::{Limits, Parser, ProtocolError, Step};
