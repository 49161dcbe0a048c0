//! What rules can name: the commands and their categories, as the command table tells them.

use std::collections::HashMap;
use std::ops::Range;

/// One command or subcommand. Its number is its place in the catalogue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `get`, or `client|kill` for a subcommand, in lower case.
    pub name: &'static str,
    /// The categories that it is in, one bit each.
    pub categories: u32,
    /// The numbers of a container's subcommands.
    pub subcommands: Range<usize>,
    /// Whether it is a subcommand.
    pub is_subcommand: bool,
}

/// All commands and categories.
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<Entry>,
    numbers: HashMap<&'static str, usize>,
    categories: Vec<(&'static str, u32)>,
}

impl Catalogue {
    /// A catalogue of commands and of categories, each with its bit.
    pub fn new(entries: Vec<Entry>, categories: Vec<(&'static str, u32)>) -> Self {
        let numbers = entries.iter().enumerate().map(|(number, entry)| (entry.name, number)).collect();
        Self { entries, numbers, categories }
    }

    /// The number of commands.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of the command with this full name, in any case.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.numbers.get(name.as_str()).copied()
    }

    /// The command of this number.
    pub(super) fn entry(&self, number: usize) -> &Entry {
        &self.entries[number]
    }

    /// The bit of a category, by its name in any case.
    pub(super) fn category(&self, name: &[u8]) -> Option<u32> {
        let found = self.categories.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, bit)| *bit)
    }

    /// The numbers of the commands of a category.
    pub(super) fn members(&self, category: u32) -> impl Iterator<Item = usize> {
        self.entries.iter().enumerate().filter(move |(_, entry)| entry.categories & category != 0).map(|(at, _)| at)
    }
}
