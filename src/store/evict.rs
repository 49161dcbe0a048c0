//! Eviction: the removal of the keys that are needed least, when memory is short.
//!
//! Each worker keeps a small pool of candidates. A step visits a shard, beside other workers, looks at a few dozen records
//! that lie together, adds the worst of them to the pool, and removes the worst of the pool. Visits go through the keyspace in
//! the order of hashes, so every key is looked at once in a round, and the pool carries the best finds from one visit to
//! the next. A candidate is remembered by its hash and its access clock: if it was used meanwhile, it is not found again.
//!
//! Keys with a time to live are found through the worker's own timers, so that a few of them among many others are found at
//! once, and those that expire soonest come in their order. Where the worker has no timers, shards are visited.

use std::hash::{Hash, Hasher};

use super::clock::{Clock, decayed, elapsed};
use super::enter::Local;
use super::keyspace::Keyspace;
use super::observe::Event;
use super::record::Record;
use super::scan::walk;
use super::slot::{Armed, KeyHasher, Slot};
use super::wheel::{HASH_KEPT, Timer};

/// What makes a key the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It was used least recently.
    Recency,
    /// It was used least frequently.
    Frequency,
    /// Chance.
    Random,
    /// It expires soonest.
    Expiry,
}

/// Which keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Only those with a time to live.
    pub volatile: bool,
    /// The worst first.
    pub order: Order,
    /// Keys that are looked at for each that goes, times two.
    pub samples: usize,
    /// Free large values on another thread.
    pub lazily: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// So many keys went.
    Freed(usize),
    /// None did this time: candidates were used meanwhile, or other workers were in the way.
    Nothing,
    /// There is no key that may go.
    Exhausted,
}

/// Candidates that a worker keeps.
const POOL: usize = 64;
/// Records that a visit looks at, for each of the samples.
const VISIT: usize = 8;
/// Shards that a visit passes at most.
const SHARDS_AT_ONCE: usize = 64;
/// Steps after which the databases are weighed anew.
const REVIEW: u32 = 64;

/// A key that may go.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// How much it deserves to go.
    score: u64,
    hash: u64,
    access: u32,
    shard: u32,
    database: usize,
}

/// Where the visits to one database have come to.
#[derive(Clone, Copy, Debug)]
struct Round {
    database: usize,
    /// Keys that may go.
    keys: u64,
    shard: usize,
    position: u64,
}

/// What a worker remembers between steps.
#[derive(Default)]
pub(super) struct Evictor {
    policy: Option<Policy>,
    /// Ascending by score.
    pool: Vec<Candidate>,
    rounds: Vec<Round>,
    /// Keys that may go before more have to be looked at.
    credit: usize,
    steps: u32,
}

impl Evictor {
    /// Adds a candidate, or forgets the least deserving of a full pool for it.
    fn offer(&mut self, candidate: Candidate) {
        let same = |other: &Candidate| other.hash == candidate.hash && other.database == candidate.database;
        if self.pool.len() == POOL && self.pool[0].score >= candidate.score {
            return;
        }
        if let Some(at) = self.pool.iter().position(same) {
            self.pool.remove(at);
        } else if self.pool.len() == POOL {
            self.pool.remove(0);
        }
        let at = self.pool.partition_point(|other| other.score <= candidate.score);
        self.pool.insert(at, candidate);
    }

    /// The round of a database, chosen by its share of the keys.
    fn choose(&mut self, random: u64) -> Option<&mut Round> {
        let total: u64 = self.rounds.iter().map(|round| round.keys).sum();
        let mut at = random.checked_rem(total)?;
        self.rounds.iter_mut().find(|round| {
            let here = at < round.keys;
            at = at.saturating_sub(round.keys);
            here
        })
    }
}

/// A record with this access clock under this hash.
struct Unused {
    candidate: Candidate,
    hasher: KeyHasher,
}

impl Hash for Unused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.candidate.hash);
    }
}

impl scc::Equivalent<Slot> for Unused {
    fn equivalent(&self, slot: &Slot) -> bool {
        slot.record().is_some_and(|record| {
            record.access() == self.candidate.access
                && self.hasher.hash(record.key()) & HASH_KEPT == self.candidate.hash
        })
    }
}

impl Keyspace {
    /// One step: removes some of the worst keys by `policy`, until it is `enough`. The caller is inside nothing.
    pub fn evict(&self, local: &Local, now_ms: u64, policy: &Policy, enough: impl Fn() -> bool) -> Eviction {
        let mut evictor = local.evictor.take();
        let step = self.step(local, now_ms, policy, &mut evictor, &enough);
        local.evictor.replace(evictor);
        step
    }

    fn step(
        &self,
        local: &Local,
        now_ms: u64,
        policy: &Policy,
        evictor: &mut Evictor,
        enough: &dyn Fn() -> bool,
    ) -> Eviction {
        if evictor.policy != Some(*policy) {
            *evictor = Evictor { policy: Some(*policy), ..Evictor::default() };
        }
        if evictor.steps.is_multiple_of(REVIEW) {
            self.review(local, policy, evictor);
        }
        evictor.steps = evictor.steps.wrapping_add(1);
        let mut freed = 0;
        if policy.volatile && policy.order == Order::Expiry {
            freed = self.evict_soonest(local, now_ms, policy, enough);
        }
        if freed == 0 && (evictor.credit == 0 || evictor.pool.is_empty()) {
            let seen = match policy {
                Policy { volatile: true, order: Order::Recency | Order::Frequency | Order::Random, .. } => {
                    self.sample_timers(local, now_ms, policy, evictor)
                }
                _ => 0,
            };
            let seen = if seen == 0 { self.visit(local, now_ms, policy, evictor) } else { seen };
            evictor.credit = seen.div_ceil(2 * policy.samples.max(1));
        }
        while evictor.credit > 0
            && !enough()
            && let Some(candidate) = evictor.pool.pop()
        {
            // A candidate that was used meanwhile costs nothing: the next one takes its place.
            if self.evict_candidate(local, now_ms, policy, &candidate) {
                freed += 1;
                evictor.credit -= 1;
            }
        }
        if freed > 0 {
            return Eviction::Freed(freed);
        }
        self.review(local, policy, evictor);
        if evictor.rounds.is_empty() { Eviction::Exhausted } else { Eviction::Nothing }
    }

    /// Weighs the databases, and forgets those that hold nothing that may go.
    fn review(&self, local: &Local, policy: &Policy, evictor: &mut Evictor) {
        let rounds = std::mem::take(&mut evictor.rounds);
        for database in 0..self.databases() {
            let totals = self.totals(database);
            let keys = if policy.volatile { totals.volatile } else { totals.keys };
            if keys > 0 {
                let known = rounds.iter().find(|round| round.database == database).copied();
                // Workers begin at different places, so that they do not get into each other's way.
                let shard = || local.random() as usize % self.shards();
                let round = known.unwrap_or_else(|| Round { database, keys, shard: shard(), position: 0 });
                evictor.rounds.push(Round { keys, ..round });
            }
        }
    }

    /// Looks at the next records of a database and keeps the worst in the pool; how many it looked at.
    fn visit(&self, local: &Local, now_ms: u64, policy: &Policy, evictor: &mut Evictor) -> usize {
        let want = policy.samples.saturating_mul(VISIT).clamp(VISIT, 1024);
        let Some(round) = evictor.choose(local.random()) else { return 0 };
        let mut at = *round;
        let mut seen = 0;
        for _ in 0..SHARDS_AT_ONCE.min(self.shards() + 1) {
            let next = {
                let held = self.enter_shard(local, at.shard as u32);
                let database = held.is_ok().then(|| self.used_database(at.database)).flatten();
                database.and_then(|database| {
                    walk(&database.maps[at.shard], self.hasher, at.position, want - seen, &mut |record| {
                        if !policy.volatile || record.expiry().is_some() {
                            seen += 1;
                            let hash = self.hasher.hash(record.key());
                            let place = (hash, at.shard as u32, at.database);
                            evictor.offer(candidate(local, now_ms, policy, record, place));
                        }
                        true
                    })
                })
            };
            match next {
                Some(position) => at.position = position,
                None => (at.shard, at.position) = ((at.shard + 1) % self.shards(), 0),
            }
            if seen >= want {
                break;
            }
        }
        if let Some(round) = evictor.rounds.iter_mut().find(|round| round.database == at.database) {
            *round = at;
        }
        seen
    }

    /// Looks at keys of this worker's timers and keeps the worst in the pool; how many it looked at.
    fn sample_timers(&self, local: &Local, now_ms: u64, policy: &Policy, evictor: &mut Evictor) -> usize {
        let want = policy.samples.saturating_mul(VISIT / 2).clamp(VISIT, 1024);
        let timers = local.wheel.borrow().sample(local.random() >> 8, want);
        let mut seen = 0;
        for timer in timers {
            let Ok(_held) = self.enter_shard(local, u32::from(timer.shard)) else { continue };
            let database = self.database_of(&timer);
            let map = &self.database(database).maps[usize::from(timer.shard)];
            let place = (timer.hash, u32::from(timer.shard), database);
            let found = map.read_sync(&Armed { hash: timer.hash, due_ms: timer.due_ms }, |slot, ()| {
                let record = slot.record().filter(|record| record.expiry() == Some(timer.due_ms))?;
                Some(candidate(local, now_ms, policy, record, place))
            });
            if let Some(Some(found)) = found {
                seen += 1;
                evictor.offer(found);
            }
        }
        seen
    }

    /// Removes keys in the order of this worker's timers; how many went.
    fn evict_soonest(&self, local: &Local, now_ms: u64, policy: &Policy, enough: &dyn Fn() -> bool) -> usize {
        let (mut freed, mut kept) = (0, Vec::new());
        while kept.len() < VISIT && freed < VISIT && !enough() {
            let Some(timer) = local.wheel.borrow_mut().take_soonest() else { break };
            if self.fire_early(local, now_ms, policy, &timer, &mut freed) {
                kept.push(timer);
            }
        }
        let mut wheel = local.wheel.borrow_mut();
        kept.iter().for_each(|timer| wheel.insert(timer));
        freed
    }

    /// Removes the key of a timer before its time; whether the timer is still needed.
    fn fire_early(&self, local: &Local, now_ms: u64, policy: &Policy, timer: &Timer, freed: &mut usize) -> bool {
        let Ok(_held) = self.enter_hash(local, u32::from(timer.shard), timer.hash) else { return true };
        let database = self.database_of(timer);
        let map = &self.database(database).maps[usize::from(timer.shard)];
        let Some(entry) = map.get_sync(&Armed { hash: timer.hash, due_ms: timer.due_ms }) else {
            // Stale, unless what it waits for is to be found by its time alone.
            return timer.due_ms <= now_ms;
        };
        if entry.key().record().is_none_or(|record| record.expiry() != Some(timer.due_ms)) {
            return true;
        }
        self.evict_entry(local, database, now_ms, entry, policy.lazily);
        *freed += 1;
        false
    }

    /// Removes a candidate unless it was used or removed since; whether it went.
    fn evict_candidate(&self, local: &Local, now_ms: u64, policy: &Policy, candidate: &Candidate) -> bool {
        let Ok(_held) = self.enter_hash(local, candidate.shard, candidate.hash) else { return false };
        let Some(database) = self.used_database(candidate.database) else { return false };
        let unused = Unused { candidate: *candidate, hasher: self.hasher };
        let Some(entry) = database.maps[candidate.shard as usize].get_sync(&unused) else { return false };
        if policy.volatile && entry.key().record().is_none_or(|record| record.expiry().is_none()) {
            return false;
        }
        self.evict_entry(local, candidate.database, now_ms, entry, policy.lazily);
        true
    }

    fn evict_entry(
        &self,
        local: &Local,
        database: usize,
        now_ms: u64,
        entry: scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>,
        lazily: bool,
    ) {
        let expired = entry.key().record().is_some_and(|record| record.is_expired(now_ms));
        self.remove_entry(
            local,
            database,
            now_ms,
            entry,
            if expired { Event::EXPIRED } else { Event::EVICTED },
            lazily,
        );
        if expired {
            self.note_expired(local.worker);
        } else {
            self.note_evicted(local.worker);
        }
    }
}

fn candidate(
    local: &Local,
    now_ms: u64,
    policy: &Policy,
    record: Record<'_>,
    (hash, shard, database): (u64, u32, usize),
) -> Candidate {
    let access = record.access();
    let score = match policy.order {
        _ if record.is_expired(now_ms) => u64::MAX,
        Order::Recency => u64::from(u32::MAX - access),
        Order::Frequency => {
            let decay = match local.clock.get() {
                Clock::Frequency { decay_minutes, .. } => decay_minutes,
                Clock::Recency => 1,
            };
            // Among equals goes the one that was not used for longer.
            u64::from(255 - decayed(access, now_ms, decay)) << 16 | u64::from(elapsed(access, now_ms))
        }
        Order::Random => local.random() >> 1,
        Order::Expiry => u64::MAX - record.expiry().unwrap_or(u64::MAX),
    };
    Candidate { score, hash: hash & HASH_KEPT, access, shard, database }
}
