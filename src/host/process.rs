//! The processes of a machine, as far as tuning concerns them: the running server, and programs that must not run.

use super::cpuset::CpuSet;
use super::machine::Machine;

/// The name of the server's process, and of its first worker.
const SERVER: &str = "roster";
const FIRST_WORKER: &str = "roster-0";
/// How the kernel names the threads that poll submission queues, before a number.
const POLLER: &str = "iou-sqp-";

/// One thread of a running server: a worker, or a thread of the kernel that polls a worker's ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerThread {
    /// Its name.
    pub name: String,
    /// The CPUs that it may run on.
    pub cpus: CpuSet,
}

/// The numbers of the processes with this name.
pub fn named(machine: &Machine, name: &str) -> Vec<u32> {
    let numbers = machine.names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    numbers.filter(|pid| machine.read(&format!("/proc/{pid}/comm")).is_some_and(|comm| comm == name)).collect()
}

/// The workers of the process, if it is a server.
pub fn workers(machine: &Machine, pid: u32) -> Vec<WorkerThread> {
    threads(machine, pid, "roster-")
}

/// The threads of the kernel that poll the rings of a process (`sqpoll`).
pub fn pollers(machine: &Machine, pid: u32) -> Vec<WorkerThread> {
    threads(machine, pid, POLLER)
}

/// The threads of a process whose name is `start` and a number.
fn threads(machine: &Machine, pid: u32, start: &str) -> Vec<WorkerThread> {
    let mut found = Vec::new();
    for thread in machine.names(&format!("/proc/{pid}/task")) {
        let read = |file: &str| machine.read(&format!("/proc/{pid}/task/{thread}/{file}"));
        let name = read("comm").unwrap_or_default();
        let is_one = name.strip_prefix(start).is_some_and(|number| number.parse::<usize>().is_ok());
        let status = read("status").filter(|_| is_one).unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        if let Some(cpus) = list.and_then(CpuSet::list) {
            found.push(WorkerThread { name, cpus });
        }
    }
    found
}

/// The running server, by the name of its process and of its first worker: the one that has a worker.
pub fn server(machine: &Machine) -> Option<(u32, Vec<WorkerThread>)> {
    let candidates = named(machine, SERVER).into_iter().map(|pid| (pid, workers(machine, pid)));
    candidates.into_iter().find(|(_, workers)| workers.iter().any(|worker| worker.name == FIRST_WORKER))
}

/// A soft limit of a process, such as that of `Max locked memory`.
pub fn limit(machine: &Machine, pid: u32, name: &str) -> Option<String> {
    let table = machine.read(&format!("/proc/{pid}/limits"))?;
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next().map(str::to_owned)
}
