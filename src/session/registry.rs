//! What all workers see of every client: `CLIENT LIST`, `CLIENT KILL`, the count for `maxclients`.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::mailbox::Mailbox;
use crate::protocol::Version;
use crate::security::User;
use crate::store::Watch;

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// A unix socket.
    Unix,
}

/// What other clients see of a client. Its own worker writes, with relaxed stores; everybody reads.
#[derive(Debug)]
pub struct ClientInfo {
    /// The id, unique since start and ascending.
    pub id: u64,
    /// `ip:port` of the peer, or `path:0` for a unix socket.
    pub address: String,
    /// `ip:port` of our end, or `path:0`.
    pub local_address: String,
    /// How it is connected.
    pub transport: Transport,
    /// The worker that serves it.
    pub worker: usize,
    /// When it connected, in milliseconds of Unix time.
    pub created_ms: u64,
    /// The connection's descriptor, until it closes.
    socket: Mutex<Option<RawFd>>,
    killed: AtomicBool,
    version: AtomicU8,
    database: AtomicU32,
    /// When it was last active, in milliseconds of Unix time.
    pub active_ms: AtomicU64,
    /// Commands that it ran.
    pub commands: AtomicU64,
    /// Bytes received and not yet executed.
    pub query_bytes: AtomicUsize,
    /// Bytes of memory of the receive buffer.
    pub query_capacity: AtomicUsize,
    /// Bytes of replies not yet sent.
    pub output_bytes: AtomicUsize,
    /// Bytes of memory of the buffer that they are in.
    pub output_capacity: AtomicUsize,
    /// Bytes received since it connected.
    pub received_bytes: AtomicU64,
    /// Bytes sent since it connected.
    pub sent_bytes: AtomicU64,
    /// The row of the last command in the command table's order, plus one; 0 for none.
    pub last_command: AtomicU32,
    /// `CLIENT NO-EVICT`.
    pub no_evict: AtomicBool,
    /// How it tracks keys, as bits of [`super::tracking_flags`]; 0 if it does not.
    pub tracking: AtomicU32,
    /// The client to which its invalidations go; 0 for itself.
    pub redirect: AtomicU64,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: AtomicBool,
    /// Channels, patterns and shard channels that it subscribed to.
    pub subscriptions: [AtomicUsize; 3],
    /// Commands queued since `MULTI`, plus one; 0 outside of a transaction.
    pub queued: AtomicUsize,
    /// Bytes of memory of the queued commands.
    pub queued_bytes: AtomicUsize,
    /// Keys that it watches.
    pub watched: AtomicUsize,
    /// Whether a command of it waits.
    pub blocked: AtomicBool,
    /// Whether it watches the commands of all clients (`MONITOR`).
    pub is_monitor: AtomicBool,
    /// What others send to it.
    pub mailbox: Mailbox,
    watch: Mutex<Option<Arc<Watch>>>,
    names: Mutex<Names>,
    user: Mutex<Option<Arc<User>>>,
}

/// What a client said of itself.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub library: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub library_version: Vec<u8>,
}

impl ClientInfo {
    /// A copy of what the client said of itself.
    pub fn names(&self) -> Names {
        self.names.lock().clone()
    }

    /// Changes what the client said of itself.
    pub fn set_names(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names.lock());
    }

    /// The user, as it was when the client logged in; `None` before the client is served.
    pub fn user(&self) -> Option<Arc<User>> {
        self.user.lock().clone()
    }

    pub(super) fn set_user(&self, user: &Arc<User>) {
        *self.user.lock() = Some(user.clone());
    }

    /// The selected database.
    pub fn database(&self) -> usize {
        self.database.load(Relaxed) as usize
    }

    pub(super) fn set_database(&self, database: usize) {
        self.database.store(database as u32, Relaxed);
    }

    /// The protocol version, 2 or 3.
    pub fn protocol(&self) -> u8 {
        self.version.load(Relaxed)
    }

    pub(super) fn set_version(&self, version: Version) {
        self.version.store(if version == Version::Resp3 { 3 } else { 2 }, Relaxed);
    }

    /// Whether it subscribed to anything.
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.iter().any(|count| count.load(Relaxed) > 0)
    }

    /// Whether a key that it watches was changed, so that its transaction will fail.
    pub fn is_outrun(&self) -> bool {
        self.watch.lock().as_ref().is_some_and(|watch| watch.is_touched())
    }

    /// Tells what the client watches.
    pub(super) fn set_watch(&self, keys: usize, watch: &Arc<Watch>) {
        self.watched.store(keys, Relaxed);
        *self.watch.lock() = (keys > 0).then(|| watch.clone());
    }

    /// Posts a letter. If more than `limit` bytes (0: no limit) wait then, the client does not read, and is cut off.
    pub fn send(&self, letter: bytes::Bytes, limit: u64) {
        let waiting = self.mailbox.post(letter);
        if limit > 0 && waiting as u64 > limit && !self.is_killed() {
            let (id, address) = (self.id, &self.address);
            tracing::warn!(
                "closing client {id} at {address}: it does not read its messages (client-output-buffer-limit)"
            );
            self.kill();
        }
    }

    /// Bytes of memory of replies not yet sent.
    pub fn output_memory(&self) -> usize {
        self.output_bytes.load(Relaxed).max(self.output_capacity.load(Relaxed))
    }

    /// Whether it was told to end.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    /// Ends the connection from any thread: its socket is shut down, so that its worker's read and write end.
    pub fn kill(&self) {
        self.killed.store(true, Relaxed);
        if let Some(fd) = *self.socket.lock() {
            // The peer may have closed already; then there is nothing to shut down.
            let _ = nix::sys::socket::shutdown(fd, nix::sys::socket::Shutdown::Both);
        }
    }

    /// Whether it comes from this machine: over the loopback interface or a unix socket.
    pub fn is_local(&self) -> bool {
        let from = self.address.parse::<std::net::SocketAddr>();
        self.transport == Transport::Unix || from.is_ok_and(|address| address.ip().to_canonical().is_loopback())
    }

    /// The connection's descriptor, for `CLIENT LIST`; `None` once it closed.
    pub fn descriptor(&self) -> Option<RawFd> {
        *self.socket.lock()
    }

    /// Forgets the descriptor before it is closed, so that nobody shuts a stranger's connection down.
    pub fn detach(&self) {
        *self.socket.lock() = None;
    }
}

/// A connection that asks to be registered.
#[derive(Debug)]
pub struct Arrival {
    /// `ip:port` of the peer, or `path:0`.
    pub address: String,
    /// `ip:port` of our end, or `path:0`.
    pub local_address: String,
    /// How it is connected.
    pub transport: Transport,
    /// The worker that serves it.
    pub worker: usize,
    /// Milliseconds of Unix time.
    pub now_ms: u64,
    /// Its socket.
    pub socket: RawFd,
}

/// The clients of one worker by their ids.
type Clients = HashMap<u64, Arc<ClientInfo>>;

/// All clients, by worker.
pub struct Registry {
    next_id: AtomicU64,
    connected: AtomicUsize,
    workers: Box<[Mutex<Clients>]>,
}

impl Registry {
    /// An empty registry for `workers` workers.
    pub fn new(workers: usize) -> Self {
        Registry {
            next_id: AtomicU64::new(1),
            connected: AtomicUsize::new(0),
            workers: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Connected clients.
    pub fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Registers a connection unless there are `limit` already.
    pub fn register(&self, arrival: Arrival, limit: usize) -> Option<Arc<ClientInfo>> {
        if self.connected.fetch_add(1, Relaxed) >= limit {
            self.connected.fetch_sub(1, Relaxed);
            return None;
        }
        let info = Arc::new(ClientInfo {
            id: self.next_id.fetch_add(1, Relaxed),
            address: arrival.address,
            local_address: arrival.local_address,
            transport: arrival.transport,
            worker: arrival.worker,
            created_ms: arrival.now_ms,
            socket: Mutex::new(Some(arrival.socket)),
            killed: AtomicBool::new(false),
            version: AtomicU8::new(2),
            database: AtomicU32::new(0),
            active_ms: AtomicU64::new(arrival.now_ms),
            commands: AtomicU64::new(0),
            query_bytes: AtomicUsize::new(0),
            query_capacity: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_capacity: AtomicUsize::new(0),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            last_command: AtomicU32::new(0),
            no_evict: AtomicBool::new(false),
            tracking: AtomicU32::new(0),
            redirect: AtomicU64::new(0),
            no_touch: AtomicBool::new(false),
            subscriptions: Default::default(),
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            is_monitor: AtomicBool::new(false),
            watch: Mutex::default(),
            mailbox: Mailbox::default(),
            names: Mutex::default(),
            user: Mutex::default(),
        });
        self.workers[arrival.worker].lock().insert(info.id, info.clone());
        Some(info)
    }

    /// Takes a client out; its descriptor is about to be closed.
    pub fn remove(&self, info: &ClientInfo) {
        info.detach();
        info.mailbox.close();
        if self.workers[info.worker].lock().remove(&info.id).is_some() {
            self.connected.fetch_sub(1, Relaxed);
        }
    }

    /// The client of this id.
    pub fn find(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.workers.iter().find_map(|worker| worker.lock().get(&id).cloned())
    }

    /// All clients in the order of their ids.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        let mut all: Vec<_> =
            self.workers.iter().flat_map(|worker| worker.lock().values().cloned().collect::<Vec<_>>()).collect();
        all.sort_unstable_by_key(|info| info.id);
        all
    }
}
