//! The list of what makes up a log: a snapshot to begin with, and segments. It is replaced as a whole.

use std::fmt::Write as _;
use std::io;

use super::disk::Disk;

/// The file.
pub(super) const NAME: &str = "manifest";
/// Where its successor is written.
const NEXT: &str = "manifest.next";
const TITLE: &str = "roster-log 1";

/// A segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number; no two segments of a log ever have the same.
    pub(super) number: u32,
    /// The number of its first record. It ends where the next one begins.
    pub(super) first: u64,
}

impl Segment {
    /// The name of its file.
    pub(super) fn name(self) -> String {
        name_of(self.number)
    }
}

/// The name of the file of a segment.
pub(super) fn name_of(number: u32) -> String {
    format!("{number:08}.log")
}

/// The number of the segment whose file has this name, if it is one.
pub(super) fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(".log")?.parse().ok()
}

/// The name of the file of a base.
pub fn name_of_base(number: u32) -> String {
    format!("base-{number:08}.rdb")
}

/// The number of the base whose file has this name, if it is one.
pub(super) fn number_of_base(name: &str) -> Option<u32> {
    name.strip_prefix("base-")?.strip_suffix(".rdb")?.parse().ok()
}

/// Whether a file of this name is a base, or one that is being written.
pub(super) fn is_base(name: &str) -> bool {
    number_of_base(name).is_some() || (name.starts_with("temp-") && name.ends_with(".rdb"))
}

/// What makes up a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The snapshot's file, and the number of the first record that is not in it.
    pub(super) base: Option<(String, u64)>,
    /// The segments in their order.
    pub(super) segments: Vec<Segment>,
}

impl Manifest {
    /// The number of the first record that is needed.
    pub(super) fn first(&self) -> u64 {
        self.base.as_ref().map_or(1, |(_, first)| *first)
    }

    fn text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        // Writing to a String cannot fail.
        if let Some((name, first)) = &self.base {
            let _ = writeln!(text, "base {first} {name}");
        }
        for segment in &self.segments {
            let _ = writeln!(text, "segment {} {}", segment.number, segment.first);
        }
        let _ = writeln!(text, "crc32c {:08x}", crc32c::crc32c(text.as_bytes()));
        text
    }

    fn parse(text: &str) -> Option<Manifest> {
        let body = text.get(..text.rfind("crc32c ")?)?;
        let sum = text.get(body.len()..)?.strip_prefix("crc32c ")?.strip_suffix('\n')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        let mut manifest = Manifest::default();
        (lines.next()? == TITLE).then_some(())?;
        for line in lines {
            let mut words = line.splitn(3, ' ');
            match (words.next()?, words.next()?, words.next()?) {
                ("base", first, name) => manifest.base = Some((name.to_owned(), first.parse().ok()?)),
                ("segment", number, first) => {
                    manifest.segments.push(Segment { number: number.parse().ok()?, first: first.parse().ok()? });
                }
                _ => return None,
            }
        }
        let ascends =
            manifest.segments.windows(2).all(|pair| pair[0].number < pair[1].number && pair[0].first <= pair[1].first);
        ascends.then_some(manifest)
    }

    /// The manifest of a folder; `None` where there is none, which is a log that has yet to begin.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn load<D: Disk>(disk: &D) -> io::Result<Option<Manifest>> {
        let bytes = match disk.read(NAME) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest = std::str::from_utf8(&bytes).ok().and_then(Manifest::parse);
        manifest.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file is damaged"))
    }

    /// Puts this in place of the manifest of a folder.
    ///
    /// # Errors
    /// Why it cannot be written; then either the one before or this one is in force.
    pub(super) fn store<D: Disk>(&self, disk: &D) -> io::Result<()> {
        // One that was left behind may be longer than this one.
        match disk.remove(NEXT) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut file = disk.open(NEXT, 0, true)?;
        disk.write_all(&mut file, 0, self.text().as_bytes())?;
        disk.sync(&mut file)?;
        disk.rename(NEXT, NAME)?;
        disk.sync_names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_no_damaged_one_is() {
        let mut manifest = Manifest::default();
        assert_eq!(Manifest::parse(&manifest.text()), Some(manifest.clone()));
        manifest.segments = vec![Segment { number: 1, first: 1 }, Segment { number: 7, first: 1000 }];
        manifest.base = Some(("base one.rdb".to_owned(), 17));
        let text = manifest.text();
        assert_eq!(Manifest::parse(&text), Some(manifest));
        for at in 0..text.len() {
            assert_eq!(Manifest::parse(&text[..at]), None, "cut off at {at}");
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            assert_eq!(std::str::from_utf8(&damaged).ok().and_then(Manifest::parse), None, "a damaged byte at {at}");
        }
    }
}
