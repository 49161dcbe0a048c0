//! Input for the tests, the same on each run.

/// A splitmix generator: the tests are the same on each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Up to `most` ascending cuts of an input of this length.
    pub(crate) fn cuts(&mut self, len: usize, most: usize) -> Vec<usize> {
        let mut cuts: Vec<_> = (0..self.below(most + 1)).map(|_| self.below(len + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

pub(crate) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A pipeline of requests, some of them damaged.
pub(crate) fn arbitrary(random: &mut Random) -> Vec<u8> {
    const PARTS: [&[u8]; 24] = [
        b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"*3\r\n", b"$0\r\n", b"$1\r\n", b"$4\r\n", b"$40\r\n",
        b"$-1\r\n", b"\r\n", b"\n", b"\r", b"PING", b"\"", b"'", b"\\", b"\\x4a", b" ", b"\0", b"x", b"00", b"1",
        b"\x0b",
    ];
    let mut input = Vec::new();
    for _ in 0..random.below(12) {
        match random.below(4) {
            0 => {
                let arguments: Vec<Vec<u8>> = (0..random.below(5))
                    .map(|_| (0..random.below(20)).map(|_| random.next() as u8).collect())
                    .collect();
                input.extend(command(&arguments.iter().map(Vec::as_slice).collect::<Vec<_>>()));
            }
            1 => input.extend_from_slice(b"SET \"a\\n\\x00\" 'b' c\r\n"),
            _ => (0..random.below(6)).for_each(|_| input.extend_from_slice(PARTS[random.below(PARTS.len())])),
        }
    }
    if random.below(4) == 0 && !input.is_empty() {
        let at = random.below(input.len());
        input[at] = random.next() as u8;
    }
    input
}
