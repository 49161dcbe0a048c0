//! BITOP: bitwise operations between strings.

use super::string::GROWING;
use super::string_value::string_of;
use super::{Access, Command, Context, Error, Group, KeySpec};
use crate::protocol::Args;
use crate::store::{Event, Record, Ttl};

const KEYS: &[KeySpec] =
    &[KeySpec::at(2, Access::OW.and(Access::UPDATE)), KeySpec::range(3, -1, 1, Access::RO.and(Access::ACCESS))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("bitop", -4, bitop)
    .flags(GROWING)
    .keys(KEYS)
    .group(Group::Bitmap)
    .since("2.6.0")
    .complexity("O(N)")
    .doc("Combines strings bit by bit and stores the result.", "<AND|OR|XOR|NOT> destkey key ...")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        const WORDS: [(&str, Operation); 4] =
            [("AND", Operation::And), ("OR", Operation::Or), ("XOR", Operation::Xor), ("NOT", Operation::Not)];
        let found = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, operation)| *operation).ok_or(Error::SYNTAX)
    }

    /// Combines `result` with a further string; the shorter one counts as followed by zeroes. These are loops over bytes,
    /// because the compiler turns exactly such into operations on whole vector registers.
    fn combine(self, result: &mut Vec<u8>, other: &[u8]) -> Result<(), Error> {
        let more = other.len().saturating_sub(result.len());
        result.try_reserve(more).map_err(|_| Error::NO_MEMORY)?;
        let common = result.len().min(other.len());
        let (shared, own) = result.split_at_mut(common);
        let pairs = shared.iter_mut().zip(other);
        match self {
            Operation::And => {
                pairs.for_each(|(a, b)| *a &= b);
                own.fill(0);
                result.resize(result.len().max(other.len()), 0);
                return Ok(());
            }
            Operation::Or => pairs.for_each(|(a, b)| *a |= b),
            Operation::Xor => pairs.for_each(|(a, b)| *a ^= b),
            Operation::Not => return Ok(()),
        }
        result.extend_from_slice(&other[common..]);
        Ok(())
    }
}

fn bitop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let operation = Operation::parse(args.get(1))?;
    let (target, sources) = (args.get(2), args.skip(3));
    if operation == Operation::Not && sources.len() != 1 {
        return Err(Error::BITOP_NOT);
    }
    let mut result = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        cx.store.read(source, |record| {
            cx.count_lookup(record.is_some());
            let mut digits = itoa::Buffer::new();
            let bytes = string_of(record.map(Record::value))?.map_or(&b""[..], |string| string.bytes(&mut digits));
            if index > 0 {
                return operation.combine(&mut result, bytes);
            }
            result.try_reserve_exact(bytes.len()).map_err(|_| Error::NO_MEMORY)?;
            result.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let len = result.len();
    let is_changed = if len == 0 {
        cx.store.remove(target)
    } else {
        cx.store.update(target, |entry| entry.set_raw(result, Ttl::Clear));
        true
    };
    if is_changed {
        cx.store.changed(target, if len == 0 { Event::DEL } else { Event::string("set") });
    }
    cx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn operations_on_strings_of_several_lengths() {
        let mut rig = Rig::new();
        rig.check(&[("SET a abcdef", "+OK"), ("SET b AB", "+OK"), ("SET n 12", "+OK")]);
        for (request, stored) in [
            ("BITOP AND d a b", "$6|AB\0\0\0\0"),
            ("BITOP and d b a", "$6|AB\0\0\0\0"),
            ("BITOP OR d a b", "$6|abcdef"),
            ("BITOP or d b a", "$6|abcdef"),
            ("BITOP XOR d a b none", "$6|  cdef"),
            ("BITOP XOR d b a", "$6|  cdef"),
            ("BITOP AND d a none", "$6|\0\0\0\0\0\0"),
            ("BITOP OR d b n", "$2|qr"),
        ] {
            assert_eq!(rig.run(request), format!(":{}", &stored[1..2]), "{request}");
            assert_eq!(rig.run("GET d"), stored, "{request}");
        }
        rig.check(&[
            ("BITOP NOT d n", ":2"),
            ("BITOP NOT d d", ":2"),
            ("GET d", "$2|12"),
            ("BITOP NOT d none", ":0"),
            ("GET d", "$-1"),
            ("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key."),
            ("BITOP NAND d a b", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn the_target_loses_its_time_to_live() {
        let mut rig = Rig::new();
        rig.check(&[("SET d x EX 10", "+OK"), ("BITOP OR d d d", ":1")]);
        rig.pass(20_000);
        rig.check(&[("GET d", "$1|x")]);
    }
}
