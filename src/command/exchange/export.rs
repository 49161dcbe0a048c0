//! Roster's files, read into a keyspace and saved in a form that other servers load.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use clap::ArgMatches;

use super::{Bench, path_of};
use crate::command::log;
use crate::persist::aof::manifest;

/// The files of an append-only file, as Redis names them.
const BASE: &str = "appendonly.aof.1.base.rdb";
const INCREMENT: &str = "appendonly.aof.1.incr.aof";
const MANIFEST: &str = "appendonly.aof.manifest";

pub(super) fn run(matches: &ArgMatches) -> Result<String, String> {
    let (dir, target) = (path_of(matches, "from"), path_of(matches, "target"));
    let began = Instant::now();
    if target.exists() {
        return Err(format!("{} is there already: name another one, or move it away", target.display()));
    }
    let mut bench = Bench::new(dir)?;
    let (snapshot, folder) = (dir.join(&bench.settings.dbfilename), log::folder(&bench.settings));
    let has_log = folder.join("manifest").exists();
    let reads_log = match matches.get_one::<String>("source").map(String::as_str) {
        Some(source) => source == "log",
        None if has_log && snapshot.exists() => {
            return Err(format!(
                "{} has a log and a snapshot: say --source log or --source snapshot; the server reads the log where \
                 appendonly is yes",
                dir.display()
            ));
        }
        None => has_log,
    };
    match reads_log {
        true if !has_log => return Err(format!("{} has no log", dir.display())),
        true => bench.replay = log::read_apart(bench.replay, &bench.settings)?,
        false => _ = bench.load(&snapshot)?,
    }
    let bytes = match matches.get_one::<String>("format").map(String::as_str) {
        Some("aof") => write_folder(&bench, target)?,
        _ => write_file(&bench, target)?,
    };
    let seconds = began.elapsed().as_secs_f64();
    let source = if reads_log { "the log" } else { "the snapshot" };
    Ok(format!(
        "exported {} keys of {source} of {} to {} ({bytes} bytes) in {seconds:.1} s\n",
        bench.keys(),
        dir.display(),
        target.display()
    ))
}

fn write_file(bench: &Bench, target: &Path) -> Result<u64, String> {
    let name = target.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{} is no name of a file", target.display()))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    bench.save(folder, name, &[])
}

/// Makes a folder as Redis since 7.0 keeps its append-only file in: the manifest comes last.
fn write_folder(bench: &Bench, target: &Path) -> Result<u64, String> {
    let failure = |error: std::io::Error| format!("{} cannot be written: {error}", target.display());
    fs::create_dir_all(target).map_err(failure)?;
    let bytes = bench.save(target, BASE, &[("aof-base", "1")])?;
    for (name, text) in [(INCREMENT, String::new()), (MANIFEST, manifest(BASE, INCREMENT))] {
        fs::write(target.join(name), text).map_err(failure)?;
        File::open(target.join(name)).and_then(|file| file.sync_all()).map_err(failure)?;
    }
    File::open(target).and_then(|folder| folder.sync_all()).map_err(failure)?;
    Ok(bytes)
}
