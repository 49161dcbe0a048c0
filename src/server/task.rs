//! Tasks that may panic without taking their worker along.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `future` beside the others of this thread. If it panics, only it ends; the panic itself is logged by the hook of
/// [`crate::telemetry::logging`], and `name` says here whose task it was.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static, name: impl FnOnce() -> String + 'static) {
    // Boxed, because each async function that a future is moved through reserves its space once more.
    let mut future = Box::pin(future);
    drop(monoio::spawn(async move {
        if survive(&mut future).await.is_err() {
            tracing::error!("the task of {} was ended by the internal error above; please report it", name());
        }
    }));
}

/// The result of `future`, or an error if it panicked. It must not be polled again then.
pub(super) async fn survive<T>(mut future: impl Future<Output = T> + Unpin) -> Result<T, ()> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(())),
    })
    .await
}
