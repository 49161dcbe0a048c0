//! A snapshot's file: written beside the old one, made durable, and put in its place in one step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::rdb::snapshot::Writer;
use super::rdb::{Sink, Version};
use super::saves::Place;
use super::snapshot::Snapshot;
use super::sync::EarlySync;
use crate::store::{Local, Progress};

/// What a file is to be and to say.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder.
    pub folder: PathBuf,
    /// The name in it.
    pub name: String,
    /// Whether strings are compressed.
    pub compresses: bool,
    /// Whether a checksum ends it.
    pub sums: bool,
    /// Texts at its head: who wrote it, and when.
    pub texts: Vec<(&'static str, String)>,
    /// The sources of libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Keys, and volatile ones, of each database that has some.
    pub sizes: Vec<(u64, u64, u64)>,
}

impl Plan {
    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// With the sizes and the functions that there are now.
    pub(super) fn of(mut self, place: Place<'_>) -> Plan {
        let totals = (0..place.keyspace.databases()).map(|index| (index as u64, place.keyspace.totals(index)));
        self.sizes = totals.map(|(index, totals)| (index, totals.keys, totals.volatile)).collect();
        self.sizes.retain(|&(_, keys, _)| keys > 0);
        self.functions = (place.functions)();
        self
    }

    /// The file while it is written.
    pub fn temporary(&self) -> PathBuf {
        self.folder.join(format!("temp-{}.rdb", std::process::id()))
    }
}

/// Writes a file as its parts come, and returns its length in bytes. Whatever happens, under the file's name there is
/// either the old content or the new one.
///
/// # Errors
/// What the system said. The snapshot is lost then, and the temporary file removed.
pub fn save(plan: &Plan, snapshot: &Snapshot) -> io::Result<u64> {
    let temporary = plan.temporary();
    let result = write_durably(plan, snapshot, &temporary);
    if result.is_err() {
        snapshot.lose();
        // There is nothing to be done if that fails, too; the next snapshot writes over it.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes the file of a keyspace whose other workers are not there, with threads in their places, and returns its length in bytes. `progress` is told the keys that were
/// encoded.
///
/// # Errors
/// As [`save`].
pub fn save_alone(plan: &Plan, place: Place<'_>, progress: &AtomicU64) -> io::Result<u64> {
    let (keyspace, local) = (place.keyspace, place.local);
    let snapshot = Arc::new(Snapshot::new(plan.compresses));
    let plan = plan.clone().of(place);
    let begun = keyspace.begin_cut(local, || snapshot.clone());
    if begun != Ok(true) {
        return Err(io::Error::other("the keyspace is in use"));
    }
    let encode = |local: &Local| loop {
        match keyspace.continue_cut(local) {
            Progress::Took => progress.store(snapshot.keys(), Ordering::Relaxed),
            Progress::Wait => std::thread::sleep(Duration::from_millis(1)),
            Progress::None => break,
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| save(&plan, &snapshot));
        for worker in (0..keyspace.workers()).filter(|&worker| worker != local.worker) {
            // Where a thread cannot be had, there are fewer.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || encode(&Local::new(worker, 0)));
        }
        encode(local);
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes has failed")))
    })
}

fn write_durably(plan: &Plan, snapshot: &Snapshot, temporary: &Path) -> io::Result<u64> {
    let file = File::create(temporary)?;
    let (early, len) = write(plan, snapshot, EarlySync::of(file)?)?;
    early.end()?.sync_all()?;
    fs::rename(temporary, plan.path())?;
    // The new name is durable with its folder.
    File::open(&plan.folder)?.sync_all()?;
    Ok(len)
}

/// Writes a snapshot's parts until it ends.
///
/// # Errors
/// That of the medium; an interrupted snapshot if it was lost meanwhile.
pub fn write<W: Write>(plan: &Plan, snapshot: &Snapshot, medium: W) -> io::Result<(W, u64)> {
    let mut writer = Writer::new(Medium { inner: medium, written: 0, error: None }, Version::V10, plan.compresses);
    if !plan.sums {
        writer = writer.without_checksum();
    }
    for (name, text) in &plan.texts {
        writer.aux(name.as_bytes(), text.as_bytes());
    }
    for source in &plan.functions {
        writer.function(source);
    }
    for &(index, keys, volatile) in &plan.sizes {
        writer.database(index);
        writer.sizes(keys, volatile);
    }
    while let Some(chunk) = snapshot.next() {
        writer.parts(&chunk);
        snapshot.give_back(chunk);
        if let Some(error) = writer.sink().error.take() {
            return Err(error);
        }
    }
    if snapshot.is_lost() {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "it was given up"));
    }
    let mut medium = writer.finish();
    match medium.error.take() {
        Some(error) => Err(error),
        None => {
            medium.inner.flush()?;
            Ok((medium.inner, medium.written))
        }
    }
}

/// A sink that keeps the first error.
struct Medium<W> {
    inner: W,
    written: u64,
    error: Option<io::Error>,
}

impl<W: Write> Sink for Medium<W> {
    fn put(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.written += bytes.len() as u64;
            self.error = self.inner.write_all(bytes).err();
        }
    }
}
