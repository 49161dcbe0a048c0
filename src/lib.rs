//! Roster.

pub mod protocol;
