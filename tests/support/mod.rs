//! What integration tests share: a real server on a port of its own, and a client that speaks RESP.

// Each test binary compiles this module anew and uses its own part of it.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

pub mod client;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use client::{Client, Reply};

/// How long anything may take that is expected to happen soon, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The drivers that a server can run on.
pub const DRIVERS: [&str; 2] = ["uring", "epoll"];

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    pub port: u16,
    log: Arc<Mutex<String>>,
}

/// A server that ended before it served.
#[derive(Debug)]
pub struct Refused {
    pub status: ExitStatus,
    pub log: String,
}

impl Server {
    /// Starts a server with these flags on a free port of the loopback interface.
    pub fn start<A: AsRef<OsStr>>(flags: &[A]) -> Server {
        Server::try_start(flags).unwrap_or_else(|refused| panic!("the server did not start: {}", refused.log))
    }

    /// The same, or what the server said when it refused.
    pub fn try_start<A: AsRef<OsStr>>(flags: &[A]) -> Result<Server, Refused> {
        Server::launch(flags, |_| ())
    }

    /// The same, with `prepare` having the last word on the command.
    pub fn launch<A: AsRef<OsStr>>(flags: &[A], prepare: impl Fn(&mut Command)) -> Result<Server, Refused> {
        loop {
            let port = free_port();
            let mut command = Command::new(env!("CARGO_BIN_EXE_roster"));
            command.args(["--port", &port.to_string()]).args(flags);
            // The tester's own settings must not leak into the server's.
            for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROSTER_")) {
                command.env_remove(name);
            }
            prepare(&mut command);
            match Server::spawn(command, port) {
                // Another test's server took the port after it was found free.
                Err(refused) if refused.log.contains(&format!(":{port}: Address already in use")) => (),
                result => return result,
            }
        }
    }

    /// Runs a command that starts a server, and waits until it serves or has ended.
    pub fn spawn(mut command: Command, port: u16) -> Result<Server, Refused> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = log.clone();
        let reader = std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut server = Server { child, port, log };
        let start = Instant::now();
        while !server.log().contains("clients at most") {
            if let Some(status) = server.child.try_wait().unwrap() {
                reader.join().unwrap();
                return Err(Refused { status, log: server.log() });
            }
            assert!(start.elapsed() < PATIENCE, "the server is not ready: {}", server.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(server)
    }

    /// A new client on TCP.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log contains `text`.
    pub fn await_log(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || self.log().contains(text));
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the process and returns its status.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// A line of `/proc/PID/status` in kibibytes, such as `VmRSS`.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let table = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// CPU time that the process has used.
    pub fn cpu_time(&self) -> Duration {
        let table = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = table.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Runs a test on each driver. Where this machine forbids io_uring, that half is skipped and says so.
pub fn on_each_driver(flags: &[&str], test: impl Fn(&mut Server)) {
    for driver in DRIVERS {
        let mut all = vec!["--io-driver", driver];
        all.extend(flags);
        match Server::try_start(&all) {
            Ok(mut server) => test(&mut server),
            Err(refused) if driver == "uring" && refused.log.contains("io_uring") => {
                skip(&format!("not tested on io_uring: {}", refused.log));
            }
            Err(refused) => panic!("the server did not start: {}", refused.log),
        }
    }
}

/// Says that something was not tested, also where the test runner captures what tests print.
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {}", reason.trim());
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A TCP port that nobody used a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A path for a file of this test, in the folder for temporary files.
pub fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("roster-test-{}-{name}", std::process::id()))
}

/// Has the kernel answer system call `number` of the command's process with error `errno`, as a container's sandbox does.
#[expect(unsafe_code, reason = "a filter has to be installed between fork and exec")]
pub fn forbid(command: &mut Command, number: i64, errno: i32) {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let compare = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let filter = [
        step(load, 0, 0, 0),
        step(compare, 0, 1, number as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: both calls are async-signal-safe, and the program outlives the second one, which copies it.
        let results = unsafe {
            [
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
            ]
        };
        if results == [0, 0] { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: the closure allocates nothing, takes no lock and calls only async-signal-safe functions.
    unsafe { command.pre_exec(install) };
}

/// Changes the limit of open files of a running process, and returns the one before.
#[expect(unsafe_code, reason = "no crate here offers prlimit")]
pub fn limit_files(pid: u32, soft: u64) -> u64 {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live value of the right type, or null where the call allows it.
    let read = unsafe { libc::prlimit(pid as i32, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut before) };
    let after = libc::rlimit { rlim_cur: soft, ..before };
    // SAFETY: as above.
    let written = unsafe { libc::prlimit(pid as i32, libc::RLIMIT_NOFILE, &raw const after, std::ptr::null_mut()) };
    assert_eq!((read, written), (0, 0), "{}", std::io::Error::last_os_error());
    before.rlim_cur
}

/// A folder that goes with its test.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(name: &str) -> Scratch {
        let path = scratch(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
