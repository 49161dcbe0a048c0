//! Requests of several connections that came together: the memory of their keys is fetched together before any of them runs.
//!
//! A single request would wait for each link of its look-up. While it is about to, other connections have requests of their
//! own: so each says where its key hashes to and steps aside, and when all that were ready have done so, the conductor, a task
//! that the first of them put at the end of the queue, fetches for all of them and lets them go on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::hub::Hub;
use crate::store::{Store, Target};

/// The most requests that do not step aside after one was alone: with few clients there is nobody to share a wait with. There are
/// twice as many each time that it is so again, because clients that come together mostly do so now and then one by one.
const ALONE: u32 = 32;

/// The connections of one worker that have stepped aside.
#[derive(Default)]
pub(super) struct Convoy {
    targets: RefCell<Vec<Target>>,
    waiting: RefCell<Vec<Waker>>,
    conductor: RefCell<Option<Waker>>,
    /// Requests that do not step aside, and how many there were the last time.
    alone: Cell<u32>,
    last_alone: Cell<u32>,
}

impl Convoy {
    /// Whether a request may step aside. [`conduct`] has to run beside.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        match self.alone.get() {
            0 => self.conductor.borrow().is_some(),
            more => {
                self.alone.set(more - 1);
                false
            }
        }
    }

    /// Returns when the memory of a key was asked for, together with that of others.
    pub(super) async fn join(&self, target: Target) {
        let mut joined = false;
        poll_fn(|context| {
            // If something else wakes the task before the conductor does, the fetch is missed, no more.
            if std::mem::replace(&mut joined, true) {
                return Poll::Ready(());
            }
            self.targets.borrow_mut().push(target);
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(context.waker().clone());
            if let ([_], Some(conductor)) = (&waiting[..], &*self.conductor.borrow()) {
                conductor.wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }
}

/// The conductor of a worker: runs for as long as the worker does.
pub(super) async fn conduct(hub: Rc<Hub>) {
    let convoy = &hub.convoy;
    poll_fn(|context| {
        if convoy.conductor.borrow().is_none() {
            *convoy.conductor.borrow_mut() = Some(context.waker().clone());
        }
        let mut targets = convoy.targets.borrow_mut();
        if let [_] = targets[..] {
            convoy.last_alone.set((convoy.last_alone.get() * 2).clamp(1, ALONE));
            convoy.alone.set(convoy.last_alone.get());
        } else if !targets.is_empty() {
            convoy.last_alone.set(0);
            let worker = hub.worker.borrow();
            Store::new(&worker.node.keyspace, &worker.local, 0, worker.now_ms).prefetch_targets(&targets);
        }
        targets.clear();
        // Waking a task puts it into the queue and does not run it, so nobody adds to the list meanwhile.
        convoy.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        Poll::<()>::Pending
    })
    .await;
}
