//! MIGRATE between servers: Roster's own, and redis-server where it is installed.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Client, Reply, Scratch, Server, eventually, free_port, on_each_driver, skip};

/// A foreign server, which is killed when this is dropped.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    /// redis-server, if there is one.
    fn start() -> Option<Foreign> {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.args(["--enable-debug-command", "local"]);
        let Ok(child) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            skip("there is no redis-server");
            return None;
        };
        eventually("redis-server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Foreign { child, port })
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const IOERR_READING: &str = "IOERR error or timeout reading to target instance";
const IOERR_WRITING: &str = "IOERR error or timeout writing to target instance";
const BUSYKEY: &str = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";

/// `MIGRATE 127.0.0.1 PORT …`
fn migrate(port: u16, rest: &str) -> Vec<String> {
    let words = format!("MIGRATE 127.0.0.1 {port} {rest}");
    words.split(' ').map(|word| word.replace("''", "")).collect()
}

/// Moves and copies keys of each type from one server to another.
fn exchange(source: u16, target: u16) {
    let (mut here, mut there) = (Client::connect(source), Client::connect(target));
    let long = "x".repeat(300_000);
    for request in [
        "SET string v EX 1000",
        &format!("SET long {long}"),
        "RPUSH list a b c",
        "HSET hash f v g w",
        "SADD set 1 2 3",
        "ZADD zset 1 a 2.5 b",
        "XADD stream 1-1 f v",
    ] {
        assert!(!matches!(here.say(request), Reply::Error(_)));
    }
    let keys = "string long list hash set zset stream";
    let digests = |client: &mut Client| client.say(&format!("DEBUG DIGEST-VALUE {keys}"));
    let before = digests(&mut here);
    // Copies stay.
    assert_eq!(here.call(&migrate(target, &format!("'' 0 5000 COPY KEYS nope {keys}"))), Reply::ok());
    assert_eq!(here.say(&format!("EXISTS {keys}")), Reply::Integer(7));
    assert_eq!(digests(&mut there), before);
    let Reply::Integer(ttl) = there.say("TTL string") else { panic!("no number") };
    assert!((990..=1000).contains(&ttl));
    // What is there already is not overwritten unless that is wanted.
    assert_eq!(here.say("APPEND long x"), Reply::Integer(300_001));
    assert_eq!(here.call(&migrate(target, "long 0 5000")).error_text(), BUSYKEY);
    assert_eq!(here.say("EXISTS long"), Reply::Integer(1));
    assert_eq!(here.call(&migrate(target, "long 0 5000 REPLACE")), Reply::ok());
    assert_eq!(here.say("EXISTS long"), Reply::Integer(0));
    assert_eq!(there.say("STRLEN long"), Reply::Integer(300_001));
    assert_eq!(here.call(&migrate(target, "long 0 5000 REPLACE")), Reply::Simple("NOKEY".into()));
    // Of several, those go that can.
    assert_eq!(there.say("DEL list set"), Reply::Integer(2));
    assert_eq!(here.call(&migrate(target, "'' 0 5000 KEYS list hash set zset")).error_text(), BUSYKEY);
    assert_eq!(here.say(&format!("EXISTS {keys}")), Reply::Integer(4));
    assert_eq!(there.say(&format!("EXISTS {keys}")), Reply::Integer(7));
    // Into another database, and within a script.
    let script = "return redis.call('MIGRATE', '127.0.0.1', ARGV[1], KEYS[1], 3, 5000)";
    let moved = here.call(&["EVAL", script, "1", "hash", &target.to_string()]);
    assert_eq!(moved, Reply::ok());
    assert_eq!(here.say("EXISTS hash"), Reply::Integer(0));
    assert_eq!(there.say("SELECT 3"), Reply::ok());
    assert_eq!(there.say("HGET hash g"), Reply::bulk("w"));
    // Within a transaction.
    for (request, reply) in [("MULTI", "OK"), ("APPEND string w", "QUEUED")] {
        assert_eq!(here.say(request), Reply::Simple(reply.into()));
    }
    assert_eq!(here.call(&migrate(target, "string 3 5000")), Reply::Simple("QUEUED".into()));
    assert_eq!(here.say("EXISTS string"), Reply::Simple("QUEUED".into()));
    assert_eq!(here.say("EXEC"), Reply::Array(vec![Reply::Integer(2), Reply::ok(), Reply::Integer(0)]));
    assert_eq!(there.say("GET string"), Reply::bulk("vw"));
    // What the other server refuses stays.
    for (rest, error) in [
        (
            "zset 0 5000 AUTH wrong REPLACE",
            "ERR Target instance replied with error: ERR AUTH <password> called without any password",
        ),
        ("zset 0 5000 AUTH2 nobody wrong REPLACE", "ERR Target instance replied with error: WRONGPASS"),
        ("zset 99 5000", "ERR Target instance replied with error: ERR DB index is out of range"),
    ] {
        let reply = here.call(&migrate(target, rest));
        assert!(reply.error_text().starts_with(error), "{rest}: {reply:?}");
        assert_eq!(here.say("EXISTS zset"), Reply::Integer(1));
    }
    assert_eq!(there.say("ACL SETUSER mover on >secret ~* +@all"), Reply::ok());
    assert_eq!(here.call(&migrate(target, "zset 0 5000 REPLACE AUTH2 mover secret")), Reply::ok());
    assert_eq!(here.say("DBSIZE"), Reply::Integer(1));
}

#[test]
fn keys_move_between_servers() {
    on_each_driver(&["--workers", "2"], |server| {
        let other = Server::start::<&str>(&[]);
        exchange(server.port, other.port);
    });
}

#[test]
fn keys_move_from_and_to_redis() {
    let Some(redis) = Foreign::start() else { return };
    on_each_driver(&["--workers", "2"], |server| {
        exchange(server.port, redis.port);
        Client::connect(redis.port).say("FLUSHALL");
        server.client().say("FLUSHALL");
        exchange(redis.port, server.port);
        Client::connect(redis.port).say("FLUSHALL");
    });
}

#[test]
fn a_dead_target_keeps_nobody_waiting_and_no_key() {
    on_each_driver(&["--workers", "2"], |server| {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let (mut mover, mut other) = (server.client(), server.client());
        assert_eq!(mover.say("MSET a 1 b 2"), Reply::ok());
        assert_eq!(mover.call(&migrate(free_port(), "a 0 5000")).error_text(), IOERR_WRITING);
        assert_eq!(
            mover.call(&["MIGRATE", "no-such-host.invalid", "1", "a", "0", "5000"]).error_text(),
            "IOERR error or timeout connecting to the client"
        );
        // A target that takes the connection and says nothing.
        mover.raw(format!("MIGRATE 127.0.0.1 {port} \"\" 0 500 KEYS a b\r\nGET a\r\n").as_bytes());
        let start = Instant::now();
        eventually("it is under way", || info(&mut other, "blocked_clients") == "1");
        // Reads go on, of the keys too, and so do writes of others.
        assert_eq!(other.say("MGET a b"), Reply::Array(vec![Reply::bulk("1"), Reply::bulk("2")]));
        assert_eq!(other.say("SET c 3"), Reply::ok());
        assert!(start.elapsed() < Duration::from_millis(400), "the machine is too slow for this test");
        // Writes of these wait, however they come.
        let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        writers[0].raw(b"INCR a\r\n");
        writers[1].raw(b"MULTI\r\nINCR b\r\nEXEC\r\n");
        writers[2].raw(b"EVAL \"return redis.call('INCR', KEYS[1])\" 1 a\r\n");
        writers[3].raw(b"DEL b c\r\n");
        eventually("they wait", || info(&mut other, "blocked_clients") == "5");
        assert_eq!(other.say("MGET a b c"), Reply::Array(vec![Reply::bulk("1"), Reply::bulk("2"), Reply::bulk("3")]));
        assert_eq!(mover.reply().error_text(), IOERR_READING);
        let took = start.elapsed();
        assert!((500..1500).contains(&took.as_millis()), "{took:?}");
        mover.reply();
        assert_eq!([writers[1].reply(), writers[1].reply()], [Reply::ok(), Reply::Simple("QUEUED".into())]);
        writers[1].reply();
        let mut increased = [writers[0].reply(), writers[2].reply()];
        increased.sort_by_key(|reply| format!("{reply:?}"));
        assert_eq!(increased, [Reply::Integer(2), Reply::Integer(3)]);
        writers[3].reply();
        eventually("nobody waits", || info(&mut other, "blocked_clients") == "0");
        // One that hangs up.
        let hangs_up = std::thread::spawn(move || drop(silent.accept().and_then(|_| silent.accept())));
        assert_eq!(mover.call(&migrate(port, "a 0 5000")).error_text(), IOERR_READING);
        hangs_up.join().unwrap();
        assert_eq!(mover.say("GET a"), Reply::bulk("3"));
    });
}

fn info(client: &mut Client, field: &str) -> String {
    let Reply::Bulk(text) = client.say("INFO") else { panic!("no text") };
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap().to_owned()
}

/// Takes a connection, and does `meanwhile` between the receipt of a value and its acknowledgement.
fn slow_target(meanwhile: impl FnOnce() + Send + 'static) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        assert!(stream.read(&mut bytes).unwrap() > 0);
        stream.write_all(b"+OK\r\n").unwrap();
        assert!(stream.read(&mut bytes).unwrap() > 0);
        meanwhile();
        stream.write_all(b"+OK\r\n").unwrap();
    });
    (port, thread)
}

#[test]
fn no_write_is_lost_between_a_value_and_its_removal() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut mover = server.client();
        let own = server.port;
        assert_eq!(mover.say("SET k 1"), Reply::ok());
        // A client that is held back writes after the key has left.
        let (port, thread) = slow_target(move || {
            let mut client = Client::connect(own);
            client.raw(b"INCR k\r\n");
            eventually("it waits", || info(&mut Client::connect(own), "blocked_clients") == "2");
            std::thread::spawn(move || assert_eq!(client.reply(), Reply::Integer(1)));
        });
        assert_eq!(mover.call(&migrate(port, "k 0 5000")), Reply::ok());
        thread.join().unwrap();
        eventually("the write comes after the removal", || server.client().say("GET k") == Reply::bulk("1"));
        // A script that does not say where it goes is not held back. Then the key stays.
        let (port, thread) = slow_target(move || {
            let mut client = Client::connect(own);
            assert_eq!(client.say("EVAL return(redis.call('INCR','k')) 0"), Reply::Integer(2));
        });
        let reply = mover.call(&migrate(port, "k 0 5000"));
        assert_eq!(
            reply.error_text(),
            "ERR A key was changed by a script while it was sent, so it was kept: the target has its value from before"
        );
        thread.join().unwrap();
        assert_eq!(mover.say("GET k"), Reply::bulk("2"));
        // A client that leaves takes nothing along: its key goes when the target has it.
        let mut leaver = server.client();
        let (port, thread) = slow_target(move || {
            eventually("only one is left", || info(&mut Client::connect(own), "connected_clients") == "2");
        });
        leaver.raw(format!("MIGRATE 127.0.0.1 {port} k 0 5000\r\n").as_bytes());
        eventually("it is under way", || info(&mut mover, "blocked_clients") == "1");
        drop(leaver);
        thread.join().unwrap();
        eventually("the key goes", || mover.say("EXISTS k") == Reply::Integer(0));
        assert_eq!(mover.say("SET k 1"), Reply::ok());
        assert_eq!(info(&mut mover, "blocked_clients"), "0");
    });
}

#[test]
fn within_a_transaction_others_are_served_meanwhile() {
    on_each_driver(&["--workers", "1"], |server| {
        let (mut mover, own) = (server.client(), server.port);
        assert_eq!(mover.say("MSET {t}k 1 {t}l 1"), Reply::ok());
        let (port, thread) = slow_target(move || {
            // With one worker, this is the one whose transaction waits.
            assert_eq!(Client::connect(own).say("PING"), Reply::Simple("PONG".into()));
        });
        mover.raw(
            format!("MULTI\r\nINCR {{t}}l\r\nMIGRATE 127.0.0.1 {port} {{t}}k 0 5000\r\nDBSIZE\r\nEXEC\r\n").as_bytes(),
        );
        (0..4).for_each(|_| assert!(matches!(mover.reply(), Reply::Simple(_))));
        assert_eq!(mover.reply(), Reply::Array(vec![Reply::Integer(2), Reply::ok(), Reply::Integer(1)]));
        thread.join().unwrap();
    });
}

#[test]
fn what_left_is_gone_after_a_restart() {
    let folder = Scratch::new("migrate");
    let dir = folder.0.to_str().unwrap().to_owned();
    let flags = ["--appendonly", "yes", "--appendfsync", "always", "--dir", &dir];
    let other = Server::start::<&str>(&[]);
    let mut server = Server::start(&flags);
    let mut client = server.client();
    assert_eq!(client.say("MSET a 1 b 2 c 3 d 4"), Reply::ok());
    assert_eq!(client.call(&migrate(other.port, "a 0 5000")), Reply::ok());
    let script = format!("EVAL return(redis.call('MIGRATE','127.0.0.1','{}','b','0','5000')) 1 b", other.port);
    assert_eq!(client.say(&script), Reply::ok());
    assert_eq!(client.call(&migrate(other.port, "c 0 5000 COPY")), Reply::ok());
    server.signal("KILL");
    server.wait();
    drop(server);
    let server = Server::start(&flags);
    assert_eq!(server.client().say("EXISTS a b c d"), Reply::Integer(2));
    assert_eq!(
        other.client().say("MGET a b c"),
        Reply::Array(vec![Reply::bulk("1"), Reply::bulk("2"), Reply::bulk("3")])
    );
}
