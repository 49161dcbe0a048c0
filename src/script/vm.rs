//! A worker's virtual machine: it compiles scripts once, and runs them with a [`Host`] for their calls.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlua::{Function, HookTriggers, Lua, Table, Value, VmState};

use super::failure::{Failure, Stop};
use super::library::Library;
use super::native;
use super::random::Random;
use super::shared::Shared;
use super::slot::Slot;
use super::source::Source;
use super::watch::Task;
use super::{apart, api, reply};
use crate::protocol::{Args, Reply, Version, Words};

/// Instructions between two looks at the clock.
const STRIDE: u32 = 20_000;
/// How long a script that is slow runs before others have their turn.
const TURN: Duration = Duration::from_millis(1);
/// Memory in use, in percent of what was left by the last collection, at which the next begins. Most of what is there is the
/// libraries and lives for ever, so the usual 200 would go through them again and again.
const GC_PAUSE: i32 = 1000;
/// Compiled scripts that a worker keeps.
pub(super) const COMPILED_MAX: usize = 1000;

/// Who runs a script's calls.
pub trait Host {
    /// Runs a command, given by at least its name, and appends its reply in the protocol `version` to `out`.
    ///
    /// # Errors
    /// The script is to end.
    fn call(&mut self, args: Args<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), Stop>;
    /// Whether the user may run a command; `None` if there is no such command.
    fn allows(&mut self, args: Args<'_>) -> Option<bool>;
    /// The whole command that runs the script.
    fn command(&self) -> Vec<Box<[u8]>>;
}

/// How a run is limited.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The script's SHA-1 or the function's name.
    pub name: &'a str,
    /// Whether it is a function.
    pub is_function: bool,
    /// The keys.
    pub keys: Args<'a>,
    /// The other arguments.
    pub argv: Args<'a>,
    /// Whether everything is entered for it.
    pub is_alone: bool,
    /// Milliseconds after which others are told that it is slow.
    pub busy_ms: u64,
    /// Milliseconds after which it ends if it has changed nothing; 0 for never.
    pub limit_ms: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It replied, an error perhaps.
    Replied,
    /// It went to a key that it did not declare, before any change.
    Undeclared,
    /// It was ended before it was done, and replied an error.
    Stopped,
}

/// What the dispatcher is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Call,
    Allows,
    Command,
}

/// What goes between a function of the `redis` table and the host.
#[derive(Default)]
pub(super) struct Exchange {
    pub request: Words,
    pub out: Vec<u8>,
    pub stop: Option<Stop>,
    pub allowed: Option<bool>,
    pub command: Vec<Box<[u8]>>,
}

/// The clock of a run.
struct Timing {
    name: String,
    is_function: bool,
    is_alone: bool,
    started: Instant,
    /// When others had their last turn.
    gave_way: Cell<Instant>,
    busy: Duration,
    limit: Option<Duration>,
}

/// What the machine's functions share.
pub(super) struct State {
    /// Runs the calls of the script that runs.
    pub host: Slot,
    /// What a call of a command panicked with, until that goes on.
    pub panic: Cell<Option<Box<dyn Any + Send>>>,
    pub exchange: RefCell<Exchange>,
    /// The protocol in which the script gets replies.
    pub version: Cell<Version>,
    pub random: Random,
    /// What a library registers, while one is loaded.
    pub loading: RefCell<Option<Vec<super::compile::Registration>>>,
    /// Where a script was when it was ended.
    pub place: RefCell<Option<(String, usize)>>,
    /// Codes of errors that are no command's, but the script's own.
    pub codes: RefCell<Vec<String>>,
    timing: RefCell<Option<Timing>>,
    shared: &'static Shared,
    worker: usize,
}

/// A script with its function in this virtual machine.
type Compiled = (Arc<Source>, Function);
/// A library with its functions in this virtual machine.
type Loaded = (Arc<Library>, HashMap<String, Function>);

/// A virtual machine.
pub struct Vm {
    pub(super) lua: Lua,
    pub(super) state: Rc<State>,
    /// What scripts see as their globals, what functions see, and the scripts' real table behind it.
    pub(super) scripts: Table,
    pub(super) functions: Table,
    globals: Table,
    pub(super) runner: Function,
    loader: Function,
    pub(super) compiled: RefCell<HashMap<[u8; 40], Compiled>>,
    pub(super) loaded: RefCell<HashMap<String, Loaded>>,
    pub(super) flushes: Cell<u64>,
    pub(super) shared: &'static Shared,
    memory_limit: Cell<usize>,
}

impl Vm {
    /// The machine of a worker, which may take so many bytes.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(shared: &'static Shared, worker: usize, memory: usize, version: &str) -> mlua::Result<Vm> {
        let state = Rc::new(State {
            host: Slot::default(),
            panic: Cell::default(),
            exchange: RefCell::default(),
            version: Cell::new(Version::Resp2),
            random: Random::new(),
            loading: RefCell::default(),
            place: RefCell::default(),
            codes: RefCell::default(),
            timing: RefCell::default(),
            shared,
            worker,
        });
        let (lua, parts) = api::build(&state, version)?;
        let hooked = state.clone();
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(STRIDE), move |_, _| hooked.tick())?;
        lua.set_memory_limit(memory)?;
        lua.gc_set_pause(GC_PAUSE);
        let (scripts, functions, globals, runner, loader) = parts;
        Ok(Vm {
            lua,
            state,
            scripts,
            functions,
            globals,
            runner,
            loader,
            compiled: RefCell::default(),
            loaded: RefCell::default(),
            flushes: Cell::new(shared.flushes()),
            shared,
            memory_limit: Cell::new(memory),
        })
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Limits the bytes that it may take.
    pub fn limit_memory(&self, bytes: usize) {
        // Only another allocator than mlua's own cannot be limited.
        if self.memory_limit.replace(bytes) != bytes {
            let _ = self.lua.set_memory_limit(bytes);
        }
    }

    /// Runs a compiled script, or a function, and writes its reply.
    pub fn run(&self, body: &Function, run: Run<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Ended {
        self.state.begin(&run);
        let start = reply.len();
        let result = self.state.host.lend(host, || self.invoke(body, &run));
        if let Some(panic) = self.state.panic.take() {
            self.state.end();
            std::panic::resume_unwind(panic);
        }
        let ended = result.and_then(|(ok, value)| {
            if ok {
                reply::write(&self.state, reply, value)?;
                return Ok(Ended::Replied);
            }
            Ok(reply::write_failure(&self.state, reply, &run, value))
        });
        self.state.end();
        self.tidy();
        ended.unwrap_or_else(|error: mlua::Error| {
            reply.truncate(start);
            reply::write_trouble(reply, run.name, &error);
            Ended::Replied
        })
    }

    /// The codes of the errors that the last run replied, without those of commands that it called.
    pub fn take_codes(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.codes.borrow_mut())
    }

    /// Lua 5.1 does not collect when memory is refused, so it is done before a script's garbage is in the next one's way.
    fn tidy(&self) {
        if self.lua.used_memory() > self.memory_limit.get() / 2 {
            self.compiled.borrow_mut().clear();
            // What fails here fails again, and is told, in the next script.
            let _ = self.lua.gc_collect();
        }
    }

    fn invoke(&self, body: &Function, run: &Run<'_>) -> mlua::Result<(bool, Value)> {
        let (environment, globals) =
            if run.is_function { (&self.functions, None) } else { (&self.scripts, Some(&self.globals)) };
        native::invoke(&self.lua, (&self.runner, environment, body), globals, run.keys, run.argv)
    }

    /// Runs the text of a library, which registers its functions.
    pub(super) fn load(&self, body: &Function, limit: Duration) -> mlua::Result<(bool, Value)> {
        let started = Instant::now();
        *self.state.timing.borrow_mut() = Some(Timing {
            name: String::new(),
            is_function: true,
            is_alone: false,
            started,
            gave_way: Cell::new(started),
            busy: Duration::MAX,
            limit: Some(limit),
        });
        self.state.shared.watches.of(self.state.worker).begin();
        let result = self.loader.call(body);
        self.state.end();
        result
    }
}

impl State {
    fn begin(&self, run: &Run<'_>) {
        self.version.set(Version::Resp2);
        *self.place.borrow_mut() = None;
        let limit = (run.limit_ms > 0).then(|| Duration::from_millis(run.limit_ms));
        let busy = if run.busy_ms > 0 { Duration::from_millis(run.busy_ms) } else { Duration::MAX };
        let (name, is_function, is_alone) = (run.name.to_owned(), run.is_function, run.is_alone);
        let started = Instant::now();
        let gave_way = Cell::new(started);
        *self.timing.borrow_mut() = Some(Timing { name, is_function, is_alone, started, gave_way, busy, limit });
        self.shared.watches.of(self.worker).begin();
    }

    fn end(&self) {
        self.timing.borrow_mut().take();
        self.shared.watches.end(self.worker);
    }

    /// Does for the exchange what the host is asked; nothing where no script runs.
    pub(super) fn ask(&self, ask: Ask) {
        self.host.with(|host| {
            let mut exchange = self.exchange.borrow_mut();
            let Exchange { request, out, stop, allowed, command } = &mut *exchange;
            match ask {
                Ask::Call => *stop = host.call(request.args(), self.version.get(), out).err(),
                Ask::Allows => *allowed = host.allows(request.args()),
                Ask::Command => *command = host.command(),
            }
        });
    }

    /// Looks at the clock, now and then while a script runs.
    fn tick(&self) -> mlua::Result<VmState> {
        let (is_slow, is_turn, is_over) = match &*self.timing.borrow() {
            None => return Ok(VmState::Continue),
            Some(timing) => {
                let now = Instant::now();
                let elapsed = now.duration_since(timing.started);
                let is_turn = now.duration_since(timing.gave_way.get()) >= TURN;
                (elapsed > timing.busy, is_turn, timing.limit.is_some_and(|limit| elapsed > limit))
            }
        };
        if is_slow {
            self.note_slow();
            if is_turn {
                self.give_way();
            }
        }
        let watch = self.shared.watches.of(self.worker);
        let stop = |stop| Err(Failure::Stop(stop).into());
        if watch.is_killed() {
            return stop(Stop::Killed);
        }
        if watch.has_written() {
            return Ok(VmState::Continue);
        }
        if is_over {
            return stop(Stop::TooLong);
        }
        if self.shared.watches.ends() {
            return stop(Stop::Shutdown);
        }
        Ok(VmState::Continue)
    }

    /// Lets the worker serve others. Nothing of the machine is borrowed meanwhile, and nobody else uses it.
    #[cold]
    fn give_way(&self) {
        apart::give_way();
        if let Some(timing) = &*self.timing.borrow() {
            timing.gave_way.set(Instant::now());
        }
    }

    #[cold]
    fn note_slow(&self) {
        let watches = &self.shared.watches;
        if watches.is_noted(self.worker) {
            return;
        }
        self.ask(Ask::Command);
        let command = std::mem::take(&mut self.exchange.borrow_mut().command);
        if let Some(timing) = &*self.timing.borrow() {
            let (name, started, is_alone) = (timing.name.clone(), timing.started, timing.is_alone);
            tracing::warn!(script = %name, "a script is slow: it has run for {:?}", started.elapsed());
            let task = Task { name, command, is_function: timing.is_function, started, is_alone };
            watches.note_slow(self.worker, task);
        }
    }
}
