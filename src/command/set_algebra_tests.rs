use std::collections::BTreeSet;

use crate::command::testing::Rig;
use crate::protocol::Version;

type Members = BTreeSet<String>;

/// The members in a reply, each of which must be there once.
fn members(reply: &str) -> Members {
    let words: Vec<&str> = reply.split('|').skip(1).step_by(2).collect();
    let members: Members = reply.split('|').skip(2).step_by(2).map(str::to_string).collect();
    assert_eq!(members.len(), words.len() - usize::from(reply == "*0"), "{reply}");
    members
}

fn add(rig: &mut Rig, key: &str, members: &Members) {
    for chunk in members.iter().collect::<Vec<_>>().chunks(100) {
        let words: Vec<_> = chunk.iter().map(|word| word.as_str()).collect();
        rig.run(&format!("SADD {key} {}", words.join(" ")));
    }
}

/// Numbers from `start` to `end` as members, every `step`th; as words with a prefix.
fn numbers(prefix: &str, start: usize, end: usize, step: usize) -> Members {
    (start..end).step_by(step).map(|number| format!("{prefix}{number}")).collect()
}

/// Compares all commands on these sets with those of the standard library.
fn compare(sets: &[Members]) {
    let mut rig = Rig::new();
    let keys: Vec<String> = (0..sets.len()).map(|index| format!("k{index}")).collect();
    keys.iter().zip(sets).for_each(|(key, set)| add(&mut rig, key, set));
    let (first, others) = sets.split_first().expect("there are sets");
    let fold = |combine: fn(&Members, &Members) -> Members| {
        others.iter().fold(first.clone(), |result, set| combine(&result, set))
    };
    let keys = keys.join(" ");
    for (command, expected) in
        [("SINTER", fold(|a, b| a & b)), ("SUNION", fold(|a, b| a | b)), ("SDIFF", fold(|a, b| a - b))]
    {
        let found = rig.run(&format!("{command} {keys}"));
        assert!(found.starts_with(&format!("*{}", expected.len())), "{command}");
        if !expected.is_empty() {
            assert_eq!(members(&found), expected, "{command}");
        }
        assert_eq!(rig.run(&format!("{command}STORE out {keys}")), format!(":{}", expected.len()), "{command}STORE");
        assert_eq!(rig.run("EXISTS out"), format!(":{}", i32::from(!expected.is_empty())));
        if !expected.is_empty() {
            assert_eq!(members(&rig.run("SMEMBERS out")), expected, "{command}STORE");
        }
        if command == "SINTER" {
            let count = |limit: usize| if limit == 0 { expected.len() } else { expected.len().min(limit) };
            for limit in [0, 1, 2, 100, 600, 5000] {
                let found = rig.run(&format!("SINTERCARD {} {keys} LIMIT {limit}", sets.len()));
                assert_eq!(found, format!(":{}", count(limit)), "LIMIT {limit}");
            }
        }
    }
}

#[test]
fn sets_of_every_form_are_combined() {
    let none = Members::new();
    let integers = numbers("", 0, 300, 3);
    let many = numbers("", 0, 4000, 2);
    let words = numbers("w", 0, 60, 1);
    let mixed = &numbers("w", 30, 90, 2) | &numbers("", 0, 30, 1);
    let large = &numbers("w", 0, 3000, 3) | &numbers("", 0, 3000, 5);
    for sets in [
        vec![&none],
        vec![&integers],
        vec![&large],
        vec![&integers, &many],
        vec![&many, &integers],
        vec![&large, &many],
        vec![&many, &large],
        vec![&words, &mixed],
        vec![&words, &large, &mixed],
        vec![&large, &words, &mixed, &integers],
        vec![&large, &none],
        vec![&none, &large],
        vec![&large, &words, &mixed, &integers, &words, &mixed, &integers, &words],
        vec![&many, &many],
    ] {
        compare(&sets.into_iter().cloned().collect::<Vec<_>>());
    }
}

#[test]
fn a_key_may_be_named_twice() {
    let mut rig = Rig::new();
    rig.check(&[
        ("SADD a 1 2", ":2"),
        ("SADD b 2 3", ":2"),
        ("SINTER a a", "*2|$1|1|$1|2"),
        ("SUNION a a", "*2|$1|1|$1|2"),
        ("SDIFF a b a", "*0"),
        ("SDIFF a b b", "*1|$1|1"),
        ("SINTERCARD 3 a b a", ":1"),
        ("SUNIONSTORE a a b", ":3"),
        ("SMEMBERS a", "*3|$1|1|$1|2|$1|3"),
        ("SDIFFSTORE a a b", ":1"),
        ("SINTERSTORE a a b", ":0"),
        ("EXISTS a", ":0"),
    ]);
    rig.client.set_version(Version::Resp3);
    rig.check(&[("SINTER b", "~2|$1|2|$1|3"), ("SUNION a b", "~2|$1|2|$1|3"), ("SDIFF b a", "~2|$1|2|$1|3")]);
    rig.check(&[("SINTER a", "~0"), ("SUNION a", "~0"), ("SDIFF a", "~0"), ("SINTERCARD 1 b", ":2")]);
}

#[test]
fn results_take_the_form_that_redis_gives_them() {
    let mut rig = Rig::new();
    add(&mut rig, "big", &numbers("", 0, 700, 1));
    add(&mut rig, "table", &(&numbers("", 0, 150, 1) | &numbers("x", 0, 1, 1)));
    add(&mut rig, "packed", &(&numbers("", 0, 100, 1) | &numbers("x", 0, 1, 1)));
    add(&mut rig, "integers", &numbers("", 0, 5, 1));
    // As of Valkey 9.1.
    for (request, count, encoding) in [
        ("SINTERSTORE d big table", 150, "intset"),
        ("SINTERSTORE d big packed", 100, "intset"),
        ("SINTERSTORE d big integers", 5, "intset"),
        ("SINTERSTORE d packed table", 101, "listpack"),
        ("SINTERSTORE d table", 151, "hashtable"),
        ("SINTERSTORE d big", 700, "hashtable"),
        ("SUNIONSTORE d integers", 5, "intset"),
        ("SUNIONSTORE d packed integers", 101, "listpack"),
        ("SUNIONSTORE d packed big", 701, "hashtable"),
        ("SDIFFSTORE d packed integers", 96, "listpack"),
        ("SDIFFSTORE d table packed", 50, "intset"),
        ("SDIFFSTORE d big packed", 600, "hashtable"),
    ] {
        let reply = rig.run(request);
        assert_eq!(reply, format!(":{count}"), "{request}");
        assert_eq!(rig.run("OBJECT ENCODING d"), format!("${}|{encoding}", encoding.len()), "{request}");
    }
}

#[test]
fn arguments_and_types_are_checked() {
    let mut rig = Rig::new();
    rig.check(&[("SET x 1", "+OK"), ("SADD s a", ":1")]);
    for request in ["SINTER", "SUNION", "SDIFF", "SINTERSTORE d", "SUNIONSTORE d", "SDIFFSTORE d", "SINTERCARD 2"] {
        for keys in ["x s", "s x", "none x", "x none"] {
            let reply = rig.run(&format!("{request} {keys}"));
            assert_eq!(reply, "-WRONGTYPE Operation against a key holding the wrong kind of value", "{request} {keys}");
        }
    }
    let too_few = "-ERR numkeys should be greater than 0";
    let negative = "-ERR LIMIT can't be negative";
    rig.check(&[
        ("SINTERCARD 0 s", too_few),
        ("SINTERCARD -1 s", too_few),
        ("SINTERCARD x s", too_few),
        ("SINTERCARD 2 s", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 9223372036854775807 s", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 s LIMIT", "-ERR syntax error"),
        ("SINTERCARD 1 s FOO 1", "-ERR syntax error"),
        ("SINTERCARD 1 s LIMIT -1", negative),
        ("SINTERCARD 1 s LIMIT x", negative),
        ("SINTERCARD 1 s LIMIT 5 limit 0", ":1"),
        // The target may be anything.
        ("SUNIONSTORE x s", ":1"),
        ("TYPE x", "+set"),
        ("SET x 1", "+OK"),
        ("SINTERSTORE x s none", ":0"),
        ("EXISTS x", ":0"),
    ]);
}

#[test]
fn observers_hear_of_results() {
    let mut rig = Rig::new();
    rig.check(&[("SADD s a b", ":2"), ("SADD t b", ":1")]);
    rig.worker.node.keyspace.listen(1);
    for (request, events) in [
        ("SINTERSTORE d s t", "sinterstore d"),
        ("SUNIONSTORE d s t", "sunionstore d"),
        ("SDIFFSTORE d s t", "sdiffstore d"),
        ("SDIFFSTORE d t s", "del d"),
        ("SINTERSTORE d s none", ""),
        ("SINTER s t", ""),
    ] {
        rig.run(request);
        let changes = rig.worker.local.take_changes();
        let told: Vec<_> =
            changes.iter().map(|change| format!("{} {}", change.event.name, change.key.escape_ascii())).collect();
        assert_eq!(told.join(", "), events, "{request}");
    }
}

#[test]
fn a_result_loses_the_target_s_time_to_live() {
    let mut rig = Rig::new();
    rig.check(&[("SADD s a", ":1"), ("SADD d b", ":1"), ("EXPIRE d 10", ":1"), ("SUNIONSTORE d d s", ":2")]);
    rig.pass(11_000);
    rig.check(&[("SCARD d", ":2")]);
}
