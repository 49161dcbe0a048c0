//! Several strings at once. The dispatcher has entered the shards of all keys alone, so each command is atomic: also with one
//! key where it looks first and sets then, which is what `exclusive` is for.

use super::string::GROWING;
use super::string_options::{Condition, Options, Taken};
use super::string_value::{reply_string, set_argument, string_of};
use super::{Access, Begin, Command, Context, Error, Find, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::{Event, Record, Ttl};

const MSETEX_KEYS: &[KeySpec] = &[KeySpec {
    access: Access::OW.and(Access::UPDATE),
    begin: Begin::Index(1),
    find: Find::Count { count: 0, first: 1, step: 2 },
}];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("mget", -2, mget)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::range(1, -1, 1, Access::RO.and(Access::ACCESS))])
        .group(Group::String)
        .complexity("O(N) where N is the number of keys to retrieve.")
        .tips(&["request_policy:multi_shard"])
        .doc("Returns the string values of several keys at one moment.", "key ..."),
    Command::new("mset", -3, mset)
        .flags(GROWING)
        .keys(&[KeySpec::range(1, -1, 2, Access::OW.and(Access::UPDATE))])
        .group(Group::String)
        .since("1.0.1")
        .complexity("O(N) where N is the number of keys to set.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc("Sets several keys to string values at one moment.", "<key value> ..."),
    Command::new("msetnx", -3, msetnx)
        .flags(GROWING)
        .keys(&[KeySpec::range(1, -1, 2, Access::OW.and(Access::INSERT))])
        .exclusive()
        .group(Group::String)
        .since("1.0.1")
        .complexity("O(N) where N is the number of keys to set.")
        .doc("Sets several keys to string values if none of them is there.", "<key value> ..."),
    Command::new("msetex", -4, msetex)
        .flags(GROWING.and(Flags::MOVABLE_KEYS))
        .keys(MSETEX_KEYS)
        .exclusive()
        .group(Group::String)
        .since("9.1.0")
        .complexity("O(N) where N is the number of keys to set.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc(
            "Sets several keys to string values with one time to live, if a condition holds for all of them.",
            "numkeys <key value> ... [NX|XX] \
             [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        ),
];

fn mget(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    cx.reply.array(args.len() - 1);
    cx.prefetch(args.skip(1).iter());
    for key in args.skip(1) {
        store.read(key, |record| {
            cx.count_lookup(record.is_some());
            // Keys of other types are no error here, only nothing to get.
            reply_string(&mut cx.reply, string_of(record.map(Record::value)).unwrap_or(None));
        });
    }
    Ok(())
}

fn mset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len().is_multiple_of(2) {
        return Err(cx.arity_error());
    }
    set_pairs(cx, args.skip(1), Ttl::Clear);
    cx.reply.ok();
    Ok(())
}

fn msetnx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len().is_multiple_of(2) {
        return Err(cx.arity_error());
    }
    let pairs = args.skip(1);
    let is_set = !pairs.iter().step_by(2).any(|key| cx.store.exists(key));
    if is_set {
        set_pairs(cx, pairs, Ttl::Clear);
    }
    cx.reply.integer(is_set.into());
    Ok(())
}

fn msetex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = number::parse_i64(args.get(1)).and_then(|count| i32::try_from(count).ok());
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let end = count.ok_or(Error::KEY_COUNT)?.saturating_mul(2).saturating_add(2);
    if end > args.len() {
        return Err(Error::SYNTAX);
    }
    let options = Options::parse(args.skip(end), Taken::MSETEX)?;
    let ttl = options.ttl(cx.now_ms(), "msetex")?;
    let pairs = args.range(2..end);
    let mut keys = pairs.iter().step_by(2);
    let is_set = match options.condition {
        Condition::Missing => !keys.any(|key| cx.store.exists(key)),
        Condition::Present => keys.all(|key| cx.store.exists(key)),
        Condition::Always | Condition::Equal(_) => true,
    };
    if is_set {
        set_pairs(cx, pairs, ttl);
    }
    cx.reply.integer(is_set.into());
    Ok(())
}

/// Sets keys to the values that follow each of them.
fn set_pairs(cx: &Context<'_>, pairs: Args<'_>, ttl: Ttl) {
    cx.prefetch(pairs.iter().step_by(2));
    for index in (1..pairs.len()).step_by(2) {
        cx.store.update(pairs.get(index - 1), |entry| set_argument(entry, pairs, index, ttl, cx.now_ms()));
        cx.store.changed(pairs.get(index - 1), Event::string("set"));
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn several_keys() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MSET a 1 b x a 2", "+OK"),
            ("MGET a b none a", "*4|$1|2|$1|x|$-1|$1|2"),
            ("MSETNX c 1 a 1", ":0"),
            ("GET c", "$-1"),
            ("MSETNX c 1 d 1 c 2", ":1"),
            ("MGET c d", "*2|$1|2|$1|1"),
            ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
            ("MSET a b c", "-ERR wrong number of arguments for 'mset' command"),
            ("MSETNX a b c", "-ERR wrong number of arguments for 'msetnx' command"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("MGET none a", "*2|_|$1|2")]);
    }

    #[test]
    fn commands_that_look_before_they_set_are_alone_even_with_one_key() {
        let is_alone = |name: &str| crate::command::table::find(name.as_bytes()).map(|found| found.command().exclusive);
        assert_eq!([is_alone("msetnx"), is_alone("msetex"), is_alone("mset")], [Some(true), Some(true), Some(false)]);
        Rig::new().check(&[("MSETNX a 1", ":1"), ("MSETNX a 2", ":0"), ("MSETEX 1 a 3 XX", ":1"), ("GET a", "$1|3")]);
    }

    #[test]
    fn several_keys_with_conditions_and_times() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MSETEX 2 a 1 b 2 NX EX 10", ":1"),
            ("MSETEX 2 a 3 c 3 NX", ":0"),
            ("MSETEX 2 a 3 c 3 XX", ":0"),
            ("MSETEX 2 a 3 b 3 XX KEEPTTL", ":1"),
            ("MSETEX 1 c 3", ":1"),
            ("MGET a b c", "*3|$1|3|$1|3|$1|3"),
        ]);
        rig.pass(11_000);
        rig.check(&[("MGET a b c", "*3|$-1|$-1|$1|3")]);
        for count in ["0", "-1", "x", "2147483648", "9223372036854775807"] {
            let reply = rig.run(&format!("MSETEX {count} a b"));
            assert_eq!(reply, "-ERR invalid numkeys value or out of range", "{count}");
        }
        rig.check(&[
            ("MSETEX 2 a b", "-ERR syntax error"),
            ("MSETEX 2 a b c", "-ERR syntax error"),
            ("MSETEX 2147483647 a b", "-ERR syntax error"),
            ("MSETEX 1 a b NX XX", "-ERR syntax error"),
            ("MSETEX 1 a b PERSIST", "-ERR syntax error"),
            ("MSETEX 1 a b EX 0", "-ERR invalid expire time in 'msetex' command"),
            ("GET a", "$-1"),
        ]);
    }
}
