//! Places on earth: sorted sets whose scores are geohashes. Here what needs no search.

use super::collection::{change, change_or_create, collection_of};
use super::string::{GROWING, READ_ONE};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::Event;
use crate::value::geohash::{self, Point};
use crate::value::scores::Score;
use crate::value::sorted_set::SortedSet;
use crate::value::{Full, Limits};

const ADD_KEY: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::UPDATE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("geoadd", -5, geoadd)
        .flags(GROWING)
        .keys(ADD_KEY)
        .group(Group::Geo)
        .since("3.2.0")
        .complexity("O(log(N)) for each member added.")
        .doc(
            "Adds places to a sorted set, which is created if it is not there, or moves them.",
            "key [NX|XX] [CH] <longitude:double latitude:double member> ...",
        ),
    Command::new("geopos", -2, geopos)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Geo)
        .since("3.2.0")
        .complexity("O(1) for each member.")
        .doc("Returns the longitude and latitude of members.", "key [member] ..."),
    Command::new("geodist", -4, geodist)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Geo)
        .since("3.2.0")
        .complexity("O(1)")
        .doc("Returns the distance between two members.", "key member1 member2 [M|KM|FT|MI]"),
    Command::new("geohash", -2, geohash)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::Geo)
        .since("3.2.0")
        .complexity("O(1) for each member.")
        .doc("Returns members as geohash strings of eleven characters.", "key [member] ..."),
];

/// A longitude and a latitude.
pub(super) fn parse_point(longitude: &[u8], latitude: &[u8]) -> Result<Point, Error> {
    let longitude = number::parse_f64(longitude).ok_or(Error::NOT_FLOAT)?;
    let latitude = number::parse_f64(latitude).ok_or(Error::NOT_FLOAT)?;
    let outside = || Error::new(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}"));
    Point::new(longitude, latitude).ok_or_else(outside)
}

/// The metres of a unit.
pub(super) fn parse_unit(word: &[u8]) -> Result<f64, Error> {
    geohash::unit(word).ok_or(Error::GEO_UNIT)
}

/// Up to which size sorted sets stay compact.
pub(super) fn limits(cx: &Context<'_>) -> Limits {
    let settings = cx.settings();
    let size = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
    Limits { entries: size(settings.zset_max_listpack_entries), value: size(settings.zset_max_listpack_value) }
}

/// What GEOADD does with members that are there, or are not.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// Only adds.
    only_new: bool,
    /// Only moves.
    only_present: bool,
    /// Counts moved members, too.
    count_changed: bool,
}

impl Conditions {
    /// The options at the start of `args`, and how many there are.
    fn parse(args: Args<'_>) -> (Self, usize) {
        let mut conditions = Conditions::default();
        for (index, word) in args.iter().enumerate() {
            match word {
                _ if word.eq_ignore_ascii_case(b"NX") => conditions.only_new = true,
                _ if word.eq_ignore_ascii_case(b"XX") => conditions.only_present = true,
                _ if word.eq_ignore_ascii_case(b"CH") => conditions.count_changed = true,
                _ => return (conditions, index),
            }
        }
        (conditions, args.len())
    }

    fn allow(self, is_present: bool) -> bool {
        if is_present { !self.only_new } else { !self.only_present }
    }
}

/// How many members GEOADD added and moved, and what stopped it.
#[derive(Default)]
struct Tally {
    added: usize,
    moved: usize,
    stopped: Option<Full>,
}

fn geoadd(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (conditions, options) = Conditions::parse(args.skip(2));
    let places = args.skip(2 + options);
    if places.is_empty() || !places.len().is_multiple_of(3) || conditions.only_new && conditions.only_present {
        return Err(Error::SYNTAX);
    }
    let mut members = Vec::with_capacity(places.len() / 3);
    for at in (0..places.len()).step_by(3) {
        let point = parse_point(places.get(at), places.get(at + 1))?;
        members.push((places.get(at + 2), point.encode() as f64));
    }
    let limits = limits(cx);
    let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or_default();
    let add = |set: &mut SortedSet| Ok(add(set, &members, conditions, limits));
    let tally = cx.store.update(args.get(1), |entry| {
        if conditions.only_present {
            return Ok::<_, Error>(change(entry, add)?.map_or_else(Tally::default, |changed| changed.result));
        }
        if let Some(set) = entry.collection_mut::<SortedSet>().map_err(|_| Error::WRONG_TYPE)? {
            set.prepare(members.len(), longest, limits)?;
        }
        let make = || SortedSet::for_members(members.len(), longest, limits);
        Ok(change_or_create(entry, make, add)?.result)
    })?;
    let changes = tally.added + tally.moved;
    if changes > 0 {
        cx.store.changed(args.get(1), Event::sorted_set("zadd"));
        cx.store.count_changes(changes as u64 - 1);
    }
    if let Some(full) = tally.stopped {
        return Err(full.into());
    }
    cx.reply.count(if conditions.count_changed { changes } else { tally.added });
    Ok(())
}

/// Adds or moves members with their scores. What was done before the set was full stays done, and is told.
fn add(set: &mut SortedSet, members: &[(&[u8], f64)], conditions: Conditions, limits: Limits) -> Tally {
    let mut tally = Tally::default();
    for &(member, score) in members {
        // A score is never NaN, for it comes from whole bits.
        let Some(score) = Score::new(score) else { continue };
        match set.update(member, limits, |old| conditions.allow(old.is_some()).then_some(score)) {
            Ok(updated) if updated.old.is_none() => tally.added += usize::from(updated.new.is_some()),
            Ok(updated) => tally.moved += usize::from(updated.new != updated.old),
            Err(full) => {
                tally.stopped = Some(full);
                break;
            }
        }
    }
    tally
}

/// The place of a member, if both are there.
fn place(set: Option<&SortedSet>, member: &[u8]) -> Option<Point> {
    set?.score(member).map(|score| Point::decode(score.value()))
}

/// Replies with the place of each member behind the key, as `write` writes one.
fn each_place(
    cx: &mut Context<'_>,
    args: Args<'_>,
    mut write: impl FnMut(&mut Context<'_>, Option<Point>),
) -> Result<(), Error> {
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let set = collection_of::<SortedSet>(record)?;
        let members = args.skip(2);
        cx.reply.array(members.len());
        members.iter().for_each(|member| write(cx, place(set.as_deref(), member)));
        Ok(())
    })
}

fn geopos(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut digits = Vec::new();
    each_place(cx, args, |cx, point| match point {
        Some(point) => write_point(cx, point, &mut digits),
        None => cx.reply.null_array(),
    })
}

/// Replies with a place as two numbers; `digits` is a buffer to use.
pub(super) fn write_point(cx: &mut Context<'_>, point: Point, digits: &mut Vec<u8>) {
    cx.reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        digits.clear();
        geohash::write_degrees(degrees, digits);
        cx.reply.decimal(digits);
    }
}

fn geohash(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    each_place(cx, args, |cx, point| cx.reply.bulk_or_null(point.map(Point::geohash).as_ref().map(|text| &text[..])))
}

fn geodist(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let metres = match args.len() {
        4 => 1.0,
        5 => parse_unit(args.get(4))?,
        _ => return Err(Error::SYNTAX),
    };
    let distance = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let set = collection_of::<SortedSet>(record)?;
        let set = set.as_deref();
        let (from, to) = (place(set, args.get(2)), place(set, args.get(3)));
        Ok::<_, Error>(from.zip(to).map(|(from, to)| from.distance(to)))
    })?;
    match distance {
        Some(distance) => write_distance(cx, distance / metres, &mut Vec::new()),
        None => cx.reply.null(),
    }
    Ok(())
}

/// Replies with a distance; `digits` is a buffer to use.
pub(super) fn write_distance(cx: &mut Context<'_>, distance: f64, digits: &mut Vec<u8>) {
    digits.clear();
    geohash::write_distance(distance, digits);
    cx.reply.bulk(digits);
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    pub(super) const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn places_are_added_and_moved() {
        let mut rig = Rig::new();
        rig.check(&[
            (SICILY, ":2"),
            (SICILY, ":0"),
            ("TYPE s", "+zset"),
            ("OBJECT ENCODING s", "$8|listpack"),
            ("GEOADD s NX 1 1 Palermo 2 2 Rome", ":1"),
            ("GEOPOS s Palermo", "*1|*2|$20|13.36138933897018433|$20|38.11555639549629859"),
            ("GEOADD s XX CH 1 1 Palermo 2 2 Paris", ":1"),
            ("GEOADD s xx 1 2 Palermo", ":0"),
            ("GEOADD s ch 1 1 Palermo 3 3 Paris", ":2"),
            ("GEOADD none XX 1 1 a", ":0"),
            ("EXISTS none", ":0"),
        ]);
    }

    #[test]
    fn what_cannot_be_added_is_refused() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET t x", "+OK"),
            ("GEOADD t 1 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEOADD t 1 1 a 2", "-ERR syntax error"),
            ("GEOADD k NX XX 1 1 a", "-ERR syntax error"),
            ("GEOADD k NX CH CH", "-ERR syntax error"),
            ("GEOADD k x 1 a", "-ERR value is not a valid float"),
            ("GEOADD k 1 nan a", "-ERR value is not a valid float"),
            ("GEOADD k 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000"),
            ("GEOADD k 1 1 a 1 -85.06 b", "-ERR invalid longitude,latitude pair 1.000000,-85.060000"),
            ("GEOADD k inf 1 a", "-ERR invalid longitude,latitude pair inf,1.000000"),
            ("EXISTS k", ":0"),
        ]);
    }

    #[test]
    fn many_or_long_members_are_kept_in_the_large_form() {
        let mut rig = Rig::new();
        let many: String = (0..129).map(|number| format!(" {number} 1 m{number}")).collect();
        let long = "m".repeat(65);
        rig.check(&[
            (&format!("GEOADD many{many}"), ":129"),
            ("OBJECT ENCODING many", "$8|skiplist"),
            (&format!("GEOADD long 1 1 {long}"), ":1"),
            ("OBJECT ENCODING long", "$8|skiplist"),
        ]);
    }

    #[test]
    fn places_distances_and_hashes_of_members() {
        let mut rig = Rig::new();
        rig.check(&[
            (SICILY, ":2"),
            ("GEOPOS s", "*0"),
            ("GEOPOS s none", "*1|*-1"),
            ("GEOPOS none a b", "*2|*-1|*-1"),
            ("GEOHASH s Palermo none Catania", "*3|$11|sqc8b49rny0|$-1|$11|sqdtr74hyu0"),
            ("GEOHASH none a", "*1|$-1"),
            ("GEODIST s Palermo Catania", "$11|166274.1516"),
            ("GEODIST s Palermo Catania KM", "$8|166.2742"),
            ("GEODIST s Palermo Catania mi", "$8|103.3182"),
            ("GEODIST s Palermo Palermo ft", "$6|0.0000"),
            ("GEODIST s Palermo none", "$-1"),
            ("GEODIST none a b", "$-1"),
            ("GEODIST s a b yd", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEODIST s a b m m", "-ERR syntax error"),
            ("SET t x", "+OK"),
            ("GEOPOS t a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEOHASH t a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEODIST t a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
        rig.run("HELLO 3");
        rig.check(&[
            ("GEOPOS s Palermo none", "*2|*2|,13.36138933897018433|,38.11555639549629859|_"),
            ("GEODIST s Palermo Catania", "$11|166274.1516"),
            ("GEODIST none a b", "_"),
        ]);
    }
}
