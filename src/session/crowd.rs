//! Clients in any number, of whom any one may come or leave at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::ClientInfo;

/// From this number on an index is kept: most channels have few subscribers, and a look at those costs less than an index.
const MANY: usize = 32;

/// Clients, each once, in no order.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: Vec<Arc<ClientInfo>>,
    /// The place of each member by its id, while there are many.
    #[expect(clippy::box_collection, reason = "most crowds have no index, and a map takes six words")]
    places: Option<Box<HashMap<u64, usize>>>,
}

impl Crowd {
    /// Adds a client, which must not be a member.
    pub(super) fn add(&mut self, client: &Arc<ClientInfo>) {
        self.members.push(client.clone());
        match &mut self.places {
            Some(places) => _ = places.insert(client.id, self.members.len() - 1),
            None if self.members.len() >= MANY => {
                let places = self.members.iter().enumerate().map(|(at, member)| (member.id, at));
                self.places = Some(Box::new(places.collect()));
            }
            None => (),
        }
    }

    /// Takes a client out; nothing happens if it is no member.
    pub(super) fn remove(&mut self, id: u64) {
        let at = match &mut self.places {
            Some(places) => places.remove(&id),
            None => self.members.iter().position(|member| member.id == id),
        };
        let Some(at) = at else { return };
        self.members.swap_remove(at);
        if let Some(places) = &mut self.places {
            // The last one has its place now.
            if let Some(moved) = self.members.get(at) {
                places.insert(moved.id, at);
            }
            // Well below the number at which it is made, so that one who comes and goes does not make it each time.
            if self.members.len() < MANY / 2 {
                self.places = None;
                self.members.shrink_to(MANY);
            }
        }
    }

    /// All members.
    pub(super) fn members(&self) -> &[Arc<ClientInfo>] {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Arrival, Registry, Transport};

    #[test]
    fn members_come_and_go_in_any_number() {
        let registry = Registry::new(1);
        let arrive = || {
            let (address, local_address) = (String::new(), String::new());
            let arrival =
                Arrival { address, local_address, transport: Transport::Unix, worker: 0, now_ms: 0, socket: -1 };
            registry.register(arrival, usize::MAX).expect("no limit")
        };
        let clients: Vec<_> = (0..300).map(|_| arrive()).collect();
        let (mut crowd, mut model) = (Crowd::default(), std::collections::BTreeSet::new());
        // Up to all of them, down to none, and back, several times; the dice only choose who it is.
        let mut dice = 1u64;
        for round in 0..6000u64 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let client = &clients[(dice >> 33) as usize % clients.len()];
            let fills = round / 1500 % 2 == 0;
            if model.contains(&client.id) {
                if !fills || dice >> 62 == 0 {
                    crowd.remove(client.id);
                    model.remove(&client.id);
                }
            } else if fills || dice >> 62 == 0 {
                crowd.add(client);
                model.insert(client.id);
            } else {
                crowd.remove(client.id);
            }
            let mut ids: Vec<_> = crowd.members().iter().map(|member| member.id).collect();
            ids.sort_unstable();
            assert!(ids.iter().eq(model.iter()), "round {round}");
            let indexed = crowd.places.as_ref().map(|places| places.len());
            assert!(indexed.is_none_or(|len| len == ids.len()) && (ids.len() < MANY || indexed.is_some()));
        }
        clients.iter().for_each(|client| crowd.remove(client.id));
        assert!(crowd.members().is_empty() && crowd.places.is_none());
    }
}
