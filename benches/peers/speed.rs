//! The speed part: CPU per operation, throughput and latency of every case on every server.

use std::time::Instant;

use crate::Outcome;
use crate::cases::{self, Case};
use crate::generator::{self, Seen};
use crate::loader;
use crate::options::Options;
use crate::process::{CpuTime, Running};
use crate::servers::Server;

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) server: String,
    pub(crate) case: String,
    pub(crate) round: usize,
    pub(crate) seen: Seen,
    /// CPU time of the server between the generator's start and end, in seconds.
    pub(crate) cpu: CpuTime,
    /// The time between them, in seconds.
    pub(crate) seconds: f64,
}

impl Point {
    /// Server CPU, user and system together, in microseconds per operation.
    pub(crate) fn total(&self) -> f64 {
        self.per_operation(self.cpu.total())
    }

    pub(crate) fn user(&self) -> f64 {
        self.total() * self.cpu.user_share()
    }

    pub(crate) fn system(&self) -> f64 {
        self.total() * (1.0 - self.cpu.user_share())
    }

    /// The part of the total that io_uring's kernel threads took.
    pub(crate) fn ring(&self) -> f64 {
        self.per_operation(self.cpu.ring)
    }

    /// Cores that the server kept busy: near the number of its threads if it, not the generator, was the limit.
    pub(crate) fn busy(&self) -> f64 {
        self.cpu.total() / self.seconds
    }

    /// Time the server was ready to run and had no core, in percent of the point: other load on its core.
    pub(crate) fn disturbed(&self) -> f64 {
        self.cpu.waiting / self.seconds * 100.0
    }

    fn per_operation(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.seen.requests as f64
    }
}

/// How a point is placed on the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'a> {
    pub(crate) server: &'a [usize],
    pub(crate) workers: usize,
    pub(crate) generator: &'a [usize],
}

/// Measures every case on every server. The order of the servers shifts with each round, so that none always follows
/// the same neighbour.
pub(crate) fn measure(servers: &[Server], options: &Options) -> Outcome<Vec<Point>> {
    let cases = cases::choose(options);
    if cases.is_empty() {
        return Err("no case has a name with any of the texts given by --cases".into());
    }
    let placement = Placement { server: &[options.server_core], workers: 1, generator: &[options.generator_core] };
    let mut points = Vec::new();
    for round in 0..options.rounds {
        for case in &cases {
            eprintln!("speed: round {} of {}, {}", round + 1, options.rounds, case.name);
            for place in 0..servers.len() {
                let server = &servers[(place + round) % servers.len()];
                points.push(point(server, case, round, placement, options)?);
            }
        }
    }
    Ok(points)
}

/// One point on a fresh server.
pub(crate) fn point(
    server: &Server,
    case: &Case,
    round: usize,
    placement: Placement<'_>,
    options: &Options,
) -> Outcome<Point> {
    let named = |error: String| format!("{}, {}: {error}", server.name, case.name);
    let running = Running::start(server, placement.server, placement.workers)?;
    if let Some((template, count)) = &case.preload {
        crate::machine::on_cores(&[options.generator_core], || {
            loader::load(running.address(), template, *count, case.size)
        })
        .map_err(named)?;
    }
    let before = running.cpu().map_err(named)?;
    let start = Instant::now();
    let seen = generator::run(case, running.port, placement.generator, options).map_err(named)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = running.cpu().map_err(named)? - before;
    Ok(Point { server: server.name.clone(), case: case.name.clone(), round, seen, cpu, seconds })
}
