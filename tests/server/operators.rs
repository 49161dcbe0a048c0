//! What operators type: MONITOR, CLIENT PAUSE, CLIENT UNBLOCK and WAIT over connections.

use std::time::{Duration, Instant};

use crate::support::{Client, Reply, eventually, on_each_driver};

/// A field of `INFO`.
fn info(client: &mut Client, field: &str) -> String {
    let Reply::Bulk(text) = client.say("INFO") else { panic!("no text") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("no {field}")).to_owned()
}

fn await_blocked(client: &mut Client, count: usize) {
    eventually("clients are held back", || info(client, "blocked_clients") == count.to_string());
}

#[test]
fn monitors_see_the_commands_of_all_workers() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut monitor = server.client();
        assert_eq!(monitor.say("MONITOR"), Reply::ok());
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.say(&format!("SET key:{number} v")), Reply::ok());
            assert!(matches!(client.say("CONFIG GET port"), Reply::Array(_)));
            let Reply::Simple(line) = monitor.reply() else { panic!("no line") };
            let (time, rest) = line.split_once(" [0 127.0.0.1:").unwrap();
            assert!(time.split_once('.').is_some_and(|(_, micros)| micros.len() == 6), "{line}");
            assert!(rest.ends_with(&format!("] \"SET\" \"key:{number}\" \"v\"")), "{line}");
        }
        // Whoever is gone is told no more, and whoever ends to watch neither.
        assert_eq!(monitor.say("RESET"), Reply::Simple("RESET".into()));
        assert_eq!(clients[0].say("GET key:1"), Reply::bulk("v"));
        assert_eq!(monitor.say("GET key:1"), Reply::bulk("v"));
        assert_eq!(monitor.say("MONITOR"), Reply::ok());
        drop(monitor);
        let flags = |client: &mut Client| matches!(client.say("CLIENT LIST"), Reply::Bulk(text) if String::from_utf8_lossy(&text).contains("flags=O"));
        eventually("the monitor is gone", || !flags(&mut clients[1]));
    });
}

#[test]
fn paused_clients_wait_and_go_on_where_they_were() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut operator = server.client();
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        assert_eq!(operator.say("CLIENT PAUSE 60000 WRITE"), Reply::ok());
        for (number, client) in clients.iter_mut().enumerate() {
            client.raw(format!("GET none\r\nINCR counter:{number}\r\nGET counter:{number}\r\n").as_bytes());
            assert_eq!(client.reply(), Reply::Null);
        }
        await_blocked(&mut operator, 4);
        // What comes meanwhile is put behind what waits, in pieces and with big arguments too.
        let value = "x".repeat(200_000);
        clients[0].raw(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$200000\r\n{value}\r\nGET big\r\n").as_bytes());
        assert_eq!(operator.say("EXISTS counter:0 counter:1 big"), Reply::Integer(0));
        // A client that dies while it is held back leaves nothing behind.
        let mut dead = server.client();
        dead.raw(b"SET dead 1\r\n");
        await_blocked(&mut operator, 5);
        drop(dead);
        await_blocked(&mut operator, 4);
        assert_eq!(operator.say("CLIENT UNPAUSE"), Reply::ok());
        for client in &mut clients {
            assert_eq!([client.reply(), client.reply()], [Reply::Integer(1), Reply::bulk("1")]);
        }
        assert_eq!([clients[0].reply(), clients[0].reply()], [Reply::ok(), Reply::bulk(&value)]);
        assert_eq!(operator.say("EXISTS dead"), Reply::Integer(0));
        await_blocked(&mut operator, 0);
    });
}

#[test]
fn a_pause_ends_by_itself_and_lets_messages_through() {
    on_each_driver(&[], |server| {
        let (mut operator, mut listener) = (server.client(), server.client());
        listener.say("HELLO 3");
        listener.say("SUBSCRIBE news");
        let start = Instant::now();
        operator.raw(b"PUBLISH news early\r\nCLIENT PAUSE 300\r\nPING\r\n");
        assert_eq!([operator.reply(), operator.reply()], [Reply::Integer(1), Reply::ok()]);
        listener.raw(b"PING\r\n");
        assert!(matches!(listener.reply(), Reply::Push(_)), "the message comes although the client's command waits");
        assert_eq!(operator.reply(), Reply::Simple("PONG".into()));
        assert!(start.elapsed() >= Duration::from_millis(290), "{:?}", start.elapsed());
        assert_eq!(listener.reply(), Reply::Simple("PONG".into()));
    });
}

#[test]
fn waits_are_ended_from_another_connection() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut operator = server.client();
        for (how, replies) in [
            ("TIMEOUT", [Reply::Null, Reply::Integer(0)]),
            ("ERROR", ["UNBLOCKED client unblocked via CLIENT UNBLOCK"; 2].map(|text| Reply::Error(text.to_owned()))),
        ] {
            for (request, reply) in ["BLPOP none 0", "WAIT 1 0"].into_iter().zip(replies) {
                let mut client = server.client();
                let Reply::Integer(id) = client.say("CLIENT ID") else { panic!("no id") };
                client.raw(format!("{request}\r\nPING\r\n").as_bytes());
                await_blocked(&mut operator, 1);
                assert_eq!(operator.say(&format!("CLIENT UNBLOCK {id} {how}")), Reply::Integer(1));
                assert_eq!([client.reply(), client.reply()], [reply, Reply::Simple("PONG".into())], "{request} {how}");
                await_blocked(&mut operator, 0);
                assert_eq!(operator.say(&format!("CLIENT UNBLOCK {id} {how}")), Reply::Integer(0));
            }
        }
        let start = Instant::now();
        assert_eq!(operator.say("WAIT 1 50"), Reply::Integer(0));
        assert!(start.elapsed() >= Duration::from_millis(49));
    });
}

#[test]
fn the_slow_command_of_a_batch_is_logged_and_no_other() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        assert_eq!(client.say("CONFIG SET slowlog-log-slower-than 500000"), Reply::ok());
        client.raw(&[b"PING\r\n".repeat(20), b"DEBUG SLEEP 0.6\r\n".to_vec(), b"PING\r\n".repeat(20)].concat());
        (0..41).for_each(|_| drop(client.reply()));
        let Reply::Array(entries) = client.say("SLOWLOG GET") else { panic!("no list") };
        let [Reply::Array(fields)] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(fields[3], Reply::Array(["DEBUG", "SLEEP", "0.6"].map(Reply::bulk).to_vec()));
        assert!(matches!(fields[2], Reply::Integer(600_000..)), "{fields:?}");
    });
}
