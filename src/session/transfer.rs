//! Keys on their way to another server, and those that wait until they have left.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::Waiter;
use crate::store::Watch;

/// What came of an attempt to hand keys over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Of each key, in the order in which they were given, whether the other server has it.
    pub accepted: Vec<bool>,
    /// The first failure, as it is told to the client.
    pub failure: Option<Vec<u8>>,
}

/// Keys that a client has sent to another server (`MIGRATE`), until it is known whether they arrived.
#[derive(Debug)]
pub struct Transfer {
    /// The command that waits for it. It is claimed, so nobody else ends that wait.
    pub waiter: Arc<Waiter>,
    /// The keys that leave, in the order of the delivery, each with what tells whether it changed meanwhile. Nothing where copies
    /// are sent.
    pub leaving: Vec<(Box<[u8]>, Arc<Watch>)>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    UnderWay(Option<Waker>),
    Ended(Delivery),
}

impl Transfer {
    /// One that begins.
    pub fn new(waiter: Arc<Waiter>, leaving: Vec<(Box<[u8]>, Arc<Watch>)>) -> Transfer {
        Transfer { waiter, leaving, state: State::UnderWay(None).into() }
    }

    /// Tells what came of it. From any thread; only the first time counts.
    pub fn end(&self, delivery: Delivery) {
        let mut state = self.state.lock();
        if let State::UnderWay(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Ended(delivery);
            drop(state);
            waker.inspect(Waker::wake_by_ref);
        }
    }

    /// What came of it, once that is known.
    pub fn poll(&self, context: &Context<'_>) -> Poll<Delivery> {
        match &mut *self.state.lock() {
            State::Ended(delivery) => Poll::Ready(delivery.clone()),
            State::UnderWay(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
