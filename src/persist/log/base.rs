//! How a snapshot takes the place of the records before it.
//!
//! The snapshot's cut notes the next stamp, the *mark*, while nobody is inside the keyspace: what has a lesser stamp is in the snapshot, what has
//! another one is not. The keeper meets the mark when it merges the lanes and knows then the number of the first record that is
//! still needed. When the snapshot's file is durable the keeper makes durable what it has written so far and replaces the manifest.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::manifest::name_of_base;
use crate::store::Journal;

/// There is no mark.
const NONE: u64 = 0;

/// A snapshot whose file is durable, and that the log does not begin with yet.
#[derive(Clone, Debug)]
pub struct Base {
    /// The mark of its cut.
    pub(super) mark: u64,
    /// The file's name.
    pub(super) name: String,
    /// The file's bytes.
    pub(super) bytes: u64,
}

/// The snapshots that a log begins with: which one it is, and which is to come.
pub struct Bases {
    mark: AtomicU64,
    number: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The file that is being written, since when.
    running: Option<(String, Instant)>,
    ready: Option<Base>,
    last: Option<Duration>,
    failed_at: Option<Instant>,
    begun: u64,
    bytes: u64,
    grown_from: u64,
}

/// What there is to tell of the replacement of a log's records by a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// How long the present one has been running, in seconds.
    pub running_seconds: Option<u64>,
    /// How long the last one took, in seconds.
    pub last_seconds: Option<u64>,
    /// Seconds since the last one failed; `None` if it did not.
    pub failed_seconds: Option<u64>,
    /// How many were begun.
    pub begun: u64,
    /// Bytes of the snapshot that the log begins with.
    pub base_bytes: u64,
    /// Bytes of the log with its base when it was replaced last, or at the start.
    pub grown_from: u64,
}

impl Bases {
    /// Those of a log that begins with a snapshot of so many bytes. `number` is the greatest that any snapshot has.
    pub(super) fn new(number: u32, bytes: u64) -> Bases {
        let state = State { bytes, grown_from: bytes, ..State::default() };
        Bases { mark: AtomicU64::new(NONE), number: AtomicU32::new(number), state: Mutex::new(state) }
    }

    /// Begins with a new one: the name of its file. `None` while there is another to come.
    pub fn begin(&self) -> Option<String> {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return None;
        }
        let name = name_of_base(self.number.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
        state.running = Some((name.clone(), Instant::now()));
        state.begun += 1;
        Some(name)
    }

    /// Its cut is made: nobody else is inside the keyspace.
    pub(super) fn cut(&self, journal: &Journal) {
        // Before anybody draws this stamp, so that the keeper sees it with the first record that has it.
        self.mark.store(journal.latest(), Ordering::SeqCst);
    }

    /// Its file is durable and has so many bytes.
    pub(super) fn complete(&self, bytes: u64) {
        let mut state = self.state.lock();
        let mark = self.mark.load(Ordering::SeqCst);
        state.ready = state.running.as_ref().map(|(name, _)| Base { mark, name: name.clone(), bytes });
    }

    /// It was not begun after all, which is no failure.
    pub fn cancel(&self) {
        let mut state = self.state.lock();
        state.begun -= u64::from(state.running.take().is_some());
    }

    /// It could not be written.
    pub(super) fn fail(&self) {
        let mut state = self.state.lock();
        self.mark.store(NONE, Ordering::SeqCst);
        state.ready = None;
        state.last = state.running.take().map(|(_, since)| since.elapsed());
        state.failed_at = Some(Instant::now());
    }

    /// The mark, if there is one.
    pub(super) fn mark(&self) -> Option<u64> {
        Some(self.mark.load(Ordering::SeqCst)).filter(|mark| *mark != NONE)
    }

    /// What is to take the place of records.
    pub(super) fn ready(&self) -> Option<Base> {
        self.state.lock().ready.clone()
    }

    /// It has taken their place; what follows it has so many bytes.
    pub(super) fn settle(&self, base: &Base, bytes: u64) {
        let mut state = self.state.lock();
        self.mark.store(NONE, Ordering::SeqCst);
        state.ready = None;
        state.last = state.running.take().map(|(_, since)| since.elapsed());
        state.failed_at = None;
        state.bytes = base.bytes;
        state.grown_from = base.bytes + bytes;
    }

    /// Whether one is to come.
    pub fn is_running(&self) -> bool {
        self.state.lock().running.is_some()
    }

    /// What there is to tell.
    pub fn report(&self) -> Rewrite {
        let state = self.state.lock();
        let seconds = |time: Duration| time.as_secs();
        Rewrite {
            running_seconds: state.running.as_ref().map(|(_, since)| seconds(since.elapsed())),
            last_seconds: state.last.map(seconds),
            failed_seconds: state.failed_at.map(|at| seconds(at.elapsed())),
            begun: state.begun,
            base_bytes: state.bytes,
            grown_from: state.grown_from,
        }
    }
}
