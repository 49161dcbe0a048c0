//! The end of the server: what asks for it, and how connections come to theirs.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::Mutex;

use super::hub::Hub;
use crate::command::{Node, unix_ms};
use crate::host::notify;
use crate::session::ClientInfo;

/// Time that clients have to finish where one waits for a script that cannot be ended.
const HURRY: Duration = Duration::from_millis(100);

/// What the main thread waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// A worker listens, or cannot.
    Ready(Result<(), String>),
    /// A signal that ends the server.
    Signal(Signal),
    /// A client asked for the end.
    Requested,
    /// A worker has no connections any more.
    Drained,
    /// A snapshot that was ordered for the end was saved, or was not.
    Saved(bool),
}

/// The signals that end the server, and SIGHUP, which as in Redis does nothing.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// Keeps signals from ending the process at once, here and in every thread that is started from now on, and reports them
/// as events from a thread of their own.
pub(super) fn watch_signals(events: Sender<Event>) -> std::io::Result<()> {
    let signals = signals();
    signals.thread_block()?;
    std::thread::Builder::new().name("roster-signals".to_owned()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            if signal != Signal::SIGHUP && events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Waits on the main thread until the server is to end and its workers have drained, or `shutdown-timeout` has passed; then
/// for what is to be saved. Returns the status to exit with: 0, or 1 if a second signal cut the end short or the end could
/// not be saved. The end may have been asked for already; `workers` are those that have not drained yet.
pub(super) fn supervise(node: &'static Node, workers: usize, sender: &Sender<Event>, events: &Receiver<Event>) -> i32 {
    let mut deadline: Option<Instant> = None;
    let mut signalled = false;
    let mut drained = 0;
    while drained < workers {
        if deadline.is_none() && node.shutdown.is_requested() {
            notify::send("STOPPING=1");
            let timeout = Duration::from_secs(node.config.current().shutdown_timeout.into());
            deadline = Some(Instant::now() + if node.shutdown.is_hurried() { timeout.min(HURRY) } else { timeout });
        }
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let Ok(event) = receive(events, left) else {
            let clients = node.registry.connected();
            let reason =
                if node.shutdown.is_hurried() { "a script cannot be ended" } else { "shutdown-timeout has passed" };
            tracing::warn!("{reason}: {clients} clients are cut off before they have read everything");
            break;
        };
        match event {
            Event::Signal(signal) if deadline.is_some() || signalled => {
                tracing::warn!("{signal} again: ending at once");
                node.saves.give_up();
                return 1;
            }
            Event::Signal(signal) => {
                tracing::info!("{signal}: finishing what clients have sent, then ending");
                if node.config.current().save.0.is_empty() {
                    node.shutdown.request();
                } else {
                    // First while clients are served, so that a failure changes nothing; then what they changed meanwhile.
                    signalled = true;
                    order_save(node, sender);
                }
            }
            Event::Saved(true) => {
                node.shutdown.save_at_end();
                node.shutdown.request();
            }
            Event::Saved(false) => {
                tracing::error!("not ending, because the snapshot failed; SHUTDOWN NOSAVE ends without one");
                signalled = false;
            }
            Event::Drained => drained += 1,
            Event::Requested | Event::Ready(_) => (),
        }
    }
    let status = save_the_end(node, sender, events);
    node.saves.give_up();
    status
}

fn order_save(node: &Node, sender: &Sender<Event>) {
    let sender = sender.clone();
    node.shutdown.order_save(move |is_saved| {
        let _ = sender.send(Event::Saved(is_saved));
    });
}

/// Has what changed since the last snapshot saved, if it is to be.
fn save_the_end(node: &Node, sender: &Sender<Event>, events: &Receiver<Event>) -> i32 {
    if !node.shutdown.saves_at_end() || node.keyspace.changes() == node.saves.report().changes {
        return 0;
    }
    order_save(node, sender);
    loop {
        match events.recv() {
            Ok(Event::Saved(true)) => return 0,
            Ok(Event::Signal(signal)) => tracing::warn!("{signal} again: ending without what changed last"),
            Ok(Event::Saved(false)) => tracing::error!("what changed last was not saved"),
            Ok(Event::Ready(_) | Event::Requested | Event::Drained) => continue,
            Err(_) => (),
        }
        return 1;
    }
}

fn receive(events: &Receiver<Event>, left: Duration) -> Result<Event, ()> {
    if left == Duration::MAX { events.recv().map_err(|_| ()) } else { events.recv_timeout(left).map_err(|_| ()) }
}

/// Waits on a worker until the end is asked for, from whatever thread.
pub(super) async fn requested(node: &'static Node) {
    let sleeper: Arc<Mutex<Option<Waker>>> = Arc::default();
    let mut announced = false;
    poll_fn(|context| {
        *sleeper.lock() = Some(context.waker().clone());
        if !announced {
            announced = true;
            let sleeper = sleeper.clone();
            node.shutdown.on_request(move || {
                if let Some(waker) = sleeper.lock().take() {
                    waker.wake();
                }
            });
        }
        // Looked at after the waker is in its place, so that a request is either seen here or wakes this task.
        if node.shutdown.is_requested() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Lets a worker's connections finish: nothing more is received, what was received is executed and answered.
///
/// A socket that is shut down for reading still gives what has arrived and then ends, so that no request is cut in two and
/// no receive has to be cancelled. Keys on their way leave. Who has just come may send the first request yet. More may come as long as `accepting` says so.
pub(super) async fn drain(hub: Rc<Hub>, accepting: impl Fn() -> bool) {
    let mut told = std::collections::HashSet::new();
    while !hub.is_empty() || hub.transfers.get() > 0 || accepting() {
        for guest in hub.guests() {
            if !has_just_come(&guest.info)
                && told.insert(guest.info.id)
                && let Some(socket) = guest.info.descriptor()
            {
                let _ = shutdown(socket, Shutdown::Read);
            }
        }
        monoio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How long a client may take to its first request after it came, if the server ends meanwhile. Else what it sends at once would meet
/// a closed socket, though it was let in.
const FIRST_REQUEST_MS: u64 = 100;

fn has_just_come(info: &ClientInfo) -> bool {
    info.commands.load(Ordering::Relaxed) == 0 && unix_ms().saturating_sub(info.created_ms) < FIRST_REQUEST_MS
}

/// Ends the waiting of a worker's accepts: a listener that is shut down refuses clients from then on.
pub(super) fn close_listeners(sockets: &[i32]) {
    for socket in sockets {
        let _ = shutdown(*socket, Shutdown::Both);
    }
}
