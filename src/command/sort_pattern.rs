//! Patterns of SORT: the names that derive from an element, and the values behind them.

use super::Context;
use super::collection::collection_of;
use super::string_value::string_of;
use crate::store::Record;
use crate::value::hash::Hash;

/// What stands behind `BY` or `GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// A name without `*`, which means nothing: no element derives from it.
    Nothing,
    /// The string of a key, or the field of a hash.
    Key {
        /// What is before the element in the key's name.
        prefix: &'a [u8],
        /// What is behind it.
        suffix: &'a [u8],
        /// The field, behind `->`.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern. An arrow counts behind the first `*` only, and if a field follows it.
    pub(super) fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else { return Pattern::Nothing };
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        match rest.windows(2).position(|pair| pair == b"->").filter(|arrow| arrow + 2 < rest.len()) {
            Some(arrow) => Pattern::Key { prefix, suffix: &rest[..arrow], field: Some(&rest[arrow + 2..]) },
            None => Pattern::Key { prefix, suffix: rest, field: None },
        }
    }

    /// Whether it names keys beyond those that the command names itself.
    pub(super) fn names_keys(&self) -> bool {
        matches!(self, Pattern::Key { .. })
    }

    /// Gives the value that belongs to `element` to `found`, which must not touch the store. `name` is memory for the key's
    /// name, to be used again.
    pub(super) fn look_up<R>(
        &self,
        cx: &mut Context<'_>,
        element: &[u8],
        name: &mut Vec<u8>,
        found: impl FnOnce(&mut Context<'_>, Option<&[u8]>) -> R,
    ) -> R {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => return found(cx, Some(element)),
            Pattern::Nothing => return found(cx, None),
            Pattern::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        name.clear();
        name.extend_from_slice(prefix);
        name.extend_from_slice(element);
        name.extend_from_slice(suffix);
        let store = cx.store;
        store.read(name, |record| {
            cx.count_lookup(record.is_some());
            let Some(field) = field else {
                let mut digits = itoa::Buffer::new();
                let string = string_of(record.map(Record::value)).unwrap_or(None);
                return found(cx, string.map(|string| string.bytes(&mut digits)));
            };
            // A key of another type is no error, only nothing to get.
            let hash = collection_of::<Hash>(record).unwrap_or(None);
            let now_ms = cx.now_ms();
            let value = hash.as_ref().and_then(|hash| hash.field(field));
            let value = value.filter(|(_, expiry)| expiry.is_none_or(|due| due > now_ms));
            found(cx, value.as_ref().map(|(value, _)| &**value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let key = |prefix: &'static str, suffix: &'static str, field: Option<&'static str>| Pattern::Key {
            prefix: prefix.as_bytes(),
            suffix: suffix.as_bytes(),
            field: field.map(str::as_bytes),
        };
        for (text, expected) in [
            ("#", Pattern::Element),
            ("", Pattern::Nothing),
            ("nosort", Pattern::Nothing),
            ("a->b", Pattern::Nothing),
            ("*", key("", "", None)),
            ("#*", key("#", "", None)),
            ("w_*_x", key("w_", "_x", None)),
            ("w*->f", key("w", "", Some("f"))),
            ("w*x->f->g", key("w", "x", Some("f->g"))),
            ("w*->", key("w", "->", None)),
            ("a->*->f", key("a->", "", Some("f"))),
            ("a->*", key("a->", "", None)),
            ("**", key("", "*", None)),
            ("*->->", key("", "", Some("->"))),
        ] {
            assert_eq!(Pattern::parse(text.as_bytes()), expected, "{text}");
        }
    }
}
