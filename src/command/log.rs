//! The log at start: what it holds is run again, then it is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::{Node, Worker, unix_ms};
use super::record::Replay;
use crate::config::{AppendFsync, Settings};
use crate::persist::load::Loading;
use crate::persist::log::{Disk, Folder, Keeper, Log, Policy, Reader, Recovered, name_of_base, read, recover};
use crate::session::{Arrival, Client, Transport};

/// When the settings want the log to be durable.
pub(super) fn policy(settings: &Settings) -> Policy {
    match settings.appendfsync {
        AppendFsync::Always => Policy::Always,
        AppendFsync::Everysec => Policy::EverySecond,
        AppendFsync::No => Policy::Never,
    }
}

/// The folder of the log.
pub(super) fn folder(settings: &Settings) -> PathBuf {
    settings.dir.join(&settings.appenddirname)
}

/// That the log cannot be used, and why.
pub(super) fn unusable(settings: &Settings, error: &dyn std::fmt::Display) -> String {
    format!("the log in {} cannot be used: {error}", folder(settings).display())
}

/// Refuses a folder that another server keeps its log in: it would be taken for an empty one.
pub(super) fn check_foreign(folder: &Path) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    match names.filter(|name| name.ends_with(".manifest")).min() {
        Some(name) => Err(format!(
            "it holds the append-only file of Redis or Valkey ({name}): move it away and run `roster import` on it, or set \
             appenddirname to another name"
        )),
        None => Ok(()),
    }
}

/// Reads the log, if one is to be kept, and begins to keep it. To be called before there are workers.
///
/// # Errors
/// Why the log cannot be read or kept, with the remedy.
pub fn open_log(node: &'static Node) -> Result<(), String> {
    let settings = node.config.current();
    if !settings.appendonly {
        return Ok(());
    }
    let path = folder(&settings);
    let failure = |error: &dyn std::fmt::Display| unusable(&settings, error);
    check_foreign(&path).map_err(|error| failure(&error))?;
    let folder = Folder::open(&path).map_err(|error| failure(&error))?;
    let log = load(node, folder, &settings).map_err(|error| failure(&error))?;
    let base = log.base().map(|name| std::fs::metadata(log.disk().path(name)).map(|file| file.len()));
    let base = base.transpose().map_err(|error| failure(&error))?.unwrap_or(0);
    let journal = &node.keyspace.journal;
    let keeper = Keeper::start(journal, log, policy(&settings), base).map_err(|error| failure(&error))?;
    journal.begin();
    node.logs.keep(Some(Arc::new(keeper)));
    Ok(())
}

/// A client for what is run again.
pub(super) fn nobody(node: &'static Node) -> Result<Client, String> {
    let arrival = Arrival {
        address: String::new(),
        local_address: String::new(),
        transport: Transport::Unix,
        worker: 0,
        now_ms: unix_ms(),
        socket: -1,
    };
    let info = node.registry.register(arrival, usize::MAX).ok_or("no client can be registered")?;
    Ok(Client::new(info, &node.acl))
}

/// How long a sync may take before [`settle`] gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until everything that was recorded is in the files, while nobody else is inside the keyspace; false if that is in vain.
pub(super) fn settle(node: &Node) -> bool {
    let (journal, began) = (&node.keyspace.journal, Instant::now());
    let stamp = journal.latest();
    let mut is_there = journal.await_durable(stamp, std::task::Waker::noop());
    while !is_there && began.elapsed() < PATIENCE {
        journal.wake();
        std::thread::sleep(Duration::from_millis(1));
        is_there = journal.durable() >= stamp;
    }
    is_there
}

/// Whether there is a log that can be read.
///
/// # Errors
/// Why not.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let folder = Folder::open(&folder(settings)).map_err(|error| unusable(settings, &error))?;
    if !folder.path("manifest").exists() {
        return Err(unusable(settings, &"there is none"));
    }
    // Read without a reader first, so that nothing is removed for the sake of a log that is damaged.
    read(&folder, true, &mut Nothing).map(|_| ()).map_err(|failure| unusable(settings, &failure))
}

/// Runs the log again into the empty keyspace that this worker has entered alone, and returns the number of commands.
///
/// # Errors
/// Why it cannot be read. A part of it may have been run.
pub(super) fn run_again(worker: &Worker) -> Result<u64, String> {
    let node = worker.node;
    let folder = Folder::open(&folder(&worker.settings)).map_err(|error| unusable(&worker.settings, &error))?;
    let mut other = Worker::new(node, worker.number());
    other.local = worker.local.stand_in(worker.now_ms);
    let mut loader = Loader { replay: Replay::new(other, nobody(node)?), folder: folder.clone(), is_start: false };
    let result = read(&folder, true, &mut loader);
    loader.replay.sign_off();
    let (commands, local) = (loader.replay.commands, loader.replay.into_local());
    worker.local.relieve(local);
    result.map(|_| commands).map_err(|failure| unusable(&worker.settings, &failure))
}

/// Runs a log that no server keeps, and leaves it as it is.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read_apart(replay: Replay, settings: &Settings) -> Result<Replay, String> {
    let folder = Folder::open(&folder(settings)).map_err(|error| unusable(settings, &error))?;
    let mut loader = Loader { replay, folder: folder.clone(), is_start: true };
    read(&folder, true, &mut loader).map_err(|failure| unusable(settings, &failure))?;
    Ok(loader.replay)
}

/// Takes what a log holds, and does nothing with it.
struct Nothing;

impl Reader for Nothing {
    fn base(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn record(&mut self, _: u64, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

fn load(node: &'static Node, folder: Folder, settings: &Settings) -> Result<Log<Folder>, String> {
    let began = Instant::now();
    let replay = Replay::new(Worker::new(node, 0), nobody(node)?);
    let mut loader = Loader { replay, folder: folder.clone(), is_start: true };
    let result = recover(folder, settings.aof_load_truncated, &mut loader);
    loader.replay.sign_off();
    let Recovered { mut log, records, torn } = result.map_err(|failure| failure.to_string())?;
    if log.is_new() {
        let former = settings.dir.join(FORMER);
        if former.exists() {
            return Err(format!(
                "{} is the append-only file of another server: move it away and run `roster import` on it",
                former.display()
            ));
        }
        loader.adopt(&mut log, &settings.dir.join(&settings.dbfilename))?;
    }
    let commands = loader.replay.finish();
    if let Some(torn) = torn {
        tracing::warn!(
            "the log's last segment {} was torn at offset {} by a crash: what followed was not durable and is cut off",
            torn.file,
            torn.offset
        );
    }
    if records > 0 {
        let keys = node.keyspace.totals_of_all().keys;
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!("the log was read in {seconds:.1} s: {commands} commands in {records} records, {keys} keys");
    }
    Ok(log)
}

/// The append-only file of Redis before 7.0, which kept it in `dir` itself.
const FORMER: &str = "appendonly.aof";

/// Takes what a log holds.
struct Loader {
    replay: Replay,
    folder: Folder,
    /// Whether no worker is there yet, so that threads in their places may load the base.
    is_start: bool,
}

impl Loader {
    /// Has a new log begin with the snapshot at `path`, if there is one: without it, those keys would be gone.
    fn adopt(&mut self, log: &mut Log<Folder>, path: &Path) -> Result<(), String> {
        if !path.exists() {
            return Ok(());
        }
        let name = name_of_base(1);
        let copy = self.folder.path(&name);
        let copied = std::fs::copy(path, &copy).and_then(|_| std::fs::File::open(&copy)?.sync_all());
        let copied = copied.and_then(|()| self.folder.sync_names());
        copied.map_err(|error| format!("{} cannot be copied into it: {error}", path.display()))?;
        self.base(&name)?;
        log.rebase(&name, 1, 0).map_err(|error| error.to_string())?;
        tracing::info!("the log begins with the keys of {}", path.display());
        Ok(())
    }
}

impl Reader for Loader {
    fn base(&mut self, name: &str) -> Result<(), String> {
        let worker = self.replay.worker();
        let (node, path) = (worker.node, self.folder.path(name));
        // No key is left out because its time is up: the records say when it went.
        let loading = Loading::open(&path, super::save::bounds_of_loading(&worker.settings), 1, 0)?;
        let loading = loading.ok_or_else(|| "it is missing".to_owned())?;
        let loaded = match self.is_start {
            true => loading.work_widely(&node.keyspace, &worker.local)?,
            false => loading.work(&node.keyspace, &worker.local)?,
        };
        super::save::adopt_loaded(worker, &loaded, true)
    }

    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String> {
        self.replay.run(time_ms, commands)
    }
}
