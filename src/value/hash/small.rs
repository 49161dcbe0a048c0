//! Hashes of few fields: packed sequences of names and values, and of times once one has expired.

use super::{Expiry, Field, Millis};
use crate::value::packed::{self, Entry, Packed, Position};
use crate::value::{Full, Item};

/// Names and values by turns; behind each value the time at which the field expires, or 0 for never, if `STRIDE` is 3.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fields<const STRIDE: usize>(Packed);

/// Without times.
pub(super) type Plain = Fields<2>;

/// With times.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    fields: Fields<3>,
    /// The least of the times.
    soonest: Option<Millis>,
}

fn time(entry: Entry<'_>) -> Option<Millis> {
    match entry {
        Entry::Integer(time) => Millis::try_from(time).ok().filter(|time| *time != 0),
        Entry::Text(_) => None,
    }
}

/// Times are at most 48 bits long.
fn entry(time: Option<Millis>) -> Entry<'static> {
    Entry::Integer(time.unwrap_or(0) as i64)
}

impl<const STRIDE: usize> Fields<STRIDE> {
    pub(super) const fn new() -> Self {
        Fields(Packed::new())
    }

    /// From names and values by turns.
    pub(super) fn of(packed: Packed) -> Self {
        Fields(packed)
    }

    pub(super) fn packed(&self) -> &Packed {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() / STRIDE
    }

    pub(super) fn memory(&self) -> usize {
        self.0.memory()
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<Position> {
        self.0.find(name, self.0.first()?, STRIDE)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        let at = self.0.next(self.find(name)?)?;
        Some((self.0.get(at)?, self.time_after(at)))
    }

    /// The time behind a value.
    #[inline]
    fn time_after(&self, at: Position) -> Option<Millis> {
        if STRIDE == 2 { None } else { time(self.0.entry(self.0.next(at)?)?) }
    }

    /// Sets a field, and leaves its time. Tells where the field is, and whether it is new.
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(Position, bool), Full> {
        if !self.0.has_room(STRIDE, name.len().saturating_add(value.len()).saturating_add(8)) {
            return Err(Full);
        }
        if let Some(at) = self.find(name) {
            if let Some(old) = self.0.next(at) {
                self.0.replace(old, Entry::of(value))?;
            }
            return Ok((at, false));
        }
        let at = self.0.end();
        self.0.push(name)?;
        self.0.push(value)?;
        if STRIDE == 3 {
            self.0.insert(self.0.end(), entry(None))?;
        }
        Ok((at, true))
    }

    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], _: Expiry) -> Result<bool, Full> {
        self.set(name, value).map(|(_, added)| added)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        self.find(name).is_some_and(|at| self.0.remove(at, STRIDE) == STRIDE)
    }

    fn read(&self, at: Position) -> Option<Field<'_>> {
        let value = self.0.next(at)?;
        Some(Field { name: self.0.get(at)?, value: self.0.get(value)?, expires_at: self.time_after(value) })
    }

    pub(super) fn random(&self, mut bits: impl FnMut() -> u64) -> Option<Field<'_>> {
        let index = ((u128::from(bits()) * self.len() as u128) >> 64) as usize;
        self.read(self.0.position(index * STRIDE)?)
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { entries: self.0.iter(), timed: STRIDE == 3 }
    }

    /// The same fields with times.
    pub(super) fn with_times(&self) -> Result<Timed, Full> {
        let mut fields = Fields::new();
        fields.0.reserve(self.0.as_bytes().len() + self.len() * 2);
        for field in self.iter() {
            fields.0.push(&field.name)?;
            fields.0.push(&field.value)?;
            fields.0.insert(fields.0.end(), entry(field.expires_at))?;
        }
        Ok(Timed { fields, soonest: None })
    }
}

impl Timed {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.fields.memory()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        self.fields.get(name)
    }

    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], expiry: Expiry) -> Result<bool, Full> {
        let (at, added) = self.fields.set(name, value)?;
        self.change(at, expiry)?;
        Ok(added)
    }

    pub(super) fn set_expiry(&mut self, name: &[u8], time: Option<Millis>) -> Result<(), Full> {
        match self.fields.find(name) {
            Some(at) => self.change(at, time.into()),
            None => Ok(()),
        }
    }

    /// Changes the time of the field at a place.
    fn change(&mut self, at: Position, expiry: Expiry) -> Result<(), Full> {
        let packed = &mut self.fields.0;
        let Some(place) = packed.skip(at, 2) else { return Ok(()) };
        let old = packed.entry(place).and_then(time);
        let new = expiry.apply(old);
        if new != old {
            packed.replace(place, entry(new))?;
            self.note(old, new);
        }
        Ok(())
    }

    /// Finds the least time anew if that has gone.
    fn note(&mut self, old: Option<Millis>, new: Option<Millis>) {
        if old.is_some() && old == self.soonest {
            self.soonest = self.fields.iter().filter_map(|field| field.expires_at).min();
        } else {
            self.soonest = [self.soonest, new].into_iter().flatten().min();
        }
    }

    pub(super) fn soonest(&self) -> Option<Millis> {
        self.soonest
    }

    pub(super) fn volatile(&self) -> usize {
        self.fields.iter().filter(|field| field.expires_at.is_some()).count()
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(at) = self.fields.find(name) else { return false };
        self.remove_at(at);
        true
    }

    fn remove_at(&mut self, at: Position) {
        let old = self.fields.read(at).and_then(|field| field.expires_at);
        self.fields.0.remove(at, 3);
        self.note(old, None);
    }

    pub(super) fn remove_soonest(&mut self, removed: &mut impl FnMut(Field<'_>)) -> bool {
        let mut at = self.fields.0.first();
        while let Some(place) = at {
            if let Some(field) = self.fields.read(place).filter(|field| field.expires_at == self.soonest) {
                removed(field);
                self.remove_at(place);
                return true;
            }
            at = self.fields.0.skip(place, 3);
        }
        false
    }

    pub(super) fn random(&self, bits: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.fields.random(bits)
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        self.fields.iter()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    entries: packed::Iter<'a>,
    timed: bool,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (name, value) = (self.entries.next()?, self.entries.next()?);
        let expires_at = if self.timed { time(self.entries.next_entry()?) } else { None };
        Some(Field { name, value, expires_at })
    }
}
