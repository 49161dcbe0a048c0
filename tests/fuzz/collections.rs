//! Hashes, sets, sorted sets and lists against maps and vectors.

use std::collections::{BTreeMap, BTreeSet};

use roster::value::hash::{Expiry, Hash};
use roster::value::list::List;
use roster::value::scores::{Score, ScoreRange};
use roster::value::set::Set;
use roster::value::sorted_set::SortedSet;

use crate::moves::{Bits, Moves};
use crate::play::{Bounds, Played};

/// All that a scan visits.
fn scanned(mut step: impl FnMut(u64, &mut BTreeSet<Vec<u8>>) -> u64) -> BTreeSet<Vec<u8>> {
    let (mut found, mut cursor) = (BTreeSet::new(), 0);
    loop {
        cursor = step(cursor, &mut found);
        if cursor == 0 {
            return found;
        }
    }
}

impl Played for Hash {
    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

    fn play(&mut self, model: &mut Self::Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()> {
        match moves.below(10)? {
            0..=4 => {
                let (name, value) = (moves.text()?, moves.text()?);
                let old = model.get(&name).and_then(|(_, time)| *time);
                let (expiry, time) = match moves.below(4)? {
                    0 => (Expiry::Keep, old),
                    1 => moves.below(50).map(|time| (Expiry::At(time as u64 + 1), Some(time as u64 + 1)))?,
                    _ => (Expiry::Never, None),
                };
                let added = self.insert(&name, &value, expiry, bounds.packed).expect("there is room");
                assert_eq!(added, model.insert(name, (value, time)).is_none());
            }
            5 => {
                let name = moves.text()?;
                assert_eq!(self.remove(&name), model.remove(&name).is_some());
            }
            6 => {
                let (name, time) =
                    (moves.text()?, moves.byte().map(|time| u64::from(time) + 1).filter(|time| *time < 200));
                let old = self.set_expiry(&name, time).expect("there is room");
                assert_eq!(old, model.get(&name).map(|(_, time)| *time));
                model.entry(name).and_modify(|(_, old)| *old = time);
            }
            7 => {
                let (now, most) = (moves.below(50)? as u64, moves.below(4)?);
                let (mut times, mut last) = (model.values().filter_map(|(_, time)| *time).collect::<Vec<_>>(), 0);
                times.retain(|time| *time <= now);
                let count = self.remove_due(now, most, |field| {
                    let time = field.expires_at.expect("it expires");
                    assert!((last..=now).contains(&time));
                    last = time;
                    assert_eq!(model.remove(&field.name[..]), Some((field.value.to_vec(), Some(time))));
                });
                assert_eq!(count, times.len().min(most));
            }
            8 => {
                let mut bits = Bits(u64::from(moves.byte()?));
                match self.random(|| bits.next()) {
                    Some(field) => assert!(model.contains_key(&field.name[..])),
                    None => assert!(model.is_empty()),
                }
            }
            _ => {
                let name = moves.text()?;
                let found = self.field(&name).map(|(value, time)| (value.to_vec(), time));
                assert_eq!(found, model.get(&name).cloned());
            }
        }
        Some(())
    }

    fn check(&self, model: &Self::Model) {
        assert_eq!(self.len(), model.len());
        let all: BTreeMap<_, _> =
            self.iter().map(|field| (field.name.to_vec(), (field.value.to_vec(), field.expires_at))).collect();
        assert_eq!(all, *model);
        let times = || model.values().filter_map(|(_, time)| *time);
        assert_eq!((self.soonest(), self.volatile()), (times().min(), times().count()));
        let found = scanned(|cursor, found| self.scan(cursor, |field| _ = found.insert(field.name.to_vec())));
        assert!(found.iter().eq(model.keys()));
    }
}

impl Played for Set {
    type Model = BTreeSet<Vec<u8>>;

    fn play(&mut self, model: &mut Self::Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()> {
        match moves.below(10)? {
            0..=4 => {
                let member = moves.text()?;
                let added = self.insert(&member, bounds.set).expect("there is room");
                assert_eq!(added, model.insert(member));
            }
            5 => {
                let member = moves.text()?;
                assert_eq!(self.remove(&member), model.remove(&member));
            }
            6 => {
                let member = moves.text()?;
                assert_eq!(self.contains(&member), model.contains(&member));
            }
            7 => {
                let odd = moves.below(3)?;
                let keep = |member: &[u8]| member.iter().map(|byte| usize::from(*byte)).sum::<usize>() % 3 != odd;
                self.retain(keep);
                model.retain(|member| keep(member));
            }
            8 => {
                let (count, mut bits) = (moves.below(5)?, Bits(u64::from(moves.byte()?)));
                let before = model.len();
                self.take_sample(count, || bits.next(), |member| assert!(model.remove(member)));
                assert_eq!(before - model.len(), count.min(before));
            }
            _ => {
                let (count, mut bits) = (moves.below(9)?, Bits(u64::from(moves.byte()?)));
                let mut drawn = BTreeSet::new();
                self.sample(count, || bits.next(), |member| assert!(drawn.insert(member.to_vec())));
                assert!(drawn.len() == count.min(model.len()) && drawn.is_subset(model));
            }
        }
        Some(())
    }

    fn check(&self, model: &Self::Model) {
        assert_eq!(self.len(), model.len());
        assert_eq!(self.iter().map(|member| member.to_vec()).collect::<BTreeSet<_>>(), *model);
        assert_eq!(scanned(|cursor, found| self.scan(cursor, |member| _ = found.insert(member.to_vec()))), *model);
    }
}

/// A few scores that collide, and the ends of the range.
fn score(moves: &mut Moves<'_>) -> Option<Score> {
    let byte = moves.byte()?;
    let value = match byte & 15 {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        3 => 0.0,
        4 => moves.number()? as f64,
        5 => f64::MIN_POSITIVE,
        6 => 0.1,
        _ => f64::from(byte >> 4) - 4.0,
    };
    Score::new(value)
}

/// The members in their order.
fn ranked(model: &BTreeMap<Vec<u8>, Score>) -> Vec<(Vec<u8>, Score)> {
    let mut all: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    all.sort_by(|(a, a_score), (b, b_score)| a_score.cmp(b_score).then_with(|| a.cmp(b)));
    all
}

impl Played for SortedSet {
    type Model = BTreeMap<Vec<u8>, Score>;

    fn play(&mut self, model: &mut Self::Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()> {
        match moves.below(10)? {
            0..=3 => {
                let (member, score) = (moves.text()?, score(moves)?);
                let updated = self.insert(&member, score, bounds.packed).expect("there is room");
                assert_eq!((updated.old, updated.new), (model.insert(member, score), Some(score)));
            }
            4 => {
                let (member, more) = (moves.text()?, score(moves)?);
                let old = model.get(&member).copied();
                let sum = old.unwrap_or_default().plus(more);
                let updated = self.update(&member, bounds.packed, |old| old.unwrap_or_default().plus(more));
                let updated = updated.expect("there is room");
                assert_eq!((updated.old, updated.new), (old, sum.or(old)));
                sum.map(|sum| model.insert(member, sum));
            }
            5 => {
                let member = moves.text()?;
                assert_eq!(self.remove(&member), model.remove(&member));
            }
            6 => {
                let (start, count) = (moves.below(20)?, moves.below(4)?);
                let goes: Vec<_> = ranked(model).into_iter().skip(start).take(count).collect();
                assert_eq!(self.remove_ranks(start..start + count), goes.len());
                goes.iter().for_each(|(member, _)| _ = model.remove(member));
            }
            7 => {
                let (min, max, excluded) = (score(moves)?, score(moves)?, moves.byte()?);
                let (min_excluded, max_excluded) = (excluded & 1 != 0, excluded & 2 != 0);
                let range = ScoreRange { min, min_excluded, max, max_excluded };
                let ranks = self.ranks_of_scores(&range);
                let inside: Vec<_> = ranked(model).into_iter().filter(|(_, score)| range.contains(*score)).collect();
                assert!(self.iter(ranks).map(|(member, score)| (member.to_vec(), score)).eq(inside));
            }
            8 => {
                let rank = moves.below(20)?;
                let found = self.get(rank).map(|(member, score)| (member.to_vec(), score));
                assert_eq!(found, ranked(model).get(rank).cloned());
            }
            _ => {
                let member = moves.text()?;
                let all = ranked(model);
                let rank = all.iter().position(|(other, _)| *other == member).map(|rank| (rank, all[rank].1));
                assert_eq!((self.rank(&member), self.score(&member)), (rank, model.get(&member).copied()));
            }
        }
        Some(())
    }

    fn check(&self, model: &Self::Model) {
        assert_eq!(self.len(), model.len());
        let all: Vec<_> = self.iter(0..self.len()).map(|(member, score)| (member.to_vec(), score)).collect();
        assert_eq!(all, ranked(model));
        let found = scanned(|cursor, found| self.scan(cursor, |member, _| _ = found.insert(member.to_vec())));
        assert!(found.iter().eq(model.keys()));
    }
}

impl Played for List {
    type Model = Vec<Vec<u8>>;

    fn play(&mut self, model: &mut Self::Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()> {
        let limit = bounds.list;
        match moves.below(12)? {
            0 | 1 => {
                let texts: Vec<_> = (0..moves.below(4)?).map_while(|_| moves.text()).collect();
                self.push_front(texts.iter().map(Vec::as_slice), limit);
                texts.into_iter().for_each(|text| model.insert(0, text));
            }
            2 | 3 => {
                let texts: Vec<_> = (0..moves.below(4)?).map_while(|_| moves.text()).collect();
                self.push_back(texts.iter().map(Vec::as_slice), limit);
                model.extend(texts);
            }
            4 => {
                let (index, text) = (moves.below(30)?.min(model.len()), moves.text()?);
                self.insert(index as u64, &text, limit);
                model.insert(index, text);
            }
            5 => {
                let (pivot, before, text) = (moves.text()?, moves.below(2)? == 0, moves.text()?);
                let place = model.iter().position(|other| *other == pivot);
                assert_eq!(self.insert_beside(&pivot, before, &text, limit), place.is_some());
                if let Some(at) = place {
                    model.insert(at + usize::from(!before), text);
                }
            }
            6 => {
                let (index, text) = (moves.below(30)?, moves.text()?);
                assert_eq!(self.set(index as u64, &text, limit), index < model.len());
                if let Some(place) = model.get_mut(index) {
                    *place = text;
                }
            }
            7 => {
                let count = moves.below(4)?;
                self.remove_front(count as u64, limit);
                model.drain(..count.min(model.len()));
            }
            8 => {
                let count = moves.below(4)?;
                self.remove_back(count as u64, limit);
                model.truncate(model.len().saturating_sub(count));
            }
            9 => {
                let (start, end) = (moves.below(5)?, moves.byte()?);
                self.keep(start as u64..u64::from(end), limit);
                model.truncate(usize::from(end));
                model.drain(..start.min(model.len()));
            }
            10 => {
                let (text, most, from_end) = (moves.text()?, moves.below(4)?, moves.below(2)? == 0);
                let mut goes: Vec<_> = (0..model.len()).filter(|at| model[*at] == text).collect();
                if from_end {
                    goes.reverse();
                }
                goes.truncate(most);
                assert_eq!(self.remove_equal(&text, most as u64, from_end, limit), goes.len() as u64);
                goes.sort_unstable();
                goes.iter().rev().for_each(|at| _ = model.remove(*at));
            }
            _ => {
                let (text, rank) = (moves.text()?, moves.below(7)? as i64 - 3);
                let (count, most) = (moves.below(3)?, moves.below(9)?);
                let mut found = Vec::new();
                self.positions(&text, rank, count as u64, most as u64, |index| found.push(index as usize));
                let mut all: Vec<_> = (0..model.len()).collect();
                if rank < 0 {
                    all.reverse();
                }
                all.truncate(if most == 0 { usize::MAX } else { most });
                let skip = rank.unsigned_abs().saturating_sub(1) as usize;
                let count = if count == 0 { usize::MAX } else { count };
                assert!(all.into_iter().filter(|at| model[*at] == text).skip(skip).take(count).eq(found));
            }
        }
        Some(())
    }

    fn check(&self, model: &Self::Model) {
        assert_eq!(self.len(), model.len() as u64);
        assert!(self.iter().map(|text| text.to_vec()).eq(model.iter().cloned()));
        assert!(self.iter_back_from(u64::MAX).map(|text| text.to_vec()).eq(model.iter().rev().cloned()));
        let middle = model.len() / 2;
        assert_eq!(self.get(middle as u64).map(|text| text.to_vec()), model.get(middle).cloned());
        assert_eq!(self.chunks().map(|(_, count)| count).sum::<usize>(), model.len());
    }
}
