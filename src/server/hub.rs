//! What the tasks of one worker share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::buffers::Buffers;
use super::convoy::Convoy;
use super::fair::Fair;
use super::tls::Tls;
use crate::command::{Node, Worker};
use crate::session::ClientInfo;
use crate::telemetry::Counters;

/// One worker's state.
pub(super) struct Hub {
    /// What runs commands. It is borrowed for one batch or one round of housekeeping, never over an await.
    pub(super) worker: RefCell<Worker>,
    /// The server.
    pub(super) node: &'static Node,
    /// The worker's counters.
    pub(super) counters: &'static Counters,
    /// Buffers for replies.
    pub(super) buffers: Buffers,
    /// How single requests wait for memory together.
    pub(super) convoy: Convoy,
    /// How tasks give way to one another.
    pub(super) fair: Fair,
    /// What clients need that speak TLS, if any may.
    pub(super) tls: Option<&'static Tls>,
    /// Whether a task works at a snapshot.
    pub(super) is_saving: Cell<bool>,
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

/// A guest's stay: dropping it signs the client off, however its task ended.
pub(super) struct Stay {
    hub: Rc<Hub>,
    info: Arc<ClientInfo>,
}

impl Hub {
    /// The state of a worker without connections. Its own sockets do not block if `nonblocking`, as epoll needs it.
    pub(super) fn new(worker: Worker, nonblocking: bool, tls: Option<&'static Tls>) -> io::Result<Rc<Hub>> {
        Ok(Rc::new(Hub {
            node: worker.node,
            counters: worker.counters(),
            worker: RefCell::new(worker),
            buffers: Buffers::default(),
            convoy: Convoy::default(),
            fair: Fair::new(nonblocking)?,
            tls,
            is_saving: Cell::new(false),
            guests: RefCell::default(),
        }))
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
