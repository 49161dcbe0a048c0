//! The order of changes, for whoever keeps or forwards them: the log, and replicas.
//!
//! A worker draws a *stamp* while it holds the lock of the key that it changes, so that two changes of one key are stamped in the
//! order in which they happened. What was changed is gathered until the worker has left the keyspace and then put into its *lane* as one
//! record; what happened inside one entry (a transaction, a script) is one record. A single reader merges the lanes by stamp.
//!
//! A stamp that was drawn may be published late or never. So a worker announces a *floor* before it draws: no stamp that it has yet to publish
//! is below it. The reader first looks at the next stamp, then at all floors; everything below the least of these is published
//! ([`floor`]).
//!
//! While nobody listens, all of this costs one relaxed load for a change.

mod floor;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use super::enter::Local;
use super::view::Store;
use floor::NO_FLOOR;

/// Bytes in a lane at which the reader is woken though nobody waits for it.
const WAKE_AT: usize = 256 << 10;
/// Bytes before a record's payload in a lane: its length, stamp and time.
const HEAD: usize = 24;
/// Milliseconds of one synchronisation after which writers wait for its end.
const PATIENCE_MS: u64 = 2000;

const OFF: u8 = 0;
const ON: u8 = 1;
const REFUSING: u8 = 2;

/// The lanes of all workers, and how far their reader got.
pub struct Journal {
    quiet: Quiet,
    next: Padded,
    lanes: Box<[Lane]>,
    /// All stamps below are durable.
    durable: AtomicU64,
    /// When the synchronisation under way began, in milliseconds of Unix time; 0 while there is none.
    sync_began_ms: AtomicU64,
    /// Why writing fails.
    failure: Mutex<String>,
    waiting: Mutex<Vec<(u64, Waker)>>,
    /// Whether the reader sleeps, so that it has to be woken.
    sleeps: AtomicBool,
    reader: Mutex<Option<std::thread::Thread>>,
}

/// What every command reads and hardly anybody writes, away from what is written often.
#[repr(align(128))]
struct Quiet {
    state: AtomicU8,
    /// Whether a change is only to be acknowledged when it is durable.
    strict: AtomicBool,
}

#[repr(align(128))]
struct Padded(AtomicU64);

#[repr(align(128))]
struct Lane {
    floor: AtomicU64,
    records: Mutex<Vec<u8>>,
}

/// What one worker has noted and not published.
pub(super) struct Notes {
    /// The last stamp drawn; 0 for none.
    stamp: Cell<u64>,
    /// Commands, each with its database before it.
    commands: RefCell<Vec<u8>>,
    time_ms: Cell<u64>,
    /// Whether a command is under way whose end publishes.
    open: Cell<bool>,
    /// Whether the command under way has said itself what is to be recorded.
    told: Cell<bool>,
    /// One more than the last stamp that was published.
    published: Cell<u64>,
}

impl Notes {
    pub(super) fn new() -> Notes {
        Notes {
            stamp: Cell::new(0),
            commands: RefCell::default(),
            time_ms: Cell::new(0),
            open: Cell::new(false),
            told: Cell::new(false),
            published: Cell::new(0),
        }
    }
}

/// One record as the reader gets it: what happened in one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a> {
    /// Its place in the order.
    pub stamp: u64,
    /// The time at which its commands ran, in milliseconds of Unix time.
    pub time_ms: u64,
    /// Commands: of each the database (32 bits, little endian) and its arguments as a RESP array.
    pub commands: &'a [u8],
}

impl Journal {
    /// A journal that nobody listens to.
    pub(super) fn new(workers: usize) -> Journal {
        let lane = || Lane { floor: AtomicU64::new(NO_FLOOR), records: Mutex::default() };
        Journal {
            quiet: Quiet { state: AtomicU8::new(OFF), strict: AtomicBool::new(false) },
            next: Padded(AtomicU64::new(1)),
            lanes: (0..workers).map(|_| lane()).collect(),
            durable: AtomicU64::new(0),
            sync_began_ms: AtomicU64::new(0),
            failure: Mutex::default(),
            waiting: Mutex::default(),
            sleeps: AtomicBool::new(false),
            reader: Mutex::default(),
        }
    }

    /// Whether changes are recorded.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.quiet.state.load(Ordering::Relaxed) != OFF
    }

    /// Whether writes are refused: one relaxed load.
    #[inline(always)]
    pub fn is_refusing(&self) -> bool {
        self.quiet.state.load(Ordering::Relaxed) == REFUSING
    }

    /// Why writes are refused, if they are.
    pub fn refusal(&self) -> Option<String> {
        self.is_refusing().then(|| self.failure.lock().clone())
    }

    /// Begins to record, while nobody else is inside the keyspace.
    pub fn begin(&self) {
        // What went before is not recorded, and nobody has to wait for it.
        self.durable.store(self.latest(), Ordering::SeqCst);
        self.quiet.state.store(ON, Ordering::SeqCst);
    }

    /// Records no more, while nobody else is inside the keyspace. What was recorded may not be published yet.
    pub fn end(&self) {
        self.quiet.state.store(OFF, Ordering::SeqCst);
    }

    /// After the end, when the reader has ended, too: whoever waits goes on.
    pub fn release(&self) {
        self.set_strict(false);
        self.note_sync(0);
        self.note_durable(u64::MAX);
    }

    /// Whether replies to changes are held back until these are durable.
    pub fn set_strict(&self, strict: bool) {
        self.quiet.strict.store(strict, Ordering::Relaxed);
    }

    /// One more than the last stamp drawn by anybody.
    pub fn latest(&self) -> u64 {
        self.next.0.load(Ordering::SeqCst)
    }

    /// All stamps below are durable.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Below which stamp everything has to be durable before what `local` did since it had published `before` may be
    /// acknowledged; `None` if it may be now.
    #[inline]
    pub fn debt(&self, local: &Local, before: u64, now_ms: u64) -> Option<u64> {
        let published = local.notes.published.get();
        if published == before { None } else { self.debt_of(published, now_ms) }
    }

    /// The same for everything that anybody did so far.
    #[inline]
    pub fn debt_of_all(&self, now_ms: u64) -> Option<u64> {
        if self.is_on() { self.debt_of(self.latest(), now_ms) } else { None }
    }

    #[cold]
    fn debt_of(&self, stamp: u64, now_ms: u64) -> Option<u64> {
        let began = self.sync_began_ms.load(Ordering::Relaxed);
        let late = began != 0 && now_ms.saturating_sub(began) > PATIENCE_MS;
        (self.quiet.strict.load(Ordering::Relaxed) || late).then_some(stamp)
    }

    /// Whether everything below `stamp` is durable; if not, `waker` is woken when it is.
    pub fn await_durable(&self, stamp: u64, waker: &Waker) -> bool {
        if self.durable() >= stamp {
            return true;
        }
        self.waiting.lock().push((stamp, waker.clone()));
        // It may have become so before the waker was in its place.
        self.durable() >= stamp
    }

    /// Whether anybody waits until something is durable.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// Draws a stamp. The caller holds the lock of what it changes.
    #[inline]
    fn draw(&self, local: &Local) {
        let is_first = local.notes.stamp.get() == 0;
        local.notes.stamp.set(floor::draw(&self.next.0, &self.lanes[local.worker].floor, is_first));
    }

    /// Publishes what was noted, after the keyspace was left.
    fn publish(&self, local: &Local) {
        let notes = &local.notes;
        let stamp = notes.stamp.replace(0);
        if stamp == 0 {
            return;
        }
        let lane = &self.lanes[local.worker];
        let mut commands = notes.commands.borrow_mut();
        let mut waiting = 0;
        if !commands.is_empty() {
            let mut records = lane.records.lock();
            records.extend_from_slice(&(commands.len() as u64).to_le_bytes());
            records.extend_from_slice(&stamp.to_le_bytes());
            records.extend_from_slice(&notes.time_ms.get().to_le_bytes());
            records.extend_from_slice(&commands);
            waiting = records.len();
            drop(records);
            commands.clear();
            if commands.capacity() > WAKE_AT {
                commands.shrink_to(WAKE_AT);
            }
            notes.published.set(stamp + 1);
        }
        floor::clear(&lane.floor);
        if waiting > 0 && (waiting >= WAKE_AT || self.quiet.strict.load(Ordering::Relaxed)) {
            self.wake();
        }
    }

    /// Wakes the reader if it sleeps.
    pub fn wake(&self) {
        if self.sleeps.swap(false, Ordering::SeqCst)
            && let Some(reader) = &*self.reader.lock()
        {
            reader.unpark();
        }
    }
}

/// The reader's side.
impl Journal {
    /// Declares the calling thread the reader.
    pub fn attend(&self) {
        *self.reader.lock() = Some(std::thread::current());
    }

    /// Sleeps until a worker wakes it or the time is up. `carry` is what [`Journal::collect`] left.
    pub fn sleep(&self, most: std::time::Duration, carry: &Carry) {
        // Whoever published before this did not wake us, and hands on to it what was done by then.
        self.sleeps.swap(true, Ordering::SeqCst);
        let is_published = || {
            let limit = floor::limit(&self.next.0, self.lanes.iter().map(|lane| &lane.floor));
            self.lanes.iter().any(|lane| !lane.records.lock().is_empty())
                || carry.lanes.iter().any(|queue| queue.head().is_some_and(|record| record.stamp < limit))
        };
        if !(self.quiet.strict.load(Ordering::Relaxed) && is_published()) {
            std::thread::park_timeout(most);
        }
        self.sleeps.store(false, Ordering::SeqCst);
    }

    /// Takes what was published, in the order of stamps, and gives each record to `visit`. Returns the stamp below which
    /// everything has been given.
    pub fn collect(&self, carry: &mut Carry, mut visit: impl FnMut(Published<'_>)) -> u64 {
        let limit = floor::limit(&self.next.0, self.lanes.iter().map(|lane| &lane.floor));
        carry.lanes.resize_with(self.lanes.len(), Queue::default);
        for (queue, lane) in carry.lanes.iter_mut().zip(&self.lanes) {
            queue.refill(&mut lane.records.lock());
        }
        loop {
            let first = carry.lanes.iter().enumerate().filter_map(|(at, queue)| Some((queue.head()?.stamp, at))).min();
            match first {
                Some((stamp, at)) if stamp < limit => {
                    if let Some(record) = carry.lanes[at].head() {
                        visit(record);
                    }
                    carry.lanes[at].advance();
                }
                _ => return limit,
            }
        }
    }

    /// Everything below `stamp` is durable: whoever waits for that goes on.
    pub fn note_durable(&self, stamp: u64) {
        self.durable.store(stamp, Ordering::SeqCst);
        let ready: Vec<Waker> = {
            let mut waiting = self.waiting.lock();
            waiting.extract_if(.., |(wanted, _)| *wanted <= stamp).map(|(_, waker)| waker).collect()
        };
        ready.into_iter().for_each(Waker::wake);
    }

    /// A synchronisation begins (at this time) or ends (0).
    pub fn note_sync(&self, began_ms: u64) {
        self.sync_began_ms.store(began_ms, Ordering::Relaxed);
    }

    /// Writing fails for this reason: clients' writes are refused.
    pub fn refuse(&self, reason: String) {
        *self.failure.lock() = reason;
        // Not after the end.
        let _ = self.quiet.state.compare_exchange(ON, REFUSING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Writing works again.
    pub fn accept(&self) {
        let _ = self.quiet.state.compare_exchange(REFUSING, ON, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Records that the reader took from the lanes and could not give on yet.
#[derive(Default)]
pub struct Carry {
    lanes: Vec<Queue>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    fn refill(&mut self, lane: &mut Vec<u8>) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > 16 * WAKE_AT {
                self.bytes = Vec::new();
            }
            std::mem::swap(&mut self.bytes, lane);
        } else if !lane.is_empty() {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.append(lane);
        }
    }

    fn head(&self) -> Option<Published<'_>> {
        let (head, rest) = self.bytes[self.start..].split_at_checked(HEAD)?;
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        Some(Published { stamp: word(8), time_ms: word(16), commands: rest.get(..word(0) as usize)? })
    }

    fn advance(&mut self) {
        if let Some(length) = self.head().map(|record| record.commands.len()) {
            self.start += HEAD + length;
        }
    }
}

/// A command under way that changes keys: its end publishes what was noted, also when it panics.
pub struct Recording<'a> {
    journal: &'a Journal,
    local: &'a Local,
}

impl<'a> Recording<'a> {
    /// Begins, before the keyspace is entered.
    pub fn begin(journal: &'a Journal, local: &'a Local) -> Recording<'a> {
        local.notes.open.set(true);
        local.notes.told.set(false);
        Recording { journal, local }
    }

    /// Notes a command, unless it has said itself what is to be recorded.
    pub fn note<'k>(&self, store: &Store<'_>, args: impl ExactSizeIterator<Item = &'k [u8]>) {
        if !self.local.notes.told.get() {
            store.note(args);
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.local.notes.open.set(false);
        // Inside a transaction its end publishes all of it.
        if !self.local.is_inside() {
            self.journal.publish(self.local);
        }
    }
}

impl Local {
    /// One more than the last stamp that this worker has published: what [`Journal::debt`] wants to know later.
    #[inline]
    pub fn published(&self) -> u64 {
        self.notes.published.get()
    }

    /// Publishes what was noted, after the keyspace was left.
    #[inline]
    pub(super) fn settle(&self, journal: &Journal) {
        if self.notes.stamp.get() != 0 && !self.notes.open.get() {
            journal.publish(self);
        }
    }

    /// The command under way has told what is to be recorded of it.
    pub fn tell(&self) {
        self.notes.told.set(true);
    }
}

impl Store<'_> {
    /// Gives the change at hand its place in the order. To be called while the key's lock is held.
    #[inline]
    pub(super) fn stamp(&self) {
        if self.keyspace.journal.is_on() {
            self.keyspace.journal.draw(self.local);
        }
    }

    /// Notes a command that has the effect of what was done.
    pub fn note<'k>(&self, args: impl ExactSizeIterator<Item = &'k [u8]>) {
        let notes = &self.local.notes;
        if notes.stamp.get() == 0 {
            // It changed something else than keys.
            self.keyspace.journal.draw(self.local);
        }
        notes.time_ms.set(self.now_ms);
        let mut commands = notes.commands.borrow_mut();
        commands.extend_from_slice(&(self.database as u32).to_le_bytes());
        encode(args, &mut commands);
    }

    /// Notes that a key was removed by nobody's command. To be called while its lock is held.
    #[cold]
    pub(super) fn note_removal(&self, key: &[u8]) {
        if self.keyspace.journal.is_on() {
            self.stamp();
            self.note([&b"DEL"[..], key].into_iter());
        }
    }
}

impl Store<'_> {
    /// Notes that fields of a hash were removed because their time was up. To be called while its lock is held.
    #[cold]
    pub(super) fn note_removal_of_fields(&self, key: &[u8], fields: &[Vec<u8>]) {
        if !fields.is_empty() {
            self.stamp();
            let words: Vec<&[u8]> = [&b"HDEL"[..], key].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
            self.note(words.into_iter());
        }
    }
}

/// Appends arguments as a RESP array.
fn encode<'k>(args: impl ExactSizeIterator<Item = &'k [u8]>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let mut head = |out: &mut Vec<u8>, kind: u8, number: usize| {
        out.push(kind);
        out.extend_from_slice(digits.format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    head(out, b'*', args.len());
    for arg in args {
        head(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
