//! The log at run time: a snapshot takes the place of its records, and it begins and ends by `CONFIG SET appendonly`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::context::{Context, Worker};
use super::{Command, Error, Flags, Group, dispatch, log, save, wait};
use crate::persist::log::{Folder, Keeper, Log, Policy, Status};
use crate::persist::saves::{Aim, Refusal};
use crate::protocol::Args;

/// Seconds after a failure before the growth of the log asks again.
const RETRY_SECONDS: u64 = 60;
/// The same for a log that cannot be read before there is a snapshot.
const RETRY_APART_SECONDS: u64 = 5;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("bgrewriteaof", 1, bgrewriteaof)
    .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING))
    .group(Group::Server)
    .doc("Begins to replace the append-only log by a snapshot.", "")];

/// The log that is kept, if one is.
#[derive(Default)]
pub struct Logs {
    kept: RwLock<Option<Arc<Keeper>>>,
    /// One that is made of a snapshot alone, while none is kept.
    passing: Mutex<Option<Arc<Keeper>>>,
    /// Whether it is to be replaced as soon as possible.
    scheduled: AtomicBool,
    /// Held by whoever begins or ends one.
    change: Mutex<()>,
}

impl Logs {
    /// The log that is kept.
    pub fn kept(&self) -> Option<Arc<Keeper>> {
        self.kept.read().clone()
    }

    pub(super) fn keep(&self, keeper: Option<Arc<Keeper>>) {
        *self.kept.write() = keeper;
    }

    /// Asks for the replacement of the log as soon as possible.
    pub(super) fn schedule(&self) {
        self.scheduled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed)
    }

    /// Whether a log is being replaced.
    pub(super) fn is_rewriting(&self) -> bool {
        let runs = |keeper: &Arc<Keeper>| keeper.bases().is_running();
        self.kept.read().as_ref().is_some_and(runs) || self.passing.lock().as_ref().is_some_and(runs)
    }

    /// How the log is, or the one that was made in passing.
    pub(super) fn status(&self) -> Option<Status> {
        self.kept().or_else(|| self.passing.lock().clone()).map(|keeper| keeper.status())
    }
}

fn bgrewriteaof(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let logs = &cx.node.logs;
    if logs.is_rewriting() {
        return Err(Error::new("Background append only file rewriting already in progress"));
    }
    if cx.node.saves.is_running() {
        logs.schedule();
        cx.reply.simple("Background append only file rewriting scheduled");
        return Ok(());
    }
    begin_any(cx.worker).map_err(|refusal| match refusal {
        Refusal::Busy => Error::Busy,
        Refusal::Running | Refusal::Failed => {
            Error::new("Can't execute an AOF background rewriting. Please check the server logs for more information.")
        }
    })?;
    cx.reply.simple("Background append only file rewriting started");
    Ok(())
}

/// Begins to replace the log that is kept, or to make one of a snapshot alone.
fn begin_any(worker: &Worker) -> Result<(), Refusal> {
    let logs = &worker.node.logs;
    if let Some(keeper) = logs.kept() {
        return begin(worker, &keeper);
    }
    let settings = &worker.settings;
    let failed = |reason: String| {
        tracing::error!("{reason}");
        Refusal::Failed
    };
    let folder = Folder::open(&log::folder(settings)).map_err(|error| failed(log::unusable(settings, &error)))?;
    let new = Log::apart(folder).map_err(|error| failed(log::unusable(settings, &error)))?;
    let keeper = Keeper::start(&worker.node.keyspace.journal, new, Policy::Never, 0);
    let keeper = Arc::new(keeper.map_err(|error| failed(log::unusable(settings, &error)))?);
    let begun = begin(worker, &keeper);
    match begun {
        Ok(()) => *logs.passing.lock() = Some(keeper),
        Err(_) => _ = keeper.finish(),
    }
    begun
}

fn begin(worker: &Worker, keeper: &Arc<Keeper>) -> Result<(), Refusal> {
    let name = keeper.bases().begin().ok_or(Refusal::Running)?;
    let mut plan = save::plan(&worker.settings);
    plan.folder = log::folder(&worker.settings);
    plan.name = name;
    let begun = save::place(worker, |place| {
        let sequel: Arc<Keeper> = keeper.clone();
        worker.node.saves.begin(place, &plan, &Aim::Part(sequel))
    });
    match begun {
        Ok(_) => {
            worker.node.logs.scheduled.store(false, Ordering::Relaxed);
            tracing::info!("replacing the log by a snapshot in the background");
            Ok(())
        }
        Err(refusal) => {
            keeper.bases().cancel();
            Err(refusal)
        }
    }
}

/// What one worker does for the log in each round of its housekeeping: has it replaced when that is due.
pub fn keep_log(worker: &Worker) {
    let (node, logs) = (worker.node, &worker.node.logs);
    let ended = logs.passing.lock().take_if(|keeper| !keeper.bases().is_running());
    if let Some(keeper) = ended {
        keeper.finish();
    }
    if node.shutdown.is_requested() || node.saves.is_running() || logs.is_rewriting() {
        return;
    }
    let is_due = match logs.kept() {
        Some(keeper) => logs.is_scheduled() || is_due(worker, &keeper.status()),
        None => logs.is_scheduled(),
    };
    if is_due && begin_any(worker) == Err(Refusal::Failed) {
        logs.scheduled.store(false, Ordering::Relaxed);
    }
}

fn is_due(worker: &Worker, status: &Status) -> bool {
    let rested = |seconds: u64| status.rewrite.failed_seconds.is_none_or(|since| since >= seconds);
    if status.is_apart {
        return rested(RETRY_APART_SECONDS);
    }
    let settings = &worker.settings;
    let (total, percentage) = (status.total(), u64::from(settings.auto_aof_rewrite_percentage));
    if percentage == 0 || total < settings.auto_aof_rewrite_min_size || !rested(RETRY_SECONDS) {
        return false;
    }
    let from = u128::from(status.rewrite.grown_from.max(1));
    let growth = (u128::from(total) * 100 / from).saturating_sub(100);
    let is_due = growth >= u128::from(percentage);
    if is_due {
        tracing::info!("the log has grown by {growth} % to {total} bytes");
    }
    is_due
}

/// Begins or ends the log as the settings now want it.
///
/// # Errors
/// [`Error::Busy`] while others are in the way, or why it cannot be begun.
pub(super) fn follow(worker: &Worker) -> Result<(), Error> {
    let logs = &worker.node.logs;
    let wanted = worker.node.config.current().appendonly;
    if wanted == logs.kept().is_some() {
        return Ok(());
    }
    let _change = logs.change.try_lock().ok_or(Error::Busy)?;
    if wanted { turn_on(worker) } else { turn_off(worker) }
}

fn turn_on(worker: &Worker) -> Result<(), Error> {
    let (node, logs) = (worker.node, &worker.node.logs);
    let settings = node.config.current();
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("{}", log::unusable(&settings, error));
        Error::new(
            "CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.",
        )
    };
    let passing = logs.passing.lock().take();
    if let Some(keeper) = passing {
        node.saves.give_up_part();
        keeper.finish();
    }
    let folder = Folder::open(&log::folder(&settings)).map_err(|error| failed(&error))?;
    log::check_foreign(&log::folder(&settings)).map_err(|error| failed(&error))?;
    let new = Log::apart(folder).map_err(|error| failed(&error))?;
    let journal = &node.keyspace.journal;
    let keeper = Arc::new(Keeper::start(journal, new, log::policy(&settings), 0).map_err(|error| failed(&error))?);
    let held = dispatch::patiently(|| Ok(node.keyspace.enter_all(&worker.local)?));
    let Ok(held) = held else {
        keeper.finish();
        return Err(Error::Busy);
    };
    journal.begin();
    logs.keep(Some(keeper.clone()));
    drop(held);
    tracing::info!("the log begins with a snapshot of what there is");
    // If it is not possible now, housekeeping does it.
    let _ = begin(worker, &keeper);
    Ok(())
}

fn turn_off(worker: &Worker) -> Result<(), Error> {
    let (node, logs) = (worker.node, &worker.node.logs);
    let Some(keeper) = logs.kept() else { return Ok(()) };
    {
        let _held = dispatch::patiently(|| Ok(node.keyspace.enter_all(&worker.local)?))?;
        node.keyspace.journal.end();
        logs.keep(None);
    }
    if keeper.bases().is_running() {
        node.saves.give_up_part();
    }
    if !keeper.finish() {
        tracing::warn!("the log could not be written to its end: the last changes are not in it");
    }
    node.keyspace.journal.release();
    wait::end_waits(node);
    tracing::info!("the log has ended; what it holds is not read while appendonly is no");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::command::testing::Rig;

    /// A server with a folder of its own.
    fn rig(name: &str, flags: &[&str]) -> (Rig, PathBuf) {
        let folder = std::env::temp_dir().join(format!("roster-rewrite-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        (Rig::with(&[&["--dir", folder.to_str().expect("a name")], flags].concat()), folder)
    }

    fn field(rig: &mut Rig, name: &str) -> String {
        let info = rig.run("INFO persistence");
        let found = info.split('|').find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("{name} in {info}")).to_owned()
    }

    /// Has snapshots taken until the log is not being replaced any more.
    fn finish(rig: &mut Rig) {
        let began = Instant::now();
        while rig.worker.node.logs.is_rewriting() || rig.worker.node.logs.is_scheduled() {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
            keep_log(&rig.worker);
            rig.worker.node.keyspace.continue_cut(&rig.worker.local);
            std::thread::sleep(Duration::from_millis(1));
        }
        keep_log(&rig.worker);
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder.join("appendonlydir")).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    const DATA: &[&str] = &[
        "SET s hello",
        "RPUSH l a b 1",
        "SADD set a b 3",
        "ZADD z 1.5 a",
        "HSET h f v",
        "XADD x 1-1 f v",
        "SET t v PX 9999999",
    ];

    #[test]
    fn a_log_begins_is_replaced_and_ends() {
        let (mut rig, folder) = rig("life", &["--appendfsync", "always"]);
        DATA.iter().for_each(|request| _ = rig.run(request));
        rig.args(&[b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 7 end)"]);
        rig.check(&[("CONFIG SET appendonly yes", "+OK"), ("SET late 1", "+OK")]);
        assert_eq!((field(&mut rig, "aof_enabled"), field(&mut rig, "aof_pending_rewrite")), ("1".into(), "1".into()));
        rig.check(&[
            ("BGREWRITEAOF", "-ERR Background append only file rewriting already in progress"),
            ("BGSAVE SCHEDULE", "+Background saving scheduled"),
        ]);
        assert!(rig.run("BGSAVE").starts_with("-ERR Another child process is active (AOF?): can't BGSAVE right now."));
        rig.worker.node.saves.unschedule();
        finish(&mut rig);
        assert_eq!((field(&mut rig, "aof_pending_rewrite"), field(&mut rig, "rdb_saves")), ("0".into(), "0".into()));
        rig.check(&[("INCR late", ":2"), ("DEL s", ":1")]);
        let digest = rig.run("DEBUG DIGEST");
        rig.check(&[("DEBUG LOADAOF", "+OK"), ("DEBUG DIGEST", &digest), ("FCALL f 0", ":7"), ("DBSIZE", ":7")]);
        rig.check(&[("BGREWRITEAOF", "+Background append only file rewriting started"), ("INCR late", ":3")]);
        finish(&mut rig);
        assert_eq!(
            (field(&mut rig, "aof_rewrites"), field(&mut rig, "aof_last_bgrewrite_status")),
            ("2".into(), "ok".into())
        );
        let digest = rig.run("DEBUG DIGEST");
        rig.check(&[("DEBUG LOADAOF", "+OK"), ("DEBUG DIGEST", &digest), ("GET late", "$1|3")]);
        assert_eq!(names(&folder).iter().filter(|name| name.ends_with(".rdb")).count(), 1);
        rig.check(&[("CONFIG SET appendonly no", "+OK"), ("SET unrecorded 1", "+OK")]);
        rig.check(&[("DEBUG LOADAOF", "+OK"), ("EXISTS unrecorded", ":0"), ("GET late", "$1|3")]);
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn what_expires_and_is_evicted_while_a_base_is_taken_is_gone_afterwards_and_nothing_else() {
        let (mut rig, folder) = rig("cut", &["--appendfsync", "always"]);
        let value = "x".repeat(500);
        for number in 0..3000 {
            let time = if number % 3 == 0 { " PX 40" } else { "" };
            rig.run(&format!("SET k{number} {value}{time}"));
        }
        rig.check(&[("CONFIG SET appendonly yes", "+OK")]);
        assert!(rig.worker.node.keyspace.is_cut(), "nothing is taken yet");
        rig.pass(60);
        // Some are met by commands, some by the timers, and some have to make room for others.
        (0..300).for_each(|number| _ = rig.run(&format!("APPEND k{number} y")));
        rig.worker.node.keyspace.expire_due(&rig.worker.local, rig.worker.now_ms, 400);
        rig.worker.node.keyspace.continue_cut(&rig.worker.local);
        // A third of the keys are past their time and go first.
        let limit = rig.worker.node.keyspace.totals_of_all().bytes / 2;
        rig.check(&[(
            &format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random maxmemory-eviction-tenacity 100"),
            "+OK",
        )]);
        rig.worker.refresh();
        (0..100).for_each(|number| _ = rig.run(&format!("SET more{number} {value}")));
        rig.check(&[("CONFIG SET maxmemory 0", "+OK")]);
        rig.worker.refresh();
        assert!(rig.worker.node.keyspace.evicted() > 0, "nothing had to go");
        (0..50).for_each(|number| _ = rig.run(&format!("SET late{number} v")));
        finish(&mut rig);
        while rig.worker.node.keyspace.expire_due(&rig.worker.local, rig.worker.now_ms, 1000) {}
        rig.run("DEBUG SET-ACTIVE-EXPIRE 0");
        let (size, digest) = (rig.run("DBSIZE"), rig.run("DEBUG DIGEST"));
        rig.check(&[("DEBUG LOADAOF", "+OK"), ("DBSIZE", &size), ("DEBUG DIGEST", &digest)]);
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn without_a_log_one_is_made_of_a_snapshot() {
        let (mut rig, folder) = rig("passing", &[]);
        rig.check(&[("DEBUG LOADAOF", "-ERR Error trying to load the AOF, check server logs")]);
        DATA.iter().for_each(|request| _ = rig.run(request));
        rig.check(&[("BGREWRITEAOF", "+Background append only file rewriting started"), ("SET late 1", "+OK")]);
        finish(&mut rig);
        assert_eq!(names(&folder), ["base-00000001.rdb", "manifest"]);
        rig.check(&[("DEL late", ":1")]);
        let digest = rig.run("DEBUG DIGEST");
        rig.check(&[("FLUSHALL", "+OK"), ("DEBUG LOADAOF", "+OK"), ("DEBUG DIGEST", &digest)]);
        assert_eq!(field(&mut rig, "aof_enabled"), "0");
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn what_cannot_begin_changes_no_setting_and_the_log_of_another_server_is_left_alone() {
        let (mut rig, folder) = rig("foreign", &[]);
        let logs = folder.join("appendonlydir");
        std::fs::create_dir(&logs).expect("a folder");
        let name = logs.join("appendonly.aof.manifest");
        std::fs::write(&name, "file appendonly.aof.1.base.rdb seq 1 type b\n").expect("a file");
        rig.check(&[
            (
                "CONFIG SET appendonly yes",
                "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server \
                 logs.",
            ),
            ("CONFIG GET appendonly", "*2|$10|appendonly|$2|no"),
        ]);
        assert_eq!(names(&folder), ["appendonly.aof.manifest"]);
        let settings = rig.worker.node.config.current();
        assert!(log::check_foreign(&log::folder(&settings)).is_err_and(|reason| reason.contains("roster import")));
        let _ = std::fs::remove_dir_all(folder);
    }
}
