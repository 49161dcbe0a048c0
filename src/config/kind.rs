//! The kinds of values: their ranges, how errors and documentation describe them, and the reading of numbers.

use super::value::Refusal;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Flag,
    /// A decimal integer.
    Integer {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// `auto` or a decimal integer.
    AutoInteger {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// A power of two.
    Power {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// `auto` or a power of two.
    AutoPower {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// A permission mode in octal.
    Octal,
    /// A number of bytes, with a unit if one likes.
    Bytes {
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// A number of bytes or a percentage.
    Share,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Words {
        /// The words.
        known: &'static [&'static str],
        /// Whether colons stand between them, else spaces.
        colons: bool,
    },
    /// Any text.
    Text {
        /// The greatest length in bytes.
        max: usize,
    },
    /// The name of a file, without a directory.
    FileName,
    /// The path of a unix socket.
    SocketPath,
    /// A directory that exists.
    Directory,
    /// The path of a file.
    FilePath,
    /// Addresses to listen on.
    Addresses,
    /// Workers: `auto`, a number, or a CPU list.
    Workers,
    /// Rules of when to save a snapshot.
    SaveRules,
    /// Limits of output buffers.
    OutputLimits,
    /// Percentiles.
    Percentiles,
    /// Classes of keyspace events.
    Events,
    /// Users with their rules.
    Users,
}

/// The greatest value that Redis's signed 64-bit settings take.
pub(super) const I64_MAX: i64 = i64::MAX;

impl Kind {
    /// What is allowed, to follow "takes".
    pub fn describe(&self) -> String {
        match *self {
            Self::Flag => "yes or no".to_owned(),
            Self::Integer { min, max: I64_MAX } => format!("an integer from {min}"),
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::AutoInteger { min, max } => format!("auto, or an integer from {min} to {max}"),
            Self::Power { min, max } => format!("a power of two from {min} to {max}"),
            Self::AutoPower { min, max } => format!("auto, or a power of two from {min} to {max}"),
            Self::Octal => "an octal mode from 0 to 777".to_owned(),
            Self::Bytes { min, max } if max >= I64_MAX as u64 => {
                format!("bytes from {min}, with a unit if you like: k, kb, m, mb, g, gb")
            }
            Self::Bytes { min, max } => {
                format!("bytes from {min} to {max}, with a unit if you like: k, kb, m, mb, g, gb")
            }
            Self::Share => "bytes (units k, kb, m, mb, g, gb), or a percentage of maxmemory from 0% to 100%".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Words { known, colons: true } => {
                format!("nothing, or some of {}, with colons between", known.join(", "))
            }
            Self::Words { known, colons: false } => format!("nothing, or some of {}", known.join(", ")),
            Self::Text { max } => format!("text of at most {max} bytes"),
            Self::FileName => "a file name without a directory".to_owned(),
            Self::SocketPath => "a path of at most 107 bytes, or nothing".to_owned(),
            Self::Directory => "a directory that exists".to_owned(),
            Self::FilePath => "a path of a file, or nothing".to_owned(),
            Self::Addresses => "up to 16 addresses or host names; * and ::* are all of IPv4 and of IPv6; \
                a leading - makes one optional"
                .to_owned(),
            Self::Workers => "auto, an integer from 1 to 1024, or a CPU list such as 0-3,8 (one CPU: 5-5)".to_owned(),
            Self::SaveRules => "pairs of seconds and changes such as 900 1 300 10, or nothing".to_owned(),
            Self::OutputLimits => "one or more of: class (normal, replica, pubsub), hard limit, soft limit, soft \
                seconds; such as normal 0 0 0"
                .to_owned(),
            Self::Percentiles => "percentiles from 0 to 100".to_owned(),
            Self::Users => {
                "users, each a name and its rules such as alice on >secret ~app:* +@read; several in an array, \
                or one in each line"
                    .to_owned()
            }
            Self::Events => "letters of K, E, A, g, $, l, s, h, z, x, e, t, m, d, n".to_owned(),
        }
    }

    /// Whether values consist of words, so that a flag takes several arguments and TOML an array.
    pub fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Addresses
                | Self::SaveRules
                | Self::OutputLimits
                | Self::Percentiles
                | Self::Users
                | Self::Words { .. }
        )
    }

    /// Whether a value is free text, where a TOML boolean is a mistake.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Text { .. } | Self::FileName | Self::SocketPath | Self::Directory | Self::FilePath | Self::Events
        )
    }

    /// The word that stands for the value in the usage.
    pub fn placeholder(&self) -> &'static str {
        match self {
            Self::Flag => "yes|no",
            Self::Integer { .. } | Self::Power { .. } => "N",
            Self::AutoInteger { .. } | Self::AutoPower { .. } => "auto|N",
            Self::Octal => "MODE",
            Self::Bytes { .. } => "BYTES",
            Self::Share => "BYTES|N%",
            Self::Choice(_) | Self::Words { .. } => "WORD",
            Self::Text { .. } => "TEXT",
            Self::FileName => "NAME",
            Self::SocketPath => "PATH",
            Self::Directory => "DIR",
            Self::FilePath => "PATH",
            Self::Addresses => "ADDRESS",
            Self::Workers => "auto|N|CPUS",
            Self::SaveRules => "SECONDS CHANGES",
            Self::OutputLimits => "CLASS HARD SOFT SECONDS",
            Self::Percentiles => "PERCENTILE",
            Self::Events => "LETTERS",
            Self::Users => "NAME RULES",
        }
    }

    /// Reads a number within the range of this kind.
    pub(super) fn number(&self, text: &str) -> Result<i128, Refusal> {
        match *self {
            Self::Integer { min, max } | Self::AutoInteger { min, max } => {
                within(integer(text), min.into(), max.into())
            }
            Self::Power { min, max } | Self::AutoPower { min, max } => {
                let number = within(integer(text), min.into(), max.into())?;
                if number.count_ones() != 1 {
                    return Err(format!("argument must be a power of two between {min} and {max} inclusive").into());
                }
                Ok(number)
            }
            Self::Bytes { min, max } => {
                let bytes = bytes(text).ok_or("argument must be a memory value")?;
                within(Some(bytes.into()), min.into(), max.into())
            }
            _ => bytes(text).map(i128::from).ok_or(Refusal::Borrowed("argument must be a memory value")),
        }
    }

    /// Checks text against the limits of the textual kinds.
    pub(super) fn check_text(&self, text: &str) -> Result<(), Refusal> {
        match *self {
            Self::Text { max } if text.len() > max => Err(format!("argument must be at most {max} bytes long").into()),
            Self::FileName if text.contains('/') => Err("dbfilename can't be a path, just a filename".into()),
            // The kernel's limit for the address of a unix socket, without the zero byte at its end.
            Self::SocketPath if text.len() > 107 => Err("argument must be at most 107 bytes long".into()),
            Self::FileName if text.is_empty() => Err("argument must not be empty".into()),
            // A password may be anything.
            Self::Text { .. } => Ok(()),
            _ if text.contains('\0') => Err("argument must not contain a zero byte".into()),
            _ => Ok(()),
        }
    }
}

fn within(number: Option<i128>, min: i128, max: i128) -> Result<i128, Refusal> {
    let number = number.ok_or("argument couldn't be parsed into an integer")?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("argument must be between {min} and {max} inclusive").into())
    }
}

/// Reads a signed 64-bit integer in its only spelling: no plus sign, no leading zeros, no spaces, as Redis does.
pub(super) fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.starts_with('0') || text == "0";
    if digits.is_empty() || !canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<i64>().ok().map(i128::from)
}

/// Reads an amount of memory: digits and a unit, where `kb` is 1024 and `k` is 1000. Beyond 64 bits it saturates.
pub fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    if digits.is_empty() {
        return None;
    }
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    Some(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units_are_those_of_redis() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1b", Some(1)),
            ("1k", Some(1_000)),
            ("1KB", Some(1_024)),
            ("2mb", Some(2 << 20)),
            ("3G", Some(3_000_000_000)),
            ("1gb", Some(1 << 30)),
            ("99999999999999999999", Some(u64::MAX)),
            ("99999999999gb", Some(u64::MAX)),
            ("-1", None),
            ("1 kb", None),
            ("kb", None),
            ("", None),
            ("1t", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("+5", None),
            ("007", None),
            ("-0", None),
            (" 1", None),
            ("", None),
            ("-", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_are_refused_in_the_words_of_redis() {
        let kind = Kind::Integer { min: 1, max: 4_294_967_295 };
        assert_eq!(kind.number("0"), Err("argument must be between 1 and 4294967295 inclusive".into()));
        assert_eq!(kind.number("zz"), Err("argument couldn't be parsed into an integer".into()));
        let kind = Kind::Power { min: 256, max: 32_768 };
        assert_eq!(kind.number("512"), Ok(512));
        assert!(kind.number("513").is_err_and(|text| text.contains("power of two")));
    }
}
