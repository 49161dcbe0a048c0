//! The sections of `INFO`, with the names and the order of the fields that Redis 7.2 has and monitors parse.
//!
//! A field whose feature is not there is left out, unless its value tells just that (`aof_enabled:0`).

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;

use super::memory::{allocator, human};
use super::survey::Survey;
use super::{Error, calls, identity};
use crate::config::SETTINGS;
use crate::host;
use crate::session::Topic;
use crate::store::{Cursor, Store};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// One section.
pub(super) struct Section {
    /// The heading; the name in any case.
    pub(super) title: &'static str,
    /// Whether `INFO` without arguments shows it.
    pub(super) default: bool,
    /// Writes the fields.
    pub(super) write: fn(&Survey<'_>, &mut Page) -> Result<(), Error>,
}

/// All sections in their order.
pub(super) const SECTIONS: &[Section] = &[
    section("Server", server),
    section("Clients", clients),
    section("Memory", memory),
    section("Persistence", persistence),
    section("Stats", stats),
    section("Replication", replication),
    section("CPU", cpu),
    // There are no modules to list.
    section("Modules", |_, _| Ok(())),
    Section { default: false, ..section("Commandstats", calls::commands) },
    section("Errorstats", errors),
    Section { default: false, ..section("Latencystats", calls::latencies) },
    section("Cluster", cluster),
    section("Keyspace", keyspace),
    Section { title: "Tuning", default: false, write: tuning },
];

const fn section(title: &'static str, write: fn(&Survey<'_>, &mut Page) -> Result<(), Error>) -> Section {
    Section { title, default: true, write }
}

/// The text of `INFO`.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Starts a section; an empty line stands between two.
    pub(super) fn open(&mut self, title: &str) {
        let gap = if self.0.is_empty() { "" } else { "\r\n" };
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.0, "{gap}# {title}\r\n");
    }

    /// What was written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Writes a field.
    pub(super) fn put(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    fn put_all<T: Display>(&mut self, fields: &[(&str, T)]) {
        fields.iter().for_each(|(name, value)| self.put(name, value));
    }

    /// Bytes, and the same for people.
    fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        let _ = write!(self.0, "{name}_human:{}\r\n", human(bytes));
    }
}

fn server(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    let node = cx.node;
    let uptime = node.started.elapsed().as_secs();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let system = nix::sys::utsname::uname().map_or_else(
        |_| std::env::consts::OS.to_owned(),
        |name| {
            [name.sysname(), name.release(), name.machine()].map(|part| part.to_string_lossy().into_owned()).join(" ")
        },
    );
    page.put("redis_version", identity::REDIS_VERSION);
    page.put("server_name", "roster");
    page.put("roster_version", identity::ROSTER_VERSION);
    page.put("redis_git_sha1", "00000000");
    page.put("redis_git_dirty", 0);
    page.put("redis_build_id", "0000000000000000");
    page.put("redis_mode", identity::MODE);
    page.put("os", system);
    page.put("arch_bits", usize::BITS);
    page.put("monotonic_clock", "POSIX clock_gettime");
    page.put("multiplexing_api", node.facts.driver);
    page.put("process_id", std::process::id());
    let supervised = std::env::var_os("NOTIFY_SOCKET").is_some();
    page.put("process_supervised", if supervised { "systemd" } else { "no" });
    page.put("run_id", &node.run_id);
    // As in Redis, where there is only TLS it is that port.
    page.put("tcp_port", if node.facts.port == 0 { node.facts.tls_port } else { node.facts.port });
    page.put("server_time_usec", now.as_micros());
    page.put("uptime_in_seconds", uptime);
    page.put("uptime_in_days", uptime / 86_400);
    page.put("hz", cx.settings().hz);
    page.put("configured_hz", cx.settings().hz);
    page.put("lru_clock", now.as_secs() & 0xff_ffff);
    page.put("executable", &node.facts.executable);
    page.put("config_file", &node.facts.config_file);
    page.put("io_threads_active", u8::from(node.keyspace.workers() > 1));
    page.put("workers", node.keyspace.workers());
    page.put("shards", node.keyspace.shards());
    listeners(cx, page);
    Ok(())
}

fn listeners(cx: &Survey<'_>, page: &mut Page) {
    let text = |name: &str| {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        setting.map(|setting| setting.text(cx.settings())).unwrap_or_default()
    };
    let mut number = 0;
    let mut put = |value: String| {
        page.put(&format!("listener{number}"), value);
        number += 1;
    };
    let bind: String = text("bind").split_whitespace().map(|address| format!(",bind={address}")).collect();
    let facts = &cx.node.facts;
    if facts.port != 0 {
        put(format!("name=tcp{bind},port={}", facts.port));
    }
    let path = text("unixsocket");
    if !path.is_empty() {
        put(format!("name=unix,bind={path}"));
    }
    if facts.tls_port != 0 {
        put(format!("name=tls{bind},port={}", facts.tls_port));
    }
}

/// What the receive and send buffers of the clients hold.
#[derive(Default)]
struct Buffers {
    largest_input: u64,
    largest_output: u64,
    total: u64,
    subscribers: u64,
    watching: u64,
    watched_keys: u64,
}

impl Buffers {
    fn read(cx: &Survey<'_>) -> Buffers {
        cx.node.registry.list().iter().fold(Buffers::default(), |sum, client| {
            let bytes = |counter: &std::sync::atomic::AtomicUsize| counter.load(Relaxed) as u64;
            let input = bytes(&client.query_capacity).max(bytes(&client.query_bytes));
            let output = bytes(&client.output_bytes) + client.mailbox.bytes() as u64;
            let watched = bytes(&client.watched);
            Buffers {
                largest_input: sum.largest_input.max(input),
                largest_output: sum.largest_output.max(output),
                total: sum.total
                    + input
                    + (client.output_memory() + client.mailbox.bytes()) as u64
                    + bytes(&client.queued_bytes),
                subscribers: sum.subscribers + u64::from(client.is_subscriber()),
                watching: sum.watching + u64::from(watched > 0),
                watched_keys: sum.watched_keys + watched,
            }
        })
    }
}

fn clients(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    let buffers = Buffers::read(cx);
    page.put("connected_clients", cx.node.registry.connected());
    page.put("cluster_connections", 0);
    page.put("maxclients", cx.settings().maxclients);
    page.put("client_recent_max_input_buffer", buffers.largest_input);
    page.put("client_recent_max_output_buffer", buffers.largest_output);
    page.put("blocked_clients", cx.node.waiters.len() + cx.node.pause.waiting());
    page.put("tracking_clients", cx.node.tracking.clients());
    page.put("pubsub_clients", buffers.subscribers);
    page.put("watching_clients", buffers.watching);
    page.put("clients_in_timeout_table", cx.node.waiters.limited());
    page.put("total_watched_keys", buffers.watched_keys);
    page.put("total_blocking_keys", cx.node.waiters.keys());
    page.put("total_blocking_keys_on_nokey", cx.node.waiters.keys_minding_removal());
    Ok(())
}

/// A share that is 0 where there is no whole.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn memory(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    let usage = &cx.usage;
    let used = usage.used;
    let marks = &cx.node.stats.memory;
    let peak = marks.peak.fetch_max(used, Relaxed).max(used);
    let startup = marks.startup.load(Relaxed);
    let dataset = cx.node.keyspace.totals_of_all().bytes.min(used);
    let rss = host::resident::bytes().unwrap_or(usage.resident);
    let system = host::memory::total().unwrap_or_default();
    page.put_bytes("used_memory", used);
    page.put_bytes("used_memory_rss", rss);
    page.put_bytes("used_memory_peak", peak);
    page.put("used_memory_peak_perc", format_args!("{:.2}%", ratio(used, peak) * 100.0));
    page.put("used_memory_overhead", used - dataset);
    page.put("used_memory_startup", startup);
    page.put("used_memory_dataset", dataset);
    let share = ratio(dataset, used.saturating_sub(startup)).min(1.0);
    page.put("used_memory_dataset_perc", format_args!("{:.2}%", share * 100.0));
    page.put("allocator_allocated", usage.allocated);
    page.put("allocator_active", usage.active);
    page.put("allocator_resident", usage.resident);
    page.put_bytes("total_system_memory", system);
    page.put_bytes("maxmemory", cx.settings().maxmemory);
    page.put("maxmemory_policy", cx.settings().maxmemory_policy.as_str());
    let mut compare = |name: &str, part: u64, whole: u64| {
        page.put(&format!("{name}_ratio"), format_args!("{:.2}", ratio(part, whole)));
        page.put(&format!("{name}_bytes"), part as i64 - whole as i64);
    };
    compare("allocator_frag", usage.active, usage.allocated);
    compare("allocator_rss", usage.resident, usage.active);
    compare("rss_overhead", rss, usage.resident);
    compare("mem_fragmentation", rss, used);
    page.put("mem_not_counted_for_evict", 0);
    page.put("mem_replication_backlog", 0);
    page.put("mem_total_replication_buffers", 0);
    page.put("mem_clients_slaves", 0);
    page.put("mem_clients_normal", Buffers::read(cx).total);
    page.put("mem_cluster_links", 0);
    page.put("mem_aof_buffer", 0);
    page.put("mem_allocator", allocator());
    page.put("active_defrag_running", 0);
    page.put("lazyfree_pending_objects", crate::store::reclaim::waiting());
    page.put("lazyfreed_objects", crate::store::reclaim::freed());
    scripts(cx, page);
    Ok(())
}

/// What scripts take: their texts. Each worker's virtual machine has its own heap, which is part of `used_memory`.
fn scripts(cx: &Survey<'_>, page: &mut Page) {
    let (cached, bytes) = cx.node.scripts.scripts();
    let (libraries, functions) = cx.node.scripts.libraries.counts();
    page.put("used_memory_lua", bytes);
    page.put("used_memory_scripts_eval", bytes);
    page.put("number_of_cached_scripts", cached);
    page.put("number_of_functions", functions);
    page.put("number_of_libraries", libraries);
    page.put("used_memory_scripts", bytes);
}

/// Snapshots and the log.
fn persistence(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    // Clients are accepted when everything is loaded.
    page.put("loading", 0);
    page.put("async_loading", 0);
    super::save::tell(cx.node, cx.now_ms(), |name, value| match (name, value) {
        ("rdb_last_bgsave_status", is_ok) => page.put(name, if is_ok == 1 { "ok" } else { "err" }),
        _ => page.put(name, value),
    });
    page.put("aof_enabled", u8::from(cx.node.logs.kept().is_some()));
    page.put("aof_rewrite_in_progress", u8::from(cx.node.logs.is_rewriting()));
    page.put("aof_rewrite_scheduled", u8::from(cx.node.logs.is_scheduled()));
    let rewrite = cx.node.logs.status().unwrap_or_default().rewrite;
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    page.put("aof_last_rewrite_time_sec", seconds(rewrite.last_seconds));
    page.put("aof_current_rewrite_time_sec", seconds(rewrite.running_seconds));
    page.put("aof_last_bgrewrite_status", if rewrite.failed_seconds.is_some() { "err" } else { "ok" });
    page.put("aof_rewrites", rewrite.begun);
    // A snapshot copies no pages, so it takes none.
    page.put_all(&[("rdb_last_cow_size", 0), ("aof_last_cow_size", 0)]);
    log(cx, page);
    Ok(())
}

/// What there is to tell of the log, if one is kept.
fn log(cx: &Survey<'_>, page: &mut Page) {
    let status = cx.node.logs.kept().map(|log| log.status());
    page.put("aof_last_write_status", if status.is_some_and(|status| status.fails) { "err" } else { "ok" });
    if let Some(status) = status {
        page.put("aof_current_size", status.total());
        page.put("aof_base_size", status.rewrite.grown_from);
        page.put("aof_pending_rewrite", u8::from(status.is_apart));
        page.put("aof_buffer_length", status.pending);
        page.put("aof_pending_bio_fsync", u8::from(status.pending > 0));
        page.put("aof_delayed_fsync", status.late_syncs);
    }
}

fn stats(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    let stats = &cx.node.stats;
    stats.sample(cx.now_ms());
    let rates = stats.rates.average();
    page.put("total_connections_received", stats.sum(|c| &c.connections));
    page.put("total_commands_processed", stats.sum(|c| &c.commands));
    page.put("instantaneous_ops_per_sec", rates.commands.round());
    page.put("total_net_input_bytes", stats.sum(|c| &c.received_bytes));
    page.put("total_net_output_bytes", stats.sum(|c| &c.sent_bytes));
    page.put("total_net_repl_input_bytes", 0);
    page.put("total_net_repl_output_bytes", 0);
    page.put("instantaneous_input_kbps", format_args!("{:.2}", rates.received / 1024.0));
    page.put("instantaneous_output_kbps", format_args!("{:.2}", rates.sent / 1024.0));
    page.put("instantaneous_input_repl_kbps", "0.00");
    page.put("instantaneous_output_repl_kbps", "0.00");
    page.put("rejected_connections", stats.sum(|c| &c.rejected_connections));
    page.put_all(&[("sync_full", 0), ("sync_partial_ok", 0), ("sync_partial_err", 0)]);
    page.put("expired_keys", cx.node.keyspace.expired());
    // Timers find what is due, so nothing is estimated and no round is cut short.
    page.put("expired_stale_perc", "0.00");
    page.put("expired_time_cap_reached_count", 0);
    page.put("evicted_scripts", 0);
    let (current, total) = cx.node.budget.exceeded(cx.now_ms());
    page.put("evicted_keys", cx.node.keyspace.evicted());
    page.put("evicted_clients", stats.sum(|c| &c.evicted_clients));
    page.put("total_eviction_exceeded_time", total);
    page.put("current_eviction_exceeded_time", current);
    page.put("keyspace_hits", stats.sum(|c| &c.keyspace_hits));
    page.put("keyspace_misses", stats.sum(|c| &c.keyspace_misses));
    for (name, topic) in [
        ("pubsub_channels", Topic::Channel),
        ("pubsub_patterns", Topic::Pattern),
        ("pubsubshard_channels", Topic::Shard),
    ] {
        page.put(name, cx.node.channels.count(topic));
    }
    page.put_all(&[("latest_fork_usec", 0), ("total_forks", 0), ("migrate_cached_sockets", 0)]);
    page.put_all(&[("slave_expires_tracked_keys", 0), ("active_defrag_hits", 0), ("active_defrag_misses", 0)]);
    page.put_all(&[("active_defrag_key_hits", 0), ("active_defrag_key_misses", 0)]);
    page.put_all(&[("total_active_defrag_time", 0), ("current_active_defrag_time", 0)]);
    let (keys, items) = cx.node.tracking.size();
    page.put("tracking_total_keys", keys);
    page.put("tracking_total_items", items);
    page.put("tracking_total_prefixes", cx.node.tracking.prefixes());
    page.put("unexpected_error_replies", 0);
    page.put("dump_payload_sanitizations", 0);
    page.put("total_error_replies", stats.sum(|c| &c.errors));
    page.put("total_reads_processed", stats.sum(|c| &c.reads));
    page.put("total_writes_processed", stats.sum(|c| &c.writes));
    page.put("client_query_buffer_limit_disconnections", stats.sum(|c| &c.query_buffer_closed));
    page.put("client_output_buffer_limit_disconnections", stats.sum(|c| &c.output_buffer_closed));
    page.put("acl_access_denied_auth", stats.sum(|c| &c.denied_logins));
    page.put("acl_access_denied_cmd", stats.sum(|c| &c.denied_commands));
    page.put("acl_access_denied_key", stats.sum(|c| &c.denied_keys));
    page.put("acl_access_denied_channel", stats.sum(|c| &c.denied_channels));
    Ok(())
}

fn replication(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    page.put("role", identity::ROLE);
    page.put("connected_slaves", 0);
    page.put("master_failover_state", "no-failover");
    // Without replication there is one history: that of this run, or of DEBUG CHANGE-REPL-ID.
    page.put("master_replid", &*cx.node.history.lock());
    page.put("master_replid2", "0".repeat(40));
    page.put("master_repl_offset", 0);
    page.put("second_repl_offset", -1);
    page.put_all(&[
        ("repl_backlog_active", 0),
        ("repl_backlog_size", 0),
        ("repl_backlog_first_byte_offset", 0),
        ("repl_backlog_histlen", 0),
    ]);
    Ok(())
}

fn cpu(_: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    let classes = [(UsageWho::RUSAGE_SELF, ""), (UsageWho::RUSAGE_CHILDREN, "_children")];
    for (who, suffix) in classes {
        // The call fails only for a class that the kernel does not know.
        let Ok(usage) = getrusage(who) else { continue };
        for (name, time) in [("sys", usage.system_time()), ("user", usage.user_time())] {
            let seconds = time.num_microseconds() as f64 / 1e6;
            page.put(&format!("used_cpu_{name}{suffix}"), format_args!("{seconds:.6}"));
        }
    }
    Ok(())
}

fn errors(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    for (code, count) in cx.node.stats.errors_by_code() {
        page.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
    Ok(())
}

/// What of the host differs from its tuning profile, which is what `roster doctor` tells in full.
fn tuning(_: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    match &*host::tuning::current() {
        Ok(report) => {
            page.put("tuning_profile", &report.profile);
            page.put("tuning_passed", u8::from(report.passes()));
            page.put("tuning_differing", report.differing().count());
            for (number, finding) in report.differing().enumerate() {
                let severity = finding.severity.as_str();
                page.put(&format!("tuning_finding{number}"), format_args!("severity={severity},{}", finding.line()));
            }
        }
        Err(error) => page.put("tuning_error", error),
    }
    Ok(())
}

fn cluster(_: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    page.put("cluster_enabled", 0);
    Ok(())
}

/// Keys whose time to live the average is estimated from.
const TTL_SAMPLE: usize = 64;

fn keyspace(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    for database in 0..cx.node.keyspace.databases() {
        let totals = cx.node.keyspace.totals(database);
        if totals.keys > 0 {
            let ttl = match cx.store {
                Some(store) if totals.volatile > 0 => average_ttl(store, database)?,
                None if totals.volatile > 0 => cx.node.ttls[database].load(Relaxed),
                _ => 0,
            };
            let (keys, volatile, partial) = (totals.keys, totals.volatile, totals.partial);
            let line = format_args!("keys={keys},expires={volatile},avg_ttl={ttl},subexpiry={partial}");
            page.put(&format!("db{database}"), line);
        }
    }
    Ok(())
}

/// The mean time to live in milliseconds of the volatile keys among the first of the order of hashes, which is random.
pub(super) fn average_ttl(store: &Store<'_>, database: usize) -> Result<u64, Error> {
    let (mut sum, mut count) = (0u128, 0u128);
    store.select(database).scan(Cursor::START, TTL_SAMPLE, |record| {
        if let Some(left) = record.expiry().and_then(|expiry| expiry.checked_sub(store.now_ms)) {
            sum += u128::from(left);
            count += 1;
        }
    })?;
    Ok(sum.checked_div(count).unwrap_or_default() as u64)
}
