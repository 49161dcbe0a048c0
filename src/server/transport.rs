//! What bytes of clients come through: a socket as it is, or TLS over one. A connection is compiled for each of them, so that
//! one does not pay for the other.

use std::future::Future;
use std::io;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, OwnedReadHalf, OwnedWriteHalf};

/// What a receive came to, and the part of its buffer that it could fill. The driver's own futures come to it: one layer more would
/// be run through with each request.
pub(super) type Received = (io::Result<usize>, SliceMut<Vec<u8>>);
/// The same of a send.
pub(super) type Sent = (io::Result<usize>, Slice<Vec<u8>>);

/// The receiving half.
pub(super) trait Inlet: 'static {
    /// Appends at most `room` bytes, for which there is capacity, to `buffer`. Returns how many came; 0 at the end.
    fn receive(&mut self, buffer: Vec<u8>, room: usize) -> impl Future<Output = Received>;

    /// The same, but it ends when it is cancelled, with an error unless something came. It costs a little more.
    fn receive_until(&mut self, buffer: Vec<u8>, room: usize, cancel: CancelHandle) -> impl Future<Output = Received>;
}

/// The sending half.
pub(super) trait Outlet: 'static {
    /// Sends bytes of `buffer` from `sent` on. Returns how many went, which may be fewer than there are.
    fn send(&mut self, buffer: Vec<u8>, sent: usize) -> impl Future<Output = Sent>;

    /// Says farewell, as far as that takes no time: the connection ends.
    fn finish(&mut self);
}

impl<S: CancelableAsyncReadRent + AsyncReadRent + 'static> Inlet for OwnedReadHalf<S> {
    #[inline]
    fn receive(&mut self, buffer: Vec<u8>, room: usize) -> impl Future<Output = Received> {
        let start = buffer.len();
        self.read(SliceMut::new(buffer, start, start + room))
    }

    #[inline]
    fn receive_until(&mut self, buffer: Vec<u8>, room: usize, cancel: CancelHandle) -> impl Future<Output = Received> {
        let start = buffer.len();
        self.cancelable_read(SliceMut::new(buffer, start, start + room), cancel)
    }
}

impl<S: AsyncWriteRent + 'static> Outlet for OwnedWriteHalf<S> {
    #[inline]
    fn send(&mut self, buffer: Vec<u8>, sent: usize) -> impl Future<Output = Sent> {
        let len = buffer.len();
        self.write(Slice::new(buffer, sent, len))
    }

    #[inline]
    fn finish(&mut self) {}
}
