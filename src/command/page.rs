//! The page of the documentation about commands, and the facts that rows must agree with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Flags, Handle, every};

/// What Redis and Valkey say of their commands, one line each, with a heading.
const FACTS: &str = include_str!("../../tests/data/commands.tsv");

/// Flags that say nothing about a server like this one: of sentinels, of access that has a setting of its own
/// (`enable-debug-command`), and of Valkey's internals. `movablekeys` follows from the key specifications.
const APART: &[&str] =
    &["sentinel", "only_sentinel", "protected", "all_dbs", "touches_arbitrary_keys", "experimental", "movablekeys"];

/// One line of the facts.
struct Fact {
    name: &'static str,
    kind: &'static str,
    since: &'static str,
    group: String,
    arity: i32,
    flags: Vec<&'static str>,
}

fn facts() -> impl Iterator<Item = Fact> {
    FACTS.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let mut flags: Vec<&str> =
            columns[10].split(',').filter(|flag| !flag.is_empty() && !APART.contains(flag)).collect();
        flags.sort_unstable();
        Fact {
            name: columns[0],
            kind: columns[1],
            since: if columns[2].is_empty() { columns[3] } else { columns[2] },
            group: columns[4].replace('_', "-"),
            arity: columns[5].parse().expect("an arity"),
            flags,
        }
    })
}

fn name(handle: Handle) -> String {
    handle.full_name().replace('|', " ").to_uppercase()
}

#[test]
fn rows_agree_with_redis_and_valkey() {
    let facts: BTreeMap<&str, Fact> = facts().map(|fact| (fact.name, fact)).collect();
    let mut wrong = Vec::new();
    for handle in every() {
        let (row, name) = (handle.command(), name(handle));
        let Some(fact) = facts.get(name.as_str()) else {
            wrong.push(format!("{name}: neither Redis nor Valkey has it"));
            continue;
        };
        let shown = Flags(row.flags.0 & !Flags::MOVABLE_KEYS.0);
        let mut flags: Vec<&str> = shown.names().collect();
        flags.sort_unstable();
        for (what, ours, theirs) in [
            ("arity", row.arity.to_string(), fact.arity.to_string()),
            ("since", row.since.to_owned(), fact.since.to_owned()),
            ("group", row.group.name().to_owned(), fact.group.clone()),
            ("flags", flags.join(","), fact.flags.join(",")),
        ] {
            if ours != theirs {
                wrong.push(format!("{name}: {what} is {ours}, of Redis {theirs}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const INTRODUCTION: &str = "\
# Commands

<!-- Written from the command table. After a change there: UPDATE_DOCS=1 cargo test --lib command::page -->

What `COMMAND DOCS` says of each command, by group. Replies, errors and side effects are those of Redis 7.2.
";

const MISSING: &str = "
## Not there yet

Commands and subcommands that Redis (7.0 to 8.0, without its modules) or Valkey (8.0 to 9.1) has, and Roster does not;
those of sentinels, which Roster is not, are left out.

";

fn markdown() -> String {
    let mut groups: BTreeMap<&str, Vec<Handle>> = BTreeMap::new();
    for handle in every().filter(|handle| handle.command().subcommands.is_empty() || handle.command().arity != -2) {
        groups.entry(handle.command().group.name()).or_default().push(handle);
    }
    let mut page = String::from(INTRODUCTION);
    for (group, mut handles) in groups {
        handles.sort_by_key(|handle| handle.full_name());
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {group}\n\n| command | since | meaning |\n|---|---|---|\n");
        for handle in handles {
            let row = handle.command();
            let usage = format!("{} {}", name(handle), row.syntax.replace('|', "\\|"));
            let old = row.replaced_by.map_or(String::new(), |(by, since)| format!(" Since {since} replaced by {by}."));
            let _ = writeln!(page, "| `{}` | {} | {}{old} |", usage.trim_end(), row.since, row.summary);
        }
    }
    page.push_str(MISSING);
    let have: Vec<String> = every().map(name).collect();
    let missing = facts().filter(|fact| fact.kind != "container" && !have.iter().any(|name| name == fact.name));
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for fact in missing.filter(|fact| fact.group != "sentinel" && fact.group != "vector-set" && !fact.group.is_empty())
    {
        groups.entry(fact.group).or_default().push(fact.name);
    }
    for (group, names) in groups {
        let _ = writeln!(page, "- {group}: {}", names.join(", "));
    }
    page
}

#[test]
fn the_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, markdown()).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == markdown(), "docs/commands.md is old: run with UPDATE_DOCS=1");
}
