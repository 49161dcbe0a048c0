//! Clients that speak TLS: what they come through, and their handshake.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, BufRead, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};
use parking_lot::RwLock;
use rustls::{ServerConfig, ServerConnection};

use super::connection::{Connection, Receiver};
use super::hub::Hub;
use super::transport::{Inlet, Outlet, Received, Sent};
use crate::config::{Handle, Settings, TlsAuth};
use crate::security::tls::{Demand, Recipe, build};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes that a client may send before its handshake is over: long chains of certificates fit.
const HANDSHAKE_BYTES: usize = 256 * 1024;
/// Bytes of text after which what was received waits to be deciphered; rustls holds no more than this and a record.
const TEXT_MOST: usize = 16 * 1024;
/// Bytes that one receive takes at most, and those of text that are enciphered at a time: four records.
const CHUNK: usize = 64 * 1024;
/// Receives in a row without any text, after which others have their turn.
const TURN: u64 = 16;
/// Bytes of room below which a receive has a buffer of its own: a record has some 22 bytes more than its text.
const ROOM_LEAST: usize = 1024;

/// What handshakes need, as the settings have it now.
pub(super) struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    /// Reads the files that the settings name, if clients may speak TLS.
    ///
    /// # Errors
    /// Which file or setting is wrong, and the remedy.
    pub(super) fn for_settings(settings: &Settings) -> Result<Option<&'static Tls>, String> {
        if settings.tls_port == 0 {
            return Ok(None);
        }
        let config = build(&recipe(settings)).map_err(|reason| format!("no TLS can be spoken: {reason}"))?;
        // It lives as long as the process.
        Ok(Some(Box::leak(Box::new(Tls(RwLock::new(config))))))
    }

    /// Reads them anew at each change of the settings, for the clients to come.
    pub(super) fn follow(&'static self, handle: &Handle) {
        handle.follow("tls-", |settings| match build(&recipe(settings)) {
            Ok(config) => {
                *self.0.write() = config;
                tracing::info!(
                    "clients that come from now on get the certificate in {}",
                    settings.tls_cert_file.display()
                );
                Ok(())
            }
            Err(reason) => {
                tracing::warn!("TLS stays as it is: {reason}");
                Err("Unable to update TLS configuration. Check server logs.".into())
            }
        });
    }

    fn current(&self) -> Arc<ServerConfig> {
        self.0.read().clone()
    }
}

fn recipe(settings: &Settings) -> Recipe<'_> {
    Recipe {
        certificate: &settings.tls_cert_file,
        key: &settings.tls_key_file,
        authorities: &settings.tls_ca_cert_file,
        authorities_folder: &settings.tls_ca_cert_dir,
        demand: match settings.tls_auth_clients {
            TlsAuth::No => Demand::None,
            TlsAuth::Optional => Demand::Optional,
            TlsAuth::Yes => Demand::Required,
        },
        protocols: &settings.tls_protocols.chosen,
        ciphers: &settings.tls_ciphers.chosen,
        suites: &settings.tls_ciphersuites.chosen,
        own_order: settings.tls_prefer_server_ciphers,
        sessions: if settings.tls_session_caching { settings.tls_session_cache_size as usize } else { 0 },
    }
}

/// The state that both halves of a connection share. It is borrowed between awaits, never over one.
struct Tunnel {
    tls: ServerConnection,
    /// Received bytes that wait to be deciphered, from `taken` on.
    held: Vec<u8>,
    taken: usize,
}

impl Tunnel {
    /// Deciphers what was received, up to as much text as may wait.
    fn feed(&mut self, mut bytes: &[u8]) -> Result<usize, rustls::Error> {
        let len = bytes.len();
        while !bytes.is_empty() {
            // Reading from a slice fails only where there is no room, which is seen to below.
            if !matches!(self.tls.read_tls(&mut bytes), Ok(1..)) {
                break;
            }
            if self.tls.process_new_packets()?.plaintext_bytes_to_read() > TEXT_MOST {
                break;
            }
        }
        Ok(len - bytes.len())
    }

    /// Takes bytes that were received; those that cannot be deciphered yet are kept, behind any that are kept already.
    fn take(&mut self, bytes: &[u8]) -> Result<(), rustls::Error> {
        let fed = if self.held.is_empty() { self.feed(bytes)? } else { 0 };
        self.held.extend_from_slice(&bytes[fed..]);
        Ok(())
    }

    /// Appends at most `room` bytes of text to `buffer`. Returns how many; 0 at the end; `None` if more has to be received.
    fn read(&mut self, buffer: &mut Vec<u8>, room: usize) -> io::Result<Option<usize>> {
        let mut total = 0;
        loop {
            let count = match self.tls.reader().fill_buf() {
                Ok([]) => return Ok(Some(total)),
                Ok(text) => {
                    let count = text.len().min(room - total);
                    buffer.extend_from_slice(&text[..count]);
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.tls.reader().consume(count);
            total += count;
            if total == room {
                return Ok(Some(total));
            }
            if count == 0 && !self.go_on().map_err(io::Error::other)? {
                return Ok(Some(total).filter(|total| *total > 0));
            }
        }
    }

    /// Deciphers more of what is kept, and tells whether there was any.
    fn go_on(&mut self) -> Result<bool, rustls::Error> {
        if self.held.is_empty() {
            return Ok(false);
        }
        let held = std::mem::take(&mut self.held);
        let fed = self.feed(&held[self.taken..])?;
        self.taken += fed;
        if fed > 0 && self.taken < held.len() {
            self.held = held;
        } else {
            self.taken = 0;
        }
        Ok(fed > 0)
    }

    /// Appends what is to be sent to `wire`.
    fn drain(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(wire)?;
        }
        Ok(())
    }
}

/// The receiving half.
pub(super) struct TlsInlet {
    socket: OwnedReadHalf<TcpStream>,
    tunnel: Rc<RefCell<Tunnel>>,
    hub: Rc<Hub>,
}

/// The sending half. Only it writes to the socket, so records are whole and in their order; what the receiving half has to
/// say waits for the next sending.
pub(super) struct TlsOutlet {
    socket: OwnedWriteHalf<TcpStream>,
    descriptor: RawFd,
    tunnel: Rc<RefCell<Tunnel>>,
    hub: Rc<Hub>,
}

/// The halves of a connection whose handshake is to come.
pub(super) fn halves(stream: TcpStream, tls: &Tls, hub: &Rc<Hub>) -> Result<(TlsInlet, TlsOutlet), rustls::Error> {
    let mut tls = ServerConnection::new(tls.current())?;
    // What is enciphered is sent at once, so the bound of a chunk is enough.
    tls.set_buffer_limit(None);
    let tunnel = Rc::new(RefCell::new(Tunnel { tls, held: Vec::new(), taken: 0 }));
    let descriptor = stream.as_raw_fd();
    let (reader, writer) = stream.into_split();
    let outlet = TlsOutlet { socket: writer, descriptor, tunnel: tunnel.clone(), hub: hub.clone() };
    Ok((TlsInlet { socket: reader, tunnel, hub: hub.clone() }, outlet))
}

impl TlsInlet {
    /// Receives once from the socket and deciphers it. The bytes pass through the spare room of `buffer`.
    async fn fill(&mut self, mut buffer: Vec<u8>, room: usize) -> (io::Result<usize>, Vec<u8>) {
        let start = buffer.len();
        let (result, slice) = self.socket.read(SliceMut::new(buffer, start, start + room.min(CHUNK))).await;
        buffer = slice.into_inner();
        let result = result.and_then(|count| {
            self.tunnel.borrow_mut().take(&buffer[start..start + count]).map_err(io::Error::other)?;
            Ok(count)
        });
        buffer.truncate(start);
        (result, buffer)
    }
}

impl TlsInlet {
    /// Appends text to `buffer`, as [`Inlet::receive`] does.
    async fn text(&mut self, mut buffer: Vec<u8>, room: usize) -> (io::Result<usize>, Vec<u8>) {
        for round in 1..u64::MAX {
            // Records may be empty, and a client that sends nothing else would keep the thread.
            if round % TURN == 0 {
                self.hub.fair.give_way().await;
            }
            match self.tunnel.borrow_mut().read(&mut buffer, room) {
                Ok(Some(count)) => return (Ok(count), buffer),
                Err(error) => return (Err(error), buffer),
                Ok(None) => (),
            }
            let result = if room < ROOM_LEAST {
                self.fill(Vec::with_capacity(ROOM_LEAST), ROOM_LEAST).await.0
            } else {
                let result;
                (result, buffer) = self.fill(buffer, room).await;
                result
            };
            // A socket that ends without close_notify ends the connection all the same: requests tell their own lengths.
            match result {
                Ok(1..) => (),
                ended => return (ended, buffer),
            }
        }
        (Ok(0), buffer)
    }
}

impl Inlet for TlsInlet {
    async fn receive(&mut self, buffer: Vec<u8>, room: usize) -> Received {
        let (result, buffer) = self.text(buffer, room).await;
        let len = buffer.len();
        (result, SliceMut::new(buffer, 0, len))
    }

    /// It goes on although it is cancelled: what has been received of a record must not be lost.
    async fn receive_until(&mut self, buffer: Vec<u8>, room: usize, _: CancelHandle) -> Received {
        self.receive(buffer, room).await
    }
}

impl TlsOutlet {
    /// Sends all records that are ready.
    async fn flush(&mut self) -> io::Result<()> {
        let mut wire = self.hub.buffers.take();
        self.tunnel.borrow_mut().drain(&mut wire)?;
        let (len, mut sent) = (wire.len(), 0);
        while sent < len {
            let (result, slice) = self.socket.write(Slice::new(wire, sent, len)).await;
            wire = slice.into_inner();
            match result? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => sent += count,
            }
        }
        self.hub.buffers.give(wire);
        Ok(())
    }
}

impl Outlet for TlsOutlet {
    async fn send(&mut self, buffer: Vec<u8>, sent: usize) -> Sent {
        let end = buffer.len().min(sent + CHUNK);
        let written = self.tunnel.borrow_mut().tls.writer().write_all(&buffer[sent..end]);
        if let Err(error) = written {
            return (Err(error), Slice::new(buffer, sent, end));
        }
        (self.flush().await.map(|()| end - sent), Slice::new(buffer, sent, end))
    }

    fn finish(&mut self) {
        let mut wire = Vec::new();
        let mut tunnel = self.tunnel.borrow_mut();
        // After a failure the alert that tells it is what is left to send; rustls adds no close_notify to that.
        tunnel.tls.send_close_notify();
        if tunnel.drain(&mut wire).is_ok() {
            let _ = send(self.descriptor, &wire, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        }
    }
}

impl Connection<TlsInlet, TlsOutlet> {
    /// Does the handshake, then serves the client until either side ends the connection.
    pub(super) async fn greet_and_serve(mut self: Box<Self>) {
        match self.greet_in_time().await {
            Ok(()) => self.serve().await,
            Err(reason) => {
                let (id, address) = (self.batch.client.info.id, &self.batch.client.info.address);
                tracing::debug!("closing client {id} at {address}: no TLS came about: {reason}");
                self.sender.finish();
            }
        }
    }

    async fn greet_in_time(&mut self) -> Result<(), String> {
        let Some(descriptor) = self.sender.outlet.as_ref().map(|outlet| outlet.descriptor) else { return Ok(()) };
        let mut timer = pin!(monoio::time::sleep(HANDSHAKE));
        let mut late = false;
        let mut greeting = pin!(self.greet());
        let result = poll_fn(|context| {
            if !late && timer.as_mut().poll(context).is_ready() {
                late = true;
                // What is under way ends by itself then, and no operation has to be cancelled.
                let _ = shutdown(descriptor, Shutdown::Both);
            }
            greeting.as_mut().poll(context)
        });
        match result.await {
            Err(_) if late => Err(format!("it took longer than {} seconds", HANDSHAKE.as_secs())),
            result => result.map_err(|error| error.to_string()),
        }
    }

    async fn greet(&mut self) -> io::Result<()> {
        let Receiver::Idle(inlet) = &mut self.receiver else { return Err(io::ErrorKind::InvalidInput.into()) };
        let Some(outlet) = &mut self.sender.outlet else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut buffer = Vec::with_capacity(4 * ROOM_LEAST);
        let mut total = 0;
        loop {
            outlet.flush().await?;
            if !outlet.tunnel.borrow().tls.is_handshaking() {
                return Ok(());
            }
            let (result, given) = inlet.fill(buffer, 4 * ROOM_LEAST).await;
            buffer = given;
            total += match result? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => count,
            };
            if total > HANDSHAKE_BYTES {
                return Err(io::Error::other("the client sent too much"));
            }
        }
    }
}
