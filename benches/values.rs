//! How the costs of large collections grow: each row has four times the elements of the one before. Nanoseconds of CPU
//! time a call, and bytes an element. `cargo bench --bench values -- [most elements]`
//!
//! Memory is what the collection counts. Elements have names of ten bytes and come in random order.

use std::hint::black_box;

use nix::time::{ClockId, clock_gettime};
use roster::value::hash::{Expiry, Hash};
use roster::value::list::{Limit, List};
use roster::value::scores::{LexBound, LexRange, Score, ScoreRange};
use roster::value::set::{Set, SetLimits};
use roster::value::sorted_set::SortedSet;
use roster::value::stream::{NodeLimits, Stream, StreamId};
use roster::value::{Full, Limits};

#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LIMITS: Limits = Limits { entries: 128, value: 64 };
const SET_LIMITS: SetLimits = SetLimits { integers: 512, packed: LIMITS };
/// Calls that are timed in each cell.
const CALLS: usize = 200_000;

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }
}

/// Ten bytes, different for each number.
fn name(number: usize) -> [u8; 10] {
    let (mut text, mut rest) = (*b"m000000000", number);
    for digit in text[1..].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    text
}

fn score(value: f64) -> Score {
    Score::new(value).unwrap_or_default()
}

/// CPU time of this thread, in nanoseconds.
fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0.0, |time| time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

/// Nanoseconds a call of `calls`.
fn time(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = now();
    (0..calls).for_each(&mut call);
    (now() - start) / calls as f64
}

fn head(kind: &str, columns: &[&str]) {
    print!("\n{kind:>10}");
    columns.iter().for_each(|column| print!("{column:>10}"));
    println!();
}

fn row(count: usize, cells: &[f64]) {
    print!("{count:>10}");
    cells.iter().for_each(|cell| print!("{cell:>10.1}"));
    println!();
}

/// The numbers below `count` in random order.
fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    (1..count).rev().for_each(|index| order.swap(index, random.below(index + 1)));
    order
}

fn sorted_set(count: usize, equal: bool, random: &mut Random) -> Result<(), Full> {
    let mut set = SortedSet::new();
    let order = shuffled(count, random);
    let any = |random: &mut Random| score(if equal { 0.0 } else { random.bits() as f64 });
    let scores: Vec<_> = (0..count).map(|_| any(random)).collect();
    let mut result = Ok(());
    let insert = time(count, |call| {
        if let Err(full) = set.insert(&name(order[call]), scores[call], LIMITS) {
            result = Err(full);
        }
    });
    result?;
    let bytes = set.memory() as f64 / count as f64;
    let mut pick = |_| name(random.below(count));
    let names: Vec<_> = (0..CALLS).map(&mut pick).collect();
    let find = time(CALLS, |call| _ = black_box(set.score(&names[call])));
    let rank = time(CALLS, |call| _ = black_box(set.rank(&names[call])));
    let get = time(CALLS, |call| _ = black_box(set.get(order[call % count])));
    let range = time(CALLS, |call| {
        let min = scores[call % count];
        let range = ScoreRange { min, ..ScoreRange::ALL };
        let lex = LexRange { min: LexBound::Included(&names[call]), max: LexBound::Greatest };
        let ranks = if equal { set.ranks_of_members(&lex) } else { set.ranks_of_scores(&range) };
        black_box(set.iter(ranks.start..ranks.start + 10).count());
    });
    let change = time(CALLS, |call| {
        let to = if equal { score(0.0) } else { scores[(call + 1) % count] };
        _ = black_box(set.insert(&names[call], to, LIMITS));
    });
    let nudge = time(CALLS, |call| {
        _ = black_box(set.update(&names[call], LIMITS, |old| old?.plus(score(1.0))));
    });
    let pops = CALLS.min(count / 2);
    let pop = time(pops, |_| _ = black_box(set.remove_ranks(0..1)));
    let remove = time(pops, |call| _ = black_box(set.remove(&name(order[call]))));
    row(count, &[insert, find, rank, get, range, change, nudge, pop, remove, bytes]);
    Ok(())
}

fn hash(count: usize, random: &mut Random) -> Result<(), Full> {
    let mut hash = Hash::new();
    let order = shuffled(count, random);
    let mut result = Ok(());
    let insert = time(count, |call| {
        let name = name(order[call]);
        if let Err(full) = hash.insert(&name, &name, Expiry::Never, LIMITS) {
            result = Err(full);
        }
    });
    result?;
    let longest = longest_insert(count)?;
    let bytes = hash.memory() as f64 / count as f64;
    let names: Vec<_> = (0..CALLS).map(|_| name(random.below(count))).collect();
    let get = time(CALLS, |call| _ = black_box(hash.get(&names[call])));
    let set = time(CALLS, |call| _ = black_box(hash.insert(&names[call], &names[call], Expiry::Keep, LIMITS)));
    let draw = time(CALLS, |_| _ = black_box(hash.random(|| random.bits())));
    let mut cursor = 0;
    let scan = time(CALLS, |_| cursor = hash.scan(cursor, |field| _ = black_box(field)));
    let volatile = CALLS.min(count);
    let expire =
        time(volatile, |call| _ = black_box(hash.set_expiry(&name(order[call]), Some(1 + random.bits() % 100_000))));
    let all = (hash.memory() as f64 - bytes * count as f64) / volatile as f64;
    let due = time(1, |_| _ = black_box(hash.remove_due(u64::MAX, usize::MAX, |field| _ = black_box(field))));
    let due = due / volatile as f64;
    row(count, &[insert, longest, get, set, draw, scan, expire, due, bytes, all]);
    Ok(())
}

/// The longest of all calls that fill a hash.
fn longest_insert(count: usize) -> Result<f64, Full> {
    let (mut hash, mut longest, mut last) = (Hash::new(), 0f64, now());
    for number in 0..count {
        hash.insert(&name(number), &name(number), Expiry::Never, LIMITS)?;
        let end = now();
        longest = longest.max(end - last);
        last = end;
    }
    Ok(longest)
}

fn set(count: usize, random: &mut Random) -> Result<(), Full> {
    let mut set = Set::new();
    let order = shuffled(count, random);
    let mut result = Ok(());
    let insert = time(count, |call| {
        if let Err(full) = set.insert(&name(order[call]), SET_LIMITS) {
            result = Err(full);
        }
    });
    result?;
    let bytes = set.memory() as f64 / count as f64;
    let names: Vec<_> = (0..CALLS).map(|_| name(random.below(count))).collect();
    let contains = time(CALLS, |call| _ = black_box(set.contains(&names[call])));
    let misses = time(CALLS, |call| _ = black_box(set.contains(&name(count + call))));
    let draw = time(CALLS, |_| _ = black_box(set.random(|| random.bits())));
    let pops = CALLS.min(count / 2);
    let pop = time(pops, |_| _ = black_box(set.pop(|| random.bits())));
    let remove = time(pops, |call| _ = black_box(set.remove(&name(order[call]))));
    row(count, &[insert, contains, misses, draw, pop, remove, bytes]);
    Ok(())
}

fn list(count: usize, random: &mut Random) {
    let limit = Limit::default();
    let mut list = List::new();
    let push = time(count, |call| list.push_back([&name(call)[..]], limit));
    let bytes = list.memory() as f64 / count as f64;
    let places: Vec<_> = (0..CALLS).map(|_| random.below(count) as u64).collect();
    let index = time(CALLS, |call| _ = black_box(list.get(places[call])));
    let range = time(CALLS, |call| _ = black_box(list.iter_from(places[call]).take(10).count()));
    let set = time(CALLS, |call| _ = black_box(list.set(places[call], &name(call), limit)));
    let insert = time(CALLS, |call| list.insert(places[call], &name(call), limit));
    let ends = CALLS.min(count / 2);
    let pop = time(ends, |_| list.remove_front(1, limit));
    row(count, &[push, index, range, set, insert, pop, bytes]);
}

fn stream(count: usize, random: &mut Random) {
    let limits = NodeLimits::default();
    let mut stream = Stream::new();
    let add = time(count, |call| {
        let id = StreamId::new(call as u64 + 1, 0);
        _ = black_box(stream.add(id, [&b"field"[..], &name(call)], limits));
    });
    let bytes = stream.memory() as f64 / count as f64;
    let ids: Vec<_> = (0..CALLS).map(|_| StreamId::new(random.below(count) as u64 + 1, 0)).collect();
    let get = time(CALLS, |call| _ = black_box(stream.get(ids[call])));
    let range = time(CALLS, |call| _ = black_box(stream.range(ids[call], StreamId::MAX).take(10).count()));
    let back = time(CALLS, |call| _ = black_box(stream.range_back(StreamId::MIN, ids[call]).take(10).count()));
    let delete = time(CALLS.min(count / 2), |call| _ = black_box(stream.delete(ids[call])));
    row(count, &[add, get, range, back, delete, bytes]);
}

fn main() -> Result<(), Full> {
    let most = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1 << 20);
    let counts =
        || std::iter::successors(Some(1usize << 10), |count| count.checked_mul(4)).take_while(|count| *count <= most);
    let mut random = Random(1);
    let columns = ["insert", "score", "rank", "by rank", "range 10", "change", "nudge", "pop min", "remove", "bytes"];
    head("zset", &columns);
    counts().try_for_each(|count| sorted_set(count, false, &mut random))?;
    head("zset, lex", &columns);
    counts().try_for_each(|count| sorted_set(count, true, &mut random))?;
    head("hash", &["insert", "longest", "get", "set", "random", "scan", "expire", "due", "bytes", "per time"]);
    counts().try_for_each(|count| hash(count, &mut random))?;
    head("set", &["insert", "contains", "miss", "random", "pop", "remove", "bytes"]);
    counts().try_for_each(|count| set(count, &mut random))?;
    head("list", &["push", "index", "range 10", "set", "insert", "pop", "bytes"]);
    counts().for_each(|count| list(count, &mut random));
    head("stream", &["add", "get", "range 10", "back 10", "delete", "bytes"]);
    counts().for_each(|count| stream(count, &mut random));
    Ok(())
}
