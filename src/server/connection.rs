//! One connection: receive, execute all that has come, send all replies, and again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use monoio::io::Canceller;

use super::batch::{Batch, Next, ROOM_CALM};
use super::hub::{Hub, Stay};
use super::lane::Parting;
use super::seat::sit;
use super::send::Sender;
use super::transport::{Inlet, Outlet};
use super::wait::Early;
use crate::command::{farewell, is_unserved, serve_later, unix_ms};
use crate::session::{Client, ClientInfo, Mailbox};
use crate::telemetry;

/// Receives and full reply buffers in a row without waiting, after which a connection lets the others run. On epoll nothing
/// waits while bytes are there to be received or read, and a client faster than its server would keep the thread.
const TURN: u32 = 4;

/// Batches in a row with nothing special about them, after which a connection is one for the lane.
const SETTLED: u8 = 16;

/// Times that a connection whose keys are taken lets others run, before it sleeps.
const BUSY_TURNS: u32 = 16;

/// The sleep after that; the runtime's timer rounds it up to a millisecond.
const BUSY_SLEEP: Duration = Duration::from_micros(100);

/// Milliseconds without a request after which a client loses its receive buffer.
const REST_MS: u64 = 2000;

/// Bytes that a client at rest can send before it has a receive buffer again.
const ROOM_AT_REST: usize = 64;

/// Whether a client has sent nothing for so long that it needs no receive buffer.
pub(super) fn is_at_rest(info: &ClientInfo, now_ms: u64) -> bool {
    info.query_bytes.load(Relaxed) == 0 && now_ms.saturating_sub(info.active_ms.load(Relaxed)) >= REST_MS
}

/// A connection and its client.
pub(super) struct Connection<I: Inlet, O: Outlet> {
    // Fields are dropped in this order: the client is signed off before its descriptor is closed and given to a stranger.
    _stay: Stay,
    pub(super) receiver: Receiver<I>,
    pub(super) sender: Sender<O>,
    pub(super) hub: Rc<Hub>,
    pub(super) batch: Batch,
    /// Receives and full reply buffers in a row that did not have to wait.
    hasty: u32,
    /// Times in a row that nothing but to receive followed what was executed.
    ordinary: u8,
    /// Ends a receive whose buffer is wanted back.
    canceller: Canceller,
}

/// The receiving half, and what it is at.
pub(super) enum Receiver<I> {
    /// Nothing is under way.
    Idle(I),
    /// A receive that began while the client waited, and outlasts that.
    Early(Early<I>),
    /// In between.
    Taken,
}

/// Requests that were executed.
pub(super) struct Ran {
    /// What to do after their replies were sent.
    pub(super) next: Next,
    /// Their replies.
    pub(super) out: Vec<u8>,
    /// What the worker had recorded before.
    pub(super) before: u64,
}

/// Why a connection ends; every reason is an ordinary one.
#[derive(Debug)]
pub(super) struct Ended;

impl<I: Inlet, O: Outlet> Connection<I, O> {
    /// A connection that has just been accepted.
    pub(super) fn new((inlet, outlet): (I, O), hub: Rc<Hub>, client: Client, stay: Stay) -> Self {
        let sender = Sender::new(outlet, hub.clone(), client.info.clone());
        let (receiver, batch) = (Receiver::Idle(inlet), Batch::new(client));
        Connection { _stay: stay, receiver, sender, hub, batch, hasty: 0, ordinary: 0, canceller: Canceller::new() }
    }

    /// Serves the client until either side ends the connection.
    pub(super) async fn serve(mut self: Box<Self>) {
        poll_fn(|context| {
            self.batch.client.info.mailbox.attend(context.waker());
            Poll::Ready(())
        })
        .await;
        loop {
            let mut ran = None;
            if self.is_settled() {
                let Some((connection, parting)) = sit(self).await else { return };
                self = connection;
                self.ordinary = 0;
                match parting {
                    Parting::Ended => break,
                    Parting::Hasty => self.hasty += 1,
                    Parting::Ran(what) => ran = Some(what),
                }
            } else if self.receive().await.is_err() {
                break;
            }
            if self.answer(ran).await.is_err() {
                break;
            }
        }
        self.sender.finish();
    }

    /// Whether it is one for the lane.
    fn is_settled(&self) -> bool {
        self.ordinary >= SETTLED && self.batch.is_calm() && matches!(self.receiver, Receiver::Idle(_))
    }

    /// Receives once into the batch's buffer.
    async fn receive(&mut self) -> Result<(), Ended> {
        if matches!(self.receiver, Receiver::Early(_)) {
            return self.receive_early().await;
        }
        let buffer = self.batch.lend();
        let room = buffer.capacity() - buffer.len();
        let (buffer, received) = if buffer.is_empty() && room > ROOM_CALM {
            match self.read_or_rest(buffer, room).await? {
                Some(read) => read,
                None => {
                    self.batch.rest();
                    self.begin_early(ROOM_AT_REST);
                    return self.receive_early().await;
                }
            }
        } else {
            self.read(buffer, room).await?
        };
        self.batch.restore(buffer, received);
        Ok(())
    }

    /// Appends at most `room` bytes, for which there is capacity, to `buffer`; returns how many came, at least one. Meanwhile it
    /// sends what others post.
    async fn read(&mut self, buffer: Vec<u8>, room: usize) -> Result<(Vec<u8>, usize), Ended> {
        self.take_turns().await;
        let Receiver::Idle(receiver) = &mut self.receiver else { return Err(Ended) };
        let ((result, buffer), hasty) = {
            let read = pin!(receiver.receive(buffer, room));
            delivering(read, &self.batch.client.info.mailbox, &mut self.sender, || ()).await?
        };
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        // No bytes: the client has ended its side, was reset, or was killed by a shutdown of the socket.
        let received = result.ok().filter(|received| *received > 0).ok_or(Ended)?;
        self.count_received(received);
        Ok((buffer.into_inner(), received))
    }

    /// The same as [`Connection::read`], but `None` when the client has not sent anything for a while: then it needs no buffer.
    /// Buffers of ordinary size are not worth the effort, and busy clients with small requests have those.
    async fn read_or_rest(&mut self, buffer: Vec<u8>, room: usize) -> Result<Option<(Vec<u8>, usize)>, Ended> {
        self.take_turns().await;
        let Receiver::Idle(receiver) = &mut self.receiver else { return Err(Ended) };
        let info = &self.batch.client.info;
        let mut rests = false;
        let handle = self.canceller.handle();
        let rest = || {
            if !rests && is_at_rest(info, unix_ms()) {
                rests = true;
                self.canceller = std::mem::take(&mut self.canceller).cancel();
            }
        };
        let ((result, buffer), hasty) = {
            let read = pin!(receiver.receive_until(buffer, room, handle));
            delivering(read, &info.mailbox, &mut self.sender, rest).await?
        };
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        match result {
            Ok(received @ 1..) => {
                self.count_received(received);
                Ok(Some((buffer.into_inner(), received)))
            }
            Err(error) if rests && error.raw_os_error() == Some(nix::libc::ECANCELED) => Ok(None),
            _ => Err(Ended),
        }
    }

    pub(super) fn count_received(&self, received: usize) {
        telemetry::add(&self.hub.counters.reads, 1);
        telemetry::add(&self.hub.counters.received_bytes, received as u64);
        telemetry::add(&self.batch.client.info.received_bytes, received as u64);
    }

    /// Executes what can be now of what has come.
    #[inline]
    pub(super) fn run(&mut self) -> Ran {
        let mut out = self.hub.buffers.take();
        let before = self.recorded();
        let next = self.batch.execute(&self.hub, &mut out);
        Ran { next, out, before }
    }

    /// Executes what has come, until more has to be received, and sends the replies. It may have begun.
    async fn answer(&mut self, mut ran: Option<Ran>) -> Result<(), Ended> {
        let mut busy = 0;
        loop {
            let Ran { mut next, mut out, before } = ran.take().unwrap_or_else(|| self.run());
            self.ordinary = if next == Next::Receive { self.ordinary.saturating_add(1) } else { 0 };
            while next == Next::Long {
                next = self.batch.run_long(&self.hub, &self.sender.info, &mut out).await;
            }
            if next == Next::Wait {
                super::transfer::take_over(&self.hub, &mut self.batch.client);
            }
            self.acknowledge(before).await;
            if let Next::Late(ms) = next {
                // Only this connection waits. If it is killed meanwhile, sending fails.
                monoio::time::sleep(Duration::from_millis(ms.into())).await;
            }
            self.sender.send(out).await?;
            if self.batch.client.info.mailbox.is_rung() {
                self.sender.deliver().await?;
            }
            self.serve_others().await?;
            match next {
                Next::Receive => break,
                Next::ReceiveBig => self.receive_big().await?,
                Next::Wait => self.wait().await?,
                Next::Paused => self.pause().await?,
                Next::Continue | Next::Long | Next::Late(_) => {
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

    /// Serves clients that wait for what this one's commands changed, where another worker was in the way at first.
    async fn serve_others(&mut self) -> Result<(), Ended> {
        let mut busy = 0;
        while is_unserved(&self.hub.worker.borrow()) {
            self.wait_for_keys(busy).await?;
            busy += 1;
            serve_later(&self.hub.worker.borrow());
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
        if matches!(self.receiver, Receiver::Early(_)) {
            self.receive_early().await?;
        }
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
}

/// Awaits a receive, and meanwhile sends what others post; after each such time calls `rung`. Tells also whether the receive
/// was ready at once.
#[inline]
async fn delivering<T, O: Outlet>(
    mut read: Pin<&mut impl Future<Output = T>>,
    mailbox: &Mailbox,
    sender: &mut Sender<O>,
    mut rung: impl FnMut(),
) -> Result<(T, bool), Ended> {
    let mut hasty = true;
    loop {
        let event = poll_fn(|context| match read.as_mut().poll(context) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending if mailbox.is_rung() => Poll::Ready(None),
            Poll::Pending => {
                hasty = false;
                Poll::Pending
            }
        });
        match event.await {
            Some(received) => return Ok((received, hasty)),
            None => sender.deliver().await?,
        }
        rung();
    }
}

impl<I: Inlet, O: Outlet> Drop for Connection<I, O> {
    fn drop(&mut self) {
        farewell(self.hub.node, &mut self.batch.client);
    }
}
