//! `CLIENT KILL`: which connections are meant, and their end.

use super::client_list::Class;
use super::{Context, Error};
use crate::protocol::{Args, number};
use crate::security::Acl;
use crate::session::ClientInfo;

/// Which connections are meant: those that fit all that was given.
struct Filter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    class: Option<Class>,
    /// The id of a user.
    user: Option<u64>,
    /// Whether the asking connection is spared.
    skip_own: bool,
    /// Seconds that a connection has to have lasted.
    age: Option<u64>,
}

impl<'a> Filter<'a> {
    /// All connections.
    const ALL: Filter<'static> =
        Filter { id: None, address: None, local_address: None, class: None, user: None, skip_own: true, age: None };

    /// Reads pairs of an option and its value.
    fn parse(args: Args<'a>, acl: &Acl) -> Result<Self, Error> {
        let mut filter = Filter::ALL;
        for index in (0..args.len()).step_by(2) {
            let value = args.nth(index + 1).ok_or(Error::SYNTAX)?;
            filter.set(args.get(index), value, acl)?;
        }
        Ok(filter)
    }

    fn set(&mut self, option: &[u8], value: &'a [u8], acl: &Acl) -> Result<(), Error> {
        let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
        if is("ID") {
            let id = number::parse_i64(value).and_then(|id| u64::try_from(id).ok()).filter(|&id| id > 0);
            self.id = Some(id.ok_or(Error::new("client-id should be greater than 0"))?);
        } else if is("TYPE") {
            self.class = Some(Class::parse(value)?);
        } else if is("ADDR") {
            self.address = Some(value);
        } else if is("LADDR") {
            self.local_address = Some(value);
        } else if is("USER") {
            let user = acl.find(value).ok_or_else(|| {
                let user = String::from_utf8_lossy(&value[..value.len().min(128)]);
                Error::new(format!("No such user '{user}'"))
            })?;
            self.user = Some(user.id);
        } else if is("SKIPME") {
            self.skip_own = match value {
                yes if yes.eq_ignore_ascii_case(b"yes") => true,
                no if no.eq_ignore_ascii_case(b"no") => false,
                _ => return Err(Error::SYNTAX),
            };
        } else if is("MAXAGE") {
            let age = number::parse_i64(value).ok_or(Error::new("maxage is not an integer or out of range"))?;
            let age = u64::try_from(age).ok().filter(|&age| age > 0);
            self.age = Some(age.ok_or(Error::new("maxage should be greater than 0"))?);
        } else {
            return Err(Error::SYNTAX);
        }
        Ok(())
    }

    fn fits(&self, client: &ClientInfo, now_ms: u64) -> bool {
        let age = now_ms.saturating_sub(client.created_ms) / 1000;
        self.id.is_none_or(|id| client.id == id)
            && self.address.is_none_or(|address| client.address.as_bytes() == address)
            && self.local_address.is_none_or(|address| client.local_address.as_bytes() == address)
            && self.class.is_none_or(|class| Class::of(client) == class)
            && self.user.is_none_or(|id| client.user().is_some_and(|user| user.id == id))
            && self.age.is_none_or(|least| age >= least)
    }
}

/// `CLIENT KILL address`, which may be its own, or `CLIENT KILL option value …`, which counts.
pub(super) fn kill(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let by_address = args.len() == 3;
    let filter = match by_address {
        true => Filter { address: Some(args.get(2)), skip_own: false, ..Filter::ALL },
        false => Filter::parse(args.skip(2), &cx.node.acl)?,
    };
    let killed = end(cx, &filter);
    match (by_address, killed) {
        (true, 0) => return Err(Error::new("No such client")),
        (true, _) => cx.reply.ok(),
        (false, _) => cx.reply.count(killed),
    }
    Ok(())
}

/// Ends the connections that `filter` means, and counts them.
fn end(cx: &mut Context<'_>, filter: &Filter<'_>) -> usize {
    let mut killed = 0;
    for client in cx.node.registry.list() {
        let own = client.id == cx.client.info.id;
        if (own && filter.skip_own) || client.is_killed() || !filter.fits(&client, cx.now_ms()) {
            continue;
        }
        // Its own connection lasts until the reply is sent.
        match own {
            true => cx.client.close_after_reply = true,
            false => client.kill(),
        }
        killed += 1;
    }
    killed
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn connections_are_killed_by_what_fits_them() {
        let mut rig = Rig::new();
        let (second, third) = (rig.connect(), rig.connect());
        assert_eq!(rig.run("CLIENT KILL ID 1"), ":0");
        assert_eq!(rig.run("CLIENT KILL TYPE pubsub SKIPME no"), ":0");
        assert_eq!(rig.run("CLIENT KILL MAXAGE 10"), ":0");
        assert_eq!(rig.run(&format!("CLIENT KILL ID {} USER default", second.info.id)), ":1");
        assert!(second.info.is_killed() && !third.info.is_killed());
        rig.pass(11_000);
        assert_eq!(rig.run("CLIENT KILL MAXAGE 10"), ":1");
        assert!(third.info.is_killed() && !rig.client.close_after_reply);
        assert_eq!(rig.run("CLIENT KILL LADDR 127.0.0.1:6379 SKIPME no"), ":1");
        assert!(rig.client.close_after_reply);
    }

    #[test]
    fn the_old_form_takes_an_address_and_may_kill_itself() {
        let mut rig = Rig::new();
        assert_eq!(rig.run("CLIENT KILL 1.1.1.1:1"), "-ERR No such client");
        assert_eq!(rig.run("CLIENT KILL 127.0.0.1:1"), "+OK");
        assert!(rig.client.close_after_reply);
    }

    #[test]
    fn errors_are_those_of_redis() {
        Rig::new().check(&[
            ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command"),
            ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL TYPE x", "-ERR Unknown client type 'x'"),
            ("CLIENT KILL USER foo", "-ERR No such user 'foo'"),
            ("CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0"),
            ("CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range"),
            ("CLIENT KILL ID 1 SKIPME maybe", "-ERR syntax error"),
            ("CLIENT KILL ID 1 ADDR", "-ERR syntax error"),
            ("CLIENT KILL NONSENSE 1", "-ERR syntax error"),
        ]);
    }
}
