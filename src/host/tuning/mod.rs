//! What a host should have, read from `tuning/`, and what this one has.
//!
//! A [`Profile`] is rows of data; [`examine`] compares them with a machine. The report is what `roster doctor` prints, what
//! the server says at its start and in `INFO`, and what `roster tune` makes its plan from.

mod check;
mod layout;
pub mod plan;
mod profile;
pub mod record;
mod target;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use check::{Check, State, Wrong};
pub use layout::Places;
pub use profile::{DEFAULT, Knob, Profile, Severity};

use super::machine::Machine;

/// How long a report for `INFO` is kept: looking at a machine takes some hundred small reads.
const REPORT_LIFE: Duration = Duration::from_secs(10);

/// What a profile finds on a machine.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the profile.
    pub profile: String,
    /// Which CPUs it means.
    pub places: Places,
    /// A finding for each row.
    pub findings: Vec<Finding>,
}

/// What one row found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The name of the row.
    pub condition: String,
    /// What the row is for.
    pub why: String,
    /// What there should be.
    pub required: String,
    /// What there is.
    pub current: String,
    /// How bad a difference is.
    pub severity: Severity,
    /// Whether there is one.
    pub state: State,
    /// What to do about it.
    pub remedy: String,
    /// The files to write, with the old value and, where the row has one, the new.
    pub wrong: Vec<Wrong>,
}

impl Finding {
    /// The finding in one line.
    pub fn line(&self) -> String {
        format!("{} is {} ({})", self.condition, self.current, self.remedy)
    }
}

impl Report {
    /// The rows that do not hold.
    pub fn differing(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.state == State::Differs)
    }

    /// Whether nothing that matters differs: notes may.
    pub fn passes(&self) -> bool {
        self.differing().all(|finding| finding.severity == Severity::Note)
    }
}

/// Compares a machine with a profile.
///
/// # Errors
/// That the profile's layout is not for the machine.
pub fn examine(profile: &Profile, machine: &Machine) -> Result<Report, String> {
    let places = profile.layout.on(machine)?;
    let findings = profile.knobs.iter().map(|knob| finding(knob, machine, &places)).collect();
    Ok(Report { profile: profile.name.clone(), places, findings })
}

fn finding(knob: &Knob, machine: &Machine, places: &Places) -> Finding {
    let mut outcome = knob.check.look(machine, places);
    let set = knob.set.as_ref().map(|set| places.fill(set));
    for wrong in &mut outcome.wrong {
        wrong.wanted = wrong.wanted.take().or_else(|| set.clone());
    }
    let remedy = match (&knob.remedy, &knob.check, &set) {
        (Some(remedy), ..) => places.fill(remedy),
        (None, Check::File { sysctl: Some(name), .. }, Some(set)) => format!("sysctl -w {name}={set}"),
        (None, Check::File { path, .. }, Some(set)) => format!("echo {set} > {path}"),
        (None, Check::Boot(_), _) => format!("boot with {}", outcome.required),
        (None, Check::Channels(_), _) => "ethtool -L DEVICE combined N".to_owned(),
        (None, Check::Interrupts(_), _) => "roster tune writes /proc/irq/*/smp_affinity_list".to_owned(),
        (None, Check::NoProcess(name), _) => format!("stop {name}"),
        (None, Check::Threads(_), _) => format!("set workers to {}", places.workers),
        (None, Check::Pollers(cpus), _) => format!("set sqpoll to yes and sqpoll-cpu to {}", places.fill(cpus)),
        (None, Check::Limit { .. }, _) => "raise the limit of the service".to_owned(),
        (None, Check::File { .. }, None) => outcome.required.clone(),
    };
    Finding {
        condition: knob.name.clone(),
        why: knob.why.clone(),
        required: outcome.required,
        current: outcome.current,
        severity: knob.severity,
        state: outcome.state,
        remedy,
        wrong: outcome.wrong,
    }
}

/// The profile that was applied to this machine by `roster tune`, else the generic one.
pub fn chosen(machine: &Machine) -> Result<Profile, String> {
    match record::Record::read(&record::place(machine)) {
        Ok(Some(record)) => Profile::named(&record.profile),
        _ => Profile::named(DEFAULT),
    }
}

/// What of this host is not as its profile wants it, without what is only a note: a sentence each, with the remedy.
pub fn findings() -> Vec<String> {
    match &*current() {
        Ok(report) => report.differing().filter(|one| one.severity > Severity::Note).map(Finding::line).collect(),
        Err(error) => vec![error.clone()],
    }
}

/// The report on this machine, at most ten seconds old.
pub fn current() -> Arc<Result<Report, String>> {
    type Kept = Option<(Instant, Arc<Result<Report, String>>)>;
    static KEPT: Mutex<Kept> = Mutex::new(None);
    let mut kept = KEPT.lock();
    if let Some((_, report)) = kept.as_ref().filter(|(since, _)| since.elapsed() < REPORT_LIFE) {
        return report.clone();
    }
    let machine = Machine::default();
    let report = Arc::new(chosen(&machine).and_then(|profile| examine(&profile, &machine)));
    *kept = Some((Instant::now(), report.clone()));
    report
}
