//! Roster against its peers: CPU per operation, latency, memory per key, and what a second worker costs.
//!
//! `cargo bench --bench peers -- --help` lists the options and `docs/benchmarks.md` tells how to read the figures.
//! Every point starts a fresh server pinned to one core while the generator runs on another; rounds are interleaved
//! over the servers, so that what else the machine does meets all of them alike.

mod cases;
mod generator;
mod loader;
mod machine;
mod memory;
mod options;
mod process;
mod report;
mod scaling;
mod servers;
mod speed;

use std::process::ExitCode;

use options::{Options, Part};

/// What a step of the harness returns; the text says what failed and how to remedy it.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    // Test runners execute every target once, or ask it for its list of tests; neither means to measure for minutes.
    if !std::env::args().any(|word| word == "--bench") {
        eprintln!("peers: nothing is measured without --bench, which `cargo bench --bench peers` gives");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(error) => error.exit(),
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("peers: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let servers = servers::choose(options)?;
    let base = servers::base(&servers);
    println!("{}", report::preface(&servers, options));
    let mut parts = serde_json::Map::new();
    if options.parts.contains(&Part::Speed) {
        let points = speed::measure(&servers, options)?;
        println!("{}", report::speed(&points, &servers, &base));
        parts.insert("speed".into(), report::speed_json(&points, &servers, &base));
    }
    if options.parts.contains(&Part::Memory) {
        let points = memory::measure(&servers, options)?;
        println!("{}", report::memory(&points, &servers));
        parts.insert("memory".into(), report::memory_json(&points));
    }
    if options.parts.contains(&Part::Scaling) {
        let points = scaling::measure(&servers, options)?;
        println!("{}", report::scaling(&points, &servers));
        parts.insert("scaling".into(), report::scaling_json(&points));
    }
    match &options.json {
        Some(path) => report::save(path, &servers, options, parts),
        None => Ok(()),
    }
}
