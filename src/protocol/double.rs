//! Doubles as Redis prints them, in two ways.
//!
//! [`write_double`] is that of Redis since 7.2 and of Valkey: the shortest digits that read back as
//! the same double. [`write_g17`] is that of Redis up to 7.0: C's `%.17g`.

use std::fmt::Write;

use super::number::parse_exponent;

/// Doubles up to here are printed as integers if they are some: half of the largest signed integer,
/// as Valkey does it.
const WHOLE: f64 = (i64::MAX / 2) as f64;

/// Appends a double as Redis since 7.2 and Valkey reply it: `inf`, `-inf`, `nan`, integers up to
/// 4.6e18 in full, and else the shortest digits that read back as the same double, with an exponent
/// where that is much shorter.
///
/// Both of them miss the shortest digits for two doubles in a thousand or so, `5e22` for one; this
/// does not.
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

/// Appends a double as C's `%.17g`, as Redis up to 7.0 replies it and formats the numbers of
/// scripts.
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
        let mut decimal = Self { digits: [b'0'; 32], len: 0, power: 0 };
        let end = text.iter().position(|byte| *byte == b'e').unwrap_or(text.len());
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

    /// The layout of Redis since 7.2: plain with at most seven zeros added, else with an exponent
    /// without leading zeros.
    fn write_shortest(&self, out: &mut Vec<u8>) {
        let magnitude = self.magnitude();
        let plain =
            if self.power >= 0 { magnitude < self.len as i32 + 7 } else { self.power > -7 || magnitude.abs() < 4 };
        if plain { self.write_plain(out) } else { self.write_scientific(out, 1) }
    }

    /// The layout of `%.17g`.
    fn write_general(&self, out: &mut Vec<u8>) {
        if (-4..17).contains(&self.magnitude()) { self.write_plain(out) } else { self.write_scientific(out, 2) }
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
    use crate::protocol::number::parse_f64;

    fn printed(value: f64) -> (String, String) {
        let (mut shortest, mut g17) = (Vec::new(), Vec::new());
        write_double(&mut shortest, value);
        write_g17(&mut g17, value);
        (String::from_utf8(shortest).expect("text"), String::from_utf8(g17).expect("text"))
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
            (2.35, "2.35", "2.3500000000000001"),
            (100.5, "100.5", "100.5"),
            (12345678.9, "12345678.9", "12345678.9"),
            (1e15, "1000000000000000", "1000000000000000"),
            (1e16, "10000000000000000", "10000000000000000"),
            (1e17, "100000000000000000", "1e+17"),
            (-1e17, "-100000000000000000", "-1e+17"),
            (1.5e17, "150000000000000000", "1.5e+17"),
            (123456789012345678.0, "123456789012345680", "1.2345678901234568e+17"),
            (9007199254740993.0, "9007199254740992", "9007199254740992"),
            (4611686018427387904.0, "4611686018427387904", "4.6116860184273879e+18"),
            (4611686018427388928.0, "4611686018427389000", "4.6116860184273889e+18"),
            (9223372036854775807.0, "9223372036854776000", "9.2233720368547758e+18"),
            (1e19, "1e+19", "1e+19"),
            (1e21, "1e+21", "1e+21"),
            (9e22, "9e+22", "8.9999999999999996e+22"),
            (12345678901234567e6, "12345678901234568000000", "1.2345678901234568e+22"),
            (1e100, "1e+100", "1e+100"),
            (f64::MAX, "1.7976931348623157e+308", "1.7976931348623157e+308"),
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
