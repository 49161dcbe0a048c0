//! Which field of `INFO` is which family.

use crate::web::exposition::Kind;

/// A field that is one number.
pub(super) struct Row {
    /// The field of `INFO`.
    pub(super) field: &'static str,
    /// The family.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A sentence.
    pub(super) help: &'static str,
}

const fn gauge(field: &'static str, name: &'static str, help: &'static str) -> Row {
    Row { field, name, kind: Kind::Gauge, help }
}

const fn counter(field: &'static str, name: &'static str, help: &'static str) -> Row {
    Row { field, name, kind: Kind::Counter, help }
}

/// All of them, in the order of `INFO`.
pub(super) const ROWS: &[Row] = &[
    gauge("uptime_in_seconds", "redis_uptime_in_seconds", "Seconds since the start."),
    gauge("process_id", "redis_process_id", "The process."),
    gauge("workers", "roster_workers", "Threads that serve clients."),
    gauge("shards", "roster_shards", "Parts that the keyspace is divided into."),
    gauge("connected_clients", "redis_connected_clients", "Clients that are connected."),
    gauge("blocked_clients", "redis_blocked_clients", "Clients that wait for keys or for the end of a pause."),
    gauge("maxclients", "redis_max_clients", "Clients that may be connected."),
    gauge("maxclients", "redis_config_maxclients", "The setting maxclients."),
    gauge("tracking_clients", "redis_tracking_clients", "Clients that have keys tracked for their caches."),
    gauge("pubsub_clients", "redis_pubsub_clients", "Clients that have subscribed to something."),
    gauge("watching_clients", "redis_watching_clients", "Clients that watch keys."),
    gauge(
        "clients_in_timeout_table",
        "redis_clients_in_timeout_table",
        "Clients that wait for keys for a limited time.",
    ),
    gauge("total_watched_keys", "redis_total_watched_keys", "Keys that are watched."),
    gauge("total_blocking_keys", "redis_total_blocking_keys", "Keys that clients wait for."),
    gauge(
        "total_blocking_keys_on_nokey",
        "redis_total_blocking_keys_on_nokey",
        "Keys that clients wait for who are to hear of their removal.",
    ),
    gauge(
        "client_recent_max_input_buffer",
        "redis_client_recent_max_input_buffer_bytes",
        "The largest receive buffer of a client.",
    ),
    gauge(
        "client_recent_max_output_buffer",
        "redis_client_recent_max_output_buffer_bytes",
        "The most that a client has not been sent yet.",
    ),
    gauge("used_memory", "redis_memory_used_bytes", "Memory that the server uses."),
    gauge("used_memory_rss", "redis_memory_used_rss_bytes", "Memory of the process that is in RAM."),
    gauge("used_memory_peak", "redis_memory_used_peak_bytes", "The most memory that the server has used."),
    gauge("used_memory_overhead", "redis_memory_used_overhead_bytes", "Memory that is not of keys and values."),
    gauge("used_memory_startup", "redis_memory_used_startup_bytes", "Memory that the server used when it had started."),
    gauge("used_memory_dataset", "redis_memory_used_dataset_bytes", "Memory of keys and values."),
    gauge("used_memory_lua", "redis_memory_used_lua_bytes", "Memory of the texts of scripts."),
    gauge("used_memory_scripts", "redis_memory_used_scripts_bytes", "Memory of the texts of scripts and functions."),
    gauge("number_of_cached_scripts", "redis_number_of_cached_scripts", "Scripts that EVALSHA knows."),
    gauge("number_of_functions", "redis_number_of_functions", "Functions."),
    gauge("number_of_libraries", "redis_number_of_libraries", "Libraries of functions."),
    gauge("total_system_memory", "redis_total_system_memory_bytes", "Memory of the machine."),
    gauge("maxmemory", "redis_memory_max_bytes", "Memory that the data may take; 0 is no limit."),
    gauge("maxmemory", "redis_config_maxmemory", "The setting maxmemory."),
    gauge("allocator_allocated", "redis_allocator_allocated_bytes", "Memory that the allocators have handed out."),
    gauge("allocator_active", "redis_allocator_active_bytes", "Memory of the allocators' pages that are in use."),
    gauge("allocator_resident", "redis_allocator_resident_bytes", "Memory of the allocators' pages that is in RAM."),
    gauge("allocator_frag_ratio", "redis_allocator_frag_ratio", "Pages in use by what is handed out."),
    gauge("allocator_frag_bytes", "redis_allocator_frag_bytes", "Pages in use less what is handed out."),
    gauge("allocator_rss_ratio", "redis_allocator_rss_ratio", "Pages in RAM by pages in use."),
    gauge("allocator_rss_bytes", "redis_allocator_rss_bytes", "Pages in RAM less pages in use."),
    gauge(
        "mem_fragmentation_ratio",
        "redis_mem_fragmentation_ratio",
        "Memory of the process by memory that the server uses.",
    ),
    gauge(
        "mem_fragmentation_bytes",
        "redis_mem_fragmentation_bytes",
        "Memory of the process less memory that the server uses.",
    ),
    gauge("mem_clients_normal", "redis_mem_clients_normal", "Memory of the buffers of clients."),
    gauge(
        "mem_not_counted_for_evict",
        "redis_mem_not_counted_for_eviction_bytes",
        "Memory that maxmemory does not count.",
    ),
    gauge(
        "lazyfree_pending_objects",
        "redis_lazyfree_pending_objects",
        "Values that wait to be freed in the background.",
    ),
    counter("lazyfreed_objects", "redis_lazyfreed_objects_total", "Values that were freed in the background."),
    gauge("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", "Changes since the last snapshot."),
    gauge("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", "Whether a snapshot is being saved."),
    gauge("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", "Unix time of the last snapshot."),
    gauge("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", "Whether the last snapshot was saved."),
    gauge(
        "rdb_last_bgsave_time_sec",
        "redis_rdb_last_bgsave_duration_sec",
        "Seconds that the last snapshot took; -1 if there was none.",
    ),
    gauge(
        "rdb_current_bgsave_time_sec",
        "redis_rdb_current_bgsave_duration_sec",
        "Seconds that the present snapshot has taken; -1 if there is none.",
    ),
    counter("rdb_saves", "redis_rdb_saves_total", "Snapshots that were begun."),
    gauge("rdb_last_load_keys_loaded", "redis_rdb_last_load_keys_loaded", "Keys that were loaded at the start."),
    gauge(
        "rdb_last_load_keys_expired",
        "redis_rdb_last_load_keys_expired",
        "Keys that had expired when they were to be loaded.",
    ),
    gauge("aof_enabled", "redis_aof_enabled", "Whether a log is kept."),
    gauge(
        "aof_rewrite_in_progress",
        "redis_aof_rewrite_in_progress",
        "Whether the log is being replaced by a snapshot.",
    ),
    gauge("aof_rewrite_scheduled", "redis_aof_rewrite_scheduled", "Whether the log is to be replaced."),
    gauge(
        "aof_last_bgrewrite_status",
        "redis_aof_last_bgrewrite_status",
        "Whether the last replacement of the log succeeded.",
    ),
    gauge("aof_last_write_status", "redis_aof_last_write_status", "Whether the log can be written."),
    gauge("aof_current_size", "redis_aof_current_size_bytes", "Bytes of the log."),
    gauge("aof_base_size", "redis_aof_base_size_bytes", "Bytes of the log when it began."),
    gauge("aof_pending_rewrite", "redis_aof_pending_rewrite", "Whether the log waits to be replaced."),
    gauge("aof_buffer_length", "redis_aof_buffer_length", "Bytes that are to be written to the log."),
    gauge("aof_pending_bio_fsync", "redis_aof_pending_bio_fsync", "Whether the log is to be made durable."),
    counter(
        "aof_delayed_fsync",
        "redis_aof_delayed_fsync_total",
        "Times that the log became durable later than promised.",
    ),
    counter("total_connections_received", "redis_connections_received_total", "Connections that were accepted."),
    counter("total_commands_processed", "redis_commands_processed_total", "Commands that were executed."),
    gauge("instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec", "Commands a second, over the last moments."),
    counter("total_net_input_bytes", "redis_net_input_bytes_total", "Bytes received from clients."),
    counter("total_net_output_bytes", "redis_net_output_bytes_total", "Bytes sent to clients."),
    gauge(
        "instantaneous_input_kbps",
        "redis_instantaneous_input_kbps",
        "KiB a second received, over the last moments.",
    ),
    gauge("instantaneous_output_kbps", "redis_instantaneous_output_kbps", "KiB a second sent, over the last moments."),
    counter("rejected_connections", "redis_rejected_connections_total", "Connections that were refused."),
    counter("total_reads_processed", "redis_total_reads_processed", "Receives: one for each batch of requests."),
    counter("total_writes_processed", "redis_total_writes_processed", "Sends: one for each batch of replies."),
    counter("total_error_replies", "redis_total_error_replies", "Error replies."),
    counter("expired_keys", "redis_expired_keys_total", "Keys that expired."),
    counter("evicted_keys", "redis_evicted_keys_total", "Keys that were evicted for maxmemory."),
    counter("evicted_clients", "redis_evicted_clients_total", "Clients that were closed for maxmemory-clients."),
    counter(
        "total_eviction_exceeded_time",
        "redis_eviction_exceeded_time_ms_total",
        "Milliseconds for which the memory was above maxmemory.",
    ),
    counter("keyspace_hits", "redis_keyspace_hits_total", "Look-ups that found their key."),
    counter("keyspace_misses", "redis_keyspace_misses_total", "Look-ups that did not."),
    gauge("pubsub_channels", "redis_pubsub_channels", "Channels that have subscribers."),
    gauge("pubsub_patterns", "redis_pubsub_patterns", "Patterns that have subscribers."),
    gauge("pubsubshard_channels", "redis_pubsubshard_channels", "Shard channels that have subscribers."),
    gauge("tracking_total_keys", "redis_tracking_total_keys", "Keys that are tracked for the caches of clients."),
    gauge("tracking_total_items", "redis_tracking_total_items", "Clients of those keys, summed up."),
    gauge("tracking_total_prefixes", "redis_tracking_total_prefixes", "Prefixes that are tracked."),
    counter(
        "client_query_buffer_limit_disconnections",
        "redis_client_query_buffer_limit_disconnections_total",
        "Clients closed for client-query-buffer-limit.",
    ),
    counter(
        "client_output_buffer_limit_disconnections",
        "redis_client_output_buffer_limit_disconnections_total",
        "Clients closed for client-output-buffer-limit.",
    ),
    counter("acl_access_denied_auth", "redis_acl_access_denied_auth_total", "Wrong names and passwords."),
    counter("acl_access_denied_cmd", "redis_acl_access_denied_cmd_total", "Commands that their users may not call."),
    counter(
        "acl_access_denied_key",
        "redis_acl_access_denied_key_total",
        "Commands that were refused for one of their keys.",
    ),
    counter(
        "acl_access_denied_channel",
        "redis_acl_access_denied_channel_total",
        "Commands that were refused for one of their channels.",
    ),
    gauge("connected_slaves", "redis_connected_slaves", "Replicas that are connected."),
    gauge("master_repl_offset", "redis_master_repl_offset", "Bytes of the history that was replicated."),
    counter("used_cpu_sys", "redis_cpu_sys_seconds_total", "Seconds of CPU time in the kernel."),
    counter("used_cpu_user", "redis_cpu_user_seconds_total", "Seconds of CPU time outside of the kernel."),
    counter(
        "used_cpu_sys_children",
        "redis_cpu_sys_children_seconds_total",
        "The same of child processes, in the kernel.",
    ),
    counter(
        "used_cpu_user_children",
        "redis_cpu_user_children_seconds_total",
        "The same of child processes, outside of the kernel.",
    ),
    gauge("cluster_enabled", "redis_cluster_enabled", "Whether the server is a node of a cluster."),
];
