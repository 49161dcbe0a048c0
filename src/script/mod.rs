//! Scripts: a virtual machine of Lua 5.1 with what Redis gives to its scripts, and what workers share of them.
//!
//! This room knows nothing of commands: a script's calls go to a [`Host`].

mod apart;
mod api;
mod bits;
mod cjson;
mod cjson_decode;
mod compile;
mod convert;
mod failure;
mod library;
mod msgpack;
mod msgpack_decode;
mod native;
mod number;
mod packing;
mod packing_format;
mod protect;
mod random;
mod reply;
mod shared;
mod slot;
mod source;
mod vm;
mod watch;

pub use apart::{Apart, Home, give_way};
pub use failure::Stop;
pub use library::{FunctionInfo, Libraries, Library, LoadError, RestorePolicy};
pub use shared::Shared;
pub use source::{Features, Habit, Scope, Source, sha1_hex};
pub use vm::{Ended, Host, Run, Vm};
pub use watch::{Kill, Task, Watch, Watches};
