//! Numbers as Redis reads and prints them.
//!
//! Integers are strict. Floats are what C's `strtod` takes, less white space, NaN and results out of range; hexadecimal
//! floats are in. The long double of INCRBYFLOAT is [`super::extended`].
//!
//! Doubles are printed in two ways. [`write_double`] is that of Redis since 7.2 and of Valkey: the shortest digits that
//! read back as the same double. [`write_g17`] is that of Redis up to 7.0: C's `%.17g`.

use std::fmt::Write;

/// The longest text of a 64-bit integer without its sign, in digits.
const LONGEST: usize = 20;

/// Doubles up to here are printed as integers if they are some: half of the largest signed integer, as Valkey does it.
const WHOLE: f64 = (i64::MAX / 2) as f64;

/// Parses a signed integer as strictly as Redis does: an optional `-`, no `+`, no leading zero, no `-0`, no white space,
/// no overflow.
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

/// Parses a double: decimal or hexadecimal (`0x1.8p3`), `inf` or `infinity` in any case, with `+` or `-` or none.
///
/// `None` for what is no number, NaN, what is too large for a double, and what is not zero but too small for one. Found by
/// experiment with ZADD on Redis 7.0.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, magnitude) = split_sign(text);
    if let [b'0', b'x' | b'X', hex @ ..] = magnitude {
        let Hex {
            mantissa,
            exponent,
            sticky,
        } = Hex::parse(hex)?;
        let (mantissa, exponent) = round(mantissa, sticky, exponent, 53, -1074);
        if mantissa == 0 && !Hex::is_zero(hex) {
            return None;
        }
        let value = scale(mantissa, exponent)?;
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let lost = if value.is_infinite() {
        !is_infinity(magnitude)
    } else {
        value == 0.0 && has_digit(magnitude)
    };
    (!lost && !value.is_nan()).then_some(value)
}

/// Whether a decimal's mantissa has a digit other than zero.
pub(super) fn has_digit(magnitude: &[u8]) -> bool {
    let mantissa = magnitude
        .iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E'));
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
    /// Parses what follows `0x`: digits with an optional point, and optionally `p` and a decimal exponent.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let end = text
            .iter()
            .position(|byte| matches!(byte, b'p' | b'P'))
            .unwrap_or(text.len());
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
        Some(Self {
            mantissa,
            exponent,
            sticky,
        })
    }

    /// Whether a parsed text means zero.
    pub(super) fn is_zero(text: &[u8]) -> bool {
        let mut mantissa = text.iter().take_while(|byte| !matches!(byte, b'p' | b'P'));
        mantissa.all(|byte| matches!(byte, b'0' | b'.'))
    }
}

/// Parses the exponent of a float; one beyond all ranges is cut down to one that is still beyond them.
pub(super) fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(1 << 40)
    });
    Some(if negative { -value } else { value })
}

/// Rounds `mantissa` times two to the power of `exponent` to the nearest number with so many `bits` (at most 64), and to
/// even if two are equally near. The result's exponent is at least `least`. `sticky` tells that the exact value is a
/// little larger; then the mantissa has more than `bits` bits, or is cut at `least`.
pub(super) fn round(
    mantissa: u128,
    sticky: bool,
    exponent: i64,
    bits: u32,
    least: i64,
) -> (u64, i64) {
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
    if kept >> bits == 0 {
        (kept as u64, exponent + drop)
    } else {
        ((kept >> 1) as u64, exponent + drop + 1)
    }
}

/// The double `mantissa` (at most 53 bits) times two to the power of `exponent` (at least -1074). `None` if too large.
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
    let biased = if mantissa < hidden {
        0
    } else {
        (exponent + 1075) as u64
    };
    Some(f64::from_bits(biased << 52 | mantissa & (hidden - 1)))
}

/// Appends a double as Redis since 7.2 and Valkey reply it: `inf`, `-inf`, `nan`, integers up to 4.6e18 in full, and else
/// the shortest digits that read back as the same double, with an exponent where that is much shorter.
///
/// Both of them miss the shortest digits for one double in a thousand or so, `5e22` for one; this does not.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if write_special(out, value) {
        return;
    }
    if value.abs() <= WHOLE && value.trunc() == value && value != 0.0 {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = zmij::Buffer::new();
    let decimal = Decimal::read(buffer.format_finite(value.abs()).as_bytes());
    decimal.write_shortest(out);
}

/// Appends a double as C's `%.17g`, as Redis up to 7.0 replies it and formats the numbers of scripts.
pub fn write_g17(out: &mut Vec<u8>, value: f64) {
    if write_special(out, value) {
        return;
    }
    let mut text = Text::default();
    if write!(text, "{:.16e}", value.abs()).is_err() {
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    Decimal::read(text.bytes()).write_general(out);
}

/// Appends infinities and NaN. Returns whether it was one.
fn write_special(out: &mut Vec<u8>, value: f64) -> bool {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    !value.is_finite()
}

/// A text on the stack, long enough for 17 digits and an exponent.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let end = self.len + part.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Digits without zeros at either end, and the power of ten of the last one. Zero is a single 0.
struct Decimal {
    digits: [u8; 32],
    len: usize,
    power: i32,
}

impl Decimal {
    /// Reads a formatted number of at most 32 significant digits.
    fn read(text: &[u8]) -> Self {
        let mut decimal = Self {
            digits: [b'0'; 32],
            len: 0,
            power: 0,
        };
        let end = text
            .iter()
            .position(|byte| *byte == b'e')
            .unwrap_or(text.len());
        let mut point = false;
        for &byte in &text[..end] {
            if byte == b'.' {
                point = true;
                continue;
            }
            decimal.power -= i32::from(point);
            if (decimal.len > 0 || byte != b'0') && decimal.len < decimal.digits.len() {
                decimal.digits[decimal.len] = byte;
                decimal.len += 1;
            }
        }
        let exponent = text.get(end + 1..).and_then(parse_exponent).unwrap_or(0);
        decimal.power += i32::try_from(exponent).unwrap_or(0);
        while decimal.len > 0 && decimal.digits[decimal.len - 1] == b'0' {
            decimal.len -= 1;
            decimal.power += 1;
        }
        if decimal.len == 0 {
            (decimal.len, decimal.power) = (1, 0);
        }
        decimal
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i32 {
        self.power + self.len as i32 - 1
    }

    /// The layout of Redis since 7.2: plain with at most seven zeros added, else with an exponent without leading zeros.
    fn write_shortest(&self, out: &mut Vec<u8>) {
        let magnitude = self.magnitude();
        let plain = if self.power >= 0 {
            magnitude < self.len as i32 + 7
        } else {
            self.power > -7 || magnitude.abs() < 4
        };
        if plain {
            self.write_plain(out)
        } else {
            self.write_scientific(out, 1)
        }
    }

    /// The layout of `%.17g`.
    fn write_general(&self, out: &mut Vec<u8>) {
        if (-4..17).contains(&self.magnitude()) {
            self.write_plain(out)
        } else {
            self.write_scientific(out, 2)
        }
    }

    /// Without an exponent.
    fn write_plain(&self, out: &mut Vec<u8>) {
        let magnitude = self.magnitude();
        if magnitude < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-magnitude - 1) as usize, b'0');
            out.extend_from_slice(self.digits());
        } else if self.power >= 0 {
            out.extend_from_slice(self.digits());
            out.resize(out.len() + self.power as usize, b'0');
        } else {
            let (whole, fraction) = self.digits().split_at(magnitude as usize + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    }

    /// With an exponent of at least so many digits.
    fn write_scientific(&self, out: &mut Vec<u8>, least: usize) {
        let magnitude = self.magnitude();
        let (first, fraction) = self.digits().split_at(1);
        out.extend_from_slice(first);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        out.extend_from_slice(if magnitude < 0 { b"e-" } else { b"e+" });
        let mut buffer = itoa::Buffer::new();
        let exponent = buffer.format(magnitude.unsigned_abs());
        out.resize(out.len() + least.saturating_sub(exponent.len()), b'0');
        out.extend_from_slice(exponent.as_bytes());
    }
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
            (
                "0x1.000000000000080000000000000000000000001p0",
                1.000_000_000_000_000_2,
            ),
            ("0x1.00000000000018p0", 1.000_000_000_000_000_4),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("0x1.8p-1074", 1e-323),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text:?}");
        }
        assert_eq!(
            parse_f64(b"-0").map(f64::to_bits),
            Some((-0.0f64).to_bits())
        );
        assert_eq!(
            parse_f64(b"-0x0").map(f64::to_bits),
            Some((-0.0f64).to_bits())
        );
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

    fn printed(value: f64) -> (String, String) {
        let (mut shortest, mut g17) = (Vec::new(), Vec::new());
        write_double(&mut shortest, value);
        write_g17(&mut g17, value);
        (
            String::from_utf8(shortest).expect("text"),
            String::from_utf8(g17).expect("text"),
        )
    }

    /// What Valkey 8.0.1 and Redis 7.0.15 replied to ZSCORE.
    #[test]
    fn doubles_are_printed_as_valkey_and_redis_print_them() {
        for (value, shortest, g17) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (f64::INFINITY, "inf", "inf"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
            (f64::NAN, "nan", "nan"),
            (0.1, "0.1", "0.10000000000000001"),
            (3.14, "3.14", "3.1400000000000001"),
            (100.5, "100.5", "100.5"),
            (12345678.9, "12345678.9", "12345678.9"),
            (1e15, "1000000000000000", "1000000000000000"),
            (1e16, "10000000000000000", "10000000000000000"),
            (1e17, "100000000000000000", "1e+17"),
            (-1e17, "-100000000000000000", "-1e+17"),
            (1.5e17, "150000000000000000", "1.5e+17"),
            (
                123456789012345678.0,
                "123456789012345680",
                "1.2345678901234568e+17",
            ),
            (9007199254740993.0, "9007199254740992", "9007199254740992"),
            (
                4611686018427387904.0,
                "4611686018427387904",
                "4.6116860184273879e+18",
            ),
            (
                4611686018427388928.0,
                "4611686018427389000",
                "4.6116860184273889e+18",
            ),
            (
                9223372036854775807.0,
                "9223372036854776000",
                "9.2233720368547758e+18",
            ),
            (1e19, "1e+19", "1e+19"),
            (1e21, "1e+21", "1e+21"),
            (9e22, "9e+22", "8.9999999999999996e+22"),
            (
                12345678901234567e6,
                "12345678901234568000000",
                "1.2345678901234568e+22",
            ),
            (1e100, "1e+100", "1e+100"),
            (
                f64::MAX,
                "1.7976931348623157e+308",
                "1.7976931348623157e+308",
            ),
            (1e-5, "0.00001", "1.0000000000000001e-05"),
            (1e-6, "0.000001", "9.9999999999999995e-07"),
            (1e-7, "1e-7", "9.9999999999999995e-08"),
            (0.0000123, "1.23e-5", "1.2300000000000001e-05"),
            (0.000123456789, "1.23456789e-4", "0.000123456789"),
            (-2.5e-9, "-2.5e-9", "-2.5000000000000001e-09"),
            (5e-324, "5e-324", "4.9406564584124654e-324"),
            (1e-310, "1e-310", "9.9999999999999694e-311"),
        ] {
            assert_eq!(printed(value), (shortest.to_owned(), g17.to_owned()));
        }
    }

    #[test]
    fn an_exact_tie_of_17_digits_goes_to_the_even_digit() {
        assert_eq!(printed(1.0 + 0.5f64.powi(17)).1, "1.0000076293945312");
        assert_eq!(printed(1.0 + 3.0 * 0.5f64.powi(17)).1, "1.0000228881835938");
    }

    #[test]
    fn what_is_printed_reads_back() {
        let mut bits = 88_172_645_463_325_252u64;
        for _ in 0..200_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let value = f64::from_bits(bits);
            if value.is_nan() {
                continue;
            }
            let (shortest, g17) = printed(value);
            assert_eq!(parse_f64(shortest.as_bytes()), Some(value), "{shortest}");
            assert_eq!(parse_f64(g17.as_bytes()), Some(value), "{g17}");
            assert!(shortest.len() <= 25 && g17.len() <= 24, "{shortest} {g17}");
        }
    }
}
