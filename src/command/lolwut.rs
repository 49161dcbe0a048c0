//! `LOLWUT`: a picture that is never the same, and the version.

use super::identity;
use super::{Context, Error};
use crate::protocol::{Args, number};

/// Characters of a line.
const WIDTH: usize = 64;
/// Lines of a picture.
const HEIGHT: usize = 18;

/// `LOLWUT [VERSION n] [seed …]`: later arguments are taken and ignored, as Redis's pictures take their own.
pub(super) fn lolwut(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let asked = args.nth(1).is_some_and(|word| word.eq_ignore_ascii_case(b"VERSION"));
    let drawn = match args.nth(2).filter(|_| asked) {
        Some(version) => number::parse_i64(version).ok_or(Error::NOT_INTEGER)? != 0,
        None => true,
    };
    let mut text = if drawn { meadow(|| cx.worker.random()) } else { String::new() };
    text.push_str("Redis ver. ");
    text.push_str(identity::REDIS_VERSION);
    text.push_str(", Roster ver. ");
    text.push_str(identity::ROSTER_VERSION);
    text.push('\n');
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// A night meadow: stars above a line of hills, which a random walk with a slope draws, and grass below.
fn meadow(mut random: impl FnMut() -> u64) -> String {
    const STARS: &[u8] = b".*'+";
    const GRASS: &[u8] = b"\"v,`w";
    let mut canvas = [[b' '; WIDTH]; HEIGHT];
    let (mut height, mut slope) = (HEIGHT as i64 / 2, 0i64);
    for column in 0..WIDTH {
        slope = (slope + random() as i64 % 3).clamp(-2, 2);
        height = (height + slope / 2).clamp(5, HEIGHT as i64 - 4);
        let ground = height as usize;
        let (line, roll) = (random() as usize % ground, random());
        if roll.is_multiple_of(4) {
            canvas[line][column] = STARS[(roll >> 8) as usize % STARS.len()];
        }
        canvas[ground][column] = match slope / 2 {
            0 => b'_',
            up if up < 0 => b'/',
            _ => b'\\',
        };
        for line in canvas.iter_mut().skip(ground + 1) {
            let roll = random();
            if roll.is_multiple_of(5) {
                line[column] = GRASS[(roll >> 8) as usize % GRASS.len()];
            }
        }
    }
    let lines = canvas.iter().map(|line| String::from_utf8_lossy(line).trim_end().to_owned() + "\n");
    lines.collect::<String>() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn a_picture_ends_with_the_version() {
        let mut rig = Rig::new();
        let line = format!("Redis ver. 7.2.4, Roster ver. {}\n", env!("CARGO_PKG_VERSION"));
        let picture = rig.run("LOLWUT");
        assert!(picture.ends_with(&line) && picture.lines().count() > HEIGHT, "{picture}");
        assert_ne!(rig.run("LOLWUT"), picture);
        assert_eq!(rig.run("LOLWUT VERSION 0"), format!("${}|{line}", line.len()));
        assert_eq!(rig.run("LOLWUT VERSION x"), "-ERR value is not an integer or out of range");
        assert!(rig.run("LOLWUT VERSION 5 1 2 3").len() > 200);
    }

    #[test]
    fn every_roll_of_the_dice_stays_on_the_canvas() {
        for value in [0, 1, 2, u64::MAX, u64::MAX / 2, 1 << 63] {
            let picture = meadow(|| value);
            assert!(picture.lines().all(|line| line.len() <= WIDTH));
        }
    }
}
