//! The result as Markdown tables and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::machine;
use crate::memory::Weight;
use crate::options::Options;
use crate::scaling::{self, LAYOUTS, Layout};
use crate::servers::{Server, version};
use crate::speed::Point;

/// What was measured, on what, and with what.
pub(crate) fn preface(servers: &[Server], options: &Options) -> String {
    let mut text = format!("Machine: {}.\n\n", machine::describe());
    for server in servers {
        let _ = writeln!(text, "- {}: {}", server.name, server.version);
    }
    let generator = version(&options.cache.join("bin").join("valkey-benchmark"));
    let _ = writeln!(
        text,
        "- generator: {}; {} connections, {} keys, {} operations at pipeline 1, {} rounds",
        generator.unwrap_or_else(|_| "valkey-benchmark, not installed".into()),
        options.connections,
        options.keyspace,
        options.operations,
        options.rounds,
    );
    text
}

/// The speed tables: medians over the rounds, then ratios.
pub(crate) fn speed(points: &[Point], servers: &[Server], base: &[String]) -> String {
    let mut text = String::from(
        "## Speed\n\n| case | server | requests/s | p50 ms | p99 ms | p99.9 ms | user µs | system µs | CPU µs/op | busy % | disturbed % |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for case in cases(points) {
        for server in servers {
            let of = select(points, &server.name, &case);
            let middle = |figure: fn(&Point) -> f64| median(of.iter().map(|point| figure(point)).collect());
            let _ = writeln!(
                text,
                "| {case} | {} | {:.0} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.0} | {:.1} |",
                server.name,
                middle(|point| point.seen.per_second),
                middle(|point| point.seen.p50),
                middle(|point| point.seen.p99),
                middle(|point| point.seen.p999),
                middle(Point::user),
                middle(Point::system),
                middle(Point::total),
                middle(Point::busy) * 100.0,
                middle(Point::disturbed),
            );
        }
    }
    text.push_str(&ratios(points, servers, base));
    text
}

/// The ratio tables; a figure below 1 means that the server named in the row spends less.
fn ratios(points: &[Point], servers: &[Server], base: &[String]) -> String {
    let mut text = String::new();
    for (title, figure) in FIGURES {
        let peers = opponents(servers, base);
        let _ = write!(text, "\n### {title}, ratio: median of the rounds (least to most)\n\n| case | server |");
        for peer in &peers {
            let _ = write!(text, " to {peer} |");
        }
        let _ = writeln!(text, "\n| --- | --- |{}", " --: |".repeat(peers.len()));
        for case in cases(points) {
            for server in base {
                let _ = write!(text, "| {case} | {server} |");
                for peer in &peers {
                    let all = rounds(points, server, peer, &case, figure);
                    let _ = match (server == peer, least_most(&all)) {
                        (false, Some((least, most))) => {
                            write!(text, " {:.2} ({least:.2} to {most:.2}) |", median(all.clone()))
                        }
                        _ => write!(text, " |"),
                    };
                }
                text.push('\n');
            }
        }
    }
    text
}

/// A figure of a point, in microseconds per operation.
type Figure = fn(&Point) -> f64;

/// The figures of which ratios are shown.
const FIGURES: [(&str, Figure); 2] = [("CPU per operation", Point::total), ("User CPU per operation", Point::user)];

/// Whom a base server is compared to: every server that is no base, and the first base if there are variants of it.
fn opponents(servers: &[Server], base: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        servers.iter().map(|server| server.name.clone()).filter(|name| !base.contains(name)).collect();
    if base.len() > 1 {
        names.push(base[0].clone());
    }
    names
}

/// The ratios of one server to another, a round each.
fn rounds(points: &[Point], server: &str, peer: &str, case: &str, figure: Figure) -> Vec<f64> {
    let peers = select(points, peer, case);
    let pair = |point: &&Point| {
        let other = peers.iter().find(|other| other.round == point.round)?;
        Some(figure(point) / figure(other))
    };
    select(points, server, case).iter().filter_map(pair).collect()
}

/// The memory tables.
pub(crate) fn memory(weights: &[Weight], servers: &[Server]) -> String {
    let heads = |text: &mut String, first: &str| {
        let _ = write!(text, "| {first} |");
        for server in servers {
            let _ = write!(text, " {} |", server.name);
        }
        let _ = writeln!(text, "\n| --- |{}", " --: |".repeat(servers.len()));
    };
    let mut text = String::from("## Memory\n\nResident bytes per key above key (16 B) and value:\n\n");
    heads(&mut text, "keys, value");
    for row in weights.chunks(servers.len()) {
        let _ = write!(text, "| {} keys, {} B |", row[0].keys, row[0].size);
        for weight in row {
            let _ = write!(text, " {:.1} |", weight.overhead());
        }
        text.push('\n');
    }
    text.push_str("\nResident memory in MiB, empty → with all keys:\n\n");
    heads(&mut text, "keys, value");
    for row in weights.chunks(servers.len()) {
        let _ = write!(text, "| {} keys, {} B |", row[0].keys, row[0].size);
        for weight in row {
            let _ = write!(text, " {:.1} → {:.1} |", mebibytes(weight.empty), mebibytes(weight.full));
        }
        text.push('\n');
    }
    text
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The scaling table.
pub(crate) fn scaling(points: &[(Layout, Point)], servers: &[Server]) -> String {
    let mut text = String::from("## Scaling\n\nCPU µs per operation (requests/s), medians:\n\n| case | server |");
    for layout in LAYOUTS {
        let _ = write!(text, " {} |", layout.name());
    }
    text.push_str(" CPU per operation, 2 workers to 1 |\n| --- | --- | --: | --: | --: | --: |\n");
    let plain: Vec<Point> = points.iter().map(|(_, point)| point.clone()).collect();
    for case in cases(&plain) {
        for server in servers.iter().filter(|server| scaling::scales(server)) {
            let _ = write!(text, "| {case} | {} |", server.name);
            let of = |wanted: Layout| {
                let chosen: Vec<Point> =
                    points.iter().filter(|(layout, _)| *layout == wanted).map(|(_, point)| point.clone()).collect();
                select(&chosen, &server.name, &case).into_iter().cloned().collect::<Vec<_>>()
            };
            for layout in LAYOUTS {
                let of = of(layout);
                let total = median(of.iter().map(Point::total).collect());
                let speed = median(of.iter().map(|point| point.seen.per_second).collect());
                let _ = write!(text, " {total:.3} ({speed:.0}) |");
            }
            let pairs =
                of(Layout::Two).iter().zip(&of(Layout::One)).map(|(two, one)| two.total() / one.total()).collect();
            let _ = writeln!(text, " {:.2} |", median(pairs));
        }
    }
    text
}

/// Every point, and the median ratios.
pub(crate) fn speed_json(points: &[Point], servers: &[Server], base: &[String]) -> Value {
    let mut medians = Vec::new();
    for case in cases(points) {
        for server in base {
            for peer in opponents(servers, base).iter().filter(|peer| *peer != server) {
                let of = |figure| median(rounds(points, server, peer, &case, figure));
                medians.push(json!({
                    "case": case, "server": server, "to": peer,
                    "cpu": of(Point::total), "user": of(Point::user),
                }));
            }
        }
    }
    json!({ "points": points.iter().map(point_json).collect::<Vec<_>>(), "ratios": medians })
}

fn point_json(point: &Point) -> Value {
    json!({
        "server": point.server, "case": point.case, "round": point.round,
        "requests": point.seen.requests, "requests_per_second": point.seen.per_second,
        "p50_ms": point.seen.p50, "p99_ms": point.seen.p99, "p99_9_ms": point.seen.p999,
        "user_us": point.user(), "system_us": point.system(), "cpu_us": point.total(), "ring_threads_us": point.ring(),
        "busy_cores": point.busy(), "disturbed_percent": point.disturbed(), "seconds": point.seconds,
    })
}

pub(crate) fn memory_json(weights: &[Weight]) -> Value {
    let each = |weight: &Weight| {
        json!({
            "server": weight.server, "keys": weight.keys, "value_bytes": weight.size,
            "empty_bytes": weight.empty, "full_bytes": weight.full, "overhead_per_key": weight.overhead(),
        })
    };
    Value::Array(weights.iter().map(each).collect())
}

pub(crate) fn scaling_json(points: &[(Layout, Point)]) -> Value {
    let each = |(layout, point): &(Layout, Point)| {
        let mut value = point_json(point);
        value["layout"] = json!(layout.name());
        value
    };
    Value::Array(points.iter().map(each).collect())
}

/// Writes the JSON file: the parts, and what they were measured with.
pub(crate) fn save(path: &Path, servers: &[Server], options: &Options, mut parts: Map<String, Value>) -> Outcome<()> {
    let each =
        |server: &Server| json!({ "name": server.name, "version": server.version, "arguments": server.words[1..] });
    parts.insert("machine".into(), json!(machine::describe()));
    parts.insert("servers".into(), servers.iter().map(each).collect());
    parts.insert(
        "options".into(),
        json!({
            "rounds": options.rounds, "operations": options.operations, "connections": options.connections,
            "keyspace": options.keyspace, "server_core": options.server_core, "generator_core": options.generator_core,
        }),
    );
    let text = serde_json::to_string_pretty(&parts).map_err(|error| format!("the result has no JSON form: {error}"))?;
    fs::write(path, text + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The names of the cases, in the order in which they were measured.
fn cases(points: &[Point]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for point in points {
        if !names.contains(&point.case) {
            names.push(point.case.clone());
        }
    }
    names
}

fn select<'a>(points: &'a [Point], server: &str, case: &str) -> Vec<&'a Point> {
    points.iter().filter(|point| point.server == server && point.case == case).collect()
}

/// The middle value; of an even number of values the mean of the two in the middle. Not a number if there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

fn least_most(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let most = values.iter().copied().max_by(f64::total_cmp)?;
    Some((least, most))
}
