//! Freeing large values on a thread of its own, so that no command waits for it.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

/// Values from this size on are worth a message to another thread, in bytes.
pub(super) const LARGE: usize = 32 * 1024;

/// Values that may wait at once. What waits is memory that nobody counts any more, so beyond this the caller frees.
const WAITING_MAX: u64 = 4096;

type Garbage = Box<dyn Any + Send>;

static THREAD: OnceLock<Option<Sender<Garbage>>> = OnceLock::new();
static WAITING: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

/// Epochs after which nobody can read a table any more that a map had outgrown before them.
const EPOCHS: usize = 4;

/// Frees the tables that maps outgrew while this thread changed them, as far as nobody reads them any more. The maps do so by themselves only after
/// many more commands. For upkeep, outside of an entry.
pub fn outgrown() {
    (0..EPOCHS).for_each(|_| scc::Guard::new().accelerate());
}

/// Drops `garbage` on the reclaiming thread, or here if that cannot be had or is far behind.
pub fn later(garbage: Box<impl Any + Send>) {
    let waiting = WAITING.fetch_add(1, Ordering::Relaxed);
    let sender = (waiting < WAITING_MAX).then(|| THREAD.get_or_init(start).as_ref()).flatten();
    let refused = match sender {
        Some(sender) => sender.send(garbage).is_err(),
        None => {
            drop(garbage);
            true
        }
    };
    if refused {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Values that wait to be freed.
pub fn waiting() -> u64 {
    WAITING.load(Ordering::Relaxed)
}

/// Values that were freed in the background since start, or since the last [`reset`].
pub fn freed() -> u64 {
    FREED.load(Ordering::Relaxed)
}

/// Counts anew.
pub fn reset() {
    FREED.store(0, Ordering::Relaxed);
}

fn start() -> Option<Sender<Garbage>> {
    let (sender, receiver) = channel::<Garbage>();
    let run = move || {
        for garbage in receiver {
            drop(garbage);
            FREED.fetch_add(1, Ordering::Relaxed);
            WAITING.fetch_sub(1, Ordering::Release);
        }
    };
    std::thread::Builder::new().name("reclaim".into()).spawn(run).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Witness(Sender<std::thread::ThreadId>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }

    #[test]
    fn another_thread_frees() {
        let (sender, receiver) = channel();
        later(Box::new(Witness(sender)));
        assert_ne!(receiver.recv().expect("it was dropped"), std::thread::current().id());
    }
}
