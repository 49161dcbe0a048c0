//! Passwords: only their SHA-256 is kept, and comparing takes the same time wherever they differ.

use std::fs::File;
use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a password, in lower-case hexadecimal digits as rules and replies write it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; Digest::LEN]);

impl Digest {
    /// The number of digits.
    pub const LEN: usize = 64;

    /// The digest of a password.
    pub fn of(password: &[u8]) -> Self {
        let mut digits = [0; Self::LEN];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(Sha256::digest(password)) {
            *pair = [digit(byte >> 4), digit(byte)];
        }
        Self(digits)
    }

    /// Reads the digits; `None` unless there are 64, in lower case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; Self::LEN] = text.try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of the same password, in a time that does not depend on where they differ.
    pub(super) fn is(&self, other: &Digest) -> bool {
        let difference = self.0.iter().zip(other.0).fold(0, |difference, (one, two)| difference | (one ^ two));
        std::hint::black_box(difference) == 0
    }
}

/// Logs may hold what is printed for debugging, and a digest can be guessed against.
impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(digest)")
    }
}

/// The digit of the lower four bits.
fn digit(bits: u8) -> u8 {
    b"0123456789abcdef"[usize::from(bits & 15)]
}

/// So many hexadecimal digits that nobody can guess, from the kernel.
///
/// # Errors
/// The kernel gives no random bytes.
pub fn random_hex(digits: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; digits.div_ceil(2)];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text: Vec<u8> = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect();
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &[u8] = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(Digest::of(b"abc").as_bytes(), ABC);
        assert_eq!(Digest::parse(ABC), Some(Digest::of(b"abc")));
        assert!(Digest::of(b"abc").is(&Digest::of(b"abc")) && !Digest::of(b"abc").is(&Digest::of(b"abd")));
        for wrong in [&ABC[1..], &[b'A'; 64], &[b'g'; 64], b""] {
            assert_eq!(Digest::parse(wrong), None);
        }
    }

    #[test]
    fn random_digits_are_as_many_as_asked_for_and_never_the_same() {
        let one = random_hex(33).expect("the kernel has random bytes");
        assert!(one.len() == 33 && one.iter().all(u8::is_ascii_hexdigit));
        assert_ne!(one, random_hex(33).expect("the kernel has random bytes"));
    }
}
