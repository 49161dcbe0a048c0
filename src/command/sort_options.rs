//! The options of SORT.

use std::borrow::Cow;
use std::ops::Range;

use super::Error;
use super::sort_pattern::Pattern;
use crate::protocol::{Args, number};

/// What a call says behind its key.
#[derive(Clone, Debug)]
pub(super) struct Options<'a> {
    /// `DESC`.
    pub(super) descending: bool,
    /// `ALPHA`: by bytes, not by numbers.
    pub(super) alphabetic: bool,
    /// `BY` a name without `*`: as the elements are stored.
    pub(super) unsorted: bool,
    /// `BY`: where the weights are.
    pub(super) by: Option<Pattern<'a>>,
    /// `GET`: what is replied of each element instead of the element.
    pub(super) gets: Vec<Pattern<'a>>,
    /// `STORE`: which word names the key that the result goes to.
    pub(super) store: Option<usize>,
    offset: i64,
    count: i64,
}

/// What a call is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct May {
    /// `STORE`, which SORT_RO does not have.
    pub(super) store: bool,
    /// To read keys that the call does not name, which only those may who may read all keys.
    pub(super) read_derived: bool,
}

impl May {
    /// Everything.
    pub(super) const ALL: May = May { store: true, read_derived: true };
}

const BY_DENIED: Error =
    Error::Reply(Cow::Borrowed("ERR BY option of SORT denied due to insufficient ACL permissions."));
const GET_DENIED: Error =
    Error::Reply(Cow::Borrowed("ERR GET option of SORT denied due to insufficient ACL permissions."));

impl<'a> Options<'a> {
    /// Reads the words behind the key.
    pub(super) fn parse(words: Args<'a>, may: May) -> Result<Self, Error> {
        let mut options = Options {
            descending: false,
            alphabetic: false,
            unsorted: false,
            by: None,
            gets: Vec::new(),
            store: None,
            offset: 0,
            count: -1,
        };
        let mut at = 0;
        while let Some(word) = words.nth(at) {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let left = words.len() - at - 1;
            at += 1;
            if is(b"asc") {
                options.descending = false;
            } else if is(b"desc") {
                options.descending = true;
            } else if is(b"alpha") {
                options.alphabetic = true;
            } else if is(b"limit") && left >= 2 {
                let integer = |index: usize| number::parse_i64(words.get(index)).ok_or(Error::NOT_INTEGER);
                (options.offset, options.count) = (integer(at)?, integer(at + 1)?);
                at += 2;
            } else if is(b"store") && left >= 1 && may.store {
                options.store = Some(at);
                at += 1;
            } else if is(b"by") && left >= 1 {
                let by = Pattern::parse(words.get(at));
                if by.names_keys() && !may.read_derived {
                    return Err(BY_DENIED);
                }
                // One name without a place for the element is enough, also beside another one with it.
                options.unsorted |= !by.names_keys();
                options.by = Some(by);
                at += 1;
            } else if is(b"get") && left >= 1 {
                // Whatever stands behind it, as in Redis.
                if !may.read_derived {
                    return Err(GET_DENIED);
                }
                options.gets.push(Pattern::parse(words.get(at)));
                at += 1;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether values of keys are read whose names derive from the elements.
    pub(super) fn reads_derived_keys(&self) -> bool {
        let weighs = !self.unsorted && self.by.is_some();
        weighs || self.gets.iter().any(Pattern::names_keys)
    }

    /// Which of `len` elements `LIMIT` leaves.
    pub(super) fn window(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(len - start);
        start..start + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Frame;

    fn window(offset: i64, count: i64, len: usize) -> Range<usize> {
        let words = [b"LIMIT".to_vec(), offset.to_string().into(), count.to_string().into()];
        let frame: Frame = words.iter().map(Vec::as_slice).collect();
        Options::parse(frame.args(), May::ALL).expect("valid").window(len)
    }

    #[test]
    fn limits_are_cut_off() {
        assert_eq!(window(0, -1, 5), 0..5);
        assert_eq!(window(1, 2, 5), 1..3);
        assert_eq!(window(-7, 2, 5), 0..2);
        assert_eq!(window(4, i64::MAX, 5), 4..5);
        assert_eq!(window(2, i64::MIN, 5), 2..5);
        assert_eq!(window(5, 1, 5), 5..5);
        assert_eq!(window(i64::MAX, i64::MAX, 5), 5..5);
        assert_eq!(window(0, 0, 5), 0..0);
        assert_eq!(window(0, 1, 0), 0..0);
    }
}
