//! The sending half of a connection: replies, and what others post to the client.

use std::io;
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
    /// `None` while a send of the lane has it.
    pub(super) outlet: Option<O>,
    hub: Rc<Hub>,
    pub(super) info: Arc<ClientInfo>,
}

impl<O: Outlet> Sender<O> {
    /// The sender of a client.
    pub(super) fn new(outlet: O, hub: Rc<Hub>, info: Arc<ClientInfo>) -> Self {
        Sender { outlet: Some(outlet), hub, info }
    }

    /// Sends all of `out` and gives the buffer back to the worker.
    pub(super) async fn send(&mut self, mut out: Vec<u8>) -> Result<(), Ended> {
        let mut sent = 0;
        self.begin(&out);
        while sent < out.len() {
            let Some(outlet) = &mut self.outlet else { return Err(Ended) };
            let (result, slice) = outlet.send(out, sent).await;
            out = slice.into_inner();
            sent += self.count(result, out.len() - sent)?;
        }
        self.end(out);
        Ok(())
    }

    /// Takes note of replies that are to be sent.
    #[inline]
    pub(super) fn begin(&self, out: &Vec<u8>) {
        if !out.is_empty() {
            self.info.output_capacity.store(out.capacity(), Relaxed);
            self.info.output_bytes.store(out.len(), Relaxed);
        }
    }

    /// Takes note of what a send of `left` bytes came to, and returns how many went.
    #[inline]
    pub(super) fn count(&self, result: io::Result<usize>, left: usize) -> Result<usize, Ended> {
        let count = result.ok().filter(|count| *count > 0).ok_or(Ended)?;
        telemetry::add(&self.hub.counters.writes, 1);
        telemetry::add(&self.hub.counters.sent_bytes, count as u64);
        telemetry::add(&self.info.sent_bytes, count as u64);
        if count < left || self.info.output_bytes.load(Relaxed) > 0 {
            self.info.output_bytes.store(left.saturating_sub(count), Relaxed);
        }
        if count < left {
            self.info.active_ms.store(unix_ms(), Relaxed);
        }
        Ok(count)
    }

    /// Gives the buffer of replies back that were sent.
    #[inline]
    pub(super) fn end(&self, out: Vec<u8>) {
        self.info.output_capacity.store(0, Relaxed);
        self.hub.buffers.give(out);
    }

    /// Says farewell: nothing is sent any more.
    pub(super) fn finish(&mut self) {
        if let Some(outlet) = &mut self.outlet {
            outlet.finish();
        }
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
