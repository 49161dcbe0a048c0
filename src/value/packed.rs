//! A sequence of short texts and integers in one allocation: what small collections are made of.
//!
//! An entry is its encoded element followed by its own length, which makes the sequence readable from the end. Text
//! that spells an integer is kept as one. The entries are encoded as in a Redis listpack (without its header and end
//! mark), so a dump can copy them; the overhead is 2 bytes for an element under 64 bytes and at most 10.

use super::buffer::Buffer;
use super::item::distinct;
use super::memory::malloc_size;
use super::{Full, Item};
use crate::protocol::number::parse_i64;

/// The most bytes that a sequence takes.
pub const MAX_BYTES: usize = 1 << 30;

/// The most bytes by which an entry exceeds its text.
const MAX_OVERHEAD: usize = 10;

/// A packed sequence. Finding a place costs O(n); so does changing it, by one move of the bytes behind.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Packed {
    bytes: Buffer,
    count: u32,
}

/// The place of an entry, valid until the sequence changes. A stale one is harmless: it may name another entry or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(usize);

/// An element as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Bytes, as they are.
    Text(&'a [u8]),
    /// A number.
    Integer(i64),
}

impl<'a> Entry<'a> {
    /// How a text is stored: as a number if it spells one exactly. O(length), at most 20 digits.
    #[inline]
    pub fn of(text: &'a [u8]) -> Self {
        parse_i64(text).map_or(Entry::Text(text), Entry::Integer)
    }

    /// The element as text. O(1) for text, O(digits) for a number.
    #[inline]
    pub fn item(self) -> Item<'a> {
        match self {
            Entry::Text(text) => Item::text(text),
            Entry::Integer(value) => Item::integer(value),
        }
    }

    /// Bytes of the encoded element, without the length that follows it.
    pub(super) fn encoded_len(self) -> usize {
        match self {
            Entry::Text(text) => match text.len() {
                0..=0x3f => 1 + text.len(),
                0x40..=0xfff => 2 + text.len(),
                _ => text.len().saturating_add(5),
            },
            Entry::Integer(value) => match value {
                0..=0x7f => 1,
                -0x1000..=0xfff => 2,
                -0x8000..=0x7fff => 3,
                -0x80_0000..=0x7f_ffff => 4,
                -0x8000_0000..=0x7fff_ffff => 5,
                _ => 9,
            },
        }
    }

    /// Encodes into exactly [`Self::encoded_len`] bytes.
    pub(super) fn encode(self, out: &mut [u8]) {
        match self {
            Entry::Text(text) => {
                let (head, body) = out.split_at_mut(out.len() - text.len());
                match *head {
                    [ref mut mark] => *mark = 0x80 | text.len() as u8,
                    [ref mut high, ref mut low] => (*high, *low) = (0xe0 | (text.len() >> 8) as u8, text.len() as u8),
                    [ref mut mark, ref mut length @ ..] => {
                        *mark = 0xf0;
                        length.copy_from_slice(&(text.len() as u32).to_le_bytes());
                    }
                    [] => {}
                }
                body.copy_from_slice(text);
            }
            Entry::Integer(value) => match out {
                [only] => *only = value as u8,
                [high, low] => (*high, *low) = (0xc0 | (value >> 8) as u8 & 0x1f, value as u8),
                [mark, number @ ..] => {
                    *mark = match number.len() {
                        2 => 0xf1,
                        3 => 0xf2,
                        4 => 0xf3,
                        _ => 0xf4,
                    };
                    number.copy_from_slice(&value.to_le_bytes()[..number.len()]);
                }
                [] => {}
            },
        }
    }

    /// Decodes the element that starts at `at`, and tells its encoded length. `None` where none starts.
    #[inline]
    pub(super) fn decode(bytes: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let rest = bytes.get(at..)?;
        let (&head, tail) = rest.split_first()?;
        let text = |skip: usize, len: usize| Some((Entry::Text(tail.get(skip..skip + len)?), 1 + skip + len));
        let number = |len: usize| {
            // Shifted up and down again, the sign spreads.
            let mut wide = [0; 8];
            wide[8 - len..].copy_from_slice(tail.get(..len)?);
            Some((Entry::Integer(i64::from_le_bytes(wide) >> (64 - 8 * len)), 1 + len))
        };
        match head {
            0..=0x7f => Some((Entry::Integer(i64::from(head)), 1)),
            0x80..=0xbf => text(0, usize::from(head & 0x3f)),
            0xc0..=0xdf => {
                let wide = i16::from_be_bytes([head << 3, 0]) | i16::from(*tail.first()?) << 3;
                Some((Entry::Integer(i64::from(wide >> 3)), 2))
            }
            0xe0..=0xef => text(1, usize::from(head & 0xf) << 8 | usize::from(*tail.first()?)),
            0xf0 => text(4, u32::from_le_bytes(*tail.first_chunk()?) as usize),
            0xf1 => number(2),
            0xf2 => number(3),
            0xf3 => number(4),
            0xf4 => number(8),
            _ => None,
        }
    }
}

/// Appends an entry as [`Packed`] keeps it to bytes that are somebody else's, for writers of listpacks.
pub fn append(out: &mut Vec<u8>, entry: Entry<'_>) {
    let (at, len) = (out.len(), entry.encoded_len());
    out.resize(at + len + back_len(len), 0);
    let (element, back) = out[at..].split_at_mut(len);
    entry.encode(element);
    encode_back(len, back);
}

/// Bytes of the length that follows an element of `len` bytes. The bounds are the listpack's.
#[inline]
pub(super) fn back_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16382 => 2,
        16383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Writes the length of an element: seven bits a byte, the lowest last, and all but the first marked.
pub(super) fn encode_back(mut len: usize, out: &mut [u8]) {
    for (index, byte) in out.iter_mut().enumerate().rev() {
        *byte = (len & 0x7f) as u8 | if index > 0 { 0x80 } else { 0 };
        len >>= 7;
    }
}

/// Reads the length that ends before `end`: the element's, and that of the length itself.
#[inline]
pub(super) fn decode_back(bytes: &[u8], end: usize) -> Option<(usize, usize)> {
    let mut len = 0;
    for index in 0..5 {
        let byte = *bytes.get(end.checked_sub(index + 1)?)?;
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((len, index + 1));
        }
    }
    None
}

impl Packed {
    /// An empty sequence. Allocates nothing.
    pub const fn new() -> Self {
        Packed { bytes: Buffer::new(), count: 0 }
    }

    /// Takes entries in their encoded form, as [`Self::as_bytes`] gives them or a listpack holds them. `None` if they
    /// are malformed in any way; those that are sound but not encoded as we would are encoded anew. O(n).
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut at, mut count, mut canonical) = (0, 0, true);
        if bytes.len() > MAX_BYTES {
            return None;
        }
        while at < bytes.len() {
            let (entry, len) = Entry::decode(&bytes, at)?;
            canonical &= len == entry.encoded_len() && entry == Entry::of(&entry.item());
            let end = at + len + back_len(len);
            if end > bytes.len() || decode_back(&bytes, end)? != (len, back_len(len)) {
                return None;
            }
            (at, count) = (end, count + 1);
        }
        let packed = Packed { bytes: bytes.into(), count };
        if canonical {
            return Some(packed);
        }
        // Without this, a search for a number would not see one that is kept as text.
        let mut anew = Packed::new();
        packed.iter().try_for_each(|item| anew.push(&item)).ok()?;
        Some(anew)
    }

    /// Takes so many entries as [`Self::as_bytes`] gave them. O(1).
    #[inline]
    pub(super) fn of_parts(bytes: Buffer, count: usize) -> Self {
        Packed { bytes, count: count as u32 }
    }

    /// Whether the bytes are somebody else's.
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        self.bytes.is_lent()
    }

    /// The encoded entries. O(1).
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of entries. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no entry. O(1).
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the allocation. O(1).
    pub fn memory(&self) -> usize {
        self.bytes.memory()
    }

    /// Whether so many texts of together `bytes` bytes can be added. O(1).
    pub fn has_room(&self, texts: usize, bytes: usize) -> bool {
        texts.checked_mul(MAX_OVERHEAD).and_then(|more| more.checked_add(bytes)).is_some_and(|more| self.admits(more))
    }

    fn admits(&self, more: usize) -> bool {
        self.bytes.len().checked_add(more).is_some_and(|all| all <= MAX_BYTES)
    }

    /// Reserves memory for so many further bytes of entries (within [`MAX_BYTES`]). O(n) if it has to grow.
    pub fn reserve(&mut self, more: usize) {
        let need = self.bytes.len().saturating_add(more).min(MAX_BYTES);
        if need > self.bytes.capacity() {
            // Exactly what the allocator gives for it: classes grow by a quarter, which is enough to make pushing
            // cheap, and nothing is wasted.
            self.bytes.grow_to(malloc_size(need));
        }
    }

    /// The first entry. O(1).
    #[inline]
    pub fn first(&self) -> Option<Position> {
        (self.count > 0).then_some(Position(0))
    }

    /// The last entry. O(1).
    pub fn last(&self) -> Option<Position> {
        self.before(self.bytes.len())
    }

    /// Behind the last entry, where [`Self::insert`] appends. O(1).
    pub fn end(&self) -> Position {
        Position(self.bytes.len())
    }

    /// The entry after `at`. O(1).
    #[inline]
    pub fn next(&self, at: Position) -> Option<Position> {
        let end = self.end_of(at.0)?;
        (end < self.bytes.len()).then_some(Position(end))
    }

    /// The entry before `at`, which may be [`Self::end`]. O(1).
    pub fn previous(&self, at: Position) -> Option<Position> {
        self.before(at.0)
    }

    /// The entry `steps` after `at`. O(steps).
    pub fn skip(&self, at: Position, steps: usize) -> Option<Position> {
        (0..steps).try_fold(at, |at, _| self.next(at))
    }

    /// The entry with this index, counted from the nearer end. O(n).
    pub fn position(&self, index: usize) -> Option<Position> {
        if index >= self.len() {
            return None;
        }
        if index <= self.len() / 2 {
            return self.skip(Position(0), index);
        }
        (index..self.len()).try_fold(self.end(), |at, _| self.previous(at))
    }

    fn end_of(&self, at: usize) -> Option<usize> {
        let (_, len) = Entry::decode(&self.bytes, at)?;
        Some(at + len + back_len(len))
    }

    fn before(&self, end: usize) -> Option<Position> {
        let (len, back) = decode_back(&self.bytes, end)?;
        end.checked_sub(len)?.checked_sub(back).map(Position)
    }

    /// Whether no two entries are equal among those at every `stride`-th place. O(n).
    pub fn is_distinct(&self, stride: usize) -> bool {
        let items: Vec<_> = self.iter().step_by(stride).collect();
        distinct(items.iter().copied())
    }

    /// The element at a place. O(1).
    #[inline]
    pub fn entry(&self, at: Position) -> Option<Entry<'_>> {
        Some(Entry::decode(&self.bytes, at.0)?.0)
    }

    /// The element at a place, as text. O(1).
    #[inline]
    pub fn get(&self, at: Position) -> Option<Item<'_>> {
        self.entry(at).map(Entry::item)
    }

    /// All elements in order, or in reverse. O(1) a step.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: &self.bytes, front: 0, back: self.bytes.len(), left: self.len() }
    }

    /// `count` elements from `at` on; fewer if there are fewer. O(1) a step forward; a step back is only right if
    /// `count` reaches the end.
    pub fn iter_from(&self, at: Position, count: usize) -> Iter<'_> {
        Iter { bytes: &self.bytes, front: at.0, back: self.bytes.len(), left: count }
    }

    /// The first place from `from` on, in steps of `stride` entries, that holds this text. O(n).
    pub fn find(&self, text: &[u8], from: Position, stride: usize) -> Option<Position> {
        let wanted = Entry::of(text);
        let (mut at, mut skip) = (from.0, 0);
        while let Some((entry, len)) = Entry::decode(&self.bytes, at) {
            if skip == 0 {
                if entry == wanted {
                    return Some(Position(at));
                }
                skip = stride;
            }
            skip = skip.saturating_sub(1);
            at += len + back_len(len);
        }
        None
    }

    /// Appends a text. O(length), amortised.
    pub fn push(&mut self, text: &[u8]) -> Result<(), Full> {
        self.insert(self.end(), Entry::of(text))
    }

    /// Inserts before `at`; at [`Self::end`], appends. O(n).
    pub fn insert(&mut self, at: Position, entry: Entry<'_>) -> Result<(), Full> {
        let count = self.count.checked_add(1).ok_or(Full)?;
        self.splice(at.0.min(self.bytes.len()), 0, entry)?;
        self.count = count;
        Ok(())
    }

    /// Puts another element in the place of that at `at`; appends if none is there. O(n).
    pub fn replace(&mut self, at: Position, entry: Entry<'_>) -> Result<(), Full> {
        match self.end_of(at.0) {
            Some(end) => self.splice(at.0, end.min(self.bytes.len()) - at.0, entry),
            None => self.insert(self.end(), entry),
        }
    }

    /// Removes up to `count` entries from `at` on and tells how many. What followed them is then at `at`. O(n).
    pub fn remove(&mut self, at: Position, count: usize) -> usize {
        let (mut end, mut removed) = (at.0, 0);
        while let Some(next) = (removed < count).then(|| self.end_of(end)).flatten() {
            (end, removed) = (next, removed + 1);
        }
        if removed > 0 {
            self.bytes.cut(at.0..end.min(self.bytes.len()));
            self.count = self.count.saturating_sub(removed as u32);
            self.shrink();
        }
        removed
    }

    /// Gives memory back when less than half of it is used.
    fn shrink(&mut self) {
        let fitting = malloc_size(self.bytes.len());
        if fitting <= self.bytes.capacity() / 2 {
            self.bytes.shrink_to(fitting);
        }
    }

    /// Writes an entry over `old` bytes at `at`.
    fn splice(&mut self, at: usize, old: usize, entry: Entry<'_>) -> Result<(), Full> {
        let len = entry.encoded_len();
        let new = len.saturating_add(back_len(len));
        if !self.admits(new) {
            return Err(Full);
        }
        let behind = at + old;
        if new > old {
            self.reserve(new - old);
            let end = self.bytes.len();
            self.bytes.resize(end + new - old);
            self.bytes.copy_within(behind..end, at + new);
        } else {
            self.bytes.cut(at + new..behind);
        }
        let (element, back) = self.bytes[at..at + new].split_at_mut(len);
        entry.encode(element);
        encode_back(len, back);
        if new < old {
            self.shrink();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over a packed sequence.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
    left: usize,
}

impl<'a> Iter<'a> {
    /// The place of the next element. O(1).
    #[inline]
    pub fn position(&self) -> Position {
        Position(self.front)
    }

    /// The next element as it is stored. O(1).
    #[inline]
    pub fn next_entry(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (entry, len) = Entry::decode(self.bytes, self.front)?;
        self.front += len + back_len(len);
        Some(entry)
    }

    /// The last element as it is stored. O(1).
    pub fn next_entry_back(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (len, back) = decode_back(self.bytes, self.back)?;
        self.back = self.back.checked_sub(len)?.checked_sub(back)?;
        Some(Entry::decode(self.bytes, self.back)?.0)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.next_entry().map(Entry::item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.next_entry_back().map(Entry::item)
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
