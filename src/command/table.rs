//! The command table: the families' rows, and the look-up by name.
//!
//! This lists families, never commands.

use std::cell::Cell;
use std::sync::LazyLock;

use super::row::Command;
use crate::protocol::word::{lower, short};

/// The rows of each family.
const FAMILIES: &[&[Command]] = &[
    super::acl::COMMANDS,
    super::bitfield::COMMANDS,
    super::bitmap::COMMANDS,
    super::bitop::COMMANDS,
    super::client::COMMANDS,
    super::cluster::COMMANDS,
    super::config::COMMANDS,
    super::connection::COMMANDS,
    super::counter::COMMANDS,
    super::database::COMMANDS,
    super::debug::COMMANDS,
    super::dump::COMMANDS,
    super::expire::COMMANDS,
    super::hash::COMMANDS,
    super::hash_batch::COMMANDS,
    super::hash_expire::COMMANDS,
    super::hash_scan::COMMANDS,
    super::hyperloglog::COMMANDS,
    super::function::COMMANDS,
    super::geo::COMMANDS,
    super::geo_search::COMMANDS,
    super::info::COMMANDS,
    super::introspect::COMMANDS,
    super::keys::COMMANDS,
    super::latency::COMMANDS,
    super::lcs::COMMANDS,
    super::list::COMMANDS,
    super::list_block::COMMANDS,
    super::list_move::COMMANDS,
    super::list_pop::COMMANDS,
    super::list_position::COMMANDS,
    super::memory_usage::COMMANDS,
    super::migrate::COMMANDS,
    super::monitor::COMMANDS,
    super::object::COMMANDS,
    super::pubsub::COMMANDS,
    super::rewrite::COMMANDS,
    super::save::COMMANDS,
    super::scan::COMMANDS,
    super::script::COMMANDS,
    super::server::COMMANDS,
    super::slowlog::COMMANDS,
    super::commandlog::COMMANDS,
    super::stream::COMMANDS,
    super::stream_add::COMMANDS,
    super::stream_claim::COMMANDS,
    super::stream_delete::COMMANDS,
    super::stream_group::COMMANDS,
    super::stream_info::COMMANDS,
    super::stream_read::COMMANDS,
    super::sort::COMMANDS,
    super::set::COMMANDS,
    super::set_algebra::COMMANDS,
    super::set_random::COMMANDS,
    super::sorted_set::COMMANDS,
    super::sorted_set_add::COMMANDS,
    super::sorted_set_block::COMMANDS,
    super::sorted_set_combine::COMMANDS,
    super::sorted_set_pop::COMMANDS,
    super::sorted_set_random::COMMANDS,
    super::sorted_set_range::COMMANDS,
    super::sorted_set_remove::COMMANDS,
    super::string::COMMANDS,
    super::string_batch::COMMANDS,
    super::string_range::COMMANDS,
    super::transaction::COMMANDS,
    super::wait::COMMANDS,
];

/// A command's row in the table.
#[derive(Clone, Copy)]
pub struct Handle(&'static Row);

/// One row with what follows from it.
pub struct Row {
    /// The row as written.
    pub command: &'static Command,
    /// `get`, or `client|kill` for a subcommand.
    pub full_name: String,
    /// Its place in the table. Subcommands follow their container.
    index: u16,
    /// The container of a subcommand, by its place.
    container: Option<u16>,
    /// The subcommands of a container, by their places.
    subcommands: std::ops::Range<u16>,
}

/// All commands.
pub struct Table {
    rows: &'static [Row],
    index: Index,
}

/// A perfect hash by two levels: a name's bucket says by which displacement its slot is found.
struct Index {
    displacements: Box<[u8]>,
    slots: Box<[Option<(Name, Handle)>]>,
}

/// A name in lower case, in registers: both its ends, which together are the whole of one of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    /// The first eight bytes, or all of fewer.
    head: u64,
    /// The last eight bytes; zero where there are fewer.
    tail: u64,
    len: usize,
}

/// Bytes of a name that its ends cover.
const COVERED: usize = 16;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::build(FAMILIES));

impl Handle {
    /// The row.
    #[inline]
    pub fn row(self) -> &'static Row {
        self.0
    }

    /// The row as written.
    #[inline]
    pub fn command(self) -> &'static Command {
        self.row().command
    }

    /// `get`, or `client|kill`.
    pub fn full_name(self) -> &'static str {
        &self.row().full_name
    }

    /// Its place in the table.
    pub fn index(self) -> usize {
        self.0.index.into()
    }

    /// The command at this place of the table.
    pub fn at(index: usize) -> Option<Handle> {
        TABLE.rows.get(index).map(Handle)
    }

    /// The container of a subcommand.
    pub fn container(self) -> Option<Handle> {
        Handle::at(self.0.container?.into())
    }

    /// The subcommand of this name, in any case.
    pub fn subcommand(self, name: &[u8]) -> Option<Handle> {
        self.subcommands().find(|sub| sub.command().name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The subcommands.
    pub fn subcommands(self) -> impl ExactSizeIterator<Item = Handle> {
        let places = self.row().subcommands.clone();
        TABLE.rows[places.start.into()..places.end.into()].iter().map(Handle)
    }
}

thread_local! {
    /// What this thread has found last: the next request often has the same name, and a guess that the processor can make by itself
    /// costs less than the way through the index.
    static LAST: Cell<Option<(Name, Handle)>> = const { Cell::new(None) };
}

/// The command of this name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<Handle> {
    let word = Name::of(name);
    let (_, handle) = match LAST.get() {
        Some(last) if last.0 == word => last,
        _ => {
            let found = TABLE.index.find(word)?;
            LAST.set(Some(found));
            found
        }
    };
    let is_known = name.len() <= COVERED || handle.command().name.as_bytes().eq_ignore_ascii_case(name);
    is_known.then_some(handle)
}

/// Commands without their subcommands, in the table's order.
pub fn all() -> impl Iterator<Item = Handle> {
    every().filter(|handle| handle.0.container.is_none())
}

/// Commands and subcommands, in the table's order.
pub fn every() -> impl Iterator<Item = Handle> {
    TABLE.rows.iter().map(Handle)
}

impl Table {
    fn build(families: &[&'static [Command]]) -> Table {
        let mut rows: Vec<Row> = Vec::new();
        for command in families.iter().copied().flatten() {
            let index = rows.len() as u16;
            let subcommands = index + 1..index + 1 + command.subcommands.len() as u16;
            rows.push(Row { command, full_name: command.name.to_string(), index, container: None, subcommands });
            for sub in command.subcommands {
                rows.push(Row {
                    command: sub,
                    full_name: format!("{}|{}", command.name, sub.name),
                    index: rows.len() as u16,
                    container: Some(index),
                    subcommands: 0..0,
                });
            }
        }
        // There is one table, and it lasts as long as the process: so a handle is the row's address.
        let rows: &'static [Row] = rows.leak();
        let names = rows.iter().filter(|row| row.container.is_none());
        let names: Vec<_> = names.map(|row| (Name::of(row.command.name.as_bytes()), Handle(row))).collect();
        Table { index: Index::build(&names), rows }
    }
}

impl PartialEq for Handle {
    #[inline]
    fn eq(&self, other: &Handle) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Handle {}

impl std::hash::Hash for Handle {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.index.hash(state);
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.full_name)
    }
}

impl Name {
    #[inline]
    fn of(name: &[u8]) -> Name {
        let word = |bytes: &[u8; 8]| lower(u64::from_le_bytes(*bytes));
        let (head, tail) = match (name.first_chunk(), name.last_chunk()) {
            (Some(head), Some(tail)) => (word(head), word(tail)),
            _ => (lower(short(name)), 0),
        };
        Name { head, tail, len: name.len() }
    }

    /// The words are multiplied side by side, because one product after the other would take several times as long.
    #[inline]
    fn mix(self) -> u64 {
        let head = self.head.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sum = head ^ self.tail.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) ^ self.len as u64;
        sum ^ (sum >> 32)
    }

    /// Its bucket, among a power of two.
    #[inline]
    fn bucket(self, buckets: usize) -> usize {
        self.mix() as usize & (buckets - 1)
    }

    /// Its slot, among a power of two.
    #[inline]
    fn place(self, displacement: u8, size: usize) -> usize {
        let hash = self.mix().wrapping_add(u64::from(displacement).wrapping_mul(0xbf58_476d_1ce4_e5b9));
        (hash ^ (hash >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) as usize >> 20 & (size - 1)
    }
}

impl Index {
    fn build(names: &[(Name, Handle)]) -> Index {
        // Two of a name would never find places of their own.
        let mut known = std::collections::HashSet::new();
        let twice = names.iter().find(|(name, _)| !known.insert(*name));
        assert!(twice.is_none(), "two rows have the same name: {twice:?}");
        let mut size = (names.len() * 2).next_power_of_two().max(16);
        loop {
            if let Some(index) = Index::try_build(names, size) {
                return index;
            }
            size *= 2;
        }
    }

    fn try_build(names: &[(Name, Handle)], size: usize) -> Option<Index> {
        let mut buckets = vec![Vec::new(); size / 4];
        for entry in names {
            buckets[entry.0.bucket(size / 4)].push(*entry);
        }
        let mut order: Vec<usize> = (0..buckets.len()).collect();
        order.sort_by_key(|&bucket| std::cmp::Reverse(buckets[bucket].len()));
        let mut slots: Box<[Option<(Name, Handle)>]> = vec![None; size].into();
        let mut displacements = vec![0; size / 4].into_boxed_slice();
        for bucket in order {
            let fits = |displacement: u8| {
                let places: Vec<_> = buckets[bucket].iter().map(|(name, _)| name.place(displacement, size)).collect();
                let mut distinct = places.clone();
                distinct.sort_unstable();
                distinct.dedup();
                (distinct.len() == places.len() && places.iter().all(|&at| slots[at].is_none())).then_some(places)
            };
            let (displacement, places) = (0..=u8::MAX).find_map(|d| Some((d, fits(d)?)))?;
            displacements[bucket] = displacement;
            for (at, entry) in places.into_iter().zip(&buckets[bucket]) {
                slots[at] = Some(*entry);
            }
        }
        Some(Index { displacements, slots })
    }

    #[inline]
    fn find(&self, name: Name) -> Option<(Name, Handle)> {
        let displacement = self.displacements[name.bucket(self.displacements.len())];
        self.slots[name.place(displacement, self.slots.len())].filter(|(found, _)| *found == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else() {
        for handle in all() {
            let name = handle.command().name;
            assert_eq!(find(name.as_bytes()), Some(handle), "{name}");
            assert_eq!(find(name.to_uppercase().as_bytes()), Some(handle), "{name}");
            assert_eq!(find(format!("{name}~").as_bytes()), None, "{name}~");
        }
        assert_eq!(find(b""), None);
        assert_eq!(find(&[b'a'; 100]), None);
        assert_eq!(find(b"get\0"), None);
        // Both ends are those of a command.
        assert_eq!(find(b"georadiusbyXXmber_ro"), None);
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names: Vec<_> = every().map(Handle::full_name).collect();
        assert!(names.iter().all(|name| name.to_lowercase() == *name));
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
