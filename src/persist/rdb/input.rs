//! Bytes on their way in: lengths, numbers and strings.

use std::io::{BufRead, ErrorKind};

use super::code::text;
use super::{Bounds, Damage, Dialect, crc64, lzf};
use crate::value::Item;

/// What comes before a string or a number of elements.
pub(super) enum Length {
    /// So many.
    Plain(u64),
    /// A string in another form.
    Encoded(u8),
}

/// A source of RDB bytes: a slice as a whole, or a file through the fixed window of its reader.
///
/// No length that the bytes claim takes memory before so many bytes have come, and no string is longer than
/// [`Bounds::string`].
#[derive(Debug)]
pub struct Input<R> {
    source: R,
    /// Bytes of the window that were read. They are given back when all were, so that the checksum runs over many.
    at: usize,
    before: u64,
    sum: u64,
    sums: bool,
    pub(super) dialect: Dialect,
    pub(super) bounds: Bounds,
}

impl<R: BufRead> Input<R> {
    /// Reads from `source` what is of a dialect.
    pub fn new(source: R, dialect: Dialect, bounds: Bounds) -> Self {
        Input { source, at: 0, before: 0, sum: 0, sums: false, dialect, bounds }
    }

    /// The same, and sums what is read.
    pub(super) fn summing(source: R, bounds: Bounds) -> Self {
        Input { sums: true, ..Input::new(source, Dialect::Redis, bounds) }
    }

    /// Bytes that were read. O(1).
    pub fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The checksum of what was read so far.
    pub(super) fn sum(&mut self) -> Result<u64, Damage> {
        self.settle()?;
        Ok(self.sum)
    }

    /// Whether no byte is left.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Damage> {
        self.settle()?;
        fill(&mut self.source).map(<[u8]>::is_empty)
    }

    /// Gives the bytes back that were read.
    fn settle(&mut self) -> Result<(), Damage> {
        if self.at > 0 {
            if self.sums {
                let window = fill(&mut self.source)?;
                self.sum = crc64::update(self.sum, window.get(..self.at).ok_or(Damage::Truncated)?);
            }
            self.source.consume(self.at);
            self.before += self.at as u64;
            self.at = 0;
        }
        Ok(())
    }

    /// The bytes at hand: one at least.
    fn window(&mut self) -> Result<&[u8], Damage> {
        if fill(&mut self.source)?.len() <= self.at {
            self.settle()?;
        }
        let window = fill(&mut self.source)?.get(self.at..).unwrap_or_default();
        if window.is_empty() { Err(Damage::Truncated) } else { Ok(window) }
    }

    /// A byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let byte = self.window()?[0];
        self.at += 1;
        Ok(byte)
    }

    /// So many bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        if let Some(array) = self.window()?.first_chunk() {
            let array = *array;
            self.at += N;
            return Ok(array);
        }
        let mut array = [0; N];
        for byte in &mut array {
            *byte = self.byte()?;
        }
        Ok(array)
    }

    /// Appends so many bytes. Memory follows what has come.
    fn bytes(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), Damage> {
        let mut left = usize::try_from(len).map_err(|_| Damage::TooLong(len))?;
        while left > 0 {
            let window = self.window()?;
            let part = window.get(..left).unwrap_or(window);
            out.extend_from_slice(part);
            let read = part.len();
            self.at += read;
            left -= read;
        }
        Ok(())
    }

    /// A length, or the encoding of the string that follows.
    pub(super) fn length_or_encoding(&mut self) -> Result<Length, Damage> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Plain(low.into()),
            1 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 => match first {
                0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return Err(Damage::Corrupt("a length of no known form")),
            },
            _ => Length::Encoded(low),
        })
    }

    /// A length, or another number that is written like one.
    #[inline]
    pub(super) fn length(&mut self) -> Result<u64, Damage> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(Damage::Corrupt("an encoded string in the place of a length")),
        }
    }

    /// The number of elements that follow: one at least.
    pub(super) fn count(&mut self) -> Result<u64, Damage> {
        match self.length()? {
            0 => Err(Damage::Empty),
            count => Ok(count),
        }
    }

    /// A string, in the place of what `out` held.
    pub(super) fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Damage> {
        out.clear();
        let number = match self.length_or_encoding()? {
            Length::Plain(len) => {
                self.check(len)?;
                return self.bytes(len, out);
            }
            Length::Encoded(text::INT8) => i64::from(self.byte()? as i8),
            Length::Encoded(text::INT16) => i16::from_le_bytes(self.array()?).into(),
            Length::Encoded(text::INT32) => i32::from_le_bytes(self.array()?).into(),
            Length::Encoded(text::LZF) => return self.compressed(out),
            Length::Encoded(_) => return Err(Damage::Corrupt("a string of no known encoding")),
        };
        out.extend_from_slice(&Item::integer(number));
        Ok(())
    }

    fn compressed(&mut self, out: &mut Vec<u8>) -> Result<(), Damage> {
        let (packed, len) = (self.length()?, self.length()?);
        self.check(packed)?;
        self.check(len)?;
        if len > packed.saturating_mul(lzf::RATIO) {
            return Err(lzf::BROKEN);
        }
        let len = usize::try_from(len).map_err(|_| Damage::TooLong(len))?;
        let mut bytes = Vec::new();
        self.bytes(packed, &mut bytes)?;
        lzf::decompress(&bytes, len, out).ok_or(lzf::BROKEN)
    }

    fn check(&self, len: u64) -> Result<(), Damage> {
        if len > self.bounds.string { Err(Damage::TooLong(len)) } else { Ok(()) }
    }

    /// Milliseconds of Unix time, of which negative ones have passed like 0.
    pub(super) fn time(&mut self) -> Result<u64, Damage> {
        Ok(i64::from_le_bytes(self.array()?).max(0) as u64)
    }
}

fn fill<R: BufRead>(source: &mut R) -> Result<&[u8], Damage> {
    // A signal may interrupt a read; the second borrow is the compiler's wish.
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Damage::Source(error)),
        }
    }
    source.fill_buf().map_err(Damage::Source)
}
