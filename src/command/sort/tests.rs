use super::*;
use crate::command::testing::Rig;
use crate::store::{Collection, Store, Ttl};
use crate::value::Limits;
use crate::value::hash::{Expiry, Hash};
use crate::value::set::{Set, SetLimits};
use crate::value::sorted_set::SortedSet;

const LIMITS: Limits = Limits { entries: 128, value: 64 };

/// A server with a list `l` of 3 1 10 2, and weights `w…` and hashes `h…` beside it.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.run("RPUSH l 3 1 10 2");
    rig.run("MSET w1 4 w2 3 w3 2 w10 1 t1 d t2 c t10 a");
    for (key, field, expiry) in [("h1", "a", Expiry::Never), ("h2", "b", Expiry::At(1)), ("h10", "c", Expiry::Never)] {
        let mut hash = Hash::default();
        hash.insert(b"f", field.as_bytes(), expiry, LIMITS).expect("room");
        set(&rig, key, hash);
    }
    rig
}

/// Sets a key to a collection for which this test needs no command.
fn set(rig: &Rig, key: &str, collection: impl Collection) {
    let keyspace = &rig.worker.node.keyspace;
    let _held = keyspace.enter_key(&rig.worker.local, key.as_bytes()).expect("nobody else is there");
    let store = Store::new(keyspace, &rig.worker.local, 0, rig.worker.now_ms);
    store.update(key.as_bytes(), |entry| entry.set_object(collection.into_object(), Ttl::Clear));
}

/// The elements of a reply, separated by spaces.
fn elements(rig: &mut Rig, request: &str) -> String {
    let reply = rig.run(request);
    let mut parts = reply.split('|');
    assert!(parts.next().is_some_and(|header| header.starts_with('*')), "{request}: {reply}");
    parts.filter(|part| !part.starts_with('$') || *part == "$-1").collect::<Vec<_>>().join(" ")
}

fn check(rig: &mut Rig, script: &[(&str, &str)]) {
    for (request, expected) in script {
        assert_eq!(elements(rig, request), *expected, "{request}");
        let read_only = request.replacen("SORT", "SORT_RO", 1);
        assert_eq!(elements(rig, &read_only), *expected, "{read_only}");
    }
}

#[test]
fn lists_in_every_order() {
    check(
        &mut rig(),
        &[
            ("SORT l", "1 2 3 10"),
            ("SORT l desc", "10 3 2 1"),
            ("SORT l DESC ASC", "1 2 3 10"),
            ("SORT l ALPHA", "1 10 2 3"),
            ("SORT l ALPHA DESC", "3 2 10 1"),
            ("SORT l LIMIT 1 2", "2 3"),
            ("SORT l LIMIT 1 2 DESC", "3 2"),
            ("SORT l LIMIT -5 1", "1"),
            ("SORT l LIMIT 4 1", ""),
            ("SORT l LIMIT 0 0", ""),
            ("SORT l BY nosort", "3 1 10 2"),
            ("SORT l BY nosort DESC", "2 10 1 3"),
            ("SORT l BY nosort LIMIT 1 2", "1 10"),
            ("SORT l BY nosort LIMIT 1 2 DESC", "10 1"),
            ("SORT l BY nosort LIMIT 9 2 DESC", ""),
            ("SORT none", ""),
        ],
    );
}

#[test]
fn values_behind_other_keys() {
    check(
        &mut rig(),
        &[
            ("SORT l BY w*", "10 3 2 1"),
            ("SORT l BY w* DESC", "1 2 3 10"),
            ("SORT l BY t* ALPHA", "3 10 2 1"),
            ("SORT l BY t* ALPHA DESC", "1 2 10 3"),
            ("SORT l BY none*", "1 10 2 3"),
            ("SORT l BY none* ALPHA", "3 1 10 2"),
            ("SORT l BY none* ALPHA DESC LIMIT 1 2", "1 10"),
            ("SORT l BY h*->f ALPHA", "3 2 1 10"),
            ("SORT l BY w*->f", "1 10 2 3"),
            ("SORT l BY w* BY nosort", "3 1 10 2"),
            ("SORT l GET w*", "4 3 2 1"),
            ("SORT l GET # GET t* GET h*->f", "1 d a 2 c $-1 3 $-1 $-1 10 a c"),
            ("SORT l GET h*", "$-1 $-1 $-1 $-1"),
            ("SORT l GET constant LIMIT 0 1", "$-1"),
        ],
    );
}

#[test]
fn sets_and_sorted_sets() {
    let mut rig = rig();
    let set_limits = SetLimits { integers: 512, packed: LIMITS };
    let (mut members, mut sorted) = (Set::default(), SortedSet::default());
    for (score, member) in ["c", "a", "d", "b"].iter().enumerate() {
        members.insert(member.as_bytes(), set_limits).expect("room");
        let score = crate::value::scores::Score::new(score as f64).expect("a number");
        sorted.insert(member.as_bytes(), score, LIMITS).expect("room");
    }
    set(&rig, "set", members);
    set(&rig, "sorted", sorted);
    check(
        &mut rig,
        &[
            ("SORT set ALPHA", "a b c d"),
            ("SORT sorted ALPHA DESC", "d c b a"),
            ("SORT sorted BY nosort", "c a d b"),
            ("SORT sorted BY nosort DESC", "b d a c"),
            ("SORT sorted BY nosort LIMIT 1 2", "a d"),
            ("SORT sorted BY nosort LIMIT 1 2 DESC", "d a"),
            ("SORT sorted BY nosort LIMIT 3 -1 DESC", "c"),
            ("SORT sorted BY nosort LIMIT 4 1 DESC", ""),
        ],
    );
    assert_eq!(elements(&mut rig, "SORT set BY nosort LIMIT 1 2").split(' ').count(), 2);
    // What is stored of a set is sorted in any case.
    rig.check(&[("SORT set BY nosort STORE d", ":4"), ("LRANGE d 0 -1", "*4|$1|a|$1|b|$1|c|$1|d")]);
    rig.check(&[("SORT sorted BY nosort STORE d", ":4"), ("LRANGE d 0 -1", "*4|$1|c|$1|a|$1|d|$1|b")]);
}

#[test]
fn results_are_stored() {
    rig().check(&[
        ("SORT l STORE l", ":4"),
        ("LRANGE l 0 -1", "*4|$1|1|$1|2|$1|3|$2|10"),
        ("SET d x EX 100", "+OK"),
        ("SORT l LIMIT 0 2 GET t* GET none* STORE d", ":4"),
        ("LRANGE d 0 -1", "*4|$1|d|$0||$1|c|$0"),
        ("TTL d", ":-1"),
        ("SORT l STORE other STORE d LIMIT 0 1", ":1"),
        ("EXISTS other", ":0"),
        ("SORT none STORE d", ":0"),
        ("EXISTS d", ":0"),
        ("SORT_RO l STORE d", "-ERR syntax error"),
    ]);
}

#[test]
fn wrong_words_and_types() {
    let mut rig = rig();
    rig.run("RPUSH words b a");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    rig.check(&[
        ("SORT words", "-ERR One or more scores can't be converted into double"),
        ("SORT l BY t*", "-ERR One or more scores can't be converted into double"),
        ("SORT words BY nosort", "*2|$1|b|$1|a"),
        ("SORT w1", wrong),
        ("SORT h1", wrong),
        ("SORT w1 FOO", "-ERR syntax error"),
        ("SORT l LIMIT 1", "-ERR syntax error"),
        ("SORT l LIMIT 1 x", "-ERR value is not an integer or out of range"),
        ("SORT l BY", "-ERR syntax error"),
        ("SORT l GET", "-ERR syntax error"),
        ("SORT l STORE", "-ERR syntax error"),
    ]);
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    for (text, expected) in [
        ("", Some(0.0)),
        (" 1", Some(1.0)),
        ("\t-1.5e3", Some(-1500.0)),
        ("1 ", None),
        (" ", None),
        ("0x10", Some(16.0)),
        ("inf", Some(f64::INFINITY)),
        ("nan", None),
        ("1\0x", Some(1.0)),
        ("x", None),
    ] {
        assert_eq!(score(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn calls_that_read_derived_keys_enter_everything() {
    for (request, everywhere) in [
        ("SORT l", false),
        ("SORT l BY nosort GET # STORE d", false),
        ("SORT l GET constant", false),
        ("SORT l BY w*", true),
        ("SORT l BY w* BY nosort", false),
        ("SORT l BY nosort GET # GET w*->f", true),
        ("SORT_RO l GET w*", true),
        ("SORT_RO l BY *", true),
        ("GET l", false),
    ] {
        let frame: crate::protocol::Frame = request.split(' ').map(str::as_bytes).collect();
        let command = crate::command::find(frame.args()).expect("a command").command();
        assert_eq!(crate::command::goes_everywhere(command, frame.args()), everywhere, "{request}");
    }
}

#[test]
fn transactions_enter_what_their_commands_do() {
    rig().check(&[
        ("MULTI", "+OK"),
        ("SORT l BY w* GET t* LIMIT 0 1 STORE d", "+QUEUED"),
        ("LRANGE d 0 -1", "+QUEUED"),
        ("EXEC", "*2|:1|*1|$1|a"),
    ]);
}

#[test]
fn keys_are_found_among_the_options() {
    Rig::new().check(&[
        ("COMMAND GETKEYS SORT abc STORE def", "*2|$3|abc|$3|def"),
        ("COMMAND GETKEYS SORT abc STORE invalid STORE stillbad STORE def", "*2|$3|abc|$3|def"),
        ("COMMAND GETKEYS SORT abc STORE by STORE def", "*2|$3|abc|$3|def"),
        ("COMMAND GETKEYS SORT abc BY store GET store", "*1|$3|abc"),
        ("COMMAND GETKEYS SORT_RO abc GET x*", "*1|$3|abc"),
        ("COMMAND GETKEYSANDFLAGS SORT abc STORE def", "*2|*2|$3|abc|*2|+RO|+access|*2|$3|def|*2|+OW|+update"),
    ]);
    let info = Rig::new().run("COMMAND INFO sort");
    for part in ["+movablekeys|:1|:1|:1|", "$5|notes|", "$4|type|$7|unknown|$4|spec|*0|"] {
        assert!(info.contains(part), "{part} in {info}");
    }
    assert!(!info.contains("@keyspace"), "{info}");
}
