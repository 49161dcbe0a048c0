//! A glance at the requests that follow, to fetch their keys' memory before they run.

/// Puts the second argument of each whole request at the head of `buf` into `keys`, and returns how many there were.
///
/// It is a guess for caches: nothing is validated beyond what walking needs, the first thing out of the ordinary (an inline
/// command, an unfinished request, one of more than 64 arguments) ends it, and a second argument need not be a key.
pub fn second_arguments<'a>(buf: &'a [u8], keys: &mut [&'a [u8]]) -> usize {
    let mut found = 0;
    let mut rest = buf;
    while found < keys.len() {
        let Some((second, behind)) = request(rest) else { break };
        keys[found] = second;
        found += 1;
        rest = behind;
    }
    found
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
        let mut keys = [&[][..]; 4];
        let found = second_arguments(buf, &mut keys);
        keys[..found].to_vec()
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

    #[test]
    fn no_more_than_asked_for() {
        assert_eq!(look(&b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(9)).len(), 4);
    }
}
