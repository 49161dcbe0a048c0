//! A hash as its commands see it: fields past their time are not there, whether a timer has removed them yet or not.

use super::collection::{self, Changed, change_or_create, collection_of};
use super::{Context, Error};
use crate::config::Settings;
use crate::protocol::Args;
use crate::store::{Event, Store};
use crate::value::hash::{Expiry, Field, Hash, Millis};
use crate::value::{Item, Limits};

/// Whether a field lives: as a key does, until its very millisecond has passed.
#[inline]
fn lives(expires_at: Option<Millis>, now_ms: Millis) -> bool {
    expires_at.is_none_or(|at| at >= now_ms)
}

/// Up to which size a hash stays compact.
fn limits(settings: &Settings) -> Limits {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits { entries: size(settings.hash_max_listpack_entries), value: size(settings.hash_max_listpack_value) }
}

/// The fields of a hash at one moment.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    hash: &'a Hash,
    now_ms: Millis,
}

impl<'a> Fields<'a> {
    /// A field's value.
    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<Item<'a>> {
        self.field(name).map(|(value, _)| value)
    }

    /// A field's value, and when it expires.
    #[inline]
    pub(super) fn field(&self, name: &[u8]) -> Option<(Item<'a>, Option<Millis>)> {
        self.hash.field(name).filter(|&(_, expires_at)| lives(expires_at, self.now_ms))
    }

    /// The number of fields, those included that are past their time and not removed yet, as Redis counts them.
    pub(super) fn stored(&self) -> usize {
        self.hash.len()
    }

    /// The number of fields where none is past its time; then [`Fields::random`] and the hash's own order can be used.
    pub(super) fn exact(&self) -> Option<usize> {
        lives(self.hash.soonest(), self.now_ms).then(|| self.hash.len())
    }

    /// All fields.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let now_ms = self.now_ms;
        self.hash.iter().filter(move |field| lives(field.expires_at, now_ms))
    }

    /// A field by random bits, even one past its time.
    pub(super) fn random(&self, bits: impl FnMut() -> u64) -> Option<Field<'a>> {
        self.hash.random(bits)
    }

    /// Visits the fields at a cursor, and returns the next one.
    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(Field<'_>)) -> u64 {
        self.hash.scan(cursor, |field| {
            if lives(field.expires_at, self.now_ms) {
                visit(field);
            }
        })
    }
}

/// Reads the hash of a key, if there is one.
#[inline]
pub(super) fn read<R>(
    cx: &mut Context<'_>,
    key: &[u8],
    read: impl FnOnce(&mut Context<'_>, Option<Fields<'_>>) -> Result<R, Error>,
) -> Result<R, Error> {
    let (store, now_ms) = (cx.store, cx.now_ms());
    store.read(key, |record| {
        cx.count_lookup(record.is_some());
        let hash = collection_of::<Hash>(record)?;
        read(cx, hash.as_deref().map(|hash| Fields { hash, now_ms }))
    })
}

/// Events that one command causes at most.
const EVENTS: usize = 3;

/// The fields of a hash at one moment, to change them.
pub(super) struct FieldsMut<'a> {
    hash: &'a mut Hash,
    now_ms: Millis,
    limits: Limits,
    told: &'a mut Told,
}

/// What a command did to a hash.
#[derive(Default)]
struct Told {
    /// Fields that were past their time.
    expired: u64,
    changes: u64,
    events: [Option<&'static str>; EVENTS],
}

impl Told {
    fn report(&self, store: Store<'_>, key: &[u8], vanished: bool) {
        if self.expired > 0 {
            store.count_changes(self.expired);
            store.notify(key, Event::hash("hexpired"));
        }
        if self.changes > 0 {
            store.count_changes(self.changes);
            self.events.iter().flatten().for_each(|name| store.notify(key, Event::hash(name)));
        }
        if vanished {
            store.notify(key, Event::DEL);
        }
    }
}

impl FieldsMut<'_> {
    /// Milliseconds of Unix time.
    pub(super) fn now_ms(&self) -> Millis {
        self.now_ms
    }

    /// Names the events of the changes, in their order. If nothing changes, there are none.
    pub(super) fn events<const N: usize>(&mut self, names: [&'static str; N]) {
        const { assert!(N <= EVENTS) };
        self.told.events = [None; EVENTS];
        for (event, name) in self.told.events.iter_mut().zip(names) {
            *event = Some(name);
        }
    }

    /// Makes room for so many fields.
    pub(super) fn prepare(&mut self, fields: usize) -> Result<(), Error> {
        Ok(self.hash.prepare(fields, 0, self.limits)?)
    }

    /// The fields, to read them.
    #[inline]
    pub(super) fn as_fields(&self) -> Fields<'_> {
        Fields { hash: self.hash, now_ms: self.now_ms }
    }

    /// A field's value, and when it expires.
    #[inline]
    pub(super) fn field(&self, name: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        self.as_fields().field(name)
    }

    /// Removes a field that is past its time, so that what is set now is new and does not keep that time.
    #[inline]
    fn expire(&mut self, name: &[u8]) {
        if lives(self.hash.soonest(), self.now_ms) {
            return;
        }
        if self.hash.contains(name) && self.field(name).is_none() {
            self.hash.remove(name);
            self.told.expired += 1;
        }
    }

    /// Sets a field; whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], expiry: Expiry) -> Result<bool, Error> {
        self.expire(name);
        let added = self.hash.insert(name, value, expiry, self.limits)?;
        self.told.changes += 1;
        Ok(added)
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        self.expire(name);
        let removed = self.hash.remove(name);
        self.told.changes += u64::from(removed);
        removed
    }

    /// Sets when a field that is there expires.
    pub(super) fn set_expiry(&mut self, name: &[u8], expiry: Option<Millis>) -> Result<(), Error> {
        self.hash.set_expiry(name, expiry)?;
        self.told.changes += 1;
        Ok(())
    }
}

/// What a command that changes a hash does where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It makes one.
    Create,
    /// Nothing.
    Skip,
}

/// Changes the hash of a key and tells the events. `None` if there is none and none was to be made.
#[inline]
pub(super) fn write<R>(
    cx: &mut Context<'_>,
    key: &[u8],
    absent: Absent,
    change: impl FnOnce(&mut Context<'_>, &mut FieldsMut<'_>) -> Result<R, Error>,
) -> Result<Option<R>, Error> {
    let (store, now_ms, limits) = (cx.store, cx.now_ms(), limits(cx.settings()));
    store.update(key, |entry| {
        let mut told = Told::default();
        // What was done before an error is done, and told: so the error is passed over the removal of an emptied key.
        let run = |hash: &mut Hash| Ok(change(cx, &mut FieldsMut { hash, now_ms, limits, told: &mut told }));
        let changed = match absent {
            Absent::Create => Some(change_or_create(entry, Hash::new, run)?),
            Absent::Skip => collection::change(entry, run)?,
        };
        let Some(Changed { result, vanished }) = changed else { return Ok(None) };
        told.report(store, key, vanished);
        result.map(Some)
    })
}

/// The fields that are named after their number, at the end of a request: `numfields field …`, each `width` words long.
/// `mismatch` is the error if there are not as many.
pub(super) fn counted(args: Args<'_>, at: usize, width: usize, mismatch: Error) -> Result<Args<'_>, Error> {
    let count = crate::protocol::number::parse_i64(args.get(at)).ok_or(Error::NOT_INTEGER)?;
    let words = args.skip(at + 1);
    let expected = usize::try_from(count).ok().and_then(|count| count.checked_mul(width));
    if count <= 0 || expected != Some(words.len()) { Err(mismatch) } else { Ok(words) }
}

/// Where the word `FIELDS` is, from the argument `from` on; `None` if it is not there or nothing follows it.
pub(super) fn find_fields(args: Args<'_>, from: usize) -> Option<usize> {
    (from..args.len().saturating_sub(1)).find(|&at| args.get(at).eq_ignore_ascii_case(b"fields"))
}
