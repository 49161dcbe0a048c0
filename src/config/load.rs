//! From a command line to settings: finds the sources, merges them, and checks the result as a whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::{Figment, Profile};

use super::arguments::{self, Parsed};
use super::error::{Error, Problem, refused};
use super::settings::{SETTINGS, Settings};
use super::source::{CREDENTIALS_VARIABLE, FILE_VARIABLE, Layer};
use super::value::{IoDriver, TaskRun, TlsAuth};

/// The file that is read when no other is named, if it is there.
const DEFAULT_FILE: &str = "/etc/roster/roster.toml";

/// What a command line asks for.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// With which settings; the defaults for help and version.
    pub loaded: Loaded,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve clients.
    Serve,
    /// Print [`Loaded::report`].
    CheckConfig,
    /// Print this help.
    Help(String),
    /// Print this version.
    Version(String),
}

/// Settings, and where each comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    origins: BTreeMap<&'static str, String>,
}

impl Loaded {
    /// Where a setting comes from: `default`, `/etc/roster/roster.toml:12`, `ROSTER_PORT` or `--port`.
    pub fn origin(&self, name: &str) -> &str {
        self.origins.get(name).map_or("default", String::as_str)
    }

    fn defaults() -> Self {
        Self { settings: Settings::default(), file: None, origins: BTreeMap::new() }
    }
}

/// Reads the command line (with the name of the program), this process's environment, and the file of settings.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, Error> {
    parse_with(arguments, std::env::vars_os().collect(), Path::new(DEFAULT_FILE))
}

fn parse_with(
    arguments: impl Iterator<Item = OsString>,
    environment: Vec<(OsString, OsString)>,
    default_file: &Path,
) -> Result<Invocation, Error> {
    let (command, file, flags) = match arguments::parse(arguments)? {
        Parsed::Help(text) => {
            return Ok(Invocation { action: Action::Help(text), loaded: Loaded::defaults() });
        }
        Parsed::Version(text) => {
            return Ok(Invocation { action: Action::Version(text), loaded: Loaded::defaults() });
        }
        Parsed::Run { command, file, flags } => (command, file, flags),
    };
    let action = match command.as_deref() {
        None => Action::Serve,
        Some("check-config") => Action::CheckConfig,
        Some(tool) => {
            return Err(Error::single("command line", format!("'{tool}' comes first: roster {tool} --help")));
        }
    };
    let named = |variable: &str| {
        let found = environment.iter().find(|(name, _)| name == variable);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let credentials = named(CREDENTIALS_VARIABLE);
    let file = match file.or_else(|| named(FILE_VARIABLE)) {
        Some(file) => Some(PathBuf::from(file)),
        // A file that is there and cannot be read is an error, not an absence.
        None => default_file.symlink_metadata().is_ok().then(|| default_file.to_path_buf()),
    };
    let mut layers = vec![Layer::defaults()];
    layers.extend(file.as_deref().map(Layer::file));
    layers.extend(credentials.map(|folder| Layer::credentials(Path::new(&folder))));
    layers.push(Layer::environment(environment.into_iter()));
    layers.push(flags);
    Ok(Invocation { action, loaded: merge(layers, file)? })
}

fn merge(layers: Vec<Layer>, file: Option<PathBuf>) -> Result<Loaded, Error> {
    let mut problems: Vec<Problem> = layers.iter().flat_map(|layer| layer.problems.iter().cloned()).collect();
    let figment = layers.into_iter().fold(Figment::new(), Figment::merge);
    let mut loaded = Loaded { file, ..Loaded::defaults() };
    for setting in SETTINGS {
        let (text, place) = match winner(&figment, setting.name) {
            Ok(found) => found,
            Err(message) => {
                problems.push(Problem { place: setting.name.to_owned(), message });
                continue;
            }
        };
        if let Err(reason) = setting.update(&mut loaded.settings, &text) {
            problems.push(Problem { place: place.clone(), message: refused(setting, &text, &reason) });
        }
        loaded.origins.insert(setting.name, place);
    }
    if problems.is_empty() {
        problems = unfulfillable(&loaded);
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Error { problems }) }
}

/// The value that a setting has after merging, and its place.
fn winner(figment: &Figment, name: &str) -> Result<(String, String), String> {
    let value = figment.find_value(name).map_err(|error| error.to_string())?;
    let text = value.deserialize::<String>().map_err(|error| error.to_string())?;
    let place = figment.get_metadata(value.tag()).map(|from| from.interpolate(&Profile::Default, &[name]));
    Ok((text, place.unwrap_or_default()))
}

/// What the settings ask for and this build or the kernel cannot give.
fn unfulfillable(loaded: &Loaded) -> Vec<Problem> {
    let settings = &loaded.settings;
    let lacking = SETTINGS.iter().filter_map(|setting| Some((setting.name, setting.refusal(settings)?.into_owned())));
    let mut found: Vec<(&str, String)> = lacking.collect();
    if settings.sqpoll && settings.io_driver == IoDriver::Epoll {
        found.push(("sqpoll", "sqpoll yes needs io_uring; set io-driver to auto or uring, or sqpoll to no".to_owned()));
    }
    if settings.sqpoll && settings.task_run != TaskRun::None && loaded.origin("task-run") != "default" {
        let message = format!(
            "the kernel does not combine task-run {} with sqpoll; set task-run to none, or sqpoll to no",
            settings.task_run.as_str()
        );
        found.push(("task-run", message));
    }
    if !settings.aclfile.as_os_str().is_empty() && !settings.user.0.is_empty() {
        found.push(("user", "there is an aclfile as well; define users in one place, there or here".to_owned()));
    }
    if settings.bind.0.is_empty() && settings.unixsocket.as_os_str().is_empty() {
        found.push(("bind", "there is nothing to listen on; give an address or a unixsocket".to_owned()));
    }
    if settings.port == 0 && settings.tls_port == 0 && settings.unixsocket.as_os_str().is_empty() {
        found.push(("port", "there is nothing to listen on; give a port, a tls-port or a unixsocket".to_owned()));
    }
    let tls = if settings.tls_port == 0 { None } else { lacking_for_tls(settings) };
    found.extend(tls.map(|(name, message)| (name, message.to_owned())));
    if settings.http_port != 0 && settings.http_bind.0.is_empty() {
        found.push(("http-bind", "http-port has no address to listen on; give one, or set http-port to 0".to_owned()));
    }
    if settings.http_port != 0 && settings.http_port == settings.port {
        found.push(("http-port", "port is the same; give another to one of both".to_owned()));
    }
    found.into_iter().map(|(name, message)| Problem { place: loaded.origin(name).to_owned(), message }).collect()
}

/// What `tls-port` cannot do without.
fn lacking_for_tls(settings: &Settings) -> Option<(&'static str, &'static str)> {
    let none = |path: &Path| path.as_os_str().is_empty();
    if settings.tls_port == settings.port || settings.tls_port == settings.http_port {
        return Some(("tls-port", "another port is the same; give each its own"));
    }
    if none(&settings.tls_cert_file) {
        return Some(("tls-cert-file", "tls-port needs the server's certificate"));
    }
    if none(&settings.tls_key_file) {
        return Some(("tls-key-file", "tls-port needs the key of the server's certificate"));
    }
    let asks = settings.tls_auth_clients != TlsAuth::No;
    let has_authorities = !none(&settings.tls_ca_cert_file) || !none(&settings.tls_ca_cert_dir);
    (asks && !has_authorities).then_some((
        "tls-auth-clients",
        "certificates of clients need an authority; give tls-ca-cert-file or tls-ca-cert-dir, or set tls-auth-clients to no",
    ))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
