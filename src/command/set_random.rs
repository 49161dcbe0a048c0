//! Members of a set at random.

use super::collection::change;
use super::set::read_set;
use super::string::READ_ONE;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply, number};
use crate::store::Event;
use crate::value::set::Set;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("spop", -2, spop)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE))])
        .group(Group::Set)
        .complexity("O(1) without a count, else O(N) where N is the count.")
        .tips(&["nondeterministic_output"])
        .doc("Removes members chosen at random and returns them.", "key [count]"),
    Command::new("srandmember", -2, srandmember)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Set)
        .complexity("O(1) without a count, else O(N) where N is the absolute count.")
        .tips(&["nondeterministic_output"])
        .doc("Returns members chosen at random; by a negative count, the same ones again and again.", "key [count]"),
];

fn spop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let (key, worker, store) = (args.get(1), cx.worker, cx.store);
    let Some(count) = args.nth(2) else {
        let changed = store.update(key, |entry| change(entry, |set: &mut Set| Ok(set.pop(|| worker.random()))))?;
        let vanished = changed.as_ref().is_some_and(|changed| changed.vanished);
        let member = changed.and_then(|changed| changed.result);
        if member.is_some() {
            report_pop(cx, key, 1, vanished);
        }
        if let Some(member) = &member {
            cx.record_as(&[b"SREM", key, member]);
        }
        cx.reply.bulk_or_null(member.as_deref());
        return Ok(());
    };
    let count = number::parse_i64(count).and_then(|count| usize::try_from(count).ok()).ok_or(Error::NOT_POSITIVE)?;
    // Which members come is chance, so they are recorded by name.
    let (recorded, mut members) = (cx.is_recorded(), Vec::new());
    let changed = store.update(key, |entry| {
        change(entry, |set: &mut Set| {
            let count = count.min(set.len());
            cx.reply.set(count);
            if count > 0 {
                set.take_sample(
                    count,
                    || worker.random(),
                    |member| {
                        cx.reply.bulk(member);
                        if recorded {
                            members.push(member.to_vec());
                        }
                    },
                );
            }
            Ok(count)
        })
    })?;
    match changed {
        None => cx.reply.set(0),
        Some(changed) if changed.result > 0 => {
            report_pop(cx, key, changed.result, changed.vanished);
            record_pop(cx, key, &members, changed.vanished);
        }
        Some(_) => (),
    }
    Ok(())
}

fn record_pop(cx: &Context<'_>, key: &[u8], members: &[Vec<u8>], vanished: bool) {
    if vanished {
        cx.record_as(&[b"DEL", key]);
    } else if !members.is_empty() {
        let words: Vec<&[u8]> = [&b"SREM"[..], key].into_iter().chain(members.iter().map(Vec::as_slice)).collect();
        cx.record_as(&words);
    }
}

fn report_pop(cx: &Context<'_>, key: &[u8], popped: usize, vanished: bool) {
    cx.store.changed(key, Event::set("spop"));
    cx.store.count_changes(popped as u64 - 1);
    if vanished {
        cx.store.notify(key, Event::DEL);
    }
}

fn srandmember(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let (key, worker) = (args.get(1), cx.worker);
    let Some(count) = args.nth(2) else {
        return read_set(cx, key, |cx, set| {
            let member = set.and_then(|set| set.random(|| worker.random()));
            cx.reply.bulk_or_null(member.as_deref());
        });
    };
    let count = number::parse_i64(count).ok_or(Error::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(Error::range(-i64::MAX, i64::MAX));
    }
    let most = cx.settings().proto_max_bulk_len;
    read_set(cx, key, |cx, set| {
        let Some(set) = set else {
            cx.reply.array(0);
            return Ok(());
        };
        if count < 0 {
            let cut_off = cx.cut_off();
            return repeat(&mut cx.reply, set, count.unsigned_abs(), most, cut_off, || worker.random());
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
        cx.reply.array(count);
        set.sample(count, || worker.random(), |member| cx.reply.bulk(&member));
        Ok(())
    })?
}

/// Replies members at random, the same ones again and again. A few bytes of a request ask for any number of them, so the
/// reply may have `most` bytes; Redis goes on until it has no memory left. It ends where
/// all replies are longer than `cut_off`.
fn repeat(
    reply: &mut Reply<'_>,
    set: &Set,
    count: u64,
    most: u64,
    cut_off: usize,
    mut random: impl FnMut() -> u64,
) -> Result<(), Error> {
    /// Bytes of the shortest member in a reply.
    const LEAST: u64 = b"$0\r\n\r\n".len() as u64;
    let too_long = || Error::new("the reply would be longer than proto-max-bulk-len, ask for fewer members");
    let count = usize::try_from(count).ok().filter(|&count| (count as u64).saturating_mul(LEAST) <= most);
    let count = count.ok_or_else(too_long)?;
    let start = reply.len();
    reply.array(count);
    for _ in 0..count {
        let Some(member) = set.random(&mut random) else { break };
        reply.bulk(&member);
        if (reply.len() - start) as u64 > most {
            return Err(too_long());
        }
        if reply.len() > cut_off {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;
    use crate::protocol::Version;

    /// The members in a reply, and its first character.
    fn members(reply: &str) -> (char, Vec<String>) {
        let members = reply.split('|').skip(1).filter(|word| !word.starts_with('$'));
        (reply.chars().next().unwrap_or(' '), members.map(str::to_string).collect())
    }

    #[test]
    fn popped_members_are_gone() {
        let mut rig = Rig::new();
        for add in ["SADD s 1 2 3 4 5 6 7 8 9", "SADD s a b c d e f g h 9"] {
            for count in [1, 2, 4, 5, 8, 9, 10] {
                rig.run("DEL s");
                rig.run(add);
                let (_, all) = members(&rig.run("SMEMBERS s"));
                let (kind, popped) = members(&rig.run(&format!("SPOP s {count}")));
                let (_, left) = members(&rig.run("SMEMBERS s"));
                assert_eq!((kind, popped.len()), ('*', count.min(9)));
                assert_eq!(popped.iter().chain(&left).collect::<BTreeSet<_>>(), all.iter().collect());
                assert_eq!(rig.run("EXISTS s"), format!(":{}", i32::from(count < 9)));
            }
        }
        rig.run("SADD one x");
        rig.check(&[
            ("SPOP one", "$1|x"),
            ("SPOP one", "$-1"),
            ("EXISTS one", ":0"),
            ("SPOP one 3", "*0"),
            ("SADD one x", ":1"),
            ("SPOP one 0", "*0"),
            ("SPOP one -1", "-ERR value is out of range, must be positive"),
            ("SPOP one x", "-ERR value is out of range, must be positive"),
            ("SPOP one 1 2", "-ERR syntax error"),
            ("SET y 1", "+OK"),
            ("SPOP y", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SPOP y 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("SPOP one 0", "~0"), ("SPOP one 2", "~1|$1|x"), ("SPOP one 2", "~0"), ("SPOP one", "_")]);
    }

    #[test]
    fn a_sample_leaves_the_set_as_it_is() {
        let mut rig = Rig::new();
        rig.run("SADD s a b c d e f g h i j");
        for count in [1, 2, 5, 9, 10, 11] {
            let (kind, sample) = members(&rig.run(&format!("SRANDMEMBER s {count}")));
            let different: BTreeSet<_> = sample.iter().collect();
            assert_eq!((kind, sample.len(), different.len()), ('*', count.min(10), count.min(10)));
        }
        let (_, repeated) = members(&rig.run("SRANDMEMBER s -1000"));
        assert_eq!(repeated.len(), 1000);
        assert_eq!(repeated.iter().collect::<BTreeSet<_>>().len(), 10);
        let single: BTreeSet<_> = (0..500).map(|_| rig.run("SRANDMEMBER s")).collect();
        assert_eq!(single.len(), 10);
        rig.check(&[
            ("SCARD s", ":10"),
            ("SRANDMEMBER s 0", "*0"),
            ("SRANDMEMBER none", "$-1"),
            ("SRANDMEMBER none -9223372036854775807", "*0"),
            ("SRANDMEMBER s x", "-ERR value is not an integer or out of range"),
            ("SRANDMEMBER s 1 2", "-ERR syntax error"),
            (
                "SRANDMEMBER s -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("SET y 1", "+OK"),
            ("SRANDMEMBER y", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SRANDMEMBER y -1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("SRANDMEMBER none 1", "*0"), ("SRANDMEMBER none", "_")]);
    }

    #[test]
    fn a_reply_ends_where_its_client_is_cut_off() {
        let mut rig = Rig::new();
        let set: [&[u8]; 4] = [b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 1000 0 0"];
        assert_eq!(rig.args(&set), "+OK");
        rig.worker.refresh();
        for request in ["SADD s a", "HSET h a b", "ZADD z 1 a"] {
            rig.run(request);
        }
        for request in ["SRANDMEMBER s", "HRANDFIELD h", "ZRANDMEMBER z"] {
            let whole = rig.run(&format!("{request} -20"));
            assert_eq!(whole.split('|').count(), 41, "{request}");
            let cut = rig.run(&format!("{request} -70000000"));
            assert!((500..1020).contains(&cut.len()), "{request}: {}", cut.len());
        }
        // A script gets all of it.
        assert_eq!(rig.run("EVAL return(#redis.call('SRANDMEMBER','s',-1000)) 0"), ":1000");
    }

    #[test]
    fn repeated_members_are_limited() {
        let mut rig = Rig::new();
        rig.run("SADD s a");
        let refusal = "-ERR the reply would be longer than proto-max-bulk-len, ask for fewer members";
        rig.check(&[("SRANDMEMBER s -9223372036854775807", refusal), ("SRANDMEMBER s -100000000", refusal)]);
        rig.run(&format!("SADD big {}", "x".repeat(1 << 20)));
        rig.check(&[("SRANDMEMBER big -1000", refusal), ("SRANDMEMBER s -1", "*1|$1|a")]);
    }
}
