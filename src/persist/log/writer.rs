//! A log that is written: records go into the segment at hand, and into a new one when that is full or can no longer be trusted.

use std::io;

use super::disk::Disk;
use super::frame;
use super::manifest::{self, Manifest, Segment};

/// Bytes of a segment, unless a single record needs more.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Bytes of commands up to which what ran at the same millisecond goes into one record: most of what a busy worker does, each
/// of which would else have a head of its own.
const JOINED_BYTES: usize = 16 << 10;
/// Files of former segments that are kept to be used again.
const SPARES: usize = 2;

/// The segment that is being written.
struct Open<F> {
    file: F,
    number: u32,
    length: u64,
    used: u64,
}

/// A log that is written.
///
/// Records stay in memory until they are durable. A failed write is repeated at its place. After a failed sync nothing is known
/// of the file (the kernel may have dropped what it could not write, and the next sync would succeed without it), so all that was not
/// durable is written again to a new segment.
pub struct Log<D: Disk> {
    disk: D,
    manifest: Manifest,
    segment_bytes: u64,
    open: Option<Open<D::File>>,
    /// One that was made and could not be named.
    prepared: Option<Open<D::File>>,
    /// Files to be used again.
    spares: Vec<String>,
    /// The greatest number that any segment had.
    number: u32,
    /// The number of the next record.
    next: u64,
    /// The last record that was synced.
    synced: u64,
    /// The last record in the segment.
    written: u64,
    /// Records that may have to be written again, and those that have yet to be.
    tail: Vec<u8>,
    /// Bytes of the tail that were written.
    done: usize,
    /// Where the record that may still grow begins, and its time.
    growing: Option<(usize, u64)>,
    /// Whether a segment's blocks are written when it is made, so that no sync has to note that they are.
    prepares: bool,
    /// Bytes of all records since the base.
    bytes: u64,
    /// Whether another thread syncs the segment.
    is_syncing: bool,
    /// Whether it has yet to take the place of another log, which is in force until then.
    is_apart: bool,
}

/// A sync that another thread is to make.
pub struct Sync<F> {
    /// The segment's file.
    pub file: F,
    /// The last record that it makes durable.
    pub last: u64,
}

impl<D: Disk> Log<D> {
    /// A log that goes on after its record `last`. Files that its manifest does not name are left-overs.
    pub(super) fn new(disk: D, manifest: Manifest, last: u64, bytes: u64) -> io::Result<Self> {
        let number = manifest.segments.last().map_or(0, |segment| segment.number);
        let mut log = Log { number, next: last + 1, synced: last, written: last, bytes, ..Log::bare(disk, manifest) };
        log.sweep()?;
        Ok(log)
    }

    /// Nothing but a manifest.
    fn bare(disk: D, manifest: Manifest) -> Self {
        Log {
            disk,
            manifest,
            segment_bytes: SEGMENT_BYTES,
            open: None,
            prepared: None,
            spares: Vec::new(),
            number: 0,
            next: 1,
            synced: 0,
            written: 0,
            tail: Vec::new(),
            done: 0,
            growing: None,
            prepares: true,
            bytes: 0,
            is_syncing: false,
            is_apart: false,
        }
    }

    /// A log without any record that takes the place of whatever is in a folder with its first [`Log::rebase`]. Until then nothing
    /// that is there is touched, and a start finds that.
    ///
    /// # Errors
    /// Why the folder cannot be read.
    pub fn apart(disk: D) -> io::Result<Self> {
        let names = disk.list()?;
        let numbers = names.iter().filter_map(|name| manifest::number_of(name)).max();
        let empty = Manifest::default();
        if !names.iter().any(|name| name == manifest::NAME) {
            // Segments without any list would be taken for a log that has lost it.
            empty.store(&disk)?;
        }
        Ok(Log { is_apart: true, number: numbers.unwrap_or(0), ..Log::bare(disk, empty) })
    }

    /// Discards files that the manifest does not name.
    fn sweep(&mut self) -> io::Result<()> {
        for name in self.disk.list()? {
            if let Some(number) = manifest::number_of(&name) {
                self.number = self.number.max(number);
                let is_spare = self.spares.contains(&name);
                if !is_spare && !self.manifest.segments.iter().any(|segment| segment.number == number) {
                    self.discard(name);
                }
            } else if manifest::is_base(&name) && self.manifest.base.as_ref().is_none_or(|(base, _)| *base != name) {
                // A snapshot that was being written when the process ended, or was replaced. A file too many does no harm.
                let _ = self.disk.remove(&name);
            }
        }
        Ok(())
    }

    /// The greatest number that any base in the folder has.
    ///
    /// # Errors
    /// Why the folder cannot be read.
    pub fn base_number(&self) -> io::Result<u32> {
        Ok(self.disk.list()?.iter().filter_map(|name| manifest::number_of_base(name)).max().unwrap_or(0))
    }

    /// The name of the base, if there is one.
    pub fn base(&self) -> Option<&str> {
        self.manifest.base.as_ref().map(|(name, _)| name.as_str())
    }

    /// Whether it has yet to take the place of another log.
    pub fn is_apart(&self) -> bool {
        self.is_apart
    }

    /// Sets how many bytes a segment has.
    #[cfg(test)]
    pub(super) fn with_segments_of(self, segment_bytes: u64) -> Self {
        Log { segment_bytes, ..self }
    }

    /// Whether nothing was ever written to it.
    pub fn is_new(&self) -> bool {
        self.manifest == Manifest::default()
    }

    /// The folder.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Says whether segments to come are to be synced after every few records, or now and then.
    pub fn set_strict(&mut self, strict: bool) {
        self.prepares = strict;
    }

    /// Adds a record, which [`Log::write`] writes.
    pub fn append(&mut self, time_ms: u64, payload: &[u8]) {
        let before = self.tail.len();
        frame::begin(self.next, time_ms, payload, &mut self.tail);
        self.bytes += (self.tail.len() - before) as u64;
        self.next += 1;
        self.growing = Some((before, time_ms));
    }

    /// Adds commands to the last record if that is of the same time, not too long and not written; else as a record. Whether it is
    /// another record.
    pub fn add(&mut self, time_ms: u64, payload: &[u8]) -> bool {
        let before = self.tail.len();
        let growing = self.growing.filter(|&(_, time)| time == time_ms);
        let Some((start, _)) = growing.filter(|&(start, _)| before - start + payload.len() <= JOINED_BYTES) else {
            self.append(time_ms, payload);
            return true;
        };
        frame::extend(&mut self.tail, start, payload);
        self.bytes += (self.tail.len() - before) as u64;
        false
    }

    /// Has what is added next be another record.
    pub fn part(&mut self) {
        self.growing = None;
    }

    /// The number of the last record.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// Bytes of all records since the base.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of records that are in memory, because they are not durable.
    pub fn pending(&self) -> usize {
        self.tail.len()
    }

    /// Whether something was written that is not durable.
    pub fn is_unsynced(&self) -> bool {
        self.written > self.synced
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// Why that fails. Nothing is lost by it: the next call tries again.
    pub fn write(&mut self) -> io::Result<()> {
        // Also where nothing comes to be written: offsets move when memory is let go.
        self.part();
        while self.done < self.tail.len() {
            let (size, sequence) = frame::extent(&self.tail[self.done..]);
            let fits = |open: &Open<_>, bytes: usize| open.length - open.used >= bytes as u64;
            if !self.open.as_ref().is_some_and(|open| fits(open, size)) {
                // A segment is complete and durable before the next one is named. If a sync fails that is under way, only it is told.
                if self.is_syncing {
                    return Ok(());
                }
                self.sync()?;
                self.begin_segment(frame::extent(&self.tail[self.done..]))?;
                continue;
            }
            let Some(open) = &mut self.open else { continue };
            let (start, mut end, mut last) = (self.done, self.done, sequence);
            while end < self.tail.len() {
                let (size, sequence) = frame::extent(&self.tail[end..]);
                if !fits(open, end + size - start) {
                    break;
                }
                frame::seal(&mut self.tail[end..end + size], open.number, self.synced);
                end += size;
                last = sequence;
            }
            self.disk.write_all(&mut open.file, open.used, &self.tail[start..end])?;
            open.used += (end - start) as u64;
            self.done = end;
            self.written = last;
        }
        Ok(())
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// Why that fails. Then all that was not durable is written again by the next [`Log::write`].
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| self.written > self.synced) else { return Ok(()) };
        if let Err(error) = self.disk.sync(&mut open.file) {
            self.give_up();
            return Err(error);
        }
        self.synced = self.written;
        self.release();
        Ok(())
    }

    /// After a failed sync: all that was not durable has to be written again, elsewhere.
    fn give_up(&mut self) {
        self.open = None;
        self.done = 0;
        let first = if self.tail.is_empty() { self.next } else { frame::extent(&self.tail).1 };
        self.written = self.synced.max(first - 1);
        self.synced = self.written;
    }

    /// Begins a sync of what was written that another thread makes, while this one goes on writing. [`Log::end_sync`] is to be
    /// called with its outcome; until then there is no other.
    ///
    /// # Errors
    /// The file cannot be shared.
    pub fn begin_sync(&mut self) -> io::Result<Option<Sync<D::File>>> {
        let Some(open) = self.open.as_ref().filter(|_| self.written > self.synced && !self.is_syncing) else {
            return Ok(None);
        };
        let sync = Sync { file: self.disk.share(&open.file)?, last: self.written };
        self.is_syncing = true;
        Ok(Some(sync))
    }

    /// Ends a sync that another thread has made up to the record `last`.
    ///
    /// # Errors
    /// That of the sync, as [`Log::sync`].
    pub fn end_sync(&mut self, last: u64, result: io::Result<()>) -> io::Result<()> {
        self.is_syncing = false;
        self.part();
        if result.is_err() {
            self.give_up();
            return result;
        }
        self.synced = self.synced.max(last);
        let mut end = 0;
        while end < self.done {
            let (size, sequence) = frame::extent(&self.tail[end..]);
            if sequence > last {
                break;
            }
            end += size;
        }
        self.tail.drain(..end);
        self.done -= end;
        Ok(())
    }

    /// Whether another thread syncs.
    pub fn is_syncing(&self) -> bool {
        self.is_syncing
    }

    /// Lets go of what was written, though it may not be durable.
    pub fn release(&mut self) {
        self.part();
        if self.done == self.tail.len() {
            self.tail.clear();
            // One large burst must not keep its memory for ever.
            if self.tail.capacity() > SEGMENT_BYTES as usize {
                self.tail = Vec::new();
            }
        } else {
            self.tail.drain(..self.done);
        }
        self.done = 0;
    }

    /// Begins a segment with the record of this size and number.
    fn begin_segment(&mut self, (size, first): (usize, u64)) -> io::Result<()> {
        let open = match self.prepared.take().filter(|open| open.length >= size as u64) {
            Some(open) => open,
            None => self.prepare(self.segment_bytes.max(size as u64))?,
        };
        let segment = Segment { number: open.number, first };
        let mut manifest = self.manifest.clone();
        // What is to be written again lies in segments that were given up; one without any other record is forgotten.
        let given_up: Vec<Segment> = manifest.segments.extract_if(.., |other| other.first >= first).collect();
        manifest.segments.push(segment);
        if !self.is_apart
            && let Err(error) = manifest.store(&self.disk)
        {
            // It may be in force, so the file has to stay; the next attempt goes on with it, since nothing was written to it.
            self.prepared = Some(open);
            return Err(error);
        }
        self.manifest = manifest;
        // A log apart may have been named by an attempt to put it in its place that has failed; it is swept when one succeeds.
        if !self.is_apart {
            given_up.iter().for_each(|segment| self.discard(segment.name()));
        }
        self.open = Some(open);
        Ok(())
    }

    /// Makes a file for a segment of this length.
    fn prepare(&mut self, length: u64) -> io::Result<Open<D::File>> {
        // A number is used once, even if what follows fails.
        self.number += 1;
        let (number, name) = (self.number, manifest::name_of(self.number));
        if length == self.segment_bytes
            && let Some(spare) = self.spares.pop()
        {
            // Without it, the file is made anew.
            let _ = self.disk.rename(&spare, &name);
        }
        let file = self.disk.open(&name, length, self.prepares).inspect_err(|_| {
            // On a full disk a part of the file would take the room that the next attempt needs.
            let _ = self.disk.remove(&name);
        })?;
        Ok(Open { file, number, length, used: 0 })
    }

    /// Replaces all records before the number `first` by a snapshot, whose file is durable under its name. `bytes` of records
    /// had been added when `first` was to come.
    ///
    /// # Errors
    /// Why the manifest cannot be replaced; then the log is as before.
    pub fn rebase(&mut self, name: &str, first: u64, bytes: u64) -> io::Result<()> {
        if self.written < first && !self.is_syncing {
            // The snapshot has all of the segment at hand, whose room may be the last there is: what is not durable goes elsewhere.
            self.give_up();
        }
        let mut manifest = self.manifest.clone();
        let before = manifest.base.replace((name.to_owned(), first));
        let ends: Vec<u64> = manifest.segments.iter().skip(1).map(|segment| segment.first).chain([self.next]).collect();
        let mut ends = ends.into_iter();
        let open = self.open.as_ref().map(|open| open.number);
        let needless =
            |segment: &mut Segment| ends.next().is_some_and(|end| end <= first) && open != Some(segment.number);
        let needless: Vec<Segment> = manifest.segments.extract_if(.., needless).collect();
        manifest.store(&self.disk)?;
        self.manifest = manifest;
        needless.iter().for_each(|segment| self.discard(segment.name()));
        if let Some((former, _)) = before.filter(|(former, _)| former != name) {
            // A file too many does no harm.
            let _ = self.disk.remove(&former);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if std::mem::take(&mut self.is_apart) {
            // What was in force before is a left-over. Files too many do no harm.
            let _ = self.sweep();
        }
        Ok(())
    }

    /// Keeps a file that is needed no more to be used again, or removes it.
    fn discard(&mut self, name: String) {
        if self.spares.len() < SPARES {
            self.spares.push(name);
        } else {
            // A file too many does no harm.
            let _ = self.disk.remove(&name);
        }
    }

    /// The name of a segment's file; for messages.
    pub fn segment_name(&self) -> Option<String> {
        self.open.as_ref().map(|open| manifest::name_of(open.number))
    }
}
