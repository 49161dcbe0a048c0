use crate::command::testing::Rig;

/// A stream of four entries, all of them pending for `a`.
fn rig() -> Rig {
    let mut rig = Rig::new();
    for ms in 1..=4 {
        rig.run(&format!("XADD s {ms}-0 f {ms}"));
    }
    rig.run("XGROUP CREATE s g 0");
    rig.run("XREADGROUP GROUP g a STREAMS s >");
    rig
}

fn entry(ms: u32) -> String {
    format!("*2|$3|{ms}-0|*2|$1|f|$1|{ms}")
}

#[test]
fn pending_entries_are_told() {
    let mut rig = rig();
    rig.pass(50);
    rig.check(&[
        ("XPENDING s g", "*4|:4|$3|1-0|$3|4-0|*1|*2|$1|a|$1|4"),
        ("XPENDING s g - + 2", "*2|*4|$3|1-0|$1|a|:50|:1|*4|$3|2-0|$1|a|:50|:1"),
        ("XPENDING s g (1-0 2 9 a", "*1|*4|$3|2-0|$1|a|:50|:1"),
        ("XPENDING s g IDLE 51 - + 9", "*0"),
        ("XPENDING s g IDLE 50 4 + 9", "*1|*4|$3|4-0|$1|a|:50|:1"),
        ("XPENDING s g - + 9 nobody", "*0"),
        ("XPENDING s g - + -1", "*0"),
        ("XACK s g 1-0 2-0 3-0 4-0", ":4"),
        ("XPENDING s g", "*4|:0|$-1|$-1|*-1"),
        ("XPENDING s g - +", "-ERR syntax error"),
        ("XPENDING s g IDLE 5 - +", "-ERR syntax error"),
        ("XPENDING s g IDLE x - + 9", "-ERR value is not an integer or out of range"),
        ("XPENDING s g - + x", "-ERR value is not an integer or out of range"),
        ("XPENDING s g x + 1", "-ERR Invalid stream ID specified as stream command argument"),
        ("XPENDING s h", "-NOGROUP No such key 's' or consumer group 'h'"),
        ("XPENDING nokey g", "-NOGROUP No such key 'nokey' or consumer group 'g'"),
    ]);
}

#[test]
fn entries_are_claimed() {
    let mut rig = rig();
    rig.pass(100);
    rig.check(&[
        ("XCLAIM s g b 101 1-0", "*0"),
        ("XCLAIM s g b 100 1-0 9-0", &format!("*1|{}", entry(1))),
        ("XCLAIM s g b 0 2-0 JUSTID", "*1|$3|2-0"),
        ("XCLAIM s g b 0 3-0 IDLE 30 RETRYCOUNT 7", &format!("*1|{}", entry(3))),
        ("XPENDING s g - + 9 b", "*3|*4|$3|1-0|$1|b|:0|:2|*4|$3|2-0|$1|b|:0|:1|*4|$3|3-0|$1|b|:30|:7"),
        ("XACK s g 4-0", ":1"),
        ("XCLAIM s g b 0 4-0", "*0"),
        ("XCLAIM s g b 0 4-0 FORCE TIME 1 JUSTID RETRYCOUNT 1", "*1|$3|4-0"),
        ("XDEL s 1-0", ":1"),
        ("XCLAIM s g b 0 1-0 LASTID 9-0", "*0"),
        ("XPENDING s g", "*4|:3|$3|2-0|$3|4-0|*1|*2|$1|b|$1|3"),
        ("XADD s 8-0 f v", "$3|8-0"),
        // The group's last delivered ID is behind that.
        ("XREADGROUP GROUP g b STREAMS s >", "*-1"),
        ("XCLAIM s g b x 1-0", "-ERR Invalid min-idle-time argument for XCLAIM"),
        ("XCLAIM s g b 0 x", "-ERR Unrecognized XCLAIM option 'x'"),
        ("XCLAIM s g b 0 1-0 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'"),
        ("XCLAIM s g b 0 1-0 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
        ("XCLAIM s h b x 1-0", "-NOGROUP No such key 's' or consumer group 'h'"),
    ]);
}

#[test]
fn a_time_that_cannot_be_is_now() {
    let mut rig = rig();
    rig.check(&[
        ("XCLAIM s g b 0 1-0 TIME 99999999999999 JUSTID", "*1|$3|1-0"),
        ("XCLAIM s g b 0 2-0 IDLE 9223372036854775807 JUSTID", "*1|$3|2-0"),
        ("XCLAIM s g b 0 3-0 TIME -5 JUSTID", "*1|$3|3-0"),
        ("XPENDING s g - + 9 b", "*3|*4|$3|1-0|$1|b|:0|:1|*4|$3|2-0|$1|b|:0|:1|*4|$3|3-0|$1|b|:0|:1"),
    ]);
}

#[test]
fn entries_are_claimed_on_and_on() {
    let mut rig = rig();
    rig.pass(100);
    rig.check(&[
        ("XDEL s 2-0", ":1"),
        ("XAUTOCLAIM s g b 100 - COUNT 2", &format!("*3|$3|3-0|*1|{}|*1|$3|2-0", entry(1))),
        ("XAUTOCLAIM s g b 100 3-0 JUSTID", "*3|$3|0-0|*2|$3|3-0|$3|4-0|*0"),
        ("XAUTOCLAIM s g a 100 0", "*3|$3|0-0|*0|*0"),
        ("XPENDING s g", "*4|:3|$3|1-0|$3|4-0|*1|*2|$1|b|$1|3"),
        ("XAUTOCLAIM s g b 0 - COUNT 0", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g b 0 - COUNT x", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g b 0 - COUNT 9223372036854775807", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g b 0 - FOO", "-ERR syntax error"),
        ("XAUTOCLAIM s g b x -", "-ERR Invalid min-idle-time argument for XAUTOCLAIM"),
        ("XAUTOCLAIM s h b 0 -", "-NOGROUP No such key 's' or consumer group 'h'"),
        ("SET string v", "+OK"),
        ("XAUTOCLAIM string h b 0 -", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XCLAIM string h b 0 1-0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}
