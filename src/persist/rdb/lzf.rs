//! LZF, by which RDB compresses strings.
//!
//! A control byte below 32 precedes that many literal bytes and one more. Any other refers back: its three high bits are
//! the length less 2 (7: the next byte is added), its five low bits and the next byte the distance less 1.

use super::Damage;

/// How far back a reference reaches.
const REACH: usize = 1 << 13;
/// The most bytes of a reference, which takes three.
const LONGEST: usize = 264;
/// The most bytes of one run of literals.
const LITERALS: usize = 32;

/// Bytes that one compressed byte can stand for at most.
pub(super) const RATIO: u64 = LONGEST as u64 / 3;

/// What is told of a string that [`decompress`] makes nothing of.
pub(super) const BROKEN: Damage = Damage::Corrupt("a compressed string that cannot be decompressed");

const BITS: u32 = 13;

/// Where three bytes were last seen, by their hash; kept between calls to save the allocation.
pub(super) struct Table(Box<[u32; 1 << BITS]>);

impl Table {
    pub(super) fn new() -> Self {
        Table(Box::new([0; 1 << BITS]))
    }
}

#[inline]
fn hash(three: u32, bits: u32) -> usize {
    (three.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

/// Three bytes, where a fourth follows: they are read as one word, and what repeats at the very end saves nothing.
#[inline]
fn three(input: &[u8], at: usize) -> Option<u32> {
    input.get(at..at + 4)?.first_chunk().map(|four| u32::from_le_bytes(*four) & 0xff_ffff)
}

/// Appends the input in compressed form, if that saves four bytes at least; else leaves `out` as it was, and returns
/// false. Inputs beyond 4 GiB are not compressed. O(input).
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>, table: &mut Table) -> bool {
    let start = out.len();
    let Some(limit) = input.len().checked_sub(4).filter(|_| input.len() < u32::MAX as usize) else { return false };
    // A short input needs few places, and what is not used need not be cleared.
    let bits = (usize::BITS - input.len().leading_zeros()).clamp(7, BITS);
    let seen = &mut table.0[..1 << bits];
    seen.fill(0);
    // A place that was not written yet says the first position, as good a guess as any.
    let (mut at, mut literal) = (1, 0);
    while let Some(here) = three(input, at) {
        let place = &mut seen[hash(here, bits)];
        let before = std::mem::replace(place, at as u32) as usize;
        if three(input, before) != Some(here) || at - before > REACH {
            // Where nothing repeats for long, look less often.
            at += 1 + ((at - literal) >> 7);
            continue;
        }
        let len = equal(input, before, at);
        literals(out, &input[literal..at]);
        refer(out, at - before - 1, len);
        if out.len() - start > limit {
            break;
        }
        at += len;
        literal = at;
        if let Some(last) = three(input, at - 1) {
            seen[hash(last, bits)] = at as u32 - 1;
        }
    }
    literals(out, &input[literal..]);
    let saves = out.len() - start <= limit;
    if !saves {
        out.truncate(start);
    }
    saves
}

/// How many bytes are equal from two places on, the first before the second.
fn equal(input: &[u8], from: usize, at: usize) -> usize {
    let most = LONGEST.min(input.len() - at);
    input[at..at + most].iter().zip(&input[from..]).take_while(|(a, b)| a == b).count()
}

fn literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(LITERALS) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// `distance` is less 1.
fn refer(out: &mut Vec<u8>, distance: usize, len: usize) {
    let (high, low, len) = ((distance >> 8) as u8, distance as u8, len - 2);
    if len < 7 {
        out.push((len as u8) << 5 | high);
    } else {
        out.extend_from_slice(&[7 << 5 | high, (len - 7) as u8]);
    }
    out.push(low);
}

/// Appends what `input` stands for; `None` if that is not `len` bytes. Takes no more memory than it has produced bytes
/// for, twice at most. O(len).
pub(super) fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.reserve(len.min(input.len().saturating_mul(4)));
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        let produced = out.len() - start;
        let (count, next) = if control < 32 {
            let (literal, next) = tail.split_at_checked(usize::from(control) + 1)?;
            if literal.len() > len - produced {
                return None;
            }
            out.extend_from_slice(literal);
            (0, next)
        } else {
            let (more, tail) = if control >> 5 == 7 { tail.split_first()? } else { (&0, tail) };
            let (low, next) = tail.split_first()?;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(*low)) + 1;
            let count = usize::from(control >> 5) + usize::from(*more) + 2;
            if distance > produced || count > len - produced {
                return None;
            }
            repeat(out, distance, count);
            (count, next)
        };
        debug_assert!(count <= LONGEST);
        rest = next;
    }
    (out.len() - start == len).then_some(())
}

/// Appends `count` bytes from `distance` before the end on, which may be some that are appended just now.
fn repeat(out: &mut Vec<u8>, distance: usize, mut count: usize) {
    while count > 0 {
        let from = out.len() - distance;
        let part = count.min(distance);
        out.extend_from_within(from..from + part);
        count -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(input: &[u8]) -> Option<usize> {
        let (mut table, mut packed, mut unpacked) = (Table::new(), Vec::new(), b"before".to_vec());
        if !compress(input, &mut packed, &mut table) {
            assert!(packed.is_empty());
            return None;
        }
        assert!(packed.len() + 4 <= input.len());
        assert_eq!(decompress(&packed, input.len(), &mut unpacked), Some(()));
        assert_eq!(&unpacked[6..], input);
        Some(packed.len())
    }

    #[test]
    fn what_is_compressed_comes_back() {
        assert_eq!(round(b""), None);
        assert_eq!(round(b"abcabcabcabcabcabcabcabc"), Some(4 + 3));
        assert!(round(&[7; 100_000]).is_some_and(|len| len < 1200));
        let mut state = 1u64;
        for len in [10, 100, 8190, 8191, 8192, 8193, 8200, 40_000] {
            let noise: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            assert_eq!(round(&noise), None, "{len}");
            let words: Vec<u8> =
                noise.iter().flat_map(|byte| [b"one ", b"two ", b"tree"][*byte as usize % 3]).copied().collect();
            assert!(len < 100 || round(&words).is_some_and(|packed| packed < words.len() / 2), "{len}");
            // The same noise once more, as near and as far as a reference reaches.
            let twice = [&noise[..], &noise].concat();
            assert_eq!(round(&twice).is_some(), len <= REACH, "{len}");
        }
    }

    #[test]
    fn damaged_input_gives_nothing() {
        let cases: [(&[u8], usize); 8] = [
            (&[5, b'a'], 6),
            (&[0x20], 3),
            (&[0x20, 0], 3),
            (&[0, b'a', 0x20, 1], 4),
            (&[0, b'a', 0xe0], 100),
            (&[0, b'a', 0xe0, 200, 0], 4),
            (&[0, b'a'], 2),
            (&[0, b'a', 0, b'b'], 1),
        ];
        for (input, len) in cases {
            assert_eq!(decompress(input, len, &mut Vec::new()), None, "{input:?}");
        }
        let mut out = Vec::new();
        assert_eq!(decompress(&[0, b'a', 0xe0, 255, 0], 265, &mut out), Some(()));
        assert_eq!(out, [b'a'; 265]);
    }
}
