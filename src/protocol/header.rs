//! The lines of the protocol: a type byte, a number and a line end.

use super::number;

/// A type byte and a number up to the end of the line.
pub(super) enum Header {
    /// The number, and the offset behind the line.
    Number(i64, usize),
    /// The line is not finished. It has no CR before this offset.
    Unfinished(usize),
    /// It is no number.
    Invalid,
    /// The line is longer than it may be.
    Endless,
}

/// The type byte and the number of the header at the offset `at`, and the offset behind it: of a plain one of up to four digits
/// with eight bytes of the buffer from its start on, as nearly all are. `None` says nothing.
#[inline]
pub(super) fn plain(buf: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let word = u64::from_le_bytes(*buf.get(at..)?.first_chunk()?);
    let byte = |index: usize| (word >> (8 * index)) as u8;
    let first = byte(1).wrapping_sub(b'0');
    if first > 9 {
        return None;
    }
    let mut number = usize::from(first);
    if byte(2) == b'\r' {
        return Some((byte(0), number, at + 4));
    }
    for index in 2..5 {
        let digit = byte(index).wrapping_sub(b'0');
        if digit > 9 || first == 0 {
            return None;
        }
        number = number * 10 + usize::from(digit);
        if byte(index + 1) == b'\r' {
            return Some((byte(0), number, at + index + 3));
        }
    }
    None
}

/// Parses the header at the offset `at`. The line end is searched from `searched` on.
#[inline]
pub(super) fn header(buf: &[u8], at: usize, searched: usize, limit: usize) -> Header {
    let mut number = 0;
    // One to nine digits without a leading zero, or a single zero: nearly all headers there are.
    for (index, &byte) in buf.get(at + 1..).unwrap_or_default().iter().take(10).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let next = at + index + 3;
            if byte == b'\r' && index > 0 && next <= buf.len() {
                return Header::Number(number, next);
            }
            break;
        }
        if index > 0 && number == 0 {
            break;
        }
        number = number * 10 + i64::from(digit);
    }
    unusual_header(buf, at, searched, limit)
}

/// [`header`] for everything else.
#[cold]
fn unusual_header(buf: &[u8], at: usize, searched: usize, limit: usize) -> Header {
    let rest = buf.get(at..).unwrap_or_default();
    let Some(end) = find(rest, b'\r', searched.saturating_sub(at), limit) else {
        return if rest.len() > limit { Header::Endless } else { Header::Unfinished(buf.len()) };
    };
    if end + 2 > rest.len() {
        return Header::Unfinished(at + end);
    }
    match rest.get(1..end).and_then(number::parse_i64) {
        Some(number) => Header::Number(number, at + end + 2),
        None => Header::Invalid,
    }
}

/// The offset of the first `byte` in `buf`, if it is at most `limit`. The bytes before `from` are
/// known to be others.
///
/// The limit makes an overlong line an error wherever the pieces in which it arrives are cut.
pub(super) fn find(buf: &[u8], byte: u8, from: usize, limit: usize) -> Option<usize> {
    let end = buf.len().min(limit.saturating_add(1));
    let found = buf.get(from..end)?.iter().position(|other| *other == byte)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_what_a_close_look_finds() {
        let numbers =
            ["", "-1", "+1", "0", "00", "01", "7", "10", "64", "99", "100", "4096", "9999", "10000", "1x", "/", ":"];
        let ends = ["\r\n", "\r\r", "\r", "\n", "", "\r\n$", "\r\nabcdefghij"];
        let mut plainly = 0;
        for (number, end) in numbers.iter().flat_map(|number| ends.iter().map(move |end| (number, end))) {
            let buf = format!("..${number}{end}").into_bytes();
            let close = header(&buf, 2, 2, 1000);
            if let Some((kind, value, next)) = plain(&buf, 2) {
                plainly += 1;
                assert_eq!(kind, b'$');
                assert!(
                    matches!(close, Header::Number(number, end) if number == value as i64 && end == next),
                    "{}: {value}, {next}",
                    buf.escape_ascii()
                );
            }
        }
        assert!(plainly > 8, "{plainly}");
        assert_eq!((plain(b"$1\r\na\r\n", 9), plain(b"", usize::MAX)), (None, None));
    }
}
