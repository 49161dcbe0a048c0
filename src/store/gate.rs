//! The entry protocol: how workers share the shards of a keyspace.
//!
//! - *Shared* entry: a command on one key. Workers run side by side in one shard; the map's bucket locks order them.
//! - *Exclusive* entry: several keys. The worker owns its shards, nobody else is inside them.
//! - *Global* entry: the whole keyspace. Nobody else is inside anything.
//!
//! A worker announces where it is in its own `inside` word, then looks whether somebody owns that place; an owner first
//! takes the `owner` word, then looks who is inside. Both do so sequentially consistent, so at least one of two
//! that race sees the other. Every entry here is a *try*: whoever cannot enter gives back all that it holds and returns
//! [`Busy`], therefore nobody waits while owning, and there is no deadlock. The caller retries, or serves others first.
//!
//! The protocol is generic over its atomic words, so that the test below checks it with a model checker.

use std::sync::atomic::{AtomicU32, Ordering};

/// The entry was refused because another worker owns the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A 32-bit atomic word, real or a model checker's.
pub(super) trait Word: Send + Sync {
    /// A word that holds 0.
    fn zero() -> Self;
    /// Reads, sequentially consistent.
    fn read(&self) -> u32;
    /// Writes, sequentially consistent.
    fn announce(&self, value: u32);
    /// Writes with release order: what was done before is visible to whoever reads the new value.
    fn release(&self, value: u32);
    /// Changes 0 to `value`; false if the word was not 0.
    fn take(&self, value: u32) -> bool;
    /// Passes the time until another thread made progress.
    fn pause(turn: u32);
}

impl Word for AtomicU32 {
    fn zero() -> Self {
        AtomicU32::new(0)
    }
    #[inline]
    fn read(&self) -> u32 {
        self.load(Ordering::SeqCst)
    }
    #[inline]
    fn announce(&self, value: u32) {
        self.store(value, Ordering::SeqCst);
    }
    #[inline]
    fn release(&self, value: u32) {
        self.store(value, Ordering::Release);
    }
    #[inline]
    fn take(&self, value: u32) -> bool {
        self.compare_exchange(0, value, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
    fn pause(turn: u32) {
        // The other worker is in the middle of a synchronous command. It may share our core, so spinning must not go on.
        if turn < 64 { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// A word alone in its cache lines, because every command of its worker writes it.
#[repr(align(128))]
struct Padded<W>(W);

/// Not inside any shard.
const OUTSIDE: u32 = 0;
/// Inside shards that this worker owns; their owner words say which.
const OWNING: u32 = u32::MAX;

/// The entry words of all shards and workers of one keyspace.
pub(super) struct Gate<W: Word = AtomicU32> {
    owners: Box<[W]>,
    inside: Box<[Padded<W>]>,
    global: Padded<W>,
}

impl<W: Word> Gate<W> {
    /// A gate before `shards` shards for workers numbered below `workers`.
    pub(super) fn new(shards: usize, workers: usize) -> Self {
        Gate {
            owners: (0..shards).map(|_| W::zero()).collect(),
            inside: (0..workers).map(|_| Padded(W::zero())).collect(),
            global: Padded(W::zero()),
        }
    }

    /// Workers that may enter.
    pub(super) fn workers(&self) -> usize {
        self.inside.len()
    }

    /// Enters `shard` beside other workers; [`Gate::leave`] ends it.
    #[inline]
    pub(super) fn enter_shared(&self, worker: usize, shard: u32) -> Result<(), Busy> {
        // With one worker there is nobody to agree with, and the fence would be the dearest instruction of a GET.
        if self.inside.len() == 1 {
            return Ok(());
        }
        let inside = &self.inside[worker].0;
        inside.announce(shard + 1);
        if self.owners[shard as usize].read() == 0 && self.global.0.read() == 0 {
            return Ok(());
        }
        inside.release(OUTSIDE);
        Err(Busy)
    }

    /// Leaves a shared entry.
    #[inline]
    pub(super) fn leave(&self, worker: usize) {
        if self.inside.len() == 1 {
            return;
        }
        self.inside[worker].0.release(OUTSIDE);
    }

    /// Owns all of `shards`, which are ascending and distinct; [`Gate::leave_exclusive`] ends it. Waits for workers that
    /// are inside at most `patience` pauses.
    pub(super) fn enter_exclusive(&self, worker: usize, shards: &[u32], patience: u32) -> Result<(), Busy> {
        let inside = &self.inside[worker].0;
        inside.announce(OWNING);
        if self.global.0.read() != 0 {
            inside.release(OUTSIDE);
            return Err(Busy);
        }
        for (taken, &shard) in shards.iter().enumerate() {
            if !self.owners[shard as usize].take(worker as u32 + 1) {
                self.leave_exclusive(worker, &shards[..taken]);
                return Err(Busy);
            }
        }
        let conflicts = |place: u32| place != OUTSIDE && place != OWNING && shards.binary_search(&(place - 1)).is_ok();
        if self.await_others(worker, patience, conflicts) {
            return Ok(());
        }
        self.leave_exclusive(worker, shards);
        Err(Busy)
    }

    /// Owns one shard more, within [`Gate::enter_exclusive`].
    pub(super) fn add_exclusive(&self, worker: usize, shard: u32, patience: u32) -> Result<(), Busy> {
        let owner = &self.owners[shard as usize];
        if !owner.take(worker as u32 + 1) {
            return Err(Busy);
        }
        if self.await_others(worker, patience, |place| place == shard + 1) {
            return Ok(());
        }
        owner.release(0);
        Err(Busy)
    }

    /// Gives `shards` back.
    pub(super) fn leave_exclusive(&self, worker: usize, shards: &[u32]) {
        for &shard in shards {
            self.owners[shard as usize].release(0);
        }
        self.inside[worker].0.release(OUTSIDE);
    }

    /// Owns the whole keyspace; [`Gate::leave_global`] ends it.
    pub(super) fn enter_global(&self, worker: usize, patience: u32) -> Result<(), Busy> {
        if !self.global.0.take(worker as u32 + 1) {
            return Err(Busy);
        }
        if self.await_others(worker, patience, |place| place != OUTSIDE) {
            return Ok(());
        }
        self.leave_global();
        Err(Busy)
    }

    /// Gives the keyspace back.
    pub(super) fn leave_global(&self) {
        self.global.0.release(0);
    }

    /// Pauses until no other worker is at a place that `conflicts`; false when `patience` ran out.
    fn await_others(&self, worker: usize, patience: u32, conflicts: impl Fn(u32) -> bool) -> bool {
        for (other, inside) in self.inside.iter().enumerate() {
            if other == worker {
                continue;
            }
            let mut turn = 0;
            while conflicts(inside.0.read()) {
                if turn >= patience {
                    return false;
                }
                W::pause(turn);
                turn += 1;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32 as ModelWord;

    impl Word for ModelWord {
        fn zero() -> Self {
            ModelWord::new(0)
        }
        // The model checker treats SeqCst accesses as acquire and release only, so a fence makes them what they are.
        fn read(&self) -> u32 {
            loom::sync::atomic::fence(Ordering::SeqCst);
            self.load(Ordering::Acquire)
        }
        fn announce(&self, value: u32) {
            self.store(value, Ordering::Release);
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
        fn release(&self, value: u32) {
            self.store(value, Ordering::Release);
        }
        fn take(&self, value: u32) -> bool {
            let taken = self.compare_exchange(0, value, Ordering::AcqRel, Ordering::Acquire).is_ok();
            loom::sync::atomic::fence(Ordering::SeqCst);
            taken
        }
        fn pause(_: u32) {
            loom::thread::yield_now();
        }
    }

    /// What the shards protect: the model checker reports any two accesses that are not ordered and of which one writes.
    struct World {
        gate: Gate<ModelWord>,
        shards: Vec<loom::cell::UnsafeCell<u32>>,
    }
    // SAFETY: the cells are only reached inside the gate, whose exclusion is what the model checks.
    unsafe impl Sync for World {}

    #[derive(Clone, Copy)]
    enum Step {
        Shared(u32),
        Exclusive(&'static [u32]),
        Global,
    }

    /// Tries `enter` until it succeeds or `attempts` are used up. Every failed attempt gave back what it held.
    fn attempt(attempts: usize, mut enter: impl FnMut() -> Result<(), Busy>) -> bool {
        for _ in 0..attempts {
            if enter().is_ok() {
                return true;
            }
            loom::thread::yield_now();
        }
        false
    }

    fn perform(world: &World, worker: usize, step: Step, attempts: usize) {
        let touch = |shard: u32, write: bool| {
            let cell = &world.shards[shard as usize];
            if write {
                // SAFETY: the gate excludes every other access; the model checker verifies exactly this.
                cell.with_mut(|value| unsafe { *value += 1 });
            } else {
                // SAFETY: as above, for shared access.
                cell.with(|value| unsafe { std::ptr::read_volatile(value) });
            }
        };
        match step {
            Step::Shared(shard) => {
                if !attempt(attempts, || world.gate.enter_shared(worker, shard)) {
                    return;
                }
                touch(shard, false);
                world.gate.leave(worker);
            }
            Step::Exclusive(shards) => {
                if !attempt(attempts, || world.gate.enter_exclusive(worker, shards, 2)) {
                    return;
                }
                shards.iter().for_each(|&shard| touch(shard, true));
                world.gate.leave_exclusive(worker, shards);
            }
            Step::Global => {
                if !attempt(attempts, || world.gate.enter_global(worker, 2)) {
                    return;
                }
                (0..world.shards.len()).for_each(|shard| touch(shard as u32, true));
                world.gate.leave_global();
            }
        }
    }

    /// Runs one step list per worker under every interleaving that the bound allows. With `usize::MAX` attempts it shows
    /// progress too: the checker follows no schedule for ever.
    fn model(workers: &'static [&'static [Step]], preemptions: usize, attempts: usize) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(move || {
            let world = Arc::new(World {
                gate: Gate::new(2, workers.len()),
                shards: (0..2).map(|_| loom::cell::UnsafeCell::new(0)).collect(),
            });
            let threads: Vec<_> = workers
                .iter()
                .enumerate()
                .skip(1)
                .map(|(worker, steps)| {
                    let world = world.clone();
                    loom::thread::spawn(move || steps.iter().for_each(|&step| perform(&world, worker, step, attempts)))
                })
                .collect();
            workers[0].iter().for_each(|&step| perform(&world, 0, step, attempts));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            // Everybody left: progress, and nothing stays owned.
            assert_eq!(world.gate.enter_global(0, 0), Ok(()));
        });
    }

    #[test]
    fn shared_and_exclusive_exclude_each_other() {
        model(&[&[Step::Shared(0), Step::Shared(1)], &[Step::Exclusive(&[0, 1])]], 3, usize::MAX);
    }

    #[test]
    fn exclusive_entries_exclude_each_other_and_both_finish() {
        model(&[&[Step::Exclusive(&[0, 1])], &[Step::Exclusive(&[1])]], 3, usize::MAX);
    }

    #[test]
    fn global_excludes_shared_and_exclusive() {
        model(&[&[Step::Global], &[Step::Shared(0)]], 3, usize::MAX);
        model(&[&[Step::Global], &[Step::Exclusive(&[1])]], 3, usize::MAX);
        model(&[&[Step::Global], &[Step::Global]], 3, usize::MAX);
    }

    #[test]
    fn three_workers_of_three_kinds() {
        model(&[&[Step::Shared(0)], &[Step::Exclusive(&[0])], &[Step::Global]], 2, 2);
    }

    #[test]
    fn shared_entries_run_side_by_side() {
        let gate: Gate = Gate::new(4, 3);
        assert_eq!(gate.enter_shared(0, 2), Ok(()));
        assert_eq!(gate.enter_shared(1, 2), Ok(()));
        assert_eq!(gate.enter_exclusive(2, &[1, 2], 3), Err(Busy));
        assert_eq!(gate.enter_exclusive(2, &[1, 3], 3), Ok(()));
        assert_eq!(gate.enter_global(1, 0), Err(Busy));
        gate.leave(0);
        gate.leave(1);
        assert_eq!(gate.enter_shared(0, 3), Err(Busy));
        gate.leave_exclusive(2, &[1, 3]);
        assert_eq!(gate.enter_shared(0, 3), Ok(()));
    }
}
