//! The log at start: what it holds is run again, then it is kept.

use std::path::PathBuf;
use std::time::Instant;

use super::context::{Node, Worker, unix_ms};
use super::record::Replay;
use crate::config::{AppendFsync, Settings};
use crate::persist::log::{Folder, Keeper, Log, Policy, Reader, Recovered, recover};
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
    let mut replay = Replay::new(Worker::new(node, 0), Client::new(info.clone(), &node.acl));
    let result = recover(folder, settings.aof_load_truncated, &mut replay);
    node.registry.remove(&info);
    let Recovered { log, records, torn } = result.map_err(|failure| failure.to_string())?;
    let commands = replay.finish();
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

impl Reader for Replay {
    fn base(&mut self, name: &str) -> Result<(), String> {
        Err(format!("this version reads no logs that begin with a snapshot ({name})"))
    }

    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String> {
        self.run(time_ms, commands)
    }
}
