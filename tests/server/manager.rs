//! The server under a service manager: readiness, watchdog, sockets that are handed over, and credentials.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::support::{Client, DRIVERS, Reply, Server, scratch, skip};

#[test]
fn a_worker_that_stands_still_silences_the_watchdog() {
    let path = scratch("manager");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut server = Server::launch(&["--workers", "1"], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "900000");
    })
    .unwrap();
    let hear = |patience: u64| {
        manager.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
        let mut state = [0; 64];
        manager.recv(&mut state).ok().map(|len| String::from_utf8_lossy(&state[..len]).into_owned())
    };
    assert_eq!(hear(20_000).as_deref(), Some("READY=1"));
    assert_eq!(hear(20_000).as_deref(), Some("WATCHDOG=1"));
    let mut client = server.client();
    client.raw(b"DEBUG SLEEP 4\r\n");
    std::thread::sleep(Duration::from_millis(1500));
    while hear(1).is_some() {}
    assert_eq!(hear(1200), None, "a worker sleeps, and the service manager is told that all is well");
    server.await_log("worker 0 makes no progress");
    assert_eq!(client.reply(), Reply::ok());
    assert_eq!(hear(20_000).as_deref(), Some("WATCHDOG=1"));
    server.signal("TERM");
    let mut last = hear(20_000);
    while last.as_deref() == Some("WATCHDOG=1") {
        last = hear(20_000);
    }
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert_eq!(server.wait().code(), Some(0));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_credential_is_a_password() {
    let folder = scratch("credentials");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("requirepass"), "open sesame\n").unwrap();
    let server = Server::launch::<&str>(&[], |command| {
        command.env("CREDENTIALS_DIRECTORY", &folder);
    })
    .unwrap();
    let mut client = server.client();
    assert!(client.say("PING").error_text().starts_with("NOAUTH"));
    assert_eq!(client.call(&["AUTH", "open sesame"]), Reply::ok());
    assert_eq!(client.say("PING"), Reply::Simple("PONG".into()));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_connection_is_refused_over_a_restart() {
    for driver in DRIVERS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Some(mut first) = activated(&listener, driver) else { continue };
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(port)).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.say("PING"), Reply::Simple("PONG".into())));
        first.signal("TERM");
        assert_eq!(first.wait().code(), Some(0));
        let mut waiting: Vec<Client> = (0..8).map(|_| Client::connect(port)).collect();
        waiting.iter_mut().for_each(|client| client.raw(b"PING\r\n"));
        let mut second = activated(&listener, driver).unwrap();
        waiting.iter_mut().for_each(|client| assert_eq!(client.reply(), Reply::Simple("PONG".into())));
        drop(waiting);
        second.signal("TERM");
        assert_eq!(second.wait().code(), Some(0));
    }
}

#[test]
fn who_comes_during_a_restart_is_answered_by_one_server_or_the_next() {
    for driver in DRIVERS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Some(mut server) = activated(&listener, driver) else { continue };
        let ended = AtomicBool::new(false);
        let (answered, lost) = std::thread::scope(|scope| {
            let comers: Vec<_> = (0..4).map(|_| scope.spawn(|| keep_coming(address, &ended))).collect();
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(150));
                server.signal("TERM");
                assert_eq!(server.wait().code(), Some(0));
                server = activated(&listener, driver).unwrap();
            }
            ended.store(true, Ordering::Relaxed);
            let outcomes = comers.into_iter().map(|comer| comer.join().unwrap());
            outcomes
                .fold((0, Vec::new()), |(answered, lost), (more, others)| (answered + more, [lost, others].concat()))
        });
        assert!(answered > 20 && lost.is_empty(), "{driver}: {answered} answered, lost: {lost:?}");
    }
}

/// Connects and asks, again and again: how many were answered, and what became of the others. One that took long to ask does not
/// count: a server that ends does not wait for it.
fn keep_coming(address: SocketAddr, ended: &AtomicBool) -> (u32, Vec<String>) {
    let (mut answered, mut lost) = (0, Vec::new());
    while !ended.load(Ordering::Relaxed) {
        let began = Instant::now();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.write_all(b"PING\r\n")?;
            Ok(stream)
        });
        let is_quick = began.elapsed() < Duration::from_millis(30);
        let mut reply = [0; 7];
        match asked.and_then(|mut stream| stream.read_exact(&mut reply)) {
            Ok(()) => answered += u32::from(&reply == b"+PONG\r\n"),
            Err(error) if is_quick => lost.push(error.to_string()),
            Err(_) => (),
        }
    }
    (answered, lost)
}

/// A server that is handed the listener as systemd hands it over; `None` where this machine lacks the driver.
fn activated(listener: &TcpListener, driver: &str) -> Option<Server> {
    fcntl(listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut command = Command::new("bash");
    let script = format!("exec 3<&{}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"", listener.as_raw_fd());
    command.args(["-c", &script, env!("CARGO_BIN_EXE_roster"), "--port", "1", "--workers", "2", "--io-driver", driver]);
    match Server::spawn(command, listener.local_addr().unwrap().port()) {
        Ok(server) => Some(server),
        Err(refused) if driver == "uring" && refused.log.contains("io_uring") => {
            skip(&format!("not tested on io_uring: {}", refused.log));
            None
        }
        Err(refused) => panic!("the server did not start: {}", refused.log),
    }
}
