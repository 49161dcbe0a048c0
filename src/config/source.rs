//! Where settings come from: the defaults, a TOML file, the environment, and flags. Each is a layer for figment,
//! whose metadata tells the place of every value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::error::{Problem, refused, shorten, unknown};
use super::kind::Kind;
use super::row::Setting;
use super::settings::{DEFAULTS, SETTINGS};

/// The longest file that is read: far more than all settings need.
const LONGEST_FILE: u64 = 1 << 20;
/// The prefix of environment variables.
pub(super) const PREFIX: &str = "ROSTER_";
/// The variable by which systemd names the folder of a service's credentials.
pub(super) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The environment variable that names the file.
pub(super) const FILE_VARIABLE: &str = "ROSTER_CONFIG";

/// The values of one source, each with its place, and what is wrong with the others.
pub(super) struct Layer {
    source: String,
    file: Option<PathBuf>,
    values: BTreeMap<&'static str, (String, String)>,
    pub(super) problems: Vec<Problem>,
}

/// Finds a setting by its name or an older name, with hyphens or underscores.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    let folded = name.replace('_', "-");
    SETTINGS.iter().find(|setting| setting.answers_to(&folded))
}

impl Layer {
    pub(super) fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), file: None, values: BTreeMap::new(), problems: Vec::new() }
    }

    /// The defaults.
    pub(super) fn defaults() -> Self {
        let mut layer = Self::new("default");
        let values = SETTINGS.iter().map(|setting| (setting.name, ("default".to_owned(), setting.default.to_owned())));
        layer.values.extend(values);
        layer
    }

    /// Adds a value, or tells why the setting does not take it.
    pub(super) fn put(&mut self, setting: &'static Setting, place: String, text: String) {
        match setting.update(&mut DEFAULTS.clone(), &text) {
            Ok(()) => {
                self.values.insert(setting.name, (place, text));
            }
            Err(reason) => self.problem(place, refused(setting, &text, &reason)),
        }
    }

    /// As `put`, for sources where a setting stands once, by whichever of its names.
    fn put_once(&mut self, setting: &'static Setting, place: String, text: String) {
        match self.values.get(setting.name) {
            Some((first, _)) => {
                let message = format!("{} is already given at {first}; keep one of both", setting.name);
                self.problem(place, message);
            }
            None => self.put(setting, place, text),
        }
    }

    pub(super) fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { place: place.into(), message: message.into() });
    }

    /// The environment: every variable that begins with `ROSTER_`.
    pub(super) fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut layer = Self::new("environment");
        for (variable, value) in variables {
            let variable = variable.to_string_lossy().into_owned();
            let Some(name) = variable.strip_prefix(PREFIX).filter(|_| variable != FILE_VARIABLE) else {
                continue;
            };
            // Variables differ by case, so only the spelling in capitals is one.
            let setting = find(name).filter(|_| name == name.to_ascii_uppercase());
            match (setting, value.into_string()) {
                (Some(setting), Ok(value)) => layer.put_once(setting, variable, value),
                (Some(_), Err(_)) => layer.problem(variable, "the value is not UTF-8"),
                (None, _) => layer.problem(variable.clone(), unknown(name, Setting::variable)),
            }
        }
        layer
    }

    /// Secrets that the service manager hands over as files of a folder (LoadCredential= of systemd), each named as its
    /// setting.
    pub(super) fn credentials(folder: &Path) -> Self {
        let mut layer = Self::new("credentials");
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            let path = folder.join(setting.name);
            if path.symlink_metadata().is_err() {
                continue;
            }
            match read(&path) {
                Ok(text) => {
                    layer.put(setting, path.display().to_string(), text.trim_end_matches(['\r', '\n']).to_owned())
                }
                Err(message) => layer.problem(path.display().to_string(), message),
            }
        }
        layer
    }

    /// A TOML file.
    pub(super) fn file(path: &Path) -> Self {
        let mut layer = Self::new("file");
        layer.file = Some(path.to_path_buf());
        match read(path) {
            Ok(text) => layer.toml(&path.display().to_string(), &text),
            Err(message) => layer.problem(path.display().to_string(), message),
        }
        layer
    }

    fn toml(&mut self, path: &str, text: &str) {
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map_or(1, |span| line(text, span.start));
                return self.problem(format!("{path}:{line}"), format!("this is no TOML: {}", error.message()));
            }
        };
        // In the order of the file, so that mistakes are told from top to bottom.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let place = format!("{path}:{}", line(text, key.span().start));
            let Some(setting) = find(key.get_ref()) else {
                let message = match value.get_ref() {
                    DeValue::Table(_) => format!("settings stand in no section; remove [{}]", shorten(key.get_ref())),
                    _ => unknown(key.get_ref(), |setting| setting.name.to_owned()),
                };
                self.problem(place, message);
                continue;
            };
            match scalar_or_list(setting, value.get_ref()) {
                Ok(text) => self.put_once(setting, place, text),
                Err(given) => {
                    let reason =
                        format!("{} does not take {given} (it takes {})", setting.name, setting.kind.describe());
                    self.problem(place, reason);
                }
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let metadata = match &self.file {
            Some(path) => Metadata::from(self.source.clone(), path.as_path()),
            None => Metadata::named(self.source.clone()),
        };
        let places: Arc<BTreeMap<&str, String>> =
            Arc::new(self.values.iter().map(|(name, (place, _))| (*name, place.clone())).collect());
        metadata.interpolater(move |_, keys| keys.last().and_then(|name| places.get(name)).cloned().unwrap_or_default())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let values = self.values.iter().map(|(name, (_, text))| ((*name).to_owned(), text.clone().into()));
        Ok(Profile::Default.collect(values.collect::<Dict>()))
    }
}

pub(super) fn read(path: &Path) -> Result<String, String> {
    let explain = |error: std::io::Error| format!("the file cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(explain)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(explain)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(format!("the file is longer than {LONGEST_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        format!("line {line} is not UTF-8")
    })
}

/// The line, from 1, of a position in `text`.
fn line(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|&byte| byte == b'\n').count()
}

/// The text of a TOML value as redis.conf would have it, or the name of what was given instead.
pub(super) fn scalar_or_list(setting: &Setting, value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::Array(items) if setting.kind.is_list() || setting.kind == Kind::Workers => list(setting, items),
        value => scalar(setting, value),
    }
}

fn scalar(setting: &Setting, value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => Ok(integer(&setting.kind, number)),
        DeValue::Float(number) if setting.kind == Kind::Percentiles => Ok(number.as_str().to_owned()),
        DeValue::Boolean(truth) if !setting.kind.is_text() => Ok(if *truth { "yes" } else { "no" }.to_owned()),
        DeValue::Boolean(_) => Err("true or false"),
        DeValue::Float(_) => Err("a fraction"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table; settings are not grouped in sections"),
    }
}

/// Joins a list by spaces, and a list of CPUs by commas; lists in a list are joined first (`save = [[900, 1]]`).
fn list(setting: &Setting, items: &DeArray<'_>) -> Result<String, &'static str> {
    let words = items.iter().map(|item| match item.get_ref() {
        DeValue::Array(inner) => {
            let words = inner.iter().map(|item| scalar(setting, item.get_ref()));
            words.collect::<Result<Vec<_>, _>>().map(|words| words.join(" "))
        }
        value => scalar(setting, value),
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    Ok(match (setting.kind, words.as_slice()) {
        (Kind::Workers, [cpu]) if !cpu.contains('-') => format!("{cpu}-{cpu}"),
        (Kind::Workers, _) => words.join(","),
        (Kind::Users, _) => words.join("\n"),
        _ => words.join(" "),
    })
}

/// An integer in decimal; a mode is read as octal, whether it was written as in redis.conf (700) or TOML (0o700).
fn integer(kind: &Kind, number: &DeInteger<'_>) -> String {
    let decimal = i128::from_str_radix(number.as_str(), number.radix());
    match decimal {
        Ok(mode) if *kind == Kind::Octal && number.radix() != 10 => format!("{mode:o}"),
        Ok(decimal) => decimal.to_string(),
        // Longer than any setting's range: its own text is refused with the range.
        Err(_) => number.as_str().to_owned(),
    }
}
