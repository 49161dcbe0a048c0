//! The machine that the server runs on. This is the only room that reads `/proc` and `/sys`.

pub mod resident;
