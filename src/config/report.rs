//! What `roster check-config` prints, and the page of the documentation about settings.

use std::fmt::Write as _;

use super::Loaded;
use super::kind::Kind;
use super::row::{Change, Setting};
use super::settings::SETTINGS;

impl Loaded {
    /// The effective settings as a TOML file that can be read again, each line with the place that it comes from.
    /// Secrets are not shown.
    pub fn report(&self) -> String {
        let lines: Vec<(String, &str)> =
            SETTINGS.iter().map(|setting| (self.assignment(setting), self.origin(setting.name))).collect();
        // A long value does not push the places of all others to the right.
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
        let mut text = String::new();
        for (line, origin) in lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line:width$}  # {origin}");
        }
        text
    }

    fn assignment(&self, setting: &Setting) -> String {
        let value = setting.text(&self.settings);
        if setting.secret && !value.is_empty() {
            return format!("# {} is set and not shown", setting.name);
        }
        format!("{} = {}", setting.name, literal(setting, value))
    }
}

/// The text of a value as TOML.
pub(super) fn literal(setting: &Setting, value: String) -> String {
    let bare = !value.is_empty() && super::kind::integer(&value).is_some() && setting.kind != Kind::Octal;
    if bare { value } else { toml::Value::String(value).to_string() }
}

/// The page of the documentation about settings, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut group = None;
    for setting in SETTINGS {
        if group != Some(setting.group) {
            group = Some(setting.group);
            let _ = write!(
                page,
                "\n## {}\n\n| setting | default | takes | meaning |\n|---|---|---|---|\n",
                setting.group.title()
            );
        }
        page.push_str(&row(setting));
    }
    page
}

fn row(setting: &Setting) -> String {
    let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
    let older: Vec<String> = setting.aliases.iter().map(|name| format!("`{name}`")).collect();
    let older = if older.is_empty() { String::new() } else { format!(" Also: {}.", older.join(", ")) };
    let change = match setting.change {
        Change::Live => "",
        Change::Protected => " Protected.",
        Change::Fixed => " Fixed at start.",
    };
    let lacking = setting.sentence().map_or(String::new(), |text| format!(" Only the default for now: {text}."));
    let takes = setting.kind.describe();
    format!("| `{}` | {default} | {takes} | {}{older}{change}{lacking} |\n", setting.name, setting.doc())
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table of settings. After a change there: UPDATE_DOCS=1 cargo test --lib config::report -->

Every setting can be given in four places; a later one wins:

1. the default;
2. a TOML file: `--config FILE`, else the file that `ROSTER_CONFIG` names, else `/etc/roster/roster.toml` if present;
3. the environment: `ROSTER_` and the name in capitals with underscores, such as `ROSTER_TCP_BACKLOG=511`;
4. flags of the setting's own name: `roster --port 7000 --bind 127.0.0.1 ::1`.

Between the second and the third come credentials of the service manager: where `CREDENTIALS_DIRECTORY` is set, as systemd's
`LoadCredential=` does, its files `requirepass` and `user` are those settings.

`roster check-config` with the same flags and environment prints the effective settings and where each comes from, or
every mistake in one line. An unknown name, a value out of range, and a value that this build cannot honour stop the start.

In the file, names have hyphens or underscores, and values are TOML's own or the text of redis.conf:

```toml
port = 7000
bind = [\"127.0.0.1\", \"-::1\"]
proto-max-bulk-len = \"64mb\"
pin_workers = true
client-output-buffer-limit = [\"normal 0 0 0\", \"pubsub 32mb 8mb 60\"]
```

`CONFIG GET` reads all settings. `CONFIG SET` changes, all or nothing, those that are neither fixed at start nor
protected; the protected ones only for clients that `enable-protected-configs` admits. Amounts of memory take units
as in Redis: `1k` is 1000 bytes, `1kb` is 1024.
";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/configuration.md is old: run with UPDATE_DOCS=1");
    }
}
