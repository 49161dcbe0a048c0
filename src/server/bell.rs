//! Wakers for the operations that one task of a worker waits for side by side: each notes its number, and the first one of a round
//! wakes the task. A quiet one only notes it: it is looked at when the task wakes for something else, or at the latest when the worker
//! keeps house.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

thread_local! {
    static BELLS: Bells = const {
        Bells { rung: RefCell::new(Vec::new()), is_heard: Cell::new(false), hearer: RefCell::new(None) }
    };
}

/// The bells of a thread.
struct Bells {
    /// The numbers of those that rang.
    rung: RefCell<Vec<usize>>,
    /// Whether the task was woken since it last looked.
    is_heard: Cell<bool>,
    hearer: RefCell<Option<Waker>>,
}

/// Has the task hear of all bells of this thread that ring from now on.
pub(super) fn hear(context: &Context<'_>) {
    BELLS.with(|bells| {
        let mut hearer = bells.hearer.borrow_mut();
        if !hearer.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *hearer = Some(context.waker().clone());
        }
    });
}

/// Moves the numbers of the bells that rang to the end of `heard`, in the order in which they did.
pub(super) fn take(heard: &mut Vec<usize>) {
    BELLS.with(|bells| {
        bells.is_heard.set(false);
        heard.append(&mut bells.rung.borrow_mut());
    });
}

/// Rings a bell of this thread.
#[inline]
pub(super) fn ring(number: usize) {
    BELLS.with(|bells| {
        bells.rung.borrow_mut().push(number);
        bells.wake();
    });
}

/// Has the task look at the quiet bells that rang, if any did.
pub(super) fn listen() {
    BELLS.with(|bells| {
        if !bells.rung.borrow().is_empty() {
            bells.wake();
        }
    });
}

impl Bells {
    #[inline]
    fn wake(&self) {
        if !self.is_heard.replace(true)
            && let Some(waker) = &*self.hearer.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// Polls with a waker that rings this bell. It is for operations that this thread's driver ends: elsewhere nobody hears it.
#[inline]
pub(super) fn with<T>(number: usize, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    poll_with(number, &LOUD, poll)
}

/// The same with a quiet bell.
#[inline]
pub(super) fn quietly<T>(number: usize, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    poll_with(number, &QUIET, poll)
}

#[inline]
fn poll_with<T>(number: usize, table: &'static RawWakerVTable, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    // SAFETY: the functions of both tables keep the contract of wakers on any thread: the data is a number and no address, so
    // that there is nothing to share or to free.
    let waker = ManuallyDrop::new(unsafe { Waker::new(std::ptr::without_provenance(number), table) });
    poll(&mut Context::from_waker(&waker))
}

static LOUD: RawWakerVTable = RawWakerVTable::new(
    |number| RawWaker::new(number, &LOUD),
    |number| ring(number.addr()),
    |number| ring(number.addr()),
    |_| (),
);

static QUIET: RawWakerVTable = RawWakerVTable::new(
    |number| RawWaker::new(number, &QUIET),
    |number| note(number.addr()),
    |number| note(number.addr()),
    |_| (),
);

#[inline]
fn note(number: usize) {
    BELLS.with(|bells| bells.rung.borrow_mut().push(number));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    struct Hearer(AtomicU32);

    impl Wake for Hearer {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn the_first_bell_wakes_and_all_are_told() {
        let hearer = Arc::new(Hearer(AtomicU32::new(0)));
        hear(&Context::from_waker(&hearer.clone().into()));
        let mut heard = Vec::new();
        take(&mut heard);
        assert!(heard.is_empty());
        let kept = with(7, |context| context.waker().clone());
        with(8, |context| context.waker().wake_by_ref());
        assert!(kept.will_wake(&kept.clone()));
        kept.wake();
        take(&mut heard);
        assert_eq!((heard.as_slice(), hearer.0.load(Relaxed)), (&[8, 7][..], 1));
        quietly(5, |context| context.waker().wake_by_ref());
        assert_eq!(hearer.0.load(Relaxed), 1);
        listen();
        listen();
        assert_eq!(hearer.0.load(Relaxed), 2);
        ring(9);
        take(&mut heard);
        assert_eq!((heard.as_slice(), hearer.0.load(Relaxed)), (&[8, 7, 5, 9][..], 2));
        listen();
        assert_eq!(hearer.0.load(Relaxed), 2, "there is nothing to hear");
    }
}
