//! The machine that the server runs on: CPUs, memory, limits, what its kernel allows, and the service manager.
//!
//! This is the only room that reads `/proc` and `/sys`. Whatever is missing there is answered by `None` or by a safe
//! assumption: a server must start in a container that hides half of it.

mod cgroup;
pub mod code;
pub mod cpu;
pub mod cpuset;
pub mod doctor;
pub mod files;
pub mod kernel;
pub mod machine;
pub mod memory;
pub mod notify;
pub mod process;
pub mod resident;
pub mod sockets;
pub mod tool;
pub mod topology;
pub mod tuning;

use std::path::Path;

/// The text of a small kernel file without the white space around it.
fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
