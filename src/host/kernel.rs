//! What the running kernel offers and forbids.

/// The value of `kernel.io_uring_disabled`: 0 allows io_uring, 1 only to privileged processes and one group, 2 to
/// nobody. `None` before Linux 6.6, which has no such setting.
pub fn io_uring_disabled() -> Option<u8> {
    super::read("/proc/sys/kernel/io_uring_disabled")?.parse().ok()
}

/// The kernel's release, such as `6.8.0-31-generic`.
pub fn release() -> Option<String> {
    super::read("/proc/sys/kernel/osrelease")
}

/// What tells that this process is in a container, such as `docker`, for hints in messages.
pub fn container() -> Option<String> {
    if let Some(name) = std::env::var("container").ok().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    if let Some((_, name)) = marks.iter().find(|(path, _)| std::path::Path::new(path).exists()) {
        return Some((*name).to_owned());
    }
    std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| "kubernetes".to_owned())
}

/// The longest queue of connections that the kernel grants a listener (`net.core.somaxconn`).
pub fn longest_backlog() -> Option<u32> {
    super::read("/proc/sys/net/core/somaxconn")?.parse().ok()
}

/// Whether transparent huge pages are switched off for everybody.
pub fn huge_pages_are_off() -> bool {
    super::read("/sys/kernel/mm/transparent_hugepage/enabled").is_some_and(|text| text.contains("[never]"))
}
