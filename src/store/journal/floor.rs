//! Below which stamp everything is published: how workers and the reader agree on it.
//!
//! A worker announces its floor before it draws. Drawing is one atomic addition, which hands on all that went before it to whoever
//! sees a later number: so a reader that finds a stamp drawn finds its floor, too, or what took its place. A floor is taken back
//! after the record is in its lane, and who sees it gone sees the record. Neither needs a fence of its own.
//!
//! It is generic over its words, so that the test below checks it with a model checker.

use std::sync::atomic::{AtomicU64, Ordering};

/// No stamp is under way.
pub(super) const NO_FLOOR: u64 = u64::MAX;

/// A 64-bit atomic word, real or a model checker's.
pub(super) trait Word {
    /// Reads it.
    fn read(&self, order: Ordering) -> u64;
    /// Writes it.
    fn write(&self, value: u64, order: Ordering);
    /// Adds one and returns what it was.
    fn bump(&self, order: Ordering) -> u64;
}

impl Word for AtomicU64 {
    #[inline]
    fn read(&self, order: Ordering) -> u64 {
        self.load(order)
    }
    #[inline]
    fn write(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
    #[inline]
    fn bump(&self, order: Ordering) -> u64 {
        self.fetch_add(1, order)
    }
}

/// Draws a stamp. Of the first in a record the floor is announced; it holds for those that follow.
#[inline]
pub(super) fn draw(next: &impl Word, floor: &impl Word, is_first: bool) -> u64 {
    if is_first {
        floor.write(next.read(Ordering::Relaxed), Ordering::Relaxed);
    }
    next.bump(Ordering::AcqRel)
}

/// Takes the floor back: what was drawn is published, or nothing came of it.
#[inline]
pub(super) fn clear(floor: &impl Word) {
    floor.write(NO_FLOOR, Ordering::Release);
}

/// The stamp below which everything is published. The lanes are to be looked at afterwards.
pub(super) fn limit<'a, W: Word + 'a>(next: &W, floors: impl Iterator<Item = &'a W>) -> u64 {
    let drawn = next.read(Ordering::Acquire);
    floors.map(|floor| floor.read(Ordering::Acquire)).fold(drawn, u64::min)
}

#[cfg(test)]
mod tests {
    use loom::sync::atomic::AtomicU64 as ModelWord;
    use loom::sync::{Arc, Mutex};

    use super::*;

    impl Word for ModelWord {
        fn read(&self, order: Ordering) -> u64 {
            self.load(order)
        }
        fn write(&self, value: u64, order: Ordering) {
            self.store(value, order);
        }
        fn bump(&self, order: Ordering) -> u64 {
            self.fetch_add(1, order)
        }
    }

    struct World {
        next: ModelWord,
        floors: [ModelWord; 2],
        lanes: [Mutex<Vec<u64>>; 2],
    }

    fn work(world: &World, worker: usize, records: &[usize]) {
        for &stamps in records {
            let drawn: Vec<u64> = (0..stamps).map(|at| draw(&world.next, &world.floors[worker], at == 0)).collect();
            world.lanes[worker].lock().unwrap().extend(drawn);
            clear(&world.floors[worker]);
        }
    }

    /// Two workers publish records, of some stamps each, while the reader looks twice.
    fn model(records: &'static [usize]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let world = Arc::new(World {
                next: ModelWord::new(0),
                floors: [ModelWord::new(NO_FLOOR), ModelWord::new(NO_FLOOR)],
                lanes: [Mutex::new(Vec::new()), Mutex::new(Vec::new())],
            });
            let threads: Vec<_> = (0..2)
                .map(|worker| {
                    let world = world.clone();
                    loom::thread::spawn(move || work(&world, worker, records))
                })
                .collect();
            for _ in 0..2 {
                let limit = limit(&world.next, world.floors.iter());
                let published: Vec<u64> = world.lanes.iter().flat_map(|lane| lane.lock().unwrap().clone()).collect();
                assert!((0..limit).all(|stamp| published.contains(&stamp)), "{published:?} below {limit}");
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(limit(&world.next, world.floors.iter()), 2 * records.iter().sum::<usize>() as u64);
        });
    }

    #[test]
    fn everything_below_the_limit_is_published() {
        model(&[1, 1]);
    }

    #[test]
    fn a_floor_holds_for_all_stamps_of_a_record() {
        model(&[2]);
    }
}
