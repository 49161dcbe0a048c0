//! `/metrics`, `/healthz` and the status page over TCP, and what is no proper request.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Client, PATIENCE, Reply, Server, eventually, free_port, on_each_driver, scratch};

/// A server with a status page, and the port of that.
fn start(flags: &[&str]) -> (Server, u16) {
    loop {
        let http = free_port();
        let text = http.to_string();
        match Server::try_start(&[&["--http-port", text.as_str()], flags].concat()) {
            // Another test's server took the port after it was found free.
            Err(refused) if refused.log.contains(&format!(":{http}: Address already in use")) => (),
            Err(refused) => panic!("the server did not start: {}", refused.log),
            Ok(server) => return (server, http),
        }
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and returns everything that comes back.
fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    stream.write_all(bytes).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The status and the body of a page.
fn get(port: u16, path: &str) -> (u16, String) {
    let text = send(port, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
    (status(head), body.to_owned())
}

fn status(answer: &str) -> u16 {
    answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn pages_tell_what_clients_have_done() {
    let (server, http) = start(&["--workers", "2"]);
    server.await_log(&format!("status page, /metrics and /healthz at http://127.0.0.1:{http}/"));
    let mut client = server.client();
    for number in 0..50 {
        assert_eq!(client.say(&format!("SET key:{number} v")), Reply::ok());
    }
    assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
    let (status, page) = get(http, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "# TYPE redis_connected_clients gauge",
        "# TYPE redis_commands_total counter",
        "redis_up 1",
        "redis_connected_clients 1",
        "redis_commands_total{cmd=\"set\"} 50",
        "redis_db_keys{db=\"db0\"} 50",
        "roster_workers 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    let (status, page) = get(http, "/");
    assert!(status == 200 && page.contains("<td>set</td><td>50</td>"), "{page}");
    assert!(!page.contains("key:"));
    let head = send(http, b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
}

#[test]
fn a_server_without_the_setting_has_no_pages() {
    on_each_driver(&[], |server| {
        assert!(!server.log().contains("/metrics"));
        let Reply::Array(found) = server.client().say("CONFIG GET http-*") else { panic!("no array") };
        assert_eq!(found[1], Reply::bulk("0"));
    });
}

#[test]
fn what_is_no_proper_request_is_refused() {
    let (server, http) = start(&[]);
    for (bytes, expected) in [
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(), 405),
        ("GET /nosuch HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("*1\r\n$4\r\nPING\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)), 414),
        (format!("GET / HTTP/1.1\r\nCookie: {}\r\n", "x".repeat(100_000)), 431),
        (format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(20_000)), 431),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
    ] {
        let shown: String = bytes.chars().take(60).collect();
        assert_eq!(status(&send(http, bytes.as_bytes())), expected, "{shown:?}");
    }
    // A client that ends its side in the middle, and one that says nothing and leaves.
    let mut half = connect(http);
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    half.read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), 400);
    drop(connect(http));
    assert_eq!(get(http, "/healthz").0, 200);
    assert_eq!(server.client().say("PING"), Reply::Simple("PONG".into()));
}

#[test]
fn slow_clients_are_bounded_in_number_and_time() {
    let (server, http) = start(&[]);
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..16).map(|_| connect(http)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HT").unwrap();
    }
    // All seats are taken, which is told; clients of the data notice nothing.
    eventually("a client too many is told so", || {
        let mut text = String::new();
        let _ = connect(http).read_to_string(&mut text);
        text.starts_with("HTTP/1.1 503 ") && text.ends_with("too many connections\n")
    });
    assert_eq!(server.client().say("PING"), Reply::Simple("PONG".into()));
    // One byte a moment does not prolong the time.
    while begun.elapsed() < Duration::from_secs(8) && slow[0].write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    let mut text = String::new();
    slow[1].read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), 408);
    eventually("there are seats again", || {
        let mut stream = connect(http);
        let _ = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.starts_with("HTTP/1.1 200 ")
    });
}

#[test]
fn health_is_told_while_the_server_loads_and_while_it_ends() {
    // A snapshot that never comes: the server waits for whoever writes the pipe.
    let folder = scratch("http-loading");
    std::fs::create_dir_all(&folder).unwrap();
    let pipe = folder.join("dump.rdb");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let http = free_port();
    let flags = ["--dir".into(), folder.clone().into_os_string(), "--http-port".into(), http.to_string().into()];
    let starting = std::thread::spawn(move || Server::try_start(&flags).err());
    eventually("the server loads", || {
        let answer = TcpStream::connect(("127.0.0.1", http)).map(|_| get(http, "/healthz"));
        answer.is_ok_and(|answer| answer == (503, "loading\n".to_owned()))
    });
    let (_, page) = get(http, "/metrics");
    assert!(page.contains("\nredis_up 0\n") && page.contains("\nredis_loading_dump_file 1\n"), "{page}");
    std::fs::write(&pipe, b"this is no snapshot").unwrap();
    assert!(starting.join().unwrap().is_some(), "the server started from garbage");
    std::fs::remove_dir_all(&folder).unwrap();

    let (mut server, http) = start(&["--shutdown-timeout", "20"]);
    let mut client = server.client();
    assert_eq!(client.call(&["SET".into(), "big".into(), vec![b'x'; 16 << 20]]), Reply::ok());
    // What is not read keeps the server from ending.
    client.raw(b"GET big\r\nGET big\r\n");
    wait_for_output(&server);
    server.signal("TERM");
    eventually("the server ends", || get(http, "/healthz") == (503, "shutting down\n".to_owned()));
    assert_eq!([client.reply(), client.reply()].map(|reply| matches!(reply, Reply::Bulk(_))), [true; 2]);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// Waits until a client has replies that it does not read.
fn wait_for_output(server: &Server) {
    let mut client: Client = server.client();
    eventually("a reply is stuck", || {
        let Reply::Bulk(text) = client.say("CLIENT LIST") else { panic!("no list") };
        String::from_utf8_lossy(&text).lines().any(|line| line.contains("cmd=get") && !line.contains(" obl=0 "))
    });
}

#[test]
fn an_address_that_is_taken_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let Err(refused) = Server::try_start(&["--http-port", port.as_str()]) else { panic!("it started") };
    assert!(refused.log.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", refused.log);
    assert!(refused.log.contains("another server listens there"), "{}", refused.log);
}
