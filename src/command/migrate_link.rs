//! The way to another server: sends it values, and hears which of them it has.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::unix_ms;
use crate::session::Delivery;

/// Keys that are sent before replies to them are read: so few that their replies fit into any socket's buffer.
const KEYS: usize = 256;

/// Bytes of values after which replies are read.
const BYTES: usize = 4 << 20;

/// Bytes of the longest line that a server replies.
const LINE: u64 = 16 << 10;

/// Who one is for the other server.
pub(super) struct Credentials {
    pub(super) user: Option<Box<[u8]>>,
    pub(super) password: Box<[u8]>,
}

/// Where to, and how.
pub(super) struct Order {
    pub(super) host: String,
    /// 0 where there is none.
    pub(super) port: u16,
    /// The database there, which need not exist.
    pub(super) database: i64,
    /// For each step.
    pub(super) timeout: Duration,
    pub(super) credentials: Option<Credentials>,
    /// Whether the keys stay here as well.
    pub(super) copies: bool,
    pub(super) replaces: bool,
}

/// A key to be sent.
pub(super) struct Parcel {
    pub(super) key: Box<[u8]>,
    /// When it expires, in milliseconds of Unix time.
    pub(super) due_ms: Option<u64>,
    /// Its value as DUMP returns it.
    pub(super) payload: Vec<u8>,
}

/// At what the connection failed.
#[derive(Clone, Copy)]
enum Step {
    Connecting,
    Writing,
    Reading,
}

impl Step {
    /// What the client is told, in Redis's words.
    fn failure(self) -> Vec<u8> {
        let step = match self {
            Step::Connecting => "connecting to the client",
            Step::Writing => "writing to target instance",
            Step::Reading => "reading to target instance",
        };
        format!("IOERR error or timeout {step}").into_bytes()
    }
}

/// A connection to another server.
struct Link {
    writer: BufWriter<TcpStream>,
    reader: BufReader<TcpStream>,
}

impl Order {
    /// Sends the values, and waits for what the other server says to each. Takes as long as it takes: to be called where nobody waits.
    pub(super) fn deliver(&self, parcels: &[Parcel]) -> Delivery {
        let mut delivery = Delivery::default();
        let result = Link::open(self).and_then(|mut link| {
            delivery.failure = link.introduce(self)?;
            if delivery.failure.is_some() {
                return Ok(());
            }
            link.deliver(self, parcels, &mut delivery)
        });
        if let Err(step) = result {
            // A reply tells more.
            delivery.failure.get_or_insert_with(|| step.failure());
        }
        delivery
    }
}

impl Link {
    fn open(order: &Order) -> Result<Link, Step> {
        let addresses = (order.host.as_str(), order.port).to_socket_addrs().map_err(|_| Step::Connecting)?;
        // As in Redis, which finds out that nobody is there when it writes.
        let mut stream = Err(Step::Writing);
        for address in addresses {
            stream = TcpStream::connect_timeout(&address, order.timeout).map_err(|_| Step::Writing);
            if stream.is_ok() {
                break;
            }
        }
        Link::over(stream?, order.timeout).map_err(|_| Step::Connecting)
    }

    fn over(stream: TcpStream, timeout: Duration) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Link { writer: BufWriter::with_capacity(64 << 10, stream), reader })
    }

    /// Logs in and selects the database, before anything is sent that could end up elsewhere. What the other server has against it.
    fn introduce(&mut self, order: &Order) -> Result<Option<Vec<u8>>, Step> {
        let database = order.database.to_string();
        let mut replies = 1;
        if let Some(Credentials { user, password }) = &order.credentials {
            let words = [Some(&b"AUTH"[..]), user.as_deref(), Some(password)];
            self.write(&words.into_iter().flatten().collect::<Vec<_>>())?;
            replies += 1;
        }
        self.write(&[b"SELECT", database.as_bytes()])?;
        self.flush()?;
        let mut refusal = None;
        for _ in 0..replies {
            let line = self.line()?;
            refusal = refusal.or(refused(&line));
        }
        Ok(refusal)
    }

    fn deliver(&mut self, order: &Order, parcels: &[Parcel], delivery: &mut Delivery) -> Result<(), Step> {
        let mut rest = parcels;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |parcel: &&Parcel| {
                let fits = bytes < BYTES;
                bytes += parcel.payload.len();
                fits
            };
            let count = rest.iter().take(KEYS).take_while(fits).count();
            let (now, later) = rest.split_at(count);
            rest = later;
            let sent: Vec<bool> = now.iter().map(|parcel| self.restore(order, parcel)).collect::<Result<_, _>>()?;
            self.flush()?;
            for sent in sent {
                let refusal = if sent { refused(&self.line()?) } else { None };
                delivery.accepted.push(sent && refusal.is_none());
                if delivery.failure.is_none() {
                    delivery.failure = refusal;
                }
            }
        }
        Ok(())
    }

    /// Sends one value, unless its time is up.
    fn restore(&mut self, order: &Order, parcel: &Parcel) -> Result<bool, Step> {
        let ttl = match parcel.due_ms {
            None => 0,
            Some(due) => match due.checked_sub(unix_ms()) {
                None => return Ok(false),
                // 0 would be none.
                Some(left) => left.max(1),
            },
        };
        let ttl = ttl.to_string();
        let words: [&[u8]; 5] = [b"RESTORE", &parcel.key, ttl.as_bytes(), &parcel.payload, b"REPLACE"];
        self.write(&words[..if order.replaces { 5 } else { 4 }])?;
        Ok(true)
    }

    fn write(&mut self, words: &[&[u8]]) -> Result<(), Step> {
        let mut write = || -> io::Result<()> {
            write!(self.writer, "*{}\r\n", words.len())?;
            for word in words {
                write!(self.writer, "${}\r\n", word.len())?;
                self.writer.write_all(word)?;
                self.writer.write_all(b"\r\n")?;
            }
            Ok(())
        };
        write().map_err(|_| Step::Writing)
    }

    fn flush(&mut self) -> Result<(), Step> {
        self.writer.flush().map_err(|_| Step::Writing)
    }

    /// A reply, which is one line.
    fn line(&mut self) -> Result<Vec<u8>, Step> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(|_| Step::Reading)?;
        line.strip_suffix(b"\n").map(<[u8]>::to_vec).ok_or(Step::Reading)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What is still to be written when something failed is not to be waited for.
        let _ = self.writer.get_ref().shutdown(Shutdown::Both);
    }
}

/// The error that a line tells of, as the client is told of it.
fn refused(line: &[u8]) -> Option<Vec<u8>> {
    let text = line.strip_prefix(b"-")?;
    Some([&b"ERR Target instance replied with error: "[..], text.strip_suffix(b"\r").unwrap_or(text)].concat())
}
