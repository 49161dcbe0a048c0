//! Access control lists, as Redis 7.2 has them: users with passwords, and with rules for commands, keys and channels.
//!
//! Users are shared by all workers. A change replaces a user as a whole and raises the generation; a connection keeps the
//! user that it found and looks again when the generation has changed, so commands take no lock and touch no counter.

mod catalogue;
mod check;
mod commands;
mod file;
mod log;
mod login;
mod refusal;
mod selector;
#[cfg(test)]
mod tests;
mod user;

pub use catalogue::{Catalogue, Entry};
pub use check::{Call, Denial, Needs, Reason};
pub use log::{Event, Origin, Record};
pub use login::Login;
pub use refusal::Refusal;
pub use user::{Description, User};

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::secret::Digest;
use log::Log;
use selector::{Terms, has_spaces};
use user::merge;

/// The name of the user that every connection begins as.
pub const DEFAULT: &[u8] = b"default";
/// Users that there may be.
const USERS_MAX: usize = 100_000;

/// All users, and the log of what was refused to them.
#[derive(Debug)]
pub struct Acl {
    catalogue: Catalogue,
    generation: AtomicU64,
    state: RwLock<State>,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct State {
    users: BTreeMap<Box<[u8]>, Arc<User>>,
    default: Arc<User>,
    /// The id of the next new user.
    next_id: u64,
    /// The value of `requirepass` that the default user was given last.
    requirepass: String,
}

/// Why a user cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The name contains spaces.
    Name,
    /// This selector's parenthesis is not closed.
    Unmatched(Box<[u8]>),
    /// This rule is not accepted.
    Rule(Box<[u8]>, Refusal),
    /// There are as many users as there may be.
    TooMany,
}

impl Mistake {
    /// What `ACL SETUSER` replies, without the code.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Name => b"Usernames can't contain spaces or null characters".to_vec(),
            Self::Unmatched(start) => {
                [b"Unmatched parenthesis in acl selector starting at '", &**start, b"'."].concat()
            }
            Self::Rule(rule, refusal) => {
                [b"Error in ACL SETUSER modifier '", &**rule, b"': ", refusal.to_string().as_bytes()].concat()
            }
            Self::TooMany => format!("There are {USERS_MAX} users already").into_bytes(),
        }
    }
}

impl State {
    /// Adds a user, or replaces the one of its name.
    fn put(&mut self, user: User) {
        let user = Arc::new(user);
        if *user.name == *DEFAULT {
            self.default = user.clone();
        }
        self.users.insert(user.name.clone(), user);
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl User {
    /// Whether a connection is this user's without a password.
    fn is_open(&self) -> bool {
        self.is_enabled() && self.has_no_password()
    }
}

impl Acl {
    /// The default user alone, with this password unless it is empty.
    pub fn new(catalogue: Catalogue, requirepass: &str) -> Self {
        let default = Arc::new(User::default(0, Terms { catalogue: &catalogue, all_channels: false }));
        let users = BTreeMap::from([(default.name.clone(), default.clone())]);
        let state = State { users, default, next_id: 0, requirepass: String::new() };
        let generation = AtomicU64::new(1);
        let acl = Self { catalogue, generation, state: RwLock::new(state), log: Mutex::default() };
        acl.adopt_password(|| requirepass.to_owned());
        acl
    }

    /// A number that grows with every change of a user.
    #[inline]
    pub fn generation(&self) -> u64 {
        // Relaxed suffices: users themselves are read under the lock.
        self.generation.load(Ordering::Relaxed)
    }

    fn terms(&self, all_channels: bool) -> Terms<'_> {
        Terms { catalogue: &self.catalogue, all_channels }
    }

    /// Changes users, and raises the generation before the lock is released.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write();
        let result = change(&mut state);
        self.generation.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<User>> {
        self.state.read().users.get(name).cloned()
    }

    /// The user that every connection begins as.
    pub fn default_user(&self) -> Arc<User> {
        self.state.read().default.clone()
    }

    /// All users in the order of their names.
    pub fn users(&self) -> Vec<Arc<User>> {
        self.state.read().users.values().cloned().collect()
    }

    /// The user of this name if it is on and this is one of its passwords.
    pub fn credentials(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        // Hashed for unknown users as well, so that the time does not tell which names there are.
        let digest = Digest::of(password);
        self.find(name).filter(|user| user.accepts(&digest))
    }

    /// The bit of the category of this name.
    pub fn category(&self, name: &[u8]) -> Option<u32> {
        self.catalogue.category(name)
    }

    /// Applies rules to a user, all of them or none; creates it if there is none of this name. `all_channels` is whether
    /// new users may use all channels.
    ///
    /// # Errors
    /// What is wrong, and with which rule.
    pub fn set_user(&self, name: &[u8], rules: &[&[u8]], all_channels: bool) -> Result<(), Mistake> {
        if has_spaces(name) {
            return Err(Mistake::Name);
        }
        let rules = merge(rules).map_err(|start| Mistake::Unmatched(selector::until_nul(start).into()))?;
        let terms = self.terms(all_channels);
        self.change(|state| {
            let mut user = match state.users.get(name) {
                Some(user) => User::clone(user),
                None if state.users.len() >= USERS_MAX => return Err(Mistake::TooMany),
                None => User::new(state.new_id(), name, terms),
            };
            for rule in rules {
                let applied = user.apply(&rule, terms);
                applied.map_err(|refusal| Mistake::Rule(selector::until_nul(&rule).into(), refusal))?;
            }
            state.put(user);
            Ok(())
        })
    }

    /// Deletes users and returns their ids: their connections are to end. The default user stays.
    pub fn delete<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
        self.change(|state| {
            let others = names.filter(|name| *name != DEFAULT);
            others.filter_map(|name| state.users.remove(name)).map(|user| user.id).collect()
        })
    }

    /// Gives the default user the password that `current` returns, if that is another than it returned the last time;
    /// nothing is no password. It is asked under the lock, so that the latest of several changes at once remains.
    pub fn adopt_password(&self, current: impl FnOnce() -> String) {
        self.change(|state| {
            let requirepass = current();
            if state.requirepass == requirepass {
                return;
            }
            let mut user = User::clone(&state.default);
            self.set_password(&mut user, &requirepass);
            state.put(user);
            state.requirepass = requirepass;
        });
    }

    fn set_password(&self, user: &mut User, requirepass: &str) {
        let password = format!(">{requirepass}");
        for rule in ["resetpass", if requirepass.is_empty() { "nopass" } else { &password }] {
            let applied = user.apply(rule.as_bytes(), self.terms(false));
            debug_assert_eq!(applied, Ok(()));
        }
    }

    /// Adds the users of the configuration, each a name and its rules.
    ///
    /// # Errors
    /// The first mistake. A rule is only repeated where it cannot be a password.
    pub fn configure(&self, lines: &[String], all_channels: bool) -> Result<(), String> {
        let mut names: Vec<&str> = Vec::new();
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            if names.contains(&name) {
                return Err(format!("the user '{name}' is defined twice"));
            }
            names.push(name);
            let mut rules: Vec<&[u8]> = words.map(str::as_bytes).collect();
            if name.as_bytes() == DEFAULT {
                rules.insert(0, b"reset");
            }
            self.set_user(name.as_bytes(), &rules, all_channels).map_err(|mistake| match mistake {
                Mistake::Rule(_, refusal) if refusal != Refusal::Unknown => {
                    format!("a rule of the user '{name}' is wrong: {refusal}")
                }
                mistake => {
                    let reason = mistake.to_bytes();
                    format!("the user '{name}': {}", String::from_utf8_lossy(&reason))
                }
            })?;
        }
        Ok(())
    }

    /// Replaces all users by those of a file and returns the ids of those that are gone: their connections are to end. A
    /// user of the same name as before stays who it was. Where the file has no default user, it is the usual one with the
    /// password of `requirepass`.
    ///
    /// # Errors
    /// All mistakes of the file in one line; then nothing has changed.
    pub fn load(&self, path: &Path, all_channels: bool) -> Result<Vec<u64>, String> {
        let terms = self.terms(all_channels);
        let mut users = file::load(path, terms)?;
        if users.len() > USERS_MAX {
            return Err(format!("{} has more than {USERS_MAX} users", path.display()));
        }
        Ok(self.change(|state| {
            users.entry(DEFAULT.into()).or_insert_with(|| {
                let mut user = User::default(0, terms);
                self.set_password(&mut user, &state.requirepass);
                user
            });
            let old = std::mem::take(&mut state.users);
            for (name, mut user) in users {
                user.id = old.get(&name).map_or_else(|| state.new_id(), |old| old.id);
                state.put(user);
            }
            old.iter().filter(|(name, _)| !state.users.contains_key(*name)).map(|(_, user)| user.id).collect()
        }))
    }

    /// Writes all users into a file.
    ///
    /// # Errors
    /// The file system's; then the file is as it was.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        file::save(path, self.users().iter().map(Arc::as_ref))
    }

    /// The lines of the users without the word `user`; the default user's only if it is more than `requirepass` makes it.
    pub fn lines_beside_requirepass(&self) -> Vec<Vec<u8>> {
        let state = self.state.read();
        let mut usual = User::default(0, self.terms(false));
        self.set_password(&mut usual, &state.requirepass);
        let usual = usual.line();
        let lines = state.users.values().map(|user| user.line()).filter(|line| *line != usual);
        lines.map(|line| line[b"user ".len()..].to_vec()).collect()
    }

    /// Adds a refusal to the log, which keeps `limit` records.
    pub fn log(&self, event: &Event<'_>, limit: usize) {
        self.log.lock().add(event, limit);
    }

    /// The latest records of the log.
    pub fn latest(&self, count: usize) -> Vec<Record> {
        self.log.lock().latest(count)
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        self.log.lock().clear();
    }
}
