//! Who may do what: users, their passwords, and their rights.

pub mod acl;
mod secret;
pub mod tls;

pub use acl::{Acl, Login, User};
pub use secret::{Digest, random_hex};
