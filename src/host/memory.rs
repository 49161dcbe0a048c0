//! How much memory the server may use.

/// Bytes of memory: those of the machine, or of the tightest limit of a control group. `None` where neither is known.
pub fn usable() -> Option<u64> {
    let groups = super::cgroup::values("memory.max");
    let old = super::read("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    let limits = groups.iter().chain(&old).filter_map(|text| text.parse::<u64>().ok());
    limits.chain(total()).min()
}

/// Bytes of memory of the machine.
pub fn total() -> Option<u64> {
    kibibytes(&super::read("/proc/meminfo")?, "MemTotal:").map(|kib| kib * 1024)
}

fn kibibytes(table: &str, name: &str) -> Option<u64> {
    table.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo() {
        assert_eq!(kibibytes("MemTotal:       24655 kB\nMemFree: 3 kB", "MemTotal:"), Some(24655));
        assert_eq!(kibibytes("", "MemTotal:"), None);
        assert!(usable().is_some_and(|bytes| bytes > 1 << 20));
    }
}
