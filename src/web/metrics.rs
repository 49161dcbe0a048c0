//! `/metrics`: what `INFO` tells, as Prometheus reads it, under the names that exporters for Redis use.

mod rows;

use std::sync::OnceLock;

use super::exposition::{Exposition, Kind};
use super::fields::{Fields, part, parts};
use super::{Health, Source};
use crate::command::report;
use crate::host::tuning;
use crate::telemetry::Stats;
use crate::telemetry::commandlog::Kind as Log;
use rows::ROWS;

/// The whole page.
pub(super) fn write(source: Source) -> String {
    let text = report(source.node);
    let fields = Fields::read(&text);
    let mut page = Exposition::default();
    let health = (source.health)(source.node);
    state(&mut page, &fields, health);
    for row in ROWS {
        if let Some(value) = fields.get(row.field).and_then(number) {
            page.one(row.name, row.kind, row.help, value);
        }
    }
    commands(&mut page, &fields);
    latencies(&mut page, &fields);
    page.family("redis_errors_total", Kind::Counter, "Error replies by their code.");
    for (code, value) in fields.family("errorstat_") {
        page.sample(&[("err", code)], part(value, "count").unwrap_or("0"));
    }
    databases(&mut page, &fields, source.node.keyspace.databases());
    events(&mut page, &source.node.stats);
    workers(&mut page, &fields, &source.node.stats);
    findings(&mut page);
    page.finish()
}

/// The value of a field; states that are words are 1 where all is well.
fn number(value: &str) -> Option<&str> {
    match value {
        "ok" => Some("1"),
        "err" => Some("0"),
        other => other.parse::<f64>().is_ok().then_some(other),
    }
}

fn state(page: &mut Exposition, fields: &Fields<'_>, health: Health) {
    let up = u8::from(health == Health::Serving);
    page.one("redis_up", Kind::Gauge, "Whether the server serves its clients.", up);
    let loading = u8::from(health == Health::Loading);
    page.one("redis_loading_dump_file", Kind::Gauge, "Whether the server reads its files.", loading);
    page.family("redis_instance_info", Kind::Gauge, "What the server is.");
    let labels =
        ["role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id"]
            .map(|name| (name, fields.text(name)));
    page.sample(&[&labels[..], &[("process_id", fields.text("process_id"))]].concat(), 1);
    page.family("roster_build_info", Kind::Gauge, "The version of Roster, and its interface to the kernel.");
    page.sample(&[("version", fields.text("roster_version")), ("driver", fields.text("multiplexing_api"))], 1);
    // Worked out once: monitors tell a restart by a change of it.
    static START: OnceLock<f64> = OnceLock::new();
    let start =
        START.get_or_init(|| (fields.number("server_time_usec") / 1e6 - fields.number("uptime_in_seconds")).floor());
    page.one("redis_start_time_seconds", Kind::Gauge, "Unix time of the start.", start);
}

fn commands(page: &mut Exposition, fields: &Fields<'_>) {
    let families = [
        ("redis_commands_total", "Calls by command.", "calls", 1.0),
        ("redis_commands_duration_seconds_total", "Time spent by command.", "usec", 1e6),
        (
            "redis_commands_rejected_calls_total",
            "Calls by command that were refused before they ran.",
            "rejected_calls",
            1.0,
        ),
        ("redis_commands_failed_calls_total", "Calls by command that ran and replied an error.", "failed_calls", 1.0),
    ];
    for (name, help, of, unit) in families {
        page.family(name, Kind::Counter, help);
        for (command, value) in fields.family("cmdstat_") {
            let amount = part(value, of).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
            page.sample(&[("cmd", command)], amount / unit);
        }
    }
}

fn latencies(page: &mut Exposition, fields: &Fields<'_>) {
    page.family("redis_latency_percentiles_usec", Kind::Summary, "Durations by command, in microseconds.");
    for (command, value) in fields.family("latency_percentiles_usec_") {
        for (percentile, micros) in parts(value) {
            let Some(percent) = percentile.strip_prefix('p').and_then(|text| text.parse::<f64>().ok()) else {
                continue;
            };
            // Rounded, because 99.9 has no exact hundredth.
            let quantile = ((percent * 1e8).round() / 1e10).to_string();
            page.sample(&[("cmd", command), ("quantile", &quantile)], micros);
        }
        let totals = fields.get(&format!("cmdstat_{command}")).unwrap_or_default();
        page.suffixed("_sum", &[("cmd", command)], part(totals, "usec").unwrap_or("0"));
        page.suffixed("_count", &[("cmd", command)], part(totals, "calls").unwrap_or("0"));
    }
}

/// What each database holds; all of them have keys to tell of, so that a sum over them is never missing.
fn databases(page: &mut Exposition, fields: &Fields<'_>, count: usize) {
    for (name, help, of) in [
        ("redis_db_keys", "Keys by database.", "keys"),
        ("redis_db_keys_expiring", "Keys with a time to live by database.", "expires"),
        ("roster_db_keys_with_expiring_fields", "Hashes with fields that expire by database.", "subexpiry"),
    ] {
        page.family(name, Kind::Gauge, help);
        for number in 0..count {
            let value = fields.get(&format!("db{number}")).and_then(|value| part(value, of));
            page.sample(&[("db", &format!("db{number}"))], value.unwrap_or("0"));
        }
    }
    let help = "Mean time to live of the keys that have one, estimated from a few.";
    page.family("redis_db_avg_ttl_seconds", Kind::Gauge, help);
    for (number, value) in fields.databases() {
        let ms = part(value, "avg_ttl").and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        page.sample(&[("db", &format!("db{number}"))], ms / 1e3);
    }
}

/// What took long.
fn events(page: &mut Exposition, stats: &Stats) {
    let slow = stats.command_logs.of(Log::Slow);
    page.one("redis_slowlog_length", Kind::Gauge, "Commands that the slow log holds.", slow.len());
    let last = slow.newest(1).pop();
    let (id, seconds) = last.map_or((0, 0.0), |last| (last.id, last.value as f64 / 1e6));
    page.one("redis_slowlog_last_id", Kind::Gauge, "Number of the last command in the slow log.", id);
    let help = "Time that the last command in the slow log took.";
    page.one("redis_last_slow_execution_duration_seconds", Kind::Gauge, help, seconds);
    let spikes = stats.latencies.all();
    page.family("redis_latency_spike_last", Kind::Gauge, "Unix time of the last event that took long, by its kind.");
    let last = || spikes.iter().filter_map(|(kind, spikes)| Some((*kind, *spikes.samples.back()?)));
    last().for_each(|(kind, sample)| page.sample(&[("event_name", kind)], sample.at));
    page.family("redis_latency_spike_duration_seconds", Kind::Gauge, "How long it took.");
    last().for_each(|(kind, sample)| page.sample(&[("event_name", kind)], sample.ms as f64 / 1e3));
}

/// How even the load of the workers is.
fn workers(page: &mut Exposition, fields: &Fields<'_>, stats: &Stats) {
    use std::sync::atomic::Ordering::Relaxed;
    let count = fields.number("workers") as usize;
    page.family("roster_worker_commands_total", Kind::Counter, "Commands by the worker that ran them.");
    for worker in 0..count {
        let commands = stats.worker(worker).commands.load(Relaxed);
        page.sample(&[("worker", &worker.to_string())], commands);
    }
    page.family("roster_worker_connections_total", Kind::Counter, "Connections by the worker that accepted them.");
    for worker in 0..count {
        let connections = stats.worker(worker).connections.load(Relaxed);
        page.sample(&[("worker", &worker.to_string())], connections);
    }
}

/// What `roster doctor` finds.
fn findings(page: &mut Exposition) {
    let Ok(report) = &*tuning::current() else { return };
    let passed = u8::from(report.passes());
    page.family(
        "roster_tuning_passed",
        Kind::Gauge,
        "Whether the host is as its tuning profile wants it, notes aside.",
    );
    page.sample(&[("profile", &report.profile)], passed);
    let differing = report.differing().count();
    page.one("roster_tuning_differing", Kind::Gauge, "Rows of the profile that the host differs from.", differing);
    page.family("roster_tuning_finding", Kind::Gauge, "A row of the profile that the host differs from.");
    for finding in report.differing() {
        let severity = finding.severity.as_str();
        page.sample(&[("condition", &finding.condition), ("severity", severity), ("remedy", &finding.remedy)], 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::command::testing::Rig;

    fn page(rig: &Rig) -> String {
        write(Source { node: rig.worker.node, health: |_| Health::Serving })
    }

    #[test]
    fn every_row_is_a_field_of_info_and_a_family_of_its_own() {
        let rig = Rig::new();
        let text = report(rig.worker.node);
        let fields = Fields::read(&text);
        // Those of the log are there where there is a log.
        let of_log = ["aof_current_size", "aof_base_size", "aof_pending_rewrite", "aof_buffer_length"];
        let of_log = [&of_log[..], &["aof_pending_bio_fsync", "aof_delayed_fsync"]].concat();
        let mut names = HashSet::new();
        for row in ROWS {
            let found = fields.get(row.field).and_then(number).is_some();
            assert!(found || of_log.contains(&row.field), "INFO has no number {}", row.field);
            assert!(names.insert(row.name), "{} stands there twice", row.name);
            let counts = row.name.ends_with("_total") || row.name.starts_with("redis_total_");
            assert!(row.kind == Kind::Gauge || counts, "{}", row.name);
        }
    }

    #[test]
    fn the_page_is_well_formed_and_tells_what_info_tells() {
        let mut rig = Rig::new();
        for request in ["SET a 1", "SET b 2 EX 100", "GET a", "GET none", "LPUSH a 1", "LPUSH", "SELECT 3", "SET c 1"] {
            rig.run(request);
        }
        crate::command::keep_ttls(&rig.worker);
        let page = page(&rig);
        let (mut types, mut helps, mut family, mut samples) = (HashSet::new(), HashSet::new(), "", HashMap::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split_once(' ').expect("a sentence").0;
                assert!(helps.insert(family), "{family} has two HELP lines");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest.split_once(' ').expect("a type").0, family);
                assert!(types.insert(family), "{family} has two TYPE lines");
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let bare = name.split('{').next().expect("a name");
                let suffix = bare.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
                assert!(["", "_sum", "_count"].contains(&suffix), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(samples.insert(name, value).is_none(), "{name} stands there twice");
            }
        }
        for (name, value) in [
            ("redis_up", "1"),
            ("redis_loading_dump_file", "0"),
            ("redis_connected_clients", "1"),
            ("redis_commands_total{cmd=\"set\"}", "3"),
            ("redis_commands_failed_calls_total{cmd=\"lpush\"}", "1"),
            ("redis_commands_rejected_calls_total{cmd=\"lpush\"}", "1"),
            ("redis_errors_total{err=\"WRONGTYPE\"}", "1"),
            ("redis_db_keys{db=\"db0\"}", "2"),
            ("redis_db_keys{db=\"db3\"}", "1"),
            ("redis_db_keys_expiring{db=\"db0\"}", "1"),
            ("redis_db_keys{db=\"db15\"}", "0"),
            ("redis_db_avg_ttl_seconds{db=\"db3\"}", "0"),
            ("redis_slowlog_length", "0"),
            ("redis_slowlog_last_id", "0"),
            ("redis_config_maxclients", "10000"),
            ("redis_keyspace_hits_total", "1"),
            ("redis_keyspace_misses_total", "1"),
            ("redis_rdb_last_bgsave_status", "1"),
            ("redis_latency_percentiles_usec_count{cmd=\"set\"}", "3"),
            ("roster_worker_commands_total{worker=\"0\"}", "8"),
            ("redis_commands_processed_total", "8"),
        ] {
            assert_eq!(samples.get(name), Some(&value), "{name}");
        }
        let ttl = samples["redis_db_avg_ttl_seconds{db=\"db0\"}"].parse::<f64>().expect("a number");
        assert!((90.0..=100.0).contains(&ttl), "{ttl}");
        assert!(samples.contains_key("redis_latency_percentiles_usec{cmd=\"set\",quantile=\"0.999\"}"));
        assert!(samples.keys().any(|name| name.starts_with("roster_tuning_passed{profile=\"generic\"}")));
        assert!(samples.keys().any(|name| name.starts_with("redis_instance_info{role=\"master\",redis_version=\"7.")));
    }
}
