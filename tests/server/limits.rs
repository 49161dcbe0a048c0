//! What a client may take: connections, time, buffers, and what it may do before it has authenticated.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::{Client, Reply, eventually, limit_files, on_each_driver, skip};

#[test]
fn a_client_too_many_is_told_so() {
    on_each_driver(&["--maxclients", "3"], |server| {
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.say("GET k"), Reply::Null));
        let mut surplus = server.client();
        assert_eq!(surplus.rest(), b"-ERR max number of clients reached\r\n");
        clients.pop();
        eventually("a place becomes free", || {
            let mut client = server.client();
            client.try_raw(b"GET k\r\n").is_ok() && client.try_reply().is_ok_and(|reply| reply == Reply::Null)
        });
    });
}

#[test]
fn idle_clients_are_closed_and_busy_ones_are_not() {
    on_each_driver(&["--timeout", "1"], |server| {
        let (mut idle, mut busy) = (server.client(), server.client());
        assert_eq!(idle.say("GET k"), Reply::Null);
        let start = Instant::now();
        let mut last = start;
        while start.elapsed() < Duration::from_millis(2500) {
            match busy.try_raw(b"GET k\r\n").and_then(|()| busy.try_reply()) {
                Ok(reply) => assert_eq!(reply, Reply::Null),
                // On a starved machine this client may have been idle for a second as well.
                Err(error) => {
                    assert!(last.elapsed() > Duration::from_millis(800), "{error}");
                    busy = server.client();
                }
            }
            last = Instant::now();
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(idle.rest(), b"");
    });
}

#[test]
fn strangers_may_send_little() {
    on_each_driver(&["--requirepass", "secret"], |server| {
        assert_eq!(server.client().say("GET k").error_text(), "NOAUTH Authentication required.");
        for (request, text) in [
            (&b"*11\r\n"[..], "unauthenticated multibulk length"),
            (b"*2\r\n$3\r\nGET\r\n$16385\r\n", "unauthenticated bulk length"),
        ] {
            let mut client = server.client();
            client.raw(request);
            assert_eq!(client.rest(), format!("-ERR Protocol error: {text}\r\n").as_bytes());
        }
    });
}

#[test]
fn a_request_longer_than_the_query_buffer_is_cut_off() {
    on_each_driver(&["--client-query-buffer-limit", "1mb"], |server| {
        // Once as one big argument, once as many small ones.
        for request in [[b"*2\r\n$3\r\nGET\r\n$4000000\r\n".to_vec(), vec![b'x'; 3 << 20]].concat(), {
            let mut request = b"*1000000\r\n".to_vec();
            (0..300_000).for_each(|_| request.extend(b"$5\r\nabcde\r\n"));
            request
        }] {
            let mut client = server.client();
            // The server may close before it has read everything.
            let _ = client.try_raw(&request);
            assert_eq!(client.rest(), b"");
        }
        server.await_log("client-query-buffer-limit");
        assert_eq!(server.client().say("GET k"), Reply::Null);
    });
}

#[test]
fn replies_over_the_hard_limit_are_not_sent() {
    on_each_driver(&["--client-output-buffer-limit", "normal 1mb 0 0"], |server| {
        let mut client = server.client();
        assert_eq!(client.call(&["SET", "big", &"x".repeat(2 << 20)]), Reply::ok());
        client.raw(b"GET big\r\n");
        assert_eq!(client.rest(), b"");
        server.await_log("client-output-buffer-limit");
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off_after_the_soft_limit_s_time() {
    on_each_driver(&["--client-output-buffer-limit", "normal 0 100kb 1"], |server| {
        let mut client = server.client();
        assert_eq!(client.call(&["SET", "big", &"x".repeat(16 << 20)]), Reply::ok());
        client.raw(&b"GET big\r\n".repeat(4));
        server.await_log("does not read its replies");
        assert!(client.rest().len() < 4 * (16 << 20));
        // One that reads gets all of it.
        let mut client = server.client();
        client.raw(&b"GET big\r\n".repeat(4));
        (0..4).for_each(|_| assert!(matches!(client.reply(), Reply::Bulk(value) if value.len() == 16 << 20)));
    });
}

#[test]
fn a_server_without_descriptors_waits_for_some() {
    on_each_driver(&["--workers", "1"], |server| {
        let mut witness = server.client();
        assert_eq!(witness.say("SET k v"), Reply::ok());
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
        let before = limit_files(server.pid(), open + 5);
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        server.await_log("there is no file descriptor left");
        let used = server.cpu_time();
        std::thread::sleep(Duration::from_millis(1500));
        assert!(server.cpu_time() - used < Duration::from_millis(300), "it spins");
        assert!(server.log().matches("no file descriptor left").count() <= 4, "it floods the log");
        assert_eq!(witness.say("GET k"), Reply::bulk("v"));
        limit_files(server.pid(), before);
        clients.iter_mut().for_each(|client| assert_eq!(client.say("GET k"), Reply::bulk("v")));
    });
}

#[test]
fn protected_mode_keeps_other_machines_out() {
    let Some(address) = outer_address() else {
        return skip("this machine has only the loopback interface");
    };
    on_each_driver(&["--bind", "0.0.0.0"], |server| {
        let outer = SocketAddr::from((address, server.port));
        let text = Client::connect_to(outer).rest();
        assert!(text.starts_with(b"-DENIED Redis is running in protected mode"), "{}", String::from_utf8_lossy(&text));
        assert_eq!(server.client().say("SET k v"), Reply::ok());
    });
    on_each_driver(&["--bind", "0.0.0.0", "--protected-mode", "no"], |server| {
        assert_eq!(Client::connect_to(SocketAddr::from((address, server.port))).say("GET k"), Reply::Null);
    });
}

/// An address of this machine that is not a loopback one.
fn outer_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // This sends nothing: it only asks which of our addresses would be used.
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) if !address.ip().is_loopback() => Some(*address.ip()),
        _ => None,
    }
}

#[test]
fn a_flood_of_connections_is_served() {
    on_each_driver(&["--workers", "1"], |server| {
        let address = SocketAddr::from(([127, 0, 0, 1], server.port));
        for _ in 0..2000 {
            drop(TcpStream::connect(address).unwrap());
        }
        assert_eq!(server.client().say("GET k"), Reply::Null);
        eventually("all are closed", || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() < 20);
    });
}
