//! What a client hears when it breaks the protocol.

/// A violation of the protocol, after which the connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number of arguments is no number or too large.
    MultibulkLength,
    /// The length of an argument is no number, negative or above [`super::Limits::bulk_len`].
    BulkLength,
    /// An argument starts with this byte instead of `$`.
    ExpectedDollar(u8),
    /// The header with the number of arguments does not end.
    MultibulkHeader,
    /// The header of an argument does not end.
    BulkHeader,
    /// The inline command does not end.
    InlineLength,
    /// The quotes of an inline command do not match.
    UnbalancedQuotes,
    /// Too many arguments for a client that has not authenticated.
    UnauthenticatedMultibulk,
    /// Too long an argument for a client that has not authenticated.
    UnauthenticatedBulk,
}

impl ProtocolError {
    /// Appends the text as Redis 7.0 words it, without the prefix `-ERR ` and the line end. A CR or
    /// LF in it has become a space.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Protocol error: ");
        if let Self::ExpectedDollar(got) = *self {
            out.extend_from_slice(b"expected '$', got '");
            out.push(if matches!(got, b'\r' | b'\n') { b' ' } else { got });
            out.push(b'\'');
        } else {
            out.extend_from_slice(self.text().as_bytes());
        }
    }

    /// What is wrong, in Redis's words.
    fn text(&self) -> &'static str {
        match self {
            Self::MultibulkLength => "invalid multibulk length",
            Self::BulkLength => "invalid bulk length",
            Self::ExpectedDollar(_) => "expected '$'",
            Self::MultibulkHeader => "too big mbulk count string",
            Self::BulkHeader => "too big bulk count string",
            Self::InlineLength => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::UnauthenticatedMultibulk => "unauthenticated multibulk length",
            Self::UnauthenticatedBulk => "unauthenticated bulk length",
        }
    }
}

impl std::fmt::Display for ProtocolError {
    /// The text for a log: a byte that is not printable is escaped.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ExpectedDollar(got) => {
                write!(f, "Protocol error: expected '$', got '{}'", got.escape_ascii())
            }
            _ => write!(f, "Protocol error: {}", self.text()),
        }
    }
}

impl std::error::Error for ProtocolError {}
