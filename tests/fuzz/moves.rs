//! What a fuzzer's bytes mean as moves of a game: small numbers, and texts at the bounds of their encodings.

/// The bytes that are left. At their end all moves are over.
pub(crate) struct Moves<'a>(pub(crate) &'a [u8]);

impl<'a> Moves<'a> {
    /// The next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A number below `end`, which is at least 1 and at most 256.
    pub(crate) fn below(&mut self, end: usize) -> Option<usize> {
        Some(usize::from(self.byte()?) % end)
    }

    /// A number with one bit set, or one beside it: where encodings change their width.
    pub(crate) fn number(&mut self) -> Option<i64> {
        let byte = self.byte()?;
        let power = 1i64 << (byte & 63);
        Some(match byte >> 6 {
            0 => power,
            1 => power.wrapping_sub(1),
            2 => power.wrapping_neg(),
            _ => power.wrapping_neg().wrapping_sub(1),
        })
    }

    /// A text: often one of a few, else a number, a few bytes as they are, or one as long as a bound of the encodings.
    pub(crate) fn text(&mut self) -> Option<Vec<u8>> {
        const LENGTHS: [usize; 16] = [0, 1, 20, 21, 62, 63, 64, 65, 125, 126, 127, 128, 1000, 1100, 4095, 4096];
        let byte = self.byte()?;
        Some(match byte >> 5 {
            0 | 1 => format!("m{}", byte & 15).into_bytes(),
            2 => (i64::from(byte & 31) - 3).to_string().into_bytes(),
            3 => self.number()?.to_string().into_bytes(),
            4 => format!("0{}", byte & 31).into_bytes(),
            5 | 6 => {
                let (text, rest) = self.0.split_at(usize::from(byte & 31).min(self.0.len()));
                self.0 = rest;
                text.to_vec()
            }
            _ => vec![b'a' + (byte >> 4 & 1); LENGTHS[usize::from(byte & 15)]],
        })
    }
}

/// Random bits for what draws lots, the same in every run.
pub(crate) struct Bits(pub(crate) u64);

impl Bits {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 29)
    }
}
