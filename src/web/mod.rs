//! What people and monitors see of the server by HTTP: `/metrics`, `/healthz`, and a page for a browser.
//!
//! It has threads of its own and enters no shard, so that no client of the data waits for it. There is one request to a
//! connection, a bound for each of its parts, and a bound for connections: nothing here grows with what is sent.

mod answer;
mod exposition;
mod fields;
mod metrics;
mod page;
mod request;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::command::Node;
use answer::Answer;

/// Connections at the same time; further ones are told so and closed.
pub const MOST_CONNECTIONS: usize = 16;
/// How long a request may take to arrive, and an answer to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long we go on listening to a client that was answered, so that what it still sends does not take the answer away.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes that are taken from it meanwhile.
const FAREWELL_BYTES: usize = 256 * 1024;
/// How long nothing is accepted after a failure to do so.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Bytes of the stack of a connection's thread.
const STACK: usize = 512 * 1024;

/// What the server can do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It reads its files; nobody is served yet.
    Loading,
    /// It serves.
    Serving,
    /// It finishes what clients have sent, and ends.
    Ending,
}

impl Health {
    /// As people read it.
    fn as_str(self) -> &'static str {
        match self {
            Health::Loading => "loading",
            Health::Serving => "ok",
            Health::Ending => "shutting down",
        }
    }
}

/// Where answers come from.
#[derive(Clone, Copy)]
pub struct Source {
    /// The server.
    pub node: &'static Node,
    /// What it can do.
    pub health: fn(&Node) -> Health,
}

/// Serves these listeners, which must not block, from threads of their own for as long as the process lives.
///
/// # Errors
/// There is no thread for it.
pub fn start(listeners: Vec<TcpListener>, source: Source) -> io::Result<()> {
    if listeners.is_empty() {
        return Ok(());
    }
    std::thread::Builder::new().name("roster-http".to_owned()).spawn(move || accept(&listeners, source))?;
    Ok(())
}

fn accept(listeners: &[TcpListener], source: Source) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let mut waiting: Vec<PollFd<'_>> =
            listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut waiting, PollTimeout::NONE).is_err() {
            std::thread::sleep(BACK_OFF);
            continue;
        }
        for listener in listeners {
            match listener.accept() {
                Ok((stream, _)) => admit(stream, &busy, source),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                // Without descriptors the listener stays ready, and this thread would take a CPU for itself.
                Err(_) => std::thread::sleep(BACK_OFF),
            }
        }
    }
}

/// A connection that counts for as long as this lives.
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn admit(stream: TcpStream, busy: &Arc<AtomicUsize>, source: Source) {
    // Only this thread adds, so the bound is not passed.
    if busy.load(Relaxed) >= MOST_CONNECTIONS {
        let _ = stream.set_nonblocking(true);
        let _ = (&stream).write(&Answer::busy().bytes(true));
        return;
    }
    busy.fetch_add(1, Relaxed);
    let seat = Seat(busy.clone());
    let thread = std::thread::Builder::new().name("roster-http-io".to_owned()).stack_size(STACK);
    // Where there is no thread the connection is closed, which is all that can be said.
    let _ = thread.spawn(move || {
        let _seat = seat;
        // A client that is too slow or gone gets no answer.
        let _ = converse(&stream, source);
    });
}

/// Reads one request, answers it, and lets the client go.
fn converse(stream: &TcpStream, source: Source) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let (answer, body) = match request::read(&mut Timed::new(stream, PATIENCE)) {
        Ok(Some(request)) => (answer::to(&request, source), !request.head_only),
        Ok(None) => return Ok(()),
        Err(refusal) => (Answer::refusal(&refusal), true),
    };
    Timed::new(stream, PATIENCE).write_all(&answer.bytes(body))?;
    stream.shutdown(Shutdown::Write)?;
    // Closing a socket that holds unread bytes resets the connection, and the client might lose the answer.
    let mut rest = Timed::new(stream, FAREWELL);
    let (mut scratch, mut taken) = ([0; 4096], 0);
    while taken < FAREWELL_BYTES {
        match rest.read(&mut scratch)? {
            0 => break,
            count => taken += count,
        }
    }
    Ok(())
}

/// A stream on which everything together has to be done before a deadline.
struct Timed<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl<'a> Timed<'a> {
    fn new(stream: &'a TcpStream, patience: Duration) -> Self {
        Timed { stream, deadline: Instant::now() + patience }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
