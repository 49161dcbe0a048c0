//! The fields of `INFO`, to be found by their names.

/// What one `INFO` tells.
pub(super) struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    /// Reads the text of `INFO`.
    pub(super) fn read(text: &'a str) -> Self {
        Fields(text.split("\r\n").filter_map(|line| line.split_once(':')).collect())
    }

    /// A field.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|(known, value)| (*known == name).then_some(*value))
    }

    /// A field, or nothing where there is none.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_default()
    }

    /// A field that is a number; 0 where there is none.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// The fields whose names begin so, by the rest of their names.
    pub(super) fn family(&self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }

    /// The databases that have keys: the number and the field.
    pub(super) fn databases(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.family("db").filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// One of the values of a field such as `keys=1,expires=0`.
pub(super) fn part<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    parts(value).find_map(|(known, value)| (known == name).then_some(value))
}

/// All of them.
pub(super) fn parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|part| part.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let fields = Fields::read(
            "# A\r\nused:5\r\nos:Linux: x\r\n\r\n# B\r\ndb0:keys=1,expires=2\r\ndbfile:x\r\ncmdstat_a|b:calls=3\r\n",
        );
        assert_eq!((fields.get("used"), fields.text("os"), fields.number("used")), (Some("5"), "Linux: x", 5.0));
        assert_eq!((fields.get("none"), fields.text("none"), fields.number("os")), (None, "", 0.0));
        assert_eq!(fields.databases().collect::<Vec<_>>(), [("0", "keys=1,expires=2")]);
        assert_eq!(fields.family("cmdstat_").collect::<Vec<_>>(), [("a|b", "calls=3")]);
        assert_eq!((part("keys=1,expires=2", "expires"), part("keys=1", "x")), (Some("2"), None));
    }
}
