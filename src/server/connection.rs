//! One connection: receive, execute all that has come, send all replies, and again.

use std::future::{Future, poll_fn};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent};

use super::batch::{Batch, Next};
use super::hub::{Hub, Stay};
use crate::command::unix_ms;
use crate::session::Client;
use crate::telemetry;

/// A connected socket of a kind that clients come by.
pub(super) trait Stream: AsyncReadRent + AsyncWriteRent + AsRawFd + 'static {}
impl<S: AsyncReadRent + AsyncWriteRent + AsRawFd + 'static> Stream for S {}

/// Receives and full reply buffers in a row without waiting, after which a connection lets the others run. On epoll nothing
/// waits while bytes are there to be received or read, and a client faster than its server would keep the thread.
const TURN: u32 = 4;

/// Times that a connection whose keys are taken lets others run, before it sleeps.
const BUSY_TURNS: u32 = 16;

/// The sleep after that; the runtime's timer rounds it up to a millisecond.
const BUSY_SLEEP: Duration = Duration::from_micros(100);

/// A connection and its client.
pub(super) struct Connection<S> {
    // Fields are dropped in this order: the client is signed off before its descriptor is closed and given to a stranger.
    _stay: Stay,
    stream: S,
    hub: Rc<Hub>,
    batch: Batch,
    /// Receives and full reply buffers in a row that did not have to wait.
    hasty: u32,
}

/// Why a connection ends; every reason is an ordinary one.
struct Ended;

impl<S: Stream> Connection<S> {
    /// A connection that has just been accepted.
    pub(super) fn new(stream: S, hub: Rc<Hub>, client: Client, stay: Stay) -> Self {
        Connection { _stay: stay, stream, hub, batch: Batch::new(client), hasty: 0 }
    }

    /// Serves the client until either side ends the connection.
    pub(super) async fn serve(&mut self) {
        while self.receive().await.is_ok() {
            if self.answer().await.is_err() {
                break;
            }
        }
    }

    /// Receives once into the batch's buffer.
    async fn receive(&mut self) -> Result<(), Ended> {
        let buffer = self.batch.lend();
        let room = buffer.capacity() - buffer.len();
        let (buffer, received) = self.read(buffer, room).await?;
        self.batch.restore(buffer, received);
        Ok(())
    }

    /// Appends at most `room` bytes, for which there is capacity, to `buffer`; returns how many came, at least one.
    async fn read(&mut self, buffer: Vec<u8>, room: usize) -> Result<(Vec<u8>, usize), Ended> {
        self.take_turns().await;
        let start = buffer.len();
        let mut hasty = true;
        let (result, slice) = {
            let mut read = pin!(self.stream.read(SliceMut::new(buffer, start, start + room)));
            poll_fn(|context| {
                let poll = read.as_mut().poll(context);
                hasty &= poll.is_ready();
                poll
            })
            .await
        };
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        // No bytes: the client has ended its side, was reset, or was killed by a shutdown of the socket.
        let received = result.ok().filter(|received| *received > 0).ok_or(Ended)?;
        telemetry::add(&self.hub.counters.reads, 1);
        telemetry::add(&self.hub.counters.received_bytes, received as u64);
        telemetry::add(&self.batch.client.info.received_bytes, received as u64);
        Ok((slice.into_inner(), received))
    }

    /// Executes what has come, until more has to be received, and sends the replies.
    async fn answer(&mut self) -> Result<(), Ended> {
        let mut busy = 0;
        loop {
            let mut out = self.hub.buffers.take();
            let next = self.batch.execute(&self.hub, &mut out);
            if let Next::Late(ms) = next {
                // Only this connection waits. If it is killed meanwhile, sending fails.
                monoio::time::sleep(Duration::from_millis(ms.into())).await;
            }
            let sent = self.send(out).await;
            sent?;
            match next {
                Next::Receive => break,
                Next::ReceiveBig => self.receive_big().await?,
                Next::Continue | Next::Late(_) => {
                    self.hasty += 1;
                    self.take_turns().await;
                }
                Next::Busy => {
                    self.wait_for_keys(busy).await?;
                    busy += 1;
                    continue;
                }
                Next::Close => return Err(Ended),
            }
            busy = 0;
        }
        Ok(())
    }

    /// Lets others run if this connection has not waited for a while.
    async fn take_turns(&mut self) {
        if self.hasty >= TURN {
            self.hasty = 0;
            self.hub.fair.give_way().await;
        }
    }

    /// Passes the time until another worker may have left the keys that the request at hand needs.
    async fn wait_for_keys(&self, busy: u32) -> Result<(), Ended> {
        if self.batch.client.info.is_killed() {
            return Err(Ended);
        }
        if busy < BUSY_TURNS {
            self.hub.fair.give_way().await;
        } else {
            monoio::time::sleep(BUSY_SLEEP).await;
        }
        Ok(())
    }

    /// Receives the payload of a big argument into its own memory.
    async fn receive_big(&mut self) -> Result<(), Ended> {
        while let Some((buffer, room)) = self.batch.lend_big() {
            let (buffer, received) = self.read(buffer, room).await?;
            self.batch.restore_big(buffer, received);
            self.batch.client.info.active_ms.store(unix_ms(), Relaxed);
            if self.batch.is_over_query_limit(&self.hub) {
                return Err(Ended);
            }
        }
        Ok(())
    }

    /// Sends all of `out` and gives the buffer back to the worker.
    async fn send(&mut self, mut out: Vec<u8>) -> Result<(), Ended> {
        let len = out.len();
        let mut sent = 0;
        while sent < len {
            self.batch.client.info.output_bytes.store(len - sent, Relaxed);
            let (result, slice) = self.stream.write(Slice::new(out, sent, len)).await;
            out = slice.into_inner();
            match result {
                Ok(0) | Err(_) => return Err(Ended),
                Ok(count) => sent += count,
            }
            telemetry::add(&self.hub.counters.writes, 1);
            if sent < len {
                self.batch.client.info.active_ms.store(unix_ms(), Relaxed);
            }
        }
        if len > 0 {
            let info = &self.batch.client.info;
            info.output_bytes.store(0, Relaxed);
            telemetry::add(&info.sent_bytes, len as u64);
            telemetry::add(&self.hub.counters.sent_bytes, len as u64);
        }
        self.hub.buffers.give(out);
        Ok(())
    }
}
