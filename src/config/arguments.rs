//! The command line: every setting is a flag of its own name, as with redis-server.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::{Error, shorten, unknown};
use super::kind::Kind;
use super::row::Setting;
use super::settings::SETTINGS;
use super::source::{Layer, find};

/// The flags that are no settings.
const OTHER_FLAGS: [&str; 3] = ["config", "help", "version"];

/// The characters of a line of help, beside its indentation by ten.
const HELP_WIDTH: usize = 90;
/// The short flags: help and version.
const SHORT_FLAGS: [&str; 2] = ["-h", "-V"];

/// What the command line asks for.
pub(super) enum Parsed {
    /// Print this and leave.
    Help(String),
    /// Print this and leave.
    Version(String),
    /// Read the configuration.
    Run {
        /// The subcommand.
        command: Option<String>,
        /// The file that `--config` names.
        file: Option<OsString>,
        /// The settings among the flags.
        flags: Layer,
    },
}

/// The command line as clap knows it; its help is written from the table of settings.
pub(super) fn command() -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .global(true)
        .value_parser(clap::value_parser!(OsString))
        .help("TOML file of settings [default: /etc/roster/roster.toml if present]");
    let check = Command::new("check-config")
        .about("Print the effective settings and where each comes from, as a TOML file, and leave");
    // The program answers these before it reads settings; here they are for the help and for who writes them later.
    let doctor = Command::new("doctor").about("Compare this host with a tuning profile (roster doctor --help)");
    let tune = Command::new("tune").about("Plan, apply or take back a tuning profile (roster tune --help)");
    let import =
        Command::new("import").about("Turn the files of Redis or Valkey into a snapshot (roster import --help)");
    let export =
        Command::new("export").about("Turn Roster's files into ones for Redis or Valkey (roster export --help)");
    Command::new("roster")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .next_line_help(true)
        .after_help(wrap(
            "Without a command, Roster serves. Settings come from flags, else from ROSTER_* variables \
             (ROSTER_TCP_BACKLOG=511), else from the file (tcp-backlog = 511), else they are the defaults.",
            HELP_WIDTH,
        ))
        .disable_help_subcommand(true)
        .arg(file)
        .args(SETTINGS.iter().map(flag))
        .subcommands([check, doctor, export, import, tune])
}

fn flag(setting: &'static Setting) -> Arg {
    Arg::new(setting.name)
        .long(setting.name)
        .aliases(setting.aliases)
        .value_name(setting.kind.placeholder())
        .num_args(1)
        .allow_hyphen_values(true)
        .action(ArgAction::Append)
        .global(true)
        .hide_default_value(true)
        .help_heading(setting.group.title())
        .help(explanation(setting))
}

/// What a setting does and takes, in lines that fit a terminal.
fn explanation(setting: &Setting) -> String {
    let default = if setting.default.is_empty() { "nothing" } else { setting.default };
    let words = match setting.kind {
        Kind::Choice(words) => format!(" [{}]", words.join(", ")),
        _ => String::new(),
    };
    // A hard space keeps the default in one line with its word.
    let text = format!("{}{words} [default:\u{a0}{default}]", setting.doc());
    wrap(&text, HELP_WIDTH).replace('\u{a0}', " ")
}

/// Breaks `text` at spaces into lines of at most `width` characters where its words allow.
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let breaks = column + 1 + length > width;
            wrapped.push(if breaks { '\n' } else { ' ' });
            column = if breaks { 0 } else { column + 1 };
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// Reads the arguments, the first of which is the name of the program.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Parsed, Error> {
    let mut command = command();
    let normal = normalise(arguments, &command)?;
    match command.try_get_matches_from_mut(normal) {
        Ok(matches) => Ok(run(&matches)),
        Err(error) => match error.kind() {
            clap::error::ErrorKind::DisplayHelp => Ok(Parsed::Help(error.to_string())),
            clap::error::ErrorKind::DisplayVersion => Ok(Parsed::Version(error.to_string())),
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Err(Error::single("command line", line.trim_start_matches("error: ")))
            }
        },
    }
}

fn run(matches: &ArgMatches) -> Parsed {
    let (command, matches) = match matches.subcommand() {
        Some((name, inner)) => (Some(name.to_owned()), inner),
        None => (None, matches),
    };
    let mut flags = Layer::new("flags");
    for setting in SETTINGS {
        let Some(values) = matches.get_many::<String>(setting.name) else {
            continue;
        };
        // A repeated flag adds to a list and otherwise replaces, as with redis-server.
        let values: Vec<&str> = values.map(String::as_str).collect();
        let text = if setting.kind.is_list() {
            let between = if setting.kind == Kind::Users { "\n" } else { " " };
            values.join(between).trim().to_owned()
        } else {
            values.last().copied().unwrap_or_default().to_owned()
        };
        flags.put(setting, format!("--{}", setting.name), text);
    }
    let file = matches.get_one::<OsString>("config").cloned();
    Parsed::Run { command, file, flags }
}

/// Rewrites `--name value value …` as `--name=value value …`, so that values may begin with a hyphen
/// (`--bind 127.0.0.1 -::1`), and finds the mistakes that clap would tell in many lines.
fn normalise(arguments: impl Iterator<Item = OsString>, command: &Command) -> Result<Vec<OsString>, Error> {
    let mut arguments = arguments.peekable();
    let mut normal: Vec<OsString> = arguments.next().into_iter().collect();
    let is_command = |word: &str| command.get_subcommands().any(|known| known.get_name() == word);
    while let Some(argument) = arguments.next() {
        let Some(word) = argument.to_str() else {
            let shown = shorten(&argument.to_string_lossy());
            return Err(Error::single("command line", format!("'{shown}' is not UTF-8")));
        };
        let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            if !SHORT_FLAGS.contains(&word) && !is_command(word) {
                return Err(Error::single("command line", stray(word, command)));
            }
            normal.push(argument);
            continue;
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let setting = find(name);
        if setting.is_none() && !OTHER_FLAGS.contains(&name) {
            let message = unknown(name, |setting| format!("--{}", setting.name));
            return Err(Error::single(format!("--{}", shorten(name)), message));
        }
        let Some(setting) = setting.filter(|_| inline.is_none()) else {
            let spelling = setting.map_or(name, |setting| setting.name);
            match inline {
                Some(value) => normal.push(format!("--{spelling}={value}").into()),
                None => {
                    normal.push(argument.clone());
                    // The path after --config may be anything, even what is not UTF-8.
                    if name == "config" {
                        normal.extend(arguments.next());
                    }
                }
            }
            continue;
        };
        let mut values = Vec::new();
        while let Some(value) = arguments.peek().and_then(|next| next.to_str()) {
            let enough = !values.is_empty() && (!setting.kind.is_list() || is_command(value));
            if enough || value.starts_with("--") {
                break;
            }
            values.push(value.to_owned());
            arguments.next();
        }
        if values.is_empty() {
            let message = format!("a value is missing: it takes {}", setting.kind.describe());
            return Err(Error::single(format!("--{}", setting.name), message));
        }
        normal.push(format!("--{}={}", setting.name, values.join(" ")).into());
    }
    Ok(normal)
}

/// The message for a word that is neither a flag, a value nor a command.
fn stray(word: &str, command: &Command) -> String {
    let shown = shorten(word);
    let commands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    if word.starts_with('-') {
        return format!("'{shown}' is no flag; settings are given by their names, such as --port 7000");
    }
    if word.ends_with(".conf") || word.ends_with(".toml") {
        return format!("'{shown}' is no command; a file of settings in TOML is given by --config {shown}");
    }
    format!("'{shown}' is no command; there are: {} (and none, to serve)", commands.join(", "))
}
