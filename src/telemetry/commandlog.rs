//! The logs of commands that stood out: that took long, had large requests, or large replies.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Arguments of a command that are kept; the last one then tells how many there were beyond.
const ARGUMENTS: usize = 32;
/// Bytes of an argument that are kept.
const BYTES: usize = 128;

/// A command that stood out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ascending since start.
    pub id: u64,
    /// When it ended, in seconds of Unix time.
    pub at: u64,
    /// What it stood out by: microseconds that it took, or bytes of its request or reply.
    pub value: u64,
    /// The command with its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// What a log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands that took long.
    Slow,
    /// Commands with large requests.
    LargeRequest,
    /// Commands with large replies.
    LargeReply,
}

impl Kind {
    /// All kinds with the names that clients know them by.
    pub const NAMES: [(&'static str, Kind); 3] =
        [("slow", Kind::Slow), ("large-request", Kind::LargeRequest), ("large-reply", Kind::LargeReply)];
}

/// The logs of all kinds.
#[derive(Debug, Default)]
pub struct CommandLogs([CommandLog; 3]);

impl CommandLogs {
    /// The log of a kind.
    pub fn of(&self, kind: Kind) -> &CommandLog {
        match kind {
            Kind::Slow => &self.0[0],
            Kind::LargeRequest => &self.0[1],
            Kind::LargeReply => &self.0[2],
        }
    }
}

/// One log.
#[derive(Debug, Default)]
pub struct CommandLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    entries: VecDeque<Entry>,
}

impl CommandLog {
    /// Adds a command, whose id is set here, and keeps the newest `most` of all.
    pub fn push(&self, mut entry: Entry, most: u64) {
        let mut inner = self.0.lock();
        entry.id = inner.next;
        inner.next += 1;
        inner.entries.push_front(entry);
        inner.entries.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }

    /// The newest `count`, the newest first.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.0.lock().entries.iter().take(count).cloned().collect()
    }

    /// Commands that it holds.
    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all commands; ids go on.
    pub fn reset(&self) {
        self.0.lock().entries.clear();
    }
}

/// A command as the log keeps it: 31 arguments and how many there are more, or 32; 128 bytes of each, and how many there are
/// more.
pub fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    let kept = if count > ARGUMENTS { ARGUMENTS - 1 } else { count };
    let mut short: Vec<Vec<u8>> = args.take(kept).map(cut).collect();
    if count > kept {
        short.push(format!("... ({} more arguments)", count - kept).into_bytes());
    }
    short
}

fn cut(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= BYTES {
        return arg.to_vec();
    }
    [&arg[..BYTES], format!("... ({} more bytes)", arg.len() - BYTES).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(value: u64) -> Entry {
        Entry { id: 0, at: 1, value, args: Vec::new(), address: String::new(), name: Vec::new() }
    }

    #[test]
    fn the_newest_are_kept() {
        let log = CommandLog::default();
        (0..5).for_each(|value| log.push(slow(value), 3));
        let ids: Vec<_> = log.newest(2).iter().map(|slow| (slow.id, slow.value)).collect();
        assert_eq!((ids, log.len()), (vec![(4, 4), (3, 3)], 3));
        log.reset();
        assert!(log.is_empty());
        log.push(slow(9), 0);
        assert!(log.is_empty());
        log.push(slow(9), 1);
        assert_eq!(log.newest(10)[0].id, 6);
    }

    #[test]
    fn commands_are_shortened() {
        let long = [b'x'; 200];
        let args = shorten([&b"set"[..], &long].into_iter());
        assert_eq!(args[1], [&[b'x'; 128][..], b"... (72 more bytes)"].concat());
        let words = |count| shorten(vec![&b"a"[..]; count].into_iter());
        assert_eq!((words(32).len(), words(32)[31].as_slice()), (32, &b"a"[..]));
        assert_eq!((words(41).len(), words(41)[31].as_slice()), (32, &b"... (10 more arguments)"[..]));
    }
}
