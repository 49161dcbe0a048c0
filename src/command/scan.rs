//! Going over the keys of a database.

use super::scan_options::{Over, ScanOptions, end_page, matches_all, parse_cursor};
use super::{Categories, Command, Context, Error, Flags};
use crate::protocol::{Args, glob};
use crate::store::{Cursor, Record};

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("keys", 2, keys)
        .flags(Flags::READONLY)
        .categories(Categories::DANGEROUS)
        .complexity("O(N) where N is the number of keys in the database.")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .doc("Returns all keys that match a pattern.", "pattern"),
    Command::new("scan", -2, scan)
        .flags(Flags::READONLY)
        .since("2.8.0")
        .complexity("O(1) for every call, O(N) for a whole iteration over N keys.")
        .tips(&["nondeterministic_output", "request_policy:special"])
        .doc(
            "Returns some keys, and the cursor from which to go on.",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        ),
    Command::new("randomkey", 1, randomkey)
        .flags(Flags::READONLY)
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .doc("Returns a key chosen at random.", ""),
];

fn keys(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, now_ms, pattern) = (cx.store, cx.now_ms(), args.get(1));
    let all = matches_all(pattern);
    let mark = cx.reply.begin();
    let mut found = 0;
    store.for_each(|record| {
        if !record.is_expired(now_ms) && (all || glob::matches(pattern, record.key(), false)) {
            cx.reply.bulk(record.key());
            found += 1;
        }
        true
    })?;
    cx.reply.end_array(mark, found);
    Ok(())
}

fn scan(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(args.get(1))?;
    let options = ScanOptions::parse(args.skip(2), Over::Keys)?;
    let (store, now_ms) = (cx.store, cx.now_ms());
    let mark = cx.reply.begin();
    let mut found = 0;
    let mut expired = Expired::default();
    let next = match Cursor::from_wire(cursor, store.keyspace()) {
        Some(cursor) => store.scan(cursor, options.count, |record| {
            if !admits(&options, record) {
            } else if record.is_expired(now_ms) {
                expired.keep(record.key());
            } else {
                cx.reply.bulk(record.key());
                found += 1;
            }
        })?,
        // No scan gave this cursor out, unless by a server with more shards: there is nothing behind it.
        None => Cursor::START,
    };
    end_page(&mut cx.reply, mark, next.to_wire(), found);
    expired.remove(cx);
    Ok(())
}

/// Keys past their time that a scan met: it removes them, as in Redis, once it is out of their shard.
#[derive(Default)]
struct Expired(Vec<Box<[u8]>>);

impl Expired {
    /// Keys that one call removes at most. The rest waits for the next look.
    const MOST: usize = 1000;

    fn keep(&mut self, key: &[u8]) {
        if self.0.len() < Expired::MOST {
            self.0.push(key.into());
        }
    }

    fn remove(self, cx: &Context<'_>) {
        for key in self.0 {
            // Where another worker is in the way, it is removed later.
            if let Ok(_held) = cx.node.keyspace.enter_key(&cx.worker.local, &key) {
                cx.store.exists(&key);
            }
        }
    }
}

fn admits(options: &ScanOptions<'_>, record: Record<'_>) -> bool {
    options.admits(record.key())
        && options.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(record.kind().name().as_bytes()))
}

fn randomkey(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let worker = cx.worker;
    let key = cx.store.random_key(|| worker.random())?;
    cx.reply.bulk_or_null(key.as_deref());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;

    /// The keys of a reply that is an array of bulk strings, its header left out.
    fn bulks(reply: &str) -> Vec<String> {
        let mut lines = reply.split('|');
        let mut keys = Vec::new();
        while let Some(line) = lines.next() {
            if line.starts_with('$') {
                // The rig cuts an empty string off the reply's end.
                keys.push(lines.next().unwrap_or_default().to_string());
            }
        }
        keys
    }

    fn scan_all(rig: &mut Rig, options: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut cursor = "0".to_string();
        for _ in 0..10_000 {
            let mut reply = bulks(&rig.run(&format!("SCAN {cursor}{options}")));
            cursor = reply.remove(0);
            keys.append(&mut reply);
            if cursor == "0" {
                return keys;
            }
        }
        panic!("the scan did not end");
    }

    #[test]
    fn keys_by_pattern() {
        let mut rig = Rig::new();
        rig.check(&[("KEYS *", "*0"), ("SET hello 1", "+OK"), ("SET hallo 1", "+OK"), ("SET x 1", "+OK")]);
        rig.args(&[b"SET", b"", b"empty"]);
        let keys = |rig: &mut Rig, pattern: &str| {
            let reply = rig.run(&format!("KEYS {pattern}"));
            let keys: BTreeSet<_> = bulks(&reply).into_iter().collect();
            assert!(reply.starts_with(&format!("*{}", keys.len())), "{reply}");
            keys.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(keys(&mut rig, "*"), ["", "hallo", "hello", "x"]);
        assert_eq!(keys(&mut rig, "h?llo"), ["hallo", "hello"]);
        assert_eq!(keys(&mut rig, "h[e]*"), ["hello"]);
        assert_eq!(keys(&mut rig, "**"), ["hallo", "hello", "x"]);
        assert_eq!(keys(&mut rig, "none"), [""; 0]);
        rig.check(&[("PEXPIRE x 1", ":1")]);
        rig.pass(2);
        assert_eq!(keys(&mut rig, "*"), ["", "hallo", "hello"]);
    }

    #[test]
    fn scanning_with_options() {
        let mut rig = Rig::new();
        assert_eq!(rig.run("SCAN 0"), "*2|$1|0|*0");
        (0..500).for_each(|i| drop(rig.run(&format!("SET key:{i} {i}"))));
        rig.args(&[b"SET", b"", b"empty"]);
        let all: BTreeSet<String> = (0..500).map(|i| format!("key:{i}")).chain([String::new()]).collect();
        for options in ["", " COUNT 1", " COUNT 100", " COUNT 9223372036854775807", " MATCH *", " TYPE STRING"] {
            let keys = scan_all(&mut rig, options);
            assert_eq!(keys.len(), 501, "{options}");
            assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), all, "{options}");
        }
        assert_eq!(scan_all(&mut rig, " MATCH key:1?").len(), 10);
        assert!(scan_all(&mut rig, " TYPE list").is_empty());
        assert!(scan_all(&mut rig, " TYPE nosuch").is_empty());
        rig.check(&[("PEXPIRE key:7 1", ":1")]);
        rig.pass(2);
        assert_eq!(scan_all(&mut rig, "").len(), 500);
    }

    #[test]
    fn keys_past_their_time_go_when_a_scan_meets_them() {
        let mut rig = Rig::new();
        rig.check(&[("SET a 1 PX 1", "+OK"), ("SADD b 1", ":1"), ("PEXPIRE b 1", ":1"), ("SET c 1", "+OK")]);
        rig.pass(2);
        rig.check(&[("DBSIZE", ":3"), ("SCAN 0 TYPE string", "*2|$1|0|*1|$1|c"), ("DBSIZE", ":2")]);
        rig.check(&[("SCAN 0 MATCH c", "*2|$1|0|*1|$1|c"), ("DBSIZE", ":2")]);
        rig.check(&[("SCAN 0", "*2|$1|0|*1|$1|c"), ("DBSIZE", ":1")]);
    }

    #[test]
    fn scan_s_errors_and_odd_cursors() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SCAN abc", "-ERR invalid cursor"),
            ("SCAN abc COUNT 0", "-ERR invalid cursor"),
            ("SCAN -1", "-ERR invalid cursor"),
            ("SCAN 1x", "-ERR invalid cursor"),
            ("SCAN ", "-ERR invalid cursor"),
            ("SCAN 18446744073709551616", "-ERR invalid cursor"),
            ("SCAN 18446744073709551615", "*2|$1|0|*0"),
            ("SCAN +5", "*2|$1|0|*0"),
            ("SCAN 007", "*2|$1|0|*0"),
            ("SCAN 000", "*2|$1|0|*0"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"),
            ("SCAN 0 COUNT -1", "-ERR syntax error"),
            ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("SCAN 0 COUNT", "-ERR syntax error"),
            ("SCAN 0 MATCH", "-ERR syntax error"),
            ("SCAN 0 FOO bar", "-ERR syntax error"),
            ("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
        ]);
    }

    #[test]
    fn random_keys() {
        let mut rig = Rig::new();
        rig.check(&[("RANDOMKEY", "$-1"), ("SET a 1", "+OK"), ("RANDOMKEY", "$1|a"), ("SET b 1", "+OK")]);
        let seen: BTreeSet<_> = (0..100).map(|_| rig.run("RANDOMKEY")).collect();
        assert_eq!(seen.len(), 2);
        rig.check(&[("PEXPIRE a 1", ":1")]);
        rig.pass(2);
        (0..50).for_each(|_| rig.check(&[("RANDOMKEY", "$1|b")]));
    }
}
