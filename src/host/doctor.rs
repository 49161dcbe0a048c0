//! `roster doctor`: a report on a machine for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cpuset::CpuSet;
use super::machine::Machine;
use super::process::{self, WorkerThread};
use super::topology::{self, Cpu, Nic};
use super::tuning::{Finding, Report, Severity, State};

/// The widest column of a table; longer cells are cut.
const WIDEST: usize = 44;

/// The report as a table, and the picture of the machine.
pub fn text(report: &Report, machine: &Machine, coloured: bool) -> String {
    let mut page = format!("Profile {}\n\n", report.profile);
    let mut rows = vec![["condition", "required", "current", "severity", ""].map(str::to_owned)];
    for finding in &report.findings {
        let Finding { condition, required, current, severity, state, .. } = finding;
        let verdict = word(*state).to_owned();
        rows.push([condition.clone(), required.clone(), current.clone(), severity.as_str().to_owned(), verdict]);
    }
    let colours = report.findings.iter().map(|finding| coloured.then(|| colour(finding)));
    table(&mut page, &rows, &std::iter::once(None).chain(colours).collect::<Vec<_>>());
    for (number, one) in report.differing().enumerate() {
        let heading = if number == 0 { "\nRemedies\n" } else { "" };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, "{heading}  {}: {}\n    {}", one.condition, one.remedy, one.why);
    }
    page += "\n";
    picture(&mut page, report, machine);
    let _ = writeln!(page, "\n{}", summary(report));
    page
}

fn summary(report: &Report) -> String {
    let count = |state| report.findings.iter().filter(|finding| finding.state == state).count();
    let (holds, absent) = (count(State::Holds), count(State::Absent));
    let of = |severity| report.differing().filter(|finding| finding.severity == severity).count();
    let (fatal, warnings, notes) = (of(Severity::Fatal), of(Severity::Warning), of(Severity::Note));
    format!("{holds} hold, {absent} do not apply, {fatal} fatal, {warnings} warnings, {notes} notes")
}

fn word(state: State) -> &'static str {
    match state {
        State::Holds => "ok",
        State::Differs => "differs",
        State::Absent => "-",
    }
}

/// The escape sequence of a row's colour.
fn colour(finding: &Finding) -> &'static str {
    match (finding.state, finding.severity) {
        (State::Holds, _) => "\x1b[32m",
        (State::Absent, _) => "\x1b[2m",
        (State::Differs, Severity::Note) => "\x1b[36m",
        (State::Differs, Severity::Warning) => "\x1b[33m",
        (State::Differs, Severity::Fatal) => "\x1b[31m",
    }
}

/// Writes rows with columns of one width each, a row in its colour.
fn table<const N: usize>(page: &mut String, rows: &[[String; N]], colours: &[Option<&'static str>]) {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().min(WIDEST);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        // The last column has nothing after it to push away.
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column + 1 == N {
            true => cell.clone(),
            false => format!("{:width$}", shorten(cell)),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = match colours.get(number).copied().flatten() {
            Some(colour) => writeln!(page, "{colour}{}\x1b[0m", line.trim_end()),
            None => writeln!(page, "{}", line.trim_end()),
        };
    }
}

/// A cell that fits into the widest column.
fn shorten(cell: &str) -> String {
    if cell.chars().count() <= WIDEST {
        return cell.to_owned();
    }
    cell.chars().take(WIDEST - 1).chain(['…']).collect()
}

/// What is known of a machine's CPUs and network devices.
struct Picture {
    cpus: Vec<Cpu>,
    nics: Vec<Nic>,
    workers: Vec<WorkerThread>,
    pollers: Vec<WorkerThread>,
}

impl Picture {
    fn of(machine: &Machine) -> Self {
        let (pid, workers) = process::server(machine).unzip();
        let pollers = pid.map(|pid| process::pollers(machine, pid)).unwrap_or_default();
        let workers = workers.unwrap_or_default();
        Self { cpus: topology::cpus(machine), nics: topology::nics(machine), workers, pollers }
    }

    /// What a CPU does: its part in the layout, what the kernel keeps from it, and who is bound to it.
    fn uses(&self, report: &Report, cpu: &Cpu) -> Vec<String> {
        let mut uses = Vec::new();
        let parts = [("housekeeping", &report.places.housekeeping), ("workers", &report.places.workers)];
        uses.extend(parts.iter().filter(|(_, set)| set.contains(cpu.number)).map(|(name, _)| (*name).to_owned()));
        uses.extend(cpu.isolated.then(|| "isolated".to_owned()));
        uses.extend(cpu.tickless.then(|| "no tick".to_owned()));
        let bound = |set: &CpuSet| set.cpus() == [cpu.number];
        let threads = self.workers.iter().chain(&self.pollers);
        uses.extend(threads.filter(|thread| bound(&thread.cpus)).map(|thread| thread.name.clone()));
        for interrupt in self.nics.iter().flat_map(|nic| &nic.interrupts) {
            if interrupt.affinity.as_ref().is_some_and(bound) {
                uses.push(interrupt.name.clone());
            }
        }
        uses
    }
}

fn picture(page: &mut String, report: &Report, machine: &Machine) {
    let picture = Picture::of(machine);
    let mut rows = vec![["CPU", "NUMA", "sibling", "is for"].map(str::to_owned)];
    for cpu in &picture.cpus {
        let node = cpu.node.map_or_else(|| "-".to_owned(), |node| node.to_string());
        let siblings = if cpu.siblings.is_empty() { "-".to_owned() } else { cpu.siblings.to_string() };
        rows.push([cpu.number.to_string(), node, siblings, picture.uses(report, cpu).join(", ")]);
    }
    table(page, &rows, &[]);
    for nic in &picture.nics {
        let _ = writeln!(page, "\n{}: {} receive and {} transmit queues", nic.name, nic.receive, nic.transmit);
        for interrupt in &nic.interrupts {
            let cpus = interrupt.affinity.as_ref().map_or_else(|| "unknown".to_owned(), CpuSet::to_string);
            let _ = writeln!(page, "  interrupt {} {} on CPU {cpus}", interrupt.number, interrupt.name);
        }
    }
}

/// The report as JSON.
pub fn json(report: &Report, machine: &Machine) -> String {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "condition": finding.condition, "why": finding.why, "required": finding.required,
            "current": finding.current, "severity": finding.severity.as_str(),
            "state": match finding.state { State::Holds => "ok", State::Differs => "differs", State::Absent => "absent" },
            "remedy": finding.remedy,
        })
    });
    let picture = Picture::of(machine);
    let cpus = picture.cpus.iter().map(|cpu| {
        json!({
            "cpu": cpu.number, "node": cpu.node, "siblings": cpu.siblings.cpus(), "isolated": cpu.isolated,
            "tickless": cpu.tickless, "uses": picture.uses(report, cpu),
        })
    });
    let nics = picture.nics.iter().map(|nic| {
        let interrupts = nic.interrupts.iter().map(
            |one| json!({ "interrupt": one.number, "name": one.name, "cpus": one.affinity.as_ref().map(CpuSet::cpus) }),
        );
        json!({
            "name": nic.name, "receive_queues": nic.receive, "transmit_queues": nic.transmit,
            "interrupts": interrupts.collect::<Value>(),
        })
    });
    let page = json!({
        "profile": report.profile, "passed": report.passes(), "findings": findings.collect::<Value>(),
        "topology": { "cpus": cpus.collect::<Value>(), "nics": nics.collect::<Value>() },
    });
    format!("{page:#}\n")
}
