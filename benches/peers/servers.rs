//! The servers that can be measured and how each is started.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::options::Options;

/// Which side of a ratio a server stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Roster itself or a variant of it.
    Roster,
    /// A server that Roster is held against.
    Peer,
}

/// A server by name, and its command line with placeholders.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Program and arguments; `{port}`, `{workers}`, `{cores}` and `{dir}` are filled in for every start.
    pub(crate) words: Vec<String>,
    /// What it says of itself under `--version`.
    pub(crate) version: String,
}

impl Server {
    /// The command line for one start.
    pub(crate) fn command(&self, port: u16, cores: &[usize], workers: usize, directory: &Path) -> Vec<String> {
        let cores = cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let fill = |word: &String| {
            word.replace("{port}", &port.to_string())
                .replace("{workers}", &workers.to_string())
                .replace("{cores}", &cores)
                .replace("{dir}", &directory.to_string_lossy())
        };
        self.words.iter().map(fill).collect()
    }
}

/// Nothing is persisted and one thread serves, as Roster does with one worker. `--save ''` is one empty word.
const PEER_WORDS: [&str; 16] = [
    "--port",
    "{port}",
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--daemonize",
    "no",
    "--loglevel",
    "warning",
    "--dir",
    "{dir}",
    "--io-threads",
    "{workers}",
];

/// The peers that `install` brings.
const PEERS: [&str; 3] = ["valkey-9", "valkey-8", "redis-7"];

/// The servers that were asked for, every one of them checked to be there: none is ever left out silently.
pub(crate) fn choose(options: &Options) -> Outcome<Vec<Server>> {
    let mut servers = Vec::new();
    for name in &options.servers {
        match name.as_str() {
            "roster" => servers.push(roster(name, "", options)?),
            peer if PEERS.contains(&peer) => servers.push(installed(peer, options)?),
            other => {
                return Err(format!("there is no server '{other}'; known: roster, {}", PEERS.join(", ")));
            }
        }
    }
    for (name, arguments) in &options.variants {
        servers.push(roster(name, arguments, options)?);
    }
    for (place, server) in servers.iter().enumerate() {
        if servers[..place].iter().any(|earlier| earlier.name == server.name) {
            return Err(format!("server '{}' is named twice", server.name));
        }
    }
    Ok(servers)
}

/// Names of the servers whose ratios to the others are reported: all of kind Roster, or the first server if none is.
pub(crate) fn base(servers: &[Server]) -> Vec<String> {
    let rosters: Vec<String> =
        servers.iter().filter(|server| server.kind == Kind::Roster).map(|server| server.name.clone()).collect();
    match (rosters.is_empty(), servers.first()) {
        (true, Some(first)) => vec![first.name.clone()],
        _ => rosters,
    }
}

fn roster(name: &str, arguments: &str, options: &Options) -> Outcome<Server> {
    let mut words = vec![options.roster.to_string_lossy().into_owned()];
    words.extend(options.roster_arguments.split_whitespace().map(str::to_owned));
    words.extend(arguments.split_whitespace().map(str::to_owned));
    let version = version(&options.roster)
        .map_err(|error| format!("{error}; build roster first, or leave it out: --servers {}", PEERS.join(",")))?;
    Ok(Server { name: name.to_owned(), kind: Kind::Roster, words, version })
}

fn installed(name: &str, options: &Options) -> Outcome<Server> {
    let program = options.cache.join("bin").join(name);
    let version = version(&program).map_err(|error| format!("{error}; run benches/peers/install first"))?;
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(PEER_WORDS.iter().map(|word| (*word).to_owned()));
    Ok(Server { name: name.to_owned(), kind: Kind::Peer, words, version })
}

/// The first line that `--version` prints.
pub(crate) fn version(program: &Path) -> Outcome<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() => Ok(line.trim().to_owned()),
        _ => Err(format!("{} --version answered nothing", program.display())),
    }
}
