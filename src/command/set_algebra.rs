//! Intersection, union and difference of sets.
//!
//! Only one key can be open at a time, so members of one set are copied before they are looked for in another: a chunk of
//! some hundred at a time, because a whole set may be as large as the memory. That needs the sets to stay as they are from
//! chunk to chunk. With several keys they do, for the shards of all are held alone; a single key, which may be shared, is
//! read in one go.

use std::ops::{ControlFlow, Range};

use super::collection::{collection_of, replace};
use super::set::limits;
use super::string::GROWING;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::{Event, Store};
use crate::value::Limits;
use crate::value::set::{Set, SetLimits};

const READ: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::RO.and(Access::ACCESS))];
const STORE: &[KeySpec] =
    &[KeySpec::at(1, Access::OW.and(Access::UPDATE)), KeySpec::range(2, -1, 1, Access::RO.and(Access::ACCESS))];

const INTERSECTION_COST: &str =
    "O(N*M) at worst, where N is the number of members of the smallest set and M the number of sets.";
const TOTAL_COST: &str = "O(N) where N is the number of members of all sets.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    reading("sinter", sinter, INTERSECTION_COST).doc("Returns the members that all of several sets have.", "key ..."),
    reading("sunion", sunion, TOTAL_COST).doc("Returns the members that any of several sets has.", "key ..."),
    reading("sdiff", sdiff, TOTAL_COST).doc("Returns the members of a set that no other one has.", "key ..."),
    storing("sinterstore", sinterstore, INTERSECTION_COST)
        .doc("Sets a key to the members that all of several sets have.", "destination key ..."),
    storing("sunionstore", sunionstore, TOTAL_COST)
        .doc("Sets a key to the members that any of several sets has.", "destination key ..."),
    storing("sdiffstore", sdiffstore, TOTAL_COST)
        .doc("Sets a key to the members of a set that no other one has.", "destination key ..."),
    Command::new("sintercard", -3, sintercard)
        .flags(Flags::READONLY.and(Flags::MOVABLE_KEYS))
        .keys(&[KeySpec::counted(1, Access::RO.and(Access::ACCESS))])
        .group(Group::Set)
        .since("7.0.0")
        .complexity(INTERSECTION_COST)
        .doc("Counts the members that all of several sets have.", "numkeys key ... [LIMIT limit:integer]"),
];

const fn reading(name: &'static str, run: super::Run, complexity: &'static str) -> Command {
    Command::new(name, -2, run)
        .flags(Flags::READONLY)
        .keys(READ)
        .group(Group::Set)
        .complexity(complexity)
        .tips(&["nondeterministic_output_order"])
}

const fn storing(name: &'static str, run: super::Run, complexity: &'static str) -> Command {
    Command::new(name, -3, run).flags(GROWING).keys(STORE).group(Group::Set).complexity(complexity)
}

/// A set that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source<'a> {
    len: usize,
    key: &'a [u8],
}

/// What is done with a member that is found: `Break` ends the search.
type Found = Result<ControlFlow<()>, Error>;

/// Looks all keys up. Every one has to be a set, also where another one already makes the result empty.
fn sources<'a>(cx: &Context<'_>, keys: Args<'a>) -> Result<Vec<Source<'a>>, Error> {
    cx.prefetch(keys.iter());
    let look_up = |key| {
        cx.store.read(key, |record| {
            cx.count_lookup(record.is_some());
            Ok(Source { key, len: collection_of::<Set>(record)?.map_or(0, |set| set.len()) })
        })
    };
    keys.iter().map(look_up).collect()
}

/// Opens the set of a key, an empty one where there is none.
fn open<R>(store: Store<'_>, key: &[u8], read: impl FnOnce(&Set) -> R) -> Result<R, Error> {
    store.peek(key, |record| {
        Ok(match collection_of(record)? {
            Some(set) => read(&set),
            None => read(&Set::new()),
        })
    })
}

/// Copies of some members of a set.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    members: Vec<Range<usize>>,
}

impl Chunk {
    /// Members and bytes after which a chunk is full.
    const MEMBERS: usize = 512;
    const BYTES: usize = 64 << 10;

    /// Takes the members at a cursor and returns the next cursor, 0 at the end.
    fn fill(&mut self, set: &Set, mut cursor: u64) -> u64 {
        self.bytes.clear();
        self.members.clear();
        self.members.reserve(set.len().min(Self::MEMBERS));
        loop {
            cursor = set.scan(cursor, |member| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&member);
                self.members.push(start..self.bytes.len());
            });
            if cursor == 0 || self.members.len() >= Self::MEMBERS || self.bytes.len() >= Self::BYTES {
                return cursor;
            }
        }
    }

    /// Keeps the members that a set has, or those that it has not.
    fn filter(&mut self, set: &Set, has: bool) {
        let Chunk { bytes, members } = self;
        members.retain(|member| set.contains(&bytes[member.clone()]) == has);
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|member| &self.bytes[member.clone()])
    }
}

/// Finds the members of the set at `first` that all of the `others` have, or that none of them has.
fn filter(
    store: Store<'_>,
    first: &[u8],
    others: &[Source<'_>],
    has: bool,
    mut found: impl FnMut(&[u8]) -> Found,
) -> Result<(), Error> {
    if others.is_empty() {
        return open(store, first, |set| {
            for member in set.iter() {
                if found(&member)?.is_break() {
                    break;
                }
            }
            Ok(())
        })?;
    }
    let (mut chunk, mut cursor) = (Chunk::default(), 0);
    loop {
        cursor = open(store, first, |set| chunk.fill(set, cursor))?;
        for other in others {
            if chunk.members.is_empty() {
                break;
            }
            open(store, other.key, |set| chunk.filter(set, has))?;
        }
        for member in chunk.iter() {
            if found(member)?.is_break() {
                return Ok(());
            }
        }
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// Finds the members that all sets have, among those of the smallest.
fn intersect(store: Store<'_>, mut sources: Vec<Source<'_>>, found: impl FnMut(&[u8]) -> Found) -> Result<(), Error> {
    sources.sort_unstable();
    sources.dedup();
    match sources.split_first() {
        Some((smallest, others)) if smallest.len > 0 => filter(store, smallest.key, others, true, found),
        _ => Ok(()),
    }
}

/// Finds the members that any set has. Those of all but the largest set are copied, to find each only once.
fn unite(store: Store<'_>, mut sources: Vec<Source<'_>>, mut found: impl FnMut(&[u8])) -> Result<(), Error> {
    /// Of few members, going through all costs less than a table.
    const FEW: SetLimits = SetLimits { integers: 0, packed: Limits { entries: 16, value: 64 } };
    sources.retain(|source| source.len > 0);
    sources.sort_unstable();
    sources.dedup();
    let Some((largest, others)) = sources.split_last() else { return Ok(()) };
    if others.is_empty() {
        return open(store, largest.key, |set| set.iter().for_each(|member| found(&member)));
    }
    let all = others.iter().fold(0, |sum: usize, source| sum.saturating_add(source.len));
    let mut seen = Set::for_members(all, b"", FEW);
    for source in others {
        open(store, source.key, |set| -> Result<(), Error> {
            for member in set.iter() {
                if seen.insert(&member, FEW)? {
                    found(&member);
                }
            }
            Ok(())
        })??;
    }
    open(store, largest.key, |set| set.iter().filter(|member| !seen.contains(member)).for_each(|m| found(&m)))
}

/// Finds the members of the first set that no other one has.
fn subtract(
    store: Store<'_>,
    sources: &[Source<'_>],
    copy: impl FnOnce(&Set) -> Result<Set, Error>,
    mut found: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Option<Set>, Error> {
    let Some((first, others)) = sources.split_first() else { return Ok(None) };
    if first.len == 0 || others.iter().any(|other| other.key == first.key) {
        return Ok(None);
    }
    // Redis's estimate: asking for members stops at the first set that has one, so half of the sets are asked; against
    // that, every member is touched once. The missing sets are none.
    let present = sources.iter().filter(|source| source.len > 0).count();
    let all = sources.iter().fold(0, |sum: usize, source| sum.saturating_add(source.len));
    let mut others: Vec<_> = others.iter().filter(|source| source.len > 0).copied().collect();
    others.sort_unstable_by(|a, b| b.cmp(a));
    others.dedup();
    if first.len.saturating_mul(present) / 2 <= all {
        filter(store, first.key, &others, false, |member| found(member).map(ControlFlow::Continue))?;
        return Ok(None);
    }
    let mut rest = open(store, first.key, copy)??;
    for other in others {
        if rest.is_empty() {
            break;
        }
        open(store, other.key, |set| set.iter().for_each(|member| _ = rest.remove(&member)))?;
    }
    Ok(Some(rest))
}

fn sinter(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, sources) = (cx.store, sources(cx, args.skip(1))?);
    let (mark, mut count) = (cx.reply.begin(), 0);
    intersect(store, sources, |member| {
        cx.reply.bulk(member);
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    cx.reply.end_set(mark, count);
    Ok(())
}

fn sunion(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, sources) = (cx.store, sources(cx, args.skip(1))?);
    let (mark, mut count) = (cx.reply.begin(), 0);
    unite(store, sources, |member| {
        cx.reply.bulk(member);
        count += 1;
    })?;
    cx.reply.end_set(mark, count);
    Ok(())
}

fn sdiff(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, sources) = (cx.store, sources(cx, args.skip(1))?);
    let (mark, mut count) = (cx.reply.begin(), 0);
    let rest = subtract(
        store,
        &sources,
        |set| Ok(set.clone()),
        |member| {
            cx.reply.bulk(member);
            count += 1;
            Ok(())
        },
    )?;
    for member in rest.iter().flat_map(Set::iter) {
        cx.reply.bulk(&member);
        count += 1;
    }
    cx.reply.end_set(mark, count);
    Ok(())
}

fn sintercard(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let keys = number::parse_i64(args.get(1)).and_then(|keys| usize::try_from(keys).ok()).filter(|&keys| keys > 0);
    let keys = keys.ok_or_else(|| Error::new("numkeys should be greater than 0"))?;
    if keys > args.len() - 2 {
        return Err(Error::new("Number of keys can't be greater than number of args"));
    }
    let limit = parse_limit(args.skip(2 + keys))?;
    let sources = sources(cx, args.range(2..2 + keys))?;
    let mut count = 0;
    match sources[..] {
        [only] => count = only.len.min(limit),
        _ => intersect(cx.store, sources, |_| {
            count += 1;
            Ok(if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?,
    }
    cx.reply.count(count);
    Ok(())
}

/// The most members to count. No limit is 0 for clients.
fn parse_limit(options: Args<'_>) -> Result<usize, Error> {
    let mut limit = 0;
    for index in (0..options.len()).step_by(2) {
        let value = options.nth(index + 1).filter(|_| options.get(index).eq_ignore_ascii_case(b"limit"));
        let value = number::parse_i64(value.ok_or(Error::SYNTAX)?);
        let value = value.filter(|value| *value >= 0).ok_or_else(|| Error::new("LIMIT can't be negative"))?;
        limit = usize::try_from(value).unwrap_or(usize::MAX);
    }
    Ok(if limit == 0 { usize::MAX } else { limit })
}

fn sinterstore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, limits, sources) = (cx.store, limits(cx.settings()), sources(cx, args.skip(2))?);
    let smallest = sources.iter().min().map_or(&b""[..], |source| source.key);
    let is_integers = open(store, smallest, |set| set.as_integers().is_some())?;
    // In the order of a packed set, as Redis has it, and not sorted first where it begins with integers.
    let mut result = if is_integers { Set::new() } else { Set::for_members(1, b"", limits) };
    intersect(store, sources, |member| {
        result.insert(member, limits)?;
        Ok(ControlFlow::Continue(()))
    })?;
    store_result(cx, args.get(1), if is_integers { result } else { integers_apart(result, limits)? }, "sinterstore")
}

/// The same set as one of integers if it may be one.
fn integers_apart(set: Set, limits: SetLimits) -> Result<Set, Error> {
    if set.len() > limits.integers || set.iter().any(|member| number::parse_i64(&member).is_none()) {
        return Ok(set);
    }
    rebuild(&set, limits)
}

/// The same members, added one by one, in the form that follows from that.
fn rebuild(set: &Set, limits: SetLimits) -> Result<Set, Error> {
    let mut copy = Set::new();
    for member in set.iter() {
        copy.insert(&member, limits)?;
    }
    Ok(copy)
}

/// Whether a result of so many members is a table, whatever they are. Then a table may be cloned, which costs much less than
/// adding its members one by one.
fn is_table(len: usize, limits: SetLimits) -> bool {
    len > limits.integers.max(limits.packed.entries)
}

fn clone_or_rebuild(set: &Set, limits: SetLimits) -> Result<Set, Error> {
    if !is_table(set.len(), limits) {
        return rebuild(set, limits);
    }
    let mut copy = set.clone();
    // It may be compact by limits that have changed since.
    copy.prepare(set.len(), limits)?;
    Ok(copy)
}

fn sunionstore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, limits, sources) = (cx.store, limits(cx.settings()), sources(cx, args.skip(2))?);
    let largest = sources.iter().max().filter(|largest| is_table(largest.len, limits));
    let mut result = match largest {
        Some(largest) => open(store, largest.key, |set| clone_or_rebuild(set, limits))??,
        None => Set::new(),
    };
    for source in sources.iter().filter(|source| Some(*source) != largest) {
        open(store, source.key, |set| -> Result<(), Error> {
            for member in set.iter() {
                result.insert(&member, limits)?;
            }
            Ok(())
        })??;
    }
    store_result(cx, args.get(1), result, "sunionstore")
}

fn sdiffstore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, limits, sources) = (cx.store, limits(cx.settings()), sources(cx, args.skip(2))?);
    let mut result = Set::new();
    let rest = subtract(
        store,
        &sources,
        |set| clone_or_rebuild(set, limits),
        |member| {
            result.insert(member, limits)?;
            Ok(())
        },
    )?;
    store_result(cx, args.get(1), rest.unwrap_or(result), "sdiffstore")
}

/// Sets the target to a result, whatever it was, and replies the number of members.
fn store_result(cx: &mut Context<'_>, target: &[u8], result: Set, event: &'static str) -> Result<(), Error> {
    let count = result.len();
    if count > 0 {
        cx.store.update(target, |entry| replace(entry, result));
        cx.store.changed(target, Event::set(event));
    } else if cx.store.remove(target) {
        cx.store.changed(target, Event::DEL);
    }
    cx.reply.count(count);
    Ok(())
}

#[cfg(test)]
#[path = "set_algebra_tests.rs"]
mod tests;
