//! A connection in the lane: its operations, and its way in and out.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::batch::{FLUSH_AT, Next};
use super::bell;
use super::connection::{Connection, Receiver};
use super::lane::{BELLS, POSTED, Parting, RECEIVED, SENT, Seated, Turn};
use super::transport::{Inlet, Outlet};
use crate::store::Target;

/// Bytes of replies that a socket mostly takes at once. That it did is found when the next request comes; if it did not,
/// housekeeping finds it.
const SMALL: usize = 1024;

/// What a receive came to, and what it had borrowed.
type Received<I> = (I, io::Result<usize>, Vec<u8>);
/// The same of a send.
type Sent<O> = (O, io::Result<usize>, Vec<u8>);

async fn receive<I: Inlet>(mut inlet: I, buffer: Vec<u8>) -> Received<I> {
    let room = buffer.capacity() - buffer.len();
    let (result, buffer) = inlet.receive(buffer, room).await;
    (inlet, result, buffer.into_inner())
}

async fn send<O: Outlet>(mut outlet: O, buffer: Vec<u8>, sent: usize) -> Sent<O> {
    let (result, buffer) = outlet.send(buffer, sent).await;
    (outlet, result, buffer.into_inner())
}

/// A connection that has left, and why.
type Left<I, O> = (Box<Connection<I, O>>, Parting);

/// Where a connection is put when it leaves. Dropping it wakes the task: with nothing in it, if what was executed panicked.
struct Door<I: Inlet, O: Outlet> {
    left: Rc<Cell<Option<Left<I, O>>>>,
    task: Waker,
}

impl<I: Inlet, O: Outlet> Drop for Door<I, O> {
    fn drop(&mut self) {
        self.task.wake_by_ref();
    }
}

/// Has a connection, for which nothing is under way, served in the lane. Returns it when it has left, and `None` if it was cut off.
pub(super) async fn sit<I: Inlet, O: Outlet>(connection: Box<Connection<I, O>>) -> Option<Left<I, O>> {
    let hub = connection.hub.clone();
    let left = Rc::new(Cell::new(None));
    let (mut comes, mut number) = (Some(connection), 0);
    poll_fn(|context| {
        if let Some(connection) = comes.take() {
            let door = Door { left: left.clone(), task: context.waker().clone() };
            number = hub.lane.sit(|number| seat(number, connection, door));
        } else if let Some(left) = left.take() {
            return Poll::Ready(Some(left));
        } else if Rc::strong_count(&left) == 1 {
            return Poll::Ready(None);
        }
        // Only others who post wake this task, or have already.
        bell::ring(number * BELLS + POSTED);
        Poll::Pending
    })
    .await
}

/// A connection in the lane, and its operations that are under way.
struct Seat<I: Inlet, O: Outlet, F, R, G, S> {
    // First, so that operations end before the connection does.
    receiving: Pin<Box<Option<R>>>,
    sending: Pin<Box<Option<S>>>,
    connection: Box<Connection<I, O>>,
    door: Door<I, O>,
    number: usize,
    /// Bytes of the replies under way that were sent.
    sent: usize,
    /// Whether they are few, so that nobody is in a hurry to hear that they were.
    is_small: bool,
    /// Whether something was received that was not executed.
    has_more: bool,
    /// Whether nothing can be received or sent any more.
    has_ended: bool,
    begin_receive: F,
    begin_send: G,
}

/// A seat as the lane has it. The operations' types have no names, so the functions that begin them stand for those.
fn seat<I: Inlet, O: Outlet>(number: usize, connection: Box<Connection<I, O>>, door: Door<I, O>) -> Box<dyn Seated> {
    let mut seat = Seat {
        receiving: Box::pin(None),
        sending: Box::pin(None),
        connection,
        door,
        number,
        sent: 0,
        is_small: false,
        has_more: false,
        has_ended: false,
        begin_receive: receive::<I>,
        begin_send: send::<O>,
    };
    seat.receive();
    Box::new(seat)
}

impl<I, O, F, R, G, S> Seat<I, O, F, R, G, S>
where
    I: Inlet,
    O: Outlet,
    F: Fn(I, Vec<u8>) -> R,
    R: Future<Output = Received<I>>,
    G: Fn(O, Vec<u8>, usize) -> S,
    S: Future<Output = Sent<O>>,
{
    /// Begins to receive. Returns whether that is over at once.
    #[inline]
    fn receive(&mut self) -> bool {
        let Receiver::Idle(inlet) = std::mem::replace(&mut self.connection.receiver, Receiver::Taken) else {
            self.has_ended = true;
            return true;
        };
        let buffer = self.connection.batch.lend();
        self.receiving.set(Some((self.begin_receive)(inlet, buffer)));
        self.end_receive()
    }

    /// Takes what was received, if that is over. Returns whether it is.
    #[inline]
    fn end_receive(&mut self) -> bool {
        let Some(receiving) = self.receiving.as_mut().as_pin_mut() else { return false };
        let poll = bell::with(self.number * BELLS + RECEIVED, |context| receiving.poll(context));
        let Poll::Ready((inlet, result, buffer)) = poll else { return false };
        self.receiving.set(None);
        self.connection.receiver = Receiver::Idle(inlet);
        match result {
            Ok(received @ 1..) => {
                self.connection.count_received(received);
                self.connection.batch.restore(buffer, received);
                self.has_more = true;
            }
            _ => self.has_ended = true,
        }
        true
    }

    /// Begins to send what `out` holds from `self.sent` on.
    #[inline]
    fn send(&mut self, out: Vec<u8>) {
        match self.connection.sender.outlet.take() {
            Some(outlet) => {
                self.sending.set(Some((self.begin_send)(outlet, out, self.sent)));
                self.end_send();
            }
            None => self.has_ended = true,
        }
    }

    /// Takes note of what was sent, if that is over, and goes on with the rest.
    #[inline]
    fn end_send(&mut self) {
        let Some(sending) = self.sending.as_mut().as_pin_mut() else { return };
        let number = self.number * BELLS + SENT;
        let poll = match self.is_small {
            true => bell::quietly(number, |context| sending.poll(context)),
            false => bell::with(number, |context| sending.poll(context)),
        };
        let Poll::Ready((outlet, result, out)) = poll else { return };
        self.sending.set(None);
        let sender = &mut self.connection.sender;
        sender.outlet = Some(outlet);
        match sender.count(result, out.len() - self.sent) {
            Ok(count) => {
                self.sent += count;
                if self.sent == out.len() {
                    sender.end(out);
                } else {
                    // The socket is full, and nothing else may happen until it is not.
                    self.is_small = false;
                    self.send(out);
                }
            }
            Err(_) => {
                self.has_ended = true;
                // A receive that is under way ends too, and nothing has to be cancelled.
                sender.info.kill();
            }
        }
    }

    /// Sends what is to go with what others have posted.
    #[inline]
    fn reply(&mut self, mut out: Vec<u8>) {
        let mailbox = &self.connection.sender.info.mailbox;
        if mailbox.is_rung() {
            mailbox.collect(&mut out, FLUSH_AT);
        }
        self.sent = 0;
        self.is_small = out.len() <= SMALL;
        if !self.is_small {
            self.connection.sender.begin(&out);
        }
        if out.is_empty() {
            self.connection.sender.end(out);
        } else {
            self.send(out);
        }
    }

    /// Whether something waits for the replies under way.
    #[inline]
    fn is_needed(&self) -> bool {
        self.has_more || self.has_ended || self.connection.sender.info.mailbox.is_rung()
    }

    /// What to do now that something has happened.
    #[inline]
    fn turn(&mut self) -> Turn {
        if self.is_small && self.sending.is_some() && self.is_needed() {
            // Now somebody is in a hurry.
            self.is_small = false;
            self.end_send();
        }
        if self.sending.is_some() {
            return Turn::Waits;
        }
        if self.receiving.is_none() {
            // What came with the end is answered.
            if self.has_more {
                return Turn::Runs;
            }
            if self.has_ended {
                return Turn::Leaves(Parting::Ended);
            }
        }
        while !self.has_ended && self.sending.is_none() && self.connection.sender.info.mailbox.is_rung() {
            let out = self.connection.hub.buffers.take();
            self.reply(out);
        }
        Turn::Waits
    }
}

impl<I, O, F, R, G, S> Seated for Seat<I, O, F, R, G, S>
where
    I: Inlet,
    O: Outlet,
    F: Fn(I, Vec<u8>) -> R,
    R: Future<Output = Received<I>>,
    G: Fn(O, Vec<u8>, usize) -> S,
    S: Future<Output = Sent<O>>,
{
    #[inline]
    fn attend(&mut self, bell: usize) -> Turn {
        match bell {
            RECEIVED => _ = self.end_receive(),
            SENT => self.end_send(),
            _ => (),
        }
        self.turn()
    }

    #[inline]
    fn target(&mut self) -> Option<Target> {
        if self.has_more { self.connection.batch.only_target(&self.connection.hub) } else { None }
    }

    fn run(&mut self) -> Turn {
        // Several bells of a round may have told of the same.
        if !std::mem::take(&mut self.has_more) {
            return Turn::Waits;
        }
        let ran = self.connection.run();
        if ran.next != Next::Receive || !self.connection.batch.is_calm() || self.connection.owes(&ran) {
            return Turn::Leaves(Parting::Ran(ran));
        }
        self.reply(ran.out);
        if self.receive() && self.sending.is_none() {
            return Turn::Leaves(if self.has_more { Parting::Hasty } else { Parting::Ended });
        }
        self.turn()
    }

    fn leave(self: Box<Self>, parting: Parting) {
        let Seat { connection, door, .. } = *self;
        door.left.set(Some((connection, parting)));
    }

    fn name(&self) -> String {
        let info = &self.connection.batch.client.info;
        format!("client {} at {}", info.id, info.address)
    }
}
