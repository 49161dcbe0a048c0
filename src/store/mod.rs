//! The keyspace: records, shards and the memory that they live in.

pub mod heap;
