//! Tests of the sources of settings, their precedence, their places and their mistakes.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::{Address, OutputLimit, Quantity, Workers};

/// A file of settings that is removed with its name.
struct File(PathBuf);

impl File {
    fn new(text: impl AsRef<[u8]>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("roster-config-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn at(&self, line: u32) -> String {
        format!("{}:{line}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn with(flags: &[&str], variables: &[(&str, &str)], file: &Path) -> Result<Invocation, String> {
    let arguments = std::iter::once("roster").chain(flags.iter().copied());
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    parse_with(arguments.map(OsString::from), variables.collect(), file).map_err(|error| error.to_string())
}

fn flags(flags: &[&str]) -> Result<Invocation, String> {
    with(flags, &[], Path::new("/nonexistent"))
}

fn variables(variables: &[(&str, &str)]) -> Result<Invocation, String> {
    with(&[], variables, Path::new("/nonexistent"))
}

fn toml(text: &str) -> (Result<Invocation, String>, String) {
    let file = File::new(text);
    let place = file.0.display().to_string();
    (with(&[], &[], &file.0), place)
}

#[test]
fn every_default_is_a_value_that_is_accepted_and_reads_back() {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        assert_eq!(setting.update(&mut settings, setting.default), Ok(()), "{}", setting.name);
        let text = setting.text(&settings);
        assert_eq!(setting.update(&mut settings, &text), Ok(()), "{}", setting.name);
        assert_eq!(setting.text(&settings), text, "{}", setting.name);
        assert_eq!(setting.refusal(&settings), None, "{}", setting.name);
        assert!(setting.doc().ends_with('.') && !setting.doc().contains('|'), "{}", setting.name);
    }
    assert_eq!(settings, Settings::default());
}

#[test]
fn no_name_is_used_twice() {
    let mut names: Vec<_> = SETTINGS.iter().flat_map(|setting| setting.names()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn nothing_at_all_serves_with_the_defaults() {
    let invocation = flags(&[]).unwrap();
    assert_eq!(invocation.action, Action::Serve);
    assert_eq!(invocation.loaded.settings, Settings::default());
    assert_eq!(invocation.loaded.origin("port"), "default");
    let settings = invocation.loaded.settings;
    assert_eq!((settings.port, settings.maxclients, settings.proto_max_bulk_len), (6379, 10_000, 512 << 20));
    assert_eq!(settings.bind.0[1], Address { host: "::1".into(), optional: true });
    assert_eq!(
        settings.client_output_buffer_limit.pubsub,
        OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 }
    );
    assert_eq!((settings.workers, settings.shards), (Workers::Auto, Quantity::Auto));
}

#[test]
fn later_sources_win_and_each_value_tells_its_place() {
    let file = File::new("# comment\nport = 1001\ntimeout = 7\n\nhz = 20\n");
    let environment = [("ROSTER_TIMEOUT", "8"), ("ROSTER_HZ", "30"), ("HOME", "/")];
    let loaded = with(&["--hz", "40"], &environment, &file.0).unwrap().loaded;
    assert_eq!((loaded.settings.port, loaded.settings.timeout, loaded.settings.hz), (1001, 8, 40));
    assert_eq!(loaded.origin("port"), file.at(2));
    assert_eq!(loaded.origin("timeout"), "ROSTER_TIMEOUT");
    assert_eq!(loaded.origin("hz"), "--hz");
    assert_eq!(loaded.origin("databases"), "default");
}

#[test]
fn the_file_is_named_by_flag_else_by_variable_else_by_custom() {
    let [one, two, three] = ["port = 1", "port = 2", "port = 3"].map(File::new);
    let path = |file: &File| file.0.display().to_string();
    let environment = [("ROSTER_CONFIG", path(&two))];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let port =
        |flags: &[&str], environment: &[(&str, &str)]| with(flags, environment, &three.0).unwrap().loaded.settings.port;
    assert_eq!(port(&["--config", &path(&one)], &environment), 1);
    assert_eq!(port(&["check-config", &format!("--config={}", path(&one))], &environment), 1);
    assert_eq!(port(&[], &environment), 2);
    assert_eq!(port(&[], &[]), 3);
    assert!(flags(&["--config", "/nonexistent/x"]).unwrap_err().starts_with("/nonexistent/x: the file cannot be read"));
}

#[test]
fn toml_takes_native_values_and_both_spellings() {
    let (invocation, _) = toml(
        "tcp_backlog = 0x10\nbind = ['::1', '*']\npin-workers = false\nproto-max-bulk-len = '64mb'\n\
         client-output-buffer-limit = ['normal 1 1 1', 'pubsub 2 2 2']\nunixsocketperm = 0o770\n\
         latency-tracking-info-percentiles = [50, 99.5]\nworkers = [3]\nHash-Max-Ziplist-Entries = 9\nsave = []\n",
    );
    let settings = invocation.unwrap().loaded.settings;
    assert_eq!((settings.tcp_backlog, settings.pin_workers), (16, false));
    assert_eq!(settings.bind.0.len(), 2);
    assert_eq!(settings.proto_max_bulk_len, 64 << 20);
    assert_eq!(settings.client_output_buffer_limit.pubsub.hard, 2);
    assert_eq!(settings.client_output_buffer_limit.replica.hard, 256 << 20);
    assert_eq!(settings.unixsocketperm.0, 0o770);
    assert_eq!(settings.latency_tracking_info_percentiles.0, [50.0, 99.5]);
    assert_eq!(settings.workers, Workers::Cpus(vec![3]));
    assert_eq!(settings.hash_max_listpack_entries, 9);
    assert_eq!(toml("unixsocketperm = 700\n").0.unwrap().loaded.settings.unixsocketperm.0, 0o700);
}

#[test]
fn mistakes_in_a_file_are_told_with_their_lines_all_at_once() {
    let (result, path) = toml("port = 70000\n\nprot = 1\ntimeout = true\nhz = [1]\nport = 'x'\n");
    assert_eq!(result.unwrap_err(), format!("{path}:6: this is no TOML: duplicate key"));
    let (result, path) = toml(
        "port = 70000\n\nprot = 1\ntimeout = true\nhz = [1]\nhash-max-ziplist-value = 1\n\
         hash_max_listpack_value = 2\nrequirepass = true\n[network]\nbind = 1\n",
    );
    let expected = [
        "1: port does not take '70000': argument must be between 0 and 65535 inclusive (it takes an integer from 0 to 65535)",
        "3: unknown setting 'prot'; the nearest is 'port', which takes an integer from 0 to 65535",
        "4: timeout does not take 'yes': argument couldn't be parsed into an integer (it takes an integer from 0 to 2147483647)",
        "5: hz does not take a list (it takes an integer from 1 to 500)",
        &format!("7: hash-max-listpack-value is already given at {path}:6; keep one of both"),
        "8: requirepass does not take true or false (it takes text of at most 512 bytes)",
        "9: settings stand in no section; remove [network]",
    ];
    assert_eq!(result.unwrap_err(), expected.map(|line| format!("{path}:{line}")).join("\n"));
}

#[test]
fn files_that_are_no_settings_are_told() {
    let not_text = File::new(b"port = 1\n# \xff\n");
    let message = with(&[], &[], &not_text.0).unwrap_err();
    assert!(message.ends_with("line 2 is not UTF-8"), "{message}");
    let long = File::new("#".repeat((1 << 20) + 1));
    assert!(with(&[], &[], &long.0).unwrap_err().contains("longer than 1048576 bytes"));
    assert!(with(&[], &[], &std::env::temp_dir()).unwrap_err().contains("cannot be read"));
}

#[test]
fn variables_are_read_and_their_mistakes_told() {
    let settings = variables(&[("ROSTER_TCP_BACKLOG", "9"), ("ROSTER_REQUIREPASS", "007")]).unwrap().loaded.settings;
    assert_eq!((settings.tcp_backlog, settings.requirepass.as_str()), (9, "007"));
    assert_eq!(
        variables(&[("ROSTER_MAXCLIENT", "1")]).unwrap_err(),
        "ROSTER_MAXCLIENT: unknown setting 'MAXCLIENT'; the nearest is 'ROSTER_MAXCLIENTS', which takes an integer \
         from 1 to 4294967295"
    );
    assert!(variables(&[("ROSTER_port", "1")]).unwrap_err().contains("'ROSTER_PORT'"));
    assert!(variables(&[("ROSTER_LOGLEVEL", "loud")]).unwrap_err().contains("following: debug, verbose, notice"));
}

#[test]
fn flags_take_values_as_redis_server_does() {
    let settings = |list: &[&str]| flags(list).unwrap().loaded.settings;
    let several = settings(&["--port=7000", "--bind", "127.0.0.1", "-::1", "--save", "", "--workers", "2"]);
    assert_eq!((several.port, several.bind.0.len(), several.workers), (7000, 2, Workers::Count(2)));
    assert_eq!(settings(&["--slowlog-log-slower-than", "-1"]).slowlog_log_slower_than, -1);
    assert_eq!(settings(&["--tcp_backlog", "5", "--TCP-BACKLOG", "6"]).tcp_backlog, 6);
    assert_eq!(settings(&["--hash-max-ziplist-entries", "5"]).hash_max_listpack_entries, 5);
    assert_eq!(settings(&["--requirepass=--odd"]).requirepass, "--odd");
    let limit = "--client-output-buffer-limit";
    let limits = settings(&[limit, "normal 1 0 0", limit, "pubsub", "2", "0", "0"]).client_output_buffer_limit;
    assert_eq!((limits.normal.hard, limits.pubsub.hard), (1, 2));
    let check = flags(&["--bind", "::1", "check-config", "--port", "1"]).unwrap();
    assert_eq!((check.action, check.loaded.settings.port), (Action::CheckConfig, 1));
}

#[test]
fn mistakes_in_flags_are_told_in_one_line() {
    for (given, expected) in [
        (
            &["--prot", "1"][..],
            "--prot: unknown setting 'prot'; the nearest is '--port', which takes an integer from 0 to 65535",
        ),
        (&["--port"], "--port: a value is missing: it takes an integer from 0 to 65535"),
        (&["--port", "--hz", "3"], "--port: a value is missing: it takes an integer from 0 to 65535"),
        (
            &["--hz", "x"],
            "--hz: hz does not take 'x': argument couldn't be parsed into an integer (it takes an integer from 1 to 500)",
        ),
        (
            &["server"],
            "command line: 'server' is no command; there are: check-config, doctor, export, import, tune (and none, to serve)",
        ),
        (
            &["redis.conf"],
            "command line: 'redis.conf' is no command; a file of settings in TOML is given by --config redis.conf",
        ),
        (
            &["--daemonize", "yes"],
            "--daemonize: unknown setting 'daemonize': Roster stays in the foreground; run it under systemd or another supervisor",
        ),
        (&["-p", "1"], "command line: '-p' is no flag; settings are given by their names, such as --port 7000"),
        (
            &["--dir", "/nonexistent"],
            "--dir: dir does not take '/nonexistent': No such file or directory (it takes a directory that exists)",
        ),
    ] {
        assert_eq!(flags(given).unwrap_err(), expected);
    }
}

#[test]
fn what_this_build_lacks_is_refused_not_ignored() {
    let expected = "this build has no cluster mode yet; only cluster-enabled no is accepted";
    assert_eq!(flags(&["--cluster-enabled", "yes"]).unwrap_err(), format!("--cluster-enabled: {expected}"));
    let file = File::new("cluster-enabled = true\n");
    assert!(with(&[], &[], &file.0).unwrap_err().starts_with(&file.at(1)));
    assert!(with(&["--cluster-enabled", "no"], &[], &file.0).is_ok());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let settings = flags(&["--sqpoll", "yes"]).unwrap().loaded.settings;
    assert_eq!((settings.task_run, settings.ring_task_run()), (TaskRun::Coop, TaskRun::None));
    assert!(
        flags(&["--sqpoll", "yes", "--task-run", "defer"]).unwrap_err().contains("does not combine task-run defer")
    );
    assert!(flags(&["--sqpoll", "yes", "--io-driver", "epoll"]).unwrap_err().contains("needs io_uring"));
    assert!(flags(&["--port", "0"]).unwrap_err().contains("nothing to listen on"));
    assert!(flags(&["--bind", ""]).unwrap_err().contains("nothing to listen on"));
    assert!(flags(&["--port", "0", "--unixsocket", "/tmp/x"]).is_ok());
    let tls = ["--tls-port", "7001", "--port", "0", "--tls-cert-file", "c", "--tls-key-file", "k"];
    let with = |more: &[&str]| flags(&[&tls[..], more].concat());
    assert!(with(&["--tls-auth-clients", "no"]).is_ok() && with(&["--tls-ca-cert-file", "a"]).is_ok());
    assert!(with(&[]).unwrap_err().contains("tls-ca-cert-file or tls-ca-cert-dir"));
    assert!(with(&["--tls-ca-cert-dir", "a", "--port", "7001"]).unwrap_err().contains("another port is the same"));
    assert!(with(&["--tls-key-file", ""]).unwrap_err().contains("the key of the server's certificate"));
    assert!(flags(&["--tls-port", "7001"]).unwrap_err().contains("the server's certificate"));
    assert!(flags(&["--tls-cert-file", "c"]).is_ok());
    assert!(flags(&["--http-port", "9121", "--http-bind", ""]).unwrap_err().contains("no address"));
    assert!(flags(&["--port", "7000", "--http-port", "7000"]).unwrap_err().contains("port is the same"));
    assert!(flags(&["--http-port", "9121", "--http-bind", "*", "::*"]).is_ok());
}

#[test]
fn help_lists_every_setting_and_version_tells_it() {
    for word in ["--help", "-h"] {
        let Action::Help(help) = flags(&[word]).unwrap().action else {
            panic!("{word} is no help");
        };
        assert!(SETTINGS.iter().all(|setting| help.contains(&format!("--{} ", setting.name))));
        assert!(help.contains("Observability:") && help.contains("[default: 6379]"));
    }
    let Action::Version(version) = flags(&["--version"]).unwrap().action else {
        panic!("--version is no version");
    };
    assert_eq!(version.trim(), concat!("roster ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_report_reads_back_as_the_same_settings_without_secrets() {
    let given =
        ["--port", "7", "--requirepass", "hunter2", "--bind", "::1", "--unixsocketperm", "700", "--workers", "1-1"];
    let loaded = flags(&given).unwrap().loaded;
    let report = loaded.report();
    assert!(!report.contains("hunter2") && report.contains("# requirepass is set and not shown"));
    let line = report.lines().find(|line| line.starts_with("port = 7 ")).unwrap();
    assert!(line.ends_with("  # --port"));
    let again = toml(&report).0.unwrap().loaded.settings;
    assert_eq!(Settings { requirepass: "hunter2".into(), ..again }, loaded.settings);
}

#[test]
fn strange_values_are_refused_or_read_back_and_never_panic() {
    let long = "9".repeat(10_000);
    let deep = "-".repeat(1_000);
    let strange = [
        "",
        " ",
        "-",
        "+1",
        "-1",
        "0",
        "00",
        "1e3",
        "0x10",
        "9223372036854775807",
        "9223372036854775808",
        "1 2 3 4 5",
        "18446744073709551616gb",
        "\u{0}",
        "é",
        "٣",
        "%",
        "100%",
        "-1%",
        "1,",
        ",",
        "0-",
        "0-1023",
        "1023-0",
        "auto",
        "yes",
        "normal",
        "normal 1 2 3 4",
        "nan",
        "inf",
        "-0",
        "1-1-1",
        "AKEmn",
        "*",
        "::*",
        "-*",
        "[::1]",
        "a/b",
        "..",
        &long,
        &deep,
    ];
    for setting in SETTINGS {
        for text in strange {
            let mut settings = Settings::default();
            if setting.update(&mut settings, text).is_ok() {
                let written = setting.text(&settings);
                let mut again = Settings::default();
                assert_eq!(setting.update(&mut again, &written), Ok(()), "{} {text}", setting.name);
                assert_eq!(setting.text(&again), written, "{} {text}", setting.name);
            } else {
                assert_eq!(settings, Settings::default(), "{} {text}", setting.name);
            }
        }
    }
    for text in ["[".repeat(50_000), "port = ".to_owned() + &"[".repeat(50_000), "a.".repeat(50_000), "port".into()] {
        let message = toml(&text).0.unwrap_err();
        assert!(message.contains(":1: this is no TOML") && message.lines().count() == 1, "{message:.200}");
    }
}
