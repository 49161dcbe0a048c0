//! Commands that wait: how they begin to, how another client's change ends it, and how it ends without.

use std::sync::Arc;

use super::account;
use super::context::{Context, Node, Worker};
use super::dispatch::{self, perform};
use super::error::Error;
use crate::protocol::{Frame, Reply, Version, number};
use crate::session::{Client, Mode, Wait, Waiter};
use crate::store::{Kind, Record, Store};

/// What a command waits for.
pub(super) struct Block<'a> {
    /// The keys, any of which may end the wait.
    pub(super) keys: Vec<&'a [u8]>,
    /// The type that they must have for it.
    pub(super) kind: Option<Kind>,
    /// Whether the removal or replacement of a key may end it too, as it does for consumer groups.
    pub(super) minds_removal: bool,
    /// When it ends without success, in milliseconds of Unix time.
    pub(super) deadline_ms: Option<u64>,
    /// The command to run again.
    pub(super) args: Frame,
}

impl Context<'_> {
    /// Has the client wait, to be called while the shards of the keys are entered alone. In a transaction nothing waits: the
    /// reply is that of a wait in vain.
    pub(super) fn block(&mut self, block: Block<'_>, on_timeout: impl Fn(&mut Reply<'_>)) -> Result<(), Error> {
        match self.client.mode {
            Mode::Transaction | Mode::Script => {
                on_timeout(&mut self.reply);
                return Ok(());
            }
            Mode::Serving => return Err(Error::Waits),
            Mode::Direct => (),
        }
        let mut keys: Vec<Box<[u8]>> = block.keys.into_iter().map(Box::from).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut reply = Vec::new();
        on_timeout(&mut Reply::new(&mut reply, self.client.version));
        let waiter = Arc::new(Waiter::new(Wait {
            info: self.client.info.clone(),
            version: self.client.version,
            database: self.client.database,
            args: block.args,
            keys,
            kind: block.kind,
            minds_removal: block.minds_removal,
            deadline_ms: block.deadline_ms,
            on_timeout: reply,
        }));
        for key in &waiter.wait.keys {
            self.node.keyspace.listen(key, true);
        }
        self.node.waiters.add(&waiter);
        self.client.waiter = Some(waiter);
        Err(Error::Waits)
    }

    /// What the client at hand waits for since [`Context::block`].
    pub(super) fn waiter(&self) -> Option<Arc<Waiter>> {
        self.client.waiter.clone()
    }
}

/// The longest wait in milliseconds; one beyond it would pass the end of time.
const LONGEST: f64 = (i64::MAX / 2) as f64;

/// The end of a wait of so many seconds from `now_ms` on; `None` for 0, which waits for ever.
pub(super) fn deadline_after_seconds(text: &[u8], now_ms: u64) -> Result<Option<u64>, Error> {
    let seconds = number::parse_f64(text).filter(|seconds| !seconds.is_nan());
    let seconds = seconds.ok_or(Error::TIMEOUT_NOT_FLOAT)?;
    if seconds < 0.0 {
        return Err(Error::TIMEOUT_NEGATIVE);
    }
    let ms = (seconds * 1000.0).ceil();
    if ms > LONGEST {
        return Err(Error::TIMEOUT_RANGE);
    }
    Ok((ms > 0.0).then(|| now_ms.saturating_add(ms as u64)))
}

/// The same for milliseconds.
pub(super) fn deadline_after_ms(text: &[u8], now_ms: u64) -> Result<Option<u64>, Error> {
    let ms = number::parse_i64(text).ok_or(Error::TIMEOUT_NOT_INTEGER)?;
    let ms = u64::try_from(ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    Ok((ms > 0).then(|| now_ms.saturating_add(ms)))
}

/// Takes a wait out of the queues. To be called once, by whoever ended it.
pub(super) fn forget(node: &Node, waiter: &Arc<Waiter>) {
    node.waiters.remove(waiter);
    waiter.wait.keys.iter().for_each(|key| node.keyspace.listen(key, false));
}

/// Gives a wait up, because its time is up or its client is gone; false if it is being served or was.
pub fn give_up(node: &Node, waiter: &Arc<Waiter>) -> bool {
    let ended = waiter.give_up();
    if ended {
        forget(node, waiter);
    }
    ended
}

/// Ends the wait of a client from outside with this reply; false if it does not wait.
pub(super) fn unblock(node: &Node, waiter: &Arc<Waiter>, reply: Vec<u8>) -> bool {
    let ended = waiter.unblock(reply);
    if ended {
        forget(node, waiter);
    }
    ended
}

/// Serves those that wait for a key that changed. What cannot be served now, because another worker owns a key, is kept for
/// [`serve_later`].
pub(super) fn serve(worker: &Worker, database: usize, key: &[u8]) {
    while worker.node.waiters.begin_turn(database, key) {
        let served = serve_queue(worker, database, key);
        let again = worker.node.waiters.end_turn(database, key);
        if served.is_err() {
            worker.unserved.borrow_mut().push((database, key.into()));
            return;
        }
        if !again {
            return;
        }
    }
}

/// Has those served that wait for any key of a database, because all of its keys have gone or others came in their place.
pub(super) fn serve_database_later(worker: &Worker, database: usize) {
    if !worker.node.waiters.is_empty() {
        let keys = worker.node.waiters.keys_of(database).into_iter();
        worker.unserved.borrow_mut().extend(keys.map(|key| (database, key)));
    }
}

/// Whether something is left for [`serve_later`].
#[inline]
pub fn is_unserved(worker: &Worker) -> bool {
    !worker.unserved.borrow().is_empty()
}

/// Tries again to serve what could not be served.
pub fn serve_later(worker: &Worker) {
    let keys = std::mem::take(&mut *worker.unserved.borrow_mut());
    keys.iter().for_each(|(database, key)| serve(worker, *database, key));
    super::react::react(worker);
}

fn serve_queue(worker: &Worker, database: usize, key: &[u8]) -> Result<(), Error> {
    let mut place = 0;
    loop {
        let kind = kind_of(worker, database, key)?;
        let Some(next) = worker.node.waiters.next(database, key, kind, place) else { return Ok(()) };
        // Those behind it keep their places, whether it was served and has left the queue or not.
        attempt(worker, &next.waiter)?;
        if next.is_last {
            return Ok(());
        }
        place = next.place + 1;
    }
}

fn kind_of(worker: &Worker, database: usize, key: &[u8]) -> Result<Option<Kind>, Error> {
    let _held = dispatch::patiently(|| Ok(worker.node.keyspace.enter_key(&worker.local, key)?))?;
    let store = Store::new(&worker.node.keyspace, &worker.local, database, worker.now_ms);
    Ok(store.peek(key, |record| record.map(Record::kind)))
}

/// Bytes that most replies of waiting commands have room in: a key and an element.
const REPLY_BYTES: usize = 192;

/// Runs the command of one that waits; whether that ended its wait.
fn attempt(worker: &Worker, waiter: &Arc<Waiter>) -> Result<bool, Error> {
    if !waiter.claim() {
        return Ok(false);
    }
    let wait = &waiter.wait;
    let mut client = Client::serving(wait, &worker.node.acl);
    let mut out = Vec::with_capacity(REPLY_BYTES);
    let args = wait.args.args();
    worker.stopwatch.start();
    let mark = worker.stopwatch.mark();
    let found = dispatch::find(args);
    let result =
        found.clone().and_then(|handle| dispatch::patiently(|| perform(worker, &mut client, handle, args, &mut out)));
    if let Ok(handle) = found
        && !matches!(result, Err(Error::Waits | Error::Busy))
    {
        account::settle_late(worker, &client, handle, args, mark, out.len(), &result);
    }
    match result {
        Ok(()) => (),
        Err(Error::Waits) => {
            waiter.release();
            return Ok(false);
        }
        Err(Error::Busy) => {
            waiter.release();
            return Err(Error::Busy);
        }
        Err(error) => dispatch::report(worker, wait.version, &error, &mut out),
    }
    waiter.serve(out);
    forget(worker.node, waiter);
    Ok(true)
}

/// Signs a client off: ends its wait, its watches, its subscriptions, what it tracks and what it sees of others.
pub fn farewell(node: &Node, client: &mut Client) {
    if let Some(waiter) = client.waiter.take() {
        give_up(node, &waiter);
    }
    client.watched.end(&node.keyspace);
    client.subscriptions.clear(&node.channels, &client.info);
    client.set_monitor(&node.monitors, false);
    super::tracking::end(node, client);
}

/// The reply of a wait that has ended, as the client wants it.
pub fn end_wait(client: &mut Client, reply: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(reply);
    client.waiter = None;
    dispatch::mute(client, out, start);
}

/// The error of `CLIENT UNBLOCK … ERROR`.
pub(super) fn unblocked(version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::new(&mut out, version).error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    out
}
