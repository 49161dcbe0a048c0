//! Numbers as Redis reads them; [`super::double`] prints them.
//!
//! Integers are strict. Floats are what C's `strtod` takes, less white space, NaN and results out
//! of range; hexadecimal floats are in. The long double of INCRBYFLOAT is [`super::extended`].

/// The longest text of a 64-bit integer without its sign, in digits.
const LONGEST: usize = 20;

/// Parses a signed integer as strictly as Redis does: an optional `-`, no `+`, no leading zero, no
/// `-0`, no white space, no overflow.
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

/// Parses a double: decimal or hexadecimal (`0x1.8p3`), `inf` or `infinity` in any case, with `+`
/// or `-` or none.
///
/// `None` for what is no number, NaN, what is too large for a double, and what is not zero but too
/// small for one. Found by experiment with ZADD on Redis 7.0.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, magnitude) = split_sign(text);
    if let [b'0', b'x' | b'X', hex @ ..] = magnitude {
        let Hex { mantissa, exponent, sticky } = Hex::parse(hex)?;
        let (mantissa, exponent) = round(mantissa, sticky, exponent, 53, -1074);
        if mantissa == 0 && !Hex::is_zero(hex) {
            return None;
        }
        let value = scale(mantissa, exponent)?;
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let lost = if value.is_infinite() { !is_infinity(magnitude) } else { value == 0.0 && has_digit(magnitude) };
    (!lost && !value.is_nan()).then_some(value)
}

/// Whether a decimal's mantissa has a digit other than zero.
pub(super) fn has_digit(magnitude: &[u8]) -> bool {
    let mantissa = magnitude.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    mantissa.copied().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Whether this is a spelling of infinity.
pub(super) fn is_infinity(magnitude: &[u8]) -> bool {
    magnitude.eq_ignore_ascii_case(b"inf") || magnitude.eq_ignore_ascii_case(b"infinity")
}

/// Whether there is a minus, and what follows the sign.
pub(super) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// A hexadecimal float: `mantissa` times two to the power of `exponent`.
pub(super) struct Hex {
    pub(super) mantissa: u128,
    pub(super) exponent: i64,
    /// Whether digits other than zero follow the mantissa.
    pub(super) sticky: bool,
}

impl Hex {
    /// Parses what follows `0x`: digits with an optional point, and optionally `p` and a decimal
    /// exponent.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|byte| matches!(byte, b'p' | b'P')).unwrap_or(text.len());
        let (mut mantissa, mut exponent, mut sticky) = (0u128, 0i64, false);
        let (mut digits, mut point) = (0, false);
        for &byte in &text[..end] {
            let digit = match byte {
                b'.' if !point => {
                    point = true;
                    continue;
                }
                _ => char::from(byte).to_digit(16)?,
            };
            digits += 1;
            exponent -= if point { 4 } else { 0 };
            if mantissa >> 120 == 0 {
                mantissa = mantissa << 4 | u128::from(digit);
            } else {
                sticky |= digit != 0;
                exponent += 4;
            }
        }
        if digits == 0 {
            return None;
        }
        if let Some(power) = text.get(end + 1..) {
            exponent = exponent.saturating_add(parse_exponent(power)?);
        }
        Some(Self { mantissa, exponent, sticky })
    }

    /// Whether a parsed text means zero.
    pub(super) fn is_zero(text: &[u8]) -> bool {
        let mut mantissa = text.iter().take_while(|byte| !matches!(byte, b'p' | b'P'));
        mantissa.all(|byte| matches!(byte, b'0' | b'.'))
    }
}

/// Parses the exponent of a float; one beyond all ranges is cut down to one that is still beyond
/// them.
pub(super) fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 40));
    Some(if negative { -value } else { value })
}

/// Rounds `mantissa` times two to the power of `exponent` to the nearest number with so many `bits`
/// (at most 64), and to even if two are equally near. The result's exponent is at least `least`.
/// `sticky` tells that the exact value is a little larger; then the mantissa has more than `bits`
/// bits, or is cut at `least`.
pub(super) fn round(mantissa: u128, sticky: bool, exponent: i64, bits: u32, least: i64) -> (u64, i64) {
    let excess = i64::from(128 - mantissa.leading_zeros()) - i64::from(bits);
    let drop = excess.max(least.saturating_sub(exponent));
    if mantissa == 0 || drop > 128 {
        return (0, least);
    }
    if drop <= 0 {
        return (mantissa as u64, exponent);
    }
    let mut kept = mantissa.checked_shr(drop as u32).unwrap_or(0);
    let half = 1u128 << (drop - 1);
    let rest = mantissa & (half | (half - 1));
    if rest > half || rest == half && (sticky || kept & 1 == 1) {
        kept += 1;
    }
    if kept >> bits == 0 { (kept as u64, exponent + drop) } else { ((kept >> 1) as u64, exponent + drop + 1) }
}

/// The double `mantissa` (at most 53 bits) times two to the power of `exponent` (at least -1074).
/// `None` if too large.
fn scale(mantissa: u64, exponent: i64) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    if exponent + i64::from(64 - mantissa.leading_zeros()) > 1024 {
        return None;
    }
    // Normalised as the format wants it, except for subnormal numbers.
    let shift = i64::from(mantissa.leading_zeros()) - 11;
    let shift = shift.min(exponent + 1074);
    let (mantissa, exponent) = (mantissa << shift, exponent - shift);
    let hidden = 1u64 << 52;
    let biased = if mantissa < hidden { 0 } else { (exponent + 1075) as u64 };
    Some(f64::from_bits(biased << 52 | mantissa & (hidden - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strict() {
        for (text, value) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("-5", Some(-5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("100000000000000000000", None),
            ("", None),
            ("-", None),
            ("+5", None),
            ("-0", None),
            ("00", None),
            ("05", None),
            ("-05", None),
            (" 5", None),
            ("5 ", None),
            ("0x5", None),
            ("1e3", None),
            ("5.", None),
            ("--5", None),
            ("1-", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    /// What ZADD of Redis 7.0.15 took and refused.
    #[test]
    fn doubles_are_read_as_redis_reads_them() {
        for (text, value) in [
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("+5", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1E5", 100_000.0),
            ("5e-1", 0.5),
            ("00012", 12.0),
            ("0e-999", 0.0),
            ("0x0p-99999", 0.0),
            ("4.9e-324", 5e-324),
            ("3e-324", 5e-324),
            ("1e-310", 1e-310),
            ("0x10", 16.0),
            ("0X1.8P3", 12.0),
            ("-0x1p-1074", -5e-324),
            ("0x.8", 0.5),
            ("0x8.", 8.0),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000000000000000001p0", 1.000_000_000_000_000_2),
            ("0x1.00000000000018p0", 1.000_000_000_000_000_4),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("0x1.8p-1074", 1e-323),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text:?}");
        }
        assert_eq!(parse_f64(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(parse_f64(b"-0x0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        for text in [
            "nan",
            "-nan",
            "nan(1)",
            "NaN",
            "infi",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            "0x",
            "0x1p",
            "0x.",
            "0xg",
            "0x1p99999",
            "0x1p-1076",
            "0x1.fffffffffffff8p1023",
            "0x1.1.1",
            "0x-1",
            "0x1p1.",
            " 1",
            "1 ",
            "",
            "--5",
            ".",
            "1e",
            "1e+",
            "1_0",
            "1,5",
            "1\0",
            "\t1",
            "+",
            "-",
            "+-1",
            "1d5",
            "1f",
            "\u{661}",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }
}
