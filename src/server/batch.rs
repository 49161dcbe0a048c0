//! The requests that one receive brought: their parsing and execution, without any input or output.

use std::sync::atomic::Ordering::Relaxed;

use super::hub::Hub;
use crate::command::{Apart, Outcome, Worker, execute, execute_unless_long, unix_ms};
use crate::protocol::{Limits, Parser, ProtocolError, Step};
use crate::session::{Client, ClientInfo};
use crate::store::{AHEAD, Store, Target};
use crate::telemetry;

/// Bytes of the receive buffer of a connection that waits.
pub(super) const ROOM: usize = 16 * 1024;
/// Bytes of the largest receive buffer that a busy connection gets for pipelines of small requests.
const ROOM_MAX: usize = 64 * 1024;
/// Bytes that a receive has room for at least.
const ROOM_LEFT: usize = 1024;
/// Bytes of the receive buffer of a connection that sends little at a time.
pub(super) const ROOM_CALM: usize = 2 * 1024;
/// Receives of less than half of [`ROOM_CALM`] in a row, after which a connection gets a buffer of that size.
const CALM: u8 = 8;
/// Bytes of replies at which they are sent before the next request is executed.
pub(super) const FLUSH_AT: usize = 256 * 1024;
/// Attempts at a request whose keys another worker owns, before other connections are served: some microseconds, which
/// outlast a short command.
const ATTEMPTS: u32 = 64;

/// What to do after the replies were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Receive more.
    Receive,
    /// Receive the payload of a big argument.
    ReceiveBig,
    /// Go on: there is more to execute.
    Continue,
    /// Serve others, then go on.
    Busy,
    /// Go on when the pause of clients has ended.
    Paused,
    /// Go on when the command that waits was answered.
    Wait,
    /// Run the request at hand where it can be left in the middle: [`Batch::run_long`].
    Long,
    /// Send the replies only after so many milliseconds, then go on.
    Late(u32),
    /// Close the connection.
    Close,
}

/// A client's receive buffer, its parser, and its state.
pub(super) struct Batch {
    pub(super) client: Client,
    parser: Parser,
    buffer: Vec<u8>,
    /// The bytes at the buffer's head that were executed.
    start: usize,
    /// The bytes that the request at the head still lacks at least.
    want: usize,
    /// Bytes of the unfinished request that lie outside of the buffer, in big arguments.
    outside: usize,
    /// The length of a parsed request that could not be executed yet.
    postponed: Option<usize>,
    /// Where the key of the request at the head hashes to, if that is known.
    target: Option<Target>,
    /// Whether requests were read ahead whose keys' memory was not asked for.
    is_unfetched: bool,
    calm: u8,
}

impl Batch {
    /// A client that has sent nothing.
    pub(super) fn new(client: Client) -> Self {
        let parser = Parser::new();
        Batch {
            client,
            parser,
            buffer: Vec::new(),
            start: 0,
            want: 1,
            outside: 0,
            postponed: None,
            target: None,
            is_unfetched: false,
            calm: 0,
        }
    }

    /// Hands out the buffer to append to, with room for what is missing. Give it back with [`Batch::restore`].
    #[inline]
    pub(super) fn lend(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.capacity() - buffer.len() < self.want.max(ROOM_LEFT) {
            let room = if self.is_calm() { ROOM_CALM } else { ROOM };
            buffer.reserve(self.want.max(room));
            self.client.info.query_capacity.store(buffer.capacity(), Relaxed);
        }
        buffer
    }

    /// Takes the buffer back with `received` more bytes.
    #[inline]
    pub(super) fn restore(&mut self, buffer: Vec<u8>, received: usize) {
        self.buffer = buffer;
        if received < ROOM_CALM / 2 {
            self.calm = self.calm.saturating_add(1);
            return;
        }
        self.calm = 0;
        let capacity = self.buffer.capacity();
        if self.buffer.len() == capacity && capacity < ROOM_MAX {
            // The socket held more than there was room for: the next receive is to take it all.
            self.buffer.reserve(capacity.max(ROOM));
            self.client.info.query_capacity.store(self.buffer.capacity(), Relaxed);
        }
    }

    /// Has no buffer: it was lent, and is not given back. What is received next comes by [`Batch::append`].
    pub(super) fn rest(&mut self) {
        self.parser.rest();
        self.client.info.query_capacity.store(0, Relaxed);
    }

    /// Appends bytes that were received elsewhere, while the client waited.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        match self.parser.big().filter(|big| big.missing() > 0) {
            Some(big) => {
                let taken = big.extend(bytes);
                self.outside += taken;
                self.buffer.extend_from_slice(&bytes[taken..]);
            }
            None => self.buffer.extend_from_slice(bytes),
        }
        self.client.info.query_capacity.store(self.buffer.capacity(), Relaxed);
    }

    /// Whether little comes at a time, so that the buffer is one that is worth keeping.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        self.calm >= CALM
    }

    /// Bytes received and not yet executed.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        self.buffer.len() - self.start + self.outside
    }

    /// Hands out the buffer of the big argument that is being received, and how much may be appended to it; `None` when
    /// it is complete.
    pub(super) fn lend_big(&mut self) -> Option<(Vec<u8>, usize)> {
        let big = self.parser.big().filter(|big| big.missing() > 0)?;
        Some(big.lend())
    }

    /// Takes that buffer back with `received` more bytes.
    pub(super) fn restore_big(&mut self, buffer: Vec<u8>, received: usize) {
        self.outside += received;
        self.client.info.query_bytes.store(self.pending(), Relaxed);
        if let Some(big) = self.parser.big() {
            big.restore(buffer);
        }
    }

    /// Where the key of the only request at hand hashes to. Several fetch their keys' memory by themselves.
    #[inline]
    pub(super) fn only_target(&mut self, hub: &Hub) -> Option<Target> {
        if self.postponed.is_some() {
            return None;
        }
        let worker = hub.worker.borrow();
        let buffer = &self.buffer[self.start..];
        self.is_unfetched = true;
        if self.parser.read_ahead(buffer, &limits(&worker, &self.client), AHEAD) != 1 {
            return None;
        }
        let key = self.parser.seconds(buffer).next().filter(|key| !key.is_empty())?;
        self.target = Some(store(&worker, &self.client).target(key));
        self.target
    }

    /// Executes requests from the buffer, until it holds no whole one or there is a reason to pause, and appends their
    /// replies to `out`.
    pub(super) fn execute(&mut self, hub: &Hub, out: &mut Vec<u8>) -> Next {
        self.go_on(&hub.refreshed(), out)
    }

    /// The same as of the worker's last look at the clock.
    fn go_on(&mut self, worker: &Worker, out: &mut Vec<u8>) -> Next {
        self.client.info.active_ms.store(worker.now_ms, Relaxed);
        // CLIENT LIST shows the request that asks for it too.
        self.client.info.query_bytes.store(self.pending(), Relaxed);
        let before = worker.counters().commands.load(Relaxed);
        let next = self.run(worker, out);
        telemetry::add(&self.client.info.commands, worker.counters().commands.load(Relaxed).wrapping_sub(before));
        self.end(worker, next, out)
    }

    /// Leaves everything as it is to be until the next request is run.
    fn end(&mut self, worker: &Worker, next: Next, out: &mut Vec<u8>) -> Next {
        let next = self.within_limits(worker, out, next);
        if !matches!(next, Next::Busy | Next::Paused | Next::Long) {
            self.compact();
        }
        self.client.info.query_bytes.store(self.pending(), Relaxed);
        next
    }

    fn run(&mut self, worker: &Worker, out: &mut Vec<u8>) -> Next {
        let _foresight = worker.local.foresee();
        let mut target = self.target.take();
        let mut limits = limits(worker, &self.client);
        loop {
            let consumed = match self.postponed.take() {
                Some(consumed) => consumed,
                None if self.start == self.buffer.len() && self.parser.is_drained() => {
                    self.want = 1;
                    return Next::Receive;
                }
                None => {
                    limits.unauthenticated = !self.client.login.is_admitted();
                    self.look_ahead(worker, &limits, target.take());
                    match self.parser.step(&self.buffer[self.start..], &limits) {
                        Ok(Step::Request { consumed }) => consumed,
                        Ok(Step::Empty { consumed }) => {
                            self.start += consumed;
                            continue;
                        }
                        Ok(Step::Incomplete { want }) => {
                            self.want = want;
                            return Next::Receive;
                        }
                        Ok(Step::Big { keep }) => {
                            self.begin_big(keep);
                            return Next::ReceiveBig;
                        }
                        Err(error) => return self.refuse(error, out),
                    }
                }
            };
            let args = self.parser.args(&self.buffer[self.start..]);
            if is_http(args.get(0)) {
                return self.refuse_http();
            }
            let outcome = attempt(|| execute_unless_long(worker, &mut self.client, args, out));
            if let Some(next) = self.pass(outcome, consumed, out.len()) {
                return next;
            }
        }
    }

    /// Reads the next requests, unless some that were read are left, and fetches the memory of their keys. That of a single one was
    /// fetched with others', to the `target`; or it waits for it soon enough.
    #[inline]
    fn look_ahead(&mut self, worker: &Worker, limits: &Limits, target: Option<Target>) {
        let buffer = &self.buffer[self.start..];
        let is_due = std::mem::take(&mut self.is_unfetched);
        if self.parser.is_ahead() && !is_due {
            return;
        }
        let count = self.parser.read_ahead(buffer, limits, AHEAD);
        let mut keys = self.parser.seconds(buffer);
        match (count, target) {
            (0, _) | (1, None) => (),
            (1, Some(target)) => keys.for_each(|key| worker.local.expect(key, target)),
            _ => _ = store(worker, &self.client).prefetch(&mut keys),
        }
    }

    /// Passes over a request of so many bytes that came to `outcome`. What to do, unless it is to run the next one.
    #[inline]
    fn pass(&mut self, outcome: Outcome, consumed: usize, replies: usize) -> Option<Next> {
        if matches!(outcome, Outcome::Busy | Outcome::Paused | Outcome::Long) {
            self.postponed = Some(consumed);
            return Some(match outcome {
                Outcome::Busy => Next::Busy,
                Outcome::Paused => Next::Paused,
                _ => Next::Long,
            });
        }
        self.start += consumed;
        self.outside = 0;
        if outcome == Outcome::Waits {
            return Some(Next::Wait);
        }
        if outcome == Outcome::Late {
            return Some(Next::Late(std::mem::take(&mut self.client.penalty_ms)));
        }
        if self.client.close_after_reply {
            return Some(Next::Close);
        }
        (replies >= FLUSH_AT).then_some(Next::Continue)
    }

    /// Runs the request at hand, which may take long, and what follows it. While a script is slow, others have their turns.
    pub(super) async fn run_long(&mut self, hub: &Hub, info: &ClientInfo, out: &mut Vec<u8>) -> Next {
        let Some(consumed) = self.postponed.take() else { return Next::Continue };
        let worker = hub.worker.borrow().clone();
        let args = self.parser.args(&self.buffer[self.start..]);
        let client = &mut self.client;
        let before = worker.counters().commands.load(Relaxed);
        let mut absence = None;
        let outcome = match Apart::new(&hub.home, || attempt(|| execute(&worker, client, args, out))) {
            Ok(mut apart) => loop {
                if let Some(outcome) = apart.resume() {
                    break outcome;
                }
                absence.get_or_insert_with(|| hub.deputise(&worker));
                // It is not idle.
                info.active_ms.store(unix_ms(), Relaxed);
                hub.fair.give_way().await;
            },
            Err(run) => run(),
        };
        // While the worker was away others' commands were counted too.
        let ran = if absence.is_some() { 1 } else { worker.counters().commands.load(Relaxed).wrapping_sub(before) };
        telemetry::add(&info.commands, ran);
        let was_away = absence.take().is_some();
        match self.pass(outcome, consumed, out.len()) {
            Some(next) => self.end(&worker, next, out),
            None if was_away => {
                drop(worker);
                self.execute(hub, out)
            }
            None => self.go_on(&worker, out),
        }
    }

    /// Moves what the buffer holds of a big argument's payload to where the rest will be received.
    #[cold]
    fn begin_big(&mut self, keep: usize) {
        let payload = self.start + keep;
        if let Some(big) = self.parser.big() {
            self.outside += big.extend(&self.buffer[payload..]);
        }
        self.buffer.truncate(payload);
    }

    /// Drops what was executed from the buffer.
    #[inline]
    fn compact(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            if self.is_calm() && self.buffer.capacity() > ROOM_CALM {
                self.buffer = Vec::new();
            }
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
    }

    /// Whether the unfinished request has outgrown `client-query-buffer-limit`; if so, that is logged and counted.
    pub(super) fn is_over_query_limit(&self, hub: &Hub) -> bool {
        let limit = hub.worker.borrow().settings.client_query_buffer_limit;
        self.passes_query_limit(hub.counters, limit)
    }

    fn passes_query_limit(&self, counters: &telemetry::Counters, limit: u64) -> bool {
        let over = self.pending() as u64 > limit;
        if over {
            telemetry::add(&counters.query_buffer_closed, 1);
            let (id, address) = (self.client.info.id, &self.client.info.address);
            tracing::warn!("closing client {id} at {address}: its request is longer than client-query-buffer-limit");
        }
        over
    }

    /// Closes where the client's buffers have passed their limits.
    fn within_limits(&self, worker: &Worker, out: &mut Vec<u8>, next: Next) -> Next {
        let settings = &worker.settings;
        let hard = settings.client_output_buffer_limit.normal.hard;
        if hard > 0 && out.len() as u64 > hard {
            // It is not worth keeping, being larger than any client may need.
            *out = Vec::new();
            telemetry::add(&worker.counters().output_buffer_closed, 1);
            let (id, address) = (self.client.info.id, &self.client.info.address);
            tracing::warn!("closing client {id} at {address}: its replies passed client-output-buffer-limit");
            return Next::Close;
        }
        let waits = matches!(next, Next::Receive | Next::ReceiveBig);
        if waits && self.passes_query_limit(worker.counters(), settings.client_query_buffer_limit) {
            return Next::Close;
        }
        next
    }

    #[cold]
    fn refuse(&self, error: ProtocolError, out: &mut Vec<u8>) -> Next {
        tracing::debug!("closing client {} at {}: {error}", self.client.info.id, self.client.info.address);
        out.extend_from_slice(b"-ERR ");
        error.append_to(out);
        out.extend_from_slice(b"\r\n");
        Next::Close
    }

    /// Ends a browser that was tricked into sending commands in the body of a web request.
    #[cold]
    fn refuse_http(&self) -> Next {
        let (id, address) = (self.client.info.id, &self.client.info.address);
        tracing::warn!(
            "possible attack: client {id} at {address} sent POST or Host: as a command, as a browser does that a web page \
             makes talk to this port (cross protocol scripting); the connection was closed"
        );
        Next::Close
    }
}

/// What a client may send now.
#[inline]
fn limits(worker: &Worker, client: &Client) -> Limits {
    let bulk_len = usize::try_from(worker.settings.proto_max_bulk_len).unwrap_or(usize::MAX);
    Limits { bulk_len, unauthenticated: !client.login.is_admitted(), ..Limits::default() }
}

/// The keys as a client's next request finds them.
#[inline]
fn store<'a>(worker: &'a Worker, client: &Client) -> Store<'a> {
    Store::new(&worker.node.keyspace, &worker.local, client.database, worker.now_ms)
}

/// Tries to execute for a few microseconds.
#[inline]
fn attempt(mut run: impl FnMut() -> Outcome) -> Outcome {
    for _ in 1..ATTEMPTS {
        match run() {
            Outcome::Busy => std::hint::spin_loop(),
            outcome => return outcome,
        }
    }
    run()
}

/// Whether a command's name is one that only a web request has.
#[inline]
fn is_http(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"post"),
        5 => name.eq_ignore_ascii_case(b"host:"),
        _ => false,
    }
}
