//! `MIGRATE`: keys leave for another server.
//!
//! A thread of its own talks to the other server, and the client waits as one of BLPOP does, so that all others are served. While
//! keys are on their way, who wants to change them is held back as by CLIENT PAUSE WRITE; reads go on. When the other server has
//! acknowledged them they are removed in one entry, and recorded as DEL. What no such hold keeps from a key (a script that did not declare
//! it) touches it, and then it stays: a write that was acknowledged here is never lost.
//!
//! Within a transaction or a script there is nobody to wait: the keys stay entered meanwhile, and the worker's other clients have their
//! turns where they need no keys.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::block::{Block, forget};
use super::context::Worker;
use super::migrate_link::{Credentials, Order, Parcel};
use super::{Access, Begin, Categories, Command, Context, Error, Find, Flags, KeySpec, account, dispatch};
use crate::persist::rdb::{Encoder, payload};
use crate::protocol::{Args, Frame, Reply, number};
use crate::session::{Client, Delivery, Mode, Transfer};
use crate::store::{Event, Store, Watch};

/// Transfers at the same time, each with a thread. Further ones wait for their turn.
const MOST: usize = 64;

/// Milliseconds for each step towards the other server where the client gives none.
const TIMEOUT_MS: u64 = 1000;

/// How long a worker that waits for another server within a transaction or a script sleeps at a time, before its clients have a turn.
const NAP: Duration = Duration::from_micros(200);

/// The first argument that may be an option.
const OPTIONS: usize = 6;

const MOVED: Access = Access::RW.and(Access::ACCESS).and(Access::DELETE);

/// The family's row.
pub(super) const COMMANDS: &[Command] = &[Command::new("migrate", -6, migrate)
    .flags(Flags::WRITE)
    .keys(&[
        KeySpec {
            access: MOVED,
            begin: Begin::Decided(only_key, &Begin::Index(3)),
            find: Find::Range { last: 0, step: 1, limit: 0 },
        },
        KeySpec {
            access: MOVED.and(Access::INCOMPLETE),
            begin: Begin::Decided(first_of_several, &Begin::Keyword("KEYS", -2)),
            find: Find::Range { last: -1, step: 1, limit: 0 },
        },
    ])
    .exclusive()
    .may_take_long()
    .categories(Categories::DANGEROUS)
    .tips(&["nondeterministic_output"])
    .since("2.6.0")
    .complexity("O(N) where N is the number of bytes of the values, which travel to the other server.")
    .doc(
        "Moves or copies keys to another server.",
        "host port:integer <key|\"\"> destination-db:integer timeout [COPY] [REPLACE] \
         [AUTH password|AUTH2 <username password>] [KEYS key ...]",
    )];

/// An option of a call.
enum Choice<'a> {
    Copy,
    Replace,
    /// The password, and the user where there is one; where they begin among the arguments.
    Auth(Option<&'a [u8]>, &'a [u8], usize),
    /// The rest are keys, from this argument on.
    Keys(usize),
}

/// The options of a call, up to the first that is none.
fn choices<'a>(args: Args<'a>) -> impl Iterator<Item = Result<Choice<'a>, Error>> {
    let mut index = OPTIONS;
    std::iter::from_fn(move || {
        let option = args.nth(index)?;
        index += 1;
        let at = index;
        Some(match &*option.to_ascii_lowercase() {
            b"copy" => Ok(Choice::Copy),
            b"replace" => Ok(Choice::Replace),
            b"auth" => {
                index += 1;
                args.nth(at).map(|password| Choice::Auth(None, password, at)).ok_or(Error::SYNTAX)
            }
            b"auth2" => {
                index += 2;
                let pair = args.nth(at).zip(args.nth(at + 1));
                pair.map(|(user, password)| Choice::Auth(Some(user), password, at)).ok_or(Error::SYNTAX)
            }
            b"keys" => {
                index = args.len();
                Ok(Choice::Keys(at))
            }
            _ => {
                index = args.len();
                Err(Error::SYNTAX)
            }
        })
    })
}

/// Where the keys of `KEYS` begin, if it is given.
fn list_of(args: Args<'_>) -> Option<usize> {
    choices(args).find_map(|choice| if let Ok(Choice::Keys(at)) = choice { Some(at) } else { None })
}

fn only_key(args: Args<'_>) -> Option<usize> {
    if list_of(args).is_none() { Some(3) } else { None }
}

fn first_of_several(args: Args<'_>) -> Option<usize> {
    list_of(args).filter(|_| args.nth(3).is_some_and(<[u8]>::is_empty))
}

/// The arguments that nobody may see.
pub(super) fn secrets(args: Args<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    for choice in choices(args) {
        if let Ok(Choice::Auth(user, _, at)) = choice {
            found.extend(at..=at + usize::from(user.is_some()));
        }
    }
    found
}

/// What is to be done, and where the keys are among the arguments.
fn order(args: Args<'_>) -> Result<(Order, std::ops::Range<usize>), Error> {
    let (mut copies, mut replaces, mut credentials, mut keys) = (false, false, None, 3..4);
    for choice in choices(args) {
        match choice? {
            Choice::Copy => copies = true,
            Choice::Replace => replaces = true,
            Choice::Auth(user, password, _) => {
                credentials = Some(Credentials { user: user.map(Box::from), password: password.into() });
            }
            Choice::Keys(_) if !args.get(3).is_empty() => return Err(Error::new(NOT_EMPTY)),
            Choice::Keys(at) => keys = at..args.len(),
        }
    }
    let timeout = number::parse_i64(args.get(5)).ok_or(Error::NOT_INTEGER)?;
    let database = number::parse_i64(args.get(4)).ok_or(Error::NOT_INTEGER)?;
    let timeout = u64::try_from(timeout).ok().filter(|&ms| ms > 0).unwrap_or(TIMEOUT_MS);
    let order = Order {
        host: String::from_utf8_lossy(args.get(1)).into_owned(),
        // Redis takes anything, and then cannot connect.
        port: number::parse_i64(args.get(2)).and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
        database,
        timeout: Duration::from_millis(timeout),
        credentials,
        copies,
        replaces,
    };
    Ok((order, keys))
}

const NOT_EMPTY: &str = "When using MIGRATE KEYS option, the key argument must be set to the empty string";

fn migrate(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (order, keys) = order(args)?;
    let mut encoder = Encoder::new(true);
    let mut parcels = Vec::new();
    for key in keys.map(|index| args.get(index)) {
        let parcel = cx.store.read(key, |record| {
            record.map(|record| Parcel {
                key: key.into(),
                due_ms: record.expiry(),
                payload: payload::write(&mut encoder, record.value()),
            })
        });
        cx.count_lookup(parcel.is_some());
        parcels.extend(parcel);
    }
    if parcels.is_empty() {
        cx.reply.simple("NOKEY");
        return Ok(());
    }
    match cx.client.mode {
        Mode::Direct => set_out(cx, args, order, parcels),
        Mode::Transaction | Mode::Script | Mode::Serving => stay(cx, order, parcels),
    }
}

/// Has the keys sent while the client waits, and leaves the rest to [`conclude`].
fn set_out(cx: &mut Context<'_>, args: Args<'_>, order: Order, parcels: Vec<Parcel>) -> Result<(), Error> {
    let leaving: Vec<(Box<[u8]>, Arc<Watch>)> = match order.copies {
        true => Vec::new(),
        false => parcels.iter().map(|parcel| (parcel.key.clone(), Arc::default())).collect(),
    };
    if !cx.node.pause.begin_transfer(leaving.iter().map(|(key, _)| &**key), MOST) {
        return Err(Error::Busy);
    }
    leaving.iter().for_each(|(key, watch)| cx.store.watch(key, watch));
    let wait = Block { keys: Vec::new(), kind: None, minds_removal: false, deadline_ms: None, args: Frame::from(args) };
    let waits = cx.block(wait, |_| ());
    if let Some(waiter) = cx.waiter() {
        // As in Redis, nobody ends it from outside.
        waiter.claim();
        let transfer = Arc::new(Transfer::new(waiter, leaving));
        cx.client.transfer = Some(transfer.clone());
        send_off(order, parcels, move |delivery| transfer.end(delivery));
    }
    waits
}

/// Calls `report` with what came of it, from a thread that sends the keys, or from this one if there cannot be another.
fn send_off(order: Order, parcels: Vec<Parcel>, report: impl FnOnce(Delivery) + Send + 'static) {
    let report = Arc::new(parking_lot::Mutex::new(Some(report)));
    let reporter = report.clone();
    let send = move || {
        let run = std::panic::AssertUnwindSafe(|| order.deliver(&parcels));
        let delivery = std::panic::catch_unwind(run).unwrap_or_else(|_| failure("ERR an internal error ended MIGRATE"));
        if let Some(report) = reporter.lock().take() {
            report(delivery);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("roster-migrate".to_owned()).spawn(send)
        && let Some(report) = report.lock().take()
    {
        report(failure(&format!("ERR MIGRATE cannot start a thread: {error}; raise ulimit -u")));
    }
}

fn failure(text: &str) -> Delivery {
    Delivery { accepted: Vec::new(), failure: Some(text.as_bytes().to_vec()) }
}

/// Sends the keys while they stay entered, and removes them: within a transaction or a script.
fn stay(cx: &mut Context<'_>, order: Order, parcels: Vec<Parcel>) -> Result<(), Error> {
    let keys: Vec<Box<[u8]>> = parcels.iter().map(|parcel| parcel.key.clone()).collect();
    let copies = order.copies;
    let (sender, receiver) = mpsc::channel();
    send_off(order, parcels, move |delivery| {
        let _ = sender.send(delivery);
    });
    let delivery = loop {
        match receiver.recv_timeout(NAP) {
            Ok(delivery) => break delivery,
            Err(RecvTimeoutError::Timeout) => crate::script::give_way(),
            Err(RecvTimeoutError::Disconnected) => break failure("ERR an internal error ended MIGRATE"),
        }
    };
    if !copies {
        let mut removed: Vec<&[u8]> = vec![b"DEL"];
        for (key, _) in keys.iter().zip(&delivery.accepted).filter(|(_, accepted)| **accepted) {
            if cx.store.remove(key) {
                cx.store.changed(key, Event::DEL);
                removed.push(key);
            }
        }
        if removed.len() > 1 {
            cx.record_as(&removed);
        }
    }
    match delivery.failure {
        // What was removed stays so, as an error does not take it back.
        Some(text) => Err(Error::Quoting(text.into())),
        None => {
            cx.reply.ok();
            Ok(())
        }
    }
}

/// Removes the keys of a transfer that the other server has, and answers the client. False if others are in the way: then
/// nothing happened, and it is to be called again.
pub fn conclude(worker: &Worker, transfer: &Transfer, delivery: &Delivery) -> bool {
    let node = worker.node;
    let Ok(held) = node.keyspace.enter_keys(&worker.local, transfer.leaving.iter().map(|(key, _)| &**key)) else {
        return false;
    };
    let wait = &transfer.waiter.wait;
    let result = remove(worker, transfer, delivery);
    for (key, watch) in &transfer.leaving {
        node.keyspace.unwatch(wait.database, key, watch);
    }
    drop(held);
    node.pause.end_transfer(transfer.leaving.iter().map(|(key, _)| &**key));
    worker.acting.set(wait.info.id);
    super::react::react(worker);
    worker.acting.set(0);
    worker.stopwatch.start();
    let mark = worker.stopwatch.mark();
    let mut out = Vec::new();
    match &result {
        Ok(()) => Reply::new(&mut out, wait.version).ok(),
        Err(error) => dispatch::report(worker, wait.version, error, &mut out),
    }
    let args = wait.args.args();
    if let Ok(handle) = dispatch::find(args) {
        let client = stand_in(worker, transfer);
        account::settle_late(worker, &client, handle, args, mark, out.len(), &result);
    }
    transfer.waiter.serve(out);
    forget(node, &transfer.waiter);
    true
}

/// Removes what has arrived and did not change meanwhile. The keys are entered.
fn remove(worker: &Worker, transfer: &Transfer, delivery: &Delivery) -> Result<(), Error> {
    let database = transfer.waiter.wait.database;
    let store = Store::new(&worker.node.keyspace, &worker.local, database, worker.now_ms);
    let mut words: Vec<&[u8]> = vec![b"DEL"];
    let mut changed = false;
    for ((key, watch), _) in transfer.leaving.iter().zip(&delivery.accepted).filter(|(_, accepted)| **accepted) {
        match watch.is_touched() {
            false => words.push(key),
            // What is gone has gone after it had been sent.
            true => changed |= store.exists(key),
        }
    }
    if words.len() > 1 {
        let frame: Frame = words.iter().copied().collect();
        let handle = dispatch::find(frame.args())?;
        dispatch::perform(worker, &mut stand_in(worker, transfer), handle, frame.args(), &mut Vec::new())?;
    }
    match &delivery.failure {
        Some(text) => Err(Error::Quoting(text.as_slice().into())),
        None if changed => Err(Error::new(CHANGED)),
        None => Ok(()),
    }
}

const CHANGED: &str =
    "A key was changed by a script while it was sent, so it was kept: the target has its value from before";

/// The client as it was when it asked, which may have left.
fn stand_in(worker: &Worker, transfer: &Transfer) -> Client {
    Client::serving(&transfer.waiter.wait, &worker.node.acl)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::command::testing::Rig;
    use crate::command::{Outcome, conclude, execute};
    use crate::protocol::Frame;
    use crate::session::{Client, Delivery, Transfer};

    #[test]
    fn arguments_are_looked_at_before_anything_is_sent() {
        let mut rig = Rig::new();
        rig.check(&[("SET k v", "+OK")]);
        let not_empty = format!("-ERR {}", super::NOT_EMPTY);
        for (request, reply) in [
            ("MIGRATE h 1 k 0", "-ERR wrong number of arguments for 'migrate' command"),
            ("MIGRATE h 1 none 0 9", "+NOKEY"),
            ("MIGRATE h x none -1 -1 COPY replace AUTH p AUTH2 u p", "+NOKEY"),
            ("MIGRATE h 1 k x 9", "-ERR value is not an integer or out of range"),
            ("MIGRATE h 1 k 0 x", "-ERR value is not an integer or out of range"),
            ("MIGRATE h 1 k 0 9 more", "-ERR syntax error"),
            ("MIGRATE h 1 k 0 9 AUTH", "-ERR syntax error"),
            ("MIGRATE h 1 k 0 9 AUTH2 u", "-ERR syntax error"),
            ("MIGRATE h 1 k 0 9 KEYS k", &not_empty),
            ("COMMAND GETKEYS MIGRATE h 1 k 0 9 COPY", "*1|$1|k"),
            ("COMMAND GETKEYS MIGRATE h 1 k 0 9 AUTH keys", "*1|$1|k"),
            ("COMMAND GETKEYS MIGRATE h 1 k 0 9 KEYS a", "-ERR Invalid arguments specified for command"),
        ] {
            assert_eq!(rig.run(request), reply, "{request}");
        }
        let list: &[&[u8]] = &[
            b"COMMAND", b"GETKEYS", b"MIGRATE", b"h", b"1", b"", b"0", b"9", b"AUTH", b"KEYS", b"KEYS", b"KEYS", b"b",
        ];
        assert_eq!(rig.args(list), "*2|$4|KEYS|$1|b");
        let list: &[&[u8]] = &[b"MIGRATE", b"h", b"1", b"", b"0", b"9", b"KEYS"];
        assert_eq!(rig.args(list), "+NOKEY");
    }

    /// Begins to send keys to where nobody is. What comes of it is up to the test.
    fn begin(rig: &Rig, client: &mut Client, request: &str) -> std::sync::Arc<Transfer> {
        let frame: Frame = request.split(' ').collect();
        assert_eq!(execute(&rig.worker, client, frame.args(), &mut Vec::new()), Outcome::Waits);
        client.transfer.take().expect("it has begun")
    }

    fn outcome(rig: &Rig, client: &mut Client, request: &str) -> Outcome {
        let frame: Frame = request.split(' ').collect();
        execute(&rig.worker, client, frame.args(), &mut Vec::new())
    }

    #[test]
    fn who_changes_keys_on_their_way_waits_and_what_changed_stays() {
        let mut rig = Rig::new();
        let (mut mover, mut other) = (rig.connect(), rig.connect());
        let delivered = |accepted: bool| Delivery { accepted: vec![accepted], failure: None };
        for (request, waits) in [
            ("SET k 1", true),
            ("DEL x k", true),
            ("EVAL return(1) 0", false),
            ("EVAL return(1) 1 k", true),
            ("EVAL_RO return(1) 1 k", false),
            ("FLUSHALL", true),
            ("SWAPDB 0 1", true),
            ("SET other 1", false),
            ("GET k", false),
            ("PUBLISH k v", false),
            ("MULTI", false),
            ("INCR k", false),
            ("EXEC", true),
            ("DISCARD", false),
        ] {
            rig.run("SET k 1");
            let transfer = begin(&rig, &mut mover, "MIGRATE 127.0.0.1 0 k 0 9");
            assert_eq!(outcome(&rig, &mut other, request) == Outcome::Paused, waits, "{request}");
            assert_eq!(rig.worker.node.pause.is_held(other.info.id), waits, "{request}");
            assert_eq!(rig.run(&format!("CLIENT UNBLOCK {}", mover.info.id)), ":0");
            assert!(conclude(&rig.worker, &transfer, &delivered(true)));
            assert_eq!(rig.served(&mut mover).as_deref(), Some("+OK"));
            assert_eq!(rig.run("EXISTS k"), ":0");
            assert!(!rig.worker.node.pause.may_be_on() && !rig.worker.node.pause.is_held(other.info.id));
            assert!(!other.info.blocked.load(Relaxed));
        }
        // What was not delivered stays, and so does what a script has changed without having said so.
        rig.run("SET k 1");
        let transfer = begin(&rig, &mut mover, "MIGRATE 127.0.0.1 0 k 0 9");
        assert!(conclude(&rig.worker, &transfer, &delivered(false)));
        let transfer = begin(&rig, &mut mover, "MIGRATE 127.0.0.1 0 k 0 9");
        rig.args(&[b"EVAL", b"return redis.call('INCR', 'k')", b"0"]);
        assert!(conclude(&rig.worker, &transfer, &delivered(true)));
        assert_eq!(rig.served(&mut mover), Some(format!("-ERR {}", super::CHANGED)));
        rig.check(&[("GET k", "$1|2")]);
        // Copies hold nobody back.
        let transfer = begin(&rig, &mut mover, "MIGRATE 127.0.0.1 0 k 0 9 COPY");
        rig.check(&[("INCR k", ":3")]);
        assert!(conclude(&rig.worker, &transfer, &delivered(true)));
        assert_eq!(rig.served(&mut mover).as_deref(), Some("+OK"));
        rig.check(&[("GET k", "$1|3")]);
    }

    #[test]
    fn so_many_transfers_go_at_once() {
        let mut rig = Rig::new();
        rig.run("SET k 1");
        let mut movers: Vec<Client> = (0..super::MOST).map(|_| rig.connect()).collect();
        let transfers: Vec<_> =
            movers.iter_mut().map(|mover| begin(&rig, mover, "MIGRATE 127.0.0.1 0 k 0 9 COPY")).collect();
        let mut late = rig.connect();
        assert_eq!(outcome(&rig, &mut late, "MIGRATE 127.0.0.1 0 k 0 9"), Outcome::Busy);
        assert!(!rig.worker.node.pause.may_be_on());
        assert!(conclude(&rig.worker, &transfers[0], &Delivery::default()));
        assert_eq!(outcome(&rig, &mut late, "MIGRATE 127.0.0.1 0 k 0 9"), Outcome::Waits);
    }
}
