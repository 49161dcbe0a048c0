//! The commands that look at a host and change it: `roster doctor` and `roster tune`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};

use super::doctor;
use super::machine::Machine;
use super::tuning::{self, Profile, plan};

/// What to print, and the status to exit with.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub output: String,
    /// 0 if all is well, 1 if something differs or failed, 2 if the question could not be answered.
    pub status: i32,
}

/// The status of a question that could not be answered, as of clap for a wrong command line.
const UNANSWERED: i32 = 2;

/// Answers a command line whose first word is `doctor` or `tune`; `None` for any other.
pub fn answer(arguments: impl Iterator<Item = OsString>) -> Option<Result<Answer, (String, i32)>> {
    let words: Vec<OsString> = arguments.collect();
    if !words.get(1).is_some_and(|word| word == "doctor" || word == "tune") {
        return None;
    }
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.exit_code() == 0 => return Some(Ok(Answer { output: error.to_string(), status: 0 })),
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Some(Err((line, UNANSWERED)));
        }
    };
    let answer = match matches.subcommand() {
        Some(("doctor", matches)) => examine(matches),
        Some((_, matches)) => tune(matches),
        None => return None,
    };
    Some(answer.map_err(|error| (error, UNANSWERED)))
}

fn command() -> Command {
    let profile = Arg::new("profile")
        .long("profile")
        .value_name("NAME|FILE")
        .help(format!("One of {}, or the path of a file", Profile::names().join(", ")));
    let root = Arg::new("root")
        .long("root")
        .value_name("DIRECTORY")
        .default_value("/")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The machine whose /proc and /sys lie below this directory");
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let doctor = Command::new("doctor")
        .about("Compare this host with a tuning profile; exits with 1 if more than notes differ")
        .arg(profile.clone().long_help("Default: the profile that roster tune applied, else generic"))
        .arg(root.clone())
        .arg(flag("json", "Print JSON"));
    let tune = Command::new("tune")
        .about("Plan, apply or take back a tuning profile; without a flag it only plans")
        .arg(profile.required_unless_present("revert"))
        .arg(root)
        .arg(flag("dry-run", "Print the plan as a script (the default)"))
        .arg(flag("apply", "Write what differs, and record what was there before"))
        .arg(flag("revert", "Write back what was there before"))
        .arg(flag("kernel-parameters", "Print the kernel parameters of the profile"))
        .arg(flag("settings", "Print the server's settings that belong to the profile, for its file of settings"))
        .group(ArgGroup::new("action").args(["dry-run", "apply", "revert", "kernel-parameters", "settings"]));
    Command::new("roster").subcommand_required(true).disable_help_subcommand(true).subcommand(doctor).subcommand(tune)
}

fn machine(matches: &ArgMatches) -> Machine {
    Machine::at(matches.get_one::<PathBuf>("root").map_or(Path::new("/"), PathBuf::as_path))
}

fn examine(matches: &ArgMatches) -> Result<Answer, String> {
    let machine = machine(matches);
    let profile = match matches.get_one::<String>("profile") {
        Some(name) => Profile::named(name)?,
        None => tuning::chosen(&machine)?,
    };
    let report = tuning::examine(&profile, &machine)?;
    let output = match matches.get_flag("json") {
        true => doctor::json(&report, &machine),
        false => doctor::text(&report, &machine, is_coloured()),
    };
    Ok(Answer { output, status: i32::from(!report.passes()) })
}

/// Colours are for terminals whose user has not asked to go without (https://no-color.org).
fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn tune(matches: &ArgMatches) -> Result<Answer, String> {
    let machine = machine(matches);
    if matches.get_flag("revert") {
        return plan::revert(&machine).map(said);
    }
    let name = matches.get_one::<String>("profile").map(String::as_str).unwrap_or(tuning::DEFAULT);
    // A file is recorded by its whole path, so that the doctor finds it from any directory.
    let whole = std::fs::canonicalize(name).ok().filter(|_| name.contains('/') || name.ends_with(".toml"));
    let whole = whole.and_then(|path| path.into_os_string().into_string().ok());
    let name = whole.as_deref().unwrap_or(name);
    let profile = Profile::named(name)?;
    if matches.get_flag("apply") {
        return plan::apply(&machine, name, &profile).map(said);
    }
    let report = tuning::examine(&profile, &machine)?;
    let output = if matches.get_flag("kernel-parameters") {
        plan::kernel_parameters(&profile, &report.places) + "\n"
    } else if matches.get_flag("settings") {
        plan::settings(&profile, &report.places)
    } else {
        plan::plan(&report).script(name)
    };
    Ok(Answer { output, status: 0 })
}

/// An outcome in lines, never without one.
fn said(outcome: plan::Outcome) -> Answer {
    let mut lines = outcome.lines;
    if lines.is_empty() {
        lines.push("nothing to change: everything holds".to_owned());
    }
    Answer { output: lines.join("\n") + "\n", status: i32::from(outcome.failed > 0) }
}
