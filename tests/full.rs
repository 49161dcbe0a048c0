//! A disk without room: writes are refused in Redis's words, reads go on, and nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{Client, Reply, Server, scratch};

/// Bytes of a value: so many go into a segment that few are needed to fill it.
const VALUE: usize = 100_000;

fn field(client: &mut Client, name: &str) -> String {
    let Reply::Bulk(info) = client.say("INFO persistence") else { panic!("no text") };
    let info = String::from_utf8(info).unwrap();
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name} in {info}")).to_owned()
}

fn start(dir: &Path) -> Server {
    let dir = dir.to_str().unwrap();
    let flags = ["--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--workers", "2"];
    let flags = [&flags[..], &["--auto-aof-rewrite-percentage", "0"]].concat();
    // The kernel would end a process that writes beyond its limit; as an error it is like a full disk.
    Server::launch(&flags, |command| ignore_signal(command, libc::SIGXFSZ)).unwrap()
}

#[expect(unsafe_code, reason = "what a child ignores is set between fork and exec")]
fn ignore_signal(command: &mut Command, number: i32) {
    // SAFETY: `signal` may be called between fork and exec, and it touches no memory of ours.
    unsafe {
        command.pre_exec(move || {
            libc::signal(number, libc::SIG_IGN);
            Ok(())
        });
    }
}

#[expect(unsafe_code, reason = "no crate here offers prlimit")]
fn limit_file_size(pid: u32, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a live value of the right type, or null where the call allows it.
    let result = unsafe { libc::prlimit(pid as i32, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Sets keys until the server is gone or `over`. The number of those that were acknowledged.
fn write(port: u16, from: u64, acknowledged: &AtomicU64, over: &AtomicU64) {
    let mut client = Client::connect(port);
    let value = "x".repeat(VALUE);
    for number in from.. {
        let request = support::client::command(&["SET", &format!("k{number}"), &value]);
        if over.load(Ordering::SeqCst) != 0 || client.try_raw(&request).is_err() {
            return;
        }
        match client.try_reply() {
            Ok(reply) if reply == Reply::ok() => acknowledged.store(number, Ordering::SeqCst),
            _ => return,
        }
    }
}

/// Fills what there is, looks that the server does as it should, makes room by `free` (or not, and kills it), and looks again.
fn fill_and_look(dir: &Path, reason: &str, fill: impl Fn(&Server), free: Option<&dyn Fn(&Server)>) {
    let mut server = start(dir);
    fill(&server);
    let (port, acknowledged, over) = (server.port, AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(port, 1, &acknowledged, &over));
        let mut client = server.client();
        support::eventually("writing fails", || field(&mut client, "aof_last_write_status") == "err");
        let count = acknowledged.load(Ordering::SeqCst);
        assert!(count > 3, "only {count} writes");
        let refusal = format!("MISCONF Errors writing to the AOF file: {reason}");
        for request in ["SET k1 y", "DEL k1", "PING"] {
            assert_eq!(client.say(request).error_text(), refusal, "{request}");
        }
        assert_eq!(client.say("STRLEN k1"), Reply::Integer(VALUE as i64));
        assert_eq!(client.say("MULTI"), Reply::ok());
        let refused = client.say("INCR n");
        assert!(refused.error_text().starts_with("MISCONF"), "{refused:?}");
        assert!(client.say("EXEC").error_text().starts_with("EXECABORT"));
        server.await_log("the log cannot be written");
        // The one whose reply is held back gets it when there is room, and sends no more.
        over.store(1, Ordering::SeqCst);
        if let Some(free) = free {
            free(&server);
            support::eventually("there is room", || field(&mut client, "aof_last_write_status") == "ok");
            assert_eq!(client.say("SET late v"), Reply::ok());
        }
        server.signal("KILL");
        let _ = writer.join();
    });
    server.wait();
    // A start makes a segment, for which there has to be room.
    let _ = std::fs::remove_file(dir.join("filler"));
    let server = start(dir);
    let mut client = server.client();
    for number in 1..=acknowledged.load(Ordering::SeqCst) {
        assert_eq!(client.say(&format!("STRLEN k{number}")), Reply::Integer(VALUE as i64), "k{number}");
    }
    assert_eq!(client.say("EXISTS late"), Reply::Integer(free.is_some().into()));
    assert_eq!(client.say("INCR n"), Reply::Integer(1));
}

#[test]
fn a_file_that_may_not_grow() {
    for frees in [true, false] {
        let dir = scratch(&format!("full-limit-{frees}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let fill = |server: &Server| {
            // The first segment is made before it is too long.
            assert_eq!(server.client().say("SET k0 v"), Reply::ok());
            limit_file_size(server.pid(), 2 << 20);
        };
        let free = |server: &Server| limit_file_size(server.pid(), libc::RLIM_INFINITY);
        fill_and_look(&dir, "File too large", fill, frees.then_some(&free));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

/// A small file system in memory, for as long as this lives.
struct Mount(PathBuf);

impl Mount {
    fn new(name: &str, size: &str) -> Option<Mount> {
        let path = scratch(name);
        let _ = std::fs::create_dir(&path);
        let options = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).output();
        done.is_ok_and(|done| done.status.success()).then_some(Mount(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_disk() {
    for frees in [true, false] {
        let Some(mount) = Mount::new(&format!("full-disk-{frees}"), "40m") else {
            return support::skip("no file system can be mounted here");
        };
        let filler = mount.0.join("filler");
        // Room for one segment and not for two.
        let fill = |_: &Server| std::fs::write(&filler, vec![1; 16 << 20]).unwrap();
        let free = |server: &Server| {
            // A snapshot takes the place of the log, and less room.
            // Attempts to make a segment may take the room that it needs for a moment: then it fails, and the next one does not.
            let mut client = server.client();
            support::eventually("the log is replaced", || {
                client.say("BGREWRITEAOF");
                field(&mut client, "aof_last_write_status") == "ok"
            });
        };
        fill_and_look(&mount.0, "No space left on device", fill, frees.then_some(&free));
    }
}
