//! Values of other servers read, and ours read back.
//!
//! The data are in `tests/data`: payloads of `DUMP` and files of `SAVE`, made by real servers that were sent a few
//! commands, each payload with its value as the server's own reading commands told it.

use super::code::{kind, part};
use super::encode::length;
use super::file::{Part, Reader};
use super::snapshot::{Traits, Writer};
use super::{Bounds, Damage, Dialect, Encoder, Sink, Version, crc64, payload};
use crate::store::{Object, OwnedValue, Value};
use crate::value::hash::{Expiry, Hash};
use crate::value::set::SetLimits;
use crate::value::stream::{Pending, Stream, StreamId};
use crate::value::{Limits, list};

const PAYLOADS: &str = include_str!("../../../tests/data/rdb.tsv");
const FILES: &str = include_str!("../../../tests/data/rdb-files.tsv");

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn quoted(bytes: &[u8]) -> String {
    let plain = |byte: u8| (0x21..0x7f).contains(&byte) && !b"\\,=@;|#".contains(&byte);
    bytes.iter().map(|byte| if plain(*byte) { (*byte as char).into() } else { format!("\\x{byte:02x}") }).collect()
}

/// A value as text: its kind, then its elements, sorted where they have no order.
fn told(value: &OwnedValue) -> String {
    let sorted = |mut texts: Vec<String>| {
        texts.sort_unstable();
        texts.join(",")
    };
    let object = match value.value() {
        Value::Embedded { bytes, .. } => return format!("s:{}", quoted(bytes)),
        Value::Integer(value) => return format!("s:{value}"),
        value => value.object().expect("all others are objects"),
    };
    match &*object {
        Object::String(string) => format!("s:{}", quoted(string)),
        Object::List(list) => {
            format!("l:{}", list.iter().map(|item| quoted(&item)).collect::<Vec<_>>().join(","))
        }
        Object::Set(set) => format!("t:{}", sorted(set.iter().map(|item| quoted(&item)).collect())),
        Object::SortedSet(set) => {
            let pairs = set.iter(0..set.len()).map(|(member, score)| {
                let mut text = Vec::new();
                crate::protocol::double::write_double(&mut text, score.value());
                format!("{}={}", quoted(&member), String::from_utf8_lossy(&text))
            });
            format!("z:{}", pairs.collect::<Vec<_>>().join(","))
        }
        Object::Hash(hash) => {
            let fields = hash.iter().map(|field| {
                let time = field.expires_at.map_or(String::new(), |time| format!("@{time}"));
                format!("{}={}{time}", quoted(&field.name), quoted(&field.value))
            });
            format!("h:{}", sorted(fields.collect()))
        }
        Object::Stream(stream) => told_stream(stream),
    }
}

/// Entries; last ID; largest deleted ID; entries ever added; and each group: name, last ID, entries read, what is pending
/// (ID, consumer, time, count), consumers (name, seen, active).
fn told_stream(stream: &Stream) -> String {
    let entries = stream.range(StreamId::MIN, StreamId::MAX).map(|record| {
        let fields = record.fields.map(|(field, value)| format!(" {}={}", quoted(&field), quoted(&value)));
        format!("{}{}", record.id, fields.collect::<String>())
    });
    let mut text = format!(
        "x:{};{};{};{}",
        entries.collect::<Vec<_>>().join(","),
        stream.last_id(),
        stream.max_deleted_id(),
        stream.entries_added()
    );
    for group in stream.groups() {
        let read = group.entries_read.map_or("-".into(), |read| read.to_string());
        text += &format!(";{}|{}|{read}", quoted(group.name()), group.last_delivered);
        for Pending { id, time, count, consumer } in group.pending_from(StreamId::MIN) {
            let name = group.consumer(*consumer).map_or(&b""[..], |consumer| consumer.name());
            text += &format!("|{id}#{}#{time}#{count}", quoted(name));
        }
        for (_, consumer) in group.consumers() {
            let active = consumer.active.map_or("-".into(), |active| active.to_string());
            text += &format!("|{}@{}@{active}", quoted(consumer.name()), consumer.seen);
        }
    }
    text
}

fn restored(bytes: &[u8], bounds: Bounds) -> Result<OwnedValue, Damage> {
    let (value, dialect) = payload::open(bytes)?;
    payload::read(value, dialect, bounds)
}

/// Bounds within which nothing is compact.
fn large() -> Bounds {
    let none = Limits { entries: 0, value: 0 };
    let set = SetLimits { integers: 0, packed: none };
    Bounds { list: list::Limit::new(1), set, sorted_set: none, hash: none, ..Bounds::default() }
}

#[test]
fn values_of_other_servers_are_read_and_written_back() {
    let mut kinds = std::collections::BTreeSet::new();
    for row in rows(PAYLOADS) {
        let [server, name, bytes, text] = row[..] else { panic!("a row has four columns") };
        let bytes = unhex(bytes);
        kinds.insert(bytes[0]);
        for bounds in [Bounds::default(), large()] {
            let value = restored(&bytes, bounds).unwrap_or_else(|damage| panic!("{server}, {name}: {damage}"));
            assert_eq!(told(&value), text, "{server}, {name}");
            for compresses in [false, true] {
                let written = payload::write(&mut Encoder::new(compresses), value.value());
                let again = restored(&written, bounds).unwrap_or_else(|damage| panic!("{server}, {name}: {damage}"));
                // Our streams are written without the times at which consumers were active.
                if !text.ends_with("@-") {
                    assert_eq!(told(&again), text, "{server}, {name}, written by us");
                }
            }
        }
    }
    let all = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22];
    assert!(kinds.iter().eq(&all), "the data have {kinds:?}");
}

#[test]
fn forms_are_those_that_the_limits_ask_for() {
    let forms: &[(&str, &str, &str)] = &[
        ("list", "listpack", "quicklist"),
        ("quicklist", "listpack", "quicklist"),
        ("intset16", "intset", "hashtable"),
        ("set", "listpack", "hashtable"),
        ("zset", "listpack", "skiplist"),
        ("skiplist", "listpack", "skiplist"),
        ("hash", "listpack", "hashtable"),
        ("hashtable", "listpack", "hashtable"),
        ("hash-times", "listpackex", "hashtable"),
        ("stream", "stream", "stream"),
    ];
    for (name, compact, not) in forms {
        let row = rows(PAYLOADS).find(|row| row[0].starts_with("valkey 9") && row[1] == *name).expect("it is there");
        for (bounds, form) in [(Bounds::default(), compact), (large(), not)] {
            let OwnedValue::Boxed(object) = restored(&unhex(row[2]), bounds).expect("it is sound") else {
                panic!("{name} is no object")
            };
            assert_eq!(object.encoding(), *form, "{name}");
        }
    }
}

/// A payload of a type and what follows.
fn sealed(version: u16, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = parts.concat();
    out.extend_from_slice(&version.to_le_bytes());
    let sum = crc64::update(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

#[test]
fn hashes_with_times_of_redis_are_read() {
    let soonest = 4_102_444_800_000_u64;
    let mut absolute = vec![0x81];
    absolute.put(&soonest.to_be_bytes());
    let fields: &[u8] = b"\x02\x00\x01a\x011\x0b\x01b\x012";
    let listpack: &[u8] = b"\x18\x18\0\0\0\x06\0\x81a\x02\x01\x01\0\x01\x81b\x02\x02\x01\xf2\x40\x42\x0f\x04\xff";
    let early = [&[2, 0, 1, b'a', 1, b'1'], &absolute[..], &[1, b'b', 1, b'2']].concat();
    let cases = [
        (sealed(12, &[&[kind::HASH_TIMES], &soonest.to_le_bytes(), fields]), format!("h:a=1,b=2@{}", soonest + 10)),
        (sealed(12, &[&[kind::HASH_TIMES_EARLY], &early]), format!("h:a=1,b=2@{soonest}")),
        (sealed(12, &[&[kind::HASH_LISTPACK_TIMES], &soonest.to_le_bytes(), listpack]), "h:a=1,b=2@1000000".into()),
        (sealed(12, &[&[kind::HASH_LISTPACK_TIMES_EARLY], listpack]), "h:a=1,b=2@1000000".into()),
    ];
    for (bytes, text) in cases {
        for bounds in [Bounds::default(), large()] {
            assert_eq!(told(&restored(&bytes, bounds).expect("it is sound")), text);
        }
    }
    let absurd = sealed(12, &[&[kind::HASH_TIMES], &i64::MAX.to_le_bytes(), fields]);
    assert!(matches!(restored(&absurd, Bounds::default()), Err(Damage::Corrupt(_))));
}

#[test]
fn a_hash_with_times_is_written_as_redis_7_4_does() {
    let limits = Limits { entries: 10, value: 64 };
    let mut hash = Hash::new();
    for (name, expiry) in [(b"a", Expiry::Never), (b"b", Expiry::At(1_000_010)), (b"c", Expiry::At(1_000_000))] {
        assert_eq!(hash.insert(name, b"v", expiry, limits), Ok(true));
    }
    let value = OwnedValue::Boxed(Box::new(Object::Hash(hash.clone())));
    let bytes = payload::write(&mut Encoder::new(true), value.value());
    assert_eq!((bytes[0], bytes[bytes.len() - 10]), (kind::HASH_TIMES, 12));
    assert_eq!(told(&restored(&bytes, Bounds::default()).expect("it is sound")), told(&value));
    // Once no field expires any more, version 10 has a form for it.
    assert!(hash.remove(b"b") && hash.remove(b"c"));
    let value = OwnedValue::Boxed(Box::new(Object::Hash(hash)));
    let bytes = payload::write(&mut Encoder::new(true), value.value());
    assert_eq!((bytes[0], bytes[bytes.len() - 10]), (kind::HASH, 10));
}

#[test]
fn damage_is_named() {
    let string = |text: &[u8]| [&[text.len() as u8], text].concat();
    let read =
        |parts: &[&[u8]]| restored(&sealed(10, parts), Bounds::default()).expect_err("it is damaged").to_string();
    assert_eq!(read(&[&[kind::LIST, 0]]), "it holds a collection without elements");
    assert_eq!(read(&[&[kind::LIST, 2, 1, b'a']]), "it ends in the middle");
    assert_eq!(read(&[&[kind::MODULE_2, 1]]), "it holds the value of a module, which only that module can read");
    assert_eq!(read(&[&[26, 1]]), "type 26 is not known");
    assert_eq!(read(&[&[0, 1, b'a', 0]]), "it is damaged: bytes behind the value");
    assert_eq!(read(&[&[kind::SET, 2, 1, b'a', 1, b'a']]), "it is damaged: an element that is there twice");
    let huge = [&[0, 0x81][..], &u64::MAX.to_be_bytes()].concat();
    assert_eq!(read(&[&huge]), "it has a string of 18446744073709551615 bytes, more than proto-max-bulk-len");
    // What is claimed is not believed: a gigabyte of eight bytes.
    assert_eq!(
        read(&[&[0, 0xc3, 8, 0x80, 0x1f, 0xff, 0xff, 0xff], &[0; 8]]),
        "it is damaged: a compressed string that cannot be decompressed"
    );
    assert_eq!(
        read(&[&[kind::SORTED_SET, 1, 1, b'a'], &f64::NAN.to_le_bytes()]),
        "it is damaged: a score that is no number"
    );
    assert_eq!(
        read(&[&[kind::SET_INTEGERS], &string(&[2, 0, 0, 0, 0, 0, 0, 0])]),
        "it holds a collection without elements"
    );
    let mut sound = sealed(10, &[&[0, 1, b'a']]);
    sound[2] ^= 1;
    assert!(matches!(payload::open(&sound), Err(Damage::Checksum)));
    for version in [0, 15, 79, 81] {
        assert!(matches!(payload::open(&sealed(version, &[&[0, 1, b'a']])), Err(Damage::Version(_))), "{version}");
    }
    assert!(matches!(payload::open(b"short"), Err(Damage::Truncated)));
}

/// What a file holds, one line for each part but those that differ from run to run.
fn listed(bytes: &[u8], window: usize) -> Vec<String> {
    let source = std::io::BufReader::with_capacity(window, bytes);
    let mut reader = Reader::new(source, Bounds::default()).expect("its head is sound");
    let mut lines = Vec::new();
    while let Some(part) = reader.part().expect("it is sound") {
        lines.push(match part {
            Part::Aux { .. } => continue,
            Part::Database(index) => format!("database {index}"),
            Part::Sizes { keys, volatile } => format!("{keys} keys, {volatile} expire"),
            Part::Function(source) => format!("function {}", source.len()),
            Part::Key(keyed) => {
                let expiry = keyed.parcel.expiry.map_or(String::new(), |expiry| format!(" at {expiry}"));
                let idle = keyed.idle.map_or("", |_| " idle");
                let frequency = keyed.frequency.map_or("", |_| " frequency");
                let key = String::from_utf8_lossy(&keyed.key).into_owned();
                format!("{key} {}{expiry}{idle}{frequency}", told(&keyed.parcel.value))
            }
        });
    }
    assert_eq!(reader.position(), bytes.len() as u64);
    lines
}

/// What each of the files holds.
const PARTS: [&str; 12] = [
    "3 keys, 1 expire",
    "4 keys, 0 expire",
    "database 0",
    "database 3",
    "expires s:7 at 4102444800000",
    "function 68",
    "hash h:f=v",
    "list l:a,b",
    "set t:m",
    "stream x:1-1 f=v;1-1;0-0;1",
    "string s:value",
    "zset z:m=1.5",
];

#[test]
fn files_of_other_servers_are_read() {
    for row in rows(FILES) {
        let bytes = unhex(row[1]);
        let mark = match row[0] {
            "redis 7.0" => " idle",
            "valkey 9" => " frequency",
            _ => "",
        };
        let mut wanted = PARTS.map(String::from);
        for line in wanted.iter_mut().filter(|line| line.contains(':')) {
            line.push_str(mark);
        }
        for window in [1, 7, 64, 1 << 16] {
            let mut lines = listed(&bytes, window);
            lines.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(lines, wanted, "{} by {window}", row[0]);
        }
        for cut in 0..bytes.len() {
            let reader = Reader::new(&bytes[..cut], Bounds::default());
            let failed = reader.and_then(|mut reader| {
                while reader.part()?.is_some() {}
                Ok(())
            });
            assert!(failed.is_err(), "{} cut at {cut}", row[0]);
        }
    }
}

#[test]
fn our_files_are_read_back() {
    let values: Vec<_> = rows(PAYLOADS)
        .map(|row| restored(&unhex(row[2]), Bounds::default()).expect("it is sound"))
        .filter(|value| !told(value).ends_with("@-"))
        .collect();
    let big = OwnedValue::Boxed(Box::new(Object::String(vec![b'x'; 200_000].into())));
    for compresses in [false, true] {
        let mut writer = Writer::new(Vec::new(), Version::V12, compresses);
        writer.aux(b"redis-ver", b"7.0.0");
        writer.function(b"source");
        writer.database(9);
        writer.sizes(1 << 20, 300);
        for (index, value) in values.iter().chain([&big]).enumerate() {
            let expiry = (index % 2 == 0).then_some(index as u64 + 1);
            let traits =
                Traits { expiry, idle: (index % 3 == 0).then_some(70_000), frequency: (index % 3 == 1).then_some(255) };
            writer.key(index.to_string().as_bytes(), value.value(), traits);
        }
        writer.flush();
        assert!(writer.sink().starts_with(b"REDIS0012"));
        let mut bytes = writer.finish();
        let lines = listed(&bytes, 1000);
        assert_eq!(lines[..3], ["function 6", "database 9", "1048576 keys, 300 expire"]);
        for (index, (line, value)) in lines[3..].iter().zip(values.iter().chain([&big])).enumerate() {
            let expiry = if index % 2 == 0 { format!(" at {}", index + 1) } else { String::new() };
            let mark = [" idle", " frequency", ""][index % 3];
            assert_eq!(*line, format!("{index} {}{expiry}{mark}", told(value)));
        }
        assert_eq!(lines.len(), values.len() + 4);
        // The checksum sees a change that the format does not.
        let at = bytes.len() - 12;
        bytes[at] ^= 1;
        let mut reader = Reader::new(&bytes[..], Bounds::default()).expect("its head is sound");
        let error = std::iter::from_fn(|| reader.part().transpose()).find_map(Result::err).expect("it is damaged");
        assert_eq!(error.to_string(), format!("at byte {}: its checksum is wrong", bytes.len()));
    }
}

#[test]
fn parts_that_are_not_ours_are_skipped() {
    let mut file = b"VALKEY080".to_vec();
    file.put(&[part::SLOT_INFO, 1, 2, 3, part::SLOT_IMPORT, 3, b'j', b'o', b'b', 1, 5, 9]);
    file.put(&[part::MODULE, 1, 2, 1, 1, 7, 2, 7, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, b'x', 0]);
    // An empty collection is skipped with what was said of its key.
    file.put(&[part::EXPIRY, 1, 0, 0, 0, kind::LIST, 1, b'e', 0]);
    file.put(&[part::EXPIRY, 0xff, 0xff, 0xff, 0xff, kind::STRING, 1, b'k', 1, b'v', part::END]);
    length(&mut file, 0);
    file.put(&[0; 7]);
    assert_eq!(listed(&file, 5), ["k s:v at 0"]);
    let head = |head: &[u8]| Reader::new(head, Bounds::default()).map(|reader| reader.version()).ok();
    assert_eq!((head(b"REDIS0001"), head(b"REDIS0014"), head(b"REDIS0015")), (Some(1), Some(14), None));
    assert_eq!((head(b"VALKEY011"), head(b"VALKEY081"), head(b"VALKEY010")), (Some(11), None, None));
    assert_eq!((head(b"REDIS00x1"), head(b"123456789"), head(b"REDIS")), (None, None, None));
}

/// Changes payloads in 20 000 ways. What is still read must be whole: it tells itself, and comes back from what is written
/// of it. A seed is enough to see a case again.
#[test]
fn mutated_values_do_no_harm() {
    let originals: Vec<_> =
        rows(PAYLOADS).map(|row| unhex(row[2])).map(|bytes| bytes[..bytes.len() - 10].to_vec()).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = originals[round % originals.len()].clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(6) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes[at] = [0, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff][random(7)],
                3 => bytes.truncate(at.max(1)),
                4 => bytes.insert(at, random(256) as u8),
                _ => {
                    let end = at + random(9).min(bytes.len() - at);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        let dialect = if round % 2 == 0 { Dialect::Redis } else { Dialect::Valkey };
        let bounds = if round % 3 == 0 { large() } else { Bounds::default() };
        let Ok(value) = payload::read(&bytes, dialect, bounds) else {
            refused += 1;
            continue;
        };
        read += 1;
        if let OwnedValue::Boxed(object) = &value {
            assert!(object.memory() <= 200 * bytes.len() + 100_000, "round {round}: {} bytes", object.memory());
        }
        let written = payload::write(&mut Encoder::new(false), value.value());
        let again = restored(&written, bounds).unwrap_or_else(|damage| panic!("round {round}: {damage}"));
        let (first, second) = (told(&value), told(&again));
        // Tables have no order, so the bytes may differ, but never in number.
        let once_more = payload::write(&mut Encoder::new(false), again.value());
        let last = restored(&once_more, bounds).unwrap_or_else(|damage| panic!("round {round}: {damage}"));
        assert_eq!(payload::write(&mut Encoder::new(false), last.value()).len(), once_more.len(), "round {round}");
        // Times of activity are not written.
        assert!(first == second || first.starts_with("x:"), "round {round}");
    }
    assert!(read > 1000 && refused > 5000, "{read} read, {refused} refused");
}
