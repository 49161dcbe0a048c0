//! The writing of Prometheus's text format.

use std::fmt::{Display, Write as _};

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// May go up and down.
    Gauge,
    /// Only goes up, until the server ends or `CONFIG RESETSTAT`.
    Counter,
    /// Percentiles.
    Summary,
}

/// A page of measurements.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
    /// Whether the family at hand has its heading yet: one without samples gets none.
    headed: bool,
    help: &'static str,
    kind: Option<Kind>,
}

impl Exposition {
    /// Begins a family; the samples that follow are its.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        (self.family, self.kind, self.help, self.headed) = (name, Some(kind), help, false);
    }

    /// A sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// A sample of a summary's `_sum` or `_count`.
    pub(super) fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head();
        let _ = write!(self.text, "{}{suffix}", self.family);
        for (number, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"", if number == 0 { '{' } else { ',' });
            escape(&mut self.text, value, true);
            self.text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        // Writing to a String cannot fail, here and above.
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A family of one sample.
    pub(super) fn one(&mut self, name: &'static str, kind: Kind, help: &'static str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// What was written.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn head(&mut self) {
        if std::mem::replace(&mut self.headed, true) {
            return;
        }
        let _ = write!(self.text, "# HELP {} ", self.family);
        escape(&mut self.text, self.help, false);
        let kind = match self.kind {
            Some(Kind::Gauge) => "gauge",
            Some(Kind::Counter) => "counter",
            Some(Kind::Summary) => "summary",
            None => "untyped",
        };
        let _ = writeln!(self.text, "\n# TYPE {} {kind}", self.family);
    }
}

/// Quotes are escaped in the values of labels only.
fn escape(text: &mut String, value: &str, quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_headed_once_and_labels_are_escaped() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "What \"a\"\\b\nis.");
        page.sample(&[("x", "1"), ("y", "a\"b\\c\nd")], 5);
        page.sample(&[], 0.25);
        page.family("empty", Kind::Gauge, "Nothing.");
        page.one("g", Kind::Gauge, "G.", -1);
        page.family("s", Kind::Summary, "S.");
        page.suffixed("_count", &[], 2);
        assert_eq!(
            page.finish(),
            "# HELP a_total What \"a\"\\\\b\\nis.\n# TYPE a_total counter\na_total{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 5\n\
             a_total 0.25\n# HELP g G.\n# TYPE g gauge\ng -1\n# HELP s S.\n# TYPE s summary\ns_count 2\n"
        );
    }
}
