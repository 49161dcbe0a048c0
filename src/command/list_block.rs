//! Lists: commands that wait for an element.

use super::block::{Block, deadline_after_seconds};
use super::list_end::End;
use super::list_move::move_one;
use super::list_pop::{Pops, Shape, pop};
use super::string::GROWING;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply};
use crate::store::Kind;

/// A list that elements are taken from.
const POP: Access = Access::RW.and(Access::ACCESS).and(Access::DELETE);
const ALL_BUT_LAST: &[KeySpec] = &[KeySpec::range(1, -2, 1, POP)];
const FROM_TO: &[KeySpec] = &[KeySpec::at(1, POP), KeySpec::at(2, Access::RW.and(Access::INSERT))];
const WAITING: Flags = Flags::WRITE.and(Flags::BLOCKING);

/// The family's rows. All enter their keys alone, so that no element comes between looking and waiting.
pub(super) const COMMANDS: &[Command] = &[
    row("blpop", -3, blpop)
        .flags(WAITING)
        .keys(ALL_BUT_LAST)
        .since("2.0.0")
        .complexity("O(N) where N is the number of provided keys.")
        .doc("Removes the first element of the first list that is there, or waits for one.", "key ... timeout:double"),
    row("brpop", -3, brpop)
        .flags(WAITING)
        .keys(ALL_BUT_LAST)
        .since("2.0.0")
        .complexity("O(N) where N is the number of provided keys.")
        .doc("Removes the last element of the first list that is there, or waits for one.", "key ... timeout:double"),
    row("blmpop", -5, blmpop)
        .flags(WAITING)
        .keys(&[KeySpec::counted(2, POP)])
        .since("7.0.0")
        .complexity("O(N+M) where N is the number of provided keys and M is the number of elements returned.")
        .doc(
            "Removes elements of the first list that is there among several keys, or waits for some.",
            "timeout:double numkeys key ... <LEFT|RIGHT> [COUNT count]",
        ),
    row("blmove", 6, blmove).flags(GROWING.and(Flags::BLOCKING)).keys(FROM_TO).since("6.2.0").doc(
        "Moves an element from an end of a list to an end of another, or waits for one.",
        "source destination <LEFT|RIGHT> <LEFT|RIGHT> timeout:double",
    ),
    row("brpoplpush", 4, brpoplpush)
        .flags(GROWING.and(Flags::BLOCKING))
        .keys(FROM_TO)
        .since("2.2.0")
        .replaced_by("`BLMOVE` with the `RIGHT` and `LEFT` arguments", "6.2.0")
        .doc(
            "Moves the last element of a list to the head of another, or waits for one.",
            "source destination timeout:double",
        ),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::List).exclusive()
}

fn wait(
    cx: &mut Context<'_>,
    args: Args<'_>,
    keys: Vec<&[u8]>,
    deadline_ms: Option<u64>,
    on_timeout: impl Fn(&mut Reply<'_>),
) -> Result<(), Error> {
    let block = Block { keys, kind: Some(Kind::List), minds_removal: false, deadline_ms, args: args.into() };
    cx.block(block, on_timeout)
}

fn blpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_or_wait(cx, args, End::Head)
}

fn brpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_or_wait(cx, args, End::Tail)
}

fn pop_or_wait(cx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let last = args.len() - 1;
    let deadline = deadline_after_seconds(args.get(last), cx.now_ms())?;
    let keys = args.range(1..last);
    for key in keys {
        if pop(cx, key, end, 1, Shape::KeyAndElement)? {
            return Ok(());
        }
    }
    wait(cx, args, keys.iter().collect(), deadline, |reply| reply.null_array())
}

fn blmpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let pops = Pops::parse(args.skip(2))?;
    let deadline = deadline_after_seconds(args.get(1), cx.now_ms())?;
    if pops.serve(cx)? {
        return Ok(());
    }
    wait(cx, args, pops.keys.iter().collect(), deadline, |reply| reply.null_array())
}

fn blmove(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (End::parse(args.get(3))?, End::parse(args.get(4))?);
    move_or_wait(cx, args, from, to)
}

fn brpoplpush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    move_or_wait(cx, args, End::Tail, End::Head)
}

fn move_or_wait(cx: &mut Context<'_>, args: Args<'_>, from: End, to: End) -> Result<(), Error> {
    let deadline = deadline_after_seconds(args.get(args.len() - 1), cx.now_ms())?;
    if move_one(cx, (args.get(1), from), (args.get(2), to))? {
        return Ok(());
    }
    wait(cx, args, vec![args.get(1)], deadline, |reply| reply.null())
}

#[cfg(test)]
mod tests {
    use crate::command::give_up;
    use crate::command::testing::Rig;

    #[test]
    fn what_is_there_is_taken_at_once() {
        let mut rig = Rig::new();
        rig.run("RPUSH b 1 2 3 4 5");
        rig.check(&[
            ("BLPOP a b 0", "*2|$1|b|$1|1"),
            ("BRPOP a b 0.5", "*2|$1|b|$1|5"),
            ("BLMPOP 1 2 a b LEFT COUNT 2", "*2|$1|b|*2|$1|2|$1|3"),
            ("BLMOVE b c RIGHT LEFT 0", "$1|4"),
            ("BRPOPLPUSH c b 0", "$1|4"),
            ("BLPOP b x", "-ERR timeout is not a float or out of range"),
            ("BLPOP b -1", "-ERR timeout is negative"),
            ("BLPOP b 1e300", "-ERR timeout is out of range"),
            ("SET s x", "+OK"),
            ("BLPOP a s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn those_that_wait_are_served_in_their_order() {
        let mut rig = Rig::new();
        let (mut first, mut second, mut third) = (rig.connect(), rig.connect(), rig.connect());
        assert_eq!(rig.send(&mut first, "BLPOP a b 0"), None);
        assert_eq!(rig.send(&mut second, "BLMOVE a c LEFT RIGHT 0"), None);
        assert_eq!(rig.send(&mut third, "BLMPOP 0 1 c LEFT COUNT 9"), None);
        rig.check(&[("RPUSH a x y", ":2"), ("LLEN a", ":0"), ("EXISTS a c", ":0")]);
        assert_eq!(rig.served(&mut first).as_deref(), Some("*2|$1|a|$1|x"));
        assert_eq!(rig.served(&mut second).as_deref(), Some("$1|y"));
        assert_eq!(rig.served(&mut third).as_deref(), Some("*2|$1|c|*1|$1|y"));
        assert!(rig.worker.node.waiters.is_empty());
        rig.check(&[("RPUSH a z", ":1"), ("LLEN a", ":1")]);
    }

    #[test]
    fn a_client_that_was_served_is_who_it_was() {
        let mut rig = Rig::new();
        rig.run("ACL SETUSER alice on nopass ~* +@all");
        let mut first = rig.connect();
        rig.send(&mut first, "AUTH alice x");
        assert_eq!(rig.send(&mut first, "BLPOP a 0"), None);
        rig.run("RPUSH a 1");
        assert_eq!(rig.served(&mut first).as_deref(), Some("*2|$1|a|$1|1"));
        assert_eq!(rig.send(&mut first, "ACL WHOAMI").as_deref(), Some("$5|alice"));
        assert!(rig.run("CLIENT LIST").contains(" user=alice "));
    }

    #[test]
    fn a_transaction_serves_when_it_is_over_and_does_not_wait_itself() {
        let mut rig = Rig::new();
        let mut waiting = rig.connect();
        assert_eq!(rig.send(&mut waiting, "BLPOP a 0"), None);
        rig.check(&[
            ("MULTI", "+OK"),
            ("RPUSH a 1", "+QUEUED"),
            ("DEL a", "+QUEUED"),
            ("RPUSH a 2", "+QUEUED"),
            ("BLPOP none 0", "+QUEUED"),
            ("EXEC", "*4|:1|:1|:1|*-1"),
        ]);
        assert_eq!(rig.served(&mut waiting).as_deref(), Some("*2|$1|a|$1|2"));
    }

    #[test]
    fn other_types_and_given_up_waits_are_passed_over() {
        let mut rig = Rig::new();
        let (mut first, mut second) = (rig.connect(), rig.connect());
        assert_eq!(rig.send(&mut first, "BLPOP a 0"), None);
        assert_eq!(rig.send(&mut second, "BLPOP a 0"), None);
        rig.check(&[("SET a string", "+OK"), ("DEL a", ":1")]);
        let waiter = first.waiter.take().expect("it waits");
        assert!(give_up(rig.worker.node, &waiter) && !give_up(rig.worker.node, &waiter));
        rig.check(&[("RPUSH l 1", ":1"), ("RENAME l a", "+OK"), ("EXISTS a", ":0")]);
        assert_eq!(rig.served(&mut second).as_deref(), Some("*2|$1|a|$1|1"));
    }
}
