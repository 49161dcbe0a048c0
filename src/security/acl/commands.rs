//! Which commands are allowed: a bit for each, and the rules that led there, in the normal form of Redis 7.2.
//!
//! The rules that are kept start from all commands or none, in the order given. A new rule takes the place of an older one
//! for the same name, and a rule for a whole command that of those for its subcommands, so the list does not grow without
//! bound and still leads to the same bits.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::refusal::Refusal;

/// First arguments for which one command may be allowed.
const FIRST_ARGUMENTS_MAX: usize = 1024;

/// The commands that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commands {
    /// Whether the rules start from all commands.
    from_all: bool,
    /// A bit for each command of the catalogue.
    bits: Box<[u64]>,
    /// First arguments with which a command is allowed whose bit is not set.
    first_arguments: BTreeMap<usize, Vec<Box<[u8]>>>,
    /// The rules after the start.
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// In lower case: `get`, `config|set`, `@read`, `select|0`.
    name: Box<[u8]>,
}

impl Commands {
    /// None.
    pub(super) fn none(catalogue: &Catalogue) -> Self {
        let bits = vec![0; catalogue.len().div_ceil(64)].into();
        Self { from_all: false, bits, first_arguments: BTreeMap::new(), rules: Vec::new() }
    }

    /// Starts again from all commands, or from none.
    pub(super) fn restart(&mut self, from_all: bool) {
        self.from_all = from_all;
        self.bits.fill(if from_all { u64::MAX } else { 0 });
        self.first_arguments.clear();
        self.rules.clear();
    }

    /// Applies `+command`, `-command`, `+@category` and their kin.
    pub(super) fn apply(&mut self, rule: &[u8], catalogue: &Catalogue) -> Result<(), Refusal> {
        let (allow, name) = match rule.split_first() {
            Some((b'+', name)) => (true, name),
            Some((b'-', name)) => (false, name),
            _ => return Err(Refusal::Syntax),
        };
        if let Some(category) = name.strip_prefix(b"@") {
            let category = catalogue.category(category).ok_or(Refusal::Unknown)?;
            catalogue.members(category).for_each(|number| self.change(number, allow, catalogue));
        } else if let Some(at) = name.iter().rposition(|&byte| byte == b'|').filter(|_| allow) {
            self.allow_part(&name[..at], &name[at + 1..], catalogue)?;
        } else {
            let number = catalogue.find(name).ok_or(Refusal::Unknown)?;
            self.change(number, allow, catalogue);
        }
        self.note(allow, name);
        Ok(())
    }

    /// Allows a subcommand, or a command that has none for one first argument.
    fn allow_part(&mut self, command: &[u8], part: &[u8], catalogue: &Catalogue) -> Result<(), Refusal> {
        let number = catalogue.find(command).ok_or(Refusal::Unknown)?;
        let entry = catalogue.entry(number);
        if entry.is_subcommand {
            return Err(Refusal::FirstArgument);
        }
        if part.is_empty() {
            return Err(Refusal::Syntax);
        }
        if !entry.subcommands.is_empty() {
            let full = [command, b"|", part].concat();
            let number = catalogue.find(&full).ok_or(Refusal::Unknown)?;
            self.change(number, true, catalogue);
            return Ok(());
        }
        // What stands between spaces or quotes could not be read again from a list of rules.
        if part.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'\x0b' | b'"' | b'\'')) {
            return Err(Refusal::Syntax);
        }
        let allowed = self.first_arguments.entry(number).or_default();
        if !allowed.iter().any(|known| known.eq_ignore_ascii_case(part)) {
            if allowed.len() >= FIRST_ARGUMENTS_MAX {
                return Err(Refusal::TooMany);
            }
            allowed.push(part.into());
        }
        Ok(())
    }

    /// Allows or forbids a command with its subcommands.
    fn change(&mut self, number: usize, allow: bool, catalogue: &Catalogue) {
        self.first_arguments.remove(&number);
        for number in std::iter::once(number).chain(catalogue.entry(number).subcommands.clone()) {
            let bit = 1 << (number % 64);
            match allow {
                true => self.bits[number / 64] |= bit,
                false => self.bits[number / 64] &= !bit,
            }
        }
    }

    /// Adds to the rules, and takes out those that the new one makes void.
    fn note(&mut self, allow: bool, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        self.rules.retain(|rule| match rule.name.strip_prefix(name.as_slice()) {
            Some(rest) => !rest.is_empty() && rest[0] != b'|',
            None => true,
        });
        self.rules.push(Rule { allow, name: name.into() });
    }

    /// Whether every command is allowed.
    pub(super) fn is_all(&self) -> bool {
        self.from_all && self.bits.iter().all(|word| *word == u64::MAX)
    }

    /// Whether the command of this number may be called with this first argument.
    #[inline]
    pub(super) fn permits(&self, number: usize, first_argument: Option<&[u8]>) -> bool {
        let known = self.bits.get(number / 64).is_some_and(|word| word & 1 << (number % 64) != 0);
        known || self.permits_first(number, first_argument)
    }

    fn permits_first(&self, number: usize, first_argument: Option<&[u8]>) -> bool {
        let (Some(allowed), Some(given)) = (self.first_arguments.get(&number), first_argument) else { return false };
        allowed.iter().any(|known| known.eq_ignore_ascii_case(given))
    }

    /// Appends the rules that lead here.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.from_all { b"+@all" } else { b"-@all" });
        for rule in &self.rules {
            out.extend_from_slice(if rule.allow { b" +" } else { b" -" });
            out.extend_from_slice(&rule.name);
        }
    }
}
