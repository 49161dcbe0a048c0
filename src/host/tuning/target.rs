//! The checks of what is more than the value of a file.

use super::check::{Condition, Outcome, Wrong};
use super::layout::Places;
use crate::host::cpuset::CpuSet;
use crate::host::machine::Machine;
use crate::host::{process, topology};

/// The kernel was started with this parameter; of two with one name the last counts.
pub(super) fn boot(machine: &Machine, wanted: &str) -> Outcome {
    let Some(line) = machine.read("/proc/cmdline") else {
        return Outcome::absent(wanted.to_owned(), "the kernel does not tell");
    };
    let name = |parameter: &str| parameter.split('=').next().unwrap_or_default().to_owned();
    // What follows `--` is for the first program, not for the kernel.
    let kernel = line.split_whitespace().take_while(|word| *word != "--");
    let last = kernel.filter(|word| name(word) == name(wanted)).last();
    Outcome::of(wanted.to_owned(), last.unwrap_or("not given").to_owned(), last == Some(wanted))
}

/// The interrupts of the network come in on these CPUs only. Those that do not are to be spread over them.
pub(super) fn interrupts(machine: &Machine, cpus: &CpuSet) -> Outcome {
    let required = format!("CPU {cpus}");
    let nics = topology::nics(machine);
    let all: Vec<_> = nics.iter().flat_map(|nic| &nic.interrupts).filter(|one| one.affinity.is_some()).collect();
    if all.is_empty() {
        return Outcome::absent(required, "no network device has interrupts");
    }
    let mut wrong = Vec::new();
    for (number, interrupt) in all.iter().enumerate() {
        let Some(affinity) = interrupt.affinity.as_ref().filter(|affinity| !affinity.is_within(cpus)) else { continue };
        let wanted = cpus.cpus().get(number % cpus.cpus().len().max(1)).map(usize::to_string);
        wrong.push(Wrong { path: interrupt.file(), value: affinity.to_string(), wanted });
    }
    let union = |sets: &mut dyn Iterator<Item = &CpuSet>| sets.flat_map(|set| set.cpus().to_vec()).collect::<CpuSet>();
    let everywhere = union(&mut all.iter().filter_map(|one| one.affinity.as_ref()));
    let current = match wrong.len() {
        0 => format!("CPU {everywhere}"),
        some => format!("CPU {everywhere} ({some} of {} interrupts)", all.len()),
    };
    Outcome { wrong: wrong.clone(), ..Outcome::of(required, current, wrong.is_empty()) }
}

/// No device has more receive queues than CPUs.
pub(super) fn channels(machine: &Machine, cpus: &CpuSet) -> Outcome {
    let most = cpus.cpus().len();
    let required = format!("at most {most}");
    let nics = topology::nics(machine);
    let queues: Vec<String> = nics.iter().map(|nic| format!("{} {}", nic.name, nic.receive)).collect();
    match nics.is_empty() {
        true => Outcome::absent(required, "there is no network device"),
        false => Outcome::of(required, queues.join(", "), nics.iter().all(|nic| nic.receive <= most)),
    }
}

/// Every worker of the running server stays on these CPUs.
pub(super) fn threads(machine: &Machine, cpus: &CpuSet) -> Outcome {
    let required = format!("CPU {cpus}");
    let Some((_, workers)) = process::server(machine) else {
        return Outcome::absent(required, "no server runs");
    };
    let used: CpuSet = workers.iter().flat_map(|worker| worker.cpus.cpus().to_vec()).collect();
    Outcome::of(required, format!("CPU {used}"), used.is_within(cpus))
}

/// The rings of the running server are polled by threads of the kernel, and those stay on these CPUs.
pub(super) fn pollers(machine: &Machine, cpus: &CpuSet) -> Outcome {
    let required = format!("CPU {cpus}");
    let Some((pid, _)) = process::server(machine) else {
        return Outcome::absent(required, "no server runs");
    };
    let pollers = process::pollers(machine, pid);
    if pollers.is_empty() {
        return Outcome::of(required, "no thread polls".to_owned(), false);
    }
    let used: CpuSet = pollers.iter().flat_map(|poller| poller.cpus.cpus().to_vec()).collect();
    Outcome::of(required, format!("CPU {used}"), used.is_within(cpus))
}

/// A limit of the running server.
pub(super) fn limit(machine: &Machine, name: &str, condition: &Condition, places: &Places) -> Outcome {
    let required = condition.describe(places);
    let value = process::server(machine).and_then(|(pid, _)| process::limit(machine, pid, name));
    match value {
        Some(value) => {
            let holds = condition.holds(&value, places);
            Outcome::of(required, value, holds)
        }
        None => Outcome::absent(required, "no server runs"),
    }
}

/// No process of this name runs.
pub(super) fn no_process(machine: &Machine, name: &str) -> Outcome {
    // Where a service may not see the processes of others, as under ProtectProc=, it sees not even the first.
    if machine.read("/proc/1/comm").is_none() {
        return Outcome::absent("does not run".to_owned(), "other processes are hidden");
    }
    let running = process::named(machine, name);
    let current = if running.is_empty() { "does not run" } else { "runs" };
    Outcome::of("does not run".to_owned(), current.to_owned(), running.is_empty())
}
