//! The log at start: what it holds is run again, then it is kept.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::context::{Node, Worker, unix_ms};
use super::record::Replay;
use crate::config::{AppendFsync, Settings};
use crate::persist::load::Loading;
use crate::persist::log::{Disk, Folder, Keeper, Log, Policy, Reader, Recovered, recover};
use crate::session::{Arrival, Client, Transport};

/// When the settings want the log to be durable.
pub(super) fn policy(settings: &Settings) -> Policy {
    match settings.appendfsync {
        AppendFsync::Always => Policy::Always,
        AppendFsync::Everysec => Policy::EverySecond,
        AppendFsync::No => Policy::Never,
    }
}

fn folder(settings: &Settings) -> PathBuf {
    settings.dir.join(&settings.appenddirname)
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
    let failure = |error: &dyn std::fmt::Display| format!("the log in {} cannot be used: {error}", path.display());
    let folder = Folder::open(&path).map_err(|error| failure(&error))?;
    let log = load(node, folder, &settings).map_err(|error| failure(&error))?;
    let keeper = Keeper::start(&node.keyspace.journal, log, policy(&settings)).map_err(|error| failure(&error))?;
    // Nobody else sets it.
    let _ = node.log.set(keeper);
    Ok(())
}

fn load(node: &'static Node, folder: Folder, settings: &Settings) -> Result<Log<Folder>, String> {
    let began = Instant::now();
    let arrival = Arrival {
        address: String::new(),
        local_address: String::new(),
        transport: Transport::Unix,
        worker: 0,
        now_ms: unix_ms(),
        socket: -1,
    };
    let info = node.registry.register(arrival, usize::MAX).ok_or("no client can be registered")?;
    let replay = Replay::new(Worker::new(node, 0), Client::new(info.clone(), &node.acl));
    let mut loader = Loader { replay, folder: folder.clone() };
    let result = recover(folder, settings.aof_load_truncated, &mut loader);
    node.registry.remove(&info);
    let Recovered { mut log, records, torn } = result.map_err(|failure| failure.to_string())?;
    if log.is_new() {
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

/// Takes what a log holds.
struct Loader {
    replay: Replay,
    folder: Folder,
}

/// The snapshot that a log begins with.
const FIRST_BASE: &str = "base-00000001.rdb";

impl Loader {
    /// Has a new log begin with the snapshot at `path`, if there is one: without it, those keys would be gone.
    fn adopt(&mut self, log: &mut Log<Folder>, path: &Path) -> Result<(), String> {
        if !path.exists() {
            return Ok(());
        }
        let copy = self.folder.path(FIRST_BASE);
        let copied = std::fs::copy(path, &copy).and_then(|_| std::fs::File::open(&copy)?.sync_all());
        let copied = copied.and_then(|()| self.folder.sync_names());
        copied.map_err(|error| format!("{} cannot be copied into it: {error}", path.display()))?;
        self.base(FIRST_BASE)?;
        log.rebase(FIRST_BASE, 1).map_err(|error| error.to_string())?;
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
        let loaded = loading.work(&node.keyspace, &worker.local)?;
        super::save::adopt_loaded(worker, &loaded, true)
    }

    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String> {
        self.replay.run(time_ms, commands)
    }
}
