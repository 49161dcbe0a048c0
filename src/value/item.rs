//! One element as commands see it: text, whether it is stored as text or as a number.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;

/// The longest text of an `i64`.
const LONGEST: usize = 20;

/// An element of a collection, lent by it. Dereferences to its text; a number's digits are inside the item, so
/// nothing is allocated.
#[derive(Clone, Copy)]
pub struct Item<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Text(&'a [u8]),
    Digits { digits: [u8; LONGEST], start: u8, value: i64 },
}

impl<'a> Item<'a> {
    /// An element that is stored as text. O(1).
    #[inline]
    pub fn text(bytes: &'a [u8]) -> Self {
        Item(Form::Text(bytes))
    }

    /// An element that is stored as a number; formats it. O(digits).
    pub fn integer(value: i64) -> Self {
        let mut digits = [0; LONGEST];
        let mut start = LONGEST;
        let mut rest = value.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        Item(Form::Digits { digits, start: start as u8, value })
    }

    /// The number, if the element is stored as one. Text that merely looks like a number gives none. O(1).
    #[inline]
    pub fn as_integer(&self) -> Option<i64> {
        match self.0 {
            Form::Text(_) => None,
            Form::Digits { value, .. } => Some(value),
        }
    }

    /// The text with the collection's lifetime, if the element is stored as text. O(1).
    #[inline]
    pub fn as_stored_text(&self) -> Option<&'a [u8]> {
        match self.0 {
            Form::Text(bytes) => Some(bytes),
            Form::Digits { .. } => None,
        }
    }
}

/// Whether no two of these texts are equal. O(n).
pub fn distinct<'a>(items: impl ExactSizeIterator<Item = Item<'a>> + Clone) -> bool {
    // Up to so many, comparing each with each is faster than hashing.
    if items.len() <= 8 {
        let mut rest = items.clone();
        return items.into_iter().all(|item| {
            rest.next();
            rest.clone().all(|other| other != item)
        });
    }
    let mut seen = HashSet::with_capacity_and_hasher(items.len(), foldhash::quality::RandomState::default());
    items.into_iter().all(|item| seen.insert(item))
}

impl Deref for Item<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Text(bytes) => bytes,
            Form::Digits { digits, start, .. } => digits.get(usize::from(*start)..).unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for Item<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Item<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Item<'_> {}

impl PartialOrd for Item<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl std::hash::Hash for Item<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed() {
        for value in [0, 7, -7, 10, 1234567890, i64::MAX, i64::MIN] {
            assert_eq!(&*Item::integer(value), value.to_string().as_bytes());
            assert_eq!(Item::integer(value).as_integer(), Some(value));
        }
    }

    #[test]
    fn equal_texts_are_found_among_few_and_many() {
        for len in [0, 1, 2, 8, 9, 100] {
            let items: Vec<_> = (0..len).map(Item::integer).collect();
            assert!(distinct(items.iter().copied()), "{len}");
            for again in 0..items.len() {
                let items: Vec<_> = items.iter().chain([&Item::text(&items[again])]).copied().collect();
                assert!(!distinct(items.iter().copied()), "{again} of {len}");
            }
        }
    }

    #[test]
    fn text_and_number_of_the_same_digits_are_equal() {
        assert_eq!(Item::integer(-12), Item::text(b"-12"));
        assert!(Item::integer(12) < Item::text(b"2"));
        assert_eq!(Item::text(b"12").as_integer(), None);
        assert_eq!(Item::text(b"12").as_stored_text(), Some(&b"12"[..]));
        assert_eq!(Item::integer(12).as_stored_text(), None);
    }
}
