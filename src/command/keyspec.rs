//! Where the keys of a command are, in the terms of Redis 7's key specifications.

use super::row::bits;
use crate::protocol::Args;

/// Where some keys of a command are, in the terms of Redis 7's key specifications.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What the command does with these keys.
    pub access: Access,
    /// Where the keys start.
    pub begin: Begin,
    /// How far they go.
    pub find: Find,
}

/// Where keys start.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// After this word, sought from the argument `from` on; backwards from the end if negative.
    Keyword(&'static str, i32),
    /// Where a function finds it among the arguments; `COMMAND INFO` calls that unknown, with this note.
    Sought(fn(Args<'_>) -> Option<usize>, &'static str),
    /// Where a function finds it among the arguments, which is not always where `COMMAND INFO` shows it to be.
    Decided(fn(Args<'_>) -> Option<usize>, &'static Begin),
    /// Nowhere among the arguments, because the names derive from stored values; `COMMAND INFO` calls that unknown, with
    /// this note. The function tells whether a call has such keys: then it enters the whole keyspace.
    Derived(fn(Args<'_>) -> bool, &'static str),
}

/// How far keys go.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// To `last` arguments after the first, or that many before the last argument plus one if negative; every `step`th. A
    /// `limit` of 2 or more: with `last` -1, only the first of that many equal parts of the rest.
    Range {
        /// The last key, from the first or from the end.
        last: i32,
        /// Arguments from one key to the next.
        step: usize,
        /// The part of the rest that holds keys; 0 and 1 are all of it.
        limit: usize,
    },
    /// The argument at `count` after the start says how many there are; they begin at `first` after it, every `step`th.
    Count {
        /// Where the number of keys is, from the start.
        count: usize,
        /// Where the first key is, from the start.
        first: usize,
        /// Arguments from one key to the next.
        step: usize,
    },
}

bits! {
    /// What a command does with a key.
    Access(u16) {
        /// Reads only.
        RO = 0, "RO";
        /// Reads and writes.
        RW = 1, "RW";
        /// Overwrites.
        OW = 2, "OW";
        /// Removes.
        RM = 3, "RM";
        /// Returns or uses the value.
        ACCESS = 4, "access";
        /// Changes the value.
        UPDATE = 5, "update";
        /// Adds to the value.
        INSERT = 6, "insert";
        /// Deletes from the value.
        DELETE = 7, "delete";
        /// It only looks like a key.
        NOT_KEY = 8, "not_key";
        /// There may be more keys than the specification finds.
        INCOMPLETE = 9, "incomplete";
        /// What it does depends on its arguments.
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Where the channels of a command are that it publishes to or subscribes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// It has none.
    #[default]
    None,
    /// The first argument.
    First,
    /// All arguments.
    All,
    /// All arguments, which are patterns of channels.
    Patterns,
}

impl Begin {
    /// What `COMMAND INFO` shows.
    pub(super) fn shown(self) -> Begin {
        if let Begin::Decided(_, shown) = self { *shown } else { self }
    }
}

impl KeySpec {
    /// One key, the argument at `index`.
    pub const fn at(index: usize, access: Access) -> KeySpec {
        KeySpec { access, begin: Begin::Index(index), find: Find::Range { last: 0, step: 1, limit: 0 } }
    }

    /// Keys from the argument at `index` to `last` (from the end where negative), every `step`th.
    pub const fn range(index: usize, last: i32, step: usize, access: Access) -> KeySpec {
        KeySpec { access, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 } }
    }

    /// As many keys as the argument at `index` says, right behind it.
    pub const fn counted(index: usize, access: Access) -> KeySpec {
        KeySpec { access, begin: Begin::Index(index), find: Find::Count { count: 0, first: 1, step: 1 } }
    }

    /// One key, where `find` finds it.
    pub const fn sought(find: fn(Args<'_>) -> Option<usize>, note: &'static str, access: Access) -> KeySpec {
        let find_keys = Find::Range { last: 0, step: 1, limit: 0 };
        KeySpec { access, begin: Begin::Sought(find, note), find: find_keys }
    }

    /// Keys whose names derive from stored values, in calls for which `holds` holds.
    pub const fn derived(holds: fn(Args<'_>) -> bool, note: &'static str, access: Access) -> KeySpec {
        let find_keys = Find::Range { last: 0, step: 1, limit: 0 };
        KeySpec { access, begin: Begin::Derived(holds, note), find: find_keys }
    }

    /// Whether a call may go to any key, whatever its arguments name.
    pub fn is_everywhere(&self, args: Args<'_>) -> bool {
        matches!(self.begin, Begin::Derived(holds, _) if holds(args))
    }

    /// Gives the index of every key among `args` to `visit`, or false where the arguments do not fit the specification.
    pub fn each(&self, args: Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        if let (Begin::Keyword(word, from @ 0..), Find::Range { last: 0, .. }) = (self.begin, self.find) {
            // An option may be given again. The last one counts, so the key after each may be the one.
            let is_word = |&index: &usize| args[index].eq_ignore_ascii_case(word.as_bytes());
            (from as usize..args.len().saturating_sub(1)).filter(is_word).for_each(|index| visit(index + 1));
            return true;
        }
        let Some(first) = self.first(args) else { return true };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let Some(last) = range_end(args.len(), first, last, limit) else { return false };
                (first, last, step)
            }
            Find::Count { count, first: offset, step } => {
                let number = args.nth(first + count).and_then(crate::protocol::number::parse_i64);
                let Some(number) = number.and_then(|number| usize::try_from(number).ok()) else { return false };
                if number == 0 {
                    return true;
                }
                let start = first + offset;
                let Some(last) = (number - 1).checked_mul(step).and_then(|span| span.checked_add(start)) else {
                    return false;
                };
                (start, last, step)
            }
        };
        if last >= args.len() {
            return false;
        }
        (first..=last).step_by(step).for_each(&mut visit);
        true
    }

    fn first(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => (index < args.len()).then_some(index),
            Begin::Keyword(word, from) => {
                let is_word = |&index: &usize| args[index].eq_ignore_ascii_case(word.as_bytes());
                let found = if from >= 0 {
                    (from as usize..args.len()).find(is_word)
                } else {
                    (1..(args.len() + 1).saturating_sub(from.unsigned_abs() as usize)).rev().find(is_word)
                };
                found.map(|index| index + 1).filter(|&index| index < args.len())
            }
            Begin::Sought(find, _) | Begin::Decided(find, _) => find(args).filter(|&index| index < args.len()),
            Begin::Derived(..) => None,
        }
    }
}

fn range_end(count: usize, first: usize, last: i32, limit: usize) -> Option<usize> {
    match last {
        0.. => Some(first + last as usize),
        -1 if limit >= 2 => Some(first + (count - first) / limit - 1),
        _ => count.checked_sub(last.unsigned_abs() as usize).filter(|&end| end >= first),
    }
}
