//! What the sections of `INFO` are written from: all of it for a command; the server alone for whoever runs on no worker.

use std::sync::atomic::Ordering::Relaxed;

use super::memory::Usage;
use super::sections::{Page, SECTIONS, average_ttl};
use super::{Context, Node, Worker, unix_ms};
use crate::config::Settings;
use crate::store::Store;

/// The server at one moment.
pub(super) struct Survey<'a> {
    /// The server.
    pub(super) node: &'a Node,
    /// What enters shards, where there is a worker to do it.
    pub(super) store: Option<&'a Store<'a>>,
    settings: &'a Settings,
    now_ms: u64,
    /// Memory before anything was written: the text itself is not to count.
    pub(super) usage: Usage,
}

impl<'a> Survey<'a> {
    /// What a command sees.
    pub(super) fn of(cx: &'a Context<'_>) -> Self {
        Survey {
            node: cx.node,
            store: Some(&cx.store),
            settings: cx.settings(),
            now_ms: cx.now_ms(),
            usage: Usage::default(),
        }
    }

    /// The same, with the memory in use.
    pub(super) fn with_memory(self) -> Self {
        Survey { usage: Usage::read(), ..self }
    }

    /// The settings.
    pub(super) fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Milliseconds of Unix time.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// Notes the mean times to live for whoever enters no shard. What another worker is in the way of stays as it was.
pub fn keep_ttls(worker: &Worker) {
    let node = worker.node;
    for database in 0..node.keyspace.databases() {
        if node.keyspace.totals(database).volatile > 0 {
            let store = Store::new(&node.keyspace, &worker.local, database, worker.now_ms);
            if let Ok(ttl) = average_ttl(&store, database) {
                node.ttls[database].store(ttl, Relaxed);
            }
        }
    }
}

/// The text of `INFO EVERYTHING`, from any thread. It enters no shard; what only a look at keys can tell (`avg_ttl`) is as
/// [`keep_ttls`] noted it.
pub fn report(node: &Node) -> String {
    let settings = node.config.current();
    let survey = Survey { node, store: None, settings: &settings, now_ms: unix_ms(), usage: Usage::read() };
    let mut page = Page::default();
    for section in SECTIONS {
        page.open(section.title);
        // Only entering shards can fail.
        let _ = (section.write)(&survey, &mut page);
    }
    page.text().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn the_report_has_the_fields_of_info() {
        let mut rig = Rig::new();
        rig.run("SET k v");
        rig.run("SET volatile v EX 100");
        let names = |text: &str| {
            let fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
            fields.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        let told = rig.run("INFO everything").replace('|', "\r\n");
        let old = report(rig.worker.node);
        assert!(old.contains("\r\ndb0:keys=2,expires=1,avg_ttl=0,"), "{old}");
        keep_ttls(&rig.worker);
        let report = report(rig.worker.node);
        // The client's own INFO counts when it has been written.
        let mut found = names(&report);
        found.retain(|name| name != "cmdstat_info" && name != "latency_percentiles_usec_info");
        // The reply's heading is in the first line.
        assert_eq!(found, names(told.split_once("\r\n").expect("lines").1));
        for text in [&report, &told] {
            let ttl = text.split("avg_ttl=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
            assert!((90_000..=100_000).contains(&ttl.expect("a number")), "{text}");
        }
    }
}
