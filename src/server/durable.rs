//! Replies that wait until what they acknowledge is durable.

use std::future::poll_fn;
use std::task::Poll;

use super::connection::Connection;
use super::transport::{Inlet, Outlet};
use crate::command::unix_ms;

impl<I: Inlet, O: Outlet> Connection<I, O> {
    /// What this worker has recorded so far; to be given to [`Connection::acknowledge`] after a batch.
    #[inline]
    pub(super) fn recorded(&self) -> u64 {
        self.hub.worker.borrow().local.published()
    }

    /// Waits until what was recorded since then is as durable as the policy promises. Other clients go on meanwhile.
    #[inline]
    pub(super) async fn acknowledge(&self, before: u64) {
        let debt = {
            let worker = self.hub.worker.borrow();
            self.hub.node.keyspace.journal.debt(&worker.local, before, worker.now_ms)
        };
        if let Some(stamp) = debt {
            self.await_durable(stamp).await;
        }
    }

    /// The same for whatever anybody has recorded: what this client is told was done by another's worker.
    pub(super) async fn acknowledge_all(&self) {
        if let Some(stamp) = self.hub.node.keyspace.journal.debt_of_all(unix_ms()) {
            self.await_durable(stamp).await;
        }
    }

    async fn await_durable(&self, stamp: u64) {
        let journal = &self.hub.node.keyspace.journal;
        journal.wake();
        poll_fn(|context| if journal.await_durable(stamp, context.waker()) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}
