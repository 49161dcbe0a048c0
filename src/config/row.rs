//! What one declaration says about a setting, and the macro that turns the declarations into a struct and a table.

use super::kind::Kind;
use super::settings::{DEFAULTS, Settings};
use super::value::Refusal;

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// By CONFIG SET at any time.
    Live,
    /// By CONFIG SET of a client that `enable-protected-configs` admits.
    Protected,
    /// Only before the start.
    Fixed,
}

/// The declaration of one setting.
#[derive(Debug)]
pub struct Setting {
    /// The name, as in redis.conf where one exists.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// The section of the help and of the documentation.
    pub group: Group,
    /// The range of values.
    pub kind: Kind,
    /// The default, as text.
    pub default: &'static str,
    /// When it may change.
    pub change: Change,
    /// Whether reports must not show the value.
    pub secret: bool,
    doc: &'static str,
    lacking: Option<&'static str>,
    update: fn(&mut Settings, &str, &Kind) -> Result<(), Refusal>,
    text: fn(&Settings) -> String,
}

pub(super) type Update = fn(&mut Settings, &str, &Kind) -> Result<(), Refusal>;

impl Setting {
    pub(super) const fn new(
        (name, doc, group): (&'static str, &'static str, Group),
        (default, kind): (&'static str, Kind),
        update: Update,
        text: fn(&Settings) -> String,
    ) -> Self {
        let (aliases, change, secret, lacking) = (&[] as &[&str], Change::Live, false, None);
        Self { name, aliases, group, kind, default, change, secret, doc, lacking, update, text }
    }

    pub(super) const fn fixed(mut self) -> Self {
        self.change = Change::Fixed;
        self
    }

    pub(super) const fn protected(mut self) -> Self {
        self.change = Change::Protected;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Refuses every value but the default with this sentence: what the value asks for does not exist in this build.
    pub(super) const fn lacking(mut self, sentence: &'static str) -> Self {
        self.lacking = Some(sentence);
        self
    }

    /// What the setting does, in a sentence or two.
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// The value in `settings`, in the form that CONFIG GET replies with.
    pub fn text(&self, settings: &Settings) -> String {
        (self.text)(settings)
    }

    /// Reads `text` into `settings`.
    pub fn update(&self, settings: &mut Settings, text: &str) -> Result<(), Refusal> {
        (self.update)(settings, text, &self.kind)
    }

    /// Why this build cannot do what the value in `settings` asks for, if so.
    pub fn refusal(&self, settings: &Settings) -> Option<Refusal> {
        let sentence = self.lacking?;
        if self.text(settings) == self.text(&DEFAULTS) {
            return None;
        }
        let shown = if self.default.is_empty() { "\"\"" } else { self.default };
        Some(format!("{sentence}; only {} {shown} is accepted", self.name).into())
    }

    /// What this build lacks to take any value but the default, if anything.
    pub fn sentence(&self) -> Option<&'static str> {
        self.lacking
    }

    /// Whether `name` is the name or an older name of this setting, in any case.
    pub fn answers_to(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The name, then the older names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("ROSTER_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// Turns the name of a field into the name of a setting.
pub(super) const fn kebab<const LENGTH: usize>(field: &str) -> [u8; LENGTH] {
    let bytes = field.as_bytes();
    let mut name = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        name[index] = if bytes[index] == b'_' { b'-' } else { bytes[index] };
        index += 1;
    }
    name
}

/// Declares `Settings`, `SETTINGS` and `DEFAULTS`.
///
/// A row is `/// doc` then `field: Type = "default", Kind, option, option(argument);`
macro_rules! settings {
    ($( $group:ident { $(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $default:literal, $kind:expr $(, $option:ident $(($argument:expr))?)*;
    )+ } )+) => {
        /// The settings of a server. A field is the setting whose name has hyphens for its underscores.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings { $($( $(#[doc = $doc])+ pub $field: $type, )+)+ }

        /// All settings, in the order of the documentation.
        pub static SETTINGS: &[$crate::config::Setting] = &[$($({
            const FIELD: &str = stringify!($field);
            const BYTES: [u8; FIELD.len()] = $crate::config::row::kebab(FIELD);
            const NAME: &str = match core::str::from_utf8(&BYTES) {
                Ok(name) => name,
                Err(_) => FIELD,
            };
            $crate::config::Setting::new(
                (NAME, concat!($($doc),+), $crate::config::Group::$group),
                ($default, $kind),
                |settings, text, kind| $crate::config::value::Value::update(&mut settings.$field, text, kind),
                |settings| $crate::config::value::Value::text(&settings.$field),
            )
            $( .$option($($argument)?) )*
        }),+),+];

        /// The defaults, kept to compare with.
        pub(super) static DEFAULTS: std::sync::LazyLock<Settings> = std::sync::LazyLock::new(Settings::default);

        impl Default for Settings {
            fn default() -> Self {
                let mut settings = Self { $($( $field: Default::default(), )+)+ };
                for setting in SETTINGS {
                    // A unit test proves that each default is a valid value.
                    let read = setting.update(&mut settings, setting.default);
                    debug_assert!(read.is_ok(), "{}: {read:?}", setting.name);
                }
                settings
            }
        }
    };
}
pub(super) use settings;

/// A section of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where clients connect.
    Network,
    /// Clients whose connections are encrypted.
    Tls,
    /// Threads, rings and background work.
    Workers,
    /// The databases.
    Keyspace,
    /// What one client may take.
    Limits,
    /// What scripts may take.
    Scripts,
    /// What the data may take, and how it is freed.
    Memory,
    /// When small values change into large ones.
    Encodings,
    /// Snapshots and logs.
    Persistence,
    /// Who may do what.
    Security,
    /// Logs and measurements.
    Observability,
}

impl Group {
    /// The heading of the section.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Tls => "TLS",
            Self::Workers => "Workers",
            Self::Keyspace => "Keyspace",
            Self::Limits => "Limits",
            Self::Scripts => "Scripts",
            Self::Memory => "Memory",
            Self::Encodings => "Encodings",
            Self::Persistence => "Persistence",
            Self::Security => "Security",
            Self::Observability => "Observability",
        }
    }
}
