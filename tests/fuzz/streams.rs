//! Streams against a map, with IDs at their edges.

use std::collections::BTreeMap;

use roster::value::Item;
use roster::value::stream::{AddError, Keep, Loading, Record, Stream, StreamId, Trim};

use crate::moves::Moves;
use crate::play::{Bounds, Played};

/// Fields and values by turns.
type Elements = Vec<Vec<u8>>;

#[derive(Default)]
pub(crate) struct Model {
    entries: BTreeMap<StreamId, Elements>,
    last: StreamId,
    deleted: StreamId,
    added: u64,
}

/// An ID near the last one, or at an edge.
fn id(moves: &mut Moves<'_>, last: StreamId) -> Option<StreamId> {
    let byte = moves.byte()?;
    let part = |old: u64, choice: u8| match choice {
        0 => old,
        1 => old.saturating_add(1),
        2 => old.saturating_add(3),
        3 => old.saturating_sub(1),
        4 => 0,
        5 => u64::MAX,
        6 => old / 2 + 1,
        _ => old.saturating_add(1 << 40),
    };
    // The far edge is rare, because nothing comes behind it.
    let ms = if byte & 7 == 5 && byte >> 6 != 3 { 1 } else { byte & 7 };
    Some(StreamId::new(part(last.ms, ms), part(last.seq, byte >> 3 & 7)))
}

fn elements(moves: &mut Moves<'_>) -> Option<Elements> {
    let shape = moves.byte()?;
    let mut all = Vec::new();
    for index in 0..usize::from(shape & 3) + 1 {
        // Mostly the same fields, which nodes keep once.
        all.push(if shape & 0x70 == 0 { moves.text()? } else { format!("f{index}").into_bytes() });
        all.push(moves.text()?);
    }
    Some(all)
}

fn told(record: Record<'_>) -> (StreamId, Elements) {
    (record.id, record.fields.flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect())
}

/// A node, as a file of another server has it.
fn load(stream: &mut Stream, model: &mut Model, moves: &mut Moves<'_>) -> Option<()> {
    let first = id(moves, stream.last_id())?;
    let fields = [b"f0".to_vec(), b"f1".to_vec()];
    let mut loading = Loading::new(first, &fields.each_ref().map(|field| Item::text(field)));
    let (mut taken, mut last) = (Vec::new(), first);
    for _ in 0..moves.below(4)? {
        let next = id(moves, last)?;
        let (a, b, shares) = (moves.text()?, moves.text()?, moves.below(2)? == 0);
        let sound = next != StreamId::MIN && (next > last || (next == last && taken.is_empty()));
        let pushed = match shares {
            true => loading.push_values(next, &[Item::text(&a), Item::text(&b)]),
            false => loading.push(next, &[Item::text(&a), Item::text(&b)]),
        };
        assert_eq!(pushed, sound);
        if sound {
            last = next;
            let all = if shares { vec![fields[0].clone(), a, fields[1].clone(), b] } else { vec![a, b] };
            taken.push((next, all));
        }
    }
    let loaded = stream.load(loading);
    assert_eq!(loaded.is_ok(), taken.is_empty() || first > model.last);
    if loaded.is_ok() && !taken.is_empty() {
        model.last = last;
        model.added += taken.len() as u64;
        model.entries.extend(taken);
    }
    Some(())
}

fn trim(stream: &mut Stream, model: &mut Model, moves: &mut Moves<'_>) -> Option<()> {
    let keep = match moves.below(2)? {
        0 => Keep::Entries(moves.below(20)? as u64),
        _ => Keep::From(id(moves, stream.last_id())?),
    };
    let (approximate, limit) = (moves.below(2)? == 0, moves.below(4)? as u64);
    let removed = stream.trim(Trim { keep, approximate, limit });
    let stays = |entries: usize, id: &StreamId| match keep {
        Keep::Entries(most) => entries as u64 <= most,
        Keep::From(start) => *id >= start,
    };
    for _ in 0..removed {
        let (id, entries) = (*model.entries.keys().next().expect("no more go than there are"), model.entries.len());
        assert!(!stays(entries, &id), "{id} should have stayed");
        model.entries.remove(&id);
    }
    let rest = model.entries.keys().next();
    assert!(
        approximate || limit > 0 || rest.is_none_or(|id| stays(model.entries.len(), id)),
        "{rest:?} should have gone"
    );
    assert!(limit == 0 || !approximate || removed <= limit);
    Some(())
}

impl Played for Stream {
    type Model = Model;

    fn play(&mut self, model: &mut Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()> {
        match moves.below(8)? {
            0..=2 => {
                let (id, all) = (id(moves, model.last)?, elements(moves)?);
                let added = self.add(id, all.iter().map(Vec::as_slice), bounds.nodes);
                assert_eq!(added, if id > model.last { Ok(()) } else { Err(AddError::NotAbove) });
                if added.is_ok() {
                    (model.last, model.added) = (id, model.added + 1);
                    model.entries.insert(id, all);
                }
            }
            3 => {
                let id = match moves.byte()? {
                    index @ 0..200 => model.entries.keys().nth(usize::from(index) % 16).copied().unwrap_or_default(),
                    _ => id(moves, model.last)?,
                };
                let there = model.entries.remove(&id).is_some();
                assert_eq!(self.delete(id), there);
                model.deleted = model.deleted.max(if there { id } else { StreamId::MIN });
            }
            4 => trim(self, model, moves)?,
            5 => {
                let (start, end) = (id(moves, model.last)?, id(moves, model.last)?);
                let inside: Vec<_> = match start <= end {
                    true => model.entries.range(start..=end).map(|(id, all)| (*id, all.clone())).collect(),
                    false => Vec::new(),
                };
                assert!(self.range_back(start, end).map(told).eq(inside.iter().rev().cloned()));
                assert!(self.range(start, end).map(told).eq(inside));
                assert_eq!(
                    self.get(start).map(told),
                    model.entries.get_key_value(&start).map(|(id, all)| (*id, all.clone()))
                );
            }
            6 => {
                let (id, added) = (id(moves, model.last)?, moves.below(3)?);
                let top = model.entries.keys().next_back().copied().unwrap_or_default();
                let added = (added > 0).then(|| model.added + added as u64);
                assert_eq!(self.set_id(id, added, None).is_ok(), id >= model.deleted.max(top));
                if id >= model.deleted.max(top) {
                    (model.last, model.added) = (id, added.unwrap_or(model.added));
                }
            }
            _ => load(self, model, moves)?,
        }
        Some(())
    }

    fn check(&self, model: &Model) {
        assert_eq!(self.len(), model.entries.len() as u64);
        assert!(
            self.range(StreamId::MIN, StreamId::MAX)
                .map(told)
                .eq(model.entries.iter().map(|(id, all)| (*id, all.clone())))
        );
        let edges = (self.first_id(), self.last_entry_id());
        let mut ids = model.entries.keys().copied();
        assert_eq!(edges, (ids.next().unwrap_or_default(), ids.next_back().or(model.entries.keys().next().copied())));
        let marks = (self.last_id(), self.max_deleted_id(), self.entries_added());
        assert_eq!(marks, (model.last, model.deleted, model.added));
        let next = (self.next_id(0), self.next_id_in(model.last.ms));
        assert_eq!(next.0, model.last.next());
        assert_eq!(next.1, model.last.next().filter(|next| next.ms == model.last.ms));
        let of_nodes: u64 = self.node_views().map(|node| node.entries().count() as u64).sum();
        assert_eq!(of_nodes, self.len());
    }
}
