//! Clients that wait: a command that found nothing yet, and what becomes of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::ClientInfo;
use crate::protocol::{Frame, Version};
use crate::store::Kind;

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It goes on.
    Waiting = 0,
    /// Another client's command is running this one's at this moment.
    Serving = 1,
    /// The reply is there.
    Served = 2,
    /// It was given up: the time was up, or the client is gone.
    Over = 3,
}

/// What a command waits for, and what is to be done then.
#[derive(Debug)]
pub struct Wait {
    /// Who waits.
    pub info: Arc<ClientInfo>,
    /// The client's protocol.
    pub version: Version,
    /// The client's database.
    pub database: usize,
    /// The command with its arguments, to be run again when a key changes.
    pub args: Frame,
    /// The keys, each once, any of which may end the wait.
    pub keys: Vec<Box<[u8]>>,
    /// The type that a key must have to be worth an attempt.
    pub kind: Option<Kind>,
    /// Whether the removal of a key may end the wait too.
    pub minds_removal: bool,
    /// When it ends without success, in milliseconds of Unix time.
    pub deadline_ms: Option<u64>,
    /// What is replied then.
    pub on_timeout: Vec<u8>,
}

/// A command that waits.
#[derive(Debug)]
pub struct Waiter {
    /// What it waits for.
    pub wait: Wait,
    /// Its number in the order in which all waits began, which is its place in the queues.
    place: AtomicU64,
    stage: AtomicU8,
    reply: Mutex<Vec<u8>>,
    /// What is replied when the time is up, if that has changed since it began.
    late: Mutex<Option<Vec<u8>>>,
}

impl Waiter {
    /// A wait that begins.
    pub fn new(wait: Wait) -> Waiter {
        let (place, stage) = (AtomicU64::new(0), AtomicU8::new(Stage::Waiting as u8));
        Waiter { wait, place, stage, reply: Mutex::default(), late: Mutex::default() }
    }

    /// How it stands.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Serving,
            2 => Stage::Served,
            _ => Stage::Over,
        }
    }

    fn change(&self, from: Stage, to: Stage) -> bool {
        self.stage.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Begins to serve it; false if it does not wait any more. Ends with [`Waiter::serve`] or [`Waiter::release`].
    pub fn claim(&self) -> bool {
        self.change(Stage::Waiting, Stage::Serving)
    }

    /// There was nothing for it after all.
    pub fn release(&self) {
        self.stage.store(Stage::Waiting as u8, Ordering::Release);
        // Its own task may have found it claimed when its time was up.
        self.wait.info.mailbox.ring();
    }

    /// Hands it the reply that whoever claimed it has made.
    pub fn serve(&self, reply: Vec<u8>) {
        *self.reply.lock() = reply;
        self.stage.store(Stage::Served as u8, Ordering::Release);
        self.wait.info.mailbox.ring();
    }

    /// Ends it from outside with this reply (`CLIENT UNBLOCK`); false if it does not wait any more.
    pub fn unblock(&self, reply: Vec<u8>) -> bool {
        let waits = self.claim();
        if waits {
            self.serve(reply);
        }
        waits
    }

    /// Changes what is replied when the time is up.
    pub fn amend(&self, on_timeout: Vec<u8>) {
        *self.late.lock() = Some(on_timeout);
    }

    /// What is replied when the time is up.
    pub fn on_timeout(&self) -> Vec<u8> {
        self.late.lock().clone().unwrap_or_else(|| self.wait.on_timeout.clone())
    }

    /// Gives it up; false if it is being served or was.
    pub fn give_up(&self) -> bool {
        self.change(Stage::Waiting, Stage::Over)
    }

    /// The reply, once it is served.
    pub fn take_reply(&self) -> Vec<u8> {
        std::mem::take(&mut self.reply.lock())
    }
}

/// Those that wait for one key, by their places: so the first is found, and one in the middle leaves, without a look at the others.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Arc<Waiter>>,
    turn: Turn,
}

/// Whether some worker serves a queue at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobodys,
    Taken,
    /// It is taken, and the key changed again meanwhile.
    Again,
}

/// The queues of a database's keys. Hashes have a seed of the process: clients choose the keys.
type Queues = HashMap<Box<[u8]>, Queue, RandomState>;

/// Those that wait for keys, in the order in which they came.
#[derive(Debug, Default)]
pub struct Waiters {
    count: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the database's index.
    queues: Vec<Queues>,
    /// The place of the last one that came.
    last: u64,
    /// All that wait, by client, those that wait for no key included.
    clients: HashMap<u64, Arc<Waiter>, RandomState>,
}

impl Inner {
    fn queue(&mut self, database: usize, key: &[u8]) -> Option<&mut Queue> {
        self.queues.get_mut(database)?.get_mut(key)
    }

    /// Removes a queue in which nobody waits, unless it is being served.
    fn tidy(&mut self, database: usize, key: &[u8]) {
        if self.queue(database, key).is_some_and(|queue| queue.waiting.is_empty() && queue.turn == Turn::Nobodys) {
            self.queues[database].remove(key);
        }
    }

    /// The queues in which somebody waits, with their keys.
    fn used(&self) -> impl Iterator<Item = (&[u8], &Queue)> {
        let all = self.queues.iter().flatten().map(|(key, queue)| (&**key, queue));
        all.filter(|(_, queue)| !queue.waiting.is_empty())
    }
}

impl Waiters {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that somebody waits for.
    pub fn keys(&self) -> usize {
        self.inner.lock().used().count()
    }

    /// How many wait for a limited time.
    pub fn limited(&self) -> usize {
        self.inner.lock().clients.values().filter(|waiter| waiter.wait.deadline_ms.is_some()).count()
    }

    /// Keys for whose removal somebody waits, too.
    pub fn keys_minding_removal(&self) -> usize {
        let minds = |queue: &Queue| queue.waiting.values().any(|waiter| waiter.wait.minds_removal);
        self.inner.lock().used().filter(|(_, queue)| minds(queue)).count()
    }

    /// The keys of a database that somebody waits for.
    pub fn keys_of(&self, database: usize) -> Vec<Box<[u8]>> {
        let inner = self.inner.lock();
        inner.queues.get(database).into_iter().flatten().map(|(key, _)| key.clone()).collect()
    }

    /// All that wait.
    pub fn all(&self) -> Vec<Arc<Waiter>> {
        self.inner.lock().clients.values().cloned().collect()
    }

    /// What a client waits for.
    pub fn of_client(&self, id: u64) -> Option<Arc<Waiter>> {
        self.inner.lock().clients.get(&id).cloned()
    }

    /// Adds a wait, which is to be added only once, at the end of its keys' queues.
    pub fn add(&self, waiter: &Arc<Waiter>) {
        let mut inner = self.inner.lock();
        inner.last += 1;
        let place = inner.last;
        waiter.place.store(place, Ordering::Relaxed);
        let database = waiter.wait.database;
        if inner.queues.len() <= database {
            inner.queues.resize_with(database + 1, Queues::default);
        }
        for key in &waiter.wait.keys {
            let queues = &mut inner.queues[database];
            match queues.get_mut(key) {
                Some(queue) => queue.waiting.insert(place, waiter.clone()),
                None => queues.entry(key.clone()).or_default().waiting.insert(place, waiter.clone()),
            };
        }
        inner.clients.insert(waiter.wait.info.id, waiter.clone());
        waiter.wait.info.blocked.store(true, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a wait out of its keys' queues.
    pub fn remove(&self, waiter: &Arc<Waiter>) {
        let mut inner = self.inner.lock();
        let database = waiter.wait.database;
        for key in &waiter.wait.keys {
            if let Some(queue) = inner.queue(database, key) {
                queue.waiting.remove(&waiter.place.load(Ordering::Relaxed));
                inner.tidy(database, key);
            }
        }
        if inner.clients.remove(&waiter.wait.info.id).is_some() {
            waiter.wait.info.blocked.store(false, Ordering::Relaxed);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Begins to serve those that wait for a key, if there are any and it is this caller's turn. If it is another's, that one is
    /// told to look again, so that two never serve one queue out of order. Each turn ends with [`Waiters::end_turn`].
    pub fn begin_turn(&self, database: usize, key: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut inner = self.inner.lock();
        let Some(queue) = inner.queue(database, key) else { return false };
        let is_free = queue.turn == Turn::Nobodys;
        queue.turn = if is_free { Turn::Taken } else { Turn::Again };
        is_free
    }

    /// The first in a key's queue, from the place `from` on, for whom a value of type `kind` (or none) is worth an attempt.
    pub fn next(&self, database: usize, key: &[u8], kind: Option<Kind>, from: u64) -> Option<Next> {
        let mut inner = self.inner.lock();
        let queue = inner.queue(database, key)?;
        let suits = |waiter: &Waiter| match kind {
            Some(_) => waiter.wait.kind.is_none() || waiter.wait.kind == kind || waiter.wait.minds_removal,
            None => waiter.wait.minds_removal,
        };
        let (place, waiter) = queue.waiting.range(from..).find(|(_, waiter)| suits(waiter))?;
        let is_last = queue.waiting.last_key_value().is_some_and(|(last, _)| last == place);
        Some(Next { place: *place, waiter: waiter.clone(), is_last })
    }

    /// Ends a turn; whether the key changed meanwhile, so that there has to be another.
    pub fn end_turn(&self, database: usize, key: &[u8]) -> bool {
        let mut inner = self.inner.lock();
        let Some(queue) = inner.queue(database, key) else { return false };
        let again = std::mem::take(&mut queue.turn) == Turn::Again;
        inner.tidy(database, key);
        again
    }
}

/// Whose turn it is in a queue.
#[derive(Debug)]
pub struct Next {
    /// Its place.
    pub place: u64,
    /// The wait.
    pub waiter: Arc<Waiter>,
    /// Whether nobody stands behind it. Whoever comes later has looked at the key itself.
    pub is_last: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Arrival, Registry, Transport};

    fn waiter(registry: &Registry, keys: &[&str]) -> Arc<Waiter> {
        let arrival = Arrival {
            address: String::new(),
            local_address: String::new(),
            transport: Transport::Unix,
            worker: 0,
            now_ms: 0,
            socket: -1,
        };
        Arc::new(Waiter::new(Wait {
            info: registry.register(arrival, usize::MAX).expect("no limit"),
            version: Version::Resp2,
            database: 0,
            args: Frame::default(),
            keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
            kind: Some(Kind::List),
            minds_removal: false,
            deadline_ms: None,
            on_timeout: Vec::new(),
        }))
    }

    #[test]
    fn queues_are_served_in_order_by_one_at_a_time() {
        let (registry, waiters) = (Registry::new(1), Waiters::default());
        let (first, second) = (waiter(&registry, &["a", "b"]), waiter(&registry, &["a"]));
        assert!(!waiters.begin_turn(0, b"a"));
        waiters.add(&first);
        waiters.add(&second);
        assert_eq!((waiters.len(), waiters.keys()), (2, 2));
        assert!(waiters.begin_turn(0, b"a"));
        assert!(!waiters.begin_turn(0, b"a"), "another's turn");
        assert!(!waiters.begin_turn(1, b"a"), "another database");
        let next = |kind, from| waiters.next(0, b"a", kind, from).map(|next| (next.place, next.waiter.wait.info.id));
        assert_eq!(next(Some(Kind::List), 0), Some((1, first.wait.info.id)));
        assert_eq!(next(Some(Kind::List), 2), Some((2, second.wait.info.id)));
        assert_eq!((next(Some(Kind::Hash), 0), next(None, 0), next(Some(Kind::List), 3)), (None, None, None));
        waiters.remove(&first);
        assert_eq!(next(Some(Kind::List), 0), Some((2, second.wait.info.id)));
        assert!(waiters.end_turn(0, b"a"), "it changed meanwhile");
        assert!(waiters.begin_turn(0, b"a"));
        waiters.remove(&second);
        assert_eq!((waiters.len(), waiters.keys()), (0, 0));
        waiters.add(&first);
        assert!(!waiters.begin_turn(0, b"a"), "a turn outlasts those for whom it began");
        assert!(waiters.end_turn(0, b"a") && waiters.begin_turn(0, b"a") && !waiters.end_turn(0, b"a"));
    }

    #[test]
    fn whoever_leaves_a_long_queue_leaves_the_others_in_their_order() {
        let (registry, waiters) = (Registry::new(1), Waiters::default());
        let mut queue: Vec<_> = (0..1000).map(|_| waiter(&registry, &["a", "b"])).collect();
        queue.iter().for_each(|waiter| waiters.add(waiter));
        // Two of three leave, in no order.
        for number in 0..1000 {
            if number * 7 % 1000 % 3 > 0 {
                waiters.remove(&queue[number * 7 % 1000]);
            }
        }
        // Who leaves once more takes nobody along, and who comes again is the last.
        waiters.remove(&queue[1]);
        let mut number = 0;
        queue.retain(|_| {
            number += 1;
            (number - 1) % 3 == 0
        });
        queue.push(waiter(&registry, &["a"]));
        waiters.add(&queue[queue.len() - 1]);
        let mut place = 0;
        for waiter in &queue {
            let next = waiters.next(0, b"a", Some(Kind::List), place).expect("somebody waits");
            assert!(Arc::ptr_eq(&next.waiter, waiter) && next.place >= place);
            assert_eq!(next.is_last, Arc::ptr_eq(waiter, &queue[queue.len() - 1]));
            place = next.place + 1;
        }
        assert_eq!((waiters.next(0, b"a", Some(Kind::List), place).is_none(), waiters.len()), (true, queue.len()));
        queue.iter().for_each(|waiter| waiters.remove(waiter));
        assert_eq!((waiters.len(), waiters.keys()), (0, 0));
    }

    #[test]
    fn a_wait_ends_once() {
        let registry = Registry::new(1);
        let waiter = waiter(&registry, &["a"]);
        assert!(waiter.claim() && !waiter.claim() && !waiter.give_up());
        waiter.release();
        assert_eq!(waiter.stage(), Stage::Waiting);
        assert!(waiter.unblock(b"x".to_vec()) && !waiter.unblock(Vec::new()) && !waiter.give_up());
        assert_eq!((waiter.stage(), waiter.take_reply()), (Stage::Served, b"x".to_vec()));
    }
}
