//! Numbers as Redis reads and prints them.

/// The longest text of a 64-bit integer: a sign and 19 digits, or 20 digits.
const LONGEST: usize = 20;

/// Parses a signed integer as strictly as Redis does: an optional `-`, no `+`, no leading zero, no `-0`, no white space, no overflow.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match *text {
        [b'-', b'1'..=b'9', ..] => {
            // Its magnitude may be one more than a positive number's.
            0i64.checked_sub_unsigned(parse_u64(&text[1..])?)
        }
        _ => i64::try_from(parse_u64(text)?).ok(),
    }
}

/// Parses an unsigned integer: no sign, no leading zero, no white space, no overflow.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match *text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= LONGEST => text.iter().try_fold(0u64, |sum, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}
