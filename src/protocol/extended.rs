//! The long double of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis on x86-64 adds in the 80-bit format of the x87: a mantissa of 64 bits and an exponent of
//! 15. Its results differ from those of doubles in digits that users see (`3` plus `1.1` is `4.1`,
//! in doubles `4.0999999999999996`), so this is the same arithmetic in integers: exact conversion,
//! addition with one rounding to nearest, ties to even.

use super::natural::Natural;
use super::number::{Hex, has_digit, is_infinity, parse_exponent, round, split_sign};

/// The least exponent of a mantissa: that of subnormal numbers.
const LEAST: i64 = -16_445;

/// The exponent of two from which on a number is infinite.
const INFINITE: i64 = 16_384;

/// The bytes from which on Redis does not look at a text any more.
const TOO_LONG: usize = 5 * 1024;

/// The digits that are printed after the point.
const FRACTION: usize = 17;

/// 10^17, which cuts the digits after the point off a scaled number.
const SCALE: u128 = 10u128.pow(FRACTION as u32);

/// A long double other than NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    /// `None` for infinity.
    magnitude: Option<Magnitude>,
}

/// `mantissa` times two to the power of `exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Magnitude {
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    /// Parses what C's `strtold` takes, less white space and NaN. `None` for anything else, for
    /// what is out of range, and for texts of 5 KiB and more (found by experiment with INCRBYFLOAT
    /// on Redis 7.0).
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TOO_LONG {
            return None;
        }
        let (negative, text) = split_sign(text);
        if is_infinity(text) {
            return Some(Self { negative, magnitude: None });
        }
        let (magnitude, is_zero) = match text {
            [b'0', b'x' | b'X', hex @ ..] => {
                let parsed = Hex::parse(hex)?;
                (Magnitude::rounded(parsed.mantissa, parsed.sticky, parsed.exponent)?, Hex::is_zero(hex))
            }
            _ => (Magnitude::from_decimal(text)?, !has_digit(text)),
        };
        (is_zero || magnitude.mantissa != 0).then_some(Self { negative, magnitude: Some(magnitude) })
    }

    /// Whether it is infinite.
    pub fn is_infinite(&self) -> bool {
        self.magnitude.is_none()
    }

    /// The sum. `None` if it is infinite or NaN, which Redis refuses with `increment would produce
    /// NaN or Infinity`.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (this, that) = (self.magnitude?.normal(), other.magnitude?.normal());
        if that.mantissa == 0 {
            return Some(self);
        }
        if this.mantissa == 0 {
            return Some(other);
        }
        let swap = (this.exponent, this.mantissa) < (that.exponent, that.mantissa);
        let (large, small) = if swap { (that, this) } else { (this, that) };
        let negative = if swap { other.negative } else { self.negative };
        let distance = u32::try_from(large.exponent - small.exponent).unwrap_or(u32::MAX);
        // 63 bits below the larger mantissa are enough, with a mark for what is smaller still.
        let (upper, lower) = (u128::from(large.mantissa) << 63, u128::from(small.mantissa) << 63);
        let shifted = lower.checked_shr(distance).unwrap_or(0);
        let sticky = shifted.checked_shl(distance).unwrap_or(0) != lower;
        let sum = if self.negative == other.negative {
            upper + shifted
        } else {
            // The exact difference lies between this one and the next when a mark was left.
            upper - shifted - u128::from(sticky)
        };
        let magnitude = Magnitude::rounded(sum, sticky, large.exponent - 63)?;
        Some(Self { negative: negative && magnitude.mantissa != 0, magnitude: Some(magnitude) })
    }

    /// Appends it for humans: C's `%.17Lf` without zeros at the end, and never `-0`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        match self.magnitude {
            None => out.extend_from_slice(b"inf"),
            Some(Magnitude { mantissa, exponent }) if exponent >= 0 => {
                Natural::from_shifted(mantissa, exponent as usize).write(out);
            }
            Some(magnitude) => magnitude.write_fraction(out),
        }
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }
}

impl Magnitude {
    /// Rounds to 64 bits; `sticky` tells that the exact value is a little larger. `None` if it is
    /// infinite.
    fn rounded(mantissa: u128, sticky: bool, exponent: i64) -> Option<Self> {
        let (mantissa, exponent) = round(mantissa, sticky, exponent, 64, LEAST);
        let length = i64::from(64 - mantissa.leading_zeros());
        (mantissa == 0 || exponent + length <= INFINITE).then_some(Self { mantissa, exponent })
    }

    /// The same number with the highest bit of the mantissa set, unless it is zero.
    fn normal(self) -> Self {
        let shift = self.mantissa.leading_zeros();
        let mantissa = self.mantissa.checked_shl(shift).unwrap_or(0);
        Self { mantissa, exponent: self.exponent - i64::from(shift) }
    }

    /// Parses digits with an optional point and an optional exponent. `None` for anything else and
    /// for infinity.
    fn from_decimal(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let mut exponent = match text.get(end + 1..) {
            Some(power) => parse_exponent(power)?,
            None => 0,
        };
        let (whole, fraction) = match text[..end].iter().position(|byte| *byte == b'.') {
            Some(point) => (&text[..point], &text[point + 1..end]),
            None => (&text[..end], &[][..]),
        };
        exponent -= fraction.len() as i64;
        let digits = || whole.iter().chain(fraction);
        if digits().next().is_none() || !digits().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = digits().take_while(|digit| **digit == b'0').count();
        let count = whole.len() + fraction.len() - zeros;
        let digits = digits().skip(zeros).map(|digit| digit - b'0');
        let reach = exponent.saturating_add(count as i64);
        if count == 0 || reach < -4960 {
            return Some(Self { mantissa: 0, exponent: 0 });
        }
        if reach > 4940 {
            return None;
        }
        if count <= 19 && exponent.abs() <= 19 {
            return Self::from_short(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit)), exponent);
        }
        Self::from_natural(Natural::from_digits(digits), exponent)
    }

    /// `digits` times ten to the power of `exponent` (-19 to 19), without taking memory.
    fn from_short(digits: u64, exponent: i64) -> Option<Self> {
        let power = 10u128.pow(exponent.unsigned_abs() as u32);
        if exponent >= 0 {
            return Self::rounded(u128::from(digits) * power, false, 0);
        }
        let shift = 64 + digits.leading_zeros();
        let scaled = u128::from(digits) << shift;
        let (quotient, rest) = (scaled / power, scaled % power);
        // The quotient may have 64 bits only, so the next one is made of the remainder.
        let (bit, sticky) = (u128::from(rest * 2 >= power), rest * 2 != power && rest != 0);
        match quotient >> 127 {
            0 => Self::rounded(quotient << 1 | bit, sticky, -i64::from(shift) - 1),
            _ => Self::rounded(quotient, rest != 0, -i64::from(shift)),
        }
    }

    /// `number` times ten to the power of `exponent`, exactly rounded.
    fn from_natural(mut number: Natural, exponent: i64) -> Option<Self> {
        let power = u32::try_from(exponent.unsigned_abs()).ok()?;
        if exponent >= 0 {
            number.multiply_power_of_ten(power);
            let (top, below, sticky) = number.top();
            return Self::rounded(top, sticky, below as i64);
        }
        // Scaled so that the quotient has 67 or 68 bits.
        let mut divisor = Natural::power_of_ten(power);
        let shift = divisor.bits() as i64 + 67 - number.bits() as i64;
        if shift >= 0 {
            number.shift_left(shift as usize);
        } else {
            divisor.shift_left(shift.unsigned_abs() as usize);
        }
        let (quotient, rest) = number.divide(&divisor, 68);
        Self::rounded(quotient, rest, -shift)
    }

    /// Appends a number with a negative exponent, rounded to 17 digits after the point.
    fn write_fraction(self, out: &mut Vec<u8>) {
        let scaled = u128::from(self.mantissa) * SCALE;
        let drop = u32::try_from(-self.exponent).unwrap_or(u32::MAX);
        let mut kept = scaled.checked_shr(drop).unwrap_or(0);
        // The scaled number has at most 121 bits: shifted further it is less than half of one.
        if drop <= 127 {
            let half = 1u128 << (drop - 1);
            let rest = scaled & (half | (half - 1));
            kept += u128::from(rest > half || rest == half && kept & 1 == 1);
        }
        out.extend_from_slice(itoa::Buffer::new().format(kept / SCALE).as_bytes());
        let mut fraction = kept % SCALE;
        if fraction == 0 {
            return;
        }
        let mut digits = [b'0'; FRACTION];
        for digit in digits.iter_mut().rev() {
            *digit += (fraction % 10) as u8;
            fraction /= 10;
        }
        let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&digits[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(left: &str, right: &str) -> Option<String> {
        let left = LongDouble::parse(left.as_bytes())?;
        let mut out = Vec::new();
        left.checked_add(LongDouble::parse(right.as_bytes())?)?.write(&mut out);
        String::from_utf8(out).ok()
    }

    /// What INCRBYFLOAT of Redis 7.0.15 replied.
    #[test]
    fn sums_are_those_of_redis() {
        for (left, right, expected) in [
            ("3", "1.1", "4.1"),
            ("10.50", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("3.0", "1.000000000000000005", "4.00000000000000001"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("0", "-0", "0"),
            ("-1e-20", "0", "0"),
            ("0", "4.9e-324", "0"),
            ("0", "0x1.8p3", "12"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e20", "1", "100000000000000000000"),
            ("0", "1e25", "10000000000000000000000000"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551615", "0.5", "18446744073709551616"),
            ("-1.5", "1.25", "-0.25"),
        ] {
            assert_eq!(sum(left, right).as_deref(), Some(expected), "{left} + {right}");
        }
    }

    #[test]
    fn texts_that_are_no_long_double() {
        let long = "9".repeat(5119);
        let zeros = "0".repeat(5119);
        for text in [
            "",
            "nan",
            "-nan",
            "infi",
            "0x",
            "0x1p",
            " 1",
            "1 ",
            ".",
            "1e",
            "1e+",
            "1_0",
            "1\0",
            "+-1",
            "1e4933",
            "1e-5000",
            "0x1p16384",
            "0x1p-16447",
            "1e99999999999999999999",
            &long,
            &format!("{zeros}0"),
            "e5",
            ".e5",
            "1.2.3",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in
            ["inf", "-INFINITY", "1e4932", "0x1p16383", "1e-4950", "0e999999", "0x0p-99999", "-0", "1.", ".1", &zeros]
        {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text:?}");
        }
    }

    #[test]
    fn infinity_is_not_added() {
        for (left, right) in [("inf", "1"), ("1", "-inf"), ("inf", "-inf"), ("1e4932", "1e4932")] {
            assert_eq!(sum(left, right), None, "{left} + {right}");
        }
        let mut out = b"x".to_vec();
        LongDouble::parse(b"-inf").expect("infinity").write(&mut out);
        assert_eq!(out, b"x-inf");
    }

    /// Short decimals take a path of their own, which has to round as the exact one does.
    #[test]
    fn both_ways_of_reading_decimals_agree() {
        let mut bits = 88_172_645_463_325_252u64;
        for _ in 0..50_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let digits = (bits >> (bits & 63)).max(1);
            let exponent = (bits % 39) as i64 - 19;
            let text = digits.to_string();
            let exact = Natural::from_digits(text.bytes().map(|digit| digit - b'0'));
            let exact = Magnitude::from_natural(exact, exponent).map(Magnitude::normal);
            let short = Magnitude::from_short(digits, exponent).map(Magnitude::normal);
            assert_eq!(short, exact, "{digits}e{exponent}");
        }
    }
}
