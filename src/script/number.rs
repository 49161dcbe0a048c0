//! Numbers as Lua and its libraries print them.

use std::io::Write;

/// Appends a number as C's `%.{precision}g`.
pub(super) fn write_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
        return;
    }
    let precision = precision.max(1);
    let text = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing into memory cannot fail.
        let _ = write!(out, "{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        out.extend_from_slice(trimmed(&format!("{value:.decimals$}")).as_bytes());
    }
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// The integer that a number is, if it is one of 64 bits.
pub(super) fn whole(value: f64) -> Option<i64> {
    let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    (range.contains(&value) && value.trunc() == value).then_some(value as i64)
}

/// A number as C casts it to an integer of 64 bits on the machines that Redis runs on.
pub(super) fn cast(value: f64) -> i64 {
    let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if range.contains(&value) { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_format_is_that_of_c() {
        let of = |value, precision| {
            let mut out = Vec::new();
            write_general(&mut out, value, precision);
            String::from_utf8(out).unwrap_or_default()
        };
        assert_eq!(of(0.1, 14), "0.1");
        assert_eq!(of(1e14, 14), "1e+14");
        assert_eq!(of(123_456_789_012_345.0, 14), "1.2345678901234e+14");
        assert_eq!(of(1e13, 14), "10000000000000");
        assert_eq!(of(0.0001, 14), "0.0001");
        assert_eq!(of(0.00001, 14), "1e-05");
        assert_eq!(of(-0.0, 14), "-0");
        assert_eq!(of(3.3, 17), "3.2999999999999998");
        assert_eq!(of(9.999_999_999_999_999, 14), "10");
    }

    #[test]
    fn integers_are_told_from_other_numbers() {
        assert_eq!((whole(3.0), whole(3.5), whole(1e19), whole(f64::NAN)), (Some(3), None, None, None));
        assert_eq!((cast(3.9), cast(-3.9), cast(1e300), cast(f64::NAN)), (3, -3, i64::MIN, i64::MIN));
    }
}
