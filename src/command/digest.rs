//! Digests of data, by Redis's scheme, so that equal data has equal digests on any server: SHA-1 sums, combined by exclusive
//! or where order does not matter, and by hashing the combination again where it does.

use sha1::{Digest as _, Sha1};

use crate::protocol::double;
use crate::store::{Object, Record, Value};
use crate::value::stream::StreamId;

/// A digest of 160 bits; that of nothing is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; 20]);

impl Digest {
    /// Adds something whose place among the others does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let sum: [u8; 20] = Sha1::digest(bytes).into();
        self.0.iter_mut().zip(sum).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds something whose place matters.
    fn chain(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Adds parts that belong together, as one whole whose place among the others does not matter.
    fn add_parts(&mut self, parts: &[&[u8]], volatile: bool) {
        let mut whole = Digest::default();
        parts.iter().for_each(|part| whole.chain(part));
        if volatile {
            whole.add(b"!!hexpire!!");
        }
        self.add(&whole.0);
    }

    /// Adds the value of a record and whether it has a time to live.
    pub(super) fn add_value(&mut self, record: Record<'_>) {
        match record.value() {
            Value::Integer(value) => self.string(itoa::Buffer::new().format(value).as_bytes()),
            Value::Embedded { bytes, .. } => self.string(bytes),
            value => value.object().iter().for_each(|object| self.object(object)),
        }
        if record.expiry().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// The number of a type in Redis's objects.
    fn kind(&mut self, number: u32) {
        self.chain(&number.to_be_bytes());
    }

    fn string(&mut self, bytes: &[u8]) {
        self.kind(0);
        self.chain(bytes);
    }

    fn object(&mut self, object: &Object) {
        match object {
            Object::String(string) => self.string(string),
            Object::List(list) => {
                self.kind(1);
                list.iter().for_each(|item| self.chain(&item));
            }
            Object::Set(set) => {
                self.kind(2);
                set.iter().for_each(|member| self.add(&member));
            }
            Object::SortedSet(set) => {
                self.kind(3);
                let mut text = Vec::new();
                for (member, score) in set.iter(0..set.len()) {
                    text.clear();
                    double::write_g17(&mut text, score.value());
                    self.add_parts(&[&member, &text], false);
                }
            }
            Object::Hash(hash) => {
                self.kind(4);
                hash.iter().for_each(|field| self.add_parts(&[&field.name, &field.value], field.expires_at.is_some()));
            }
            Object::Stream(stream) => {
                self.kind(6);
                for entry in stream.range(StreamId::MIN, StreamId::MAX) {
                    self.chain(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (field, value) in entry.fields {
                        self.chain(&field);
                        self.chain(&value);
                    }
                }
            }
        }
    }

    /// Adds a key with its value.
    pub(super) fn add_record(&mut self, record: Record<'_>) {
        let mut whole = Digest::default();
        whole.chain(record.key());
        whole.add_value(record);
        self.add(&whole.0);
    }

    /// Begins a database.
    pub(super) fn begin_database(&mut self, database: u32) {
        self.chain(&database.to_be_bytes());
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
