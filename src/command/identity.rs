//! What the server says that it is.
//!
//! Clients choose features by the name and version in `HELLO` and `INFO`, so both announce the Redis release whose
//! behaviour is matched; `INFO` adds Roster's own name and version.

/// The `server` of `HELLO`. Some clients accept no other.
pub(super) const SERVER: &str = "redis";

/// The release of Redis whose commands and replies are matched.
pub(super) const REDIS_VERSION: &str = "7.2.4";

/// Roster's own version.
pub(super) const ROSTER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Neither a node of a cluster nor a sentinel.
pub(super) const MODE: &str = "standalone";

/// Not a replica.
pub(super) const ROLE: &str = "master";
