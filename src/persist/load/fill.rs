//! Reading the keys of a piece, and inserting them.

use std::sync::atomic::Ordering;

use super::{Loading, Piece, check_database};
use crate::persist::rdb::Damage;
use crate::persist::rdb::file::{Keyed, Part, Reader};
use crate::persist::rdb::quick::Quick;
use crate::store::{AHEAD, Entry, Keyspace, Local, Store, Ttl};

/// A part of a piece.
enum Next<'a> {
    Quick(Quick<'a>),
    Part(Part),
}

/// A key that was read.
enum Item<'a> {
    Quick(Quick<'a>),
    Whole(Box<Keyed>),
}

impl Item<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Item::Quick(quick) => quick.key,
            Item::Whole(keyed) => &keyed.key,
        }
    }

    fn expiry(&self) -> Option<u64> {
        match self {
            Item::Quick(quick) => quick.expiry,
            Item::Whole(keyed) => keyed.parcel.expiry,
        }
    }
}

impl Loading {
    /// Inserts the keys of a piece.
    pub(super) fn insert(&self, keyspace: &Keyspace, local: &Local, piece: &Piece) -> Result<(), (u64, Damage)> {
        let database = check_database(keyspace, piece.database).map_err(|damage| (0, damage))?;
        let mut filler = Filler {
            store: Store::new(keyspace, local, database, self.now_ms),
            local,
            merges: self.merges.load(Ordering::Relaxed),
            batch: Vec::with_capacity(AHEAD),
            room: Vec::new(),
            keys: 0,
            expired: 0,
        };
        let mut at = 0;
        while let Some((next, len)) = self.next(&piece.bytes, at)? {
            let item = match next {
                Next::Quick(quick) => Item::Quick(quick),
                Next::Part(Part::Key(keyed)) => Item::Whole(keyed),
                Next::Part(Part::Database(index)) => {
                    filler.flush()?;
                    let database = check_database(keyspace, index).map_err(|damage| (at as u64, damage))?;
                    filler.store = filler.store.select(database);
                    at += len;
                    continue;
                }
                Next::Part(Part::Function(source)) => {
                    self.functions.lock().push(source);
                    at += len;
                    continue;
                }
                Next::Part(Part::Aux { .. } | Part::Sizes { .. }) => {
                    at += len;
                    continue;
                }
            };
            filler.add(at, item)?;
            at += len;
        }
        filler.flush()?;
        self.keys.fetch_add(filler.keys, Ordering::Relaxed);
        self.expired.fetch_add(filler.expired, Ordering::Relaxed);
        Ok(())
    }

    /// The part of a piece that begins at a place, and how many bytes it has.
    fn next<'a>(&self, bytes: &'a [u8], at: usize) -> Result<Option<(Next<'a>, usize)>, (u64, Damage)> {
        let rest = &bytes[at..];
        if let Some(quick) = Quick::read(rest, &self.bounds) {
            return Ok(Some((Next::Quick(quick), quick.len)));
        }
        let mut reader = Reader::of_parts(rest, self.head, self.bounds);
        let part = reader.part().map_err(|error| (at as u64 + error.position, error.damage))?;
        // What was read is no more than there is, so it fits.
        Ok(part.map(|part| (Next::Part(part), reader.position() as usize)))
    }
}

/// Inserts keys, a few at a time, so that the memory that they go to can be fetched for all of them together.
struct Filler<'a> {
    store: Store<'a>,
    local: &'a Local,
    /// Whether a key that is there already is replaced.
    merges: bool,
    /// Keys, each with the bytes of the piece before it.
    batch: Vec<(usize, Item<'a>)>,
    /// Where strings are unpacked.
    room: Vec<u8>,
    keys: u64,
    expired: u64,
}

impl<'a> Filler<'a> {
    fn add(&mut self, at: usize, item: Item<'a>) -> Result<(), (u64, Damage)> {
        if item.expiry().is_some_and(|due| due < self.store.now_ms) {
            self.expired += 1;
            return Ok(());
        }
        self.batch.push((at, item));
        if self.batch.len() == AHEAD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), (u64, Damage)> {
        let mut keys: [&[u8]; AHEAD] = [&[]; AHEAD];
        keys.iter_mut().zip(&self.batch).for_each(|(key, (_, item))| *key = item.key());
        self.store.prefetch_places(&keys[..self.batch.len()]);
        let mut batch = std::mem::take(&mut self.batch);
        for (at, item) in batch.drain(..) {
            let inserted = match item {
                Item::Quick(quick) => self.quickly(quick),
                Item::Whole(keyed) => self.whole(*keyed),
            };
            inserted.map_err(|damage| (at as u64, damage))?;
            self.keys += 1;
        }
        self.batch = batch;
        Ok(())
    }

    fn quickly(&mut self, quick: Quick<'_>) -> Result<(), Damage> {
        let ttl = quick.expiry.map_or(Ttl::Clear, Ttl::At);
        let value = quick.text.value(&mut self.room)?;
        enter(&self.store, self.local, quick.key, self.merges, |entry| match value {
            Ok(number) => entry.set_integer(number, ttl),
            Err(text) => entry.set_text(text, ttl),
        })
    }

    fn whole(&self, keyed: Keyed) -> Result<(), Damage> {
        let Keyed { key, parcel, idle, .. } = keyed;
        enter(&self.store, self.local, &key, self.merges, |entry| {
            entry.set_parcel(parcel);
            if let (Some(idle), Some(record)) = (idle, entry.record()) {
                let idle = u32::try_from(idle).unwrap_or(u32::MAX);
                record.set_access(((self.store.now_ms / 1000) as u32).saturating_sub(idle));
            }
        })
    }
}

/// Opens a key to set it. One that is there already is an error, unless it `merges`.
fn enter(
    store: &Store<'_>,
    local: &Local,
    key: &[u8],
    merges: bool,
    set: impl FnOnce(&mut Entry<'_>),
) -> Result<(), Damage> {
    let _held = loop {
        // Others insert, too, and leave at once.
        match store.keyspace().enter_key(local, key) {
            Ok(held) => break held,
            Err(_) => std::thread::yield_now(),
        }
    };
    let is_new = store.update(key, |entry| {
        let is_new = merges || entry.record().is_none();
        if is_new {
            set(entry);
        }
        is_new
    });
    if is_new { Ok(()) } else { Err(Damage::Corrupt("a key that is there twice")) }
}
