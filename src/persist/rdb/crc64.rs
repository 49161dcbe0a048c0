//! The checksum of RDB: CRC-64 of the Jones polynomial, reflected, from 0.

/// The polynomial `ad93d23594c935a9` with its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// What eight bytes at once do to the sum: one table for each of their places.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut place = 1;
    while place < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[place - 1][byte];
            tables[place][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        place += 1;
    }
    tables
}

/// Continues a sum, which begins as 0, over further bytes. O(bytes): 64 at a time where the processor multiplies without
/// carries, else eight.
pub fn update(sum: u64, bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 2 * fold::STEP && std::arch::is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the processor has what the function needs.
        return unsafe { fold::update(sum, bytes) };
    }
    by_tables(sum, bytes)
}

fn by_tables(mut sum: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let mixed = (sum ^ u64::from_le_bytes(*eight)).to_le_bytes();
        sum = 0;
        for (place, byte) in mixed.iter().enumerate() {
            sum ^= TABLES[7 - place][usize::from(*byte)];
        }
    }
    for byte in rest {
        sum = TABLES[0][usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    }
    sum
}

/// The same by multiplication: a block of 16 bytes that stands so many bits before another is multiplied by that power of x,
/// modulo the polynomial, and added to it. So long inputs shrink to one block, which has the same sum.
#[cfg(target_arch = "x86_64")]
mod fold {
    use std::arch::x86_64::{__m128i, _mm_clmulepi64_si128, _mm_extract_epi64, _mm_set_epi64x, _mm_xor_si128};

    use super::{POLYNOMIAL, by_tables};

    /// Bytes of a block.
    const BLOCK: usize = 16;
    /// Bytes that are folded at once: four blocks, because a multiplication takes a few cycles and several run beside
    /// one another.
    pub(super) const STEP: usize = 4 * BLOCK;

    /// What moves a block on by one block, and by a step: the powers for its first and its second half.
    const NEAR: [u64; 2] = powers(BLOCK);
    const FAR: [u64; 2] = powers(STEP);

    const fn powers(bytes: usize) -> [u64; 2] {
        let bits = bytes as u32 * 8;
        // A product of reflected words stands one bit too far on, hence the power less by one.
        [power(bits + 63), power(bits - 1)]
    }

    /// The power of x modulo the polynomial, its coefficients in reverse as everywhere here.
    const fn power(exponent: u32) -> u64 {
        let (mut word, mut left) = (1 << 63, exponent);
        while left > 0 {
            word = if word & 1 == 1 { (word >> 1) ^ POLYNOMIAL } else { word >> 1 };
            left -= 1;
        }
        word
    }

    fn words(bytes: &[u8; BLOCK]) -> [i64; 2] {
        let (first, second) = bytes.split_at(8);
        [first, second].map(|half| half.first_chunk().map_or(0, |half| i64::from_le_bytes(*half)))
    }

    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn pair([first, second]: [i64; 2]) -> __m128i {
        _mm_set_epi64x(second, first)
    }

    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn shift(block: __m128i, by: __m128i) -> __m128i {
        _mm_xor_si128(_mm_clmulepi64_si128::<0x00>(block, by), _mm_clmulepi64_si128::<0x11>(block, by))
    }

    /// As [`super::update`], of one step at least.
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    pub(super) fn update(sum: u64, bytes: &[u8]) -> u64 {
        let (steps, rest) = bytes.as_chunks::<STEP>();
        let Some((head, steps)) = steps.split_first() else { return by_tables(sum, bytes) };
        let blocks = |step: &[u8; STEP]| {
            let (blocks, _) = step.as_chunks::<BLOCK>();
            [0, 1, 2, 3].map(|at| words(&blocks[at]))
        };
        let [mut first, second, third, fourth] = blocks(head);
        first[0] ^= sum as i64;
        let mut all = [pair(first), pair(second), pair(third), pair(fourth)];
        let far = pair(FAR.map(|word| word as i64));
        for step in steps {
            let next = blocks(step);
            for (block, next) in all.iter_mut().zip(next) {
                *block = _mm_xor_si128(shift(*block, far), pair(next));
            }
        }
        let near = pair(NEAR.map(|word| word as i64));
        let [mut block, rest_of @ ..] = all;
        for next in rest_of {
            block = _mm_xor_si128(shift(block, near), next);
        }
        let sum = by_tables(0, &_mm_extract_epi64::<0>(block).to_le_bytes());
        by_tables(by_tables(sum, &_mm_extract_epi64::<1>(block).to_le_bytes()), rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_come_to_the_same_sum() {
        let mut state = 1u64;
        let bytes: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        for len in (0..300).chain([1000, 4095, 4096, 4999]) {
            for start in [0, 1, 7] {
                let part = &bytes[start..(start + len).min(bytes.len())];
                let before = state.rotate_left(len as u32);
                assert_eq!(update(before, part), by_tables(before, part), "{len} bytes from {start}");
            }
        }
    }

    #[test]
    fn the_check_value_is_that_of_redis() {
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(update(0, b""), 0);
    }

    #[test]
    fn however_bytes_are_cut_the_sum_is_the_same() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| ((n * n) >> 3) as u8).collect();
        let whole = update(0, &bytes);
        for cut in [0, 1, 7, 8, 9, 500, 999, 1000] {
            assert_eq!(update(update(0, &bytes[..cut]), &bytes[cut..]), whole, "{cut}");
        }
    }
}
