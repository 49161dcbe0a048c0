//! Loads a server before a point: one connection, pipelined, every reply checked not to be an error.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// Commands in one batch: enough to make round trips cheap, few enough to leave small buffers in the server.
const BATCH: u64 = 64;

/// How long one batch may take.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// Sends the command `count` times, with `__key__` replaced by 12-digit numbers from 0 and `__data__` by `size` bytes.
pub(crate) fn load(
    address: SocketAddr,
    template: &[String],
    count: u64,
    size: usize,
) -> Outcome<()> {
    let failed = |error: std::io::Error| format!("loading failed: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(failed)?;
    let mut output = Vec::with_capacity(64 * 1024);
    let mut replies = Replies::default();
    let mut next = 0;
    while next < count {
        let end = count.min(next + BATCH);
        output.clear();
        for number in next..end {
            encode(&mut output, template, number, size);
        }
        stream.write_all(&output).map_err(failed)?;
        replies.take(&mut stream, end - next)?;
        next = end;
    }
    Ok(())
}

/// Sends a command without arguments and returns the integer that it replies with.
pub(crate) fn integer(address: SocketAddr, command: &str) -> Outcome<u64> {
    let failed = |error: std::io::Error| format!("{command} failed: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(failed)?;
    let mut output = Vec::new();
    encode(&mut output, &[command.to_owned()], 0, 0);
    stream.write_all(&output).map_err(failed)?;
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n") && text.len() < 64 {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(failed)?;
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text);
    let number = text
        .trim()
        .strip_prefix(':')
        .and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| format!("{command} replied '{}'", text.trim()))
}

/// Appends one command as a RESP array.
fn encode(output: &mut Vec<u8>, template: &[String], number: u64, size: usize) {
    output.extend_from_slice(format!("*{}\r\n", template.len()).as_bytes());
    for word in template {
        if word == "__data__" {
            output.extend_from_slice(format!("${size}\r\n").as_bytes());
            fill(output, number, size);
        } else {
            let word = word.replace("__key__", &format!("{number:012}"));
            output.extend_from_slice(format!("${}\r\n{word}", word.len()).as_bytes());
        }
        output.extend_from_slice(b"\r\n");
    }
}

/// Letters from a small generator: different for every key, and never a number that a server would keep as one.
fn fill(output: &mut Vec<u8>, seed: u64, size: usize) {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        output.push(b'a' + (state >> 32) as u8 % 26);
    }
}

/// Replies read from a connection and not yet consumed.
#[derive(Default)]
struct Replies {
    buffer: Vec<u8>,
}

impl Replies {
    /// Reads until `count` whole replies have been consumed.
    fn take(&mut self, stream: &mut TcpStream, count: u64) -> Outcome<()> {
        let mut left = count;
        let mut chunk = [0; 16 * 1024];
        loop {
            let mut start = 0;
            while left > 0
                && let Some(length) = reply(&self.buffer[start..])?
            {
                start += length;
                left -= 1;
            }
            self.buffer.drain(..start);
            if left == 0 {
                return Ok(());
            }
            let read = stream
                .read(&mut chunk)
                .map_err(|error| format!("loading failed: {error}"))?;
            if read == 0 {
                return Err("loading failed: the server closed the connection".into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// The length of the simple reply or bulk string at the front, once it is whole. Arrays are no reply to any command
/// that loads, so they are refused like an error.
fn reply(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..line]);
    match bytes[0] {
        b'+' | b':' => Ok(Some(line + 2)),
        b'$' => {
            let length: i64 = text[1..]
                .parse()
                .map_err(|_| format!("loading met the reply '{text}'"))?;
            let whole = usize::try_from(length).map_or(line + 2, |length| line + 2 + length + 2);
            Ok((bytes.len() >= whole).then_some(whole))
        }
        _ => Err(format!("loading met the reply '{text}'")),
    }
}
