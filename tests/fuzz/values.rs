//! Fuzzes the values: collections as records hold them against plain models, bytes that pass for packed ones, stream IDs.
//!
//! How to run it, for ten minutes, with a stable compiler:
//! ```text
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz values -- -max_total_time=600 -rss_limit_mb=1024
//! ```
//! The first byte chooses the game, the second the limits, the rest are moves or the bytes to be read.

#![no_main]

mod collections;
mod moves;
mod play;
mod raw;
mod streams;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| play::run(data));
