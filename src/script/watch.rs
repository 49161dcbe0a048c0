//! What other threads see of the script that a worker runs, and how they end it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

/// What runs.
#[derive(Clone, Debug)]
pub struct Task {
    /// The SHA-1 of a script, or the name of a function.
    pub name: String,
    /// The whole command.
    pub command: Vec<Box<[u8]>>,
    /// Whether it is a function.
    pub is_function: bool,
    /// When it began.
    pub started: Instant,
    /// Whether it has entered everything, so that nobody else gets at any key.
    pub is_alone: bool,
}

/// One worker's script, as others see it.
#[derive(Debug, Default)]
pub struct Watch {
    /// It has run longer than `busy-reply-threshold`.
    slow: AtomicBool,
    /// It is to end.
    killed: AtomicBool,
    /// It has changed something.
    wrote: AtomicBool,
    task: Mutex<Option<Task>>,
}

/// The watches of all workers.
#[derive(Debug)]
pub struct Watches {
    workers: Box<[Watch]>,
    /// Slow scripts at the moment, so that whoever waits finds out by one load.
    slow: AtomicU64,
    /// A slow script has entered everything.
    alone: AtomicBool,
    ends: AtomicBool,
}

/// What came of an order to end scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// They will.
    Done,
    /// None has run for long.
    Idle,
    /// They have changed something.
    Wrote,
    /// What runs is a function, not a script, or the other way round.
    Other,
}

impl Watch {
    /// A run begins.
    pub(super) fn begin(&self) {
        self.killed.store(false, Relaxed);
        self.wrote.store(false, Relaxed);
    }

    /// The script is about to change something, so that it can no longer be ended.
    pub fn note_write(&self) {
        self.wrote.store(true, Relaxed);
    }

    /// Whether it has changed something.
    pub fn has_written(&self) -> bool {
        self.wrote.load(Relaxed)
    }

    /// Whether it was told to end.
    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }
}

impl Watches {
    /// Watches of this many workers.
    pub(super) fn new(workers: usize) -> Self {
        let workers = (0..workers.max(1)).map(|_| Watch::default()).collect();
        Watches { workers, slow: AtomicU64::new(0), alone: AtomicBool::new(false), ends: AtomicBool::new(false) }
    }

    /// The watch of one worker.
    pub fn of(&self, worker: usize) -> &Watch {
        &self.workers[worker]
    }

    /// Whether any script has run for long.
    #[inline]
    pub fn is_slow(&self) -> bool {
        self.slow.load(Relaxed) > 0
    }

    /// Whether a script that has entered everything has run for long, so that nobody else can do anything.
    #[inline]
    pub fn holds_everything(&self) -> bool {
        self.alone.load(Relaxed)
    }

    /// Whether it is known that this worker's script has run for long.
    pub(super) fn is_noted(&self, worker: usize) -> bool {
        self.workers[worker].slow.load(Relaxed)
    }

    /// A worker's script has turned out to run for long: only then others are told what it is.
    pub(super) fn note_slow(&self, worker: usize, task: Task) {
        let watch = &self.workers[worker];
        if task.is_alone {
            self.alone.store(true, Relaxed);
        }
        *watch.task.lock() = Some(task);
        if !watch.slow.swap(true, Relaxed) {
            self.slow.fetch_add(1, Relaxed);
        }
    }

    /// A worker's script has ended.
    pub(super) fn end(&self, worker: usize) {
        let watch = &self.workers[worker];
        if watch.slow.swap(false, Relaxed) {
            self.slow.fetch_sub(1, Relaxed);
            // Of those that have entered everything there is one at a time.
            if watch.task.lock().take().is_some_and(|task| task.is_alone) {
                self.alone.store(false, Relaxed);
            }
        }
    }

    /// A script that has run for long, if there is one; the one that has run longest.
    pub fn slowest(&self) -> Option<Task> {
        let tasks = self.workers.iter().filter_map(|watch| watch.task.lock().clone());
        tasks.min_by_key(|task| task.started)
    }

    /// Orders the end of all scripts, or functions, that have run for long.
    pub fn kill(&self, functions: bool) -> Kill {
        let mut result = Kill::Idle;
        for watch in &self.workers {
            let task = watch.task.lock();
            let Some(task) = &*task else { continue };
            if watch.has_written() {
                result = if result == Kill::Idle { Kill::Wrote } else { result };
            } else if task.is_function != functions {
                result = if result == Kill::Idle { Kill::Other } else { result };
            } else {
                watch.killed.store(true, Relaxed);
                result = Kill::Done;
            }
        }
        result
    }

    /// Whether a script has run for long that can no longer be ended, because it has changed something.
    pub fn is_unstoppable(&self) -> bool {
        self.workers.iter().any(|watch| watch.slow.load(Relaxed) && watch.has_written())
    }

    /// The server ends, and with it every script that has changed nothing.
    pub fn end_all(&self) {
        self.ends.store(true, Relaxed);
    }

    /// Whether the server ends.
    pub(super) fn ends(&self) -> bool {
        self.ends.load(Relaxed)
    }
}
