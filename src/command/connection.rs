//! The connection itself: greeting, authentication, the selected database, the end.

use super::{Command, Context, Error, Flags, Group, client, guard, identity};
use crate::protocol::{Args, Version, number};
use crate::security::acl;

const FIRST: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::NO_AUTH);
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("auth", -2, auth)
        .flags(FIRST.and(Flags::ALLOW_BUSY))
        .complexity("O(N) where N is the number of passwords defined for the user")
        .doc("Authenticates the connection.", "[username] password"),
    row("echo", 2, echo)
        .flags(Flags::LOADING.and(Flags::STALE).and(Flags::FAST))
        .doc("Returns the message that it was given.", "message"),
    row("hello", -1, hello).flags(FIRST.and(Flags::ALLOW_BUSY)).since("6.0.0").doc(
        "Tells about the server, and chooses the protocol of the connection.",
        "[protover:integer [AUTH username password] [SETNAME clientname]]",
    ),
    row("ping", -1, ping).flags(Flags::FAST).tips(ALL_SHARDS).doc("Tells whether the server responds.", "[message]"),
    row("quit", -1, quit)
        .immediate()
        .flags(FIRST.and(Flags::ALLOW_BUSY))
        .replaced_by("just closing the connection", "7.2.0")
        .doc("Closes the connection after its replies.", ""),
    row("reset", 1, reset)
        .immediate()
        .flags(FIRST.and(Flags::ALLOW_BUSY))
        .since("6.2.0")
        .doc("Puts the connection into the state of a new one.", ""),
    row("select", 2, select)
        .flags(Flags::LOADING.and(Flags::STALE).and(Flags::FAST))
        .doc("Chooses the database of the connection.", "index"),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Connection)
}

fn ping(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        1 | 2 if cx.client.subscriptions.is_any() && !cx.reply.is_resp3() => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(args.nth(1).unwrap_or_default());
        }
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(args.get(1)),
        _ => return Err(cx.arity_error()),
    }
    Ok(())
}

fn echo(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(args.get(1));
    Ok(())
}

fn auth(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (user, password) = match args.len() {
        2 if cx.node.acl.default_user().has_no_password() => {
            return Err(Error::new(
                "AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        2 => (acl::DEFAULT, args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(Error::SYNTAX),
    };
    authenticate(cx, args, user, password)?;
    cx.reply.ok();
    Ok(())
}

/// Lets the connection in, if the user's password is this one. A failure leaves it as it was, but its reply comes late.
fn authenticate(cx: &mut Context<'_>, args: Args<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    if cx.client.authenticate(&cx.node.acl, user, password) {
        return Ok(());
    }
    guard::note_wrong_password(cx.worker, cx.client, args.get(0), user);
    cx.client.penalty_ms = cx.settings().auth_failure_delay;
    Err(Error::WRONG_PASS)
}

/// What `HELLO` was asked for.
#[derive(Default)]
struct Greeting<'a> {
    version: Option<Version>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Greeting<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut greeting = Greeting::default();
        if let Some(version) = args.nth(1) {
            greeting.version = Some(match number::parse_i64(version) {
                Some(2) => Version::Resp2,
                Some(3) => Version::Resp3,
                Some(_) => return Err(Error::coded("NOPROTO unsupported protocol version")),
                None => return Err(Error::new("Protocol version is not an integer or out of range")),
            });
        }
        let mut index = 2;
        while let Some(option) = args.nth(index) {
            match (args.nth(index + 1), args.nth(index + 2)) {
                (Some(user), Some(password)) if option.eq_ignore_ascii_case(b"AUTH") => {
                    greeting.login = Some((user, password));
                    index += 3;
                }
                (Some(name), _) if option.eq_ignore_ascii_case(b"SETNAME") => {
                    client::check_name(name)?;
                    greeting.name = Some(name);
                    index += 2;
                }
                _ => {
                    let option = String::from_utf8_lossy(&option[..option.len().min(128)]);
                    return Err(Error::new(format!("Syntax error in HELLO option '{option}'")));
                }
            }
        }
        Ok(greeting)
    }
}

fn hello(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let greeting = Greeting::parse(args)?;
    if let Some((user, password)) = greeting.login {
        authenticate(cx, args, user, password)?;
    }
    if !cx.client.login.is_admitted() {
        return Err(Error::coded(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = greeting.name {
        cx.client.info.set_names(|names| names.name = name.to_vec());
    }
    if let Some(version) = greeting.version {
        cx.client.set_version(version);
        cx.reply.set_version(version);
    }
    let reply = &mut cx.reply;
    reply.map(7);
    for (field, value) in [("server", identity::SERVER), ("version", identity::REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(cx.client.info.id as i64);
    for (field, value) in [("mode", identity::MODE), ("role", identity::ROLE)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn select(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = number::parse_i64(args.get(1)).ok_or(Error::NOT_INTEGER)?;
    if i32::try_from(index).is_err() {
        return Err(Error::range(i32::MIN.into(), i32::MAX.into()));
    }
    let database = usize::try_from(index).ok().filter(|&index| index < cx.node.keyspace.databases());
    cx.client.select(database.ok_or(Error::DB_RANGE)?);
    cx.reply.ok();
    Ok(())
}

fn quit(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.ok();
    cx.client.close_after_reply = true;
    Ok(())
}

fn reset(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    super::block::farewell(cx.node, cx.client);
    cx.client.reset(&cx.node.acl);
    cx.reply.set_version(cx.client.version);
    cx.reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    fn with_password() -> Rig {
        let mut rig = Rig::new();
        rig.check(&[("CONFIG SET requirepass sec\0ret auth-failure-delay 0", "+OK")]);
        rig.check(&[("AUTH sec", "-WRONGPASS invalid username-password pair or user is disabled.")]);
        rig.check(&[("AUTH sec\0ret", "+OK")]);
        rig.check(&[("CONFIG SET requirepass secret auth-failure-delay 0", "+OK"), ("PING", "+PONG")]);
        rig.worker.refresh();
        rig.client = rig.connect();
        rig
    }

    #[test]
    fn ping_echo_and_select() {
        Rig::new().check(&[
            ("PING", "+PONG"),
            ("ping hi", "$2|hi"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
            ("ECHO x", "$1|x"),
            ("SET k 0", "+OK"),
            ("SELECT 15", "+OK"),
            ("GET k", "$-1"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
            ("SELECT x", "-ERR value is not an integer or out of range"),
            ("SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
            ("SELECT 0", "+OK"),
            ("GET k", "$1|0"),
        ]);
    }

    #[test]
    fn hello_negotiates_the_protocol() {
        let mut rig = Rig::new();
        let two = rig.run("HELLO");
        assert!(two.starts_with("*14|$6|server|$5|redis|$7|version|$5|7.2.4|$5|proto|:2|$2|id|:1|"), "{two}");
        assert!(two.ends_with("$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0"), "{two}");
        let three = rig.run("HELLO 3 SETNAME me");
        assert!(three.starts_with("%7|") && three.contains("|$5|proto|:3|"), "{three}");
        assert_eq!(rig.run("GET none"), "_");
        assert_eq!(rig.run("CLIENT GETNAME"), "$2|me");
        rig.check(&[
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 2 NONSENSE", "-ERR Syntax error in HELLO option 'NONSENSE'"),
            ("HELLO 2 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"),
            ("HELLO 2 AUTH somebody x", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("GET none", "_"),
        ]);
        assert!(rig.run("HELLO 2 AUTH default whatever").starts_with("*14|"));
    }

    #[test]
    fn a_password_is_asked_for() {
        let mut rig = with_password();
        rig.check(&[
            ("PING", "-NOAUTH Authentication required."),
            ("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH secretsecret", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH root secret", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH default secret x", "-ERR syntax error"),
        ]);
        assert!(rig.run("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
        assert!(rig.run("HELLO 3 AUTH default secret").starts_with("%7|"));
        rig.check(&[
            ("RESET", "+RESET"),
            ("PING", "-NOAUTH Authentication required."),
            ("AUTH secret", "+OK"),
            ("PING", "+PONG"),
            ("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("PING", "+PONG"),
        ]);
    }

    #[test]
    fn auth_without_a_password_is_questioned() {
        let mut rig = Rig::new();
        assert!(rig.run("AUTH x").starts_with("-ERR AUTH <password> called without any password configured"));
        assert_eq!(rig.run("AUTH default x"), "+OK");
    }

    #[test]
    fn reset_makes_a_connection_new() {
        let mut rig = Rig::new();
        rig.run("HELLO 3 SETNAME me");
        rig.check(&[
            ("SELECT 3", "+OK"),
            ("CLIENT NO-TOUCH ON", "+OK"),
            ("CLIENT NO-EVICT ON", "+OK"),
            ("RESET", "+RESET"),
            ("CLIENT GETNAME", "$-1"),
        ]);
        assert_eq!(rig.client.database, 0);
        assert!(!rig.client.no_touch);
        assert!(!rig.client.info.no_evict.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn quit_closes_after_its_reply() {
        let mut rig = Rig::new();
        assert_eq!(rig.run("QUIT now"), "+OK");
        assert!(rig.client.close_after_reply);
    }
}
