//! Files of other servers in, files for other servers out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::answer;
use crate::command::testing::Rig;

/// A folder that goes with its test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("roster-exchange-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Scratch(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn say(words: &[&str]) -> Result<String, String> {
    let words = std::iter::once("roster").chain(words.iter().copied()).map(OsString::from);
    answer(words).expect("it is ours").map_err(|(error, _)| error)
}

/// Commands as a server writes them.
pub(super) fn commands(lines: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        if line.starts_with('#') {
            out.extend_from_slice(format!("{line}\r\n").as_bytes());
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        words.iter().for_each(|word| out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes()));
    }
    out
}

/// A server with what was imported into this folder.
fn server(dir: &str) -> Rig {
    let mut rig = Rig::with(&["--dir", dir]);
    rig.check(&[("DEBUG RELOAD NOSAVE", "+OK")]);
    rig
}

#[test]
fn a_plain_file_is_run_and_what_had_expired_goes_at_the_end() {
    let scratch = Scratch::new("plain");
    let file = commands(&[
        "SELECT 0",
        "SET kept v PXAT 1000",
        "PERSIST kept",
        "SET gone v PXAT 1000",
        "#TS:1700000000",
        "MULTI",
        "SET a 1",
        "INCR a",
        "EXEC",
        "SELECT 2",
        "RPUSH l a b",
        "INCR l",
        "XADD x 5-1 f v",
    ]);
    scratch.write("appendonly.aof", &file);
    let said = say(&["import", &scratch.path("appendonly.aof"), "--into", &scratch.path("into")]).expect("it is sound");
    assert!(said.starts_with("1 commands failed") && said.contains("imported 5 keys"), "{said}");
    let mut rig = server(&scratch.path("into"));
    rig.check(&[("MGET kept gone a", "*3|$1|v|$-1|$1|2"), ("DBSIZE", ":2"), ("SELECT 2", "+OK")]);
    rig.check(&[("LRANGE l 0 -1", "*2|$1|a|$1|b"), ("XLEN x", ":1")]);
}

#[test]
fn an_end_within_a_command_or_a_transaction_is_left_out_or_refused() {
    let scratch = Scratch::new("cut");
    let whole = commands(&["SET a 1", "MULTI", "SET b 1", "SET c 1", "EXEC"]);
    let first = commands(&["SET a 1"]).len();
    for (at, cut) in (first + 1..whole.len()).step_by(5).enumerate() {
        scratch.write("part.aof", &whole[..cut]);
        let into = scratch.path(&format!("into-{at}"));
        let words = ["import", &scratch.path("part.aof"), "--into", &into];
        let refused = say(&[&words[..], &["--strict"]].concat()).expect_err("it is cut off");
        assert!(refused.contains("part.aof"), "{cut}: {refused}");
        let said = say(&words).expect("it is accepted");
        assert!(said.contains(&format!("what follows byte {first} is left out")), "{cut}: {said}");
        assert!(said.contains("imported 1 keys"), "{cut}: {said}");
    }
}

#[test]
fn several_files_are_read_in_the_order_of_their_manifest() {
    let scratch = Scratch::new("parts");
    scratch.write("old/dump.aof", &commands(&["SET a base", "SET b base"]));
    scratch.write("old/one.aof", &commands(&["SET a one", "SET c one"]));
    scratch.write("old/two.aof", &commands(&["SET c two"]));
    let manifest = b"file dump.aof seq 1 type b\nfile gone.aof seq 1 type h\nfile one.aof seq 2 type i\nfile two.aof seq 3 type i\n";
    scratch.write("old/appendonly.aof.manifest", manifest);
    let into = scratch.path("into");
    say(&["import", &scratch.path("old"), "--into", &into]).expect("it is sound");
    server(&into).check(&[("MGET a b c", "*3|$3|one|$4|base|$3|two")]);
    // Only the end of the last one may be cut off.
    let one = commands(&["SET a one"]);
    scratch.write("old/one.aof", &one[..one.len() - 1]);
    let refused = say(&["import", &scratch.path("old"), "--into", &scratch.path("other")]).expect_err("it is cut off");
    assert!(refused.contains("one.aof at byte 0: it ends within a command"), "{refused}");
}

#[test]
fn what_is_no_such_file_is_refused_with_its_name_and_the_place() {
    let scratch = Scratch::new("refused");
    let refuse = |bytes: &[u8], expected: &str| {
        scratch.write("file", bytes);
        let _ = std::fs::remove_dir_all(scratch.path("into"));
        let refused = say(&["import", &scratch.path("file"), "--into", &scratch.path("into")]).expect_err("it is none");
        assert!(refused.contains(&scratch.path("file")) && refused.contains(expected), "{refused}");
        assert!(!Path::new(&scratch.path("into/dump.rdb")).exists());
    };
    refuse(b"hello", "at byte 0: it is damaged");
    refuse(b"REDIS0099", "cannot be loaded");
    refuse(&commands(&["SET a 1", "NOSUCH x"]), "at byte 27: the command NOSUCH is not known");
    refuse(&commands(&["SET a"]), "the command SET has the wrong number of arguments");
    refuse(&commands(&["SHUTDOWN"]), "the command SHUTDOWN changes nothing");
    refuse(&[&commands(&["SET a 1"])[..], b"\0\0\0\0"].concat(), "at byte 27: it is damaged");
    scratch.write("there/dump.rdb", b"");
    let refused = say(&["import", &scratch.path("file"), "--into", &scratch.path("there")]).expect_err("it is in use");
    assert!(refused.contains("is there already"), "{refused}");
    let refused =
        say(&["import", &scratch.path("none"), "--into", &scratch.path("into")]).expect_err("it is not there");
    assert!(refused.ends_with("none is not there"), "{refused}");
    assert!(say(&["import", "x"]).is_err_and(|error| error.contains("required")));
    assert!(say(&["export", "--help"]).is_ok_and(|text| text.contains("--format")));
    assert!(answer(["roster", "doctor"].into_iter().map(OsString::from)).is_none());
}

#[test]
fn what_is_exported_is_imported_again() {
    let scratch = Scratch::new("round");
    scratch.write("first.aof", &commands(&["SET a 1", "SELECT 9", "HSET h f v", "PEXPIREAT h 99999999999999"]));
    let (into, back) = (scratch.path("into"), scratch.path("back"));
    say(&["import", &scratch.path("first.aof"), "--into", &into]).expect("it is sound");
    let digest = server(&into).run("DEBUG DIGEST");
    for (format, target) in [("rdb", "out.rdb"), ("aof", "out")] {
        let target = scratch.path(target);
        let words = ["export", "--from", &into, &target, "--format", format];
        let said = say(&words).expect("it can be");
        assert!(said.starts_with("exported 2 keys of the snapshot"), "{said}");
        assert!(say(&words).is_err_and(|error| error.contains("is there already")));
        let _ = std::fs::remove_dir_all(&back);
        say(&["import", &target, "--into", &back]).expect("it is sound");
        let mut rig = server(&back);
        rig.check(&[("DEBUG DIGEST", &digest), ("SELECT 9", "+OK"), ("PEXPIRETIME h", ":99999999999999")]);
    }
    let none = say(&["export", "--from", &into, &scratch.path("new"), "--source", "log"]);
    assert!(none.is_err_and(|error| error.contains("has no log")));
    // Where there are both, one has to be named.
    scratch.write("into/appendonlydir/manifest", b"");
    let both = say(&["export", "--from", &into, &scratch.path("new")]);
    assert!(both.is_err_and(|error| error.contains("--source log or --source snapshot")));
}
