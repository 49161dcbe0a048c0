//! What a command sees: its client, its reply, the store, and the server that it is part of.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::error::Error;
use super::stopwatch::Stopwatch;
use crate::config::{self, Settings};
use crate::persist::saves::Saves;
use crate::protocol::Reply;
use crate::script::{Shared, Vm};
use crate::security::Acl;
use crate::session::{Channels, Client, Mode, Monitors, Pause, Registry, Waiters};
use crate::store::{Keyspace, Local, Shape, Store, Timers};
use crate::telemetry::{Counters, Stats};

/// The server as a whole: what all workers share.
pub struct Node {
    /// The settings in force.
    pub config: config::Handle,
    /// The users.
    pub acl: Acl,
    /// The keys.
    pub keyspace: Keyspace,
    /// The clients.
    pub registry: Registry,
    /// Who listens to which channel.
    pub channels: Channels,
    /// What clients track for their caches.
    pub tracking: crate::session::Tracking,
    /// Whether keyspace events are published.
    notifies: AtomicBool,
    /// The clients that wait for keys.
    pub waiters: Waiters,
    /// The clients that watch the commands of all others.
    pub monitors: Monitors,
    /// The pause of clients.
    pub pause: Pause,
    /// Whether the workers do nothing in the background, for tests.
    pub rests: AtomicBool,
    /// The scripts.
    pub scripts: Shared,
    /// The counters.
    pub stats: Stats,
    /// The mean time to live in milliseconds of each database, as a worker last looked at it.
    pub(super) ttls: Box<[AtomicU64]>,
    /// What `maxmemory` is compared with, beside the keys.
    pub budget: super::limit::Budget,
    /// When the server started.
    pub started: Instant,
    /// 40 hexadecimal digits that name this run of the process.
    pub run_id: String,
    /// 40 hexadecimal digits that name the history of the data (`INFO replication`).
    pub history: parking_lot::Mutex<String>,
    /// Facts that the runtime fills in when it has started.
    pub facts: Facts,
    /// The snapshots.
    pub saves: Arc<Saves>,
    /// What `SHUTDOWN` or a signal asked for.
    pub shutdown: Shutdown,
    /// Timers of keys that were loaded before there were workers, for the first worker to keep.
    pub timers: parking_lot::Mutex<Option<Timers>>,
    /// The log, if one is kept.
    pub logs: super::rewrite::Logs,
}

/// Facts of the runtime, for `INFO`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    /// The TCP port in use.
    pub port: u16,
    /// The port of TLS, if there is one.
    pub tls_port: u16,
    /// The configuration file, or nothing.
    pub config_file: String,
    /// The program.
    pub executable: String,
}

/// What is done when a snapshot was saved, or was not.
type Then = Box<dyn FnOnce(bool) + Send>;

/// A request to end the server, and who is to be woken for it.
#[derive(Default)]
pub struct Shutdown {
    state: AtomicU8,
    /// Whether what changes until the end is to be saved.
    saves: AtomicBool,
    /// Whether clients are not given time to finish.
    hurries: AtomicBool,
    order: parking_lot::Mutex<Option<Then>>,
    wake: parking_lot::Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Shutdown {
    /// Asks for the end; every worker hears of it.
    pub fn request(&self) {
        self.state.store(1, Ordering::SeqCst);
        self.wake.lock().iter().for_each(|wake| wake());
    }

    /// Has the end not wait for clients.
    pub fn hurry(&self) {
        self.hurries.store(true, Ordering::SeqCst);
    }

    /// Whether the end does not wait for clients.
    pub fn is_hurried(&self) -> bool {
        self.hurries.load(Ordering::SeqCst)
    }

    /// Has what is not saved at the end saved then.
    pub fn save_at_end(&self) {
        self.saves.store(true, Ordering::SeqCst);
    }

    /// Whether what is not saved at the end is to be.
    pub fn saves_at_end(&self) -> bool {
        self.saves.load(Ordering::SeqCst)
    }

    /// Has a worker save a snapshot of everything up to then, and tell `then` whether it was saved.
    pub fn order_save(&self, then: impl FnOnce(bool) + Send + 'static) {
        *self.order.lock() = Some(Box::new(then));
    }

    /// What was ordered.
    pub(super) fn take_order(&self) -> Option<Then> {
        self.order.lock().take()
    }

    /// Whether the end was asked for.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 0
    }

    /// Has `wake` called when the end is asked for; at once if it was already.
    pub fn on_request(&self, wake: impl Fn() + Send + Sync + 'static) {
        let mut wakers = self.wake.lock();
        if self.is_requested() {
            wake();
        }
        wakers.push(Box::new(wake));
    }
}

impl Node {
    /// A server with `workers` workers and `shards` shards, without keys and clients.
    pub fn new(config: config::Handle, workers: usize, shards: usize, facts: Facts) -> Self {
        let acl = Acl::new(super::guard::catalogue(), &config.current().requirepass);
        let databases = config.current().databases as usize;
        let node = Node {
            config,
            acl,
            keyspace: Keyspace::new(Shape { databases, shards, workers }),
            registry: Registry::new(workers),
            channels: Channels::default(),
            tracking: crate::session::Tracking::default(),
            notifies: AtomicBool::new(false),
            waiters: Waiters::default(),
            monitors: Monitors::default(),
            pause: Pause::default(),
            rests: AtomicBool::new(false),
            stats: Stats::new(workers, super::table::every().count()),
            ttls: (0..databases).map(|_| AtomicU64::new(0)).collect(),
            scripts: Shared::new(workers),
            budget: super::limit::Budget::default(),
            started: Instant::now(),
            run_id: random_hex(40),
            history: random_hex(40).into(),
            facts,
            saves: Arc::default(),
            shutdown: Shutdown::default(),
            timers: parking_lot::Mutex::default(),
            logs: super::rewrite::Logs::default(),
        };
        let used = super::memory::used();
        node.stats.memory.startup.store(used, Ordering::Relaxed);
        node.listen_for(&node.config.current());
        node
    }

    /// Listens to changes of all keys for as long as their events are published.
    fn listen_for(&self, settings: &Settings) {
        let wants = settings.notify_keyspace_events.0 != 0;
        if self.notifies.swap(wants, Ordering::SeqCst) != wants {
            self.keyspace.listen_to_all(wants);
        }
        if let Some(log) = self.logs.kept() {
            log.set_policy(super::log::policy(settings));
        }
    }

    /// Takes the samples of which `INFO` shows rates and peaks. To be called at least ten times a second, by one worker.
    pub fn sample(&self, now_ms: u64) {
        if self.stats.sample(now_ms) {
            self.measure(now_ms);
        }
    }
}

/// `digits` random hexadecimal digits.
pub fn random_hex(digits: usize) -> String {
    use std::hash::BuildHasher;
    let mut text = String::new();
    while text.len() < digits {
        text += &format!("{:016x}", foldhash::quality::RandomState::default().hash_one(text.len()));
    }
    text.truncate(digits);
    text
}

/// Milliseconds of Unix time.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// One thread that runs commands.
pub struct Worker {
    /// The server.
    pub node: &'static Node,
    /// Its part of the store: timers, and what it has entered.
    pub local: Local,
    /// The settings as of the batch at hand.
    pub settings: Arc<Settings>,
    generation: u64,
    /// Milliseconds of Unix time as of the batch at hand.
    pub now_ms: u64,
    random: Cell<u64>,
    /// What measures its commands.
    pub stopwatch: Stopwatch,
    /// The client whose command's changes are being told; 0 for none.
    pub(super) acting: Cell<u64>,
    /// Keys that clients wait for and that could not be served yet, because another worker owned them.
    pub(super) unserved: RefCell<Vec<(usize, Box<[u8]>)>>,
    /// What runs its scripts, from the first one on.
    vm: OnceCell<Vm>,
}

impl Worker {
    /// The worker of this number.
    pub fn new(node: &'static Node, number: usize) -> Self {
        use std::hash::BuildHasher;
        let now_ms = unix_ms();
        let (generation, settings) = (node.config.generation(), node.config.current());
        let local = Local::new(number, now_ms);
        local.set_clock(super::limit::clock(&settings));
        Worker {
            node,
            local: local.with_timers(node.timers.lock().take()),
            generation,
            stopwatch: Stopwatch::new(&settings),
            settings,
            now_ms,
            random: Cell::new(foldhash::quality::RandomState::default().hash_one(number) | 1),
            acting: Cell::new(0),
            unserved: RefCell::default(),
            vm: OnceCell::new(),
        }
    }

    /// One that stands for this worker while a script of its own is left in the middle: it serves what needs no keys, and finds all
    /// keys in use. It has nothing of this one's state, to which the script will come back.
    pub fn deputy(&self) -> Worker {
        Worker { local: Local::barred(self.number(), unix_ms()), ..Worker::new(self.node, self.number()) }
    }

    /// Whether a script that has run for long keeps it from all keys.
    #[inline]
    pub fn is_kept_out(&self) -> bool {
        self.local.is_barred() || self.node.scripts.watches.holds_everything()
    }

    /// What runs its scripts.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn vm(&self) -> Result<&Vm, Error> {
        let limit = usize::try_from(self.settings.script_memory_limit).unwrap_or(usize::MAX);
        if let Some(vm) = self.vm.get() {
            vm.limit_memory(limit);
            return Ok(vm);
        }
        let vm = Vm::new(&self.node.scripts, self.number(), limit, super::identity::REDIS_VERSION);
        let vm = vm.map_err(|error| Error::new(format!("scripts cannot run: {error}")))?;
        let node = self.node;
        node.shutdown.on_request(|| node.scripts.watches.end_all());
        Ok(self.vm.get_or_init(|| vm))
    }

    /// Its number.
    pub fn number(&self) -> usize {
        self.local.worker
    }

    /// Its counters.
    #[inline]
    pub fn counters(&self) -> &'static Counters {
        self.node.stats.worker(self.local.worker)
    }

    /// Counts a look-up of a reading command.
    #[inline]
    pub fn count_lookup(&self, found: bool) {
        let counters = self.counters();
        crate::telemetry::add(if found { &counters.keyspace_hits } else { &counters.keyspace_misses }, 1);
    }

    /// Reads the clocks and, where they changed, the settings: once a batch. Whether they changed.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        self.stopwatch.start();
        // Batches of single requests follow one another within microseconds.
        if self.stopwatch.is_day_late() {
            self.now_ms = unix_ms();
        }
        let generation = self.node.config.generation();
        let changed = generation != self.generation;
        if changed {
            self.generation = generation;
            self.settings = self.node.config.current();
            self.stopwatch.adopt(&self.settings);
            self.local.set_clock(super::limit::clock(&self.settings));
            self.node.listen_for(&self.settings);
        }
        changed
    }

    /// 64 random bits (xorshift*; for sampling, not for secrets).
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// One command's view.
pub struct Context<'a> {
    /// The server.
    pub node: &'static Node,
    /// The worker that runs it.
    pub worker: &'a Worker,
    /// The client that sent it.
    pub client: &'a mut Client,
    /// Where its reply goes.
    pub reply: Reply<'a>,
    /// The selected database at the command's time.
    pub store: Store<'a>,
    /// The command that runs.
    pub command: super::table::Handle,
}

impl Context<'_> {
    /// Milliseconds of Unix time: one value for the whole command.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.store.now_ms
    }

    /// The settings.
    #[inline]
    pub fn settings(&self) -> &Settings {
        &self.worker.settings
    }

    /// The length of the client's replies beyond which its connection is closed, so that a command may leave off there. What a script or
    /// another client's command calls goes elsewhere first, and has none.
    pub(super) fn cut_off(&self) -> usize {
        let hard = self.settings().client_output_buffer_limit.normal.hard;
        let is_sent = matches!(self.client.mode, Mode::Direct | Mode::Transaction);
        if is_sent && hard > 0 { usize::try_from(hard).unwrap_or(usize::MAX) } else { usize::MAX }
    }

    /// Counts a look-up of a reading command.
    #[inline]
    pub fn count_lookup(&self, found: bool) {
        self.worker.count_lookup(found);
    }

    /// Fetches the memory of the first of several keys together, which one after the other would each wait for.
    pub(super) fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.store.prefetch(keys);
    }

    /// `wrong number of arguments` for this command.
    pub fn arity_error(&self) -> Error {
        Error::arity(self.command.full_name())
    }
}
