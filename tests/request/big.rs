//! Arguments that are received into memory of their own.

use roster::protocol::{Limits, Parser, Step};

use crate::driver::{Connection, feed};
use crate::generate::{Random, command};

#[test]
fn big_arguments_cut_anywhere() {
    let values: Vec<Vec<u8>> = [32_767, 32_768, 32_769, 70_000, 300_000]
        .map(|len: usize| (0..len).map(|index| (index % 251) as u8).collect())
        .into();
    let mut input = b"PING\r\n".to_vec();
    for value in &values {
        input.extend(command(&[b"SET", b"before", value, b"between", value, b"after"]));
    }
    input.extend_from_slice(b"*1\r\n$4\r\nQUIT\r\n");
    let limits = Limits::default();
    let whole = feed(&input, [], &limits);
    assert_eq!(whole.requests.len(), 7);
    for (request, value) in whole.requests[1..].iter().zip(&values) {
        assert_eq!(
            request[..],
            [b"SET".to_vec(), b"before".to_vec(), value.clone(), b"between".to_vec(), value.clone(), b"after".to_vec()]
        );
    }
    let mut random = Random(1);
    for round in 0..400 {
        let cuts = random.cuts(input.len(), 12);
        assert!(whole == feed(&input, cuts.iter().copied(), &limits), "round {round}: {cuts:?}");
    }
    for step in [1, 7, 1000, 4096, 16_384, 65_536] {
        assert!(whole == feed(&input, (0..input.len()).step_by(step), &limits), "pieces of {step}");
    }
    // Around the borders of the payloads every single cut.
    let small = command(&[b"SET", b"k", &values[1], b"x"]);
    let whole = feed(&small, [], &limits);
    for cut in (0..40).chain(small.len() - 40..small.len()) {
        assert!(whole == feed(&small, [cut], &limits), "cut at {cut}");
        assert!(whole == feed(&small, [cut, cut + 1], &limits), "cut at {cut} and behind");
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
    assert_eq!(parser.step(&buf, &limits), Ok(Step::Big { keep: head }), "asking twice changes nothing");
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
    assert_eq!(step, Ok(Step::Request { consumed: buf.len() }));
    let args = parser.args(&buf);
    assert_eq!((args.get(0), args.get(1), args.get(2)), (&b"SET"[..], &b"k"[..], &value[..]));
    assert_eq!(args.take_big(1), None);
    let kept = args.take_big(2).expect("a big argument");
    assert_eq!(kept.as_ptr(), args.get(2).as_ptr());
    assert_eq!(parser.step(b"", &limits), Ok(Step::Incomplete { want: 1 }));
    let place = kept.as_ptr();
    let own = kept.try_into_mut().expect("the only owner");
    assert_eq!((own.as_ptr(), own.capacity()), (place, value.len()));
}

#[test]
fn thousand_promises_of_half_a_gigabyte() {
    let limits = Limits::default();
    let mut connections: Vec<Connection> = (0..1000).map(|_| Connection::default()).collect();
    for connection in &mut connections {
        assert!(connection.receive(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n", &limits));
        assert!(connection.receive(b"x", &limits));
    }
    assert!(connections.iter_mut().all(|connection| connection.memory() < 20_000));
}
