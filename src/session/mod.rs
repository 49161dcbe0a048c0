//! The state of one client, and the registry of all of them.

mod channels;
mod crowd;
mod mailbox;
mod monitors;
mod pause;
mod registry;
mod tracking;
mod transaction;
mod transfer;
mod waiter;

pub use channels::{Channels, Subscriptions, Topic};
pub use mailbox::Mailbox;
pub use monitors::Monitors;
pub use pause::{Held, Pause};
pub use registry::{Arrival, ClientInfo, Names, Registry, Transport};
pub use tracking::{Post, Tracked, Tracking, flags as tracking_flags};
pub use transaction::{Transaction, Watched};
pub use transfer::{Delivery, Transfer};
pub use waiter::{Next, Stage, Wait, Waiter, Waiters};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::protocol::Version;
use crate::security::{Acl, Login};

/// Whether replies reach the client (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// They do.
    #[default]
    On,
    /// None does until `CLIENT REPLY ON`.
    Off,
    /// That of the next command does not.
    SkipNext,
    /// That of this command does not.
    Skip,
}

/// From where a command of a client is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The client sent it.
    #[default]
    Direct,
    /// `EXEC` runs it, so it must not wait.
    Transaction,
    /// A script runs it, so it must not wait.
    Script,
    /// Another client's change runs it again for one that waits.
    Serving,
}

/// What one connection's commands see of it and change.
pub struct Client {
    /// The protocol in force.
    pub version: Version,
    /// The selected database.
    pub database: usize,
    /// Who it is, and whether its commands need to be checked.
    pub login: Login,
    /// Milliseconds that the replies so far are to be held back, for a wrong password.
    pub penalty_ms: u32,
    /// Whether replies are sent.
    pub reply_mode: ReplyMode,
    /// Close the connection when what is in the output buffer was sent.
    pub close_after_reply: bool,
    /// Do not set the access clock of keys (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
    /// From where its commands are run.
    pub mode: Mode,
    /// What was queued since `MULTI`.
    pub transaction: Option<Box<Transaction>>,
    /// What it watches.
    pub watched: Watched,
    /// What it subscribed to.
    pub subscriptions: Subscriptions,
    /// Whether it watches the commands of all clients (`MONITOR`).
    pub is_monitor: bool,
    /// What it tracks for its cache.
    pub tracked: Option<Box<Tracked>>,
    /// What its last command waits for.
    pub waiter: Option<Arc<Waiter>>,
    /// Keys that its last command has begun to send elsewhere, until the server has taken that over.
    pub transfer: Option<Arc<Transfer>>,
    /// What other clients see of this one.
    pub info: Arc<ClientInfo>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(info: Arc<ClientInfo>, acl: &Acl) -> Self {
        let client = Client::fresh(info, acl);
        client.info.set_user(client.login.user());
        client
    }

    /// One in the place of a client that waits, for a command that others run for it. What is known of the client itself stays as it is.
    pub fn serving(wait: &Wait, acl: &Acl) -> Self {
        let mut client = Client::fresh(wait.info.clone(), acl);
        (client.version, client.database, client.mode) = (wait.version, wait.database, Mode::Serving);
        client
    }

    /// The state of a new connection.
    fn fresh(info: Arc<ClientInfo>, acl: &Acl) -> Self {
        let login = Login::new(acl);
        Client {
            version: Version::Resp2,
            database: 0,
            login,
            penalty_ms: 0,
            reply_mode: ReplyMode::On,
            close_after_reply: false,
            no_touch: false,
            mode: Mode::Direct,
            transaction: None,
            watched: Watched::default(),
            subscriptions: Subscriptions::default(),
            is_monitor: false,
            tracked: None,
            waiter: None,
            transfer: None,
            info,
        }
    }

    /// Puts the session into the state of a new connection (`RESET`).
    pub fn reset(&mut self, acl: &Acl) {
        self.login = Login::new(acl);
        self.info.set_user(self.login.user());
        self.transaction = None;
        self.tell_transaction();
        self.reply_mode = ReplyMode::On;
        self.select(0);
        self.set_version(Version::Resp2);
        self.set_no_touch(false);
        self.info.no_evict.store(false, Relaxed);
        self.info.set_names(|names| names.name.clear());
    }

    /// Becomes the user of this name if the password is right; else stays who it was.
    pub fn authenticate(&mut self, acl: &Acl, name: &[u8], password: &[u8]) -> bool {
        let right = self.login.authenticate(acl, name, password);
        self.info.set_user(self.login.user());
        right
    }

    /// Sets whether its commands leave the access clock of keys alone.
    pub fn set_no_touch(&mut self, no_touch: bool) {
        self.no_touch = no_touch;
        self.info.no_touch.store(no_touch, Relaxed);
    }

    /// Begins or ends to watch the commands of all clients.
    pub fn set_monitor(&mut self, monitors: &Monitors, watches: bool) {
        if self.is_monitor != watches {
            match watches {
                true => monitors.add(&self.info),
                false => monitors.remove(&self.info),
            }
            self.is_monitor = watches;
            self.info.is_monitor.store(watches, Relaxed);
        }
    }

    /// Tells others how its transaction and its watches stand.
    pub fn tell_transaction(&self) {
        let (queued, bytes) = self.transaction.as_ref().map_or((0, 0), |open| (open.queue.len() + 1, open.bytes));
        self.info.queued.store(queued, Relaxed);
        self.info.queued_bytes.store(bytes, Relaxed);
        self.info.set_watch(self.watched.keys.len(), &self.watched.watch);
    }

    /// Selects a database.
    pub fn select(&mut self, database: usize) {
        self.database = database;
        self.info.set_database(database);
    }

    /// Sets the protocol.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
        self.info.set_version(version);
    }
}
