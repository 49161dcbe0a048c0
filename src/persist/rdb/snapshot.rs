//! A file on its way out, part by part: whoever has a record calls, and nobody has to have all of them at once.

use super::code::part;
use super::encode::{Encoder, Sink, length};
use super::{Version, crc64};
use crate::store::Value;

/// Bytes that are gathered before they are summed and handed on.
const WINDOW: usize = 64 << 10;

/// How a key is written beside its value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// When it expires, in milliseconds of Unix time.
    pub expiry: Option<u64>,
    /// Seconds since the last access.
    pub idle: Option<u64>,
    /// The access frequency.
    pub frequency: Option<u8>,
}

/// Writes a file. Memory beyond a window is the sink's, except for the largest packed part of a value.
#[derive(Debug)]
pub struct Writer<S: Sink> {
    out: Summed<S>,
    encoder: Encoder,
}

impl<S: Sink> Writer<S> {
    /// Begins a file. A hash whose fields expire is written in Redis 7.4's form whatever the version says, so a server
    /// that does not know it refuses the file: [`Version::V12`] says so at once.
    pub fn new(sink: S, version: Version, compresses: bool) -> Self {
        let mut out = Summed { sink, window: Vec::with_capacity(WINDOW), sum: 0, sums: true };
        out.put(match version {
            Version::V10 => b"REDIS0010",
            Version::V12 => b"REDIS0012",
        });
        Writer { out, encoder: Encoder::new(compresses) }
    }

    /// Does not sum: the file's checksum is 0 then, which readers take for none.
    pub fn without_checksum(mut self) -> Self {
        self.out.sums = false;
        self
    }

    /// Writes a text with a name.
    pub fn aux(&mut self, name: &[u8], text: &[u8]) {
        self.out.put(&[part::AUX]);
        self.encoder.string(&mut self.out, name);
        self.encoder.string(&mut self.out, text);
    }

    /// Writes the source text of a library of functions.
    pub fn function(&mut self, source: &[u8]) {
        self.out.put(&[part::FUNCTION]);
        self.encoder.string(&mut self.out, source);
    }

    /// Says of which database the keys that follow are.
    pub fn database(&mut self, index: u64) {
        database(&mut self.out, index);
    }

    /// Says about how many keys the database has, and how many of them expire.
    pub fn sizes(&mut self, keys: u64, volatile: u64) {
        self.out.put(&[part::SIZES]);
        length(&mut self.out, keys);
        length(&mut self.out, volatile);
    }

    /// Writes a key with its value. Each key must be written once only: others refuse a second. O(bytes).
    pub fn key(&mut self, key: &[u8], value: Value<'_>, traits: Traits) {
        record(&mut self.out, &mut self.encoder, key, value, traits);
    }

    /// Writes parts that [`database`] and [`record`] made elsewhere, many of them: they are handed on without a copy.
    pub fn parts(&mut self, bytes: &[u8]) {
        self.out.flush();
        self.out.add(bytes);
        self.out.sink.put(bytes);
    }

    /// Hands on what was gathered, so that the sink has all that was written.
    pub fn flush(&mut self) {
        self.out.flush();
    }

    /// Where the bytes go.
    pub fn sink(&mut self) -> &mut S {
        &mut self.out.sink
    }

    /// Ends the file with its checksum, and gives the sink back.
    pub fn finish(mut self) -> S {
        self.out.put(&[part::END]);
        self.out.flush();
        self.out.sink.put(&self.out.sum.to_le_bytes());
        self.out.sink
    }
}

/// Appends the part of a file that says of which database the keys that follow are.
pub fn database(out: &mut impl Sink, index: u64) {
    out.put(&[part::DATABASE]);
    length(out, index);
}

/// Appends the part of a file that is a key with its value. O(bytes).
pub fn record(out: &mut impl Sink, encoder: &mut Encoder, key: &[u8], value: Value<'_>, traits: Traits) {
    if let Some(expiry) = traits.expiry {
        out.put(&[part::EXPIRY_MS]);
        out.put(&i64::try_from(expiry).unwrap_or(i64::MAX).to_le_bytes());
    }
    if let Some(idle) = traits.idle {
        out.put(&[part::IDLE]);
        length(out, idle);
    }
    if let Some(frequency) = traits.frequency {
        out.put(&[part::FREQUENCY, frequency]);
    }
    out.put(&[Encoder::kind(value)]);
    encoder.string(out, key);
    encoder.value(out, value);
}

/// A sink that gathers bytes and sums them.
#[derive(Debug)]
struct Summed<S> {
    sink: S,
    window: Vec<u8>,
    sum: u64,
    sums: bool,
}

impl<S> Summed<S> {
    fn add(&mut self, bytes: &[u8]) {
        if self.sums {
            self.sum = crc64::update(self.sum, bytes);
        }
    }
}

impl<S: Sink> Summed<S> {
    fn flush(&mut self) {
        if self.window.is_empty() {
            return;
        }
        let mut window = std::mem::take(&mut self.window);
        self.add(&window);
        self.sink.put(&window);
        window.clear();
        self.window = window;
    }
}

impl<S: Sink> Sink for Summed<S> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.window.len() + bytes.len() <= WINDOW {
            self.window.extend_from_slice(bytes);
            return;
        }
        self.flush();
        if bytes.len() < WINDOW {
            self.window.extend_from_slice(bytes);
        } else {
            // What is large is handed on without a copy.
            self.add(bytes);
            self.sink.put(bytes);
        }
    }
}
