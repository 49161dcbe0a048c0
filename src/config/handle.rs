//! The settings of a running server: shared by its workers, read and changed by CONFIG GET and CONFIG SET.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::kind::Kind;
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
    follower: OnceLock<Follower>,
}

/// Somebody who has to follow changes of settings and may refuse them.
struct Follower {
    /// The beginning of the names of those settings.
    prefix: &'static str,
    follow: Box<Follow>,
}

/// Follows the settings to be, or refuses them.
type Follow = dyn Fn(&Settings) -> Result<(), Refusal> + Send + Sync;

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follower").field("prefix", &self.prefix).finish_non_exhaustive()
    }
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
        Self(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
    }

    fn failed(name: &str, reason: &str) -> Self {
        Self(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
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
        Self { generation: AtomicU64::new(0), settings: RwLock::new(Arc::new(settings)), follower: OnceLock::new() }
    }

    /// Has `follow` called with the settings to be, whenever CONFIG SET names settings that begin with `prefix`, also if they
    /// stay the same: what they name may have changed. What it refuses is not changed. Only the first call counts.
    pub fn follow(
        &self,
        prefix: &'static str,
        follow: impl Fn(&Settings) -> Result<(), Refusal> + Send + Sync + 'static,
    ) {
        let _ = self.follower.set(Follower { prefix, follow: Box::new(follow) });
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
            apply(wish, &mut changed).map_err(|reason| ConfigSetError::failed(wish.name, &reason))?;
        }
        if let Some(Follower { prefix, follow }) = self.follower.get()
            && let Some(wish) = wishes.iter().find(|wish| wish.name.starts_with(prefix))
        {
            follow(&changed).map_err(|reason| ConfigSetError::failed(wish.name, &reason))?;
        }
        *current = Arc::new(changed);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Takes a change back that could not be followed.
    pub fn restore(&self, before: Arc<Settings>) {
        *self.settings.write() = before;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// CONFIG GET: the names that any of the glob patterns matches, each once, with their values.
    ///
    /// A name asked for without wildcards is returned in the case of the asker, as Redis does.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Cow<'static, str>, String)> {
        let current = self.current();
        let mut found = Vec::new();
        // The rules of users hold their passwords; ACL LIST tells them to those who may know.
        let shown = SETTINGS.iter().filter(|setting| setting.kind != Kind::Users);
        for (setting, name) in shown.flat_map(|setting| setting.names().map(move |name| (setting, name))) {
            let hit = patterns.iter().find(|pattern| glob::matches(pattern, name.as_bytes(), true));
            if let Some(pattern) = hit {
                let asked = std::str::from_utf8(pattern).ok().filter(|asked| name.eq_ignore_ascii_case(asked));
                let shown = asked.map_or(Cow::Borrowed(name), |asked| Cow::Owned(asked.to_owned()));
                found.push((shown, setting.text(&current)));
            }
        }
        found
    }
}

/// Finds the settings that the pairs name, and whether they may all be changed.
fn wishes<'a>(pairs: &[(&[u8], &'a [u8])], protected: bool) -> Result<Vec<Wish<'a>>, ConfigSetError> {
    let mut wishes: Vec<Wish<'a>> = Vec::with_capacity(pairs.len().min(SETTINGS.len()));
    for &(given, value) in pairs {
        let named = |name: &&str| name.as_bytes().eq_ignore_ascii_case(given);
        let known = SETTINGS.iter().find_map(|setting| Some((setting, setting.names().find(named)?)));
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
            return Err(ConfigSetError::failed(&String::from_utf8_lossy(given), "duplicate parameter"));
        }
        wishes.push(Wish { setting, name, value });
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn handle() -> Handle {
        Handle::new(Settings::default())
    }

    fn set(handle: &Handle, pairs: &[(&str, &str)]) -> Result<(), String> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        handle.set(&pairs, Caller::Local).map_err(|error| error.to_string())
    }

    fn get(handle: &Handle, pattern: &str) -> Vec<(String, String)> {
        let found = handle.get(&[pattern.as_bytes()]);
        found.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }

    /// The expected texts were taken from redis-server 7.0.15.
    #[test]
    fn errors_are_those_of_redis() {
        let failed = |name: &str, reason: &str| {
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'NoSuch'".to_owned();
        let immutable = "can't set immutable config";
        for (pairs, expected) in [
            (&[("MAXCLIENTS", "0")][..], failed("maxclients", "argument must be between 1 and 4294967295 inclusive")),
            (&[("maxclients", "abc")], failed("maxclients", "argument couldn't be parsed into an integer")),
            (&[("NoSuch", "1")], unknown.clone()),
            (&[("hz", "20"), ("NoSuch", "1")], unknown),
            (&[("hz", "20"), ("databases", "1"), ("NoSuch", "1")], failed("databases", immutable)),
            (&[("unixsocketperm", "777")], failed("unixsocketperm", immutable)),
            (&[("timeout", "0"), ("TIMEOUT", "3")], failed("TIMEOUT", "duplicate parameter")),
            (&[("dir", "/")], failed("dir", "can't set protected config")),
            (&[("protected-mode", "maybe")], failed("protected-mode", "argument must be 'yes' or 'no'")),
            (
                &[("appendfsync", "x")],
                failed("appendfsync", "argument(s) must be one of the following: everysec, always, no"),
            ),
            (&[("maxmemory", "1x")], failed("maxmemory", "argument must be a memory value")),
            (&[("maxmemory-clients", "-5")], failed("maxmemory-clients", "argument must be a memory or percent value")),
            (
                &[("maxmemory-clients", "101%")],
                failed("maxmemory-clients", "percentage argument must be less or equal to 100"),
            ),
            (
                &[("proto-max-bulk-len", "1")],
                failed("proto-max-bulk-len", "argument must be between 1048576 and 1073741824 inclusive"),
            ),
            (
                &[("hash-max-ziplist-entries", "-1")],
                failed("hash-max-ziplist-entries", "argument must be between 0 and 9223372036854775807 inclusive"),
            ),
            (&[("save", "900 x")], failed("save", "Invalid save parameters")),
        ] {
            assert_eq!(set(&handle(), pairs).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_change_is_seen_and_counted() {
        let handle = handle();
        let before = handle.generation();
        set(&handle, &[("Timeout", "5"), ("maxclients", "77"), ("loglevel", "WARN")]).unwrap();
        assert!(handle.generation() > before);
        let settings = handle.current();
        assert_eq!((settings.timeout, settings.maxclients), (5, 77));
        assert_eq!(get(&handle, "loglevel"), [("loglevel".into(), "warning".into())]);
    }

    #[test]
    fn a_failed_change_leaves_everything_as_it_was() {
        let handle = handle();
        let before = handle.generation();
        let text = set(&handle, &[("timeout", "5"), ("maxclients", "0")]).unwrap_err();
        assert!(text.contains("'maxclients'"));
        assert_eq!((handle.generation(), &*handle.current()), (before, &Settings::default()));
        assert!(set(&handle, &[("hz", "11"), ("auto-aof-rewrite-percentage", "x")]).is_err());
        assert_eq!(handle.current().hz, 10);
        assert!(handle.set(&[(b"requirepass", b"\xff")], Caller::Local).is_err());
        assert!(handle.set(&[(b"\xff", b"1")], Caller::Local).is_err());
    }

    #[test]
    fn a_follower_hears_of_its_settings_and_may_refuse_them() {
        let handle = handle();
        handle.follow("tls-", |settings| match settings.tls_cert_file.as_os_str().is_empty() {
            true => Err("no file".into()),
            false => Ok(()),
        });
        assert_eq!(set(&handle, &[("timeout", "5")]), Ok(()));
        let refused = set(&handle, &[("timeout", "6"), ("tls-auth-clients", "no")]).unwrap_err();
        assert!(refused.ends_with("(possibly related to argument 'tls-auth-clients') - no file"), "{refused}");
        assert_eq!(handle.current().timeout, 5);
        assert_eq!(set(&handle, &[("tls-cert-file", "x"), ("tls-auth-clients", "no")]), Ok(()));
    }

    #[test]
    fn protected_settings_follow_their_guard() {
        let enable_protected_configs = crate::config::Access::Local;
        let handle = Handle::new(Settings { enable_protected_configs, ..Settings::default() });
        let wish: &[(&[u8], &[u8])] = &[(b"dbfilename", b"x.rdb")];
        assert!(handle.set(wish, Caller::Remote).is_err());
        assert_eq!(handle.set(wish, Caller::Local), Ok(()));
        let wish: &[(&[u8], &[u8])] = &[(b"dbfilename", b"a/b")];
        let text = handle.set(wish, Caller::Local).unwrap_err().to_string();
        assert!(text.ends_with("dbfilename can't be a path, just a filename"), "{text}");
    }

    #[test]
    fn names_are_found_by_patterns_in_any_case() {
        let handle = handle();
        assert_eq!(get(&handle, "HZ"), [("HZ".into(), "10".into())]);
        assert_eq!(get(&handle, "H?"), [("hz".into(), "10".into())]);
        assert_eq!(get(&handle, "proto-max-bulk-len")[0].1, "536870912");
        assert_eq!(
            get(&handle, "client-output-buffer-limit")[0].1,
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
        );
        assert_eq!(get(&handle, "nosuch"), []);
        let shown = SETTINGS.iter().filter(|setting| setting.name != "user");
        let all = shown.map(|setting| setting.names().count()).sum::<usize>();
        assert_eq!(get(&handle, "*").len(), all);
        assert_eq!(handle.get(&[b"hz", b"h*", b"hz"]).iter().filter(|(name, _)| name == "hz").count(), 1);
        assert_eq!(get(&handle, "hash-max-*").len(), 4);
    }

    #[test]
    fn readers_see_whole_changes_only() {
        let handle = Arc::new(handle());
        let writer = {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || {
                for number in 1..500_u32 {
                    let text = number.to_string();
                    set(&handle, &[("timeout", &text), ("tcp-keepalive", &text)]).unwrap();
                }
            })
        };
        set(&handle, &[("timeout", "0"), ("tcp-keepalive", "0")]).unwrap();
        while !writer.is_finished() {
            let settings = handle.current();
            assert_eq!(settings.timeout, settings.tcp_keepalive);
        }
        writer.join().unwrap();
    }
}
