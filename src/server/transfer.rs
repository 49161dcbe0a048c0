//! Transfers of keys to other servers are brought to their end here, whether the client that asked for them stays or not.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use super::task;
use crate::command::{conclude, is_unserved, serve_later, unix_ms};
use crate::session::{Client, Transfer};

/// The sleep where others are in the way of removing the keys, or a pause is.
const SLEEP: Duration = Duration::from_millis(1);

/// Takes over the transfer that a client's last command has begun, if it has.
pub(super) fn take_over(hub: &Rc<Hub>, client: &mut Client) {
    if let Some(transfer) = client.transfer.take() {
        let (hub, id) = (hub.clone(), client.info.id);
        hub.transfers.set(hub.transfers.get() + 1);
        task::spawn(
            async move {
                let _count = Count(&hub);
                finish(&hub, &transfer).await;
            },
            move || format!("a transfer of client {id}"),
        );
    }
}

/// Counts a transfer until this is dropped.
struct Count<'a>(&'a Hub);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.transfers.set(self.0.transfers.get() - 1);
    }
}

async fn finish(hub: &Hub, transfer: &Arc<Transfer>) {
    let delivery = poll_fn(|context| transfer.poll(context)).await;
    // Whoever pauses the clients wants nothing to change.
    while hub.node.pause.at(unix_ms()).is_some() || !conclude(&hub.refreshed(), transfer, &delivery) {
        monoio::time::sleep(SLEEP).await;
    }
    while is_unserved(&hub.worker.borrow()) {
        monoio::time::sleep(SLEEP).await;
        serve_later(&hub.worker.borrow());
    }
}
