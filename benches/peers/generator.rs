//! The load generator, valkey-benchmark, and what its report says.
//!
//! Its CSV has no percentile beyond the 99th, but its full report prints the whole latency histogram. So the full
//! report is read: the 99.9th percentile is the first line of the histogram that covers at least 99.9 % of the
//! requests (the report has a line at 99.902 %), an upper bound by one step of the histogram.

use std::process::{Command, Stdio};

use crate::Outcome;
use crate::cases::Case;
use crate::machine;
use crate::options::Options;

/// What the generator saw of one point. Latencies are of a whole pipeline batch, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Runs the case against the server at `port` from `cores`, with one generator thread for each core.
pub(crate) fn run(case: &Case, port: u16, cores: &[usize], options: &Options) -> Outcome<Seen> {
    let program = options.cache.join("bin").join("valkey-benchmark");
    let mut command = Command::new(&program);
    let mut number = |name: &str, value: u64| {
        command.arg(name).arg(value.to_string());
    };
    number("-p", u64::from(port));
    number("-c", options.connections as u64);
    number("-n", case.operations);
    number("-P", case.pipeline as u64);
    number("-d", case.size as u64);
    number("-r", options.keyspace);
    if cores.len() > 1 {
        number("--threads", cores.len() as u64);
    }
    command.args(["--precision", "3", "--"]).args(&case.command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = machine::on_cores(cores, || {
        command.spawn().map_err(|error| format!("{}: {error}; run benches/peers/install first", program.display()))
    })?;
    let output = child.wait_with_output().map_err(|error| format!("valkey-benchmark: {error}"))?;
    let report = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    // It warns when a server has no CONFIG, which is no failure; an error reply to the measured command is one.
    if !output.status.success() || complaint.contains("Error from server") || report.contains("Error from server") {
        return Err(format!("valkey-benchmark failed at '{}': {} {}", case.name, complaint.trim(), tail(&report)));
    }
    parse(&report)
        .ok_or_else(|| format!("valkey-benchmark's report on '{}' was not understood: {}", case.name, tail(&report)))
}

fn tail(report: &str) -> String {
    let lines: Vec<&str> = report.trim().split(['\r', '\n']).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

/// Reads the full report.
fn parse(report: &str) -> Option<Seen> {
    let lines: Vec<&str> = report.split(['\r', '\n']).map(str::trim).collect();
    let number_before = |mark: &str| {
        let line = lines.iter().find(|line| line.contains(mark))?;
        line.split(mark).next()?.split_whitespace().last()?.parse::<f64>().ok()
    };
    let header = lines.iter().position(|line| line.starts_with("avg") && line.ends_with("max"))?;
    let summary: Vec<f64> = lines.get(header + 1)?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [_, _, p50, _, p99, _] = summary[..] else {
        return None;
    };
    Some(Seen {
        requests: number_before("requests completed")? as u64,
        per_second: number_before("requests per second")?,
        p50,
        p99,
        p999: lines.iter().filter_map(|line| step(line)).find(|(percent, _)| *percent >= 99.9)?.1,
    })
}

/// A line of the histogram, such as `99.902% <= 1.063 milliseconds (cumulative count 9991)`.
fn step(line: &str) -> Option<(f64, f64)> {
    let (percent, rest) = line.split_once("% <= ")?;
    Some((percent.parse().ok()?, rest.split_whitespace().next()?.parse().ok()?))
}
