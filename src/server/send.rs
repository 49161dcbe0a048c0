//! The sending half of a connection: replies, and what others post to the client.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::batch::FLUSH_AT;
use super::connection::Ended;
use super::hub::Hub;
use super::transport::Outlet;
use crate::command::unix_ms;
use crate::session::ClientInfo;
use crate::telemetry;

/// The sending half.
pub(super) struct Sender<O> {
    pub(super) outlet: O,
    hub: Rc<Hub>,
    pub(super) info: Arc<ClientInfo>,
}

impl<O: Outlet> Sender<O> {
    /// The sender of a client.
    pub(super) fn new(outlet: O, hub: Rc<Hub>, info: Arc<ClientInfo>) -> Self {
        Sender { outlet, hub, info }
    }

    /// Sends all of `out` and gives the buffer back to the worker.
    pub(super) async fn send(&mut self, mut out: Vec<u8>) -> Result<(), Ended> {
        let len = out.len();
        let mut sent = 0;
        if len > 0 {
            self.info.output_capacity.store(out.capacity(), Relaxed);
        }
        while sent < len {
            self.info.output_bytes.store(len - sent, Relaxed);
            let result;
            (result, out) = self.outlet.send(out, sent).await;
            match result {
                Ok(0) | Err(_) => return Err(Ended),
                Ok(count) => sent += count,
            }
            telemetry::add(&self.hub.counters.writes, 1);
            if sent < len {
                self.info.active_ms.store(unix_ms(), Relaxed);
            }
        }
        if len > 0 {
            self.info.output_bytes.store(0, Relaxed);
            self.info.output_capacity.store(0, Relaxed);
            telemetry::add(&self.info.sent_bytes, len as u64);
            telemetry::add(&self.hub.counters.sent_bytes, len as u64);
        }
        self.hub.buffers.give(out);
        Ok(())
    }

    /// Says farewell: nothing is sent any more.
    pub(super) fn finish(&mut self) {
        self.outlet.finish();
    }

    /// Sends what others have posted.
    #[cold]
    pub(super) async fn deliver(&mut self) -> Result<(), Ended> {
        while self.info.mailbox.is_rung() {
            let mut out = self.hub.buffers.take();
            self.info.mailbox.collect(&mut out, FLUSH_AT);
            self.send(out).await?;
        }
        Ok(())
    }
}
