//! Strings as commands see them: one view of all the ways in which the store keeps them, and changes in place.

use super::Error;
use crate::protocol::{Args, Reply};
use crate::store::{EMBEDDED_MAX, Entry, Ttl, Value};

/// A string as its record holds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum StringValue<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// The decimal form of an integer.
    Integer(i64),
}

/// The string in a value, or nothing where there is no key; `WRONGTYPE` for any other type.
#[inline]
pub(super) fn string_of(value: Option<Value<'_>>) -> Result<Option<StringValue<'_>>, Error> {
    match value {
        None => Ok(None),
        Some(Value::Embedded { bytes, .. }) => Ok(Some(StringValue::Bytes(bytes))),
        Some(Value::Integer(value)) => Ok(Some(StringValue::Integer(value))),
        Some(Value::Boxed(object)) => match object.as_string() {
            Some(string) => Ok(Some(StringValue::Bytes(string))),
            None => Err(Error::WRONG_TYPE),
        },
        Some(Value::Compact(_)) => Err(Error::WRONG_TYPE),
    }
}

impl<'a> StringValue<'a> {
    /// The bytes; those of an integer are written into `digits`.
    #[inline]
    pub(super) fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StringValue::Bytes(bytes) => bytes,
            StringValue::Integer(value) => digits.format(value).as_bytes(),
        }
    }

    /// The length in bytes.
    pub(super) fn len(self) -> usize {
        self.bytes(&mut itoa::Buffer::new()).len()
    }
}

/// Replies a string, or the null where there is none.
#[inline]
pub(super) fn reply_string(reply: &mut Reply<'_>, string: Option<StringValue<'_>>) {
    match string {
        None => reply.null(),
        Some(StringValue::Bytes(bytes)) => reply.bulk(bytes),
        Some(StringValue::Integer(value)) => reply.bulk_integer(value),
    }
}

/// Sets a key to an argument, without a copy where that came in memory of its own. A time to live that is over at `now_ms`
/// removes the key at once instead.
#[inline]
pub(super) fn set_argument(entry: &mut Entry<'_>, args: Args<'_>, index: usize, ttl: Ttl, now_ms: u64) {
    if let Ttl::At(due) = ttl
        && due <= now_ms
    {
        entry.remove();
        return;
    }
    match args.take_big(index) {
        Some(bytes) => entry.set_owned(bytes.into(), ttl),
        None => entry.set_string(args.get(index), ttl),
    }
}

/// Changes the string of an entry, an empty one where there is no key: a long string in its own memory, a short one by
/// writing it anew. The caller has seen by [`string_of`] that it is a string. `change` makes it `len` bytes long unless it is
/// longer already, and must not fail after it has changed something.
pub(super) fn edit<R>(
    entry: &mut Entry<'_>,
    len: usize,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Error>,
) -> Result<R, Error> {
    if let Some(string) = entry.string_mut() {
        return change(string.make_mut());
    }
    let mut digits = itoa::Buffer::new();
    let old = string_of(entry.value())?.map_or(&b""[..], |string| string.bytes(&mut digits));
    // Room for the whole result at once, unless it is so long that there may be none: then `change` asks for it.
    let mut bytes = Vec::with_capacity(if len <= EMBEDDED_MAX { len.max(old.len()) } else { old.len() });
    bytes.extend_from_slice(old);
    let result = change(&mut bytes)?;
    entry.set_raw(bytes, Ttl::Keep);
    Ok(result)
}

/// Appends zeroes up to `len` bytes. The memory is asked for first, because `len` may be whatever a client and the limit on
/// strings name; Redis ends when it gets none.
pub(super) fn grow(bytes: &mut Vec<u8>, len: usize) -> Result<(), Error> {
    if len > bytes.len() {
        bytes.try_reserve(len - bytes.len()).map_err(|_| Error::NO_MEMORY)?;
        bytes.resize(len, 0);
    }
    Ok(())
}

/// The sum of two lengths, as long as a string of it is allowed: `limit` is `proto-max-bulk-len`.
pub(super) fn checked_len(len: usize, more: usize, limit: u64) -> Result<usize, Error> {
    len.checked_add(more).filter(|&sum| sum as u64 <= limit).ok_or(Error::TOO_LONG)
}

/// The part of `len` elements that `start` to `end` (inclusive; negative ones count from the end) names, as first and last
/// index; `None` if it is empty.
pub(super) fn span(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let len = i64::try_from(len).ok()?;
    let absolute = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (start, end) = (absolute(start), absolute(end).min(len - 1));
    (start <= end).then_some((start as usize, end as usize))
}

/// Whether both ends count from the end of the string and are the wrong way round. Most commands see nothing in such a range,
/// even where cutting both off at the start would leave the first element.
pub(super) fn is_reversed(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_off_at_both_ends() {
        for (start, end, len, expected) in [
            (0, -1, 5, Some((0, 4))),
            (1, 2, 5, Some((1, 2))),
            (-2, 100, 5, Some((3, 4))),
            (-100, 0, 5, Some((0, 0))),
            (5, 9, 5, None),
            (3, 2, 5, None),
            (0, 0, 0, None),
            (i64::MIN, i64::MAX, 5, Some((0, 4))),
            (i64::MAX, i64::MIN, 5, None),
            (i64::MIN, i64::MIN, 5, Some((0, 0))),
        ] {
            assert_eq!(span(start, end, len), expected, "{start} {end} of {len}");
        }
        assert!(is_reversed(-1, -2) && !is_reversed(-2, -1) && !is_reversed(2, 1));
    }

    #[test]
    fn lengths_are_limited() {
        assert_eq!(checked_len(3, 4, 7), Ok(7));
        assert_eq!(checked_len(3, 5, 7), Err(Error::TOO_LONG));
        assert_eq!(checked_len(usize::MAX, 1, u64::MAX), Err(Error::TOO_LONG));
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        let mut bytes = b"ab".to_vec();
        assert_eq!(grow(&mut bytes, usize::MAX), Err(Error::NO_MEMORY));
        assert_eq!(bytes, b"ab");
        assert_eq!(grow(&mut bytes, 4), Ok(()));
        assert_eq!(bytes, b"ab\0\0");
    }
}
