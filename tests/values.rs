//! The games of the fuzz target `values` with moves by chance, so that each build plays some.

#[path = "fuzz/collections.rs"]
mod collections;
#[path = "fuzz/moves.rs"]
mod moves;
#[path = "fuzz/play.rs"]
mod play;
#[path = "fuzz/raw.rs"]
mod raw;
#[path = "fuzz/streams.rs"]
mod streams;

use roster::value::packed::{Entry, append};

/// `ROSTER_GAMES` is the number of games of each kind.
fn games() -> u64 {
    std::env::var("ROSTER_GAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn collections_and_streams_behave_as_their_models() {
    for seed in 0..games() * 5 {
        let mut bits = moves::Bits(seed << 32);
        let mut data = vec![(seed % 5) as u8, bits.next() as u8];
        data.extend((0..600).map(|_| (bits.next() >> 32) as u8));
        play::run(&data);
    }
}

#[test]
fn packed_bytes_are_taken_if_and_only_if_they_are_sound() {
    for seed in 0..games() * 50 {
        let mut bits = moves::Bits(seed << 32);
        let bytes: Vec<u8> = (0..60).map(|_| (bits.next() >> 32) as u8).collect();
        let (mut data, mut moves) = (vec![5, bits.next() as u8], moves::Moves(&bytes));
        while let Some(text) = moves.text() {
            append(&mut data, Entry::of(&text));
        }
        // Half of them are damaged at one place.
        let at = 2 + bits.next() as usize % (data.len() - 1);
        if let Some(byte) = data.get_mut(at).filter(|_| seed % 2 == 0) {
            *byte ^= 1 << (bits.next() & 7);
        }
        play::run(&data);
    }
}

#[test]
fn integers_and_ids_are_read_as_elsewhere() {
    for seed in 0..games() * 50 {
        let mut bits = moves::Bits(seed << 32);
        let width = [2, 4, 8][seed as usize % 3];
        let mut numbers: Vec<i64> =
            (0..8).map(|_| (bits.next() as i64) >> (64 - 8 * width) >> (bits.next() % 8)).collect();
        numbers.sort_unstable();
        let mut data = vec![6, 0, width as u8];
        numbers.iter().for_each(|number| data.extend_from_slice(&number.to_le_bytes()[..width]));
        play::run(&data);
        let mut id = vec![7, 0];
        let letters = b"0123456789012345678901234567-- \t+*a";
        id.extend((0..bits.next() % 24).map(|_| letters[(bits.next() >> 20) as usize % letters.len()]));
        play::run(&id);
        let number = bits.next() >> (bits.next() % 64);
        play::run(format!("\x07\0{number}-{}", bits.next()).as_bytes());
    }
}
