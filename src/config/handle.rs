//! The settings of a running server: shared by its workers, read and changed by CONFIG GET and CONFIG SET.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::row::{Change, Setting};
use super::settings::{SETTINGS, Settings};
use super::value::{Caller, Refusal};
use crate::protocol::glob;

/// The current settings of a server.
///
/// A worker keeps the `Arc` of `current` and the `generation` that it had, and asks for both again when the
/// generation has changed: on the hot path this costs one relaxed load for each batch of requests.
#[derive(Debug)]
pub struct Handle {
    generation: AtomicU64,
    settings: RwLock<Arc<Settings>>,
}

/// Why CONFIG SET changed nothing, as the reply's text without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSetError(String);

impl fmt::Display for ConfigSetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigSetError {}

impl ConfigSetError {
    fn unknown(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name);
        Self(format!(
            "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
        ))
    }

    fn failed(name: &str, reason: &str) -> Self {
        Self(format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
        ))
    }
}

/// A name of a setting as a client wrote it, and the value that it asks for.
struct Wish<'a> {
    setting: &'static Setting,
    name: &'static str,
    value: &'a [u8],
}

impl Handle {
    /// Shares settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            generation: AtomicU64::new(0),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// A number that grows with every change.
    pub fn generation(&self) -> u64 {
        // Relaxed suffices: the settings themselves are read under the lock, and a batch may see a change one later.
        self.generation.load(Ordering::Relaxed)
    }

    /// The settings as they are now.
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// CONFIG SET: changes all settings that `pairs` name, or none of them.
    ///
    /// The errors are those of Redis 7, found in its order: first names in the order of the pairs, then values.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], caller: Caller) -> Result<(), ConfigSetError> {
        let mut current = self.settings.write();
        let wishes = wishes(pairs, current.enable_protected_configs.admits(caller))?;
        let mut changed = Settings::clone(&current);
        for wish in &wishes {
            apply(wish, &mut changed)
                .map_err(|reason| ConfigSetError::failed(wish.name, &reason))?;
        }
        *current = Arc::new(changed);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// CONFIG GET: the names that any of the glob patterns matches, each once, with their values.
    ///
    /// A name asked for without wildcards is returned in the case of the asker, as Redis does.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Cow<'static, str>, String)> {
        let current = self.current();
        let mut found = Vec::new();
        for (setting, name) in SETTINGS
            .iter()
            .flat_map(|setting| setting.names().map(move |name| (setting, name)))
        {
            let hit = patterns
                .iter()
                .find(|pattern| glob::matches(pattern, name.as_bytes(), true));
            if let Some(pattern) = hit {
                let asked = std::str::from_utf8(pattern)
                    .ok()
                    .filter(|asked| name.eq_ignore_ascii_case(asked));
                let shown = asked.map_or(Cow::Borrowed(name), |asked| Cow::Owned(asked.to_owned()));
                found.push((shown, setting.text(&current)));
            }
        }
        found
    }
}

/// Finds the settings that the pairs name, and whether they may all be changed.
fn wishes<'a>(
    pairs: &[(&[u8], &'a [u8])],
    protected: bool,
) -> Result<Vec<Wish<'a>>, ConfigSetError> {
    let mut wishes: Vec<Wish<'a>> = Vec::with_capacity(pairs.len().min(SETTINGS.len()));
    for &(given, value) in pairs {
        let named = |name: &&str| name.as_bytes().eq_ignore_ascii_case(given);
        let known = SETTINGS
            .iter()
            .find_map(|setting| Some((setting, setting.names().find(named)?)));
        let (setting, name) = known.ok_or_else(|| ConfigSetError::unknown(given))?;
        let refusal = match setting.change {
            Change::Fixed => Some("can't set immutable config"),
            Change::Protected if !protected => Some("can't set protected config"),
            _ => None,
        };
        if let Some(reason) = refusal {
            return Err(ConfigSetError::failed(name, reason));
        }
        if wishes.iter().any(|wish| wish.name == name) {
            return Err(ConfigSetError::failed(
                &String::from_utf8_lossy(given),
                "duplicate parameter",
            ));
        }
        wishes.push(Wish {
            setting,
            name,
            value,
        });
    }
    Ok(wishes)
}

fn apply(wish: &Wish<'_>, settings: &mut Settings) -> Result<(), Refusal> {
    let text = std::str::from_utf8(wish.value).map_err(|_| "argument must be UTF-8")?;
    wish.setting.update(settings, text)?;
    match wish.setting.refusal(settings) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}
