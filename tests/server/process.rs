//! How the process starts, what it refuses, and how it ends.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::client::command;
use crate::support::{Client, DRIVERS, PATIENCE, Reply, Server, forbid, free_port, on_each_driver, scratch, skip};

#[test]
fn a_signal_lets_clients_finish() {
    on_each_driver(&[], |server| {
        let mut idle = server.client();
        assert_eq!(idle.call(&["SET", "k", &"v".repeat(50_000)]), Reply::ok());
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.say("GET nothing"), Reply::Null));
        // Far more replies than fit into the sockets' buffers, so that the server is in the midst of them.
        clients.iter_mut().for_each(|client| client.raw(&b"GET k\r\n".repeat(400)));
        server.signal("TERM");
        server.await_log("finishing what clients have sent");
        for client in &mut clients {
            (0..400).for_each(|_| assert_eq!(client.reply(), Reply::bulk("v".repeat(50_000))));
            assert_eq!(client.rest(), b"");
        }
        assert_eq!(idle.rest(), b"");
        assert_eq!(server.wait().code(), Some(0));
        assert!(std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err());
    });
}

#[test]
fn idle_clients_do_not_delay_the_end() {
    on_each_driver(&[], |server| {
        let clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
        let start = Instant::now();
        server.signal("INT");
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
        drop(clients);
    });
}

#[test]
fn a_client_that_does_not_read_delays_the_end_by_the_timeout_only() {
    on_each_driver(&["--shutdown-timeout", "1"], |server| {
        let _stuck = stuck(server);
        let start = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() >= Duration::from_secs(1), "it took {:?}", start.elapsed());
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    on_each_driver(&["--shutdown-timeout", "1000"], |server| {
        let _stuck = stuck(server);
        server.signal("TERM");
        server.await_log("finishing what clients have sent");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(1));
    });
}

/// A client with replies under way that it does not read.
fn stuck(server: &Server) -> Client {
    let mut client = server.client();
    assert_eq!(client.call(&["SET", "big", &"x".repeat(32 << 20)]), Reply::ok());
    client.raw(b"GET big\r\nGET big\r\n");
    std::thread::sleep(Duration::from_millis(100));
    client
}

#[test]
fn the_end_may_be_asked_for_before_all_workers_listen() {
    for driver in DRIVERS {
        let port = free_port();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_roster"));
        // The first workers serve while the last are being started.
        command.args([
            "--port",
            &port.to_string(),
            "--workers",
            "48",
            "--io-driver",
            driver,
            "--shutdown-timeout",
            "1000",
        ]);
        let early = std::thread::spawn(move || {
            let start = Instant::now();
            loop {
                match std::net::TcpStream::connect(("127.0.0.1", port)) {
                    Ok(mut stream) => return stream.write_all(b"SHUTDOWN NOSAVE\r\n").unwrap(),
                    Err(_) if start.elapsed() > PATIENCE => panic!("nobody listens"),
                    Err(_) => std::hint::spin_loop(),
                }
            }
        });
        let server = Server::spawn(command, port);
        early.join().unwrap();
        match server {
            Ok(mut server) => assert_eq!(server.wait().code(), Some(0)),
            Err(refused) if refused.log.contains("io_uring") => skip(&refused.log),
            // It had ended before anybody looked.
            Err(refused) => assert_eq!(refused.status.code(), Some(0), "{}", refused.log),
        }
    }
}

#[test]
fn hang_up_is_ignored() {
    on_each_driver(&[], |server| {
        server.signal("HUP");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(server.client().say("GET k"), Reply::Null);
    });
}

#[test]
fn the_unix_socket_has_its_mode_and_goes_with_the_server() {
    let path = scratch("socket");
    for (mode, driver) in [("700", DRIVERS[0]), ("777", DRIVERS[1])] {
        let flags = ["--io-driver", driver, "--unixsocket", path.to_str().unwrap(), "--unixsocketperm", mode];
        let mut server = match Server::try_start(&flags) {
            Ok(server) => server,
            Err(refused) => return crate::support::skip(&refused.log),
        };
        let permissions = std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(format!("{permissions:o}"), mode);
        let mut client = Client::connect_unix(&path).unwrap();
        let mut batch = command(&["SET", "k", "v"]);
        batch.extend(command(&["GET", "k"]));
        client.raw(&batch);
        assert_eq!([client.reply(), client.reply()], [Reply::ok(), Reply::bulk("v")]);
        let refused = Server::try_start(&flags).err().unwrap();
        assert!(refused.log.contains("another server does"), "{}", refused.log);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(client.rest(), b"");
        assert!(!path.exists());
    }
}

#[test]
fn only_a_dead_server_s_socket_is_replaced() {
    let path = scratch("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let flags = ["--unixsocket", path.to_str().unwrap()];
    let mut server = Server::start(&flags);
    assert_eq!(Client::connect_unix(&path).unwrap().say("GET k"), Reply::Null);
    server.signal("TERM");
    server.wait();
    std::fs::write(&path, "precious").unwrap();
    let refused = Server::try_start(&flags).err().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    assert!(refused.log.contains("a file that is no socket"), "{}", refused.log);
}

#[test]
fn an_address_in_use_is_named() {
    for workers in ["1", "2"] {
        let server = Server::start(&["--workers", workers]);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_roster"));
        command.args(["--port", &server.port.to_string(), "--workers", workers]);
        let refused = Server::spawn(command, server.port).err().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let text = format!("cannot listen on 127.0.0.1:{}", server.port);
        assert!(refused.log.contains(&text) && refused.log.contains("choose another port"), "{}", refused.log);
    }
}

#[test]
fn an_address_of_another_machine_is_refused_unless_optional() {
    let refused = Server::try_start(&["--bind", "127.0.0.1", "192.0.2.77"]).err().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.log.contains("write -192.0.2.77 to go without it"), "{}", refused.log);
    let server = Server::start(&["--bind", "127.0.0.1", "-192.0.2.77"]);
    assert_eq!(server.client().say("GET k"), Reply::Null);
    let refused = Server::try_start(&["--bind", "-192.0.2.77"]).err().unwrap();
    assert!(refused.log.contains("none of the addresses"), "{}", refused.log);
}

#[test]
fn where_io_uring_is_forbidden_auto_serves_by_epoll_and_uring_does_not_start() {
    for (errno, text) in [(libc::EPERM, "seccomp"), (libc::ENOSYS, "use Linux 5.11 or newer")] {
        let sandbox = |command: &mut std::process::Command| forbid(command, libc::SYS_io_uring_setup, errno);
        let refused = Server::launch(&["--io-driver", "uring"], sandbox).err().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.log.contains(text) && refused.log.contains("io-driver"), "{}", refused.log);
        let server =
            Server::launch(&["--io-driver", "auto"], sandbox).unwrap_or_else(|refused| panic!("{}", refused.log));
        assert!(server.log().contains("serving by epoll") && server.log().contains(text), "{}", server.log());
        assert_eq!(server.client().say("SET k v"), Reply::ok());
    }
}

#[test]
fn every_kind_of_ring_serves() {
    for flags in [
        &["--task-run", "none"][..],
        &["--task-run", "defer"],
        &["--sqpoll", "yes", "--sqpoll-idle", "10", "--maxclients", "100", "--ring-entries", "256"],
        &["--ring-entries", "256", "--workers", "1"],
    ] {
        let mut all = vec!["--io-driver", "uring"];
        all.extend(flags);
        let server = match Server::try_start(&all) {
            Ok(server) => server,
            Err(refused) => return crate::support::skip(&refused.log),
        };
        // With more clients at once than the smallest ring has entries.
        let count = if flags.contains(&"100") { 100 } else { 600 };
        let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
        for round in 0..3 {
            clients.iter_mut().for_each(|client| client.raw(format!("SET k {round}\r\n").as_bytes()));
            clients.iter_mut().for_each(|client| assert_eq!(client.reply(), Reply::ok()));
        }
    }
}

#[test]
fn a_low_limit_of_files_lowers_maxclients() {
    // More than the kernel grants anybody (fs.nr_open).
    let server = Server::start(&["--maxclients", "4000000000"]);
    assert!(server.log().contains("instead of 4000000000"), "{}", server.log());
    assert_eq!(server.client().say("GET k"), Reply::Null);
}

#[test]
fn settings_that_cannot_be_read_end_with_status_2() {
    let refused = Server::try_start(&["--io-driver", "magic"]).err().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.log.contains("io-driver"), "{}", refused.log);
}
