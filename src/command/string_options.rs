//! The options that commands which set strings share: conditions, `GET`, and the time to live.

use super::Error;
use crate::protocol::{Args, number};
use crate::store::Ttl;

/// When a key is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// Always.
    Always,
    /// `NX`: if it is not there.
    Missing,
    /// `XX`: if it is there.
    Present,
    /// `IFEQ`: if it is this string.
    Equal(&'a [u8]),
}

/// What the options say of the time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life<'a> {
    /// Nothing.
    Unsaid,
    /// `KEEPTTL`: it stays.
    Keep,
    /// `PERSIST`: there is none any more.
    Persist,
    /// `EX`, `PX`, `EXAT` and `PXAT`.
    Until(Moment<'a>),
}

/// A moment as a client gives it. It is read last, because an option that does not fit is the more important error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment<'a> {
    text: &'a [u8],
    unit: Unit,
    absolute: bool,
}

/// The unit of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// Which of the options a command takes besides times.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// `NX` and `XX`.
    pub(super) presence: bool,
    /// `IFEQ` and `GET`.
    pub(super) value: bool,
    /// `KEEPTTL`.
    pub(super) keep: bool,
    /// `PERSIST`.
    pub(super) persist: bool,
    /// `FNX` and `FXX`.
    pub(super) fields: bool,
}

impl Taken {
    /// Those of `SET`.
    pub(super) const SET: Taken = Taken { presence: true, value: true, keep: true, persist: false, fields: false };
    /// Those of `MSETEX`.
    pub(super) const MSETEX: Taken = Taken { presence: true, value: false, keep: true, persist: false, fields: false };
    /// Those of `HSETEX`.
    pub(super) const HSETEX: Taken = Taken { presence: true, value: false, keep: true, persist: false, fields: true };
    /// Those of `GETEX`.
    pub(super) const GETEX: Taken = Taken { presence: false, value: false, keep: false, persist: true, fields: false };
}

/// The options of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    /// When to set.
    pub(super) condition: Condition<'a>,
    /// When to set, by the fields of a hash.
    pub(super) fields: Condition<'a>,
    /// Whether the old value is the reply.
    pub(super) get: bool,
    /// The time to live.
    pub(super) life: Life<'a>,
}

impl<'a> Options<'a> {
    /// No options.
    pub(super) const NONE: Options<'static> =
        Options { condition: Condition::Always, fields: Condition::Always, get: false, life: Life::Unsaid };

    /// Parses all of `args` as options. Repeating an option is fine as with Redis, where the last time given holds; those that
    /// exclude each other are a syntax error.
    pub(super) fn parse(args: Args<'a>, taken: Taken) -> Result<Options<'a>, Error> {
        let mut options = Options::NONE;
        let mut at = 0;
        while let Some(word) = args.nth(at) {
            at += 1;
            if options.take_word(word, taken) {
                continue;
            }
            let value = args.nth(at).ok_or(Error::SYNTAX)?;
            at += 1;
            if !options.take_pair(word, value, taken) {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Takes an option of one word. False if it is none that fits.
    fn take_word(&mut self, word: &[u8], taken: Taken) -> bool {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if taken.presence && is("NX") && matches!(self.condition, Condition::Always | Condition::Missing) {
            self.condition = Condition::Missing;
        } else if taken.presence && is("XX") && matches!(self.condition, Condition::Always | Condition::Present) {
            self.condition = Condition::Present;
        } else if taken.fields && is("FNX") && matches!(self.fields, Condition::Always | Condition::Missing) {
            self.fields = Condition::Missing;
        } else if taken.fields && is("FXX") && matches!(self.fields, Condition::Always | Condition::Present) {
            self.fields = Condition::Present;
        } else if taken.value && is("GET") {
            self.get = true;
        } else if taken.keep && is("KEEPTTL") && matches!(self.life, Life::Unsaid | Life::Keep) {
            self.life = Life::Keep;
        } else if taken.persist && is("PERSIST") && matches!(self.life, Life::Unsaid | Life::Persist) {
            self.life = Life::Persist;
        } else {
            return false;
        }
        true
    }

    /// Takes an option with an argument. False if it is none that fits.
    fn take_pair(&mut self, word: &[u8], value: &'a [u8], taken: Taken) -> bool {
        if taken.value && word.eq_ignore_ascii_case(b"IFEQ") {
            let fits = self.condition == Condition::Always;
            self.condition = Condition::Equal(value);
            return fits;
        }
        const MOMENTS: [(&str, Unit, bool); 4] = [
            ("EX", Unit::Seconds, false),
            ("PX", Unit::Milliseconds, false),
            ("EXAT", Unit::Seconds, true),
            ("PXAT", Unit::Milliseconds, true),
        ];
        let Some(&(_, unit, absolute)) = MOMENTS.iter().find(|(name, ..)| word.eq_ignore_ascii_case(name.as_bytes()))
        else {
            return false;
        };
        let fits = match self.life {
            Life::Unsaid => true,
            Life::Until(moment) => (moment.unit, moment.absolute) == (unit, absolute),
            Life::Keep | Life::Persist => false,
        };
        self.life = Life::Until(Moment { text: value, unit, absolute });
        fits
    }

    /// What becomes of the time to live of a key that is set at `now_ms` by `command`.
    pub(super) fn ttl(&self, now_ms: u64, command: &str) -> Result<Ttl, Error> {
        match self.life {
            Life::Unsaid | Life::Persist => Ok(Ttl::Clear),
            Life::Keep => Ok(Ttl::Keep),
            Life::Until(moment) => Ok(Ttl::At(moment.due(now_ms, command)?)),
        }
    }
}

impl<'a> Moment<'a> {
    /// A time from now.
    pub(super) fn after(text: &'a [u8], unit: Unit) -> Self {
        Moment { text, unit, absolute: false }
    }

    /// The number, the milliseconds of its unit, and the milliseconds of Unix time from which it counts.
    pub(super) fn parts(self, now_ms: u64) -> Result<(i64, i64, u64), Error> {
        let number = number::parse_i64(self.text).ok_or(Error::NOT_INTEGER)?;
        let unit = match self.unit {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        };
        Ok((number, unit, if self.absolute { 0 } else { now_ms }))
    }

    /// The moment in milliseconds of Unix time. It may be past; it is not if it is too large for 63 bits, 0 or negative,
    /// which is an `invalid expire time` of `command`.
    pub(super) fn due(self, now_ms: u64, command: &str) -> Result<u64, Error> {
        let (number, scale, base) = self.parts(now_ms)?;
        let due = number.checked_mul(scale).and_then(|ms| ms.checked_add_unsigned(base));
        match due {
            Some(due) if number > 0 => Ok(due.unsigned_abs()),
            _ => Err(Error::expire_time(command)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Frame;

    fn parse(text: &str, taken: Taken) -> Result<(String, Result<Ttl, Error>), Error> {
        let frame: Frame = text.split_whitespace().map(str::as_bytes).collect();
        let options = Options::parse(frame.args(), taken)?;
        Ok((format!("{:?} {}", options.condition, options.get), options.ttl(1_000_000, "set")))
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let plain = |ttl| Ok(("Always false".into(), Ok(ttl)));
        assert_eq!(parse("", Taken::SET), plain(Ttl::Clear));
        assert_eq!(parse("ex 10", Taken::SET), plain(Ttl::At(1_010_000)));
        assert_eq!(parse("PX 10", Taken::SET), plain(Ttl::At(1_000_010)));
        assert_eq!(parse("exAT 10", Taken::SET), plain(Ttl::At(10_000)));
        assert_eq!(parse("PXAT 9223372036854775807", Taken::SET), plain(Ttl::At(i64::MAX as u64)));
        assert_eq!(parse("EX 10 EX 20", Taken::SET), plain(Ttl::At(1_020_000)));
        assert_eq!(parse("KEEPTTL nx GET nx", Taken::SET), Ok(("Missing true".into(), Ok(Ttl::Keep))));
        assert_eq!(parse("GET EX 1 XX", Taken::SET), Ok(("Present true".into(), Ok(Ttl::At(1_001_000)))));
        assert_eq!(parse("PERSIST", Taken::GETEX), plain(Ttl::Clear));
    }

    #[test]
    fn options_that_do_not_fit_are_syntax_errors() {
        for text in [
            "NX XX",
            "XX NX",
            "IFEQ a NX",
            "NX IFEQ a",
            "IFEQ a IFEQ a",
            "IFEQ",
            "EX",
            "EX 1 PX 1",
            "EX 1 EXAT 1",
            "EX 1 KEEPTTL",
            "KEEPTTL PX 1",
            "PERSIST",
            "FOO",
            "EX a FOO",
        ] {
            assert_eq!(parse(text, Taken::SET), Err(Error::SYNTAX), "{text}");
        }
        for text in ["NX", "GET", "KEEPTTL", "IFEQ a", "PERSIST EX 1", "EX 1 PERSIST"] {
            assert_eq!(parse(text, Taken::GETEX), Err(Error::SYNTAX), "{text}");
        }
        for text in ["GET", "IFEQ a", "PERSIST"] {
            assert_eq!(parse(text, Taken::MSETEX), Err(Error::SYNTAX), "{text}");
        }
    }

    #[test]
    fn times_out_of_range() {
        let invalid = Error::expire_time("set");
        for text in
            ["EX 0", "PX -1", "EXAT -1", "EX 9223372036854776", "PX 9223372036854775807", "EXAT 9223372036854776"]
        {
            assert_eq!(parse(text, Taken::SET).expect("syntax").1, Err(invalid.clone()), "{text}");
        }
        for text in ["EX a", "EX 9223372036854775808", "PX 1.0"] {
            assert_eq!(parse(text, Taken::SET).expect("syntax").1, Err(Error::NOT_INTEGER), "{text}");
        }
    }
}
