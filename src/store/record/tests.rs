use super::*;

fn with(key: &[u8], expiry: Option<u64>, payload: Payload<'_>, check: impl FnOnce(Record<'_>)) {
    let ptr = Record::build(key, expiry, payload);
    // SAFETY: built above, used by this test alone, freed once.
    unsafe {
        check(Record::from_raw(ptr));
        Record::free(ptr);
    }
}

#[test]
fn every_layout_reads_back() {
    for key_len in [0, 1, 16, LEN_MAX, LEN_MAX + 1, 100_000] {
        let key = vec![b'k'; key_len];
        for expiry in [None, Some(u64::MAX)] {
            for len in [0, 1, 44, EMBEDDED_MAX] {
                let bytes = vec![b'v'; len];
                with(&key, expiry, Payload::Embedded { bytes: &bytes, raw: len == 1 }, |record| {
                    assert_eq!(record.key(), key);
                    assert_eq!(record.expiry(), expiry);
                    assert!(
                        matches!(record.value(), Value::Embedded { bytes: b, raw } if b == bytes && raw == (len == 1))
                    );
                });
            }
            with(&key, expiry, Payload::Integer(i64::MIN), |record| {
                assert_eq!(record.key(), key);
                assert!(matches!(record.value(), Value::Integer(i64::MIN)));
            });
            let object = Box::new(Object::String(vec![1; 5000].into()));
            with(&key, expiry, Payload::Boxed(object), |record| {
                assert_eq!(record.key(), key);
                assert_eq!(record.kind(), Kind::String);
                assert!(matches!(record.value(), Value::Boxed(Object::String(s)) if s.len() == 5000));
            });
        }
    }
}

#[test]
fn a_small_string_costs_eight_bytes() {
    with(&[b'k'; 16], None, Payload::Embedded { bytes: &[0; 32], raw: false }, |record| {
        assert_eq!(record.size(), 56);
    });
}

#[test]
fn overwriting_in_place_keeps_the_key() {
    with(b"key", None, Payload::Embedded { bytes: b"12345", raw: false }, |record| {
        // SAFETY: the test is alone with the record and holds no borrow over the call.
        unsafe {
            assert!(record.overwrite(&Payload::Embedded { bytes: b"abc", raw: true }));
            assert!(!record.overwrite(&Payload::Embedded { bytes: &[0; 600], raw: true }));
            assert!(!record.overwrite(&Payload::Integer(1)));
        }
        assert_eq!(record.key(), b"key");
        assert!(matches!(record.value(), Value::Embedded { bytes: b"abc", raw: true }));
    });
}

#[test]
fn expiry_is_exclusive_of_its_millisecond() {
    with(b"key", Some(100), Payload::Integer(1), |record| {
        assert!(!record.is_expired(100));
        assert!(record.is_expired(101));
    });
}
