//! Profiles: what a host should have, as rows of `tuning/*.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check::Check;
use super::layout::Layout;

/// The profiles that the program carries, by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("generic", include_str!("../../../tuning/generic.toml")),
    ("small", include_str!("../../../tuning/small.toml")),
    ("ent1-m", include_str!("../../../tuning/ent1-m.toml")),
];

/// The profile that holds where no other was chosen.
pub const DEFAULT: &str = "generic";
/// Profiles that one may include in a row; more is a circle.
const MOST_INCLUDES: usize = 8;
/// Bytes of the longest file of a profile that is read.
const LONGEST_FILE: u64 = 1 << 20;

/// What a host should have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Which host it is for.
    pub summary: String,
    #[serde(default)]
    includes: Vec<String>,
    /// Which CPUs are for what.
    #[serde(default)]
    pub layout: Layout,
    /// Settings of the server that belong to it.
    #[serde(default)]
    pub settings: BTreeMap<String, toml::Value>,
    /// The rows, those of included profiles first.
    #[serde(default, rename = "knob")]
    pub knobs: Vec<Knob>,
}

/// How bad a wrong value is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It costs little, or only some hosts.
    Note,
    /// It costs speed or steadiness.
    Warning,
    /// The server lacks what it is made for.
    Fatal,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Fatal => "fatal",
        }
    }
}

/// One thing that a host should have.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Row")]
pub struct Knob {
    /// What it is.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// How bad it is if it does not hold.
    pub severity: Severity,
    /// How it is checked.
    pub check: Check,
    /// What is written to make it hold; `None` if it is only checked.
    pub set: Option<String>,
    /// What to do by hand, where that is not the writing of `set`.
    pub remedy: Option<String>,
}

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Row {
    name: String,
    why: String,
    severity: Severity,
    set: Option<String>,
    remedy: Option<String>,
    pub(super) sysctl: Option<String>,
    pub(super) file: Option<String>,
    pub(super) boot: Option<String>,
    pub(super) interrupts: Option<String>,
    pub(super) channels: Option<String>,
    pub(super) threads: Option<String>,
    pub(super) pollers: Option<String>,
    pub(super) limit: Option<String>,
    pub(super) no_process: Option<String>,
    pub(super) at_least: Option<u64>,
    pub(super) at_most: Option<u64>,
    pub(super) equals: Option<Vec<String>>,
    pub(super) selects: Option<Vec<String>>,
    pub(super) cpus: Option<String>,
    pub(super) mask: Option<String>,
}

impl TryFrom<Row> for Knob {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let check = Check::of(&row).map_err(|reason| format!("the row '{}': {reason}", row.name))?;
        if row.set.is_some() && !matches!(check, Check::File { .. }) {
            return Err(format!("the row '{}': only a sysctl or a file has a set", row.name));
        }
        let Row { name, why, severity, set, remedy, .. } = row;
        Ok(Knob { name, why, severity, check, set, remedy })
    }
}

impl Profile {
    /// The names of the profiles that the program carries.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// A profile by the name of a built-in one, or by the path of a file, which has a slash or ends in `.toml`.
    ///
    /// # Errors
    /// What is wrong with the name or the file.
    pub fn named(name: &str) -> Result<Profile, String> {
        if name.contains('/') || name.ends_with(".toml") {
            return Self::parse(&read(name)?, 0).map_err(|error| format!("{name}: {error}"));
        }
        Self::built_in(name, 0)
    }

    fn built_in(name: &str, depth: usize) -> Result<Profile, String> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| {
            format!("there is no profile '{name}': there are {}, or give the path of a file", Self::names().join(", "))
        })?;
        Self::parse(text, depth)
    }

    fn parse(text: &str, depth: usize) -> Result<Profile, String> {
        let mut profile: Profile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if depth > MOST_INCLUDES {
            return Err("its includes go in a circle".to_owned());
        }
        let mut knobs = Vec::new();
        for name in &profile.includes {
            knobs.extend(Self::built_in(name, depth + 1)?.knobs);
        }
        // A row takes the place of an included one of the same name.
        knobs.retain(|knob: &Knob| profile.knobs.iter().all(|own| own.name != knob.name));
        knobs.append(&mut profile.knobs);
        profile.knobs = knobs;
        Ok(profile)
    }
}

fn read(path: &str) -> Result<String, String> {
    use std::io::Read;
    let explain = |error: std::io::Error| format!("{path}: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(explain)?;
    file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(explain)?;
    if text.len() as u64 > LONGEST_FILE { Err(format!("{path}: longer than {LONGEST_FILE} bytes")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_profiles_can_be_read() {
        for name in Profile::names() {
            let profile = Profile::named(name).unwrap();
            assert_eq!(profile.name, name);
            assert!(!profile.summary.is_empty() && profile.knobs.len() >= 6);
            let mut names: Vec<&str> = profile.knobs.iter().map(|knob| knob.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), profile.knobs.len(), "{name} has two rows of one name");
            for knob in &profile.knobs {
                assert!(knob.why.len() > 20, "{}", knob.name);
            }
        }
    }

    #[test]
    fn a_profile_of_one_s_own() {
        let text = "name = 'x'\nsummary = ''\nincludes = ['generic']\n[[knob]]\nname = 'io_uring'\nwhy = ''\n\
                    severity = 'note'\nsysctl = 'a.b'\nat-least = 1\n";
        let profile = Profile::parse(text, 0).unwrap();
        assert_eq!(profile.knobs.iter().filter(|knob| knob.name == "io_uring").count(), 1);
        assert_eq!(profile.knobs.last().unwrap().severity, Severity::Note);
    }

    #[test]
    fn mistakes_are_told() {
        let row = |rest: &str| {
            let text = format!("name='x'\nsummary=''\n[[knob]]\nname='n'\nwhy='w'\nseverity='note'\n{rest}");
            Profile::parse(&text, 0).err().unwrap_or_default()
        };
        assert!(row("").contains("it has no target"));
        assert!(row("sysctl='a'\nfile='/sys/b'\nequals=['c']").contains("more than one target"));
        assert!(row("sysctl='a'").contains("no condition"));
        assert!(row("sysctl='../etc'\nat-least=1").contains("no sysctl"));
        assert!(row("file='/etc/passwd'\nequals=['c']").contains("below /proc/sys or /sys"));
        assert!(row("boot='a'\nset='b'").contains("only a sysctl or a file has a set"));
        assert!(row("colour='a'").contains("unknown field"));
        assert!(Profile::named("nope").is_err_and(|error| error.contains("there are generic, small, ent1-m")));
        assert!(Profile::named("/nonexistent.toml").is_err_and(|error| error.contains("No such file")));
        let circle = Profile::parse("name='x'\nsummary=''\nincludes=['x']", 0);
        assert!(circle.is_err());
    }
}
