//! Inline commands: a line of words as a person types it into telnet.
//!
//! The quoting rules are those of Redis 7.0, found by experiment: white space separates words;
//! inside double quotes `\n \r \t \b \a`, `\xHH` and any other escaped byte work; inside single
//! quotes only `\'` does; quotes may begin in the middle of a word, but a closing quote must be
//! followed by white space or the end of the line. Outside quotes a backslash means itself. White
//! space before a word includes vertical tab and form feed, though neither ends an unquoted word.
//! Unlike Redis, which treats a NUL byte as the end of what it received and then waits for 64 KiB
//! to come, a NUL is a byte like any other.

use super::args::Span;

/// A quote that is not closed, or closed in the middle of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbalanced;

/// Splits `line` (without its line end) into words and appends their places to `spans`.
///
/// Returns whether any word had to be decoded. If so, the places are those in `decoded`, which then
/// holds all words; otherwise they are those in `line`, and `decoded` is untouched.
///
/// # Errors
/// [`Unbalanced`], with `spans` and `decoded` in an unspecified state.
pub fn split(line: &[u8], spans: &mut Vec<Span>, decoded: &mut Vec<u8>) -> Result<bool, Unbalanced> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        let mut rest = trim(line);
        while !rest.is_empty() {
            let start = decoded.len();
            rest = trim(word(rest, decoded)?);
            spans.push(Span::near(start, decoded.len() - start));
        }
        return Ok(true);
    }
    let mut at = 0;
    loop {
        at += line[at..].iter().take_while(|byte| is_space(**byte)).count();
        if at == line.len() {
            return Ok(false);
        }
        let len = line[at..].iter().take_while(|byte| !ends_word(**byte)).count();
        spans.push(Span::near(at, len));
        at += len;
    }
}

/// Decodes the word at the start of `rest`, which does not begin with white space, and returns what
/// follows it.
fn word<'a>(mut rest: &'a [u8], decoded: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' => return double_quoted(tail, decoded),
            b'\'' => return single_quoted(tail, decoded),
            _ if ends_word(byte) => return Ok(rest),
            _ => decoded.push(byte),
        }
        rest = tail;
    }
    Ok(rest)
}

/// Decodes up to the closing double quote, which also ends the word.
fn double_quoted<'a>(mut rest: &'a [u8], decoded: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match *rest {
            [] => return Err(Unbalanced),
            [b'"', ref tail @ ..] => return closed(tail),
            [b'\\', b'x', high, low, ref tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(high) << 4 | hex(low));
                tail
            }
            [b'\\', escaped, ref tail @ ..] => {
                decoded.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                tail
            }
            [byte, ref tail @ ..] => {
                decoded.push(byte);
                tail
            }
        }
    }
}

/// Decodes up to the closing single quote, which also ends the word.
fn single_quoted<'a>(mut rest: &'a [u8], decoded: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match *rest {
            [] => return Err(Unbalanced),
            [b'\\', b'\'', ref tail @ ..] => {
                decoded.push(b'\'');
                tail
            }
            [b'\'', ref tail @ ..] => return closed(tail),
            [byte, ref tail @ ..] => {
                decoded.push(byte);
                tail
            }
        }
    }
}

/// What follows a closing quote, which must be white space or nothing.
fn closed(tail: &[u8]) -> Result<&[u8], Unbalanced> {
    match tail.first() {
        Some(byte) if !is_space(*byte) => Err(Unbalanced),
        _ => Ok(tail),
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace` in its plain locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The bytes that end an unquoted word.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The line from its first byte that is not white space.
fn trim(line: &[u8]) -> &[u8] {
    let blank = line.iter().take_while(|byte| is_space(**byte)).count();
    &line[blank..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::args::Args;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut spans, mut decoded) = (Vec::new(), Vec::new());
        let moved = split(line, &mut spans, &mut decoded).ok()?;
        let buf = if moved { &decoded[..] } else { line };
        Some(Args::new(buf, &spans, &[]).iter().map(<[u8]>::to_vec).collect())
    }

    /// Every pair is what redis-server 7.0.15 answered.
    #[test]
    fn words_are_split_as_redis_splits_them() {
        let cases: [(&[u8], &[&[u8]]); 19] = [
            (b"PING", &[b"PING"]),
            (b"", &[]),
            (b" \t\x0b\x0c\r ", &[]),
            (b"  SET  a\tb ", &[b"SET", b"a", b"b"]),
            (b"ECHO a\\ b", &[b"ECHO", b"a\\", b"b"]),
            (b"\x0bECHO\x0bx y", &[b"ECHO\x0bx", b"y"]),
            (b"ECHO \x0b a", &[b"ECHO", b"a"]),
            (b"ECHO a\rb", &[b"ECHO", b"a", b"b"]),
            (br#"ECHO "a\x41\n\r\t\b\a\q\xzz""#, &[b"ECHO", b"aA\n\r\t\x08\x07qxzz"]),
            (br#"ECHO "\xfF\x00""#, &[b"ECHO", b"\xff\0"]),
            (br#"ECHO "a\x4""#, &[b"ECHO", b"ax4"]),
            (br#"ECHO 'a\'b\n"'"#, &[b"ECHO", br#"a'b\n""#]),
            (br#"ECHO "a" "#, &[b"ECHO", b"a"]),
            (b"ECHO \"a\"\x0b", &[b"ECHO", b"a"]),
            (br#"ECHO a"b c""#, &[b"ECHO", b"ab c"]),
            (br#"ECHO """#, &[b"ECHO", b""]),
            (br#"ECHO '' "" x"#, &[b"ECHO", b"", b"", b"x"]),
            (b"ECHO \"a\r\"", &[b"ECHO", b"a\r"]),
            (br#"ECHO "\"\\" b"#, &[b"ECHO", br#""\"#, b"b"]),
        ];
        for (line, expected) in cases {
            assert_eq!(
                words(line).as_deref(),
                Some(&expected.iter().map(|word| word.to_vec()).collect::<Vec<_>>()[..]),
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [
            &br#"ECHO "a"b"#[..],
            br#"ECHO "abc"#,
            b"ECHO 'abc",
            br#"ECHO a"b"c"#,
            br#"ECHO "a\"#,
            br#"ECHO "a\""#,
            br"ECHO 'a\'",
            b"'a''b'",
            b"\"",
        ] {
            assert_eq!(words(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_nul_is_a_byte_like_any_other() {
        assert_eq!(words(b"ECHO a\0b"), Some(vec![b"ECHO".to_vec(), b"a\0b".to_vec()]));
        assert_eq!(words(b"ECHO 'a\0b'"), Some(vec![b"ECHO".to_vec(), b"a\0b".to_vec()]));
    }
}
