//! What the tasks of one worker share.

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::buffers::Buffers;
use super::fair::Fair;
use super::lane::Lane;
use super::tls::Tls;
use crate::command::{Home, Node, Worker, is_unserved};
use crate::session::ClientInfo;
use crate::telemetry::Counters;

/// One worker's state.
pub(super) struct Hub {
    /// What runs commands. It is borrowed for one batch or one round of housekeeping, never over an await. While a script of its
    /// own is left in the middle, its deputy is here.
    pub(super) worker: RefCell<Rc<Worker>>,
    /// The stack of scripts and transactions with scripts.
    pub(super) home: Home,
    /// The server.
    pub(super) node: &'static Node,
    /// The worker's counters.
    pub(super) counters: &'static Counters,
    /// Buffers for replies.
    pub(super) buffers: Buffers,
    /// Where most connections are served.
    pub(super) lane: Lane,
    /// How tasks give way to one another.
    pub(super) fair: Fair,
    /// What clients need that speak TLS, if any may.
    pub(super) tls: Option<&'static Tls>,
    /// Whether a task works at a snapshot.
    pub(super) is_saving: Cell<bool>,
    /// Transfers of keys to other servers that this worker is to bring to their end.
    pub(super) transfers: Cell<usize>,
    /// The connections, by the ids of their clients.
    guests: RefCell<HashMap<u64, Rc<Guest>>>,
}

/// A connection as housekeeping sees it.
pub(super) struct Guest {
    /// What everybody sees of the client.
    pub(super) info: Arc<ClientInfo>,
    /// Since when its output has been over the soft limit, in milliseconds of Unix time; 0 while it is not.
    pub(super) over_since_ms: Cell<u64>,
    /// The moment of its last request for which it was told to give its buffer back.
    pub(super) rung_for_ms: Cell<u64>,
}

/// The time in which a worker is left in the middle of a script, and its deputy serves in its place.
pub(super) struct Absence<'a> {
    hub: &'a Hub,
    worker: Rc<Worker>,
}

impl Drop for Absence<'_> {
    fn drop(&mut self) {
        let deputy = std::mem::replace(&mut *self.hub.worker.borrow_mut(), self.worker.clone());
        debug_assert!(!is_unserved(&deputy) && !deputy.local.has_changes(), "a deputy changed something");
    }
}

/// A guest's stay: dropping it signs the client off, however its task ended.
pub(super) struct Stay {
    hub: Rc<Hub>,
    info: Arc<ClientInfo>,
}

impl Hub {
    /// The state of a worker without connections. Its own sockets do not block if `nonblocking`, as epoll needs it.
    pub(super) fn new(worker: Worker, nonblocking: bool, tls: Option<&'static Tls>) -> io::Result<Rc<Hub>> {
        let buffers = Buffers::default();
        buffers.bound(worker.settings.maxmemory);
        Ok(Rc::new(Hub {
            node: worker.node,
            counters: worker.counters(),
            worker: RefCell::new(Rc::new(worker)),
            home: Home::default(),
            buffers,
            lane: Lane::default(),
            fair: Fair::new(nonblocking)?,
            tls,
            is_saving: Cell::new(false),
            transfers: Cell::new(0),
            guests: RefCell::default(),
        }))
    }

    /// The worker, which has looked at the clock.
    #[inline]
    pub(super) fn refreshed(&self) -> Ref<'_, Rc<Worker>> {
        // Nobody else has it: who runs long has left its deputy here.
        if let Some(worker) = Rc::get_mut(&mut self.worker.borrow_mut())
            && worker.refresh()
        {
            self.buffers.bound(worker.settings.maxmemory);
        }
        self.worker.borrow()
    }

    /// Puts the worker's deputy in its place, until what is returned is dropped.
    pub(super) fn deputise(&self, worker: &Rc<Worker>) -> Absence<'_> {
        *self.worker.borrow_mut() = Rc::new(worker.deputy());
        Absence { hub: self, worker: worker.clone() }
    }

    /// The connections at this moment.
    pub(super) fn guests(&self) -> Vec<Rc<Guest>> {
        self.guests.borrow().values().cloned().collect()
    }

    /// Whether there is no connection.
    pub(super) fn is_empty(&self) -> bool {
        self.guests.borrow().is_empty()
    }

    /// Signs a registered client on.
    pub(super) fn admit(self: &Rc<Self>, info: Arc<ClientInfo>) -> Stay {
        let guest = Rc::new(Guest { info: info.clone(), over_since_ms: Cell::new(0), rung_for_ms: Cell::new(0) });
        self.guests.borrow_mut().insert(info.id, guest);
        Stay { hub: self.clone(), info }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.hub.node.registry.remove(&self.info);
        self.hub.guests.borrow_mut().remove(&self.info.id);
    }
}
