use super::*;
use crate::command::dispatch;
use crate::command::testing::Rig;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn ranges_are_cut_off_at_both_ends() {
    for (start, stop, len, expected) in [
        (0, -1, 5, 0..5),
        (1, 2, 5, 1..3),
        (-2, 100, 5, 3..5),
        (-100, 0, 5, 0..1),
        (-100, -100, 5, 0..0),
        (5, 9, 5, 0..0),
        (3, 2, 5, 0..0),
        (i64::MIN, i64::MAX, 5, 0..5),
        (i64::MAX, i64::MIN, 5, 0..0),
        (0, -6, 5, 0..0),
        (0, -5, 5, 0..1),
    ] {
        assert_eq!(range(start, stop, len), expected, "{start} {stop} of {len}");
    }
    assert_eq!([absolute(-1, 3), absolute(-4, 3), absolute(7, 3)], [Some(2), None, Some(7)]);
}

#[test]
fn pushing_and_reading() {
    let mut rig = Rig::new();
    rig.check(&[
        ("LPUSHX l a", ":0"),
        ("RPUSHX l a", ":0"),
        ("EXISTS l", ":0"),
        ("LPUSH l b a", ":2"),
        ("RPUSH l c 12", ":4"),
        ("LPUSHX l x y", ":6"),
        ("RPUSHX l z", ":7"),
        ("LRANGE l 0 -1", "*7|$1|y|$1|x|$1|a|$1|b|$1|c|$2|12|$1|z"),
        ("LRANGE l -2 -1", "*2|$2|12|$1|z"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE none 0 1", "*0"),
        ("LRANGE none 0 x", "-ERR value is not an integer or out of range"),
        ("LLEN l", ":7"),
        ("LLEN none", ":0"),
        ("LINDEX l 0", "$1|y"),
        ("LINDEX l -2", "$2|12"),
        ("LINDEX l 7", "$-1"),
        ("LINDEX l -8", "$-1"),
        ("LINDEX l x", "-ERR value is not an integer or out of range"),
        ("LINDEX none x", "$-1"),
        ("TYPE l", "+list"),
        ("OBJECT ENCODING l", "$8|listpack"),
    ]);
    rig.client.set_version(crate::protocol::Version::Resp3);
    rig.check(&[("LINDEX none 0", "_"), ("LINDEX l 7", "_")]);
}

#[test]
fn editing() {
    let mut rig = Rig::new();
    rig.check(&[
        ("LINSERT none BEFORE a b", ":0"),
        ("LINSERT none beside a b", "-ERR syntax error"),
        ("RPUSH l a b a c a", ":5"),
        ("LINSERT l before b x", ":6"),
        ("LINSERT l AFTER c y", ":7"),
        ("LINSERT l AFTER none y", ":-1"),
        ("LRANGE l 0 -1", "*7|$1|a|$1|x|$1|b|$1|a|$1|c|$1|y|$1|a"),
        ("LSET l 0 0", "+OK"),
        ("LSET l -1 z", "+OK"),
        ("LSET l 7 z", "-ERR index out of range"),
        ("LSET l -8 z", "-ERR index out of range"),
        ("LSET l x z", "-ERR value is not an integer or out of range"),
        ("LSET none x z", "-ERR no such key"),
        ("RPUSH l a a", ":9"),
        ("LREM l -2 a", ":2"),
        ("LREM l 1 a", ":1"),
        ("LREM l 0 a", ":0"),
        ("LREM none 0 a", ":0"),
        ("LREM none x a", "-ERR value is not an integer or out of range"),
        ("LRANGE l 0 -1", "*6|$1|0|$1|x|$1|b|$1|c|$1|y|$1|z"),
        ("LTRIM l 1 -2", "+OK"),
        ("LRANGE l 0 -1", "*4|$1|x|$1|b|$1|c|$1|y"),
        ("LTRIM none 0 1", "+OK"),
        ("LTRIM none x 1", "-ERR value is not an integer or out of range"),
        ("LTRIM l 5 4", "+OK"),
        ("EXISTS l", ":0"),
        ("RPUSH l a a", ":2"),
        ("LREM l 0 a", ":2"),
        ("EXISTS l", ":0"),
    ]);
    assert_eq!(rig.worker.node.keyspace.totals(0), Default::default());
}

#[test]
fn other_types_are_refused_and_stay() {
    let mut rig = Rig::new();
    rig.run("SET s x");
    for request in [
        "LPUSH s a",
        "RPUSHX s a",
        "LINSERT s BEFORE a b",
        "LLEN s",
        "LRANGE s 0 1",
        "LINDEX s x",
        "LSET s x a",
        "LREM s 0 a",
        "LTRIM s 0 1",
    ] {
        assert_eq!(rig.run(request), WRONG, "{request}");
    }
    rig.check(&[("GET s", "$1|x"), ("RPUSH l a", ":1"), ("GET l", WRONG), ("SET l x", "+OK"), ("GET l", "$1|x")]);
}

#[test]
fn a_time_to_live_outlasts_changes_and_ends_with_the_key() {
    let mut rig = Rig::new();
    rig.check(&[
        ("RPUSH l a b", ":2"),
        ("PEXPIRE l 1000", ":1"),
        ("RPUSH l c", ":3"),
        ("LMOVE l l LEFT RIGHT", "$1|a"),
    ]);
    rig.check(&[("PTTL l", ":1000"), ("LPOP l 3", "*3|$1|b|$1|c|$1|a"), ("RPUSH l x", ":1"), ("PTTL l", ":-1")]);
    rig.check(&[("PEXPIRE l 1000", ":1")]);
    rig.pass(1001);
    rig.check(&[("LLEN l", ":0"), ("LPUSHX l a", ":0"), ("RPUSH l a", ":1"), ("PTTL l", ":-1")]);
}

#[test]
fn changes_and_events_are_those_of_redis() {
    let mut rig = Rig::new();
    let keyspace = &rig.worker.node.keyspace;
    keyspace.listen_to_all(true);
    for (request, changes, events) in [
        ("RPUSH l a b c", 3, "rpush l"),
        ("LPUSH l d e", 2, "lpush l"),
        ("LPUSHX none d e", 0, ""),
        ("LINSERT l AFTER a x", 1, "linsert l"),
        ("LINSERT l AFTER none x", 0, ""),
        ("LSET l 0 a", 1, "lset l"),
        ("LREM l 0 a", 2, "lrem l"),
        ("LREM l 0 none", 0, ""),
        ("LTRIM l 0 -1", 0, "ltrim l"),
        ("LTRIM l 1 2", 2, "ltrim l"),
        ("LPOP none", 0, ""),
        ("LPOP l 0", 0, ""),
        ("LPOP l", 1, "lpop l"),
        ("LMOVE l m LEFT RIGHT", 1, "rpush m,lpop l,del l"),
        ("LMOVE m m LEFT RIGHT", 1, "rpush m,lpop m"),
        ("RPUSH l a b c", 3, "rpush l"),
        ("RPOP l 2", 2, "rpop l"),
        ("LMPOP 2 none l RIGHT COUNT 5", 1, "rpop l,del l"),
        ("RPUSH l a a", 2, "rpush l"),
        ("LREM l 2 a", 2, "lrem l,del l"),
        ("RPUSH l a", 1, "rpush l"),
        ("LTRIM l 1 0", 1, "ltrim l,del l"),
        ("RPUSH l 2 1", 2, "rpush l"),
        ("SORT l STORE d", 2, "sortstore d"),
        ("SORT none STORE d", 1, "del d"),
        ("SORT none STORE d", 0, ""),
    ] {
        let before = keyspace.changes();
        let frame: crate::protocol::Frame = request.split(' ').map(str::as_bytes).collect();
        let handle = crate::command::find(frame.args()).expect("a command");
        // Not by way of `execute`, which hands the events on.
        let done = dispatch::perform(&rig.worker, &mut rig.client, handle, frame.args(), &mut Vec::new());
        assert_eq!(done, Ok(()), "{request}");
        assert_eq!(keyspace.changes() - before, changes, "{request}");
        let told = rig.worker.local.take_changes();
        let told = told.iter().map(|change| format!("{} {}", change.event.name, String::from_utf8_lossy(&change.key)));
        assert_eq!(told.collect::<Vec<_>>().join(","), events, "{request}");
    }
}

#[test]
fn long_lists_and_long_elements_are_kept() {
    let mut rig = Rig::new();
    let long = "x".repeat(20_000);
    for index in 0..3000 {
        rig.run(&format!("RPUSH l element:{index}"));
    }
    rig.check(&[
        ("OBJECT ENCODING l", "$9|quicklist"),
        ("LINDEX l 2999", "$12|element:2999"),
        ("LPOS l element:2500", ":2500"),
        ("LTRIM l 1000 1001", "+OK"),
        ("OBJECT ENCODING l", "$8|listpack"),
        ("LRANGE l 0 -1", "*2|$12|element:1000|$12|element:1001"),
    ]);
    rig.run(&format!("LSET l 0 {long}"));
    assert_eq!(rig.run("LMOVE l m LEFT LEFT"), format!("$20000|{long}"));
    assert_eq!(rig.run("LRANGE m 0 -1"), format!("*1|$20000|{long}"));
}
