//! What a request is answered.

use super::request::{Refusal, Request};
use super::{Health, Source, metrics, page};

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    kind: &'static str,
    /// Further header lines, each with its end.
    headers: &'static str,
    body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
/// The type of Prometheus's text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page loads nothing from anywhere and is shown in no other page.
const HTML_HEADERS: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
form-action 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";

/// The answer to a request.
pub(super) fn to(request: &Request, source: Source) -> Answer {
    let write: fn(Source) -> Answer = match request.path.as_str() {
        "/" => |source| Answer { headers: HTML_HEADERS, ..Answer::new(200, HTML, page::write(source)) },
        "/metrics" => |source| Answer::new(200, EXPOSITION, metrics::write(source)),
        "/healthz" => healthz,
        _ => return Answer::new(404, TEXT, "there is /, /metrics and /healthz\n"),
    };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Answer { headers: "Allow: GET, HEAD\r\n", ..Answer::new(405, TEXT, "only GET and HEAD are served\n") };
    }
    write(source)
}

fn healthz(source: Source) -> Answer {
    let health = (source.health)(source.node);
    let text = format!("{}\n", health.as_str());
    match health {
        Health::Serving => Answer::new(200, TEXT, text),
        Health::Loading | Health::Ending => Answer { headers: "Retry-After: 1\r\n", ..Answer::new(503, TEXT, text) },
    }
}

impl Answer {
    fn new(status: u16, kind: &'static str, body: impl Into<String>) -> Answer {
        Answer { status, kind, headers: "", body: body.into() }
    }

    /// To what is no request.
    pub(super) fn refusal(refusal: &Refusal) -> Answer {
        Answer::new(refusal.status, TEXT, format!("{}\n", refusal.reason))
    }

    /// To a connection too many.
    pub(super) fn busy() -> Answer {
        Answer { headers: "Retry-After: 1\r\n", ..Answer::new(503, TEXT, "too many connections\n") }
    }

    /// What is sent, with the body or without it.
    pub(super) fn bytes(&self, body: bool) -> Vec<u8> {
        let Answer { status, kind, headers, .. } = self;
        let (phrase, len) = (phrase(*status), self.body.len());
        let mut bytes = format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n{headers}Connection: close\r\n\r\n"
        )
        .into_bytes();
        if body {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    fn answer(method: &str, path: &str, health: fn(&crate::command::Node) -> Health) -> String {
        let rig = Rig::new();
        let request =
            Request { method: method.to_owned(), path: path.to_owned(), head_only: method.starts_with("HEAD") };
        let answer = to(&request, Source { node: rig.worker.node, health });
        String::from_utf8(answer.bytes(!request.head_only)).expect("text")
    }

    #[test]
    fn paths_and_methods() {
        let serving = |_: &crate::command::Node| Health::Serving;
        for (method, path, status) in [
            ("GET", "/", "200 OK"),
            ("HEAD", "/", "200 OK"),
            ("GET", "/metrics", "200 OK"),
            ("GET", "/healthz", "200 OK"),
            ("POST", "/metrics", "405 Method Not Allowed"),
            ("DELETE", "/", "405 Method Not Allowed"),
            ("GET", "/metrics/", "404 Not Found"),
            ("POST", "/nosuch", "404 Not Found"),
        ] {
            let text = answer(method, path, serving);
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{method} {path}: {text}");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            let told = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
            assert_eq!(head.contains("\r\nAllow: GET, HEAD"), status.starts_with("405"));
            if method == "HEAD" {
                assert!(body.is_empty() && told != "0");
            } else {
                assert_eq!(told, body.len().to_string());
            }
        }
    }

    #[test]
    fn health_has_a_status_of_its_own() {
        assert!(answer("GET", "/healthz", |_| Health::Serving).ends_with("\r\n\r\nok\n"));
        for (health, text) in [
            ((|_| Health::Loading) as fn(&crate::command::Node) -> Health, "loading"),
            (|_| Health::Ending, "shutting down"),
        ] {
            let answer = answer("GET", "/healthz", health);
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(&format!("\r\n\r\n{text}\n")), "{answer}");
        }
    }
}
