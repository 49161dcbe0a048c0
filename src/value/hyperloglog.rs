//! HyperLogLog: Redis's string format, byte for byte, and Redis's estimate, count for count.
//!
//! A value is a header of 16 bytes (`HYLL`, the encoding, three unused bytes, the cached cardinality of which the top
//! bit says that it is out of date) and 16384 registers of 6 bits: all of them (dense), or as runs (sparse). Strings
//! come from clients (SET, RESTORE), so nothing about them is taken for granted.

mod registers;
mod selftest;
mod sparse;

use std::fmt;

pub use registers::Registers;
pub use selftest::self_test;

/// Registers of a value.
pub const REGISTERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 14;
const MAGIC: &[u8; 4] = b"HYLL";
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;
/// Where the cached cardinality begins, and the byte with the bit that makes it out of date.
const CARDINALITY: usize = 8;
const STALE: usize = 15;
/// The seed of Redis's hash.
const SEED: u64 = 0xadc8_3b19;

/// How the registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

impl Encoding {
    /// The name that `PFDEBUG ENCODING` tells.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }
    }
}

/// Why a string is no HyperLogLog. The texts are Redis's whole error lines, without the leading `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The header or the length is wrong: some other string.
    Foreign,
    /// The header is right, but the runs do not add up to all registers.
    Corrupted,
}

impl Error {
    /// The error line for the client.
    pub const fn text(self) -> &'static str {
        match self {
            Error::Foreign => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            Error::Corrupted => "INVALIDOBJ Corrupted HLL object detected",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Error {}

/// A value without elements: sparse, 18 bytes, its cached cardinality valid. O(1).
pub fn empty() -> Vec<u8> {
    let mut value = vec![0; HEADER];
    value[..MAGIC.len()].copy_from_slice(MAGIC);
    value[4] = 1;
    sparse::put_zeros(&mut value, REGISTERS);
    value
}

/// Whether a string has the header and the length of a HyperLogLog, and how it keeps its registers. O(1).
///
/// # Errors
/// [`Error::Foreign`] if it has not.
pub fn check(value: &[u8]) -> Result<Encoding, Error> {
    if value.len() < HEADER || !value.starts_with(MAGIC) {
        return Err(Error::Foreign);
    }
    match value[4] {
        0 if value.len() == DENSE_LEN => Ok(Encoding::Dense),
        1 => Ok(Encoding::Sparse),
        _ => Err(Error::Foreign),
    }
}

/// Adds an element. Tells whether a register grew; the caller then calls [`invalidate`], once for all elements, as it
/// does after creating the value (`PFADD` of nothing to a missing key leaves it stale, too).
///
/// A sparse value becomes dense when it would be longer than `sparse_max_bytes` (`hll-sparse-max-bytes`, the header
/// counted in) or the register exceeds 32. O(1) if dense, O(length) if sparse, O(registers) once for the conversion.
///
/// # Errors
/// [`Error::Foreign`] or [`Error::Corrupted`]; nothing was changed.
pub fn add(value: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, Error> {
    let (index, count) = locate(element);
    match check(value)? {
        Encoding::Dense => Ok(registers::raise(&mut value[HEADER..], index, count)),
        Encoding::Sparse => sparse::Cursor::start().raise(value, index, count, sparse_max_bytes),
    }
}

/// Marks the cached cardinality as out of date. Does nothing to what is shorter than a header. O(1).
pub fn invalidate(value: &mut [u8]) {
    if let Some(byte) = value.get_mut(STALE) {
        *byte |= 0x80;
    }
}

/// The cached cardinality, if the value is a HyperLogLog and the cache is up to date. O(1).
pub fn cached(value: &[u8]) -> Option<u64> {
    check(value).ok()?;
    let bytes = value.get(CARDINALITY..HEADER)?;
    let cardinality = u64::from_le_bytes(bytes.try_into().ok()?);
    (cardinality >> 63 == 0).then_some(cardinality)
}

/// Caches a cardinality that [`count`] returned. Does nothing to what is shorter than a header. O(1).
pub fn cache(value: &mut [u8], cardinality: u64) {
    if let Some(bytes) = value.get_mut(CARDINALITY..HEADER) {
        bytes.copy_from_slice(&cardinality.to_le_bytes());
    }
}

/// Estimates the cardinality from the registers, whatever is cached. O(registers) if dense, O(length) if sparse.
///
/// Forged dense registers may give an estimate beyond 63 bits; it is then 2^63, which Redis prints as a negative number.
///
/// # Errors
/// [`Error::Foreign`] or [`Error::Corrupted`].
pub fn count(value: &[u8]) -> Result<u64, Error> {
    let mut histogram = [0; registers::VALUES];
    match check(value)? {
        Encoding::Dense => registers::count_dense(&value[HEADER..], &mut histogram),
        Encoding::Sparse => sparse::count(&value[HEADER..], &mut histogram)?,
    }
    Ok(registers::estimate(&histogram))
}

/// Makes a sparse value dense, keeping its cached cardinality; a dense one stays as it is. O(registers).
///
/// # Errors
/// [`Error::Foreign`] or [`Error::Corrupted`]; nothing was changed.
pub fn make_dense(value: &mut Vec<u8>) -> Result<(), Error> {
    if check(value)? == Encoding::Dense {
        return Ok(());
    }
    let mut dense = vec![0; DENSE_LEN];
    dense[..HEADER].copy_from_slice(&value[..HEADER]);
    dense[4] = 0;
    let (mut index, mut whole) = (0, false);
    for run in sparse::Runs::of(&value[HEADER..]) {
        let run = run?;
        if run.value > 0 {
            for register in index..index + run.len {
                registers::raise(&mut dense[HEADER..], register, run.value);
            }
        }
        index += run.len;
        whole = index == REGISTERS;
    }
    if !whole {
        return Err(Error::Corrupted);
    }
    *value = dense;
    Ok(())
}

/// The runs of a sparse value as `PFDEBUG DECODE` prints them: `z:` and `Z:` for zeros, `v:value,length`. O(length).
///
/// # Errors
/// [`Error::Foreign`] or [`Error::Corrupted`]; `None` if the value is dense.
pub fn describe(value: &[u8]) -> Result<Option<String>, Error> {
    if check(value)? == Encoding::Dense {
        return Ok(None);
    }
    let mut text = String::new();
    for run in sparse::Runs::of(&value[HEADER..]) {
        let run = run?;
        if !text.is_empty() {
            text.push(' ');
        }
        let part = match (run.value, run.bytes) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        };
        text.push_str(&part);
    }
    Ok(Some(text))
}

/// The register of an element and what it is to hold at least: one more than the zeros that its hash ends with.
fn locate(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element, SEED);
    let index = (hash as usize) & (REGISTERS - 1);
    // The bit above the hash ends the zeros.
    let rest = (hash >> INDEX_BITS) | 1 << (64 - INDEX_BITS);
    (index, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A, read as little-endian on any machine.
fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    // Redis passes the length as an int, and strings are at most 512 MB long.
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests;
