//! `DEBUG RELOAD` and `DEBUG LOADAOF`: everything out to disk and back, which shows that nothing is lost on the way.

use super::{Context, Error, log, save, unix_ms};
use crate::persist::load::{Loaded, Loading};
use crate::protocol::Args;

/// What Redis says to a client; the reason is in the log.
const FAILED: &str = "Error trying to load the RDB dump, check server logs";

struct Options {
    saves: bool,
    flushes: bool,
    merges: bool,
}

fn options(args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options { saves: true, flushes: true, merges: false };
    for word in args {
        match word.to_ascii_uppercase().as_slice() {
            b"MERGE" => options.merges = true,
            b"NOFLUSH" => options.flushes = false,
            b"NOSAVE" => options.saves = false,
            _ => return Err(Error::new("DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
        }
    }
    Ok(options)
}

/// `DEBUG RELOAD [MERGE | NOFLUSH | NOSAVE ...]`. Nobody else sees the keyspace meanwhile.
pub(super) fn reload(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = options(args)?;
    let (node, worker) = (cx.node, cx.worker);
    let _held = node.keyspace.enter_all(&worker.local)?;
    if options.saves && !save::save_now(worker) {
        // As for SAVE.
        return Err(Error::Reply("ERR".into()));
    }
    if options.flushes {
        cx.store.flush_all()?.reclaim_later();
        node.scripts.libraries.flush();
    }
    let loaded = load(cx, &options).and_then(|loaded| {
        save::adopt_loaded(worker, &loaded, options.merges)?;
        Ok(loaded)
    });
    let loaded = loaded.map_err(|reason| {
        tracing::error!("DEBUG RELOAD: {reason}");
        Error::new(FAILED)
    })?;
    // What was recorded leads elsewhere now.
    if !(options.saves && options.flushes) && node.logs.kept().is_some() {
        node.logs.schedule();
    }
    tracing::info!("DEBUG RELOAD: {} keys in {:.3} seconds", loaded.keys, loaded.seconds);
    Ok(())
}

/// `DEBUG LOADAOF`. Nobody else sees the keyspace meanwhile, and nothing of it is recorded.
pub(super) fn load_log(cx: &mut Context<'_>) -> Result<(), Error> {
    let (node, worker) = (cx.node, cx.worker);
    let failed = |reason: &dyn std::fmt::Display| {
        tracing::error!("DEBUG LOADAOF: {reason}");
        Error::new("Error trying to load the AOF, check server logs")
    };
    let _held = node.keyspace.enter_all(&worker.local)?;
    let journal = &node.keyspace.journal;
    let was_on = journal.is_on();
    if was_on && !log::settle(node) {
        return Err(failed(&"the log cannot be written"));
    }
    log::check(&worker.settings).map_err(|reason| failed(&reason))?;
    cx.store.flush_all()?.reclaim_later();
    node.scripts.libraries.flush();
    journal.end();
    let result = log::run_again(worker);
    if was_on {
        journal.begin();
    }
    let commands = result.map_err(|reason| failed(&reason))?;
    tracing::info!("DEBUG LOADAOF: {commands} commands");
    Ok(())
}

fn load(cx: &Context<'_>, options: &Options) -> Result<Loaded, String> {
    let settings = cx.settings();
    let path = settings.dir.join(&settings.dbfilename);
    let loading = Loading::open(&path, save::bounds_of_loading(settings), 1, unix_ms())?;
    let loading = loading.ok_or_else(|| format!("{} is not there", path.display()))?;
    if options.merges {
        loading.merge();
    }
    loading.work(&cx.node.keyspace, &cx.worker.local)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    /// A server with a folder of its own.
    fn rig(name: &str) -> (Rig, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("roster-reload-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        (Rig::with(&["--dir", folder.to_str().expect("a name")]), folder)
    }

    const LIBRARY: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 7 end)";

    #[test]
    fn everything_comes_back_as_it_was() {
        let (mut rig, folder) = rig("whole");
        for request in [
            "SET s hello",
            "SET n 12",
            "SET t v PX 1000000",
            "SET gone v PX 50",
            "RPUSH l a b 1 a",
            "SADD set a b 3",
            "ZADD z 1.5 a 2 b inf c",
            "HSET h f v g 1",
            "HPEXPIRE h 1000000 FIELDS 1 f",
            "XADD x 1-1 f v g 2",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g c STREAMS x >",
            "SELECT 3",
            "SET s other",
            "SELECT 0",
        ] {
            rig.run(request);
        }
        rig.args(&[b"FUNCTION", b"LOAD", LIBRARY]);
        rig.run("DEBUG SET-ACTIVE-EXPIRE 0");
        rig.pass(100);
        let facts = ["PEXPIRETIME t", "HPEXPIRETIME h FIELDS 2 f g", "XPENDING x g", "DEBUG DIGEST", "FCALL f 0"];
        let before = facts.map(|request| rig.run(request));
        std::thread::sleep(std::time::Duration::from_millis(60));
        rig.check(&[("DEBUG RELOAD", "+OK")]);
        assert_eq!(facts.map(|request| rig.run(request)), before);
        rig.check(&[("DBSIZE", ":8"), ("EXISTS gone", ":0")]);
        rig.check(&[("MULTI", "+OK"), ("SET late 1", "+QUEUED"), ("DEBUG RELOAD", "+QUEUED")]);
        rig.check(&[("EXEC", "*2|+OK|+OK"), ("GET late", "$1|1")]);
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn options_say_what_is_saved_removed_and_replaced() {
        let (mut rig, folder) = rig("options");
        let failed = "-ERR Error trying to load the RDB dump, check server logs";
        rig.check(&[
            ("DEBUG RELOAD NOSAVE NOFLUSH", failed),
            ("SET a 1", "+OK"),
            ("SET b 1", "+OK"),
            ("DEBUG RELOAD", "+OK"),
            ("SET a 2", "+OK"),
            ("DEL b", ":1"),
            ("SET c 2", "+OK"),
            ("DEBUG RELOAD NOSAVE MERGE NOFLUSH", "+OK"),
            ("MGET a b c", "*3|$1|1|$1|1|$1|2"),
            ("DEBUG RELOAD nosave", "+OK"),
            ("MGET a b c", "*3|$1|1|$1|1|$-1"),
            ("DEBUG RELOAD NOFLUSH", failed),
            ("DEBUG RELOAD x", "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."),
        ]);
        rig.args(&[b"FUNCTION", b"LOAD", LIBRARY]);
        rig.check(&[("FLUSHALL", "+OK"), ("DEBUG RELOAD NOFLUSH", failed), ("DEBUG RELOAD NOFLUSH MERGE", "+OK")]);
        rig.check(&[("FCALL f 0", ":7")]);
        std::fs::remove_dir_all(folder).expect("it is there");
        rig.check(&[("SET kept 1", "+OK"), ("DEBUG RELOAD", "-ERR"), ("GET kept", "$1|1")]);
    }
}
