//! What is noted of a command that ran: its time, whether it was slow, and what clients that watch see of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::Worker;
use super::error::Error;
use super::row::Flags;
use super::table::Handle;
use crate::config::SETTINGS;
use crate::protocol::Args;
use crate::session::{Client, Mode, Transport};
use crate::telemetry::commandlog::{Entry, Kind, shorten};

/// Notes a command that was begun at `mark`, wrote so many bytes of reply and came to `result`.
#[inline]
pub(super) fn settle(
    worker: &Worker,
    client: &Client,
    handle: Handle,
    args: Args<'_>,
    mark: u64,
    replied: usize,
    result: &Result<(), Error>,
) {
    let nanos = worker.stopwatch.lap(mark);
    let calls = worker.node.stats.calls(worker.number());
    match result {
        // It will run again, and count then.
        Err(Error::Busy) => return,
        Ok(()) | Err(Error::Waits) => (),
        Err(_) => calls.failed(handle.index()),
    }
    calls.called(handle.index(), nanos);
    if worker.settings.latency_tracking {
        calls.track(handle.index(), nanos);
    }
    // One that waits is noted when it was served.
    if worker.stopwatch.is_slow(nanos) && !matches!(result, Err(Error::Waits)) {
        note_slow(worker, client, handle, args, nanos);
    }
    if worker.stopwatch.is_large(args.most_bytes(), replied) || result.is_err() {
        note_large(worker, client, handle, args, replied, result);
    }
    let flags = handle.command().flags;
    // What administrators call is not shown, because its arguments may be secret.
    if worker.node.monitors.any() && !flags.contains(Flags::ADMIN) && !flags.contains(Flags::SKIP_MONITOR) {
        tell_monitors(worker, client, handle, args);
    }
}

/// Shows those that watch a script that is about to run: they are to see it before what it calls.
#[inline]
pub(super) fn announce(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) {
    if worker.node.monitors.any() {
        tell_monitors(worker, client, handle, args);
    }
}

/// Notes a command that waited, and what serving it cost.
pub(super) fn settle_late(
    worker: &Worker,
    client: &Client,
    handle: Handle,
    args: Args<'_>,
    mark: u64,
    replied: usize,
    result: &Result<(), Error>,
) {
    let nanos = worker.stopwatch.lap(mark);
    if result.is_err() {
        worker.node.stats.calls(worker.number()).failed(handle.index());
    }
    if worker.stopwatch.is_slow(nanos) {
        note_slow(worker, client, handle, args, nanos);
    }
    if worker.stopwatch.is_large(args.most_bytes(), replied) || result.is_err() {
        note_large(worker, client, handle, args, replied, result);
    }
}

#[cold]
fn note_slow(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>, nanos: u64) {
    let micros = nanos / 1000;
    log(worker, client, handle, args, Kind::Slow, micros);
    let (ms, threshold) = (micros / 1000, worker.settings.latency_monitor_threshold);
    if threshold > 0 && ms >= threshold {
        let is_fast = handle.command().flags.contains(Flags::FAST);
        worker.node.stats.latencies.note(if is_fast { "fast-command" } else { "command" }, now().as_secs(), ms);
    }
}

/// Notes the sizes of a command where they may be worth it.
#[cold]
fn note_large(
    worker: &Worker,
    client: &Client,
    handle: Handle,
    args: Args<'_>,
    replied: usize,
    result: &Result<(), Error>,
) {
    let reply = match result {
        Ok(()) => replied,
        // Noted when it was served.
        Err(Error::Waits | Error::Busy) => return,
        // What stands for them is sent as it is, between a sign and the end of the line.
        Err(Error::Reply(text)) => text.len() + 3,
        Err(Error::Quoting(text)) => text.len() + 3,
    };
    // As in Valkey, what a script calls was not received.
    let request = if client.mode == Mode::Script { 0 } else { args.request_bytes() };
    log(worker, client, handle, args, Kind::LargeRequest, request as u64);
    log(worker, client, handle, args, Kind::LargeReply, reply as u64);
}

/// Adds a command to a log if the value that the log goes by reaches its limit.
fn log(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>, kind: Kind, value: u64) {
    let settings = &worker.settings;
    let (limit, most) = match kind {
        Kind::Slow => (settings.slowlog_log_slower_than, settings.slowlog_max_len),
        Kind::LargeRequest => (settings.commandlog_request_larger_than, settings.commandlog_large_request_max_len),
        Kind::LargeReply => (settings.commandlog_reply_larger_than, settings.commandlog_large_reply_max_len),
    };
    let is_logged = u64::try_from(limit).is_ok_and(|least| value >= least);
    if is_logged && !handle.command().flags.contains(Flags::SKIP_SLOWLOG) {
        let (address, name) = (client.info.address.clone(), client.info.names().name);
        let args = shorten(shown(handle, args).into_iter());
        let entry = Entry { id: 0, at: now().as_secs(), value, args, address, name };
        worker.node.stats.command_logs.of(kind).push(entry, most);
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sends a command to the clients that watch.
#[cold]
fn tell_monitors(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) {
    let (now, address) = (now(), &client.info.address);
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let unix = if client.info.transport == Transport::Unix { "unix:" } else { "" };
    // The socket's path is shown without the 0 that stands for a port.
    let address = if unix.is_empty() { address } else { address.trim_end_matches(":0") };
    let (unix, address) = if client.mode == Mode::Script { ("", "lua") } else { (unix, address) };
    let mut line = format!("+{seconds}.{micros:06} [{} {unix}{address}]", client.database).into_bytes();
    for arg in shown(handle, args) {
        line.push(b' ');
        quote(arg, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    worker.node.monitors.tell(&line.into(), worker.settings.client_output_buffer_limit.pubsub.hard);
}

/// What stands for a word that nobody may see.
const REDACTED: &[u8] = b"(redacted)";

/// The words of a command, without passwords.
fn shown<'a>(handle: Handle, args: Args<'a>) -> Vec<&'a [u8]> {
    let mut words: Vec<&'a [u8]> = args.iter().collect();
    match handle.full_name() {
        "auth" => words.iter_mut().skip(1).for_each(|word| *word = REDACTED),
        "acl|setuser" => words.iter_mut().skip(2).for_each(|word| *word = REDACTED),
        "hello" => {
            if let Some(auth) = words.iter().position(|word| word.eq_ignore_ascii_case(b"auth")) {
                words.iter_mut().skip(auth + 1).take(2).for_each(|word| *word = REDACTED);
            }
        }
        "migrate" => {
            for index in super::migrate::secrets(args) {
                words[index] = REDACTED;
            }
        }
        "config|set" => {
            for pair in words.get_mut(2..).unwrap_or_default().chunks_exact_mut(2) {
                if is_secret(pair[0]) {
                    pair[1] = REDACTED;
                }
            }
        }
        _ => (),
    }
    words
}

fn is_secret(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    SETTINGS.iter().any(|setting| setting.secret && setting.answers_to(&name))
}

/// Appends a word in quotation marks, with what is not printable as escapes.
fn quote(word: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;
    use crate::command::{Outcome, execute, find};
    use crate::protocol::Frame;

    #[test]
    fn passwords_are_not_shown() {
        let of = |request: &str| {
            let frame: Frame = request.split(' ').collect();
            let words = shown(find(frame.args()).expect("a command"), frame.args())
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect::<Vec<_>>();
            words.join(" ")
        };
        assert_eq!(of("AUTH a b"), "AUTH (redacted) (redacted)");
        assert_eq!(of("HELLO 3 auth u p SETNAME x"), "HELLO 3 auth (redacted) (redacted) SETNAME x");
        assert_eq!(of("HELLO 3"), "HELLO 3");
        assert_eq!(of("ACL SETUSER u >p"), "ACL SETUSER (redacted) (redacted)");
        assert_eq!(of("CONFIG SET hz 1 RequirePass p timeout"), "CONFIG SET hz 1 RequirePass (redacted) timeout");
        assert_eq!(
            of("MIGRATE h 1 k 0 9 copy auth p auth2 u p"),
            "MIGRATE h 1 k 0 9 copy auth (redacted) auth2 (redacted) (redacted)"
        );
        assert_eq!(of("MIGRATE h 1 k 0 9 AUTH auth KEYS auth b"), "MIGRATE h 1 k 0 9 AUTH (redacted) KEYS auth b");
        assert_eq!(of("SET k v"), "SET k v");
    }

    #[test]
    fn words_are_quoted_as_redis_does() {
        let mut line = Vec::new();
        quote(b"a \"\\\n\r\t\x07\x08\x00\xff~\x7f", &mut line);
        assert_eq!(line, br#""a \"\\\n\r\t\a\b\x00\xff~\x7f""#);
    }

    #[test]
    fn calls_failures_and_refusals_are_told_apart() {
        let mut rig = Rig::new();
        for request in ["SET k v", "GET k", "GET k", "INCR k", "GET", "LPUSH k", "NONSENSE", "MULTI", "GET k", "EXEC"] {
            rig.run(request);
        }
        let of = |name: &str| {
            let frame: Frame = [name].iter().collect();
            let totals = rig.worker.node.stats.calls_of(find(frame.args()).expect("a command").index());
            assert!(totals.nanos > 0 || totals.calls == 0);
            (totals.calls, totals.failed, totals.rejected)
        };
        assert_eq!((of("set"), of("get"), of("incr")), ((1, 0, 0), (3, 0, 1), (1, 1, 0)));
        assert_eq!((of("lpush"), of("multi"), of("exec")), ((0, 0, 1), (1, 0, 0), (1, 0, 0)));
    }

    #[test]
    fn a_slow_command_is_noted_wherever_it_stands() {
        let mut rig = Rig::new();
        rig.run("CONFIG SET slowlog-log-slower-than 3000 latency-monitor-threshold 2");
        rig.worker.refresh();
        rig.run("CLIENT SETNAME me");
        // One batch: the clock is not started anew between its commands.
        let mut out = Vec::new();
        for request in ["GET k", "DEBUG SLEEP 0.004", "GET k", "MULTI", "DEBUG SLEEP 0.004", "EXEC"] {
            let frame: Frame = request.split(' ').collect();
            assert_eq!(execute(&rig.worker, &mut rig.client, frame.args(), &mut out), Outcome::Done);
        }
        let stats = &rig.worker.node.stats;
        let slow = stats.command_logs.of(Kind::Slow).newest(10);
        let words: Vec<_> = slow.iter().map(|slow| slow.args.join(&b' ')).collect();
        assert_eq!(words, [b"DEBUG SLEEP 0.004", b"DEBUG SLEEP 0.004"]);
        assert_eq!((slow[0].id, slow[0].name.as_slice(), slow[0].address.as_str()), (1, &b"me"[..], "127.0.0.1:1"));
        assert!(slow[0].value >= 4000);
        assert_eq!(stats.latencies.all().iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["command"]);
    }
}
