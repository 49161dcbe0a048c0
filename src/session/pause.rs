//! `CLIENT PAUSE`: from when to when commands of clients are held back; and the keys on their way to another server, whose changes are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::ClientInfo;

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
    state: Mutex<State>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// What is held back, and until when.
    pause: Option<(Held, u64)>,
    /// Keys on their way, of whichever database, with how many times they are.
    leaving: HashMap<Box<[u8]>, usize>,
    /// Transfers under way, those of copies included.
    transfers: usize,
    /// Clients whose commands wait until keys have left, by their ids.
    held: HashMap<u64, Arc<ClientInfo>>,
}

impl Pause {
    /// Whether there may be a pause, or keys on their way: one relaxed load, which is all that a command costs without.
    #[inline]
    pub fn may_be_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins a pause up to a moment in milliseconds of Unix time. One that is there already gets no weaker and no shorter.
    pub fn begin(&self, held: Held, until_ms: u64, now_ms: u64) {
        let mut state = self.state.lock();
        state.pause = match state.pause.filter(|(_, until)| *until > now_ms) {
            Some((before, until)) => Some((held.max(before), until_ms.max(until))),
            None => Some((held, until_ms)),
        };
        self.on.store(true, Ordering::SeqCst);
    }

    /// Ends it. The caller then rings those that wait.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.pause = None;
        self.on.store(!state.leaving.is_empty(), Ordering::SeqCst);
    }

    /// What is held back and until when, in milliseconds of Unix time. A pause whose time is up ends here.
    #[cold]
    pub fn at(&self, now_ms: u64) -> Option<(Held, u64)> {
        let mut state = self.state.lock();
        state.pause = state.pause.filter(|(_, until)| *until > now_ms);
        if state.pause.is_none() && state.leaving.is_empty() {
            self.on.store(false, Ordering::SeqCst);
        }
        state.pause
    }

    /// A transfer of these keys begins, if there are fewer than `most`. Whoever calls this is inside the keys' shards, alone: who
    /// enters them later has looked before whether they are on their way, or finds them touched.
    pub fn begin_transfer<'k>(&self, keys: impl Iterator<Item = &'k [u8]>, most: usize) -> bool {
        let mut state = self.state.lock();
        if state.transfers >= most {
            return false;
        }
        state.transfers += 1;
        for key in keys {
            *state.leaving.entry(key.into()).or_default() += 1;
        }
        if !state.leaving.is_empty() {
            self.on.store(true, Ordering::SeqCst);
        }
        true
    }

    /// It has ended. Those that waited for it are rung, to try again.
    pub fn end_transfer<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut state = self.state.lock();
        state.transfers = state.transfers.saturating_sub(1);
        for key in keys {
            if let Some(times) = state.leaving.get_mut(key) {
                *times -= 1;
                if *times == 0 {
                    state.leaving.remove(key);
                }
            }
        }
        self.on.store(state.pause.is_some() || !state.leaving.is_empty(), Ordering::SeqCst);
        let held = std::mem::take(&mut state.held);
        drop(state);
        held.values().for_each(|info| info.mailbox.ring());
    }

    /// Holds a client back if its command `concerns` any key on its way. `concerns` is asked with what tells whether a key is.
    #[cold]
    pub fn hold(&self, info: &Arc<ClientInfo>, concerns: impl FnOnce(&dyn Fn(&[u8]) -> bool) -> bool) -> bool {
        let mut state = self.state.lock();
        let concerned = !state.leaving.is_empty() && concerns(&|key| state.leaving.contains_key(key));
        if concerned {
            state.held.insert(info.id, info.clone());
        }
        concerned
    }

    /// Whether a client still waits until keys have left.
    pub fn is_held(&self, id: u64) -> bool {
        self.state.lock().held.contains_key(&id)
    }

    /// A client waits no more.
    pub fn let_go(&self, id: u64) {
        self.state.lock().held.remove(&id);
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
