//! Commands: one row and one function each, in the file of their family.

mod bitfield;
mod bitmap;
mod bitop;
mod client;
mod collection;
mod config;
mod connection;
mod context;
mod counter;
mod database;
mod debug;
mod dispatch;
mod docs;
mod dump;
mod error;
mod expire;
mod help;
mod identity;
mod info;
mod introspect;
mod keys;
mod keyspec;
mod kill;
mod lcs;
mod lolwut;
mod memory;
mod memory_usage;
mod object;
#[cfg(test)]
mod page;
mod row;
mod scan;
mod sections;
mod server;
mod string;
mod string_batch;
mod string_options;
mod string_range;
mod string_value;
mod syntax;
mod table;
#[cfg(test)]
mod testing;

pub use context::{Context, Facts, Node, Shutdown, Worker, random_hex, unix_ms};
pub use dispatch::{Outcome, each_key, execute, find};
pub use error::Error;
pub use keyspec::{Access, Begin, Find, KeySpec};
pub use row::{Categories, Command, Flags, Group, Run};
pub use table::{Handle, Row, all, every};
