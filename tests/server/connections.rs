//! What travels over a connection, whole or in pieces, and how connections end.

use std::time::Duration;

use crate::support::client::command;
use crate::support::{Client, Reply, Server, eventually, on_each_driver};

#[test]
fn a_pipeline_is_answered_in_order() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        let mut batch = Vec::new();
        for i in 0..5000 {
            batch.extend(command(&["SET", &format!("key:{i}"), &format!("value {i}")]));
            batch.extend(command(&["GET", &format!("key:{i}")]));
        }
        client.raw(&batch);
        for i in 0..5000 {
            assert_eq!(client.reply(), Reply::ok());
            assert_eq!(client.reply(), Reply::bulk(format!("value {i}")));
        }
    });
}

#[test]
fn frames_may_be_cut_anywhere() {
    on_each_driver(&[], |server| {
        let mut frames = command(&["SET", "split", "a value\r\nof two lines"]);
        frames.extend(b"GET split\r\n");
        frames.extend(command(&["GET", "nothing"]));
        let replies = [Reply::ok(), Reply::bulk("a value\r\nof two lines"), Reply::Null];
        let mut client = server.client();
        for cut in 1..frames.len() {
            client.raw(&frames[..cut]);
            // Long enough for the server to receive the first part by itself, most of the time.
            std::thread::sleep(Duration::from_micros(500));
            client.raw(&frames[cut..]);
            replies.iter().for_each(|reply| assert_eq!(client.reply(), *reply, "cut at {cut}"));
        }
        for byte in &frames {
            client.raw(&[*byte]);
            std::thread::sleep(Duration::from_micros(200));
        }
        replies.iter().for_each(|reply| assert_eq!(client.reply(), *reply));
    });
}

#[test]
fn inline_commands_and_empty_lines() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        client.raw(b"\r\n*0\r\nSET a \"two words\"\r\n\nget a\n");
        assert_eq!(client.reply(), Reply::ok());
        assert_eq!(client.reply(), Reply::bulk("two words"));
    });
}

#[test]
fn values_of_64_megabytes_travel_both_ways() {
    on_each_driver(&[], |server| {
        let mut state = 1u32;
        let value: Vec<u8> = (0..64 << 20)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut client = server.client();
        assert_eq!(client.call(&[b"SET", &b"big"[..], &value]), Reply::ok());
        // Requests that follow a big one in the same stream are found where they start.
        let mut batch = command(&[b"SET", &b"other"[..], &value[..100_000]]);
        batch.extend(command(&["GET", "other"]));
        client.raw(&batch);
        assert_eq!(client.reply(), Reply::ok());
        assert!(client.reply() == Reply::bulk(&value[..100_000]));
        assert!(client.say("GET big") == Reply::Bulk(value.clone()), "the value came back changed");
    });
}

#[test]
fn a_reset_in_the_middle_of_a_reply_harms_nobody() {
    on_each_driver(&["--workers", "1"], |server| {
        let mut witness = server.client();
        assert_eq!(witness.call(&["SET", "big", &"x".repeat(4 << 20)]), Reply::ok());
        let before = sockets(server);
        for i in 0..40 {
            let mut client = server.client();
            client.raw(&b"GET big\r\n".repeat(8));
            // The server is in the midst of sending, or has not begun yet.
            std::thread::sleep(Duration::from_millis(i % 4));
            client.reset();
            assert_eq!(witness.say("GET nothing"), Reply::Null);
        }
        eventually("the descriptors are closed", || sockets(server) == before);
        assert_eq!(witness.say("SET after all"), Reply::ok());
    });
}

#[test]
fn a_half_closed_client_gets_its_replies() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        assert_eq!(client.call(&["SET", "k", &"v".repeat(100_000)]), Reply::ok());
        client.raw(&b"GET k\r\n".repeat(50));
        client.finish();
        for _ in 0..50 {
            assert_eq!(client.reply(), Reply::bulk("v".repeat(100_000)));
        }
        assert_eq!(client.rest(), b"");
    });
}

#[test]
fn a_client_that_dies_within_a_command_leaves_no_trace() {
    on_each_driver(&[], |server| {
        let mut witness = server.client();
        for cut in [1, 20, 40, 50_000] {
            let mut client = server.client();
            let frame = command(&["SET", "unfinished", &"x".repeat(100_000)]);
            client.raw(&frame[..cut]);
            drop(client);
            assert_eq!(witness.say("GET unfinished"), Reply::Null);
        }
        let before = server.memory_kib("VmRSS");
        let mut client = server.client();
        // A promise of half a gigabyte, of which 1 MB comes, must not take the memory of all.
        client.raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n");
        client.raw(&vec![b'x'; 1 << 20]);
        std::thread::sleep(Duration::from_millis(50));
        assert!(server.memory_kib("VmRSS") < before + 32 * 1024);
        drop(client);
        assert_eq!(witness.say("GET k"), Reply::Null);
    });
}

#[test]
fn requests_before_a_protocol_error_are_answered() {
    on_each_driver(&[], |server| {
        for (wrong, text) in [
            (&b"*1\r\n:1\r\n"[..], "-ERR Protocol error: expected '$', got ':'\r\n"),
            (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
            (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
            (b"GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        ] {
            let mut client = server.client();
            client.raw(&[b"SET before 1\r\n", wrong].concat());
            assert_eq!(client.reply(), Reply::ok());
            assert_eq!(String::from_utf8(client.rest()).unwrap(), text);
        }
    });
}

#[test]
fn web_requests_are_cut_off() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        client.raw(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET attacked yes\r\n");
        assert_eq!(client.rest(), b"");
        server.await_log("cross protocol scripting");
        assert_eq!(server.client().say("GET attacked"), Reply::Null);
    });
}

#[test]
fn two_workers_serve_one_keyspace() {
    on_each_driver(&["--workers", "2"], |server| {
        let names = std::fs::read_dir(format!("/proc/{}/task", server.pid()))
            .unwrap()
            .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap().trim().to_owned());
        let names: Vec<String> = names.collect();
        assert!(names.contains(&"roster-0".to_owned()) && names.contains(&"roster-1".to_owned()), "{names:?}");
        let mut clients: Vec<Client> = (0..32).map(|_| server.client()).collect();
        for (i, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.say(&format!("SET from:{i} {i}")), Reply::ok());
        }
        for client in &mut clients {
            for i in 0..32 {
                assert_eq!(client.say(&format!("GET from:{i}")), Reply::bulk(i.to_string()));
            }
        }
    });
}

#[test]
fn thousand_idle_connections_are_cheap_and_alive() {
    on_each_driver(&[], |server| {
        let mut witness = server.client();
        assert_eq!(witness.say("SET k v"), Reply::ok());
        let before = server.memory_kib("VmRSS");
        let mut clients: Vec<Client> = (0..1000).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.say("GET k"), Reply::bulk("v")));
        let each = (server.memory_kib("VmRSS") - before) as f64 / 1000.0;
        assert!(each < 20.0, "an idle connection takes {each} KiB");
        let used = server.cpu_time();
        std::thread::sleep(Duration::from_millis(500));
        assert!(server.cpu_time() - used < Duration::from_millis(100), "idle connections take CPU time");
        clients.iter_mut().for_each(|client| assert_eq!(client.say("GET k"), Reply::bulk("v")));
    });
}

/// Sockets that the server has open.
fn sockets(server: &Server) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    files
        .filter_map(|file| file.ok()?.path().read_link().ok())
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}
