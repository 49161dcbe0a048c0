//! What a connection does with the request parser, without the connection. Shared by the tests and
//! the fuzz target.

use roster::protocol::{Frame, Limits, Parser, ProtocolError, Step};

/// The requests of a connection, and the error that ended it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Vec<Vec<u8>>>,
    pub(crate) error: Option<ProtocolError>,
    /// The requests without arguments.
    pub(crate) empty: usize,
}

/// Feeds `input` in pieces that end at the offsets `cuts` (ascending) and at its end.
pub(crate) fn feed(input: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Outcome {
    let mut connection = Connection::default();
    let mut start = 0;
    for cut in cuts.into_iter().chain([input.len()]) {
        if !connection.receive(&input[start..cut], limits) {
            break;
        }
        // Memory follows what arrived, whatever lengths the client has declared.
        assert!(connection.memory() <= 6 * cut + 20_000, "{} bytes", connection.memory());
        start = cut;
    }
    connection.outcome
}

/// A receive buffer with a parser.
#[derive(Default)]
pub(crate) struct Connection {
    parser: Parser,
    buf: Vec<u8>,
    pub(crate) outcome: Outcome,
}

impl Connection {
    /// The bytes of memory that an unfinished request takes.
    pub(crate) fn memory(&mut self) -> usize {
        let big = self.parser.big().map_or(0, |big| {
            let (loan, _) = big.lend();
            let capacity = loan.capacity();
            big.restore(loan);
            capacity
        });
        self.buf.capacity() + big
    }

    /// Takes bytes off the wire. Returns whether the connection stays open.
    pub(crate) fn receive(&mut self, mut piece: &[u8], limits: &Limits) -> bool {
        if let Some(big) = self.parser.big() {
            let taken = big.extend(piece);
            piece = &piece[taken..];
        }
        self.buf.extend_from_slice(piece);
        let mut head = 0;
        loop {
            // Now and then, and from 1 to 4 requests at a time.
            let left = self.parser.read_ahead(&self.buf[head..], limits, self.outcome.requests.len() % 5);
            let seconds: Vec<_> = self.parser.seconds(&self.buf[head..]).map(<[u8]>::to_vec).collect();
            assert_eq!((seconds.len(), self.parser.is_ahead()), (left, left > 0));
            match self.parser.step(&self.buf[head..], limits) {
                Ok(Step::Request { consumed }) => {
                    let args = self.parser.args(&self.buf[head..]);
                    assert!(seconds.first().is_none_or(|second| second == args.nth(1).unwrap_or_default()));
                    let words: Vec<_> = args.iter().map(<[u8]>::to_vec).collect();
                    assert_eq!(words.len(), args.len());
                    assert!(Frame::from(&args).args().iter().eq(words.iter().map(Vec::as_slice)));
                    self.outcome.requests.push(words);
                    head += consumed;
                }
                Ok(Step::Empty { consumed }) => {
                    assert!(consumed > 0);
                    self.outcome.empty += 1;
                    head += consumed;
                }
                Ok(Step::Incomplete { want }) => {
                    assert!(want > 0);
                    break;
                }
                Ok(Step::Big { keep }) => {
                    let Some(big) = self.parser.big() else { panic!("no big argument") };
                    let payload = &self.buf[head + keep..];
                    assert_eq!(big.extend(payload), payload.len(), "not all of it is payload");
                    assert!(big.missing() > 0);
                    self.buf.truncate(head + keep);
                    break;
                }
                Err(error) => {
                    self.outcome.error = Some(error);
                    return false;
                }
            }
        }
        self.buf.drain(..head);
        true
    }
}
