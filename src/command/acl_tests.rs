//! `ACL` and the checks of rules, by requests.

use crate::command::testing::Rig;

/// A server with a client of the default user, and one of `alice` with these rules.
fn with_alice(rules: &str) -> Rig {
    let mut rig = Rig::new();
    assert_eq!(rig.run(&format!("ACL SETUSER alice on >pw {rules}")), "+OK");
    rig
}

/// Runs requests as `alice`, then goes back to the client before.
fn as_alice(rig: &mut Rig, script: &[(&str, &str)]) {
    let alice = rig.connect();
    let before = std::mem::replace(&mut rig.client, alice);
    assert_eq!(rig.run("AUTH alice pw"), "+OK");
    rig.check(script);
    rig.client = before;
}

const NO_KEY: &str = "-NOPERM No permissions to access a key";

#[test]
fn rules_are_enforced_in_the_words_of_redis() {
    let mut rig = with_alice("+get +set +mget +select|1 ~a* %R~r*");
    as_alice(
        &mut rig,
        &[
            ("ACL WHOAMI", "-NOPERM User alice has no permissions to run the 'acl|whoami' command"),
            ("SET a1 x", "+OK"),
            ("GET a1", "$1|x"),
            ("GET b", NO_KEY),
            ("GET r1", "$-1"),
            ("SET r1 x", NO_KEY),
            ("SET r1 x GET", NO_KEY),
            ("MGET a1 r1", "*2|$1|x|$-1"),
            ("MGET a1 b", NO_KEY),
            ("SELECT 1", "+OK"),
            ("SELECT 2", "-NOPERM User alice has no permissions to run the 'select' command"),
            ("PING", "-NOPERM User alice has no permissions to run the 'ping' command"),
            ("CONFIG GET x", "-NOPERM User alice has no permissions to run the 'config|get' command"),
            // What is wrong with the request itself is told first.
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "),
            // Everybody may authenticate, and begin anew.
            ("AUTH alice wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("GET a1", "$-1"),
            ("RESET", "+RESET"),
            ("PING", "+PONG"),
        ],
    );
    let info = rig.run("INFO stats");
    for field in ["auth:1", "cmd:4", "key:4", "channel:0"] {
        assert!(format!("{info}|").contains(&format!("|acl_access_denied_{field}|")), "{field}: {info}");
    }
    assert!(rig.run("INFO errorstats").contains("errorstat_NOPERM:count=8"));
    // As in Redis, what was refused stays on record.
    rig.run("CONFIG RESETSTAT");
    assert!(rig.run("INFO stats").contains("|acl_access_denied_key:4|"));
}

#[test]
fn variable_access_decides_about_reading() {
    let mut rig = with_alice("+@all %W~w %R~r");
    as_alice(
        &mut rig,
        &[
            ("SET w x", "+OK"),
            ("SET w x GET", NO_KEY),
            ("GET w", NO_KEY),
            ("BITFIELD r GET u8 0", "*1|:0"),
            ("BITFIELD r SET u8 0 1", NO_KEY),
            ("EXISTS w r", ":1"),
            ("EXISTS w x", NO_KEY),
        ],
    );
}

#[test]
fn changes_reach_connected_clients() {
    let mut rig = with_alice("+get ~*");
    as_alice(&mut rig, &[("GET a", "$-1")]);
    let alice = rig.connect();
    let default = std::mem::replace(&mut rig.client, alice);
    rig.check(&[("AUTH alice pw", "+OK"), ("GET a", "$-1")]);
    let alice = std::mem::replace(&mut rig.client, default);
    rig.check(&[("ACL SETUSER alice -get", "+OK"), ("ACL SETUSER bob", "+OK")]);
    let default = std::mem::replace(&mut rig.client, alice);
    rig.check(&[("GET a", "-NOPERM User alice has no permissions to run the 'get' command")]);
    let alice = std::mem::replace(&mut rig.client, default);
    assert!(rig.run("CLIENT LIST").contains(" user=alice "));
    assert_eq!(rig.run("CLIENT KILL USER bob"), ":0");
    rig.check(&[
        ("ACL DELUSER alice bob nobody", ":2"),
        ("ACL DELUSER default", "-ERR The 'default' user cannot be removed"),
        ("CLIENT KILL USER alice", "-ERR No such user 'alice'"),
    ]);
    assert!(alice.info.is_killed() && !rig.client.info.is_killed());
    // What it had sent before is not run any more, even if there is a new user of that name.
    assert_eq!(rig.run("ACL SETUSER alice on nopass +@all ~* &*"), "+OK");
    rig.client = alice;
    assert_eq!(rig.run("SET a 1"), "-NOAUTH Authentication required.");
    assert!(rig.client.close_after_reply);
}

#[test]
fn a_user_may_delete_itself_and_gets_its_reply() {
    let mut rig = with_alice("+@all");
    rig.check(&[("AUTH alice pw", "+OK"), ("ACL DELUSER alice", ":1")]);
    assert!(rig.client.close_after_reply && !rig.client.info.is_killed());
}

#[test]
fn connections_are_killed_by_their_user() {
    let mut rig = with_alice("+@all");
    let (mut alice, other) = (rig.connect(), rig.connect());
    assert!(alice.authenticate(&rig.worker.node.acl, b"alice", b"pw"));
    assert_eq!(rig.run("CLIENT KILL USER alice"), ":1");
    assert!(alice.info.is_killed() && !other.info.is_killed());
}

#[test]
fn users_are_described() {
    let mut rig = with_alice("~a %R~b &c +get (~* +@all)");
    let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    rig.check(&[
        ("ACL USERS", "*2|$5|alice|$7|default"),
        ("ACL GETUSER nobody", "$-1"),
        (
            "ACL GETUSER alice",
            &format!(
                "*12|$5|flags|*2|$2|on|$16|sanitize-payload|$9|passwords|*1|$64|{hash}|$8|commands|$10|-@all +get|\
                 $4|keys|$7|~a %R~b|$8|channels|$2|&c|$9|selectors|*1|*6|$8|commands|$5|+@all|$4|keys|$2|~*|\
                 $8|channels|$0"
            ),
        ),
    ]);
    let list = rig.run("ACL LIST");
    let line =
        format!("user alice on sanitize-payload #{hash} ~a %R~b resetchannels &c -@all +get (~* resetchannels +@all)");
    assert!(list.contains(&line), "{list}");
    assert!(list.ends_with("user default on nopass sanitize-payload ~* &* +@all"), "{list}");
    rig.run("HELLO 3");
    let user = rig.run("ACL GETUSER alice");
    assert!(user.starts_with("%6|$5|flags|~2|$2|on|") && user.contains("|$9|selectors|*1|%3|"), "{user}");
    assert_eq!(rig.run("ACL GETUSER nobody"), "_");
    rig.run("CONFIG SET acl-pubsub-default allchannels");
    rig.worker.refresh();
    rig.run("ACL SETUSER carol");
    assert!(rig.run("ACL LIST").contains("user carol off sanitize-payload &* -@all"));
}

#[test]
fn dry_runs_tell_what_would_happen() {
    let mut rig = with_alice("+get +config|get ~a");
    rig.check(&[
        ("ACL DRYRUN alice GET a", "+OK"),
        ("ACL DRYRUN alice GET b", "$51|User alice has no permissions to access the 'b' key"),
        ("ACL DRYRUN alice SET a 1", "$54|User alice has no permissions to run the 'set' command"),
        ("ACL DRYRUN alice CONFIG GET x", "+OK"),
        ("ACL DRYRUN alice CONFIG SET x y", "$61|User alice has no permissions to run the 'config|set' command"),
        ("ACL DRYRUN nobody GET a", "-ERR User 'nobody' not found"),
        ("ACL DRYRUN alice NOSUCH a", "-ERR Command 'NOSUCH' not found"),
        ("ACL DRYRUN alice GET", "-ERR wrong number of arguments for 'get' command"),
        ("ACL DRYRUN alice CONFIG", "-ERR wrong number of arguments for 'config' command"),
    ]);
}

#[test]
fn refusals_are_logged() {
    let mut rig = with_alice("+get ~a");
    as_alice(
        &mut rig,
        &[
            ("GET b", NO_KEY),
            ("GET b", NO_KEY),
            ("PING", "-NOPERM User alice has no permissions to run the 'ping' command"),
        ],
    );
    rig.run("AUTH mallory x");
    rig.pass(1500);
    let log = rig.run("ACL LOG");
    let first = "*3|*20|$5|count|:1|$6|reason|$4|auth|$7|context|$8|toplevel|$6|object|$4|AUTH|$8|username|$7|mallory|\
                 $11|age-seconds|$3|1.5|$11|client-info|";
    assert!(log.starts_with(first), "{log}");
    assert!(log.contains("|$6|object|$4|ping|$8|username|$5|alice|"), "{log}");
    assert!(log.contains("|:2|$6|reason|$3|key|$7|context|$8|toplevel|$6|object|$1|b|$8|username|$5|alice|"), "{log}");
    assert!(log.contains(" cmd=get user=alice redir=-1 "), "{log}");
    assert!(log.contains("|$8|entry-id|:0|$17|timestamp-created|:"), "{log}");
    assert!(rig.run("ACL LOG 1").starts_with("*1|*20|"));
    rig.check(&[("ACL LOG -1", "*0"), ("ACL LOG x", "-ERR value is not an integer or out of range")]);
    rig.run("CONFIG SET acllog-max-len 1");
    rig.worker.refresh();
    rig.run("AUTH eve x");
    assert!(rig.run("ACL LOG").starts_with("*1|"));
    rig.check(&[("ACL LOG RESET", "+OK"), ("ACL LOG", "*0")]);
}

#[test]
fn categories_are_listed() {
    let mut rig = Rig::new();
    assert!(rig.run("ACL CAT").starts_with("*21|$8|keyspace|$4|read|"));
    let string = rig.run("ACL CAT STRING");
    assert!(string.contains("|$3|get|") && !string.contains("|$4|ping"), "{string}");
    rig.check(&[
        ("ACL CAT nosuch", "-ERR Unknown category 'nosuch'"),
        ("ACL CAT a b", "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP."),
    ]);
}

#[test]
fn passwords_are_made() {
    let mut rig = Rig::new();
    assert!(rig.run("ACL GENPASS").starts_with("$64|"));
    assert!(rig.run("ACL GENPASS 5").starts_with("$2|"));
    let range =
        "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096";
    rig.check(&[
        ("ACL GENPASS 0", range),
        ("ACL GENPASS 4097", range),
        ("ACL GENPASS x", "-ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn setuser_takes_all_rules_or_none() {
    let mut rig = Rig::new();
    rig.check(&[
        ("ACL SETUSER u on +get nonsense", "-ERR Error in ACL SETUSER modifier 'nonsense': Syntax error"),
        ("ACL GETUSER u", "$-1"),
        ("ACL SETUSER u (+get ~a", "-ERR Unmatched parenthesis in acl selector starting at '(+get'."),
        ("ACL SETUSER", "-ERR wrong number of arguments for 'acl|setuser' command"),
        ("ACL NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try ACL HELP."),
    ]);
    assert_eq!(rig.args(&[b"ACL", b"SETUSER", b"a b"]), "-ERR Usernames can't contain spaces or null characters");
    assert!(rig.run("ACL LOAD").starts_with("-ERR This Redis instance is not configured to use an ACL file."));
    assert!(rig.run("ACL SAVE").starts_with("-ERR This Redis instance is not configured to use an ACL file."));
}

#[test]
fn the_default_user_guards_those_who_have_not_logged_in() {
    let mut rig = Rig::new();
    rig.check(&[("ACL SETUSER default resetpass >new", "+OK"), ("PING", "+PONG")]);
    rig.client = rig.connect();
    rig.check(&[
        ("PING", "-NOAUTH Authentication required."),
        ("AUTH new", "+OK"),
        ("PING", "+PONG"),
        ("ACL SETUSER default nopass", "+OK"),
        ("ACL SETUSER default off", "+OK"),
        ("PING", "+PONG"),
        ("AUTH default x", "-WRONGPASS invalid username-password pair or user is disabled."),
    ]);
    rig.client = rig.connect();
    rig.check(&[("PING", "-NOAUTH Authentication required."), ("RESET", "+RESET")]);
}

/// What SORT reads beside its key derives from values, so only those may have it read who may read every key.
#[test]
fn sort_reads_derived_keys_for_those_who_may_read_all() {
    const BY: &str = "-ERR BY option of SORT denied due to insufficient ACL permissions.";
    const GET: &str = "-ERR GET option of SORT denied due to insufficient ACL permissions.";
    let sorted = "*2|$1|1|$1|2";
    for (rules, by, get) in [
        ("~*", sorted, sorted),
        ("%R~*", sorted, sorted),
        ("~l (~* +sort)", sorted, sorted),
        ("~l (~* +get)", BY, GET),
        ("~l %W~*", BY, GET),
        ("~l ~w*", BY, GET),
    ] {
        let mut rig = with_alice(&format!("+@all {rules}"));
        rig.run("RPUSH l 2 1");
        as_alice(
            &mut rig,
            &[
                ("SORT l BY w*", by),
                ("SORT l BY w* FOO", if by == BY { BY } else { "-ERR syntax error" }),
                ("SORT l FOO BY w*", "-ERR syntax error"),
                ("SORT l BY nosort", "*2|$1|2|$1|1"),
                ("SORT l GET #", get),
            ],
        );
    }
}

#[test]
fn subscribers_end_with_the_right_to_their_channels() {
    let mut rig = Rig::new();
    rig.check(&[("ACL SETUSER ann on nopass +@all resetchannels &news:* &chat", "+OK")]);
    let mut subscriber = |request: &str| {
        let client = rig.connect();
        let own = std::mem::replace(&mut rig.client, client);
        rig.check(&[("AUTH ann x", "+OK")]);
        rig.run(request);
        std::mem::replace(&mut rig.client, own)
    };
    let requests = ["SUBSCRIBE news:1", "PSUBSCRIBE news:*", "SSUBSCRIBE news:2", "SUBSCRIBE chat"];
    let clients = requests.map(&mut subscriber);
    let killed = || clients.each_ref().map(|client| client.info.is_killed());
    for (request, expected) in [
        ("ACL SETUSER ann allchannels", [false; 4]),
        ("ACL SETUSER ann resetchannels &news:* &chat", [false; 4]),
        ("ACL SETUSER ann resetchannels &news:? &chat", [false, true, false, false]),
        ("ACL SETUSER ann resetchannels (+@all &news:2)", [true, true, false, true]),
        ("ACL SETUSER ann clearselectors", [true; 4]),
    ] {
        rig.check(&[(request, "+OK")]);
        assert_eq!(killed(), expected, "{request}");
    }
}

#[test]
fn scripts_are_told_of_refusals_as_of_other_errors() {
    let mut rig = Rig::new();
    rig.run("ACL SETUSER bob on nopass +@all -keys ~own:*");
    rig.run("AUTH bob x");
    let told = |reply: String, what: &str| assert!(reply.starts_with(what), "{reply}");
    let keys = "-ERR ACL failure in script: User bob has no permissions to run the 'keys' command script: ";
    told(rig.run("EVAL return(redis.call('keys','*')) 0"), keys);
    let other = "-ERR ACL failure in script: No permissions to access a key";
    told(rig.run("EVAL return(redis.call('get','other')) 0"), other);
    told(rig.run("EVAL return(redis.pcall('get','other')) 0"), other);
    assert_eq!(rig.run("EVAL return(redis.call('set','own:1',1)) 0"), "+OK");
}
