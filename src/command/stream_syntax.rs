//! What the stream commands have in common: IDs as clients write them, replies of entries, and errors.

use super::Error;
use crate::protocol::{Args, Reply, number};
use crate::value::stream::{AddError, Record, References, SetIdError, Spelling, StreamId};

/// An ID that is none.
pub(super) fn invalid_id() -> Error {
    Error::coded("ERR Invalid stream ID specified as stream command argument")
}

/// A whole ID, or one whose sequence is missing and becomes `seq`. Neither `-` nor `+`.
pub(super) fn parse_id(text: &[u8], seq: u64) -> Result<StreamId, Error> {
    match StreamId::parse(text) {
        Some(Spelling::Whole(id)) => Ok(id),
        Some(Spelling::Milliseconds(ms)) => Ok(StreamId::new(ms, seq)),
        Some(Spelling::AnySequence(_)) | None => Err(invalid_id()),
    }
}

/// Checks that all arguments are IDs, so that what follows happens to all of them or to none.
pub(super) fn check_ids(args: Args<'_>) -> Result<(), Error> {
    args.iter().try_for_each(|text| parse_id(text, 0).map(drop))
}

/// As [`parse_id`], or `-` for the first and `+` for the last ID.
pub(super) fn parse_edge(text: &[u8], seq: u64) -> Result<StreamId, Error> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_id(text, seq),
    }
}

/// The first ID of an interval; `(` before it excludes it.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            parse_id(id, 0)?.next().ok_or_else(|| Error::coded("ERR invalid start ID for the interval"))
        }
        _ => parse_edge(text, 0),
    }
}

/// The last ID of an interval; `(` before it excludes it.
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            parse_id(id, u64::MAX)?.previous().ok_or_else(|| Error::coded("ERR invalid end ID for the interval"))
        }
        _ => parse_edge(text, u64::MAX),
    }
}

/// A signed integer, or `error`.
pub(super) fn parse_integer(text: &[u8], error: impl Into<Option<&'static str>>) -> Result<i64, Error> {
    number::parse_i64(text).ok_or_else(|| error.into().map_or(Error::NOT_INTEGER, Error::coded))
}

/// `KEEPREF`, `DELREF` or `ACKED`.
pub(super) fn parse_references(word: &[u8]) -> Option<References> {
    REFERENCES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, references)| *references)
}

/// The word that [`parse_references`] reads.
pub(super) fn references_word(references: References) -> &'static [u8] {
    REFERENCES.iter().find(|(_, other)| *other == references).map_or(b"KEEPREF", |(name, _)| name.as_bytes())
}

const REFERENCES: [(&str, References); 3] =
    [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Respect)];

/// An error that repeats words of a client. Redis prints each as a C string, which ends at its first NUL.
pub(super) fn quoting(parts: &[&[u8]]) -> Error {
    let ends = |part: &&[u8]| part.iter().position(|&byte| byte == 0).unwrap_or(part.len());
    Error::Quoting(parts.iter().flat_map(|part| &part[..ends(part)]).copied().collect())
}

/// There is no such key or no such group.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    quoting(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'"])
}

/// There is no such group of a key that is there.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Error {
    quoting(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
}

/// A subcommand of `container` with arguments that do not fit.
pub(super) fn subcommand_syntax(container: &str, word: &[u8]) -> Error {
    let shown = &word[..word.len().min(128)];
    quoting(&[
        b"ERR unknown subcommand or wrong number of arguments for '",
        shown,
        b"'. Try ",
        container.as_bytes(),
        b" HELP.",
    ])
}

impl From<AddError> for Error {
    fn from(error: AddError) -> Error {
        Error::new(error.to_string())
    }
}

impl From<SetIdError> for Error {
    fn from(error: SetIdError) -> Error {
        Error::new(error.to_string())
    }
}

/// Replies an ID.
pub(super) fn write_id(reply: &mut Reply<'_>, id: StreamId) {
    // Two numbers of at most 20 digits and the dash between them.
    let (mut text, mut digits) = ([0; 41], itoa::Buffer::new());
    let ms = digits.format(id.ms).as_bytes();
    let dash = ms.len();
    text[..dash].copy_from_slice(ms);
    text[dash] = b'-';
    let seq = digits.format(id.seq).as_bytes();
    let end = dash + 1 + seq.len();
    text[dash + 1..end].copy_from_slice(seq);
    reply.bulk(&text[..end]);
}

/// Replies an entry: its ID, and the array of its fields and values.
pub(super) fn write_entry(reply: &mut Reply<'_>, record: Record<'_>) {
    reply.array(2);
    write_id(reply, record.id);
    reply.array(2 * record.fields.len());
    for (field, value) in record.fields {
        reply.bulk(&field);
        reply.bulk(&value);
    }
}

/// Replies an array of entries, of at most `count` if that is not 0.
pub(super) fn write_entries<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = Record<'a>>, count: u64) -> usize {
    let most = if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) };
    let mark = reply.begin();
    let mut written = 0;
    for record in entries.take(most) {
        write_entry(reply, record);
        written += 1;
    }
    reply.end_array(mark, written);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_may_exclude_their_edges() {
        let id = StreamId::new;
        assert_eq!(parse_start(b"5"), Ok(id(5, 0)));
        assert_eq!(parse_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(parse_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!((parse_start(b"-"), parse_end(b"+")), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
        let last = b"(18446744073709551615-18446744073709551615";
        assert_eq!(parse_start(last), Err(Error::coded("ERR invalid start ID for the interval")));
        assert_eq!(parse_end(b"(0-0"), Err(Error::coded("ERR invalid end ID for the interval")));
        for text in [&b"("[..], b"(-", b"(+", b"5-*", b"*", b"$", b""] {
            assert_eq!(parse_start(text), Err(invalid_id()));
            assert_eq!(parse_end(text), Err(invalid_id()));
        }
    }

    #[test]
    fn ids_are_written_whole() {
        let mut out = Vec::new();
        write_id(&mut Reply::new(&mut out, Default::default()), StreamId::MAX);
        assert_eq!(out, b"$41\r\n18446744073709551615-18446744073709551615\r\n");
    }

    #[test]
    fn words_of_clients_end_at_their_first_nul() {
        assert_eq!(
            no_key_or_group(b"k\0x", b"g"),
            Error::Quoting((*b"NOGROUP No such key 'k' or consumer group 'g'").into())
        );
        let long = [b'x'; 200];
        let Error::Quoting(text) = subcommand_syntax("XGROUP", &long) else { panic!("it repeats a word") };
        assert_eq!(text.iter().filter(|&&byte| byte == b'x').count(), 128);
    }
}
