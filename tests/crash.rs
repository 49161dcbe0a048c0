//! The end of the process at any moment: what was acknowledged is there after the next start.
//!
//! `ROSTER_CRASHES` is the number of kills of each test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Reply, Scratch, Server};

/// A server whose log is replaced only when a test asks for it: on a fast machine the load alone would make it grow enough.
fn start(dir: &Path, policy: &str, workers: &str) -> Server {
    let log = ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"];
    Server::start(&[&log[..], &["--dir", dir.to_str().unwrap(), "--workers", workers]].concat())
}

/// Under `everysec` writers are held back once the disk takes longer than two seconds.
const HELD_BACK: Duration = Duration::from_millis(2500);

fn crashes() -> u32 {
    std::env::var("ROSTER_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// What one client knows: the greatest number that was acknowledged, and when.
#[derive(Default)]
struct Writer {
    acknowledged: Vec<(Instant, u64)>,
}

/// Writes ever greater numbers to two keys of its own in a transaction, and counts a shared one up, until the server is gone.
fn write(port: u16, name: usize, from: u64, total: &AtomicU64) -> Writer {
    let mut writer = Writer::default();
    let mut client = support::Client::connect(port);
    for number in from.. {
        let batch = format!("MULTI\r\nSET a:{name} {number}\r\nSET b:{name} {number}\r\nINCR total\r\nEXEC\r\n");
        if client.try_raw(batch.as_bytes()).is_err() {
            return writer;
        }
        let replies: Vec<_> = (0..5).map_while(|_| client.try_reply().ok()).collect();
        let Some(Reply::Array(results)) = replies.get(4) else { return writer };
        let Reply::Integer(count) = results[2] else { panic!("{results:?}") };
        total.fetch_max(count as u64, Ordering::SeqCst);
        writer.acknowledged.push((Instant::now(), number));
    }
    writer
}

fn number(server: &Server, key: &str) -> u64 {
    match server.client().call(&["GET", key]) {
        Reply::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
        other => {
            assert_eq!(other, Reply::Null);
            0
        }
    }
}

/// Asks for one snapshot in the place of the log after another, until the server is gone.
fn rewrite(port: u16) {
    let mut client = support::Client::connect(port);
    while client.try_raw(b"BGREWRITEAOF\r\n").is_ok() && client.try_reply().is_ok() {
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Kills a server under load again and again. All that was acknowledged `spared` before the kill has to be there, also if the log is
/// being replaced all the time (`rewrites`).
fn kill_and_look(policy: &str, spared: Duration, rewrites: bool) {
    const CLIENTS: usize = 6;
    let dir = Scratch::new(&format!("crash-{policy}-{rewrites}"));
    let (mut replaced, mut served) = (0, 0);
    let mut next: HashMap<usize, u64> = HashMap::new();
    for round in 0..crashes() {
        if round % 10 == 9 && !rewrites {
            // Else the log of a long run would be read longer than a start may take.
            std::fs::remove_dir_all(&dir.0).unwrap();
            std::fs::create_dir(&dir.0).unwrap();
            next.clear();
        }
        let workers = if round % 2 == 0 { "2" } else { "1" };
        let mut server = start(&dir.0, policy, workers);
        let (port, total) = (server.port, AtomicU64::new(0));
        let (writers, killed) = std::thread::scope(|scope| {
            let (next, total) = (&next, &total);
            let writers: Vec<_> = (0..CLIENTS)
                .map(|name| scope.spawn(move || write(port, name, next.get(&name).copied().unwrap_or(1), total)))
                .collect();
            if rewrites {
                scope.spawn(move || rewrite(port));
            }
            let time = 300 + u64::from(round * 7919 % 911);
            std::thread::sleep(spared + Duration::from_millis(time));
            let killed = Instant::now();
            server.signal("KILL");
            (writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>(), killed)
        });
        server.wait();
        replaced += server.log().matches("the log begins with the snapshot").count();
        let server = start(&dir.0, policy, "2");
        for (name, writer) in writers.iter().enumerate() {
            let (a, b) = (number(&server, &format!("a:{name}")), number(&server, &format!("b:{name}")));
            assert_eq!(a, b, "half of a transaction");
            let sent = writer
                .acknowledged
                .last()
                .map_or(1, |(_, number)| number + 1)
                .max(next.get(&name).copied().unwrap_or(1));
            assert!(a <= sent, "{a} was never sent");
            let due = writer.acknowledged.iter().rfind(|(at, _)| *at + spared < killed);
            let due = due.map_or(0, |(_, number)| *number);
            // On a machine that is slow for a moment, a round may end before the first reply.
            served += u32::from(due > 0);
            assert!(a >= due, "{policy}: client {name}: {due} was acknowledged, {a} is there");
            next.insert(name, a.max(sent) + 1);
        }
        if spared.is_zero() {
            assert!(number(&server, "total") >= total.load(Ordering::SeqCst));
        }
    }
    assert!(served > 0, "nothing was ever acknowledged in time");
    assert_eq!(replaced > 0, rewrites, "{replaced} times");
    if rewrites {
        let files = std::fs::read_dir(dir.0.join("appendonlydir")).unwrap().count();
        assert!(files <= 8, "{files} files were left behind");
    }
}

#[test]
fn with_always_nothing_acknowledged_is_lost() {
    kill_and_look("always", Duration::ZERO, false);
}

#[test]
fn nothing_acknowledged_is_lost_while_the_log_is_replaced() {
    kill_and_look("always", Duration::ZERO, true);
    kill_and_look("everysec", HELD_BACK, true);
}

#[test]
fn with_everysec_no_more_is_lost_than_a_slow_disk_may_hold_up() {
    kill_and_look("everysec", HELD_BACK, false);
}

fn persistence(client: &mut support::Client, name: &str) -> String {
    let Reply::Bulk(info) = client.say("INFO persistence") else { panic!("no text") };
    let info = String::from_utf8(info).unwrap();
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name} in {info}")).to_owned()
}

#[test]
fn a_log_that_grows_is_replaced_and_its_files_go() {
    let dir = Scratch::new("growth");
    let flags = ["--auto-aof-rewrite-min-size", "3mb", "--appendfsync", "always", "--appendonly", "yes", "--dir"];
    let flags = [&flags[..], &[dir.0.to_str().unwrap()]].concat();
    let mut server = Server::start(&flags);
    let mut client = server.client();
    let value = "x".repeat(100_000);
    for at in 0..40 {
        assert_eq!(client.call(&["SET", &format!("k{}", at % 4), &value]), Reply::ok());
    }
    support::eventually("the log is replaced", || {
        persistence(&mut client, "aof_rewrites") != "0" && persistence(&mut client, "aof_rewrite_in_progress") == "0"
    });
    assert!(persistence(&mut client, "aof_current_size").parse::<u64>().unwrap() < 3 << 20);
    assert_eq!(persistence(&mut client, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(client.say("SET late v"), Reply::ok());
    server.signal("KILL");
    server.wait();
    let mut server = Server::start(&flags);
    let mut client = server.client();
    assert_eq!((client.say("DBSIZE"), client.say("STRLEN k3")), (Reply::Integer(5), Reply::Integer(100_000)));
    // A snapshot that cannot be written changes nothing; the next one can be.
    let folder = dir.0.join("appendonlydir");
    let obstacle = folder.join(format!("temp-{}.rdb", server.pid()));
    std::fs::create_dir(&obstacle).unwrap();
    assert!(matches!(client.say("BGREWRITEAOF"), Reply::Simple(_)));
    support::eventually("it fails", || persistence(&mut client, "aof_last_bgrewrite_status") == "err");
    assert_eq!(client.say("SET later v"), Reply::ok());
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(matches!(client.say("BGREWRITEAOF"), Reply::Simple(_)));
    support::eventually("it succeeds", || persistence(&mut client, "aof_last_bgrewrite_status") == "ok");
    server.signal("KILL");
    server.wait();
    let server = Server::start(&flags);
    assert!(server.log().contains("0 commands in 0 records") || !server.log().contains("commands in"));
    assert_eq!(server.client().say("DBSIZE"), Reply::Integer(6));
}

#[test]
fn a_log_begins_and_ends_at_run_time_under_load() {
    let dir = Scratch::new("switch");
    let flags = ["--dir", dir.0.to_str().unwrap(), "--workers", "2", "--appendfsync", "always"];
    let mut server = Server::start(&flags);
    let port = server.port;
    let total = AtomicU64::new(0);
    let (writers, killed) = std::thread::scope(|scope| {
        let total = &total;
        let writers: Vec<_> = (0..4).map(|name| scope.spawn(move || write(port, name, 1, total))).collect();
        let mut client = server.client();
        for wanted in ["yes", "no", "yes", "no", "yes"] {
            std::thread::sleep(Duration::from_millis(150));
            assert_eq!(client.call(&["CONFIG", "SET", "appendonly", wanted]), Reply::ok());
            assert_eq!(persistence(&mut client, "aof_enabled"), if wanted == "yes" { "1" } else { "0" });
        }
        support::eventually("there is a base", || persistence(&mut client, "aof_pending_rewrite") == "0");
        std::thread::sleep(Duration::from_millis(200));
        let killed = Instant::now();
        server.signal("KILL");
        (writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>(), killed)
    });
    server.wait();
    let server = start(&dir.0, "always", "2");
    for (name, writer) in writers.iter().enumerate() {
        let (a, b) = (number(&server, &format!("a:{name}")), number(&server, &format!("b:{name}")));
        let due = writer.acknowledged.iter().rfind(|(at, _)| *at < killed).map_or(0, |(_, number)| *number);
        assert!(a == b && due > 0 && a >= due, "client {name}: {due} was acknowledged, {a} and {b} are there");
    }
    assert!(number(&server, "total") >= total.load(Ordering::SeqCst));
}

#[test]
fn an_orderly_end_loses_nothing_and_keys_keep_their_time_to_live() {
    let dir = Scratch::new("orderly");
    let mut server = start(&dir.0, "no", "2");
    let mut client = server.client();
    assert_eq!(client.say("SET k v PX 100000"), Reply::ok());
    (0..1000).for_each(|at| assert_eq!(client.say(&format!("RPUSH l {at}")), Reply::Integer(at + 1)));
    assert_eq!(client.say("SET soon v PX 1000"), Reply::ok());
    let due = client.say("PEXPIRETIME k");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let server = start(&dir.0, "no", "2");
    assert!(server.log().contains("1002 commands in "), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.say("PEXPIRETIME k"), due);
    assert_eq!(client.say("LLEN l"), Reply::Integer(1000));
    // Nobody asks for it: the timer removes it.
    support::eventually("the key expires", || client.say("DBSIZE") == Reply::Integer(2));
}

#[test]
fn a_new_log_begins_with_the_snapshot_that_is_there() {
    let dir = Scratch::new("adopted");
    let mut server = Server::start(&["--dir", dir.0.to_str().unwrap()]);
    let mut client = server.client();
    assert_eq!(client.say("SET old v"), Reply::ok());
    assert_eq!(client.say("SET volatile v PX 200000"), Reply::ok());
    assert_eq!(client.say("SAVE"), Reply::ok());
    server.signal("TERM");
    server.wait();
    let mut server = start(&dir.0, "always", "2");
    let mut client = server.client();
    assert_eq!(
        client.say("EVAL return(redis.call('append',KEYS[1],'w')..redis.call('incr',KEYS[2])) 2 old n"),
        Reply::bulk("21")
    );
    server.signal("KILL");
    server.wait();
    std::fs::remove_file(dir.0.join("dump.rdb")).unwrap();
    let server = start(&dir.0, "always", "2");
    assert!(server.log().contains("2 commands in 1 records"), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.say("MGET old volatile n"), Reply::Array(["vw", "v", "1"].map(Reply::bulk).to_vec()));
}

#[test]
fn a_torn_end_is_cut_off_and_told_and_damage_is_refused() {
    let dir = Scratch::new("torn");
    let mut server = start(&dir.0, "always", "1");
    let mut client = server.client();
    (0..10).for_each(|at| assert_eq!(client.say(&format!("SET k{at} v")), Reply::ok()));
    server.signal("KILL");
    server.wait();
    let file = dir.0.join("appendonlydir/00000001.log");
    let whole = std::fs::read(&file).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = whole.clone();
    torn[end - 3..].fill(0);
    std::fs::write(&file, torn).unwrap();
    let flags = ["--dir", dir.0.to_str().unwrap(), "--appendonly", "yes"];
    let strict = [&flags[..], &["--aof-load-truncated", "no"]].concat();
    let refused = Server::try_start(&strict).err().unwrap();
    assert!(
        refused.log.contains("00000001.log ends at offset") && refused.log.contains("aof-load-truncated"),
        "{}",
        refused.log
    );
    let mut server = Server::start(&flags);
    assert!(server.log().contains("was torn at offset"), "{}", server.log());
    assert_eq!(server.client().say("DBSIZE"), Reply::Integer(9));
    server.signal("KILL");
    server.wait();
    let mut damaged = whole;
    damaged[60] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let refused = Server::try_start(&flags).err().unwrap();
    assert!(refused.log.contains("00000001.log is damaged at offset 0"), "{}", refused.log);
}

#[test]
fn waitaof_waits_for_the_disk() {
    for policy in ["always", "everysec", "no"] {
        let dir = Scratch::new(&format!("waitaof-{policy}"));
        let mut server = start(&dir.0, policy, "2");
        let mut client = server.client();
        let is_here = || Reply::Array(vec![Reply::Integer(1), Reply::Integer(0)]);
        assert_eq!(client.say("SET k v"), Reply::ok());
        assert_eq!(client.say("WAITAOF 1 0 0"), is_here(), "{policy}");
        server.signal("KILL");
        server.wait();
        let server = start(&dir.0, policy, "2");
        let mut client = server.client();
        assert_eq!(client.say("GET k"), Reply::bulk("v"));
        // There are no replicas to wait for.
        assert_eq!(client.say("SET k w"), Reply::ok());
        assert_eq!(client.say("WAITAOF 1 1 3000"), is_here(), "{policy}");
        // The end of the log ends the wait.
        client.raw(b"WAITAOF 1 1 0\r\n");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(server.client().say("CONFIG SET appendonly no"), Reply::ok());
        assert_eq!(
            client.reply().error_text(),
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
        );
    }
}
