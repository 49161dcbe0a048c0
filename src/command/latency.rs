//! `LATENCY`: events that took long, and how long each command takes.

use super::table::{self, Handle};
use super::{Command, Context, Error, Flags, Group, advice, chart, help};
use crate::protocol::Args;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const CHANGING: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] =
    &[Command::container("latency", SUBCOMMANDS).group(Group::Server).since("2.8.13").doc("Tells what took long.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("doctor", 2, doctor).tips(CHANGING).doc("Tells in words what took long, and what can be done.", ""),
    sub("graph", 3, graph).tips(CHANGING).doc("Draws the samples of an event.", "event"),
    help::row(Group::Server, "2.8.13"),
    sub("histogram", -2, histogram)
        .since("7.0.0")
        .tips(CHANGING)
        .complexity("O(N) where N is the number of commands with latency information being retrieved.")
        .doc("Returns how many calls of commands took how long.", "[command ...]"),
    sub("history", 3, history).tips(CHANGING).doc("Returns the samples of an event.", "event"),
    sub("latest", 2, latest).tips(CHANGING).doc("Returns the last sample of each event.", ""),
    sub("reset", -2, reset)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
        .doc("Forgets the samples of events, or of all.", "[event ...]"),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(FLAGS).group(Group::Server).since("2.8.13")
}

fn latest(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let kinds = cx.node.stats.latencies.all();
    cx.reply.array(kinds.len());
    for (kind, spikes) in kinds {
        let last = spikes.samples.back().map_or((0, 0), |sample| (sample.at, sample.ms));
        cx.reply.array(4);
        cx.reply.bulk(kind.as_bytes());
        for value in [last.0, last.1, spikes.worst] {
            cx.reply.integer(value as i64);
        }
    }
    Ok(())
}

fn history(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let samples = cx.node.stats.latencies.of(args.get(2)).map(|(_, spikes)| spikes.samples).unwrap_or_default();
    cx.reply.array(samples.len());
    for sample in samples {
        cx.reply.array(2);
        cx.reply.integer(sample.at as i64);
        cx.reply.integer(sample.ms as i64);
    }
    Ok(())
}

fn reset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let latencies = &cx.node.stats.latencies;
    let forgotten = match args.len() {
        2 => latencies.all().iter().filter(|(kind, _)| latencies.forget(kind.as_bytes())).count(),
        _ => args.skip(2).iter().filter(|kind| latencies.forget(kind)).count(),
    };
    cx.reply.count(forgotten);
    Ok(())
}

fn graph(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some((kind, spikes)) = cx.node.stats.latencies.of(args.get(2)) else {
        let kind = String::from_utf8_lossy(&args.get(2)[..args.size(2).min(128)]).into_owned();
        return Err(Error::new(format!("No samples available for event '{kind}'")));
    };
    let text = chart::draw(kind, &spikes, cx.now_ms() / 1000);
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn doctor(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let text = advice::on_latency(&cx.node.stats.latencies.all(), cx.settings());
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn histogram(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let named = |name: &[u8]| {
        let handle = by_full_name(name);
        // A container stands for its subcommands, which are what runs.
        handle.into_iter().flat_map(|handle| std::iter::once(handle).chain(handle.subcommands()))
    };
    let handles: Vec<Handle> = match args.len() {
        2 => table::every().collect(),
        _ => args.skip(2).iter().flat_map(named).collect(),
    };
    let mark = cx.reply.begin();
    let mut shown = 0;
    for handle in handles {
        let durations = cx.node.stats.durations_of(handle.index());
        if durations.total == 0 {
            continue;
        }
        shown += 1;
        cx.reply.bulk(handle.full_name().as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.integer(durations.total as i64);
        cx.reply.bulk(b"histogram_usec");
        let powers = durations.powers();
        cx.reply.map(powers.len());
        for (micros, count) in powers {
            cx.reply.integer(micros as i64);
            cx.reply.integer(count as i64);
        }
    }
    cx.reply.end_map(mark, shown);
    Ok(())
}

/// The command that is called `get` or `client|list`.
fn by_full_name(name: &[u8]) -> Option<Handle> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let handle = table::find(parts.next()?)?;
    parts.next().map_or(Some(handle), |sub| handle.subcommand(sub))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn events_are_told_and_forgotten() {
        let mut rig = Rig::new();
        rig.check(&[("LATENCY LATEST", "*0"), ("LATENCY HISTORY command", "*0"), ("LATENCY RESET", ":0")]);
        assert!(rig.run("LATENCY DOCTOR").contains("latency-monitor-threshold is 0"));
        rig.run("CONFIG SET latency-monitor-threshold 2");
        rig.worker.refresh();
        assert!(rig.run("LATENCY DOCTOR").contains("No event"));
        rig.check(&[("DEBUG SLEEP 0.003", "+OK"), ("PING", "+PONG")]);
        let latest = rig.run("LATENCY LATEST");
        assert!(latest.starts_with("*1|*4|$7|command|:"), "{latest}");
        let milliseconds: Vec<u64> = latest.split("|:").skip(2).map(|ms| ms.parse().expect("a number")).collect();
        assert!(milliseconds.len() == 2 && milliseconds.iter().all(|ms| (3..500).contains(ms)), "{latest}");
        assert!(rig.run("LATENCY HISTORY COMMAND").starts_with("*1|*2|:"));
        assert!(rig.run("LATENCY DOCTOR").contains("command: 1 sample"));
        assert!(rig.run("LATENCY GRAPH command").contains("command - high "));
        rig.check(&[
            ("LATENCY GRAPH foo", "-ERR No samples available for event 'foo'"),
            ("LATENCY RESET foo command", ":1"),
            ("LATENCY RESET", ":0"),
            ("LATENCY LATEST", "*0"),
        ]);
    }

    #[test]
    fn histograms_are_those_of_the_commands_that_ran() {
        let mut rig = Rig::new();
        for request in ["GET k", "GET k", "CLIENT ID", "CONFIG GET port"] {
            rig.run(request);
        }
        let one = rig.run("LATENCY HISTOGRAM get nosuch lpush");
        assert!(one.starts_with("*2|$3|get|*4|$5|calls|:2|$14|histogram_usec|*"), "{one}");
        assert!(one.ends_with("|:2"), "the last limit holds all: {one}");
        let two = rig.run("LATENCY HISTOGRAM client config|get");
        assert!(two.starts_with("*4|$9|client|id|*4|") && two.contains("|$10|config|get|"), "{two}");
        assert!(rig.run("LATENCY HISTOGRAM").contains("|latency|histogram|"));
        rig.check(&[("CONFIG SET latency-tracking no", "+OK"), ("CONFIG RESETSTAT", "+OK")]);
        rig.worker.refresh();
        rig.check(&[("GET k", "$-1"), ("LATENCY HISTOGRAM get", "*0"), ("HELLO 3", "")][..2]);
    }
}
