//! `MEMORY STATS`, `DOCTOR`, `PURGE` and `MALLOC-STATS`: the memory of the server as a whole.

use std::sync::atomic::Ordering::Relaxed;

use tikv_jemalloc_ctl::stats_print;

use super::advice::{Memory, on_memory};
use super::memory::Usage;
use super::{Context, Error};
use crate::host;
use crate::protocol::{Args, Reply};
use crate::store::heap;

/// All that `MEMORY STATS` tells, in bytes unless its name says otherwise.
struct Report {
    usage: Usage,
    used: u64,
    peak: u64,
    startup: u64,
    resident: u64,
    clients: u64,
    keys: u64,
    dataset: u64,
    /// Databases with keys: their keys, and those with a time to live.
    databases: Vec<(usize, u64, u64)>,
    /// Of the tables.
    tables: u64,
}

impl Report {
    fn read(cx: &Context<'_>) -> Report {
        let usage = Usage::read();
        let used = usage.used;
        let marks = &cx.node.stats.memory;
        let keyspace = &cx.node.keyspace;
        let totals = keyspace.totals_of_all();
        let databases = (0..keyspace.databases()).filter_map(|database| {
            let totals = keyspace.totals(database);
            (totals.keys > 0).then_some((database, totals.keys, totals.volatile))
        });
        Report {
            used,
            peak: marks.peak.fetch_max(used, Relaxed).max(used),
            startup: marks.startup.load(Relaxed),
            resident: host::resident::bytes().unwrap_or(usage.resident),
            clients: client_buffers(cx),
            keys: totals.keys,
            dataset: totals.bytes.min(used),
            databases: databases.collect(),
            tables: keyspace.table_bytes(&cx.worker.local),
            usage,
        }
    }

    fn write(&self, reply: &mut Reply<'_>) {
        let net = self.used.saturating_sub(self.startup);
        let numbers = [
            ("peak.allocated", self.peak),
            ("total.allocated", self.used),
            ("startup.allocated", self.startup),
            ("replication.backlog", 0),
            ("clients.slaves", 0),
            ("clients.normal", self.clients),
            ("cluster.links", 0),
            ("aof.buffer", 0),
            ("lua.caches", 0),
            ("functions.caches", 0),
        ];
        let sizes = [
            ("overhead.db.hashtable.lut", self.tables),
            ("overhead.total", self.used - self.dataset),
            ("keys.count", self.keys),
            ("keys.bytes-per-key", net.checked_div(self.keys).unwrap_or_default()),
            ("dataset.bytes", self.dataset),
        ];
        let allocator = [
            ("allocator.allocated", self.usage.allocated),
            ("allocator.active", self.usage.active),
            ("allocator.resident", self.usage.resident),
        ];
        let ratios = [
            ("allocator-fragmentation", self.usage.active, self.usage.allocated),
            ("allocator-rss", self.usage.resident, self.usage.active),
            ("rss-overhead", self.resident, self.usage.resident),
        ];
        let count = numbers.len() + self.databases.len() + sizes.len() + 2 + allocator.len() + 2 * ratios.len() + 2;
        reply.map(count);
        numbers.iter().for_each(|(name, value)| put(reply, name, *value));
        self.write_databases(reply);
        sizes.iter().for_each(|(name, value)| put(reply, name, *value));
        put_ratio(reply, "dataset.percentage", 100.0 * ratio(self.dataset, net).min(1.0));
        put_ratio(reply, "peak.percentage", 100.0 * ratio(self.used, self.peak));
        allocator.iter().for_each(|(name, value)| put(reply, name, *value));
        for (name, part, whole) in ratios {
            put_ratio(reply, &format!("{name}.ratio"), ratio(part, whole));
            reply.bulk(format!("{name}.bytes").as_bytes());
            reply.integer(part as i64 - whole as i64);
        }
        put_ratio(reply, "fragmentation", ratio(self.resident, self.used));
        reply.bulk(b"fragmentation.bytes");
        reply.integer(self.resident as i64 - self.used as i64);
    }

    /// The tables' bytes, shared out by keys. There is no table of times to live: those lie in the records.
    fn write_databases(&self, reply: &mut Reply<'_>) {
        for (database, keys, _volatile) in &self.databases {
            reply.bulk(format!("db.{database}").as_bytes());
            reply.map(2);
            put(
                reply,
                "overhead.hashtable.main",
                (self.tables as u128 * u128::from(*keys) / u128::from(self.keys.max(1))) as u64,
            );
            put(reply, "overhead.hashtable.expires", 0);
        }
    }
}

fn put(reply: &mut Reply<'_>, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(value as i64);
}

fn put_ratio(reply: &mut Reply<'_>, name: &str, value: f64) {
    reply.bulk(name.as_bytes());
    reply.double(value);
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Bytes of all clients' buffers.
fn client_buffers(cx: &Context<'_>) -> u64 {
    let of_client = |client: &crate::session::ClientInfo| {
        let input = client.query_capacity.load(Relaxed).max(client.query_bytes.load(Relaxed));
        input + client.output_memory() + client.mailbox.bytes() + client.queued_bytes.load(Relaxed)
    };
    cx.node.registry.list().iter().map(|client| of_client(client) as u64).sum()
}

/// `MEMORY STATS`.
pub(super) fn stats(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    Report::read(cx).write(&mut cx.reply);
    Ok(())
}

/// `MEMORY DOCTOR`.
pub(super) fn doctor(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let report = Report::read(cx);
    let text = on_memory(Memory {
        used: report.used,
        peak: report.peak,
        resident: report.usage.resident,
        allocated: report.usage.allocated,
        active: report.usage.active,
        clients: report.clients,
        connected: cx.node.registry.connected() as u64,
    });
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// `MEMORY PURGE`: free pages go back to the system, of the general allocator at once, of the records' heap as its threads
/// come round to it.
pub(super) fn purge(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    heap::trim();
    heap::purge();
    cx.reply.ok();
    Ok(())
}

/// Bytes of the allocator's report that are replied at most.
const REPORT_MAX: usize = 1 << 20;

/// A report with an end.
#[derive(Default)]
struct Sink(Vec<u8>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = REPORT_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `MEMORY MALLOC-STATS`: what the general allocator says of itself, and what the heap of records holds.
pub(super) fn malloc_stats(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    use std::io::Write as _;
    let mut sink = Sink::default();
    let options = stats_print::Options::default();
    let printed = stats_print::stats_print(&mut sink, options)
        .and_then(|()| writeln!(sink, "Records: {} bytes used of {} reserved", heap::used(), heap::reserved()));
    printed.map_err(|error| Error::new(format!("the allocator's report failed: {error}")))?;
    cx.reply.verbatim(b"txt", &sink.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn statistics_add_up() {
        let mut rig = Rig::new();
        rig.run("SET k v");
        rig.run("SELECT 3");
        rig.run("SET k v");
        let reply = rig.run("MEMORY STATS");
        let parts: Vec<&str> = reply.split('|').collect();
        let value = |name: &str| {
            let at = parts.iter().position(|part| *part == name).unwrap_or_else(|| panic!("{name}: {reply}"));
            parts[at + 1].strip_prefix(':').and_then(|value| value.parse::<u64>().ok())
        };
        assert_eq!(parts[0], "*60", "28 fields and 2 databases: {reply}");
        assert_eq!(value("keys.count"), Some(2));
        assert!(value("peak.allocated") >= value("total.allocated"));
        assert!(value("dataset.bytes") > Some(0) && reply.contains("|db.0|*4|") && reply.contains("|db.3|*4|"));
        rig.run("HELLO 3");
        assert!(rig.run("MEMORY STATS").starts_with("%30|"));
    }

    #[test]
    fn reports_are_text_and_purging_keeps_everything() {
        let mut rig = Rig::new();
        rig.check(&[("SET k v", "+OK"), ("MEMORY PURGE", "+OK"), ("GET k", "$1|v")]);
        assert!(rig.run("MEMORY DOCTOR").starts_with('$'));
        let report = rig.run("MEMORY MALLOC-STATS");
        assert!(report.contains("jemalloc statistics") && report.contains("Records: "), "{report}");
    }
}
