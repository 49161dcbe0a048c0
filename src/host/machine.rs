//! A machine, seen through its `/proc` and `/sys`: this one, or one whose files lie below another root.

use std::path::{Path, PathBuf};

/// Directories that one pattern of a path may lead through; more than any machine has of CPUs or queues.
const MOST_MATCHES: usize = 65_536;

/// Where a machine's files are.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl Machine {
    /// The machine whose `/proc` and `/sys` lie below `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Whether this is the machine that we run on.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The place of a file of the machine.
    pub fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a small file without the white space around it.
    pub fn read(&self, path: &str) -> Option<String> {
        super::read(self.place(path))
    }

    /// The names in a directory in their natural order (`cpu2` before `cpu10`); none if it is not there.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.place(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).take(MOST_MATCHES).collect();
        names.sort_by_cached_key(|name| natural(name));
        names
    }

    /// The paths that exist and fit `pattern`, in which `*` stands for any characters of one name.
    pub fn matches(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            let names = |base: &String| match part.contains('*') {
                true => self.names(base).into_iter().filter(|name| fits(part, name)).collect(),
                false => vec![part.to_owned()],
            };
            let longer =
                found.iter().flat_map(|base| names(base).into_iter().map(move |name| format!("{base}/{name}")));
            found = longer.filter(|path| self.place(path).exists()).take(MOST_MATCHES).collect();
        }
        found
    }
}

/// Whether a name fits a pattern with at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => pattern == name,
    }
}

/// A key for sorting names by their letters first and their number second.
fn natural(name: &str) -> (String, u64, String) {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (letters.to_owned(), name[letters.len()..].parse().unwrap_or_default(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(fits("cpu*", "cpu10") && fits("rx-*", "rx-0") && fits("*", "x") && !fits("cpu*x", "cpu"));
        assert!(!fits("tx-*", "rx-0") && fits("same", "same") && !fits("ab*ba", "aba"));
        let mut names = vec!["cpu10".to_owned(), "cpu2".to_owned(), "cpu".to_owned()];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["cpu", "cpu2", "cpu10"]);
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let nowhere = Machine::at(Path::new("/nonexistent"));
        assert!(nowhere.names("/sys").is_empty() && nowhere.matches("/sys/*/x").is_empty());
        assert!(nowhere.read("/proc/meminfo").is_none() && !nowhere.is_this());
        assert!(!Machine::default().matches("/proc/s*f").is_empty());
    }
}
