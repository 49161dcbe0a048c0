//! BITFIELD: integers of any width at any bit of a string.

use super::bitmap::bit_offset;
use super::string::{GROWING, READ_ONE};
use super::string_value::{edit, grow, string_of};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply, number};
use crate::store::{Event, Record};

const CHANGED: &[KeySpec] =
    &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE).and(Access::VARIABLE_FLAGS))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("bitfield", -2, bitfield)
        .flags(GROWING)
        .keys(CHANGED)
        .access(access)
        .group(Group::Bitmap)
        .since("3.2.0")
        .complexity("O(1) for each subcommand specified")
        .doc(
            "Reads and changes integers of any width at any bit of a string.",
            "key [GET encoding offset|[OVERFLOW <WRAP|SAT|FAIL>] \
             <SET encoding offset value:integer|INCRBY encoding offset increment> ...]",
        ),
    Command::new("bitfield_ro", -2, bitfield_ro)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(READ_ONE)
        .group(Group::Bitmap)
        .since("6.0.0")
        .complexity("O(1) for each subcommand specified")
        .doc("Reads integers of any width at any bit of a string.", "key [GET encoding offset ...]"),
];

/// An integer's width and whether it has a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encoding {
    is_signed: bool,
    /// 1 to 64, or to 63 without a sign, so that every value is a 64-bit signed integer.
    bits: u32,
}

/// What becomes of values that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// They lose their upper bits.
    Wrap,
    /// They become the nearest that fits.
    Saturate,
    /// They are not written, and the reply is null.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Operation {
    encoding: Encoding,
    /// The field's first bit.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

/// The operations of a command, one after the other.
struct Operations<'a> {
    args: Args<'a>,
    overflow: Overflow,
    limit: u64,
}

impl Encoding {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let (is_signed, most, digits) = match text {
            [b'i', digits @ ..] => (true, 64, digits),
            [b'u', digits @ ..] => (false, 63, digits),
            _ => return Err(Error::BITFIELD_TYPE),
        };
        match number::parse_i64(digits) {
            Some(bits) if (1..=most).contains(&bits) => Ok(Encoding { is_signed, bits: bits as u32 }),
            _ => Err(Error::BITFIELD_TYPE),
        }
    }

    /// The integer in the lowest bits of `word`.
    fn decode(self, word: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.is_signed { ((word << unused) as i64) >> unused } else { ((word << unused) >> unused) as i64 }
    }

    /// The least and the greatest value.
    fn range(self) -> (i128, i128) {
        let values = 1i128 << self.bits;
        if self.is_signed { (-values / 2, values / 2 - 1) } else { (0, values - 1) }
    }

    /// The number that SET means by `value`. Redis takes some negative ones as large positive ones, which shows when they
    /// saturate: all of them in unsigned fields, and in shorter signed ones those so low that their distance to the
    /// field's greatest value is no 64-bit integer.
    fn wanted(self, value: i64) -> i128 {
        let (_, greatest) = self.range();
        let is_too_low = self.bits < 64 && greatest - i128::from(value) > i64::MAX.into();
        if value < 0 && (!self.is_signed || is_too_low) { i128::from(value as u64) } else { value.into() }
    }

    /// The value that a result becomes; `None` if it is not to be written.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (least, greatest) = self.range();
        if (least..=greatest).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.decode(value as u64)),
            Overflow::Saturate => Some(value.clamp(least, greatest) as i64),
            Overflow::Fail => None,
        }
    }
}

impl<'a> Operations<'a> {
    fn new(args: Args<'a>, limit: u64) -> Self {
        Operations { args: args.skip(2), overflow: Overflow::Wrap, limit }
    }

    fn parse_next(&mut self) -> Result<Option<Operation>, Error> {
        while let Some(word) = self.args.nth(0) {
            if word.eq_ignore_ascii_case(b"OVERFLOW") && self.args.len() >= 2 {
                self.overflow = Overflow::parse(self.args.get(1))?;
                self.args = self.args.skip(2);
                continue;
            }
            let has_value = match word {
                _ if word.eq_ignore_ascii_case(b"GET") => false,
                _ if word.eq_ignore_ascii_case(b"SET") || word.eq_ignore_ascii_case(b"INCRBY") => true,
                _ => return Err(Error::SYNTAX),
            };
            let len = if has_value { 4 } else { 3 };
            if self.args.len() < len {
                return Err(Error::SYNTAX);
            }
            let encoding = Encoding::parse(self.args.get(1))?;
            let offset = bit_offset(self.args.get(2), Some(encoding.bits), self.limit)?;
            let action = if has_value {
                let value = number::parse_i64(self.args.get(3)).ok_or(Error::NOT_INTEGER)?;
                if word.len() == 3 { Action::Set(value) } else { Action::Increment(value) }
            } else {
                Action::Get
            };
            self.args = self.args.skip(len);
            return Ok(Some(Operation { encoding, offset, action, overflow: self.overflow }));
        }
        Ok(None)
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.parse_next().transpose()
    }
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        const WORDS: [(&str, Overflow); 3] =
            [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)];
        let found = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, overflow)| *overflow).ok_or(Error::BITFIELD_OVERFLOW)
    }
}

impl Operation {
    /// Bytes that a string has at least when this was written into it.
    fn end(&self) -> usize {
        ((self.offset + u64::from(self.encoding.bits) - 1) / 8 + 1) as usize
    }

    /// The sixteen bytes around the field, of which it takes at most nine; zeroes where the string has ended.
    fn window(&self, bytes: &[u8]) -> u128 {
        let rest = usize::try_from(self.offset >> 3).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let mut window = [0; 16];
        let len = rest.len().min(9);
        window[..len].copy_from_slice(&rest[..len]);
        u128::from_be_bytes(window)
    }

    /// How far the field is from the lower end of its window.
    fn shift(&self) -> u32 {
        128 - (self.offset & 7) as u32 - self.encoding.bits
    }

    fn read(&self, bytes: &[u8]) -> i64 {
        self.encoding.decode((self.window(bytes) >> self.shift()) as u64)
    }

    /// Writes the field; `bytes` reach to [`Operation::end`].
    fn write(&self, bytes: &mut [u8], value: i64) {
        let mask = u128::MAX >> (128 - self.encoding.bits) << self.shift();
        let window = self.window(bytes) & !mask | u128::from(value as u64) << self.shift() & mask;
        let (at, end) = ((self.offset >> 3) as usize, self.end());
        bytes[at..end].copy_from_slice(&window.to_be_bytes()[..end - at]);
    }

    /// Does it to a string that reaches far enough, and replies. Whether something changed.
    fn apply(&self, bytes: &mut [u8], reply: &mut Reply<'_>) -> bool {
        let old = self.read(bytes);
        let wanted = match self.action {
            Action::Get => {
                reply.integer(old);
                return false;
            }
            Action::Set(value) => self.encoding.wanted(value),
            Action::Increment(value) => i128::from(old) + i128::from(value),
        };
        let Some(new) = self.encoding.fit(wanted, self.overflow) else {
            reply.null();
            return false;
        };
        self.write(bytes, new);
        reply.integer(if matches!(self.action, Action::Set(_)) { old } else { new });
        old != new
    }
}

/// What BITFIELD does with its key: it may only read.
fn access(args: Args<'_>) -> Access {
    let only_reads = Operations::new(args, u64::MAX).all(|next| next.is_ok_and(|next| next.action == Action::Get));
    if only_reads { Access::RO.and(Access::ACCESS) } else { Access::RW.and(Access::ACCESS).and(Access::UPDATE) }
}

fn bitfield(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let limit = cx.settings().proto_max_bulk_len;
    // The operations are parsed twice, so that none is done when one is wrong, without memory for a list of them.
    let (mut count, mut end) = (0, 0);
    for operation in Operations::new(args, limit) {
        let operation = operation?;
        count += 1;
        if operation.action != Action::Get {
            end = end.max(operation.end());
        }
    }
    if end == 0 {
        return read_all(cx, args, count);
    }
    let store = cx.store;
    let is_changed = store.update(args.get(1), |entry| {
        string_of(entry.value())?;
        edit(entry, end, |bytes| {
            let mut is_changed = bytes.len() < end;
            grow(bytes, end)?;
            cx.reply.array(count);
            for operation in Operations::new(args, limit) {
                is_changed |= operation?.apply(bytes, &mut cx.reply);
            }
            Ok(is_changed)
        })
    })?;
    if is_changed {
        store.changed(args.get(1), Event::string("setbit"));
    }
    Ok(())
}

fn bitfield_ro(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut count, mut is_writing) = (0, false);
    for operation in Operations::new(args, cx.settings().proto_max_bulk_len) {
        is_writing |= operation?.action != Action::Get;
        count += 1;
    }
    if is_writing {
        return Err(Error::BITFIELD_READ_ONLY);
    }
    read_all(cx, args, count)
}

/// Replies `count` fields, all of which are only read.
fn read_all(cx: &mut Context<'_>, args: Args<'_>, count: usize) -> Result<(), Error> {
    let (store, limit) = (cx.store, cx.settings().proto_max_bulk_len);
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let mut digits = itoa::Buffer::new();
        let bytes = string_of(record.map(Record::value))?.map_or(&b""[..], |string| string.bytes(&mut digits));
        cx.reply.array(count);
        for operation in Operations::new(args, limit) {
            cx.reply.integer(operation?.read(bytes));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn fields() {
        let mut rig = Rig::new();
        rig.check(&[
            ("BITFIELD k", "*0"),
            ("BITFIELD k GET u8 0 GET i64 100", "*2|:0|:0"),
            ("GET k", "$-1"),
            ("BITFIELD k SET u8 #0 97 SET u8 #2 99 GET u8 8", "*3|:0|:0|:0"),
            ("GET k", "$3|a\0c"),
            ("BITFIELD k INCRBY i5 8 -1 GET u4 8 GET i5 8 get u5 8", "*4|:-1|:15|:-1|:31"),
        ]);
        rig.check(&[("SET n 12", "+OK"), ("BITFIELD n GET u8 0 SET u8 #1 51", "*2|:49|:50"), ("GET n", "$2|13")]);
    }

    #[test]
    fn overflows() {
        let mut rig = Rig::new();
        rig.check(&[
            ("BITFIELD k SET u2 0 5 GET u2 0", "*2|:0|:1"),
            ("BITFIELD k OVERFLOW SAT SET u2 0 5 GET u2 0", "*2|:1|:3"),
            ("BITFIELD k OVERFLOW SAT INCRBY u2 0 -5", "*1|:0"),
            ("BITFIELD k OVERFLOW SAT SET u2 0 -1 GET u2 0", "*2|:0|:3"),
            ("BITFIELD k OVERFLOW FAIL INCRBY u2 0 1 OVERFLOW WRAP INCRBY u2 0 1", "*2|$-1|:0"),
            ("BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1", "*2|:0|:-9223372036854775808"),
            ("BITFIELD k OVERFLOW SAT INCRBY i64 0 -1", "*1|:-9223372036854775808"),
            ("BITFIELD k OVERFLOW SAT SET i8 0 200 GET i8 0 SET i8 0 -200 GET i8 0", "*4|:-128|:127|:127|:-128"),
            ("BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0", "*2|:-128|:127"),
            ("BITFIELD k SET i8 0 -9223372036854775807 GET i8 0", "*2|:127|:1"),
            ("BITFIELD new OVERFLOW FAIL SET u8 8 256", "*1|$-1"),
            ("STRLEN new", ":2"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("BITFIELD new OVERFLOW fail SET u8 8 256", "*1|_")]);
    }

    #[test]
    fn errors() {
        let mut rig = Rig::new();
        let kind = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        for encoding in ["u64", "i65", "u0", "i0", "x8", "i", "i+8", "u-1", ""] {
            assert_eq!(rig.run(&format!("BITFIELD k GET {encoding} 0")), kind, "{encoding}");
        }
        for offset in ["-1", "#-1", "x", "4294967296", "#9223372036854775807", "##1", ""] {
            let reply = rig.run(&format!("BITFIELD k SET u8 0 1 GET u8 {offset}"));
            assert_eq!(reply, "-ERR bit offset is not an integer or out of range", "{offset}");
        }
        rig.check(&[
            ("BITFIELD k SET u8 0", "-ERR syntax error"),
            ("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range"),
            ("BITFIELD k FOO u8 0", "-ERR syntax error"),
            ("BITFIELD k OVERFLOW", "-ERR syntax error"),
            ("BITFIELD k OVERFLOW x", "-ERR Invalid OVERFLOW type specified"),
            ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"),
            ("BITFIELD_RO k OVERFLOW SAT GET u8 0", "*1|:0"),
            ("GET k", "$-1"),
        ]);
    }

    #[test]
    fn fields_of_every_width_at_every_place() {
        for bits in 1..=64 {
            for offset in 0..70 {
                let is_signed = bits == 64 || offset % 2 == 0;
                let encoding = Encoding { is_signed, bits };
                let field = Operation { encoding, offset, action: Action::Get, overflow: Overflow::Wrap };
                let mut bytes = vec![0xaa; field.end() + 2];
                let value = encoding.decode(0x9234_5678_9abc_def1);
                field.write(&mut bytes, value);
                assert_eq!(field.read(&bytes), value, "{bits} bits at {offset}");
                for at in 0..bytes.len() as u64 * 8 {
                    let bit = bytes[at as usize / 8] >> (7 - at % 8) & 1;
                    let inside = at.checked_sub(offset).filter(|index| *index < bits.into());
                    let expected = inside.map_or(at % 2 == 0, |index| value >> (u64::from(bits) - 1 - index) & 1 == 1);
                    assert_eq!(bit == 1, expected, "{bits} bits at {offset}: bit {at}");
                }
            }
        }
    }
}
