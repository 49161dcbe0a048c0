//! A RESP client for tests: blocking, strict about framing, with access to the raw stream.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustls::{ClientConnection, StreamOwned};

use super::PATIENCE;

/// One reply, RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    Double(String),
    Boolean(bool),
    BigNumber(String),
    Verbatim(String),
}

impl Reply {
    /// `+OK`.
    pub fn ok() -> Reply {
        Reply::Simple("OK".to_owned())
    }

    /// A bulk string of this text.
    pub fn bulk(text: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(text.as_ref().to_vec())
    }

    /// The text of an error; anything else fails the test.
    pub fn error_text(&self) -> &str {
        match self {
            Reply::Error(text) => text,
            other => panic!("no error: {other:?}"),
        }
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}

/// A connection to a server.
pub struct Client {
    stream: BufReader<Socket>,
}

impl Client {
    /// Connects to a port of the loopback interface.
    pub fn connect(port: u16) -> Client {
        Client::connect_to(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects to an address.
    pub fn connect_to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(Socket::Tcp(stream)) }
    }

    /// Connects to a unix socket.
    pub fn connect_unix(path: &Path) -> io::Result<Client> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::new(Socket::Unix(stream)) })
    }

    /// Speaks TLS over a stream; the handshake comes with the first bytes.
    pub fn over_tls(stream: StreamOwned<ClientConnection, TcpStream>) -> Client {
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(Socket::Tls(Box::new(stream))) }
    }

    /// The TLS of a client that has it.
    pub fn tls(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        match self.stream.get_mut() {
            Socket::Tls(stream) => stream,
            _ => panic!("this client speaks no TLS"),
        }
    }

    /// Sends one command and returns its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.raw(&command(args));
        self.reply()
    }

    /// Sends a command whose words are separated by spaces.
    pub fn say(&mut self, words: &str) -> Reply {
        self.call(&words.split(' ').collect::<Vec<_>>())
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.try_raw(bytes).unwrap();
    }

    /// Sends bytes as far as the server takes them.
    pub fn try_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap()
    }

    /// Reads one reply, or tells why there is none.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let broken = || io::Error::new(io::ErrorKind::InvalidData, line.clone());
        let text = line.strip_suffix("\r\n").ok_or_else(broken)?;
        let (kind, rest) = text.split_at_checked(1).ok_or_else(broken)?;
        let rest = rest.to_owned();
        let number = || rest.parse::<i64>().map_err(|_| broken());
        Ok(match kind {
            "+" => Reply::Simple(rest),
            "-" => Reply::Error(rest),
            ":" => Reply::Integer(number()?),
            "_" => Reply::Null,
            "," => Reply::Double(rest),
            "#" => Reply::Boolean(rest == "t"),
            "(" => Reply::BigNumber(rest),
            "$" | "*" if rest == "-1" => Reply::Null,
            "$" => Reply::Bulk(self.payload(number()?)?),
            "=" => Reply::Verbatim(String::from_utf8_lossy(&self.payload(number()?)?).into_owned()),
            "*" => Reply::Array(self.elements(number()?)?),
            "~" => Reply::Set(self.elements(number()?)?),
            ">" => Reply::Push(self.elements(number()?)?),
            "%" => {
                let flat = self.elements(number()? * 2)?;
                Reply::Map(flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            _ => return Err(broken()),
        })
    }

    fn elements(&mut self, count: i64) -> io::Result<Vec<Reply>> {
        (0..count).map(|_| self.try_reply()).collect()
    }

    fn payload(&mut self, len: i64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize + 2];
        self.stream.read_exact(&mut bytes)?;
        if !bytes.ends_with(b"\r\n") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a bulk string without its end"));
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    /// Asserts that the server ends the connection, and returns what it sent before.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (),
            Err(error) => panic!("the connection is still open: {error}"),
        }
        bytes
    }

    /// Ends our side of the connection; replies still arrive.
    pub fn finish(&mut self) {
        match self.stream.get_mut() {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Socket::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    }

    /// Closes the connection by a reset instead of an orderly end.
    pub fn reset(self) {
        let socket: BorrowedFd<'_> = match self.stream.get_ref() {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Tls(stream) => stream.sock.as_fd(),
        };
        socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

/// A command as RESP.
pub fn command<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
