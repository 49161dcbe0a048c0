//! Which snapshots were saved, which one is being saved, and what came of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::load::Loaded;
use super::save::{self, Plan};
use super::snapshot::Snapshot;
use crate::store::{Keyspace, Local, Progress};

/// How long a worker that waits for the writer sleeps at a time.
const NAP: Duration = Duration::from_micros(200);

/// The history of snapshots, shared by all threads.
#[derive(Default)]
pub struct Saves {
    state: Mutex<State>,
    /// Whether the last snapshot in the background failed.
    failed: AtomicBool,
    /// Whether one is to be saved in the background as soon as possible.
    scheduled: AtomicBool,
    /// Called with a worker's number in each turn of waiting, so that whoever watches the workers sees it alive.
    pub on_turn: OnceLock<fn(usize)>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// Snapshots that were begun.
    begun: u64,
    /// The number of the last one that ended, and of the last one that was saved.
    ended: u64,
    saved: u64,
    report: Report,
}

struct Running {
    since: Instant,
    snapshot: Arc<Snapshot>,
    keys: u64,
    plan: Plan,
    aim: Aim,
}

/// What a snapshot is for.
#[derive(Clone)]
pub enum Aim {
    /// Somebody waits for it.
    Awaited,
    /// To be there.
    Background,
    /// Something that goes on from it. Nothing else is told of it.
    Part(Arc<dyn Sequel>),
}

/// What goes on from a snapshot.
pub trait Sequel: Send + Sync {
    /// The cut is made, and nobody else is inside the keyspace.
    fn cut(&self);
    /// The file is durable and has so many bytes; `None` if it was not saved.
    fn end(&self, bytes: Option<u64>);
}

/// What `INFO` tells.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Changes of the keyspace that the last snapshot includes.
    pub changes: u64,
    /// When the last one was saved, in seconds of Unix time; 0 if none was.
    pub last_save: u64,
    /// When the last one in the background was begun, in seconds of Unix time.
    pub last_try: u64,
    /// How long the last one in the background took, in seconds.
    pub last_seconds: Option<u64>,
    /// How long the present one in the background has been running, in seconds.
    pub running_seconds: Option<u64>,
    /// Keys that the present one has, and has encoded.
    pub progress: Option<(u64, u64)>,
    /// Snapshots that were begun.
    pub begun: u64,
    /// Keys that were loaded at start, and left out as expired.
    pub loaded: (u64, u64),
}

/// Why a snapshot is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One is being saved.
    Running,
    /// Another worker is inside the keyspace for long: try again.
    Busy,
    /// There is no thread for it.
    Failed,
}

/// The keyspace as one worker enters it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The keys.
    pub keyspace: &'a Keyspace,
    /// The worker's part.
    pub local: &'a Local,
    /// The sources of the libraries of functions that there are.
    pub functions: &'a dyn Fn() -> Vec<Vec<u8>>,
}

impl Saves {
    /// Begins a snapshot of the keyspace as it is now, and returns its number. Workers have to go on with it by
    /// [`Keyspace::continue_cut`]; a thread of its own writes it.
    ///
    /// # Errors
    /// Why not. What fails later is logged, and told by [`Saves::has_failed`].
    pub fn begin(self: &Arc<Self>, place: Place<'_>, plan: &Plan, aim: &Aim) -> Result<u64, Refusal> {
        let snapshot = Arc::new(Snapshot::new(plan.compresses));
        let mut plan = plan.clone();
        {
            let mut state = self.state.lock();
            if state.running.is_some() {
                return Err(Refusal::Running);
            }
            let (since, snapshot, plan) = (Instant::now(), snapshot.clone(), plan.clone());
            state.running = Some(Running { since, snapshot, keys: 0, plan, aim: aim.clone() });
        }
        let mut changes = 0;
        let keyspace = place.keyspace;
        let begun = keyspace.begin_cut(place.local, || {
            changes = keyspace.changes();
            // Before the functions: one that was recorded before this is among them.
            if let Aim::Part(sequel) = aim {
                sequel.cut();
            }
            plan = plan.clone().of(place);
            snapshot.clone()
        });
        if begun != Ok(true) {
            // One that was given up may not have been noticed by the workers yet.
            keyspace.continue_cut(place.local);
            self.state.lock().running = None;
            return Err(Refusal::Busy);
        }
        let number = {
            let mut state = self.state.lock();
            if let Some(running) = &mut state.running {
                running.keys = plan.sizes.iter().map(|(_, keys, _)| keys).sum();
            }
            state.begun += 1;
            if matches!(aim, Aim::Background) {
                state.report.last_try = unix_seconds();
            }
            state.report.begun += u64::from(!matches!(aim, Aim::Part(_)));
            state.begun
        };
        let (saves, taken) = (self.clone(), snapshot.clone());
        let run = move || {
            super::background::stand_back();
            saves.end(&plan, changes, save::save(&plan, &taken), taken.keys());
        };
        if let Err(error) = std::thread::Builder::new().name("snapshot".into()).spawn(run) {
            snapshot.lose();
            keyspace.continue_cut(place.local);
            tracing::error!("no snapshot: cannot start a thread: {error}; raise ulimit -u");
            self.settle(changes, None);
            return Err(Refusal::Failed);
        }
        Ok(number)
    }

    fn end(&self, plan: &Plan, changes: u64, result: std::io::Result<u64>, keys: u64) {
        let path = plan.path();
        match &result {
            Ok(bytes) => tracing::info!("saved {keys} keys to {} ({bytes} bytes)", path.display()),
            Err(error) => tracing::error!(
                "the snapshot {} was not saved: {error}; see that dir ({}) exists, may be written to, and has room for it",
                path.display(),
                plan.folder.display()
            ),
        }
        self.settle(changes, result.ok());
    }

    fn settle(&self, changes: u64, saved: Option<u64>) {
        let mut state = self.state.lock();
        let running = state.running.take();
        state.ended = state.begun;
        let Some(Running { aim, since, .. }) = running else { return };
        if let Aim::Part(sequel) = aim {
            drop(state);
            return sequel.end(saved);
        }
        let (is_saved, in_background) = (saved.is_some(), matches!(aim, Aim::Background));
        if in_background {
            state.report.last_seconds = Some(since.elapsed().as_secs());
        }
        if is_saved {
            state.saved = state.ended;
            state.report.changes = changes;
            state.report.last_save = unix_seconds();
        }
        if is_saved || in_background {
            self.failed.store(!is_saved, Ordering::SeqCst);
        }
    }

    /// Saves a snapshot that has everything up to now, on this thread, and waits for it. One that is being saved is
    /// waited for first. Whether it was saved.
    pub fn save_now(self: &Arc<Self>, place: Place<'_>, plan: &Plan) -> bool {
        let number = loop {
            match self.begin(place, plan, &Aim::Awaited) {
                Ok(number) => break number,
                Err(Refusal::Failed) => return false,
                Err(Refusal::Running | Refusal::Busy) => self.help(place),
            }
        };
        loop {
            let state = self.state.lock();
            if state.ended >= number {
                return state.saved >= number;
            }
            drop(state);
            self.help(place);
        }
    }

    /// A turn at the snapshot that is being saved.
    fn help(&self, place: Place<'_>) {
        if let Some(turn) = self.on_turn.get() {
            turn(place.local.worker);
        }
        if place.keyspace.continue_cut(place.local) != Progress::Took {
            std::thread::sleep(NAP);
        }
    }

    /// Whether one is being saved for its own sake.
    pub fn is_saving(&self) -> bool {
        self.state.lock().running.as_ref().is_some_and(|running| !matches!(running.aim, Aim::Part(_)))
    }

    /// Gives up the one that is a part of something else, if there is one.
    pub fn give_up_part(&self) {
        if let Some(running) = self.state.lock().running.as_ref().filter(|running| matches!(running.aim, Aim::Part(_)))
        {
            running.snapshot.lose();
        }
    }

    /// Whether one is being saved.
    pub fn is_running(&self) -> bool {
        self.state.lock().running.is_some()
    }

    /// Whether the last snapshot in the background failed, and none was saved since.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Asks for a snapshot in the background as soon as possible.
    pub fn schedule(&self) {
        self.scheduled.store(true, Ordering::Relaxed);
    }

    /// Whether one was asked for.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed)
    }

    /// Forgets that one was asked for.
    pub fn unschedule(&self) {
        self.scheduled.store(false, Ordering::Relaxed);
    }

    /// What `INFO` tells.
    pub fn report(&self) -> Report {
        let state = self.state.lock();
        let mut report = state.report.clone();
        if let Some(running) = &state.running {
            report.progress = Some((running.keys, running.snapshot.keys()));
            report.running_seconds = matches!(running.aim, Aim::Background).then(|| running.since.elapsed().as_secs());
        }
        report
    }

    /// Notes what was loaded: nothing of it is a change that a snapshot has to save.
    pub fn note_loaded(&self, loaded: &Loaded, changes: u64) {
        let mut state = self.state.lock();
        state.report.loaded = (loaded.keys, loaded.expired);
        state.report.changes = changes;
    }

    /// Gives up the snapshot that is being saved, because the process is about to end, and removes what was written of it.
    pub fn give_up(&self) {
        if let Some(running) = &self.state.lock().running {
            running.snapshot.lose();
            // If it was renamed meanwhile, so much the better.
            let _ = std::fs::remove_file(running.plan.temporary());
        }
    }
}

/// Seconds of Unix time.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
