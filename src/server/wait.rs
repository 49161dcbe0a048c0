//! A client that waits for keys: it is still heard, so that its end is noticed and nothing is taken for it in vain.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use super::connection::{Connection, Ended, Receiver};
use super::transport::{Inlet, Outlet};
use crate::command::{Node, end_wait, give_up, unix_ms};
use crate::session::{ClientInfo, Stage};

/// Bytes that one receive takes while the client waits. Most clients send nothing meanwhile, and then it takes their next request.
/// Blocks of this size are cached by jemalloc in larger numbers than those of a power of two.
const ROOM: usize = 448;

/// A receive that owns what it needs, so that it may outlast the wait during which it began.
pub(super) type Early<I> = Pin<Box<dyn Future<Output = Received<I>>>>;

/// What it comes to: the receiving half, what it returned, and the bytes.
type Received<I> = (I, io::Result<usize>, Vec<u8>);

fn early<I: Inlet>(mut inlet: I, room: usize) -> Early<I> {
    Box::pin(async move {
        let (result, buffer) = inlet.receive(Vec::with_capacity(room), room).await;
        (inlet, result, buffer.into_inner())
    })
}

/// A client that is held back, counted as long as this lives.
struct Paused {
    node: &'static Node,
    info: Arc<ClientInfo>,
}

impl Paused {
    fn begin(node: &'static Node, info: Arc<ClientInfo>) -> Self {
        node.pause.count(true);
        info.blocked.store(true, Relaxed);
        Paused { node, info }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.node.pause.count(false);
        self.node.pause.let_go(self.info.id);
        self.info.blocked.store(false, Relaxed);
    }
}

/// What ends a step of a wait.
enum Event {
    /// Somebody posted, or the wait was ended.
    Rung,
    /// The client sent something, or is gone.
    Received(Result<(), Ended>),
    /// The time is up.
    Late,
}

impl<I: Inlet, O: Outlet> Connection<I, O> {
    /// Waits until the command at hand was served or its time is up, and sends its reply.
    pub(super) async fn wait(&mut self) -> Result<(), Ended> {
        let Some(waiter) = self.batch.client.waiter.clone() else { return Ok(()) };
        let mut due = waiter.wait.deadline_ms;
        let mut late = false;
        let reply = loop {
            match waiter.stage() {
                Stage::Served | Stage::Over => break waiter.take_reply(),
                Stage::Waiting if late && give_up(self.hub.node, &waiter) => break waiter.on_timeout(),
                Stage::Waiting | Stage::Serving => (),
            }
            match self.step(due).await {
                // The reply goes before what its command caused.
                Event::Rung if matches!(waiter.stage(), Stage::Served | Stage::Over) => (),
                Event::Rung => self.sender.deliver().await?,
                // Whoever is serving it at this moment finds that out too late; then the client is gone as if after the reply.
                Event::Received(result) => result?,
                Event::Late => (late, due) = (true, None),
            }
        };
        self.acknowledge_all().await;
        let mut out = self.hub.buffers.take();
        end_wait(&mut self.batch.client, &reply, &mut out);
        self.sender.send(out).await
    }

    /// Passes the time until the pause of clients has ended, or keys on their way have left. The request at hand stays where it is; what comes meanwhile is
    /// put behind it.
    pub(super) async fn pause(&mut self) -> Result<(), Ended> {
        let _paused = Paused::begin(self.hub.node, self.batch.client.info.clone());
        let node = self.hub.node;
        let pause = &node.pause;
        loop {
            let until_ms = match pause.at(unix_ms()) {
                Some((_, until_ms)) => Some(until_ms),
                None if pause.is_held(self.batch.client.info.id) => None,
                None => return Ok(()),
            };
            match self.step(until_ms).await {
                Event::Rung => self.sender.deliver().await?,
                Event::Received(result) => result?,
                Event::Late => (),
            }
        }
    }

    /// Passes the time until something happens.
    async fn step(&mut self, due_ms: Option<u64>) -> Event {
        let limit = self.hub.worker.borrow().settings.client_query_buffer_limit;
        let hears = (self.batch.pending() as u64) < limit;
        if hears {
            self.begin_early(ROOM);
        }
        let left = due_ms.map_or(Duration::MAX, |due| Duration::from_millis(due.saturating_sub(unix_ms())));
        let mut timer = pin!(due_ms.map(|_| monoio::time::sleep(left)));
        let mailbox = &self.batch.client.info.mailbox;
        let receiver = &mut self.receiver;
        let event = poll_fn(|context| {
            if mailbox.is_rung() {
                return Poll::Ready((Event::Rung, None));
            }
            if let Receiver::Early(early) = receiver
                && hears
                && let Poll::Ready(received) = early.as_mut().poll(context)
            {
                return Poll::Ready((Event::Received(Ok(())), Some(received)));
            }
            match timer.as_mut().as_pin_mut().map(|timer| timer.poll(context)) {
                Some(Poll::Ready(())) => Poll::Ready((Event::Late, None)),
                _ => Poll::Pending,
            }
        });
        match event.await {
            (Event::Received(_), Some(received)) => Event::Received(self.end_early(received)),
            (event, _) => event,
        }
    }

    /// Receives into a buffer of `room` bytes of its own.
    pub(super) fn begin_early(&mut self, room: usize) {
        self.receiver = match std::mem::replace(&mut self.receiver, Receiver::Taken) {
            Receiver::Idle(receiver) => Receiver::Early(early(receiver, room)),
            other => other,
        };
    }

    fn end_early(&mut self, received: Received<I>) -> Result<(), Ended> {
        let (receiver, result, buffer) = received;
        self.receiver = Receiver::Idle(receiver);
        let count = result.ok().filter(|count| *count > 0).ok_or(Ended)?;
        self.count_received(count);
        self.batch.append(&buffer);
        Ok(())
    }

    /// Ends a receive that began while the client waited.
    pub(super) async fn receive_early(&mut self) -> Result<(), Ended> {
        loop {
            let mailbox = &self.batch.client.info.mailbox;
            let Receiver::Early(early) = &mut self.receiver else { return Err(Ended) };
            let event = poll_fn(|context| match early.as_mut().poll(context) {
                Poll::Ready(received) => Poll::Ready(Some(received)),
                Poll::Pending if mailbox.is_rung() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match event.await {
                Some(received) => return self.end_early(received),
                None => self.sender.deliver().await?,
            }
        }
    }
}
