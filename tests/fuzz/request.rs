//! Fuzzes the request parser: however the input is cut, the requests are the same, and they are
//! those of a plain reference parser.
//!
//! How to run it, for ten minutes, with a stable compiler:
//! ```text
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz request -- -max_total_time=600 -dict=tests/fuzz/request.dict
//! ```
//! The first bytes of the input choose the limits and the cuts, the rest is what a client sends.

#![no_main]

mod driver;
mod reference;

use libfuzzer_sys::fuzz_target;
use roster::protocol::Limits;

fuzz_target!(|data: &[u8]| {
    let Some(([choice, cuts @ ..], input)) = data.split_first_chunk::<6>() else {
        return;
    };
    let unauthenticated = choice & 8 != 0;
    let limits = match choice & 7 {
        // Small limits, so that short inputs reach them.
        0 => Limits {
            bulk_len: 20,
            multibulk: 4,
            inline_len: 24,
            unauthenticated,
        },
        1 => Limits {
            bulk_len: 40_000,
            multibulk: 12,
            inline_len: 100,
            unauthenticated,
        },
        _ => Limits {
            unauthenticated,
            ..Limits::default()
        },
    };
    // A run of one letter lets a short input hold arguments that are big.
    let stretched;
    let input = if choice & 16 != 0 {
        stretched = stretch(input);
        &stretched[..]
    } else {
        input
    };
    let whole = driver::feed(input, [], &limits);
    assert_eq!(
        whole,
        reference::outcome(input, &limits),
        "against the reference"
    );
    let mut cuts = cuts.map(|cut| usize::from(cut) * (input.len() + 1) / 256);
    cuts.sort_unstable();
    assert_eq!(whole, driver::feed(input, cuts, &limits), "cut at {cuts:?}");
    let piece = usize::from(choice >> 5) * 997 + 1;
    if input.len() / piece < 20_000 {
        let pieces = (0..input.len()).step_by(piece);
        assert_eq!(
            whole,
            driver::feed(input, pieces, &limits),
            "in pieces of {piece}"
        );
    }
});

/// The input with each `Z` as 8 KiB of it.
fn stretch(input: &[u8]) -> Vec<u8> {
    let mut stretched = Vec::new();
    for &byte in input {
        let times = if byte == b'Z' && stretched.len() < 200_000 {
            8192
        } else {
            1
        };
        stretched.resize(stretched.len() + times, byte);
    }
    stretched
}
