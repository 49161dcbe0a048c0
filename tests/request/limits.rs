//! Violations of the protocol and limits.

use roster::protocol::{Limits, Parser, ProtocolError, Step};

use crate::driver::feed;
use crate::generate::command;

fn error_of(input: &[u8], limits: &Limits) -> Option<ProtocolError> {
    let whole = feed(input, [], limits);
    assert_eq!(whole, feed(input, 0..input.len(), limits), "{}", input[..input.len().min(99)].escape_ascii());
    whole.error
}

fn text(error: ProtocolError) -> Vec<u8> {
    let mut text = Vec::new();
    error.append_to(&mut text);
    text
}

/// Every line is what redis-server 7.0.15 answered, but for the limit of the count, which is that
/// of Redis up to 6.2.
#[test]
fn violations_are_told_in_the_words_of_redis() {
    let cases: [(&[u8], &[u8]); 23] = [
        (b"*01\r\n", b"invalid multibulk length"),
        (b"*+1\r\n", b"invalid multibulk length"),
        (b"*-0\r\n", b"invalid multibulk length"),
        (b"*\r\n", b"invalid multibulk length"),
        (b"*x\r\n", b"invalid multibulk length"),
        (b"* 1\r\n", b"invalid multibulk length"),
        (b"*1 \r\n", b"invalid multibulk length"),
        (b"*1048577\r\n", b"invalid multibulk length"),
        (b"*2147483648\r\n", b"invalid multibulk length"),
        (b"*9223372036854775808\r\n", b"invalid multibulk length"),
        (b"*-9223372036854775809\r\n", b"invalid multibulk length"),
        (b"*1\n$4\nPING\nPING\r\n", b"invalid multibulk length"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n$+4\r\nPING\r\n", b"invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", b"invalid bulk length"),
        (b"*1\r\n$\r\n", b"invalid bulk length"),
        (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
        (b"*1\r\n$18446744073709551620\r\n", b"invalid bulk length"),
        (b"*1\r\nPING\r\n", b"expected '$', got 'P'"),
        (b"*1\r\n\r\n\r\n", b"expected '$', got ' '"),
        (b"*1\r\n\nfoo\r\n", b"expected '$', got ' '"),
        (b"*1\r\n\xfffoo\r\n", b"expected '$', got '\xff'"),
        (b"ECHO \"a\"b\r\n", b"unbalanced quotes in request"),
    ];
    for (input, expected) in cases {
        let error = error_of(input, &Limits::default()).expect("an error");
        assert_eq!(text(error), [b"Protocol error: ", expected].concat(), "{}", input.escape_ascii());
    }
    let shown = ProtocolError::ExpectedDollar(0xff).to_string();
    assert_eq!(shown, r"Protocol error: expected '$', got '\xff'");
    assert_eq!(ProtocolError::InlineLength.to_string(), "Protocol error: too big inline request");
}

#[test]
fn lines_without_an_end() {
    let limits = Limits::default();
    let most = limits.inline_len;
    for (head, endless, message) in [
        (&b""[..], b'x', &b"Protocol error: too big inline request"[..]),
        (b"*", b'1', b"Protocol error: too big mbulk count string"),
        (b"*1\r\n$", b'1', b"Protocol error: too big bulk count string"),
    ] {
        let start = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut input = head.to_vec();
        input.resize(start + most, endless);
        assert_eq!(error_of(&input, &limits), None);
        input.push(endless);
        assert_eq!(text(error_of(&input, &limits).expect("an error")), message);
        input.extend_from_slice(b"\r\n");
        assert_eq!(text(error_of(&input, &limits).expect("an error")), message, "a late end");
    }
    let mut longest = vec![b'x'; most];
    longest.push(b'\n');
    assert_eq!(feed(&longest, 0..longest.len(), &limits).requests, [[longest[..most].to_vec()]]);
}

#[test]
fn limits_before_authentication() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    assert_eq!(error_of(b"*10\r\n", &limits), None);
    assert_eq!(error_of(b"*11\r\n", &limits), Some(ProtocolError::UnauthenticatedMultibulk));
    assert_eq!(error_of(b"*1048577\r\n", &limits), Some(ProtocolError::MultibulkLength));
    assert_eq!(error_of(b"*1\r\n$16384\r\n", &limits), None);
    assert_eq!(error_of(b"*1\r\n$16385\r\n", &limits), Some(ProtocolError::UnauthenticatedBulk));
    assert_eq!(text(ProtocolError::UnauthenticatedMultibulk), b"Protocol error: unauthenticated multibulk length");
    assert_eq!(text(ProtocolError::UnauthenticatedBulk), b"Protocol error: unauthenticated bulk length");
}

#[test]
fn configured_limits() {
    let limits = Limits { bulk_len: 5, multibulk: 3, ..Limits::default() };
    assert_eq!(error_of(&command(&[b"12345", b"", b"x"]), &limits), None);
    assert_eq!(error_of(&command(&[b"123456"]), &limits), Some(ProtocolError::BulkLength));
    assert_eq!(error_of(b"*4\r\n", &limits), Some(ProtocolError::MultibulkLength));
    let limits = Limits { bulk_len: usize::MAX, multibulk: usize::MAX, ..Limits::default() };
    let step = Parser::new().step(b"*9223372036854775807\r\n$9223372036854775807\r\nx", &limits);
    assert_eq!(step, Ok(Step::Big { keep: 44 }));
}
