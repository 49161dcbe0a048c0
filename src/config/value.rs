//! The types that settings have, and how each is read from and written as text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::kind::Kind;

/// Why a value is not accepted. Where Redis refuses the same value, these are its words.
pub type Refusal = Cow<'static, str>;

/// A value that a setting can hold.
pub(super) trait Value {
    /// Reads `text` into this value, within the range that `kind` names. A value that has parts (the classes of
    /// `client-output-buffer-limit`) keeps those that the text does not mention.
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal>;

    /// The text that `update` reads back as the same value, in the form that CONFIG GET replies with.
    fn text(&self) -> String;
}

impl Value for bool {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        *self = if text.eq_ignore_ascii_case("yes") {
            true
        } else if text.eq_ignore_ascii_case("no") {
            false
        } else {
            return Err("argument must be 'yes' or 'no'".into());
        };
        Ok(())
    }

    fn text(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
                *self = <$type>::try_from(kind.number(text)?)
                    .map_err(|_| Refusal::from("argument is too large for this setting"))?;
                Ok(())
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

number!(u16, u32, u64, usize, i32, i64);

impl Value for String {
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
        kind.check_text(text)?;
        text.clone_into(self);
        Ok(())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    /// A directory is kept as an absolute path, because CONFIG GET dir must tell where it is.
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
        kind.check_text(text)?;
        *self = match kind {
            Kind::Directory => {
                let path = std::fs::canonicalize(text).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Refusal::from("No such file or directory"),
                    _ => Refusal::from(error.to_string()),
                })?;
                if !path.is_dir() {
                    return Err("Not a directory".into());
                }
                path
            }
            _ => Path::new(text).to_path_buf(),
        };
        Ok(())
    }

    fn text(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

/// A permission mode, written in octal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode(
    /// The permission bits; 0 leaves the choice to the process's umask.
    pub u32,
);

impl Value for Mode {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        self.0 = u32::from_str_radix(text, 8)
            .ok()
            .filter(|&bits| bits <= 0o777 && !text.starts_with('+'))
            .ok_or("argument couldn't be parsed as an octal number")?;
        Ok(())
    }

    fn text(&self) -> String {
        format!("{:o}", self.0)
    }
}

/// A number that Roster chooses itself unless it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantity {
    /// Chosen from the machine at start.
    #[default]
    Auto,
    /// As given.
    Exactly(u32),
}

impl Value for Quantity {
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
        *self = if text.eq_ignore_ascii_case("auto") {
            Self::Auto
        } else {
            let number = kind.number(text)?;
            Self::Exactly(u32::try_from(number).map_err(|_| "argument is too large for this setting")?)
        };
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Exactly(number) => number.to_string(),
        }
    }
}

/// A share of memory: a number of bytes, or a percentage of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Hundredths of `maxmemory`, 1 to 100.
    Percent(u8),
}

impl Default for Share {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl Value for Share {
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
        const WRONG: &str = "argument must be a memory or percent value";
        *self = match text.strip_suffix('%') {
            Some(digits) => match super::kind::integer(digits) {
                Some(percent @ 0..=100) => Self::Percent(percent as u8),
                Some(101..) => {
                    return Err("percentage argument must be less or equal to 100".into());
                }
                _ => return Err(WRONG.into()),
            },
            None => Self::Bytes(kind.number(text).map_err(|_| WRONG)? as u64),
        };
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

/// Declares an enumeration with the word of each value; further words are read but never written.
macro_rules! choice {
    (
        $(#[$outer:meta])*
        $name:ident { $( $(#[$inner:meta])* $variant:ident = $word:literal $(| $other:literal)* ),+ $(,)? }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$inner])* $variant ),+ }

        impl $name {
            /// The words of all values, in the order in which errors name them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word of this value.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                [$(Self::$variant),+][0]
            }
        }

        impl Value for $name {
            fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
                $(
                    if [$word $(, $other)*].iter().any(|word| word.eq_ignore_ascii_case(text)) {
                        *self = Self::$variant;
                        return Ok(());
                    }
                )+
                Err(format!("argument(s) must be one of the following: {}", Self::WORDS.join(", ")).into())
            }

            fn text(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}

choice! {
    /// Which system interface moves bytes.
    IoDriver {
        /// io_uring where the kernel offers it, else epoll.
        Auto = "auto",
        /// io_uring, or no start.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
    }
}

choice! {
    /// How the kernel runs the completion work of a ring.
    TaskRun {
        /// At the worker's next transition into the kernel, without an interrupt (IORING_SETUP_COOP_TASKRUN).
        Coop = "coop",
        /// Only while the worker waits for completions (IORING_SETUP_DEFER_TASKRUN).
        Defer = "defer",
        /// At once, with an interrupt: the kernel's default.
        None = "none",
    }
}

choice! {
    /// Who may use a privileged command.
    Access {
        /// Nobody.
        No = "no",
        /// Every client.
        Yes = "yes",
        /// Clients of the loopback interface and of the unix socket.
        Local = "local",
    }
}

impl Access {
    /// Whether a client of this kind is let through.
    pub fn admits(self, caller: Caller) -> bool {
        self == Self::Yes || (self == Self::Local && caller == Caller::Local)
    }
}

choice! {
    /// Whether clients have to show a certificate.
    TlsAuth {
        /// They are not asked for one.
        No = "no",
        /// They have to.
        Yes = "yes",
        /// One that they show has to be good.
        Optional = "optional",
    }
}

choice! {
    /// Whether new users may use all channels.
    PubsubDefault {
        /// They may.
        AllChannels = "allchannels",
        /// They may use none.
        ResetChannels = "resetchannels",
    }
}

/// Where a client is connected from, as `enable-debug-command` and `enable-protected-configs` tell clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The loopback interface or the unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

choice! {
    /// The least important messages that are logged: those of Redis, and those that only tracing has.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Rarely useful details.
        Verbose = "verbose",
        /// What an operator wants to know in production.
        Notice = "notice" | "info",
        /// What an operator should act upon.
        Warning = "warning" | "warn",
        /// Nothing.
        Nothing = "nothing" | "off",
        /// Only failures.
        Error = "error",
        /// Everything, with each step of each request.
        Trace = "trace",
    }
}

impl LogLevel {
    /// The level as tracing's filters spell it; tracing has no step between `debug` and `info`, so `verbose` is `debug`.
    pub fn directive(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug | Self::Verbose => "debug",
            Self::Notice => "info",
            Self::Warning => "warn",
            Self::Error => "error",
            Self::Nothing => "off",
        }
    }
}

choice! {
    /// Where log messages go.
    LogTarget {
        /// The journal when systemd connected standard error to it, else standard error.
        Auto = "auto",
        /// systemd's journal, with fields.
        Journald = "journald",
        /// Standard error, as text.
        Stderr = "stderr",
        /// Standard error, one JSON object a line.
        Json = "json",
    }
}

choice! {
    /// What happens when `maxmemory` is reached.
    MaxmemoryPolicy {
        /// Evict the least recently used among keys with an expiry.
        VolatileLru = "volatile-lru",
        /// Evict the least frequently used among keys with an expiry.
        VolatileLfu = "volatile-lfu",
        /// Evict any key with an expiry.
        VolatileRandom = "volatile-random",
        /// Evict the key that expires first.
        VolatileTtl = "volatile-ttl",
        /// Evict the least recently used key.
        AllkeysLru = "allkeys-lru",
        /// Evict the least frequently used key.
        AllkeysLfu = "allkeys-lfu",
        /// Evict any key.
        AllkeysRandom = "allkeys-random",
        /// Refuse writes.
        Noeviction = "noeviction",
    }
}

choice! {
    /// When the append-only log is made durable.
    AppendFsync {
        /// Once a second.
        Everysec = "everysec",
        /// Before each write is acknowledged.
        Always = "always",
        /// When the system likes.
        No = "no",
    }
}

/// Reads and writes values without a setting, for the unit tests of their types.
#[cfg(test)]
pub(super) mod trial {
    use super::{Kind, Value};

    pub(in crate::config) fn read<T: Value + Default>(text: &str) -> Result<T, String> {
        let mut value = T::default();
        value.update(text, &Kind::Share).map_err(String::from).map(|()| value)
    }

    pub(in crate::config) fn rewritten<T: Value + Default>(text: &str) -> Result<String, String> {
        read::<T>(text).map(|value| value.text())
    }
}
