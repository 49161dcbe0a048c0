//! The arguments of one request.
//!
//! [`Args`] is a view that costs nothing to copy. Small arguments are places in the receive buffer;
//! big ones ([`crate::protocol::big`]) came in their own memory, which [`Args::take_big`] shares
//! with whoever wants to keep it. [`Frame`] owns the arguments of a request that has to outlive the
//! buffer: a queued command of a transaction, a call out of a script.

use std::ops::{Index, Range};

use bytes::Bytes;

/// Marks the offset of a [`Span`] as a number in the list of big arguments. No buffer reaches this
/// offset, because no allocation may be larger than `isize::MAX` bytes.
const BIG_MARK: usize = 1 << (usize::BITS - 1);

/// Where an argument lies: in the buffer, or in the list of big arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    at: usize,
    len: usize,
}

impl Span {
    /// `len` bytes at the offset `at` of the buffer.
    #[inline]
    pub(crate) fn near(at: usize, len: usize) -> Self {
        Self { at, len }
    }

    /// The big argument with this number, `len` bytes long.
    pub(crate) fn far(number: usize, len: usize) -> Self {
        Self { at: number | BIG_MARK, len }
    }

    /// The number among the big arguments, if this is one.
    /// The argument in the bytes of its request; nothing if it is not there.
    #[inline]
    pub(super) fn of(self, request: &[u8]) -> &[u8] {
        request.get(self.at..).and_then(|from| from.get(..self.len)).unwrap_or_default()
    }

    #[inline]
    fn big(self) -> Option<usize> {
        (self.at & BIG_MARK != 0).then_some(self.at & !BIG_MARK)
    }
}

/// A view of a request's arguments; the first one is the command's name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
    bigs: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// The arguments at `spans`, which lie in `buf` or are marked as members of `bigs`.
    #[inline]
    pub(crate) fn new(buf: &'a [u8], spans: &'a [Span], bigs: &'a [Bytes]) -> Self {
        Self { buf, spans, bigs }
    }

    /// No arguments.
    pub const EMPTY: Args<'static> = Args { buf: &[], spans: &[], bigs: &[] };

    /// The number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument with this index.
    ///
    /// # Panics
    /// As a slice does, when `index` is not below [`Args::len`]. A command's arity is checked
    /// before it runs, so an index within the arity is safe; for anything beyond it there is
    /// [`Args::nth`].
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.bytes(self.spans[index])
    }

    /// The argument with this index, or `None` behind the last one.
    #[inline]
    pub fn nth(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| self.bytes(*span))
    }

    /// The length of an argument in bytes, 0 behind the last one.
    #[inline]
    pub fn size(&self, index: usize) -> usize {
        self.spans.get(index).map_or(0, |span| span.len)
    }

    /// Ownership of a big argument, to keep it as a value without copying it.
    ///
    /// `None` for an argument that lies in the receive buffer: copy that. The parser lets go of its
    /// own reference before the next request, and from then on the caller's is the only one, so
    /// that `Bytes::try_into_mut` gives the memory back as a plain growable buffer.
    pub fn take_big(&self, index: usize) -> Option<Bytes> {
        let number = self.spans.get(index)?.big()?;
        self.bigs.get(number).cloned()
    }

    /// The arguments from this index on; none when it is behind the last one.
    #[inline]
    pub fn skip(&self, from: usize) -> Args<'a> {
        Args { spans: self.spans.get(from..).unwrap_or_default(), ..*self }
    }

    /// The arguments with the indices of `range`, cut off behind the last one.
    pub fn range(&self, range: Range<usize>) -> Args<'a> {
        let end = range.end.min(self.spans.len());
        Args { spans: self.spans.get(range.start..end).unwrap_or_default(), ..*self }
    }

    /// No fewer than the bytes of this request, at the cost of a look: the buffer that it lies in holds the rest of its batch too.
    #[inline]
    pub fn most_bytes(&self) -> usize {
        // The lengths and line ends of an argument, which an inline request does not have, take less than 32.
        if self.bigs.is_empty() { self.buf.len() + 32 * (1 + self.spans.len()) } else { usize::MAX }
    }

    /// Bytes of the request as an array of strings. An inline request, which has a shorter form, counts as if it were one.
    pub fn request_bytes(&self) -> usize {
        let header = |number: usize| 3 + number.checked_ilog10().unwrap_or(0) as usize + 1;
        let strings = self.spans.iter().map(|span| header(span.len) + span.len + 2);
        header(self.len()) + strings.sum::<usize>()
    }

    /// The arguments in order.
    #[inline]
    pub fn iter(&self) -> Iter<'a> {
        Iter { args: *self }
    }

    #[inline]
    fn bytes(&self, span: Span) -> &'a [u8] {
        match span.big() {
            None => &self.buf[span.at..span.at + span.len],
            Some(number) => &self.bigs[number],
        }
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Args<'a> {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The iterator of [`Args::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    args: Args<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.args.spans.split_first()?;
        self.args.spans = rest;
        Some(self.args.bytes(*first))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.args.len(), Some(self.args.len()))
    }

    fn nth(&mut self, n: usize) -> Option<&'a [u8]> {
        self.args = self.args.skip(n);
        self.next()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (last, rest) = self.args.spans.split_last()?;
        self.args.spans = rest;
        Some(self.args.bytes(*last))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Arguments that own their bytes. Small ones share one allocation; big ones stay the memory that
/// they were received into.
#[derive(Clone, Default)]
pub struct Frame {
    data: Box<[u8]>,
    spans: Box<[Span]>,
    bigs: Box<[Bytes]>,
}

impl Frame {
    /// The view that commands take.
    #[inline]
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.data, &self.spans, &self.bigs)
    }

    /// The bytes of memory that this frame keeps, its own size included.
    pub fn memory(&self) -> usize {
        let bigs: usize = self.bigs.iter().map(|big| big.len() + size_of::<Bytes>()).sum();
        size_of::<Self>() + self.data.len() + size_of_val(&*self.spans) + bigs
    }
}

impl From<Args<'_>> for Frame {
    /// Copies the small arguments into one allocation of exactly their size and shares the big
    /// ones.
    fn from(args: Args<'_>) -> Self {
        let small = args.spans.iter().filter(|span| span.big().is_none()).map(|span| span.len).sum();
        let mut data = Vec::with_capacity(small);
        let mut bigs = Vec::new();
        let spans = args.spans.iter().map(|span| match span.big() {
            None => {
                let at = data.len();
                data.extend_from_slice(args.bytes(*span));
                Span::near(at, span.len)
            }
            Some(number) => {
                bigs.push(args.bigs[number].clone());
                Span::far(bigs.len() - 1, span.len)
            }
        });
        let spans = spans.collect();
        Self { data: data.into_boxed_slice(), spans, bigs: bigs.into_boxed_slice() }
    }
}

impl From<&Args<'_>> for Frame {
    fn from(args: &Args<'_>) -> Self {
        Self::from(*args)
    }
}

/// Arguments that are put together one by one, in memory that serves again for the next request.
#[derive(Debug, Default)]
pub struct Words {
    data: Vec<u8>,
    spans: Vec<Span>,
}

impl Words {
    /// Memory that is kept for the next request, in bytes.
    const KEPT: usize = 64 << 10;

    /// Begins anew.
    pub fn clear(&mut self) {
        self.data.clear();
        self.spans.clear();
        self.data.shrink_to(Self::KEPT);
        self.spans.shrink_to(Self::KEPT / size_of::<Span>());
    }

    /// Adds an argument.
    #[inline]
    pub fn push(&mut self, word: &[u8]) {
        self.spans.push(Span::near(self.data.len(), word.len()));
        self.data.extend_from_slice(word);
    }

    /// The view that commands take.
    #[inline]
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.data, &self.spans, &[])
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Frame {
    /// Copies arguments from anywhere: slices, vectors, strings of a script.
    fn from_iter<I: IntoIterator<Item = T>>(arguments: I) -> Self {
        let mut data = Vec::new();
        let spans = arguments.into_iter().map(|argument| {
            let bytes = argument.as_ref();
            data.extend_from_slice(bytes);
            Span::near(data.len() - bytes.len(), bytes.len())
        });
        let spans = spans.collect();
        Self { data: data.into_boxed_slice(), spans, bigs: Box::default() }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.args().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let bigs = [Bytes::from_static(b"a"), Bytes::from_static(b"the big one")];
        let spans = [Span::near(1, 3), Span::far(1, 11), Span::near(4, 0), Span::near(4, 2)];
        Frame::from(Args::new(b".SETxy.", &spans, &bigs))
    }

    #[test]
    fn a_view_reads_small_and_big_arguments() {
        let frame = frame();
        let args = frame.args();
        assert_eq!(args.len(), 4);
        assert!(!args.is_empty());
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"SET"[..], b"the big one", b"", b"xy"]);
        assert_eq!(args.iter().rev().collect::<Vec<_>>(), [&b"xy"[..], b"", b"the big one", b"SET"]);
        assert_eq!(&args[0], b"SET");
        assert_eq!(args.get(1), b"the big one");
        assert_eq!(args.nth(4), None);
        assert_eq!((args.size(1), args.size(4)), (11, 0));
        assert_eq!(args.iter().nth(3), Some(&b"xy"[..]));
        assert_eq!(format!("{args:?}"), r#"["SET", "the big one", "", "xy"]"#);
    }

    #[test]
    fn parts_of_a_view() {
        let frame = frame();
        let args = frame.args();
        assert_eq!(args.skip(1).get(0), b"the big one");
        assert_eq!(args.skip(4).len(), 0);
        assert_eq!(args.skip(usize::MAX).len(), 0);
        assert_eq!(args.range(1..3).iter().collect::<Vec<_>>(), [&b"the big one"[..], b""]);
        assert_eq!(args.range(3..9).iter().collect::<Vec<_>>(), [&b"xy"[..]]);
        assert_eq!(args.range(9..10).len(), 0);
        assert!(Args::EMPTY.is_empty());
    }

    #[test]
    fn only_big_arguments_change_hands_and_they_are_not_copied() {
        let frame = frame();
        let args = frame.args();
        assert_eq!(args.take_big(0), None);
        assert_eq!(args.take_big(9), None);
        let big = args.take_big(1).expect("a big argument");
        assert_eq!(big.as_ptr(), args.get(1).as_ptr());
        let copy = Frame::from(&args);
        assert_eq!(copy.args().get(1).as_ptr(), big.as_ptr());
    }

    #[test]
    fn a_frame_is_built_from_any_bytes() {
        let frame: Frame = ["SET", "", "value"].iter().collect();
        assert_eq!(frame.args().iter().collect::<Vec<_>>(), [&b"SET"[..], b"", b"value"]);
        assert_eq!(frame.memory(), size_of::<Frame>() + 8 + 3 * size_of::<Span>());
        assert!(Frame::default().args().is_empty());
    }
}
