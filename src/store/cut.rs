//! A cut: one point in time of the whole keyspace, handed out piece by piece while the keyspace goes on.
//!
//! [`Keyspace::begin_cut`] enters globally for some microseconds and raises a flag. From then on each *slice*, a range of
//! hashes of one shard, is handed to the [`Taker`] exactly once, with the shard owned: by a worker that has time
//! ([`Keyspace::continue_cut`]), or by the first command that may change it, before it does. So a slice that was not
//! handed out yet is as it was at the cut, and no record needs a version.
//!
//! While there is no cut that costs one relaxed load per entry to write, and one per change. A command on one key that
//! comes upon a pending slice enters alone instead of beside others. A flushed database goes to the cut as an
//! [`Orphan`], so a flush does not wait; an exchange of databases changes nothing, because they are told by identity.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::enter::{Held, Local};
use super::gate::Busy;
use super::keyspace::{Database, Keyspace};
use super::reclaim;
use super::record::Record;
use super::scan::{POSITION_BITS, walk_range};

/// Bytes of records that a slice has about, where no single one has more: some 50 short strings, two or three buckets of a map,
/// for which a client's command waits.
const SLICE: u64 = 4 << 10;
/// The most slices of a shard, as a power of two.
const SLICE_BITS_MAX: u32 = 14;
/// Slices that a worker with time hands out at once, as a power of two: entering a shard and finding a place in it costs as much as
/// some records.
const RUN_BITS: u32 = 2;

/// Whether a taker takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Free,
    /// Not now.
    Full,
    /// Never again: the cut is in vain.
    Lost,
}

/// Hands each record of a slice to a function, with the index that its database had at the cut.
pub type Each<'a> = dyn FnMut(&mut dyn FnMut(usize, Record<'_>)) + 'a;

/// Who takes the records of a cut. Several workers may call at once.
pub trait Taker: Send + Sync {
    /// Whether a slice may come; `urgent` if a command waits for it.
    fn room(&self, urgent: bool) -> Room;
    /// Takes a slice. It must not touch the keyspace.
    fn take(&self, each: &mut Each<'_>);
    /// Everything was taken.
    fn complete(&self);
}

/// What came of a turn at a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no cut.
    None,
    /// A slice was handed out.
    Took,
    /// The taker is full, or the rest is in the hands of others.
    Wait,
}

/// The cut of a keyspace, if there is one.
#[derive(Default)]
pub(super) struct Cut {
    active: AtomicBool,
    round: RwLock<Option<Arc<Round>>>,
}

impl Cut {
    /// Whether there is a cut. Exact for whoever is inside: cuts begin under a global entry.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }
}

/// One cut.
struct Round {
    taker: Arc<dyn Taker>,
    /// Slices of a shard, as a power of two.
    bits: u32,
    /// A bit for each slice that was handed out, set with the shard owned.
    taken: Box<[AtomicU64]>,
    slices: usize,
    /// Slices that were not handed out.
    pending: AtomicUsize,
    /// Those, and orphans.
    left: AtomicUsize,
    /// Whose turn it is, in runs of slices, see [`Round::in_turn`].
    next: AtomicUsize,
    /// The index at the cut of the database of each identity.
    origins: Box<[u16]>,
    orphans: Mutex<Vec<Orphan>>,
}

/// A database that was flushed before all of its slices were handed out. Nobody else has it.
struct Orphan {
    database: Database,
    origin: usize,
    slices: Vec<usize>,
}

impl Round {
    fn new(keyspace: &Keyspace, taker: Arc<dyn Taker>) -> Round {
        let each = keyspace.totals_of_all().bytes / keyspace.shards() as u64 / SLICE;
        let bits = (each + 1).ilog2().min(SLICE_BITS_MAX);
        let slices = keyspace.shards() << bits;
        let mut origins = vec![0; keyspace.databases()];
        for index in 0..keyspace.databases() {
            origins[usize::from(keyspace.identity(index))] = index as u16;
        }
        Round {
            taker,
            bits,
            taken: (0..slices.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            slices,
            pending: AtomicUsize::new(slices),
            left: AtomicUsize::new(slices),
            next: AtomicUsize::new(0),
            origins: origins.into(),
            orphans: Mutex::default(),
        }
    }

    fn slice(&self, shard: u32, hash: u64) -> usize {
        // In two steps, because none of 64 bits cannot be shifted out at once.
        (shard as usize) << self.bits | (hash >> 1 >> (63 - self.bits)) as usize
    }

    fn is_pending(&self, slice: usize) -> bool {
        self.taken[slice / 64].load(Ordering::Acquire) & 1 << (slice % 64) == 0
    }

    fn shard(&self, slice: usize) -> usize {
        slice >> self.bits
    }

    /// The positions of neighbouring slices of one shard.
    fn positions(&self, slices: Range<usize>) -> Range<u64> {
        let first = slices.start as u64 & ((1 << self.bits) - 1);
        let width = POSITION_BITS - self.bits;
        first << width..(first + slices.len() as u64) << width
    }

    /// The run of slices whose turn it is at this count: one of each shard, then the next of each, so that workers who choose at
    /// the same time do not want the same shard, which only one of them can own.
    fn in_turn(&self, turn: usize) -> Range<usize> {
        let (shards, run) = (self.slices >> self.bits, self.bits.min(RUN_BITS));
        let first = (turn % shards) << self.bits | (turn / shards) << run;
        first..first + (1 << run)
    }

    /// The next run of which something was not handed out. From the end it starts anew: somebody may have failed to enter.
    fn choose(&self) -> Option<Range<usize>> {
        while self.pending.load(Ordering::Relaxed) > 0 {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            if turn >= self.slices >> self.bits.min(RUN_BITS) {
                self.next.store(0, Ordering::Relaxed);
                return None;
            }
            let run = self.in_turn(turn);
            if run.clone().any(|slice| self.is_pending(slice)) {
                return Some(run);
            }
        }
        None
    }
}

impl Keyspace {
    /// Cuts: what the taker that `taker` makes gets is the keyspace as it is now. False if there is a cut already.
    ///
    /// # Errors
    /// [`Busy`] if another worker is inside for long.
    pub fn begin_cut(&self, local: &Local, taker: impl FnOnce() -> Arc<dyn Taker>) -> Result<bool, Busy> {
        let _held = self.enter_all(local)?;
        if self.cut.is_active() {
            return Ok(false);
        }
        *self.cut.round.write() = Some(Arc::new(Round::new(self, taker())));
        self.cut.active.store(true, Ordering::Release);
        Ok(true)
    }

    /// Whether there is a cut of which not everything was handed out.
    pub fn is_cut(&self) -> bool {
        self.cut.is_active()
    }

    /// Hands out a few slices of the cut.
    pub fn continue_cut(&self, local: &Local) -> Progress {
        let Some(round) = self.round() else { return Progress::None };
        match round.taker.room(false) {
            Room::Free => (),
            Room::Full => return Progress::Wait,
            Room::Lost => {
                self.end_cut(&round);
                return Progress::None;
            }
        }
        let Some(run) = round.choose() else { return self.continue_orphan(&round) };
        let Ok(_held) = self.enter_in_turn(local, round.shard(run.start) as u32) else { return Progress::Wait };
        // Neighbours are handed out as one where nobody has taken one of them before.
        match run.clone().all(|slice| round.is_pending(slice)) {
            true => self.hand_out(&round, run),
            false => {
                run.filter(|&slice| round.is_pending(slice)).for_each(|slice| self.hand_out(&round, slice..slice + 1))
            }
        }
        Progress::Took
    }

    fn round(&self) -> Option<Arc<Round>> {
        if self.cut.is_active() { self.cut.round.read().clone() } else { None }
    }

    /// Whether a key's slice is as it was at the cut, and not handed out yet.
    #[cold]
    pub(super) fn is_uncut(&self, shard: u32, hash: u64) -> bool {
        self.cut.round.read().as_ref().is_some_and(|round| round.is_pending(round.slice(shard, hash)))
    }

    /// Whether the taker has no room for a slice that a command waits for.
    #[cold]
    pub(super) fn cut_is_full(&self) -> bool {
        match self.round() {
            Some(round) => match round.taker.room(true) {
                Room::Free => false,
                Room::Full => true,
                Room::Lost => {
                    self.end_cut(&round);
                    false
                }
            },
            None => false,
        }
    }

    /// Enters alone the shard of a slice that was not handed out, and hands it out.
    #[cold]
    pub(super) fn enter_uncut<'a>(&'a self, local: &'a Local, shard: u32, hash: u64) -> Result<Held<'a>, Busy> {
        if self.cut_is_full() {
            return Err(Busy);
        }
        let held = self.enter_shards(local, std::iter::once(shard))?;
        self.before_change(shard, hash);
        Ok(held)
    }

    /// Hands out the slice of a key that is about to change, unless that was done. The caller owns its shard.
    #[cold]
    pub(super) fn before_change(&self, shard: u32, hash: u64) {
        let Some(round) = self.round() else { return };
        let slice = round.slice(shard, hash);
        if round.is_pending(slice) {
            self.hand_out(&round, slice..slice + 1);
        }
    }

    /// Gives neighbouring slices of a shard to the taker. The caller owns the shard, so nobody else does, and nobody changes them.
    fn hand_out(&self, round: &Arc<Round>, slices: Range<usize>) {
        let (shard, positions) = (round.shard(slices.start), round.positions(slices.clone()));
        round.taker.take(&mut |give| {
            for index in 0..self.databases() {
                let Some(database) = self.used_database(index) else { continue };
                let origin = usize::from(round.origins[usize::from(self.identity(index))]);
                let map = &database.maps[shard];
                walk_range(map, self.hasher, positions.clone(), &mut |record| give(origin, record));
            }
        });
        for slice in slices.clone() {
            round.taken[slice / 64].fetch_or(1 << (slice % 64), Ordering::Release);
        }
        round.pending.fetch_sub(slices.len(), Ordering::AcqRel);
        self.finish(round, slices.len());
    }

    /// Counts slices, or an orphan, as done.
    fn finish(&self, round: &Arc<Round>, count: usize) {
        if round.left.fetch_sub(count, Ordering::AcqRel) == count && self.end_cut(round) {
            round.taker.complete();
        }
    }

    /// Ends a cut; whether it was still in force.
    fn end_cut(&self, round: &Arc<Round>) -> bool {
        let mut present = self.cut.round.write();
        let is_present = present.as_ref().is_some_and(|other| Arc::ptr_eq(other, round));
        if is_present {
            self.cut.active.store(false, Ordering::Release);
            *present = None;
        }
        drop(present);
        if is_present {
            // Of a cut that was in vain some may be left.
            round.orphans.lock().drain(..).for_each(|orphan| reclaim::later(Box::new(orphan.database)));
        }
        is_present
    }

    /// Gives a database that was taken out to the cut, if that still needs it. The caller is inside globally.
    pub(super) fn give_to_cut(&self, index: usize, database: Database) -> Option<Database> {
        let Some(round) = self.round().filter(|round| round.pending.load(Ordering::Acquire) > 0) else {
            return Some(database);
        };
        let slices = (0..round.slices).filter(|&slice| round.is_pending(slice)).collect();
        let origin = usize::from(round.origins[usize::from(self.identity(index))]);
        // Slices are pending and nobody else is inside, so the cut cannot end before this counts.
        round.left.fetch_add(1, Ordering::AcqRel);
        round.orphans.lock().push(Orphan { database, origin, slices });
        None
    }

    fn continue_orphan(&self, round: &Arc<Round>) -> Progress {
        // While it is out of the list nobody else works at it.
        let Some(mut orphan) = round.orphans.lock().pop() else { return Progress::Wait };
        let Some(slice) = orphan.slices.pop() else {
            reclaim::later(Box::new(orphan.database));
            self.finish(round, 1);
            return Progress::Took;
        };
        let (map, positions) = (&orphan.database.maps[round.shard(slice)], round.positions(slice..slice + 1));
        round.taker.take(&mut |give| {
            walk_range(map, self.hasher, positions.clone(), &mut |record| give(orphan.origin, record));
        });
        round.orphans.lock().push(orphan);
        Progress::Took
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Shape;

    struct Nobody;

    impl Taker for Nobody {
        fn room(&self, _: bool) -> Room {
            Room::Free
        }
        fn take(&self, _: &mut Each<'_>) {}
        fn complete(&self) {}
    }

    #[test]
    fn every_slice_has_its_turn_and_neighbours_are_of_other_shards() {
        let keyspace = Keyspace::new(Shape { databases: 1, shards: 16, workers: 1 });
        for bits in [0, 1, RUN_BITS, 5] {
            let round = Round { bits, slices: 16 << bits, ..Round::new(&keyspace, Arc::new(Nobody)) };
            let runs = round.slices >> bits.min(RUN_BITS);
            let turns: Vec<Range<usize>> = (0..runs).map(|turn| round.in_turn(turn)).collect();
            assert!(turns.windows(2).all(|two| round.shard(two[0].start) != round.shard(two[1].start)), "{bits}");
            assert!(turns.iter().all(|run| round.shard(run.start) == round.shard(run.end - 1)), "{bits}");
            let mut sorted: Vec<usize> = turns.into_iter().flatten().collect();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..round.slices), "{bits}");
        }
    }
}
