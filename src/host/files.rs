//! The limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files to `wanted` as far as the system lets it, and returns the limit in force.
///
/// A privileged process raises the hard limit too, as redis-server does; another one gets no more than its hard limit.
pub fn raise_limit(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    if soft >= wanted {
        return soft;
    }
    for (soft, hard) in [(wanted, hard.max(wanted)), (wanted.min(hard), hard)] {
        if setrlimit(Resource::RLIMIT_NOFILE, soft, hard).is_ok() {
            return soft;
        }
    }
    soft
}
