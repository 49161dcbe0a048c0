//! A user: a name, passwords, and selectors.

use std::borrow::Cow;

use super::check::{Call, Denial};
use super::refusal::Refusal;
use super::selector::{Selector, Terms, until_nul};
use crate::security::secret::Digest;

/// Passwords that one user may have.
const PASSWORDS_MAX: usize = 1024;
/// Selectors that one user may have.
const SELECTORS_MAX: usize = 1024;

/// A user at one moment: a change makes a new one with the same `id`.
#[derive(Clone, Debug)]
pub struct User {
    /// Distinguishes it from a later user of the same name.
    pub id: u64,
    /// The name.
    pub name: Box<[u8]>,
    enabled: bool,
    nopass: bool,
    skip_sanitize: bool,
    passwords: Vec<Digest>,
    /// The user's own selector.
    root: Selector,
    /// Further ones: what one of all allows is allowed.
    others: Vec<Selector>,
    unrestricted: bool,
}

/// The rules of one selector as `ACL GETUSER` shows them.
#[derive(Debug, Default)]
pub struct Description {
    /// The rules for commands.
    pub commands: Vec<u8>,
    /// The key patterns.
    pub keys: Vec<u8>,
    /// The channel patterns.
    pub channels: Vec<u8>,
}

impl User {
    /// A user that is off and may do nothing.
    pub(super) fn new(id: u64, name: &[u8], terms: Terms<'_>) -> Self {
        Self {
            id,
            name: name.into(),
            enabled: false,
            nopass: false,
            skip_sanitize: false,
            passwords: Vec::new(),
            root: Selector::new(terms),
            others: Vec::new(),
            unrestricted: false,
        }
    }

    /// The default user as it is without any setting: on, without a password, and free to do everything.
    pub(super) fn default(id: u64, terms: Terms<'_>) -> Self {
        let mut user = Self::new(id, super::DEFAULT, terms);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            let applied = user.apply(rule.as_bytes(), terms);
            debug_assert_eq!(applied, Ok(()));
        }
        user
    }

    /// Applies one rule; on a refusal the user may be used no more.
    pub(super) fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Refusal> {
        let applied = self.apply_word(until_nul(rule), rule, terms);
        let mut selectors = std::iter::once(&self.root).chain(&self.others);
        self.unrestricted = selectors.any(Selector::is_unrestricted);
        applied
    }

    fn apply_word(&mut self, word: &[u8], rule: &[u8], terms: Terms<'_>) -> Result<(), Refusal> {
        match word.to_ascii_lowercase().as_slice() {
            // An empty rule does nothing; one that begins with NUL is none.
            b"" if rule.is_empty() => (),
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"skip-sanitize-payload" => self.skip_sanitize = true,
            b"sanitize-payload" => self.skip_sanitize = false,
            b"nopass" => self.set_nopass(true),
            b"resetpass" => self.set_nopass(false),
            b"clearselectors" => self.others.clear(),
            b"reset" => *self = Self::new(self.id, &self.name, terms),
            _ => match (rule.first(), rule.last()) {
                (Some(b'>'), _) => self.add_password(Digest::of(&rule[1..]))?,
                (Some(b'#'), _) => self.add_password(Digest::parse(&rule[1..]).ok_or(Refusal::BadDigest)?)?,
                (Some(b'<'), _) => self.remove_password(Digest::of(&rule[1..]))?,
                (Some(b'!'), _) => self.remove_password(Digest::parse(&rule[1..]).ok_or(Refusal::BadDigest)?)?,
                (Some(b'('), Some(b')')) => self.add_selector(&rule[1..rule.len() - 1], terms)?,
                _ => self.root.apply(rule, terms)?,
            },
        }
        Ok(())
    }

    fn set_nopass(&mut self, nopass: bool) {
        self.nopass = nopass;
        self.passwords.clear();
    }

    fn add_password(&mut self, digest: Digest) -> Result<(), Refusal> {
        self.nopass = false;
        if !self.passwords.contains(&digest) {
            if self.passwords.len() >= PASSWORDS_MAX {
                return Err(Refusal::TooMany);
            }
            self.passwords.push(digest);
        }
        Ok(())
    }

    fn remove_password(&mut self, digest: Digest) -> Result<(), Refusal> {
        let at = self.passwords.iter().position(|known| *known == digest).ok_or(Refusal::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    fn add_selector(&mut self, rules: &[u8], terms: Terms<'_>) -> Result<(), Refusal> {
        if self.others.len() >= SELECTORS_MAX {
            return Err(Refusal::TooMany);
        }
        self.others.push(Selector::parse(until_nul(rules), terms)?);
        Ok(())
    }

    /// Whether it may do everything, so that nothing needs to be checked.
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Whether it is on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password is right.
    pub fn has_no_password(&self) -> bool {
        self.nopass
    }

    /// The passwords' digests, in the order in which they were added.
    pub fn passwords(&self) -> &[Digest] {
        &self.passwords
    }

    /// Whether it may log in with the password of this digest.
    pub(super) fn accepts(&self, digest: &Digest) -> bool {
        // All are compared, so that the time does not tell which of them was right.
        let known = self.passwords.iter().fold(false, |known, password| known | password.is(digest));
        self.enabled && (self.nopass || known)
    }

    /// Checks a call. The refusal is the one that tells most: that of a selector that allows the command, and there the
    /// last key or channel.
    pub fn check(&self, call: &dyn Call) -> Result<(), Denial> {
        let mut worst = match self.root.check(call) {
            Ok(()) => return Ok(()),
            Err(denial) => denial,
        };
        for selector in &self.others {
            match selector.check(call) {
                Ok(()) => return Ok(()),
                Err(denial) => worst = worst.max(denial),
            }
        }
        Err(worst)
    }

    /// Whether a selector allows a channel, or a pattern of channels.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let mut selectors = std::iter::once(&self.root).chain(&self.others);
        selectors.any(|selector| selector.allows_channel(channel, is_pattern))
    }

    /// Whether a selector that allows this call allows to read every key too, for calls whose keys derive from values.
    pub fn reads_all_keys(&self, call: &dyn Call) -> bool {
        let mut selectors = std::iter::once(&self.root).chain(&self.others);
        self.unrestricted || selectors.any(|selector| selector.reads_all_keys() && selector.check(call).is_ok())
    }

    /// The words for its state, in Redis's order.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> + Clone {
        [
            Some(if self.enabled { "on" } else { "off" }),
            self.nopass.then_some("nopass"),
            Some(if self.skip_sanitize { "skip-sanitize-payload" } else { "sanitize-payload" }),
        ]
        .into_iter()
        .flatten()
    }

    /// The rules of its own selector, then those of the others.
    pub fn selectors(&self) -> impl ExactSizeIterator<Item = Description> {
        let all: Vec<&Selector> = std::iter::once(&self.root).chain(&self.others).collect();
        all.into_iter().map(|selector| {
            let mut description = Description::default();
            selector.describe_commands(&mut description.commands);
            selector.describe_keys(&mut description.keys);
            selector.describe_channels(&mut description.channels);
            description
        })
    }

    /// Its line in a file of users, without the line's end.
    pub fn line(&self) -> Vec<u8> {
        let mut line = b"user ".to_vec();
        line.extend_from_slice(&self.name);
        for flag in self.flags() {
            line.push(b' ');
            line.extend_from_slice(flag.as_bytes());
        }
        for password in &self.passwords {
            line.extend_from_slice(b" #");
            line.extend_from_slice(password.as_bytes());
        }
        line.push(b' ');
        self.root.describe(&mut line);
        for selector in &self.others {
            line.extend_from_slice(b" (");
            selector.describe(&mut line);
            line.push(b')');
        }
        line
    }
}

/// Joins the words of selectors that stand in several arguments: `(+get` and `~a)`.
///
/// # Errors
/// The argument whose parenthesis is not closed.
pub(super) fn merge<'a>(rules: &[&'a [u8]]) -> Result<Vec<Cow<'a, [u8]>>, &'a [u8]> {
    let mut merged = Vec::with_capacity(rules.len());
    let mut open: Option<(&'a [u8], Vec<u8>)> = None;
    for &rule in rules {
        match open.take() {
            Some((start, mut selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(until_nul(rule));
                match rule.last() {
                    Some(b')') => merged.push(Cow::Owned(selector)),
                    _ => open = Some((start, selector)),
                }
            }
            None if rule.first() == Some(&b'(') && rule.last() != Some(&b')') => open = Some((rule, rule.to_vec())),
            None => merged.push(Cow::Borrowed(rule)),
        }
    }
    open.map_or(Ok(merged), |(start, _)| Err(start))
}
