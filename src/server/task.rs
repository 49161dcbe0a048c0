//! Tasks that may panic without taking their worker along.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs `future` beside the others of this thread. If it panics, only it ends; the panic itself is logged by the hook of
/// [`crate::telemetry::logging`], and `name` says here whose task it was.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static, name: impl FnOnce() -> String + 'static) {
    drop(monoio::spawn(async move {
        if survive(future).await.is_err() {
            tracing::error!("the task of {} was ended by the internal error above; please report it", name());
        }
    }));
}

/// The result of `future`, or an error if it panicked.
pub(super) async fn survive<T>(future: impl Future<Output = T>) -> Result<T, ()> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(())),
    })
    .await
}
