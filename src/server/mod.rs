//! The server: the only room that knows monoio, sockets and threads.
//!
//! [`run`] binds the listeners, starts the workers, and waits on the main thread for the end. A worker is one thread with
//! one runtime; its tasks share a `Hub`. Each accepted client is one task: a `Connection` receives and sends, its
//! `Batch` parses and executes without any input or output. Most connections sleep in their tasks and are served side by side in
//! the worker's `Lane`.

mod accept;
mod batch;
mod bell;
mod buffers;
mod connection;
mod drain;
mod driver;
mod durable;
mod fair;
mod hub;
mod lane;
mod listen;
mod runtime;
mod seat;
mod send;
mod task;
#[cfg(test)]
mod tests;
mod tick;
mod tls;
mod transfer;
mod transport;
mod wait;
mod watchdog;

use std::net::SocketAddr;
use std::sync::mpsc;

use crate::command::{Facts, Node, bounds_of_loading, load_users, open_log, unix_ms};
use crate::config::{Handle, Loaded, Quantity, Settings};
use crate::host::{self, cpu, memory, notify, tuning};
use crate::persist::load::Loading;
use crate::store::heap;
use crate::web::{self, Health};
use drain::Event;
use driver::Choice;
use runtime::{Places, Seat};
use tls::Tls;

/// File descriptors that the server needs besides its clients': standard streams, logs, data files, connections by HTTP.
const FILES: u64 = 32 + web::MOST_CONNECTIONS as u64;
/// File descriptors of one worker besides its clients': ring or epoll, wake-up, listeners.
const FILES_OF_WORKER: u64 = 24;
/// Bytes of memory for each shard that `shards auto` makes.
const BYTES_PER_SHARD: u64 = 128 << 20;

/// Serves until a signal or `SHUTDOWN` ends it, and returns the status to exit with.
///
/// The caller exits the process without dropping anything: threads are still running, and the kernel may still be
/// writing into their buffers.
///
/// # Errors
/// Why the server cannot start, with the remedy.
pub fn run(loaded: Loaded) -> Result<i32, String> {
    let mut settings = loaded.settings;
    let (events, inbox) = mpsc::channel();
    drain::watch_signals(events.clone()).map_err(|error| format!("cannot watch for signals: {error}"))?;
    let places = runtime::places(&settings);
    let choice = driver::choose(&settings)?;
    bound_clients(&mut settings, &choice, places.cpus.len())?;
    let bound = listen::bind(&settings, places.cpus.len(), choice.driver == driver::Driver::Epoll)?;
    let tls = Tls::for_settings(&settings)?;
    let http = listen::bind_http(&settings)?;
    let facts = Facts {
        driver: choice.driver.name(),
        port: settings.port,
        tls_port: settings.tls_port,
        config_file: loaded.file.map_or_else(String::new, |file| file.display().to_string()),
        executable: std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string()),
    };
    heap::set_huge_pages(settings.huge_pages);
    let shards = shards(&settings);
    let node = Node::new(Handle::new(settings), places.cpus.len(), shards, facts);
    load_users(&node.acl, &node.config.current())?;
    // The server lives as long as its process, so everything may refer to it.
    let node: &'static Node = Box::leak(Box::new(node));
    if let Some(tls) = tls {
        tls.follow(&node.config);
    }
    // Before anything is loaded, so that a monitor sees the server load.
    let (pages, listeners): (Vec<SocketAddr>, Vec<_>) = http.into_iter().unzip();
    web::start(listeners, web::Source { node, health })
        .map_err(|error| format!("cannot start a thread: {error}; raise ulimit -u"))?;
    open_log(node)?;
    let settings = node.config.current();
    let path = settings.dir.join(&settings.dbfilename);
    // A log holds everything by itself.
    let loading = match node.logs.kept() {
        Some(_) => None,
        None => Loading::open(&path, bounds_of_loading(&settings), places.cpus.len(), unix_ms())?,
    };
    let _ = node.saves.on_turn.set(watchdog::beat);
    let requested = events.clone();
    node.shutdown.on_request(move || {
        let _ = requested.send(Event::Requested);
    });
    watchdog::prepare(places.cpus.len());
    for ((number, cpu), listeners) in places.cpus.iter().copied().enumerate().zip(bound.workers) {
        let seat = Seat {
            number,
            cpu,
            driver: choice.driver.clone(),
            listeners,
            node,
            tls,
            loading: loading.clone(),
            events: events.clone(),
        };
        runtime::start(seat).map_err(|error| format!("cannot start a thread: {error}; raise ulimit -u"))?;
    }
    let status = match await_workers(&inbox, places.cpus.len()) {
        Ok(drained) => {
            runtime::note_serving();
            announce(node, &places, &choice, &bound.addresses, &pages);
            host::code::forget();
            Ok(drain::supervise(node, places.cpus.len() - drained, &events, &inbox))
        }
        Err(reason) => Err(reason),
    };
    if let Some(file) = bound.socket_file {
        file.remove();
    }
    let kept = node.logs.kept().is_none_or(|log| log.finish());
    if !kept {
        tracing::error!("the log could not be written to its end: the last changes are lost");
    }
    if status.is_ok() {
        tracing::info!("ended");
    }
    status.map(|status| if kept { status } else { 1 })
}

/// What `/healthz` tells.
fn health(node: &Node) -> Health {
    match (node.shutdown.is_requested(), runtime::is_serving()) {
        (true, _) => Health::Ending,
        (false, true) => Health::Serving,
        (false, false) => Health::Loading,
    }
}

/// Waits until every worker listens. Returns how many have drained already, because a client has asked one that listened before the
/// others to end the server.
fn await_workers(inbox: &mpsc::Receiver<Event>, workers: usize) -> Result<usize, String> {
    let (mut ready, mut drained) = (0, 0);
    while ready < workers {
        match inbox.recv() {
            Ok(Event::Ready(result)) => {
                result?;
                ready += 1;
            }
            Ok(Event::Signal(signal)) => return Err(format!("{signal} came before the server was ready")),
            Ok(Event::Drained) => drained += 1,
            Ok(Event::Requested | Event::Saved(_)) => (),
            Err(_) => return Err("the workers ended before they were ready".to_owned()),
        }
    }
    Ok(drained)
}

/// Lowers `maxclients` to what the limit of open files and the rings allow.
fn bound_clients(settings: &mut Settings, choice: &Choice, workers: usize) -> Result<(), String> {
    if let driver::Driver::Uring(ring) = &choice.driver
        && let Some(most) = ring.most_clients().filter(|most| *most < settings.maxclients)
    {
        tracing::warn!("maxclients is {most} instead of {}: with sqpoll a ring serves no more", settings.maxclients);
        settings.maxclients = most;
    }
    let reserved = FILES + FILES_OF_WORKER * workers as u64;
    let limit = host::files::raise_limit(u64::from(settings.maxclients) + reserved);
    let room = limit.saturating_sub(reserved);
    if room == 0 {
        return Err(format!(
            "the limit of open files ({limit}) is not enough to start: raise ulimit -n (LimitNOFILE= under systemd) to at \
             least {}",
            reserved + 1
        ));
    }
    if room < settings.maxclients.into() {
        tracing::warn!(
            "maxclients is {room} instead of {}: the limit of open files is {limit}; raise ulimit -n (LimitNOFILE= under \
             systemd) to {}",
            settings.maxclients,
            u64::from(settings.maxclients) + reserved
        );
        settings.maxclients = u32::try_from(room).unwrap_or(settings.maxclients);
    }
    Ok(())
}

/// The number of shards: as set, or so many that each has 128 MiB of the usable memory to serve.
fn shards(settings: &Settings) -> usize {
    match settings.shards {
        Quantity::Exactly(shards) => shards as usize,
        Quantity::Auto => shards_for(memory::usable()),
    }
}

fn shards_for(memory: Option<u64>) -> usize {
    let wanted = memory.map_or(0, |bytes| bytes / BYTES_PER_SHARD).clamp(64, 16_384);
    1 << wanted.ilog2()
}

/// Says in at most four lines, besides remarks about what was refused, what was started; and tells the service manager.
fn announce(node: &Node, places: &Places, choice: &Choice, addresses: &[SocketAddr], pages: &[SocketAddr]) {
    let settings = node.config.current();
    for remark in choice.remark.iter().chain(&places.remark) {
        tracing::warn!("{remark}");
    }
    let mut places_bound: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    if !settings.unixsocket.as_os_str().is_empty() {
        places_bound.push(settings.unixsocket.display().to_string());
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("Roster {version} serves {} (process {})", places_bound.join(", "), std::process::id());
    if let Some(page) = pages.first() {
        tracing::info!("status page, /metrics and /healthz at http://{page}/");
    }
    let workers = places.cpus.len();
    let pinned: Vec<usize> = places.cpus.iter().copied().flatten().collect();
    let pinned = if pinned.is_empty() { "not pinned".to_owned() } else { format!("on CPU {}", cpu::ranges(&pinned)) };
    let plural = if workers == 1 { "" } else { "s" };
    let (driver, shards) = (choice.driver.describe(), node.keyspace.shards());
    tracing::info!(
        "{workers} worker{plural} {pinned}, {driver}, {shards} shards, {} clients at most",
        settings.maxclients
    );
    let untuned = tuning::findings();
    if !untuned.is_empty() {
        tracing::info!("not tuned: {}", untuned.join("; "));
    }
    notify::send("READY=1");
    watchdog::start();
}
