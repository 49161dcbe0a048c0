//! Hashes as a whole: all fields, some by chance, some by a cursor.

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
        Some(fields) if count > 0 => {
            distinct(cx, fields, wanted, values);
            Ok(())
        }
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

/// Replies up to `wanted` fields, none twice.
fn distinct(cx: &mut Context<'_>, fields: Fields<'_>, wanted: usize, values: bool) {
    let worker = cx.worker;
    // Where the chosen are a small part, one that was chosen already is rarely met.
    if let Some(len) = fields.exact()
        && len > GATHERED
        && wanted < len / 3
    {
        head(&mut cx.reply, wanted, values);
        let mut seen = HashSet::with_capacity_and_hasher(wanted, foldhash::fast::RandomState::default());
        while seen.len() < wanted {
            let Some(field) = fields.random(|| worker.random()) else { unreachable!("the hash has fields") };
            if seen.insert(field.name) {
                put(&mut cx.reply, field, values);
            }
        }
        return;
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
    let start = cx.reply.len();
    head(&mut cx.reply, wanted, values);
    for _ in 0..wanted {
        let field = match &alive {
            Some(alive) => alive.get(below(worker.random(), alive.len())).copied(),
            None => fields.random(|| worker.random()),
        };
        let Some(field) = field else { unreachable!("the hash has fields") };
        put(&mut cx.reply, field, values);
        if cx.reply.len() - start > longest {
            return Err(Error::REPLY_TOO_LONG);
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
