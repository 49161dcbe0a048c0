//! Roster.

pub mod config;
pub mod protocol {
    //! Pure bytes.
    pub mod glob;
}
