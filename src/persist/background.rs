//! Threads that stand back behind those that serve clients.

/// What is added to a thread's niceness: it gets a quarter of a CPU that a worker could use as well, and all of one that nobody else uses.
const NICE: libc::c_int = 5;

/// Has this thread, and those that it starts, stand back: woken, it waits until the CPU's worker sleeps or its time is over, where it would otherwise interrupt a
/// client's command to take the next bytes of a file (`SCHED_BATCH`, sched(7)). Where the system forbids it, nothing changes.
pub(super) fn stand_back() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: both calls are about this thread alone, and read no memory but the parameters.
    unsafe {
        libc::nice(NICE);
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_itself_stands_back() {
        // SAFETY: it asks about this thread.
        let policy = || unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
        let before = policy();
        let behind = std::thread::spawn(move || {
            stand_back();
            policy()
        });
        assert_eq!(behind.join().expect("it ends"), (libc::SCHED_BATCH, (before.1 + NICE).min(19)));
        assert_eq!(policy(), before);
    }
}
