//! `WAIT` and `WAITAOF`: until what a client wrote is durable, and others have it. There are no replicas, so it waits for them in vain.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::block::{Block, deadline_after_ms, unblock};
use super::context::Node;
use super::{Categories, Command, Context, Error, Flags, Group};
use crate::protocol::{Args, Frame, Reply, number};
use crate::session::Waiter;

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
    let Some(keeper) = cx.node.logs.kept() else {
        if local > 0 {
            return Err(Error::new(NO_LOG));
        }
        return in_vain(cx, args, replicas == 0, deadline_ms, |reply| acknowledged(reply, false));
    };
    // What anybody has written so far, which holds all that this client has.
    let stamp = cx.node.keyspace.journal.latest();
    let is_durable = cx.node.keyspace.journal.durable() >= stamp && !keeper.status().is_apart;
    if replicas == 0 && (local == 0 || is_durable) {
        acknowledged(&mut cx.reply, is_durable);
        return Ok(());
    }
    let result = in_vain(cx, args, false, deadline_ms, |reply| acknowledged(reply, false));
    if let (Err(Error::Waits), Some(waiter)) = (&result, cx.waiter()) {
        Arc::new(Acknowledgement { node: cx.node, waiter, stamp, serves: replicas == 0 }).attend();
    }
    result
}

const NO_LOG: &str = "WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// The reply of `WAITAOF`.
fn acknowledged(reply: &mut Reply<'_>, is_durable: bool) {
    reply.array(2);
    reply.integer(is_durable.into());
    reply.integer(0);
}

/// A client that waits until everything below a stamp is durable.
struct Acknowledgement {
    node: &'static Node,
    waiter: Arc<Waiter>,
    stamp: u64,
    /// Whether that ends the wait.
    serves: bool,
}

impl Acknowledgement {
    /// Ends the wait if it is over, or sees to it that this is called again when it may be.
    fn attend(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut reply = Vec::new();
        let mut writer = Reply::new(&mut reply, self.waiter.wait.version);
        let Some(keeper) = self.node.logs.kept() else { return end_waits(self.node) };
        let journal = &self.node.keyspace.journal;
        if !journal.await_durable(self.stamp, &waker) {
            return journal.wake();
        }
        if !keeper.await_base(&waker) {
            return;
        }
        acknowledged(&mut writer, true);
        if self.serves {
            unblock(self.node, &self.waiter, reply);
        } else {
            self.waiter.amend(reply);
        }
    }
}

/// The log has ended: whoever waits for it is told so.
pub(super) fn end_waits(node: &Node) {
    for waiter in node.waiters.all() {
        let args = waiter.wait.args.args();
        let is_concerned = args.nth(0).is_some_and(|name| name.eq_ignore_ascii_case(b"waitaof"));
        if is_concerned && args.nth(1).and_then(number::parse_i64) != Some(0) {
            let mut reply = Vec::new();
            Reply::new(&mut reply, waiter.wait.version).error(format!("ERR {NO_LOG}").as_bytes());
            unblock(node, &waiter, reply);
        }
    }
}

impl Wake for Acknowledgement {
    fn wake(self: Arc<Self>) {
        self.attend();
    }
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
