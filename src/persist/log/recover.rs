//! Reading a log at start: the snapshot, then the records in their order, up to the end or to where a crash has torn it.

use std::fmt;
use std::io;

use super::disk::Disk;
use super::frame;
use super::manifest::{self, Manifest, Segment};
use super::writer::Log;

/// Who takes what a log holds.
pub trait Reader {
    /// Loads the snapshot in this file of the log's folder.
    ///
    /// # Errors
    /// Why it cannot be.
    fn base(&mut self, name: &str) -> Result<(), String>;

    /// Takes a record.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String>;
}

/// The end of a log that a crash has torn: what is there is not a whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub file: String,
    /// Where the last whole record ends.
    pub offset: u64,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub enum Failure {
    /// A file cannot be read.
    Io(String, io::Error),
    /// What was once durable is damaged: what follows it would be lost.
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
    },
    /// Its end is torn, and that was not to be accepted.
    Torn(Torn),
    /// What it holds cannot be taken.
    Refused {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(file, error) => write!(formatter, "{file}: {error}"),
            Failure::Damaged { file, offset } => write!(
                formatter,
                "{file} is damaged at offset {offset}, in the midst of what was durable: restore it from a copy; nothing was \
                 changed"
            ),
            Failure::Torn(Torn { file, offset }) => write!(
                formatter,
                "{file} ends at offset {offset} within a record, as after a crash: set aof-load-truncated to yes to go on \
                 without that record"
            ),
            Failure::Refused { file, offset, reason } => write!(formatter, "{file} at offset {offset}: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}

/// A log that was read, and what was found.
pub struct Recovered<D: Disk> {
    /// The log, to be gone on with.
    pub log: Log<D>,
    /// Records that were read.
    pub records: u64,
    /// Where it was torn.
    pub torn: Option<Torn>,
}

/// Where the reading of a segment ended.
enum End {
    /// Where the next one begins.
    Next,
    /// Where nothing was written yet.
    Clean,
    /// At the offset of something else than a record.
    Torn(u64),
}

/// What was read.
struct Found {
    manifest: Manifest,
    /// The number of the record that follows.
    next: u64,
    /// Bytes of records that are not in the base.
    bytes: u64,
    records: u64,
    torn: Option<Torn>,
}

/// Reads the log of a folder, an empty one where there is none. `truncate` accepts a torn end.
///
/// # Errors
/// Why it cannot be read.
pub fn recover<D: Disk>(disk: D, truncate: bool, reader: &mut impl Reader) -> Result<Recovered<D>, Failure> {
    let Found { manifest, next, bytes, records, torn } = read_all(&disk, truncate, reader)?;
    if manifest != Manifest::default() {
        let settled = settle(&disk, &manifest);
        settled.map_err(|error| Failure::Io(manifest::NAME.to_owned(), error))?;
    }
    let log = Log::new(disk, manifest, next - 1, bytes).map_err(|error| Failure::Io(".".to_owned(), error))?;
    Ok(Recovered { log, records, torn })
}

/// Reads the log of a folder without going on with it, which another may do meanwhile; the number of its records.
///
/// # Errors
/// Why it cannot be read.
pub fn read<D: Disk>(disk: &D, truncate: bool, reader: &mut impl Reader) -> Result<u64, Failure> {
    read_all(disk, truncate, reader).map(|found| found.records)
}

fn read_all<D: Disk>(disk: &D, truncate: bool, reader: &mut impl Reader) -> Result<Found, Failure> {
    let failure = |name: &str| {
        let name = name.to_owned();
        move |error| Failure::Io(name, error)
    };
    let manifest = Manifest::load(disk).map_err(failure(manifest::NAME))?;
    let manifest = match manifest {
        Some(manifest) => manifest,
        None => {
            if let Some(name) = disk.list().map_err(failure("."))?.into_iter().find(|name| name.ends_with(".log")) {
                // A segment is named in the manifest before it is written, unless the very first was being made.
                let bytes = disk.read(&name).map_err(failure(&name))?;
                if bytes.iter().any(|byte| *byte != 0) {
                    let error = io::Error::new(io::ErrorKind::NotFound, "it is missing, but there are segments");
                    return Err(Failure::Io(manifest::NAME.to_owned(), error));
                }
            }
            Manifest::default()
        }
    };
    if let Some((name, _)) = &manifest.base {
        let refused = |reason| Failure::Refused { file: name.clone(), offset: 0, reason };
        reader.base(name).map_err(refused)?;
    }
    let mut next = manifest.first();
    let (mut records, mut bytes, mut torn) = (0, 0, None);
    for (at, &segment) in manifest.segments.iter().enumerate() {
        let end = manifest.segments.get(at + 1).map(|segment| segment.first);
        let before = next;
        let (outcome, used) = read_segment(disk, segment, end, &mut next, reader)?;
        records += next - before;
        bytes += used;
        match outcome {
            End::Next | End::Clean => (),
            End::Torn(offset) if truncate => torn = Some(Torn { file: segment.name(), offset }),
            End::Torn(offset) => return Err(Failure::Torn(Torn { file: segment.name(), offset })),
        }
    }
    Ok(Found { manifest, next, bytes, records, torn })
}

/// Makes durable what was read of the last segment: clients are about to act on it. The process that wrote it may have ended before
/// it had synced, or after a sync had failed, which leaves behind what the kernel shows and will never write. So it is written again.
fn settle<D: Disk>(disk: &D, manifest: &Manifest) -> io::Result<()> {
    // The list itself may have been replaced a moment before the end.
    let Some(&segment) = manifest.segments.last() else { return manifest.store(disk) };
    let bytes = disk.read(&segment.name())?;
    let mut end = 0;
    let mut sequence = segment.first;
    while let Some(found) = frame::read(&bytes[end..], segment.number).filter(|found| found.sequence == sequence) {
        end += frame::size(found.payload.len()).min(bytes.len() - end);
        sequence += 1;
    }
    let mut file = disk.open(&segment.name(), 0, true)?;
    disk.write_all(&mut file, 0, &bytes[..end])?;
    disk.sync(&mut file)?;
    manifest.store(disk)
}

/// Gives the records of a segment from the number `next` on to the reader, and returns how it ended and how many bytes these have.
fn read_segment<D: Disk>(
    disk: &D,
    segment: Segment,
    end: Option<u64>,
    next: &mut u64,
    reader: &mut impl Reader,
) -> Result<(End, u64), Failure> {
    let file = segment.name();
    if end.is_some_and(|end| end <= *next && end <= segment.first) {
        // Given up before anything of it was durable.
        return Ok((End::Next, 0));
    }
    let bytes = disk.read(&file).map_err(|error| Failure::Io(file.clone(), error))?;
    let (mut offset, mut used) = (0, 0);
    // The base may hold the first records of its first segment.
    let mut here = segment.first;
    loop {
        if end == Some(here) {
            return Ok((End::Next, used));
        }
        let rest = &bytes[offset..];
        let Some(found) = frame::read(rest, segment.number).filter(|found| found.sequence == here) else { break };
        if here >= *next {
            if here > *next {
                return Err(Failure::Damaged { file, offset: offset as u64 });
            }
            let refused = |reason| Failure::Refused { file: file.clone(), offset: offset as u64, reason };
            reader.record(found.time_ms, found.payload).map_err(refused)?;
            *next += 1;
            used += frame::size(found.payload.len()) as u64;
        }
        here += 1;
        offset += frame::size(found.payload.len()).min(rest.len());
    }
    if here < *next && end.is_none_or(|end| end <= *next) {
        // All that is missing is in the base, unless something behind it is lost with it.
        return match look_beyond(&bytes, offset, segment.number, here) {
            Beyond::Durable if end.is_none() => Err(Failure::Damaged { file, offset: offset as u64 }),
            _ => Ok((End::Clean, used)),
        };
    }
    let outcome = match (end, look_beyond(&bytes, offset, segment.number, here)) {
        (Some(_), _) | (None, Beyond::Durable) => return Err(Failure::Damaged { file, offset: offset as u64 }),
        (None, Beyond::Written) => End::Torn(offset as u64),
        (None, Beyond::Nothing) => End::Clean,
    };
    Ok((outcome, used))
}

/// What is behind the last whole record.
enum Beyond {
    /// Nothing that was written to this segment.
    Nothing,
    /// Something that was under way when the power went.
    Written,
    /// A record that was written when the missing one was durable.
    Durable,
}

fn look_beyond(bytes: &[u8], offset: usize, segment: u32, missing: u64) -> Beyond {
    let mut beyond = Beyond::Nothing;
    for at in (offset..bytes.len()).step_by(8) {
        if !frame::claims(&bytes[at..], segment) {
            continue;
        }
        match frame::read(&bytes[at..], segment) {
            Some(frame) if frame.durable >= missing => return Beyond::Durable,
            Some(frame) if frame.sequence >= missing => beyond = Beyond::Written,
            None if at == offset => beyond = Beyond::Written,
            _ => (),
        }
    }
    beyond
}
