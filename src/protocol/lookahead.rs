//! A glance at the requests that follow, to fetch their keys' memory before they run.

use super::header::plain;

/// The second argument of each whole request at the head of a buffer; an empty one where a request has none.
///
/// It is a guess for caches: nothing is validated beyond what walking needs, the first thing out of the ordinary (an inline
/// command, an unfinished request, one of more than 64 arguments) ends it, and a second argument need not be a key.
#[derive(Debug)]
pub struct SecondArguments<'a> {
    rest: &'a [u8],
}

impl<'a> SecondArguments<'a> {
    /// Those of the requests at the head of `buf`.
    #[inline]
    pub fn of(buf: &'a [u8]) -> Self {
        SecondArguments { rest: buf }
    }

    /// Whether the buffer ends here.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for SecondArguments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (second, rest) = request(self.rest)?;
        self.rest = rest;
        Some(second)
    }
}

/// The second argument of the request at the head of `buf`, and what follows the request.
#[inline]
fn request(buf: &[u8]) -> Option<(&[u8], &[u8])> {
    let (b'*', count @ 1..=64, mut at) = line(buf, 0)? else { return None };
    let mut second: &[u8] = &[];
    for index in 0..count {
        let (b'$', len, start) = line(buf, at)? else { return None };
        let end = start.checked_add(len)?;
        if index == 1 {
            second = buf.get(start..end)?;
        }
        at = end.checked_add(2)?;
    }
    Some((second, buf.get(at..)?))
}

/// The type and the number of the header line at the offset `at`, and the offset behind it.
#[inline]
fn line(buf: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    plain(buf, at).or_else(|| long(buf, at))
}

/// The same of up to seven digits, and close to the buffer's end.
#[cold]
fn long(buf: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let (&kind, digits) = buf.get(at..)?.split_first()?;
    let mut value = 0;
    for (index, &byte) in digits.iter().take(8).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let next = at + index + 3;
            return (byte == b'\r' && index > 0 && next <= buf.len()).then_some((kind, value, next));
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(buf: &[u8]) -> Vec<&[u8]> {
        SecondArguments::of(buf).collect()
    }

    #[test]
    fn keys_of_whole_requests() {
        let buf = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$2\r\nbb\r\n$10\r\n0123456789\r\n*2\r\n$3\r\nGE";
        assert_eq!(look(buf), [&b"a"[..], b"", b"bb"]);
        for end in 0..buf.len() {
            assert!(look(&buf[..end]).len() <= 3);
        }
    }

    #[test]
    fn anything_else_ends_it() {
        for buf in [
            &b"PING\r\n"[..],
            b"*-1\r\n",
            b"*0\r\n",
            b"*65\r\n",
            b"*2\r\n$-1\r\n",
            b"*1\r\n$99999999999999999999\r\n",
            b"*\r\n",
        ] {
            assert!(look(buf).is_empty(), "{}", buf.escape_ascii());
        }
    }
}
