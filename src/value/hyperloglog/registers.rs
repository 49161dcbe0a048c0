//! Dense registers, unpacked registers, and the estimate.

use super::{Encoding, Error, HEADER, REGISTERS, check, empty, invalidate, make_dense, sparse};

/// Values that 6 bits hold.
pub(super) const VALUES: usize = 64;
/// The largest value that a hash of 64 bits gives.
const LARGEST: usize = 51;

/// All registers of a union, a byte each.
#[derive(Clone)]
pub struct Registers {
    values: Box<[u8]>,
    /// Whether a dense value was merged.
    dense: bool,
}

impl std::fmt::Debug for Registers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registers").field("dense", &self.dense).field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Default for Registers {
    fn default() -> Self {
        Registers { values: vec![0; REGISTERS].into(), dense: false }
    }
}

impl Registers {
    /// Raises each register to the value's. O(registers).
    ///
    /// # Errors
    /// [`Error::Foreign`] or [`Error::Corrupted`]; the registers may then be half merged.
    pub fn merge(&mut self, value: &[u8]) -> Result<(), Error> {
        match check(value)? {
            Encoding::Dense => {
                self.dense = true;
                let (packed, _) = value[HEADER..].as_chunks::<{ BLOCK * 3 / 4 }>();
                let (unpacked, _) = self.values.as_chunks_mut::<BLOCK>();
                for (packed, unpacked) in packed.iter().zip(unpacked) {
                    for (old, new) in unpacked.iter_mut().zip(unpack_block(packed)) {
                        *old = (*old).max(new);
                    }
                }
                Ok(())
            }
            Encoding::Sparse => {
                let mut index = 0;
                for run in sparse::Runs::of(&value[HEADER..]) {
                    let run = run?;
                    for register in &mut self.values[index..index + run.len] {
                        *register = (*register).max(run.value);
                    }
                    index += run.len;
                }
                if index == REGISTERS { Ok(()) } else { Err(Error::Corrupted) }
            }
        }
    }

    /// Estimates the cardinality of the union. O(registers).
    pub fn count(&self) -> u64 {
        let mut histogram = [0; VALUES];
        for &value in &self.values {
            histogram[usize::from(value) % VALUES] += 1;
        }
        estimate(&histogram)
    }

    /// What each register holds, 0 to 63. O(1).
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// Writes the union into `target`, as `PFMERGE` does after it has merged all sources and the target itself: dense
    /// if one of them was, else sparse as far as `sparse_max_bytes` allows; the cached cardinality becomes stale.
    /// O(registers).
    ///
    /// # Errors
    /// [`Error::Foreign`] or [`Error::Corrupted`], if `target` was not merged before; it is then unchanged or half
    /// merged.
    pub fn write(&self, target: &mut Vec<u8>, sparse_max_bytes: usize) -> Result<(), Error> {
        if self.dense {
            make_dense(target)?;
        }
        let mut cursor = sparse::Cursor::start();
        for (index, &value) in self.values.iter().enumerate().filter(|(_, value)| **value > 0) {
            match check(target)? {
                Encoding::Dense => {
                    raise(&mut target[HEADER..], index, value);
                }
                Encoding::Sparse => {
                    cursor.raise(target, index, value, sparse_max_bytes)?;
                }
            }
        }
        invalidate(target);
        Ok(())
    }

    /// The union as a value of its own. O(registers).
    ///
    /// # Errors
    /// None in practice: an empty value takes any registers.
    pub fn to_value(&self, sparse_max_bytes: usize) -> Result<Vec<u8>, Error> {
        let mut value = empty();
        self.write(&mut value, sparse_max_bytes)?;
        Ok(value)
    }
}

/// Registers that are unpacked at once.
const BLOCK: usize = 64;

/// The registers of a block: eight at a time, spread over the bytes of a word by halves.
#[inline]
fn unpack_block(packed: &[u8; BLOCK * 3 / 4]) -> [u8; BLOCK] {
    let mut unpacked = [0; BLOCK];
    for (six, eight) in packed.as_chunks::<6>().0.iter().zip(unpacked.as_chunks_mut::<8>().0) {
        let bits = u64::from_le_bytes([six[0], six[1], six[2], six[3], six[4], six[5], 0, 0]);
        let bits = bits & 0xff_ffff | (bits & 0xffff_ff00_0000) << 8;
        let bits = bits & 0x0000_0fff_0000_0fff | (bits & 0x00ff_f000_00ff_f000) << 4;
        let bits = bits & 0x003f_003f_003f_003f | (bits & 0x0fc0_0fc0_0fc0_0fc0) << 2;
        *eight = bits.to_le_bytes();
    }
    unpacked
}

/// Four registers of three bytes, the first in the lowest bits.
fn unpack(packed: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_le_bytes([packed[0], packed[1], packed[2], 0]);
    [0, 6, 12, 18].map(|shift| (bits >> shift) as u8 & 63)
}

/// Raises a register of a dense value to `count`; tells whether it was lower. O(1).
pub(super) fn raise(registers: &mut [u8], index: usize, count: u8) -> bool {
    let Some(group) = registers.get_mut(index / 4 * 3..index / 4 * 3 + 3) else { return false };
    let shift = index % 4 * 6;
    let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    if u32::from(count) <= bits >> shift & 63 {
        return false;
    }
    let bits = bits & !(63 << shift) | u32::from(count & 63) << shift;
    group.copy_from_slice(&bits.to_le_bytes()[..3]);
    true
}

/// Counts how many dense registers hold each value. O(registers).
pub(super) fn count_dense(registers: &[u8], histogram: &mut [u32; VALUES]) {
    // Two counters in turn, because neighbours are often equal and an increment waits for the one before.
    let mut other = [0; VALUES];
    for packed in registers.as_chunks::<3>().0 {
        let [a, b, c, d] = unpack(*packed);
        histogram[usize::from(a)] += 1;
        other[usize::from(b)] += 1;
        histogram[usize::from(c)] += 1;
        other[usize::from(d)] += 1;
    }
    for (total, other) in histogram.iter_mut().zip(other) {
        *total += other;
    }
}

/// Ertl's improved raw estimator (arXiv:1702.01284, algorithm 6), in the order of operations that gives Redis's
/// numbers. O(1).
pub(super) fn estimate(histogram: &[u32; VALUES]) -> u64 {
    const HALF_OVER_LN_2: f64 = 0.721_347_520_444_481_7;
    let registers = REGISTERS as f64;
    let mut z = registers * tau((registers - f64::from(histogram[LARGEST])) / registers);
    for &count in histogram[1..LARGEST].iter().rev() {
        z = (z + f64::from(count)) * 0.5;
    }
    z += registers * sigma(f64::from(histogram[0]) / registers);
    let estimate = (HALF_OVER_LN_2 * registers * registers / z).round();
    // What does not fit a signed number comes out of the conversion as the smallest one.
    if estimate < 9_223_372_036_854_775_808.0 { estimate as u64 } else { 1 << 63 }
}

/// Ertl's sigma: the share of registers that are zero.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

/// Ertl's tau: the share of registers that are below the largest value.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
