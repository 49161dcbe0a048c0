//! What a search around a place is asked for, in the words of GEOSEARCH, GEORADIUS and their kin.

use super::geo::{parse_point, parse_unit};
use super::{Context, Error};
use crate::protocol::{Args, number};
use crate::value::geohash::{Point, Shape};
use crate::value::sorted_set::SortedSet;

/// Which command it is: each has words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
    /// GEORADIUS and GEORADIUSBYMEMBER.
    Radius,
    /// Those that only read.
    RadiusReadOnly,
}

/// The order of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The nearest first.
    Ascending,
    /// The farthest first.
    Descending,
}

/// Where results are stored instead of being returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) key: &'a [u8],
    /// Distances become scores, rather than geohashes.
    pub(super) distances: bool,
}

/// What a search is asked for.
#[derive(Debug)]
pub(super) struct Query<'a> {
    /// The area to search; `None` only where there is no sorted set.
    pub(super) shape: Option<Shape>,
    /// Metres of the unit in which distances are told.
    pub(super) unit: f64,
    pub(super) order: Option<Order>,
    /// How many results at most.
    pub(super) count: Option<usize>,
    /// Whether the first `count` that are found suffice.
    pub(super) any: bool,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_place: bool,
    pub(super) target: Option<Target<'a>>,
}

/// How far around the centre, in metres.
#[derive(Clone, Copy, Debug)]
enum Extent {
    Radius(f64),
    Box { width: f64, height: f64 },
}

/// Where the search starts.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// At this member; its place is missing only where there is no sorted set.
    Member(Option<Point>),
    Place(Point),
}

/// Reads a query word by word.
struct Parser<'a, 's> {
    dialect: Dialect,
    /// The command's name as the client wrote it, which errors repeat.
    name: &'a [u8],
    set: Option<&'s SortedSet>,
    origin: Option<Origin>,
    extent: Option<Extent>,
    query: Query<'a>,
}

impl<'a> Query<'a> {
    /// The query of GEOSEARCH (`args` from the first option on) or GEOSEARCHSTORE, over `set`. `target` is the latter's.
    pub(super) fn search(
        (name, target): (&'a [u8], Option<&'a [u8]>),
        args: Args<'a>,
        set: Option<&SortedSet>,
    ) -> Result<Self, Error> {
        let dialect = if target.is_some() { Dialect::SearchStore } else { Dialect::Search };
        let mut parser = Parser::new(dialect, name, set);
        parser.query.target = target.map(|key| Target { key, distances: false });
        parser.options(args)?;
        parser.finish()
    }

    /// The query of GEORADIUS and GEORADIUS_RO: `args` from the longitude on.
    pub(super) fn around_place(cx: &Context<'_>, args: Args<'a>, set: Option<&SortedSet>) -> Result<Self, Error> {
        let mut parser = Parser::new(Dialect::of_radius(cx), b"", set);
        parser.origin = Some(Origin::Place(parse_point(args.get(0), args.get(1))?));
        parser.radius(args.get(2), args.get(3))?;
        parser.options(args.skip(4))?;
        parser.finish()
    }

    /// The query of GEORADIUSBYMEMBER and GEORADIUSBYMEMBER_RO: `args` from the member on.
    pub(super) fn around_member(cx: &Context<'_>, args: Args<'a>, set: Option<&SortedSet>) -> Result<Self, Error> {
        let mut parser = Parser::new(Dialect::of_radius(cx), b"", set);
        parser.origin = Some(parser.member(args.get(0))?);
        // Redis does not look at the radius where it cannot search.
        if set.is_some() {
            parser.radius(args.get(1), args.get(2))?;
        }
        parser.options(args.skip(3))?;
        parser.finish()
    }
}

impl Dialect {
    fn of_radius(cx: &Context<'_>) -> Self {
        if cx.command.command().flags.contains(super::Flags::WRITE) { Dialect::Radius } else { Dialect::RadiusReadOnly }
    }

    fn is_search(self) -> bool {
        matches!(self, Dialect::Search | Dialect::SearchStore)
    }
}

impl<'a, 's> Parser<'a, 's> {
    fn new(dialect: Dialect, name: &'a [u8], set: Option<&'s SortedSet>) -> Self {
        let query = Query {
            shape: None,
            unit: 1.0,
            order: None,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            target: None,
        };
        Parser { dialect, name, set, origin: None, extent: None, query }
    }

    fn options(&mut self, args: Args<'a>) -> Result<(), Error> {
        let mut at = 0;
        while at < args.len() {
            let rest = args.skip(at);
            at += match self.switch(rest.get(0)) {
                true => 1,
                false => self.option(rest)?,
            };
        }
        Ok(())
    }

    /// Takes an option without arguments; whether the word is one.
    fn switch(&mut self, word: &[u8]) -> bool {
        let query = &mut self.query;
        let switch = match word {
            _ if word.eq_ignore_ascii_case(b"WITHDIST") => &mut query.with_distance,
            _ if word.eq_ignore_ascii_case(b"WITHHASH") => &mut query.with_hash,
            _ if word.eq_ignore_ascii_case(b"WITHCOORD") => &mut query.with_place,
            _ if word.eq_ignore_ascii_case(b"ANY") => &mut query.any,
            _ if word.eq_ignore_ascii_case(b"ASC") || word.eq_ignore_ascii_case(b"DESC") => {
                let ascending = word.eq_ignore_ascii_case(b"ASC");
                query.order = Some(if ascending { Order::Ascending } else { Order::Descending });
                return true;
            }
            _ if self.dialect == Dialect::SearchStore && word.eq_ignore_ascii_case(b"STOREDIST") => {
                match &mut query.target {
                    Some(target) => &mut target.distances,
                    None => return false,
                }
            }
            _ => return false,
        };
        *switch = true;
        true
    }

    /// Takes an option with arguments and tells how many words it has. Redis takes one that lacks arguments, or that
    /// another one excludes, for an unknown word.
    fn option(&mut self, words: Args<'a>) -> Result<usize, Error> {
        let is = |name: &str, arguments: usize| {
            words.len() > arguments && words.get(0).eq_ignore_ascii_case(name.as_bytes())
        };
        if is("COUNT", 1) {
            let count = number::parse_i64(words.get(1)).ok_or(Error::NOT_INTEGER)?;
            if count <= 0 {
                return Err(Error::GEO_COUNT);
            }
            self.query.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
            return Ok(2);
        }
        if self.dialect == Dialect::Radius && (is("STORE", 1) || is("STOREDIST", 1)) {
            self.query.target = Some(Target { key: words.get(1), distances: is("STOREDIST", 1) });
            return Ok(2);
        }
        if !self.dialect.is_search() {
            return Err(Error::SYNTAX);
        }
        if is("FROMMEMBER", 1) && !matches!(self.origin, Some(Origin::Place(_))) {
            self.origin = Some(self.member(words.get(1))?);
            return Ok(2);
        }
        if is("FROMLONLAT", 2) && !matches!(self.origin, Some(Origin::Member(_))) {
            self.origin = Some(Origin::Place(parse_point(words.get(1), words.get(2))?));
            return Ok(3);
        }
        if is("BYRADIUS", 2) && !matches!(self.extent, Some(Extent::Box { .. })) {
            self.radius(words.get(1), words.get(2))?;
            return Ok(3);
        }
        if is("BYBOX", 3) && !matches!(self.extent, Some(Extent::Radius(_))) {
            self.sides(words.get(1), words.get(2), words.get(3))?;
            return Ok(4);
        }
        Err(Error::SYNTAX)
    }

    fn member(&self, member: &[u8]) -> Result<Origin, Error> {
        let Some(set) = self.set else { return Ok(Origin::Member(None)) };
        let score = set.score(member).ok_or(Error::GEO_MEMBER)?;
        Ok(Origin::Member(Some(Point::decode(score.value()))))
    }

    fn radius(&mut self, radius: &[u8], unit: &[u8]) -> Result<(), Error> {
        let radius = number::parse_f64(radius).ok_or(Error::GEO_RADIUS)?;
        if radius < 0.0 {
            return Err(Error::GEO_RADIUS_NEGATIVE);
        }
        self.query.unit = parse_unit(unit)?;
        self.extent = Some(Extent::Radius(radius * self.query.unit));
        Ok(())
    }

    fn sides(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Result<(), Error> {
        let width = number::parse_f64(width).ok_or(Error::GEO_WIDTH)?;
        let height = number::parse_f64(height).ok_or(Error::GEO_HEIGHT)?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::GEO_BOX_NEGATIVE);
        }
        let unit = parse_unit(unit)?;
        self.query.unit = unit;
        self.extent = Some(Extent::Box { width: width * unit, height: height * unit });
        Ok(())
    }

    /// Checks what only all words together tell.
    fn finish(mut self) -> Result<Query<'a>, Error> {
        let query = &mut self.query;
        if query.target.is_some() && (query.with_distance || query.with_hash || query.with_place) {
            return Err(if self.dialect == Dialect::SearchStore { Error::GEO_SEARCH_STORE } else { Error::GEO_STORE });
        }
        if self.dialect.is_search() && self.origin.is_none() {
            return Err(exactly_one("FROMMEMBER or FROMLONLAT", self.name));
        }
        if self.dialect.is_search() && self.extent.is_none() {
            return Err(exactly_one("BYRADIUS and BYBOX", self.name));
        }
        if query.any && query.count.is_none() {
            return Err(Error::GEO_ANY);
        }
        // The first of all results need an order, unless any of them will do.
        if query.count.is_some() && !query.any {
            query.order.get_or_insert(Order::Ascending);
        }
        let centre = match self.origin {
            Some(Origin::Place(point)) => Some(point),
            Some(Origin::Member(place)) => place,
            None => None,
        };
        query.shape = centre.zip(self.extent).map(|(centre, extent)| match extent {
            Extent::Radius(radius) => Shape::Circle { centre, radius },
            Extent::Box { width, height } => Shape::Box { centre, width, height },
        });
        Ok(self.query)
    }
}

/// One of two options is missing; the command is called as the client called it.
fn exactly_one(options: &str, name: &[u8]) -> Error {
    let text = format!("ERR exactly one of {options} can be specified for ");
    Error::Quoting([text.as_bytes(), name].concat().into())
}
