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
    /// Encoders, and the memory of chunks that were written, to be used again.
    encoders: Mutex<(Vec<Encoder>, Vec<Vec<u8>>)>,
    compresses: bool,
    keys: AtomicU64,
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
            encoders: Mutex::default(),
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
            let (_, spares) = &mut *self.encoders.lock();
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
        let (encoder, chunk) = {
            let (encoders, spares) = &mut *self.encoders.lock();
            (encoders.pop(), spares.pop())
        };
        let (mut encoder, mut chunk) =
            (encoder.unwrap_or_else(|| Encoder::new(self.compresses)), chunk.unwrap_or_default());
        let (mut selected, mut keys) = (None, 0);
        each(&mut |index, entry| {
            if selected.replace(index) != Some(index) {
                database(&mut chunk, index as u64);
            }
            let traits = Traits { expiry: entry.expiry(), ..Traits::default() };
            record(&mut chunk, &mut encoder, entry.key(), entry.value(), traits);
            keys += 1;
        });
        self.encoders.lock().0.push(encoder);
        self.keys.fetch_add(keys, Ordering::Relaxed);
        if !chunk.is_empty() {
            self.push(chunk);
        }
    }

    fn complete(&self) {
        let mut queue = self.queue.lock();
        if queue.state == State::Open {
            queue.state = State::Complete;
        }
        self.filled.notify_all();
    }
}
