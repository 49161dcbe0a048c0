//! Strings as bitmaps: single bits, counting, searching. Bit 0 is the highest of the first byte.

use super::string::{CHANGE_ONE, GROWING, READ_ONE};
use super::string_value::{edit, grow, is_reversed, span, string_of};
use super::{Command, Context, Error, Flags, Group};
use crate::protocol::{Args, number};
use crate::store::{Event, Record};

/// The family's rows.
pub(super) const COMMANDS: &[Command] =
    &[
        Command::new("getbit", 3, getbit)
            .flags(Flags::READONLY.and(Flags::FAST))
            .keys(READ_ONE)
            .group(Group::Bitmap)
            .since("2.2.0")
            .doc("Returns one bit of a string.", "key offset"),
        Command::new("setbit", 4, setbit).flags(GROWING).keys(CHANGE_ONE).group(Group::Bitmap).since("2.2.0").doc(
            "Sets or clears one bit of a string, which is created if it is not there.",
            "key offset value:integer",
        ),
        Command::new("bitcount", -2, bitcount)
            .flags(Flags::READONLY)
            .keys(READ_ONE)
            .group(Group::Bitmap)
            .since("2.6.0")
            .complexity("O(N)")
            .doc("Counts the bits that are set in a string or a part of it.", "key [start [end [BYTE|BIT]]]"),
        Command::new("bitpos", -3, bitpos)
            .flags(Flags::READONLY)
            .keys(READ_ONE)
            .group(Group::Bitmap)
            .since("2.8.7")
            .complexity("O(N)")
            .doc("Finds the first bit that is set or clear.", "key bit:integer [start [end [BYTE|BIT]]]"),
    ];

/// The index of a bit within a string of at most `limit` bytes. In the notation `#n` of BITFIELD it is the n-th field of so many
/// bits, where `field` says how many.
pub(super) fn bit_offset(text: &[u8], field: Option<u32>, limit: u64) -> Result<u64, Error> {
    let (text, scale) = match (text, field) {
        ([b'#', rest @ ..], Some(bits)) => (rest, bits),
        _ => (text, 1),
    };
    let offset = number::parse_i64(text).and_then(|index| u64::try_from(index).ok());
    let offset = offset.and_then(|index| index.checked_mul(scale.into()));
    offset.filter(|offset| offset >> 3 < limit && *offset <= i64::MAX as u64).ok_or(Error::BIT_OFFSET)
}

fn getbit(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let offset = bit_offset(args.get(2), None, cx.settings().proto_max_bulk_len)?;
    let bit = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let mut digits = itoa::Buffer::new();
        let string = string_of(record.map(Record::value))?;
        let byte = string.and_then(|string| string.bytes(&mut digits).get((offset >> 3) as usize).copied());
        Ok::<_, Error>(byte.is_some_and(|byte| byte & mask(offset) != 0))
    })?;
    cx.reply.integer(bit.into());
    Ok(())
}

/// The bit in its byte.
fn mask(offset: u64) -> u8 {
    0x80 >> (offset & 7)
}

fn setbit(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let offset = bit_offset(args.get(2), None, cx.settings().proto_max_bulk_len)?;
    let bit = match args.get(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(Error::BIT_VALUE),
    };
    let (at, mask) = ((offset >> 3) as usize, mask(offset));
    let (old, is_changed) = cx.store.update(args.get(1), |entry| {
        string_of(entry.value())?;
        edit(entry, at + 1, |bytes| {
            let is_grown = at >= bytes.len();
            grow(bytes, at + 1)?;
            let old = bytes[at] & mask != 0;
            bytes[at] = if bit { bytes[at] | mask } else { bytes[at] & !mask };
            Ok((old, is_grown || old != bit))
        })
    })?;
    if is_changed {
        cx.store.changed(args.get(1), Event::string("setbit"));
    }
    cx.reply.integer(old.into());
    Ok(())
}

/// A part of a bitmap as a client gives it.
struct Range {
    start: i64,
    /// The last element if one was given.
    end: Option<i64>,
    /// Whether elements are bits rather than bytes.
    bits: bool,
}

impl Range {
    /// Parses `[start [end [BYTE|BIT]]]`.
    fn parse(args: Args<'_>) -> Result<Range, Error> {
        if args.len() > 3 {
            return Err(Error::SYNTAX);
        }
        let integer = |text| number::parse_i64(text).ok_or(Error::NOT_INTEGER);
        let start = args.nth(0).map_or(Ok(0), integer)?;
        // Redis looks at the unit before the end.
        let bits = match args.nth(2) {
            None => false,
            Some(unit) if unit.eq_ignore_ascii_case(b"BYTE") => false,
            Some(unit) if unit.eq_ignore_ascii_case(b"BIT") => true,
            Some(_) => return Err(Error::SYNTAX),
        };
        let end = args.nth(1).map(integer).transpose()?;
        Ok(Range { start, end, bits })
    }

    /// The first and the last bit of the part in a string of `len` bytes; `None` if it is empty.
    fn resolve(&self, len: usize) -> Option<(usize, usize)> {
        let end = self.end.unwrap_or(-1);
        if self.bits {
            // A string takes at most 2^60 bytes of memory, so its bits can be counted.
            return span(self.start, end, len.checked_mul(8)?);
        }
        let (first, last) = span(self.start, end, len)?;
        Some((first * 8, last * 8 + 7))
    }
}

fn bitcount(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let range = Range::parse(args.skip(2))?;
    let count = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let Some(string) = string_of(record.map(Record::value))? else { return Ok(0) };
        let mut digits = itoa::Buffer::new();
        let bytes = string.bytes(&mut digits);
        let part = range.resolve(bytes.len()).filter(|_| !is_reversed(range.start, range.end.unwrap_or(-1)));
        Ok::<_, Error>(part.map_or(0, |(first, last)| count_ones(bytes, first, last)))
    })?;
    cx.reply.integer(count as i64);
    Ok(())
}

fn bitpos(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let bit = match number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)? {
        0 => false,
        1 => true,
        _ => return Err(Error::BIT_ARGUMENT),
    };
    let range = Range::parse(args.skip(3))?;
    let found = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let Some(string) = string_of(record.map(Record::value))? else {
            // A key that is not there is all zeroes, without an end.
            return Ok((!bit).then_some(0));
        };
        let mut digits = itoa::Buffer::new();
        let bytes = string.bytes(&mut digits);
        let Some((first, last)) = range.resolve(bytes.len()) else { return Ok(None) };
        // Without an end in the command, the zeroes behind the string count as well.
        let behind = (!bit && range.end.is_none()).then_some(last + 1);
        Ok::<_, Error>(find(bytes, bit, first, last).or(behind))
    })?;
    cx.reply.integer(found.map_or(-1, |at| at as i64));
    Ok(())
}

/// The ones from the bit `first` to the bit `last`, which must be in `bytes`.
fn count_ones(bytes: &[u8], first: usize, last: usize) -> u64 {
    let part = &bytes[first / 8..=last / 8];
    let (words, rest) = part.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    let before = bytes[first / 8] & !head(first);
    let behind = bytes[last / 8] & !tail(last);
    words + rest - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// The first `bit` from the bit `first` to the bit `last`, which must be in `bytes`.
fn find(bytes: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    // Looking for a zero is looking for a one in the complement.
    let flip = if bit { 0 } else { 0xff };
    let (start, end) = (first / 8, last / 8);
    let edge = |at: usize| {
        let mut byte = bytes[at] ^ flip;
        byte &= if at == start { head(first) } else { 0xff };
        byte &= if at == end { tail(last) } else { 0xff };
        (byte != 0).then(|| at * 8 + byte.leading_zeros() as usize)
    };
    if let Some(found) = edge(start) {
        return Some(found);
    }
    let inner = bytes.get(start + 1..end).unwrap_or_default();
    let (words, rest) = inner.as_chunks::<8>();
    let flips = u64::from_be_bytes([flip; 8]);
    let base = (start + 1) * 8;
    if let Some(at) = words.iter().position(|word| u64::from_be_bytes(*word) != flips) {
        let word = u64::from_be_bytes(words[at]) ^ flips;
        return Some(base + at * 64 + word.leading_zeros() as usize);
    }
    if let Some(at) = rest.iter().position(|byte| *byte != flip) {
        return Some(base + words.len() * 64 + at * 8 + (rest[at] ^ flip).leading_zeros() as usize);
    }
    edge(end)
}

/// The bits of a byte from the one at `first` on.
fn head(first: usize) -> u8 {
    0xff >> (first & 7)
}

/// The bits of a byte up to the one at `last`.
fn tail(last: usize) -> u8 {
    0xff << (7 - (last & 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn ranges_of_bits_are_counted_and_searched_like_one_by_one() {
        let mut seed = 1u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..3000 {
            let fill = [0, 0xff, 0x10, 0xef][random(4)];
            let mut bytes = vec![fill; 1 + random(40)];
            for _ in 0..random(3) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            let first = random(bytes.len() * 8);
            let last = first + random(bytes.len() * 8 - first);
            let is_set = |at: &usize| bytes[at / 8] & mask(*at as u64) != 0;
            let context = format!("{bytes:x?} {first}..={last}");
            assert_eq!(count_ones(&bytes, first, last), (first..=last).filter(is_set).count() as u64, "{context}");
            assert_eq!(find(&bytes, true, first, last), (first..=last).find(is_set), "{context}");
            assert_eq!(find(&bytes, false, first, last), (first..=last).find(|at| !is_set(at)), "{context}");
        }
    }

    #[test]
    fn single_bits() {
        let mut rig = Rig::new();
        rig.check(&[
            ("GETBIT b 100", ":0"),
            ("SETBIT b 7 1", ":0"),
            ("SETBIT b 7 1", ":1"),
            ("GET b", "$1|\u{1}"),
            ("SETBIT b 7 0", ":1"),
            ("SETBIT b 8 0", ":0"),
            ("STRLEN b", ":2"),
            ("SET n 12", "+OK"),
            ("GETBIT n 2", ":1"),
            ("SETBIT n 6 1", ":0"),
            ("GET n", "$2|32"),
            ("SETBIT b 4294967296 1", "-ERR bit offset is not an integer or out of range"),
            ("SETBIT b -1 1", "-ERR bit offset is not an integer or out of range"),
            ("SETBIT b #1 1", "-ERR bit offset is not an integer or out of range"),
            ("GETBIT b 4294967296", "-ERR bit offset is not an integer or out of range"),
            ("GETBIT b 4294967295", ":0"),
            ("SETBIT b 1 2", "-ERR bit is not an integer or out of range"),
            ("SETBIT b 1 x", "-ERR bit is not an integer or out of range"),
            ("SETBIT long 32000 1", ":0"),
            ("SETBIT long 3 1", ":0"),
            ("SETBIT long 99999 1", ":0"),
            ("BITCOUNT long", ":3"),
            ("STRLEN long", ":12500"),
        ]);
    }

    #[test]
    fn counting() {
        let mut rig = Rig::new();
        rig.check(&[
            ("BITCOUNT k", ":0"),
            ("SET k foobar", "+OK"),
            ("BITCOUNT k", ":26"),
            ("BITCOUNT k 0 0", ":4"),
            ("BITCOUNT k 1 1 byte", ":6"),
            ("BITCOUNT k 5 30 BIT", ":17"),
            ("BITCOUNT k -2", ":7"),
            ("BITCOUNT k -1 -2", ":0"),
            ("BITCOUNT k 3 2", ":0"),
            ("BITCOUNT k 100 200", ":0"),
            ("BITCOUNT k 0 1 FOO", "-ERR syntax error"),
            ("BITCOUNT k 0 x FOO", "-ERR syntax error"),
            ("BITCOUNT k x 0 FOO", "-ERR value is not an integer or out of range"),
            ("BITCOUNT k 0 1 BIT x", "-ERR syntax error"),
            ("BITCOUNT none a b", "-ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn searching() {
        let mut rig = Rig::new();
        rig.check(&[("BITPOS k 0", ":0"), ("BITPOS k 1", ":-1"), ("BITPOS k 0 5 1", ":0")]);
        assert_eq!(rig.args(&[b"SET", b"k", b"\xff\xf0\x00"]), "+OK");
        rig.check(&[
            ("BITPOS k 0", ":12"),
            ("BITPOS k 1", ":0"),
            ("BITPOS k 1 2", ":-1"),
            ("BITPOS k 1 7 15 BIT", ":7"),
            ("BITPOS k 0 0 0", ":-1"),
            ("BITPOS k 0 0 -1", ":12"),
            ("BITPOS k 1 -1 -1", ":-1"),
            ("BITPOS k 2", "-ERR The bit argument must be 1 or 0."),
            ("BITPOS k x", "-ERR value is not an integer or out of range"),
            ("BITPOS k 1 0 BIT", "-ERR value is not an integer or out of range"),
            ("BITPOS k 1 0 1 FOO", "-ERR syntax error"),
        ]);
        assert_eq!(rig.args(&[b"SET", b"ones", b"\xff\xff"]), "+OK");
        rig.check(&[
            ("BITPOS ones 0", ":16"),
            ("BITPOS ones 0 1", ":16"),
            ("BITPOS ones 0 0 -1", ":-1"),
            ("BITPOS ones 0 5", ":-1"),
        ]);
    }
}
