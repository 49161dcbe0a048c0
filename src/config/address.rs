//! The addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::kind::Kind;
use super::value::{Refusal, Value};

/// The most addresses that one server listens on, as in Redis.
const MOST_ADDRESSES: usize = 16;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// An IP address, a host name, `*` for all of IPv4, or `::*` for all of IPv6.
    pub host: String,
    /// Whether the server starts without it when this machine does not have it.
    pub optional: bool,
}

impl Address {
    /// The socket addresses that this address stands for. A host name is looked up.
    pub fn resolve(&self, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        match self.host.as_str() {
            "*" => Ok(vec![(Ipv4Addr::UNSPECIFIED, port).into()]),
            "::*" => Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into()]),
            host => Ok((host, port).to_socket_addrs()?.collect()),
        }
    }

    fn parse(word: &str) -> Result<Self, Refusal> {
        let (host, optional) = match word.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (word, false),
        };
        let named = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            && host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if host == "*" || host == "::*" || named || host.parse::<IpAddr>().is_ok() {
            let host = host.to_owned();
            Ok(Self { host, optional })
        } else {
            Err(format!("'{word}' is neither an IP address nor a host name").into())
        }
    }
}

/// The addresses to listen on; none means that only the unix socket is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(
    /// In the order given.
    pub Vec<Address>,
);

impl Value for Addresses {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let addresses: Vec<Address> = text.split_whitespace().map(Address::parse).collect::<Result<_, _>>()?;
        if addresses.len() > MOST_ADDRESSES {
            return Err("Too many bind addresses specified.".into());
        }
        self.0 = addresses;
        Ok(())
    }

    fn text(&self) -> String {
        let words = self.0.iter().map(|address| {
            let mark = if address.optional { "-" } else { "" };
            format!("{mark}{}", address.host)
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::value::trial::{read, rewritten};

    #[test]
    fn addresses() {
        let addresses = read::<Addresses>("127.0.0.1 -::1 * ::* cache-1.example").unwrap().0;
        assert!(addresses[1].optional && addresses[1].host == "::1");
        assert_eq!(addresses[2].resolve(7).unwrap(), ["0.0.0.0:7".parse().unwrap()]);
        assert_eq!(addresses[3].resolve(7).unwrap(), ["[::]:7".parse().unwrap()]);
        assert_eq!(rewritten::<Addresses>(" 127.0.0.1   -::1 ").unwrap(), "127.0.0.1 -::1");
        assert_eq!(read::<Addresses>("").unwrap().0, []);
        for wrong in ["999.1.1.1", "-", "a/b", "1:2", "é"] {
            assert!(read::<Addresses>(wrong).unwrap_err().contains("neither"), "{wrong}");
        }
        assert!(read::<Addresses>(&"::1 ".repeat(17)).is_err());
    }
}
