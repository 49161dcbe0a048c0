//! Limits that a control group puts on this process.

use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// The text of a control file (cgroup v2) in the process's own group and in every group around it.
///
/// A limit holds if any of them sets it, so the caller takes the least. In a container the groups outside of it are not
/// visible and the path may lead nowhere; then only the root is read, where the container's own limit is.
pub(super) fn values(file: &str) -> Vec<String> {
    ancestors(&own_path()).iter().filter_map(|group| super::read(group.join(file))).collect()
}

/// The path of the process's group below the root, `/` where there is none.
fn own_path() -> String {
    let groups = super::read("/proc/self/cgroup").unwrap_or_default();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned()
}

fn ancestors(path: &str) -> Vec<PathBuf> {
    let mut place = Path::new(ROOT).join(path.trim_start_matches('/'));
    let mut found = vec![place.clone()];
    while place != Path::new(ROOT) && place.pop() {
        found.push(place.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_up_to_the_root() {
        let text = |path| ancestors(path).iter().map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>();
        assert_eq!(text("/a/b"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(text("/"), ["/sys/fs/cgroup/"]);
    }
}
