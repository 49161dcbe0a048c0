//! The parts of `DEBUG` that go to keys.

use super::digest::Digest;
use super::{Context, Error};
use crate::config::Settings;
use crate::protocol::{Args, number};
use crate::store::{Event, Object, Ttl, Value};
use crate::value::list::List;

/// Keys that one `DEBUG POPULATE` creates at most: the worker serves nobody else meanwhile.
const POPULATE_MAX: i64 = 100_000_000;

/// What Redis tells besides of a large list.
fn chunks(list: &List, settings: &Settings) -> String {
    let (nodes, entries) = list.chunks().fold((0, 0), |(nodes, entries), (_, len)| (nodes + 1, entries + len));
    let average = entries as f64 / f64::from(nodes.max(1));
    format!(
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
        settings.list_max_listpack_size,
        u8::from(settings.list_compress_depth != 0),
        list.memory(),
    )
}

/// `DEBUG OBJECT`: a line in Redis's form, which its test suite parses. Keys past their time are shown too, as long as they
/// are there.
pub(super) fn object(cx: &mut Context<'_>, key: &[u8]) -> Result<(), Error> {
    let (node, worker) = (cx.node, cx.worker);
    let _held = node.keyspace.enter_key(&worker.local, key)?;
    let now = cx.now_ms() / 1000;
    let settings = &worker.settings;
    let line = cx.store.look(key, |record| {
        let (encoding, length) = match record.value() {
            Value::Integer(value) => ("int", value.to_string().len()),
            Value::Embedded { bytes, raw } => (if raw { "raw" } else { "embstr" }, bytes.len()),
            Value::Boxed(Object::String(string)) => ("raw", string.len()),
            Value::Boxed(object) => (object.encoding(), object.memory()),
            Value::Compact(compact) => (compact.object()?.encoding(), record.memory()),
        };
        let list = match record.value() {
            Value::Boxed(Object::List(list)) if list.encoding() == "quicklist" => chunks(list, settings),
            _ => String::new(),
        };
        let (clock, at) = (record.access(), record.key().as_ptr());
        let idle = now.saturating_sub(clock.into());
        Some(format!(
            "Value at:{at:p} refcount:1 encoding:{encoding} serializedlength:{length} lru:{clock} \
             lru_seconds_idle:{idle}{list}"
        ))
    });
    cx.reply.simple(&line.flatten().ok_or(Error::NO_KEY)?);
    Ok(())
}

/// `DEBUG DIGEST`: of all keys that are there.
pub(super) fn digest(cx: &mut Context<'_>) -> Result<(), Error> {
    let keyspace = &cx.node.keyspace;
    let _held = keyspace.enter_all(&cx.worker.local)?;
    let mut digest = Digest::default();
    for database in 0..keyspace.databases() {
        if keyspace.totals(database).keys == 0 {
            continue;
        }
        let (mut begun, now_ms) = (false, cx.now_ms());
        cx.store.select(database).for_each(|record| {
            if !record.is_expired(now_ms) {
                if !begun {
                    digest.begin_database(database as u32);
                    begun = true;
                }
                digest.add_record(record);
            }
            true
        })?;
    }
    cx.reply.simple(&digest.to_string());
    Ok(())
}

/// `DEBUG DIGEST-VALUE`: of each key's value, zero for one that is not there.
pub(super) fn digest_values(cx: &mut Context<'_>, keys: Args<'_>) -> Result<(), Error> {
    let mut digests = Vec::with_capacity(keys.len());
    for key in keys {
        let _held = cx.node.keyspace.enter_key(&cx.worker.local, key)?;
        digests.push(cx.store.peek(key, |record| {
            let mut digest = Digest::default();
            record.into_iter().for_each(|record| digest.add_value(record));
            digest
        }));
    }
    cx.reply.array(digests.len());
    digests.iter().for_each(|digest| cx.reply.simple(&digest.to_string()));
    Ok(())
}

/// `DEBUG POPULATE count [prefix] [size]`: strings under `prefix:0`, `prefix:1` …; keys that are there stay as they are.
pub(super) fn populate(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = number::parse_i64(args.get(0)).filter(|&count| count >= 0).ok_or(Error::NOT_POSITIVE)?;
    let size = args.nth(2).map_or(Some(0), number::parse_i64).filter(|&size| size >= 0).ok_or(Error::NOT_POSITIVE)?;
    if count > POPULATE_MAX {
        return Err(Error::range(0, POPULATE_MAX));
    }
    if size as u64 > cx.settings().proto_max_bulk_len {
        return Err(Error::TOO_LONG);
    }
    let prefix = args.nth(1).unwrap_or(b"key");
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size as usize, 0);
        }
        // Whoever is in the way gets this command run again, which skips what was done.
        let _held = cx.node.keyspace.enter_key(&cx.worker.local, &key)?;
        let is_new = cx.store.update(&key, |entry| {
            let is_new = entry.record().is_none();
            if is_new {
                entry.set_string(&value, Ttl::Clear);
            }
            is_new
        });
        if is_new {
            cx.store.changed(&key, Event::string("set"));
        }
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn digests_are_those_of_redis() {
        let mut rig = Rig::new();
        let zero = "0".repeat(40);
        assert_eq!(rig.run("DEBUG DIGEST"), format!("+{zero}"));
        for request in [
            "SET s hello",
            "SET n 12",
            "SET t v PX 1000000",
            "RPUSH l a b 1 a",
            "SADD set a b 3",
            "ZADD z 1.5 a 2 b inf c",
            "HSET h f v g 1",
            "XADD x 1-1 f v g 2",
            "XADD x 2-5 f w g 3",
            "SELECT 3",
            "SET s other",
            "SELECT 0",
        ] {
            rig.run(request);
        }
        // As redis-server 7.0.15 and valkey-server 8.0.1 reply to the same requests.
        assert_eq!(rig.run("DEBUG DIGEST"), "+5eaa0768885901673cf2aa8ff6420ecae3fd98c9");
        let values = [
            "36b23a1456b2dce2c3ed252c456761301dba8060",
            "655ac46b180ad2f61a3cee25f0b1780fa2ec879a",
            "311b17018163335616e089f6b951c82c477335ac",
            "edb75ec996d7c1ff4813ec95d8d119af956d57f1",
            "aa475a4a8f122ca5936aa41d911aacf8c93b827d",
            "e92d6b728e330370f3ad224b269045df0d1b132d",
            "6679ee22f89ed8001eeb5309d0900265ea56c03a",
            "fd51803bd6578abfe849548c6d1865c162f650ac",
            &zero,
        ];
        let expected: String = values.iter().map(|value| format!("|+{value}")).collect();
        assert_eq!(rig.run("DEBUG DIGEST-VALUE s n t l set z h x none"), format!("*9{expected}"));
    }

    #[test]
    fn populating_adds_what_is_missing() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET key:1 mine", "+OK"),
            ("DEBUG POPULATE 3", "+OK"),
            ("DBSIZE", ":3"),
            ("MGET key:0 key:1 key:2", "*3|$7|value:0|$4|mine|$7|value:2"),
            ("DEBUG POPULATE 2 p 10", "+OK"),
            ("STRLEN p:1", ":10"),
            ("DEBUG POPULATE 2 q 3", "+OK"),
            ("GET q:1", "$3|val"),
            ("DEBUG POPULATE x", "-ERR value is out of range, must be positive"),
            ("DEBUG POPULATE 1 p x", "-ERR value is out of range, must be positive"),
            ("DEBUG POPULATE 1000000000000", "-ERR value is out of range, value must between 0 and 100000000"),
            ("MULTI", "+OK"),
            ("DEBUG POPULATE 1 r", "+QUEUED"),
            ("EXISTS r:0", "+QUEUED"),
            ("EXEC", "*2|+OK|:1"),
        ]);
    }
}
