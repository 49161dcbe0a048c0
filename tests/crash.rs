//! The end of the process at any moment: what was acknowledged is there after the next start.
//!
//! `ROSTER_CRASHES` is the number of kills of each test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Reply, Server, scratch};

/// A folder that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = scratch(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(dir: &Path, policy: &str, workers: &str) -> Server {
    let dir = dir.to_str().unwrap();
    Server::start(&["--dir", dir, "--appendonly", "yes", "--appendfsync", policy, "--workers", workers])
}

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

/// Kills a server under load again and again. All that was acknowledged `spared` before the kill has to be there.
fn kill_and_look(policy: &str, spared: Duration) {
    const CLIENTS: usize = 6;
    let dir = Scratch::new(&format!("crash-{policy}"));
    let mut next: HashMap<usize, u64> = HashMap::new();
    for round in 0..crashes() {
        let workers = if round % 2 == 0 { "2" } else { "1" };
        let mut server = start(&dir.0, policy, workers);
        let (port, total) = (server.port, AtomicU64::new(0));
        let (writers, killed) = std::thread::scope(|scope| {
            let (next, total) = (&next, &total);
            let writers: Vec<_> = (0..CLIENTS)
                .map(|name| scope.spawn(move || write(port, name, next.get(&name).copied().unwrap_or(1), total)))
                .collect();
            let time = 300 + u64::from(round * 7919 % 911);
            std::thread::sleep(spared + Duration::from_millis(time));
            let killed = Instant::now();
            server.signal("KILL");
            (writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>(), killed)
        });
        server.wait();
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
            assert!(due > 0, "nothing was acknowledged in time");
            assert!(a >= due, "client {name}: {due} was acknowledged, {a} is there");
            next.insert(name, a.max(sent) + 1);
        }
        if spared.is_zero() {
            assert!(number(&server, "total") >= total.load(Ordering::SeqCst));
        }
    }
}

#[test]
fn with_always_nothing_acknowledged_is_lost() {
    kill_and_look("always", Duration::ZERO);
}

#[test]
fn with_everysec_at_most_a_second_is_lost() {
    kill_and_look("everysec", Duration::from_secs(1));
}

#[test]
fn an_orderly_end_loses_nothing_and_keys_keep_their_time_to_live() {
    let dir = Scratch::new("orderly");
    let mut server = start(&dir.0, "no", "2");
    let mut client = server.client();
    assert_eq!(client.say("SET k v PX 100000"), Reply::ok());
    assert_eq!(client.say("SET soon v PX 300"), Reply::ok());
    (0..1000).for_each(|at| assert_eq!(client.say(&format!("RPUSH l {at}")), Reply::Integer(at + 1)));
    let due = client.say("PEXPIRETIME k");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let server = start(&dir.0, "no", "2");
    assert!(server.log().contains("1002 commands in 1002 records"), "{}", server.log());
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
