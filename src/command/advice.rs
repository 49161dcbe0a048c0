//! What `LATENCY DOCTOR` and `MEMORY DOCTOR` say: plain sentences about numbers.

use std::fmt::Write as _;

use crate::config::Settings;
use crate::telemetry::latency::Spikes;

/// Events that took long, and what can be done.
pub(super) fn on_latency(kinds: &[(&'static str, Spikes)], settings: &Settings) -> String {
    let threshold = settings.latency_monitor_threshold;
    let mut text = String::new();
    if threshold == 0 {
        text.push_str(
            "Events are not watched, because latency-monitor-threshold is 0. To note those of 100 ms and more: CONFIG SET \
             latency-monitor-threshold 100\n",
        );
    } else if kinds.is_empty() {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "No event took {threshold} ms or more since the start or the last LATENCY RESET.");
    }
    for (kind, spikes) in kinds {
        let (count, mean, worst) = (spikes.samples.len(), spikes.mean(), spikes.worst);
        let plural = if count == 1 { "" } else { "s" };
        let _ = writeln!(text, "{kind}: {count} sample{plural}, {mean} ms on average, {worst} ms at worst.");
    }
    for (kind, advice) in ADVICE {
        if kinds.iter().any(|(known, _)| known == kind) {
            text.push('\n');
            text.push_str(advice);
            text.push('\n');
        }
    }
    let log = settings.slowlog_log_slower_than;
    let beyond = u64::try_from(log).is_err() || log as u64 > threshold.saturating_mul(1000);
    if threshold > 0 && beyond && kinds.iter().any(|(kind, _)| kind.ends_with("command")) {
        let micros = threshold.saturating_mul(1000);
        let _ = writeln!(
            text,
            "\nThe slow log keeps only part of these commands: CONFIG SET slowlog-log-slower-than {micros} has it keep all."
        );
    }
    text
}

const ADVICE: &[(&str, &str)] = &[
    (
        "command",
        "Commands took long whose cost grows with their data. SLOWLOG GET tells which; take SCAN, HSCAN, SSCAN and ZSCAN \
         instead of commands that return everything, limit ranges, and free large values by UNLINK.",
    ),
    (
        "fast-command",
        "Commands took long that never have much to do. Then the machine kept the worker waiting: look for other processes \
         on its processors, for swapping, and for transparent huge pages.",
    ),
    (
        "expire-cycle",
        "Many keys expired at once. Spread their times to live, or lower active-expire-effort, so that a round removes \
         fewer of them.",
    ),
];

/// What `MEMORY DOCTOR` looks at, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) used: u64,
    pub(super) peak: u64,
    pub(super) resident: u64,
    pub(super) allocated: u64,
    pub(super) active: u64,
    pub(super) clients: u64,
    pub(super) connected: u64,
}

/// Bytes below which nothing is worth a sentence.
const SMALL: u64 = 5 << 20;

/// What is out of the ordinary about the memory.
pub(super) fn on_memory(memory: Memory) -> String {
    let Memory { used, peak, resident, allocated, active, clients, connected } = memory;
    if used < SMALL {
        return "The server holds less than 5 MB, too little to tell anything from.\n".to_owned();
    }
    let mut found = Vec::new();
    let ratio = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    if ratio(peak, used) > 1.5 {
        found.push(format!(
            "The server once used {:.1} times the memory that it uses now. Freed pages go back to the system within some \
             seconds; MEMORY PURGE gives them back at once.",
            ratio(peak, used)
        ));
    }
    if ratio(active, allocated) > 1.1 && active - allocated > 10 << 20 {
        found.push(format!(
            "The allocator holds {:.2} times what is in use, because what is in use lies scattered over its pages. A restart \
             packs it.",
            ratio(active, allocated)
        ));
    }
    if ratio(resident, active) > 1.4 && resident - active > 10 << 20 {
        found.push(format!(
            "The process has {:.2} times the pages that the allocator uses. MEMORY PURGE gives free pages back.",
            ratio(resident, active)
        ));
    }
    if connected > 0 && clients / connected > 200 * 1024 {
        found.push(format!(
            "The buffers of {connected} clients take {} KB each on average. Clients that send large requests or do not read \
             their replies are found by CLIENT LIST (qbuf, omem).",
            clients / connected / 1024
        ));
    }
    if found.is_empty() { "Nothing is out of the ordinary.\n".to_owned() } else { found.join("\n") + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::latency::Latencies;

    #[test]
    fn advice_follows_from_the_events() {
        let latencies = Latencies::default();
        let text = |threshold, log| {
            let settings =
                Settings { latency_monitor_threshold: threshold, slowlog_log_slower_than: log, ..Settings::default() };
            on_latency(&latencies.all(), &settings)
        };
        assert!(text(0, 10_000).starts_with("Events are not watched"));
        assert!(text(5, 10_000).starts_with("No event took 5 ms"));
        latencies.note("command", 1, 7);
        latencies.note("expire-cycle", 1, 9);
        let said = text(5, 10_000);
        assert!(said.starts_with("command: 1 sample, 7 ms on average, 7 ms at worst.\nexpire-cycle: 1"), "{said}");
        assert!(said.contains("slowlog-log-slower-than 5000") && said.contains("active-expire-effort"), "{said}");
        assert!(!said.contains("transparent huge pages") && !text(5, 5000).contains("CONFIG SET slowlog"));
        assert!(text(5, -1).contains("slowlog-log-slower-than 5000"));
    }

    #[test]
    fn only_what_is_out_of_the_ordinary_is_told() {
        let even = Memory {
            used: 100 << 20,
            peak: 100 << 20,
            resident: 110 << 20,
            allocated: 100 << 20,
            active: 105 << 20,
            clients: 1 << 20,
            connected: 100,
        };
        assert_eq!(on_memory(even), "Nothing is out of the ordinary.\n");
        assert!(on_memory(Memory { used: 1, ..even }).starts_with("The server holds less"));
        for (memory, words) in [
            (Memory { peak: 200 << 20, ..even }, "2.0 times the memory"),
            (Memory { active: 150 << 20, resident: 150 << 20, ..even }, "1.50 times what is in use"),
            (Memory { resident: 200 << 20, ..even }, "1.90 times the pages"),
            (Memory { clients: 100 << 20, ..even }, "take 1024 KB each"),
        ] {
            let said = on_memory(memory);
            assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        }
    }
}
