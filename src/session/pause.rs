//! `CLIENT PAUSE`: from when to when commands of clients are held back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Which commands are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// Those that may change keys or tell others something.
    Writes,
    /// All.
    Everything,
}

/// The pause of a server.
#[derive(Debug, Default)]
pub struct Pause {
    /// Whether there may be a pause at this moment, to be read before every command.
    on: AtomicBool,
    state: Mutex<Option<(Held, u64)>>,
    waiting: AtomicUsize,
}

impl Pause {
    /// Whether there may be a pause: one relaxed load, which is all that a command costs without one.
    #[inline]
    pub fn may_be_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins a pause up to a moment in milliseconds of Unix time. One that is there already gets no weaker and no shorter.
    pub fn begin(&self, held: Held, until_ms: u64, now_ms: u64) {
        let mut state = self.state.lock();
        *state = match state.filter(|(_, until)| *until > now_ms) {
            Some((before, until)) => Some((held.max(before), until_ms.max(until))),
            None => Some((held, until_ms)),
        };
        self.on.store(true, Ordering::SeqCst);
    }

    /// Ends it. The caller then rings those that wait.
    pub fn end(&self) {
        let mut state = self.state.lock();
        *state = None;
        self.on.store(false, Ordering::SeqCst);
    }

    /// What is held back and until when, in milliseconds of Unix time. A pause whose time is up ends here.
    #[cold]
    pub fn at(&self, now_ms: u64) -> Option<(Held, u64)> {
        let mut state = self.state.lock();
        *state = state.filter(|(_, until)| *until > now_ms);
        if state.is_none() {
            self.on.store(false, Ordering::SeqCst);
        }
        *state
    }

    /// Clients that wait for the end of the pause.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a client that begins to wait, or ends.
    pub fn count(&self, begins: bool) {
        match begins {
            true => self.waiting.fetch_add(1, Ordering::Relaxed),
            false => self.waiting.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_gets_no_weaker_and_no_shorter() {
        let pause = Pause::default();
        assert!(!pause.may_be_on());
        pause.begin(Held::Writes, 100, 0);
        pause.begin(Held::Everything, 50, 0);
        assert_eq!(pause.at(99), Some((Held::Everything, 100)));
        pause.begin(Held::Writes, 200, 99);
        assert_eq!(pause.at(199), Some((Held::Everything, 200)));
        assert!(pause.may_be_on());
        assert_eq!(pause.at(200), None);
        assert!(!pause.may_be_on());
        pause.begin(Held::Writes, 300, 200);
        assert_eq!(pause.at(250), Some((Held::Writes, 300)));
        pause.end();
        assert_eq!((pause.at(250), pause.may_be_on()), (None, false));
        pause.count(true);
        assert_eq!(pause.waiting(), 1);
    }
}
