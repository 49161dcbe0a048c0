//! Profiles against machines of `tests/data/machines`, each laid out below a directory of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::plan::{apply, kernel_parameters, plan, revert};
use super::record::{self, Record};
use super::{Finding, Profile, Report, State, examine};
use crate::host::machine::Machine;
use crate::host::{doctor, tool, topology};

const SHELL: &str = "sh";
const EPYC: &str = include_str!("../../../tests/data/machines/epyc-16.txt");
const SMALL: &str = include_str!("../../../tests/data/machines/vm-2.txt");
const NUMA: &str = include_str!("../../../tests/data/machines/numa-32.txt");

/// A machine below a directory that goes away with it.
struct Fixture {
    root: PathBuf,
    machine: Machine,
}

impl Fixture {
    fn new(files: &str) -> Fixture {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("roster-machine-{}-{number}", std::process::id()));
        let fixture = Fixture { machine: Machine::at(&root), root };
        for line in files.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(" -> ") {
                Some((path, target)) => {
                    let place = fixture.prepare(path);
                    std::os::unix::fs::symlink(target, place).unwrap();
                }
                None => {
                    let (path, text) = line.split_once(" =").unwrap();
                    fixture.put(path, &text.trim_start().replace("\\n", "\n").replace("\\t", "\t"));
                }
            }
        }
        fixture
    }

    fn prepare(&self, path: &str) -> PathBuf {
        let place = self.machine.place(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }

    fn put(&self, path: &str, text: &str) {
        std::fs::write(self.prepare(path), format!("{text}\n")).unwrap();
    }

    fn get(&self, path: &str) -> String {
        self.machine.read(path).unwrap()
    }

    fn report(&self, profile: &str) -> Report {
        examine(&Profile::named(profile).unwrap(), &self.machine).unwrap()
    }

    fn differing(&self, profile: &str) -> Vec<String> {
        self.report(profile).differing().map(|finding| finding.condition.clone()).collect()
    }

    fn record(&self) -> Option<Record> {
        Record::read(&record::place(&self.machine)).unwrap()
    }

    /// What the program answers to a command line about this machine.
    fn ask(&self, line: &str) -> Result<tool::Answer, (String, i32)> {
        let root = self.root.to_str().unwrap();
        let words = line.split(' ').chain(["--root", root]).map(std::ffi::OsString::from);
        tool::answer(std::iter::once("roster".into()).chain(words)).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// A value of each row of ent1-m that is wrong on a machine that is tuned.
const WRONG: &[(&str, &str, &str)] = &[
    ("io_uring", "/proc/sys/kernel/io_uring_disabled", "2"),
    ("queue of new connections", "/proc/sys/net/core/somaxconn", "128"),
    ("transparent huge pages", "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]"),
    ("clock source", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
    ("CPU frequency governor", "/sys/devices/system/cpu/cpu9/cpufreq/scaling_governor", "powersave"),
    ("locked memory of the server", "/proc/812/limits", "Max locked memory 8388608 8388608 bytes"),
    ("automatic NUMA balancing", "/proc/sys/kernel/numa_balancing", "1"),
    ("swappiness", "/proc/sys/vm/swappiness", "60"),
    ("restart of slow idle connections", "/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1"),
    ("isolated CPUs", "/proc/cmdline", "isolcpus=3 nohz_full=2-15 irqaffinity=0-1"),
    ("no tick on busy CPUs", "/proc/cmdline", "isolcpus=managed_irq,domain,2-15 irqaffinity=0-1 -- nohz_full=2-15"),
    (
        "interrupts at boot",
        "/proc/cmdline",
        "irqaffinity=0-1 isolcpus=managed_irq,domain,2-15 nohz_full=2-15 irqaffinity=2",
    ),
    ("isolated CPUs in force", "/sys/devices/system/cpu/isolated", "3-15"),
    ("interrupts of the network", "/proc/irq/33/smp_affinity_list", "0-15"),
    ("queues of the network", "/sys/class/net/ens2/queues/rx-2/marker", "a third queue"),
    ("receive packet steering", "/sys/class/net/ens2/queues/rx-1/rps_cpus", "ffff"),
    ("receive flow steering", "/proc/sys/net/core/rps_sock_flow_entries", "32768"),
    ("unbound kernel workers", "/sys/devices/virtual/workqueue/cpumask", "ffff"),
    ("irqbalance", "/proc/900/comm", "irqbalance"),
    ("hard-lockup watchdog", "/proc/sys/kernel/nmi_watchdog", "1"),
    ("statistics of virtual memory", "/proc/sys/vm/stat_interval", "1"),
    ("workers on their CPUs", "/proc/812/task/825/status", "Cpus_allowed_list: 0-15"),
];

#[test]
fn a_tuned_machine_has_no_findings() {
    let machine = Fixture::new(EPYC);
    for profile in Profile::names() {
        assert_eq!(machine.differing(profile), Vec::<String>::new(), "{profile}");
    }
    let report = machine.report("ent1-m");
    let absent: Vec<&Finding> = report.findings.iter().filter(|one| one.state == State::Absent).collect();
    assert_eq!(absent.iter().map(|one| one.condition.as_str()).collect::<Vec<_>>(), ["CPU frequency governor"]);
}

#[test]
fn a_wrong_value_in_each_row_is_found() {
    for (row, path, value) in WRONG {
        let machine = Fixture::new(EPYC);
        machine.put(path, value);
        assert_eq!(machine.differing("ent1-m"), [*row], "{path}");
    }
    let rows: Vec<String> = Profile::named("ent1-m").unwrap().knobs.into_iter().map(|knob| knob.name).collect();
    let tested: Vec<&str> = WRONG.iter().map(|(row, ..)| *row).collect();
    assert!(rows.iter().all(|row| tested.contains(&row.as_str())), "a row of {rows:?} has no wrong value here");
}

#[test]
fn what_the_machine_has_not_got_is_no_finding() {
    let bare = Fixture::new("");
    for profile in ["generic", "small"] {
        let report = bare.report(profile);
        assert!(report.findings.iter().all(|finding| finding.state == State::Absent) && report.passes());
    }
}

#[test]
fn a_profile_for_another_machine_is_refused() {
    let error = Fixture::new(SMALL).ask("doctor --profile ent1-m").unwrap_err();
    assert_eq!(
        error,
        ("the profile is not for this machine: its workers are the CPUs 2-15, and online are 0-1".to_owned(), 2)
    );
}

#[test]
fn machines_as_they_come() {
    let small = ["transparent huge pages", "swappiness", "restart of slow idle connections"];
    let machine = Fixture::new(SMALL);
    assert_eq!(machine.differing("small")[..1], ["transparent huge pages"]);
    assert!(machine.differing("small").iter().all(|row| small.contains(&row.as_str())));
    let numa = Fixture::new(NUMA);
    assert_eq!(numa.differing("generic"), ["CPU frequency governor"]);
    assert!(numa.differing("small").contains(&"automatic NUMA balancing".to_owned()));
    let governor = &numa.report("generic").findings[4];
    assert_eq!(governor.current, "powersave (32 of 32)");
}

#[test]
fn hidden_processes_are_no_proof() {
    let machine = Fixture::new(EPYC);
    machine.put("/proc/900/comm", "irqbalance");
    std::fs::remove_file(machine.machine.place("/proc/1/comm")).unwrap();
    let report = machine.report("ent1-m");
    let row = report.findings.iter().find(|finding| finding.condition == "irqbalance").unwrap();
    assert_eq!((row.state, row.current.as_str()), (State::Absent, "other processes are hidden"));
}

#[test]
fn pictures_of_machines() {
    let numa = Fixture::new(NUMA);
    let cpus = topology::cpus(&numa.machine);
    assert_eq!((cpus.len(), cpus[9].node, cpus[9].siblings.to_string().as_str()), (32, Some(1), "25"));
    let nics = topology::nics(&numa.machine);
    assert_eq!((nics.len(), nics[0].interrupts.len(), nics[0].receive), (1, 4, 4), "{nics:?}");
    let epyc = Fixture::new(EPYC);
    let nic = &topology::nics(&epyc.machine)[0];
    let names: Vec<&str> = nic.interrupts.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names[..3], ["virtio1-config", "virtio1-input.0", "virtio1-output.0"]);
    let page = doctor::text(&epyc.report("ent1-m"), &epyc.machine, false);
    assert!(page.contains("\n1    0     0        housekeeping, virtio1-input.0, virtio1-input.1\n"), "{page}");
    assert!(page.contains("\n4    0     5        workers, isolated, no tick, roster-2\n"), "{page}");
    assert!(page.contains("ens2: 2 receive and 2 transmit queues\n"), "{page}");
    assert!(!page.contains('\x1b') && doctor::text(&epyc.report("small"), &epyc.machine, true).contains("\x1b[32m"));
}

#[test]
fn the_doctor_answers() {
    let machine = Fixture::new(EPYC);
    let well = machine.ask("doctor --profile ent1-m").unwrap();
    assert_eq!(well.status, 0, "{}", well.output);
    assert!(well.output.contains("0 fatal, 0 warnings, 0 notes"));
    machine.put("/proc/sys/vm/stat_interval", "1");
    let note = machine.ask("doctor --profile ent1-m").unwrap();
    assert!(note.status == 0 && note.output.contains("0 warnings, 1 notes"), "{}", note.output);
    machine.put("/proc/sys/kernel/io_uring_disabled", "1");
    let ill = machine.ask("doctor --profile ent1-m --json").unwrap();
    let page: serde_json::Value = serde_json::from_str(&ill.output).unwrap();
    assert_eq!((ill.status, &page["passed"], &page["findings"][0]["state"]), (1, &false.into(), &"differs".into()));
    assert_eq!(page["findings"][0]["remedy"], "sysctl -w kernel.io_uring_disabled=0");
    assert_eq!(page["topology"]["cpus"].as_array().unwrap().len(), 16);
    assert_eq!(machine.ask("doctor --profile nope").unwrap_err().1, 2);
    assert_eq!(machine.ask("doctor --colour").unwrap_err().1, 2);
    assert!(tool::answer(["roster", "check-config"].map(Into::into).into_iter()).is_none());
}

/// A machine of 16 CPUs with nothing tuned.
fn untuned() -> Fixture {
    let machine = Fixture::new(EPYC);
    for (_, path, value) in WRONG.iter().filter(|(row, ..)| *row != "queues of the network") {
        machine.put(path, value);
    }
    machine
}

#[test]
fn a_plan_is_a_script_that_does_it() {
    let machine = untuned();
    let answer = machine.ask("tune --profile ent1-m --dry-run").unwrap();
    assert_eq!(answer.output, machine.ask("tune --profile ent1-m").unwrap().output);
    assert!(answer.output.contains("printf '%s\\n' '0' > '/proc/sys/kernel/io_uring_disabled'  # was 2\n"));
    assert!(
        answer.output.contains("#   irqbalance is runs (systemctl disable --now irqbalance)\n"),
        "{}",
        answer.output
    );
    assert_eq!(machine.get("/proc/sys/kernel/io_uring_disabled"), "2", "a plan changes nothing");
    // The script runs on the machine's files and leads to where --apply leads.
    let root = machine.root.to_str().unwrap();
    let script = answer.output.replace(" > '/", &format!(" > '{root}/"));
    let run = std::process::Command::new(SHELL).arg("-c").arg(script).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let report = machine.report("ent1-m");
    assert!(plan(&report).steps.is_empty(), "{:?}", plan(&report).steps);
    assert_eq!(machine.get("/proc/irq/33/smp_affinity_list"), "1");
}

#[test]
fn applying_is_idempotent_and_can_be_taken_back() {
    let machine = untuned();
    let before: Vec<String> =
        plan(&machine.report("ent1-m")).steps.iter().map(|step| machine.get(&step.change.path)).collect();
    let steps = plan(&machine.report("ent1-m")).steps;
    assert!(steps.len() > 12);
    let first = machine.ask("tune --profile ent1-m --apply").unwrap();
    assert_eq!(first.status, 0, "{}", first.output);
    assert!(first.output.contains("/proc/sys/vm/swappiness: 60 -> 10\n"), "{}", first.output);
    assert!(steps.iter().all(|step| machine.get(&step.change.path) == step.change.new));
    let record = machine.record().unwrap();
    assert_eq!((record.profile.as_str(), record.changes.len()), ("ent1-m", steps.len()));
    let second = machine.ask("tune --profile ent1-m --apply").unwrap();
    assert!(!second.output.contains("->") && machine.record().unwrap() == record, "{}", second.output);
    // Without a profile the doctor asks for the one that was applied.
    assert!(machine.ask("doctor").unwrap().output.starts_with("Profile ent1-m\n"));
    // What somebody else has changed since is theirs.
    machine.put("/proc/sys/vm/swappiness", "33");
    let back = machine.ask("tune --revert").unwrap();
    assert!(back.output.contains("/proc/sys/vm/swappiness: left, it is 33 by now"), "{}", back.output);
    for (step, old) in steps.iter().zip(before).filter(|(step, _)| !step.change.path.ends_with("swappiness")) {
        let expected = if old.contains('[') { step.change.old.clone() } else { old };
        assert_eq!(machine.get(&step.change.path), expected, "{}", step.change.path);
    }
    assert_eq!(machine.record(), None);
    assert!(machine.ask("tune --revert").unwrap().output.contains("nothing to take back"));
}

#[test]
fn a_second_change_keeps_the_first_old_value() {
    let machine = untuned();
    let profile = Profile::named("ent1-m").unwrap();
    apply(&machine.machine, "ent1-m", &profile).unwrap();
    machine.put("/proc/sys/vm/swappiness", "99");
    apply(&machine.machine, "ent1-m", &profile).unwrap();
    revert(&machine.machine).unwrap();
    assert_eq!(machine.get("/proc/sys/vm/swappiness"), "60");
}

#[test]
fn records_of_other_profiles_and_of_other_boots() {
    let machine = untuned();
    assert_eq!(machine.ask("tune --profile generic --apply").unwrap().status, 0);
    let (error, _) = machine.ask("tune --profile ent1-m --apply").unwrap_err();
    assert!(error.contains("generic is in force"), "{error}");
    machine.put("/proc/sys/kernel/random/boot_id", "another");
    assert!(machine.ask("tune --profile ent1-m --apply").unwrap().output.contains("->"));
    machine.put("/proc/sys/kernel/random/boot_id", "a third");
    let back = machine.ask("tune --revert").unwrap();
    assert_eq!(back.output, "nothing to take back: the machine has booted since\n");
    assert_eq!(machine.get("/proc/sys/vm/swappiness"), "10");
}

#[test]
fn a_record_that_names_other_files_is_refused() {
    let machine = Fixture::new(SMALL);
    let boot = machine.get("/proc/sys/kernel/random/boot_id");
    for path in ["/etc/passwd", "/sys/../etc/passwd"] {
        let text = format!("profile = 'x'\nboot = '{boot}'\n[[change]]\npath = '{path}'\nold = 'a'\nnew = 'b'");
        machine.put("/var/lib/roster-tune/record.toml", &text);
        assert!(machine.ask("tune --revert").unwrap_err().0.contains("is no setting of the kernel"));
    }
    machine.put("/var/lib/roster-tune/record.toml", "profile = [");
    assert!(machine.ask("tune --revert").is_err() && machine.ask("tune --profile small --apply").is_err());
}

#[test]
fn a_value_that_cannot_be_written_is_told() {
    let machine = untuned();
    // The kernel's version can be read and refuses every write, even root's.
    let place = machine.machine.place("/proc/sys/vm/swappiness");
    std::fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/pid_max_is_not_here", &place).unwrap();
    assert!(!machine.differing("ent1-m").contains(&"swappiness".to_owned()), "a dead link is a file that is not there");
    std::fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("/proc/version", &place).unwrap();
    let answer = machine.ask("tune --profile ent1-m --apply").unwrap();
    assert_eq!(answer.status, 1);
    assert!(answer.output.contains("failed: /proc/sys/vm/swappiness: 10 cannot be written"), "{}", answer.output);
    let record = machine.record().unwrap();
    assert!(record.changes.len() > 10 && record.changes.iter().all(|change| !change.path.ends_with("swappiness")));
}

#[test]
fn kernel_parameters_come_from_the_rows() {
    let profile = Profile::named("ent1-m").unwrap();
    let places = profile.layout.on(&Fixture::new(EPYC).machine).unwrap();
    let line = "isolcpus=managed_irq,domain,2-15 nohz_full=2-15 irqaffinity=0-1";
    assert_eq!(kernel_parameters(&profile, &places), line);
    assert_eq!(Fixture::new(EPYC).ask("tune --profile small --kernel-parameters").unwrap().output, "\n");
    assert!(Fixture::new(EPYC).ask("tune").is_err());
}

#[test]
fn settings_come_from_the_profile() {
    let settings =
        |profile: &str| Fixture::new(EPYC).ask(&format!("tune --profile {profile} --settings")).unwrap().output;
    assert_eq!((settings("ent1-m"), settings("generic")), ("workers = \"2-15\"\n".to_owned(), String::new()));
}

#[test]
fn polling_threads_are_found() {
    let machine = Fixture::new(EPYC);
    let profile = machine.machine.place("/profile.toml");
    let row = "[[knob]]\nname = 'polling'\nwhy = 'x'\nseverity = 'warning'\npollers = '1'\n";
    std::fs::write(&profile, format!("name = 'polled'\nsummary = ''\n[settings]\nsqpoll-cpu = 1\n{row}")).unwrap();
    let profile = profile.to_str().unwrap();
    assert_eq!(machine.ask(&format!("tune --profile {profile} --settings")).unwrap().output, "sqpoll-cpu = 1\n");
    let finding = || machine.report(profile).findings.remove(0);
    let none = finding();
    assert_eq!((none.current.as_str(), none.state), ("no thread polls", State::Differs));
    assert_eq!(none.remedy, "set sqpoll to yes and sqpoll-cpu to 1");
    let poller = |cpus: &str| {
        machine.put("/proc/812/task/860/comm", "iou-sqp-813");
        machine.put("/proc/812/task/860/status", &format!("Cpus_allowed_list: {cpus}"));
    };
    poller("1");
    let there = finding();
    assert_eq!((there.current.as_str(), there.state), ("CPU 1", State::Holds));
    let page = doctor::text(&machine.report(profile), &machine.machine, false);
    assert!(page.contains(", iou-sqp-813\n") || page.contains(", iou-sqp-813,"), "{page}");
    poller("0-15");
    assert_eq!(finding().state, State::Differs);
}
