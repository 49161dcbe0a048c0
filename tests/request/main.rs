//! The request parser against every way of cutting its input, and against a simple reference.

mod big;
#[path = "../fuzz/driver.rs"]
mod driver;
mod generate;
mod limits;
#[path = "../fuzz/reference.rs"]
mod reference;

use driver::feed;
use generate::{Random, arbitrary, command};
use roster::protocol::{Limits, Parser, Step};

/// A pipeline with everything in it, whose longest argument is not big.
const MIXED: &[u8] = b"*1\r\n$4\r\nPING\r\nPING\r\n\r\n*0\r\n*-1\r\n\
*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\n\r\n*2\r\n$1\r\n\0$\r\nSET \"a \\x41\\\"\" 'it\\'s'\n  \t\r\n\
*2\r\n$4\r\nECHO\r\n$10\r\n0123456789xyGET k\r\n*-25\r\n*1\r\n$4\r\nQUIT\r\n";

#[test]
fn a_pipeline_in_one_piece() {
    let outcome = feed(MIXED, [], &Limits::default());
    let expected: [&[&[u8]]; 7] = [
        &[b"PING"],
        &[b"PING"],
        &[b"SET", b"", b"\r\n*2\r\n$1\r\n\0$"],
        &[b"SET", b"a A\"", b"it's"],
        &[b"ECHO", b"0123456789"],
        &[b"GET", b"k"],
        &[b"QUIT"],
    ];
    assert_eq!(outcome.requests, expected);
    assert_eq!((outcome.error, outcome.empty), (None, 5));
}

#[test]
fn a_pipeline_cut_at_every_pair_of_offsets() {
    let limits = Limits::default();
    let whole = feed(MIXED, [], &limits);
    assert_eq!(whole, feed(MIXED, 0..MIXED.len(), &limits), "byte by byte");
    for first in 0..=MIXED.len() {
        for second in first..=MIXED.len() {
            assert_eq!(whole, feed(MIXED, [first, second], &limits), "cut at {first} and {second}");
        }
    }
}

#[test]
fn missing_bytes_are_told() {
    let limits = Limits::default();
    let cases: [(&[u8], usize); 8] = [
        (b"", 1),
        (b"*", 1),
        (b"*1\r", 1),
        (b"*1\r\n", 1),
        (b"*1\r\n$5\r\n", 7),
        (b"*1\r\n$5\r\nabc", 4),
        (b"*1\r\n$5\r\nabcde\r", 1),
        (b"GET x", 1),
    ];
    for (input, want) in cases {
        let step = Parser::new().step(input, &limits);
        assert_eq!(step, Ok(Step::Incomplete { want }), "{}", input.escape_ascii());
    }
}

#[test]
fn a_million_requests_in_a_row() {
    let limits = Limits::default();
    for (one, requests, empty) in
        [(&b"*1\r\n$4\r\nPING\r\n"[..], 1, 0), (b"PING\n", 1, 0), (b"\r\n", 0, 1), (b"*0\r\n", 0, 1)]
    {
        let input = one.repeat(1_000_000);
        let (mut head, mut found, mut blank) = (0, 0, 0);
        let mut parser = Parser::new();
        while head < input.len() {
            match parser.step(&input[head..], &limits) {
                Ok(Step::Request { consumed }) => {
                    assert_eq!(parser.args(&input[head..]).get(0), b"PING");
                    head += consumed;
                    found += 1;
                }
                Ok(Step::Empty { consumed }) => {
                    head += consumed;
                    blank += 1;
                }
                other => panic!("{other:?} at {head}"),
            }
        }
        assert_eq!((found, blank), (requests * 1_000_000, empty * 1_000_000));
    }
}

/// A parser that began anew with each piece would take hours for this.
#[test]
fn a_request_of_a_million_arguments_in_small_pieces() {
    let arguments = vec![&b"0123456789"[..]; 1_000_000];
    let input = command(&arguments);
    let limits = Limits::default();
    let mut parser = Parser::new();
    for end in (0..input.len()).step_by(61) {
        match parser.step(&input[..end], &limits) {
            Ok(Step::Incomplete { .. }) => {}
            other => panic!("{other:?} at {end}"),
        }
    }
    assert_eq!(parser.step(&input, &limits), Ok(Step::Request { consumed: input.len() }));
    let args = parser.args(&input);
    assert_eq!(args.len(), 1_000_000);
    assert!(args.iter().all(|argument| argument == b"0123456789"));
    assert_eq!(parser.step(b"", &limits), Ok(Step::Incomplete { want: 1 }));
}

#[test]
fn random_pipelines_agree_with_the_reference() {
    let mut random = Random(42);
    let (mut requests, mut errors) = (0, 0);
    for _ in 0..60_000 {
        let input = arbitrary(&mut random);
        let limits = Limits {
            bulk_len: 30 + random.below(20),
            multibulk: 3 + random.below(3),
            inline_len: 8 + random.below(40),
            unauthenticated: random.below(2) == 0,
        };
        let expected = reference::outcome(&input, &limits);
        let cuts = random.cuts(input.len(), 6);
        assert_eq!(feed(&input, [], &limits), expected, "{}", input.escape_ascii());
        assert_eq!(feed(&input, cuts, &limits), expected, "in pieces: {}", input.escape_ascii());
        assert_eq!(feed(&input, 0..input.len(), &limits), expected, "byte by byte: {}", input.escape_ascii());
        requests += expected.requests.len();
        errors += usize::from(expected.error.is_some());
    }
    assert!(requests > 60_000 && errors > 10_000, "{requests} requests and {errors} errors do not test much");
}
