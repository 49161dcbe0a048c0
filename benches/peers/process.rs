//! A server process: started fresh, pinned, read through /proc, killed at the end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::machine;
use crate::servers::Server;

/// How long a server may take until it answers PING.
const START_LIMIT: Duration = Duration::from_secs(15);

/// CPU time of all threads of a process, in seconds, since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// Both together as the scheduler counts them, in nanoseconds and not in ticks, but without threads that ended.
    pub(crate) exact: f64,
    /// The part of both that io_uring's kernel threads took: SQPOLL pollers and io-wq workers.
    pub(crate) ring: f64,
    /// Time that threads were ready to run and waited for a core, a measure of how disturbed the point was.
    pub(crate) waiting: f64,
}

impl CpuTime {
    /// User and system time together: the scheduler's exact count if it agrees with the coarse one within the
    /// rounding of their ticks, and else the coarse one, which knows the threads that ended.
    pub(crate) fn total(&self) -> f64 {
        let coarse = self.user + self.system;
        let rounding = 4.0 / machine::ticks_per_second();
        if (self.exact - coarse).abs() <= rounding { self.exact } else { coarse }
    }

    /// The user part of the total.
    pub(crate) fn user_share(&self) -> f64 {
        let coarse = self.user + self.system;
        if coarse > 0.0 { self.user / coarse } else { 0.0 }
    }
}

impl std::ops::Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        // Threads that ended take their counts with them, so a difference of those two can fall too low.
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
            exact: self.exact - earlier.exact,
            ring: (self.ring - earlier.ring).max(0.0),
            waiting: (self.waiting - earlier.waiting).max(0.0),
        }
    }
}

/// A running server; dropping it kills it and removes its directory.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    directory: PathBuf,
    pub(crate) port: u16,
}

impl Running {
    /// Starts `server` on `cores` and waits until it answers.
    pub(crate) fn start(server: &Server, cores: &[usize], workers: usize) -> Outcome<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("roster-peers-{}-{serial}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let port = free_port()?;
        let words = server.command(port, cores, workers, &directory);
        let spawned = machine::on_cores(cores, || spawn(&words, &directory));
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                discard(&directory);
                return Err(format!("{}: {error}", server.name));
            }
        };
        let mut running = Self { child, directory, port };
        running.wait_until_ready(&server.name)?;
        Ok(running)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn wait_until_ready(&mut self, name: &str) -> Outcome<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{name} ended at its start ({status}); it printed:\n{}", self.printed()));
            }
            if pings(self.address()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let limit = START_LIMIT.as_secs();
                return Err(format!("{name} answered no PING within {limit} s; it printed:\n{}", self.printed()));
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// The last lines of the server's log.
    fn printed(&self) -> String {
        let text = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}; the server died"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.map(|number| number * 1024).ok_or_else(|| format!("{path} has no VmRSS; the server died"))
    }

    /// CPU time so far. io_uring's kernel threads are threads of the process, so its sums hold them already.
    pub(crate) fn cpu(&self) -> Outcome<CpuTime> {
        let base = PathBuf::from(format!("/proc/{}", self.child.id()));
        let (_, user, system) = stat(&base)?;
        let mut time = CpuTime { user, system, ..CpuTime::default() };
        let threads = fs::read_dir(base.join("task")).map_err(|error| format!("{}: {error}", base.display()))?;
        // A thread can end between being listed and being read: it is then not counted.
        for thread in threads.flatten() {
            if let Ok((name, user, system)) = stat(&thread.path())
                && name.starts_with("iou-")
            {
                time.ring += user + system;
            }
            let schedule = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let mut nanoseconds = schedule.split_whitespace().map(|text| text.parse::<f64>().unwrap_or(0.0));
            time.exact += nanoseconds.next().unwrap_or(0.0) / 1e9;
            time.waiting += nanoseconds.next().unwrap_or(0.0) / 1e9;
        }
        Ok(time)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        discard(&self.directory);
    }
}

/// Removes a point's directory; what cannot be removed stays in the system's directory for temporary files.
fn discard(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
}

fn spawn(words: &[String], directory: &Path) -> Outcome<Child> {
    let log = File::create(directory.join("log")).map_err(|error| format!("no log file: {error}"))?;
    let copy = log.try_clone().map_err(|error| format!("no log file: {error}"))?;
    // The kernel kills the server if the harness is killed: a server left behind would disturb every later run.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy)
        .spawn()
        .map_err(|error| format!("setpriv, which starts the server, cannot be run: {error}; install util-linux"))
}

/// A port that was free a moment ago.
fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
    Ok(listener.local_addr().map_err(|error| format!("no free port: {error}"))?.port())
}

fn pings(address: SocketAddr) -> bool {
    let limit = Duration::from_secs(1);
    let answer = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut reply = [0; 7];
        stream.read_exact(&mut reply)?;
        Ok(&reply == b"+PONG\r\n")
    };
    answer().unwrap_or(false)
}

/// Name, user and system seconds from the `stat` file of a process or thread. The name is in brackets and may itself
/// hold brackets and blanks, so fields are counted from the last bracket: user time is the 14th of all.
fn stat(directory: &Path) -> Outcome<(String, f64, f64)> {
    let path = directory.join("stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}; the server died", path.display()))?;
    let parsed = (|| {
        let (head, tail) = text.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = tail.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((name, user, system))
    })();
    let (name, user, system) = parsed.ok_or_else(|| format!("{} is not as expected", path.display()))?;
    let tick = machine::ticks_per_second();
    Ok((name, user / tick, system / tick))
}
