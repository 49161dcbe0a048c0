//! A selector: commands, keys and channels that are allowed together.

use super::catalogue::Catalogue;
use super::check::{Call, Denial, Needs, Reason};
use super::commands::Commands;
use super::refusal::Refusal;
use crate::protocol::glob;

/// What rules are read by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// The commands.
    pub(super) catalogue: &'a Catalogue,
    /// Whether a new user may use all channels (`acl-pubsub-default`).
    pub(super) all_channels: bool,
}

/// Patterns of keys or channels.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Patterns<P> {
    /// All are allowed.
    All,
    /// Those that one of these matches are.
    Only(Vec<P>),
}

/// A pattern of keys, and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    read: bool,
    write: bool,
    pattern: Box<[u8]>,
}

/// Commands, keys and channels that are allowed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    commands: Commands,
    keys: Patterns<KeyPattern>,
    channels: Patterns<Box<[u8]>>,
}

impl Selector {
    /// One that allows nothing, but all channels if new users may use them.
    pub(super) fn new(terms: Terms<'_>) -> Self {
        let channels = if terms.all_channels { Patterns::All } else { Patterns::Only(Vec::new()) };
        Self { commands: Commands::none(terms.catalogue), keys: Patterns::Only(Vec::new()), channels }
    }

    /// Reads the rules between the parentheses of a selector.
    pub(super) fn parse(rules: &[u8], terms: Terms<'_>) -> Result<Self, Refusal> {
        // Quotes would have to be written again, and no pattern may contain what they are for.
        if rules.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            return Err(Refusal::Syntax);
        }
        let mut selector = Self::new(terms);
        for rule in rules.split(|byte| is_space(*byte)).filter(|rule| !rule.is_empty()) {
            selector.apply(rule, terms)?;
        }
        Ok(selector)
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Refusal> {
        let word = until_nul(rule);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("allkeys") || is("~*") {
            self.keys = Patterns::All;
        } else if is("resetkeys") {
            self.keys = Patterns::Only(Vec::new());
        } else if is("allchannels") || is("&*") {
            self.channels = Patterns::All;
        } else if is("resetchannels") {
            self.channels = Patterns::Only(Vec::new());
        } else if is("allcommands") || is("+@all") {
            self.commands.restart(true);
        } else if is("nocommands") || is("-@all") {
            self.commands.restart(false);
        } else {
            match rule.first() {
                Some(b'~' | b'%') => self.add_keys(rule)?,
                Some(b'&') => self.add_channels(&rule[1..])?,
                _ => self.commands.apply(word, terms.catalogue)?,
            }
        }
        Ok(())
    }

    /// Applies `~pattern` and `%RW~pattern`.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), Refusal> {
        let Patterns::Only(patterns) = &mut self.keys else { return Err(Refusal::KeysAfterAll) };
        let new = KeyPattern::parse(rule)?;
        match patterns.iter_mut().find(|known| known.pattern == new.pattern) {
            Some(known) => {
                known.read |= new.read;
                known.write |= new.write;
            }
            None => patterns.push(new),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), Refusal> {
        let Patterns::Only(patterns) = &mut self.channels else { return Err(Refusal::ChannelsAfterAll) };
        if has_spaces(pattern) {
            return Err(Refusal::Syntax);
        }
        if !patterns.iter().any(|known| **known == *pattern) {
            patterns.push(pattern.into());
        }
        Ok(())
    }

    /// Whether it allows everything.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.commands.is_all() && self.keys == Patterns::All && self.channels == Patterns::All
    }

    /// Whether it allows to read every key.
    pub(super) fn reads_all_keys(&self) -> bool {
        match &self.keys {
            Patterns::All => true,
            Patterns::Only(patterns) => patterns.iter().any(|known| known.read && *known.pattern == *b"*"),
        }
    }

    /// Checks a call: first the command, then its keys, then its channels.
    pub(super) fn check(&self, call: &dyn Call) -> Result<(), Denial> {
        if !call.is_exempt() && !self.commands.permits(call.command(), call.first_argument()) {
            return Err(Denial { reason: Reason::Command, argument: 0 });
        }
        let mut denied = None;
        if let Patterns::Only(patterns) = &self.keys {
            call.each_key(&mut |argument, key, needs| {
                if denied.is_none() && !patterns.iter().any(|pattern| pattern.allows(key, needs)) {
                    denied = Some(Denial { reason: Reason::Key, argument });
                }
            });
        }
        if denied.is_none() {
            call.each_channel(&mut |argument, channel, is_pattern| {
                if denied.is_none() && !self.allows_channel(channel, is_pattern) {
                    denied = Some(Denial { reason: Reason::Channel, argument });
                }
            });
        }
        denied.map_or(Ok(()), Err)
    }

    /// Whether it allows a channel, or a pattern of channels.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        match &self.channels {
            Patterns::All => true,
            // What a pattern stands for cannot be told, so it has to be one of the allowed patterns itself.
            Patterns::Only(patterns) if is_pattern => patterns.iter().any(|known| **known == *channel),
            Patterns::Only(patterns) => patterns.iter().any(|known| glob::matches(known, channel, false)),
        }
    }

    /// Appends the rules for commands.
    pub(super) fn describe_commands(&self, out: &mut Vec<u8>) {
        self.commands.describe(out);
    }

    /// Appends the key patterns, with spaces between them.
    pub(super) fn describe_keys(&self, out: &mut Vec<u8>) {
        match &self.keys {
            Patterns::All => out.extend_from_slice(b"~*"),
            Patterns::Only(patterns) => join(out, patterns, |out, pattern| {
                out.extend_from_slice(pattern.prefix());
                out.extend_from_slice(&pattern.pattern);
            }),
        }
    }

    /// Appends the channel patterns, with spaces between them.
    pub(super) fn describe_channels(&self, out: &mut Vec<u8>) {
        match &self.channels {
            Patterns::All => out.extend_from_slice(b"&*"),
            Patterns::Only(patterns) => join(out, patterns, |out, pattern| {
                out.push(b'&');
                out.extend_from_slice(pattern);
            }),
        }
    }

    /// Appends all rules as a file of users has them.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.describe_keys(out);
        if out.len() > start {
            out.push(b' ');
        }
        if let Patterns::Only(patterns) = &self.channels {
            out.extend_from_slice(if patterns.is_empty() { b"resetchannels" } else { b"resetchannels " });
        }
        self.describe_channels(out);
        out.push(b' ');
        self.describe_commands(out);
    }
}

fn join<P>(out: &mut Vec<u8>, patterns: &[P], mut write: impl FnMut(&mut Vec<u8>, &P)) {
    for (index, pattern) in patterns.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write(out, pattern);
    }
}

impl KeyPattern {
    fn parse(rule: &[u8]) -> Result<Self, Refusal> {
        let (mut read, mut write) = (false, false);
        let mut rest = rule.get(1..).unwrap_or_default();
        if rule.first() == Some(&b'%') {
            while let Some((letter, tail)) = rest.split_first() {
                rest = tail;
                match letter.to_ascii_uppercase() {
                    b'R' if !read => read = true,
                    b'W' if !write => write = true,
                    b'~' => break,
                    _ => return Err(Refusal::Syntax),
                }
            }
        } else {
            (read, write) = (true, true);
        }
        if (!read && !write) || has_spaces(rest) {
            return Err(Refusal::Syntax);
        }
        Ok(Self { read, write, pattern: rest.into() })
    }

    fn allows(&self, key: &[u8], needs: Needs) -> bool {
        (self.read || !needs.read) && (self.write || !needs.write) && glob::matches(&self.pattern, key, false)
    }

    fn prefix(&self) -> &'static [u8] {
        match (self.read, self.write) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        }
    }
}

/// The text up to its first NUL: words of rules are C strings in Redis.
pub(super) fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// Whether a name or pattern contains what separates rules.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|&byte| byte == 0 || is_space(byte))
}
