//! The service manager: telling systemd that the server is ready or ending, and asking whether it keeps our log.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state such as `READY=1` to the socket that `NOTIFY_SOCKET` names (sd_notify(3)); nothing without one.
pub fn send(state: &str) {
    let Some(path) = std::env::var("NOTIFY_SOCKET").ok().filter(|path| !path.is_empty()) else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    // A service manager that cannot be reached is no reason not to serve.
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

/// Whether standard error is the journal's, by the device and inode that systemd puts into `JOURNAL_STREAM`.
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_arrives() {
        let path = std::env::temp_dir().join(format!("roster-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&path).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::notify::tests::sender", "--ignored", "--nocapture"])
            .env("NOTIFY_SOCKET", &path)
            .output();
        assert!(child.unwrap().status.success());
        let mut state = [0; 32];
        let len = manager.recv(&mut state).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&state[..len], b"READY=1");
    }

    /// The other half of the test above, in a process with an environment of its own.
    #[test]
    #[ignore = "run by the_state_arrives"]
    fn sender() {
        send("READY=1");
    }
}
