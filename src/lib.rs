//! Roster.
pub mod store;
