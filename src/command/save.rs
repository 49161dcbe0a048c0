//! Snapshots: on demand, by the rules of `save`, and at the end.

use super::context::{Context, Node, Worker};
use super::{Command, Error, Flags, Group, identity, unix_ms};
use crate::config::Settings;
use crate::persist::load::Loaded;
use crate::persist::save::Plan;
use crate::persist::saves::{Aim, Place, Refusal};
use crate::protocol::Args;
use crate::session::Mode;

/// Seconds after a failed snapshot before the rules of `save` ask for another, as in Redis.
const RETRY_SECONDS: u64 = 5;

const UNDER_WAY: &str = "Background save already in progress";
const REWRITING: &str = "Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
                         schedule a BGSAVE whenever possible.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("save", 1, save)
        .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI))
        .complexity("O(N) where N is the total number of keys in all databases")
        .doc("Saves a snapshot, and replies when it is on disk.", ""),
    row("bgsave", -1, bgsave)
        .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING))
        .doc("Begins to save a snapshot in the background.", "[SCHEDULE]"),
    row("lastsave", 1, lastsave)
        .flags(Flags::LOADING.and(Flags::STALE).and(Flags::FAST))
        .categories(super::Categories::ADMIN.and(super::Categories::DANGEROUS))
        .tips(&["nondeterministic_output"])
        .doc("Returns the Unix time at which the last snapshot was saved.", ""),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Server)
}

fn save(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.node.saves.is_saving() {
        return Err(Error::new(UNDER_WAY));
    }
    if !save_now(cx.worker) {
        // Redis says no more either; the log has the reason.
        return Err(Error::Reply("ERR".into()));
    }
    cx.reply.ok();
    Ok(())
}

fn bgsave(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.nth(1) {
        None => (),
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"schedule") => (),
        Some(_) => return Err(Error::SYNTAX),
    }
    if cx.node.saves.is_saving() {
        return Err(Error::new(UNDER_WAY));
    }
    if cx.node.saves.is_running() {
        if args.len() == 1 {
            return Err(Error::new(REWRITING));
        }
        cx.node.saves.schedule();
        cx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    // Between two commands of a transaction is no point in time that others may see.
    if cx.client.mode == Mode::Transaction {
        cx.node.saves.schedule();
        cx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    begin(cx.worker).map_err(|refusal| match refusal {
        Refusal::Busy => Error::Busy,
        Refusal::Running => Error::new(UNDER_WAY),
        Refusal::Failed => Error::Reply("ERR".into()),
    })?;
    cx.reply.simple("Background saving started");
    Ok(())
}

fn lastsave(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let seconds = last_save(cx.node, cx.now_ms());
    cx.reply.integer(seconds as i64);
    Ok(())
}

/// When the last snapshot was saved, in seconds of Unix time. As in Redis, until one was: when the server started.
pub(super) fn last_save(node: &Node, now_ms: u64) -> u64 {
    match node.saves.report().last_save {
        0 => (now_ms / 1000).saturating_sub(node.started.elapsed().as_secs()),
        seconds => seconds,
    }
}

/// Hands the keyspace as this worker enters it to `with`.
pub(super) fn place<T>(worker: &Worker, with: impl FnOnce(Place<'_>) -> T) -> T {
    let libraries = &worker.node.scripts.libraries;
    let functions = || libraries.list().iter().map(|library| library.code.to_vec()).collect();
    with(Place { keyspace: &worker.node.keyspace, local: &worker.local, functions: &functions })
}

/// Takes the functions of what was loaded, and notes it. `replaces` libraries of the same name.
///
/// # Errors
/// Why a library cannot be had.
pub fn adopt_loaded(worker: &Worker, loaded: &Loaded, replaces: bool) -> Result<(), String> {
    let failure = |error: &[u8]| format!("a library of functions cannot be loaded: {}", error.escape_ascii());
    let libraries = &worker.node.scripts.libraries;
    for text in &loaded.functions {
        let vm = worker.vm().map_err(|_| "there is no memory for scripts: raise script-memory-limit".to_owned())?;
        let library = vm.load_library(text).map_err(|error| failure(&error.0))?;
        libraries.add(library, replaces).map_err(|error| failure(&error.0))?;
    }
    worker.node.saves.note_loaded(loaded, worker.node.keyspace.changes());
    Ok(())
}

/// Saves everything up to now, on this thread; whether it was saved.
pub(super) fn save_now(worker: &Worker) -> bool {
    place(worker, |place| worker.node.saves.save_now(place, &plan(&worker.settings)))
}

fn begin(worker: &Worker) -> Result<(), Refusal> {
    let begun = place(worker, |place| worker.node.saves.begin(place, &plan(&worker.settings), &Aim::Background));
    begun.map(|_| {
        tracing::info!("saving a snapshot in the background");
    })
}

/// How a file is loaded: the forms of values that the settings ask for.
pub fn bounds_of_loading(settings: &Settings) -> crate::persist::rdb::Bounds {
    super::dump::bounds(settings)
}

/// What the file of a snapshot is to say.
pub(super) fn plan(settings: &Settings) -> Plan {
    let used = super::memory::used();
    Plan {
        folder: settings.dir.clone(),
        name: settings.dbfilename.clone(),
        compresses: settings.rdbcompression,
        sums: settings.rdbchecksum,
        texts: vec![
            ("redis-ver", identity::REDIS_VERSION.to_owned()),
            ("redis-bits", "64".to_owned()),
            ("ctime", (unix_ms() / 1000).to_string()),
            ("used-mem", used.to_string()),
            ("aof-base", "0".to_owned()),
        ],
        functions: Vec::new(),
        sizes: Vec::new(),
    }
}

/// What one worker does for snapshots in each round of its housekeeping: begin those that are due, and save what the end of
/// the server waits for.
pub fn keep_saving(worker: &Worker) {
    let node = worker.node;
    if let Some(then) = node.shutdown.take_order() {
        then(save_now(worker));
    }
    let settings = &worker.settings;
    if node.shutdown.is_requested() || (settings.save.0.is_empty() && !node.saves.is_scheduled()) {
        return;
    }
    if !node.saves.is_running() && is_due(worker) && begin(worker) != Err(Refusal::Busy) {
        node.saves.unschedule();
    }
}

fn is_due(worker: &Worker) -> bool {
    let node = worker.node;
    if node.saves.is_scheduled() {
        return true;
    }
    let report = node.saves.report();
    let now = worker.now_ms / 1000;
    if node.saves.has_failed() && now.saturating_sub(report.last_try) <= RETRY_SECONDS {
        return false;
    }
    let changes = node.keyspace.changes().saturating_sub(report.changes);
    let idle = match report.last_save {
        0 => node.started.elapsed().as_secs(),
        last => now.saturating_sub(last),
    };
    let due = worker
        .settings
        .save
        .0
        .iter()
        .find(|rule| changes >= u64::from(rule.changes) && changes > 0 && idle > u64::from(rule.seconds));
    if let Some(rule) = due {
        tracing::info!(
            "{changes} changes in {idle} seconds: the rule save {} {} asks for a snapshot",
            rule.seconds,
            rule.changes
        );
    }
    due.is_some()
}

/// Whether a command is refused because changes could not be saved: the last snapshot in the background failed, and the
/// settings ask for snapshots and for such refusals. One relaxed load as long as none has failed.
#[inline]
pub(super) fn is_refused(worker: &Worker, command: &Command) -> bool {
    worker.node.saves.has_failed() && would_refuse(worker, command)
}

#[cold]
fn would_refuse(worker: &Worker, command: &Command) -> bool {
    let settings = &worker.settings;
    let concerned = command.flags.contains(Flags::WRITE) || command.name == "ping";
    concerned && settings.stop_writes_on_bgsave_error && !settings.save.0.is_empty()
}

/// Writes the fields of `INFO` about snapshots.
pub(super) fn tell(node: &Node, now_ms: u64, mut put: impl FnMut(&str, i64)) {
    let report = node.saves.report();
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    let (of, done) = report.progress.unwrap_or_default();
    put("current_save_keys_processed", done as i64);
    put("current_save_keys_total", of as i64);
    put("rdb_changes_since_last_save", node.keyspace.changes().saturating_sub(report.changes) as i64);
    put("rdb_bgsave_in_progress", report.running_seconds.is_some().into());
    put("rdb_last_save_time", last_save(node, now_ms) as i64);
    put("rdb_last_bgsave_status", i64::from(!node.saves.has_failed()));
    put("rdb_last_bgsave_time_sec", seconds(report.last_seconds));
    put("rdb_current_bgsave_time_sec", seconds(report.running_seconds));
    put("rdb_saves", report.begun as i64);
    put("rdb_last_load_keys_expired", report.loaded.1 as i64);
    put("rdb_last_load_keys_loaded", report.loaded.0 as i64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;
    use crate::store::Progress;

    /// A server with a folder of its own, which is not there yet.
    fn rig(name: &str, flags: &[&str]) -> (Rig, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("roster-save-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        // The setting wants a folder that is there.
        std::fs::create_dir_all(&folder).expect("a folder");
        let flags = [&["--dir", folder.to_str().expect("a name")], flags].concat();
        let rig = Rig::with(&flags);
        std::fs::remove_dir(&folder).expect("it is empty");
        (rig, folder)
    }

    fn finish(rig: &Rig) {
        while rig.worker.node.saves.is_running() {
            if rig.worker.node.keyspace.continue_cut(&rig.worker.local) != Progress::Took {
                std::thread::yield_now();
            }
        }
    }

    fn field(rig: &mut Rig, name: &str) -> String {
        let info = rig.run("INFO persistence");
        let found = info.split('|').find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("{name} in {info}")).to_owned()
    }

    #[test]
    fn snapshots_on_demand() {
        let (mut rig, folder) = rig("demand", &[]);
        std::fs::create_dir(&folder).expect("a folder");
        let started: u64 = rig.run("LASTSAVE")[1..].parse().expect("seconds");
        assert!(started.abs_diff(unix_ms() / 1000) < 5);
        rig.check(&[("SET k v", "+OK"), ("BGSAVE x", "-ERR syntax error"), ("BGSAVE SCHEDULE x", "-ERR syntax error")]);
        assert_eq!(field(&mut rig, "rdb_changes_since_last_save"), "1");
        rig.check(&[("BGSAVE", "+Background saving started")]);
        rig.check(&[
            ("BGSAVE", "-ERR Background save already in progress"),
            ("BGSAVE SCHEDULE", "-ERR Background save already in progress"),
            ("SAVE", "-ERR Background save already in progress"),
            ("SET k later", "+OK"),
        ]);
        assert_eq!(field(&mut rig, "rdb_bgsave_in_progress"), "1");
        finish(&rig);
        assert_eq!(field(&mut rig, "rdb_bgsave_in_progress"), "0");
        assert_eq!(field(&mut rig, "rdb_last_bgsave_status"), "ok");
        assert_eq!(field(&mut rig, "rdb_changes_since_last_save"), "1");
        let file = std::fs::read(folder.join("dump.rdb")).expect("a file");
        assert!(file.starts_with(b"REDIS0010") && file.windows(4).any(|bytes| bytes == b"\x01k\x01v"));
        rig.check(&[("SAVE", "+OK"), ("MULTI", "+OK"), ("SAVE", "-ERR Command not allowed inside a transaction")]);
        rig.check(&[("DISCARD", "+OK"), ("MULTI", "+OK"), ("BGSAVE", "+QUEUED")]);
        rig.check(&[("EXEC", "*1|+Background saving scheduled")]);
        keep_saving(&rig.worker);
        finish(&rig);
        assert_eq!(field(&mut rig, "rdb_saves"), "3");
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn rules_ask_for_snapshots_and_failures_refuse_writes() {
        let (mut rig, folder) = rig("rules", &["--save", "60", "2"]);
        rig.check(&[("SET a 1", "+OK"), ("SET b 1", "+OK")]);
        keep_saving(&rig.worker);
        assert!(!rig.worker.node.saves.is_running(), "60 seconds have not passed");
        rig.check(&[(
            "CONFIG SET save 3600|1",
            "-ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
        )]);
        rig.args(&[b"CONFIG", b"SET", b"save", b"3600 1"]);
        rig.worker.refresh();
        rig.check(&[("BGSAVE", "+Background saving started")]);
        finish(&rig);
        assert_eq!(field(&mut rig, "rdb_last_bgsave_status"), "err");
        let refusal =
            "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.";
        assert!(rig.run("SET a 2").starts_with(refusal) && rig.run("PING").starts_with(refusal));
        rig.check(&[("GET a", "$1|1"), ("SHUTDOWN", "-ERR Errors trying to SHUTDOWN. Check logs."), ("SAVE", "-ERR")]);
        assert!(!rig.worker.node.shutdown.is_requested());
        std::fs::create_dir(&folder).expect("a folder");
        rig.check(&[("SAVE", "+OK"), ("SET a 2", "+OK"), ("PING", "+PONG")]);
        assert_eq!(rig.run("SHUTDOWN"), "");
        assert!(rig.worker.node.shutdown.saves_at_end() && rig.worker.node.shutdown.is_requested());
        assert_eq!(field(&mut rig, "rdb_changes_since_last_save"), "0");
        let _ = std::fs::remove_dir_all(folder);
    }
}
