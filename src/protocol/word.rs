//! Short byte strings as words: looked at eight bytes at a time, in registers.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// Up to eight bytes as one word, without a call to copy them; what is missing is zero. Of more bytes it has the first eight.
#[inline]
pub fn short(bytes: &[u8]) -> u64 {
    let half = |at: usize| u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    match *bytes {
        [] => 0,
        [one] => one.into(),
        [_, _] => half(0),
        [_, _, third] => half(0) | u64::from(third) << 16,
        [a, b, c, d, e, f, g, h, ..] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        // From both ends; where they overlap they agree.
        [first, second, third, fourth, ..] => {
            let [.., a, b, c, d] = *bytes else { return 0 };
            let ends = [[first, second, third, fourth], [a, b, c, d]].map(|end| u64::from(u32::from_le_bytes(end)));
            ends[0] | ends[1] << (8 * (bytes.len() - 4))
        }
    }
}

/// Eight letters in lower case; all other bytes stay as they are.
#[inline]
pub fn lower(word: u64) -> u64 {
    // A sum of seven bits each never carries into the next byte: its top bit says whether the byte is at least as large as a letter.
    let low = word & !HIGH;
    let from_a = low + ONES * u64::from(0x80 - b'A');
    let past_z = low + ONES * u64::from(0x80 - b'Z' - 1);
    let capitals = (from_a ^ past_z) & !word & HIGH;
    word | capitals >> 2
}

/// Whether some byte is `byte`.
#[inline]
pub fn contains(bytes: &[u8], byte: u8) -> bool {
    // A byte of the difference is zero where they are equal; the least one that is shows in its top bit.
    let holds = |word: u64| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference & HIGH != 0
    };
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => {
            let ends = holds(u64::from_le_bytes(*head)) || holds(u64::from_le_bytes(*tail));
            ends || bytes.len() > 16 && bytes[8..].chunks_exact(8).any(|chunk| holds(short(chunk)))
        }
        _ => bytes.contains(&byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lowered_and_nothing_else() {
        for byte in 0..=255_u8 {
            for at in 0..8 {
                let mut bytes = [b'Q', b'@', b'[', 0, 255, b'a', 0x80 | b'A', b'Z'];
                bytes[at] = byte;
                let expected = bytes.map(|byte| byte.to_ascii_lowercase());
                assert_eq!(lower(u64::from_le_bytes(bytes)).to_le_bytes(), expected);
            }
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for len in 0..70 {
            for other in [0, b'{' - 1, b'{' + 1, b'{' | 0x80, 255] {
                let mut bytes = vec![other; len];
                assert!(!contains(&bytes, b'{'), "{len} of {other}");
                for at in 0..len {
                    bytes[at] = b'{';
                    assert!(contains(&bytes, b'{'), "{len} of {other}, at {at}");
                    bytes[at] = other;
                }
            }
        }
    }

    #[test]
    fn short_strings_are_words() {
        let bytes = b"abcdefghij";
        for len in 0..=bytes.len() {
            let mut expected = [0; 8];
            expected[..len.min(8)].copy_from_slice(&bytes[..len.min(8)]);
            assert_eq!(short(&bytes[..len]), u64::from_le_bytes(expected));
        }
    }
}
