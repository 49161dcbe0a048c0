"""What redis_exporter reads: INFO, parsed strictly, every number as a Prometheus exposition that prometheus_client reads back. Where
the server has pages of its own (HTTP_PORT), its /metrics are read as well and compared with INFO.

Usage: scrape.py PORT FOLDER
"""

import os
import re
import sys
import urllib.error
import urllib.request

import redis
from prometheus_client.parser import text_string_to_metric_families

client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
raw = redis.Redis(port=int(sys.argv[1]))
raw.response_callbacks.clear()

# Something to see in each section, and nothing that another program left.
client.config_resetstat()
for number in range(50):
    client.set(f"key:{number}", number, ex=1000 if number % 2 else None)
client.get("key:1")
client.get("nothing")
client.select(7)
client.set("other", 1)
try:
    client.lpush("other", 1)
except redis.ResponseError:
    pass

# The fields that redis_exporter asks for by name, with how each is written; sections are Redis 7's.
WHOLE, REAL = r"-?\d+", r"-?\d+(\.\d+)?"
FIELDS = {
    "Server": {"redis_version": r"\d+\.\d+\.\d+", "redis_mode": "standalone", "os": r".+", "process_id": WHOLE, "run_id": "[0-9a-f]{40}",
               "tcp_port": WHOLE, "uptime_in_seconds": WHOLE, "uptime_in_days": WHOLE, "hz": WHOLE, "arch_bits": "64"},
    "Clients": {"connected_clients": WHOLE, "blocked_clients": WHOLE, "tracking_clients": WHOLE, "maxclients": WHOLE,
                "client_recent_max_input_buffer": WHOLE, "client_recent_max_output_buffer": WHOLE, "clients_in_timeout_table": WHOLE},
    "Memory": {"used_memory": WHOLE, "used_memory_rss": WHOLE, "used_memory_peak": WHOLE, "used_memory_human": r"\d+(\.\d+)?[BKMGT]",
               "used_memory_overhead": WHOLE, "used_memory_startup": WHOLE, "used_memory_dataset": WHOLE, "used_memory_lua": WHOLE,
               "used_memory_scripts": WHOLE, "number_of_cached_scripts": WHOLE, "total_system_memory": WHOLE, "maxmemory": WHOLE,
               "maxmemory_policy": "[a-z-]+", "mem_fragmentation_ratio": REAL, "mem_fragmentation_bytes": WHOLE,
               "allocator_active": WHOLE, "allocator_allocated": WHOLE, "allocator_resident": WHOLE, "allocator_frag_ratio": REAL,
               "allocator_rss_ratio": REAL, "rss_overhead_ratio": REAL, "mem_not_counted_for_evict": WHOLE,
               "mem_clients_normal": WHOLE, "mem_clients_slaves": WHOLE, "mem_aof_buffer": WHOLE, "lazyfree_pending_objects": WHOLE},
    "Persistence": {"loading": "[01]", "rdb_changes_since_last_save": WHOLE, "rdb_bgsave_in_progress": "[01]", "rdb_last_save_time": WHOLE,
                    "rdb_last_bgsave_status": "ok|err", "rdb_last_bgsave_time_sec": WHOLE, "rdb_current_bgsave_time_sec": WHOLE,
                    "aof_enabled": "[01]", "aof_rewrite_in_progress": "[01]", "aof_last_bgrewrite_status": "ok|err",
                    "aof_last_write_status": "ok|err", "rdb_last_cow_size": WHOLE, "aof_last_cow_size": WHOLE},
    "Stats": {"total_connections_received": WHOLE, "total_commands_processed": WHOLE, "instantaneous_ops_per_sec": WHOLE,
              "total_net_input_bytes": WHOLE, "total_net_output_bytes": WHOLE, "instantaneous_input_kbps": REAL,
              "instantaneous_output_kbps": REAL, "rejected_connections": WHOLE, "sync_full": WHOLE, "sync_partial_ok": WHOLE,
              "sync_partial_err": WHOLE, "expired_keys": WHOLE, "expired_stale_perc": REAL, "expired_time_cap_reached_count": WHOLE,
              "evicted_keys": WHOLE, "keyspace_hits": WHOLE, "keyspace_misses": WHOLE, "pubsub_channels": WHOLE, "pubsub_patterns": WHOLE,
              "latest_fork_usec": WHOLE, "migrate_cached_sockets": WHOLE, "active_defrag_hits": WHOLE, "total_error_replies": WHOLE,
              "dump_payload_sanitizations": WHOLE, "total_reads_processed": WHOLE, "total_writes_processed": WHOLE},
    "Replication": {"role": "master", "connected_slaves": WHOLE, "master_replid": "[0-9a-f]{40}", "master_repl_offset": WHOLE,
                    "second_repl_offset": WHOLE, "repl_backlog_active": "[01]", "repl_backlog_size": WHOLE,
                    "repl_backlog_first_byte_offset": WHOLE, "repl_backlog_histlen": WHOLE},
    "CPU": {"used_cpu_sys": REAL, "used_cpu_user": REAL, "used_cpu_sys_children": REAL, "used_cpu_user_children": REAL},
    "Cluster": {"cluster_enabled": "[01]"},
}
KEYSPACE = re.compile(r"keys=\d+,expires=\d+,avg_ttl=\d+(,\S+)?")
COMMAND = re.compile(r"calls=\d+,usec=\d+,usec_per_call=\d+(\.\d+)?,rejected_calls=\d+,failed_calls=\d+")
LATENCY = re.compile(r"p50=[\d.]+,p99=[\d.]+,p99\.9=[\d.]+")


def parse(text: str) -> dict[str, dict[str, str]]:
    """Sections and their fields; a line of any other form, or a field or a section met twice, is an error."""
    sections: dict[str, dict[str, str]] = {}
    assert text.endswith("\r\n")
    for block in text.split("\r\n\r\n"):
        title, *lines = block.strip("\r\n").split("\r\n")
        assert re.fullmatch(r"# [A-Z][A-Za-z]+", title), title
        assert title[2:] not in sections, title
        fields = sections[title[2:]] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon and re.fullmatch(r"[a-zA-Z0-9_|.-]+", name) and name not in fields, line
            fields[name] = value
    return sections


def exposition(sections: dict[str, dict[str, str]]) -> str:
    lines = []
    for section, fields in sections.items():
        for name, value in fields.items():
            if section in ("Commandstats", "Errorstats", "Latencystats", "Keyspace"):
                for part in value.split(","):
                    key, _, number = part.partition("=")
                    lines.append(f'redis_{section.lower()}_{key.replace(".", "_")}{{name="{name}"}} {float(number)}')
            elif re.fullmatch(REAL, value):
                lines.append(f"redis_{re.sub('[^a-zA-Z0-9_]', '_', name)} {value}")
    # The samples of a metric stand together.
    return "\n".join(sorted(lines)) + "\n"


missing = []
sections = parse(raw.execute_command("INFO", "everything").decode())
for section, fields in FIELDS.items():
    for name, form in fields.items():
        value = sections.get(section, {}).get(name)
        if value is None or not re.fullmatch(form, value):
            missing.append(f"{section}.{name}={value}")
assert not missing, f"INFO lacks or misspells: {missing}"

assert KEYSPACE.fullmatch(sections["Keyspace"]["db0"]) and KEYSPACE.fullmatch(sections["Keyspace"]["db7"])
assert sections["Keyspace"]["db0"].startswith("keys=50,expires=25,")
commands = sections["Commandstats"]
assert all(COMMAND.fullmatch(value) for value in commands.values()), commands
assert commands["cmdstat_set"].startswith("calls=51,") and commands["cmdstat_lpush"].endswith("failed_calls=1")
assert sections["Errorstats"]["errorstat_WRONGTYPE"] == "count=1"
assert all(LATENCY.fullmatch(value) for value in sections["Latencystats"].values())
assert int(sections["Stats"]["keyspace_hits"]) >= 1 and int(sections["Stats"]["keyspace_misses"]) >= 1

families = list(text_string_to_metric_families(exposition(sections)))
metrics: dict[str, list] = {}
for family in families:
    metrics.setdefault(family.name, []).extend(family.samples)
assert metrics["redis_connected_clients"][0].value >= 1
assert {sample.labels["name"]: sample.value for sample in metrics["redis_keyspace_keys"]} == {"db0": 50, "db7": 1}

# What the exporter sends besides.
assert client.config_get("maxmemory") == {"maxmemory": "0"} and len(client.config_get("*")) > 50
assert client.slowlog_get(1) is not None and client.slowlog_len() >= 0
assert client.execute_command("LATENCY LATEST") == []
assert len(client.client_list()) >= 1


def own_metrics(port: str) -> int:
    """Reads the server's own page of measurements, and returns how many families it has."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers.get_content_type() == "text/plain" and answer.headers.get_param("version") == "0.0.4"
        page = answer.read().decode()
    families = list(text_string_to_metric_families(page))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family stands there twice"
    for family in families:
        assert family.type in ("gauge", "counter", "summary") and family.documentation and family.samples, family
        labels = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(labels) == len(set(labels)), family.name
    samples = {}
    for family in families:
        for sample in family.samples:
            samples[sample.name, *sorted(sample.labels.values())] = sample.value
    assert samples["redis_up",] == 1 and samples["redis_connected_clients",] >= 1
    assert samples["redis_db_keys", "db0"] == 50 and samples["redis_db_keys_expiring", "db0"] == 25
    assert samples["redis_commands_total", "set"] == 51 and samples["redis_commands_failed_calls_total", "lpush"] == 1
    assert samples["redis_errors_total", "WRONGTYPE"] == 1
    assert samples["redis_latency_percentiles_usec", "0.99", "set"] > 0
    info = client.info("everything")
    for field, metric in [("keyspace_hits", "redis_keyspace_hits_total"), ("maxclients", "redis_max_clients"),
                          ("total_connections_received", "redis_connections_received_total")]:
        assert info[field] == samples[metric,], field
    for path, status in [("/healthz", 200), ("/", 200), ("/nosuch", 404)]:
        try:
            found = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).status
        except urllib.error.HTTPError as error:
            found = error.code
        assert found == status, path
    return len(families)


if port := os.environ.get("HTTP_PORT"):
    print(f"scrape: {own_metrics(port)} families of /metrics")
print(f"scrape: {sum(map(len, sections.values()))} fields of INFO, {len(metrics)} metrics")
