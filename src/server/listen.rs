//! Binding: TCP addresses, of which every worker gets a listener of its own, and the unix socket, which they share.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::{Addresses, Settings};
use crate::host::sockets::{self, Inherited};

/// The listeners of one worker, bound and listening, not yet known to its driver.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) tcp: Vec<TcpListener>,
    /// Those whose clients speak TLS.
    pub(super) tls: Vec<TcpListener>,
    pub(super) unix: Option<UnixListener>,
    /// Whether they are the service manager's, which goes on listening when this server has ended.
    pub(super) inherited: bool,
}

/// What the server listens on.
#[derive(Debug)]
pub(super) struct Bound {
    /// One for each worker.
    pub(super) workers: Vec<Listeners>,
    /// The TCP addresses.
    pub(super) addresses: Vec<SocketAddr>,
    /// The unix socket's file.
    pub(super) socket_file: Option<SocketFile>,
}

/// The file of the unix socket, by its identity, so that only ours is removed at the end.
#[derive(Clone, Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Removes the file, unless somebody else has put another one in its place.
    pub(super) fn remove(&self) {
        if identity(&self.path).is_some_and(|found| found == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds everything for `workers` workers. The sockets do not block if `nonblocking`, as epoll needs it; a ring must
/// have sockets that block, or its operations would fail instead of waiting.
///
/// # Errors
/// A sentence that names the address and the remedy.
pub(super) fn bind(settings: &Settings, workers: usize, nonblocking: bool) -> Result<Bound, String> {
    let mut bound = Bound {
        workers: (0..workers).map(|_| Listeners::default()).collect(),
        addresses: Vec::new(),
        socket_file: None,
    };
    let inherited =
        sockets::take().map_err(|error| format!("the service manager's sockets cannot be used: {error}"))?;
    if !inherited.is_empty() {
        adopt(&mut bound, inherited, nonblocking, settings.tls_port)
            .map_err(|error| format!("the service manager's sockets cannot be used: {error}"))?;
        return Ok(bound);
    }
    let port = Port { bind: &settings.bind, of: "bind", number: settings.port, name: "port" };
    for (address, listeners) in port.listen(|address| tcp(address, settings.tcp_backlog, workers, nonblocking))? {
        bound.addresses.push(address);
        bound.workers.iter_mut().zip(listeners).for_each(|(worker, listener)| worker.tcp.push(listener));
    }
    let port = Port { number: settings.tls_port, name: "tls-port", ..port };
    for (address, listeners) in port.listen(|address| tcp(address, settings.tcp_backlog, workers, nonblocking))? {
        bound.addresses.push(address);
        bound.workers.iter_mut().zip(listeners).for_each(|(worker, listener)| worker.tls.push(listener));
    }
    let path = &settings.unixsocket;
    if !path.as_os_str().is_empty() {
        let failure = |error: io::Error| unix_failure(path, &error);
        let listener = unix(path, settings)?;
        listener.set_nonblocking(nonblocking).map_err(failure)?;
        for worker in &mut bound.workers {
            worker.unix = Some(listener.try_clone().map_err(failure)?);
        }
        bound.socket_file = identity(path).map(|identity| SocketFile { path: path.clone(), identity });
    }
    Ok(bound)
}

/// Takes the sockets that the service manager listens on (LISTEN_FDS) in place of those of the settings. All workers share
/// each, since only its owner can open more of them on the same address. One on `tls_port` is for TLS.
fn adopt(bound: &mut Bound, inherited: Vec<Inherited>, nonblocking: bool, tls_port: u16) -> io::Result<()> {
    bound.workers.iter_mut().for_each(|worker| worker.inherited = true);
    for socket in inherited {
        match socket {
            Inherited::Tcp(listener) => {
                listener.set_nonblocking(nonblocking)?;
                let address = listener.local_addr()?;
                bound.addresses.push(address);
                for worker in &mut bound.workers {
                    let clients = if address.port() == tls_port { &mut worker.tls } else { &mut worker.tcp };
                    clients.push(listener.try_clone()?);
                }
            }
            Inherited::Unix(listener) => {
                listener.set_nonblocking(nonblocking)?;
                for worker in &mut bound.workers {
                    worker.unix = Some(listener.try_clone()?);
                }
            }
        }
    }
    Ok(())
}

/// Binds what the status page and its like are served on. These listeners do not block.
///
/// # Errors
/// A sentence that names the address and the remedy.
pub(super) fn bind_http(settings: &Settings) -> Result<Vec<(SocketAddr, TcpListener)>, String> {
    let port = Port { bind: &settings.http_bind, of: "http-bind", number: settings.http_port, name: "http-port" };
    let bound = port.listen(|address| tcp(address, settings.tcp_backlog, 1, true))?;
    Ok(bound
        .into_iter()
        .flat_map(|(address, listeners)| listeners.into_iter().map(move |one| (address, one)))
        .collect())
}

/// A port on its addresses, with the settings that say so.
struct Port<'a> {
    bind: &'a Addresses,
    of: &'static str,
    number: u16,
    name: &'static str,
}

impl Port<'_> {
    /// Opens listeners on all addresses; on none if the port is 0.
    fn listen<T>(&self, open: impl Fn(SocketAddr) -> io::Result<T>) -> Result<Vec<(SocketAddr, T)>, String> {
        let mut opened = Vec::new();
        if self.number == 0 || self.bind.0.is_empty() {
            return Ok(opened);
        }
        for (address, optional) in self.addresses()? {
            match open(address) {
                Ok(listeners) => opened.push((address, listeners)),
                Err(error) if optional && is_absent(&error) => (),
                Err(error) => return Err(self.failure(address, &error)),
            }
        }
        if opened.is_empty() {
            let of = self.of;
            return Err(format!(
                "none of the addresses of the setting {of} exists on this machine; give one that does"
            ));
        }
        Ok(opened)
    }

    /// The socket addresses, each with whether the server starts without it.
    fn addresses(&self) -> Result<Vec<(SocketAddr, bool)>, String> {
        let mut found: Vec<(SocketAddr, bool)> = Vec::new();
        for address in &self.bind.0 {
            let resolved = match address.resolve(self.number) {
                Ok(resolved) => resolved,
                Err(_) if address.optional => continue,
                Err(error) => {
                    return Err(format!("cannot look up {} of the setting {}: {error}", address.host, self.of));
                }
            };
            for one in resolved {
                if found.iter().all(|(other, _)| *other != one) {
                    found.push((one, address.optional));
                }
            }
        }
        Ok(found)
    }

    fn failure(&self, address: SocketAddr, error: &io::Error) -> String {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another server listens there: stop it, or choose another port".to_owned(),
            io::ErrorKind::AddrNotAvailable => format!(
                "this machine does not have the address: correct {}, or write -{} to go without it",
                self.of,
                host(address.ip())
            ),
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= under systemd)".to_owned()
            }
            _ => format!("check {} and {}", self.of, self.name),
        };
        format!("cannot listen on {address}: {error}; {remedy}")
    }
}

/// Listeners on one address, one for each worker.
fn tcp(address: SocketAddr, backlog: u32, workers: usize, nonblocking: bool) -> io::Result<Vec<TcpListener>> {
    let shared = workers > 1;
    if shared {
        // With SO_REUSEPORT the kernel would let a second server of the same user take half of our connections without a
        // word. A bind without it fails if anybody listens there already.
        drop(open(address, false)?);
    }
    (0..workers)
        .map(|_| {
            let socket = open(address, shared)?;
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
            socket.set_nonblocking(nonblocking)?;
            Ok(socket.into())
        })
        .collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // As in Redis, an IPv6 address is IPv6 only, so that `*` and `::*` do not contend for one port.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether this machine merely lacks the address or its family.
fn is_absent(error: &io::Error) -> bool {
    let absent =
        [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::EPFNOSUPPORT, libc::ESOCKTNOSUPPORT, libc::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| absent.contains(&code))
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(ip) if ip.is_unspecified() => "::*".to_owned(),
        IpAddr::V4(ip) if ip.is_unspecified() => "*".to_owned(),
        ip => ip.to_string(),
    }
}

fn unix(path: &Path, settings: &Settings) -> Result<UnixListener, String> {
    let failure = |error: io::Error| unix_failure(path, &error);
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).map_err(failure)?;
    let address = SockAddr::unix(path).map_err(failure)?;
    // The kernel makes the file with mode 0777 less the umask. Changing the mode afterwards would leave a moment in which
    // strangers can connect. The umask is the whole process's, which at this point has no other threads that make files.
    let permissions = settings.unixsocketperm.0;
    let before = (permissions != 0).then(|| umask(Mode::from_bits_truncate(!permissions & 0o777)));
    let result = socket.bind(&address);
    if let Some(before) = before {
        umask(before);
    }
    result.map_err(failure)?;
    socket.listen(i32::try_from(settings.tcp_backlog).unwrap_or(i32::MAX)).map_err(failure)?;
    Ok(socket.into())
}

/// Makes way for the socket: removes the file that a server has left which does not live any more.
fn remove_stale(path: &Path) -> Result<(), String> {
    let Ok(file) = path.symlink_metadata() else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err(format!("cannot listen on {}: a file that is no socket is there; move it away", path.display()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(format!(
            "cannot listen on {}: another server does; stop it, or choose another unixsocket",
            path.display()
        ));
    }
    std::fs::remove_file(path).map_err(|error| unix_failure(path, &error))
}

fn unix_failure(path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist: make it (RuntimeDirectory= under systemd)",
        io::ErrorKind::PermissionDenied => "its folder may not be written to: change its owner, or choose another",
        io::ErrorKind::InvalidInput => "the path is longer than 107 bytes: choose a shorter one",
        _ => "check unixsocket",
    };
    format!("cannot listen on {}: {error}; {remedy}", path.display())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|file| (file.dev(), file.ino()))
}
