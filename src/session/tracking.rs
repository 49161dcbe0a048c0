//! Client-side caching: who is told when a key changes that it has read.
//!
//! A key is remembered *before* the command that reads it runs. So a change after the read finds it; one before the read
//! may find it too, which costs the client a needless message that follows the reply. Messages are posted to mailboxes,
//! and a mailbox is emptied after the replies of a batch, so no client is told to forget what it has yet to receive.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::registry::{ClientInfo, Registry};
use crate::protocol::{Reply, Version};
use crate::store::{Change, Class, Keyspace};

/// How a client tracks: bits of [`ClientInfo::tracking`].
pub mod flags {
    /// It does.
    pub const ON: u32 = 1;
    /// All keys of its prefixes, whether it read them or not.
    pub const BCAST: u32 = 1 << 1;
    /// Only what it reads after `CLIENT CACHING YES`.
    pub const OPTIN: u32 = 1 << 2;
    /// All but what it reads after `CLIENT CACHING NO`.
    pub const OPTOUT: u32 = 1 << 3;
    /// It is not told of its own changes.
    pub const NOLOOP: u32 = 1 << 4;
    /// The client that its messages go to is gone.
    pub const BROKEN: u32 = 1 << 5;
}

/// The channel that messages name for clients that speak RESP2.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Parts of the table, each with a lock of its own.
const PARTS: usize = 64;

/// What one client tracks.
#[derive(Debug, Default)]
pub struct Tracked {
    /// [`flags`].
    pub flags: u32,
    /// `CLIENT CACHING` was called, for the next command.
    pub caching: bool,
    /// Prefixes in broadcasting mode.
    pub prefixes: Vec<Box<[u8]>>,
}

impl Tracked {
    /// Whether what the next command reads is to be remembered.
    pub fn remembers(&self) -> bool {
        match self.flags {
            bcast if bcast & flags::BCAST != 0 => false,
            optin if optin & flags::OPTIN != 0 => self.caching,
            optout if optout & flags::OPTOUT != 0 => !self.caching,
            _ => true,
        }
    }
}

type Readers = HashMap<Box<[u8]>, Vec<u64>>;
type Prefixes = Vec<(Box<[u8]>, Vec<Arc<ClientInfo>>)>;

/// All that is tracked.
#[derive(Debug)]
pub struct Tracking {
    hasher: RandomState,
    /// The ids of those that have read each key.
    parts: Box<[Mutex<Readers>]>,
    keys: AtomicUsize,
    items: AtomicUsize,
    clients: RwLock<HashMap<u64, Arc<ClientInfo>>>,
    prefixes: RwLock<Prefixes>,
    /// Clients and keys, to be read without a lock.
    used: AtomicUsize,
}

impl Default for Tracking {
    fn default() -> Self {
        Tracking {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            clients: RwLock::default(),
            prefixes: RwLock::default(),
            used: AtomicUsize::new(0),
        }
    }
}

/// What messages need beside the table.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// The clients, among which those are that messages are redirected to.
    pub registry: &'a Registry,
    /// The keys, whose changes are listened to.
    pub keyspace: &'a Keyspace,
    /// Bytes of messages that may wait for a client; 0 is no limit.
    pub limit: u64,
}

impl Tracking {
    /// Whether anybody tracks.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.used.load(Relaxed) != 0
    }

    /// Clients that track.
    pub fn clients(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Keys in the table, and clients of all of them.
    pub fn size(&self) -> (usize, usize) {
        (self.keys.load(Relaxed), self.items.load(Relaxed))
    }

    /// Prefixes of all clients.
    pub fn prefixes(&self) -> usize {
        self.prefixes.read().len()
    }

    /// Begins to track for a client, or changes how.
    pub fn begin(&self, client: &Arc<ClientInfo>, tracked: &Tracked, redirect: u64, keyspace: &Keyspace) {
        client.tracking.store(tracked.flags | flags::ON, Relaxed);
        client.redirect.store(redirect, Relaxed);
        let mut prefixes = self.prefixes.write();
        for prefix in &tracked.prefixes {
            let known = prefixes.iter().position(|(other, _)| other == prefix);
            let at = known.unwrap_or_else(|| {
                keyspace.listen_to_all(true);
                prefixes.push((prefix.clone(), Vec::new()));
                prefixes.len() - 1
            });
            if !prefixes[at].1.iter().any(|other| other.id == client.id) {
                prefixes[at].1.push(client.clone());
            }
        }
        drop(prefixes);
        let mut clients = self.clients.write();
        clients.insert(client.id, client.clone());
        self.used.store(clients.len(), Relaxed);
    }

    /// Ends to track for a client.
    pub fn end(&self, client: &ClientInfo, keyspace: &Keyspace) {
        client.tracking.store(0, Relaxed);
        client.redirect.store(0, Relaxed);
        self.prefixes.write().retain_mut(|(_, clients)| {
            clients.retain(|other| other.id != client.id);
            if clients.is_empty() {
                keyspace.listen_to_all(false);
            }
            !clients.is_empty()
        });
        let mut clients = self.clients.write();
        clients.remove(&client.id);
        self.used.store(clients.len(), Relaxed);
        if clients.is_empty() {
            self.clear(keyspace);
        }
    }

    /// Forgets all keys.
    fn clear(&self, keyspace: &Keyspace) {
        for part in &self.parts {
            for (key, readers) in part.lock().drain() {
                self.uncount(&key, &readers, keyspace);
            }
        }
    }

    fn uncount(&self, key: &[u8], readers: &[u64], keyspace: &Keyspace) {
        self.keys.fetch_sub(1, Relaxed);
        self.items.fetch_sub(readers.len(), Relaxed);
        keyspace.listen(key, false);
    }

    fn part(&self, key: &[u8]) -> usize {
        self.hasher.hash_one(key) as usize % PARTS
    }

    /// Remembers that a client reads a key. Where that makes more than `most` keys (0: no limit), others are forgotten, and
    /// their readers told so.
    pub fn remember(&self, key: &[u8], id: u64, most: u64, post: Post<'_>) {
        let at = self.part(key);
        {
            let mut part = self.parts[at].lock();
            match part.get_mut(key) {
                Some(readers) if readers.contains(&id) => return,
                Some(readers) => readers.push(id),
                None => {
                    part.insert(key.into(), vec![id]);
                    self.keys.fetch_add(1, Relaxed);
                    post.keyspace.listen(key, true);
                }
            }
            self.items.fetch_add(1, Relaxed);
        }
        self.shrink(at, Some(key), most, post);
    }

    /// Forgets keys beyond `most`, and tells their readers so.
    pub fn limit(&self, most: u64, post: Post<'_>) {
        self.shrink(0, None, most, post);
    }

    fn shrink(&self, at: usize, spared: Option<&[u8]>, most: u64, post: Post<'_>) {
        let (mut next, mut empty) = (at, 0);
        while most > 0 && self.keys.load(Relaxed) as u64 > most && empty < PARTS {
            next = (next + 1) % PARTS;
            let victim = self.parts[next].lock().keys().find(|other| Some(&***other) != spared).cloned();
            match victim {
                Some(victim) => {
                    self.invalidate(&victim, 0, post);
                    empty = 0;
                }
                None => empty += 1,
            }
        }
    }

    /// Tells the readers of a key to forget it. `acting` is the client whose command changed it.
    fn invalidate(&self, key: &[u8], acting: u64, post: Post<'_>) {
        let removed = self.parts[self.part(key)].lock().remove(key);
        let Some(readers) = removed else { return };
        self.uncount(key, &readers, post.keyspace);
        let keys = [key];
        let mut letters = Letters::new(Some(&keys));
        for id in readers {
            // One that has stopped to track, or tracks otherwise by now, is passed over.
            let Some(client) = self.clients.read().get(&id).cloned() else { continue };
            let mode = client.tracking.load(Relaxed);
            let own = mode & flags::NOLOOP != 0 && id == acting;
            if mode & flags::BCAST == 0 && !own {
                letters.send(&client, post);
            }
        }
    }

    /// Tells those whom changes concern. `acting` is the client whose command made them, 0 for none.
    pub fn changed(&self, changes: &[Change], acting: u64, post: Post<'_>) {
        let real = || changes.iter().filter(|change| change.event.class != Class::MISS);
        if self.keys.load(Relaxed) > 0 {
            real().for_each(|change| self.invalidate(&change.key, acting, post));
        }
        let prefixes = self.prefixes.read();
        for (prefix, clients) in &*prefixes {
            // What expires or is evicted is nobody's own change.
            let foreign = |change: &&Change| matches!(change.event.class, Class::EXPIRED | Class::EVICTED);
            let mut all: Vec<&[u8]> =
                real().filter(|change| change.key.starts_with(prefix)).map(|change| &*change.key).collect();
            let mut others: Vec<&[u8]> =
                real().filter(foreign).map(|change| &*change.key).filter(|key| key.starts_with(prefix)).collect();
            let (all, others) = (distinct(&mut all), distinct(&mut others));
            let (mut to_all, mut to_own) = (Letters::new(Some(all)), Letters::new(Some(others)));
            for client in clients {
                let own = client.id == acting && client.tracking.load(Relaxed) & flags::NOLOOP != 0;
                match own {
                    true if !others.is_empty() => to_own.send(client, post),
                    false if !all.is_empty() => to_all.send(client, post),
                    _ => (),
                }
            }
        }
    }

    /// Tells everybody to forget everything: a database was emptied or exchanged.
    pub fn flushed(&self, post: Post<'_>) {
        self.clear(post.keyspace);
        let mut letters = Letters::new(None);
        let clients: Vec<_> = self.clients.read().values().cloned().collect();
        clients.iter().for_each(|client| letters.send(client, post));
    }
}

/// Each key once, in the order of their first changes.
fn distinct<'a, 'k>(keys: &'a mut Vec<&'k [u8]>) -> &'a [&'k [u8]] {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

/// One message in both protocols, each written when the first client needs it.
struct Letters<'a> {
    /// The keys to forget; `None` for all.
    keys: Option<&'a [&'a [u8]]>,
    written: [Option<Bytes>; 2],
}

impl<'a> Letters<'a> {
    fn new(keys: Option<&'a [&'a [u8]]>) -> Self {
        Letters { keys, written: [None, None] }
    }

    /// Sends the message to a client, or to the one that it redirects to.
    fn send(&mut self, client: &Arc<ClientInfo>, post: Post<'_>) {
        let redirect = client.redirect.load(Relaxed);
        if redirect == 0 {
            // Without a protocol for pushes there is nothing that could be sent.
            if client.protocol() == 3 {
                deliver(client, self.letter(3), post.limit);
            }
            return;
        }
        match post.registry.find(redirect).filter(|target| !target.is_killed()) {
            Some(target) => {
                let listens = target.subscriptions.iter().any(|count| count.load(Relaxed) > 0);
                if target.protocol() == 3 || listens {
                    deliver(&target, self.letter(target.protocol()), post.limit);
                }
            }
            None => {
                client.tracking.fetch_or(flags::BROKEN, Relaxed);
                if client.protocol() == 3 {
                    deliver(client, broken(redirect), post.limit);
                }
            }
        }
    }

    fn letter(&mut self, version: u8) -> Bytes {
        let keys = self.keys;
        self.written[usize::from(version == 3)].get_or_insert_with(|| write(version, keys)).clone()
    }
}

fn write(version: u8, keys: Option<&[&[u8]]>) -> Bytes {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, if version == 3 { Version::Resp3 } else { Version::Resp2 });
    if version == 3 {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
    }
    match keys {
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        None => reply.null(),
    }
    out.into()
}

/// What a client hears whose messages cannot be redirected.
fn broken(redirect: u64) -> Bytes {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Version::Resp3);
    reply.push(2);
    reply.bulk(b"tracking-redir-broken");
    reply.integer(redirect as i64);
    out.into()
}

fn deliver(client: &ClientInfo, letter: Bytes, limit: u64) {
    let waiting = client.mailbox.post(letter);
    if limit > 0 && waiting as u64 > limit && !client.is_killed() {
        let (id, address) = (client.id, &client.address);
        tracing::warn!("closing client {id} at {address}: it does not read its messages (client-output-buffer-limit)");
        client.kill();
    }
}
