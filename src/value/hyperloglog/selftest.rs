//! What `PFSELFTEST` checks on the machine at hand: packed registers, and estimates of random elements.

use super::registers::{self, VALUES};
use super::{HEADER, REGISTERS, Registers, add, cached, count, empty, invalidate, make_dense};

/// Different elements that are added.
const ELEMENTS: u64 = 100_000;
/// `hll-sparse-max-bytes` as it is by default.
const SPARSE_MAX: usize = 3000;

/// Checks that dense registers keep what is written into them, that a value gives the same estimate whether it is sparse,
/// dense or merged, and that estimates are as good as the algorithm promises. `bits` gives uniform random bits. Takes some
/// ten milliseconds.
///
/// # Errors
/// What does not hold.
pub fn self_test(mut bits: impl FnMut() -> u64) -> Result<(), String> {
    test_registers(&mut bits)?;
    test_estimates(bits())
}

fn test_registers(bits: &mut impl FnMut() -> u64) -> Result<(), String> {
    let mut value = empty();
    make_dense(&mut value).map_err(|error| error.to_string())?;
    let mut expected = vec![0u8; REGISTERS];
    for _ in 0..4 * REGISTERS {
        let bits = bits();
        let (index, count) = (bits as usize % REGISTERS, (bits >> 32) as u8 % VALUES as u8);
        let raised = registers::raise(&mut value[HEADER..], index, count);
        if raised != (count > expected[index]) {
            return Err(format!("register {index} of {} was compared wrongly with {count}", expected[index]));
        }
        expected[index] = expected[index].max(count);
    }
    let mut unpacked = Registers::default();
    unpacked.merge(&value).map_err(|error| error.to_string())?;
    match unpacked.values().iter().zip(&expected).position(|(found, expected)| found != expected) {
        Some(index) => {
            Err(format!("register {index} holds {} instead of {}", unpacked.values()[index], expected[index]))
        }
        None => Ok(()),
    }
}

fn test_estimates(seed: u64) -> Result<(), String> {
    let (mut mixed, mut dense) = (empty(), empty());
    make_dense(&mut dense).map_err(|error| error.to_string())?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        // Different numbers stay different.
        let element = (number ^ seed).to_le_bytes();
        for value in [&mut mixed, &mut dense] {
            add(value, &element, SPARSE_MAX).map_err(|error| error.to_string())?;
        }
        if number == checkpoint {
            compare(&mut mixed, &dense, number)?;
            checkpoint *= 10;
        }
    }
    Ok(())
}

/// Compares the estimates of two values of as many different elements.
fn compare(mixed: &mut [u8], dense: &[u8], elements: u64) -> Result<(), String> {
    invalidate(mixed);
    let counts = [count(mixed), count(dense)].map(|count| count.map_err(|error| error.to_string()));
    let [mixed_count, dense_count] = counts;
    let (mixed_count, dense_count) = (mixed_count?, dense_count?);
    let mut union = Registers::default();
    for value in [&*mixed, dense] {
        union.merge(value).map_err(|error| error.to_string())?;
    }
    if mixed_count != dense_count || union.count() != dense_count || cached(mixed).is_some() {
        return Err(format!("{elements} elements are {mixed_count} kept sparse and {dense_count} kept dense"));
    }
    // Six standard errors; of few elements, two in the same register make one less.
    let standard = 1.04 / (REGISTERS as f64).sqrt();
    let allowed = (6.0 * standard * elements as f64).ceil() as u64 + u64::from(elements > 1);
    if dense_count.abs_diff(elements) > allowed {
        return Err(format!("{elements} elements are estimated as {dense_count}, by more than {allowed} wrong"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::Random;

    #[test]
    fn it_passes_with_any_random_bits() {
        for seed in 0..3 {
            let mut random = Random(seed);
            assert_eq!(self_test(|| random.bits()), Ok(()));
        }
    }

    #[test]
    fn it_notices_what_is_wrong() {
        let mut few = empty();
        for element in 0..100u8 {
            add(&mut few, &[element], SPARSE_MAX).expect("it is valid");
        }
        let mut dense = few.clone();
        make_dense(&mut dense).expect("it is valid");
        assert_eq!(compare(&mut few, &dense, 100), Ok(()));
        let wrong = compare(&mut few, &dense, 200).expect_err("it is half of them");
        assert!(wrong.starts_with("200 elements are estimated as "), "{wrong}");
        registers::raise(&mut dense[HEADER..], 0, 40);
        registers::raise(&mut dense[HEADER..], 1, 40);
        let wrong = compare(&mut few, &dense, 100).expect_err("the values differ");
        assert!(wrong.contains("kept sparse"), "{wrong}");
    }
}
