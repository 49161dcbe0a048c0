//! The rules of the house that a machine can check: who may import whom, how long a file may be, where `unsafe` lives.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree fails")]

use std::path::{Path, PathBuf};

/// The rooms from the lowest to the highest, with the rooms below that each may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("value", &["protocol"]),
    ("config", &["protocol"]),
    ("telemetry", &["config"]),
    ("host", &["config"]),
    ("store", &["protocol", "value"]),
    ("security", &["protocol"]),
    ("persist", &["protocol", "value", "store"]),
    ("script", &["protocol"]),
    ("session", &["protocol", "store", "telemetry", "security"]),
    (
        "command",
        &["protocol", "value", "config", "telemetry", "host", "store", "security", "persist", "script", "session"],
    ),
    ("web", &["config", "telemetry", "host", "command"]),
    (
        "server",
        &["protocol", "config", "telemetry", "host", "store", "security", "persist", "session", "command", "web"],
    ),
];

/// Modules that may hold `unsafe`: a file, or a folder with all below it.
const UNSAFE: &[&str] = &[
    "src/host/code.rs",
    "src/server/bell.rs",
    "src/store/heap/",
    "src/store/record.rs",
    "src/store/record/",
    "src/store/slot.rs",
    "src/store/entry.rs",
    "src/store/entry/",
    "src/store/keyspace.rs",
    "src/store/chase.rs",
    "src/store/prefetch.rs",
    "src/value/buffer.rs",
    "src/persist/background.rs",
    "src/persist/rdb/crc64.rs",
    "src/script/apart.rs",
    "src/script/native.rs",
    "src/script/protect.rs",
    "src/script/slot.rs",
];

/// Lines beyond which a file has outgrown its room.
const LINES_MAX: usize = 500;

struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target" && name != "corpus" && name != "artifacts") {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The source without its unit tests and comments.
fn code(source: &Source) -> String {
    let end = source.text.find("#[cfg(test)]\nmod tests").unwrap_or(source.text.len());
    source.text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let mut found = Vec::new();
    for source in sources("src") {
        let Some(room) = source.path.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next()) else {
            continue;
        };
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(["lib", "main"].contains(&room), "src/{room} is a room that this test does not know");
            continue;
        };
        let code = code(&source);
        for (other, _) in ROOMS.iter().filter(|(other, _)| *other != room && !below.contains(other)) {
            if code.contains(&format!("crate::{other}")) {
                found.push(format!("{} imports {other}", source.path));
            }
        }
    }
    report("an import against the direction", &found);
}

#[test]
fn only_the_server_knows_the_runtime_and_only_the_host_reads_the_kernel_s_files() {
    let mut found = Vec::new();
    for source in sources("src") {
        let code = code(&source);
        if code.contains("monoio") && !source.path.starts_with("src/server/") {
            found.push(format!("{} uses monoio", source.path));
        }
        if (code.contains("\"/proc") || code.contains("\"/sys")) && !source.path.starts_with("src/host/") {
            found.push(format!("{} reads /proc or /sys", source.path));
        }
    }
    report("a room that does what another is for", &found);
}

#[test]
fn files_stay_small() {
    let long = |source: &Source| source.text.lines().count() > LINES_MAX;
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        found.extend(sources(folder).iter().filter(|source| long(source)).map(|source| source.path.clone()));
    }
    report(&format!("files over {LINES_MAX} lines"), &found);
}

#[test]
fn unsafe_lives_in_named_modules_and_is_explained() {
    let mut found = Vec::new();
    for source in sources("src") {
        let named = UNSAFE.iter().any(|place| source.path.starts_with(place));
        for (number, line) in source.text.lines().enumerate() {
            let line = line.trim_start();
            let uses = !line.starts_with("//") && (line.contains("unsafe {") || line.contains("unsafe impl"));
            if uses && !named && !source.text[..].contains("#[cfg(test)]") {
                found.push(format!("{}:{} is not a module for unsafe code", source.path, number + 1));
            }
        }
        if !named && code(&source).contains("unsafe ") {
            found.push(format!("{} is not a module for unsafe code", source.path));
        }
    }
    report("unsafe code outside the modules that this test names", &found);
}

#[test]
fn a_command_is_declared_in_one_place() {
    let mut found = Vec::new();
    for source in sources("src") {
        let code = code(&source);
        // The command line of the program itself is clap's.
        if code.contains("Command::new(\"") && !code.contains("clap::") && !source.path.starts_with("src/command/") {
            found.push(source.path);
        }
    }
    report("a command declared outside its family", &found);
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!", "unimplemented!", "dbg!", concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut found = Vec::new();
    for source in sources("src") {
        found.extend(
            words.iter().filter(|word| code(&source).contains(**word)).map(|word| format!("{}: {word}", source.path)),
        );
    }
    report("unfinished work", &found);
}
