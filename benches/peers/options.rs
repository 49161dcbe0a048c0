//! The command line of the harness.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// A part of the measurement that can be asked for on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// CPU per operation, throughput and latency of every case.
    Speed,
    /// Resident bytes per key.
    Memory,
    /// Two workers against one.
    Scaling,
}

/// What the command line asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// The parts to run, in this order.
    pub(crate) parts: Vec<Part>,
    /// Names of the servers, the first of kind Roster being the base of the ratios.
    pub(crate) servers: Vec<String>,
    /// Roster's binary.
    pub(crate) roster: PathBuf,
    /// Roster's arguments with `{port}`, `{workers}`, `{cores}` and `{dir}` to be filled in.
    pub(crate) roster_arguments: String,
    /// More servers: Roster under this name with these further arguments.
    pub(crate) variants: Vec<(String, String)>,
    /// Where `install` put the peers.
    pub(crate) cache: PathBuf,
    /// Words of case names; a case runs if any of these is in its name. Empty stands for the default cases.
    pub(crate) cases: Vec<String>,
    /// Bytes of a value.
    pub(crate) sizes: Vec<usize>,
    /// Requests in flight per connection.
    pub(crate) pipelines: Vec<usize>,
    /// How often every point is measured.
    pub(crate) rounds: usize,
    /// Operations of a point at pipeline 1; deeper pipelines run up to eight times as many.
    pub(crate) operations: u64,
    /// Connections of the generator.
    pub(crate) connections: usize,
    /// Different keys.
    pub(crate) keyspace: u64,
    /// Key counts of the memory part.
    pub(crate) keys: Vec<u64>,
    /// Bytes of a value in the memory part.
    pub(crate) memory_sizes: Vec<usize>,
    /// The core of the server.
    pub(crate) server_core: usize,
    /// The core of the generator.
    pub(crate) generator_core: usize,
    /// Where the machine-readable result goes.
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; the error is one that clap can print.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        let pairs = list::<String>(&matches, "variant").into_iter().map(|text| {
            let (name, words) = text.split_once('=').ok_or_else(|| {
                command()
                    .error(clap::error::ErrorKind::ValueValidation, format!("--variant '{text}' is not NAME=ARGUMENTS"))
            })?;
            Ok((format!("roster-{name}"), words.to_owned()))
        });
        Ok(Self {
            variants: pairs.collect::<Result<_, clap::Error>>()?,
            parts: list::<String>(&matches, "parts").iter().map(|name| part(name)).collect(),
            servers: list(&matches, "servers"),
            roster: one(&matches, "roster"),
            roster_arguments: one(&matches, "roster-arguments"),
            cache: matches.get_one("cache").cloned().unwrap_or_else(default_cache),
            cases: list(&matches, "cases"),
            sizes: list(&matches, "sizes"),
            pipelines: list(&matches, "pipelines"),
            rounds: one::<u64>(&matches, "rounds") as usize,
            operations: one(&matches, "operations"),
            connections: one(&matches, "connections"),
            keyspace: one(&matches, "keyspace"),
            keys: list(&matches, "keys"),
            memory_sizes: list(&matches, "memory-sizes"),
            server_core: one(&matches, "server-core"),
            generator_core: one(&matches, "generator-core"),
            json: matches.get_one("json").cloned(),
        })
    }
}

fn part(name: &str) -> Part {
    match name {
        "memory" => Part::Memory,
        "scaling" => Part::Scaling,
        _ => Part::Speed,
    }
}

/// The value of an option that has a default, so it is always there.
fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).cloned().unwrap_or_else(|| unreachable!("option {name} has a default"))
}

fn list<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many::<T>(name).map(|values| values.cloned().collect()).unwrap_or_default()
}

/// The directory that `install` uses, by the same rule.
fn default_cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ROSTER_PEERS").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("roster-peers")
    })
}

fn command() -> Command {
    let listed = |name, default, help| option(name, help).default_value(default).value_delimiter(',');
    let sizes = |name, default, help| listed(name, default, help).value_parser(size_parser);
    let count =
        |name, default, help| option(name, help).default_value(default).value_parser(value_parser!(u64).range(1..));
    let size = |name, default, help| option(name, help).default_value(default).value_parser(size_parser);
    let core = |name, default, help| option(name, help).default_value(default).value_parser(core_parser);
    Command::new("peers")
        .about("Measures Roster and its peers; see docs/benchmarks.md")
        .no_binary_name(false)
        .arg(option("bench", "Given by cargo bench").action(ArgAction::SetTrue).hide(true))
        .arg(listed("parts", "speed,memory,scaling", "Parts to run").value_parser(["speed", "memory", "scaling"]))
        .arg(listed(
            "servers",
            "roster,valkey-9,valkey-8,redis-7",
            "Servers; the ratios are of roster and its variants, or of the first if there is none",
        ))
        .arg(
            option("roster", "Roster's binary")
                .default_value(env!("CARGO_BIN_EXE_roster"))
                .hide_default_value(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            option("roster-arguments", "Roster's arguments; {port}, {workers}, {cores}, {dir} are filled in")
                .default_value("--port {port} --workers {workers}")
                .allow_hyphen_values(true),
        )
        .arg(
            option(
                "variant",
                "Another roster with further arguments, as in epoll='--io-driver epoll'; can be repeated",
            )
            .action(ArgAction::Append)
            .value_name("NAME=ARGUMENTS"),
        )
        .arg(option("cache", "Where benches/peers/install put the peers").value_parser(value_parser!(PathBuf)))
        .arg(
            option(
                "cases",
                "Only cases with one of these in their name, as whole words in any capitals; 'all' for every case",
            )
            .value_delimiter(','),
        )
        .arg(sizes("sizes", "64,256", "Bytes of a value"))
        .arg(sizes("pipelines", "1,16,50", "Requests in flight per connection"))
        .arg(count("rounds", "3", "Measurements of every point, interleaved over the servers"))
        .arg(count(
            "operations",
            "100000",
            "Operations of a point at pipeline 1; up to eight times as many at deeper ones",
        ))
        .arg(size("connections", "50", "Connections of the generator"))
        .arg(count("keyspace", "100000", "Different keys, all present before a point begins"))
        .arg(
            listed("keys", "10000,100000,1000000,5000000", "Key counts of the memory part")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(sizes("memory-sizes", "32,256", "Bytes of a value in the memory part"))
        .arg(core("server-core", "0", "Core of the server"))
        .arg(core("generator-core", "1", "Core of the generator"))
        .arg(option("json", "Also write everything to this file").value_parser(value_parser!(PathBuf)))
}

fn option(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help)
}

/// A count that is kept in memory or sent as one batch, bounded so that no buffer grows out of hand.
fn size_parser(text: &str) -> Result<usize, String> {
    bounded(text, 1, 1 << 20)
}

fn core_parser(text: &str) -> Result<usize, String> {
    bounded(text, 0, 1023)
}

fn bounded(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be a number from {least} to {most}")),
    }
}
