//! The reply writer: RESP2 and RESP3 straight into a connection's output buffer.
//!
//! Every method appends one complete element, or the header of an aggregate whose elements follow. The two protocols
//! differ only here: a command says what it means (a map, a double, a null) and the writer chooses the wire form
//! (RESP specification, and the RESP2 shapes that redis-server 7 sends for the same replies).

use super::double;

/// Which protocol a client negotiated with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2, the protocol of a connection that never said `HELLO 3`.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A place in the output where an aggregate of yet unknown length starts; see [`Reply::begin`].
#[derive(Clone, Copy, Debug)]
#[must_use = "an aggregate that was begun has to be ended"]
pub struct Mark(usize);

/// Writes replies into `out` in the client's protocol version.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Reply { out, version }
    }

    /// The protocol version in force.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the client speaks RESP3.
    #[inline]
    pub fn is_resp3(&self) -> bool {
        self.version == Version::Resp3
    }

    /// Changes the version from the next element on: `HELLO` answers in the protocol that it negotiates.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The output buffer itself, for what others write in between.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Bytes in the output buffer, this command's and those of the batch before it.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written into the output buffer.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written from byte `start` of the output buffer on, such as a command's own reply.
    pub fn written_since(&self, start: usize) -> &[u8] {
        &self.out[start.min(self.out.len())..]
    }

    /// Forgets everything after `len` bytes, so that a command that fails half-way leaves only its error.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Whether what was written from this length on is an error.
    pub fn is_error_at(&self, len: usize) -> bool {
        self.out.get(len) == Some(&b'-')
    }

    /// Appends bytes that already are RESP.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. `text` must hold no CR or LF.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error, `text` beginning with its code (`ERR …`). Line breaks, which would break the framing, become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(b'-');
        let text = text.as_ref();
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        self.out.extend(text[..end].iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A 64-bit integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.number_line(b':', value);
    }

    /// A length or count as an integer.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A binary-safe string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.number_line(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer sent as a bulk string, as for values that are kept as integers.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(value).as_bytes());
    }

    /// A bulk string or, for `None`, the null.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// "Nothing": `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// "No array": `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The header of an array of `len` elements.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.number_line(b'*', len as i64);
    }

    /// The header of a map of `len` pairs; a flat array of `2 * len` elements in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.number_line(b'*', (len * 2) as i64),
            Version::Resp3 => self.number_line(b'%', len as i64),
        }
    }

    /// The header of a set; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.number_line(if self.is_resp3() { b'~' } else { b'*' }, len as i64);
    }

    /// The header of an out-of-band push; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.number_line(if self.is_resp3() { b'>' } else { b'*' }, len as i64);
    }

    /// The header of an attribute of `len` pairs. RESP2 has none, so there the caller must send nothing.
    pub fn attribute(&mut self, len: usize) {
        debug_assert!(self.is_resp3());
        self.number_line(b'|', len as i64);
    }

    /// A double: `,1.5` in RESP3, a bulk string in RESP2, both with the shortest digits that read back equal.
    pub fn double(&mut self, value: f64) {
        let mark = self.begin();
        double::write_double(self.out, value);
        let len = self.out.len() - mark.0;
        self.out.extend_from_slice(b"\r\n");
        let body = self.out.len();
        if self.is_resp3() {
            self.out.push(b',');
        } else {
            self.number_line(b'$', len as i64);
        }
        let header = self.out.len() - body;
        self.out[mark.0..].rotate_right(header);
    }

    /// A number given by its digits, for those that are not written in the shortest way: `,` and the digits in RESP3, a bulk
    /// string in RESP2.
    pub fn decimal(&mut self, digits: &[u8]) {
        if self.is_resp3() {
            self.line(b',', digits);
        } else {
            self.bulk(digits);
        }
    }

    /// A boolean: `#t` and `#f` in RESP3, `:1` and `:0` in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.version, value) {
            (Version::Resp2, true) => b":1\r\n",
            (Version::Resp2, false) => b":0\r\n",
            (Version::Resp3, true) => b"#t\r\n",
            (Version::Resp3, false) => b"#f\r\n",
        });
    }

    /// Text with a three-letter format (`txt`, `mkd`) in RESP3, a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        if self.is_resp3() {
            self.number_line(b'=', (text.len() + 4) as i64);
            self.out.extend_from_slice(format);
            self.out.push(b':');
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// An integer of any size, given by its digits; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if self.is_resp3() {
            self.line(b'(', digits.as_bytes());
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Starts an aggregate whose length is known only when its elements are written.
    pub fn begin(&mut self) -> Mark {
        Mark(self.out.len())
    }

    /// Puts the header of an array of `len` elements before what was written since `mark`.
    pub fn end_array(&mut self, mark: Mark, len: usize) {
        self.end(mark, b'*', len);
    }

    /// Puts the header of a map of `len` pairs before what was written since `mark`.
    pub fn end_map(&mut self, mark: Mark, len: usize) {
        match self.version {
            Version::Resp2 => self.end(mark, b'*', len * 2),
            Version::Resp3 => self.end(mark, b'%', len),
        }
    }

    /// Puts the header of a set of `len` elements before what was written since `mark`.
    pub fn end_set(&mut self, mark: Mark, len: usize) {
        self.end(mark, if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    fn end(&mut self, mark: Mark, kind: u8, len: usize) {
        self.end_with(mark, |reply| reply.number_line(kind, len as i64));
    }

    /// Puts what `header` writes before what was written since `mark`.
    pub fn end_with(&mut self, mark: Mark, header: impl FnOnce(&mut Self)) {
        let body = self.out.len();
        header(self);
        let header = self.out.len() - body;
        self.out[mark.0..].rotate_right(header);
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn number_line(&mut self, kind: u8, value: i64) {
        // Up to three digits are by far the most common; they need no formatter, and a copy of one length no call.
        if (0..1000).contains(&value) {
            let (value, digit) = (value as u32, |number: u32| b'0' + (number % 10) as u8);
            let (line, len) = match value {
                0..10 => ([kind, digit(value), b'\r', b'\n', 0, 0, 0, 0], 4),
                10..100 => ([kind, digit(value / 10), digit(value), b'\r', b'\n', 0, 0, 0], 5),
                _ => ([kind, digit(value / 100), digit(value / 10), digit(value), b'\r', b'\n', 0, 0], 6),
            };
            let end = self.out.len() + len;
            self.out.extend_from_slice(&line);
            self.out.truncate(end);
            return;
        }
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        let mut line = [0u8; 24];
        line[0] = kind;
        line[1..=digits.len()].copy_from_slice(digits);
        line[digits.len() + 1] = b'\r';
        line[digits.len() + 2] = b'\n';
        self.out.extend_from_slice(&line[..digits.len() + 3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply<'_>)) -> (String, String) {
        let run = |version| {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, version));
            String::from_utf8(out).unwrap()
        };
        (run(Version::Resp2), run(Version::Resp3))
    }

    #[test]
    fn scalars_in_both_versions() {
        assert_eq!(both(|r| r.null()), ("$-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(|r| r.null_array()), ("*-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(|r| r.boolean(true)), (":1\r\n".into(), "#t\r\n".into()));
        assert_eq!(both(|r| r.double(1.5)), ("$3\r\n1.5\r\n".into(), ",1.5\r\n".into()));
        assert_eq!(both(|r| r.verbatim(b"txt", b"hi")), ("$2\r\nhi\r\n".into(), "=6\r\ntxt:hi\r\n".into()));
        assert_eq!(both(|r| r.big_number("12")), ("$2\r\n12\r\n".into(), "(12\r\n".into()));
        assert_eq!(both(|r| r.integer(i64::MIN)).0, ":-9223372036854775808\r\n");
        assert_eq!(both(|r| r.integer(7)).0, ":7\r\n");
        assert_eq!(both(|r| r.error("ERR a\r\nb\n")).0, "-ERR a  b\r\n");
    }

    #[test]
    fn aggregates_in_both_versions() {
        assert_eq!(both(|r| r.map(3)), ("*6\r\n".into(), "%3\r\n".into()));
        assert_eq!(both(|r| r.set(12)), ("*12\r\n".into(), "~12\r\n".into()));
        assert_eq!(both(|r| r.push(2)), ("*2\r\n".into(), ">2\r\n".into()));
    }

    #[test]
    fn an_aggregate_gets_its_length_afterwards() {
        let (two, three) = both(|r| {
            r.simple("before");
            let mark = r.begin();
            for i in 0..11 {
                r.integer(i);
                r.bulk(b"x");
            }
            r.end_map(mark, 11);
        });
        assert!(two.starts_with("+before\r\n*22\r\n:0\r\n$1\r\nx\r\n"));
        assert!(three.starts_with("+before\r\n%11\r\n:0\r\n"));
        assert!(three.ends_with(":10\r\n$1\r\nx\r\n"));
    }
}
