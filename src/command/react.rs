//! What follows from changes once the command that made them has left the keyspace.

use super::block;
use super::context::Worker;

/// Tells those who listen what was changed, and serves those who wait. Serving may change more keys, which is told in turn.
pub fn react(worker: &Worker) {
    while worker.local.has_changes() {
        let mut served: Option<(usize, Box<[u8]>)> = None;
        let changes = worker.local.take_changes();
        if worker.node.tracking.is_used() {
            worker.node.tracking.changed(&changes, worker.acting.get(), super::tracking::post(worker));
        }
        for change in changes {
            super::pubsub::notify(worker, &change);
            // Events of one change follow one another, and one look at its key is enough.
            if served.as_ref().is_none_or(|(database, key)| *database != change.database || *key != change.key) {
                block::serve(worker, change.database, &change.key);
                served = Some((change.database, change.key));
            }
        }
    }
}
