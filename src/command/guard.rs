//! What a user's rules are checked against: commands and their keys, as the command table tells them.

use std::sync::atomic::Ordering::Relaxed;

use super::client_list::describe;
use super::keyspec::{Access, Channels};
use super::table::{self, Handle};
use super::{Categories, Command, Context, Error, Flags, Node, Worker};
use crate::config::Settings;
use crate::protocol::Args;
use crate::security::acl::{Acl, Call, Catalogue, Denial, Entry, Event, Needs, Origin, Reason, User};
use crate::session::{Client, Mode};
use crate::telemetry;

/// The commands and categories that rules can name; a command's number is its place in the table.
pub(super) fn catalogue() -> Catalogue {
    let entries = table::every().map(|handle| Entry {
        name: handle.full_name(),
        categories: handle.command().all_categories().0,
        subcommands: handle.subcommands().next().map_or(0..0, |first| {
            let start = first.index();
            start..start + handle.subcommands().len()
        }),
        is_subcommand: handle.container().is_some(),
    });
    Catalogue::new(entries.collect(), Categories::NAMES.iter().map(|(bit, name)| (*name, bit.0)).collect())
}

/// Reads the users of the `aclfile` or of the settings.
///
/// # Errors
/// What is wrong with them.
pub fn load_users(acl: &Acl, settings: &Settings) -> Result<(), String> {
    let all_channels = all_channels(settings);
    match acl_file(settings) {
        // No client is connected yet that would have to leave.
        Some(file) => acl.load(&file, all_channels).map(drop)?,
        None => acl.configure(&settings.user.0, all_channels)?,
    }
    for user in acl.users().iter().filter(|user| !user.is_enabled()) {
        let name = String::from_utf8_lossy(&user.name);
        tracing::warn!("the user '{name}' is off: nobody can log in as it (its rules have no 'on')");
    }
    Ok(())
}

/// Checks the users of the `aclfile` or of the settings without a server.
///
/// # Errors
/// What is wrong with them.
pub fn check_users(settings: &Settings) -> Result<(), String> {
    load_users(&Acl::new(catalogue(), &settings.requirepass), settings)
}

/// The file of users, if there is one.
pub(super) fn acl_file(settings: &Settings) -> Option<std::path::PathBuf> {
    let named = !settings.aclfile.as_os_str().is_empty();
    named.then(|| settings.dir.join(&settings.aclfile))
}

/// Whether new users may use all channels.
pub(super) fn all_channels(settings: &Settings) -> bool {
    settings.acl_pubsub_default == crate::config::PubsubDefault::AllChannels
}

/// A request, as rules look at it. It has passed the check of its arity.
pub(super) struct Request<'a> {
    pub(super) handle: Handle,
    pub(super) args: Args<'a>,
}

impl Call for Request<'_> {
    fn command(&self) -> usize {
        self.handle.index()
    }

    fn is_exempt(&self) -> bool {
        self.handle.command().flags.contains(Flags::NO_AUTH)
    }

    fn first_argument(&self) -> Option<&[u8]> {
        self.args.nth(1)
    }

    fn each_key(&self, visit: &mut dyn FnMut(usize, &[u8], Needs)) {
        let command = self.handle.command();
        let called = command.access.map(|access| access(self.args));
        for spec in command.keys.iter().filter(|spec| !spec.access.contains(Access::NOT_KEY)) {
            let access = called.unwrap_or(spec.access);
            let changes = [Access::UPDATE, Access::INSERT, Access::DELETE];
            let needs = Needs {
                read: access.contains(Access::ACCESS),
                write: changes.iter().any(|change| access.contains(*change)),
            };
            // Where the arguments do not fit, the command itself says so.
            if !spec.each(self.args, |index| visit(index, self.args.get(index), needs)) {
                return;
            }
        }
    }

    fn each_channel(&self, visit: &mut dyn FnMut(usize, &[u8], bool)) {
        channels_of(self.handle.command(), self.args, visit);
    }
}

/// Gives the channels among the arguments to `visit`: the argument's number, the channel, whether it is a pattern.
fn channels_of(command: &Command, args: Args<'_>, visit: &mut dyn FnMut(usize, &[u8], bool)) {
    let count = match command.channels {
        Channels::None => 0,
        Channels::First => 1,
        Channels::All | Channels::Patterns => args.len(),
    };
    for (index, channel) in args.iter().enumerate().skip(1).take(count) {
        visit(index, channel, command.channels == Channels::Patterns);
    }
}

/// Whether this client may run this request: it is authenticated, and its user's rules allow it. For clients that are not
/// known to be free of restrictions.
#[inline(never)]
pub(super) fn check(worker: &Worker, client: &mut Client, handle: Handle, args: Args<'_>) -> Result<(), Error> {
    if !client.login.refresh(&worker.node.acl) {
        // The user was deleted, and its connections with it.
        client.close_after_reply = true;
        return Err(Error::NO_AUTH);
    }
    if !client.login.is_admitted() && !handle.command().flags.contains(Flags::NO_AUTH) {
        return Err(Error::NO_AUTH);
    }
    let user = client.login.user();
    if user.is_unrestricted() {
        return Ok(());
    }
    user.check(&Request { handle, args }).map_err(|denial| refuse(worker, client, handle, args, denial))
}

/// Whether the client's user may run a request, without noting it if not.
pub(super) fn allows(client: &Client, handle: Handle, args: Args<'_>) -> bool {
    let user = client.login.user();
    user.is_unrestricted() || user.check(&Request { handle, args }).is_ok()
}

/// Whether the client's user may have this command read keys that its arguments do not name.
pub(super) fn reads_all_keys(cx: &Context<'_>, args: Args<'_>) -> bool {
    cx.client.login.user().reads_all_keys(&Request { handle: cx.command, args })
}

#[cold]
fn refuse(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>, denial: Denial) -> Error {
    let object = match denial.reason {
        Reason::Command | Reason::Auth => handle.full_name().as_bytes(),
        Reason::Key | Reason::Channel => args.nth(denial.argument).unwrap_or_default(),
    };
    client.info.last_command.store(handle.index() as u32 + 1, Relaxed);
    let user = client.login.user();
    note(worker, client, denial.reason, object, &user.name);
    let text = match denial.reason {
        Reason::Key => b"No permissions to access a key".to_vec(),
        Reason::Channel => b"No permissions to access a channel".to_vec(),
        Reason::Command | Reason::Auth => explain(user, handle, args, denial),
    };
    Error::Quoting([b"NOPERM ", text.as_slice()].concat().into())
}

/// Why a user may not run a request, with the key or channel, as `ACL DRYRUN` tells it.
pub(super) fn explain(user: &User, handle: Handle, args: Args<'_>, denial: Denial) -> Vec<u8> {
    let object = args.nth(denial.argument).unwrap_or_default();
    let name = &*user.name;
    match denial.reason {
        Reason::Command | Reason::Auth => {
            let command = handle.full_name().as_bytes();
            [b"User ", name, b" has no permissions to run the '", command, b"' command"].concat()
        }
        Reason::Key => [b"User ", name, b" has no permissions to access the '", object, b"' key"].concat(),
        Reason::Channel => [b"User ", name, b" has no permissions to access the '", object, b"' channel"].concat(),
    }
}

/// Counts and logs a wrong name or password. `word` is the command as the client wrote it.
#[cold]
pub(super) fn note_wrong_password(worker: &Worker, client: &Client, word: &[u8], name: &[u8]) {
    note(worker, client, Reason::Auth, word, name);
}

fn note(worker: &Worker, client: &Client, reason: Reason, object: &[u8], user: &[u8]) {
    let counters = worker.counters();
    let counter = match reason {
        Reason::Command => &counters.denied_commands,
        Reason::Key => &counters.denied_keys,
        Reason::Auth => &counters.denied_logins,
        Reason::Channel => &counters.denied_channels,
    };
    telemetry::add(counter, 1);
    let mut line = String::new();
    describe(&client.info, worker.now_ms, client.close_after_reply, &mut line);
    let origin = match client.mode {
        Mode::Transaction => Origin::Multi,
        Mode::Script => Origin::Script,
        // A command that is refused while it is queued belongs to the transaction.
        Mode::Direct | Mode::Serving if client.transaction.is_some() => Origin::Multi,
        Mode::Direct | Mode::Serving => Origin::Toplevel,
    };
    let event = Event { reason, origin, object, user, client: line.trim_end(), now_ms: worker.now_ms };
    let limit = usize::try_from(worker.settings.acllog_max_len).unwrap_or(usize::MAX);
    worker.node.acl.log(&event, limit);
}

/// The users as the configuration file has them.
///
/// # Errors
/// A user that no text file can hold.
pub(super) fn configured_users(node: &Node) -> Result<Vec<String>, Error> {
    let lines = node.acl.lines_beside_requirepass().into_iter().map(|line| {
        String::from_utf8(line).map_err(|error| {
            let line = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let name = line.split(' ').next().unwrap_or_default();
            Error::new(format!("Rewriting config file: the user '{name}' is not UTF-8; use an aclfile"))
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;
    use crate::protocol::Frame;

    /// A free user's GET costs one comparison, so this is all that has to hold: nobody is taken for free who is not.
    #[test]
    fn only_unrestricted_users_are_free() {
        let mut rig = Rig::new();
        let acl = &rig.worker.node.acl;
        assert!(rig.client.login.is_free(acl));
        for (rule, free) in [
            ("-get", false),
            ("+get", true),
            ("resetkeys", false),
            ("allkeys", true),
            ("-@all", false),
            ("+@all", true),
        ] {
            assert_eq!(rig.run(&format!("ACL SETUSER default {rule}")), "+OK");
            assert!(!rig.client.login.is_free(acl), "{rule}: the generation has changed");
            // AUTH is for everybody, so every user's next command looks again.
            rig.run("AUTH default x");
            assert_eq!(rig.client.login.is_free(acl), free, "{rule}");
            if !free {
                // Undone by a client that is nobody's in particular.
                assert!(rig.worker.node.acl.set_user(b"default", &[b"+@all"], false).is_ok());
                rig.run("PING");
            }
        }
    }

    #[test]
    fn channels_are_found_where_the_row_says() {
        let frame: Frame = [&b"x"[..], b"one", b"two"].iter().collect();
        let of = |channels| {
            let row: &'static Command = Box::leak(Box::new(Command::new("x", -1, |_, _| Ok(())).channels(channels)));
            let mut found = Vec::new();
            channels_of(row, frame.args(), &mut |index, channel, pattern| {
                found.push((index, String::from_utf8_lossy(channel).into_owned(), pattern));
            });
            found
        };
        let (one, two) = ("one".to_owned(), "two".to_owned());
        assert_eq!(of(Channels::None), []);
        assert_eq!(of(Channels::First), [(1, one.clone(), false)]);
        assert_eq!(of(Channels::All), [(1, one.clone(), false), (2, two.clone(), false)]);
        assert_eq!(of(Channels::Patterns), [(1, one, true), (2, two, true)]);
    }
}
