//! The files of another server, run into a keyspace and saved as the snapshot that Roster starts with.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::ArgMatches;

use super::progress::Progress;
use super::{Bench, length, path_of};
use crate::command::unix_ms;
use crate::persist::aof::{Commands, Fault, Item, Parts};
use crate::protocol::Frame;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

pub(super) fn run(matches: &ArgMatches) -> Result<String, String> {
    let (source, dir) = (path_of(matches, "source"), path_of(matches, "into"));
    let began = Instant::now();
    let parts = Parts::find(source)?;
    prepare(dir)?;
    let mut import = Import::new(Bench::new(dir)?, matches.get_flag("strict"));
    import.all(&parts)?;
    let name = import.bench.settings.dbfilename.clone();
    let bytes = import.bench.save(dir, &name, &[])?;
    let (keys, commands) = (import.bench.keys(), import.bench.replay.commands);
    let ran = if commands > 0 { format!(", {commands} commands run") } else { String::new() };
    if import.failed > 0 {
        import.remarks += &format!("{} commands failed, as they had when they were written\n", import.failed);
    }
    Ok(format!(
        "{}imported {keys} keys into {} ({bytes} bytes{ran}) in {:.1} s; start the server with --dir {}\n",
        import.remarks,
        dir.join(name).display(),
        began.elapsed().as_secs_f64(),
        dir.display()
    ))
}

/// Makes the folder, or sees that nothing is in it that the import would replace or that would replace the import.
fn prepare(dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
    for name in ["dump.rdb", "appendonlydir", "appendonly.aof"] {
        let path = dir.join(name);
        if path.exists() {
            return Err(format!("{} is there already: name another folder, or move it away", path.display()));
        }
    }
    Ok(())
}

pub(super) struct Import {
    pub(super) bench: Bench,
    /// Whether an end within a command is refused.
    strict: bool,
    /// The commands of a transaction that has not ended yet.
    group: Option<Vec<Frame>>,
    /// When the commands ran, if the file says that.
    time_ms: Option<u64>,
    /// Commands that failed.
    failed: u64,
    pub(super) remarks: String,
}

impl Import {
    /// An import into this keyspace that has yet to begin.
    pub(super) fn new(bench: Bench, strict: bool) -> Import {
        Import { bench, strict, group: None, time_ms: None, failed: 0, remarks: String::new() }
    }

    /// Reads all files of an append-only file.
    pub(super) fn all(&mut self, parts: &Parts) -> Result<(), String> {
        let last = parts.0.len().saturating_sub(1);
        parts.0.iter().enumerate().try_for_each(|(at, part)| self.file(part, at == last))
    }

    /// Reads a file: a snapshot, commands, or one behind the other.
    fn file(&mut self, path: &Path, is_last: bool) -> Result<(), String> {
        let failure = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
        let mut file = File::open(path).map_err(failure)?;
        let mut head = Vec::new();
        file.by_ref().take(6).read_to_end(&mut head).map_err(failure)?;
        let is_snapshot = head.starts_with(b"REDIS") || head == b"VALKEY";
        let start = if is_snapshot { self.bench.load(path)? } else { 0 };
        file.seek(SeekFrom::Start(start)).map_err(failure)?;
        let string_max = self.bench.settings.proto_max_bulk_len;
        let mut commands = Commands::new(BufReader::with_capacity(BUFFER, file), start, string_max);
        let done = Arc::new(AtomicU64::new(start));
        let shown = done.clone();
        let _progress = Progress::show("running", length(path), move || shown.load(Ordering::Relaxed));
        let mut whole = start;
        loop {
            let at = commands.position();
            let told = |reason: &dyn std::fmt::Display| format!("{} at byte {at}: {reason}", path.display());
            match commands.item() {
                Ok(None) => break,
                Ok(Some(Item::Time(seconds))) => self.time_ms = Some(seconds.saturating_mul(1000)),
                Ok(Some(Item::Command(frame))) => self.command(frame).map_err(|reason| told(&reason))?,
                Err(Fault::Truncated) if is_last && !self.strict => {
                    self.group.get_or_insert_default();
                    break;
                }
                Err(fault @ Fault::Truncated) if is_last => {
                    return Err(told(&format!("{fault}; without --strict that command is left out")));
                }
                Err(fault) => return Err(told(&fault)),
            }
            if self.group.is_none() {
                whole = commands.position();
            }
            done.store(commands.position(), Ordering::Relaxed);
        }
        if self.group.take().is_none() {
            return Ok(());
        }
        // Within a command, or within a transaction, none of which is run then.
        let cut = format!("{} is cut off: what follows byte {whole} is left out", path.display());
        match is_last && !self.strict {
            true => self.remarks += &format!("{cut}\n"),
            false => return Err(format!("{} ends within a transaction that begins at byte {whole}", path.display())),
        }
        Ok(())
    }

    /// Runs a command, or keeps it until its transaction ends.
    fn command(&mut self, frame: Frame) -> Result<(), String> {
        let name = frame.args().get(0).to_ascii_lowercase();
        match (name.as_slice(), &mut self.group) {
            (b"multi", group) => *group = Some(Vec::new()),
            (b"exec", group) => {
                for frame in group.take().unwrap_or_default() {
                    self.perform(&frame)?;
                }
            }
            (_, Some(group)) => group.push(frame),
            (_, None) => self.perform(&frame)?,
        }
        Ok(())
    }

    fn perform(&mut self, frame: &Frame) -> Result<(), String> {
        let args = frame.args();
        // Nothing expires while a file is read: what did has a command that removes it. But commands of streams note when an entry was
        // delivered, which must not be later than the time at which they run.
        let of_streams = args.get(0).first().is_some_and(|first| first.eq_ignore_ascii_case(&b'x'));
        let time_ms = self.time_ms.unwrap_or_else(|| if of_streams { unix_ms() } else { 0 });
        let succeeded = self.bench.replay.run_foreign(time_ms, args)?;
        self.failed += u64::from(!succeeded);
        Ok(())
    }
}
