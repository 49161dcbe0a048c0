//! Where log messages go, and from which level on.

use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{LogLevel, LogTarget};

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts logging for the whole process. `journal` says whether standard error is connected to systemd's journal.
///
/// # Errors
/// A sentence when the journal was asked for by name and is not there.
pub fn start(target: LogTarget, level: LogLevel, journal: bool) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(level));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = layer(target, journal)?;
    // A second start in one process, as in tests, keeps the first.
    if registry.with(layer).try_init().is_ok() {
        let _ = LEVEL.set(handle);
        std::panic::set_hook(Box::new(|panic| tracing::error!("internal error: {panic}")));
    }
    Ok(())
}

/// Changes the level from the next message on.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the subscriber is gone, and then nobody logs.
        let _ = handle.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    LevelFilter::from_str(level.directive()).unwrap_or(LevelFilter::INFO)
}

type Output =
    Box<dyn Layer<tracing_subscriber::layer::Layered<reload::Layer<LevelFilter, Registry>, Registry>> + Send + Sync>;

fn layer(target: LogTarget, journal: bool) -> Result<Output, String> {
    match (target, journal) {
        (LogTarget::Json, _) => Ok(Box::new(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr))),
        (LogTarget::Journald, _) | (LogTarget::Auto, true) => match tracing_journald::layer() {
            Ok(layer) => Ok(Box::new(layer)),
            // Standard error leads to the journal as well, only without fields.
            Err(_) if target == LogTarget::Auto => Ok(text()),
            Err(error) => Err(format!("systemd's journal cannot be reached ({error}); set log-target to stderr")),
        },
        (LogTarget::Auto | LogTarget::Stderr, _) => Ok(text()),
    }
}

fn text() -> Output {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Box::new(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false))
}
