//! Digests of values, by which tests tell whether two keys or two servers hold the same, however it is kept.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

use crate::store::{Object, Record, Value};

/// Bytes of a digest: as many as Redis's digests have.
const LEN: usize = 20;

/// A digest of a value, or of many keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; LEN]);

/// Hashes parts one after the other. Each goes with its length, so that `ab`, `c` differs from `a`, `bc`.
#[derive(Clone)]
struct Parts(Sha256);

impl Parts {
    fn new(kind: &str) -> Parts {
        Parts(Sha256::new()).with(kind.as_bytes())
    }

    fn with(mut self, part: &[u8]) -> Parts {
        self.add(part);
        self
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn digest(self) -> Digest {
        let mut digest = Digest::default();
        digest.0.copy_from_slice(&self.0.finalize()[..LEN]);
        digest
    }
}

impl Digest {
    /// The digest of the value of a key, and of whether it has a time to live.
    pub(super) fn of_value(record: Record<'_>) -> Digest {
        let digest = match record.value() {
            Value::Integer(value) => text(itoa::Buffer::new().format(value).as_bytes()),
            Value::Embedded { bytes, .. } => text(bytes),
            Value::Boxed(object) => of_object(object),
        };
        match record.expiry() {
            Some(_) => Parts::new("volatile").with(&digest.0).digest(),
            None => digest,
        }
    }

    /// Adds a key of a database to the digest of many, which does not depend on their order.
    pub(super) fn add_key(&mut self, database: usize, record: Record<'_>) {
        let value = Digest::of_value(record);
        let key = Parts::new("key").with(&(database as u64).to_le_bytes()).with(record.key());
        self.mix(key.with(&value.0).digest());
    }

    /// Adds a part whose place among the others means nothing.
    fn mix(&mut self, other: Digest) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
    }

    /// The digest as 40 hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(2 * LEN), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

fn text(bytes: &[u8]) -> Digest {
    Parts::new("string").with(bytes).digest()
}

fn of_object(object: &Object) -> Digest {
    let mut unordered = Digest::default();
    match object {
        Object::String(string) => return text(string),
        Object::List(list) => {
            let mut parts = Parts::new("list");
            list.iter().for_each(|element| parts.add(&element));
            return parts.digest();
        }
        Object::Set(set) => {
            set.iter().for_each(|member| unordered.mix(Parts::new("member").with(&member).digest()));
        }
        Object::SortedSet(set) => {
            for (member, score) in set.iter(0..set.len()) {
                // Both zeros are one score, and which of them is kept depends on the size of the set.
                let score = score.value() + 0.0;
                unordered.mix(Parts::new("score").with(&member).with(&score.to_le_bytes()).digest());
            }
        }
        Object::Hash(hash) => {
            for field in hash.iter() {
                let mut parts = Parts::new("field").with(&field.name).with(&field.value);
                if field.expires_at.is_some() {
                    parts.add(b"volatile");
                }
                unordered.mix(parts.digest());
            }
        }
        Object::Stream(stream) => {
            let mut parts = Parts::new("stream");
            for entry in stream.range(crate::value::stream::StreamId::MIN, crate::value::stream::StreamId::MAX) {
                parts.add(&entry.id.ms.to_le_bytes());
                parts.add(&entry.id.seq.to_le_bytes());
                for (field, value) in entry.fields {
                    parts.add(&field);
                    parts.add(&value);
                }
            }
            return parts.digest();
        }
    }
    Parts::new(object.kind().name()).with(&unordered.0).digest()
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    const NOTHING: &str = "0000000000000000000000000000000000000000";

    fn value(rig: &mut Rig, key: &str) -> String {
        rig.run(&format!("DEBUG DIGEST-VALUE {key}"))
    }

    #[test]
    fn equal_values_have_equal_digests_however_they_are_kept() {
        let mut rig = Rig::new();
        let long = "x".repeat(100);
        // The second of each is kept as a large one, whose long element goes again.
        for (one, other, away) in [
            ("SADD one 1 2 3".to_owned(), format!("SADD other 3 2 {long} 1"), format!("SREM other {long}")),
            ("SADD one a b".to_owned(), format!("SADD other b {long} a"), format!("SREM other {long}")),
            ("HSET one a 1 b 2".to_owned(), format!("HSET other b 2 {long} 0 a 1"), format!("HDEL other {long}")),
            ("ZADD one -0 a 2 b".to_owned(), format!("ZADD other 2 b 1 {long} -0 a"), format!("ZREM other {long}")),
            ("RPUSH one a b".to_owned(), "RPUSH other c a b".to_owned(), "LPOP other".to_owned()),
            ("SET one 12".to_owned(), "SET other x".to_owned(), "SETRANGE other 0 12".to_owned()),
            ("XADD one 1-1 f v".to_owned(), "XADD other 1-1 f v".to_owned(), "XADD other 2-1 f v".to_owned()),
        ] {
            rig.run("DEL one other");
            rig.run(&one);
            rig.run(&other);
            if !other.starts_with("XADD") {
                assert_ne!(value(&mut rig, "one"), value(&mut rig, "other"), "{other}");
            }
            rig.run(&away);
            let same = value(&mut rig, "one") == value(&mut rig, "other");
            assert_eq!(same, !other.starts_with("XADD"), "{one}");
            let before = value(&mut rig, "one");
            rig.run("EXPIRE one 100");
            assert_ne!(value(&mut rig, "one"), before, "{one}");
        }
        rig.run("RPUSH l a b");
        rig.run("RPUSH m b a");
        assert_ne!(value(&mut rig, "l"), value(&mut rig, "m"));
        assert_eq!(value(&mut rig, "none"), format!("*1|+{NOTHING}"));
    }

    #[test]
    fn a_server_s_digest_covers_all_databases() {
        let mut rig = Rig::new();
        assert_eq!(rig.run("DEBUG DIGEST"), format!("+{NOTHING}"));
        rig.run("MSET a 1 b 2");
        let both = rig.run("DEBUG DIGEST");
        rig.run("MOVE a 1");
        assert_ne!(rig.run("DEBUG DIGEST"), both);
        rig.run("SELECT 1");
        rig.run("MOVE a 0");
        assert_eq!(rig.run("DEBUG DIGEST"), both);
        rig.run("FLUSHALL");
        assert_eq!(rig.run("DEBUG DIGEST"), format!("+{NOTHING}"));
    }
}
