//! Hashes: fields with values, some of which may expire.
//!
//! A hash knows no clock. Fields that expired are in it until [`Hash::remove_due`] is called with the time; who reads
//! before that compares [`Hash::soonest`], which costs nothing, with the time.

mod large;
mod small;

use super::memory::box_size;
use super::packed::Packed;
use super::{Full, Item, Limits};
use large::Large;
use small::{Plain, Timed};

/// A point in time: milliseconds since 1970. At most [`LATEST`].
pub type Millis = u64;

/// The latest time at which a field can expire, as in Redis.
pub const LATEST: Millis = (1 << 48) - 1;

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash(Form);

#[derive(Clone, Debug)]
enum Form {
    Plain(Plain),
    /// Also packed, once a field has had an expiry.
    Timed(Box<Timed>),
    Large(Box<Large>),
}

/// When a field expires after its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never, as after HSET.
    Never,
    /// When it did before, as after HINCRBY.
    Keep,
    /// At this time; a later one than [`LATEST`] counts as that.
    At(Millis),
}

impl Expiry {
    /// What becomes of an expiry.
    fn apply(self, old: Option<Millis>) -> Option<Millis> {
        match self {
            Expiry::Never => None,
            Expiry::Keep => old,
            Expiry::At(time) => Some(time.min(LATEST)),
        }
    }
}

impl From<Option<Millis>> for Expiry {
    fn from(time: Option<Millis>) -> Self {
        time.map_or(Expiry::Never, Expiry::At)
    }
}

/// A field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, if ever.
    pub expires_at: Option<Millis>,
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

impl Hash {
    /// An empty hash in compact form. Allocates nothing.
    pub const fn new() -> Self {
        Hash(Form::Plain(Plain::new()))
    }

    /// A hash of names and values by turns, as a table if they are too many; their lengths are not looked at. `None` if a
    /// name is there twice or a value is missing. O(n).
    pub fn of_packed(fields: Packed, limits: Limits) -> Result<Option<Self>, Full> {
        if !fields.len().is_multiple_of(2) || !fields.is_distinct(2) {
            return Ok(None);
        }
        let mut hash = Hash(Form::Plain(Plain::of(fields)));
        hash.prepare(hash.len(), 0, limits)?;
        Ok(Some(hash))
    }

    /// A hash of names and values by turns, which are known to be sound. O(1).
    #[inline]
    pub(super) fn of_plain(fields: Packed) -> Self {
        Hash(Form::Plain(Plain::of(fields)))
    }

    /// Changes to a table if so many fields, about to be set, or the longest of their names and values exceed the
    /// limits. O(n) if it changes.
    pub fn prepare(&mut self, fields: usize, longest: usize, limits: Limits) -> Result<(), Full> {
        if fields > limits.entries || longest > limits.value {
            self.enlarge()?;
        }
        Ok(())
    }

    /// The number of fields, those that expired but were not removed included. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Plain(plain) => plain.len(),
            Form::Timed(timed) => timed.len(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no field. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING tells: `listpack`, `listpackex` (once a field has had an expiry) or `hashtable`. O(1).
    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Form::Plain(_) => "listpack",
            Form::Timed(_) => "listpackex",
            Form::Large(_) => "hashtable",
        }
    }

    /// The packed names and values by turns, while the hash is in that form and no field ever had an expiry. O(1).
    pub fn as_packed(&self) -> Option<&Packed> {
        match &self.0 {
            Form::Plain(plain) => Some(plain.packed()),
            _ => None,
        }
    }

    /// Bytes allocated, as the allocator counts them. O(1).
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Plain(plain) => plain.memory(),
            Form::Timed(timed) => box_size::<Timed>() + timed.memory(),
            Form::Large(large) => box_size::<Large>() + large.memory(),
        }
    }

    /// The value of a field. O(1); while compact, O(n).
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Item<'_>> {
        self.field(name).map(|(value, _)| value)
    }

    /// The value of a field, and when it expires, if ever. O(1); while compact, O(n).
    pub fn field(&self, name: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        match &self.0 {
            Form::Plain(plain) => plain.get(name),
            Form::Timed(timed) => timed.get(name),
            Form::Large(large) => large.get(name),
        }
    }

    /// Whether there is such a field. O(1); while compact, O(n).
    pub fn contains(&self, name: &[u8]) -> bool {
        self.field(name).is_some()
    }

    /// Sets a field; true if it is new. O(1), O(log n) with an expiry; while compact, O(n).
    pub fn insert(&mut self, name: &[u8], value: &[u8], expiry: Expiry, limits: Limits) -> Result<bool, Full> {
        if name.len().max(value.len()) > limits.value {
            self.enlarge()?;
        }
        if let (Form::Plain(_), Expiry::At(_)) = (&self.0, expiry) {
            self.keep_times()?;
        }
        let added = match &mut self.0 {
            Form::Large(large) => return large.insert(name, value, expiry),
            Form::Plain(plain) => plain.insert(name, value, expiry),
            Form::Timed(timed) => timed.insert(name, value, expiry),
        };
        let Ok(added) = added else { return self.enlarge()?.insert(name, value, expiry) };
        if added && self.len() > limits.entries {
            self.enlarge()?;
        }
        Ok(added)
    }

    fn keep_times(&mut self) -> Result<(), Full> {
        if let Form::Plain(plain) = &self.0 {
            self.0 = Form::Timed(Box::new(plain.with_times()?));
        }
        Ok(())
    }

    fn enlarge(&mut self) -> Result<&mut Large, Full> {
        if !matches!(self.0, Form::Large(_)) {
            let mut large = Box::new(Large::new());
            for field in self.iter() {
                large.insert(&field.name, &field.value, field.expires_at.into())?;
            }
            self.0 = Form::Large(large);
        }
        match &mut self.0 {
            Form::Large(large) => Ok(large),
            _ => Err(Full),
        }
    }

    /// Sets when a field expires, and tells when it did before; `None` if there is no such field.
    /// O(log n); while compact, O(n).
    pub fn set_expiry(&mut self, name: &[u8], expiry: Option<Millis>) -> Result<Option<Option<Millis>>, Full> {
        let Some((_, old)) = self.field(name) else { return Ok(None) };
        let expiry = expiry.map(|time| time.min(LATEST));
        if old == expiry {
            return Ok(Some(old));
        }
        self.keep_times()?;
        if let Form::Timed(timed) = &mut self.0
            && timed.set_expiry(name, expiry).is_ok()
        {
            return Ok(Some(old));
        }
        self.enlarge()?.set_expiry(name, expiry)?;
        Ok(Some(old))
    }

    /// When the first field expires; `None` if none does. O(1) while no field does or the hash is compact, else
    /// O(log n).
    #[inline]
    pub fn soonest(&self) -> Option<Millis> {
        match &self.0 {
            Form::Plain(_) => None,
            Form::Timed(timed) => timed.soonest(),
            Form::Large(large) => large.soonest(),
        }
    }

    /// The number of fields that expire. O(1); while compact, O(n).
    pub fn volatile(&self) -> usize {
        match &self.0 {
            Form::Plain(_) => 0,
            Form::Timed(timed) => timed.volatile(),
            Form::Large(large) => large.volatile(),
        }
    }

    /// Removes up to `most` fields that expire at `now` or before, soonest first, and hands each over. Returns their
    /// number. O(k log n) for k fields; while compact, O(k n).
    pub fn remove_due(&mut self, now: Millis, most: usize, mut removed: impl FnMut(Field<'_>)) -> usize {
        let mut count = 0;
        while count < most && self.soonest().is_some_and(|time| time <= now) {
            let done = match &mut self.0 {
                Form::Plain(_) => false,
                Form::Timed(timed) => timed.remove_soonest(&mut removed),
                Form::Large(large) => large.remove_soonest(&mut removed),
            };
            if !done {
                break;
            }
            count += 1;
        }
        count
    }

    /// Removes a field; false if there was none. O(1), O(log n) with an expiry; while compact, O(n).
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match &mut self.0 {
            Form::Plain(plain) => plain.remove(name),
            Form::Timed(timed) => timed.remove(name),
            Form::Large(large) => large.remove(name),
        }
    }

    /// A field, each with the same probability, by uniform random bits. O(1) expected; while compact, O(n).
    pub fn random(&self, bits: impl FnMut() -> u64) -> Option<Field<'_>> {
        match &self.0 {
            Form::Plain(plain) => plain.random(bits),
            Form::Timed(timed) => timed.random(bits),
            Form::Large(large) => large.random(bits),
        }
    }

    /// All fields: as they were added while compact, else in no order. O(1) a step.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Plain(plain) => Fields::Plain(plain.iter()),
            Form::Timed(timed) => Fields::Timed(timed.iter()),
            Form::Large(large) => Fields::Large(large.iter()),
        })
    }

    /// Visits some fields and returns the next cursor; starts and ends with 0. A field that is there from the first
    /// call to the last is visited at least once. While compact, all at once; else O(1).
    pub fn scan(&self, cursor: u64, visit: impl FnMut(Field<'_>)) -> u64 {
        match &self.0 {
            Form::Large(large) => large.scan(cursor, visit),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

/// Fields of a hash.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Fields<'a>);

#[derive(Clone, Debug)]
enum Fields<'a> {
    Plain(small::Iter<'a>),
    Timed(small::Iter<'a>),
    Large(large::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match &mut self.0 {
            Fields::Plain(fields) | Fields::Timed(fields) => fields.next(),
            Fields::Large(fields) => fields.next(),
        }
    }
}

#[cfg(test)]
mod tests;
