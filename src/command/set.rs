//! Sets: members of one, and moving a member to another.

use super::collection::{change, change_or_create, collection_of};
use super::scan_options::{Over, ScanOptions, empty_page, page, parse_cursor};
use super::string::{GROWING, READ_ONE};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::config::Settings;
use crate::protocol::Args;
use crate::store::Event;
use crate::value::set::{Set, SetLimits};
use crate::value::{Full, Limits};

const MOVE_KEYS: &[KeySpec] = &[
    KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE)),
    KeySpec::at(2, Access::RW.and(Access::INSERT)),
];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("sadd", -3, sadd)
        .flags(GROWING.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::INSERT))])
        .group(Group::Set)
        .complexity("O(1) for each member to add.")
        .doc("Adds members to a set, which is created if it is not there.", "key member ..."),
    Command::new("srem", -3, srem)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::DELETE))])
        .group(Group::Set)
        .complexity("O(N) where N is the number of members to remove.")
        .doc("Removes members from a set, and the set with the last of them.", "key member ..."),
    Command::new("sismember", 3, sismember)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::Set)
        .doc("Tells whether a set has a member.", "key member"),
    Command::new("smismember", -3, smismember)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(READ_ONE)
        .group(Group::Set)
        .since("6.2.0")
        .complexity("O(N) where N is the number of members to look for.")
        .doc("Tells of several members whether a set has them.", "key member ..."),
    Command::new("smembers", 2, smembers)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Set)
        .complexity("O(N) where N is the number of members.")
        .tips(&["nondeterministic_output_order"])
        .doc("Returns all members of a set.", "key"),
    Command::new("scard", 2, scard)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::Set)
        .doc("Returns the number of members of a set.", "key"),
    Command::new("smove", 4, smove)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(MOVE_KEYS)
        .group(Group::Set)
        .doc("Moves a member from one set to another.", "source destination member"),
    Command::new("sscan", -3, sscan)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Set)
        .since("2.8.0")
        .complexity("O(1) for every call, O(N) for a whole iteration over N members.")
        .tips(&["nondeterministic_output"])
        .doc(
            "Returns some members of a set, and the cursor from which to go on.",
            "key cursor [MATCH pattern] [COUNT count]",
        ),
];

/// Up to which size sets stay compact.
pub(super) fn limits(settings: &Settings) -> SetLimits {
    let size = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
    SetLimits {
        integers: size(settings.set_max_intset_entries),
        packed: Limits {
            entries: size(settings.set_max_listpack_entries),
            value: size(settings.set_max_listpack_value),
        },
    }
}

fn sadd(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, members, limits) = (args.get(1), args.skip(2), limits(cx.settings()));
    let make = || Set::for_members(members.len(), members.get(0), limits);
    let (added, outcome) = cx.store.update(key, |entry| {
        change_or_create(entry, make, |set| {
            set.prepare(members.len(), limits)?;
            Ok(insert_all(set, members, limits))
        })
        .map(|changed| changed.result)
    })?;
    if added > 0 {
        cx.store.changed(key, Event::set("sadd"));
        cx.store.count_changes(added as u64 - 1);
    }
    outcome?;
    cx.reply.count(added);
    Ok(())
}

/// Adds members until the set is full. How many were new is told in either case, because they stay.
fn insert_all(set: &mut Set, members: Args<'_>, limits: SetLimits) -> (usize, Result<(), Full>) {
    let mut added = 0;
    for member in members {
        match set.insert(member, limits) {
            Ok(is_new) => added += usize::from(is_new),
            Err(full) => return (added, Err(full)),
        }
    }
    (added, Ok(()))
}

fn srem(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, members) = (args.get(1), args.skip(2));
    let changed = cx.store.update(key, |entry| {
        change(entry, |set: &mut Set| {
            let mut removed = 0;
            for member in members {
                removed += usize::from(set.remove(member));
                if set.is_empty() {
                    break;
                }
            }
            Ok(removed)
        })
    })?;
    let removed = changed.map_or(0, |changed| changed.result);
    if removed > 0 {
        cx.store.changed(key, Event::set("srem"));
        cx.store.count_changes(removed as u64 - 1);
        if changed.is_some_and(|changed| changed.vanished) {
            cx.store.notify(key, Event::DEL);
        }
    }
    cx.reply.count(removed);
    Ok(())
}

/// Reads the set of a key, if there is one, and counts the look-up.
#[inline]
pub(super) fn read_set<R>(
    cx: &mut Context<'_>,
    key: &[u8],
    read: impl FnOnce(&mut Context<'_>, Option<&Set>) -> R,
) -> Result<R, Error> {
    let store = cx.store;
    store.read(key, |record| {
        cx.count_lookup(record.is_some());
        Ok(read(cx, collection_of(record)?.as_deref()))
    })
}

fn sismember(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = read_set(cx, args.get(1), |_, set| set.is_some_and(|set| set.contains(args.get(2))))?;
    cx.reply.integer(found.into());
    Ok(())
}

fn smismember(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let members = args.skip(2);
    read_set(cx, args.get(1), |cx, set| {
        cx.reply.array(members.len());
        for member in members {
            cx.reply.integer(set.is_some_and(|set| set.contains(member)).into());
        }
    })
}

fn smembers(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read_set(cx, args.get(1), |cx, set| {
        cx.reply.set(set.map_or(0, Set::len));
        set.into_iter().flat_map(Set::iter).for_each(|member| cx.reply.bulk(&member));
    })
}

fn scard(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = read_set(cx, args.get(1), |_, set| set.map_or(0, Set::len))?;
    cx.reply.count(len);
    Ok(())
}

fn smove(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (source, target, member, store) = (args.get(1), args.get(2), args.get(3), cx.store);
    let has = |key| -> Result<Option<bool>, Error> {
        store.read(key, |record| Ok(collection_of::<Set>(record)?.map(|set| set.contains(member))))
    };
    let is_member = match has(source)? {
        // Without a source, Redis does not look at the target's type.
        None => false,
        Some(is_member) => has(target).map(|_| is_member)?,
    };
    if is_member && source != target {
        let limits = limits(cx.settings());
        // Only adding can fail, so it comes first.
        let added = store.update(target, |entry| {
            change_or_create(entry, || Set::for_members(1, member, limits), |set| Ok(set.insert(member, limits)?))
        })?;
        let removed = store.update(source, |entry| change(entry, |set: &mut Set| Ok(set.remove(member))))?;
        store.changed(source, Event::set("srem"));
        if removed.is_some_and(|removed| removed.vanished) {
            store.notify(source, Event::DEL);
        }
        if added.result {
            store.changed(target, Event::set("sadd"));
        }
    }
    cx.reply.integer(is_member.into());
    Ok(())
}

fn sscan(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(args.get(2))?;
    read_set(cx, args.get(1), |cx, set| {
        // Redis looks at the options only when it has something to scan.
        let Some(set) = set else {
            empty_page(&mut cx.reply);
            return Ok(());
        };
        let options = ScanOptions::parse(args.skip(3), Over::Set)?;
        page(&mut cx.reply, cursor, &options, |cursor, page| {
            set.scan(cursor, |member| {
                if page.admits(&member) {
                    page.word(&member);
                }
            })
        });
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;
    use crate::protocol::Version;

    #[test]
    fn members_come_and_go() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SADD s 3 1 2 1", ":3"),
            ("SADD s 1 4", ":1"),
            ("SMEMBERS s", "*4|$1|1|$1|2|$1|3|$1|4"),
            ("OBJECT ENCODING s", "$6|intset"),
            ("SADD s a", ":1"),
            ("OBJECT ENCODING s", "$8|listpack"),
            ("TYPE s", "+set"),
            ("SCARD s", ":5"),
            ("SISMEMBER s a", ":1"),
            ("SISMEMBER s 01", ":0"),
            ("SMISMEMBER s 1 b a", "*3|:1|:0|:1"),
            ("SREM s 1 b a 1", ":2"),
            ("SREM s 2 3 4 5", ":3"),
            ("EXISTS s", ":0"),
            ("SREM s 1", ":0"),
            ("SCARD s", ":0"),
            ("SMEMBERS s", "*0"),
            ("SISMEMBER s 1", ":0"),
            ("SMISMEMBER s 1 2", "*2|:0|:0"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("SMEMBERS s", "~0"), ("SADD s 1", ":1"), ("SMEMBERS s", "~1|$1|1"), ("SMISMEMBER s 1", "*1|:1")]);
    }

    #[test]
    fn many_members_at_once_make_a_table() {
        let mut rig = Rig::new();
        let numbers: Vec<String> = (0..513).map(|number| number.to_string()).collect();
        rig.run(&format!("SADD s {}", numbers[..512].join(" ")));
        rig.check(&[("OBJECT ENCODING s", "$6|intset"), ("SADD s 512", ":1"), ("OBJECT ENCODING s", "$9|hashtable")]);
        rig.run(&format!("SADD t {}", numbers.join(" ")));
        rig.check(&[("OBJECT ENCODING t", "$9|hashtable"), ("SCARD t", ":513")]);
        rig.check(&[("SADD u 1", ":1")]);
        rig.run(&format!("SADD u{}", " 1".repeat(513)));
        rig.check(&[("OBJECT ENCODING u", "$9|hashtable"), ("SCARD u", ":1")]);
    }

    #[test]
    fn other_types_are_refused() {
        let mut rig = Rig::new();
        rig.check(&[("SET x 1", "+OK"), ("SADD s a", ":1")]);
        for request in [
            "SADD x a",
            "SREM x a",
            "SISMEMBER x a",
            "SMISMEMBER x a",
            "SMEMBERS x",
            "SCARD x",
            "SSCAN x 0",
            "SSCAN x 0 FOO",
            "SMOVE x s a",
            "SMOVE s x a",
            "SMOVE s x b",
            "GET s",
            "INCR s",
        ] {
            let reply = rig.run(request);
            assert_eq!(reply, "-WRONGTYPE Operation against a key holding the wrong kind of value", "{request}");
        }
        rig.check(&[("GET x", "$1|1"), ("SMOVE none x a", ":0"), ("SMEMBERS s", "*1|$1|a")]);
    }

    #[test]
    fn a_member_is_moved() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SADD s a 1", ":2"),
            ("SMOVE s t b", ":0"),
            ("EXISTS t", ":0"),
            ("SMOVE s t 1", ":1"),
            ("OBJECT ENCODING t", "$6|intset"),
            ("SMOVE s s a", ":1"),
            ("SMOVE s s 1", ":0"),
            ("SMOVE s t a", ":1"),
            ("EXISTS s", ":0"),
            ("SMEMBERS t", "*2|$1|1|$1|a"),
        ]);
    }

    #[test]
    fn observers_hear_what_changed() {
        let mut rig = Rig::new();
        rig.worker.node.keyspace.listen_to_all(true);
        for (request, events) in [
            ("SADD s a b c", "sadd s"),
            ("SADD s a", ""),
            ("SREM s x", ""),
            ("SREM s a", "srem s"),
            ("SMOVE s t b", "srem s, sadd t"),
            ("SADD t c", "sadd t"),
            ("SMOVE s t c", "srem s, del s"),
            ("SREM t b c d", "srem t, del t"),
        ] {
            let told = rig.events(request);
            assert_eq!(told, events, "{request}");
        }
        let node = rig.worker.node;
        // Three added, one removed, moved out and in, one added, moved out, two removed.
        assert_eq!(node.keyspace.changes(), 10);
    }

    #[test]
    fn a_scan_returns_every_member() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SSCAN none 0", "*2|$1|0|*0"),
            ("SSCAN none 0 FOO", "*2|$1|0|*0"),
            ("SSCAN none x", "-ERR invalid cursor"),
            ("SADD i 3 1 20", ":3"),
            ("SSCAN i 5 COUNT 1", "*2|$1|0|*3|$1|1|$1|3|$2|20"),
            ("SSCAN i 0 MATCH 2*", "*2|$1|0|*1|$2|20"),
            ("SSCAN i 0 FOO", "-ERR syntax error"),
            ("SSCAN i 0 COUNT 0", "-ERR syntax error"),
            ("SSCAN i 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
        ]);
        (0..2000).for_each(|i| drop(rig.run(&format!("SADD s m{i}"))));
        let (mut cursor, mut seen, mut calls) = ("0".to_string(), BTreeSet::new(), 0);
        loop {
            let reply = rig.run(&format!("SSCAN s {cursor} COUNT 50"));
            let words: Vec<&str> = reply.split('|').collect();
            seen.extend(words.iter().filter(|word| word.starts_with('m')).map(|word| word.to_string()));
            (cursor, calls) = (words[2].to_string(), calls + 1);
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 2000);
        assert!((20..45).contains(&calls), "{calls} calls");
    }
}
