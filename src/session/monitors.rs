//! `MONITOR`: clients that see what all others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::RwLock;

use super::ClientInfo;

/// The clients that watch.
#[derive(Debug, Default)]
pub struct Monitors {
    count: AtomicUsize,
    clients: RwLock<Vec<Arc<ClientInfo>>>,
}

impl Monitors {
    /// Whether anybody watches: one relaxed load, which is all that a command costs when nobody does.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Adds a client, which must not be there.
    pub fn add(&self, client: &Arc<ClientInfo>) {
        let mut clients = self.clients.write();
        clients.push(client.clone());
        self.count.store(clients.len(), Relaxed);
    }

    /// Takes a client out.
    pub fn remove(&self, client: &ClientInfo) {
        let mut clients = self.clients.write();
        clients.retain(|other| other.id != client.id);
        self.count.store(clients.len(), Relaxed);
    }

    /// Sends a line to all. Who lets more than `limit` bytes wait (0: no limit) is cut off.
    pub fn tell(&self, line: &Bytes, limit: u64) {
        for client in &*self.clients.read() {
            client.send(line.clone(), limit);
        }
    }
}
