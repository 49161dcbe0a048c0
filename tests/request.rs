//! The request parser against every way of cutting its input, and against a simple reference.

#[path = "fuzz/driver.rs"]
mod driver;
#[path = "fuzz/reference.rs"]
mod reference;

use driver::{Connection, feed};
use roster::protocol::{Limits, Parser, ProtocolError, Step};

/// A pipeline with everything in it, whose longest argument is not big.
const MIXED: &[u8] = b"*1\r\n$4\r\nPING\r\nPING\r\n\r\n*0\r\n*-1\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\n\r\n*2\r\n$1\r\n\0$\r\n\
SET \"a \\x41\\\"\" 'it\\'s'\n  \t\r\n*2\r\n$4\r\nECHO\r\n$10\r\n0123456789xyGET k\r\n*-25\r\n*1\r\n$4\r\nQUIT\r\n";

/// A splitmix generator: the tests are the same on each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Up to `most` ascending cuts of an input of this length.
    fn cuts(&mut self, len: usize, most: usize) -> Vec<usize> {
        let mut cuts: Vec<_> = (0..self.below(most + 1))
            .map(|_| self.below(len + 1))
            .collect();
        cuts.sort_unstable();
        cuts
    }
}

fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn error_of(input: &[u8], limits: &Limits) -> Option<ProtocolError> {
    let whole = feed(input, [], limits);
    assert_eq!(
        whole,
        feed(input, 0..input.len(), limits),
        "{}",
        input[..input.len().min(99)].escape_ascii()
    );
    whole.error
}

fn text(error: ProtocolError) -> Vec<u8> {
    let mut text = Vec::new();
    error.append_to(&mut text);
    text
}

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
            assert_eq!(
                whole,
                feed(MIXED, [first, second], &limits),
                "cut at {first} and {second}"
            );
        }
    }
}

#[test]
fn big_arguments_cut_anywhere() {
    let values: Vec<Vec<u8>> = [32_767, 32_768, 32_769, 70_000, 300_000]
        .map(|len: usize| (0..len).map(|index| (index % 251) as u8).collect())
        .into();
    let mut input = b"PING\r\n".to_vec();
    for value in &values {
        input.extend(command(&[
            b"SET", b"before", value, b"between", value, b"after",
        ]));
    }
    input.extend_from_slice(b"*1\r\n$4\r\nQUIT\r\n");
    let limits = Limits::default();
    let whole = feed(&input, [], &limits);
    assert_eq!(whole.requests.len(), 7);
    for (request, value) in whole.requests[1..].iter().zip(&values) {
        assert_eq!(
            request[..],
            [
                b"SET".to_vec(),
                b"before".to_vec(),
                value.clone(),
                b"between".to_vec(),
                value.clone(),
                b"after".to_vec()
            ]
        );
    }
    let mut random = Random(1);
    for round in 0..400 {
        let cuts = random.cuts(input.len(), 12);
        assert!(
            whole == feed(&input, cuts.iter().copied(), &limits),
            "round {round}: {cuts:?}"
        );
    }
    for step in [1, 7, 1000, 4096, 16_384, 65_536] {
        assert!(
            whole == feed(&input, (0..input.len()).step_by(step), &limits),
            "pieces of {step}"
        );
    }
    // Around the borders of the payloads every single cut.
    let small = command(&[b"SET", b"k", &values[1], b"x"]);
    let whole = feed(&small, [], &limits);
    for cut in (0..40).chain(small.len() - 40..small.len()) {
        assert!(whole == feed(&small, [cut], &limits), "cut at {cut}");
        assert!(
            whole == feed(&small, [cut, cut + 1], &limits),
            "cut at {cut} and behind"
        );
    }
}

#[test]
fn a_big_argument_is_handed_over_without_a_copy() {
    let value = vec![7; 100_000];
    let input = command(&[b"SET", b"k", &value]);
    let limits = Limits::default();
    let mut parser = Parser::new();
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n".len();
    let mut buf = input[..head + 10].to_vec();
    assert_eq!(parser.step(&buf, &limits), Ok(Step::Big { keep: head }));
    assert_eq!(
        parser.step(&buf, &limits),
        Ok(Step::Big { keep: head }),
        "asking twice changes nothing"
    );
    let big = parser.big().expect("a big argument");
    assert_eq!(big.extend(&buf[head..]), 10);
    buf.truncate(head);
    let mut sent = head + 10;
    loop {
        let big = parser.big().expect("a big argument");
        let (mut loan, room) = big.lend();
        loan.extend_from_slice(&input[sent..sent + room]);
        sent += room;
        if big.restore(loan) {
            break;
        }
    }
    assert_eq!(parser.step(&buf, &limits), Ok(Step::Incomplete { want: 2 }));
    buf.extend_from_slice(&input[sent..]);
    let step = parser.step(&buf, &limits);
    assert_eq!(
        step,
        Ok(Step::Request {
            consumed: buf.len()
        })
    );
    let args = parser.args(&buf);
    assert_eq!(
        (args.get(0), args.get(1), args.get(2)),
        (&b"SET"[..], &b"k"[..], &value[..])
    );
    assert_eq!(args.take_big(1), None);
    let kept = args.take_big(2).expect("a big argument");
    assert_eq!(kept.as_ptr(), args.get(2).as_ptr());
    assert_eq!(parser.step(b"", &limits), Ok(Step::Incomplete { want: 1 }));
    let place = kept.as_ptr();
    let own = kept.try_into_mut().expect("the only owner");
    assert_eq!((own.as_ptr(), own.capacity()), (place, value.len()));
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
        assert_eq!(
            step,
            Ok(Step::Incomplete { want }),
            "{}",
            input.escape_ascii()
        );
    }
}

/// Every line is what redis-server 7.0.15 answered, but for the limit of the count, which is that of Redis up to 6.2.
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
        assert_eq!(
            text(error),
            [b"Protocol error: ", expected].concat(),
            "{}",
            input.escape_ascii()
        );
    }
    let shown = ProtocolError::ExpectedDollar(0xff).to_string();
    assert_eq!(shown, r"Protocol error: expected '$', got '\xff'");
    assert_eq!(
        ProtocolError::InlineLength.to_string(),
        "Protocol error: too big inline request"
    );
}

#[test]
fn lines_without_an_end() {
    let limits = Limits::default();
    let most = limits.inline_len;
    for (head, endless, message) in [
        (
            &b""[..],
            b'x',
            &b"Protocol error: too big inline request"[..],
        ),
        (b"*", b'1', b"Protocol error: too big mbulk count string"),
        (
            b"*1\r\n$",
            b'1',
            b"Protocol error: too big bulk count string",
        ),
    ] {
        let start = head
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let mut input = head.to_vec();
        input.resize(start + most, endless);
        assert_eq!(error_of(&input, &limits), None);
        input.push(endless);
        assert_eq!(text(error_of(&input, &limits).expect("an error")), message);
        input.extend_from_slice(b"\r\n");
        assert_eq!(
            text(error_of(&input, &limits).expect("an error")),
            message,
            "a late end"
        );
    }
    let mut longest = vec![b'x'; most];
    longest.push(b'\n');
    assert_eq!(
        feed(&longest, 0..longest.len(), &limits).requests,
        [[longest[..most].to_vec()]]
    );
}

#[test]
fn limits_before_authentication() {
    let limits = Limits {
        unauthenticated: true,
        ..Limits::default()
    };
    assert_eq!(error_of(b"*10\r\n", &limits), None);
    assert_eq!(
        error_of(b"*11\r\n", &limits),
        Some(ProtocolError::UnauthenticatedMultibulk)
    );
    assert_eq!(
        error_of(b"*1048577\r\n", &limits),
        Some(ProtocolError::MultibulkLength)
    );
    assert_eq!(error_of(b"*1\r\n$16384\r\n", &limits), None);
    assert_eq!(
        error_of(b"*1\r\n$16385\r\n", &limits),
        Some(ProtocolError::UnauthenticatedBulk)
    );
    assert_eq!(
        text(ProtocolError::UnauthenticatedMultibulk),
        b"Protocol error: unauthenticated multibulk length"
    );
    assert_eq!(
        text(ProtocolError::UnauthenticatedBulk),
        b"Protocol error: unauthenticated bulk length"
    );
}

#[test]
fn configured_limits() {
    let limits = Limits {
        bulk_len: 5,
        multibulk: 3,
        ..Limits::default()
    };
    assert_eq!(error_of(&command(&[b"12345", b"", b"x"]), &limits), None);
    assert_eq!(
        error_of(&command(&[b"123456"]), &limits),
        Some(ProtocolError::BulkLength)
    );
    assert_eq!(
        error_of(b"*4\r\n", &limits),
        Some(ProtocolError::MultibulkLength)
    );
    let limits = Limits {
        bulk_len: usize::MAX,
        multibulk: usize::MAX,
        ..Limits::default()
    };
    let step = Parser::new().step(
        b"*9223372036854775807\r\n$9223372036854775807\r\nx",
        &limits,
    );
    assert_eq!(step, Ok(Step::Big { keep: 44 }));
}

#[test]
fn a_million_requests_in_a_row() {
    let limits = Limits::default();
    for (one, requests, empty) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], 1, 0),
        (b"PING\n", 1, 0),
        (b"\r\n", 0, 1),
        (b"*0\r\n", 0, 1),
    ] {
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
    assert_eq!(
        parser.step(&input, &limits),
        Ok(Step::Request {
            consumed: input.len()
        })
    );
    let args = parser.args(&input);
    assert_eq!(args.len(), 1_000_000);
    assert!(args.iter().all(|argument| argument == b"0123456789"));
    assert_eq!(parser.step(b"", &limits), Ok(Step::Incomplete { want: 1 }));
}

/// A pipeline of requests, some of them damaged.
fn arbitrary(random: &mut Random) -> Vec<u8> {
    const PARTS: [&[u8]; 24] = [
        b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"*3\r\n", b"$0\r\n", b"$1\r\n", b"$4\r\n",
        b"$40\r\n", b"$-1\r\n", b"\r\n", b"\n", b"\r", b"PING", b"\"", b"'", b"\\", b"\\x4a", b" ",
        b"\0", b"x", b"00", b"1", b"\x0b",
    ];
    let mut input = Vec::new();
    for _ in 0..random.below(12) {
        match random.below(4) {
            0 => {
                let arguments: Vec<Vec<u8>> = (0..random.below(5))
                    .map(|_| (0..random.below(20)).map(|_| random.next() as u8).collect())
                    .collect();
                input.extend(command(
                    &arguments.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                ));
            }
            1 => input.extend_from_slice(b"SET \"a\\n\\x00\" 'b' c\r\n"),
            _ => (0..random.below(6))
                .for_each(|_| input.extend_from_slice(PARTS[random.below(PARTS.len())])),
        }
    }
    if random.below(4) == 0 && !input.is_empty() {
        let at = random.below(input.len());
        input[at] = random.next() as u8;
    }
    input
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
            unauthenticated: false,
        };
        let expected = reference::outcome(&input, &limits);
        let cuts = random.cuts(input.len(), 6);
        assert_eq!(
            feed(&input, [], &limits),
            expected,
            "{}",
            input.escape_ascii()
        );
        assert_eq!(
            feed(&input, cuts, &limits),
            expected,
            "in pieces: {}",
            input.escape_ascii()
        );
        assert_eq!(
            feed(&input, 0..input.len(), &limits),
            expected,
            "byte by byte: {}",
            input.escape_ascii()
        );
        requests += expected.requests.len();
        errors += usize::from(expected.error.is_some());
    }
    assert!(
        requests > 60_000 && errors > 10_000,
        "{requests} requests and {errors} errors do not test much"
    );
}

#[test]
fn thousand_promises_of_half_a_gigabyte() {
    let limits = Limits::default();
    let mut connections: Vec<Connection> = (0..1000).map(|_| Connection::default()).collect();
    for connection in &mut connections {
        assert!(connection.receive(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n", &limits));
        assert!(connection.receive(b"x", &limits));
    }
    assert!(
        connections
            .iter_mut()
            .all(|connection| connection.memory() < 20_000)
    );
}
