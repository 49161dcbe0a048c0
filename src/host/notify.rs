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

/// How often the service manager wants to hear from this process, if it does (`WATCHDOG_USEC`, sd_watchdog_enabled(3)).
pub fn watchdog() -> Option<std::time::Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id())
}

/// The interval of a watchdog that is meant for this process.
fn interval(micros: Option<String>, meant: Option<String>, own: u32) -> Option<std::time::Duration> {
    let is_other = meant.is_some_and(|pid| pid.parse() != Ok(own));
    let micros: u64 = micros.filter(|_| !is_other)?.parse().ok()?;
    (micros > 0).then(|| std::time::Duration::from_micros(micros))
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
    fn a_watchdog_is_for_one_process() {
        let seconds = |text: &str, pid: Option<&str>| {
            interval(Some(text.to_owned()), pid.map(str::to_owned), 7).map(|interval| interval.as_secs())
        };
        assert_eq!((seconds("3000000", None), seconds("3000000", Some("7"))), (Some(3), Some(3)));
        assert_eq!((seconds("3000000", Some("8")), seconds("0", None), seconds("x", None)), (None, None, None));
    }

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
