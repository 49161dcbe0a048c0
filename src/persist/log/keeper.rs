//! The thread that keeps a log: it merges what workers publish, writes it, and tells how far it is durable.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::base::{Bases, Rewrite};
use super::disk::Disk;
use super::writer::Log;
use crate::persist::saves::Sequel;
use crate::store::{Carry, Journal};

/// When a log is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Before a change is acknowledged.
    Always = 0,
    /// Once a second.
    EverySecond = 1,
    /// When the system likes.
    Never = 2,
}

/// Time between syncs under [`Policy::EverySecond`].
const SECOND: Duration = Duration::from_secs(1);
/// Time after which the lanes are looked at again while there are records.
const BUSY_ROUND: Duration = Duration::from_millis(10);
/// The same while there are none.
const IDLE_ROUND: Duration = Duration::from_millis(100);
/// Time between attempts while writing fails.
const RETRY: Duration = Duration::from_millis(200);
/// Attempts at the end before what cannot be written is given up.
const LAST_ATTEMPTS: u32 = 5;

/// A log that is kept.
pub struct Keeper {
    shared: Arc<Shared>,
    journal: &'static Journal,
    thread: Mutex<Option<JoinHandle<bool>>>,
}

struct Shared {
    policy: AtomicU8,
    ends: AtomicBool,
    bytes: AtomicU64,
    pending: AtomicU64,
    fails: AtomicBool,
    late_syncs: AtomicU64,
    is_apart: AtomicBool,
    bases: Bases,
    /// Who waits until a start would find this log.
    waiting: Mutex<Vec<Waker>>,
}

impl Shared {
    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// How a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes of all records since the base.
    pub bytes: u64,
    /// Bytes that are not durable yet.
    pub pending: u64,
    /// Whether writing fails.
    pub fails: bool,
    /// Syncs that took longer than two seconds.
    pub late_syncs: u64,
    /// Whether a start would not find it yet, but what was there before.
    pub is_apart: bool,
    /// The snapshot that it begins with, and the one to come.
    pub rewrite: Rewrite,
}

impl Status {
    /// Bytes of the log with the snapshot that it begins with.
    pub fn total(&self) -> u64 {
        self.rewrite.base_bytes + self.bytes
    }
}

impl Keeper {
    /// Begins to keep a log of what is published in `journal`, to which the caller then has everything recorded
    /// ([`Journal::begin`]). The snapshot that the log begins with has `base_bytes` bytes.
    ///
    /// # Errors
    /// Why the thread cannot be started.
    pub fn start<D>(journal: &'static Journal, log: Log<D>, policy: Policy, base_bytes: u64) -> io::Result<Keeper>
    where
        D: Disk + Clone + Send + 'static,
        D::File: Send,
    {
        let shared = Arc::new(Shared {
            policy: AtomicU8::new(policy as u8),
            ends: AtomicBool::new(false),
            bytes: AtomicU64::new(log.bytes()),
            pending: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            late_syncs: AtomicU64::new(0),
            is_apart: AtomicBool::new(log.is_apart()),
            bases: Bases::new(log.base_number()?, base_bytes),
            waiting: Mutex::default(),
        });
        journal.set_strict(policy == Policy::Always);
        let (disk, shared_state) = (log.disk().clone(), shared.clone());
        let mut round = Round {
            journal,
            log,
            shared: shared_state,
            carry: Carry::default(),
            synced: Instant::now(),
            limit: 0,
            first: None,
            disk,
            syncing: None,
        };
        let thread = std::thread::Builder::new().name("roster-log".to_owned()).spawn(move || round.run())?;
        Ok(Keeper { shared, journal, thread: Mutex::new(Some(thread)) })
    }

    /// Changes when the log is made durable.
    pub fn set_policy(&self, policy: Policy) {
        if self.shared.policy.swap(policy as u8, Ordering::Relaxed) != policy as u8 {
            self.journal.set_strict(policy == Policy::Always);
            self.journal.wake();
        }
    }

    /// How the log is.
    pub fn status(&self) -> Status {
        Status {
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            pending: self.shared.pending.load(Ordering::Relaxed),
            fails: self.shared.fails.load(Ordering::Relaxed),
            late_syncs: self.shared.late_syncs.load(Ordering::Relaxed),
            is_apart: self.shared.is_apart.load(Ordering::Relaxed),
            rewrite: self.shared.bases.report(),
        }
    }

    /// The snapshots that it begins with.
    pub fn bases(&self) -> &Bases {
        &self.shared.bases
    }

    /// Writes and syncs all that was published, and ends. False if that failed.
    pub fn finish(&self) -> bool {
        self.shared.ends.store(true, Ordering::SeqCst);
        self.journal.wake();
        let kept = self.thread.lock().take().is_none_or(|thread| thread.join().unwrap_or(false));
        self.shared.wake_waiting();
        kept
    }

    /// Whether a start would find this log; if not yet, `waker` is woken when it would, or when the log has ended.
    pub fn await_base(&self, waker: &Waker) -> bool {
        let is_apart = || self.shared.is_apart.load(Ordering::SeqCst);
        if !is_apart() {
            return true;
        }
        self.shared.waiting.lock().push(waker.clone());
        !is_apart()
    }
}

impl Sequel for Keeper {
    fn cut(&self) {
        self.shared.bases.cut(self.journal);
    }

    fn end(&self, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => self.shared.bases.complete(bytes),
            None => self.shared.bases.fail(),
        }
        self.journal.wake();
    }
}

/// The first record that a snapshot does not hold.
#[derive(Clone, Copy)]
struct First {
    /// The mark of the snapshot's cut.
    mark: u64,
    /// The record's number.
    number: u64,
    /// Bytes of records before it.
    bytes: u64,
}

struct Round<D: Disk> {
    journal: &'static Journal,
    log: Log<D>,
    shared: Arc<Shared>,
    carry: Carry,
    /// When the last sync was.
    synced: Instant,
    /// Everything below this stamp is in the log.
    limit: u64,
    /// What the next base will not hold.
    first: Option<First>,
    /// What another thread syncs with.
    disk: D,
    /// The sync that another thread makes: up to which record, and below which stamp.
    syncing: Option<(JoinHandle<io::Result<()>>, u64, u64)>,
}

impl<D> Round<D>
where
    D: Disk + Clone + Send + 'static,
    D::File: Send,
{
    /// Keeps the log until the end; whether everything is durable then.
    fn run(&mut self) -> bool {
        self.journal.attend();
        let mut attempts = 0;
        loop {
            // Looked at before the lanes, so that what was published before the end is in the log.
            let ends = self.shared.ends.load(Ordering::SeqCst);
            let before = self.log.last();
            let result = self.step(ends);
            self.shared.bytes.store(self.log.bytes(), Ordering::Relaxed);
            self.shared.pending.store(self.log.pending() as u64, Ordering::Relaxed);
            let fails = result.is_err();
            match &result {
                Ok(()) => self.succeed(),
                Err(error) => self.fail(error),
            }
            attempts += u32::from(ends);
            if ends && (!fails || attempts >= LAST_ATTEMPTS) {
                return !fails;
            }
            match () {
                // Not to be cut short by those who publish.
                () if fails => std::thread::sleep(RETRY),
                () if ends => (),
                () if before != self.log.last() => self.journal.sleep(BUSY_ROUND, &self.carry),
                () => self.journal.sleep(IDLE_ROUND, &self.carry),
            }
        }
    }

    fn step(&mut self, ends: bool) -> io::Result<()> {
        self.collect();
        self.log.set_strict(self.shared.policy.load(Ordering::Relaxed) == Policy::Always as u8);
        self.write()?;
        let policy = self.shared.policy.load(Ordering::Relaxed);
        if policy == Policy::Never as u8 && !ends {
            // Nobody is told that anything is durable, unless somebody asks: then it is made so.
            if self.journal.is_awaited() {
                self.finish_sync(true)?;
                self.sync()?;
                self.journal.note_durable(self.limit);
            }
            self.log.release();
            return Ok(());
        }
        self.finish_sync(ends || policy == Policy::Always as u8)?;
        if !self.log.is_unsynced() {
            self.journal.note_durable(self.limit);
            return Ok(());
        }
        if policy == Policy::Always as u8 || ends {
            self.sync()?;
            self.journal.note_durable(self.limit);
        } else if self.synced.elapsed() >= SECOND && !self.log.is_syncing() {
            self.begin_sync()?;
        }
        Ok(())
    }

    /// Writes what was added, and replaces it by a snapshot if one is ready. A new segment or another manifest may take the disk as long as
    /// a sync, and has writers held back as one.
    fn write(&mut self) -> io::Result<()> {
        let is_alone = self.syncing.is_none();
        if is_alone {
            self.journal.note_sync(unix_ms());
        }
        let written = self.log.write();
        let rebased = self.rebase(written.is_ok());
        if is_alone {
            self.journal.note_sync(0);
        }
        written.and(rebased)
    }

    /// Adds what was published, and notes where the next base ends.
    fn collect(&mut self) {
        let (log, first, bases) = (&mut self.log, &mut self.first, &self.shared.bases);
        let mut meet = |log: &mut Log<D>, stamp: u64| match bases.mark() {
            Some(mark) if stamp >= mark && first.is_none_or(|first| first.mark != mark) => {
                // No record is on both sides of it.
                log.part();
                *first = Some(First { mark, number: log.last() + 1, bytes: log.bytes() });
            }
            _ => (),
        };
        self.limit = self.journal.collect(&mut self.carry, |record| {
            // Looked at for each record: the mark was there before whoever has this stamp drew it.
            meet(log, record.stamp);
            log.add(record.time_ms, record.commands);
        });
        meet(log, self.limit);
    }

    /// Has the log begin with the snapshot that is ready, if one is: also if nothing can be written, because that makes room.
    fn rebase(&mut self, writes: bool) -> io::Result<()> {
        let Some(base) = self.shared.bases.ready() else { return Ok(()) };
        let Some(first) = self.first.filter(|first| first.mark == base.mark) else { return Ok(()) };
        if writes {
            self.finish_sync(true)?;
            self.log.write()?;
            self.log.sync()?;
        }
        match self.log.rebase(&base.name, first.number, first.bytes) {
            Ok(()) => {
                self.shared.bases.settle(&base, self.log.bytes());
                self.shared.is_apart.store(false, Ordering::SeqCst);
                self.shared.wake_waiting();
                tracing::info!("the log begins with the snapshot {}", base.name);
            }
            // The log is as good as before; what is written goes on, and so do attempts.
            Err(error) => tracing::warn!("the log cannot begin with the snapshot {} yet: {error}", base.name),
        }
        Ok(())
    }

    /// Begins the sync of every second, on a thread of its own: what comes meanwhile is written at once, so that the end of the
    /// process takes nothing along that a slow disk keeps from being synced.
    fn begin_sync(&mut self) -> io::Result<()> {
        let Some(sync) = self.log.begin_sync()? else { return Ok(()) };
        let (mut file, last) = (sync.file, sync.last);
        let (disk, journal) = (self.disk.clone(), self.journal);
        self.synced = Instant::now();
        journal.note_sync(unix_ms());
        let thread = std::thread::Builder::new().name("roster-sync".to_owned()).spawn(move || {
            let result = disk.sync(&mut file);
            journal.wake();
            result
        });
        match thread {
            Ok(thread) => self.syncing = Some((thread, last, self.limit)),
            Err(error) => {
                journal.note_sync(0);
                return self.log.end_sync(last, Err(error));
            }
        }
        Ok(())
    }

    /// Takes the outcome of that sync if it is there, or waits for it.
    fn finish_sync(&mut self, waits: bool) -> io::Result<()> {
        let Some((thread, last, limit)) = self.syncing.take_if(|(thread, ..)| waits || thread.is_finished()) else {
            return Ok(());
        };
        let result = thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has failed")));
        self.journal.note_sync(0);
        self.note_late(self.synced);
        self.log.end_sync(last, result)?;
        self.journal.note_durable(limit);
        Ok(())
    }

    fn note_late(&self, began: Instant) {
        if began.elapsed() > 2 * SECOND {
            self.shared.late_syncs.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a sync of the log took {:.1} s: the disk is slow or busy", began.elapsed().as_secs_f64());
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let began = Instant::now();
        self.journal.note_sync(unix_ms());
        let result = self.log.sync();
        self.journal.note_sync(0);
        self.note_late(began);
        self.synced = Instant::now();
        result
    }

    fn succeed(&self) {
        if self.shared.fails.swap(false, Ordering::Relaxed) {
            self.journal.accept();
            tracing::info!("the log can be written again");
        }
    }

    fn fail(&self, error: &io::Error) {
        let reason = describe(error);
        // Before it is told, so that whoever was told is refused.
        self.journal.refuse(reason.clone());
        if !self.shared.fails.swap(true, Ordering::Relaxed) {
            tracing::error!("the log cannot be written: {reason}; writes are refused until it can");
        }
    }
}

/// The system's words for an error, as Redis repeats them to clients.
fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
