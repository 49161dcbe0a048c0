//! The keys of most files, strings, where they lie in memory as a whole: looked at in place, without an allocation.

use super::code::{kind, part, text};
use super::{Bounds, Damage, lzf};
use crate::protocol::number::parse_i64;
use crate::store::EMBEDDED_MAX;

/// A string under its key, as it lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quick<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub text: Text<'a>,
    /// When it expires, in milliseconds of Unix time.
    pub expiry: Option<u64>,
    /// Bytes of the part that it is.
    pub len: usize,
}

/// A string as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// As an integer.
    Integer(i64),
    /// Compressed; of so many bytes.
    Packed(&'a [u8], usize),
}

impl<'a> Quick<'a> {
    /// The part that `bytes` begin with, if it is a string that a record embeds and is written in one of the usual ways. `None`
    /// leaves it to [`super::file::Reader`], which also tells what is wrong with it. O(1).
    #[inline]
    pub fn read(bytes: &'a [u8], bounds: &Bounds) -> Option<Quick<'a>> {
        let mut rest = bytes;
        let mut expiry = None;
        if let Some((&part::EXPIRY_MS, behind)) = rest.split_first() {
            let (time, behind) = behind.split_first_chunk()?;
            // Negative ones have passed like 0.
            expiry = Some(i64::from_le_bytes(*time).max(0) as u64);
            rest = behind;
        }
        let (&kind::STRING, mut rest) = rest.split_first()? else { return None };
        let Text::Plain(key) = string(&mut rest)? else { return None };
        let text = string(&mut rest)?;
        let longest = match text {
            Text::Plain(text) => text.len(),
            Text::Integer(_) => 0,
            Text::Packed(packed, len) => packed.len().max(len),
        };
        let fits = longest <= EMBEDDED_MAX && longest.max(key.len()) as u64 <= bounds.string;
        fits.then_some(Quick { key, text, expiry, len: bytes.len() - rest.len() })
    }
}

impl<'a> Text<'a> {
    /// The string in full, in `room` if it has to be unpacked, or the integer that it is the decimal form of.
    ///
    /// # Errors
    /// It cannot be unpacked.
    #[inline]
    pub fn value<'r>(self, room: &'r mut Vec<u8>) -> Result<Result<i64, &'r [u8]>, Damage>
    where
        'a: 'r,
    {
        let text: &[u8] = match self {
            Text::Integer(number) => return Ok(Ok(number)),
            Text::Plain(text) => text,
            Text::Packed(packed, len) => {
                room.clear();
                lzf::decompress(packed, len, room).ok_or(lzf::BROKEN)?;
                room
            }
        };
        Ok(if text.len() <= 20 { parse_i64(text).ok_or(text) } else { Err(text) })
    }
}

/// The string at the front, which is then behind.
#[inline]
fn string<'a>(rest: &mut &'a [u8]) -> Option<Text<'a>> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    let found = match first {
        0xc0..=0xc2 => return integer(first & 0x3f, rest).map(Text::Integer),
        0xc3 => {
            let (packed, len) = (length(rest)?, length(rest)?);
            // More than it could stand for is refused by the reader.
            if len as u64 > packed as u64 * lzf::RATIO {
                return None;
            }
            let (packed, behind) = rest.split_at_checked(packed)?;
            *rest = behind;
            return Some(Text::Packed(packed, len));
        }
        0x00..=0x3f => usize::from(first),
        0x40..=0x7f => {
            let (&second, behind) = rest.split_first()?;
            *rest = behind;
            usize::from(first & 0x3f) << 8 | usize::from(second)
        }
        _ => return None,
    };
    let (text, behind) = rest.split_at_checked(found)?;
    *rest = behind;
    Some(Text::Plain(text))
}

fn integer(encoding: u8, rest: &mut &[u8]) -> Option<i64> {
    let (number, behind): (i64, &[u8]) = match encoding {
        text::INT8 => rest.split_first().map(|(&byte, behind)| ((byte as i8).into(), behind))?,
        text::INT16 => rest.split_first_chunk().map(|(two, behind)| (i16::from_le_bytes(*two).into(), behind))?,
        _ => rest.split_first_chunk().map(|(four, behind)| (i32::from_le_bytes(*four).into(), behind))?,
    };
    *rest = behind;
    Some(number)
}

/// A length below 2^14.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    match first {
        0x00..=0x3f => Some(first.into()),
        0x40..=0x7f => {
            let (&second, behind) = rest.split_first()?;
            *rest = behind;
            Some(usize::from(first & 0x3f) << 8 | usize::from(second))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::{Head, Part, Reader};
    use super::super::snapshot::{Traits, record};
    use super::super::{Dialect, Encoder};
    use super::*;
    use crate::store::{OwnedValue, Value};

    const HEAD: Head = Head { version: 11, dialect: Dialect::Redis };

    /// What the reader makes of the same bytes.
    fn slowly(bytes: &[u8]) -> (Vec<u8>, OwnedValue, Option<u64>) {
        let mut reader = Reader::of_parts(bytes, HEAD, Bounds::default());
        match reader.part().expect("it is sound") {
            Some(Part::Key(keyed)) => (keyed.key, keyed.parcel.value, keyed.parcel.expiry),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_read_quickly_is_what_the_reader_reads() {
        let mut room = Vec::new();
        let long = vec![b'k'; 5000];
        let texts: [&[u8]; 12] = [
            b"",
            b"text",
            b"7",
            b"-12",
            b"300",
            b"-70000",
            b"12345678901234567890",
            b"1234567890123456789",
            b"007",
            &[b'a'; 300],
            &[b'z'; 2048],
            b"an uncompressed text of some length: 0123456789",
        ];
        for text in texts {
            for (key, expiry) in [(&b"key"[..], None), (b"", Some(0)), (&long, Some(1_700_000_000_000))] {
                let (mut bytes, traits) = (Vec::new(), Traits { expiry, ..Traits::default() });
                let value = Value::Embedded { bytes: text, raw: false };
                record(&mut bytes, &mut Encoder::new(true), key, value, traits);
                let len = bytes.len();
                bytes.extend_from_slice(b"what follows");
                let packed = Quick::read(&bytes, &Bounds::default());
                // A key that is compressed or an integer is for the reader.
                let Some(quick) = packed else {
                    assert_eq!(key, long, "{}", text.escape_ascii());
                    continue;
                };
                assert_eq!((quick.key, quick.expiry, quick.len), (key, expiry, len));
                let value = match quick.text.value(&mut room).expect("it is sound") {
                    Ok(number) => OwnedValue::Integer(number),
                    Err(text) => OwnedValue::Embedded(text.into(), false),
                };
                let (slow_key, slow_value, slow_expiry) = slowly(&bytes[..len]);
                assert_eq!((slow_key.as_slice(), slow_expiry), (key, expiry));
                assert_eq!(format!("{value:?}"), format!("{slow_value:?}"));
                for cut in 0..len {
                    assert_eq!(Quick::read(&bytes[..cut], &Bounds::default()), None, "{cut}");
                }
            }
        }
    }

    #[test]
    fn anything_else_is_left_to_the_reader() {
        for other in [
            &b"\x01\x01k\x01v"[..],
            b"\xff",
            b"\xfe\x01",
            b"\x00\xc0\x05\x01v",
            b"\x00\x01k\x80\x00\x00\x00\x01v",
            b"\x00\x01k\xc4v",
            b"\x00\x01k\xc3\x02\x7f\xff\x00v",
            b"\x00\x01k\x48\x01",
        ] {
            assert_eq!(
                Quick::read(&[other, &[0; 3000]].concat(), &Bounds::default()),
                None,
                "{}",
                other.escape_ascii()
            );
        }
        let small = Bounds { string: 3, ..Bounds::default() };
        assert!(Quick::read(b"\x00\x01k\x03abc", &small).is_some());
        assert_eq!(Quick::read(b"\x00\x01k\x04abcd", &small), None);
        let broken =
            Text::Packed(&[0, b'a', 0x20, 1], 4).value(&mut Vec::new()).map(|value| value.map_err(<[u8]>::to_vec));
        assert!(matches!(broken, Err(Damage::Corrupt(_))), "{broken:?}");
    }
}
