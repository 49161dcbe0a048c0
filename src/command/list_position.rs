//! Lists: where elements are.

use super::collection::collection_of;
use super::string::READ_ONE;
use super::{Command, Context, Error, Flags, Group};
use crate::protocol::{Args, number};
use crate::value::list::List;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("lpos", -3, lpos)
    .flags(Flags::READONLY)
    .keys(READ_ONE)
    .group(Group::List)
    .since("6.0.6")
    .complexity("O(N) where N is the number of elements that are compared.")
    .doc(
        "Returns the indexes of elements that equal a value.",
        "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
    )];

const NO_RANK: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                       or use negative to start from the end of the list";

/// What is sought.
struct Search {
    /// Which match is the first; from the tail where negative.
    rank: i64,
    /// How many; 0 is all. Without it there is one, which is replied by itself.
    count: Option<u64>,
    /// How many elements are compared; 0 is all.
    max_len: u64,
}

impl Search {
    fn parse(words: Args<'_>) -> Result<Search, Error> {
        let mut search = Search { rank: 1, count: None, max_len: 0 };
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let value = words.next().ok_or(Error::SYNTAX)?;
            let number = number::parse_i64(value);
            let natural = number.and_then(|number| u64::try_from(number).ok());
            if option.eq_ignore_ascii_case(b"rank") {
                search.rank = number.ok_or(Error::NOT_INTEGER)?;
                match search.rank {
                    0 => return Err(Error::coded(NO_RANK)),
                    i64::MIN => return Err(Error::range(-i64::MAX, i64::MAX)),
                    _ => (),
                }
            } else if option.eq_ignore_ascii_case(b"count") {
                search.count = Some(natural.ok_or(Error::coded("ERR COUNT can't be negative"))?);
            } else if option.eq_ignore_ascii_case(b"maxlen") {
                search.max_len = natural.ok_or(Error::coded("ERR MAXLEN can't be negative"))?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(search)
    }
}

fn lpos(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let search = Search::parse(args.skip(3))?;
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let list = collection_of::<List>(record)?;
        let mark = cx.reply.begin();
        let mut matches = 0;
        if let Some(list) = list {
            list.positions(args.get(2), search.rank, search.count.unwrap_or(1), search.max_len, |index| {
                matches += 1;
                cx.reply.integer(index as i64);
            });
        }
        match search.count {
            Some(_) => cx.reply.end_array(mark, matches),
            None if matches == 0 => cx.reply.null(),
            None => (),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn positions() {
        let mut rig = Rig::new();
        rig.run("RPUSH l a b c 1 2 3 c c");
        rig.check(&[
            ("LPOS l c", ":2"),
            ("LPOS l 3", ":5"),
            ("LPOS l x", "$-1"),
            ("LPOS l c RANK 2", ":6"),
            ("LPOS l c RANK -1", ":7"),
            ("LPOS l c RANK 4", "$-1"),
            ("LPOS l c COUNT 0", "*3|:2|:6|:7"),
            ("LPOS l c count 1", "*1|:2"),
            ("LPOS l c COUNT 0 RANK -2", "*2|:6|:2"),
            ("LPOS l c COUNT 0 MAXLEN 7", "*2|:2|:6"),
            ("LPOS l c COUNT 0 MAXLEN 2", "*0"),
            ("LPOS l c MAXLEN 0", ":2"),
            ("LPOS none c", "$-1"),
            ("LPOS none c COUNT 0", "*0"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("LPOS none c", "_"), ("LPOS l x", "_")]);
    }

    #[test]
    fn options_are_checked_before_the_key() {
        let mut rig = Rig::new();
        rig.run("SET s x");
        rig.check(&[
            ("LPOS s c RANK 0", &format!("-{}", super::NO_RANK)),
            ("LPOS s c RANK x", "-ERR value is not an integer or out of range"),
            (
                "LPOS s c RANK -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("LPOS s c COUNT -1", "-ERR COUNT can't be negative"),
            ("LPOS s c COUNT x", "-ERR COUNT can't be negative"),
            ("LPOS s c MAXLEN -1", "-ERR MAXLEN can't be negative"),
            ("LPOS s c RANK", "-ERR syntax error"),
            ("LPOS s c FOO 1", "-ERR syntax error"),
            ("LPOS s c", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
