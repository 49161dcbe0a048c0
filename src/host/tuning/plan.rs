//! From findings to changes: a plan, the script that carries it out, its application, and the way back.

use std::fmt::Write as _;
use std::path::Path;

use super::check::Check;
use super::layout::Places;
use super::profile::Profile;
use super::record::{Change, Record, place};
use super::{Report, examine};
use crate::host::machine::Machine;

/// What is to be done on a machine.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The files to write.
    pub steps: Vec<Step>,
    /// What only a person can do, a line each.
    pub by_hand: Vec<String>,
}

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The row that it comes from, and what that is for.
    pub reason: String,
    /// The change.
    pub change: Change,
}

/// The plan for what differs.
pub fn plan(report: &Report) -> Plan {
    let mut plan = Plan::default();
    for finding in report.differing() {
        let mut possible = false;
        for wrong in &finding.wrong {
            let Some(new) = wrong.wanted.clone() else { continue };
            possible = true;
            let change = Change { path: wrong.path.clone(), old: wrong.value.clone(), new };
            plan.steps.push(Step { reason: format!("{}: {}", finding.condition, finding.why), change });
        }
        if !possible {
            plan.by_hand.push(finding.line());
        }
    }
    plan
}

/// The kernel parameters that a profile wants, in one line.
pub fn kernel_parameters(profile: &Profile, places: &Places) -> String {
    let parameters = profile.knobs.iter().filter_map(|knob| match &knob.check {
        Check::Boot(parameter) => Some(places.fill(parameter)),
        _ => None,
    });
    parameters.collect::<Vec<_>>().join(" ")
}

/// The settings of the server that belong to a profile, as lines for its file of settings.
pub fn settings(profile: &Profile, places: &Places) -> String {
    let filled = profile.settings.iter().map(|(name, value)| {
        let value = match value.as_str() {
            Some(text) => places.fill_setting(text).into(),
            None => value.clone(),
        };
        format!("{name} = {value}\n")
    });
    filled.collect()
}

impl Plan {
    /// The plan as a script for a shell.
    pub fn script(&self, profile: &str) -> String {
        let mut text =
            format!("#!/bin/sh\n# What roster tune --profile {profile} --apply would do: {}.\nset -eu\n", self.size());
        let mut reason = "";
        for step in &self.steps {
            if step.reason != reason {
                reason = &step.reason;
                // Writing to a String cannot fail, here and below.
                let _ = write!(text, "\n# {reason}\n");
            }
            let Change { path, old, new } = &step.change;
            let _ = writeln!(text, "printf '%s\\n' {} > {}  # was {old}", quote(new), quote(path));
        }
        if !self.by_hand.is_empty() {
            text += "\n# By hand:\n";
            self.by_hand.iter().for_each(|line| text += &format!("#   {line}\n"));
        }
        text
    }

    fn size(&self) -> String {
        match self.steps.len() {
            0 => "nothing, no value differs that can be written".to_owned(),
            1 => "1 change".to_owned(),
            many => format!("{many} changes"),
        }
    }
}

/// A word for a shell, whatever it holds.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What was done: a line for each change or refusal, and whether all of it worked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub lines: Vec<String>,
    /// How many changes failed.
    pub failed: usize,
}

impl Outcome {
    fn note(&mut self, done: Result<String, String>) {
        match done {
            Ok(line) => self.lines.push(line),
            Err(line) => {
                self.failed += 1;
                self.lines.push(format!("failed: {line}"));
            }
        }
    }
}

/// Writes what differs from `profile`, which was called `name`, and records the values from before.
///
/// # Errors
/// That the profile is not for the machine, or that nothing may be recorded: then nothing is changed.
pub fn apply(machine: &Machine, name: &str, profile: &Profile) -> Result<Outcome, String> {
    let plan = plan(&examine(profile, machine)?);
    let place = place(machine);
    let boot = boot(machine);
    // What was changed before the last boot is gone with it.
    let before = Record::read(&place)?.filter(|record| record.boot == boot);
    if let Some(other) = before.as_ref().filter(|record| record.profile != name && !record.changes.is_empty()) {
        return Err(format!("the profile {} is in force: take it back first by roster tune --revert", other.profile));
    }
    let mut record = before.unwrap_or_else(|| Record { boot, ..Record::default() });
    record.profile = name.to_owned();
    let mut outcome = Outcome::default();
    for Step { change, .. } in &plan.steps {
        // The record comes first: a change that nobody knows of could not be taken back.
        let mut next = record.clone();
        next.add(change.clone());
        next.write(&place)?;
        let done = write(machine, &change.path, &change.new);
        if done.is_ok() {
            record = next;
        }
        outcome.note(done.map(|()| format!("{}: {} -> {}", change.path, change.old, change.new)));
    }
    record.write(&place)?;
    outcome.lines.extend(plan.by_hand.iter().map(|line| format!("by hand: {line}")));
    Ok(outcome)
}

/// Writes the recorded old values back, last change first, and forgets the record. A value that somebody else has changed
/// since is left as it is.
///
/// # Errors
/// That the record cannot be read or removed.
pub fn revert(machine: &Machine) -> Result<Outcome, String> {
    let place = place(machine);
    let mut outcome = Outcome::default();
    let Some(mut record) = Record::read(&place)? else {
        outcome.lines.push("nothing to take back: no profile was applied".to_owned());
        return Ok(outcome);
    };
    if record.boot != boot(machine) {
        outcome.lines.push("nothing to take back: the machine has booted since".to_owned());
        record.changes.clear();
    }
    let mut left = Vec::new();
    for change in record.changes.drain(..).rev() {
        let now = machine.read(&change.path).unwrap_or_default();
        if !is_same(&now, &change.new) {
            outcome.lines.push(format!("{}: left, it is {now} by now and was set to {}", change.path, change.new));
            continue;
        }
        let done = write(machine, &change.path, &change.old);
        if done.is_err() {
            left.push(change.clone());
        }
        outcome.note(done.map(|()| format!("{}: {} -> {}", change.path, change.new, change.old)));
    }
    if left.is_empty() {
        std::fs::remove_file(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    } else {
        left.reverse();
        record.changes = left;
        record.write(&place)?;
    }
    Ok(outcome)
}

/// Whether a file holds what was written to it: the kernel marks a choice by brackets and pads masks by zeros.
fn is_same(now: &str, written: &str) -> bool {
    let folded = |text: &str| text.replace(',', "").trim_start_matches('0').to_owned();
    now == written || now.contains(&format!("[{written}]")) || folded(now) == folded(written)
}

fn boot(machine: &Machine) -> String {
    machine.read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn write(machine: &Machine, path: &str, value: &str) -> Result<(), String> {
    let place = machine.place(path);
    // The kernel makes no files here: one that is missing must not come into being elsewhere.
    let open = std::fs::OpenOptions::new().write(true).truncate(!machine.is_this()).open(&place);
    let written = open.and_then(|mut file| std::io::Write::write_all(&mut file, format!("{value}\n").as_bytes()));
    written.map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::PermissionDenied { "; it takes root" } else { "" };
        format!("{}: {value} cannot be written: {error}{hint}", Path::new(path).display())
    })
}
