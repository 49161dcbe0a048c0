//! Packed forms that only older servers write, and sets of integers: a string each.

use super::Damage;
use crate::value::intset::IntSet;
use crate::value::packed::{Entry, Packed};

/// The entries of a ziplist: what came before listpacks.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Packed, Damage> {
    const BROKEN: Damage = Damage::Corrupt("a ziplist with broken entries");
    // The head is all bytes, the place of the last entry, and entries. We need neither the place nor the length of the entry before that
    // each entry has, but where they are wrong something else may be.
    let (head, mut rest) = bytes.split_first_chunk::<10>().ok_or(BROKEN)?;
    let [a, b, c, d, e, f, g, h, i, j] = *head;
    let (total, last) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if total as usize != bytes.len() {
        return Err(BROKEN);
    }
    let (mut packed, mut place, mut before) = (Packed::new(), head.len(), 0);
    loop {
        let (&first, tail) = rest.split_first().ok_or(BROKEN)?;
        // The length of the entry before: a byte, or four behind a mark.
        let (said, tail) = match first {
            0xff if tail.is_empty() => break,
            0xff => return Err(BROKEN),
            0xfe => {
                let (said, tail) = tail.split_first_chunk().ok_or(BROKEN)?;
                (u32::from_le_bytes(*said) as usize, tail)
            }
            said => (said.into(), tail),
        };
        if said != before {
            return Err(BROKEN);
        }
        let (entry, behind) = ziplist_entry(tail).ok_or(BROKEN)?;
        packed.insert(packed.end(), entry)?;
        (place, before, rest) = (bytes.len() - rest.len(), rest.len() - behind.len(), behind);
    }
    let count = u16::from_le_bytes([i, j]);
    if last as usize != place || count != u16::MAX && usize::from(count) != packed.len() {
        return Err(BROKEN);
    }
    Ok(packed)
}

/// The entry at the front, and what is behind it.
fn ziplist_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (&mark, tail) = bytes.split_first()?;
    let text = |skip: usize, len: usize| {
        let (text, behind) = tail.get(skip..)?.split_at_checked(len)?;
        Some((Entry::of(text), behind))
    };
    let number = |len: usize| {
        let (number, behind) = tail.split_at_checked(len)?;
        let mut wide = [0; 8];
        wide[8 - len..].copy_from_slice(number);
        Some((Entry::Integer(i64::from_le_bytes(wide) >> (64 - 8 * len)), behind))
    };
    match mark {
        0x00..=0x3f => text(0, mark.into()),
        0x40..=0x7f => text(1, usize::from(mark & 0x3f) << 8 | usize::from(*tail.first()?)),
        0x80 => text(4, u32::from_be_bytes(*tail.first_chunk()?) as usize),
        0xc0 => number(2),
        0xd0 => number(4),
        0xe0 => number(8),
        0xf0 => number(3),
        0xfe => number(1),
        0xf1..=0xfd => Some((Entry::Integer(i64::from(mark & 0xf) - 1), tail)),
        _ => None,
    }
}

/// The fields and values of a zipmap, by turns: what came before ziplists.
pub(super) fn zipmap(bytes: &[u8]) -> Result<Packed, Damage> {
    const BROKEN: Damage = Damage::Corrupt("a zipmap with broken entries");
    let (&count, mut rest) = bytes.split_first().ok_or(BROKEN)?;
    let mut packed = Packed::new();
    while rest != [0xff] {
        let (field, tail) = zipmap_text(rest, 0).ok_or(BROKEN)?;
        let (value, tail) = zipmap_text(tail, 1).ok_or(BROKEN)?;
        packed.push(field)?;
        packed.push(value)?;
        rest = tail;
    }
    // 254 says that there are more than can be counted.
    if count < 254 && usize::from(count) * 2 != packed.len() {
        return Err(BROKEN);
    }
    Ok(packed)
}

/// The text at the front and what is behind it. `spare`: bytes that tell how many unused ones follow the text.
fn zipmap_text(bytes: &[u8], spare: usize) -> Option<(&[u8], &[u8])> {
    let (&first, tail) = bytes.split_first()?;
    let (len, tail) = match first {
        0..=253 => (usize::from(first), tail),
        254 => {
            let (len, tail) = tail.split_first_chunk()?;
            (u32::from_le_bytes(*len) as usize, tail)
        }
        255 => return None,
    };
    let (unused, tail) = tail.split_at_checked(spare)?;
    let (text, tail) = tail.split_at_checked(len)?;
    let unused = unused.first().copied().unwrap_or(0);
    Some((text, tail.get(usize::from(unused)..)?))
}

/// A set of integers.
pub(super) fn integers(bytes: &[u8]) -> Result<IntSet, Damage> {
    const BROKEN: Damage = Damage::Corrupt("a set of integers that is not in order");
    let (width, rest) = bytes.split_first_chunk().ok_or(BROKEN)?;
    let (count, numbers) = rest.split_first_chunk().ok_or(BROKEN)?;
    let (width, count) = (u32::from_le_bytes(*width) as usize, u32::from_le_bytes(*count) as usize);
    if count.checked_mul(width) != Some(numbers.len()) {
        return Err(BROKEN);
    }
    IntSet::from_bytes(width, numbers.to_vec()).ok_or(BROKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(packed: Result<Packed, Damage>) -> Vec<String> {
        packed.expect("it is sound").iter().map(|item| String::from_utf8_lossy(&item).into_owned()).collect()
    }

    #[test]
    fn a_ziplist_of_all_encodings_is_read() {
        let long = [b'x'; 70];
        let entries: &[&[u8]] = &[
            &[0, 2, b'h', b'i'],
            &[4, 0x40, 70],
            &long,
            &[0xfe, 73, 0, 0, 0, 0xc0, 0x00, 0x80],
            &[8, 0xd0, 1, 2, 3, 4],
            &[6, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[10, 0xf0, 0, 0, 0x80],
            &[5, 0xfe, 0x9c],
            &[3, 0xf1],
            &[2, 0xfd],
            &[2, 0x80, 0, 0, 0, 1, b'7'],
        ];
        let body = entries.concat();
        let mut bytes = (body.len() as u32 + 11).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[123, 0, 0, 0, 10, 0]);
        bytes.extend_from_slice(&body);
        bytes.push(0xff);
        let long = "x".repeat(70);
        let wanted = ["hi", &long, "-32768", "67305985", "9223372036854775807", "-8388608", "-100", "0", "12", "7"];
        assert_eq!(texts(ziplist(&bytes)), wanted);
        for cut in 0..bytes.len() {
            assert!(ziplist(&bytes[..cut]).is_err(), "{cut}");
        }
        // Its length, the last entry's place, the count, and what entries say of those before them.
        for at in [0, 4, 8, 10, 14, 88, 95, 101, 123] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(ziplist(&damaged).is_err(), "{at}");
        }
        assert!(texts(ziplist(b"\x0b\0\0\0\x0a\0\0\0\0\0\xff")).is_empty());
    }

    #[test]
    fn a_zipmap_is_read() {
        let map = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldXY\xff";
        assert_eq!(texts(zipmap(map)), ["foo", "bar", "hello", "world"]);
        for cut in 0..map.len() {
            assert!(zipmap(&map[..cut]).is_err(), "{cut}");
        }
        assert!(zipmap(b"\x03\x01a\x01\x00b\xff").is_err(), "it counts three");
    }

    #[test]
    fn integers_are_in_order() {
        let set = integers(b"\x02\0\0\0\x02\0\0\0\xfe\xff\x05\0").expect("it is sound");
        assert!(set.iter().eq([-2, 5]));
        assert!(integers(b"\x02\0\0\0\x02\0\0\0\x05\0\xfe\xff").is_err());
        assert!(integers(b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0").is_err());
        assert!(integers(b"\x03\0\0\0\x01\0\0\0\x05\0\0").is_err());
        assert!(integers(b"\x02\0\0\0\xff\xff\xff\xff\x05\0").is_err());
    }
}
