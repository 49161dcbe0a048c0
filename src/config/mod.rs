//! Configuration: defaults, a TOML file, the environment and flags, merged by figment into one struct.
//!
//! A setting is declared once, in [`settings`](SETTINGS); its flag, its variable, its key in the file, its name in
//! CONFIG GET and SET, its help and its documentation all come from that row.
//!
//! ```no_run
//! use roster::config::{self, Action, Handle};
//!
//! let invocation = match config::parse(std::env::args_os()) {
//!     Ok(invocation) => invocation,
//!     Err(error) => {
//!         eprintln!("{error}");
//!         std::process::exit(2);
//!     }
//! };
//! match invocation.action {
//!     Action::Help(text) | Action::Version(text) => print!("{text}"),
//!     Action::CheckConfig => print!("{}", invocation.loaded.report()),
//!     Action::Serve => {
//!         let handle = Handle::new(invocation.loaded.settings);
//!         println!("{}", handle.current().port);
//!     }
//! }
//! ```

mod address;
mod arguments;
mod compound;
mod error;
mod events;
mod handle;
mod kind;
mod load;
mod report;
mod rewrite;
mod row;
mod settings;
mod source;
mod users;
mod value;
mod words;

pub use address::{Address, Addresses};
pub use compound::{OutputLimit, OutputLimits, Percentiles, SaveRule, SaveRules, Workers};
pub use error::{Error, Problem};
pub use events::Events;
pub use handle::{ConfigSetError, Handle};
pub use kind::{Kind, bytes as parse_bytes};
pub use load::{Action, Invocation, Loaded, parse};
pub use report::markdown;
pub use rewrite::rewrite;
pub use row::{Change, Group, Setting};
pub use settings::{SETTINGS, Settings};
pub use users::Users;
pub use value::{
    Access, AppendFsync, Caller, IoDriver, LogLevel, LogTarget, MaxmemoryPolicy, Mode, PubsubDefault, Quantity,
    Refusal, Share, TaskRun, TlsAuth,
};
pub use words::{TLS_CIPHERS, TLS_CIPHERSUITES, TLS_PROTOCOLS, Words};
