//! Listpacks: the entries of [`Packed`] between a head and an end mark.

use super::Damage;
use crate::value::packed::{Entry, Packed, append};

/// Bytes of the head: all bytes, and entries.
const HEAD: usize = 6;
const END: u8 = 0xff;
/// The number of entries where 16 bits do not hold it.
const UNCOUNTED: u16 = u16::MAX;

/// The entries of a listpack, checked.
pub(super) fn read(bytes: &[u8]) -> Result<Packed, Damage> {
    const BROKEN: Damage = Damage::Corrupt("a listpack with broken entries");
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(BROKEN)?;
    let [a, b, c, d, e, f] = *head;
    let (total, count) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
    let (&END, entries) = rest.split_last().ok_or(BROKEN)? else { return Err(BROKEN) };
    if total as usize != bytes.len() {
        return Err(BROKEN);
    }
    let packed = Packed::from_bytes(entries.to_vec()).ok_or(BROKEN)?;
    if count != UNCOUNTED && usize::from(count) != packed.len() {
        return Err(BROKEN);
    }
    Ok(packed)
}

/// Begins a listpack in the place of what `out` held.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0; HEAD]);
}

/// Appends an entry to a listpack that was begun.
pub(super) fn push(out: &mut Vec<u8>, entry: Entry<'_>) {
    append(out, entry);
}

/// Ends a listpack of so many entries.
pub(super) fn end(out: &mut Vec<u8>, count: usize) {
    out.push(END);
    let total = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let count = u16::try_from(count).unwrap_or(UNCOUNTED);
    if let Some((all, rest)) = out.split_first_chunk_mut::<4>() {
        *all = total.to_le_bytes();
        rest[..2].copy_from_slice(&count.to_le_bytes());
    }
}
