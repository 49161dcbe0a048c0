//! CPUs: which the process may use, which the kernel keeps free of other work, and how many its quota is worth.

use core_affinity::CoreId;

/// The CPUs that this thread may run on, ascending; empty where the kernel does not say.
pub fn allowed() -> Vec<usize> {
    let mut cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    cpus.sort_unstable();
    cpus
}

/// The CPUs that the kernel's command line isolates from its scheduler (`isolcpus=`).
pub fn isolated() -> Vec<usize> {
    super::read("/sys/devices/system/cpu/isolated").map_or_else(Vec::new, |text| list(&text))
}

/// The CPUs for workers: the allowed ones, or of these only the isolated ones if there are any.
///
/// A process starts on the CPUs that are not isolated unless somebody says otherwise. So one that may run on exactly those
/// has been told nothing, and the isolated ones of its control group are meant for it.
pub fn preferred() -> Vec<usize> {
    let group = super::cgroup::values("cpuset.cpus.effective");
    let group = group.first().map_or_else(|| online().unwrap_or_default(), |text| list(text));
    prefer(allowed(), &isolated(), &group)
}

fn online() -> Option<Vec<usize>> {
    super::read("/sys/devices/system/cpu/online").map(|text| list(&text))
}

/// How many CPUs' time the control group grants (`cpu.max`), rounded up; `None` without a limit.
pub fn quota() -> Option<usize> {
    super::cgroup::values("cpu.max").iter().filter_map(|text| whole_cpus(text)).min()
}

/// Keeps the calling thread on one CPU; false if the kernel refuses.
pub fn pin(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

/// Writes ascending CPUs as the kernel does: `0-3,8`.
pub fn ranges(cpus: &[usize]) -> String {
    let run = |run: &[usize]| match run {
        [] => String::new(),
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
    };
    cpus.chunk_by(|one, next| one + 1 == *next).map(run).collect::<Vec<_>>().join(",")
}

/// `group` are the CPUs that the process could be given at all.
fn prefer(allowed: Vec<usize>, isolated: &[usize], group: &[usize]) -> Vec<usize> {
    let of = |cpus: &[usize]| cpus.iter().copied().filter(|cpu| isolated.contains(cpu)).collect::<Vec<usize>>();
    let told_nothing = group.iter().copied().filter(|cpu| !isolated.contains(cpu)).eq(allowed.iter().copied());
    let found = if told_nothing { of(group) } else { of(&allowed) };
    if found.is_empty() { allowed } else { found }
}

/// Reads a CPU list as the kernel writes it; what is not one counts as empty.
fn list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

fn whole_cpus(text: &str) -> Option<usize> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period) = (quota.parse::<usize>().ok()?, period.parse::<usize>().ok()?);
    Some(quota.div_ceil(period.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(list("0-2,8"), [0, 1, 2, 8]);
        assert!(list("").is_empty());
        assert!(list("x").is_empty());
        assert_eq!(ranges(&[0, 1, 2, 8, 10, 11]), "0-2,8,10-11");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn isolated_cpus_first() {
        let all = [0, 1, 2, 3];
        assert_eq!(prefer(vec![0, 1, 2, 3], &[2, 3, 9], &all), [2, 3]);
        assert_eq!(prefer(vec![0, 1], &[2], &[0, 1]), [0, 1]);
        assert_eq!(prefer(vec![0, 1], &[], &[0, 1]), [0, 1]);
        // The CPUs that the kernel gives by itself, and those that somebody chose.
        assert_eq!(prefer(vec![0], &[1, 2, 3], &all), [1, 2, 3]);
        assert_eq!(prefer(vec![0], &[2, 3], &all), [0]);
        assert_eq!(prefer(vec![0, 2], &[1, 2, 3], &all), [2]);
    }

    #[test]
    fn quotas_round_up() {
        assert_eq!(whole_cpus("150000 100000"), Some(2));
        assert_eq!(whole_cpus("50000 100000"), Some(1));
        assert_eq!(whole_cpus("max 100000"), None);
    }

    #[test]
    fn this_process_may_run_somewhere() {
        assert!(!allowed().is_empty());
    }
}
