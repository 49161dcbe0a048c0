//! Searches around a place: GEOSEARCH, and GEORADIUS from which it came.

use super::collection::{collection_of, replace};
use super::geo::{limits, write_distance, write_point};
use super::geo_query::{Order, Query};
use super::string::{GROWING, READ_ONE};
use super::{Access, Begin, Command, Context, Error, Find, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::Event;
use crate::value::geohash::{Point, Shape};
use crate::value::scores::{Score, ScoreRange};
use crate::value::sorted_set::SortedSet;
use crate::value::{Item, Limits};

const SEARCH_STORE_KEYS: &[KeySpec] =
    &[KeySpec::at(1, Access::OW.and(Access::UPDATE)), KeySpec::at(2, Access::RO.and(Access::ACCESS))];

/// The source, and what follows STORE or STOREDIST from an argument on.
const fn radius_keys(from: i32) -> [KeySpec; 3] {
    const fn option(word: &'static str, from: i32) -> KeySpec {
        KeySpec {
            access: Access::OW.and(Access::UPDATE),
            begin: Begin::Keyword(word, from),
            find: Find::Range { last: 0, step: 1, limit: 0 },
        }
    }
    [KeySpec::at(1, Access::RO.and(Access::ACCESS)), option("STORE", from), option("STOREDIST", from)]
}

const RADIUS_KEYS: &[KeySpec] = &radius_keys(6);
const MEMBER_RADIUS_KEYS: &[KeySpec] = &radius_keys(5);

const SEARCH_COST: &str =
    "O(N+log(M)) where N is the number of members in the grid's cells around the area and M is that of all members.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("geosearch", -7, geosearch, "6.2.0").flags(Flags::READONLY).keys(READ_ONE).doc(
        "Returns the members within a circle or a box.",
        "key <FROMMEMBER member|FROMLONLAT longitude:double latitude:double> \
         <BYRADIUS radius:double <M|KM|FT|MI>|BYBOX width:double height:double <M|KM|FT|MI>> \
         [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    ),
    row("geosearchstore", -8, geosearchstore, "6.2.0").flags(GROWING).keys(SEARCH_STORE_KEYS).doc(
        "Stores the members within a circle or a box.",
        "destination source <FROMMEMBER member|FROMLONLAT longitude:double latitude:double> \
         <BYRADIUS radius:double <M|KM|FT|MI>|BYBOX width:double height:double <M|KM|FT|MI>> \
         [ASC|DESC] [COUNT count [ANY]] [STOREDIST]",
    ),
    row("georadius", -6, georadius, "3.2.0")
        .flags(GROWING)
        .keys(RADIUS_KEYS)
        .replaced_by("`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument", "6.2.0")
        .doc(
            "Returns or stores the members within a distance from a place.",
            "key longitude:double latitude:double radius:double <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC|DESC] [STORE storekey|STOREDIST storedistkey]",
        ),
    row("georadius_ro", -6, georadius, "3.2.10")
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .replaced_by("`GEOSEARCH` with the `BYRADIUS` argument", "6.2.0")
        .doc(
            "Returns the members within a distance from a place.",
            "key longitude:double latitude:double radius:double <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC|DESC]",
        ),
    row("georadiusbymember", -5, georadiusbymember, "3.2.0")
        .flags(GROWING)
        .keys(MEMBER_RADIUS_KEYS)
        .replaced_by("`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments", "6.2.0")
        .doc(
            "Returns or stores the members within a distance from a member.",
            "key member radius:double <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC|DESC] [STORE storekey|STOREDIST storedistkey]",
        ),
    row("georadiusbymember_ro", -5, georadiusbymember, "3.2.10")
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .replaced_by("`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments", "6.2.0")
        .doc(
            "Returns the members within a distance from a member.",
            "key member radius:double <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
        ),
];

const fn row(name: &'static str, arity: i32, run: super::Run, since: &'static str) -> Command {
    Command::new(name, arity, run).group(Group::Geo).since(since).complexity(SEARCH_COST)
}

fn geosearch(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    answer(cx, args.get(1), |_, set| Query::search((args.get(0), None), args.skip(2), set))
}

fn geosearchstore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    answer(cx, args.get(2), |_, set| Query::search((args.get(0), Some(args.get(1))), args.skip(3), set))
}

fn georadius(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    answer(cx, args.get(1), |cx, set| Query::around_place(cx, args.skip(2), set))
}

fn georadiusbymember(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    answer(cx, args.get(1), |cx, set| Query::around_member(cx, args.skip(2), set))
}

/// Results that are to be stored, and where.
struct Results<'a> {
    key: &'a [u8],
    set: SortedSet,
}

/// Searches the sorted set at `source`, and replies or stores. What `parse` refuses comes after a wrong type, as in Redis.
fn answer<'a>(
    cx: &mut Context<'_>,
    source: &[u8],
    parse: impl FnOnce(&Context<'_>, Option<&SortedSet>) -> Result<Query<'a>, Error>,
) -> Result<(), Error> {
    let store = cx.store;
    let results = store.read(source, |record| {
        cx.count_lookup(record.is_some());
        let set = collection_of::<SortedSet>(record)?;
        let set = set.as_deref();
        let query = parse(cx, set)?;
        let hits = match (set, &query.shape) {
            (Some(set), Some(shape)) => query.select(search(set, shape, query.count.filter(|_| query.any))),
            _ => Vec::new(),
        };
        let Some(target) = query.target else {
            write_hits(cx, &query, &hits);
            return Ok(None);
        };
        let set = into_set(&hits, target.distances.then_some(query.unit), limits(cx))?;
        Ok::<_, Error>(Some(Results { key: target.key, set }))
    })?;
    if let Some(results) = results {
        results.store(cx);
    }
    Ok(())
}

/// A member inside the area.
#[derive(Clone, Copy)]
struct Hit<'s> {
    member: Item<'s>,
    score: Score,
    place: Point,
    /// From the centre, in metres.
    distance: f64,
    /// Its number among the results, which orders those of the same distance.
    number: usize,
}

/// The members of `set` inside `shape`, as they are found; no more than `limit` of them.
fn search<'s>(set: &'s SortedSet, shape: &Shape, limit: Option<usize>) -> Vec<Hit<'s>> {
    let mut hits = Vec::new();
    for span in shape.areas().iter() {
        // Scores are whole numbers of at most 54 bits here, which doubles hold, and never NaN.
        let (Some(min), Some(max)) = (Score::new(span.min as f64), Score::new(span.max as f64)) else { continue };
        let range = ScoreRange { min, min_excluded: false, max, max_excluded: true };
        for (member, score) in set.iter(set.ranks_of_scores(&range)) {
            if limit.is_some_and(|limit| hits.len() >= limit) {
                return hits;
            }
            if let Some((place, distance)) = shape.contains(score.value()) {
                hits.push(Hit { member, score, place, distance, number: hits.len() });
            }
        }
    }
    hits
}

impl Query<'_> {
    /// Those of the results that are asked for, in the order that is asked for.
    fn select<'s>(&self, mut hits: Vec<Hit<'s>>) -> Vec<Hit<'s>> {
        let count = self.count.unwrap_or(usize::MAX);
        if let Some(order) = self.order {
            let compare = |a: &Hit<'_>, b: &Hit<'_>| {
                let nearer = a.distance.total_cmp(&b.distance);
                let before = if order == Order::Ascending { nearer } else { nearer.reverse() };
                before.then(a.number.cmp(&b.number))
            };
            if count < hits.len() {
                // So that a few of very many need not wait for all to be sorted.
                hits.select_nth_unstable_by(count, compare);
                hits.truncate(count);
            }
            hits.sort_unstable_by(compare);
        }
        hits.truncate(count);
        hits
    }
}

fn write_hits(cx: &mut Context<'_>, query: &Query<'_>, hits: &[Hit<'_>]) {
    let extras = [query.with_distance, query.with_hash, query.with_place].iter().filter(|extra| **extra).count();
    let mut digits = Vec::new();
    cx.reply.array(hits.len());
    for hit in hits {
        if extras > 0 {
            cx.reply.array(1 + extras);
        }
        cx.reply.bulk(&hit.member);
        if query.with_distance {
            write_distance(cx, hit.distance / query.unit, &mut digits);
        }
        if query.with_hash {
            cx.reply.integer(hit.score.value() as i64);
        }
        if query.with_place {
            write_point(cx, hit.place, &mut digits);
        }
    }
}

/// Results as a sorted set: with their distances in the unit of so many metres, if one is given, else with their scores.
fn into_set(hits: &[Hit<'_>], unit: Option<f64>, limits: Limits) -> Result<SortedSet, Error> {
    let longest = hits.iter().map(|hit| hit.member.len()).max().unwrap_or_default();
    let mut set = SortedSet::for_members(hits.len(), longest, limits);
    for hit in hits {
        let score = unit.and_then(|unit| Score::new(hit.distance / unit)).unwrap_or(hit.score);
        set.insert(&hit.member, score, limits)?;
    }
    Ok(set)
}

impl Results<'_> {
    /// Sets the target to the results, or removes it where there are none, and replies with their number.
    fn store(self, cx: &mut Context<'_>) {
        let count = self.set.len();
        if count > 0 {
            cx.store.update(self.key, |entry| replace(entry, self.set));
            let is_search = cx.command.command().name == "geosearchstore";
            let name = if is_search { "geosearchstore" } else { "georadiusstore" };
            cx.store.changed(self.key, Event::sorted_set(name));
            cx.store.count_changes(count as u64 - 1);
        } else if cx.store.remove(self.key) {
            cx.store.changed(self.key, Event::DEL);
        }
        cx.reply.count(count);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    fn sicily() -> Rig {
        let mut rig = Rig::new();
        let add = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.24151 \
                   38.788135 edge2";
        rig.check(&[(add, ":4")]);
        rig
    }

    #[test]
    fn circles_and_boxes() {
        sicily().check(&[
            (
                "GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 KM ASC WITHDIST",
                "*2|*2|$7|Catania|$7|56.4413|*2|$7|Palermo|$8|190.4424",
            ),
            ("GEOSEARCH s FROMLONLAT 15 37 BYBOX 400 400 km desc", "*4|$5|edge1|$5|edge2|$7|Palermo|$7|Catania"),
            ("GEOSEARCH s BYRADIUS 0 m FROMMEMBER Catania", "*1|$7|Catania"),
            ("GEOSEARCH s BYBOX 0 0 m FROMMEMBER Catania", "*1|$7|Catania"),
            ("GEOSEARCH s FROMLONLAT 0 0 BYRADIUS 1 mi", "*0"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS inf m COUNT 1", "*1|$7|Catania"),
            ("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "*0"),
            (
                "GEORADIUS s 15 37 100 km WITHCOORD WITHHASH WITHDIST",
                "*1|*4|$7|Catania|$7|56.4413|:3479447370796909|*2|$20|15.08726745843887329|$20|37.50266842333162032",
            ),
            ("GEORADIUSBYMEMBER s Palermo 200 km ASC", "*3|$7|Palermo|$5|edge1|$7|Catania"),
            ("GEORADIUS_RO s 15 37 100000 m", "*1|$7|Catania"),
            ("GEORADIUSBYMEMBER_RO s Catania 1 ft", "*1|$7|Catania"),
        ]);
    }

    #[test]
    fn counts_take_the_nearest_or_the_first() {
        sicily().check(&[
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1000 km COUNT 2", "*2|$7|Catania|$7|Palermo"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1000 km COUNT 1 DESC", "*1|$5|edge1"),
            (
                "GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1000 km COUNT 9223372036854775807 ANY ASC COUNT 1",
                "*1|$7|Palermo",
            ),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 km COUNT 0", "-ERR COUNT must be > 0"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 km COUNT -1", "-ERR COUNT must be > 0"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 km COUNT x", "-ERR value is not an integer or out of range"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 km ANY", "-ERR the ANY argument requires COUNT argument"),
        ]);
    }

    #[test]
    fn results_are_stored() {
        let mut rig = sicily();
        rig.check(&[
            ("SET d x EX 100", "+OK"),
            ("GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 200 km", ":2"),
            ("TTL d", ":-1"),
            ("GEODIST d Palermo Catania", "$11|166274.1516"),
            ("GEOSEARCHSTORE d s FROMMEMBER Palermo BYRADIUS 200 km STOREDIST COUNT 1", ":1"),
            ("GEOHASH d Palermo Catania", "*2|$11|00bh0hbj200|$-1"),
            ("GEORADIUS s 15 37 200 km STORE d", ":2"),
            ("GEODIST d Palermo Catania", "$11|166274.1516"),
            ("GEORADIUSBYMEMBER s Palermo 200 km STOREDIST s", ":3"),
            ("GEOHASH s Palermo edge2", "*2|$11|00bh0hbj200|$-1"),
            ("GEORADIUS d 0 0 1 m STORE d", ":0"),
            ("EXISTS d", ":0"),
            ("GEORADIUS none 0 0 1 m STORE d", ":0"),
            ("GEOSEARCHSTORE s none FROMMEMBER a BYBOX 1 1 m", ":0"),
            ("EXISTS s", ":0"),
        ]);
    }

    #[test]
    fn the_last_of_several_targets_counts() {
        let mut rig = sicily();
        rig.check(&[
            ("GEORADIUS s 15 37 200 km STORE a STORE b", ":2"),
            ("GEORADIUS s 15 37 200 km STOREDIST STORE STORE c", ":2"),
            ("GEORADIUS s 15 37 200 km STORE STORE", ":2"),
            ("EXISTS a b c STORE STOREDIST", ":3"),
            ("COMMAND GETKEYS GEORADIUS s 15 37 200 km STORE b", "*2|$1|s|$1|b"),
            ("COMMAND GETKEYS GEORADIUSBYMEMBER s m 200 km STOREDIST b", "*2|$1|s|$1|b"),
            ("COMMAND GETKEYS GEORADIUSBYMEMBER s m 200 km STORE", "*1|$1|s"),
        ]);
    }

    #[test]
    fn queries_that_make_no_sense_are_refused() {
        let mut rig = sicily();
        rig.check(&[("SET t x", "+OK")]);
        for (request, error) in [
            ("GEOSEARCH t x x x x x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            (
                "GEOSEARCH s FROMLONLAT 1 1 ASC ASC",
                "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
            ),
            (
                "geoSearch s BYRADIUS 1 m ASC ASC",
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geoSearch",
            ),
            ("GEOSEARCH s FROMLONLAT 1 1 FROMMEMBER Palermo", "ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Palermo FROMLONLAT 1 1", "ERR syntax error"),
            ("GEOSEARCH s BYRADIUS 1 m BYBOX 1 1 m", "ERR syntax error"),
            ("GEOSEARCH s BYBOX 1 1 m BYRADIUS 1 m", "ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Palermo BYRADIUS 1 m STOREDIST", "ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Palermo BYRADIUS 1 m STORE d", "ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Palermo BYRADIUS 1 m COUNT", "ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Rome BYRADIUS 1 m", "ERR could not decode requested zset member"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYRADIUS x m", "ERR need numeric radius"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYRADIUS -1 m", "ERR radius cannot be negative"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 yd", "ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYBOX x 1 m", "ERR need numeric width"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYBOX 1 x m", "ERR need numeric height"),
            ("GEOSEARCH s FROMLONLAT 1 1 BYBOX 1 -1 yd", "ERR height or width cannot be negative"),
            ("GEOSEARCH s FROMLONLAT 1 99 BYRADIUS 1 m", "ERR invalid longitude,latitude pair 1.000000,99.000000"),
            (
                "GEOSEARCHSTORE d s FROMLONLAT 1 1 BYRADIUS 1 m WITHDIST",
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
            (
                "GEORADIUS s 1 1 1 m STORE d WITHCOORD",
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
            ("GEORADIUS_RO s 1 1 1 m STORE d", "ERR syntax error"),
            ("GEORADIUSBYMEMBER_RO s Palermo 1 m STOREDIST d", "ERR syntax error"),
            ("GEORADIUS s 1 1 1 m FROMMEMBER a", "ERR syntax error"),
            ("GEORADIUSBYMEMBER none a x y z", "ERR syntax error"),
        ] {
            assert_eq!(rig.run(request), format!("-{error}"), "{request}");
        }
        rig.check(&[("GEORADIUSBYMEMBER none a x y", "*0"), ("EXISTS d", ":0")]);
    }
}
