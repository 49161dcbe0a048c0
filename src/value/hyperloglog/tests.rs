use super::*;

const MAX: usize = 3000;

fn filled(range: std::ops::Range<u32>, max: usize) -> Vec<u8> {
    let mut value = empty();
    for element in range {
        if add(&mut value, format!("element:{element}").as_bytes(), max).expect("it is valid") {
            invalidate(&mut value);
        }
    }
    value
}

/// The registers of a set of elements, kept plainly.
fn model(range: std::ops::Range<u32>) -> Vec<u8> {
    let mut values = vec![0; REGISTERS];
    for element in range {
        let (index, count) = locate(format!("element:{element}").as_bytes());
        values[index] = values[index].max(count);
    }
    values
}

fn registers(value: &[u8]) -> Vec<u8> {
    let mut registers = Registers::default();
    registers.merge(value).expect("it is valid");
    registers.values().to_vec()
}

#[test]
fn the_hash_is_redis_s() {
    // Registers that Redis 7.0 shows by PFDEBUG DECODE after PFADD of the one element.
    let cases: [(&[u8], &str); 4] = [
        (b"", "Z:5938 v:2,1 Z:10445"),
        (b"a", "Z:12711 v:2,1 Z:3672"),
        (b"1234567", "Z:10327 v:3,1 Z:6056"),
        (b"the quick brown fox", "Z:15795 v:1,1 Z:588"),
    ];
    for (element, runs) in cases {
        let mut value = empty();
        assert_eq!(add(&mut value, element, MAX), Ok(true));
        assert_eq!(describe(&value), Ok(Some(runs.to_owned())));
    }
}

#[test]
fn sparse_and_dense_agree_with_plain_registers() {
    for elements in [0, 1, 7, 100, 1000, 3000, 40_000] {
        let model = model(0..elements);
        for max in [0, 40, MAX, 16_000] {
            let value = filled(0..elements, max);
            assert_eq!(registers(&value), model, "{elements} {max}");
            let mut dense = value.clone();
            make_dense(&mut dense).expect("it is valid");
            assert_eq!(registers(&dense), model);
            assert_eq!(count(&value), count(&dense));
            let error = count(&value).expect("it is valid").abs_diff(u64::from(elements));
            assert!(error <= u64::from(elements) / 20, "{elements} {error}");
        }
    }
}

#[test]
fn a_sparse_value_becomes_dense_when_it_is_too_long() {
    let sparse = filled(0..500, MAX);
    assert_eq!(check(&sparse), Ok(Encoding::Sparse));
    assert!(sparse.len() <= MAX);
    assert_eq!(check(&filled(0..5000, MAX)), Ok(Encoding::Dense));
    assert_eq!(check(&filled(0..5000, 0)), Ok(Encoding::Dense));
    assert_eq!(filled(0..5000, MAX).len(), DENSE_LEN);
}

#[test]
fn merging_equals_adding() {
    for (left, right, max) in [(0..10, 5..40, MAX), (0..900, 100..1300, MAX), (0..5000, 0..3, MAX), (0..9, 3..90, 60)] {
        let mut target = filled(left.clone(), max);
        let mut union = Registers::default();
        union.merge(&target).expect("it is valid");
        union.merge(&filled(right.clone(), max)).expect("it is valid");
        union.write(&mut target, max).expect("it is valid");
        let mut model_union = model(left);
        for (old, new) in model_union.iter_mut().zip(model(right)) {
            *old = new.max(*old);
        }
        assert_eq!(registers(&target), model_union);
        assert_eq!(count(&target), Ok(union.count()));
        assert_eq!(cached(&target), None);
    }
}

#[test]
fn the_cache_is_kept_in_the_header() {
    let mut value = empty();
    assert_eq!((cached(&value), count(&value)), (Some(0), Ok(0)));
    assert_eq!(add(&mut value, b"a", MAX), Ok(true));
    invalidate(&mut value);
    assert_eq!((cached(&value), count(&value)), (None, Ok(1)));
    cache(&mut value, 1);
    assert_eq!(cached(&value), Some(1));
    assert_eq!(add(&mut value, b"a", MAX), Ok(false));
    assert_eq!(cached(&value), Some(1));
}

#[test]
fn other_strings_are_refused() {
    let dense = filled(0..9, 0);
    let mut unknown = empty();
    unknown[4] = 2;
    for foreign in [
        &b""[..],
        b"HYLL",
        b"HYLL\x01",
        b"foo",
        &dense[..DENSE_LEN - 1],
        &unknown,
        b"hyll\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
    ] {
        assert_eq!(count(foreign), Err(Error::Foreign));
        assert_eq!(add(&mut foreign.to_vec(), b"a", MAX), Err(Error::Foreign));
        assert_eq!(cached(foreign), None);
    }
}

#[test]
fn forged_runs_are_refused_and_never_panic() {
    let forged: [&[u8]; 7] =
        [b"", b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x80", b"\x7f\xff\xff", b"\x7f\xf0\x83\x83\x83\x83\x83\x83\x83"];
    for runs in forged {
        let mut value = empty();
        value.truncate(HEADER);
        value.extend_from_slice(runs);
        assert_eq!(count(&value), Err(Error::Corrupted), "{runs:?}");
        assert_eq!(make_dense(&mut value.clone()), Err(Error::Corrupted));
        assert_eq!(Registers::default().merge(&value), Err(Error::Corrupted));
        assert!(describe(&value).is_ok_and(|text| text.is_some()) || describe(&value).is_err());
        for element in 0..50u8 {
            for max in [0, MAX] {
                let mut value = value.clone();
                let _ = add(&mut value, &[element], max);
            }
        }
    }
    let mut seed = 9u64;
    for _ in 0..3000 {
        let mut value = empty();
        for _ in 0..seed % 40 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            value.push((seed >> 56) as u8);
        }
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        let _ = (count(&value), describe(&value), make_dense(&mut value.clone()));
        let _ = add(&mut value, &seed.to_le_bytes(), (seed % 100) as usize);
        let mut union = Registers::default();
        let _ = union.merge(&value);
        let _ = union.write(&mut value, (seed % 50) as usize);
    }
}

#[test]
fn forged_dense_registers_are_counted() {
    let mut value = filled(0..9, 0);
    value[HEADER..].fill(0xff);
    assert_eq!(count(&value), Ok(1 << 63));
    let mut union = Registers::default();
    assert_eq!(union.merge(&value), Ok(()));
    assert_eq!(union.count(), 1 << 63);
    assert_eq!(union.to_value(MAX).map(|value| value.len()), Ok(DENSE_LEN));
}
