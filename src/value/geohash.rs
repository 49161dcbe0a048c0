//! Places on earth as sorted-set scores: 52 interleaved bits, with the rounding and the limits of Redis.
//!
//! Longitudes run from -180 to 180, latitudes only to 85.05112878 (the square of Web Mercator). A score's bits alternate
//! between both, the longitude's first; each has 26.

use std::io::Write as _;

mod area;

pub use area::{Areas, Shape, Span};

/// The earth's radius in metres that Redis computes with.
pub const EARTH_RADIUS: f64 = 6_372_797.560856;

/// Bits of each coordinate in a score.
const STEPS: u32 = 26;
const LONGITUDES: Range = Range { min: -180.0, max: 180.0 };
const LATITUDES: Range = Range { min: -85.05112878, max: 85.05112878 };
/// The latitudes of geohash strings.
const ALL_LATITUDES: Range = Range { min: -90.0, max: 90.0 };
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

#[derive(Clone, Copy, Debug)]
struct Range {
    min: f64,
    max: f64,
}

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

impl Point {
    /// A place that a score can hold; `None` beyond the limits, and for NaN. O(1).
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let inside = |range: Range, degrees: f64| (range.min..=range.max).contains(&degrees);
        (inside(LONGITUDES, longitude) && inside(LATITUDES, latitude)).then_some(Point { longitude, latitude })
    }

    /// The score. A coordinate at its upper limit carries into a bit of its own, as with Redis. O(1).
    pub fn encode(self) -> u64 {
        encode(self, LATITUDES, STEPS)
    }

    /// The middle of a score's cell. Takes any score: a sorted set that holds no places gives meaningless ones, within
    /// the limits. O(1).
    pub fn decode(score: f64) -> Self {
        // What a C compiler makes of the conversion: negative scores wrap.
        let bits = if score < 9_223_372_036_854_775_808.0 { score as i64 as u64 } else { score as u64 };
        let cell = Cell { bits, steps: STEPS }.area();
        let middle = |side: Range, limit: Range| ((side.min + side.max) / 2.0).min(limit.max).max(limit.min);
        Point { longitude: middle(cell.longitude, LONGITUDES), latitude: middle(cell.latitude, LATITUDES) }
    }

    /// The distance in metres along the great circle, by the haversine formula as Redis 7 computes it. O(1).
    pub fn distance(self, other: Point) -> f64 {
        let v = ((other.longitude.to_radians_as_redis() - self.longitude.to_radians_as_redis()) / 2.0).sin();
        if v == 0.0 {
            return self.meridian_distance(other);
        }
        let (from, to) = (self.latitude.to_radians_as_redis(), other.latitude.to_radians_as_redis());
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    /// The distance in metres between the two places' parallels.
    fn meridian_distance(self, other: Point) -> f64 {
        EARTH_RADIUS * (other.latitude.to_radians_as_redis() - self.latitude.to_radians_as_redis()).abs()
    }

    /// The geohash string of eleven characters, of which the last is always `0`, because 52 bits have no more. O(1).
    pub fn geohash(self) -> [u8; 11] {
        let bits = encode(self, ALL_LATITUDES, STEPS);
        let mut text = [ALPHABET[0]; 11];
        for (place, letter) in text[..10].iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (47 - 5 * place) & 31) as usize];
        }
        text
    }
}

/// Metres in a unit (`m`, `km`, `ft`, `mi`, in any case); `None` for another word. O(1).
pub fn unit(name: &[u8]) -> Option<f64> {
    let units: [(&[u8], f64); 4] = [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    units.iter().find(|(unit, _)| name.eq_ignore_ascii_case(unit)).map(|(_, metres)| *metres)
}

/// Appends a distance with four decimals, rounded as Redis rounds: the scaled number is rounded, not the exact one, so
/// that the last digit can differ from that of `printf`. O(digits).
pub fn write_distance(distance: f64, out: &mut Vec<u8>) {
    let scaled = (distance * 10_000.0).round_ties_even();
    if scaled.abs() < 1e18 {
        let whole = scaled as i64;
        let sign = if whole < 0 { "-" } else { "" };
        let whole = whole.unsigned_abs();
        // Writing to a vector cannot fail.
        let _ = write!(out, "{sign}{}.{:04}", whole / 10_000, whole % 10_000);
    } else {
        let _ = write!(out, "{distance:.4}");
    }
}

/// Appends a coordinate with up to 17 decimals, without zeros at the end. O(digits).
pub fn write_degrees(degrees: f64, out: &mut Vec<u8>) {
    // Never `-0`; and writing to a vector cannot fail.
    let _ = write!(out, "{:.17}", degrees + 0.0);
    let zeros = out.iter().rev().take_while(|digit| **digit == b'0').count();
    out.truncate(out.len() - zeros);
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

/// Degrees and radians by the factor that Redis uses, which rounds otherwise than the standard library's.
trait Degrees {
    fn to_radians_as_redis(self) -> f64;
    fn to_degrees_as_redis(self) -> f64;
}

impl Degrees for f64 {
    fn to_radians_as_redis(self) -> f64 {
        self * (std::f64::consts::PI / 180.0)
    }

    fn to_degrees_as_redis(self) -> f64 {
        self / (std::f64::consts::PI / 180.0)
    }
}

/// A cell of the grid that halves both ranges `steps` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// What a cell covers.
#[derive(Clone, Copy, Debug)]
struct Extent {
    longitude: Range,
    latitude: Range,
}

impl Cell {
    fn around(point: Point, steps: u32) -> Self {
        Cell { bits: encode(point, LATITUDES, steps), steps }
    }

    fn area(self) -> Extent {
        let side = |range: Range, number: u32| {
            let scale = range.max - range.min;
            let cells = (1u64 << self.steps) as f64;
            Range {
                min: range.min + (f64::from(number) / cells) * scale,
                max: range.min + (f64::from(number.wrapping_add(1)) / cells) * scale,
            }
        };
        Extent { latitude: side(LATITUDES, gather(self.bits)), longitude: side(LONGITUDES, gather(self.bits >> 1)) }
    }

    /// The neighbour `east` cells to the east and `north` cells to the north; beyond the last cell comes the first.
    ///
    /// A coordinate at its upper limit is one cell too far, and stays so unless it is moved: that is why Redis finds
    /// nothing to the west of longitude 180, and neither do we.
    fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = (1u64 << self.steps) - 1;
        let shift = |number: u32, by: i32| match by {
            0 => number,
            _ => (u64::from(number).wrapping_add_signed(i64::from(by)) & mask) as u32,
        };
        let longitude = shift(gather(self.bits >> 1), east);
        let latitude = shift(gather(self.bits), north);
        Cell { bits: spread(latitude) | spread(longitude) << 1, steps: self.steps }
    }
}

/// Interleaves both coordinates' first `steps` bits; `steps` is 1 to 26.
fn encode(point: Point, latitudes: Range, steps: u32) -> u64 {
    let fraction = |range: Range, degrees: f64| {
        // The limit itself gives one cell too many, which the conversion keeps.
        ((degrees - range.min) / (range.max - range.min) * (1u64 << steps) as f64) as u32
    };
    spread(fraction(latitudes, point.latitude)) | spread(fraction(LONGITUDES, point.longitude)) << 1
}

/// Moves each bit to twice its place.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// Takes every second bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests;
