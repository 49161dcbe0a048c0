//! Sockets that the service manager listens on and hands over (`LISTEN_FDS`, sd_listen_fds(3)).

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// A listening socket of the service manager.
#[derive(Debug)]
pub enum Inherited {
    /// On a TCP address.
    Tcp(TcpListener),
    /// On a file.
    Unix(UnixListener),
}

/// Takes the sockets that were handed over; none without a service manager that does. The second call finds none.
///
/// # Errors
/// That one of them is no listening stream socket.
pub fn take() -> io::Result<Vec<Inherited>> {
    let mut handed = ListenFd::from_env();
    let mut found = Vec::new();
    for number in 0..handed.len() {
        // A socket of the other family is given back and tried as that.
        let socket = match handed.take_tcp_listener(number) {
            Ok(listener) => listener.map(Inherited::Tcp),
            Err(_) => handed.take_unix_listener(number)?.map(Inherited::Unix),
        };
        found.extend(socket);
    }
    Ok(found)
}
