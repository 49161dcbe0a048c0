//! `INFO`: which sections are asked for.

use super::sections::{Page, SECTIONS, Section};
use super::survey::Survey;
use super::{Categories, Command, Context, Error, Flags, Group};
use crate::protocol::Args;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("info", -1, info)
    .flags(Flags::LOADING.and(Flags::STALE))
    .group(Group::Server)
    .categories(Categories::DANGEROUS)
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .doc("Tells about the server and its numbers.", "[section ...]")];

fn info(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.skip(1);
    let asked = || SECTIONS.iter().filter(|section| is_asked_for(section, names));
    let survey = match asked().any(|section| section.title == "Memory") {
        true => Survey::of(cx).with_memory(),
        false => Survey::of(cx),
    };
    let mut page = Page::default();
    for section in asked() {
        page.open(section.title);
        (section.write)(&survey, &mut page)?;
    }
    cx.reply.verbatim(b"txt", page.text().as_bytes());
    Ok(())
}

fn is_asked_for(section: &Section, names: Args<'_>) -> bool {
    if names.is_empty() {
        return section.default;
    }
    names.iter().any(|name| {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        is(section.title) || is("all") || is("everything") || (is("default") && section.default)
    })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    fn titles(reply: &str) -> String {
        reply.split('|').filter_map(|line| line.strip_prefix("# ")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn sections_are_those_asked_for_in_the_order_of_redis() {
        let mut rig = Rig::new();
        let default = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
        for request in ["INFO", "INFO default", "INFO DEFAULT nosuch"] {
            assert_eq!(titles(&rig.run(request)), default, "{request}");
        }
        let all = "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Latencystats \
                   Cluster Keyspace Tuning";
        for request in ["INFO all", "INFO everything", "INFO all default"] {
            assert_eq!(titles(&rig.run(request)), all, "{request}");
        }
        assert_eq!(titles(&rig.run("INFO latencystats cpu COMMANDSTATS")), "CPU Commandstats Latencystats");
        assert!(rig.run("INFO tuning").contains("|tuning_profile:generic|tuning_passed:"));
        assert_eq!(titles(&rig.run("INFO keyspace CPU")), "CPU Keyspace");
        assert_eq!(rig.run("INFO nosuch"), "$0");
        rig.run("HELLO 3");
        assert_eq!(rig.run("INFO keyspace"), "=16|txt:# Keyspace");
    }

    #[test]
    fn every_line_is_a_heading_a_field_or_empty() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET a 1", "+OK"),
            ("SELECT 3", "+OK"),
            ("SET b 2", "+OK"),
            ("SET c", "-ERR wrong number of arguments for 'set' command"),
        ]);
        let reply = rig.run("INFO");
        let mut names = std::collections::HashSet::new();
        for line in reply.split('|').skip(1).filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let (name, _) = line.split_once(':').expect(line);
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
            assert!(names.insert(name), "{line} stands there twice");
        }
        for line in [
            "db0:keys=1,expires=0,avg_ttl=0,subexpiry=0",
            "db3:keys=1,expires=0,avg_ttl=0,subexpiry=0",
            "errorstat_ERR:count=1",
        ] {
            assert!(reply.contains(line), "{line}: {reply}");
        }
        assert!(!reply.contains("db1:") && reply.contains("|redis_version:7.2.4|"));
    }

    #[test]
    fn keys_with_volatile_parts_are_counted() {
        let mut rig = Rig::new();
        let mut after = |requests: &[&str]| {
            requests.iter().for_each(|request| drop(rig.run(request)));
            rig.run("INFO keyspace").rsplit_once("subexpiry=").map(|(_, count)| count.trim_end_matches('|').to_owned())
        };
        let one = Some("1".to_owned());
        assert_eq!(after(&["HSET h a 1 b 2", "HSET other a 1", "HPEXPIRE h 100000 FIELDS 1 a"]), one);
        assert_eq!(after(&["HPEXPIRE h 100000 FIELDS 1 b", "RENAME h g"]), one);
        assert_eq!(after(&["HPERSIST g FIELDS 2 a b"]), Some("0".to_owned()));
        assert_eq!(after(&["HPEXPIRE g 100000 FIELDS 1 b", "COPY g h"]), Some("2".to_owned()));
        assert_eq!(after(&["HDEL h b", "SET g v"]), Some("0".to_owned()));
    }

    #[test]
    fn numbers_follow_what_happens() {
        let mut rig = Rig::new();
        let other = rig.connect();
        rig.check(&[
            ("SET a 1", "+OK"),
            ("GET a", "$1|1"),
            ("GET b", "$-1"),
            ("NONSENSE", "-ERR unknown command 'NONSENSE', with args beginning with: "),
        ]);
        let reply = rig.run("INFO");
        for line in [
            "connected_clients:2",
            "total_commands_processed:4",
            "keyspace_hits:1",
            "keyspace_misses:1",
            "total_error_replies:1",
            "rdb_changes_since_last_save:1",
            "role:master",
            "cluster_enabled:0",
            "maxmemory_policy:noeviction",
        ] {
            assert!(reply.contains(&format!("|{line}|")), "{line}: {reply}");
        }
        rig.worker.node.registry.remove(&other.info);
        assert!(rig.run("INFO clients").contains("|connected_clients:1|"));
    }
}
