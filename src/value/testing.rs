//! Random input for the tests of this room.

/// A small reproducible generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// A text: now a number of any size, now a word of few letters, now bytes of up to `longest`.
    pub(crate) fn text(&mut self, longest: usize) -> Vec<u8> {
        match self.below(4) {
            0 => (self.bits() as i64 >> self.below(64)).to_string().into_bytes(),
            1 => self.below(200).to_string().into_bytes(),
            2 => vec![b'a' + self.below(26) as u8; self.below(3)],
            _ => {
                let len = self.below(longest + 1);
                (0..len).map(|_| self.bits() as u8).collect()
            }
        }
    }
}
