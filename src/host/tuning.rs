//! What a host should have, read from `tuning/`, and what this one has.

use std::path::Path;

use serde::Deserialize;

/// The rows that hold for any host.
const GENERIC: &str = include_str!("../../tuning/generic.toml");

/// The rows of a profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    knob: Vec<Knob>,
}

/// One knob of a host. A file that does not exist is a knob that the host has not got.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Knob {
    name: String,
    #[expect(dead_code, reason = "the reason is for whoever reads the profile")]
    why: String,
    read: String,
    remedy: String,
    at_least: Option<u64>,
    at_most: Option<u64>,
    #[serde(default)]
    equals: Vec<String>,
    #[serde(default)]
    selects: Vec<String>,
}

/// What of this host is not as the generic profile wants it: a sentence each, with the remedy.
pub fn findings() -> Vec<String> {
    findings_in(GENERIC, Path::new("/"))
}

/// The findings of a profile for a machine whose files are below `root`.
fn findings_in(profile: &str, root: &Path) -> Vec<String> {
    let Ok(profile) = toml::from_str::<Profile>(profile) else {
        return vec!["the tuning profile is damaged".to_owned()];
    };
    profile.knob.iter().filter_map(|knob| knob.finding(root)).collect()
}

impl Knob {
    fn finding(&self, root: &Path) -> Option<String> {
        let text = super::read(root.join(self.read.trim_start_matches('/')))?;
        let value = if self.selects.is_empty() { text } else { selected(&text)?.to_owned() };
        (!self.holds(&value)).then(|| format!("{} is {value} ({})", self.name, self.remedy))
    }

    fn holds(&self, value: &str) -> bool {
        let words = if self.selects.is_empty() { &self.equals } else { &self.selects };
        let number = value.parse::<u64>();
        let number = number.as_ref();
        (words.is_empty() || words.iter().any(|word| word == value))
            && self.at_least.is_none_or(|least| number.is_ok_and(|number| *number >= least))
            && self.at_most.is_none_or(|most| number.is_ok_and(|number| *number <= most))
    }
}

/// The word in brackets, which is how the kernel marks the choice in force.
fn selected(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files, and the findings of the generic profile on it.
    fn machine(name: &str, files: &[(&str, &str)]) -> Vec<String> {
        let root = std::env::temp_dir().join(format!("roster-tuning-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let findings = findings_in(GENERIC, &root);
        std::fs::remove_dir_all(&root).unwrap();
        findings
    }

    const BACKLOG: &str = "proc/sys/net/core/somaxconn";
    const PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";
    const CLOCK: &str = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    const RING: &str = "proc/sys/kernel/io_uring_disabled";

    #[test]
    fn a_tuned_machine_has_no_findings() {
        let files = [(BACKLOG, "4096\n"), (PAGES, "always [madvise] never\n"), (CLOCK, "tsc\n"), (RING, "0\n")];
        assert_eq!(machine("tuned", &files), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_value_in_each_row_is_found() {
        let files = [(BACKLOG, "128\n"), (PAGES, "always madvise [never]\n"), (CLOCK, "hpet\n"), (RING, "2\n")];
        let found = machine("untuned", &files);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "net.core.somaxconn is 128 (sysctl -w net.core.somaxconn=4096)");
        assert!(found[1].starts_with("transparent huge pages is never ("));
    }

    #[test]
    fn what_the_machine_has_not_got_is_no_finding() {
        assert_eq!(machine("bare", &[(BACKLOG, "nonsense")]).len(), 1);
        assert_eq!(machine("unmarked", &[(PAGES, "always madvise never")]), Vec::<String>::new());
    }
}
