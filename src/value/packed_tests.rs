use super::*;
use crate::value::testing::Random;

fn packed(texts: &[&str]) -> Packed {
    let mut packed = Packed::new();
    for text in texts {
        packed.push(text.as_bytes()).unwrap();
    }
    packed
}

#[test]
fn behaves_as_a_vector() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let (mut packed, mut model) = (Packed::new(), Vec::<Vec<u8>>::new());
        let longest = [8, 70, 5000][seed as usize % 3];
        for _ in 0..400 {
            step(&mut packed, &mut model, &mut random, longest);
            assert_eq!(packed.len(), model.len());
            assert!(packed.iter().map(|item| item.to_vec()).eq(model.iter().cloned()));
        }
        assert!(packed.iter().rev().map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
        assert_eq!(Packed::from_bytes(packed.as_bytes().to_vec()), Some(packed.clone()));
        assert!(packed.memory() >= packed.as_bytes().len());
    }
}

fn step(packed: &mut Packed, model: &mut Vec<Vec<u8>>, random: &mut Random, longest: usize) {
    let text = random.text(longest);
    let index = random.below(model.len() + 1);
    let at = packed.position(index).unwrap_or(packed.end());
    match random.below(10) {
        0..=4 => {
            packed.insert(at, Entry::of(&text)).unwrap();
            model.insert(index, text);
        }
        5 | 6 if index < model.len() => {
            packed.replace(at, Entry::of(&text)).unwrap();
            model[index] = text;
        }
        7 => {
            let count = random.below(4);
            let end = (index + count).min(model.len());
            assert_eq!(packed.remove(at, count), end - index);
            model.drain(index..end);
        }
        8 => {
            let stride = 1 + random.below(3);
            let wanted = model.get(index).cloned().unwrap_or(text);
            let found = packed.find(&wanted, Position(0), stride).map(|at| packed.get(at).unwrap().to_vec());
            assert_eq!(found, model.iter().step_by(stride).find(|text| **text == wanted).cloned());
        }
        _ => {
            let found = packed.iter_from(at, 3).map(|item| item.to_vec());
            assert!(found.eq(model[index..].iter().take(3).cloned()));
        }
    }
}

#[test]
fn lengths_and_numbers_at_their_bounds() {
    for len in [0, 1, 62, 63, 64, 65, 125, 126, 127, 128, 4094, 4095, 4096, 16377, 16378, 16379, 16380, 2_097_150] {
        let mut packed = packed(&["a", "b"]);
        let long = vec![b'x'; len];
        packed.insert(packed.position(1).unwrap(), Entry::of(&long)).unwrap();
        assert_eq!(packed.iter().map(|item| item.len()).collect::<Vec<_>>(), [1, len, 1]);
        assert_eq!(packed.iter().rev().map(|item| item.len()).collect::<Vec<_>>(), [1, len, 1]);
        assert!(packed.as_bytes().len() <= len + MAX_OVERHEAD + 6);
    }
    for power in 0..64 {
        for value in [-1, 0, 1].map(|add| (1i64 << power).wrapping_add(add)) {
            for value in [value, value.wrapping_neg()] {
                let mut packed = packed(&["a"]);
                packed.push(value.to_string().as_bytes()).unwrap();
                assert_eq!(packed.entry(packed.last().unwrap()), Some(Entry::Integer(value)));
                assert_eq!(packed.iter().count(), 2);
            }
        }
    }
}

/// What Redis 7 writes for `RPUSH k a 1 -1 300 70000 -9000000 5000000000` and a text of 64 bytes.
#[test]
fn entries_are_a_listpack_s() {
    let packed = packed(&["a", "1", "-1", "300", "70000", "-9000000", "5000000000", &"x".repeat(64)]);
    let mut listpack = vec![0x81, b'a', 2, 1, 1, 0xdf, 0xff, 2, 0xc1, 0x2c, 2, 0xf2, 0x70, 0x11, 0x01, 4];
    listpack.extend([0xf3, 0xc0, 0xab, 0x76, 0xff, 5, 0xf4, 0x00, 0xf2, 0x05, 0x2a, 1, 0, 0, 0, 9, 0xe0, 0x40]);
    listpack.extend([b'x'; 64]);
    listpack.push(66);
    assert_eq!(packed.as_bytes(), listpack);
}

#[test]
fn texts_that_only_look_like_numbers_stay_texts() {
    for text in ["01", "-0", "+1", " 1", "1 ", "9223372036854775808", "", "-"] {
        let packed = packed(&[text]);
        assert_eq!(packed.entry(Position(0)), Some(Entry::Text(text.as_bytes())));
    }
}

#[test]
fn text_that_spells_a_number_is_encoded_anew() {
    let packed = Packed::from_bytes(vec![0x81, b'5', 2, 0xf1, 7, 0, 3]).unwrap();
    assert_eq!(packed.as_bytes(), [5, 1, 7, 1]);
}

#[test]
fn anything_can_be_read() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let len = random.below(24);
        let bytes: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
        if let Some(packed) = Packed::from_bytes(bytes) {
            assert_eq!(packed.iter().count(), packed.len());
            assert_eq!(packed.iter().rev().count(), packed.len());
        }
    }
    let sound = packed(&["abc", "1234567", "-5"]).as_bytes().to_vec();
    for cut in 0..sound.len() {
        if let Some(packed) = Packed::from_bytes(sound[..cut].to_vec()) {
            assert!(packed.len() < 3);
        }
    }
}

#[test]
fn stale_positions_are_harmless() {
    let mut random = Random(2);
    for _ in 0..2000 {
        let mut packed = packed(&["abcdefgh", "123456789012", "x", "0"]);
        let at = Position(random.below(40));
        let text = random.text(20);
        match random.below(5) {
            0 => _ = packed.replace(at, Entry::of(&text)),
            1 => _ = packed.insert(at, Entry::of(&text)),
            2 => _ = packed.remove(at, random.below(4)),
            3 => _ = (packed.next(at), packed.get(at), packed.find(&text, at, 2)),
            _ => _ = packed.previous(at),
        }
        packed.iter().for_each(drop);
        packed.iter().rev().for_each(drop);
    }
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut packed = Packed::new();
    assert!(packed.has_room(1, MAX_BYTES - 10) && !packed.has_room(1, MAX_BYTES) && !packed.has_room(usize::MAX, 1));
    for _ in 0..1000 {
        packed.push(b"some text").unwrap();
        assert!(packed.memory() <= malloc_size(packed.as_bytes().len() + 1));
    }
    packed.remove(Position(0), 990);
    assert!(packed.memory() <= 256);
    assert_eq!(packed.remove(Position(0), usize::MAX), 10);
    assert_eq!(packed.memory(), 0);
}
