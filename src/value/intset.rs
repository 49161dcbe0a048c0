//! A sorted array of integers of 2, 4 or 8 bytes each: what a small set of integers is.

use super::buffer::Buffer;
use super::memory::malloc_size;

/// A sorted array of integers, all as wide as the widest that was ever in it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntSet {
    bytes: Buffer,
    width: u8,
}

/// The bytes that a number needs: 2, 4 or 8.
fn width_of(value: i64) -> u8 {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

impl Default for IntSet {
    fn default() -> Self {
        IntSet::new()
    }
}

impl IntSet {
    /// An empty set. Allocates nothing.
    pub const fn new() -> Self {
        IntSet { bytes: Buffer::new(), width: 2 }
    }

    /// Takes what [`Self::as_bytes`] gives, with the width. `None` if the integers are not ascending, or the width is
    /// none. O(n).
    pub fn from_bytes(width: usize, bytes: Vec<u8>) -> Option<Self> {
        let width = u8::try_from(width).ok().filter(|width| [2, 4, 8].contains(width))?;
        let set = IntSet { bytes: bytes.into(), width };
        let sound =
            set.bytes.len().is_multiple_of(set.width()) && set.iter().zip(set.iter().skip(1)).all(|(a, b)| a < b);
        sound.then_some(set)
    }

    /// Takes integers as [`Self::as_bytes`] gave them, of so many bytes each: 2, 4 or 8. O(1).
    #[inline]
    pub(super) fn of_parts(bytes: Buffer, width: usize) -> Self {
        IntSet { bytes, width: width as u8 }
    }

    /// Whether the bytes are somebody else's.
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        self.bytes.is_lent()
    }

    /// The number of integers. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width()
    }

    /// Whether there is no integer. O(1).
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes allocated. O(1).
    pub fn memory(&self) -> usize {
        self.bytes.memory()
    }

    /// Bytes of one integer: 2, 4 or 8. O(1).
    #[inline]
    pub fn width(&self) -> usize {
        usize::from(self.width)
    }

    /// The integers in ascending order, little-endian, as a Redis intset holds them. O(1).
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The integer with an index in ascending order. O(1).
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let at = index.checked_mul(self.width())?;
        let rest = self.bytes.get(at..)?;
        match self.width {
            2 => rest.first_chunk().map(|bytes| i64::from(i16::from_le_bytes(*bytes))),
            4 => rest.first_chunk().map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
            _ => rest.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
        }
    }

    /// The index of an integer, or the one at which it belongs. O(log n).
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(other) if other < value => low = middle + 1,
                Some(other) if other == value => return Ok(middle),
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// Whether an integer is in the set. O(log n).
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds an integer; false if it was there. O(n).
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.search(value) else { return false };
        if width_of(value) > self.width {
            self.widen(width_of(value));
        }
        let (at, width, end) = (index * self.width(), self.width(), self.bytes.len());
        if end + width > self.bytes.capacity() {
            self.bytes.grow_to(malloc_size(end + width));
        }
        self.bytes.resize(end + width);
        self.bytes.copy_within(at..end, at + width);
        self.bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        true
    }

    fn widen(&mut self, width: u8) {
        let mut bytes = Buffer::with_capacity(malloc_size((self.len() + 1) * usize::from(width)));
        self.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..usize::from(width)]));
        (self.bytes, self.width) = (bytes, width);
    }

    /// Removes an integer; false if it was not there. O(n).
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else { return false };
        let at = index * self.width();
        self.bytes.cut(at..at + self.width());
        let fitting = malloc_size(self.bytes.len());
        if fitting <= self.bytes.capacity() / 2 {
            self.bytes.shrink_to(fitting);
        }
        true
    }

    /// The integers in ascending order, or in reverse. O(1) a step.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::Random;
    use std::collections::BTreeSet;

    #[test]
    fn behaves_as_a_set() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let (mut set, mut model) = (IntSet::new(), BTreeSet::new());
            for round in 0..1500 {
                let bits = if round < 500 { 55 } else { random.below(64) };
                let value = random.bits() as i64 >> bits;
                if random.below(3) > 0 {
                    assert_eq!(set.insert(value), model.insert(value));
                } else {
                    let value = model.range(value..).next().copied().unwrap_or(value);
                    assert_eq!(set.remove(value), model.remove(&value));
                }
                assert_eq!((set.len(), set.contains(value)), (model.len(), model.contains(&value)));
            }
            assert!(set.iter().eq(model.iter().copied()));
            assert!(set.iter().rev().eq(model.iter().rev().copied()));
            model.iter().for_each(|value| assert!(set.remove(*value)));
            assert_eq!((set.len(), set.memory()), (0, 0));
        }
    }

    #[test]
    fn bytes_come_back_and_are_checked() {
        let mut set = IntSet::new();
        [-7, 1 << 20, 3].into_iter().for_each(|value| _ = set.insert(value));
        let bytes = set.as_bytes().to_vec();
        assert_eq!(IntSet::from_bytes(4, bytes.clone()), Some(set));
        assert_eq!(IntSet::from_bytes(3, bytes.clone()), None);
        assert_eq!(IntSet::from_bytes(8, bytes.clone()), None);
        assert_eq!(IntSet::from_bytes(4, [&bytes[4..], &bytes[..4]].concat()), None);
        assert_eq!(IntSet::from_bytes(4, [&bytes[..4], &bytes[..4]].concat()), None);
    }

    #[test]
    fn integers_are_as_wide_as_needed() {
        let mut set = IntSet::new();
        for (value, width) in [(i64::from(i16::MIN), 2), (32767, 2), (32768, 4), (i64::from(i32::MIN), 4), (1 << 31, 8)]
        {
            assert!(set.insert(value));
            assert_eq!(set.width(), width);
        }
        assert!(set.insert(i64::MIN) && set.insert(i64::MAX));
        assert!(set.iter().eq([i64::MIN, i64::from(i32::MIN), -32768, 32767, 32768, 1 << 31, i64::MAX]));
        assert_eq!((set.get(7), set.get(usize::MAX)), (None, None));
    }
}
