//! The text of a script: its SHA-1, its first line's flags, and what was found out about the keys that it goes to.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use sha1::{Digest, Sha1};

/// What a script declares of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It changes nothing: `no-writes`.
    pub no_writes: bool,
    /// It may run when memory is short: `allow-oom`.
    pub allow_oom: bool,
    /// It may run on a replica that lost its master: `allow-stale`.
    pub allow_stale: bool,
    /// It does not run in a cluster: `no-cluster`.
    pub no_cluster: bool,
    /// Its keys may be in several slots: `allow-cross-slot-keys`.
    pub cross_slot: bool,
    /// It declares nothing, so what it may do is decided command by command.
    pub undeclared: bool,
}

impl Features {
    /// The names, in the order in which `FUNCTION LIST` tells them.
    pub const NAMES: [&'static str; 5] =
        ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

    /// Sets the flag of this name; false if there is none.
    pub fn set(&mut self, name: &[u8]) -> bool {
        match name {
            b"no-writes" => self.no_writes = true,
            b"allow-oom" => self.allow_oom = true,
            b"allow-stale" => self.allow_stale = true,
            b"no-cluster" => self.no_cluster = true,
            b"allow-cross-slot-keys" => self.cross_slot = true,
            _ => return false,
        }
        true
    }

    /// What the first line of a script declares; `None` where that is wrong.
    pub fn of(text: &[u8]) -> Option<Features> {
        features(text).ok().map(|(features, _)| features)
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let set = [self.no_writes, self.allow_oom, self.allow_stale, self.no_cluster, self.cross_slot];
        Self::NAMES.into_iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name)
    }
}

/// What a script has to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Not known yet: everything.
    Unknown = 0,
    /// Its declared keys, as far as is known.
    Declared = 1,
    /// Everything.
    Everything = 2,
}

/// What was found out about the keys that a script goes to.
#[derive(Debug, Default)]
pub struct Habit(AtomicU8);

impl Habit {
    /// What the next run has to enter.
    pub fn scope(&self) -> Scope {
        match self.0.load(Relaxed) {
            0 => Scope::Unknown,
            1 => Scope::Declared,
            _ => Scope::Everything,
        }
    }

    /// A run went only to declared keys. What another run found stands.
    pub fn kept_to_declared(&self) {
        let _ = self.0.compare_exchange(0, Scope::Declared as u8, Relaxed, Relaxed);
    }

    /// A run went elsewhere.
    pub fn went_elsewhere(&self) {
        self.0.store(Scope::Everything as u8, Relaxed);
    }
}

/// A script.
#[derive(Debug)]
pub struct Source {
    /// 40 hexadecimal digits.
    pub sha: [u8; 40],
    /// Its whole text.
    pub text: Box<[u8]>,
    /// What its first line declares.
    pub features: Features,
    /// Which keys it goes to.
    pub habit: Habit,
    /// Bytes of the first line that are not Lua.
    pub(super) skip: usize,
}

impl Source {
    /// Reads the first line of a script, which has this SHA-1.
    ///
    /// # Errors
    /// What is wrong with it, without a code.
    pub fn new(sha: [u8; 40], text: &[u8]) -> Result<Source, Vec<u8>> {
        let (features, skip) = features(text)?;
        Ok(Source { sha, text: text.into(), features, habit: Habit::default(), skip })
    }

    /// The SHA-1 as text.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.sha).unwrap_or_default()
    }
}

/// 40 hexadecimal digits in lower case.
pub fn sha1_hex(text: &[u8]) -> [u8; 40] {
    let mut hex = [0; 40];
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(Sha1::digest(text)) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    hex
}

/// The words of a line, in the quoting of inline commands; `None` where a quote is not closed.
pub(super) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut spans, mut decoded) = (Vec::new(), Vec::new());
    let was_decoded = crate::protocol::inline::split(line, &mut spans, &mut decoded).ok()?;
    let args = crate::protocol::Args::new(if was_decoded { &decoded } else { line }, &spans, &[]);
    Some(args.iter().map(<[u8]>::to_vec).collect())
}

fn features(text: &[u8]) -> Result<(Features, usize), Vec<u8>> {
    let mut features = Features::default();
    if !text.starts_with(b"#!") {
        features.undeclared = true;
        return Ok((features, 0));
    }
    let end = text.iter().position(|&byte| byte == b'\n').ok_or("Invalid script shebang")?;
    let words = words(&text[..end]).filter(|words| !words.is_empty()).ok_or("Invalid engine in script shebang")?;
    if words[0] != b"#!lua" {
        return Err([b"Unexpected engine in script shebang: ", &*words[0]].concat());
    }
    for word in &words[1..] {
        let Some(flags) = word.strip_prefix(b"flags=") else {
            return Err([b"Unknown lua shebang option: ", &**word].concat());
        };
        for flag in flags.split(|&byte| byte == b',').filter(|_| !flags.is_empty()) {
            if !features.set(flag) {
                return Err([b"Unexpected flag in script shebang: ", flag].concat());
            }
        }
    }
    Ok((features, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha_is_that_of_everybody() {
        assert_eq!(&sha1_hex(b""), b"da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(&sha1_hex(b"return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }

    #[test]
    fn the_first_line_declares() {
        let of = |text: &str| features(text.as_bytes()).map_err(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(of("return 1").is_ok_and(|(features, skip)| features.undeclared && skip == 0));
        let (found, skip) = of("#!lua flags=no-writes,allow-oom\nreturn 1").unwrap_or_default();
        assert_eq!(found.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
        assert_eq!(skip, 31);
        assert_eq!(of("#!lua"), Err("Invalid script shebang".into()));
        assert_eq!(of("#!perl\n"), Err("Unexpected engine in script shebang: #!perl".into()));
        assert_eq!(of("#!lua x=1\n"), Err("Unknown lua shebang option: x=1".into()));
        assert_eq!(of("#!lua flags=x\n"), Err("Unexpected flag in script shebang: x".into()));
    }

    #[test]
    fn a_habit_changes_only_for_the_wider() {
        let habit = Habit::default();
        assert_eq!(habit.scope(), Scope::Unknown);
        habit.kept_to_declared();
        assert_eq!(habit.scope(), Scope::Declared);
        habit.went_elsewhere();
        habit.kept_to_declared();
        assert_eq!(habit.scope(), Scope::Everything);
    }
}
