//! A disk that fails and forgets, by a seed: the log against short writes, errors, full disks, failed syncs after which the kernel has dropped
//! what it could not write, and power cuts that keep any subset of the blocks that were not synced.
//!
//! `ROSTER_LOG_RUNS` is the number of runs, `ROSTER_LOG_SEED` the first seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::rc::Rc;

use super::disk::Disk;
use super::recover::{Failure, Reader, Recovered, recover};
use super::writer::Log;
use super::{frame, manifest};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 64;
const SEGMENT: u64 = 1024;

#[derive(Clone, Default)]
struct Inode {
    /// What survives.
    durable: Vec<u8>,
    /// What is read.
    seen: Vec<u8>,
    /// Sectors that were written since the last sync.
    dirty: HashSet<usize>,
}

#[derive(Clone)]
enum Name {
    Set(String, usize),
    Remove(String),
}

#[derive(Default)]
struct State {
    random: u64,
    /// Faults in 1000 operations.
    faults: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since these were synced, in their order.
    journal: Vec<Vec<Name>>,
}

impl State {
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }

    fn fault(&mut self) -> io::Result<()> {
        if self.below(1000) >= self.faults {
            return Ok(());
        }
        let code = if self.below(2) == 0 { libc::EIO } else { libc::ENOSPC };
        Err(io::Error::from_raw_os_error(code))
    }

    fn change_names(&mut self, changes: Vec<Name>) {
        apply(&mut self.names, &changes);
        self.journal.push(changes);
    }

    /// The power goes: of what was not synced, any sectors are kept, and names up to some change.
    fn crash(&mut self) {
        for at in 0..self.inodes.len() {
            let dirty: Vec<usize> = self.inodes[at].dirty.iter().copied().collect();
            for sector in dirty {
                if self.below(2) == 0 {
                    self.inodes[at].keep(sector);
                }
            }
            let inode = &mut self.inodes[at];
            inode.dirty.clear();
            inode.seen = inode.durable.clone();
        }
        let kept = self.below(self.journal.len() as u64 + 1) as usize;
        for changes in self.journal.drain(..).take(kept).collect::<Vec<_>>() {
            apply(&mut self.durable_names, &changes);
        }
        self.names = self.durable_names.clone();
    }
}

fn apply(names: &mut BTreeMap<String, usize>, changes: &[Name]) {
    for change in changes {
        match change {
            Name::Set(name, inode) => names.insert(name.clone(), *inode),
            Name::Remove(name) => names.remove(name),
        };
    }
}

impl Inode {
    fn keep(&mut self, sector: usize) {
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.seen.len());
        if self.durable.len() < range.end {
            self.durable.resize(range.end, 0);
        }
        self.durable[range.clone()].copy_from_slice(&self.seen[range]);
    }
}

#[derive(Clone)]
struct Flaky(Rc<RefCell<State>>);

impl Disk for Flaky {
    type File = usize;

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.borrow();
        let inode = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.inodes[*inode].seen.clone())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, length: u64, _: bool) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let inode = match state.names.get(name) {
            Some(inode) => *inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.change_names(vec![Name::Set(name.to_owned(), inode)]);
                inode
            }
        };
        state.fault()?;
        let file = &mut state.inodes[inode];
        if file.seen.len() < length as usize {
            file.seen.resize(length as usize, 0);
            file.durable.resize(length as usize, 0);
        }
        Ok(inode)
    }

    fn write(&self, file: &mut usize, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let short = state.fault().is_err();
        let count =
            if short || state.below(4) == 0 { state.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        let (at, inode) = (at as usize, &mut state.inodes[*file]);
        if inode.seen.len() < at + count {
            inode.seen.resize(at + count, 0);
        }
        inode.seen[at..at + count].copy_from_slice(&bytes[..count]);
        inode.dirty.extend(at / SECTOR..(at + count).div_ceil(SECTOR));
        match count {
            _ if short => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            0 => Err(io::ErrorKind::Interrupted.into()),
            count => Ok(count),
        }
    }

    fn sync(&self, file: &mut usize) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failed = state.fault();
        let dirty: Vec<usize> = state.inodes[*file].dirty.drain().collect();
        for sector in dirty {
            // A failed sync drops what it did not write: it is still read, and no later sync writes it.
            if failed.is_ok() || state.below(2) == 0 {
                state.inodes[*file].keep(sector);
            }
        }
        failed
    }

    fn share(&self, file: &usize) -> io::Result<usize> {
        Ok(*file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.fault()?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![Name::Set(to.to_owned(), inode), Name::Remove(from.to_owned())]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![Name::Remove(name.to_owned())]);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.fault()?;
        state.durable_names = state.names.clone();
        state.journal.clear();
        Ok(())
    }
}

/// What a reader got, and the disk on which it finds a base.
#[derive(Default)]
struct Taken(Vec<Vec<u8>>, Option<Flaky>);

impl Reader for Taken {
    fn base(&mut self, name: &str) -> Result<(), String> {
        let bytes = self.1.as_ref().ok_or("no disk")?.read(name).map_err(|error| error.to_string())?;
        let records = bytes.split(|byte| *byte == b'\n').filter(|record| !record.is_empty());
        self.0 = records.map(<[u8]>::to_vec).collect();
        Ok(())
    }

    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String> {
        // Its own number, or that of the one before which it might have become a part of.
        assert!([0, 1].contains(&(self.0.len() as u64).wrapping_sub(time_ms)), "the time of another record");
        self.0.push(commands.to_vec());
        Ok(())
    }
}

struct Run {
    disk: Flaky,
    /// All records that were ever added and may still be there.
    history: Vec<Vec<u8>>,
    /// Of these, the first so many are durable.
    durable: usize,
    /// So many were there when the record that the log numbers 1 was added.
    offset: usize,
    /// So many are in the base.
    based: usize,
    bases: u32,
    log: Option<Log<Flaky>>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let state = State { random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, ..State::default() };
        Run {
            disk: Flaky(Rc::new(RefCell::new(state))),
            history: Vec::new(),
            durable: 0,
            offset: 0,
            based: 0,
            bases: 0,
            log: None,
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.disk.0.borrow_mut().below(bound)
    }

    /// Reads the log as after a start, and checks that it holds what it must and nothing else.
    fn start(&mut self, seed: u64) {
        self.disk.0.borrow_mut().faults = 0;
        let mut taken = Taken(Vec::new(), Some(self.disk.clone()));
        let Recovered { log, .. } = match recover(self.disk.clone(), true, &mut taken) {
            Ok(recovered) => recovered,
            Err(failure) => panic!("seed {seed}: {failure}"),
        };
        assert!(taken.0.len() >= self.durable, "seed {seed}: {} of {} records", taken.0.len(), self.durable);
        assert!(taken.0.len() <= self.history.len(), "seed {seed}: more records than were added");
        assert_eq!(taken.0[..], self.history[..taken.0.len()], "seed {seed}");
        self.history.truncate(taken.0.len());
        // What was read may be acted on, so the next crash must not take it.
        self.durable = taken.0.len();
        self.offset = self.history.len() - log.last() as usize;
        let manifest = manifest::Manifest::load(&self.disk).ok().flatten().unwrap_or_default();
        self.based = self.offset + manifest.first() as usize - 1;
        self.log = Some(log.with_segments_of(SEGMENT));
    }

    fn step(&mut self) {
        let choice = self.below(100);
        let length = if self.below(50) == 0 { 3000 } else { self.below(100) as usize };
        let time = self.below(2);
        let Some(log) = &mut self.log else { return };
        match choice {
            0..60 => {
                let mut record = format!("{}:", self.history.len()).into_bytes();
                record.resize(record.len() + length, b'x');
                // Some are of the same time, and then become one with that before if it was not written.
                let is_new = log.add((self.history.len() as u64).saturating_sub(time), &record);
                match self.history.last_mut().filter(|_| !is_new) {
                    Some(last) => last.extend_from_slice(&record),
                    None => self.history.push(record),
                }
            }
            60..80 => {
                let _ = log.write();
            }
            80..88 => self.sync_elsewhere(),
            88..97 => {
                if log.write().is_ok() && log.sync().is_ok() && !log.is_apart() {
                    self.durable = self.history.len();
                }
            }
            97 => self.begin_anew(),
            _ => self.rebase(),
        }
    }

    /// The log ends and begins anew, with what is in memory: until its first base the one before is what a start finds.
    fn begin_anew(&mut self) {
        if let Ok(log) = Log::apart(self.disk.clone()) {
            self.log = Some(log.with_segments_of(SEGMENT));
            self.offset = self.history.len();
            self.based = self.offset;
        }
    }

    /// Another thread begins a sync, or one that has begun ends: before or after what was written meanwhile.
    fn sync_elsewhere(&mut self) {
        let (disk, Some(log)) = (self.disk.clone(), &mut self.log) else { return };
        let Ok(Some(mut sync)) = log.begin_sync() else { return };
        let (count, meanwhile) =
            (sync.last as usize + self.offset, format!("{}:meanwhile", self.history.len()).into_bytes());
        let early = self.history.len().is_multiple_of(2).then(|| disk.sync(&mut sync.file));
        log.append(self.history.len() as u64, &meanwhile);
        self.history.push(meanwhile);
        let _ = log.write();
        let result = early.unwrap_or_else(|| disk.sync(&mut sync.file));
        if log.end_sync(sync.last, result).is_ok() && !log.is_apart() {
            self.durable = self.durable.max(count);
        }
    }

    /// A snapshot of the records up to any one takes their place, as the keeper does it; the others stay.
    fn rebase(&mut self) {
        let syncs = self.below(3) > 0;
        let Some(log) = &mut self.log else { return };
        // On a full disk it is done although nothing can be written.
        if syncs && (log.write().is_err() || log.sync().is_err()) {
            return;
        }
        // The base has whole records.
        log.part();
        let all = self.history.len();
        let based = self.based + self.below((all - self.based) as u64 + 1) as usize;
        let synced = if syncs { all } else { based };
        // A file that was left behind is written over.
        self.bases += u32::from(self.below(4) > 0);
        let name = manifest::name_of_base(self.bases);
        let text: Vec<u8> = self.history[..based].iter().flat_map(|record| [record, &b"\n"[..]].concat()).collect();
        let disk = self.disk.clone();
        if self.log.as_ref().and_then(Log::base) == Some(&name) || self.is_in_force(&name) {
            return;
        }
        let written = (|| {
            // As a snapshot is saved: beside, and renamed.
            let _ = disk.remove("temp-1.rdb");
            let mut file = disk.open("temp-1.rdb", 0, true)?;
            disk.write_all(&mut file, 0, &text)?;
            disk.sync(&mut file)?;
            disk.rename("temp-1.rdb", &name)?;
            disk.sync_names()
        })();
        let first = (based - self.offset) as u64 + 1;
        if let (Ok(()), Some(log)) = (written, &mut self.log)
            && log.rebase(&name, first, 0).is_ok()
        {
            (self.based, self.durable) = (based, self.durable.max(synced));
        }
    }

    /// Whether the manifest that is read now, or the one that a power cut may bring back, names this base.
    fn is_in_force(&self, name: &str) -> bool {
        let manifest = manifest::Manifest::load(&self.disk).ok().flatten();
        manifest.and_then(|manifest| manifest.base).is_some_and(|(base, _)| base == name) || self.bases == 0
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_durable_is_lost_whatever_the_disk_does() {
    let first = number("ROSTER_LOG_SEED", 1);
    let mut torn = 0;
    for seed in first..first + number("ROSTER_LOG_RUNS", 2000) {
        let mut run = Run::new(seed);
        run.start(seed);
        for _ in 0..run.below(4) + 1 {
            let faults = [0, 20, 200][run.below(3) as usize];
            run.disk.0.borrow_mut().faults = faults;
            for _ in 0..run.below(120) {
                run.step();
            }
            let before = run.history.len();
            if run.below(3) > 0 {
                run.disk.0.borrow_mut().crash();
            }
            // Else only the process ends: the kernel still has what was written, and nobody may have synced it.
            run.start(seed);
            torn += usize::from(run.history.len() < before);
        }
    }
    assert!(torn > 0, "no run lost anything, so none tested anything");
}

#[test]
fn damage_in_the_midst_of_what_was_durable_is_refused_and_a_torn_end_is_not() {
    let mut run = Run::new(5);
    run.start(5);
    let Some(log) = &mut run.log else { return };
    for at in 0..5u64 {
        log.append(at, b"0123456789");
        log.write().and_then(|()| log.sync()).expect("no faults");
    }
    let name = log.segment_name().expect("one was begun");
    let size = frame::size(10);
    let damage = |at: usize| {
        let mut state = run.disk.0.borrow_mut();
        let inode = state.names[&name];
        state.inodes[inode].seen[at] ^= 1;
    };
    let read = |truncate: bool| recover(run.disk.clone(), truncate, &mut Taken::default()).map(|found| found.records);
    assert!(matches!(read(false), Ok(5)));
    damage(size + 45);
    let refused = read(true).expect_err("it is damaged");
    assert!(
        matches!(&refused, Failure::Damaged { file, offset } if *file == name && *offset == size as u64),
        "{refused}"
    );
    assert!(refused.to_string().contains(&format!("{name} is damaged at offset {size}")), "{refused}");
    damage(size + 45);
    // The last record may have been under way when the power went.
    damage(4 * size + 45);
    assert!(matches!(read(true), Ok(4)));
    let refused = read(false).expect_err("it is torn");
    assert!(refused.to_string().contains("set aof-load-truncated to yes"), "{refused}");
}

#[test]
fn a_torn_end_of_any_length_is_cut_off() {
    let mut run = Run::new(6);
    run.start(6);
    let Some(log) = &mut run.log else { return };
    for at in 0..3u64 {
        log.append(at, &[b'x'; 100]);
    }
    log.write().and_then(|()| log.sync()).expect("no faults");
    let name = log.segment_name().expect("one was begun");
    let size = frame::size(100);
    let inode = run.disk.0.borrow().names[&name];
    let whole = run.disk.0.borrow().inodes[inode].seen.clone();
    for kept in 0..3 * size {
        let mut bytes = whole.clone();
        bytes[kept..].fill(0);
        run.disk.0.borrow_mut().inodes[inode].seen = bytes;
        let mut taken = Taken::default();
        let found = recover(run.disk.clone(), true, &mut taken).unwrap_or_else(|failure| panic!("{kept}: {failure}"));
        // The zeros that fill a record up to a multiple of 8 are no loss.
        let records = (kept + size - (frame::HEAD + 100)) / size;
        assert_eq!((taken.0.len(), found.records), (records, records as u64), "{kept}");
    }
}

#[test]
fn a_log_without_its_manifest_is_refused() {
    let mut run = Run::new(7);
    run.start(7);
    let Some(log) = &mut run.log else { return };
    log.append(0, b"x");
    log.write().and_then(|()| log.sync()).expect("no faults");
    run.disk.remove(manifest::NAME).expect("it is there");
    assert!(
        matches!(recover(run.disk.clone(), true, &mut Taken::default()), Err(Failure::Io(name, _)) if name == "manifest")
    );
}
