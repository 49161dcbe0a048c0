//! The grammar of requests once more, as plainly as possible and with the whole input at hand.

use roster::protocol::{Limits, ProtocolError};

use crate::driver::Outcome;

/// The requests of a connection that sent `input`.
pub(crate) fn outcome(mut input: &[u8], limits: &Limits) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        match request(&mut input, limits) {
            Some(Ok(words)) if words.is_empty() => outcome.empty += 1,
            Some(Ok(words)) => outcome.requests.push(words),
            Some(Err(error)) => {
                outcome.error = Some(error);
                return outcome;
            }
            None => return outcome,
        }
    }
}

fn request(input: &mut &[u8], limits: &Limits) -> Option<Result<Vec<Vec<u8>>, ProtocolError>> {
    if *input.first()? != b'*' {
        let Some(line) = take_line(input, b'\n', limits)? else {
            return Some(Err(ProtocolError::InlineLength));
        };
        return Some(words(line.strip_suffix(b"\r").unwrap_or(line)).ok_or(ProtocolError::UnbalancedQuotes));
    }
    let Some(line) = take_line(input, b'\r', limits)? else {
        return Some(Err(ProtocolError::MultibulkHeader));
    };
    let Some(count) = number(&line[1..]).filter(|count| *count <= limits.multibulk as i64) else {
        return Some(Err(ProtocolError::MultibulkLength));
    };
    if limits.unauthenticated && count > 10 {
        return Some(Err(ProtocolError::UnauthenticatedMultibulk));
    }
    let mut found = Vec::new();
    for _ in 0..count {
        let Some(line) = take_line(input, b'\r', limits)? else {
            return Some(Err(ProtocolError::BulkHeader));
        };
        match line.first() {
            Some(b'$') => {}
            other => return Some(Err(ProtocolError::ExpectedDollar(*other.unwrap_or(&b'\r')))),
        }
        match number(&line[1..]).and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= limits.bulk_len) {
            Some(len) if limits.unauthenticated && len > 16 * 1024 => {
                return Some(Err(ProtocolError::UnauthenticatedBulk));
            }
            Some(len) => {
                found.push(input.get(..len)?.to_vec());
                *input = input.get(len + 2..)?;
            }
            None => return Some(Err(ProtocolError::BulkLength)),
        }
    }
    Some(Ok(found))
}

/// The line up to `end`, which for CR has one more byte. `Some(None)` when it is too long.
fn take_line<'a>(input: &mut &'a [u8], end: u8, limits: &Limits) -> Option<Option<&'a [u8]>> {
    let at = input.iter().position(|byte| *byte == end).unwrap_or(usize::MAX);
    if at > limits.inline_len {
        return (input.len() > limits.inline_len).then_some(None);
    }
    let line = &input[..at];
    *input = input.get(at + 1 + usize::from(end == b'\r')..)?;
    Some(Some(line))
}

fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

/// A state machine over single bytes.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let (mut quote, mut inside, mut at) = (0, false, 0);
    while at < line.len() {
        let byte = line[at];
        at += 1;
        if quote == 0 {
            let space = if inside { b" \t\r\n".contains(&byte) } else { b" \t\r\n\x0b\x0c".contains(&byte) };
            if space {
                inside = false;
                continue;
            }
            if !inside {
                words.push(Vec::new());
                inside = true;
            }
            if byte == b'"' || byte == b'\'' {
                quote = byte;
            } else {
                words.last_mut()?.push(byte);
            }
        } else if byte == quote {
            if line.get(at).is_some_and(|next| !b" \t\r\n\x0b\x0c".contains(next)) {
                return None;
            }
            quote = 0;
            inside = false;
        } else if byte == b'\\' && quote == b'\'' && line.get(at) == Some(&b'\'') {
            words.last_mut()?.push(b'\'');
            at += 1;
        } else if byte == b'\\' && quote == b'"' && at < line.len() {
            let code =
                line.get(at + 1..at + 3).filter(|_| line[at] == b'x').and_then(|code| std::str::from_utf8(code).ok());
            let code = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
            if let Some(code) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                words.last_mut()?.push(code);
                at += 3;
            } else {
                let plain =
                    b"nrtba".iter().position(|letter| *letter == line[at]).map(|index| b"\n\r\t\x08\x07"[index]);
                words.last_mut()?.push(plain.unwrap_or(line[at]));
                at += 1;
            }
        } else {
            words.last_mut()?.push(byte);
        }
    }
    (quote == 0).then_some(words)
}
