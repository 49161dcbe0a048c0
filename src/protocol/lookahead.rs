//! A glance at the requests that follow, to fetch their keys' memory before they run.

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
    let (count, mut rest) = header(buf, b'*')?;
    if !(1..=64).contains(&count) {
        return None;
    }
    let mut second: &[u8] = &[];
    for index in 0..count {
        let (len, payload) = header(rest, b'$')?;
        if index == 1 {
            second = payload.get(..len)?;
        }
        rest = payload.get(len.checked_add(2)?..)?;
    }
    Some((second, rest))
}

/// The number in a header line of up to seven digits, and what follows the line.
#[inline]
fn header(buf: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let (&first, digits) = buf.split_first()?;
    if first != kind {
        return None;
    }
    let mut value = 0;
    for (at, &byte) in digits.iter().take(8).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (byte == b'\r' && at > 0).then(|| digits.get(at + 2..)).flatten().map(|rest| (value, rest));
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
