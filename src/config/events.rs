//! The classes of keyspace events.

use super::kind::Kind;
use super::value::{Refusal, Value};

/// The classes of keyspace events that are published, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(
    /// The bits, as the constants of this type name them.
    pub u16,
);

/// The letter of each class, in the order in which Redis writes them. The last three stand outside `A`.
const EVENT_LETTERS: [(char, u16); 14] = [
    ('g', Events::GENERIC),
    ('$', Events::STRING),
    ('l', Events::LIST),
    ('s', Events::SET),
    ('h', Events::HASH),
    ('z', Events::SORTED_SET),
    ('x', Events::EXPIRED),
    ('e', Events::EVICTED),
    ('t', Events::STREAM),
    ('d', Events::MODULE),
    ('n', Events::NEW),
    ('K', Events::KEYSPACE),
    ('E', Events::KEYEVENT),
    ('m', Events::MISS),
];

impl Events {
    /// `g`: commands of no type, such as DEL and EXPIRE.
    pub const GENERIC: u16 = 1;
    /// `$`: strings.
    pub const STRING: u16 = 1 << 1;
    /// `l`: lists.
    pub const LIST: u16 = 1 << 2;
    /// `s`: sets.
    pub const SET: u16 = 1 << 3;
    /// `h`: hashes.
    pub const HASH: u16 = 1 << 4;
    /// `z`: sorted sets.
    pub const SORTED_SET: u16 = 1 << 5;
    /// `x`: a key expired.
    pub const EXPIRED: u16 = 1 << 6;
    /// `e`: a key was evicted.
    pub const EVICTED: u16 = 1 << 7;
    /// `t`: streams.
    pub const STREAM: u16 = 1 << 8;
    /// `d`: types of modules.
    pub const MODULE: u16 = 1 << 9;
    /// `n`: a key was created; not part of `A`.
    pub const NEW: u16 = 1 << 10;
    /// `K`: publish to `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: u16 = 1 << 11;
    /// `E`: publish to `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: u16 = 1 << 12;
    /// `m`: a key was looked up and is missing; not part of `A`.
    pub const MISS: u16 = 1 << 13;
    /// `A`: all classes of events except `n` and `m`.
    pub const ALL: u16 = Self::NEW - 1;

    /// Whether events of any of these classes are wanted.
    pub fn wants(self, classes: u16) -> bool {
        self.0 & classes != 0
    }
}

impl Value for Events {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let mut bits = 0;
        for letter in text.chars() {
            bits |= match EVENT_LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, bit)) => *bit,
                None if letter == 'A' => Self::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
        }
        self.0 = bits;
        Ok(())
    }

    /// Redis forgets `n` beside `A`; writing it keeps the text true.
    fn text(&self) -> String {
        let all = self.0 & Self::ALL == Self::ALL;
        let mut text = String::from(if all { "A" } else { "" });
        let covered = if all { Self::ALL } else { 0 };
        text.extend(EVENT_LETTERS.iter().filter(|(_, bit)| self.0 & bit & !covered != 0).map(|(letter, _)| letter));
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::value::trial::{read, rewritten};

    #[test]
    fn events_are_written_in_the_order_of_redis() {
        for (given, written) in [
            ("KEA", "AKE"),
            ("gxK$", "g$xK"),
            ("mn", "nm"),
            ("KEg", "gKE"),
            ("$lshzxetd", "$lshzxetd"),
            ("$lshzxetdg", "A"),
            ("KEAmn", "AnKEm"),
            ("", ""),
        ] {
            assert_eq!(rewritten::<Events>(given).unwrap(), written, "{given}");
        }
        assert!(read::<Events>("Kq").is_err());
        assert!(Events(Events::ALL).wants(Events::HASH) && !Events(Events::ALL).wants(Events::NEW));
    }
}
