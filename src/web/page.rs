//! The page for a browser: the state of the server at a glance. It has neither keys nor values nor addresses of clients.

use std::fmt::{Display, Write as _};

use super::fields::{Fields, part};
use super::{Health, Source};
use crate::command::report;
use crate::host::tuning;

/// Seconds after which a browser asks again.
const REFRESH: u32 = 2;
/// Commands that are shown.
const COMMANDS: usize = 15;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#888}\
body{font:15px/1.45 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem}\
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:1.6rem 0 .4rem}\
p{margin:.2rem 0;color:var(--soft)}\
.state{font-weight:600}.good{color:#2a8a3e}.bad{color:#c0392b}\
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.6rem;margin:1rem 0}\
dl div{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .7rem}\
dt{color:var(--soft);font-size:.8rem}dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:.2rem .6rem;border-bottom:1px solid var(--line)}\
th:first-child,td:first-child,.text td,.text th{text-align:left}th{color:var(--soft);font-weight:normal}\
";

/// The whole page.
pub(super) fn write(source: Source) -> String {
    let text = report(source.node);
    let fields = Fields::read(&text);
    let mut page = Page(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Roster</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"{REFRESH}\">\
         <style>{STYLE}</style></head><body>"
    ));
    heading(&mut page, &fields, (source.health)(source.node));
    figures(&mut page, &fields);
    databases(&mut page, &fields);
    workers(&mut page, &fields, source);
    commands(&mut page, &fields);
    files(&mut page, &fields);
    findings(&mut page);
    page.0.push_str("<p><a href=\"/metrics\">/metrics</a> <a href=\"/healthz\">/healthz</a></p></body></html>\n");
    page.0
}

/// The text of the page.
struct Page(String);

impl Page {
    fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// Text without a meaning as markup.
    fn text(&mut self, text: impl Display) {
        for character in text.to_string().chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                other => self.0.push(other),
            }
        }
    }

    fn figure(&mut self, name: &str, value: impl Display) {
        self.raw("<div><dt>");
        self.text(name);
        self.raw("</dt><dd>");
        self.text(value);
        self.raw("</dd></div>");
    }

    fn table(&mut self, title: &str, class: &str, heads: &[&str], rows: &[Vec<String>]) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<h2>{title}</h2><table class=\"{class}\"><tr>");
        heads.iter().for_each(|head| self.cell("th", head));
        self.raw("</tr>");
        for row in rows {
            self.raw("<tr>");
            row.iter().for_each(|cell| self.cell("td", cell));
            self.raw("</tr>");
        }
        self.raw("</table>");
    }

    fn cell(&mut self, tag: &str, text: &str) {
        let _ = write!(self.0, "<{tag}>");
        self.text(text);
        let _ = write!(self.0, "</{tag}>");
    }
}

fn heading(page: &mut Page, fields: &Fields<'_>, health: Health) {
    let (class, state) = match health {
        Health::Serving => ("good", "serving"),
        other => ("bad", other.as_str()),
    };
    let _ = write!(page.0, "<h1>Roster <span class=\"state {class}\">{state}</span></h1><p>");
    page.text(format_args!(
        "version {}, as Redis {}; {}; process {}; up {}",
        fields.text("roster_version"),
        fields.text("redis_version"),
        fields.text("multiplexing_api"),
        fields.text("process_id"),
        duration(fields.number("uptime_in_seconds") as u64)
    ));
    page.raw("</p>");
}

fn figures(page: &mut Page, fields: &Fields<'_>) {
    let (hits, misses) = (fields.number("keyspace_hits"), fields.number("keyspace_misses"));
    let found = if hits + misses > 0.0 { format!("{:.1} %", hits / (hits + misses) * 100.0) } else { "–".to_owned() };
    let keys: f64 = fields.databases().filter_map(|(_, value)| part(value, "keys")?.parse::<f64>().ok()).sum();
    let limit = match fields.number("maxmemory") {
        0.0 => "none".to_owned(),
        _ => fields.text("maxmemory_human").to_owned(),
    };
    page.raw("<dl>");
    page.figure("commands a second", grouped(fields.text("instantaneous_ops_per_sec")));
    page.figure("clients", format_args!("{} of {}", fields.text("connected_clients"), fields.text("maxclients")));
    page.figure("waiting clients", fields.text("blocked_clients"));
    page.figure("keys", grouped(&keys.to_string()));
    page.figure("memory used", fields.text("used_memory_human"));
    page.figure("memory in RAM", fields.text("used_memory_rss_human"));
    page.figure("memory limit", limit);
    page.figure("look-ups that found", found);
    page.figure("received, KiB/s", fields.text("instantaneous_input_kbps"));
    page.figure("sent, KiB/s", fields.text("instantaneous_output_kbps"));
    page.figure("expired keys", grouped(fields.text("expired_keys")));
    page.figure("evicted keys", grouped(fields.text("evicted_keys")));
    page.figure("error replies", grouped(fields.text("total_error_replies")));
    page.figure("refused connections", grouped(fields.text("rejected_connections")));
    page.raw("</dl>");
}

fn databases(page: &mut Page, fields: &Fields<'_>) {
    let of = |value: &str, name: &str| grouped(part(value, name).unwrap_or("0"));
    let row = |(number, value): (&str, &str)| vec![number.to_owned(), of(value, "keys"), of(value, "expires")];
    let rows: Vec<Vec<String>> = fields.databases().map(row).collect();
    if !rows.is_empty() {
        page.table("Databases", "", &["database", "keys", "with a time to live"], &rows);
    }
}

fn workers(page: &mut Page, fields: &Fields<'_>, source: Source) {
    use std::sync::atomic::Ordering::Relaxed;
    let rows: Vec<Vec<String>> = (0..fields.number("workers") as usize)
        .map(|number| {
            let counters = source.node.stats.worker(number);
            let of = |counter: &std::sync::atomic::AtomicU64| grouped(&counter.load(Relaxed).to_string());
            vec![number.to_string(), of(&counters.commands), of(&counters.connections), of(&counters.reads)]
        })
        .collect();
    page.table("Workers", "", &["worker", "commands", "connections accepted", "batches"], &rows);
}

fn commands(page: &mut Page, fields: &Fields<'_>) {
    let number = |value: &str, name: &str| part(value, name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let mut all: Vec<(&str, &str)> = fields.family("cmdstat_").collect();
    all.sort_by(|one, other| number(other.1, "usec").total_cmp(&number(one.1, "usec")));
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(COMMANDS)
        .map(|(name, value)| {
            let of = |name| grouped(part(value, name).unwrap_or("0"));
            let latency = fields.get(&format!("latency_percentiles_usec_{name}")).unwrap_or_default();
            let high = part(latency, "p99").unwrap_or("–").to_owned();
            let seconds = format!("{:.3}", number(value, "usec") / 1e6);
            let mean = part(value, "usec_per_call").unwrap_or("–").to_owned();
            vec![(*name).to_owned(), of("calls"), seconds, mean, high, of("failed_calls"), of("rejected_calls")]
        })
        .collect();
    let heads = ["command", "calls", "seconds", "µs each", "µs at p99", "failed", "rejected"];
    page.table("Commands that took the most time", "", &heads, &rows);
}

fn files(page: &mut Page, fields: &Fields<'_>) {
    let yes = |name: &str| fields.text(name) == "1";
    let mut rows = vec![vec![
        "snapshot".to_owned(),
        if yes("rdb_bgsave_in_progress") { "being saved" } else { fields.text("rdb_last_bgsave_status") }.to_owned(),
        format!("{} changes since the last one", grouped(fields.text("rdb_changes_since_last_save"))),
    ]];
    if yes("aof_enabled") {
        let size = format!("{} bytes", grouped(fields.text("aof_current_size")));
        rows.push(vec!["log".to_owned(), fields.text("aof_last_write_status").to_owned(), size]);
    }
    page.table("Files", "text", &["", "state", ""], &rows);
}

fn findings(page: &mut Page) {
    let Ok(report) = &*tuning::current() else { return };
    let rows: Vec<Vec<String>> = report
        .differing()
        .map(|one| {
            vec![one.condition.clone(), one.severity.as_str().to_owned(), one.current.clone(), one.remedy.clone()]
        })
        .collect();
    if !rows.is_empty() {
        page.table("Not tuned", "text", &["what", "severity", "is", "remedy"], &rows);
    }
}

/// Digits in groups of three.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let before = whole.len() - index;
        if index > 0 && before.is_multiple_of(3) && !text.ends_with('-') {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text + rest
}

/// Seconds as people read them.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn the_page_refreshes_itself_and_shows_no_keys() {
        let mut rig = Rig::new();
        rig.run("SET secret-key secret-value");
        rig.run("NOSUCH secret-name");
        let page = write(Source { node: rig.worker.node, health: |_| Health::Serving });
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert!(page.contains("http-equiv=\"refresh\" content=\"2\"") && page.contains(">serving<"));
        assert!(page.contains("<td>set</td><td>1</td>") && !page.contains("secret"), "{page}");
        assert!(!page.contains("src=") && !page.contains("<script"), "it loads nothing");
        let ending = write(Source { node: rig.worker.node, health: |_| Health::Ending });
        assert!(ending.contains("class=\"state bad\">shutting down<"));
    }

    #[test]
    fn text_is_no_markup_and_numbers_are_grouped() {
        let mut page = Page(String::new());
        page.text("<a href=\"x\">&</a>");
        assert_eq!(page.0, "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
        for (number, text) in
            [("", ""), ("5", "5"), ("1234567", "1\u{202f}234\u{202f}567"), ("-123456.5", "-123\u{202f}456.5")]
        {
            assert_eq!(grouped(number), text);
        }
        let shown = [5, 65, 3_700, 90_000].map(duration);
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
