use crate::command::find;
use crate::command::testing::Rig;
use crate::protocol::Frame;

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.check(&[
        ("XADD s 1-0 f 1", "$3|1-0"),
        ("XADD s 2-0 f 2", "$3|2-0"),
        ("XADD t 3-0 f 3", "$3|3-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XGROUP CREATE t g 0", "+OK"),
    ]);
    rig
}

const ENTRIES: [&str; 3] = ["*2|$3|1-0|*2|$1|f|$1|1", "*2|$3|2-0|*2|$1|f|$1|2", "*2|$3|3-0|*2|$1|f|$1|3"];

#[test]
fn streams_are_read_behind_ids() {
    let mut rig = rig();
    let [one, two, three] = ENTRIES;
    rig.check(&[
        ("XREAD STREAMS s 0", &format!("*1|*2|$1|s|*2|{one}|{two}")),
        ("XREAD COUNT 1 STREAMS s 0", &format!("*1|*2|$1|s|*1|{one}")),
        ("XREAD COUNT -1 STREAMS s 1-0", &format!("*1|*2|$1|s|*1|{two}")),
        ("XREAD STREAMS s nokey t 2 0 0", &format!("*1|*2|$1|t|*1|{three}")),
        ("XREAD STREAMS t s + +", &format!("*2|*2|$1|t|*1|{three}|*2|$1|s|*1|{two}")),
        ("XREAD STREAMS s $", "*-1"),
        ("MULTI", "+OK"),
        ("XREAD BLOCK 10 STREAMS s t $ $", "+QUEUED"),
        ("EXEC", "*1|*-1"),
        ("XREAD STREAMS s 18446744073709551615-18446744073709551615", "*-1"),
        ("XREAD STREAMS nokey +", "*-1"),
        ("XDEL t 3-0", ":1"),
        ("XREAD STREAMS t +", "*-1"),
    ]);
}

#[test]
fn replies_are_maps_in_the_newer_protocol() {
    let mut rig = rig();
    rig.run("HELLO 3");
    let [one, two, three] = ENTRIES;
    rig.check(&[
        ("XREAD STREAMS s t 0 0", &format!("%2|$1|s|*2|{one}|{two}|$1|t|*1|{three}")),
        ("XREADGROUP GROUP g c STREAMS t >", &format!("%1|$1|t|*1|{three}")),
        ("XREAD STREAMS s $", "_"),
        ("XDEL t 3-0", ":1"),
        ("XREADGROUP GROUP g c STREAMS t 0", "%1|$1|t|*1|*2|$3|3-0|_"),
    ]);
}

#[test]
fn groups_deliver_once_and_tell_the_history() {
    let mut rig = rig();
    let [one, two, three] = ENTRIES;
    rig.check(&[
        ("XREADGROUP GROUP g a COUNT 1 STREAMS s >", &format!("*1|*2|$1|s|*1|{one}")),
        ("XREADGROUP GROUP g b STREAMS s t > >", &format!("*2|*2|$1|s|*1|{two}|*2|$1|t|*1|{three}")),
        ("MULTI", "+OK"),
        ("XREADGROUP GROUP g b BLOCK 5 STREAMS s t > >", "+QUEUED"),
        ("EXEC", "*1|*-1"),
        ("XREADGROUP GROUP g a STREAMS s 0", &format!("*1|*2|$1|s|*1|{one}")),
        ("XREADGROUP GROUP g a STREAMS s 1-0", "*1|*2|$1|s|*0"),
        ("XREADGROUP GROUP g nobody STREAMS s 0", "*1|*2|$1|s|*0"),
        ("XDEL s 1-0", ":1"),
        ("XREADGROUP GROUP g a STREAMS s 0", "*1|*2|$1|s|*1|*2|$3|1-0|*-1"),
        ("XADD s 4-0 f 1", "$3|4-0"),
        ("XREADGROUP NOACK GROUP g a STREAMS s >", "*1|*2|$1|s|*1|*2|$3|4-0|*2|$1|f|$1|1"),
        ("XPENDING s g", "*4|:2|$3|1-0|$3|2-0|*2|*2|$1|a|$1|1|*2|$1|b|$1|1"),
        ("XREADGROUP GROUP g a STREAMS s 18446744073709551615-18446744073709551615", "*-1"),
    ]);
}

#[test]
fn requests_are_checked() {
    let mut rig = rig();
    rig.run("SET string v");
    let meaningless = |sign: char| {
        format!(
            "-ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
             consumer by specifying a proper ID, or use the > ID to get new messages. The {sign} ID would just return \
             an empty result set."
        )
    };
    let missing = |key: &str, group: &str| {
        format!("-NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option")
    };
    let unbalanced = |name: &str, sign: char| {
        format!("-ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{sign}' must be specified.")
    };
    rig.check(&[
        ("XREAD STREAMS s t 0", &unbalanced("xread", '$')),
        ("XREADGROUP GROUP g c STREAMS s t >", &unbalanced("xreadgroup", '>')),
        ("XREAD COUNT 1 COUNT 2", "-ERR syntax error"),
        ("XREAD COUNT x STREAMS s 0", "-ERR value is not an integer or out of range"),
        ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
        ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
        ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "-ERR timeout is out of range"),
        ("XREAD NOACK STREAMS s 0", "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."),
        (
            "XREAD GROUP g c STREAMS s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        ("XREADGROUP NOACK COUNT 1 STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
        ("XREADGROUP GROUP g c STREAMS s $", &meaningless('$')),
        ("XREADGROUP GROUP g c STREAMS s +", &meaningless('+')),
        ("XREADGROUP GROUP g c STREAMS s nokey > >", &missing("nokey", "g")),
        ("XREADGROUP GROUP h c STREAMS s >", &missing("s", "h")),
        (
            "XREAD STREAMS s >",
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        ),
        ("XREAD STREAMS s x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XREAD STREAMS string x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XREADGROUP GROUP g c STREAMS string >", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XREADGROUP GROUP g STREAMS STREAMS t 0", "*1|*2|$1|t|*0"),
        (
            "XREADGROUP NOACK GROUP g STREAMS STREAMS t 0",
            "-ERR GROUP must be the first option if the group or the consumer is named STREAMS",
        ),
        // Nothing was created on the way to an error.
        ("XINFO CONSUMERS s g", "*0"),
    ]);
}

#[test]
fn many_streams_are_read_at_once() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..20).map(|number| format!("s{number:02}")).collect();
    let ids: Vec<String> = (0..20).map(|number| format!("{number}-0")).collect();
    for name in &names {
        rig.run(&format!("XADD {name} 10-0 f v"));
    }
    let reply = rig.run(&format!("XREAD STREAMS {} {}", names.join(" "), ids.join(" ")));
    // Those asked for what is behind 0-0 to 9-0 have it.
    let wanted: String = names[..10].iter().map(|name| format!("|*2|$3|{name}|*1|*2|$4|10-0|*2|$1|f|$1|v")).collect();
    assert_eq!(reply, format!("*10{wanted}"));
}

#[test]
fn those_that_wait_are_served() {
    let mut rig = Rig::new();
    rig.run("XADD s 1-1 a b");
    rig.run("XGROUP CREATE s g $");
    let (mut reader, mut other, mut member) = (rig.connect(), rig.connect(), rig.connect());
    assert_eq!(rig.send(&mut reader, "XREAD BLOCK 0 STREAMS s none $ $"), None);
    assert_eq!(rig.send(&mut other, "XREAD BLOCK 0 STREAMS s 9-9"), None);
    assert_eq!(rig.send(&mut member, "XREADGROUP GROUP g me BLOCK 0 STREAMS s >"), None);
    rig.run("XADD s 2-1 c d");
    let entry = "*1|*2|$1|s|*1|*2|$3|2-1|*2|$1|c|$1|d";
    assert_eq!(rig.served(&mut reader).as_deref(), Some(entry));
    assert_eq!(rig.served(&mut other), None);
    assert_eq!(rig.served(&mut member).as_deref(), Some(entry));
    assert_eq!(rig.send(&mut member, "XREADGROUP GROUP g me BLOCK 0 STREAMS s >"), None);
    rig.run("DEL s");
    let gone = rig.served(&mut member).expect("a group that is gone ends the wait");
    assert!(gone.starts_with("-NOGROUP No such key 's' or consumer group 'g'"), "{gone}");
    assert_eq!(rig.worker.node.waiters.len(), 1);
    // An error that ends a wait is a failure of the command.
    let frame: Frame = ["xreadgroup"].iter().collect();
    let totals = rig.worker.node.stats.calls_of(find(frame.args()).expect("a command").index());
    assert_eq!((totals.calls, totals.failed), (2, 1));
}
