//! How much physical memory this process has.

/// Bytes of physical memory that this process occupies; `None` where `/proc` is hidden.
pub fn bytes() -> Option<u64> {
    let pages = second(&super::read("/proc/self/statm")?)?;
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(size).ok()?)
}

fn second(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_field_counts_pages() {
        assert_eq!(second("100 25 3 4 0 5 0\n"), Some(25));
        assert_eq!(second(""), None);
        assert!(bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
