//! The commands of an append-only file.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::protocol::{Frame, number};

/// Arguments of the longest command, as in Redis since 7.0. Memory is taken only for those that the file has.
const ARGS_MAX: u64 = i32::MAX as u64;
/// Bytes of the longest line that says a length or a time.
const LINE_MAX: u64 = 1024;

/// What is in the file.
#[derive(Debug)]
pub enum Item {
    /// When the commands that follow ran, in seconds of Unix time.
    Time(u64),
    /// A command.
    Command(Frame),
}

/// Why a file is not read on.
#[derive(Debug)]
pub enum Fault {
    /// It ends within a command.
    Truncated,
    /// It is no append-only file there.
    Malformed(&'static str),
    /// It cannot be read.
    Source(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated => formatter.write_str("it ends within a command"),
            Fault::Malformed(what) => write!(formatter, "it is damaged: {what}"),
            Fault::Source(error) => write!(formatter, "it cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Source(error)
    }
}

/// Reads commands one after the other.
pub struct Commands<R> {
    source: R,
    position: u64,
    string_max: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Commands<R> {
    /// Reads a source whose first byte is at `position` of the file. No argument is longer than `string_max` bytes.
    pub fn new(source: R, position: u64, string_max: u64) -> Self {
        Commands { source, position, string_max, line: Vec::new() }
    }

    /// Bytes of the file before what comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// [`Fault`]; what follows cannot be told then.
    pub fn item(&mut self) -> Result<Option<Item>, Fault> {
        loop {
            let is_whole = self.read_line()?;
            if self.line.is_empty() && !is_whole {
                return Ok(None);
            }
            match self.line.first() {
                // A remark: only the time is one that means something.
                Some(b'#') if is_whole => {
                    if let Some(time) = self.line.strip_prefix(b"#TS:").and_then(number::parse_i64) {
                        return Ok(Some(Item::Time(u64::try_from(time).unwrap_or(0))));
                    }
                }
                Some(b'*' | b'#') if !is_whole => return Err(Fault::Truncated),
                Some(b'*') => return self.command().map(|frame| Some(Item::Command(frame))),
                _ => return Err(Fault::Malformed("a command does not begin where one should")),
            }
        }
    }

    fn command(&mut self) -> Result<Frame, Fault> {
        let count = self.length(b'*')?;
        if count == 0 || count > ARGS_MAX {
            return Err(Fault::Malformed("a command of no or too many arguments"));
        }
        let mut args = Vec::new();
        for _ in 0..count {
            if !self.read_line()? {
                return Err(Fault::Truncated);
            }
            let length = self.length(b'$')?;
            if length > self.string_max {
                return Err(Fault::Malformed("an argument longer than proto-max-bulk-len"));
            }
            let mut arg = Vec::new();
            let read = self.source.by_ref().take(length + 2).read_to_end(&mut arg)? as u64;
            self.position += read;
            if read < length + 2 {
                return Err(Fault::Truncated);
            }
            if !arg.ends_with(b"\r\n") {
                return Err(Fault::Malformed("an argument is longer than it says"));
            }
            arg.truncate(arg.len() - 2);
            args.push(arg);
        }
        Ok(args.iter().map(Vec::as_slice).collect())
    }

    /// Reads a line without its end; whether it had one.
    fn read_line(&mut self) -> Result<bool, Fault> {
        self.line.clear();
        let read = self.source.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.line)?;
        self.position += read as u64;
        let is_whole = self.line.ends_with(b"\r\n");
        if is_whole {
            self.line.truncate(self.line.len() - 2);
        } else if read as u64 == LINE_MAX || self.line.ends_with(b"\n") {
            return Err(Fault::Malformed("a line does not end"));
        }
        Ok(is_whole)
    }

    /// The length that the line at hand says behind this mark.
    fn length(&self, mark: u8) -> Result<u64, Fault> {
        let digits = self.line.strip_prefix(&[mark]).and_then(number::parse_i64);
        digits.and_then(|length| u64::try_from(length).ok()).ok_or(Fault::Malformed("a length is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Result<(), Fault>) {
        let (mut commands, mut found) = (Commands::new(bytes, 0, 100), Vec::new());
        loop {
            match commands.item() {
                Ok(None) => return (found, Ok(())),
                Ok(Some(Item::Time(time))) => found.push(format!("at {time}")),
                Ok(Some(Item::Command(frame))) => {
                    let words: Vec<_> = frame.args().iter().map(|arg| arg.escape_ascii().to_string()).collect();
                    found.push(words.join(" "));
                }
                Err(fault) => return (found, Err(fault)),
            }
        }
    }

    const TEXT: &[u8] =
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1700000000\r\n#other\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n";

    #[test]
    fn commands_and_times_are_read_and_a_cut_end_is_told_from_damage() {
        let (found, end) = read(TEXT);
        assert_eq!(found, ["SELECT 0", "at 1700000000", "SET k a\\r\\nb"]);
        assert!(end.is_ok());
        for cut in 1..TEXT.len() {
            let (found, end) = read(&TEXT[..cut]);
            // Whole where a line of its own has just ended.
            let whole = [23, 39, 47].contains(&cut);
            assert_eq!(end.is_ok(), whole, "{cut}: {found:?}");
            assert!(whole || matches!(end, Err(Fault::Truncated)), "{cut}: {end:?}");
        }
        for damaged in ["x", "*1\n", "*0\r\n", "*-1\r\n", "*1\r\n$200\r\n", "*1\r\n$1\r\nabc", "*1\r\n:1\r\n", "$1\r\n"]
        {
            assert!(matches!(read(damaged.as_bytes()).1, Err(Fault::Malformed(_))), "{damaged:?}");
        }
        assert!(matches!(read(b"*2147483647\r\n").1, Err(Fault::Truncated)));
        assert!(matches!(read(b"*2147483648\r\n").1, Err(Fault::Malformed(_))));
        let endless = format!("*{}", "1".repeat(5000)).into_bytes();
        assert!(matches!(read(&endless).1, Err(Fault::Malformed(_))));
    }
}
