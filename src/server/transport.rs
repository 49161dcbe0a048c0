//! What bytes of clients come through: a socket as it is, or TLS over one. A connection is compiled for each of them, so that
//! one does not pay for the other.

use std::io;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, OwnedReadHalf, OwnedWriteHalf};

/// The receiving half.
pub(super) trait Inlet: 'static {
    /// Appends at most `room` bytes, for which there is capacity, to `buffer`. Returns how many came; 0 at the end.
    async fn receive(&mut self, buffer: Vec<u8>, room: usize) -> (io::Result<usize>, Vec<u8>);

    /// The same, but it ends when it is cancelled, with an error unless something came. It costs a little more.
    async fn receive_until(
        &mut self,
        buffer: Vec<u8>,
        room: usize,
        cancel: CancelHandle,
    ) -> (io::Result<usize>, Vec<u8>);
}

/// The sending half.
pub(super) trait Outlet: 'static {
    /// Sends bytes of `buffer` from `sent` on. Returns how many went, which may be fewer than there are.
    async fn send(&mut self, buffer: Vec<u8>, sent: usize) -> (io::Result<usize>, Vec<u8>);

    /// Says farewell, as far as that takes no time: the connection ends.
    fn finish(&mut self);
}

impl<S: CancelableAsyncReadRent + AsyncReadRent + 'static> Inlet for OwnedReadHalf<S> {
    #[inline]
    async fn receive(&mut self, buffer: Vec<u8>, room: usize) -> (io::Result<usize>, Vec<u8>) {
        let start = buffer.len();
        let (result, slice) = self.read(SliceMut::new(buffer, start, start + room)).await;
        (result, slice.into_inner())
    }

    async fn receive_until(
        &mut self,
        buffer: Vec<u8>,
        room: usize,
        cancel: CancelHandle,
    ) -> (io::Result<usize>, Vec<u8>) {
        let start = buffer.len();
        let (result, slice) = self.cancelable_read(SliceMut::new(buffer, start, start + room), cancel).await;
        (result, slice.into_inner())
    }
}

impl<S: AsyncWriteRent + 'static> Outlet for OwnedWriteHalf<S> {
    #[inline]
    async fn send(&mut self, buffer: Vec<u8>, sent: usize) -> (io::Result<usize>, Vec<u8>) {
        let len = buffer.len();
        let (result, slice) = self.write(Slice::new(buffer, sent, len)).await;
        (result, slice.into_inner())
    }

    #[inline]
    fn finish(&mut self) {}
}
