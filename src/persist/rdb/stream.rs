//! Streams on their way in.

use std::io::BufRead;

use super::code::{entry, kind};
use super::{Damage, Input, listpack};
use crate::store::Object;
use crate::value::Item;
use crate::value::packed::{Entry, Iter, Packed};
use crate::value::stream::{Loading, Pending, Stream, StreamId};

const BROKEN: Damage = Damage::Corrupt("a stream with broken entries");
const DUPLICATE: Damage = Damage::Corrupt("a group or consumer that is there twice");
const BAD_PENDING: Damage = Damage::Corrupt("entries that are pending for none or several consumers");

/// A consumer group that was read.
struct Group {
    name: Vec<u8>,
    last: StreamId,
    entries_read: Option<u64>,
    pending: Vec<Delivery>,
    consumers: Vec<Consumer>,
}

/// An entry that was delivered and not acknowledged.
struct Delivery {
    id: StreamId,
    time: i64,
    count: u64,
}

struct Consumer {
    name: Vec<u8>,
    seen: i64,
    active: Option<i64>,
    pending: Vec<StreamId>,
}

impl<R: BufRead> Input<R> {
    pub(super) fn stream(&mut self, kind: u8) -> Result<Object, Damage> {
        let mut stream = Stream::new();
        let mut bytes = Vec::new();
        for _ in 0..self.length()? {
            self.string(&mut bytes)?;
            let id = node_id(&bytes).ok_or(BROKEN)?;
            self.string(&mut bytes)?;
            let packed = listpack::read(&bytes)?;
            let loading = entries(id, &packed)?;
            stream.load(loading).map_err(|_| BROKEN)?;
        }
        if self.length()? != stream.len() {
            return Err(Damage::Corrupt("a stream that counts its entries wrong"));
        }
        let last = self.id()?;
        let (mut deleted, mut added) = (StreamId::MIN, stream.len());
        if kind >= kind::STREAM_2 {
            // The first entry's ID follows from the entries.
            self.id()?;
            (deleted, added) = (self.id()?, self.length()?);
        }
        stream.set_id(last, Some(added), Some(deleted)).map_err(|_| BROKEN)?;
        self.groups(kind, &mut stream)?;
        Ok(Object::Stream(Box::new(stream)))
    }

    /// An ID as two lengths.
    fn id(&mut self) -> Result<StreamId, Damage> {
        Ok(StreamId::new(self.length()?, self.length()?))
    }

    /// An ID as sixteen bytes.
    fn raw_id(&mut self) -> Result<StreamId, Damage> {
        let bytes: [u8; 16] = self.array()?;
        node_id(&bytes).ok_or(BROKEN)
    }

    fn groups(&mut self, kind: u8, stream: &mut Stream) -> Result<(), Damage> {
        let mut groups = Vec::new();
        for _ in 0..self.length()? {
            groups.push(self.group(kind)?);
        }
        // They are written in order. If not, each would cost a move of those behind.
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        for read in groups {
            let entries_read = if kind >= kind::STREAM_2 { read.entries_read } else { stream.entries_up_to(read.last) };
            let group = stream.create_group(&read.name, read.last, entries_read).ok_or(DUPLICATE)?;
            let mut owned = vec![false; read.pending.len()];
            for consumer in read.consumers {
                let (id, is_new) = group.consumer_or_create(&consumer.name, consumer.seen);
                if !is_new {
                    return Err(DUPLICATE);
                }
                if let Some(created) = group.consumer_mut(id) {
                    created.active = consumer.active;
                }
                for entry in consumer.pending {
                    let at = read.pending.binary_search_by_key(&entry, |delivery| delivery.id);
                    let at = at.map_err(|_| BAD_PENDING)?;
                    if std::mem::replace(&mut owned[at], true) {
                        return Err(BAD_PENDING);
                    }
                    let Delivery { time, count, .. } = read.pending[at];
                    group.assign(Pending { id: entry, time, count, consumer: id });
                }
            }
            if owned.contains(&false) {
                return Err(BAD_PENDING);
            }
        }
        Ok(())
    }

    fn group(&mut self, kind: u8) -> Result<Group, Damage> {
        let mut name = Vec::new();
        self.string(&mut name)?;
        let last = self.id()?;
        // Redis writes -1 where the number is not known.
        let entries_read =
            if kind >= kind::STREAM_2 { Some(self.length()?).filter(|read| *read != u64::MAX) } else { None };
        let mut pending = Vec::new();
        for _ in 0..self.length()? {
            let (id, time) = (self.raw_id()?, i64::from_le_bytes(self.array()?));
            pending.push(Delivery { id, time, count: self.length()? });
        }
        pending.sort_by_key(|delivery| delivery.id);
        if pending.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(BAD_PENDING);
        }
        let mut consumers = Vec::new();
        for _ in 0..self.length()? {
            consumers.push(self.consumer(kind)?);
        }
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Group { name, last, entries_read, pending, consumers })
    }

    fn consumer(&mut self, kind: u8) -> Result<Consumer, Damage> {
        let mut name = Vec::new();
        self.string(&mut name)?;
        let seen = i64::from_le_bytes(self.array()?);
        let active = match kind {
            kind::STREAM_3 => Some(i64::from_le_bytes(self.array()?)).filter(|active| *active >= 0),
            // Until then, what is `seen` now was what is `active` now.
            _ => Some(seen),
        };
        let mut pending = Vec::new();
        for _ in 0..self.length()? {
            pending.push(self.raw_id()?);
        }
        Ok(Consumer { name, seen, active, pending })
    }
}

fn node_id(bytes: &[u8]) -> Option<StreamId> {
    let (ms, seq) = bytes.split_first_chunk()?;
    Some(StreamId::new(u64::from_be_bytes(*ms), u64::from_be_bytes(seq.try_into().ok()?)))
}

/// The entries of a node: counts of those that are there and of those deleted, the fields of the first one, a zero, then
/// the entries. Each is its flags, its distance from the node's ID, its fields with values or values alone, and the number
/// of its pieces, by which it is read backwards.
fn entries(id: StreamId, packed: &Packed) -> Result<Loading, Damage> {
    let mut pieces = packed.iter();
    let (live, dead) = (number(&mut pieces)?, number(&mut pieces)?);
    let fields = texts(&mut pieces, 1)?;
    let count = fields.len();
    let mut loading = Loading::new(id, &fields);
    if number(&mut pieces)? != 0 {
        return Err(BROKEN);
    }
    let (mut present, mut deleted) = (0, 0);
    while let Some(flags) = pieces.next_entry() {
        let Entry::Integer(flags) = flags else { return Err(BROKEN) };
        let (ms, seq) = (number(&mut pieces)? as u64, number(&mut pieces)? as u64);
        let entry_id = StreamId::new(id.ms.wrapping_add(ms), id.seq.wrapping_add(seq));
        let same = flags & entry::SAME_FIELDS != 0;
        let elements = if same { take(&mut pieces, count)? } else { texts(&mut pieces, 2)? };
        let frame = if same { 3 } else { 4 };
        if number(&mut pieces)? as u64 != elements.len() as u64 + frame || elements.is_empty() {
            return Err(BROKEN);
        }
        if flags & entry::DELETED != 0 {
            deleted += 1;
            continue;
        }
        present += 1;
        let pushed = if same { loading.push_values(entry_id, &elements) } else { loading.push(entry_id, &elements) };
        if !pushed {
            return Err(BROKEN);
        }
    }
    if (present, deleted) != (live, dead) {
        return Err(BROKEN);
    }
    Ok(loading)
}

fn number(pieces: &mut Iter<'_>) -> Result<i64, Damage> {
    match pieces.next_entry() {
        Some(Entry::Integer(number)) => Ok(number),
        _ => Err(BROKEN),
    }
}

/// A number, and so many times `each` elements.
fn texts<'a>(pieces: &mut Iter<'a>, each: usize) -> Result<Vec<Item<'a>>, Damage> {
    let count = usize::try_from(number(pieces)?).ok().and_then(|count| count.checked_mul(each));
    take(pieces, count.ok_or(BROKEN)?)
}

/// So many elements; no memory is taken for those that are not there.
fn take<'a>(pieces: &mut Iter<'a>, count: usize) -> Result<Vec<Item<'a>>, Damage> {
    let elements: Vec<_> = pieces.by_ref().take(count).collect();
    if elements.len() == count { Ok(elements) } else { Err(BROKEN) }
}
