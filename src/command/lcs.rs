//! LCS: the longest common subsequence of two strings.

use super::string_value::{StringValue, string_of};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::Record;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("lcs", -3, lcs)
    .flags(Flags::READONLY)
    .keys(&[KeySpec::range(1, 1, 1, Access::RO.and(Access::ACCESS))])
    .group(Group::String)
    .since("7.0.0")
    .complexity("O(N*M) where N and M are the lengths of the two strings.")
    .doc(
        "Returns the longest common subsequence of two strings.",
        "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
    )];

/// What is asked for.
#[derive(Default)]
struct Options {
    length: bool,
    indexes: bool,
    match_lengths: bool,
    shortest: i64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Options::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"LEN") {
                options.length = true;
            } else if word.eq_ignore_ascii_case(b"IDX") {
                options.indexes = true;
            } else if word.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                options.match_lengths = true;
            } else if word.eq_ignore_ascii_case(b"MINMATCHLEN") {
                let number = words.next().ok_or(Error::SYNTAX)?;
                options.shortest = number::parse_i64(number).ok_or(Error::NOT_INTEGER)?.max(0);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if options.length && options.indexes { Err(Error::LCS_OPTIONS) } else { Ok(options) }
    }
}

fn lcs(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    // The lengths decide whether it is worth copying what may be half a gigabyte.
    let lens = [string_len(cx, args.get(1))?, string_len(cx, args.get(2))?];
    let options = Options::parse(args.skip(3))?;
    check_size(lens, cx.settings().proto_max_bulk_len)?;
    let [a, b] = if lens.contains(&0) { Default::default() } else { [copy(cx, args.get(1))?, copy(cx, args.get(2))?] };
    let out = &mut cx.reply;
    if options.length {
        out.integer(length(&a, &b, |_, _, _| ()).into());
        return Ok(());
    }
    let table = Table::new(&a, &b)?;
    if !options.indexes {
        let mut found: Vec<u8> = table.pairs().map(|(i, _)| a[i]).collect();
        found.reverse();
        out.bulk(&found);
        return Ok(());
    }
    out.map(2);
    out.bulk(b"matches");
    let (mark, mut matches) = (out.begin(), 0);
    for (first, second, len) in table.runs() {
        if (len as i64) < options.shortest {
            continue;
        }
        matches += 1;
        out.array(if options.match_lengths { 3 } else { 2 });
        for start in [first, second] {
            out.array(2);
            out.count(start);
            out.count(start + len - 1);
        }
        if options.match_lengths {
            out.count(len);
        }
    }
    out.end_array(mark, matches);
    out.bulk(b"len");
    out.integer(table.length.into());
    Ok(())
}

fn string_len(cx: &Context<'_>, key: &[u8]) -> Result<usize, Error> {
    cx.store.read(key, |record| {
        cx.count_lookup(record.is_some());
        let string = string_of(record.map(Record::value)).map_err(|_| Error::LCS_TYPE)?;
        Ok(string.map_or(0, StringValue::len))
    })
}

fn copy(cx: &Context<'_>, key: &[u8]) -> Result<Vec<u8>, Error> {
    cx.store.read(key, |record| {
        let string = string_of(record.map(Record::value)).map_err(|_| Error::LCS_TYPE)?;
        Ok(string.map_or_else(Vec::new, |string| string.bytes(&mut itoa::Buffer::new()).to_vec()))
    })
}

/// Refuses what Redis refuses: it takes four bytes for each pair of positions, no more in all than a string may have. The
/// limit bounds the time as well, so it holds although [`Table`] takes far less.
fn check_size(lens: [usize; 2], limit: u64) -> Result<(), Error> {
    if lens.iter().any(|&len| len >= u32::MAX as usize - 1) {
        return Err(Error::LCS_LENGTH);
    }
    let cells = (lens[0] as u64 + 1).checked_mul(lens[1] as u64 + 1);
    match cells.and_then(|cells| cells.checked_mul(4)) {
        Some(bytes) if bytes <= limit => Ok(()),
        _ => Err(Error::LCS_LIMIT),
    }
}

/// The length of the longest common subsequence, by the usual recurrence over prefixes, of which only one row is kept.
/// `visit` hears of every pair of prefixes, by their lengths, whether the first one is the better to shorten.
fn length(a: &[u8], b: &[u8], mut visit: impl FnMut(usize, usize, bool)) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        // The entry to the upper left, before this row overwrote it.
        let mut corner = 0;
        for (j, y) in b.iter().enumerate() {
            let (above, left) = (row[j + 1], row[j]);
            visit(i + 1, j + 1, above > left);
            row[j + 1] = if x == y { corner + 1 } else { above.max(left) };
            corner = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The way back through the recurrence. One bit a pair says where it goes on, so it takes a thirty-second of the memory of the
/// lengths themselves.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    shorten_first: Vec<u64>,
    length: u32,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Result<Self, Error> {
        let words = a.len().checked_mul(b.len()).ok_or(Error::LCS_MEMORY)?.div_ceil(64);
        let mut shorten_first = Vec::new();
        shorten_first.try_reserve_exact(words).map_err(|_| Error::LCS_MEMORY)?;
        shorten_first.resize(words, 0u64);
        let length = length(a, b, |i, j, first| {
            let at = (i - 1) * b.len() + j - 1;
            shorten_first[at / 64] |= u64::from(first) << (at % 64);
        });
        Ok(Table { a, b, shorten_first, length })
    }

    /// The indexes of equal bytes that make up the subsequence, from its end to its start.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            while i > 0 && j > 0 {
                if self.a[i - 1] == self.b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    return Some((i, j));
                }
                let at = (i - 1) * self.b.len() + j - 1;
                if self.shorten_first[at / 64] >> (at % 64) & 1 == 1 { i -= 1 } else { j -= 1 }
            }
            None
        })
    }

    /// The same as runs of neighbours: where each starts in both strings, and its length.
    fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut pairs = self.pairs().peekable();
        std::iter::from_fn(move || {
            let (mut i, mut j) = pairs.next()?;
            let mut len = 1;
            while let Some(next) = pairs.next_if(|next| (next.0 + 1, next.1 + 1) == (i, j)) {
                (i, j) = next;
                len += 1;
            }
            Some((i, j, len))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn replies() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MSET a ohmytext b mynewtext n 1234 m 2345", "+OK"),
            ("LCS a b", "$6|mytext"),
            ("LCS b a LEN", ":6"),
            ("LCS n m", "$3|234"),
            ("LCS a none", "$0"),
            ("LCS a none LEN", ":0"),
            ("LCS a none IDX", "*4|$7|matches|*0|$3|len|:0"),
            ("LCS a b IDX", "*4|$7|matches|*2|*2|*2|:4|:7|*2|:5|:8|*2|*2|:2|:3|*2|:0|:1|$3|len|:6"),
            ("LCS a b IDX MINMATCHLEN 4", "*4|$7|matches|*1|*2|*2|:4|:7|*2|:5|:8|$3|len|:6"),
            ("LCS a b idx minmatchlen -4 minmatchlen 5", "*4|$7|matches|*0|$3|len|:6"),
            ("LCS a b WITHMATCHLEN", "$6|mytext"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[
            ("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "%2|$7|matches|*1|*3|*2|:4|:7|*2|:5|:8|:4|$3|len|:6"),
            ("LCS a a IDX", "%2|$7|matches|*1|*2|*2|:0|:7|*2|:0|:7|$3|len|:8"),
        ]);
    }

    #[test]
    fn errors() {
        let mut rig = Rig::new();
        rig.check(&[
            ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX."),
            ("LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range"),
            ("LCS a b MINMATCHLEN", "-ERR syntax error"),
            ("LCS a b FOO", "-ERR syntax error"),
            ("SETRANGE a 20000 x", ":20001"),
            ("SETRANGE b 20000 x", ":20001"),
            ("LCS a b", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"),
        ]);
        assert_eq!(check_size([0, u32::MAX as usize], u64::MAX), Err(Error::LCS_LENGTH));
        assert_eq!(check_size([9, 9], 400), Ok(()));
        assert_eq!(check_size([9, 9], 399), Err(Error::LCS_LIMIT));
        assert_eq!(check_size([u32::MAX as usize - 2; 2], u64::MAX), Err(Error::LCS_LIMIT));
    }

    #[test]
    fn the_subsequence_is_common_and_longest() {
        let is_within = |part: &[u8], whole: &[u8]| {
            let mut rest = whole.iter();
            part.iter().all(|byte| rest.any(|other| other == byte))
        };
        let words =
            |len: u32, code: usize| (0..len).map(|at| b'a' + (code / 3usize.pow(at) % 3) as u8).collect::<Vec<_>>();
        for code in 0..3usize.pow(5) {
            for other in (0..3usize.pow(6)).step_by(7) {
                let (a, b) = (words(5, code), words(6, other));
                let table = Table::new(&a, &b).expect("small");
                let mut found: Vec<u8> = table.pairs().map(|(i, _)| a[i]).collect();
                found.reverse();
                assert!(is_within(&found, &a) && is_within(&found, &b), "{a:?} {b:?} {found:?}");
                let best = (0u32..32)
                    .filter(|mask| {
                        let part: Vec<u8> = (0..5).filter(|at| mask >> at & 1 == 1).map(|at| a[at]).collect();
                        is_within(&part, &b)
                    })
                    .map(u32::count_ones)
                    .max();
                assert_eq!(Some(found.len() as u32), best, "{a:?} {b:?}");
                assert_eq!(table.runs().map(|run| run.2).sum::<usize>(), found.len());
            }
        }
    }
}
