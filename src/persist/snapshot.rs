//! What takes the records of a cut: encodes them at once, and keeps the bytes until they are written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::rdb::Encoder;
use super::rdb::snapshot::{Traits, database, record};
use crate::store::{Each, Room, Taker};

/// Bytes that may wait to be written before the workers that have time encode no more.
pub const BACKGROUND_MAX: usize = 16 << 20;
/// Bytes that may wait before commands that would change what was not encoded yet have to wait, too.
pub const URGENT_MAX: usize = 128 << 20;

/// Bytes that a chunk has before it goes to the writer, which is woken for each.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks whose memory is kept to be used again, and the bytes of the largest of them.
const SPARES: usize = 64;
const SPARE_BYTES: usize = 256 << 10;

/// Bytes on their way from the workers to the writer.
///
/// Encoders never wait. While [`BACKGROUND_MAX`] is exceeded only what commands need is encoded, while [`URGENT_MAX`] is,
/// such commands are refused entry and try again: writes then go at the disk's pace, and reads go on.
pub struct Snapshot {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// The queue's bytes, to be looked at without its lock.
    waiting: AtomicUsize,
    pots: Mutex<Vec<Pot>>,
    /// The memory of chunks that were written, to be used again.
    spares: Mutex<Vec<Vec<u8>>>,
    compresses: bool,
    keys: AtomicU64,
}

/// An encoder and the chunk that it fills. There are as many as workers have encoded at the same time.
struct Pot {
    encoder: Encoder,
    chunk: Vec<u8>,
    /// The database that the chunk's last record belongs to.
    selected: Option<usize>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// All was taken.
    Complete,
    /// The writer has failed.
    Lost,
}

impl Snapshot {
    /// Takes records, with or without compression of their strings.
    pub fn new(compresses: bool) -> Self {
        Snapshot {
            queue: Mutex::default(),
            filled: Condvar::new(),
            waiting: AtomicUsize::new(0),
            pots: Mutex::default(),
            spares: Mutex::default(),
            compresses,
            keys: AtomicU64::new(0),
        }
    }

    /// Keys that were taken so far.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Waits for the next bytes to write: parts of a file, whole ones. `None` once all were handed out.
    pub fn next(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(chunk) = queue.chunks.pop_front() {
                self.waiting.fetch_sub(chunk.len(), Ordering::Relaxed);
                return Some(chunk);
            }
            if queue.state != State::Open {
                return None;
            }
            self.filled.wait(&mut queue);
        }
    }

    /// Gives up: nothing more is taken.
    pub fn lose(&self) {
        let mut queue = self.queue.lock();
        queue.state = State::Lost;
        queue.chunks.clear();
        // Later than this nothing is added.
        self.waiting.store(0, Ordering::Relaxed);
        self.filled.notify_all();
    }

    /// Whether it was given up.
    pub fn is_lost(&self) -> bool {
        self.queue.lock().state == State::Lost
    }

    /// Takes back the memory of a chunk that was written.
    pub fn give_back(&self, mut chunk: Vec<u8>) {
        if chunk.capacity() <= SPARE_BYTES {
            chunk.clear();
            let mut spares = self.spares.lock();
            if spares.len() < SPARES {
                spares.push(chunk);
            }
        }
    }

    fn push(&self, chunk: Vec<u8>) {
        let mut queue = self.queue.lock();
        if queue.state == State::Open {
            self.waiting.fetch_add(chunk.len(), Ordering::Relaxed);
            queue.chunks.push_back(chunk);
            self.filled.notify_one();
        }
    }
}

/// Gives the snapshot up if encoding panics, since the chunk at hand also has records of slices that count as taken.
struct Unwinding<'a>(&'a Snapshot);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose();
        }
    }
}

impl Taker for Snapshot {
    fn room(&self, urgent: bool) -> Room {
        let most = if urgent { URGENT_MAX } else { BACKGROUND_MAX };
        if self.waiting.load(Ordering::Relaxed) >= most {
            return Room::Full;
        }
        // The lock is held for moments only.
        if self.queue.lock().state == State::Lost { Room::Lost } else { Room::Free }
    }

    fn take(&self, each: &mut Each<'_>) {
        // The last one that was put back comes first, so that few chunks are filled at a time.
        let pot = self.pots.lock().pop();
        let mut pot =
            pot.unwrap_or_else(|| Pot { encoder: Encoder::new(self.compresses), chunk: Vec::new(), selected: None });
        let mut keys = 0;
        let unwinding = Unwinding(self);
        each(&mut |index, entry| {
            if pot.selected.replace(index) != Some(index) {
                database(&mut pot.chunk, index as u64);
            }
            let traits = Traits { expiry: entry.expiry(), ..Traits::default() };
            record(&mut pot.chunk, &mut pot.encoder, entry.key(), entry.value(), traits);
            keys += 1;
        });
        drop(unwinding);
        self.keys.fetch_add(keys, Ordering::Relaxed);
        if pot.chunk.len() >= CHUNK_BYTES {
            let spare = self.spares.lock().pop().unwrap_or_default();
            self.push(std::mem::replace(&mut pot.chunk, spare));
            pot.selected = None;
        }
        self.pots.lock().push(pot);
    }

    fn complete(&self) {
        // Whoever took the last slice comes here after all have put their chunks back.
        let pots = std::mem::take(&mut *self.pots.lock());
        pots.into_iter().filter(|pot| !pot.chunk.is_empty()).for_each(|pot| self.push(pot.chunk));
        let mut queue = self.queue.lock();
        if queue.state == State::Open {
            queue.state = State::Complete;
        }
        self.filled.notify_all();
    }
}
