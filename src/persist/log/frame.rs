//! A record as it lies in a segment.
//!
//! ```text
//! length u64 | crc u32 | segment u32 | sequence u64 | durable u64 | time u64 | payload | zeros up to a multiple of 8
//! ```
//! All numbers are little endian; `length` is the payload's, the checksum (CRC-32C) covers all but itself and the zeros. Sequence numbers have
//! no gaps. The segment's number tells a record from what a recycled segment held before. `durable` is the last record that
//! was known to be durable when this one was written: if it is behind a damaged place, the damage is not that of a power cut.

/// Bytes before the payload.
pub(super) const HEAD: usize = 40;

/// What is written of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The number of the segment.
    pub(super) segment: u32,
    /// The number of the record: one more than the one before.
    pub(super) sequence: u64,
    /// The last record that was durable when this was written.
    pub(super) durable: u64,
    /// When its commands ran, in milliseconds of Unix time.
    pub(super) time_ms: u64,
    /// The commands.
    pub(super) payload: &'a [u8],
}

/// Bytes that a record takes with a payload of this length.
pub(super) fn size(payload: usize) -> usize {
    (HEAD + payload).next_multiple_of(8)
}

/// Appends a record whose segment is not known yet: [`seal`] completes it.
pub(super) fn begin(sequence: u64, time_ms: u64, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&time_ms.to_le_bytes());
    out.extend_from_slice(payload);
    out.resize(start + size(payload.len()), 0);
}

/// Appends to the payload of the record at `start`, which is the last and not sealed.
pub(super) fn extend(out: &mut Vec<u8>, start: usize, payload: &[u8]) {
    let length = word(out, start) as usize + payload.len();
    out.truncate(start + HEAD + length - payload.len());
    out.extend_from_slice(payload);
    out[start..start + 8].copy_from_slice(&(length as u64).to_le_bytes());
    out.resize(start + size(length), 0);
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
}

/// The bytes and the number of the record at the head of `bytes`, which [`begin`] made.
pub(super) fn extent(bytes: &[u8]) -> (usize, u64) {
    (size(word(bytes, 0) as usize), word(bytes, 16))
}

/// Completes a record that takes all of `bytes`.
pub(super) fn seal(bytes: &mut [u8], segment: u32, durable: u64) {
    let length = word(bytes, 0) as usize;
    bytes[12..16].copy_from_slice(&segment.to_le_bytes());
    bytes[24..32].copy_from_slice(&durable.to_le_bytes());
    let crc = checksum(&bytes[..HEAD + length]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..])
}

/// Whether the head of `bytes` claims to be a record of this segment, whole or not.
pub(super) fn claims(bytes: &[u8], segment: u32) -> bool {
    bytes.len() >= HEAD && word(bytes, 8) >> 32 == u64::from(segment) && word(bytes, 16) != 0
}

/// The record at the head of `bytes`, if it is whole and of this segment.
pub(super) fn read(bytes: &[u8], segment: u32) -> Option<Frame<'_>> {
    if !claims(bytes, segment) {
        return None;
    }
    let length = usize::try_from(word(bytes, 0)).ok().filter(|&length| length <= bytes.len() - HEAD)?;
    let crc = word(bytes, 8) as u32;
    let payload = &bytes[HEAD..HEAD + length];
    (checksum(&bytes[..HEAD + length]) == crc).then(|| Frame {
        segment,
        sequence: word(bytes, 16),
        durable: word(bytes, 24),
        time_ms: word(bytes, 32),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_extended_is_as_one_that_was_made_whole() {
        for (first, second) in [(&b""[..], &b"x"[..]), (b"abc", b"defgh"), (b"12345678", b""), (&[7; 100], &[8; 1000])]
        {
            let (mut grown, mut whole) = (b"before".to_vec(), b"before".to_vec());
            begin(9, 1234, first, &mut grown);
            extend(&mut grown, 6, second);
            begin(9, 1234, &[first, second].concat(), &mut whole);
            assert_eq!(grown, whole);
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_damaged_one_is() {
        for payload in [&b""[..], b"x", b"12345678", &[7; 1000]] {
            let mut bytes = Vec::new();
            begin(9, 1234, payload, &mut bytes);
            assert_eq!(extent(&bytes), (bytes.len(), 9));
            seal(&mut bytes, 3, 8);
            let frame = Frame { segment: 3, sequence: 9, durable: 8, time_ms: 1234, payload };
            assert_eq!(read(&bytes, 3), Some(frame));
            assert_eq!(read(&bytes, 2), None, "of another segment");
            for at in 0..HEAD + payload.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x10;
                assert_eq!(read(&damaged, 3), None, "a damaged byte at {at}");
                assert_eq!(read(&bytes[..at], 3), None, "cut off at {at}");
            }
        }
    }
}
