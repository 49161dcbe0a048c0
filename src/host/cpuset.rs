//! Sets of CPUs, as the kernel writes them: a list (`0-3,8`) or a mask (`00000001,0000010f`).

use super::cpu::ranges;

/// CPUs above this number are not believed: Linux is built for at most 8192.
const MOST_CPUS: usize = 8192;

/// Ascending CPUs without doubles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(Vec<usize>);

impl CpuSet {
    /// Reads a list; `None` if it is not one.
    pub fn list(text: &str) -> Option<Self> {
        let mut cpus = Vec::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last >= MOST_CPUS {
                return None;
            }
            cpus.extend(first..=last);
        }
        Some(cpus.into_iter().collect())
    }

    /// Reads a mask: groups of hexadecimal digits of which the last holds the CPUs from 0; `None` if it is not one.
    pub fn mask(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("0x").unwrap_or(text);
        let mut cpus = Vec::new();
        for (number, digit) in text.chars().rev().filter(|digit| *digit != ',').enumerate() {
            let bits = digit.to_digit(16)?;
            cpus.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| number * 4 + bit));
        }
        let valid = !text.is_empty() && cpus.iter().all(|cpu| *cpu < MOST_CPUS);
        valid.then(|| cpus.into_iter().collect())
    }

    /// The CPUs in ascending order.
    pub fn cpus(&self) -> &[usize] {
        &self.0
    }

    /// Whether no CPU is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the CPU is in it.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.binary_search(&cpu).is_ok()
    }

    /// Whether all its CPUs are in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|cpu| other.contains(*cpu))
    }

    /// As a mask, in groups of 32 bits.
    pub fn to_mask(&self) -> String {
        let groups = self.0.last().map_or(1, |last| last / 32 + 1);
        let mut words = vec![0u32; groups];
        self.0.iter().for_each(|cpu| words[groups - 1 - cpu / 32] |= 1 << (cpu % 32));
        let mut text = String::new();
        for (number, word) in words.iter().enumerate() {
            text += &if number == 0 { format!("{word:x}") } else { format!(",{word:08x}") };
        }
        text
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        Self(cpus)
    }
}

impl std::fmt::Display for CpuSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&ranges(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_masks() {
        let set = CpuSet::list("2-3, 33,2").unwrap();
        assert_eq!(
            (set.cpus(), set.to_mask().as_str(), set.to_string().as_str()),
            (&[2, 3, 33][..], "2,0000000c", "2-3,33")
        );
        assert_eq!(CpuSet::mask("00000002,0000000c"), Some(set.clone()));
        assert_eq!(CpuSet::mask("0").unwrap(), CpuSet::default());
        assert_eq!(CpuSet::default().to_mask(), "0");
        assert_eq!(CpuSet::list(""), Some(CpuSet::default()));
        assert!(CpuSet::list("3").unwrap().is_within(&set) && !CpuSet::list("4").unwrap().is_within(&set));
    }

    #[test]
    fn what_is_no_set() {
        for text in ["x", "3-1", "0-99999999999", "1-", "-"] {
            assert_eq!(CpuSet::list(text), None, "{text}");
        }
        assert_eq!(CpuSet::mask("xyz"), None);
        assert_eq!(CpuSet::mask(""), None);
    }
}
