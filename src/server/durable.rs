//! Replies that wait until what they acknowledge is durable.

use std::future::poll_fn;
use std::task::Poll;

use super::connection::{Connection, Ran};
use super::transport::{Inlet, Outlet};
use crate::command::{Worker, is_unserved, unix_ms};

impl<I: Inlet, O: Outlet> Connection<I, O> {
    /// What this worker has recorded so far; to be given to [`Connection::acknowledge`] after a batch.
    #[inline]
    pub(super) fn recorded(&self) -> u64 {
        self.hub.worker.borrow().local.published()
    }

    /// Waits until what was recorded since then is as durable as the policy promises. Other clients go on meanwhile.
    #[inline]
    pub(super) async fn acknowledge(&self, before: u64) {
        let debt = self.debt(&self.hub.worker.borrow(), before);
        if let Some(stamp) = debt {
            self.await_durable(stamp).await;
        }
    }

    /// Whether something is left to do before others' requests, or before the replies may go.
    #[inline]
    pub(super) fn owes(&self, ran: &Ran) -> bool {
        let worker = self.hub.worker.borrow();
        is_unserved(&worker) || self.debt(&worker, ran.before).is_some()
    }

    /// The same for whatever anybody has recorded: what this client is told was done by another's worker.
    pub(super) async fn acknowledge_all(&self) {
        if let Some(stamp) = self.hub.node.keyspace.journal.debt_of_all(unix_ms()) {
            self.await_durable(stamp).await;
        }
    }

    #[inline]
    fn debt(&self, worker: &Worker, before: u64) -> Option<u64> {
        self.hub.node.keyspace.journal.debt(&worker.local, before, worker.now_ms)
    }

    async fn await_durable(&self, stamp: u64) {
        let journal = &self.hub.node.keyspace.journal;
        journal.wake();
        poll_fn(|context| if journal.await_durable(stamp, context.waker()) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}
