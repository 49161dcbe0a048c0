//! What the commands of the SCAN kind share: their cursor and options, and the reply to a step over a collection.

use super::Error;
use crate::protocol::{Args, Mark, Reply, glob, number};

/// What is gone over, which decides the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// `SCAN`: keys, which have types.
    Keys,
    /// `HSCAN`: fields, whose values may be left out.
    Hash,
    /// `SSCAN`.
    Set,
    /// `ZSCAN`: members, whose scores may be left out.
    SortedSet,
}

/// The options of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanOptions<'a> {
    /// `COUNT`: how many elements to look at, more or less.
    pub(super) count: usize,
    /// `MATCH`: which elements to return, unless all.
    pub(super) pattern: Option<&'a [u8]>,
    /// `TYPE`: of which type.
    pub(super) kind: Option<&'a [u8]>,
    /// False with `NOVALUES` or `NOSCORES`.
    pub(super) values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Parses all of `args`, which follow the cursor, as options.
    pub(super) fn parse(args: Args<'a>, over: Over) -> Result<Self, Error> {
        let mut options = ScanOptions { count: 10, pattern: None, kind: None, values: true };
        let mut index = 0;
        while let Some(option) = args.nth(index) {
            index += 1;
            let names_only = [
                (&b"novalues"[..], Over::Hash, "NOVALUES option can only be used in HSCAN"),
                (b"noscores", Over::SortedSet, "NOSCORES option can only be used in ZSCAN"),
            ];
            if let Some((_, rightly, refusal)) =
                names_only.into_iter().find(|(word, ..)| option.eq_ignore_ascii_case(word))
            {
                if over != rightly {
                    return Err(Error::new(refusal));
                }
                options.values = false;
                continue;
            }
            let value = args.nth(index).ok_or(Error::SYNTAX)?;
            index += 1;
            if option.eq_ignore_ascii_case(b"count") {
                let count = number::parse_i64(value).ok_or(Error::NOT_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(Error::SYNTAX)?;
            } else if option.eq_ignore_ascii_case(b"match") {
                options.pattern = Some(value).filter(|pattern| !matches_all(pattern));
            } else if option.eq_ignore_ascii_case(b"type") && over == Over::Keys {
                options.kind = Some(value);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether an element of this name is to be returned.
    #[inline]
    pub(super) fn admits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name, false))
    }
}

/// Whether a pattern matches everything. Redis does not ask the pattern then, so that the empty name, which no pattern but
/// the empty one matches, is returned too.
pub(super) fn matches_all(pattern: &[u8]) -> bool {
    pattern == b"*"
}

/// A cursor as a client may write it: digits, with a plus and zeros before them if it likes.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, Error> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let significant = if zeros == digits.len() { &digits[zeros.saturating_sub(1)..] } else { &digits[zeros..] };
    number::parse_u64(significant).ok_or(Error::CURSOR)
}

/// The elements that one call of a scan returns.
pub(super) struct Page<'a, 'r, 'o> {
    reply: &'a mut Reply<'r>,
    options: &'a ScanOptions<'o>,
    visited: usize,
    words: usize,
}

impl Page<'_, '_, '_> {
    /// Whether an element of this name is to be returned. To be asked once for each element that is looked at, because that
    /// counts towards `COUNT`.
    #[inline]
    pub(super) fn admits(&mut self, name: &[u8]) -> bool {
        self.visited += 1;
        self.options.admits(name)
    }

    /// Returns a word: an element, or what belongs to it.
    #[inline]
    pub(super) fn word(&mut self, bytes: &[u8]) {
        self.reply.bulk(bytes);
        self.words += 1;
    }
}

/// Replies to a scan of a collection. `step` visits the elements at a cursor, gives those that the page admits to it, and
/// returns the next cursor, 0 at the end.
pub(super) fn page(
    reply: &mut Reply<'_>,
    cursor: u64,
    options: &ScanOptions<'_>,
    mut step: impl FnMut(u64, &mut Page<'_, '_, '_>) -> u64,
) {
    let mark = reply.begin();
    let mut page = Page { reply, options, visited: 0, words: 0 };
    let mut next = cursor;
    // A table that lost most of its elements has many empty places, which must not make one call long.
    for _ in 0..options.count.saturating_mul(10) {
        next = step(next, &mut page);
        if next == 0 || page.visited >= options.count {
            break;
        }
    }
    let words = page.words;
    end_page(reply, mark, next, words);
}

/// The reply to a scan of a key that is not there.
pub(super) fn empty_page(reply: &mut Reply<'_>) {
    let mark = reply.begin();
    end_page(reply, mark, 0, 0);
}

/// Puts the next cursor before the `words` that were written since `mark`: they come after it in the reply, and before it in
/// time.
pub(super) fn end_page(reply: &mut Reply<'_>, mark: Mark, next: u64, words: usize) {
    reply.end_with(mark, |reply| {
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(next).as_bytes());
        reply.array(words);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Frame, Version};

    fn parse(text: &str, over: Over) -> Result<String, String> {
        let frame: Frame = text.split_whitespace().map(str::as_bytes).collect();
        match ScanOptions::parse(frame.args(), over) {
            Ok(options) => {
                let text =
                    |word: Option<&[u8]>| word.map_or("-".into(), |word| String::from_utf8_lossy(word).into_owned());
                Ok(format!("{} {} {} {}", options.count, text(options.pattern), text(options.kind), options.values))
            }
            Err(Error::Reply(text)) => Err(text.into_owned()),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn options_depend_on_what_is_gone_over() {
        let fails = |text: &str| Err(text.to_string());
        assert_eq!(parse("", Over::Set), Ok("10 - - true".into()));
        assert_eq!(parse("match a* count 3 MATCH b*", Over::Set), Ok("3 b* - true".into()));
        assert_eq!(parse("MATCH a* MATCH *", Over::Set), Ok("10 - - true".into()));
        assert_eq!(parse("NOVALUES count 1", Over::Hash), Ok("1 - - false".into()));
        assert_eq!(parse("type list", Over::Keys), Ok("10 - list true".into()));
        assert_eq!(parse("type list", Over::Hash), fails("ERR syntax error"));
        assert_eq!(parse("novalues", Over::Set), fails("ERR NOVALUES option can only be used in HSCAN"));
        assert_eq!(parse("novalues", Over::Keys), fails("ERR NOVALUES option can only be used in HSCAN"));
        assert_eq!(parse("NoScores", Over::SortedSet), Ok("10 - - false".into()));
        assert_eq!(parse("noscores", Over::Hash), fails("ERR NOSCORES option can only be used in ZSCAN"));
        assert_eq!(parse("count", Over::Hash), fails("ERR syntax error"));
        assert_eq!(parse("count 0", Over::Hash), fails("ERR syntax error"));
        assert_eq!(parse("count x", Over::Hash), fails("ERR value is not an integer or out of range"));
    }

    /// A scan of the numbers from 0 to 99, ten a step, of which those before `from` are gone.
    fn scan(cursor: u64, options: &str, from: u64) -> String {
        let frame: Frame = options.split_whitespace().map(str::as_bytes).collect();
        let options = ScanOptions::parse(frame.args(), Over::Set).expect("the options are valid");
        let mut out = Vec::new();
        page(&mut Reply::new(&mut out, Version::Resp2), cursor, &options, |cursor, page| {
            for number in (cursor * 10..cursor * 10 + 10).filter(|&number| number >= from) {
                let name = number.to_string();
                if page.admits(name.as_bytes()) {
                    page.word(name.as_bytes());
                }
            }
            (cursor + 1) % 10
        });
        String::from_utf8(out).expect("the reply is text").replace("\r\n", "|")
    }

    #[test]
    fn a_page_is_as_long_as_asked_for() {
        assert!(scan(0, "count 1", 0).starts_with("*2|$1|1|*10|$1|0|"));
        assert!(scan(0, "count 11", 0).starts_with("*2|$1|2|*20|"));
        assert!(scan(2, "count 1000", 0).starts_with("*2|$1|0|*80|$2|20|"));
        // What the pattern leaves out was looked at all the same.
        assert_eq!(
            scan(0, "match 1? count 20", 0),
            "*2|$1|2|*10|$2|10|$2|11|$2|12|$2|13|$2|14|$2|15|$2|16|$2|17|$2|18|$2|19|"
        );
        assert!(scan(0, "count 1", 50).starts_with("*2|$1|6|*10|"));
        assert_eq!(scan(9, "match x", 0), "*2|$1|0|*0|");
    }

    #[test]
    fn cursors() {
        assert_eq!(parse_cursor(b"+007"), Ok(7));
        assert_eq!(parse_cursor(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_cursor(b"18446744073709551616"), Err(Error::CURSOR));
        assert_eq!(parse_cursor(b""), Err(Error::CURSOR));
    }
}
