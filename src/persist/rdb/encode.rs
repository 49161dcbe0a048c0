//! Values on their way out.

use super::code::{entry, kind, node, text};
use super::{Version, listpack, lzf};
use crate::protocol::double;
use crate::protocol::number::parse_i64;
use crate::store::{Object, Value};
use crate::value::Item;
use crate::value::hash::Hash;
use crate::value::intset::IntSet;
use crate::value::list::List;
use crate::value::packed::Entry;
use crate::value::set::Set;
use crate::value::sorted_set::SortedSet;
use crate::value::stream::{Group, NodeView, Stream, StreamId};

/// Where bytes go. A sink that can fail keeps its error for its owner.
pub trait Sink {
    /// Takes bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Strings up to here are not compressed, as in Redis.
const SHORT: usize = 20;
/// An entry of a list that is longer is a node of its own, as in Redis since 7.2.
const NODE_TEXT: usize = 8192;

/// Writes values. It keeps its buffers, so that a value takes no allocation where one of its size was written before.
#[derive(Default)]
pub struct Encoder {
    compresses: bool,
    table: Option<lzf::Table>,
    compressed: Vec<u8>,
    listpack: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("compresses", &self.compresses).finish_non_exhaustive()
    }
}

/// The version that a value needs.
pub fn version_of(value: Value<'_>) -> Version {
    match value {
        Value::Boxed(object) if object.soonest().is_some() => Version::V12,
        _ => Version::V10,
    }
}

impl Encoder {
    /// Writes with or without compression of strings (`rdbcompression`).
    pub fn new(compresses: bool) -> Self {
        Encoder { compresses, ..Encoder::default() }
    }

    /// The type as which [`Self::value`] writes a value. O(1).
    pub fn kind(value: Value<'_>) -> u8 {
        let Some(object) = value.object() else { return kind::STRING };
        match &*object {
            Object::String(_) => kind::STRING,
            Object::List(_) => kind::QUICKLIST_2,
            Object::Set(set) if set.as_integers().is_some() => kind::SET_INTEGERS,
            Object::Set(_) => kind::SET,
            Object::SortedSet(set) if set.is_compact() => kind::SORTED_SET_LISTPACK,
            Object::SortedSet(_) => kind::SORTED_SET,
            Object::Hash(hash) if hash.soonest().is_some() => kind::HASH_TIMES,
            Object::Hash(hash) if hash.as_packed().is_some() => kind::HASH_LISTPACK,
            Object::Hash(_) => kind::HASH,
            Object::Stream(_) => kind::STREAM_2,
        }
    }

    /// Writes a value, without its type. O(bytes).
    pub fn value(&mut self, out: &mut impl Sink, value: Value<'_>) {
        match value {
            Value::Embedded { bytes, .. } => self.string(out, bytes),
            Value::Integer(value) => self.integer(out, value),
            Value::Boxed(object) => self.object(out, object),
            Value::Compact(compact) => compact.object().iter().for_each(|object| self.object(out, object)),
        }
    }

    fn object(&mut self, out: &mut impl Sink, object: &Object) {
        match object {
            Object::String(string) => self.string(out, string),
            Object::List(list) => self.list(out, list),
            Object::Set(set) => self.set(out, set),
            Object::SortedSet(set) => self.sorted_set(out, set),
            Object::Hash(hash) => self.hash(out, hash),
            Object::Stream(stream) => self.stream(out, stream),
        }
    }

    /// Writes a string in its shortest form: as a number, compressed, or as it is.
    pub fn string(&mut self, out: &mut impl Sink, bytes: &[u8]) {
        // The longest number of 32 bits has 11 digits.
        if bytes.len() <= 11
            && let Some(value) = parse_i64(bytes)
            && small_integer(out, value)
        {
            return;
        }
        if self.compresses && bytes.len() > SHORT {
            self.compressed.clear();
            let table = self.table.get_or_insert_with(lzf::Table::new);
            if lzf::compress(bytes, &mut self.compressed, table) {
                out.put(&[0xc0 | text::LZF]);
                length(out, self.compressed.len() as u64);
                length(out, bytes.len() as u64);
                out.put(&self.compressed);
                return;
            }
        }
        length(out, bytes.len() as u64);
        out.put(bytes);
    }

    fn integer(&mut self, out: &mut impl Sink, value: i64) {
        if !small_integer(out, value) {
            self.item(out, &Item::integer(value));
        }
    }

    fn item(&mut self, out: &mut impl Sink, item: &Item<'_>) {
        match item.as_integer() {
            Some(value) if small_integer(out, value) => {}
            _ => self.string(out, item),
        }
    }

    /// Writes a listpack that `fill` appends entries to, telling how many.
    fn packed(&mut self, out: &mut impl Sink, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
        let mut bytes = std::mem::take(&mut self.listpack);
        listpack::begin(&mut bytes);
        let count = fill(&mut bytes);
        listpack::end(&mut bytes, count);
        self.string(out, &bytes);
        self.listpack = bytes;
    }

    fn list(&mut self, out: &mut impl Sink, list: &List) {
        length(out, list.chunks().count() as u64);
        for (entries, count) in list.chunks() {
            let only = if count == 1 { list_text(entries) } else { None };
            if let Some(text) = only {
                length(out, node::PLAIN);
                self.string(out, text);
                continue;
            }
            length(out, node::PACKED);
            self.packed(out, |bytes| {
                bytes.extend_from_slice(entries);
                count
            });
        }
    }

    fn set(&mut self, out: &mut impl Sink, set: &Set) {
        if let Some(integers) = set.as_integers() {
            return self.integers(out, integers);
        }
        length(out, set.len() as u64);
        set.iter().for_each(|member| self.item(out, &member));
    }

    fn integers(&mut self, out: &mut impl Sink, set: &IntSet) {
        let mut bytes = std::mem::take(&mut self.listpack);
        bytes.clear();
        bytes.extend_from_slice(&(set.width() as u32).to_le_bytes());
        // A set of integers has fewer than 2^30.
        bytes.extend_from_slice(&(set.len() as u32).to_le_bytes());
        bytes.extend_from_slice(set.as_bytes());
        self.string(out, &bytes);
        self.listpack = bytes;
    }

    fn sorted_set(&mut self, out: &mut impl Sink, set: &SortedSet) {
        let all = set.iter(0..set.len());
        if !set.is_compact() {
            length(out, set.len() as u64);
            // From the end, so that a loader always adds at the front.
            for (member, score) in all.rev() {
                self.item(out, &member);
                out.put(&score.value().to_le_bytes());
            }
            return;
        }
        self.packed(out, |bytes| {
            let mut text = Vec::new();
            for (member, score) in all {
                listpack::push(bytes, Entry::of(&member));
                text.clear();
                double::write_double(&mut text, score.value());
                listpack::push(bytes, Entry::of(&text));
            }
            set.len() * 2
        });
    }

    fn hash(&mut self, out: &mut impl Sink, hash: &Hash) {
        if let Some(soonest) = hash.soonest() {
            return self.timed_hash(out, hash, soonest);
        }
        if let Some(packed) = hash.as_packed() {
            return self.packed(out, |bytes| {
                bytes.extend_from_slice(packed.as_bytes());
                packed.len()
            });
        }
        length(out, hash.len() as u64);
        for field in hash.iter() {
            self.item(out, &field.name);
            self.item(out, &field.value);
        }
    }

    fn timed_hash(&mut self, out: &mut impl Sink, hash: &Hash, soonest: u64) {
        out.put(&soonest.to_le_bytes());
        length(out, hash.len() as u64);
        for field in hash.iter() {
            length(out, field.expires_at.map_or(0, |time| time.saturating_sub(soonest) + 1));
            self.item(out, &field.name);
            self.item(out, &field.value);
        }
    }

    fn stream(&mut self, out: &mut impl Sink, stream: &Stream) {
        length(out, stream.node_views().count() as u64);
        for view in stream.node_views() {
            // Sixteen bytes, never a number.
            length(out, 16);
            raw_id(out, view.id());
            self.packed(out, |bytes| stream_node(bytes, &view));
        }
        length(out, stream.len());
        for point in [stream.last_id(), stream.first_id(), stream.max_deleted_id()] {
            id(out, point);
        }
        length(out, stream.entries_added());
        length(out, stream.groups().len() as u64);
        stream.groups().for_each(|group| self.group(out, group));
    }

    fn group(&mut self, out: &mut impl Sink, group: &Group) {
        self.string(out, group.name());
        id(out, group.last_delivered);
        // -1 is that it is not known.
        length(out, group.entries_read.unwrap_or(u64::MAX));
        length(out, group.pending_len());
        for pending in group.pending_from(StreamId::MIN) {
            raw_id(out, pending.id);
            out.put(&pending.time.to_le_bytes());
            length(out, pending.count);
        }
        length(out, group.consumers_len() as u64);
        for (_, consumer) in group.consumers() {
            self.string(out, consumer.name());
            out.put(&consumer.seen.to_le_bytes());
            length(out, consumer.pending_len());
            consumer.pending_from(StreamId::MIN).for_each(|point| raw_id(out, point));
        }
    }
}

/// The text of a chunk's only entry, if it is too long to be packed.
fn list_text(entries: &[u8]) -> Option<&[u8]> {
    if entries.len() <= NODE_TEXT {
        return None;
    }
    // Only a text with a length of four bytes behind its mark is this long.
    let (head, rest) = entries.split_first_chunk::<5>()?;
    let [0xf0, len @ ..] = *head else { return None };
    rest.get(..u32::from_le_bytes(len) as usize)
}

/// The pieces of a node's listpack, as the decoder describes them.
fn stream_node(bytes: &mut Vec<u8>, view: &NodeView<'_>) -> usize {
    let mut count = 0;
    let mut number = |bytes: &mut Vec<u8>, number: i64| {
        listpack::push(bytes, Entry::Integer(number));
        count += 1;
    };
    number(bytes, view.entries().count() as i64);
    number(bytes, 0);
    number(bytes, view.fields().count() as i64);
    let mut texts = 0;
    for field in view.fields() {
        listpack::push(bytes, Entry::of(&field));
        texts += 1;
    }
    number(bytes, 0);
    let base = view.id();
    for (id, same, fields) in view.entries() {
        number(bytes, if same { entry::SAME_FIELDS } else { 0 });
        number(bytes, id.ms.wrapping_sub(base.ms) as i64);
        number(bytes, id.seq.wrapping_sub(base.seq) as i64);
        let mut pieces = 3;
        if !same {
            number(bytes, fields.len() as i64);
            pieces += 1;
        }
        for (field, value) in fields {
            if !same {
                listpack::push(bytes, Entry::of(&field));
                (texts, pieces) = (texts + 1, pieces + 1);
            }
            listpack::push(bytes, Entry::of(&value));
            (texts, pieces) = (texts + 1, pieces + 1);
        }
        number(bytes, pieces);
    }
    count + texts
}

/// Writes a length.
pub(super) fn length(out: &mut impl Sink, length: u64) {
    match length {
        0..=0x3f => out.put(&[length as u8]),
        0x40..=0x3fff => out.put(&[0x40 | (length >> 8) as u8, length as u8]),
        0x4000..=0xffff_ffff => {
            out.put(&[0x80]);
            out.put(&(length as u32).to_be_bytes());
        }
        _ => {
            out.put(&[0x81]);
            out.put(&length.to_be_bytes());
        }
    }
}

/// Writes a number of up to 32 bits as a string; false if it has more.
fn small_integer(out: &mut impl Sink, value: i64) -> bool {
    if let Ok(value) = i8::try_from(value) {
        out.put(&[0xc0 | text::INT8, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.put(&[0xc0 | text::INT16]);
        out.put(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.put(&[0xc0 | text::INT32]);
        out.put(&value.to_le_bytes());
    } else {
        return false;
    }
    true
}

fn id(out: &mut impl Sink, id: StreamId) {
    length(out, id.ms);
    length(out, id.seq);
}

fn raw_id(out: &mut impl Sink, id: StreamId) {
    out.put(&id.ms.to_be_bytes());
    out.put(&id.seq.to_be_bytes());
}
