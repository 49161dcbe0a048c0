//! Which CPUs of a host are for what.

use serde::Deserialize;

use crate::host::cpuset::CpuSet;
use crate::host::machine::Machine;

/// What stands for all CPUs that are online.
const ALL: &str = "all";

/// The layout as a profile writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    housekeeping: String,
    workers: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { housekeeping: ALL.to_owned(), workers: ALL.to_owned() }
    }
}

/// The layout on a machine.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The CPUs of the kernel, of interrupts and of other programs.
    pub housekeeping: CpuSet,
    /// The CPUs of the workers.
    pub workers: CpuSet,
}

impl Layout {
    /// The CPUs that the layout means on this machine.
    ///
    /// # Errors
    /// Which list is none, or names CPUs that the machine has not got.
    pub fn on(&self, machine: &Machine) -> Result<Places, String> {
        let online = machine.read("/sys/devices/system/cpu/online").and_then(|text| CpuSet::list(&text));
        let online = online.unwrap_or_default();
        let set = |name: &str, text: &str| {
            if text == ALL {
                return Ok(online.clone());
            }
            let set = CpuSet::list(text).filter(|set| !set.is_empty());
            let set = set.ok_or_else(|| format!("{name} '{text}' of the profile's layout is no CPU list"))?;
            match online.is_empty() || set.is_within(&online) {
                true => Ok(set),
                false => Err(format!(
                    "the profile is not for this machine: its {name} are the CPUs {set}, and online are {online}"
                )),
            }
        };
        Ok(Places { housekeeping: set("housekeeping", &self.housekeeping)?, workers: set("workers", &self.workers)? })
    }
}

impl Places {
    /// Puts the CPUs in for `{housekeeping}` and `{workers}`, which with `:mask` are written as masks.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, set) in [("housekeeping", &self.housekeeping), ("workers", &self.workers)] {
            filled = filled.replace(&format!("{{{name}}}"), &set.to_string());
            filled = filled.replace(&format!("{{{name}:mask}}"), &set.to_mask());
        }
        filled
    }

    /// The same for a setting of the server, where a number alone would be a count and not a CPU.
    pub fn fill_setting(&self, text: &str) -> String {
        let range = |set: &CpuSet| match set.cpus() {
            [one] => format!("{one}-{one}"),
            _ => set.to_string(),
        };
        text.replace("{housekeeping}", &range(&self.housekeeping)).replace("{workers}", &range(&self.workers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let places = Places { housekeeping: CpuSet::list("0-1").unwrap(), workers: CpuSet::list("2-15").unwrap() };
        assert_eq!(places.fill("a={workers},{housekeeping:mask}"), "a=2-15,3");
        assert_eq!(places.fill("{workers:mask}"), "fffc");
        let one = Places { workers: CpuSet::list("3").unwrap(), ..places };
        assert_eq!((one.fill("{workers}"), one.fill_setting("{workers}")), ("3".to_owned(), "3-3".to_owned()));
        assert_eq!(one.fill_setting("{housekeeping}"), "0-1");
    }

    #[test]
    fn a_layout_of_mistakes() {
        let layout =
            |text: &str| Layout { housekeeping: text.to_owned(), workers: ALL.to_owned() }.on(&Machine::default());
        assert!(layout("0").is_ok());
        assert!(layout("x").is_err_and(|error| error.contains("is no CPU list")));
        assert!(layout("0,8000").is_err_and(|error| error.contains("not for this machine")));
    }
}
