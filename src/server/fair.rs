//! Giving way: a task lets all others of its thread, and the driver, have their turn before it goes on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::task::{Poll, Waker};

use monoio::io::AsyncReadRent;

/// The tasks of one worker that gave way.
///
/// A task that wakes itself is put at the head of monoio's queue and would run again at once; and as long as the queue is
/// not empty, monoio fires no timers. So a task that gives way leaves its waker here and rings a bell, a byte through a
/// socket pair. A helper task hears it when the driver has been asked what else has happened.
pub(super) struct Fair {
    waiting: RefCell<Vec<Waker>>,
    bell: UnixStream,
    hearer: Cell<Option<UnixStream>>,
    rung: Cell<bool>,
}

impl Fair {
    /// Nobody has given way yet. [`Fair::help`] has to run beside.
    pub(super) fn new(nonblocking: bool) -> io::Result<Fair> {
        let (bell, hearer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        hearer.set_nonblocking(nonblocking)?;
        Ok(Fair { waiting: RefCell::default(), bell, hearer: Cell::new(Some(hearer)), rung: Cell::new(false) })
    }

    /// Returns after whatever is ready now has had its turn.
    pub(super) async fn give_way(&self) {
        let passed = Cell::new(false);
        poll_fn(|context| {
            if passed.replace(true) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            // One byte at a time is under way, so the pair is never full.
            if !self.rung.replace(true) && (&self.bell).write(&[1]).is_err() {
                self.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// The helper task: runs for as long as the worker does.
    pub(super) async fn help(&self) {
        let Some(Ok(mut hearer)) = self.hearer.take().map(monoio::net::UnixStream::from_std) else { return };
        let mut byte = vec![0; 1];
        loop {
            let (result, buffer) = hearer.read(byte).await;
            byte = buffer;
            if result.is_err() {
                tracing::error!("the worker's bell is broken: {result:?}");
                return;
            }
            self.wake();
        }
    }

    fn wake(&self) {
        self.rung.set(false);
        // Waking a task puts it into the queue and does not run it, so nobody adds to the list meanwhile.
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}
