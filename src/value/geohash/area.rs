//! Searches around a place: which ranges of scores to look through, and what lies inside.

use super::{Cell, Degrees, EARTH_RADIUS, Extent, Point, STEPS};

/// The extent of Web Mercator, in metres, from which a search's grid is estimated.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// What to search around a centre. Lengths are in metres, not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Everything up to this distance.
    Circle {
        /// The middle.
        centre: Point,
        /// In metres.
        radius: f64,
    },
    /// Everything up to half the height north or south, and up to half the width east or west along the place's own
    /// parallel.
    Box {
        /// The middle.
        centre: Point,
        /// East to west, in metres.
        width: f64,
        /// North to south, in metres.
        height: f64,
    },
}

/// Scores to look through: from `min` up to, but not including, `max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first score.
    pub min: u64,
    /// The score behind the last.
    pub max: u64,
}

/// Up to nine spans, in the order in which Redis looks through them; they do not overlap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Areas {
    spans: [Span; 9],
    len: usize,
}

impl std::ops::Deref for Areas {
    type Target = [Span];

    fn deref(&self) -> &[Span] {
        &self.spans[..self.len]
    }
}

/// The box around a shape, in degrees.
struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Shape {
    /// The middle. O(1).
    pub fn centre(&self) -> Point {
        match *self {
            Shape::Circle { centre, .. } | Shape::Box { centre, .. } => centre,
        }
    }

    /// The place of a score and its distance from the centre in metres, if it lies inside (the edge included). O(1).
    pub fn contains(&self, score: f64) -> Option<(Point, f64)> {
        let point = Point::decode(score);
        match *self {
            Shape::Circle { centre, radius } => {
                let distance = centre.distance(point);
                (distance <= radius).then_some((point, distance))
            }
            Shape::Box { centre, width, height } => {
                let beside = Point { longitude: centre.longitude, latitude: point.latitude };
                let inside = point.meridian_distance(centre) <= height / 2.0 && point.distance(beside) <= width / 2.0;
                inside.then(|| (point, centre.distance(point)))
            }
        }
    }

    /// The spans of scores that hold all places inside (and others): the cell of the centre and its neighbours, of a
    /// grid coarse enough, as Redis 7 chooses them, so that unsorted results come in its order. O(1).
    ///
    /// Redis's limits are kept: a search across a pole or around more than half the earth may miss what it misses.
    pub fn areas(&self) -> Areas {
        let (centre, bounds) = (self.centre(), self.bounds());
        let mut steps = steps(self.reach(), centre.latitude);
        let mut cell = Cell::around(centre, steps);
        if steps > 1 && too_fine(cell, &bounds) {
            steps -= 1;
            cell = Cell::around(centre, steps);
        }
        let needless = Needless::of(cell, &bounds);
        let mut areas = Areas::default();
        // The centre, then north, south, east, west, north-east, north-west, south-east, south-west.
        let directions = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        for (east, north) in directions {
            if steps < 2 || !needless.direction(east, north) {
                areas.add(cell.neighbour(east, north));
            }
        }
        areas
    }

    /// How far the shape reaches from its centre, in metres.
    fn reach(&self) -> f64 {
        match *self {
            Shape::Circle { radius, .. } => radius,
            Shape::Box { width, height, .. } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    fn bounds(&self) -> Bounds {
        let (centre, width, height) = match *self {
            Shape::Circle { centre, radius } => (centre, radius, radius),
            Shape::Box { centre, width, height } => (centre, width / 2.0, height / 2.0),
        };
        let north = (height / EARTH_RADIUS).to_degrees_as_redis();
        // Parallels are shortest, and so span the most degrees, on the side of the pole.
        let widest = if centre.latitude < 0.0 { centre.latitude - north } else { centre.latitude + north };
        let east = (width / EARTH_RADIUS / widest.to_radians_as_redis().cos()).to_degrees_as_redis();
        Bounds {
            west: centre.longitude - east,
            south: centre.latitude - north,
            east: centre.longitude + east,
            north: centre.latitude + north,
        }
    }
}

impl Areas {
    /// Adds the cell's scores, unless they are there: where the grid is coarse, east and west are one cell.
    fn add(&mut self, cell: Cell) {
        let align = 2 * (STEPS - cell.steps);
        let span = Span { min: cell.bits << align, max: (cell.bits + 1) << align };
        if self.contains(&span) {
            return;
        }
        if let Some(slot) = self.spans.get_mut(self.len) {
            *slot = span;
            self.len += 1;
        }
    }
}

/// On which sides the cell of the centre reaches beyond the shape, so that no neighbour is needed there.
struct Needless {
    west: bool,
    south: bool,
    east: bool,
    north: bool,
}

impl Needless {
    fn of(cell: Cell, bounds: &Bounds) -> Self {
        let Extent { longitude, latitude } = cell.area();
        Needless {
            west: longitude.min < bounds.west,
            south: latitude.min < bounds.south,
            east: longitude.max > bounds.east,
            north: latitude.max > bounds.north,
        }
    }

    fn direction(&self, east: i32, north: i32) -> bool {
        (east < 0 && self.west) || (east > 0 && self.east) || (north < 0 && self.south) || (north > 0 && self.north)
    }
}

/// Whether the shape reaches beyond the neighbours of the cell of its centre.
fn too_fine(cell: Cell, bounds: &Bounds) -> bool {
    cell.neighbour(0, 1).area().latitude.max < bounds.north
        || cell.neighbour(0, -1).area().latitude.min > bounds.south
        || cell.neighbour(1, 0).area().longitude.max < bounds.east
        || cell.neighbour(-1, 0).area().longitude.min > bounds.west
}

/// How often to halve the world so that a cell is about as large as the search; towards the poles less often.
fn steps(reach: f64, latitude: f64) -> u32 {
    // A length that is not positive would be doubled for ever.
    if reach.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return STEPS;
    }
    let (mut reach, mut steps) = (reach, -1i32);
    while reach < MERCATOR_MAX {
        reach *= 2.0;
        steps += 1;
    }
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, STEPS as i32) as u32
}
