//! `MEMORY`: its rows, and what one key takes.

use super::{Access, Command, Context, Error, Flags, Group, KeySpec, help, memory_stats};
use crate::protocol::{Args, number};

const KEY: &[KeySpec] = &[KeySpec::at(2, Access::RO)];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("memory", SUBCOMMANDS)
    .group(Group::Server)
    .since("4.0.0")
    .doc("Tells of the memory of the server and its keys.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("doctor", memory_stats::doctor).doc("Tells in words what is out of the ordinary about the memory.", ""),
    help::row(Group::Server, "4.0.0"),
    sub("malloc-stats", memory_stats::malloc_stats)
        .complexity("Depends on how much memory is allocated, could be slow")
        .doc("Returns what the allocator says of itself.", ""),
    sub("purge", memory_stats::purge)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .complexity("Depends on how much memory is allocated, could be slow")
        .doc("Gives free memory back to the system.", ""),
    sub("stats", memory_stats::stats).doc("Returns what takes how much memory.", ""),
    Command::new("usage", -3, usage)
        .flags(Flags::READONLY)
        .keys(KEY)
        .group(Group::Server)
        .since("4.0.0")
        .complexity("O(1)")
        .doc("Returns the bytes that a key and its value take.", "key [SAMPLES count]"),
];

const CHANGING: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

const fn sub(name: &'static str, run: super::Run) -> Command {
    Command::new(name, 2, run).group(Group::Server).since("4.0.0").tips(CHANGING)
}

/// Bytes of the table for one key: the pointer and its share of the bucket's tags, at the tables' mean load.
const TABLE_BYTES: usize = 16;

/// Sizes are exact whatever the number of samples, which is checked and otherwise has no effect.
fn usage(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    for option in (3..args.len()).step_by(2) {
        let samples = args.nth(option + 1).ok_or(Error::SYNTAX)?;
        if !args.get(option).eq_ignore_ascii_case(b"samples") {
            return Err(Error::SYNTAX);
        }
        let samples = number::parse_i64(samples).ok_or(Error::NOT_INTEGER)?;
        if samples < 0 {
            return Err(Error::SYNTAX);
        }
    }
    match cx.store.peek(args.get(2), |record| record.map(|record| record.memory() + TABLE_BYTES)) {
        Some(bytes) => cx.reply.count(bytes),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn usage_of_a_key() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MEMORY USAGE k", "$-1"),
            ("SET k v", "+OK"),
            ("MEMORY USAGE k", ":32"),
            ("MEMORY USAGE k SAMPLES 0", ":32"),
            ("MEMORY USAGE k SAMPLES -1", "-ERR syntax error"),
            ("MEMORY USAGE k SAMPLES x", "-ERR value is not an integer or out of range"),
            ("MEMORY USAGE k SAMPLES", "-ERR syntax error"),
        ]);
    }
}
