//! Sets: sorted integers, a packed sequence, or a table.

mod algebra;
mod large;
mod sample;

use super::intset::IntSet;
use super::memory::box_size;
use super::packed::{self, Entry, Packed};
use super::{Full, Item, Limits};
use crate::protocol::number::parse_i64;
pub use algebra::{difference, intersection, union};
use large::Large;

/// Up to which size a set stays compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// Members of a set of integers: `set-max-intset-entries`.
    pub integers: usize,
    /// Of others: `set-max-listpack-entries` and `-value`.
    pub packed: Limits,
}

/// A set.
#[derive(Clone, Debug)]
pub struct Set(Form);

#[derive(Clone, Debug)]
enum Form {
    Integers(IntSet),
    Small(Packed),
    Large(Box<Large>),
}

impl Default for Set {
    fn default() -> Self {
        Set::new()
    }
}

/// The most members of a set of integers, whatever the limits are.
const MOST_INTEGERS: usize = 1 << 27;

impl Set {
    /// An empty set, of integers until another member comes. Allocates nothing.
    pub const fn new() -> Self {
        Set(Form::Integers(IntSet::new()))
    }

    /// An empty set for so many members of which this is one, in the form that Redis would choose.
    pub fn for_members(count: usize, member: &[u8], limits: SetLimits) -> Self {
        Set(if parse_i64(member).is_some() && count <= limits.integers.min(MOST_INTEGERS) {
            Form::Integers(IntSet::new())
        } else if count <= limits.packed.entries {
            Form::Small(Packed::new())
        } else {
            Form::Large(Box::new(Large::new()))
        })
    }

    /// A set of these integers, as a table if they are too many. O(1), O(n) if it is a table.
    pub fn of_integers(integers: IntSet, limits: SetLimits) -> Result<Self, Full> {
        let mut set = Set(Form::Integers(integers));
        set.prepare(set.len(), limits)?;
        Ok(set)
    }

    /// A set of these members, as a table if they are too many; their lengths are not looked at. `None` if one is there
    /// twice. O(n).
    pub fn of_packed(members: Packed, limits: SetLimits) -> Result<Option<Self>, Full> {
        if !members.is_distinct(1) {
            return Ok(None);
        }
        let mut set = Set(Form::Small(members));
        set.prepare(set.len(), limits)?;
        Ok(Some(set))
    }

    /// A set of these members, which are known to be different. O(1).
    #[inline]
    pub(super) fn of_small(members: Packed) -> Self {
        Set(Form::Small(members))
    }

    /// A set of these integers, whatever the limits are. O(1).
    #[inline]
    pub(super) fn of_array(integers: IntSet) -> Self {
        Set(Form::Integers(integers))
    }

    /// Changes to a table if so many members, about to be added, would exceed the limits. O(n) if it changes.
    pub fn prepare(&mut self, more: usize, limits: SetLimits) -> Result<(), Full> {
        let exceeds = match self.0 {
            Form::Integers(_) => more > limits.integers.min(MOST_INTEGERS),
            Form::Small(_) => more > limits.packed.entries,
            Form::Large(_) => false,
        };
        if exceeds {
            self.enlarge()?;
        }
        Ok(())
    }

    /// The number of members. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Integers(set) => set.len(),
            Form::Small(packed) => packed.len(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no member. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING tells: `intset`, `listpack` or `hashtable`. O(1).
    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Form::Integers(_) => "intset",
            Form::Small(_) => "listpack",
            Form::Large(_) => "hashtable",
        }
    }

    /// The integers, while the set is in that form. O(1).
    pub fn as_integers(&self) -> Option<&IntSet> {
        match &self.0 {
            Form::Integers(set) => Some(set),
            _ => None,
        }
    }

    /// The packed members, while the set is in that form. O(1).
    pub fn as_packed(&self) -> Option<&Packed> {
        match &self.0 {
            Form::Small(packed) => Some(packed),
            _ => None,
        }
    }

    /// Bytes allocated, as the allocator counts them. O(1).
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Integers(set) => set.memory(),
            Form::Small(packed) => packed.memory(),
            Form::Large(large) => box_size::<Large>() + large.memory(),
        }
    }

    /// Whether this is a member. O(1); O(log n) among integers, O(n) while packed.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Integers(set) => parse_i64(member).is_some_and(|value| set.contains(value)),
            Form::Small(packed) => find(packed, member).is_some(),
            Form::Large(large) => large.contains(member),
        }
    }

    /// Adds a member; false if it was there. O(1); while compact, O(n).
    pub fn insert(&mut self, member: &[u8], limits: SetLimits) -> Result<bool, Full> {
        match &mut self.0 {
            Form::Large(large) => large.insert(member),
            Form::Small(packed) => {
                if find(packed, member).is_some() {
                    return Ok(false);
                }
                let fits = packed.len() < limits.packed.entries && member.len() <= limits.packed.value;
                if fits && packed.push(member).is_ok() {
                    return Ok(true);
                }
                self.enlarge()?.insert(member)
            }
            Form::Integers(set) => match parse_i64(member) {
                Some(value) => {
                    let added = set.insert(value);
                    if added && set.len() > limits.integers.min(MOST_INTEGERS) {
                        self.enlarge()?;
                    }
                    Ok(added)
                }
                None => self.insert_first_text(member, limits.packed),
            },
        }
    }

    /// Adds a text to a set of integers.
    fn insert_first_text(&mut self, member: &[u8], limits: Limits) -> Result<bool, Full> {
        let Form::Integers(set) = &self.0 else { return Err(Full) };
        let ends = [set.get(0), set.get(set.len().saturating_sub(1))];
        let longest = ends.into_iter().flatten().map(|value| Item::integer(value).len()).max().unwrap_or(0);
        if set.len() >= limits.entries || member.len().max(longest) > limits.value {
            return self.enlarge()?.insert(member);
        }
        let mut packed = Packed::new();
        for value in set.iter() {
            packed.insert(packed.end(), Entry::Integer(value))?;
        }
        packed.push(member)?;
        self.0 = Form::Small(packed);
        Ok(true)
    }

    fn enlarge(&mut self) -> Result<&mut Large, Full> {
        if !matches!(self.0, Form::Large(_)) {
            let mut large = Box::new(Large::new());
            for member in self.iter() {
                large.insert(&member)?;
            }
            self.0 = Form::Large(large);
        }
        match &mut self.0 {
            Form::Large(large) => Ok(large),
            _ => Err(Full),
        }
    }

    /// Removes a member; false if it was not there. O(1); while compact, O(n).
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Integers(set) => parse_i64(member).is_some_and(|value| set.remove(value)),
            Form::Small(packed) => find(packed, member).is_some_and(|at| packed.remove(at, 1) == 1),
            Form::Large(large) => large.remove(member),
        }
    }

    /// Removes the members that are not to be kept. O(n).
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        match &mut self.0 {
            Form::Integers(set) => {
                let mut kept = IntSet::new();
                set.iter().filter(|value| keep(&Item::integer(*value))).for_each(|value| _ = kept.insert(value));
                *set = kept;
            }
            Form::Small(packed) => {
                let mut at = packed.first();
                while let Some(place) = at {
                    let Some(member) = packed.get(place) else { return };
                    if keep(&member) {
                        at = packed.next(place);
                    } else {
                        packed.remove(place, 1);
                        at = (place < packed.end()).then_some(place);
                    }
                }
            }
            Form::Large(large) => large.retain(&mut keep),
        }
    }

    /// A member, each with the same probability, by uniform random bits. O(1) expected; while packed, O(n).
    pub fn random(&self, mut bits: impl FnMut() -> u64) -> Option<Item<'_>> {
        match &self.0 {
            Form::Integers(set) => set.get(below(bits(), set.len())).map(Item::integer),
            Form::Small(packed) => packed.get(packed.position(below(bits(), packed.len()))?),
            Form::Large(large) => large.random(bits).map(Item::text),
        }
    }

    /// Removes a member at random and returns it. O(1) expected; while compact, O(n).
    pub fn pop(&mut self, bits: impl FnMut() -> u64) -> Option<Vec<u8>> {
        if let Form::Large(large) = &mut self.0 {
            return large.pop(bits);
        }
        let member = self.random(bits)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// All members: integers ascending, packed ones as they were added, else in no order. O(1) a step.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Integers(set) => Members::Integers(set, 0),
            Form::Small(packed) => Members::Small(packed.iter()),
            Form::Large(large) => Members::Large(large.iter()),
        })
    }

    /// Visits some members and returns the next cursor; starts and ends with 0. A member that is there from the first
    /// call to the last is visited at least once. While compact, all at once; else O(1).
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match &self.0 {
            Form::Large(large) => large.scan(cursor, |member| visit(Item::text(member))),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

#[inline]
fn find(packed: &Packed, member: &[u8]) -> Option<packed::Position> {
    packed.find(member, packed.first()?, 1)
}

/// A number below `end`, as uniform as 64 random bits allow.
fn below(bits: u64, end: usize) -> usize {
    ((u128::from(bits) * end as u128) >> 64) as usize
}

/// Members of a set.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Members<'a>);

#[derive(Clone, Debug)]
enum Members<'a> {
    Integers(&'a IntSet, usize),
    Small(packed::Iter<'a>),
    Large(large::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Members::Integers(set, index) => {
                let value = set.get(*index)?;
                *index += 1;
                Some(Item::integer(value))
            }
            Members::Small(members) => members.next(),
            Members::Large(members) => members.next().map(Item::text),
        }
    }
}

#[cfg(test)]
mod tests;
