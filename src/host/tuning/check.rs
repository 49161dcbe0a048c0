//! What a row looks at, and what it should find there.

use super::layout::Places;
use super::profile::Row;
use super::target;
use crate::host::cpuset::CpuSet;
use crate::host::machine::Machine;

/// How a row is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The files that fit a path hold a value.
    File {
        /// The path, with `*` as in a shell.
        path: String,
        /// The name, if it is a sysctl.
        sysctl: Option<String>,
        /// What they should hold.
        condition: Condition,
    },
    /// The kernel was started with a parameter, such as `isolcpus={workers}`.
    Boot(String),
    /// The interrupts of all network devices come in on these CPUs only.
    Interrupts(String),
    /// No network device has more receive queues than there are CPUs of these.
    Channels(String),
    /// The workers of the running server stay on these CPUs.
    Threads(String),
    /// The kernel's threads that poll the rings of the running server stay on these CPUs, and there are some.
    Pollers(String),
    /// A limit of the running server.
    Limit {
        /// Its name in `/proc/PID/limits`.
        name: String,
        /// What it should be.
        condition: Condition,
    },
    /// No process of this name runs.
    NoProcess(String),
}

/// What a value should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A number, this one or more.
    AtLeast(u64),
    /// A number, this one or less.
    AtMost(u64),
    /// One of these words.
    Equals(Vec<String>),
    /// The word in brackets is one of these.
    Selects(Vec<String>),
    /// These CPUs, as a list.
    Cpus(String),
    /// These CPUs (given as a list), as a mask.
    Mask(String),
}

/// Whether a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Holds,
    /// It does not.
    Differs,
    /// The machine has not got what it is about.
    Absent,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What there should be.
    pub required: String,
    /// What there is.
    pub current: String,
    /// Whether that is the same.
    pub state: State,
    /// What would have to be written, without the new values of files, which the row has.
    pub wrong: Vec<Wrong>,
}

/// A file with a value that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its path.
    pub path: String,
    /// What it holds, as it would be written back.
    pub value: String,
    /// What to write, where that does not come from the row.
    pub wanted: Option<String>,
}

impl Outcome {
    /// An outcome without anything to write.
    pub(super) fn of(required: String, current: String, holds: bool) -> Self {
        let state = if holds { State::Holds } else { State::Differs };
        Outcome { required, current, state, wrong: Vec::new() }
    }

    /// That the machine has not got it.
    pub(super) fn absent(required: String, why: &str) -> Self {
        Outcome { required, current: why.to_owned(), state: State::Absent, wrong: Vec::new() }
    }
}

impl Check {
    /// The check of a row.
    pub(super) fn of(row: &Row) -> Result<Check, String> {
        let files = [
            row.sysctl.as_ref().map(|name| sysctl_path(name).map(|path| (path, Some(name.clone())))),
            row.file.as_ref().map(|path| file_path(path).map(|path| (path, None))),
        ];
        let others = [
            row.boot.as_ref().map(|text| Check::Boot(text.clone())),
            row.interrupts.as_ref().map(|text| Check::Interrupts(text.clone())),
            row.channels.as_ref().map(|text| Check::Channels(text.clone())),
            row.threads.as_ref().map(|text| Check::Threads(text.clone())),
            row.pollers.as_ref().map(|text| Check::Pollers(text.clone())),
            row.no_process.as_ref().map(|name| Check::NoProcess(name.clone())),
        ];
        let condition = Condition::of(row)?;
        let needed = || condition.clone().ok_or_else(|| "it has no condition".to_owned());
        let mut checks = Vec::new();
        for file in files.into_iter().flatten() {
            let (path, sysctl) = file?;
            checks.push(Check::File { path, sysctl, condition: needed()? });
        }
        if let Some(name) = &row.limit {
            checks.push(Check::Limit { name: name.clone(), condition: needed()? });
        }
        if others.iter().any(Option::is_some) && condition.is_some() {
            return Err("its target has a condition of its own".to_owned());
        }
        checks.extend(others.into_iter().flatten());
        match checks.len() {
            0 => Err("it has no target".to_owned()),
            1 => Ok(checks.remove(0)),
            _ => Err("it has more than one target".to_owned()),
        }
    }

    /// Looks at the machine.
    pub fn look(&self, machine: &Machine, places: &Places) -> Outcome {
        match self {
            Check::File { path, condition, .. } => look_at_files(machine, path, condition, places),
            Check::Boot(parameter) => target::boot(machine, &places.fill(parameter)),
            Check::Interrupts(cpus) => target::interrupts(machine, &set(places, cpus)),
            Check::Channels(cpus) => target::channels(machine, &set(places, cpus)),
            Check::Threads(cpus) => target::threads(machine, &set(places, cpus)),
            Check::Pollers(cpus) => target::pollers(machine, &set(places, cpus)),
            Check::Limit { name, condition } => target::limit(machine, name, condition, places),
            Check::NoProcess(name) => target::no_process(machine, name),
        }
    }
}

fn set(places: &Places, text: &str) -> CpuSet {
    CpuSet::list(&places.fill(text)).unwrap_or_default()
}

fn sysctl_path(name: &str) -> Result<String, String> {
    let valid = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-*".contains(c));
    match name.split('.').all(valid) {
        true => Ok(format!("/proc/sys/{}", name.replace('.', "/"))),
        false => Err(format!("'{name}' is no sysctl")),
    }
}

/// A path below the folders in which the kernel keeps its settings, so that a profile cannot name other files.
fn file_path(path: &str) -> Result<String, String> {
    match is_kernel_setting(path) {
        true => Ok(path.to_owned()),
        false => Err(format!("'{path}' is not below /proc/sys or /sys")),
    }
}

/// Whether a path is one that tuning may write to.
pub(super) fn is_kernel_setting(path: &str) -> bool {
    let below = ["/proc/sys/", "/proc/irq/", "/sys/"].iter().any(|folder| path.starts_with(folder));
    below && path.split('/').all(|part| part != "..")
}

impl Condition {
    fn of(row: &Row) -> Result<Option<Condition>, String> {
        let all = [
            row.at_least.map(Condition::AtLeast),
            row.at_most.map(Condition::AtMost),
            row.equals.clone().map(Condition::Equals),
            row.selects.clone().map(Condition::Selects),
            row.cpus.clone().map(Condition::Cpus),
            row.mask.clone().map(Condition::Mask),
        ];
        let mut given = all.into_iter().flatten();
        let first = given.next();
        if given.next().is_some() { Err("it has more than one condition".to_owned()) } else { Ok(first) }
    }

    /// What should be, in words.
    pub(super) fn describe(&self, places: &Places) -> String {
        match self {
            Condition::AtLeast(least) => format!("at least {least}"),
            Condition::AtMost(0) => "0".to_owned(),
            Condition::AtMost(most) => format!("at most {most}"),
            Condition::Equals(words) | Condition::Selects(words) => words.join(" or "),
            Condition::Cpus(text) | Condition::Mask(text) => {
                let filled = places.fill(text);
                if filled.is_empty() { "no CPU".to_owned() } else { format!("CPU {filled}") }
            }
        }
    }

    /// The part of a file's text that is its value.
    fn value<'a>(&self, text: &'a str) -> &'a str {
        match self {
            Condition::Selects(_) => {
                text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(text, |t| t.0)
            }
            _ => text,
        }
    }

    /// Whether a value is as it should be.
    pub(super) fn holds(&self, value: &str, places: &Places) -> bool {
        match self {
            Condition::AtLeast(least) => value.parse::<u64>().is_ok_and(|number| number >= *least),
            Condition::AtMost(most) => value.parse::<u64>().is_ok_and(|number| number <= *most),
            Condition::Equals(words) | Condition::Selects(words) => words.iter().any(|word| word == value),
            Condition::Cpus(text) => CpuSet::list(value).is_some_and(|cpus| cpus == set(places, text)),
            Condition::Mask(text) => CpuSet::mask(value).is_some_and(|cpus| cpus == set(places, text)),
        }
    }

    /// A value for people.
    fn show(&self, value: &str) -> String {
        let cpus = match self {
            Condition::Mask(_) => CpuSet::mask(value),
            Condition::Cpus(_) => CpuSet::list(value),
            _ => return value.to_owned(),
        };
        match cpus {
            Some(cpus) if cpus.is_empty() => "no CPU".to_owned(),
            Some(cpus) => format!("CPU {cpus}"),
            None => value.to_owned(),
        }
    }
}

fn look_at_files(machine: &Machine, pattern: &str, condition: &Condition, places: &Places) -> Outcome {
    let required = condition.describe(places);
    let read = |path: String| machine.read(&path).map(|text| (path, condition.value(&text).to_owned()));
    let found: Vec<(String, String)> = machine.matches(pattern).into_iter().filter_map(read).collect();
    if found.is_empty() {
        return Outcome::absent(required, "this machine has none");
    }
    let wrong: Vec<Wrong> = found
        .iter()
        .filter(|(_, value)| !condition.holds(value, places))
        .map(|(path, value)| Wrong { path: path.clone(), value: value.clone(), wanted: None })
        .collect();
    let shown = if wrong.is_empty() {
        found.iter().map(|(_, value)| value).collect::<Vec<_>>()
    } else {
        wrong.iter().map(|one| &one.value).collect()
    };
    let mut values: Vec<String> = shown.iter().map(|value| condition.show(value)).collect();
    values.sort();
    values.dedup();
    let mut current = values.join(", ");
    if !wrong.is_empty() && found.len() > 1 {
        current = format!("{current} ({} of {})", wrong.len(), found.len());
    }
    Outcome { wrong: wrong.clone(), ..Outcome::of(required, current, wrong.is_empty()) }
}
