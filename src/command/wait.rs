//! `WAIT` and `WAITAOF`: until others have what a client wrote. There are no replicas, so it waits for them in vain.

use super::block::{Block, deadline_after_ms};
use super::{Categories, Command, Context, Error, Flags, Group};
use crate::protocol::{Args, Frame, Reply, number};

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("wait", 3, wait)
        .since("3.0.0")
        .tips(TIPS)
        .doc("Waits until so many replicas have what the connection wrote.", "numreplicas:integer timeout:integer"),
    row("waitaof", 4, waitaof).since("7.2.0").tips(TIPS).doc(
        "Waits until what the connection wrote is durable here and on so many replicas.",
        "numlocal:integer numreplicas:integer timeout:integer",
    ),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(Flags::BLOCKING).group(Group::Generic).categories(Categories::CONNECTION)
}

fn wait(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let replicas = number::parse_i64(args.get(1)).ok_or(Error::NOT_INTEGER)?;
    let deadline_ms = deadline_after_ms(args.get(2), cx.now_ms())?;
    in_vain(cx, args, replicas <= 0, deadline_ms, |reply| reply.integer(0))
}

fn waitaof(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let local = number::parse_i64(args.get(1)).ok_or(Error::NOT_INTEGER)?;
    if !(0..=1).contains(&local) {
        return Err(Error::range(0, 1));
    }
    let replicas = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    if replicas < 0 {
        return Err(Error::NOT_POSITIVE);
    }
    let deadline_ms = deadline_after_ms(args.get(3), cx.now_ms())?;
    if local > 0 {
        return Err(Error::new("WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    in_vain(cx, args, replicas == 0, deadline_ms, |reply| {
        reply.array(2);
        reply.integer(0);
        reply.integer(0);
    })
}

/// Replies at once if nothing is waited for, else when the time is up.
fn in_vain(
    cx: &mut Context<'_>,
    args: Args<'_>,
    at_once: bool,
    deadline_ms: Option<u64>,
    reply: fn(&mut Reply<'_>),
) -> Result<(), Error> {
    if at_once {
        reply(&mut cx.reply);
        return Ok(());
    }
    let args = Frame::from(args);
    cx.block(Block { keys: Vec::new(), kind: None, minds_removal: false, deadline_ms, args }, reply)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::command::{Outcome, execute};
    use crate::protocol::Frame;

    #[test]
    fn nothing_is_waited_for_at_once_and_replicas_in_vain() {
        let mut rig = Rig::new();
        rig.check(&[
            ("WAIT 0 0", ":0"),
            ("WAIT -1 0", ":0"),
            ("WAITAOF 0 0 0", "*2|:0|:0"),
            ("WAIT x 0", "-ERR value is not an integer or out of range"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1", "-ERR timeout is negative"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive"),
            ("WAITAOF 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
            ("MULTI", "+OK"),
            ("WAIT 1 0", "+QUEUED"),
            ("WAITAOF 0 1 0", "+QUEUED"),
            ("EXEC", "*2|:0|*2|:0|:0"),
        ]);
        for (request, reply) in [("WAIT 1 50", ":0\r\n"), ("WAITAOF 0 1 50", "*2\r\n:0\r\n:0\r\n")] {
            let frame: Frame = request.split(' ').collect();
            let mut client = rig.connect();
            assert_eq!(execute(&rig.worker, &mut client, frame.args(), &mut Vec::new()), Outcome::Waits);
            let waiter = client.waiter.expect("it waits");
            assert_eq!(waiter.wait.deadline_ms, Some(rig.worker.now_ms + 50));
            assert_eq!(waiter.wait.on_timeout, reply.as_bytes());
        }
    }
}
