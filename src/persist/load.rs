//! A snapshot's file back into an empty keyspace: one thread reads the file and cuts it between keys, any number of workers
//! read the values and insert them.

mod fill;
mod split;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use parking_lot::Mutex;

use super::rdb::file::Head;
use super::rdb::{Bounds, Damage, crc64};
use crate::store::{Keyspace, Local};
use split::Splitter;

/// Bytes that are read at once, and handed to a worker without the part that is cut at their end.
const PIECE: usize = 1 << 20;

/// A file on its way into a keyspace.
pub struct Loading {
    path: PathBuf,
    head: Head,
    bounds: Bounds,
    now_ms: u64,
    pieces: Mutex<Receiver<Piece>>,
    /// Memory of pieces that are done, for those to come.
    buffers: Mutex<Vec<Vec<u8>>>,
    /// Bytes of the file.
    length: u64,
    /// Passed when all workers are done, so that none serves while another still inserts.
    end: Barrier,
    /// Whether a key that is there already is replaced.
    merges: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    started: Instant,
    keys: AtomicU64,
    /// Bytes of the file that were handed out, and of all of it once the end was found.
    position: AtomicU64,
    expired: AtomicU64,
    functions: Mutex<Vec<Vec<u8>>>,
}

/// Whole parts of a file.
struct Piece {
    /// Bytes of the file before it.
    base: u64,
    /// The database of its first keys.
    database: u64,
    /// How many keys these databases have, if the file says that here.
    sizes: Vec<(u64, u64)>,
    bytes: Vec<u8>,
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Keys.
    pub keys: u64,
    /// Keys that were left out, because their time was up.
    pub expired: u64,
    /// How long it took.
    pub seconds: f64,
    /// The sources of libraries of functions.
    pub functions: Vec<Vec<u8>>,
}

impl Loading {
    /// Opens a file that `workers` threads are going to load by [`Loading::work`]; `None` if there is none. Keys that
    /// expire before `now_ms` are left out.
    ///
    /// # Errors
    /// Why it cannot be read, with the remedy.
    pub fn open(path: &Path, bounds: Bounds, workers: usize, now_ms: u64) -> Result<Option<Arc<Loading>>, String> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(describe(path, 0, &Damage::Source(error))),
        };
        let mut head = [0; Head::LEN];
        let read = file.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::Truncated,
            _ => Damage::Source(error),
        });
        let read = read.and_then(|()| Head::read(head).map(|found| (found, crc64::update(0, &head))));
        let (head, sum) = read.map_err(|damage| describe(path, 0, &damage))?;
        // Advice; without it the system reads less ahead.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
        let length = file.metadata().map_or(0, |facts| facts.len());
        let (sender, receiver) = sync_channel(2 * workers);
        let loading = Arc::new(Loading {
            path: path.to_owned(),
            head,
            bounds,
            now_ms,
            pieces: Mutex::new(receiver),
            buffers: Mutex::default(),
            length,
            end: Barrier::new(workers),
            merges: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
            started: Instant::now(),
            keys: AtomicU64::new(0),
            position: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            functions: Mutex::default(),
        });
        let splitter = loading.clone();
        let split = move || {
            let mut source = Splitter::new(file, sum);
            if let Err(damage) = source.split(&splitter, &sender) {
                splitter.fail(source.at, &damage);
            }
        };
        let spawned = std::thread::Builder::new().name("loader".into()).spawn(split);
        spawned.map_err(|error| format!("cannot start a thread: {error}; raise ulimit -u"))?;
        Ok(Some(loading))
    }

    /// Has keys that are there already replaced. To be called before any [`Loading::work`].
    pub fn merge(&self) {
        self.merges.store(true, Ordering::Relaxed);
    }

    /// Bytes of the file that were read so far; when all was loaded, where the snapshot in it ends.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Inserts keys beside the other workers until the file ends, and returns when all of them are done.
    ///
    /// # Errors
    /// Where the file is damaged and how, with the remedy. The keyspace then holds a part of it.
    pub fn work(&self, keyspace: &Keyspace, local: &Local) -> Result<Loaded, String> {
        self.drain(keyspace, local);
        if self.end.wait().is_leader() {
            // Others begin to serve clients, and may be inside.
            while keyspace.settle(local).is_err() {
                std::thread::yield_now();
            }
        }
        match &*self.failure.lock() {
            Some(failure) => Err(failure.clone()),
            None => Ok(Loaded {
                keys: self.keys.load(Ordering::Relaxed),
                expired: self.expired.load(Ordering::Relaxed),
                seconds: self.started.elapsed().as_secs_f64(),
                functions: self.functions.lock().clone(),
            }),
        }
    }

    /// As [`Loading::work`] of a file that was opened for one thread, with threads of its own in the places of all other
    /// workers, which are not there yet. Their timers go to `local`.
    ///
    /// # Errors
    /// As there.
    pub fn work_widely(&self, keyspace: &Keyspace, local: &Local) -> Result<Loaded, String> {
        let help = |worker| {
            let other = Local::new(worker, self.now_ms);
            self.drain(keyspace, &other);
            other.into_timers()
        };
        std::thread::scope(|scope| {
            let others = (0..keyspace.workers()).filter(|&worker| worker != local.worker);
            // Where a thread cannot be had, there are fewer.
            let spawn = |worker| std::thread::Builder::new().spawn_scoped(scope, move || help(worker)).ok();
            let helpers: Vec<_> = others.filter_map(spawn).collect();
            self.drain(keyspace, local);
            for helper in helpers {
                match helper.join() {
                    Ok(timers) => local.take_over(timers),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        self.work(keyspace, local)
    }

    /// Inserts keys until there are no more.
    fn drain(&self, keyspace: &Keyspace, local: &Local) {
        while let Some(mut piece) = self.take(keyspace, local) {
            // After a failure the rest is only taken, so that the reader comes to its end.
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            if let Err((position, damage)) = self.insert(keyspace, local, &piece) {
                self.fail(piece.base + position, &damage);
            }
            piece.bytes.clear();
            self.buffers.lock().push(piece.bytes);
        }
    }

    /// The next piece. Room for what it announces is made before anybody has a later one.
    fn take(&self, keyspace: &Keyspace, local: &Local) -> Option<Piece> {
        // The lock is held while waiting: others would wait, too.
        let pieces = self.pieces.lock();
        let piece = pieces.recv().ok()?;
        for &(database, keys) in &piece.sizes {
            // A key takes three bytes at least, so what a file says wrongly takes no more memory than its length warrants.
            let keys = keys.min(self.length.saturating_sub(piece.base) / 3);
            if let Ok(database) = check_database(keyspace, database) {
                // It is only faster with it.
                let _ = keyspace.reserve(local, database, keys);
            }
        }
        Some(piece)
    }

    /// Memory for a piece.
    fn buffer(&self) -> Vec<u8> {
        let spare = self.buffers.lock().pop();
        // That of a piece with a very long part is let go.
        spare.filter(|spare| spare.capacity() <= 2 * PIECE).unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    fn fail(&self, position: u64, damage: &Damage) {
        self.failure.lock().get_or_insert_with(|| describe(&self.path, position, damage));
        self.failed.store(true, Ordering::Relaxed);
    }
}

fn check_database(keyspace: &Keyspace, index: u64) -> Result<usize, Damage> {
    let found = usize::try_from(index).ok().filter(|&index| index < keyspace.databases());
    found.ok_or(Damage::Corrupt("keys of a database beyond the setting databases, which is to be raised"))
}

fn describe(path: &Path, position: u64, damage: &Damage) -> String {
    format!(
        "{} cannot be loaded, at byte {position}: {damage}; put a sound copy in its place, or move it away to start without \
         its keys",
        path.display()
    )
}
