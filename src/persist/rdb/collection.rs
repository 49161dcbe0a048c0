//! Lists, sets, sorted sets and hashes on their way in.

use std::io::BufRead;

use super::code::{kind, node};
use super::{Damage, Input, blob, listpack};
use crate::protocol::number::parse_f64;
use crate::store::Object;
use crate::value::hash::{Expiry, Hash, LATEST};
use crate::value::list::List;
use crate::value::packed::{Entry, Packed};
use crate::value::scores::Score;
use crate::value::set::Set;
use crate::value::sorted_set::SortedSet;

const DUPLICATE: Damage = Damage::Corrupt("an element that is there twice");
const BAD_SCORE: Damage = Damage::Corrupt("a score that is no number");
const BAD_TIME: Damage = Damage::Corrupt("a field that expires at no time");
const UNPAIRED: Damage = Damage::Corrupt("an element without its other half");

impl<R: BufRead> Input<R> {
    /// The entries of a string that is a listpack, or a ziplist.
    fn packed(&mut self, read: impl FnOnce(&[u8]) -> Result<Packed, Damage>) -> Result<Packed, Damage> {
        let mut bytes = Vec::new();
        self.string(&mut bytes)?;
        read(&bytes)
    }

    /// The same; none is no value.
    fn filled(&mut self, read: impl FnOnce(&[u8]) -> Result<Packed, Damage>) -> Result<Packed, Damage> {
        let packed = self.packed(read)?;
        if packed.is_empty() { Err(Damage::Empty) } else { Ok(packed) }
    }

    pub(super) fn list(&mut self, kind: u8) -> Result<Object, Damage> {
        let (mut list, limit) = (List::new(), self.bounds.list);
        let append = |list: &mut List, packed: &Packed| packed.iter().for_each(|item| list.push_back([&*item], limit));
        match kind {
            kind::LIST_ZIPLIST => append(&mut list, &self.packed(blob::ziplist)?),
            kind::QUICKLIST => {
                for _ in 0..self.count()? {
                    append(&mut list, &self.packed(blob::ziplist)?);
                }
            }
            kind::QUICKLIST_2 => {
                for _ in 0..self.count()? {
                    match self.length()? {
                        node::PACKED => append(&mut list, &self.packed(listpack::read)?),
                        node::PLAIN => self.push_plain(&mut list)?,
                        _ => return Err(Damage::Corrupt("a node of a list of no known form")),
                    }
                }
            }
            _ => {
                let count = self.count()?;
                self.push(&mut list, count)?;
            }
        }
        if list.is_empty() { Err(Damage::Empty) } else { Ok(Object::List(list)) }
    }

    /// Appends a string that has a node of its own, because it is large; an empty one never has.
    fn push_plain(&mut self, list: &mut List) -> Result<(), Damage> {
        let mut text = Vec::new();
        self.string(&mut text)?;
        if text.is_empty() {
            return Err(Damage::Corrupt("a node of a list with nothing in it"));
        }
        list.push_back([&text[..]], self.bounds.list);
        Ok(())
    }

    /// Appends so many strings to a list.
    fn push(&mut self, list: &mut List, count: u64) -> Result<(), Damage> {
        let mut text = Vec::new();
        for _ in 0..count {
            self.string(&mut text)?;
            list.push_back([&text[..]], self.bounds.list);
        }
        Ok(())
    }

    pub(super) fn set(&mut self, kind: u8) -> Result<Object, Damage> {
        let (mut text, limits) = (Vec::new(), self.bounds.set);
        match kind {
            kind::SET_INTEGERS => {
                self.string(&mut text)?;
                let integers = blob::integers(&text)?;
                if integers.is_empty() {
                    return Err(Damage::Empty);
                }
                return Ok(Object::Set(Set::of_integers(integers, limits)?));
            }
            kind::SET_LISTPACK => {
                let packed = self.filled(listpack::read)?;
                return Set::of_packed(packed, limits)?.map(Object::Set).ok_or(DUPLICATE);
            }
            _ => {}
        }
        let count = self.count()?;
        self.string(&mut text)?;
        let mut set = Set::for_members(usize::try_from(count).unwrap_or(usize::MAX), &text, limits);
        set.insert(&text, limits)?;
        for _ in 1..count {
            self.string(&mut text)?;
            if !set.insert(&text, limits)? {
                return Err(DUPLICATE);
            }
        }
        Ok(Object::Set(set))
    }

    pub(super) fn sorted_set(&mut self, kind: u8) -> Result<Object, Damage> {
        let limits = self.bounds.sorted_set;
        let packed = match kind {
            kind::SORTED_SET_ZIPLIST => self.filled(blob::ziplist)?,
            kind::SORTED_SET_LISTPACK => self.filled(listpack::read)?,
            _ => return self.sorted_set_elements(kind),
        };
        let (mut pairs, mut entries) = (Vec::with_capacity(packed.len() / 2), packed.iter());
        while let Some(member) = entries.next() {
            let score = match entries.next_entry().ok_or(UNPAIRED)? {
                Entry::Integer(score) => Some(score as f64),
                Entry::Text(text) => parse_f64(text),
            };
            pairs.push((member, score.and_then(Score::new).ok_or(BAD_SCORE)?));
        }
        SortedSet::of_pairs(pairs, limits)?.map(Object::SortedSet).ok_or(DUPLICATE)
    }

    fn sorted_set_elements(&mut self, kind: u8) -> Result<Object, Damage> {
        let (mut member, limits) = (Vec::new(), self.bounds.sorted_set);
        let count = self.count()?;
        let mut set = SortedSet::for_members(usize::try_from(count).unwrap_or(usize::MAX), 0, limits);
        for _ in 0..count {
            self.string(&mut member)?;
            let score = match kind {
                kind::SORTED_SET_TEXT => self.score_text()?,
                _ => f64::from_le_bytes(self.array()?),
            };
            let score = Score::new(score).ok_or(BAD_SCORE)?;
            if set.insert(&member, score, limits)?.old.is_some() {
                return Err(DUPLICATE);
            }
        }
        Ok(Object::SortedSet(set))
    }

    /// A score as text, whose length says what has no digits.
    fn score_text(&mut self) -> Result<f64, Damage> {
        let len = match self.byte()? {
            253 => return Err(BAD_SCORE),
            254 => return Ok(f64::INFINITY),
            255 => return Ok(f64::NEG_INFINITY),
            len => usize::from(len),
        };
        let mut text = [0; 252];
        for byte in &mut text[..len] {
            *byte = self.byte()?;
        }
        parse_f64(&text[..len]).ok_or(BAD_SCORE)
    }

    pub(super) fn hash(&mut self, kind: u8) -> Result<Object, Damage> {
        let packed = match kind {
            kind::HASH_ZIPMAP => self.filled(blob::zipmap)?,
            kind::HASH_ZIPLIST => self.filled(blob::ziplist)?,
            kind::HASH_LISTPACK => self.filled(listpack::read)?,
            _ => return self.fields(|_| Ok(None), |_| Ok(None)),
        };
        if !packed.len().is_multiple_of(2) {
            return Err(UNPAIRED);
        }
        Hash::of_packed(packed, self.bounds.hash)?.map(Object::Hash).ok_or(DUPLICATE)
    }

    /// Fields with values, and with times before or behind them.
    fn fields(
        &mut self,
        mut before: impl FnMut(&mut Self) -> Result<Option<u64>, Damage>,
        mut behind: impl FnMut(&mut Self) -> Result<Option<u64>, Damage>,
    ) -> Result<Object, Damage> {
        let (mut hash, limits) = (Hash::new(), self.bounds.hash);
        let (mut name, mut value) = (Vec::new(), Vec::new());
        let count = self.count()?;
        hash.prepare(usize::try_from(count).unwrap_or(usize::MAX), 0, limits)?;
        for _ in 0..count {
            let time = before(self)?;
            self.string(&mut name)?;
            self.string(&mut value)?;
            let time = time.or(behind(self)?);
            if time.is_some_and(|time| time > LATEST) {
                return Err(BAD_TIME);
            }
            if !hash.insert(&name, &value, Expiry::from(time), limits)? {
                return Err(DUPLICATE);
            }
        }
        Ok(Object::Hash(hash))
    }

    /// Redis 7.4: times come first, as the distance from the soonest plus one; 0 is none. Its release candidates wrote
    /// the times themselves.
    pub(super) fn timed_hash(&mut self, kind: u8) -> Result<Object, Damage> {
        let soonest = if kind == kind::HASH_TIMES { self.time()? } else { 1 };
        let time = |input: &mut Self| match input.length()? {
            0 => Ok(None),
            distance => soonest.checked_add(distance - 1).map(Some).ok_or(BAD_TIME),
        };
        self.fields(time, |_| Ok(None))
    }

    /// Valkey 9: times come last; -1 is none.
    pub(super) fn valkey_hash(&mut self) -> Result<Object, Damage> {
        self.fields(
            |_| Ok(None),
            |input| match i64::from_le_bytes(input.array()?) {
                -1 => Ok(None),
                time => u64::try_from(time).map(Some).map_err(|_| BAD_TIME),
            },
        )
    }

    /// Names, values and times by turns in a listpack; the soonest time before it, which the listpack tells, too.
    pub(super) fn timed_listpack(&mut self, kind: u8) -> Result<Object, Damage> {
        if kind == kind::HASH_LISTPACK_TIMES {
            self.time()?;
        }
        let (packed, limits) = (self.filled(listpack::read)?, self.bounds.hash);
        let mut hash = Hash::new();
        hash.prepare(packed.len() / 3, 0, limits)?;
        let mut entries = packed.iter();
        while let Some(name) = entries.next() {
            let value = entries.next().ok_or(UNPAIRED)?;
            let time = match entries.next_entry().ok_or(UNPAIRED)? {
                Entry::Integer(0) => None,
                Entry::Integer(time) => Some(u64::try_from(time).ok().filter(|time| *time <= LATEST).ok_or(BAD_TIME)?),
                Entry::Text(_) => return Err(BAD_TIME),
            };
            if !hash.insert(&name, &value, Expiry::from(time), limits)? {
                return Err(DUPLICATE);
            }
        }
        Ok(Object::Hash(hash))
    }
}
