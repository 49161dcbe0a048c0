//! What is wrong with a configuration, one line for each mistake.

use std::fmt;

use super::kind::Kind;
use super::row::Setting;
use super::settings::SETTINGS;

/// Settings of Redis that operators know and Roster does not have, each with what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("daemonize", "Roster stays in the foreground; run it under systemd or another supervisor"),
    ("include", "give one file by --config"),
    ("io-threads", "every worker does its own I/O; set workers"),
    ("io-threads-do-reads", "every worker does its own I/O; set workers"),
    ("loadmodule", "this build loads no modules"),
    ("logfile", "logs go to the journal or to standard error; set log-target"),
    ("masterauth", "this build has no replication yet"),
    ("pidfile", "Roster stays in the foreground; its supervisor knows its process"),
    ("rename-command", "this build does not rename commands"),
    ("replicaof", "this build has no replication yet"),
    ("server_cpulist", "set workers to the list of CPUs"),
    ("slaveof", "this build has no replication yet"),
    ("supervised", "Roster notifies systemd by itself"),
    ("tls-client-cert-file", "this server opens no connections of its own"),
    ("tls-client-key-file", "this server opens no connections of its own"),
    ("tls-client-key-file-pass", "this server opens no connections of its own"),
    ("tls-cluster", "this build has no cluster mode yet"),
    ("tls-dh-params-file", "keys are exchanged by elliptic curves, which have no parameters"),
    ("tls-key-file-pass", "a key must not be encrypted; protect its file, for example by LoadCredential= of systemd"),
    ("tls-replication", "this build has no replication yet"),
    ("tls-session-cache-timeout", "sessions are kept until tls-session-cache-size newer ones have come"),
];

/// One mistake: where it is and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A file and its line, an environment variable, or a flag.
    pub place: String,
    /// The mistake and its remedy.
    pub message: String,
}

/// All mistakes that were found in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Error {
    pub(super) fn single(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { place: place.into(), message: message.into() }] }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line_break}{}: {}", problem.place, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The message for a name that no setting has. `spell` writes a name as its source does.
pub(super) fn unknown(name: &str, spell: impl Fn(&Setting) -> String) -> String {
    let shown = shorten(name);
    let folded = name.replace('_', "-").to_ascii_lowercase();
    if let Some((_, remedy)) = ELSEWHERE.iter().find(|(known, _)| known.replace('_', "-") == folded) {
        return format!("unknown setting '{shown}': {remedy}");
    }
    match nearest(&folded) {
        Some(setting) => format!(
            "unknown setting '{shown}'; the nearest is '{}', which takes {}",
            spell(setting),
            setting.kind.describe()
        ),
        None => format!("unknown setting '{shown}'; roster --help lists all of them"),
    }
}

/// The message for a value that a setting does not take.
pub(super) fn refused(setting: &Setting, given: &str, reason: &str) -> String {
    let shown = if setting.secret { "the value".to_owned() } else { format!("'{}'", shorten(given)) };
    // The reason of a wrong word lists the right ones already.
    let takes = match setting.kind {
        Kind::Choice(_) => String::new(),
        kind => format!(" (it takes {})", kind.describe()),
    };
    format!("{} does not take {shown}: {reason}{takes}", setting.name)
}

/// The setting whose name is nearest to `name`, if any is near enough to be meant.
fn nearest(name: &str) -> Option<&'static Setting> {
    // Comparing costs the product of the lengths, and nobody means a setting by a name far longer than any.
    if name.len() > 64 {
        return None;
    }
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let near = SETTINGS.iter().filter_map(|setting| Some((setting.names().map(distance).min()?, setting)));
    let (steps, setting) = near.min_by_key(|(steps, _)| *steps)?;
    (steps <= 1 + name.len() / 4).then_some(setting)
}

/// At most 80 characters of `text` without control characters, so that an error stays one line.
pub(super) fn shorten(text: &str) -> String {
    let mut shown: String =
        text.chars().take(80).map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spell(setting: &Setting) -> String {
        setting.name.to_owned()
    }

    #[test]
    fn a_typing_error_names_the_nearest_setting_and_its_range() {
        for (typed, meant) in [
            ("prot", "'port', which takes an integer from 0 to 65535"),
            ("max-clients", "'maxclients'"),
            ("tcp_backlogs", "'tcp-backlog'"),
            ("hash-max-ziplist-entry", "'hash-max-listpack-entries'"),
        ] {
            assert!(unknown(typed, spell).contains(meant), "{}", unknown(typed, spell));
        }
        assert!(unknown("quite-something-else", spell).contains("--help"));
        assert!(unknown(&"x".repeat(100_000), spell).len() < 400);
    }

    #[test]
    fn settings_of_redis_are_led_to_their_place() {
        assert!(unknown("io_threads", spell).contains("set workers"));
        assert!(ELSEWHERE.iter().all(|(name, _)| !SETTINGS.iter().any(|setting| setting.answers_to(name))));
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        let secret = SETTINGS.iter().find(|setting| setting.secret).unwrap();
        assert!(!refused(secret, "hunter2", "argument must be at most 512 bytes long").contains("hunter2"));
    }
}
