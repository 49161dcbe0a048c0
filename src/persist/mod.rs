//! Persistence: values as bytes that outlive the process, and bytes of others as values.

pub mod log;
pub mod rdb;
