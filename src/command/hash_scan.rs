//! Hashes as a whole: all fields, some by chance, some by a cursor.

use std::borrow::Cow;
use std::collections::HashSet;

use super::hash::{READ, row};
use super::hash_fields::{Fields, read};
use super::scan_options::{self, Over, ScanOptions, parse_cursor};
use super::{Command, Context, Error, Flags};
use crate::protocol::{Args, Reply, number};
use crate::value::hash::Field;

const ALL: &str = "O(N) where N is the size of the hash.";
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("hgetall", 2, hgetall, Flags::READONLY, READ)
        .complexity(ALL)
        .tips(UNORDERED)
        .doc("Returns all fields of a hash with their values.", "key"),
    row("hkeys", 2, hkeys, Flags::READONLY, READ)
        .complexity(ALL)
        .tips(UNORDERED)
        .doc("Returns the names of all fields of a hash.", "key"),
    row("hvals", 2, hvals, Flags::READONLY, READ)
        .complexity(ALL)
        .tips(UNORDERED)
        .doc("Returns the values of all fields of a hash.", "key"),
    row("hrandfield", -2, hrandfield, Flags::READONLY, READ)
        .since("6.2.0")
        .complexity("O(N) where N is the number of fields returned")
        .tips(&["nondeterministic_output"])
        .doc("Returns fields of a hash chosen at random.", "key [count [WITHVALUES]]"),
    row("hscan", -3, hscan, Flags::READONLY, READ)
        .since("2.8.0")
        .complexity("O(1) for every call, O(N) for a whole iteration over N fields.")
        .tips(&["nondeterministic_output"])
        .doc(
            "Returns some fields of a hash, and the cursor from which to go on.",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        ),
];

fn hgetall(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let Some(fields) = fields else {
            cx.reply.map(0);
            return Ok(());
        };
        let exact = fields.exact();
        let mark = cx.reply.begin();
        exact.into_iter().for_each(|len| cx.reply.map(len));
        let mut found = 0;
        for field in fields.iter() {
            cx.reply.bulk(&field.name);
            cx.reply.bulk(&field.value);
            found += 1;
        }
        if exact.is_none() {
            cx.reply.end_map(mark, found);
        }
        Ok(())
    })
}

fn hkeys(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    list(cx, args, |reply, field| reply.bulk(&field.name))
}

fn hvals(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    list(cx, args, |reply, field| reply.bulk(&field.value))
}

/// Replies an array of a part of every field.
fn list(cx: &mut Context<'_>, args: Args<'_>, part: impl Fn(&mut Reply<'_>, Field<'_>)) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let Some(fields) = fields else {
            cx.reply.array(0);
            return Ok(());
        };
        let exact = fields.exact();
        let mark = cx.reply.begin();
        exact.into_iter().for_each(|len| cx.reply.array(len));
        let mut found = 0;
        for field in fields.iter() {
            part(&mut cx.reply, field);
            found += 1;
        }
        if exact.is_none() {
            cx.reply.end_array(mark, found);
        }
        Ok(())
    })
}

fn hrandfield(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(count) = args.nth(2) else { return one_field(cx, args.get(1)) };
    let count = number::parse_i64(count).ok_or(Error::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(Error::range(-i64::MAX, i64::MAX));
    }
    let values = match (args.nth(3), args.len()) {
        (None, _) => false,
        (Some(word), 4) if word.eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(Error::SYNTAX),
    };
    if values && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(Error::VALUE_RANGE);
    }
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    read(cx, args.get(1), |cx, fields| match fields {
        Some(fields) if count > 0 => distinct(cx, fields, wanted, values),
        Some(fields) if count < 0 => repeated(cx, fields, wanted, values),
        _ => {
            cx.reply.array(0);
            Ok(())
        }
    })
}

/// A number below `end`, each with the same probability, by random bits.
fn below(bits: u64, end: usize) -> usize {
    ((u128::from(bits) * end as u128) >> 64) as usize
}

fn one_field(cx: &mut Context<'_>, key: &[u8]) -> Result<(), Error> {
    read(cx, key, |cx, fields| {
        let worker = cx.worker;
        let field = fields.and_then(|fields| match fields.exact() {
            Some(_) => fields.random(|| worker.random()),
            None => {
                let alive = fields.iter().count();
                fields.iter().nth(below(worker.random(), alive))
            }
        });
        cx.reply.bulk_or_null(field.as_ref().map(|field| &*field.name));
        Ok(())
    })
}

/// Fields up to which all are gathered before some of them are chosen: a compact hash finds each in O(n).
const GATHERED: usize = 1024;

/// A hash that is there has fields; were one without, its client would be told so and the server go on.
const NO_FIELD: Error = Error::Reply(Cow::Borrowed("ERR the hash has no fields"));

/// Replies up to `wanted` fields, none twice.
fn distinct(cx: &mut Context<'_>, fields: Fields<'_>, wanted: usize, values: bool) -> Result<(), Error> {
    let worker = cx.worker;
    // Where the chosen are a small part, one that was chosen already is rarely met.
    if let Some(len) = fields.exact()
        && len > GATHERED
        && wanted < len / 3
    {
        head(&mut cx.reply, wanted, values);
        let mut seen = HashSet::with_capacity_and_hasher(wanted, foldhash::fast::RandomState::default());
        while seen.len() < wanted {
            let field = fields.random(|| worker.random()).ok_or(NO_FIELD)?;
            if seen.insert(field.name) {
                put(&mut cx.reply, field, values);
            }
        }
        return Ok(());
    }
    let mut all: Vec<Field<'_>> = fields.iter().collect();
    let wanted = wanted.min(all.len());
    head(&mut cx.reply, wanted, values);
    for chosen in 0..wanted {
        // All of them come in their own order, as without chance.
        if wanted < all.len() {
            let rest = all.len() - chosen;
            all.swap(chosen, chosen + below(worker.random(), rest));
        }
        put(&mut cx.reply, all[chosen], values);
    }
    Ok(())
}

/// Replies `wanted` fields, each chosen anew.
fn repeated(cx: &mut Context<'_>, fields: Fields<'_>, wanted: usize, values: bool) -> Result<(), Error> {
    let worker = cx.worker;
    // A few words ask for a reply of any length, so it is bounded like a string.
    let longest = usize::try_from(cx.settings().proto_max_bulk_len).unwrap_or(usize::MAX);
    let alive: Option<Vec<Field<'_>>> = match fields.exact() {
        Some(len) if len > GATHERED || len > wanted => None,
        _ => Some(fields.iter().collect()),
    };
    if alive.as_ref().is_some_and(Vec::is_empty) {
        cx.reply.array(0);
        return Ok(());
    }
    let (start, cut_off) = (cx.reply.len(), cx.cut_off());
    head(&mut cx.reply, wanted, values);
    for _ in 0..wanted {
        let field = match &alive {
            Some(alive) => alive.get(below(worker.random(), alive.len())).copied(),
            None => fields.random(|| worker.random()),
        };
        put(&mut cx.reply, field.ok_or(NO_FIELD)?, values);
        if cx.reply.len() - start > longest {
            return Err(Error::REPLY_TOO_LONG);
        }
        if cx.reply.len() > cut_off {
            break;
        }
    }
    Ok(())
}

/// The header of `len` fields: with their values they are pairs in RESP3.
fn head(reply: &mut Reply<'_>, len: usize, values: bool) {
    reply.array(if values && !reply.is_resp3() { len.saturating_mul(2) } else { len });
}

fn put(reply: &mut Reply<'_>, field: Field<'_>, values: bool) {
    if values && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(&field.name);
    if values {
        reply.bulk(&field.value);
    }
}

fn hscan(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(args.get(2))?;
    read(cx, args.get(1), |cx, fields| {
        // As with Redis, nobody looks at the options where there is nothing to scan.
        let Some(fields) = fields else {
            scan_options::empty_page(&mut cx.reply);
            return Ok(());
        };
        let options = ScanOptions::parse(args.skip(3), Over::Hash)?;
        scan_options::page(&mut cx.reply, cursor, &options, |cursor, page| {
            fields.scan(cursor, |field| {
                if page.admits(&field.name) {
                    page.word(&field.name);
                    if options.values {
                        page.word(&field.value);
                    }
                }
            })
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;

    /// A hash with `len` fields from `0` on, whose values are their names with a `v` before them.
    fn filled(len: usize) -> Rig {
        let mut rig = Rig::new();
        (0..len).for_each(|i| rig.check(&[(&format!("HSET h {i} v{i}"), ":1")]));
        rig
    }

    /// The bulk strings of a reply.
    fn bulks(reply: &str) -> Vec<&str> {
        let mut lines = reply.split('|');
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            if line.starts_with('$') {
                found.extend(lines.next());
            }
        }
        found
    }

    #[test]
    fn whole_hashes() {
        let mut rig = filled(2);
        rig.check(&[
            ("HGETALL h", "*4|$1|0|$2|v0|$1|1|$2|v1"),
            ("HKEYS h", "*2|$1|0|$1|1"),
            ("HVALS h", "*2|$2|v0|$2|v1"),
            ("HGETALL x", "*0"),
            ("HKEYS x", "*0"),
        ]);
        rig.run("HELLO 3");
        rig.check(&[
            ("HGETALL h", "%2|$1|0|$2|v0|$1|1|$2|v1"),
            ("HGETALL x", "%0"),
            ("HRANDFIELD h 2 WITHVALUES", "*2|*2|$1|0|$2|v0|*2|$1|1|$2|v1"),
        ]);
    }

    #[test]
    fn random_fields() {
        for len in [1, 3, 600, 3000] {
            let mut rig = filled(len);
            for count in [1, 2, 7, 100, 599, 900, 2999, 5000] {
                let reply = rig.run(&format!("HRANDFIELD h {count}"));
                let names = bulks(&reply);
                assert_eq!(names.len(), count.min(len));
                assert!(names.iter().all(|name| name.parse::<usize>().is_ok_and(|name| name < len)));
                assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "none comes twice");
                assert_eq!(bulks(&rig.run(&format!("HRANDFIELD h -{count}"))).len(), count);
            }
            let reply = rig.run("HRANDFIELD h -40 WITHVALUES");
            assert!(bulks(&reply).chunks(2).all(|pair| pair[1] == format!("v{}", pair[0])), "{reply}");
        }
        let mut rig = filled(3);
        let seen: BTreeSet<_> = (0..200).map(|_| rig.run("HRANDFIELD h")).collect();
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn odd_counts_of_random_fields() {
        let mut rig = filled(1);
        let range = "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        rig.check(&[
            ("HRANDFIELD x", "$-1"),
            ("HRANDFIELD x 1", "*0"),
            ("HRANDFIELD h 0", "*0"),
            ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
            ("HRANDFIELD h 1 foo", "-ERR syntax error"),
            ("HRANDFIELD h 1 WITHVALUES foo", "-ERR syntax error"),
            ("HRANDFIELD h 9223372036854775807", "*1|$1|0"),
            ("HRANDFIELD h -9223372036854775808", range),
            ("HRANDFIELD h 4611686018427387904 WITHVALUES", "-ERR value is out of range"),
            ("CONFIG SET proto-max-bulk-len 1mb", "+OK"),
        ]);
        rig.worker.refresh();
        rig.check(&[(
            "HRANDFIELD h -9223372036854775807",
            "-ERR the reply would exceed proto-max-bulk-len, ask for fewer elements",
        )]);
    }

    #[test]
    fn scans_return_every_field() {
        for (len, options) in [(10, ""), (2000, ""), (2000, " COUNT 300"), (2000, " NOVALUES"), (2000, " MATCH *7*")] {
            let mut rig = filled(len);
            let (mut cursor, mut found, mut calls) = ("0".to_string(), BTreeSet::new(), 0);
            loop {
                let reply = rig.run(&format!("HSCAN h {cursor}{options}"));
                let mut words = bulks(&reply);
                cursor = words.remove(0).to_string();
                let step = if options == " NOVALUES" { 1 } else { 2 };
                assert!(step == 1 || words.chunks(2).all(|pair| pair[1] == format!("v{}", pair[0])));
                found.extend(words.into_iter().step_by(step).map(str::to_string));
                calls += 1;
                if cursor == "0" {
                    break;
                }
                assert!(calls < len, "the scan does not end");
            }
            let expected = (0..len).map(|i| i.to_string()).filter(|name| !options.contains('7') || name.contains('7'));
            assert_eq!(found, expected.collect());
            assert_eq!(calls > 1, len > 512, "a compact hash comes at once");
        }
    }

    #[test]
    fn odd_scans() {
        let mut rig = filled(1);
        rig.check(&[
            ("HSCAN x 0 COUNT x", "*2|$1|0|*0"),
            ("HSCAN x y", "-ERR invalid cursor"),
            ("HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
            ("HSCAN h 99", "*2|$1|0|*2|$1|0|$2|v0"),
        ]);
    }
}
