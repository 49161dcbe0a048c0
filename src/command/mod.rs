//! Commands: one row and one function each, in the file of their family.

mod client;
mod config;
mod connection;
mod context;
mod debug;
mod database;
mod dispatch;
mod docs;
mod error;
mod expire;
mod help;
mod identity;
mod info;
mod introspect;
mod kill;
mod lolwut;
mod memory;
mod keys;
mod object;
#[cfg(test)]
mod page;
mod row;
mod sections;
mod server;
mod scan;
mod string;
mod syntax;
mod table;
#[cfg(test)]
mod testing;

pub use context::{Context, Facts, Node, Shutdown, Worker, random_hex, unix_ms};
pub use dispatch::{Outcome, each_key, execute, find};
pub use error::Error;
pub use row::{Access, Begin, Categories, Command, Find, Flags, Group, KeySpec, Run};
pub use table::{Handle, Row, all, every};
