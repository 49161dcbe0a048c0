//! What is recorded, and that running it again gives the same keys.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Replay;
use crate::command::testing::Rig;
use crate::command::{Node, Outcome, Worker, execute};
use crate::protocol::{Frame, Limits, Parser, Step};
use crate::store::{Carry, Published};

type Records = Vec<(u64, Vec<u8>)>;

/// What was recorded since the last call.
fn records(node: &Node, carry: &mut Carry) -> Records {
    let mut records = Vec::new();
    let mut last = 0;
    node.keyspace.journal.collect(carry, |Published { stamp, time_ms, commands }| {
        assert!(stamp > last, "out of order");
        last = stamp;
        records.push((time_ms, commands.to_vec()));
    });
    records
}

/// Records as text: commands of one record are joined by `; `, with the database before each.
fn text(records: &Records) -> Vec<String> {
    let one = |mut commands: &[u8]| {
        let mut parser = Parser::new();
        let mut texts = Vec::new();
        while let Some((database, rest)) = commands.split_first_chunk() {
            let Ok(Step::Request { consumed }) = parser.step(rest, &Limits::default()) else { panic!("{rest:?}") };
            let words: Vec<String> = parser.args(rest).iter().map(|word| word.escape_ascii().to_string()).collect();
            texts.push(format!("{} {}", u32::from_le_bytes(*database), words.join(" ")));
            commands = &rest[consumed..];
        }
        texts.join("; ")
    };
    records.iter().map(|(_, commands)| one(commands)).collect()
}

fn recording() -> (Rig, Carry) {
    let rig = Rig::new();
    rig.worker.node.keyspace.journal.begin();
    (rig, Carry::default())
}

#[test]
fn what_changed_something_is_recorded_and_nothing_else() {
    let (mut rig, mut carry) = recording();
    let mut check = |rig: &mut Rig, request: &str, expected: &[&str]| {
        rig.run(request);
        assert_eq!(text(&records(rig.worker.node, &mut carry)), expected, "{request}");
    };
    check(&mut rig, "SET a 1", &["0 SET a 1"]);
    check(&mut rig, "GET a", &[]);
    check(&mut rig, "SETNX a 2", &[]);
    check(&mut rig, "DEL none", &[]);
    check(&mut rig, "INCR none 1", &[]);
    check(&mut rig, "LPUSH a x", &[]);
    check(&mut rig, "SELECT 3", &[]);
    check(&mut rig, "MSET a 1 b 2", &["3 MSET a 1 b 2"]);
    check(&mut rig, "SADD s one", &["3 SADD s one"]);
    check(&mut rig, "SPOP s", &["3 SREM s one"]);
    check(&mut rig, "SADD s one two", &["3 SADD s one two"]);
    check(&mut rig, "SPOP s 5", &["3 DEL s"]);
    check(&mut rig, "INCRBYFLOAT f 1.5", &["3 SET f 1.5 KEEPTTL"]);
    // Where an approximate trim stops depends on settings.
    check(&mut rig, "XADD x NOMKSTREAM MAXLEN ~ 1 1-1 f v", &[]);
    check(&mut rig, "XADD x MAXLEN ~ 1 1-1 f v", &["3 XADD x MAXLEN = 1 1-1 f v"]);
    check(&mut rig, "XADD x ACKED MINID ~ 2 2-1 f v", &["3 XADD x MAXLEN = 2 ACKED 2-1 f v"]);
    check(&mut rig, "XTRIM x MAXLEN ~ 0 LIMIT 500", &["3 XTRIM x MAXLEN = 0"]);
    check(&mut rig, "FLUSHALL", &["3 FLUSHALL"]);
    check(&mut rig, "SWAPDB 0 1", &["3 SWAPDB 0 1"]);
    check(&mut rig, "SET a 1 PX 10", &["3 SET a 1 PX 10"]);
    rig.pass(11);
    check(&mut rig, "GET a", &["3 DEL a"]);
    check(&mut rig, "SET a 1 PX 10", &["3 SET a 1 PX 10"]);
    rig.pass(11);
    check(&mut rig, "APPEND a x", &["3 DEL a; 3 APPEND a x"]);
}

#[test]
fn a_transaction_is_one_record_and_a_wait_that_was_served_is_one_of_its_own() {
    let (mut rig, mut carry) = recording();
    for request in ["MULTI", "SET a 1", "GET a", "SELECT 2", "RPUSH l x"] {
        rig.run(request);
    }
    assert_eq!(text(&records(rig.worker.node, &mut carry)), [""; 0]);
    rig.run("EXEC");
    assert_eq!(text(&records(rig.worker.node, &mut carry)), ["0 SET a 1; 2 RPUSH l x"]);
    let mut waiting = rig.connect();
    assert_eq!(rig.send(&mut waiting, "BLPOP other l 0"), None);
    rig.client.select(0);
    rig.run("RPUSH l y z");
    assert_eq!(rig.served(&mut waiting).as_deref(), Some("*2|$1|l|$1|y"));
    assert_eq!(text(&records(rig.worker.node, &mut carry)), ["0 RPUSH l y z", "0 BLPOP other l 0"]);
}

#[test]
fn timers_record_what_they_remove() {
    let (mut rig, mut carry) = recording();
    for request in
        ["SET a 1 PX 10", "HSET h f 1 g 2", "HPEXPIRE h 10 FIELDS 1 f", "HSET i f 1", "HPEXPIRE i 10 FIELDS 1 f"]
    {
        rig.run(request);
    }
    records(rig.worker.node, &mut carry);
    let worker = &rig.worker;
    worker.node.keyspace.expire_due(&worker.local, worker.now_ms + 50, usize::MAX);
    let mut found = text(&records(worker.node, &mut carry));
    found.sort();
    assert_eq!(found, ["0 DEL a", "0 DEL i", "0 HDEL h f"]);
}

/// All keys with their values and times.
fn contents(worker: &Worker) -> Vec<String> {
    let rig = Rig { worker: Worker::new(worker.node, worker.number()), client: Rig::new().client };
    let mut rig = rig;
    let mut all = Vec::new();
    for database in 0..4 {
        rig.run(&format!("SELECT {database}"));
        let keys = rig.run("KEYS *");
        for key in keys.split('|').skip(1).filter(|word| !word.starts_with('$')) {
            let value = match rig.run(&format!("TYPE {key}")).as_str() {
                "+string" => rig.run(&format!("GET {key}")),
                "+list" => rig.run(&format!("LRANGE {key} 0 -1")),
                "+zset" => rig.run(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
                "+stream" => {
                    rig.run(&format!("XINFO STREAM {key} FULL")).split("pel-count").next().unwrap_or("").to_owned()
                }
                "+hash" => sorted(&rig.run(&format!("HGETALL {key}"))),
                _ => sorted(&rig.run(&format!("SMEMBERS {key}"))),
            };
            all.push(format!("{database} {key} {} {value}", rig.run(&format!("PEXPIRETIME {key}"))));
        }
    }
    all.sort();
    all
}

fn sorted(reply: &str) -> String {
    let mut words: Vec<&str> = reply.split('|').collect();
    words.sort_unstable();
    words.join("|")
}

/// A server that has run these records.
fn replayed(records: &Records) -> Rig {
    let rig = Rig::new();
    let mut replay = Replay::new(Worker::new(rig.worker.node, 0), rig.connect());
    for (time_ms, commands) in records {
        replay.run(*time_ms, commands).unwrap_or_else(|error| panic!("{error}"));
    }
    replay.finish();
    Rig { worker: Worker::new(rig.worker.node, 0), client: rig.connect() }
}

const REQUESTS: &[&str] = &[
    "SET s$ # PX 40",
    "SETEX s$ 1 #",
    "GETEX s$ PX 30",
    "APPEND s$ #",
    "INCRBYFLOAT n$ 0.1",
    "PEXPIRE s$ 20",
    "EXPIRE l$ 0",
    "PERSIST s$",
    "RPUSH l$ # #a",
    "LPOP l$ 2",
    "BLPOP l$ l1 0.01",
    "LMOVE l$ l1 LEFT RIGHT",
    "SADD t$ # #a #b",
    "SPOP t$",
    "SPOP t$ 2",
    "SUNIONSTORE t1 t$ t2",
    "ZADD z$ 1.5 # 2 #a",
    "ZPOPMIN z$",
    "HSET h$ # 1 f 2",
    "HINCRBYFLOAT h$ f 0.3",
    "HPEXPIRE h$ 30 FIELDS 1 f",
    "XADD x$ * f #",
    "XADD x$ MAXLEN 3 * f #",
    "XGROUP CREATE x$ g 0 MKSTREAM",
    "XREADGROUP GROUP g c COUNT 2 STREAMS x$ >",
    "RENAME s$ s1",
    "COPY l$ l2 REPLACE",
    "SORT l$ ALPHA STORE l1",
    "DEL s$ t$",
    "GET s$",
    "HGETALL h$",
    "SWAPDB 0 1",
    "SELECT 1",
    "SELECT 0",
];

fn request(random: u64) -> Frame {
    // Databases are rarely emptied or exchanged, so that there is something to change.
    let text = match random % 2000 {
        0 => "FLUSHALL",
        1 => "FLUSHDB",
        other => REQUESTS[other as usize % REQUESTS.len()],
    };
    let text = text.replace('$', &(random >> 16 & 3).to_string()).replace('#', &(random >> 24 & 7).to_string());
    text.split(' ').collect()
}

#[test]
fn what_is_recorded_has_the_same_effect_again() {
    for _ in 0..20 {
        let (mut rig, mut carry) = recording();
        let mut all = Records::new();
        for _ in 0..1500 {
            let random = rig.worker.random();
            let frame = request(random);
            let outcome = execute(&rig.worker, &mut rig.client, frame.args(), &mut Vec::new());
            if outcome == Outcome::Waits
                && let Some(waiter) = rig.client.waiter.take()
            {
                crate::command::give_up(rig.worker.node, &waiter);
            }
            if random >> 40 & 7 == 0 {
                rig.pass(random >> 44 & 15);
                let worker = &rig.worker;
                worker.node.keyspace.expire_due(&worker.local, worker.now_ms, usize::MAX);
            }
            all.extend(records(rig.worker.node, &mut carry));
        }
        let mut again = replayed(&all);
        // Looked at in the same millisecond: the clock of a slow machine may have passed the game's.
        again.worker.now_ms = rig.worker.now_ms;
        let (again, first) = (contents(&again.worker), contents(&rig.worker));
        let only =
            |a: &[String], b: &[String]| -> Vec<String> { a.iter().filter(|one| !b.contains(one)).cloned().collect() };
        let log = || text(&all[all.len().saturating_sub(150)..].to_vec());
        assert!(
            again == first,
            "again {:#?}, first {:#?}, log {:#?}",
            only(&again, &first),
            only(&first, &again),
            log()
        );
    }
}

#[test]
fn workers_that_change_the_same_keys_are_recorded_in_the_order_in_which_they_did() {
    const WORKERS: usize = 3;
    const REQUESTS: usize = 4000;
    let rigs = Rig::with_workers(WORKERS);
    let node = rigs[0].worker.node;
    node.keyspace.journal.begin();
    let done = AtomicBool::new(false);
    let mut all = Records::new();
    std::thread::scope(|scope| {
        let workers = std::thread::scope(|inner| {
            let reader = scope.spawn(|| {
                let (mut carry, mut all) = (Carry::default(), Records::new());
                loop {
                    let last = done.load(Ordering::SeqCst);
                    all.extend(records(node, &mut carry));
                    if last {
                        return all;
                    }
                }
            });
            for number in 0..WORKERS {
                inner.spawn(move || {
                    let client = Rig::new().client;
                    let mut rig = Rig { worker: Worker::new(node, number), client };
                    for _ in 0..REQUESTS {
                        let random = rig.worker.random();
                        let key = random >> 16 & 1;
                        let text = match random % 16 {
                            0 => format!("DEL s{key}"),
                            1 => format!("RENAME s{key} s{}", 1 - key),
                            2 => format!("SPOP t{key}"),
                            3 => format!("SADD t{key} {number} {}", random >> 24 & 7),
                            4 => format!("LPUSH l{key} {number}"),
                            5 => format!("RPOP l{key}"),
                            6 => "SWAPDB 0 1".to_owned(),
                            _ => format!("APPEND s{key} {number}"),
                        };
                        let frame: Frame = text.split(' ').collect();
                        while execute(&rig.worker, &mut rig.client, frame.args(), &mut Vec::new()) == Outcome::Busy {
                            std::hint::spin_loop();
                        }
                    }
                });
            }
            reader
        });
        done.store(true, Ordering::SeqCst);
        all = workers.join().expect("the reader");
    });
    let again = replayed(&all);
    assert_eq!(contents(&again.worker), contents(&rigs[0].worker));
}
