//! Giving way: a task lets all others of its thread run before it goes on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// The tasks of one worker that gave way.
///
/// A task that wakes itself is put at the head of monoio's queue and would run again at once. So it leaves its waker here
/// and wakes a helper task, which joins the tail; when its turn has come, it wakes those that wait.
#[derive(Default)]
pub(super) struct Fair {
    waiting: RefCell<Vec<Waker>>,
    helper: RefCell<Option<Waker>>,
}

impl Fair {
    /// Returns after the tasks that are ready now have run.
    pub(super) async fn give_way(&self) {
        let passed = Cell::new(false);
        poll_fn(|context| {
            if passed.replace(true) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            if let Some(helper) = &*self.helper.borrow() {
                helper.wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }

    /// The helper task: runs for as long as the worker does.
    pub(super) async fn help(&self) {
        let mut ready = Vec::new();
        poll_fn(|context| {
            self.helper.borrow_mut().get_or_insert_with(|| context.waker().clone());
            std::mem::swap(&mut ready, &mut *self.waiting.borrow_mut());
            ready.drain(..).for_each(Waker::wake);
            Poll::<()>::Pending
        })
        .await;
    }
}
