//! A worker's housekeeping: expiry, idle clients, clients that do not read, the log level.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::batch::{FLUSH_AT, ROOM_CALM};
use super::bell;
use super::connection::is_at_rest;
use super::hub::{Guest, Hub};
use super::task;
use super::watchdog;
use crate::command::{Worker, unix_ms};
use crate::config::{OutputLimit, OutputLimits, Settings};
use crate::store::{Progress, heap, reclaim};
use crate::telemetry;

/// Time between rounds while keys wait for their time.
const ROUND: Duration = Duration::from_millis(10);
/// Time between rounds while keys are past their time, for each millisecond that a round may take: a worker that is behind spends
/// a quarter of itself on them, as Redis does.
const BEHIND: Duration = Duration::from_millis(3);
/// Time between rounds otherwise.
const IDLE_ROUND: Duration = Duration::from_millis(100);
/// Milliseconds between times that free memory is given back.
const UPKEEP_MS: u64 = 250;
/// Milliseconds between looks at the clients.
const SWEEP_MS: u64 = 1000;
/// The time that a busy worker leaves to its clients after a slice of a snapshot, in times of what the slice took.
const CLIENTS_SHARE: u32 = 3;
/// Keys that one step of expiry removes at most.
const STEP: usize = 128;
/// Seconds without any progress after which a client that does not read is cut, where only a hard limit is set.
const STALLED_SECONDS: u32 = 60;

/// Keeps house for as long as the worker runs.
pub(super) async fn keep(hub: Rc<Hub>) {
    let (swept_ms, upkept_ms) = (Cell::new(0), Cell::new(0));
    if hub.worker.borrow().number() == 0 {
        hub.node.measure(unix_ms());
    }
    let level = Cell::new(hub.node.config.current().loglevel);
    let mut is_behind = false;
    loop {
        let rest = rest(&hub.worker.borrow(), is_behind);
        monoio::time::sleep(rest).await;
        bell::listen();
        let (settings, now_ms) = {
            let worker = hub.refreshed();
            watchdog::beat(worker.number());
            if worker.node.rests.load(Relaxed) {
                continue;
            }
            is_behind = expire(&worker);
            // What eviction cannot do now, the next rounds do; commands that need memory are told if it cannot be had.
            worker.node.keyspace.tell_bytes(worker.number());
            let _ = crate::command::make_room(&worker);
            crate::command::react(&worker);
            crate::command::serve_later(&worker);
            if worker.number() == 0 {
                worker.node.sample(worker.now_ms);
                if !worker.is_kept_out() {
                    crate::command::keep_saving(&worker);
                    crate::command::keep_log(&worker);
                }
                crate::command::evict_clients(&worker);
            }
            (worker.settings.clone(), worker.now_ms)
        };
        if hub.node.keyspace.is_cut() && !hub.is_saving.replace(true) {
            let saving = hub.clone();
            task::spawn(async move { go_on_saving(&saving).await }, || "a snapshot".to_owned());
        }
        if now_ms.abs_diff(upkept_ms.get()) >= UPKEEP_MS {
            upkept_ms.set(now_ms);
            reclaim::outgrown();
            heap::flush();
            if hub.worker.borrow().number() == 0 {
                heap::decay();
            }
        }
        if now_ms.abs_diff(swept_ms.get()) >= SWEEP_MS {
            swept_ms.set(now_ms);
            hub.buffers.tidy();
            sweep(&hub, &settings, now_ms);
            if settings.http_port > 0 && hub.worker.borrow().number() == 0 {
                crate::command::keep_ttls(&hub.worker.borrow());
            }
            if settings.loglevel != level.replace(settings.loglevel) {
                telemetry::logging::set_level(settings.loglevel);
            }
        }
    }
}

/// Works at a snapshot, a slice at a time, for as long as there is something to do.
async fn go_on_saving(hub: &Hub) {
    // Also when a slice panics, a later round begins anew.
    let _ended = Ended(hub);
    loop {
        let began = Instant::now();
        let progress = {
            let worker = hub.worker.borrow();
            worker.node.keyspace.continue_cut(&worker.local)
        };
        match progress {
            Progress::None => return,
            Progress::Took => leave_to_clients(hub, began.elapsed() * CLIENTS_SHARE).await,
            Progress::Wait => monoio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Lets clients have their turns, for so long at most, while they have something to run.
async fn leave_to_clients(hub: &Hub, time: Duration) {
    let began = Instant::now();
    let mut ran = hub.counters.commands.load(Relaxed);
    loop {
        hub.fair.give_way().await;
        let before = std::mem::replace(&mut ran, hub.counters.commands.load(Relaxed));
        if ran == before || began.elapsed() >= time {
            return;
        }
    }
}

struct Ended<'a>(&'a Hub);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.is_saving.set(false);
    }
}

/// How long to leave the worker to its clients.
fn rest(worker: &Worker, is_behind: bool) -> Duration {
    match is_behind {
        true => ROUND.min(BEHIND * worker.settings.active_expire_effort),
        false if worker.local.timers() > 0 => ROUND,
        false => IDLE_ROUND,
    }
}

/// Removes due keys, for at most a millisecond for each step of `active-expire-effort`, so that clients are not kept waiting.
/// Returns whether more are due.
fn expire(worker: &Worker) -> bool {
    let budget = Duration::from_millis(worker.settings.active_expire_effort.into());
    // Paused clients count on data that stays as it is.
    if worker.node.pause.at(worker.now_ms).is_some() {
        return false;
    }
    let start = Instant::now();
    let mut more = true;
    while more && start.elapsed() < budget {
        more = worker.node.keyspace.expire_due(&worker.local, worker.now_ms, STEP);
    }
    let (ms, threshold) = (start.elapsed().as_millis() as u64, worker.settings.latency_monitor_threshold);
    if threshold > 0 && ms >= threshold {
        worker.node.stats.latencies.note("expire-cycle", worker.now_ms / 1000, ms);
    }
    more
}

fn sweep(hub: &Hub, settings: &Settings, now_ms: u64) {
    let limits = &settings.client_output_buffer_limit;
    for guest in hub.guests() {
        if is_idle(&guest, settings.timeout, now_ms) {
            tracing::debug!("closing client {} at {}: it was idle", guest.info.id, guest.info.address);
            guest.info.kill();
        } else if does_not_read(&guest, limits, now_ms) {
            telemetry::add(&hub.counters.output_buffer_closed, 1);
            let (id, address) = (guest.info.id, &guest.info.address);
            tracing::warn!(
                "closing client {id} at {address}: it does not read its replies (client-output-buffer-limit)"
            );
            guest.info.kill();
        } else if guest.info.query_capacity.load(Relaxed) > ROOM_CALM && is_at_rest(&guest.info, now_ms) {
            // One ring for each rest is enough.
            let active_ms = guest.info.active_ms.load(Relaxed);
            if guest.rung_for_ms.replace(active_ms) != active_ms {
                guest.info.mailbox.ring();
            }
        }
    }
}

fn is_idle(guest: &Guest, timeout: u32, now_ms: u64) -> bool {
    timeout > 0 && now_ms.saturating_sub(guest.info.active_ms.load(Relaxed)) > u64::from(timeout) * 1000
}

/// Whether a client has kept us from sending for longer than its class may. Messages to subscribers wait in their mailboxes; the
/// hard limit of those is watched where they are posted.
///
/// A connection holds the replies of one batch only, and stops executing while the client does not read, where Redis would
/// go on and fill memory. So a limit above what a batch may hold counts as reached when a batch is full.
fn does_not_read(guest: &Guest, limits: &OutputLimits, now_ms: u64) -> bool {
    let replies = guest.info.output_bytes.load(Relaxed) as u64;
    let (waiting, bytes, seconds) = match limits.normal {
        _ if guest.info.is_subscriber() => {
            let waiting = replies + guest.info.mailbox.bytes() as u64;
            (waiting, limits.pubsub.soft, limits.pubsub.soft_seconds)
        }
        OutputLimit { hard, soft: 0, .. } => (replies, hard.min(FLUSH_AT as u64 / 2), STALLED_SECONDS),
        OutputLimit { soft, soft_seconds, .. } => (replies, soft.min(FLUSH_AT as u64 / 2), soft_seconds),
    };
    if bytes == 0 || waiting < bytes {
        guest.over_since_ms.set(0);
        return false;
    }
    if guest.over_since_ms.get() == 0 {
        guest.over_since_ms.set(now_ms);
    }
    now_ms.saturating_sub(guest.over_since_ms.get()) >= u64::from(seconds) * 1000
}
