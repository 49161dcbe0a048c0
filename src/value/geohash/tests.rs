use super::*;

fn place(longitude: f64, latitude: f64) -> Point {
    Point::new(longitude, latitude).expect("it is within the limits")
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn place(&mut self) -> Point {
        place(self.roll() * 360.0 - 180.0, self.roll() * 170.0 - 85.0)
    }
}

#[test]
fn scores_are_redis_s() {
    // Of Redis's documentation.
    let (palermo, catania) = (place(13.361389, 38.115556), place(15.087269, 37.502669));
    assert_eq!(palermo.encode(), 3479099956230698);
    assert_eq!(catania.encode(), 3479447370796909);
    let (palermo, catania) = (Point::decode(3479099956230698.0), Point::decode(3479447370796909.0));
    let mut distance = Vec::new();
    write_distance(palermo.distance(catania), &mut distance);
    assert_eq!(distance, b"166274.1516");
    assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
    assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
    assert_eq!(palermo.longitude, 13.361_389_338_970_184);
    assert_eq!(palermo.latitude, 38.115_556_395_496_3);
}

#[test]
fn coordinates_are_written_without_needless_zeros() {
    for (degrees, text) in [
        (13.361_389_338_970_184, "13.36138933897018433"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (180.0, "180"),
        (-85.0, "-85"),
        (1e-17, "0.00000000000000001"),
    ] {
        let mut out = b"10".to_vec();
        write_degrees(degrees, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!("10{text}"));
    }
}

#[test]
fn limits_hold() {
    assert!(Point::new(180.0001, 0.0).is_none());
    assert!(Point::new(0.0, -85.0512).is_none());
    assert!(Point::new(f64::NAN, 0.0).is_none());
    for (longitude, latitude) in [(180.0, 85.05112878), (-180.0, -85.05112878), (180.0, 0.0), (0.0, 85.05112878)] {
        let point = place(longitude, latitude);
        let back = Point::decode(point.encode() as f64);
        assert!(Point::new(back.longitude, back.latitude).is_some());
    }
    for score in [f64::NEG_INFINITY, -1.0, -1e30, 1e30, f64::INFINITY, f64::NAN, 0.5, 4503599627370496.0] {
        let point = Point::decode(score);
        assert!(Point::new(point.longitude, point.latitude).is_some(), "{score} {point:?}");
    }
}

#[test]
fn decoding_undoes_encoding() {
    let mut dice = Dice(3);
    for _ in 0..20_000 {
        let point = dice.place();
        let score = point.encode();
        let back = Point::decode(score as f64);
        assert_eq!(back.encode(), score);
        assert!((back.longitude - point.longitude).abs() < 3e-6 && (back.latitude - point.latitude).abs() < 3e-6);
        assert!(score < 1 << 52);
    }
}

#[test]
fn bits_are_spread_and_gathered() {
    for number in [0, 1, 2, 0x1234_5678, u32::MAX] {
        assert_eq!(gather(spread(number)), number);
        assert_eq!(spread(number) & 0xaaaa_aaaa_aaaa_aaaa, 0);
    }
}

#[test]
fn units_are_known_in_any_case() {
    assert_eq!(
        (unit(b"KM"), unit(b"m"), unit(b"Mi"), unit(b"ft")),
        (Some(1000.0), Some(1.0), Some(1609.34), Some(0.3048))
    );
    assert_eq!((unit(b"cm"), unit(b"")), (None, None));
}

#[test]
fn spans_hold_all_that_lies_inside() {
    let mut dice = Dice(11);
    let places: Vec<f64> = (0..3000).map(|_| dice.place().encode() as f64).collect();
    let mut found = 0;
    for round in 0..600 {
        // Across the antimeridian and the poles Redis misses some, too: those edges are for the comparison with it.
        let centre = place(dice.roll() * 120.0 - 60.0, dice.roll() * 100.0 - 50.0);
        let size = 10f64.powf(dice.roll() * 5.0 + 1.0);
        let shape = if round % 2 == 0 {
            Shape::Circle { centre, radius: size }
        } else {
            Shape::Box { centre, width: size, height: size * (dice.roll() + 0.5) }
        };
        let areas = shape.areas();
        assert!(!areas.is_empty() && areas.len() <= 9);
        for (slot, span) in areas.iter().enumerate() {
            assert!(span.min < span.max);
            assert!(areas[..slot].iter().all(|other| other.max <= span.min || span.max <= other.min));
        }
        for &score in places.iter().filter(|score| shape.contains(**score).is_some()) {
            found += 1;
            assert!(areas.iter().any(|span| (span.min as f64..span.max as f64).contains(&score)), "{shape:?} {score}");
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn any_shape_gives_spans() {
    let edges = [0.0, 5e-324, 1.0, 1e7, 1e300, f64::INFINITY, f64::NAN, -1.0];
    for (longitude, latitude) in [(0.0, 0.0), (180.0, 85.05112878), (-180.0, -85.05112878), (179.9999, 84.0)] {
        for width in edges {
            for height in edges {
                let centre = place(longitude, latitude);
                for shape in [Shape::Box { centre, width, height }, Shape::Circle { centre, radius: width }] {
                    assert!(!shape.areas().is_empty());
                    let _ = shape.contains(centre.encode() as f64);
                }
            }
        }
    }
}

#[test]
fn distances_have_four_decimals() {
    let cases = [
        (0.0, "0.0000"),
        (0.00004, "0.0000"),
        (0.00625, "0.0062"),
        (-0.5, "-0.5000"),
        (1e20, "100000000000000000000.0000"),
    ];
    for (distance, text) in cases {
        let mut out = Vec::new();
        write_distance(distance, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}
