//! Where the parts of a file end, without reading their values: what splits a file among threads.

use super::code::{kind, node, part, text};
use super::file::Head;
use super::{Damage, Dialect};

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A part of so many bytes.
    Part {
        /// Its bytes.
        len: usize,
        /// The database of the keys that follow, if it says that.
        database: Option<u64>,
        /// How many keys the database has, if it says that; it may be wrong.
        keys: Option<u64>,
    },
    /// The mark of the file's end: one byte, before the checksum.
    End,
    /// A part that goes on behind the bytes.
    More,
}

/// Finds the end of the part that `bytes` begin with. O(strings in the part): none is looked into, and what is wrong
/// inside of them is left to the reader.
///
/// # Errors
/// [`Damage`] where nobody can tell.
pub fn extent(bytes: &[u8], head: Head, string_max: u64) -> Result<Extent, Damage> {
    let mut skip = Skip { bytes, at: 0, dialect: head.dialect, string_max };
    match skip.part() {
        Ok(extent) => Ok(extent),
        Err(Stop::More) => Ok(Extent::More),
        Err(Stop::Damage(damage)) => Err(damage),
    }
}

/// Why skipping stopped.
enum Stop {
    More,
    Damage(Damage),
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Stop::Damage(damage)
    }
}

struct Skip<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    string_max: u64,
}

impl Skip<'_> {
    fn part(&mut self) -> Result<Extent, Stop> {
        let (mut database, mut keys) = (None, None);
        loop {
            match self.byte()? {
                part::EXPIRY => self.skip(4)?,
                part::EXPIRY_MS => self.skip(8)?,
                part::IDLE => _ = self.length()?,
                part::FREQUENCY => self.skip(1)?,
                part::END => return Ok(Extent::End),
                part::DATABASE => {
                    database = Some(self.length()?);
                    break;
                }
                part::SIZES => {
                    keys = Some(self.length()?);
                    self.length()?;
                    break;
                }
                part::AUX => {
                    self.strings(2)?;
                    break;
                }
                part::FUNCTION => {
                    self.string()?;
                    break;
                }
                // The reader refuses it, and tells why.
                part::FUNCTION_EARLY => break,
                // The reader passes over the next three together with what follows.
                part::SLOT_INFO => self.lengths(3)?,
                part::SLOT_IMPORT if self.dialect == Dialect::Valkey => {
                    self.string()?;
                    let ranges = self.length()?;
                    for _ in 0..ranges {
                        self.lengths(2)?;
                    }
                }
                part::MODULE => self.module()?,
                kind => {
                    self.string()?;
                    self.value(kind)?;
                    break;
                }
            }
        }
        Ok(Extent::Part { len: self.at, database, keys })
    }

    fn value(&mut self, kind: u8) -> Result<(), Stop> {
        match kind {
            kind::STRING
            | kind::HASH_ZIPMAP
            | kind::LIST_ZIPLIST
            | kind::SET_INTEGERS
            | kind::SORTED_SET_ZIPLIST
            | kind::HASH_ZIPLIST
            | kind::HASH_LISTPACK
            | kind::SORTED_SET_LISTPACK
            | kind::SET_LISTPACK => self.string(),
            kind::LIST | kind::SET | kind::QUICKLIST => self.times(|skip| skip.string()),
            kind::HASH => self.times(|skip| skip.strings(2)),
            kind::SORTED_SET_TEXT => self.times(|skip| {
                skip.string()?;
                match skip.byte()? {
                    // No number, and the two infinities.
                    253..=255 => Ok(()),
                    digits => skip.skip(u64::from(digits)),
                }
            }),
            kind::SORTED_SET => self.times(|skip| {
                skip.string()?;
                skip.skip(8)
            }),
            kind::QUICKLIST_2 => self.times(|skip| match skip.length()? {
                node::PLAIN | node::PACKED => skip.string(),
                _ => Err(Damage::Corrupt("a node of a list of no known form").into()),
            }),
            kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => self.stream(kind),
            kind::VALKEY_HASH_TIMES if self.dialect == Dialect::Valkey => self.times(|skip| {
                skip.strings(2)?;
                skip.skip(8)
            }),
            23.. if self.dialect == Dialect::Valkey => Err(Damage::Unknown(kind).into()),
            kind::HASH_TIMES_EARLY | kind::HASH_TIMES => {
                if kind == kind::HASH_TIMES {
                    self.skip(8)?;
                }
                self.times(|skip| {
                    skip.length()?;
                    skip.strings(2)
                })
            }
            kind::HASH_LISTPACK_TIMES_EARLY => self.string(),
            kind::HASH_LISTPACK_TIMES => {
                self.skip(8)?;
                self.string()
            }
            kind::MODULE | kind::MODULE_2 => Err(Damage::Module.into()),
            _ => Err(Damage::Unknown(kind).into()),
        }
    }

    fn stream(&mut self, kind: u8) -> Result<(), Stop> {
        self.times(|skip| skip.strings(2))?;
        self.lengths(if kind >= kind::STREAM_2 { 8 } else { 3 })?;
        self.times(|skip| {
            skip.string()?;
            skip.lengths(if kind >= kind::STREAM_2 { 3 } else { 2 })?;
            skip.times(|skip| {
                skip.skip(24)?;
                skip.lengths(1)
            })?;
            skip.times(|skip| {
                skip.string()?;
                skip.skip(if kind >= kind::STREAM_3 { 16 } else { 8 })?;
                skip.times(|skip| skip.skip(16))
            })
        })
    }

    /// What a module keeps beside its values, up to the mark of its end.
    fn module(&mut self) -> Result<(), Stop> {
        self.lengths(3)?;
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => self.lengths(1)?,
                3 => self.skip(4)?,
                4 => self.skip(8)?,
                5 => self.string()?,
                _ => return Err(Damage::Corrupt("a module's data of no known form").into()),
            }
        }
    }

    /// A number of elements, and each of them.
    fn times(&mut self, each: impl Fn(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        let count = self.length()?;
        // Each element takes bytes, so a count that lies ends with them.
        for _ in 0..count {
            each(self)?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::More)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, len: u64) -> Result<(), Stop> {
        let left = (self.bytes.len() - self.at) as u64;
        if len > left {
            return Err(Stop::More);
        }
        // It is no more than is left, so it fits.
        self.at += len as usize;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let array = *self.bytes[self.at..].first_chunk().ok_or(Stop::More)?;
        self.at += N;
        Ok(array)
    }

    fn lengths(&mut self, count: usize) -> Result<(), Stop> {
        for _ in 0..count {
            self.length()?;
        }
        Ok(())
    }

    fn length(&mut self) -> Result<u64, Stop> {
        self.length_or_encoding()?.map_err(|_| Damage::Corrupt("a string in the place of a length").into())
    }

    /// A length, or the encoding of a string.
    fn length_or_encoding(&mut self) -> Result<Result<u64, u8>, Stop> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Ok(u64::from(first)),
            (1, _) => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Ok(u32::from_be_bytes(self.array()?).into()),
            (2, 0x81) => Ok(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(Damage::Corrupt("a length of no known form").into()),
            _ => Err(first & 0x3f),
        })
    }

    fn strings(&mut self, count: usize) -> Result<(), Stop> {
        for _ in 0..count {
            self.string()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        let len = match self.length_or_encoding()? {
            Ok(len) => len,
            Err(text::INT8) => 1,
            Err(text::INT16) => 2,
            Err(text::INT32) => 4,
            Err(text::LZF) => {
                let packed = self.length()?;
                self.length()?;
                packed
            }
            Err(_) => return Err(Damage::Corrupt("a string of no known encoding").into()),
        };
        if len > self.string_max {
            return Err(Damage::TooLong(len).into());
        }
        self.skip(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { version: 11, dialect: Dialect::Redis };

    #[test]
    fn parts_end_where_they_do_and_never_before_they_are_whole() {
        let parts: &[&[u8]] = &[
            b"\xfa\x03abc\xc0\x05",
            b"\xfe\x40\x80",
            b"\xfb\x01\x02",
            b"\xf5\x04text",
            b"\xfc12345678\x00\x01k\x80\x00\x00\x00\x02vv",
            b"\xf8\x05\xfd1234\x00\x01k\xc3\x03\x05zzz",
            b"\x03\x01k\x02\x01a\xff\x01b\x03123",
            b"\x05\x01k\x01\x01a12345678",
            b"\x12\x01k\x02\x01\x01a\x02\x03lst",
            b"\x18\x01k12345678\x01\x02\x01f\x01v",
            b"\x13\x01k\x01\x03key\x03lst\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01g\x01\x01\x01\x01123456789012345612345678\x01\
              \x01\x01c12345678\x011234567890123456",
            b"\xf7\x01\x02\x09\x05\x01a\x03 444\x00\x00\x01k\x01v",
        ];
        for part in parts {
            let database = (part[0] == part::DATABASE).then_some(128);
            let keys = (part[0] == part::SIZES).then_some(1);
            let whole = Extent::Part { len: part.len(), database, keys };
            let more: Vec<u8> = [*part, b"\xff12345678"].concat();
            assert_eq!(extent(&more, HEAD, 100).expect("it is sound"), whole, "{}", part.escape_ascii());
            for cut in 0..part.len() {
                let found = extent(&part[..cut], HEAD, 100).expect("it is sound");
                assert_eq!(found, Extent::More, "{} at {cut}", part.escape_ascii());
            }
        }
        assert_eq!(extent(b"\xff", HEAD, 100).expect("the end"), Extent::End);
    }

    #[test]
    fn what_cannot_be_skipped_is_refused() {
        for wrong in [
            &b"\x07\x01k"[..],
            b"\x63\x01k",
            b"\x00\x80\x7f\xff\xff\xff",
            b"\x00\xc9",
            b"\x00\x01k\x82",
            b"\x01\x01k\xc0",
        ] {
            assert!(extent(wrong, HEAD, 100).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
