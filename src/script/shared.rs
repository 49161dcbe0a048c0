//! What the workers' virtual machines share: the texts of scripts by their SHA-1, the libraries of functions, and what runs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Release};

use parking_lot::RwLock;

use super::library::Libraries;
use super::source::Source;
use super::watch::Watches;

/// Scripts of EVAL that are kept; the oldest goes first. Those of SCRIPT LOAD stay.
const TRANSIENT_MAX: usize = 500;
/// Scripts of SCRIPT LOAD that are kept.
const LOADED_MAX: usize = 100_000;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    sources: RwLock<Sources>,
    flushes: AtomicU64,
    /// The libraries of functions.
    pub libraries: Libraries,
    /// What the workers run.
    pub watches: Watches,
    /// Whether scripts may call what they are not to call, for tests.
    pub allows_all: AtomicBool,
}

#[derive(Debug, Default)]
struct Sources {
    by_sha: HashMap<[u8; 40], Arc<Source>>,
    /// Those that came with EVAL, the oldest first.
    transient: VecDeque<[u8; 40]>,
}

/// There are as many loaded scripts as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Shared {
    /// No scripts, for so many workers.
    pub fn new(workers: usize) -> Self {
        Shared {
            sources: RwLock::default(),
            flushes: AtomicU64::new(0),
            libraries: Libraries::default(),
            watches: Watches::new(workers),
            allows_all: AtomicBool::new(false),
        }
    }

    /// The script of this SHA-1, in lower case.
    pub fn find(&self, sha: &[u8; 40]) -> Option<Arc<Source>> {
        self.sources.read().by_sha.get(sha).cloned()
    }

    /// Keeps a script, for as long as newer ones leave it room, or until SCRIPT FLUSH if it was `loaded`. If it is there
    /// already, the result is the one that is.
    ///
    /// # Errors
    /// [`Full`].
    pub fn keep(&self, source: Arc<Source>, loaded: bool) -> Result<Arc<Source>, Full> {
        let mut sources = self.sources.write();
        let known = sources.by_sha.get(&source.sha).cloned();
        if loaded {
            let kept = sources.by_sha.len() - sources.transient.len();
            if known.is_none() && kept >= LOADED_MAX {
                return Err(Full);
            }
            sources.transient.retain(|sha| *sha != source.sha);
        } else if known.is_none() {
            sources.transient.push_back(source.sha);
            if sources.transient.len() > TRANSIENT_MAX
                && let Some(oldest) = sources.transient.pop_front()
            {
                sources.by_sha.remove(&oldest);
            }
        }
        Ok(known.unwrap_or_else(|| {
            sources.by_sha.insert(source.sha, source.clone());
            source
        }))
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let mut sources = self.sources.write();
        *sources = Sources::default();
        self.flushes.fetch_add(1, Release);
    }

    /// How often all scripts were forgotten, so that workers know when to forget theirs.
    #[inline]
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Acquire)
    }

    /// Scripts that are kept, and the bytes of their texts.
    pub fn scripts(&self) -> (usize, usize) {
        let sources = self.sources.read();
        (sources.by_sha.len(), sources.by_sha.values().map(|source| source.text.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::sha1_hex;

    #[test]
    fn the_oldest_of_eval_goes_and_the_loaded_stay() {
        let shared = Shared::new(1);
        let source = |number: usize| {
            let text = format!("return {number}");
            Arc::new(Source::new(sha1_hex(text.as_bytes()), text.as_bytes()).expect("no first line"))
        };
        assert!(shared.keep(source(0), true).is_ok());
        for number in 1..=TRANSIENT_MAX + 1 {
            assert!(shared.keep(source(number), false).is_ok());
        }
        assert_eq!(shared.scripts().0, TRANSIENT_MAX + 1);
        assert!(shared.find(&source(0).sha).is_some());
        assert!(shared.find(&source(1).sha).is_none());
        assert!(shared.find(&source(2).sha).is_some());
        shared.flush();
        assert_eq!((shared.scripts(), shared.flushes()), ((0, 0), 1));
    }
}
