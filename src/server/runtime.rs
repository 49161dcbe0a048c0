//! The workers: one thread each, on a CPU of its own, with a runtime of its own.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use monoio::io::Canceller;
use monoio::net::{TcpListener, UnixListener};
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::drain::{self, Event};
use super::driver::Driver;
use super::hub::Hub;
use super::lane;
use super::listen::Listeners;
use super::tls::Tls;
use super::{accept, task, tick};
use crate::command::{Node, Worker, adopt_loaded};
use crate::config::{Settings, Workers};
use crate::host::cpu;
use crate::persist::load::Loading;

/// Bytes of a worker's stack: values that scripts nest a thousand deep are read and written on it.
const WORKER_STACK: usize = 32 << 20;

/// Readiness events that one wait of epoll returns at most.
const EPOLL_EVENTS: u32 = 1024;

/// What one worker is started with.
pub(super) struct Seat {
    pub(super) number: usize,
    /// The CPU that it stays on, if it is to.
    pub(super) cpu: Option<usize>,
    pub(super) driver: Driver,
    pub(super) listeners: Listeners,
    pub(super) node: &'static Node,
    /// What clients need that speak TLS, if any may.
    pub(super) tls: Option<&'static Tls>,
    /// The snapshot that the workers load before they listen.
    pub(super) loading: Option<Arc<Loading>>,
    pub(super) events: Sender<Event>,
}

/// Where workers run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The CPU of each worker; `None` where it may move.
    pub(super) cpus: Vec<Option<usize>>,
    /// What the operator ought to know.
    pub(super) remark: Option<String>,
}

/// Decides how many workers there are and on which CPUs.
pub(super) fn places(settings: &Settings) -> Places {
    place(&settings.workers, settings.pin_workers, &cpu::preferred(), cpu::quota())
}

fn place(workers: &Workers, pin: bool, preferred: &[usize], quota: Option<usize>) -> Places {
    let (count, cpus) = match workers {
        Workers::Auto => (preferred.len().min(quota.unwrap_or(usize::MAX)).max(1), preferred.to_vec()),
        Workers::Count(count) => (usize::from(*count), preferred.to_vec()),
        Workers::Cpus(cpus) => (cpus.len(), cpus.iter().map(|cpu| usize::from(*cpu)).collect()),
    };
    // More workers than CPUs must be free to move, or one CPU would be crowded while others idle.
    let crowded = count > cpus.len();
    let remark = crowded.then(|| {
        format!("{count} workers share {} CPUs, so they are not pinned; workers auto starts one for each", cpus.len())
    });
    let place = |number: usize| if pin && !crowded { cpus.get(number).copied() } else { None };
    Places { cpus: (0..count).map(place).collect(), remark }
}

/// Starts a worker. It reports by an event when it listens.
pub(super) fn start(seat: Seat) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("roster-{}", seat.number)).stack_size(WORKER_STACK);
    thread.spawn(move || {
        let number = seat.number;
        let events = seat.events.clone();
        let run = std::panic::AssertUnwindSafe(|| run(seat));
        let result = std::panic::catch_unwind(run).unwrap_or_else(|_| Err("an internal error".to_owned()));
        if let Err(reason) = result {
            let reason = format!("worker {number} cannot run: {reason}");
            tracing::error!("{reason}");
            // Before the server is ready this ends the start. Afterwards it is never expected; a server that lacks a worker
            // would leave a part of its clients hanging, so the service manager is to start it anew.
            if events.send(Event::Ready(Err(reason))).is_err() || is_serving() {
                std::process::exit(1);
            }
        }
    })?;
    Ok(())
}

/// Set when all workers listen.
static SERVING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Whether all workers listen.
pub(super) fn is_serving() -> bool {
    SERVING.load(std::sync::atomic::Ordering::Relaxed)
}

/// Notes that all workers listen.
pub(super) fn note_serving() {
    SERVING.store(true, std::sync::atomic::Ordering::Relaxed);
}

fn run(seat: Seat) -> Result<(), String> {
    if let Some(cpu) = seat.cpu
        && !cpu::pin(cpu)
    {
        return Err(format!(
            "it may not run on CPU {cpu}; correct workers, allow the CPU (AllowedCPUs= and CPUAffinity= under systemd), or \
             set pin-workers to no"
        ));
    }
    let failure = |error: io::Error| format!("{error}; check ulimit -n and ring-entries, or set io-driver to epoll");
    match &seat.driver {
        Driver::Uring(ring) => {
            let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(ring.entries);
            serve(builder.uring_builder(ring.builder()).enable_timer().build().map_err(failure)?, seat)
        }
        Driver::Epoll => {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(EPOLL_EVENTS);
            serve(builder.enable_timer().build().map_err(failure)?, seat)
        }
    }
}

/// Runs a worker. It returns only if it cannot start: a runtime must not be dropped while the kernel may still write into its
/// buffers, so a worker that has drained waits for the end of the process.
fn serve<D: monoio::Driver>(mut runtime: Runtime<D>, seat: Seat) -> Result<(), String> {
    runtime.block_on(async move {
        let Seat { number, driver, listeners, node, tls, loading, events, .. } = seat;
        let worker = Worker::new(node, number);
        if let Some(loading) = loading {
            load(&worker, &loading)?;
        }
        let hub = Hub::new(worker, driver == Driver::Epoll, tls).map_err(|error| error.to_string())?;
        let helper = hub.clone();
        task::spawn(async move { helper.fair.help().await }, || "the scheduler".to_owned());
        task::spawn(lane::conduct(hub.clone()), || "the lane".to_owned());
        let house = hub.clone();
        task::spawn(
            async move {
                // One round that fails must not be the last one.
                while task::survive(Box::pin(tick::keep(house.clone()))).await.is_err() {
                    monoio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            },
            || "housekeeping".to_owned(),
        );
        let accepting = Accepting::default();
        let sockets =
            open(&hub, listeners, &accepting).map_err(|error| format!("its listeners cannot be used: {error}"))?;
        let _ = events.send(Event::Ready(Ok(())));
        drain::requested(node).await;
        drain::close_listeners(&sockets);
        drain::drain(hub, || Rc::strong_count(&accepting) > 1).await;
        let _ = events.send(Event::Drained);
        std::future::pending::<Result<(), String>>().await
    })
}

/// Loads a part of the snapshot, and returns when all workers have.
fn load(worker: &Worker, loading: &Loading) -> Result<(), String> {
    let node = worker.node;
    let loaded = loading.work(&node.keyspace, &worker.local)?;
    if worker.number() == 0 {
        let (keys, expired, seconds) = (loaded.keys, loaded.expired, loaded.seconds);
        tracing::info!("loaded {keys} keys in {seconds:.3} seconds; {expired} had expired");
        adopt_loaded(worker, &loaded, true)?;
    }
    Ok(())
}

/// Each task that accepts from a listener of the service manager holds one.
type Accepting = Rc<()>;

/// Gives the listeners to the runtime, starts to accept, and returns the descriptors of those that are ours.
fn open(hub: &Rc<Hub>, listeners: Listeners, accepting: &Accepting) -> io::Result<Vec<i32>> {
    let mut sockets = Vec::new();
    let (node, inherited) = (hub.node, listeners.inherited);
    let mut note = |socket: i32| {
        if !inherited {
            sockets.push(socket);
        }
        inherited.then(|| (Canceller::new(), accepting.clone()))
    };
    for (listener, tls) in
        listeners.tcp.into_iter().map(|one| (one, None)).chain(listeners.tls.into_iter().map(|one| (one, hub.tls)))
    {
        let until = note(listener.as_raw_fd());
        let cancel = until.as_ref().map(|(canceller, _)| canceller.handle());
        let serving = accept::serve_tcp(hub.clone(), TcpListener::from_std(listener)?, tls, cancel);
        task::spawn(until_end(node, serving, until), || "a TCP listener".to_owned());
    }
    if let Some(listener) = listeners.unix {
        let until = note(listener.as_raw_fd());
        let cancel = until.as_ref().map(|(canceller, _)| canceller.handle());
        let path = hub.worker.borrow().settings.unixsocket.display().to_string();
        let serving = accept::serve_unix(hub.clone(), UnixListener::from_std(listener)?, path, cancel);
        task::spawn(until_end(node, serving, until), || "the unix listener".to_owned());
    }
    Ok(sockets)
}

/// Accepts until the server ends. A listener of the service manager must not be shut down, since the next server goes on
/// with it, so the accept under way is cancelled instead. It is not dropped: it may just have taken a client.
async fn until_end(node: &'static Node, serving: impl Future<Output = ()>, until: Option<(Canceller, Accepting)>) {
    let Some((canceller, _accepting)) = until else { return serving.await };
    let ended = async {
        drain::requested(node).await;
        drop(canceller.cancel());
        std::future::pending::<()>().await;
    };
    let (mut ended, mut serving) = (std::pin::pin!(ended), std::pin::pin!(serving));
    std::future::poll_fn(|context| {
        let _ = ended.as_mut().poll(context);
        serving.as_mut().poll(context)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_have_places() {
        let cpus = |workers, pin, preferred: &[usize], quota| place(&workers, pin, preferred, quota).cpus;
        assert_eq!(cpus(Workers::Auto, true, &[2, 3], None), [Some(2), Some(3)]);
        assert_eq!(cpus(Workers::Auto, true, &[0, 1, 2, 3], Some(2)), [Some(0), Some(1)]);
        assert_eq!(cpus(Workers::Auto, false, &[0, 1], None), [None, None]);
        assert_eq!(cpus(Workers::Auto, true, &[], None), [None]);
        assert_eq!(cpus(Workers::Count(1), true, &[4, 5], None), [Some(4)]);
        assert_eq!(cpus(Workers::Cpus(vec![7, 9]), true, &[0], None), [Some(7), Some(9)]);
        let crowded = place(&Workers::Count(3), true, &[0, 1], None);
        assert_eq!(crowded.cpus, [None, None, None]);
        assert!(crowded.remark.is_some_and(|text| text.contains("3 workers share 2 CPUs")));
    }
}
