//! Cutting a file between keys, without looking into values.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use super::{Loading, PIECE, Piece};
use crate::persist::rdb::extent::{Extent, extent};
use crate::persist::rdb::file::Head;
use crate::persist::rdb::{Damage, crc64};

/// Cuts a file into pieces.
pub(super) struct Splitter<R> {
    pub(super) file: R,
    pub(super) sum: u64,
    /// Bytes of the file before what is at hand.
    pub(super) at: u64,
    database: u64,
    /// What was said of databases' keys in the piece at hand.
    sizes: Vec<(u64, u64)>,
}

impl<R: Read> Splitter<R> {
    /// Of a file whose head was read and has this sum.
    pub(super) fn new(file: R, sum: u64) -> Self {
        Splitter { file, sum, at: Head::LEN as u64, database: 0, sizes: Vec::new() }
    }

    /// Reads the file and sends its pieces.
    ///
    /// # Errors
    /// Why it cannot be read on at `at`.
    pub(super) fn split(&mut self, loading: &Loading, sender: &SyncSender<Piece>) -> Result<(), Damage> {
        let mut bytes = loading.buffer();
        // A part that is longer than a piece doubles what is read, so that looking for its end anew costs no more than it.
        let mut wanted = PIECE;
        loop {
            let is_last = self.fill(&mut bytes, wanted)?;
            let first = self.database;
            let (len, is_end) = self.whole_parts(&bytes, loading)?;
            if len == 0 && !is_end {
                if is_last {
                    self.at += bytes.len() as u64;
                    return Err(Damage::Truncated);
                }
                wanted = bytes.len() * 2;
                continue;
            }
            let mut rest = loading.buffer();
            rest.extend_from_slice(&bytes[len..]);
            bytes.truncate(len);
            self.sum = crc64::update(self.sum, &bytes);
            let base = self.at;
            self.at += len as u64;
            loading.position.store(self.at, Ordering::Relaxed);
            // Nobody takes it any more if all workers have ended, and then they tell why.
            let _ = sender.send(Piece { base, database: first, sizes: std::mem::take(&mut self.sizes), bytes });
            if is_end {
                let sum = if loading.head.is_summed() { 8 } else { 0 };
                loading.position.store(self.at + 1 + sum, Ordering::Relaxed);
                return self.end(rest, loading.head);
            }
            if loading.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            bytes = rest;
            wanted = PIECE;
        }
    }

    /// Reads until there are so many bytes, or the file ends: whether it does.
    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<bool, Damage> {
        let missing = wanted.saturating_sub(bytes.len()) as u64;
        let read = self.file.by_ref().take(missing).read_to_end(bytes).map_err(Damage::Source)?;
        Ok((read as u64) < missing)
    }

    /// The bytes of the whole parts at hand, and whether the file's end follows.
    fn whole_parts(&mut self, bytes: &[u8], loading: &Loading) -> Result<(usize, bool), Damage> {
        let mut len = 0;
        // A piece that was too short is looked at anew.
        self.sizes.clear();
        loop {
            let found = extent(&bytes[len..], loading.head, loading.bounds.string);
            match found.inspect_err(|_| self.at += len as u64)? {
                Extent::Part { len: more, database, keys } => {
                    len += more;
                    self.database = database.unwrap_or(self.database);
                    self.sizes.extend(keys.map(|keys| (self.database, keys)));
                }
                Extent::End => return Ok((len, true)),
                Extent::More => return Ok((len, false)),
            }
        }
    }

    /// Compares the checksum behind the mark of the end.
    fn end(&mut self, mut rest: Vec<u8>, head: Head) -> Result<(), Damage> {
        if !head.is_summed() {
            return Ok(());
        }
        self.fill(&mut rest, 9)?;
        let Some((mark, sum)) = rest.split_first_chunk::<1>() else { return Err(Damage::Truncated) };
        let sum = u64::from_le_bytes(*sum.first_chunk().ok_or(Damage::Truncated)?);
        // 0 is that the writer had none.
        if sum == 0 || sum == crc64::update(self.sum, mark) { Ok(()) } else { Err(Damage::Checksum) }
    }
}
