//! The `roster` binary.

use std::io::Write;
use std::process::exit;

use roster::config::{self, Action, Loaded};
use roster::{command, host, server, telemetry};

#[global_allocator]
static ALLOCATOR: roster::store::heap::Counting = roster::store::heap::Counting;

fn main() {
    if let Some(answer) = host::tool::answer(std::env::args_os()) {
        let answer = answer.unwrap_or_else(|(error, status)| fail(status, &error));
        print(&answer.output);
        exit(answer.status);
    }
    if let Some(answer) = command::exchange::answer(std::env::args_os()) {
        print(&answer.unwrap_or_else(|(error, status)| fail(status, &error)));
        return;
    }
    let invocation = config::parse(std::env::args_os()).unwrap_or_else(|error| fail(2, &error));
    match invocation.action {
        Action::Help(text) | Action::Version(text) => print(&text),
        Action::CheckConfig => {
            command::check_users(&invocation.loaded.settings).unwrap_or_else(|error| fail(2, &error));
            print(&invocation.loaded.report());
        }
        Action::Serve => serve(invocation.loaded),
    }
}

/// Serves, and exits without dropping the runtimes of the workers, which the kernel may still be writing into.
fn serve(loaded: Loaded) -> ! {
    let settings = &loaded.settings;
    telemetry::logging::start(settings.log_target, settings.loglevel, host::notify::stderr_is_journal())
        .unwrap_or_else(|error| fail(1, &error));
    match server::run(loaded) {
        Ok(status) => exit(status),
        Err(error) => {
            tracing::error!("{error}");
            exit(1)
        }
    }
}

/// Prints to standard output. A reader that went away, as `head` does, is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(status: i32, error: &dyn std::fmt::Display) -> ! {
    eprintln!("roster: {error}");
    exit(status)
}
