//! `CLIENT TRACKING` and its kin: invalidations for the caches of clients.

use std::sync::atomic::Ordering::Relaxed;

use super::dispatch::each_key;
use super::{Command, Context, Error, Flags, Worker};
use crate::protocol::{Args, number};
use crate::session::{Client, Post, Tracked, tracking_flags as flags};

/// What messages of this worker need.
pub(super) fn post(worker: &Worker) -> Post<'static> {
    let limit = worker.settings.client_output_buffer_limit.pubsub.hard;
    Post { registry: &worker.node.registry, keyspace: &worker.node.keyspace, limit }
}

/// Remembers the keys that a command of a tracking client is about to read.
#[cold]
pub(super) fn remember(worker: &Worker, client: &Client, command: &Command, args: Args<'_>) {
    let remembers = client.tracked.as_ref().is_some_and(|tracked| tracked.remembers());
    if remembers && command.flags.contains(Flags::READONLY) {
        let most = worker.settings.tracking_table_max_keys;
        let _ = each_key(command, args, |index| {
            worker.node.tracking.remember(args.get(index), client.info.id, most, post(worker));
        });
    }
}

/// What `CLIENT CACHING` chose lasts for one command, or one transaction.
#[cold]
pub(super) fn end_caching(client: &mut Client, args: Args<'_>) {
    if client.transaction.is_none()
        && !args.get(0).eq_ignore_ascii_case(b"client")
        && let Some(tracked) = &mut client.tracked
    {
        tracked.caching = false;
    }
}

#[derive(Default)]
struct Options {
    flags: u32,
    redirect: i64,
    prefixes: Vec<Box<[u8]>>,
}

fn options(cx: &Context<'_>, args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut index = 3;
    while let Some(word) = args.nth(index) {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        let value = args.nth(index + 1);
        index += 1;
        match value {
            Some(id) if is("redirect") => {
                if options.redirect != 0 {
                    return Err(Error::new("A client can only redirect to a single other client"));
                }
                options.redirect = number::parse_i64(id).ok_or(Error::NOT_INTEGER)?;
                let known = u64::try_from(options.redirect).ok().and_then(|id| cx.node.registry.find(id));
                known.ok_or(Error::new("The client ID you want redirect to does not exist"))?;
                index += 1;
            }
            Some(prefix) if is("prefix") => {
                options.prefixes.push(prefix.into());
                index += 1;
            }
            _ if is("bcast") => options.flags |= flags::BCAST,
            _ if is("optin") => options.flags |= flags::OPTIN,
            _ if is("optout") => options.flags |= flags::OPTOUT,
            _ if is("noloop") => options.flags |= flags::NOLOOP,
            _ => return Err(Error::SYNTAX),
        }
    }
    Ok(options)
}

pub(super) fn tracking(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = options(cx, args)?;
    if args.get(2).eq_ignore_ascii_case(b"on") {
        check(&options, cx.client.tracked.as_deref())?;
        begin(cx, options);
    } else if args.get(2).eq_ignore_ascii_case(b"off") {
        end(cx.node, cx.client);
    } else {
        return Err(Error::SYNTAX);
    }
    cx.reply.ok();
    Ok(())
}

/// Whether the options go together, and with those in force.
fn check(options: &Options, before: Option<&Tracked>) -> Result<(), Error> {
    let (new, old) = (options.flags, before.map_or(0, |tracked| tracked.flags));
    let has = |set: u32, flag: u32| set & flag != 0;
    if !has(new, flags::BCAST) && !options.prefixes.is_empty() {
        return Err(Error::new("PREFIX option requires BCAST mode to be enabled"));
    }
    if before.is_some() && has(new, flags::BCAST) != has(old, flags::BCAST) {
        return Err(Error::new(
            "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with \
             a different mode.",
        ));
    }
    if has(new, flags::BCAST) && has(new, flags::OPTIN | flags::OPTOUT) {
        return Err(Error::new("OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if has(new, flags::OPTIN) && has(new, flags::OPTOUT) {
        return Err(Error::new("You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if has(new, flags::OPTIN) && has(old, flags::OPTOUT) || has(new, flags::OPTOUT) && has(old, flags::OPTIN) {
        return Err(Error::new(
            "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with \
             a different mode.",
        ));
    }
    check_prefixes(&options.prefixes, before.map_or(&[], |tracked| &tracked.prefixes))
}

fn check_prefixes(given: &[Box<[u8]>], before: &[Box<[u8]>]) -> Result<(), Error> {
    let overlaps = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refuse = |prefix: &[u8], what: &str, other: &[u8]| {
        let text = [
            b"ERR Prefix '",
            prefix,
            b"' overlaps with ",
            what.as_bytes(),
            b" prefix '",
            other,
            b"'. Prefixes for a single client must not overlap.",
        ];
        Err(Error::Quoting(text.concat().into()))
    };
    for (index, prefix) in given.iter().enumerate() {
        if let Some(other) = before.iter().find(|other| overlaps(prefix, other)) {
            return refuse(prefix, "an existing", other);
        }
        if let Some(other) = given[index + 1..].iter().find(|other| overlaps(prefix, other)) {
            return refuse(prefix, "another provided", other);
        }
    }
    Ok(())
}

fn begin(cx: &mut Context<'_>, options: Options) {
    let mut tracked = cx.client.tracked.take().unwrap_or_default();
    tracked.flags = options.flags | flags::ON;
    tracked.prefixes.extend(options.prefixes);
    if options.flags & flags::BCAST != 0 && tracked.prefixes.is_empty() {
        tracked.prefixes.push(Box::default());
    }
    cx.node.tracking.begin(&cx.client.info, &tracked, options.redirect as u64, &cx.node.keyspace);
    cx.client.tracked = Some(tracked);
}

/// Ends to track for a client.
pub(super) fn end(node: &super::Node, client: &mut Client) {
    if client.tracked.take().is_some() {
        node.tracking.end(&client.info, &node.keyspace);
    }
}

pub(super) fn caching(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(tracked) = &mut cx.client.tracked else {
        return Err(Error::new(
            "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (flag, refusal) = match args.get(2) {
        yes if yes.eq_ignore_ascii_case(b"yes") => {
            (flags::OPTIN, "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        }
        no if no.eq_ignore_ascii_case(b"no") => {
            (flags::OPTOUT, "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        }
        _ => return Err(Error::SYNTAX),
    };
    if tracked.flags & flag == 0 {
        return Err(Error::new(refusal));
    }
    tracked.caching = true;
    cx.reply.ok();
    Ok(())
}

pub(super) fn getredir(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(redirect(&cx.client.info));
    Ok(())
}

/// The client to which another's messages go: -1 if it does not track, 0 if they go to itself.
pub(super) fn redirect(client: &crate::session::ClientInfo) -> i64 {
    match client.tracking.load(Relaxed) {
        0 => -1,
        _ => client.redirect.load(Relaxed) as i64,
    }
}

pub(super) fn trackinginfo(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let set = cx.client.info.tracking.load(Relaxed);
    let tracked = cx.client.tracked.as_deref();
    let caching = tracked.is_some_and(|tracked| tracked.caching);
    let words: Vec<&str> = [
        (set == 0, "off"),
        (set & flags::ON != 0, "on"),
        (set & flags::BCAST != 0, "bcast"),
        (set & flags::OPTIN != 0, "optin"),
        (set & flags::OPTIN != 0 && caching, "caching-yes"),
        (set & flags::OPTOUT != 0, "optout"),
        (set & flags::OPTOUT != 0 && caching, "caching-no"),
        (set & flags::NOLOOP != 0, "noloop"),
        (set & flags::BROKEN != 0, "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(holds, word)| holds.then_some(word))
    .collect();
    cx.reply.map(3);
    cx.reply.bulk(b"flags");
    cx.reply.set(words.len());
    words.iter().for_each(|word| cx.reply.bulk(word.as_bytes()));
    cx.reply.bulk(b"redirect");
    cx.reply.integer(redirect(&cx.client.info));
    cx.reply.bulk(b"prefixes");
    let prefixes: &[Box<[u8]>] = tracked.map_or(&[], |tracked| &tracked.prefixes);
    cx.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| cx.reply.bulk(prefix));
    Ok(())
}

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
