//! Wakers for the operations that one task of a worker waits for side by side: each notes its number, and the first one of a round
//! wakes the task.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

thread_local! {
    static RUNG: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static HEARER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// Has the task hear of all bells of this thread that ring from now on.
pub(super) fn hear(context: &Context<'_>) {
    HEARER.set(Some(context.waker().clone()));
}

/// Moves the numbers of the bells that rang to the end of `heard`, in the order in which they did.
pub(super) fn take(heard: &mut Vec<usize>) {
    RUNG.with_borrow_mut(|rung| heard.append(rung));
}

/// Rings a bell of this thread.
#[inline]
pub(super) fn ring(number: usize) {
    let is_first = RUNG.with_borrow_mut(|rung| {
        rung.push(number);
        rung.len() == 1
    });
    if is_first {
        let hearer = HEARER.take();
        if let Some(waker) = &hearer {
            waker.wake_by_ref();
        }
        HEARER.set(hearer);
    }
}

/// Polls with a waker that rings this bell. It is for operations that this thread's driver ends: elsewhere nobody hears it.
#[inline]
pub(super) fn with<T>(number: usize, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    // SAFETY: the functions of the table keep the contract of wakers on any thread: the data is a number and no address, so
    // that there is nothing to share or to free.
    let waker = ManuallyDrop::new(unsafe { Waker::new(std::ptr::without_provenance(number), &TABLE) });
    poll(&mut Context::from_waker(&waker))
}

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |number| RawWaker::new(number, &TABLE),
    |number| ring(number.addr()),
    |number| ring(number.addr()),
    |_| (),
);

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
        ring(9);
        assert_eq!(hearer.0.load(Relaxed), 2);
    }
}
