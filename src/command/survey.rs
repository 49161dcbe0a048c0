//! What the sections of `INFO` are written from: all of it for a command; the server alone for whoever runs on no worker.

use super::memory::Usage;
use super::sections::{Page, SECTIONS};
use super::{Context, Node, unix_ms};
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

/// The text of `INFO EVERYTHING`, from any thread. It enters no shard, so what only a look at keys can tell (`avg_ttl`) is 0.
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
        let report = report(rig.worker.node);
        // The client's own INFO counts when it has been written.
        let mut found = names(&report);
        found.retain(|name| name != "cmdstat_info" && name != "latency_percentiles_usec_info");
        // The reply's heading is in the first line.
        assert_eq!(found, names(told.split_once("\r\n").expect("lines").1));
        assert!(report.contains("\r\ndb0:keys=2,expires=1,avg_ttl=0,") && !told.contains("avg_ttl=0"), "{told}");
    }
}
