//! The request parser: RESP arrays of bulk strings, and inline commands.
//!
//! It works on the receive buffer of a connection and borrows the arguments from it. What was
//! parsed of an unfinished request is kept, so a request that arrives in many pieces costs no more
//! than one that arrives whole. In steady state it allocates nothing.
//!
//! Lengths, limits and error texts are those of Redis 7.0, found by experiment. What may surprise:
//! - A header ends at the first CR; the byte behind it is skipped unseen. A header that ends in LF
//!   alone waits for a CR.
//! - The two bytes behind a payload are skipped unseen, whatever they are.
//! - A number has no leading zero, no `+` and no `-0`. A count of zero or less is an empty request;
//!   a negative length is an error.
//! - The type byte of an argument is only looked at when its whole header has arrived.
//!
//! Unlike Redis, a NUL byte in a header or in an inline command does not make the server deaf until
//! 64 KiB have come.

use std::ops::Range;

use bytes::Bytes;

use super::args::{Args, Span};
use super::big::{BIG, Big};
use super::error::ProtocolError;
use super::header::{self, Header, find, header};
use super::inline;

/// Places of arguments whose memory the parser keeps for the next request.
const KEPT_SPANS: usize = 1024;

/// Bytes of decoded inline words whose memory the parser keeps for the next request.
const KEPT_SCRATCH: usize = 4096;

/// Arguments of a request that is tried as a whole: reading it anew where it was not costs no more than that.
const PLAIN_COUNT: usize = 64;

/// The number of elements that a client may send before it has authenticated.
const UNAUTHENTICATED_MULTIBULK: i64 = 10;

/// The length of an argument that a client may send before it has authenticated, in bytes.
const UNAUTHENTICATED_BULK: i64 = 16 * 1024;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument in bytes (`proto-max-bulk-len`).
    pub bulk_len: usize,
    /// The most arguments of a request.
    pub multibulk: usize,
    /// The longest inline command, and the longest header of a length, in bytes.
    pub inline_len: usize,
    /// Whether the client has yet to authenticate: then it may send 10 arguments of 16 KiB only (as
    /// Redis since CVE-2021-32675).
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bulk_len: 512 << 20, multibulk: 1024 * 1024, inline_len: 64 * 1024, unauthenticated: false }
    }
}

/// What [`Parser::step`] found at the head of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole request of `consumed` bytes; [`Parser::args`] has its arguments until the next step.
    Request {
        /// The bytes of the buffer's head that the request takes up.
        consumed: usize,
    },
    /// A request without arguments (`*0`, `*-1`, a blank line), to be skipped.
    Empty {
        /// The bytes of the buffer's head to skip.
        consumed: usize,
    },
    /// The buffer ends within a request.
    Incomplete {
        /// The bytes that are still missing at least. Never more than a big argument's least
        /// length.
        want: usize,
    },
    /// The buffer ends within the payload of a big argument, which is to be received into
    /// [`Parser::big`].
    ///
    /// The caller passes `buf[keep..]`, all of which is payload, to [`Big::extend`], cuts the
    /// buffer to `keep` bytes, receives into the loan of [`Big::lend`] until nothing is missing,
    /// and then goes on with what follows the payload behind the `keep` bytes of the buffer.
    Big {
        /// The bytes of the buffer's head that have to stay, because earlier arguments lie in them.
        keep: usize,
    },
}

/// Where the parser stands within a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// At its first byte.
    #[default]
    Start,
    /// At the header of an argument.
    Header,
    /// At an argument's payload of this length.
    Payload(usize),
    /// Behind the payload of a big argument, which is in memory of its own.
    Behind,
    /// It has been handed out.
    Delivered,
}

/// The state of the request at the head of a receive buffer.
#[derive(Debug, Default)]
pub struct Parser {
    stage: Stage,
    /// The offset in the buffer of what `stage` names.
    at: usize,
    /// The end of the part of an unfinished line that is known to have no line end.
    searched: usize,
    /// The arguments that are not in `spans` yet.
    remaining: usize,
    spans: Vec<Span>,
    /// The words of an inline command with quotes.
    decoded: Vec<u8>,
    /// Whether `spans` are places in `decoded`.
    is_decoded: bool,
    bigs: Vec<Bytes>,
    receiving: Option<Big>,
    /// Which of `spans` are those of the request that was handed out.
    given: Range<usize>,
    /// The requests that were read ahead, and how many of them were handed out.
    ahead: Vec<Whole>,
    passed: usize,
}

/// A whole request among others that were read ahead.
#[derive(Clone, Copy, Debug)]
struct Whole {
    /// Its bytes.
    consumed: usize,
    /// Where its arguments end in the parser's spans; those of the one before end where they begin.
    end: usize,
}

impl Parser {
    /// A parser at the start of a request. Takes no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with the request at the head of `buf`.
    ///
    /// Until the request is whole, each call has to pass the same bytes with more behind them (or,
    /// after [`Step::Big`], those that were kept). After [`Step::Request`] and [`Step::Empty`] the
    /// caller drops `consumed` bytes; the next call, also one with an empty buffer, lets go of the
    /// arguments and of what memory they took beyond the usual.
    ///
    /// # Errors
    /// A [`ProtocolError`]; the connection has to be closed once the client was told.
    #[inline]
    pub fn step(&mut self, buf: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
        if self.stage == Stage::Delivered {
            if let Some(consumed) = self.pass(limits) {
                return Ok(Step::Request { consumed });
            }
            self.reset();
        }
        if self.stage != Stage::Start {
            return self.arguments(buf, limits);
        }
        if let Some(consumed) = self.whole(buf, limits) {
            self.deliver();
            return Ok(Step::Request { consumed });
        }
        match buf.first() {
            Some(b'*') => match self.count(buf, limits)? {
                Some(step) => Ok(step),
                None => self.arguments(buf, limits),
            },
            Some(_) => self.inline(buf, limits),
            None => Ok(Step::Incomplete { want: 1 }),
        }
    }

    /// Reads whole requests of an ordinary size, with nothing unusual about them, from the head of `buf` on, so that their
    /// arguments are known before the first of them runs: at most `most`, and none while some are left that were read so.
    /// [`Parser::step`] hands them out. Returns how many are left.
    ///
    /// Until they have been handed out, the bytes that they lie in may go from the head of the buffer with them, and not change.
    #[inline]
    pub fn read_ahead(&mut self, buf: &[u8], limits: &Limits, most: usize) -> usize {
        if self.is_ahead() {
            return self.ahead.len() - self.passed;
        }
        if self.stage == Stage::Delivered {
            self.reset();
        }
        if self.stage != Stage::Start {
            return 0;
        }
        let mut at = 0;
        // No more arguments than are kept, so that no batch allocates.
        while self.ahead.len() < most
            && self.spans.len() + PLAIN_COUNT <= KEPT_SPANS
            && let Some(consumed) = self.whole(&buf[at..], limits)
        {
            self.ahead.push(Whole { consumed, end: self.spans.len() });
            at += consumed;
        }
        if !self.ahead.is_empty() {
            self.stage = Stage::Delivered;
        }
        self.ahead.len()
    }

    /// Whether requests are left that were read ahead.
    #[inline]
    pub fn is_ahead(&self) -> bool {
        self.passed < self.ahead.len()
    }

    /// Whether the last request that was handed out is the last of those that were read ahead; it holds no memory of its own.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.stage == Stage::Delivered && self.passed == self.ahead.len() && self.passed > 0
    }

    /// The second argument, which in most commands is a key, of each request that was read ahead and is left: an empty one where
    /// there is none. The first of these requests is at the head of `buf`.
    #[inline]
    pub fn seconds<'a>(&'a self, mut buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut first = self.given.end;
        self.ahead[self.passed..].iter().map(move |whole| {
            let (request, rest) = buf.split_at(whole.consumed);
            let span = self.spans[first..whole.end].get(1);
            (buf, first) = (rest, whole.end);
            span.map_or(&[][..], |span| span.of(request))
        })
    }

    /// Hands out the next of the requests that were read ahead, as long as the limits under which they were read are in force.
    #[inline]
    fn pass(&mut self, limits: &Limits) -> Option<usize> {
        let whole = self.ahead.get(self.passed).filter(|_| !limits.unauthenticated)?;
        self.passed += 1;
        self.given = self.given.end..whole.end;
        Some(whole.consumed)
    }

    /// Adds a request that lies at the head of the buffer as a whole, is of an ordinary size and has nothing unusual about it, to
    /// the spans; returns its length. Anything else is left to be looked at closely.
    #[inline]
    fn whole(&mut self, buf: &[u8], limits: &Limits) -> Option<usize> {
        let (b'*', count @ 1..=PLAIN_COUNT, mut at) = header::plain(buf, 0)? else { return None };
        if limits.unauthenticated || count > limits.multibulk {
            return None;
        }
        let before = self.spans.len();
        for _ in 0..count {
            match header::plain(buf, at) {
                Some((b'$', len, start)) if len <= limits.bulk_len && start + len + 2 <= buf.len() => {
                    self.spans.push(Span::near(start, len));
                    at = start + len + 2;
                }
                _ => {
                    self.spans.truncate(before);
                    return None;
                }
            }
        }
        Some(at)
    }

    /// The request whose arguments are the spans is whole.
    #[inline]
    fn deliver(&mut self) {
        self.stage = Stage::Delivered;
        self.given = 0..self.spans.len();
    }

    /// The arguments of the request that the last step has found in `buf`.
    #[inline]
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        let buf = if self.is_decoded { &self.decoded } else { buf };
        Args::new(buf, &self.spans[self.given.clone()], &self.bigs)
    }

    /// The big argument that is being received, after [`Step::Big`].
    pub fn big(&mut self) -> Option<&mut Big> {
        self.receiving.as_mut()
    }

    /// Gives back the memory that requests which were read ahead took, if none is left: for a client that is at rest.
    pub fn rest(&mut self) {
        if !self.is_ahead() && matches!(self.stage, Stage::Start | Stage::Delivered) {
            self.reset();
            self.spans = Vec::new();
            self.ahead = Vec::new();
        }
    }

    /// Forgets an unfinished request and starts at the head of the buffer again.
    #[inline]
    pub fn reset(&mut self) {
        self.stage = Stage::Start;
        self.at = 0;
        self.searched = 0;
        self.given = 0..0;
        self.ahead.clear();
        self.passed = 0;
        self.spans.clear();
        if self.spans.capacity() > KEPT_SPANS {
            self.spans.shrink_to(KEPT_SPANS);
        }
        if self.is_decoded || self.receiving.is_some() || !self.bigs.is_empty() {
            self.release();
        }
    }

    /// Lets go of what only unusual requests take.
    #[cold]
    fn release(&mut self) {
        self.is_decoded = false;
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_SCRATCH);
        self.bigs = Vec::new();
        self.receiving = None;
    }

    /// Parses the number of arguments. `None` when arguments follow.
    #[inline]
    fn count(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<Step>, ProtocolError> {
        let (count, next) = match header(buf, 0, self.searched, limits.inline_len) {
            Header::Number(count, next) => (count, next),
            Header::Unfinished(searched) => {
                self.searched = searched;
                return Ok(Some(Step::Incomplete { want: 1 }));
            }
            Header::Invalid => return Err(ProtocolError::MultibulkLength),
            Header::Endless => return Err(ProtocolError::MultibulkHeader),
        };
        if count > i64::try_from(limits.multibulk).unwrap_or(i64::MAX) {
            return Err(ProtocolError::MultibulkLength);
        }
        if limits.unauthenticated && count > UNAUTHENTICATED_MULTIBULK {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        self.remaining = usize::try_from(count).unwrap_or(0);
        self.at = next;
        if self.remaining == 0 {
            self.stage = Stage::Delivered;
            return Ok(Some(Step::Empty { consumed: next }));
        }
        self.stage = Stage::Header;
        Ok(None)
    }

    /// Parses arguments for as long as the buffer holds them.
    fn arguments(&mut self, buf: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
        while self.remaining > 0 {
            let len = match self.stage {
                Stage::Payload(len) => len,
                Stage::Behind => {
                    if let Some(step) = self.adopt(buf) {
                        return Ok(step);
                    }
                    continue;
                }
                _ => match self.length(buf, limits)? {
                    Some(len) => len,
                    None => return Ok(Step::Incomplete { want: 1 }),
                },
            };
            let have = buf.len().saturating_sub(self.at);
            // Written without a sum, since a configured limit may be close to the largest integer.
            if have < len || have - len < 2 {
                return Ok(self.unfinished(len, have));
            }
            self.spans.push(Span::near(self.at, len));
            self.at += len + 2;
            self.stage = Stage::Header;
            self.remaining -= 1;
        }
        self.deliver();
        Ok(Step::Request { consumed: self.at })
    }

    /// Parses the header of an argument. `None` when it is unfinished.
    #[inline]
    fn length(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let parsed = header(buf, self.at, self.searched, limits.inline_len);
        if let Header::Unfinished(searched) = parsed {
            self.searched = searched;
            return Ok(None);
        }
        if let Header::Endless = parsed {
            return Err(ProtocolError::BulkHeader);
        }
        match buf.get(self.at) {
            Some(b'$') => {}
            other => {
                return Err(ProtocolError::ExpectedDollar(other.copied().unwrap_or(b' ')));
            }
        }
        let Header::Number(len, next) = parsed else {
            return Err(ProtocolError::BulkLength);
        };
        let Some(bytes) = usize::try_from(len).ok().filter(|bytes| *bytes <= limits.bulk_len) else {
            return Err(ProtocolError::BulkLength);
        };
        if limits.unauthenticated && len > UNAUTHENTICATED_BULK {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        self.at = next;
        Ok(Some(bytes))
    }

    /// What to do about a payload of which only `have` bytes, its line end included, are in the
    /// buffer.
    #[cold]
    fn unfinished(&mut self, len: usize, have: usize) -> Step {
        if len < BIG || have >= len {
            self.stage = Stage::Payload(len);
            return Step::Incomplete { want: len - have.min(len) + 2 - have.saturating_sub(len) };
        }
        self.stage = Stage::Behind;
        self.receiving = Some(Big::new(len));
        Step::Big { keep: self.at }
    }

    /// Makes the received big argument one of the arguments. `None` when the next one can be
    /// parsed.
    #[cold]
    fn adopt(&mut self, buf: &[u8]) -> Option<Step> {
        if self.receiving.as_ref().is_some_and(|big| big.missing() > 0) {
            return Some(Step::Big { keep: self.at });
        }
        let have = buf.len().saturating_sub(self.at);
        if have < 2 {
            return Some(Step::Incomplete { want: 2 - have });
        }
        if let Some(big) = self.receiving.take() {
            let data = Bytes::from(big.finish());
            self.spans.push(Span::far(self.bigs.len(), data.len()));
            self.bigs.push(data);
        }
        self.at += 2;
        self.stage = Stage::Header;
        self.remaining -= 1;
        None
    }

    /// Parses an inline command.
    fn inline(&mut self, buf: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
        let Some(end) = find(buf, b'\n', self.searched, limits.inline_len) else {
            if buf.len() > limits.inline_len {
                return Err(ProtocolError::InlineLength);
            }
            self.searched = buf.len();
            return Ok(Step::Incomplete { want: 1 });
        };
        let line = &buf[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.is_decoded = inline::split(line, &mut self.spans, &mut self.decoded)
            .map_err(|inline::Unbalanced| ProtocolError::UnbalancedQuotes)?;
        self.deliver();
        let consumed = end + 1;
        Ok(if self.spans.is_empty() { Step::Empty { consumed } } else { Step::Request { consumed } })
    }
}
