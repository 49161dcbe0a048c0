//! One value by itself, as `DUMP` gives and `RESTORE` takes it: type, value, version (two bytes), checksum of all before.

use super::code::part;
use super::{Bounds, Damage, Dialect, Encoder, Input, Version, crc64, encode};
use crate::store::{OwnedValue, Value};

/// Bytes behind the value.
const FOOT: usize = 10;

/// Writes a value as a payload. O(bytes).
pub fn write(encoder: &mut Encoder, value: Value<'_>) -> Vec<u8> {
    let mut out = vec![Encoder::kind(value)];
    encoder.value(&mut out, value);
    seal(&mut out, encode::version_of(value) as u16);
    out
}

/// Appends version and checksum.
fn seal(out: &mut Vec<u8>, version: u16) {
    out.extend_from_slice(&version.to_le_bytes());
    let sum = crc64::update(0, out);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Writes the texts of libraries of functions as the payload of `FUNCTION DUMP`. O(bytes).
pub fn write_functions<'a>(encoder: &mut Encoder, texts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.push(part::FUNCTION);
        encoder.string(&mut out, text);
    }
    seal(&mut out, Version::V10 as u16);
    out
}

/// Reads the texts of libraries of functions out of what [`open`] found.
///
/// # Errors
/// [`Damage::Unknown`] where there is something else, and any other [`Damage`] but those of `open`.
pub fn read_functions(value: &[u8], dialect: Dialect, bounds: Bounds) -> Result<Vec<Vec<u8>>, Damage> {
    let mut input = Input::new(value, dialect, bounds);
    let mut texts = Vec::new();
    while !input.is_at_end()? {
        match input.byte()? {
            part::FUNCTION => (),
            kind => return Err(Damage::Unknown(kind)),
        }
        let mut text = Vec::new();
        input.string(&mut text)?;
        texts.push(text);
    }
    Ok(texts)
}

/// The type and value of a payload, and whose they are. A checksum of 0 is none, as in Redis.
///
/// # Errors
/// [`Damage::Version`] or [`Damage::Checksum`]. O(bytes).
pub fn open(payload: &[u8]) -> Result<(&[u8], Dialect), Damage> {
    let (value, foot) = payload.split_last_chunk::<FOOT>().ok_or(Damage::Truncated)?;
    let [low, high, sum @ ..] = *foot;
    let version = u16::from_le_bytes([low, high]);
    let dialect = Dialect::of(version).ok_or_else(|| Damage::Version(version.to_string().into_bytes().into()))?;
    let sum = u64::from_le_bytes(sum);
    if sum != 0 && sum != crc64::update(0, &payload[..value.len() + 2]) {
        return Err(Damage::Checksum);
    }
    Ok((value, dialect))
}

/// Reads what [`open`] found: a type and a value, and nothing behind it.
///
/// # Errors
/// Any [`Damage`] but those of `open`.
pub fn read(value: &[u8], dialect: Dialect, bounds: Bounds) -> Result<OwnedValue, Damage> {
    let mut input = Input::new(value, dialect, bounds);
    let kind = input.byte()?;
    let value = input.value(kind)?;
    if input.is_at_end()? { Ok(value) } else { Err(Damage::Corrupt("bytes behind the value")) }
}
