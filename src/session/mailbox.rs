//! What others send to a client beside its replies: messages of channels, invalidations, the end of a wait.
//!
//! Anybody may post from any thread. The client's own task collects between replies, so that what is posted never tears a
//! reply apart.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;

/// Letters for one client.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// Whether there is something to look at since the task last did.
    rung: AtomicBool,
    /// Bytes of the letters.
    bytes: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    letters: VecDeque<Bytes>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Adds a letter, which is a whole message of the protocol, and wakes the client's task. Returns the bytes that wait now;
    /// the caller ends a client that lets too many pile up.
    pub fn post(&self, letter: Bytes) -> usize {
        let mut inner = self.inner.lock();
        let bytes = self.bytes.fetch_add(letter.len(), Ordering::Relaxed) + letter.len();
        inner.letters.push_back(letter);
        self.wake(&inner);
        bytes
    }

    /// Has the client's task look at its state.
    pub fn ring(&self) {
        self.wake(&self.inner.lock());
    }

    fn wake(&self, inner: &Inner) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(waker) = &inner.waker
        {
            waker.wake_by_ref();
        }
    }

    /// Whom to wake: the client's task, which calls this once when it begins.
    pub fn attend(&self, waker: &Waker) {
        self.inner.lock().waker = Some(waker.clone());
    }

    /// Whether somebody posted or rang since the last [`Mailbox::collect`].
    #[inline]
    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Bytes that wait.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Letters that wait.
    pub fn len(&self) -> usize {
        self.inner.lock().letters.len()
    }

    /// Whether no letter waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves letters to the end of `out` until that holds `most` bytes; what is left rings again.
    pub fn collect(&self, out: &mut Vec<u8>, most: usize) {
        let mut inner = self.inner.lock();
        self.rung.store(false, Ordering::Release);
        while out.len() < most
            && let Some(letter) = inner.letters.pop_front()
        {
            self.bytes.fetch_sub(letter.len(), Ordering::Relaxed);
            out.extend_from_slice(&letter);
        }
        if !inner.letters.is_empty() {
            self.rung.store(true, Ordering::Release);
        }
    }

    /// Forgets everything: the client is gone.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.waker = None;
        inner.letters.clear();
        self.bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn letters_wait_in_order_and_ring_once() {
        let (mailbox, bell) = (Mailbox::default(), Arc::new(Bell::default()));
        mailbox.attend(&bell.clone().into());
        assert!(!mailbox.is_rung());
        assert_eq!(mailbox.post(Bytes::from_static(b"one")), 3);
        assert_eq!(mailbox.post(Bytes::from_static(b"four")), 7);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        let mut out = Vec::new();
        mailbox.collect(&mut out, 1);
        assert_eq!((out.as_slice(), mailbox.is_rung(), mailbox.bytes()), (&b"one"[..], true, 4));
        mailbox.collect(&mut out, 100);
        assert_eq!((out.as_slice(), mailbox.is_rung(), mailbox.bytes()), (&b"onefour"[..], false, 0));
        mailbox.ring();
        assert_eq!(bell.0.load(Ordering::Relaxed), 2);
    }
}
