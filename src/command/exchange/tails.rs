//! Append-only files that are cut off at every byte, and that have every byte damaged.

use std::path::PathBuf;

use super::Bench;
use super::import::Import;
use super::tests::{Scratch, commands};
use crate::persist::aof::Parts;
use crate::protocol::Frame;
use crate::store::{Collection, Store};
use crate::value::list::List;

/// What the file does, one after the other: each appends its numbers to a list.
const UNITS: [&[&str]; 8] = [
    &["SELECT 0"],
    &["RPUSH l 1"],
    &["#TS:1700000000"],
    &["MULTI", "RPUSH l 2", "RPUSH l 3", "EXEC"],
    &["RPUSH l 4"],
    &["MULTI", "EXEC"],
    &["MULTI", "RPUSH l 5", "XADD x 1-1 f v", "EXEC"],
    &["RPUSH l 6 7"],
];

/// The file, where each unit ends, and how many numbers are in the list then.
fn file() -> (Vec<u8>, Vec<(usize, usize)>) {
    let (mut bytes, mut ends) = (Vec::new(), vec![(0, 0)]);
    for unit in UNITS {
        bytes.extend_from_slice(&commands(unit));
        let is_number = |word: &&str| word.parse::<usize>().is_ok();
        let numbers: usize = unit.iter().map(|line| line.split(' ').skip(2).filter(is_number).count()).sum();
        ends.push((bytes.len(), ends[ends.len() - 1].1 + numbers));
    }
    (bytes, ends)
}

/// A keyspace that one import after the other fills.
struct Reused {
    bench: Option<Bench>,
    scratch: Scratch,
}

impl Reused {
    fn new(name: &str) -> Reused {
        let scratch = Scratch::new(name);
        let bench = Bench::new(&PathBuf::from(scratch.path("into"))).expect("a keyspace");
        Reused { bench: Some(bench), scratch }
    }

    /// Imports a file of these bytes: what was said or why it was refused, and the list.
    fn import(&mut self, bytes: &[u8], strict: bool) -> (Result<String, String>, Vec<String>) {
        let mut bench = self.bench.take().expect("one at a time");
        for words in [&[&b"SELECT"[..], b"0"][..], &[b"DEL", b"l", b"x"]] {
            let frame: Frame = words.iter().copied().collect();
            bench.replay.run_foreign(0, frame.args()).expect("it is a command");
        }
        self.scratch.write("part.aof", bytes);
        let mut import = Import::new(bench, strict);
        let outcome = import.all(&Parts(vec![PathBuf::from(self.scratch.path("part.aof"))]));
        let said = outcome.map(|()| std::mem::take(&mut import.remarks));
        let list = list_of(&import.bench);
        self.bench = Some(import.bench);
        (said, list)
    }
}

/// The list that the commands append to.
fn list_of(bench: &Bench) -> Vec<String> {
    let worker = bench.replay.worker();
    let keyspace = &worker.node.keyspace;
    let store = Store::new(keyspace, &worker.local, 0, 0);
    let _held = keyspace.enter_key(&worker.local, b"l").unwrap_or_else(|_| panic!("nobody else is there"));
    let list = store.read(b"l", |record| {
        let object = record?.value().object()?;
        List::of(&object).map(|list| list.iter().map(|item| String::from_utf8_lossy(&item).into_owned()).collect())
    });
    list.unwrap_or_default()
}

#[test]
fn whatever_is_left_of_a_file_is_a_prefix_of_it_or_refused() {
    let (whole, ends) = file();
    let mut reused = Reused::new("tails");
    for cut in 0..=whole.len() {
        let &(end, numbers) = ends.iter().rfind(|(end, _)| *end <= cut).expect("the first is 0");
        let wanted: Vec<String> = (1..=numbers).map(|number| number.to_string()).collect();
        let (said, list) = reused.import(&whole[..cut], false);
        assert_eq!(list, wanted, "{cut}");
        let cut_off = format!("part.aof is cut off: what follows byte {end} is left out");
        // A time that is cut off before its line ends is told too: nobody knows what it was to be.
        assert_eq!(said.expect("it is accepted").contains(&cut_off), end < cut, "{cut}");
        let (said, list) = reused.import(&whole[..cut], true);
        // Up to the cut it has been read, but nothing is saved of it then.
        assert_eq!(list, wanted, "{cut}");
        match said {
            Ok(_) => assert_eq!(end, cut),
            Err(error) => assert!(end < cut && error.contains("part.aof") && error.contains("byte"), "{cut}: {error}"),
        }
    }
}

#[test]
fn a_damaged_byte_is_refused_or_changes_no_more_than_its_argument() {
    let (whole, _) = file();
    let mut reused = Reused::new("damaged");
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let (said, list) = reused.import(&bytes, false);
            assert!(list.len() <= 7, "{at}: {list:?}");
            if let Err(error) = said {
                assert!(error.contains("part.aof") && error.contains("byte"), "{at}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > whole.len(), "{refused}");
}
