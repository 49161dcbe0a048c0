//! Persistence: values as bytes that outlive the process, and bytes of others as values.
//!
//! - [`aof`]: the append-only files of other servers.
//! - [`log`]: every change in its order.
//! - [`rdb`]: the format.
//! - [`snapshot`]: what takes the records of a cut, encodes them, and hands them to whoever writes.
//! - [`save`]: the file: written beside the old one, made durable, put in its place.
//! - [`saves`]: which snapshots were taken and which one is, and what came of them.
//! - [`load`]: a file's keys back into the keyspace, by all workers; [`background`]: threads that stand back behind those.

pub mod aof;
mod background;
pub mod load;
pub mod log;
pub mod rdb;
pub mod save;
pub mod saves;
pub mod snapshot;
mod sync;
#[cfg(test)]
mod tests;
