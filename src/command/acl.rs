//! `ACL`: users, their rules, and what was refused to them.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::{self, Handle};
use super::{Command, Context, Error, Flags, Group, guard, help};
use crate::protocol::{Args, Reply, number};
use crate::security::acl::{DEFAULT, Record, User};
use crate::security::random_hex;
use crate::session::{ClientInfo, Topic};

const ANY: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const ADMIN: Flags = ANY.and(Flags::ADMIN);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// Bits of the longest password that `ACL GENPASS` makes.
const GENPASS_MAX: i64 = 4096;
/// Bits of the password that it makes if none are given.
const GENPASS_DEFAULT: i64 = 256;
/// Records that `ACL LOG` shows if no number is given.
const LOG_DEFAULT: i64 = 10;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("acl", SUBCOMMANDS)
    .group(Group::Server)
    .since("6.0.0")
    .doc("Tells about users and their rules, and changes them.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("cat", -2, cat)
        .flags(ANY)
        .complexity("O(1) since the categories and commands are a fixed set.")
        .doc("Lists the categories, or the commands of one.", "[category]"),
    sub("deluser", -3, deluser)
        .tips(ALL_NODES)
        .complexity("O(1) amortized time considering the typical user.")
        .doc("Deletes users, and ends their connections.", "username ..."),
    sub("dryrun", -4, dryrun)
        .since("7.0.0")
        .complexity("O(1).")
        .doc("Tells whether a user may run a command, without running it.", "username command [arg ...]"),
    sub("genpass", -2, genpass)
        .flags(ANY)
        .doc("Makes a password that nobody can guess, of 256 bits by default.", "[bits:integer]"),
    sub("getuser", 3, getuser)
        .complexity("O(N). Where N is the number of password, command and pattern rules that the user has.")
        .doc("Returns the rules of a user.", "username"),
    help::row(Group::Server, "6.0.0"),
    sub("list", 2, list).complexity(PER_USER).doc("Returns all users in the format of the file of users.", ""),
    sub("load", 2, load).complexity(PER_USER).doc("Replaces all users by those of the file of users.", ""),
    sub("log", -2, log)
        .complexity("O(N) with N being the number of entries shown.")
        .doc("Returns the latest refusals, or forgets all of them.", "[count|RESET]"),
    sub("save", 2, save).tips(ALL_NODES).complexity(PER_USER).doc("Writes all users into the file of users.", ""),
    sub("setuser", -3, setuser)
        .tips(ALL_NODES)
        .complexity("O(N). Where N is the number of rules provided.")
        .doc("Creates or changes a user, by all of the rules or none.", "username [rule ...]"),
    sub("users", 2, users).complexity(PER_USER).doc("Returns the names of all users.", ""),
    sub("whoami", 2, whoami).flags(ANY).doc("Returns the name of the connection's user.", ""),
];

const PER_USER: &str = "O(N). Where N is the number of configured users.";

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(ADMIN).group(Group::Server).since("6.0.0")
}

/// What Redis says to a subcommand with more words than it takes.
fn too_many(args: Args<'_>) -> Error {
    Error::subcommand("ACL", args.get(1))
}

/// The part of a client's word that an error repeats.
fn quoted(word: &[u8]) -> String {
    let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned()
}

fn cat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        2 => {
            let names = super::Categories::NAMES;
            cx.reply.array(names.len());
            names.iter().for_each(|(_, name)| cx.reply.bulk(name.as_bytes()));
        }
        3 => {
            let unknown = || Error::new(format!("Unknown category '{}'", quoted(args.get(2))));
            let category = cx.node.acl.category(args.get(2)).ok_or_else(unknown)?;
            let is_in = |handle: &Handle| handle.command().all_categories().0 & category != 0;
            let members: Vec<Handle> = table::every().filter(is_in).collect();
            cx.reply.array(members.len());
            members.iter().for_each(|handle| cx.reply.bulk(handle.full_name().as_bytes()));
        }
        _ => return Err(too_many(args)),
    }
    Ok(())
}

fn setuser(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let rules: Vec<&[u8]> = args.skip(3).iter().collect();
    let all_channels = guard::all_channels(cx.settings());
    cx.node
        .acl
        .set_user(args.get(2), &rules, all_channels)
        .map_err(|mistake| Error::Quoting([b"ERR ", mistake.to_bytes().as_slice()].concat().into()))?;
    end_subscribers(cx);
    cx.reply.ok();
    Ok(())
}

fn deluser(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.skip(2);
    if names.iter().any(|name| name == DEFAULT) {
        return Err(Error::new("The 'default' user cannot be removed"));
    }
    let deleted = cx.node.acl.delete(names.iter());
    end_connections(cx, &deleted);
    cx.reply.count(deleted.len());
    Ok(())
}

/// Ends the connections of users that are gone; the asking one after its reply.
fn end_connections(cx: &mut Context<'_>, users: &[u64]) {
    if users.is_empty() {
        return;
    }
    for client in cx.node.registry.list() {
        if client.user().is_some_and(|user| users.contains(&user.id)) {
            end_connection(cx, &client);
        }
    }
}

fn end_connection(cx: &mut Context<'_>, client: &ClientInfo) {
    match client.id == cx.client.info.id {
        true => cx.client.close_after_reply = true,
        false => client.kill(),
    }
}

/// Ends the connections that subscribed to what their users may not use any more.
fn end_subscribers(cx: &mut Context<'_>) {
    let users: HashMap<u64, Arc<User>> = cx.node.acl.users().into_iter().map(|user| (user.id, user)).collect();
    for topic in Topic::ALL {
        let losers = cx.node.channels.subscribers_where(topic, |name, client| {
            let user = client.user().and_then(|user| users.get(&user.id));
            user.is_some_and(|user| !user.allows_channel(name, topic == Topic::Pattern))
        });
        losers.iter().for_each(|client| end_connection(cx, client));
    }
}

fn getuser(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(user) = cx.node.acl.find(args.get(2)) else {
        cx.reply.null();
        return Ok(());
    };
    let reply = &mut cx.reply;
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|digest| reply.bulk(digest.as_bytes()));
    let mut selectors = user.selectors();
    let mut write = |reply: &mut Reply<'_>| {
        let rules = selectors.next().unwrap_or_default();
        for (name, value) in [("commands", rules.commands), ("keys", rules.keys), ("channels", rules.channels)] {
            reply.bulk(name.as_bytes());
            reply.bulk(&value);
        }
        selectors.len()
    };
    // The user's own rules stand beside its flags, those of the others in a list.
    let others = write(reply);
    reply.bulk(b"selectors");
    reply.array(others);
    for _ in 0..others {
        reply.map(3);
        write(reply);
    }
    Ok(())
}

fn list(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let users = cx.node.acl.users();
    cx.reply.array(users.len());
    users.iter().for_each(|user| cx.reply.bulk(&user.line()));
    Ok(())
}

fn users(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let users = cx.node.acl.users();
    cx.reply.array(users.len());
    users.iter().for_each(|user| cx.reply.bulk(&user.name));
    Ok(())
}

fn whoami(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(&cx.client.login.user().name);
    Ok(())
}

fn genpass(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let bits = match args.len() {
        2 => GENPASS_DEFAULT,
        3 => number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?,
        _ => return Err(too_many(args)),
    };
    if !(1..=GENPASS_MAX).contains(&bits) {
        return Err(Error::new(format!(
            "ACL GENPASS argument must be the number of bits for the output password, a positive number up to {GENPASS_MAX}"
        )));
    }
    let digits = random_hex((bits as usize).div_ceil(4));
    let digits = digits.map_err(|error| Error::new(format!("the kernel gives no random bytes: {error}")))?;
    cx.reply.bulk(&digits);
    Ok(())
}

fn dryrun(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = args.skip(3);
    let no_user = || Error::new(format!("User '{}' not found", quoted(args.get(2))));
    let user = cx.node.acl.find(args.get(2)).ok_or_else(no_user)?;
    let no_command = |_| Error::new(format!("Command '{}' not found", quoted(args.get(3))));
    let handle = super::find(words).map_err(no_command)?;
    if !handle.command().accepts(words.len()) {
        return Err(Error::arity(handle.full_name()));
    }
    match user.check(&guard::Request { handle, args: words }) {
        Ok(()) => cx.reply.ok(),
        Err(denial) => cx.reply.bulk(&guard::explain(&user, handle, words, denial)),
    }
    Ok(())
}

fn log(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = match args.len() {
        2 => LOG_DEFAULT,
        3 if args.get(2).eq_ignore_ascii_case(b"reset") => {
            cx.node.acl.clear_log();
            cx.reply.ok();
            return Ok(());
        }
        3 => number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?,
        _ => return Err(too_many(args)),
    };
    let records = cx.node.acl.latest(usize::try_from(count).unwrap_or_default());
    cx.reply.array(records.len());
    records.iter().for_each(|record| write_record(&mut cx.reply, record, cx.store.now_ms));
    Ok(())
}

fn write_record(reply: &mut Reply<'_>, record: &Record, now_ms: u64) {
    let number = |reply: &mut Reply<'_>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    let text = |reply: &mut Reply<'_>, name: &str, value: &[u8]| {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    };
    reply.map(10);
    number(reply, "count", record.count);
    text(reply, "reason", record.reason.text().as_bytes());
    text(reply, "context", record.origin.text().as_bytes());
    text(reply, "object", &record.object);
    text(reply, "username", &record.user);
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(record.updated_ms) as f64 / 1000.0);
    text(reply, "client-info", record.client.as_bytes());
    number(reply, "entry-id", record.id);
    number(reply, "timestamp-created", record.created_ms);
    number(reply, "timestamp-last-updated", record.updated_ms);
}

const NO_FILE: &str = "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL \
SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store \
users in the Redis configuration.";

fn load(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let file = guard::acl_file(cx.settings()).ok_or(Error::new(NO_FILE))?;
    let gone = cx.node.acl.load(&file, guard::all_channels(cx.settings())).map_err(Error::new)?;
    end_connections(cx, &gone);
    end_subscribers(cx);
    cx.reply.ok();
    Ok(())
}

fn save(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let file = guard::acl_file(cx.settings()).ok_or(Error::new(NO_FILE))?;
    cx.node.acl.save(&file).map_err(|error| {
        tracing::warn!("ACL SAVE cannot write {}: {error}", file.display());
        Error::new("There was an error trying to save the ACLs. Please check the server logs for more information")
    })?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
