//! Roster: a Redis replacement on io_uring, one pinned worker per core.

pub mod command;
pub mod config;
pub mod host;
pub mod persist;
pub mod protocol;
pub mod script;
pub mod security;
pub mod server;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod value;
pub mod web;
