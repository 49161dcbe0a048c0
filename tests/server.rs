//! The server over its sockets: framing, limits, broken clients, start and end, on io_uring and on epoll.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "server/atomic.rs"]
mod atomic;
#[path = "server/connections.rs"]
mod connections;
#[path = "server/http.rs"]
mod http;
#[path = "server/limits.rs"]
mod limits;
#[path = "server/manager.rs"]
mod manager;
#[path = "server/migrate.rs"]
mod migrate;
#[path = "server/operators.rs"]
mod operators;
#[path = "server/process.rs"]
mod process;
#[path = "server/scripts.rs"]
mod scripts;
#[path = "server/tls.rs"]
mod tls;
#[path = "server/tls_files.rs"]
mod tls_files;
#[path = "server/tracking.rs"]
mod tracking;
#[path = "server/users.rs"]
mod users;
#[path = "server/waiting.rs"]
mod waiting;
