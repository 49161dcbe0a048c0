//! Clients that speak TLS, and those that should have.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustls::HandshakeKind;

use super::tls_files::{Files, NEW, OLD, connect};
use crate::support::client::command;
use crate::support::{Client, DRIVERS, PATIENCE, Reply, Server, eventually, skip};

fn pong() -> Reply {
    Reply::Simple("PONG".into())
}

/// Runs a test on each driver, with a server that asks for no certificates.
fn on_each_driver(name: &str, flags: &[&str], test: impl Fn(&Files, &mut Server, u16)) {
    let files = Files::new(name);
    for driver in DRIVERS {
        let own = ["--io-driver", driver, "--tls-auth-clients", "no"];
        match files.try_serve(&[&own[..], flags].concat()) {
            Ok((mut server, port)) => test(&files, &mut server, port),
            Err(refused) if driver == "uring" && refused.log.contains("io_uring") => {
                skip(&format!("not tested on io_uring: {}", refused.log));
            }
            Err(refused) => panic!("the server did not start: {}", refused.log),
        }
    }
}

fn info(client: &mut Client, section: &str) -> String {
    let Reply::Bulk(text) = client.say(&format!("INFO {section}")) else { panic!("no text") };
    String::from_utf8(text).unwrap()
}

#[test]
fn both_ports_serve_the_same_keys() {
    on_each_driver("ports", &["--workers", "2"], |files, server, port| {
        let mut plain = server.client();
        for versions in [&NEW, &OLD] {
            let mut client = files.client().versions(versions).connect(port);
            assert_eq!(client.say("SET k v"), Reply::ok());
            assert_eq!(plain.say("GET k"), Reply::bulk("v"));
            let told = info(&mut client, "server");
            assert!(told.contains(&format!("tcp_port:{}\r\n", server.port)), "{told}");
            assert!(told.contains(&format!("listener1:name=tls,bind=127.0.0.1,bind=-::1,port={port}\r\n")), "{told}");
            let Reply::Bulk(list) = client.say("CLIENT LIST") else { panic!("no list") };
            assert!(String::from_utf8_lossy(&list).contains(&format!(" laddr=127.0.0.1:{port} ")));
            // The end is told by close_notify, without which reading would fail.
            client.raw(b"QUIT\r\n");
            assert_eq!(client.rest(), b"+OK\r\n");
        }
    });
    // Without the plain port.
    let files = Files::new("only");
    let (_server, port) = files.serve(&["--port", "0", "--tls-auth-clients", "no"]);
    let mut client = files.client().connect(port);
    let told = info(&mut client, "server");
    assert!(told.contains(&format!("tcp_port:{port}\r\n")) && told.contains("listener0:name=tls,"), "{told}");
}

#[test]
fn big_values_and_deep_pipelines_pass() {
    on_each_driver("big", &["--workers", "2"], |files, _, port| {
        for versions in [&NEW, &OLD] {
            let mut client = files.client().versions(versions).connect(port);
            let value: Vec<u8> = (0..16 << 20).map(|index: u32| (index % 251) as u8).collect();
            assert_eq!(client.call(&[b"SET".as_slice(), b"big", &value]), Reply::ok());
            assert_eq!(client.say("GET big"), Reply::Bulk(value));
            let deep: Vec<u8> = (0..20_000).flat_map(|number| command(&["SET", &format!("k{number}"), "v"])).collect();
            client.raw(&deep);
            assert!((0..20_000).all(|_| client.reply() == Reply::ok()));
            // Values of every size about that of a record, in one stream.
            let sizes = (16_300..16_420).chain([1, 32 << 10, (32 << 10) + 1, 65_535, 65_537, 200_000]);
            let values: Vec<Vec<u8>> = sizes.map(|size| vec![b'x'; size]).collect();
            let all: Vec<u8> = values.iter().flat_map(|value| command(&[b"ECHO".as_slice(), value])).collect();
            let mut sender = all.chunks(100_000);
            let mut next = || sender.next().map(|chunk| chunk.to_vec());
            for value in &values {
                if let Some(chunk) = next() {
                    client.raw(&chunk);
                }
                assert_eq!(client.reply(), Reply::Bulk(value.clone()));
            }
        }
    });
}

/// A relay that passes bytes on in small pieces. Returns its port.
fn crumbs(target: u16, size: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut forth);
            let _ = forth.shutdown(Shutdown::Write);
        });
        let (mut client, mut server, mut buffer) = (client, server, vec![0; size]);
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            if server.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    });
    port
}

#[test]
fn records_may_come_in_crumbs_and_ends_are_clean() {
    on_each_driver("crumbs", &[], |files, _, port| {
        for size in [1, 7, 1000] {
            let mut client = files.client().connect(crumbs(port, size));
            let value = "x".repeat(1000 * size.min(60));
            assert_eq!(client.call(&["SET", "k", &value]), Reply::ok());
            // A client that ends its side still gets what it has asked for, and the server's farewell.
            client.raw(b"GET k\r\nPING\r\n");
            client.finish();
            assert_eq!([client.reply(), client.reply()], [Reply::bulk(&value), pong()]);
            assert_eq!(client.rest(), b"");
        }
    });
}

#[test]
fn keys_may_be_renewed_in_the_middle() {
    on_each_driver("renewed", &[], |files, _, port| {
        let mut client = files.client().versions(&NEW).connect(port);
        for round in 0..50 {
            assert_eq!(client.say(&format!("SET k {round}")), Reply::ok());
            client.tls().conn.refresh_traffic_keys().unwrap();
            assert_eq!(client.say("GET k"), Reply::bulk(round.to_string()));
        }
    });
}

#[test]
fn sessions_are_resumed_unless_that_is_off() {
    let files = Files::new("resumed");
    for (caching, kind) in [("yes", HandshakeKind::Resumed), ("no", HandshakeKind::Full)] {
        let (_server, port) = files.serve(&["--tls-auth-clients", "no", "--tls-session-caching", caching]);
        for versions in [&NEW, &OLD] {
            let config = files.client().versions(versions).config();
            let kinds = (0..3).map(|_| {
                let mut client = connect(config.clone(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                assert_eq!(client.say("PING"), pong());
                client.tls().conn.handshake_kind().unwrap()
            });
            let kinds: Vec<HandshakeKind> = kinds.collect();
            assert_eq!((kinds[0], kinds[2]), (HandshakeKind::Full, kind), "{caching} {versions:?}");
        }
    }
}

#[test]
fn messages_and_waits_come_through() {
    on_each_driver("waits", &["--workers", "2"], |files, server, port| {
        let (mut client, mut other) = (files.client().connect(port), server.client());
        client.say("HELLO 3");
        assert!(matches!(client.say("SUBSCRIBE news"), Reply::Push(_)));
        for number in 0..100 {
            let text = format!("{number}").repeat(number * 10 + 1);
            assert_eq!(other.call(&["PUBLISH", "news", &text]), Reply::Integer(1));
            let parts = ["message", "news", &text].map(Reply::bulk);
            assert_eq!(client.reply(), Reply::Push(parts.to_vec()));
        }
        // What a client sends while it waits comes after what it waits for, in pieces and in big arguments too.
        let value = "x".repeat(300_000);
        client.raw(b"BLPOP list 0\r\n");
        eventually("the client waits", || info(&mut other, "clients").contains("\r\nblocked_clients:1\r\n"));
        client.raw(&[command(&["SET", "big", &value]), command(&["GET", "big"])].concat());
        assert_eq!(other.say("PUBLISH news meanwhile"), Reply::Integer(1));
        assert!(matches!(client.reply(), Reply::Push(_)));
        assert_eq!(other.say("RPUSH list element"), Reply::Integer(1));
        assert_eq!(client.reply(), Reply::Array(["list", "element"].map(Reply::bulk).to_vec()));
        assert_eq!([client.reply(), client.reply()], [Reply::ok(), Reply::bulk(&value)]);
        // A client that leaves while it waits takes nothing along.
        client.raw(b"BLPOP list 0\r\n");
        eventually("the client waits", || info(&mut other, "clients").contains("\r\nblocked_clients:1\r\n"));
        drop(client);
        eventually("the client is gone", || info(&mut other, "clients").contains("\r\nblocked_clients:0\r\n"));
        assert_eq!(other.say("RPUSH list element"), Reply::Integer(1));
    });
}

/// Connects without a handshake.
fn naked(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn what_is_no_tls_is_closed_and_harms_nobody() {
    on_each_driver("garbage", &[], |files, server, port| {
        let mut good = files.client().connect(port);
        assert_eq!(good.say("PING"), pong());
        let flood = vec![0x16; 300_000];
        let long = [&[0x16, 3, 1, 0x40, 0][..], &[0; 20_000]].concat();
        for bytes in [b"PING\r\n".as_slice(), b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0", &flood, &long]
        {
            let mut stream = naked(port);
            // The server may have closed before it has everything.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            // An alert at most (RFC 8446, section 5.1: type 21), and no word of the protocol.
            assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
        }
        // An alert tells a client whose versions are too old what is wrong; see also the certificates of clients.
        drop(naked(port));
        assert_eq!(good.say("PING"), pong());
        eventually("all others are gone", || info(&mut good, "clients").contains("\r\nconnected_clients:1\r\n"));
        assert!(server.log().lines().all(|line| !line.contains("ERROR")), "{}", server.log());
    });
}

#[test]
fn a_client_too_many_is_closed_without_a_word() {
    on_each_driver("many", &["--maxclients", "1"], |files, _, port| {
        let mut first = files.client().connect(port);
        assert_eq!(first.say("PING"), pong());
        let mut rest = Vec::new();
        let _ = naked(port).read_to_end(&mut rest);
        assert_eq!(rest, b"");
        assert!(info(&mut first, "stats").contains("\r\nrejected_connections:1\r\n"));
        drop(first);
        eventually("there is room again", || {
            let mut next = files.client().connect(port);
            next.try_raw(b"PING\r\n").is_ok() && next.try_reply().is_ok()
        });
    });
}

#[test]
fn damaged_records_end_the_connection_by_an_alert() {
    on_each_driver("damaged", &[], |files, _, port| {
        let mut client = files.client().connect(port);
        assert_eq!(client.say("PING"), pong());
        client.tls().sock.write_all(&[23, 3, 3, 0, 32]).unwrap();
        client.tls().sock.write_all(&[0; 32]).unwrap();
        let error = client.try_reply().unwrap_err().to_string();
        assert!(error.contains("BadRecordMac"), "{error}");
    });
}

#[test]
fn a_client_that_begins_nothing_has_ten_seconds() {
    on_each_driver("silent", &[], |files, _, port| {
        let begun = Instant::now();
        let mut silent = naked(port);
        silent.write_all(&[0x16, 3, 1]).unwrap();
        assert_eq!(files.client().connect(port).say("PING"), pong());
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest);
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_secs(9) && passed < Duration::from_secs(16), "{passed:?}");
    });
}

#[test]
fn clients_show_certificates_as_they_have_to() {
    let (files, strangers) = (Files::new("mutual"), Files::new("strangers"));
    files.sign("client");
    strangers.sign("client");
    for (auth, none, bad) in [("yes", false, false), ("optional", true, false), ("no", true, true)] {
        let (_server, port) = files.serve(&["--tls-auth-clients", auth]);
        for versions in [&NEW, &OLD] {
            let speak = |client: &mut Client| client.try_raw(b"PING\r\n").and_then(|()| client.try_reply());
            let behaviour = files.client().versions(versions);
            assert_eq!(speak(&mut behaviour.showing(&files, "client").connect(port)).unwrap(), pong(), "{auth}");
            let told = speak(&mut behaviour.connect(port));
            assert_eq!(told.is_ok(), none, "{auth}: {told:?}");
            assert!(none || told.unwrap_err().to_string().contains("CertificateRequired") || versions == &OLD);
            let told = speak(&mut behaviour.showing(&strangers, "client").connect(port));
            assert_eq!(told.is_ok(), bad, "{auth}: {told:?}");
            let alerts = ["UnknownCA", "BadCertificate", "DecryptError", "CertificateUnknown"];
            assert!(bad || alerts.iter().any(|alert| format!("{told:?}").contains(alert)), "{told:?}");
        }
    }
}

#[test]
fn certificates_are_renewed_for_clients_to_come() {
    on_each_driver("reload", &["--workers", "2"], |files, server, port| {
        let shown = |client: &mut Client| {
            assert_eq!(client.say("PING"), pong());
            client.tls().conn.peer_certificates().unwrap()[0].clone().into_owned()
        };
        let first = files.certificate("server.crt");
        let mut old = files.client().connect(port);
        assert_eq!(shown(&mut old), first);
        // The same names with other contents.
        files.sign("server");
        assert_eq!(shown(&mut files.client().connect(port)), first);
        let [certificate, key] = ["server.crt", "server.key"].map(|name| files.path(name));
        assert_eq!(old.call(&["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key]), Reply::ok());
        assert_eq!(shown(&mut files.client().connect(port)), files.certificate("server.crt"));
        // Other names, one after the other: the first alone does not fit.
        files.sign("other");
        let mut operator = server.client();
        let refused = "ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - Unable to update TLS \
                       configuration. Check server logs.";
        for file in ["other.crt", "nosuch.crt", "server.key"] {
            let reply = operator.call(&["CONFIG", "SET", "tls-cert-file", &files.path(file)]);
            assert_eq!(reply.error_text(), refused, "{file}");
        }
        server.await_log("is not that of the certificate");
        let found = operator.say("CONFIG GET tls-cert-file");
        assert_eq!(found, Reply::Array(vec![Reply::bulk("tls-cert-file"), Reply::bulk(&certificate)]));
        assert_eq!(shown(&mut files.client().connect(port)), files.certificate("server.crt"));
        // From now on clients have to show one.
        assert_eq!(operator.say("CONFIG SET tls-auth-clients yes"), Reply::ok());
        assert!(
            files.client().connect(port).try_raw(b"PING\r\n").is_err() || {
                let mut client = files.client().connect(port);
                let _ = client.try_raw(b"PING\r\n");
                client.try_reply().is_err()
            }
        );
        assert_eq!(shown(&mut files.client().showing(files, "other").connect(port)), files.certificate("server.crt"));
        assert_eq!(old.say("PING"), pong());
        // What an earlier round has changed is as it was for the next driver.
        files.sign("server");
    });
}

#[test]
fn versions_and_ciphers_are_those_of_the_settings() {
    let files = Files::new("choices");
    let suite = "TLS_CHACHA20_POLY1305_SHA256";
    let (_server, port) =
        files.serve(&["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3", "--tls-ciphersuites", suite]);
    let mut client = files.client().connect(port);
    assert_eq!(client.say("PING"), pong());
    let chosen = client.tls().conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(format!("{chosen:?}"), "TLS13_CHACHA20_POLY1305_SHA256");
    let mut old = files.client().versions(&OLD).connect(port);
    let error = old.try_raw(b"PING\r\n").and_then(|()| old.try_reply()).unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
}

#[test]
fn the_end_of_the_server_is_told() {
    on_each_driver("end", &[], |files, server, port| {
        let mut client = files.client().connect(port);
        let value = "x".repeat(1 << 20);
        assert_eq!(client.call(&["SET", "k", &value]), Reply::ok());
        client.raw(b"GET k\r\n");
        let mut unbegun = naked(port);
        server.signal("TERM");
        assert_eq!(client.reply(), Reply::bulk(&value));
        assert_eq!(client.rest(), b"");
        let mut rest = Vec::new();
        let _ = unbegun.read_to_end(&mut rest);
        assert_eq!(server.wait().code(), Some(0));
    });
}

#[test]
fn a_server_without_its_files_does_not_start() {
    let files = Files::new("start");
    files.sign("other");
    let [cert, key] = ["server.crt", "other.key"].map(|name| files.path(name));
    for (flags, words) in [
        (vec!["--tls-port", "1"], "tls-port needs the server's certificate"),
        (vec!["--tls-port", "1", "--tls-cert-file", &cert, "--tls-key-file", &key], "certificates of clients need"),
        (
            vec!["--tls-port", "1", "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"],
            "is not that of the certificate",
        ),
        (
            vec!["--tls-port", "1", "--tls-cert-file", "/none", "--tls-key-file", &key, "--tls-auth-clients", "no"],
            "cannot read /none",
        ),
        (vec!["--tls-key-file-pass", "x"], "a key must not be encrypted"),
        (vec!["--tls-protocols", "TLSv1.1"], "argument(s) must be one of the following: TLSv1.2, TLSv1.3"),
    ] {
        let Err(refused) = Server::try_start(&flags) else { panic!("it started: {flags:?}") };
        assert!(refused.log.contains(words), "{flags:?}: {}", refused.log);
    }
}
