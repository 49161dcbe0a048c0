//! A server without sockets, for the unit tests of commands: requests go in as text, replies come out as RESP.

use super::{Facts, Node, Outcome, Worker, execute};
use crate::config::{self, Handle};
use crate::protocol::Frame;
use crate::session::{Arrival, Client, Stage, Transport};

/// One worker with one client.
pub(crate) struct Rig {
    pub(crate) worker: Worker,
    pub(crate) client: Client,
}

impl Rig {
    /// An empty server with the default settings.
    pub(crate) fn new() -> Self {
        Rig::with(&[])
    }

    /// An empty server with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let words = std::iter::once("roster").chain(flags.iter().copied()).map(Into::into);
        let settings = config::parse(words).expect("the defaults are valid").loaded.settings;
        // Tests leak their server, as the program itself does with its only one.
        let node: &'static Node = Box::leak(Box::new(Node::new(Handle::new(settings), 1, 16, Facts::default())));
        let client = connect(node);
        Rig { worker: Worker::new(node, 0), client }
    }

    /// A further client of the same server.
    pub(crate) fn connect(&self) -> Client {
        connect(self.worker.node)
    }

    /// A further client from another address.
    pub(crate) fn connect_from(&self, address: &str) -> Client {
        connect_as(self.worker.node, address)
    }

    /// Runs a request whose words are separated by spaces, and returns the reply with `\r\n` as `|`.
    pub(crate) fn run(&mut self, request: &str) -> String {
        self.args(&request.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    /// Runs a request given by its arguments.
    pub(crate) fn args(&mut self, args: &[&[u8]]) -> String {
        let frame: Frame = args.iter().collect();
        let mut out = Vec::new();
        assert_ne!(execute(&self.worker, &mut self.client, frame.args(), &mut out), Outcome::Busy);
        // Nobody waits here for the reply to a wrong password.
        self.client.penalty_ms = 0;
        text(&out)
    }

    /// Runs requests and compares each reply.
    pub(crate) fn check(&mut self, script: &[(&str, &str)]) {
        for (request, reply) in script {
            assert_eq!(self.run(request), *reply, "{request}");
        }
    }

    /// Runs a request and returns what observers of all keys heard: `sadd s, del t`. That keys are new or missing is left out.
    pub(crate) fn events(&mut self, request: &str) -> String {
        let frame: Frame = request.split(' ').map(str::as_bytes).collect();
        let handle = super::find(frame.args()).expect("a command");
        // Not by way of `execute`, which hands the events on.
        let done = super::dispatch::perform(&self.worker, &mut self.client, handle, frame.args(), &mut Vec::new());
        assert_eq!(done, Ok(()), "{request}");
        let changes = self.worker.local.take_changes().into_iter();
        let changes = changes.filter(|change| !["new", "keymiss"].contains(&change.event.name));
        changes
            .map(|change| format!("{} {}", change.event.name, change.key.escape_ascii()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Runs a request of another client; `None` if that waits now.
    pub(crate) fn send(&self, client: &mut Client, request: &str) -> Option<String> {
        let frame: Frame = request.split(' ').collect();
        let mut out = Vec::new();
        let outcome = execute(&self.worker, client, frame.args(), &mut out);
        (outcome != Outcome::Waits).then(|| text(&out))
    }

    /// The reply that a client that waits was given, if it was.
    pub(crate) fn served(&self, client: &mut Client) -> Option<String> {
        let waiter = client.waiter.clone().filter(|waiter| waiter.stage() == Stage::Served)?;
        client.waiter = None;
        Some(text(&waiter.take_reply()))
    }

    /// Lets time pass for commands.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.worker.now_ms += ms;
    }
}

fn text(out: &[u8]) -> String {
    String::from_utf8_lossy(out).replace("\r\n", "|").trim_end_matches('|').to_owned()
}

fn connect(node: &'static Node) -> Client {
    connect_as(node, "127.0.0.1:1")
}

fn connect_as(node: &'static Node, address: &str) -> Client {
    let arrival = Arrival {
        address: address.into(),
        local_address: "127.0.0.1:6379".into(),
        transport: Transport::Tcp,
        worker: 0,
        now_ms: super::unix_ms(),
        socket: -1,
    };
    Client::new(node.registry.register(arrival, usize::MAX).expect("no limit"), &node.acl)
}
