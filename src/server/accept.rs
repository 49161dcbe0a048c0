//! Accepting: from a listener to a connection's task, or to a refusal.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use monoio::io::{CancelHandle, Splitable};
use monoio::net::{TcpListener, TcpStream, UnixListener};
use nix::sys::socket::{MsgFlags, send};

use super::connection::Connection;
use super::hub::{Hub, Stay};
use super::task;
use super::tls::{self, Tls, TlsInlet, TlsOutlet};
use super::transport::{Inlet, Outlet};
use crate::command::unix_ms;
use crate::config::Settings;
use crate::session::{Arrival, Client, Transport};
use crate::telemetry;

/// What Redis says, byte for byte, to a client from elsewhere while there is no password.
const DENIED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set \
for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from \
external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the \
command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server \
is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make \
this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, \
and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just \
for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default \
user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the \
outside.\r\n";

/// What Redis says to a client too many.
const TOO_MANY: &str = "-ERR max number of clients reached\r\n";

/// How long a worker leaves a listener alone that it cannot accept from.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves a TCP listener until the server ends. Its clients speak TLS if `tls` is given.
///
/// A listener of ours is shut down at the end. One of the service manager's is not: with a handle to cancel an accept by, whoever the
/// accept had already taken is served, because the next server will never see that client.
pub(super) async fn serve_tcp(
    hub: Rc<Hub>,
    listener: TcpListener,
    tls: Option<&'static Tls>,
    cancel: Option<CancelHandle>,
) {
    let pace = Pace::default();
    let own = listener.local_addr().ok();
    loop {
        let accepted = match &cancel {
            None => listener.accept().await,
            Some(cancel) => listener.cancelable_accept(cancel.clone()).await,
        };
        match accepted {
            Ok(_) if cancel.is_none() && hub.node.shutdown.is_requested() => return,
            Ok((stream, peer)) => {
                admit_tcp(&hub, stream, peer, own, tls);
                pace.take_turns(&hub).await;
            }
            Err(_) if hub.node.shutdown.is_requested() => return,
            Err(error) => pace.meet(&error).await,
        }
    }
}

/// Serves a unix listener until the server ends, as [`serve_tcp`] does.
pub(super) async fn serve_unix(hub: Rc<Hub>, listener: UnixListener, path: String, cancel: Option<CancelHandle>) {
    let pace = Pace::default();
    loop {
        let accepted = match &cancel {
            None => listener.accept().await,
            Some(cancel) => listener.cancelable_accept(cancel.clone()).await,
        };
        match accepted {
            Ok(_) if cancel.is_none() && hub.node.shutdown.is_requested() => return,
            Ok((stream, _)) => {
                let address = format!("{path}:0");
                let arrival = arrival(&hub, address.clone(), address, Transport::Unix, stream.as_raw_fd());
                if let Some(guest) = admit(&hub, &stream, arrival, true) {
                    guest.serve(&hub, stream.into_split());
                }
                pace.take_turns(&hub).await;
            }
            Err(_) if hub.node.shutdown.is_requested() => return,
            Err(error) => pace.meet(&error).await,
        }
    }
}

fn admit_tcp(hub: &Rc<Hub>, stream: TcpStream, peer: SocketAddr, own: Option<SocketAddr>, tls: Option<&'static Tls>) {
    let settings = hub.node.config.current();
    if settings.protected_mode && !is_loopback(peer.ip()) && hub.node.acl.default_user().has_no_password() {
        refuse(hub, &stream, DENIED, tls.is_none());
        return;
    }
    tune(&stream, &settings);
    // Only a listener on all addresses leaves open at which of them the client arrived.
    let local = own.filter(|own| !own.ip().is_unspecified()).or_else(|| stream.local_addr().ok());
    let local = local.map_or_else(String::new, |local| local.to_string());
    let arrival = arrival(hub, peer.to_string(), local, Transport::Tcp, stream.as_raw_fd());
    let Some(guest) = admit(hub, &stream, arrival, tls.is_none()) else { return };
    match tls {
        None => guest.serve(hub, stream.into_split()),
        Some(tls) => match tls::halves(stream, tls, hub) {
            Ok(halves) => guest.greet(hub, halves),
            Err(error) => tracing::error!("a client cannot be served by TLS: {error}"),
        },
    }
}

/// Sets what a TCP connection needs. It may have been reset already; then its first read says so.
fn tune(stream: &TcpStream, settings: &Settings) {
    let _ = stream.set_nodelay(true);
    if settings.tcp_keepalive > 0 {
        let idle = Duration::from_secs(settings.tcp_keepalive.into());
        // As in Redis, a silent client is given up after about twice the time: three probes, a third of it apart.
        let interval = Duration::from_secs((settings.tcp_keepalive / 3).max(1).into());
        let _ = stream.set_tcp_keepalive(Some(idle), Some(interval), Some(3));
    }
}

fn arrival(hub: &Hub, address: String, local_address: String, transport: Transport, socket: i32) -> Arrival {
    let worker = hub.worker.borrow().number();
    Arrival { address, local_address, transport, worker, now_ms: unix_ms(), socket }
}

/// A client that was let in.
struct Guest {
    client: Client,
    stay: Stay,
}

/// Lets a client in if there is room. Who is not hears why, if it speaks `plain`ly.
fn admit(hub: &Rc<Hub>, stream: &impl AsRawFd, arrival: Arrival, plain: bool) -> Option<Guest> {
    let settings = hub.node.config.current();
    let Some(info) = hub.node.registry.register(arrival, settings.maxclients as usize) else {
        refuse(hub, stream, TOO_MANY, plain);
        return None;
    };
    telemetry::add(&hub.counters.connections, 1);
    let client = Client::new(info.clone(), &hub.node.acl);
    Some(Guest { client, stay: hub.admit(info) })
}

impl Guest {
    /// Serves it in a task of its own.
    fn serve<I: Inlet, O: Outlet>(self, hub: &Rc<Hub>, halves: (I, O)) {
        let info = self.client.info.clone();
        let connection = Box::new(Connection::new(halves, hub.clone(), self.client, self.stay));
        task::spawn(connection.serve(), move || format!("client {} at {}", info.id, info.address));
    }

    /// The same after a handshake.
    fn greet(self, hub: &Rc<Hub>, halves: (TlsInlet, TlsOutlet)) {
        let info = self.client.info.clone();
        let connection = Box::new(Connection::new(halves, hub.clone(), self.client, self.stay));
        task::spawn(connection.greet_and_serve(), move || format!("client {} at {}", info.id, info.address));
    }
}

/// Turns a client away. It hears why as far as its socket takes the text at once, and if it speaks `plain`ly: before a
/// handshake there are no words that a client of TLS understands.
fn refuse(hub: &Hub, stream: &impl AsRawFd, text: &str, plain: bool) {
    telemetry::add(&hub.counters.rejected_connections, 1);
    if plain {
        let _ = send(stream.as_raw_fd(), text.as_bytes(), MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Clients that are accepted in a row before the others of the thread have their turn: on epoll a flood of connections
/// would else keep it.
const TURN: u32 = 16;

/// The pace of one listener.
#[derive(Default)]
struct Pace {
    accepted: Cell<u32>,
    logged_ms: Cell<u64>,
}

impl Pace {
    async fn take_turns(&self, hub: &Hub) {
        self.accepted.set(self.accepted.get() + 1);
        if self.accepted.get() >= TURN {
            self.accepted.set(0);
            hub.fair.give_way().await;
        }
    }

    /// Waits after a failure of accept, and logs it, once a second at most.
    async fn meet(&self, error: &io::Error) {
        let code = error.raw_os_error();
        // The client left before it was accepted, or a signal came: the next one may be there already.
        if matches!(code, Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO)) {
            return;
        }
        let now = unix_ms();
        if now.saturating_sub(self.logged_ms.get()) >= 1000 {
            self.logged_ms.set(now);
            match code {
                Some(libc::EMFILE | libc::ENFILE) => tracing::warn!(
                    "clients wait to be accepted, because there is no file descriptor left ({error}): raise ulimit -n \
                     (LimitNOFILE= under systemd) or lower maxclients"
                ),
                _ => tracing::warn!("cannot accept a client: {error}"),
            }
        }
        monoio::time::sleep(BACK_OFF).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses() {
        for (ip, expected) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.0.0.1", false)]
        {
            assert_eq!(is_loopback(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
