//! `roster import` and `roster export`: between this server's files and those of Redis and Valkey, while no server runs.

mod export;
mod import;
mod progress;

use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::context::{Facts, Node, Worker};
use super::record::Replay;
use super::{log, save};
use crate::config::{Handle, Settings};
use crate::persist::load::Loading;
use crate::persist::save::{Plan, save_alone};
use crate::store::DATABASES_MAX;
use progress::Progress;

/// Shards of the keyspace in between: so few threads need no more.
const SHARDS: usize = 64;
/// The most threads that load and save: what one thread reads and sums keeps no more of them busy.
const THREADS_MAX: usize = 8;

/// Answers a command line whose first word is `import` or `export`: what to print, or the error and the status to exit with. `None` for
/// any other.
pub fn answer(arguments: impl Iterator<Item = OsString>) -> Option<Result<String, (String, i32)>> {
    let words: Vec<OsString> = arguments.collect();
    if !words.get(1).is_some_and(|word| word == "import" || word == "export") {
        return None;
    }
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.exit_code() == 0 => return Some(Ok(error.to_string())),
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Some(Err((line, 2)));
        }
    };
    let result = match matches.subcommand() {
        Some(("import", matches)) => import::run(matches),
        Some((_, matches)) => export::run(matches),
        None => return None,
    };
    Some(result.map_err(|error| (error, 1)))
}

fn command() -> Command {
    let path = |name: &'static str, value: &'static str| {
        Arg::new(name).value_name(value).value_parser(value_parser!(PathBuf)).required(true)
    };
    let import = Command::new("import")
        .about("Turn the files of Redis or Valkey into a snapshot that Roster starts with")
        .arg(
            path("source", "FILE|DIR")
                .help("A snapshot (dump.rdb), an append-only file, or the folder of one (appendonlydir)"),
        )
        .arg(path("into", "DIR").long("into").help("The dir of the server to be; made if it is not there"))
        .arg(
            Arg::new("strict")
                .long("strict")
                .action(ArgAction::SetTrue)
                .help("Refuse an append-only file that ends within a command, instead of leaving that command out"),
        );
    let export = Command::new("export")
        .about("Turn the files of Roster into a snapshot or an append-only file that Redis and Valkey load")
        .arg(path("from", "DIR").long("from").help("The dir of the server, which must not run"))
        .arg(path("target", "FILE|DIR").help("What to make: a file for rdb, a folder for aof; it must not be there"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("rdb|aof")
                .value_parser(["rdb", "aof"])
                .default_value("rdb")
                .help("A snapshot, or the folder of an append-only file (appendonlydir) of Redis 7.0 and later"),
        )
        .arg(
            Arg::new("source")
                .long("source")
                .value_name("log|snapshot")
                .value_parser(["log", "snapshot"])
                .help("What to read, where DIR has both: which one the server reads depends on appendonly"),
        );
    Command::new("roster").subcommand_required(true).disable_help_subcommand(true).subcommand(import).subcommand(export)
}

fn path_of<'a>(matches: &'a ArgMatches, name: &str) -> &'a Path {
    matches.get_one::<PathBuf>(name).map_or(Path::new("."), PathBuf::as_path)
}

/// A keyspace that no server serves, and who fills it.
struct Bench {
    settings: Settings,
    replay: Replay,
}

impl Bench {
    fn new(dir: &Path) -> Result<Bench, String> {
        let settings = Settings { dir: dir.to_owned(), databases: DATABASES_MAX as u32, ..Settings::default() };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        let node = Node::new(Handle::new(settings.clone()), threads, SHARDS, Facts::default());
        // Freeing it would take longer than leaving it to the end of the process.
        let node: &'static Node = Box::leak(Box::new(node));
        let replay = Replay::new(Worker::new(node, 0), log::nobody(node)?);
        Ok(Bench { settings, replay })
    }

    fn keys(&self) -> u64 {
        self.replay.worker().node.keyspace.totals_of_all().keys
    }

    /// Loads the snapshot that the file at `path` begins with, and returns where that ends.
    fn load(&self, path: &Path) -> Result<u64, String> {
        let worker = self.replay.worker();
        let bounds = save::bounds_of_loading(&self.settings);
        // No key is left out because its time is up: what follows may still change it.
        let loading = Loading::open(path, bounds, 1, 0)?.ok_or_else(|| format!("{} is not there", path.display()))?;
        let shown = loading.clone();
        let _progress = Progress::show("reading", length(path), move || shown.position());
        let loaded = loading.work_widely(&worker.node.keyspace, &worker.local)?;
        save::adopt_loaded(worker, &loaded, true)?;
        Ok(loading.position())
    }

    /// Saves what there is as a file, and returns its length in bytes.
    fn save(&self, folder: &Path, name: &str, texts: &[(&'static str, &str)]) -> Result<u64, String> {
        let mut plan: Plan = save::plan(&self.settings);
        (plan.folder, plan.name) = (folder.to_owned(), name.to_owned());
        for (name, text) in texts {
            plan.texts.retain(|(other, _)| other != name);
            plan.texts.push((name, (*text).to_owned()));
        }
        let done = Arc::new(AtomicU64::new(0));
        let shown = done.clone();
        let _progress = Progress::show("writing", self.keys(), move || shown.load(Ordering::Relaxed));
        let saved = save::place(self.replay.worker(), |place| save_alone(&plan, place, &done));
        saved.map_err(|error| format!("{} cannot be written: {error}", plan.path().display()))
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tails;
#[cfg(test)]
mod tests;
