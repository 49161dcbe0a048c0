//! The choice between io_uring and epoll, and the words that explain a refusal.

use std::io;

use io_uring::{IoUring, Probe, opcode};

use crate::config::{IoDriver, Settings, TaskRun};
use crate::host::kernel;

/// Linux's largest submission queue.
const MOST_ENTRIES: u32 = 32_768;

/// How each worker talks to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// By a ring of its own.
    Uring(Ring),
    /// By readiness and system calls.
    Epoll,
}

/// How the rings are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// Entries of the submission queue; the completion queue has twice as many.
    pub(super) entries: u32,
    /// How completion work runs.
    pub(super) task_run: TaskRun,
    /// Milliseconds until an idle polling thread sleeps, and its CPU, if the kernel is to poll the ring.
    pub(super) polled: Option<(u32, Option<u32>)>,
}

/// A driver, and what the operator ought to know about how it was chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) driver: Driver,
    pub(super) remark: Option<String>,
}

impl Driver {
    /// The name that `INFO` gives it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Driver::Uring(_) => "io_uring",
            Driver::Epoll => "epoll",
        }
    }

    /// What is in effect, for the log.
    pub(super) fn describe(&self) -> String {
        match self {
            Driver::Uring(Ring { entries, polled: Some((idle, cpu)), .. }) => {
                let cpu = cpu.map_or(String::new(), |cpu| format!(" on CPU {cpu}"));
                format!("io_uring ({entries} entries, polled by the kernel{cpu}, idle after {idle} ms)")
            }
            Driver::Uring(Ring { entries, task_run, .. }) => {
                format!("io_uring ({entries} entries, task-run {})", task_run.as_str())
            }
            Driver::Epoll => "epoll".to_owned(),
        }
    }
}

impl Ring {
    /// The rings that the settings ask for.
    ///
    /// Under SQPOLL the kernel empties the submission queue when it likes, and monoio panics when it is full. A connection has
    /// at most one operation that the kernel has not taken yet, and one that closes its predecessor, so the queue holds two
    /// for each of `clients`; [`Ring::most_clients`] is the other side of this bound.
    fn new(settings: &Settings) -> Ring {
        let entries = if settings.sqpoll {
            settings.maxclients.saturating_add(SPARE).saturating_mul(2).min(MOST_ENTRIES).next_power_of_two()
        } else {
            0
        };
        Ring {
            entries: entries.max(settings.ring_entries),
            task_run: settings.ring_task_run(),
            polled: settings.sqpoll.then(|| (settings.sqpoll_idle, u32::try_from(settings.sqpoll_cpu).ok())),
        }
    }

    /// The clients that these rings can serve; `None` without a bound.
    pub(super) fn most_clients(&self) -> Option<u32> {
        self.polled.map(|_| self.entries / 2 - SPARE)
    }

    /// The builder of the io-uring crate with these settings.
    pub(super) fn builder(&self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self.task_run {
            TaskRun::None => (),
            TaskRun::Coop => {
                builder.setup_coop_taskrun().setup_single_issuer();
            }
            TaskRun::Defer => {
                builder.setup_defer_taskrun().setup_single_issuer();
            }
        }
        if let Some((idle, cpu)) = self.polled {
            builder.setup_sqpoll(idle);
            if let Some(cpu) = cpu {
                builder.setup_sqpoll_cpu(cpu);
            }
        }
        builder
    }

    /// Builds a ring, uses it once, and asks whether it knows the operations that a server needs.
    fn probe(&self) -> io::Result<()> {
        let ring: IoUring = self.builder().build(self.entries)?;
        ring.submit()?;
        let mut known = Probe::new();
        // Where a sandbox forbids only the registering of things, nothing is known against the ring.
        if ring.submitter().register_probe(&mut known).is_ok() {
            use opcode::{Accept, AsyncCancel, Close, PollAdd, Read, Recv, Send, Timeout};
            let needed = [
                Accept::CODE,
                AsyncCancel::CODE,
                Close::CODE,
                PollAdd::CODE,
                Read::CODE,
                Recv::CODE,
                Send::CODE,
                Timeout::CODE,
            ];
            if needed.iter().any(|code| !known.is_supported(*code)) {
                return Err(io::Error::from_raw_os_error(libc::ENOSYS));
            }
        }
        Ok(())
    }
}

/// Entries kept for what is not a client: listeners, timers, wake-ups.
const SPARE: u32 = 64;

/// Chooses the driver by trying it.
///
/// # Errors
/// The reason and the remedy, when the settings insist on io_uring and the kernel refuses it.
pub(super) fn choose(settings: &Settings) -> Result<Choice, String> {
    if settings.io_driver == IoDriver::Epoll {
        return Ok(Choice { driver: Driver::Epoll, remark: None });
    }
    let mut ring = Ring::new(settings);
    let mut result = ring.probe();
    let mut remark = None;
    if is_unknown_flag(&result) && ring.task_run != TaskRun::None {
        // COOP_TASKRUN came with Linux 5.19, SINGLE_ISSUER with 6.0, DEFER_TASKRUN with 6.1.
        let wanted = ring.task_run.as_str();
        ring.task_run = TaskRun::None;
        result = ring.probe();
        remark = Some(format!("this kernel has no task-run {wanted} for io_uring: none is used; Linux 6.1 has both"));
    }
    match result {
        Ok(()) => Ok(Choice { driver: Driver::Uring(ring), remark }),
        Err(error) => {
            let reason = refusal(&error, kernel::io_uring_disabled(), kernel::container().as_deref());
            if settings.io_driver == IoDriver::Uring {
                return Err(format!("{reason}; or set io-driver to auto or epoll"));
            }
            Ok(Choice { driver: Driver::Epoll, remark: Some(format!("serving by epoll, because {reason}")) })
        }
    }
}

fn is_unknown_flag(result: &io::Result<()>) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(libc::EINVAL))
}

/// Why the kernel refuses io_uring, and how to make it allow it, in one line.
fn refusal(error: &io::Error, disabled: Option<u8>, container: Option<&str>) -> String {
    let code = error.raw_os_error();
    match (code, disabled) {
        (Some(libc::EPERM), Some(2)) => {
            "io_uring is disabled on this host (kernel.io_uring_disabled = 2): allow it by sysctl -w \
             kernel.io_uring_disabled=0"
                .to_owned()
        }
        (Some(libc::EPERM), Some(1)) => {
            "io_uring is disabled for unprivileged processes (kernel.io_uring_disabled = 1): allow it by sysctl -w \
             kernel.io_uring_disabled=0, or run in the group of kernel.io_uring_group"
                .to_owned()
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            let place = container.map_or(String::new(), |name| format!(" (this looks like {name})"));
            format!(
                "a seccomp filter or security module forbids io_uring{place}, as the default profiles of Docker and \
                 containerd do: allow io_uring_setup, io_uring_enter and io_uring_register, for Docker by \
                 --security-opt seccomp=PROFILE, under systemd by SystemCallFilter=@io-event io_uring_setup \
                 io_uring_enter io_uring_register"
            )
        }
        (Some(libc::ENOSYS), _) => {
            let release = kernel::release().unwrap_or_else(|| "unknown".to_owned());
            format!("this kernel ({release}) or its sandbox lacks io_uring or parts of it: use Linux 5.11 or newer")
        }
        (Some(libc::ENOMEM), _) => {
            "the memory for io_uring's rings may not be locked: raise ulimit -l (LimitMEMLOCK= under systemd), or lower \
             ring-entries"
                .to_owned()
        }
        (Some(libc::EMFILE | libc::ENFILE), _) => {
            "there is no file descriptor left for an io_uring: raise ulimit -n (LimitNOFILE= under systemd)".to_owned()
        }
        _ => format!("io_uring cannot be set up ({error}): check ring-entries, task-run and sqpoll"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_remedy() {
        let text = |code, disabled, container| refusal(&io::Error::from_raw_os_error(code), disabled, container);
        assert!(text(libc::EPERM, Some(2), None).contains("kernel.io_uring_disabled=0"));
        assert!(text(libc::EPERM, Some(1), None).contains("io_uring_group"));
        assert!(text(libc::EPERM, Some(0), Some("docker")).contains("seccomp=PROFILE"));
        assert!(text(libc::EPERM, None, None).contains("SystemCallFilter"));
        assert!(text(libc::ENOSYS, None, None).contains("Linux 5.11"));
        assert!(text(libc::ENOMEM, None, None).contains("LimitMEMLOCK"));
        assert!(text(libc::EMFILE, None, None).contains("LimitNOFILE"));
        assert!(text(libc::EINVAL, None, None).contains("task-run"));
        assert!(!text(libc::EPERM, Some(0), None).contains('\n'));
    }

    #[test]
    fn polled_rings_are_sized_by_the_clients() {
        let settings = |sqpoll, maxclients| Settings { sqpoll, maxclients, ..Settings::default() };
        assert_eq!(Ring::new(&settings(false, 10_000)).entries, 4096);
        assert_eq!(Ring::new(&settings(false, 10_000)).most_clients(), None);
        let ring = Ring::new(&settings(true, 10_000));
        assert_eq!((ring.entries, ring.task_run), (32_768, TaskRun::None));
        assert!(ring.most_clients().is_some_and(|most| most >= 10_000));
        let ring = Ring::new(&settings(true, 1_000_000));
        assert_eq!((ring.entries, ring.most_clients()), (32_768, Some(32_768 / 2 - SPARE)));
        let ring = Ring::new(&settings(true, 1000));
        assert!(ring.most_clients().is_some_and(|most| most >= 1000));
    }
}
