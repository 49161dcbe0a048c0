//! Fuzzes the reader of RDB: whatever the bytes are, it neither panics nor takes memory that they do not justify; what it
//! makes of them is written and read back.
//!
//! How to run it, for ten minutes, with a stable compiler:
//! ```text
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz rdb -- -max_total_time=600 -rss_limit_mb=1024
//! ```
//! The first byte chooses between a value and a file, and the forms of values; the rest is what is read. The columns of
//! `tests/data/rdb.tsv` and `rdb-files.tsv`, as bytes, are a good corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use roster::persist::rdb::file::{Head, Part, Reader};
use roster::persist::rdb::quick::Quick;
use roster::persist::rdb::{Bounds, Dialect, Encoder, payload};
use roster::store::OwnedValue;
use roster::value::Limits;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let mut bounds = Bounds::default();
    if choice & 1 != 0 {
        let none = Limits { entries: 0, value: 0 };
        (bounds.hash, bounds.sorted_set, bounds.set.packed, bounds.set.integers) = (none, none, none, 0);
    }
    read_quickly(bytes, bounds);
    if choice & 2 != 0 {
        // A window of a few bytes makes every length straddle one.
        let source = std::io::BufReader::with_capacity(usize::from(choice >> 4) + 1, bytes);
        if let Ok(mut reader) = Reader::new(source, bounds) {
            while let Ok(Some(_)) = reader.part() {}
        }
        return;
    }
    let dialect = if choice & 4 != 0 { Dialect::Valkey } else { Dialect::Redis };
    let Ok(value) = payload::read(bytes, dialect, bounds) else {
        return;
    };
    // The first form may be one that we do not choose, so it is the second that has to last.
    let second = reread(&payload::write(&mut Encoder::new(choice & 8 != 0), value.value()), bounds);
    let written = payload::write(&mut Encoder::new(false), second.value());
    let third = payload::write(&mut Encoder::new(false), reread(&written, bounds).value());
    // Tables have no order, so the bytes may differ, but never in number.
    assert_eq!(written.len(), third.len());
});

/// What is read in place is what the reader makes of the same bytes; what cannot be unpacked it refuses as well.
fn read_quickly(bytes: &[u8], bounds: Bounds) {
    let Some(quick) = Quick::read(bytes, &bounds) else { return };
    let head = Head { version: 11, dialect: Dialect::Redis };
    let (mut room, mut reader) = (Vec::new(), Reader::of_parts(bytes, head, bounds));
    match (quick.text.value(&mut room), reader.part()) {
        (Ok(value), Ok(Some(Part::Key(keyed)))) => {
            let value = value.map_or_else(|text| OwnedValue::Embedded(text.into(), false), OwnedValue::Integer);
            assert_eq!(format!("{value:?}"), format!("{:?}", keyed.parcel.value));
            assert_eq!((quick.key, quick.expiry), (&keyed.key[..], keyed.parcel.expiry));
            assert_eq!(quick.len as u64, reader.position());
        }
        (Err(_), Err(_)) => (),
        (quickly, slowly) => panic!("{quickly:?} and {slowly:?}"),
    }
}

fn reread(written: &[u8], bounds: Bounds) -> OwnedValue {
    let (body, dialect) = payload::open(written).expect("our own version and checksum");
    payload::read(body, dialect, bounds).expect("our own value")
}
