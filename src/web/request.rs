//! The head of an HTTP request, as far as this server needs it.

use std::io::{self, Read};

/// Bytes of a request's head.
const HEAD_MOST: usize = 8 * 1024;
/// Bytes of its first line.
const LINE_MOST: usize = 2 * 1024;
/// Its header lines.
const HEADERS_MOST: usize = 64;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// `GET`, in most cases.
    pub(super) method: String,
    /// The path, without what follows a question mark.
    pub(super) path: String,
    /// Whether the answer has no body.
    pub(super) head_only: bool,
}

/// Why a request is not answered: the status, and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

const fn refused<T>(status: u16, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, reason })
}

/// Reads a request's head; `None` if the client has gone without one.
///
/// # Errors
/// What the client is told.
pub(super) fn read(stream: &mut impl Read) -> Result<Option<Request>, Refusal> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) if head.is_empty() => return Ok(None),
            Ok(0) => return refused(400, "the request has no end"),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                return refused(408, "the request took too long");
            }
            Err(_) => return Ok(None),
        };
        let searched = head.len().saturating_sub(3);
        head.extend_from_slice(&chunk[..count]);
        if let Some(end) = head[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
            head.truncate(searched + end);
            return parse(&head).map(Some);
        }
        if head.len() > LINE_MOST && !head[..LINE_MOST].contains(&b'\n') {
            return refused(414, "the request's first line is too long");
        }
        if head.len() > HEAD_MOST {
            return refused(431, "the request's head is too long");
        }
        // What does not speak HTTP is told so at once, not when its time is up.
        if let Some(end) = head.iter().position(|byte| *byte == b'\n') {
            first_line(&head[..end])?;
        }
    }
}

fn parse(head: &[u8]) -> Result<Request, Refusal> {
    if head.len() > HEAD_MOST {
        return refused(431, "the request's head is too long");
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let (method, path, minor) = first_line(first)?;
    let (mut hosts, mut count) = (0, 0);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        count += 1;
        if count > HEADERS_MOST {
            return refused(431, "the request has too many headers");
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return refused(400, "a header has no colon");
        };
        let (name, value) = line.split_at(colon);
        if !is_token(name) || value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return refused(400, "a header has characters that may not be there");
        }
        hosts += usize::from(name.eq_ignore_ascii_case(b"host"));
    }
    if hosts > 1 || (minor == b'1' && hosts == 0) {
        return refused(400, "the request needs one Host header");
    }
    let head_only = method == "HEAD";
    Ok(Request { method, path, head_only })
}

/// The method, the path, and the minor version.
fn first_line(line: &[u8]) -> Result<(String, String, u8), Refusal> {
    const NONE: Refusal = Refusal { status: 400, reason: "this is no HTTP request" };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(NONE);
    };
    let printable = target.iter().all(u8::is_ascii_graphic);
    let (true, true, Some([major, b'.', minor])) = (is_token(method), printable, version.strip_prefix(b"HTTP/")) else {
        return Err(NONE);
    };
    if *major != b'1' || !minor.is_ascii_digit() {
        return refused(505, "this server speaks HTTP/1.1");
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let target = text(target);
    // Through a proxy the target may be a whole address.
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => &target,
    };
    if !path.starts_with('/') {
        return refused(400, "the request names no path");
    }
    let path = path.split('?').next().unwrap_or_default().to_owned();
    Ok((text(method), path, *minor))
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<(String, String)>, u16> {
        match read(&mut text.as_bytes()) {
            Ok(request) => Ok(request.map(|request| (request.method, request.path))),
            Err(refusal) => Err(refusal.status),
        }
    }

    #[test]
    fn requests_are_read() {
        for (text, method, path) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
            ("GET /metrics?x=1&y HTTP/1.1\r\nhost:\r\nAccept: */*\r\n\r\nrest", "GET", "/metrics"),
            ("HEAD /healthz HTTP/1.0\r\n\r\n", "HEAD", "/healthz"),
            ("GET http://host:80/metrics HTTP/1.1\r\nHost: host\r\n\r\n", "GET", "/metrics"),
            ("GET http://host HTTP/1.1\r\nHost: host\r\n\r\n", "GET", "/"),
            ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST", "/x"),
        ] {
            assert_eq!(of(text), Ok(Some((method.to_owned(), path.to_owned()))), "{text}");
        }
        assert_eq!(of(""), Ok(None));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n", 400),
            ("*1\r\n$4\r\nPING\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400),
            ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
            ("\r\n\r\n", 400),
        ] {
            assert_eq!(of(text), Err(status), "{text:?}");
        }
        assert_eq!(of(&format!("GET /{}", "x".repeat(5000))), Err(414));
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: {}", "x".repeat(10_000))), Err(431));
        let headers = "A: b\r\n".repeat(HEADERS_MOST);
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")), Err(431));
        assert_eq!(of(&format!("GET / HTTP/1.0\r\n{headers}\r\n")), Ok(Some(("GET".into(), "/".into()))));
    }

    #[test]
    fn pieces_make_a_request() {
        struct Drops<'a>(&'a [u8]);
        impl Read for Drops<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else { return Err(io::ErrorKind::TimedOut.into()) };
                buffer[0] = *first;
                self.0 = rest;
                Ok(1)
            }
        }
        let request = read(&mut Drops(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(request.map(|request| request.map(|one| one.path)), Ok(Some("/metrics".to_owned())));
        assert_eq!(read(&mut Drops(b"GET / HTTP/1.1\r\nHost")).map_err(|refusal| refusal.status), Err(408));
    }
}
