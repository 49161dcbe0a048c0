//! Natural numbers of any size, just enough for exact conversions between decimal and binary.

use std::cmp::Ordering;

/// The largest power of ten that fits into a digit of 32 bits, and its number of zeros.
const CHUNK: (u32, u32) = (1_000_000_000, 9);

/// A natural number: digits of 32 bits, the lowest first, the highest not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Natural(Vec<u32>);

impl Natural {
    /// The number that these decimal digits mean.
    pub(super) fn from_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut number = Self::default();
        let (mut factor, mut sum) = (1, 0);
        for digit in digits {
            factor *= 10;
            sum = sum * 10 + u32::from(digit);
            if factor == CHUNK.0 {
                number.multiply_add(factor, sum);
                (factor, sum) = (1, 0);
            }
        }
        number.multiply_add(factor, sum);
        number
    }

    /// `mantissa` times two to the power of `shift`.
    pub(super) fn from_shifted(mantissa: u64, shift: usize) -> Self {
        let mut number = Self(vec![mantissa as u32, (mantissa >> 32) as u32]);
        number.trim();
        number.shift_left(shift);
        number
    }

    /// Ten to the power of `exponent`.
    pub(super) fn power_of_ten(exponent: u32) -> Self {
        let mut number = Self(vec![1]);
        number.multiply_power_of_ten(exponent);
        number
    }

    /// Multiplies by ten to the power of `exponent`.
    pub(super) fn multiply_power_of_ten(&mut self, exponent: u32) {
        for _ in 0..exponent / CHUNK.1 {
            self.multiply_add(CHUNK.0, 0);
        }
        self.multiply_add(10u32.pow(exponent % CHUNK.1), 0);
    }

    /// The number of its bits.
    pub(super) fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    /// Its highest bits, at most 128 of them; how many there are below; and whether any of those is
    /// set.
    pub(super) fn top(&self) -> (u128, usize, bool) {
        let below = self.bits().saturating_sub(128);
        let (whole, part) = (below / 32, below % 32);
        let window = self.0.iter().skip(whole).rev();
        let mut top = 0u128;
        for (index, digit) in window.enumerate() {
            // Four digits are whole; of a fifth only the upper part belongs to the 128 bits.
            let lost = if index == 4 { part } else { 0 };
            top = top << (32 - lost) | u128::from(digit >> lost);
        }
        let sticky =
            self.0[..whole].iter().any(|digit| *digit != 0) || part > 0 && self.0[whole] & ((1 << part) - 1) != 0;
        (top, below, sticky)
    }

    /// Multiplies by two to the power of `count`.
    pub(super) fn shift_left(&mut self, count: usize) {
        if self.0.is_empty() {
            return;
        }
        let part = count % 32;
        if part > 0 {
            let mut carry = 0;
            for digit in &mut self.0 {
                let next = *digit >> (32 - part);
                *digit = *digit << part | carry;
                carry = next;
            }
            self.0.push(carry);
            self.trim();
        }
        self.0.splice(0..0, std::iter::repeat_n(0, count / 32));
    }

    /// The quotient, which must be below 2^`bits` with at most 128 `bits`, and whether there is a
    /// remainder.
    pub(super) fn divide(mut self, divisor: &Self, bits: usize) -> (u128, bool) {
        let mut aligned = divisor.clone();
        aligned.shift_left(bits.saturating_sub(1));
        let mut quotient = 0;
        for _ in 0..bits {
            quotient <<= 1;
            if self.compare(&aligned) != Ordering::Less {
                self.subtract(&aligned);
                quotient |= 1;
            }
            self.shift_left(1);
        }
        (quotient, !self.0.is_empty())
    }

    /// Appends it in decimal.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        let start = out.len();
        while !self.0.is_empty() {
            let mut rest = self.divide_small(CHUNK.0);
            for _ in 0..CHUNK.1 {
                out.push(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
        }
        while out.len() > start + 1 && out.last() == Some(&b'0') {
            out.pop();
        }
        if out.len() == start {
            out.push(b'0');
        }
        out[start..].reverse();
    }

    fn multiply_add(&mut self, factor: u32, sum: u32) {
        let mut carry = u64::from(sum);
        for digit in &mut self.0 {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides in place and returns the remainder.
    fn divide_small(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for digit in self.0.iter_mut().rev() {
            let value = rest << 32 | u64::from(*digit);
            *digit = (value / u64::from(divisor)) as u32;
            rest = value % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn compare(&self, other: &Self) -> Ordering {
        let lengths = self.0.len().cmp(&other.0.len());
        lengths.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Subtracts a number that is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, digit) in self.0.iter_mut().enumerate() {
            let (value, first) = digit.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (value, second) = value.overflowing_sub(u32::from(borrow));
            *digit = value;
            borrow = first || second;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(number: &Natural) -> String {
        let mut out = Vec::new();
        number.clone().write(&mut out);
        String::from_utf8(out).expect("digits")
    }

    fn natural(text: &str) -> Natural {
        Natural::from_digits(text.bytes().map(|digit| digit - b'0'))
    }

    #[test]
    fn decimal_and_back() {
        for text in ["0", "7", "999999999", "1000000000", "340282366920938463463374607431768211456"] {
            assert_eq!(decimal(&natural(text)), text);
        }
        assert_eq!(decimal(&Natural::power_of_ten(31)), format!("1{}", "0".repeat(31)));
        assert_eq!(decimal(&Natural::from_shifted(3, 100)), (3u128 << 100).to_string());
    }

    #[test]
    fn the_highest_bits() {
        for shift in 0..200 {
            let number = Natural::from_shifted(u64::MAX - 6, shift);
            let (top, below, sticky) = number.top();
            assert_eq!((below, sticky), ((64 + shift).saturating_sub(128), false), "{shift}");
            assert_eq!(top, u128::from(u64::MAX - 6) << shift.min(64), "{shift}");
            let mut odd = number;
            odd.0[0] |= 1;
            assert_eq!(odd.top().2, below > 0 && shift > 0, "{shift}");
        }
    }

    #[test]
    fn division() {
        let number = natural("123456789012345678901234567890123456789012345");
        let (quotient, rest) = number.clone().divide(&natural("1000000000000000000000000000"), 70);
        assert_eq!((quotient, rest), (123_456_789_012_345_678, true));
        assert_eq!(number.clone().divide(&number, 68), (1, false));
    }
}
