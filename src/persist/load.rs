//! A snapshot's file back into an empty keyspace: one thread reads the file and cuts it between keys, any number of workers
//! read the values and insert them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use parking_lot::Mutex;

use super::rdb::extent::{Extent, extent};
use super::rdb::file::{Head, Keyed, Part, Reader};
use super::rdb::{Bounds, Damage, crc64};
use crate::store::{Keyspace, Local, Store};

/// Bytes that are read at once, and handed to a worker without the part that is cut at their end.
const PIECE: usize = 1 << 20;

/// A file on its way into a keyspace.
pub struct Loading {
    path: PathBuf,
    head: Head,
    bounds: Bounds,
    now_ms: u64,
    pieces: Mutex<Receiver<Piece>>,
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
        let (sender, receiver) = sync_channel(2 * workers);
        let loading = Arc::new(Loading {
            path: path.to_owned(),
            head,
            bounds,
            now_ms,
            pieces: Mutex::new(receiver),
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
            let mut source = Splitter { file, sum, at: Head::LEN as u64, database: 0 };
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
        loop {
            // The lock is held while waiting: others would wait, too.
            let piece = self.pieces.lock().recv();
            let Ok(piece) = piece else { break };
            // After a failure the rest is only taken, so that the reader comes to its end.
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            if let Err((position, damage)) = self.insert(keyspace, local, &piece) {
                self.fail(piece.base + position, &damage);
            }
        }
        self.end.wait();
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

    fn fail(&self, position: u64, damage: &Damage) {
        self.failure.lock().get_or_insert_with(|| describe(&self.path, position, damage));
        self.failed.store(true, Ordering::Relaxed);
    }

    fn insert(&self, keyspace: &Keyspace, local: &Local, piece: &Piece) -> Result<(), (u64, Damage)> {
        let mut reader = Reader::of_parts(&piece.bytes[..], self.head, self.bounds);
        let mut database = check_database(keyspace, piece.database).map_err(|damage| (0, damage))?;
        let (mut keys, mut expired) = (0, 0);
        loop {
            let before = reader.position();
            match reader.part().map_err(|error| (error.position, error.damage))? {
                None => break,
                Some(Part::Key(keyed)) if keyed.parcel.expiry.is_some_and(|due| due < self.now_ms) => expired += 1,
                Some(Part::Key(keyed)) => {
                    let store = Store::new(keyspace, local, database, self.now_ms);
                    insert(&store, local, *keyed, self.merges.load(Ordering::Relaxed))
                        .map_err(|damage| (before, damage))?;
                    keys += 1;
                }
                Some(Part::Database(index)) => {
                    database = check_database(keyspace, index).map_err(|damage| (before, damage))?;
                }
                Some(Part::Function(source)) => self.functions.lock().push(source),
                Some(Part::Aux { .. } | Part::Sizes { .. }) => (),
            }
        }
        self.keys.fetch_add(keys, Ordering::Relaxed);
        self.expired.fetch_add(expired, Ordering::Relaxed);
        Ok(())
    }
}

fn check_database(keyspace: &Keyspace, index: u64) -> Result<usize, Damage> {
    let found = usize::try_from(index).ok().filter(|&index| index < keyspace.databases());
    found.ok_or(Damage::Corrupt("keys of a database beyond the setting databases, which is to be raised"))
}

fn insert(store: &Store<'_>, local: &Local, keyed: Keyed, merges: bool) -> Result<(), Damage> {
    let Keyed { key, parcel, idle, .. } = keyed;
    let _held = loop {
        // Others insert, too, and leave at once.
        match store.keyspace().enter_key(local, &key) {
            Ok(held) => break held,
            Err(_) => std::thread::yield_now(),
        }
    };
    let is_new = store.update(&key, |entry| {
        if entry.record().is_some() && !merges {
            return false;
        }
        entry.set_parcel(parcel);
        if let (Some(idle), Some(record)) = (idle, entry.record()) {
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            record.set_access(((store.now_ms / 1000) as u32).saturating_sub(idle));
        }
        true
    });
    if is_new { Ok(()) } else { Err(Damage::Corrupt("a key that is there twice")) }
}

fn describe(path: &Path, position: u64, damage: &Damage) -> String {
    format!(
        "{} cannot be loaded, at byte {position}: {damage}; put a sound copy in its place, or move it away to start without \
         its keys",
        path.display()
    )
}

/// Cuts a file into pieces.
struct Splitter<R> {
    file: R,
    sum: u64,
    /// Bytes of the file before what is at hand.
    at: u64,
    database: u64,
}

impl<R: Read> Splitter<R> {
    fn split(&mut self, loading: &Loading, sender: &SyncSender<Piece>) -> Result<(), Damage> {
        let mut bytes = Vec::with_capacity(PIECE);
        // A part that is longer than a piece doubles what is read, so that looking for its end anew costs no more than it.
        let mut wanted = PIECE;
        loop {
            let is_last = self.fill(&mut bytes, wanted)?;
            let first = self.database;
            let (len, is_end) = self.whole_parts(&bytes, loading)?;
            if len == 0 && !is_end {
                if is_last {
                    self.at += bytes.len() as u64;
                    return Err(Damage::Truncated);
                }
                wanted = bytes.len() * 2;
                continue;
            }
            let mut rest = Vec::with_capacity(PIECE);
            rest.extend_from_slice(&bytes[len..]);
            bytes.truncate(len);
            self.sum = crc64::update(self.sum, &bytes);
            let base = self.at;
            self.at += len as u64;
            loading.position.store(self.at, Ordering::Relaxed);
            // Nobody takes it any more if all workers have ended, and then they tell why.
            let _ = sender.send(Piece { base, database: first, bytes });
            if is_end {
                let sum = if loading.head.is_summed() { 8 } else { 0 };
                loading.position.store(self.at + 1 + sum, Ordering::Relaxed);
                return self.end(rest, loading.head);
            }
            if loading.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            bytes = rest;
            wanted = PIECE;
        }
    }

    /// Reads until there are so many bytes, or the file ends: whether it does.
    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<bool, Damage> {
        let missing = wanted.saturating_sub(bytes.len()) as u64;
        let read = self.file.by_ref().take(missing).read_to_end(bytes).map_err(Damage::Source)?;
        Ok((read as u64) < missing)
    }

    /// The bytes of the whole parts at hand, and whether the file's end follows.
    fn whole_parts(&mut self, bytes: &[u8], loading: &Loading) -> Result<(usize, bool), Damage> {
        let mut len = 0;
        loop {
            let found = extent(&bytes[len..], loading.head, loading.bounds.string);
            match found.inspect_err(|_| self.at += len as u64)? {
                Extent::Part { len: more, database } => {
                    len += more;
                    self.database = database.unwrap_or(self.database);
                }
                Extent::End => return Ok((len, true)),
                Extent::More => return Ok((len, false)),
            }
        }
    }

    /// Compares the checksum behind the mark of the end.
    fn end(&mut self, mut rest: Vec<u8>, head: Head) -> Result<(), Damage> {
        if !head.is_summed() {
            return Ok(());
        }
        self.fill(&mut rest, 9)?;
        let Some((mark, sum)) = rest.split_first_chunk::<1>() else { return Err(Damage::Truncated) };
        let sum = u64::from_le_bytes(*sum.first_chunk().ok_or(Damage::Truncated)?);
        // 0 is that the writer had none.
        if sum == 0 || sum == crc64::update(self.sum, mark) { Ok(()) } else { Err(Damage::Checksum) }
    }
}
