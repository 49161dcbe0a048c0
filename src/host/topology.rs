//! The picture of a machine: its CPUs, what each is for, and the queues and interrupts of its network devices.

use super::cpuset::CpuSet;
use super::machine::Machine;

/// One CPU that is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: usize,
    /// The number of its NUMA node, where the machine tells.
    pub node: Option<usize>,
    /// The other threads of its core.
    pub siblings: CpuSet,
    /// Whether the scheduler leaves it alone.
    pub isolated: bool,
    /// Whether its tick stops while one thread runs.
    pub tickless: bool,
}

/// A network device that is no mere name: it has a device below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Receive queues.
    pub receive: usize,
    /// Transmit queues.
    pub transmit: usize,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
}

/// One interrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number.
    pub number: u32,
    /// Its name, such as `virtio3-input.0`.
    pub name: String,
    /// The CPUs that it may come in on; `None` where the kernel does not tell.
    pub affinity: Option<CpuSet>,
}

impl Interrupt {
    /// The file that says on which CPUs it may come in.
    pub fn file(&self) -> String {
        format!("/proc/irq/{}/smp_affinity_list", self.number)
    }
}

/// The CPUs that are online, in ascending order.
pub fn cpus(machine: &Machine) -> Vec<Cpu> {
    let set = |path: &str| machine.read(path).and_then(|text| CpuSet::list(&text)).unwrap_or_default();
    let isolated = set("/sys/devices/system/cpu/isolated");
    let tickless = set("/sys/devices/system/cpu/nohz_full");
    let nodes: Vec<(usize, CpuSet)> = machine
        .names("/sys/devices/system/node")
        .iter()
        .filter_map(|name| Some((name.strip_prefix("node")?.parse().ok()?, name)))
        .map(|(number, name)| (number, set(&format!("/sys/devices/system/node/{name}/cpulist"))))
        .collect();
    let siblings = |cpu: usize| set(&format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"));
    let online = set("/sys/devices/system/cpu/online");
    let picture = |number: usize| Cpu {
        number,
        node: nodes.iter().find(|(_, cpus)| cpus.contains(number)).map(|(node, _)| *node),
        siblings: siblings(number).cpus().iter().copied().filter(|other| *other != number).collect(),
        isolated: isolated.contains(number),
        tickless: tickless.contains(number),
    };
    online.cpus().iter().copied().map(picture).collect()
}

/// The network devices with hardware, real or the hypervisor's, below them.
pub fn nics(machine: &Machine) -> Vec<Nic> {
    let table = machine.read("/proc/interrupts").unwrap_or_default();
    let names = machine.names("/sys/class/net");
    names.into_iter().filter_map(|name| nic(machine, &table, name)).collect()
}

fn nic(machine: &Machine, table: &str, name: String) -> Option<Nic> {
    let device = machine.place(&format!("/sys/class/net/{name}/device")).canonicalize().ok()?;
    let queues = machine.names(&format!("/sys/class/net/{name}/queues"));
    let count = |kind: &str| queues.iter().filter(|queue| queue.starts_with(kind)).count();
    // Drivers name their interrupts after the interface or after the device (virtio3), and PCI lists their numbers; the
    // PCI device of a virtio device is the one above it.
    let words = [Some(name.clone()), device.file_name().map(|name| name.to_string_lossy().into_owned())];
    let listed: Vec<String> = [Some(device.as_path()), device.parent()]
        .into_iter()
        .flatten()
        .flat_map(|place| std::fs::read_dir(place.join("msi_irqs")).into_iter().flatten().flatten())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let belongs = |number: &str, label: &str| {
        let named = words.iter().flatten().any(|word| label.strip_prefix(word.as_str()).is_some_and(ends_word));
        named || listed.iter().any(|one| one == number)
    };
    let interrupts = table.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (number, label) = (number.trim(), rest.split_whitespace().last()?);
        let parsed = number.parse().ok().filter(|_| belongs(number, label))?;
        let affinity = machine.read(&format!("/proc/irq/{number}/smp_affinity_list"));
        Some(Interrupt {
            number: parsed,
            name: label.to_owned(),
            affinity: affinity.and_then(|text| CpuSet::list(&text)),
        })
    });
    Some(Nic { receive: count("rx-"), transmit: count("tx-"), interrupts: interrupts.collect(), name })
}

/// Whether a name ends before `rest`, so that `virtio1` is no part of `virtio10-input.0`.
fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
}
