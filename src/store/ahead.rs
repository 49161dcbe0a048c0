//! What a worker knows of the requests that it will execute next: where their keys hash to, and how long values are just now.

use std::cell::Cell;

use super::enter::{Local, Routed};
use super::prefetch::Target;

/// Keys that are fetched together: enough to keep the memory busy, few enough to stay in the first-level cache.
pub const AHEAD: usize = 32;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;
/// Bytes of a record before its key, with a time to live.
const HEAD: usize = 16;
/// The bytes of a record that are fetched: of one that nothing is known of, and at most. Behind them the processor sees by itself
/// where a copy goes.
const USUAL: usize = 2 * LINE;
const MOST: usize = 6 * LINE;

/// The keys of the next requests, in the order in which they lie in the receive buffer.
pub(super) struct Ahead {
    routes: [Cell<Routed>; AHEAD],
    len: Cell<usize>,
    /// The first that was not passed yet.
    place: Cell<usize>,
    /// Whether keys are known by their addresses now.
    is_on: Cell<bool>,
    /// Bytes of a record that look-ups have read of late.
    bytes: Cell<usize>,
}

/// While it lives, keys that were looked ahead for are known by their addresses; the buffer that they lie in does not change.
/// It also keeps the tables of the maps, so that the guards of the commands have nothing to do.
#[must_use = "dropping it forgets the keys"]
pub struct Foresight<'a>(&'a Ahead, #[expect(dead_code, reason = "it is held")] scc::Guard);

impl Local {
    /// Begins a time in which keys that are fetched ahead of their commands are known by their addresses.
    #[inline]
    pub fn foresee(&self) -> Foresight<'_> {
        self.ahead.is_on.set(true);
        Foresight(&self.ahead, scc::Guard::new())
    }

    /// Remembers where a key hashes to that was fetched with others' keys, by [`super::Store::prefetch_targets`].
    #[inline]
    pub fn expect(&self, key: &[u8], target: Target) {
        if self.ahead.is_on() {
            self.ahead.forget();
            self.ahead.push(Routed { key, hash: target.hash, shard: target.shard });
        }
    }
}

impl Drop for Foresight<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.is_on.set(false);
        self.0.forget();
    }
}

impl Ahead {
    pub(super) fn new() -> Self {
        let routes = [const { Cell::new(Routed::NOWHERE) }; AHEAD];
        Ahead { routes, len: Cell::new(0), place: Cell::new(0), is_on: Cell::new(false), bytes: Cell::new(USUAL) }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    #[inline]
    pub(super) fn forget(&self) {
        self.len.set(0);
        self.place.set(0);
    }

    /// Adds the next key.
    #[inline]
    pub(super) fn push(&self, routed: Routed) {
        let len = self.len.get();
        if let Some(place) = self.routes.get(len) {
            place.set(routed);
            self.len.set(len + 1);
        }
    }

    /// Where a key hashes to, if it was looked ahead for. Keys before it have had their turn.
    #[inline(always)]
    pub(super) fn find(&self, key: &[u8]) -> Option<Routed> {
        let known = &self.routes[self.place.get()..self.len.get()];
        for (at, routed) in known.iter().map(Cell::get).enumerate() {
            if std::ptr::eq(routed.key, key) {
                self.place.set(self.place.get() + at);
                return Some(routed);
            }
            if routed.key.addr() > key.as_ptr().addr() {
                break;
            }
        }
        None
    }

    /// Notes the length of a key and a value that were read.
    #[inline]
    pub(super) fn note_value(&self, bytes: usize) {
        self.bytes.set(bytes.saturating_add(HEAD).min(MOST));
    }

    /// Bytes of a record that are worth fetching, at least one.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(key: &[u8], hash: u64) -> Routed {
        Routed { key, hash, shard: 7 }
    }

    #[test]
    fn keys_are_known_by_their_address_in_their_order_until_they_are_forgotten() {
        let local = Local::new(0, 0);
        let buffer = b"one two three four".to_vec();
        let keys: Vec<&[u8]> = buffer.split(|byte| *byte == b' ').collect();
        let found = |key: &[u8]| local.ahead.find(key).map(|routed| routed.hash);
        {
            let _foresight = local.foresee();
            keys.iter().enumerate().for_each(|(at, key)| local.ahead.push(routed(key, at as u64)));
            assert_eq!(found(keys[0]), Some(0));
            // The same request may have to be tried again.
            assert_eq!(found(keys[0]), Some(0));
            // A request in between needed no key.
            assert_eq!(found(keys[2]), Some(2));
            assert_eq!(found(&buffer.clone()[..3]), None);
            assert_eq!(found(&keys[3][..2]), None);
            assert_eq!(found(keys[3]), Some(3));
        }
        assert_eq!(found(keys[3]), None);
    }

    #[test]
    fn more_keys_than_there_is_room_for_are_not_known() {
        let ahead = Ahead::new();
        let buffer = [b'k'; AHEAD * 2];
        let keys: Vec<&[u8]> = buffer.chunks(1).collect();
        keys.iter().for_each(|key| ahead.push(routed(key, 1)));
        assert!(keys[..AHEAD].iter().all(|key| ahead.find(key).is_some()));
        assert!(keys[AHEAD..].iter().all(|key| ahead.find(key).is_none()));
    }

    #[test]
    fn as_many_bytes_as_the_last_record_had() {
        let ahead = Ahead::new();
        let bytes = |bytes| {
            ahead.note_value(bytes);
            ahead.bytes()
        };
        assert_eq!([0, 80, usize::MAX].map(bytes), [HEAD, 96, MOST]);
    }
}
