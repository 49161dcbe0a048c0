//! Loads a server before a point: one connection, pipelined, every reply checked not to be an error.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// Commands in one batch: enough to make round trips cheap, few enough to leave small buffers in the server.
const BATCH: u64 = 128;

/// How long one batch may take.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// Sends the command `count` times, with `__key__` replaced by 12-digit numbers from 0 and `__data__` by `size` bytes.
pub(crate) fn load(address: SocketAddr, words: &[String], count: u64, size: usize) -> Outcome<()> {
    let failed = |error: std::io::Error| format!("loading failed: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(failed)?;
    let template = Template::new(words, size);
    let mut output = Vec::with_capacity(64 * 1024);
    let mut replies = Replies::default();
    let mut unanswered = 0;
    let mut next = 0;
    while next < count {
        let end = count.min(next + BATCH);
        output.clear();
        for number in next..end {
            template.render(&mut output, number);
        }
        stream.write_all(&output).map_err(failed)?;
        // One batch is always on its way while the next is rendered, so that the server need not wait.
        replies.take(&mut stream, unanswered)?;
        unanswered = end - next;
        next = end;
    }
    replies.take(&mut stream, unanswered)
}

/// Sends a command without arguments and returns the integer that it replies with.
pub(crate) fn integer(address: SocketAddr, command: &str) -> Outcome<u64> {
    let failed = |error: std::io::Error| format!("{command} failed: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(failed)?;
    let mut output = Vec::new();
    Template::new(&[command.to_owned()], 0).render(&mut output, 0);
    stream.write_all(&output).map_err(failed)?;
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n") && text.len() < 64 {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(failed)?;
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text);
    let number = text.trim().strip_prefix(':').and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| format!("{command} replied '{}'", text.trim()))
}

/// A command as a RESP array, rendered once but for what differs from key to key.
struct Template {
    pieces: Vec<Piece>,
    size: usize,
}

enum Piece {
    Fixed(Vec<u8>),
    Key,
    Data,
}

impl Template {
    fn new(words: &[String], size: usize) -> Self {
        let mut fixed = format!("*{}\r\n", words.len()).into_bytes();
        let mut pieces = Vec::new();
        for word in words {
            if word == "__data__" {
                fixed.extend_from_slice(format!("${size}\r\n").as_bytes());
                pieces.extend([Piece::Fixed(std::mem::take(&mut fixed)), Piece::Data]);
            } else {
                let parts: Vec<&str> = word.split("__key__").collect();
                let length = parts.iter().map(|part| part.len()).sum::<usize>() + (parts.len() - 1) * DIGITS;
                fixed.extend_from_slice(format!("${length}\r\n{}", parts[0]).as_bytes());
                for part in &parts[1..] {
                    pieces.extend([Piece::Fixed(std::mem::take(&mut fixed)), Piece::Key]);
                    fixed.extend_from_slice(part.as_bytes());
                }
            }
            fixed.extend_from_slice(b"\r\n");
        }
        pieces.push(Piece::Fixed(fixed));
        Self { pieces, size }
    }

    /// Appends the command for one key.
    fn render(&self, output: &mut Vec<u8>, number: u64) {
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(bytes) => output.extend_from_slice(bytes),
                Piece::Key => digits(output, number),
                Piece::Data => fill(output, number, self.size),
            }
        }
    }
}

/// Digits of a key's number, as many as valkey-benchmark's.
const DIGITS: usize = 12;

fn digits(output: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; DIGITS];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    output.extend_from_slice(&text);
}

/// Letters from a small generator: different for every key, and never a number that a server would keep as one.
fn fill(output: &mut Vec<u8>, seed: u64, size: usize) {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let end = output.len() + size;
    while output.len() < end {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let letters = state.to_le_bytes().map(|byte| b'a' + (byte & 15));
        output.extend_from_slice(&letters[..letters.len().min(end - output.len())]);
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
            let read = stream.read(&mut chunk).map_err(|error| format!("loading failed: {error}"))?;
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
            let length: i64 = text[1..].parse().map_err(|_| format!("loading met the reply '{text}'"))?;
            let whole = usize::try_from(length).map_or(line + 2, |length| line + 2 + length + 2);
            Ok((bytes.len() >= whole).then_some(whole))
        }
        _ => Err(format!("loading met the reply '{text}'")),
    }
}
