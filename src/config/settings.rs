//! The settings: one declaration each, from which come the struct, its flags, its variables, its file keys,
//! CONFIG GET and SET, the help, and the documentation.

use std::path::PathBuf;

use super::address::Addresses;
use super::compound::{OutputLimits, Percentiles, SaveRules, Workers};
use super::events::Events;
use super::kind::{I64_MAX, Kind};
use super::row::settings;
use super::users::Users;
use super::value::{Access, AppendFsync, IoDriver, LogLevel, LogTarget, MaxmemoryPolicy};
use super::value::{Mode, PubsubDefault, Quantity, Share, TaskRun, TlsAuth};
use super::words::{TLS_CIPHERS, TLS_CIPHERSUITES, TLS_PROTOCOLS, Words};

/// The greatest value of Redis's 32-bit settings.
const I32_MAX: i64 = i32::MAX as i64;
/// Bytes of any amount that fits Redis's signed settings.
const ANY_BYTES: Kind = Kind::Bytes { min: 0, max: i64::MAX as u64 };
/// A count of any amount that fits Redis's signed settings.
/// A limit, or -1 for none.
const LIMIT_OR_NONE: Kind = Kind::Integer { min: -1, max: I64_MAX };
const ANY_COUNT: Kind = Kind::Integer { min: 0, max: I64_MAX };
/// An integer of 32 bits that is not negative.
const COUNT: Kind = Kind::Integer { min: 0, max: I32_MAX };

const NO_CLUSTER: &str = "this build has no cluster mode yet";

settings! {
    Network {
        /// Addresses to listen on. One with a leading `-` may be missing on this machine; `*` is all of IPv4, `::*` all of IPv6.
        bind: Addresses = "127.0.0.1 -::1", Kind::Addresses, fixed;
        /// TCP port; 0 listens on no TCP port.
        port: u16 = "6379", Kind::Integer { min: 0, max: 65_535 }, fixed;
        /// Path of a unix socket to listen on as well; nothing for none.
        unixsocket: PathBuf = "", Kind::SocketPath, fixed;
        /// Permission mode of the unix socket; 0 leaves it to the umask.
        unixsocketperm: Mode = "0", Kind::Octal, fixed;
        /// Length of the queue of connections that wait to be accepted.
        tcp_backlog: u32 = "511", COUNT, fixed;
        /// Seconds of silence after which the kernel probes a TCP client; 0 never does.
        tcp_keepalive: u32 = "300", COUNT;
        /// Seconds after which an idle client is disconnected; 0 never does.
        timeout: u32 = "0", COUNT;
        /// Clients at the same time; further ones are told so and closed.
        maxclients: u32 = "10000", Kind::Integer { min: 1, max: u32::MAX as i64 };
        /// Refuse clients from other machines while there is no password.
        protected_mode: bool = "yes", Kind::Flag;
    }
    Tls {
        /// Port for clients that speak TLS, at the addresses of `bind`, beside `port` or instead of it; 0 listens on none.
        tls_port: u16 = "0", Kind::Integer { min: 0, max: 65_535 }, fixed;
        /// File of the server's certificate in PEM, followed by those that lead to its authority. CONFIG SET reads all of these
        /// files anew for the clients to come, also when it names the same one.
        tls_cert_file: PathBuf = "", Kind::FilePath;
        /// File of its private key in PEM, not encrypted.
        tls_key_file: PathBuf = "", Kind::FilePath;
        /// File of the authorities in PEM that certificates of clients have to come from.
        tls_ca_cert_file: PathBuf = "", Kind::FilePath;
        /// Folder of such files.
        tls_ca_cert_dir: PathBuf = "", Kind::FilePath;
        /// Whether clients have to show a certificate: if `optional`, one that they show has to be good.
        tls_auth_clients: TlsAuth = "yes", Kind::Choice(TlsAuth::WORDS);
        /// Versions of TLS; nothing for both. There are no older ones.
        tls_protocols: Words = "", Kind::Words { known: TLS_PROTOCOLS, colons: false };
        /// Ciphers of TLS 1.2 in the order of preference; nothing for all.
        tls_ciphers: Words = "", Kind::Words { known: TLS_CIPHERS, colons: true };
        /// Ciphers of TLS 1.3 in the order of preference; nothing for all.
        tls_ciphersuites: Words = "", Kind::Words { known: TLS_CIPHERSUITES, colons: true };
        /// Whether the server's order of ciphers decides, and not the client's.
        tls_prefer_server_ciphers: bool = "no", Kind::Flag;
        /// Whether clients may resume sessions, which saves most of a handshake.
        tls_session_caching: bool = "yes", Kind::Flag;
        /// Sessions that are kept for that.
        tls_session_cache_size: u32 = "20480", Kind::Integer { min: 1, max: 1 << 20 };
    }
    Workers {
        /// Threads that serve clients: `auto` (one for each CPU that the process may use), a number, or a list of CPUs.
        workers: Workers = "auto", Kind::Workers, fixed;
        /// Keep each worker on its own CPU.
        pin_workers: bool = "yes", Kind::Flag, fixed;
        /// Interface to the kernel: `auto` takes io_uring where it is allowed, else epoll.
        io_driver: IoDriver = "auto", Kind::Choice(IoDriver::WORDS), fixed;
        /// Submission entries of each worker's ring.
        ring_entries: u32 = "4096", Kind::Power { min: 256, max: 32_768 }, fixed;
        /// Let a kernel thread poll each ring, which saves system calls and costs CPU time.
        sqpoll: bool = "no", Kind::Flag, fixed;
        /// Milliseconds after which an idle polling thread sleeps.
        sqpoll_idle: u32 = "1000", Kind::Integer { min: 1, max: 3_600_000 }, fixed;
        /// CPU of the polling threads; -1 leaves it to the scheduler.
        sqpoll_cpu: i32 = "-1", Kind::Integer { min: -1, max: 1023 }, fixed;
        /// How the kernel runs completion work. A ring with `sqpoll` has no such choice and runs as `none`.
        task_run: TaskRun = "coop", Kind::Choice(TaskRun::WORDS), fixed;
        /// Parts of the keyspace that are locked and scanned as one; `auto` chooses from the memory.
        shards: Quantity = "auto", Kind::AutoPower { min: 16, max: 16_384 }, fixed;
        /// Ranges of shards, each in the care of a group of workers; `auto` is one for each worker.
        segments: Quantity = "auto", Kind::AutoInteger { min: 1, max: 1_024 }, fixed;
        /// Lay records on huge pages, where the system gives transparent ones to programs that ask.
        huge_pages: bool = "yes", Kind::Flag, fixed;
        /// Background rounds a second: expiry, idle clients, statistics.
        hz: u32 = "10", Kind::Integer { min: 1, max: 500 };
        /// Effort of the search for expired keys, from 1 (least) to 10.
        active_expire_effort: u32 = "1", Kind::Integer { min: 1, max: 10 };
        /// Seconds that a shutdown waits for clients to receive their replies.
        shutdown_timeout: u32 = "10", COUNT;
    }
    Keyspace {
        /// Number of databases that SELECT chooses from.
        databases: u32 = "16", Kind::Integer { min: 1, max: 65_536 }, fixed;
        /// Working directory, where data files are.
        dir: PathBuf = ".", Kind::Directory, protected;
        /// Serve as a node of a cluster.
        cluster_enabled: bool = "no", Kind::Flag, fixed, lacking(NO_CLUSTER);
        /// Rank of this server among replicas when a new master is chosen; 0 is never chosen.
        replica_priority: u32 = "100", COUNT, aliases(&["slave-priority"]);
        /// Classes of keyspace events that are published; nothing for none.
        notify_keyspace_events: Events = "", Kind::Events;
    }
    Limits {
        /// Bytes of the longest argument of a command, and of the longest string.
        proto_max_bulk_len: u64 = "512mb", Kind::Bytes { min: 1 << 20, max: 1 << 30 };
        /// Bytes of requests that one client may have unanswered.
        client_query_buffer_limit: u64 = "1gb", Kind::Bytes { min: 1 << 20, max: i64::MAX as u64 };
        /// Bytes of replies that one client may have unread: at once (hard), or for some seconds (soft); 0 is no limit.
        client_output_buffer_limit: OutputLimits =
            "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", Kind::OutputLimits;
        /// Keys that are remembered for the caches of clients (`CLIENT TRACKING`); 0 is no limit.
        tracking_table_max_keys: u64 = "1000000", ANY_COUNT;
        /// Memory of all clients together, above which the largest is disconnected; 0 is no limit.
        maxmemory_clients: Share = "0", Kind::Share;
    }
    Scripts {
        /// Milliseconds after which a script is slow: others are told so instead of being kept waiting, and it may be killed; 0 is
        /// never.
        busy_reply_threshold: u64 = "5000", ANY_COUNT, aliases(&["lua-time-limit"]);
        /// Milliseconds after which a script that has changed nothing is ended without SCRIPT KILL; 0 never ends one.
        script_time_limit: u64 = "0", ANY_COUNT;
        /// Bytes that the scripts of one worker may take.
        script_memory_limit: u64 = "256mb", Kind::Bytes { min: 4 << 20, max: i64::MAX as u64 };
    }
    Memory {
        /// Bytes that the data may take; 0 is no limit.
        maxmemory: u64 = "0", Kind::Bytes { min: 0, max: u64::MAX };
        /// Which keys are evicted when `maxmemory` is reached.
        maxmemory_policy: MaxmemoryPolicy = "noeviction", Kind::Choice(MaxmemoryPolicy::WORDS);
        /// Keys that are compared to find one to evict; twice as many are, and the best finds are kept for later.
        maxmemory_samples: u32 = "5", Kind::Integer { min: 1, max: I32_MAX };
        /// How long a command may wait for keys to be evicted: 10 is half a millisecond, 100 is as long as it takes.
        maxmemory_eviction_tenacity: u32 = "10", Kind::Integer { min: 0, max: 100 };
        /// How slowly the access counter of a key saturates under the `lfu` policies.
        lfu_log_factor: u32 = "10", COUNT;
        /// Minutes after which an access counter is halved under the `lfu` policies.
        lfu_decay_time: u32 = "1", COUNT;
        /// Free evicted values in the background.
        lazyfree_lazy_eviction: bool = "no", Kind::Flag;
        /// Free expired values in the background.
        lazyfree_lazy_expire: bool = "no", Kind::Flag;
        /// Free values that a command overwrites in the background.
        lazyfree_lazy_server_del: bool = "no", Kind::Flag;
        /// Let DEL free values in the background, as UNLINK does.
        lazyfree_lazy_user_del: bool = "no", Kind::Flag;
        /// Let FLUSHALL and FLUSHDB free values in the background by default.
        lazyfree_lazy_user_flush: bool = "no", Kind::Flag;
    }
    Encodings {
        /// Fields up to which a hash is kept packed.
        hash_max_listpack_entries: u64 = "512", ANY_COUNT, aliases(&["hash-max-ziplist-entries"]);
        /// Bytes of the longest field or value of a packed hash.
        hash_max_listpack_value: u64 = "64", ANY_BYTES, aliases(&["hash-max-ziplist-value"]);
        /// Elements of one node of a list; -1 to -5 are 4, 8, 16, 32 and 64 KiB.
        list_max_listpack_size: i32 = "-2", Kind::Integer { min: i32::MIN as i64, max: I32_MAX }, aliases(&["list-max-ziplist-size"]);
        /// Nodes at each end of a list that are not compressed; 0 compresses none.
        list_compress_depth: u32 = "0", COUNT;
        /// Integers up to which a set of integers is kept packed.
        set_max_intset_entries: u64 = "512", ANY_COUNT;
        /// Members up to which a set is kept packed.
        set_max_listpack_entries: u64 = "128", ANY_COUNT;
        /// Bytes of the longest member of a packed set.
        set_max_listpack_value: u64 = "64", ANY_BYTES;
        /// Members up to which a sorted set is kept packed.
        zset_max_listpack_entries: u64 = "128", ANY_COUNT, aliases(&["zset-max-ziplist-entries"]);
        /// Bytes of the longest member of a packed sorted set.
        zset_max_listpack_value: u64 = "64", ANY_BYTES, aliases(&["zset-max-ziplist-value"]);
        /// Bytes up to which a HyperLogLog is kept sparse.
        hll_sparse_max_bytes: u64 = "3000", ANY_BYTES;
        /// Bytes of one node of a stream; 0 is no limit.
        stream_node_max_bytes: u64 = "4096", ANY_BYTES;
        /// Entries of one node of a stream; 0 is no limit.
        stream_node_max_entries: u64 = "100", ANY_COUNT;
    }
    Persistence {
        /// When to save a snapshot: pairs of seconds and changes; nothing for never.
        save: SaveRules = "", Kind::SaveRules;
        /// Name of the snapshot's file in `dir`.
        dbfilename: String = "dump.rdb", Kind::FileName, protected;
        /// Compress strings in snapshots.
        rdbcompression: bool = "yes", Kind::Flag;
        /// End snapshots with a checksum.
        rdbchecksum: bool = "yes", Kind::Flag, fixed;
        /// Refuse writes while the last snapshot in the background failed and `save` asks for snapshots.
        stop_writes_on_bgsave_error: bool = "yes", Kind::Flag;
        /// Keep an append-only log of all writes.
        appendonly: bool = "no", Kind::Flag;
        /// Name of the log's folder in `dir`.
        appenddirname: String = "appendonlydir", Kind::FileName, fixed;
        /// When the append-only log is made durable.
        appendfsync: AppendFsync = "everysec", Kind::Choice(AppendFsync::WORDS);
        /// Start with an append-only log whose end a crash has torn, without its last record.
        aof_load_truncated: bool = "yes", Kind::Flag;
        /// Growth of the append-only log in percent after which it is replaced by a snapshot; 0 never does.
        auto_aof_rewrite_percentage: u32 = "100", COUNT;
        /// Bytes of the append-only log below which it is not replaced.
        auto_aof_rewrite_min_size: u64 = "64mb", ANY_BYTES;
    }
    Security {
        /// Password that clients must give; nothing for none.
        requirepass: String = "", Kind::Text { max: 512 }, secret;
        /// Milliseconds that the reply to a wrong password is held back, without any other client noticing.
        auth_failure_delay: u32 = "100", Kind::Integer { min: 0, max: 60_000 };
        /// File of users (`ACL LOAD`, `ACL SAVE`); nothing for none.
        aclfile: PathBuf = "", Kind::FilePath, fixed;
        /// Users, where there is no `aclfile`. CONFIG REWRITE writes those that there are then. Not shown by CONFIG GET.
        user: Users = "", Kind::Users, fixed, secret;
        /// Whether new users may use all channels.
        acl_pubsub_default: PubsubDefault = "resetchannels", Kind::Choice(PubsubDefault::WORDS);
        /// Refusals that ACL LOG holds.
        acllog_max_len: u64 = "128", ANY_COUNT;
        /// Who may use DEBUG.
        enable_debug_command: Access = "local", Kind::Choice(Access::WORDS), fixed;
        /// Who may change the protected settings by CONFIG SET.
        enable_protected_configs: Access = "no", Kind::Choice(Access::WORDS), fixed;
    }
    Observability {
        /// Port of `/metrics` (Prometheus), `/healthz` and a status page, by HTTP and for whoever can reach it; 0 serves none.
        http_port: u16 = "0", Kind::Integer { min: 0, max: 65_535 }, fixed;
        /// Addresses of that port, in the form of `bind`.
        http_bind: Addresses = "127.0.0.1 -::1", Kind::Addresses, fixed;
        /// Least important messages that are logged.
        loglevel: LogLevel = "notice", Kind::Choice(LogLevel::WORDS);
        /// Where log messages go: `auto` is the journal under systemd, else standard error.
        log_target: LogTarget = "auto", Kind::Choice(LogTarget::WORDS), fixed;
        /// Microseconds above which a command is kept in the slow log; 0 keeps all, -1 none.
        slowlog_log_slower_than: i64 = "10000", LIMIT_OR_NONE, aliases(&["commandlog-execution-slower-than"]);
        /// Commands that the slow log holds.
        slowlog_max_len: u64 = "128", ANY_COUNT, aliases(&["commandlog-slow-execution-max-len"]);
        /// Bytes of a request from which on its command is kept in the log of large requests; 0 keeps all, -1 none.
        commandlog_request_larger_than: i64 = "1048576", LIMIT_OR_NONE;
        /// Commands that the log of large requests holds.
        commandlog_large_request_max_len: u64 = "128", ANY_COUNT;
        /// Bytes of a reply from which on its command is kept in the log of large replies; 0 keeps all, -1 none.
        commandlog_reply_larger_than: i64 = "1048576", LIMIT_OR_NONE;
        /// Commands that the log of large replies holds.
        commandlog_large_reply_max_len: u64 = "128", ANY_COUNT;
        /// Milliseconds above which an event is kept for LATENCY; 0 keeps none.
        latency_monitor_threshold: u64 = "0", ANY_COUNT;
        /// Measure the latency of each command.
        latency_tracking: bool = "yes", Kind::Flag;
        /// Percentiles of the latency of commands that INFO shows.
        latency_tracking_info_percentiles: Percentiles = "50 99 99.9", Kind::Percentiles;
    }
}

impl Settings {
    /// How a ring of these settings runs completion work: the kernel refuses to combine SQPOLL with a choice.
    pub fn ring_task_run(&self) -> TaskRun {
        if self.sqpoll { TaskRun::None } else { self.task_run }
    }
}
