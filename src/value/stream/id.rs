//! The identifiers of stream entries.

use std::fmt;

/// Milliseconds and a sequence number within them. Ordered by both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, usually of the wall clock.
    pub ms: u64,
    /// Which one of the same millisecond.
    pub seq: u64,
}

/// An ID as a command names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Both parts.
    Whole(StreamId),
    /// `ms` alone: the sequence is the smallest or the largest, as the command has it.
    Milliseconds(u64),
    /// `ms-*`: the sequence is for the stream to choose.
    AnySequence(u64),
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last one.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// From its parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        StreamId { ms, seq }
    }

    /// The ID behind this one; `None` behind the last. O(1).
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The ID before this one; `None` before `0-0`. O(1).
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads an ID in one of the spellings that have a number (`-`, `+`, `*`, `$`, `>` and `(` are the command's). `None`
    /// if it is none. O(length), at most 127 bytes.
    ///
    /// Numbers may have what C's `strtoull` takes besides digits: white space and a sign before, leading zeros.
    pub fn parse(text: &[u8]) -> Option<Spelling> {
        if text.len() > 127 {
            return None;
        }
        let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
            return parse_number(text).map(Spelling::Milliseconds);
        };
        let ms = parse_number(&text[..dash])?;
        match &text[dash + 1..] {
            b"*" => Some(Spelling::AnySequence(ms)),
            seq => Some(Spelling::Whole(StreamId { ms, seq: parse_number(seq)? })),
        }
    }

    /// Appends the ID as `ms-seq`. O(digits).
    pub fn write(self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(self.ms).as_bytes());
        out.push(b'-');
        out.extend_from_slice(digits.format(self.seq).as_bytes());
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An unsigned number as `strtoull` reads it, all of the text. A plain negative number is none, but one that is not
/// plainly written wraps around, as in Redis.
fn parse_number(text: &[u8]) -> Option<u64> {
    let white = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[white..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if negative && white == 0 && digits[0] != b'0' && digits.len() <= 19 {
        return None;
    }
    let number =
        digits.iter().try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some(if negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_read() {
        let whole = |ms, seq| Some(Spelling::Whole(StreamId::new(ms, seq)));
        let cases: [(&[u8], Option<Spelling>); 18] = [
            (b"1-2", whole(1, 2)),
            (b"18446744073709551615-18446744073709551615", whole(u64::MAX, u64::MAX)),
            (b"18446744073709551616-0", None),
            (b"7", Some(Spelling::Milliseconds(7))),
            (b"7-*", Some(Spelling::AnySequence(7))),
            (b"*", None),
            (b"-", None),
            (b"+", None),
            (b"", None),
            (b"-1", None),
            (b"1-", None),
            (b"1--5", None),
            (b"1-2-3", None),
            (b"a-1", None),
            (b"1-*2", None),
            (b"007-+5", whole(7, 5)),
            (b" 1- 2", whole(1, 2)),
            (b"1 -2", None),
        ];
        for (text, spelling) in cases {
            assert_eq!(StreamId::parse(text), spelling, "{}", text.escape_ascii());
        }
        assert_eq!(StreamId::parse(&[b'1'; 128]), None);
    }

    #[test]
    fn neighbours_stop_at_the_edges() {
        assert_eq!(StreamId::new(3, u64::MAX).next(), Some(StreamId::new(4, 0)));
        assert_eq!(StreamId::new(4, 0).previous(), Some(StreamId::new(3, u64::MAX)));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
        let mut text = Vec::new();
        StreamId::new(u64::MAX, 5).write(&mut text);
        assert_eq!(text, b"18446744073709551615-5");
    }
}
