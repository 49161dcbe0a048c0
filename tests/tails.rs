//! The log of a real server, cut off at every byte and with every byte damaged: what is read back is a whole prefix of the records that
//! were written, or it is refused and the file is named.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use roster::persist::log::{Failure, Folder, Reader, read, recover};
use support::{Reply, Scratch, Server};

/// Bytes before a record's payload; records begin at multiples of 8.
const HEAD: usize = 40;

/// The records that were read.
#[derive(Default)]
struct Taken(Vec<(u64, Vec<u8>)>);

impl Reader for Taken {
    fn base(&mut self, name: &str) -> Result<(), String> {
        Err(format!("there is no base {name}"))
    }

    fn record(&mut self, time_ms: u64, commands: &[u8]) -> Result<(), String> {
        self.0.push((time_ms, commands.to_vec()));
        Ok(())
    }
}

/// A log, and where its records end.
struct Log {
    scratch: Scratch,
    /// The segment as far as anything was written to it.
    bytes: Vec<u8>,
    records: Vec<(u64, Vec<u8>)>,
    ends: Vec<usize>,
}

impl Log {
    /// That of a server which was killed after it had served commands of many kinds.
    fn written(name: &str) -> Log {
        let home = Scratch::new(&format!("{name}-home"));
        let dir = home.0.to_str().unwrap();
        let mut server =
            Server::start(&["--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--workers", "1"]);
        let mut client = server.client();
        for number in 0..6 {
            for command in [
                format!("SET k{number} value PX 100000000"),
                format!("RPUSH l {number} b c"),
                format!("MULTI\r\nINCR n\r\nHSET h f{number} v{number}\r\nEXEC"),
                format!("XADD x MAXLEN 3 * f {number}"),
                format!(
                    "EVAL return(redis.call('zadd',KEYS[1],ARGV[1],'m')..redis.call('append',KEYS[2],'x')) 2 z s {number}"
                ),
            ] {
                for line in command.split("\r\n") {
                    assert!(!matches!(client.say(line), Reply::Error(_)), "{line}");
                }
            }
        }
        server.signal("KILL");
        server.wait();
        let folder = home.0.join("appendonlydir");
        let mut bytes = std::fs::read(folder.join("00000001.log")).unwrap();
        let mut whole = Taken::default();
        read(&Folder::open(&folder).unwrap(), false, &mut whole).unwrap();
        let mut ends = vec![0];
        for (_, payload) in &whole.0 {
            ends.push((ends[ends.len() - 1] + HEAD + payload.len()).next_multiple_of(8));
        }
        bytes.truncate(ends[ends.len() - 1]);
        assert!(whole.0.len() == 30 && bytes.len() < 10_000, "{} records of {} bytes", whole.0.len(), bytes.len());
        let log = Log { scratch: Scratch::new(name), bytes, records: whole.0, ends };
        std::fs::copy(folder.join("manifest"), log.scratch.0.join("manifest")).unwrap();
        log
    }

    fn folder(&self) -> &Path {
        &self.scratch.0
    }

    /// Reads a log whose only segment has these bytes, with zeros behind them up to `length`: the records, or why there are none.
    fn read(&self, bytes: &[u8], length: usize, truncate: bool) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let mut file = bytes.to_vec();
        file.resize(length.max(file.len()), 0);
        std::fs::write(self.folder().join("00000001.log"), file).unwrap();
        let mut taken = Taken::default();
        let found = read(&Folder::open(self.folder()).unwrap(), truncate, &mut taken)?;
        assert_eq!(found, taken.0.len() as u64);
        Ok(taken.0)
    }

    /// How many records are whole in the first `cut` bytes. The zeros that fill one up to a multiple of 8 are no part of it.
    fn whole_before(&self, cut: usize) -> usize {
        let payloads = self.records.iter().zip(&self.ends);
        payloads.take_while(|((_, payload), start)| **start + HEAD + payload.len() <= cut).count()
    }
}

#[test]
fn a_log_that_is_cut_off_at_any_byte_is_a_whole_prefix() {
    let log = Log::written("cut");
    for cut in 0..=log.bytes.len() {
        let whole = log.whole_before(cut);
        // The file may end there, or what was to be written may be missing from it.
        for length in [cut, log.bytes.len() + 4096] {
            // A byte of zero that is cut off and then filled with zeros is not missing.
            let rest = if length == cut { 0 } else { log.bytes[cut..].iter().take_while(|byte| **byte == 0).count() };
            let whole = if length == cut { whole } else { log.whole_before(cut + rest) };
            let found = log.read(&log.bytes[..cut], length, true).unwrap_or_else(|failure| panic!("{cut}: {failure}"));
            assert_eq!(found[..], log.records[..whole], "{cut} of {length}");
            match log.read(&log.bytes[..cut], length, false) {
                Ok(found) => assert_eq!(found[..], log.records[..whole], "{cut} of {length}"),
                Err(failure) => {
                    let text = failure.to_string();
                    let place = format!("00000001.log ends at offset {} within a record", log.ends[whole]);
                    assert!(text.contains(&place) && text.contains("aof-load-truncated"), "{cut} of {length}: {text}");
                }
            }
        }
    }
}

#[test]
fn a_log_with_any_byte_damaged_is_a_whole_prefix_or_refused() {
    let log = Log::written("damaged");
    let (mut refused, mut cut_off) = (0, 0);
    for at in 0..log.bytes.len() {
        let hit = log.ends.iter().rposition(|start| *start <= at).unwrap();
        let is_filling = at >= log.ends[hit] + HEAD + log.records[hit].1.len();
        for flip in [1, 0x80, 0xff] {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= flip;
            match log.read(&bytes, bytes.len() + 4096, true) {
                Ok(found) if is_filling => assert_eq!(found, log.records, "{at}"),
                Ok(found) => {
                    // Each record was durable before the next one was written, so only the last may be taken for torn.
                    assert_eq!((found.len(), hit + 1), (hit, log.records.len()), "{at}: durable records were dropped");
                    assert_eq!(found[..], log.records[..hit], "{at}");
                    cut_off += 1;
                }
                Err(failure) => {
                    let place = format!("00000001.log is damaged at offset {}", log.ends[hit]);
                    assert!(!is_filling && failure.to_string().contains(&place), "{at}: {failure}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 3000 && cut_off > 100, "{refused} refused, {cut_off} cut off");
}

#[test]
fn a_log_goes_on_where_it_was_cut_off() {
    let log = Log::written("onward");
    let last = log.ends[log.records.len() - 1];
    // Each start makes a segment of full length, which takes a moment.
    for cut in (last..=log.bytes.len()).step_by(13) {
        std::fs::copy(log.folder().join("manifest"), log.folder().join("manifest.kept")).unwrap();
        log.read(&log.bytes[..cut], log.bytes.len() + 4096, true).unwrap();
        let mut taken = Taken::default();
        let mut recovered = recover(Folder::open(log.folder()).unwrap(), true, &mut taken).unwrap();
        recovered.log.append(7, b"what comes later");
        recovered.log.write().and_then(|()| recovered.log.sync()).unwrap();
        drop(recovered);
        taken.0.push((7, b"what comes later".to_vec()));
        let mut again = Taken::default();
        read(&Folder::open(log.folder()).unwrap(), false, &mut again).unwrap();
        assert_eq!(again.0, taken.0, "{cut}");
        std::fs::rename(log.folder().join("manifest.kept"), log.folder().join("manifest")).unwrap();
        for entry in std::fs::read_dir(log.folder()).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("manifest") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn a_list_of_segments_that_is_cut_off_or_damaged_is_refused() {
    let log = Log::written("list");
    log.read(&log.bytes, log.bytes.len(), false).unwrap();
    let path = log.folder().join("manifest");
    let whole = std::fs::read(&path).unwrap();
    let check = |text: &[u8], what: &str| {
        std::fs::write(&path, text).unwrap();
        let mut taken = Taken::default();
        match read(&Folder::open(log.folder()).unwrap(), true, &mut taken) {
            Ok(_) => assert_eq!(taken.0, log.records, "{what}"),
            Err(failure) => assert!(failure.to_string().starts_with("manifest: "), "{what}: {failure}"),
        }
    };
    for cut in 0..whole.len() {
        check(&whole[..cut], &format!("cut off at {cut}"));
        for bit in 0..8 {
            let mut text = whole.clone();
            text[cut] ^= 1 << bit;
            check(&text, &format!("byte {cut}, bit {bit}"));
        }
    }
}
