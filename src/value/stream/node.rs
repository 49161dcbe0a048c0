//! Packed entries of a stream.
//!
//! A node begins with the fields of its first entry. Each entry is: the length of its body; the body; the length of both,
//! written backwards. A body is a mark, the distance from the node's ID, and the values; an entry with other fields than
//! the node's has their number and the fields, too. Elements are encoded as in listpacks, without their back-lengths.

use crate::value::Item;
use crate::value::memory::vec_size;
use crate::value::packed::{Entry, back_len, decode_back, encode_back};
use crate::value::sequence::Counted;

use super::StreamId;

const DELETED: u8 = 1;
const SAME_FIELDS: u8 = 2;

/// Up to a hundred entries or 4 KiB, as the limits have it.
#[derive(Clone)]
pub(super) struct Node {
    /// The ID of the first entry that it ever had.
    id: StreamId,
    bytes: Vec<u8>,
    /// Where the first entry that is not deleted begins, or what is before it.
    first: u32,
    live: u32,
    dead: u32,
    /// Bytes that Redis's listpack of these entries has, but for its two counters.
    listpack: u32,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.slots_from_front().map(|slot| slot.id)).finish()
    }
}

impl Counted for Node {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }

    fn weight(&self) -> u64 {
        u64::from(self.live)
    }

    fn heap(&self) -> usize {
        vec_size(&self.bytes)
    }
}

/// An entry in its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) id: StreamId,
    pub(super) deleted: bool,
    /// Where it begins, where its mark is, its values are, and where the next one begins.
    at: usize,
    mark: usize,
    values: usize,
    end: usize,
}

/// Fields and values of an entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    /// Where the next field is, if the entry's are the node's.
    field: Option<usize>,
    at: usize,
    left: usize,
}

impl Fields<'_> {
    /// A missing or damaged node's: none.
    const NONE: Fields<'static> = Fields { bytes: &[], field: None, at: 0, left: 0 };
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let from = self.field.as_mut().unwrap_or(&mut self.at);
        let (field, len) = Entry::decode(self.bytes, *from)?;
        *from += len;
        let (value, len) = Entry::decode(self.bytes, self.at)?;
        self.at += len;
        Some((field.item(), value.item()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl Node {
    /// A node with its first entry. The pairs are field, value, field, value …
    pub(super) fn new<'a>(id: StreamId, pairs: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        // About what the fields, the values and their framing take, so that a stream of one entry has no more.
        let room = pairs.clone().map(|element| element.len() + 2).sum::<usize>() + 12;
        let mut node = Node::with_fields(id, pairs.clone().step_by(2), room);
        node.push(id, pairs);
        node
    }

    /// A node without entries, with so many bytes reserved.
    pub(super) fn with_fields<'a>(id: StreamId, fields: impl Iterator<Item = &'a [u8]> + Clone, room: usize) -> Self {
        let count = fields.clone().count();
        let mut node = Node { id, bytes: Vec::with_capacity(room), first: 0, live: 0, dead: 0, listpack: 0 };
        // Its frame of 7 bytes, the number of fields, and the zero behind them.
        node.listpack = 7 + 2 + listpack_number(count as i64);
        put_number(&mut node.bytes, count as u64);
        for field in fields {
            node.listpack = node.listpack.saturating_add(put_element(&mut node.bytes, field));
        }
        node.first = node.bytes.len() as u32;
        node
    }

    /// The ID of the first entry that it ever had.
    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// The fields of that entry.
    pub(super) fn head(&self) -> impl Iterator<Item = Item<'_>> {
        let (count, mut at) = take_number(&self.bytes, 0).unwrap_or_default();
        (0..count).map_while(move |_| {
            let (field, len) = Entry::decode(&self.bytes, at)?;
            at += len;
            Some(field.item())
        })
    }

    /// Entries, those deleted counted in.
    pub(super) fn entries(&self) -> u64 {
        u64::from(self.live) + u64::from(self.dead)
    }

    /// Bytes of Redis's listpack, by which nodes are bounded.
    pub(super) fn listpack(&self) -> u64 {
        u64::from(self.listpack)
            + u64::from(listpack_number(i64::from(self.live)) + listpack_number(i64::from(self.dead)))
    }

    /// Appends an entry, whose ID is above the last one's.
    pub(super) fn push<'a>(&mut self, id: StreamId, pairs: impl Iterator<Item = &'a [u8]> + Clone) {
        if self.has_fields(pairs.clone().step_by(2)) {
            self.push_entry(id, true, pairs.skip(1).step_by(2));
        } else {
            self.push_entry(id, false, pairs);
        }
    }

    /// Appends an entry, given by its values if its fields are the node's, else by its pairs.
    pub(super) fn push_entry<'a>(
        &mut self,
        id: StreamId,
        same: bool,
        elements: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        let start = self.bytes.len();
        // The length of the body is written behind it first, because it is known only then.
        self.bytes.push(if same { SAME_FIELDS } else { 0 });
        let ms = id.ms.wrapping_sub(self.id.ms);
        put_number(&mut self.bytes, ms);
        put_number(&mut self.bytes, if ms == 0 { id.seq.wrapping_sub(self.id.seq) } else { id.seq });
        let mut listpack = 2 + listpack_number(ms as i64) + listpack_number(id.seq.wrapping_sub(self.id.seq) as i64);
        let mut pieces = 3 + elements.clone().count();
        if !same {
            let count = elements.clone().count() / 2;
            put_number(&mut self.bytes, count as u64);
            listpack += listpack_number(count as i64);
            pieces += 1;
        }
        for element in elements {
            listpack = listpack.saturating_add(put_element(&mut self.bytes, element));
        }
        listpack += listpack_number(pieces as i64);
        self.listpack = self.listpack.saturating_add(listpack);
        self.frame(start);
        self.live += 1;
    }

    /// Puts the length before the body that begins at `start`, and the length of both behind it.
    fn frame(&mut self, start: usize) {
        let body = self.bytes.len() - start;
        let head = self.bytes.len();
        put_number(&mut self.bytes, body as u64);
        let head_len = self.bytes.len() - head;
        self.bytes[start..].rotate_right(head_len);
        let whole = body + head_len;
        let end = self.bytes.len();
        self.bytes.resize(end + back_len(whole), 0);
        encode_back(whole, &mut self.bytes[end..]);
    }

    /// Whether these are the node's fields, in this order.
    fn has_fields<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) -> bool {
        let Some((count, mut at)) = take_number(&self.bytes, 0) else { return false };
        let mut left = count;
        for field in fields {
            match Entry::decode(&self.bytes, at) {
                Some((own, len)) if left > 0 && own == Entry::of(field) => at += len,
                _ => return false,
            }
            left -= 1;
        }
        left == 0
    }

    /// The entry that begins at an offset.
    fn slot_at(&self, at: usize) -> Option<Slot> {
        let (body, mark) = take_number(&self.bytes, at)?;
        let end = mark.checked_add(usize::try_from(body).ok()?)?;
        let flags = *self.bytes.get(mark)?;
        let (ms, next) = take_number(&self.bytes, mark + 1)?;
        let (seq, values) = take_number(&self.bytes, next)?;
        let seq = if ms == 0 { self.id.seq.wrapping_add(seq) } else { seq };
        let id = StreamId { ms: self.id.ms.wrapping_add(ms), seq };
        Some(Slot { id, deleted: flags & DELETED != 0, at, mark, values, end: end + back_len(end - at) })
    }

    /// All entries from the first that is not deleted on; deleted ones among them.
    pub(super) fn slots_from_front(&self) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.slot_at(self.first as usize), |slot| self.next_slot(slot))
    }

    /// The first entry that is there.
    pub(super) fn first_slot(&self) -> Option<Slot> {
        self.slots_from_front().find(|slot| !slot.deleted)
    }

    /// The last entry, deleted or not.
    pub(super) fn last_slot(&self) -> Option<Slot> {
        self.slot_before(self.bytes.len())
    }

    pub(super) fn next_slot(&self, slot: &Slot) -> Option<Slot> {
        self.slot_at(slot.end)
    }

    pub(super) fn previous_slot(&self, slot: &Slot) -> Option<Slot> {
        self.slot_before(slot.at)
    }

    fn slot_before(&self, end: usize) -> Option<Slot> {
        if end <= self.first as usize {
            return None;
        }
        let (whole, back) = decode_back(&self.bytes, end)?;
        self.slot_at(end.checked_sub(whole + back)?)
    }

    /// The entry of an ID, if it is there.
    pub(super) fn find(&self, id: StreamId) -> Option<Slot> {
        self.slots_from_front().find(|slot| slot.id >= id).filter(|slot| slot.id == id && !slot.deleted)
    }

    /// Whether the fields of an entry of this node are the node's.
    pub(super) fn shares_fields(&self, slot: &Slot) -> bool {
        self.bytes.get(slot.mark).is_some_and(|mark| mark & SAME_FIELDS != 0)
    }

    /// Fields and values of an entry of this node.
    pub(super) fn fields(&self, slot: &Slot) -> Fields<'_> {
        let same = self.shares_fields(slot);
        let count = take_number(&self.bytes, if same { 0 } else { slot.values });
        let Some((count, after)) = count else { return Fields::NONE };
        let (field, at) = if same { (Some(after), slot.values) } else { (None, after) };
        Fields { bytes: &self.bytes, field, at, left: usize::try_from(count).unwrap_or(0) }
    }

    /// Marks an entry of this node, which is there, as deleted.
    pub(super) fn delete(&mut self, slot: &Slot) {
        self.bytes[slot.mark] |= DELETED;
        self.live -= 1;
        self.dead += 1;
        if slot.at == self.first as usize {
            let first = self.slots_from_front().find(|slot| !slot.deleted).map_or(self.bytes.len(), |slot| slot.at);
            self.first = first as u32;
        }
    }

    /// Takes the memory of deleted entries back once most are. The node gets no more entries.
    pub(super) fn tidy(&mut self) {
        if self.dead <= 16 || self.dead <= self.live.saturating_mul(2) {
            return;
        }
        let Some(mut header) = take_number(&self.bytes, 0) else { return };
        while header.0 > 0 {
            let Some((_, len)) = Entry::decode(&self.bytes, header.1) else { return };
            header = (header.0 - 1, header.1 + len);
        }
        let mut bytes = self.bytes[..header.1].to_vec();
        for slot in self.slots_from_front().filter(|slot| !slot.deleted) {
            bytes.extend_from_slice(&self.bytes[slot.at..slot.end]);
        }
        bytes.shrink_to_fit();
        self.first = header.1 as u32;
        self.bytes = bytes;
        self.dead = 0;
    }

    /// Gives back memory that only growth needs. The node gets no more entries.
    pub(super) fn seal(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

/// Bytes of a number in a listpack, its back-length included.
fn listpack_number(number: i64) -> u32 {
    Entry::Integer(number).encoded_len() as u32 + 1
}

/// Appends an element; tells its bytes in a listpack.
fn put_element(bytes: &mut Vec<u8>, text: &[u8]) -> u32 {
    let entry = Entry::of(text);
    let (at, len) = (bytes.len(), entry.encoded_len());
    bytes.resize(at + len, 0);
    entry.encode(&mut bytes[at..]);
    (len + back_len(len)) as u32
}

/// Appends a number, seven bits a byte, the lowest first.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a number, and tells where the next byte is.
#[inline(always)]
fn take_number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    match *bytes.get(at)? {
        byte @ 0..0x80 => Some((u64::from(byte), at + 1)),
        _ => take_long_number(bytes, at),
    }
}

fn take_long_number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.get(at..)?.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}
