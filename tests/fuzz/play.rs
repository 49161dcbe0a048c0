//! Collections as a store keeps them, inside a record while they are small, against the plainest models of them. Shared by a
//! test and the fuzz target.

use roster::store::{Collection, Keyspace, Local, Shape, Store, Ttl};
use roster::value::Limits;
use roster::value::hash::Hash;
use roster::value::list::{Limit, List};
use roster::value::set::{Set, SetLimits};
use roster::value::sorted_set::SortedSet;
use roster::value::stream::{NodeLimits, Stream};

use crate::moves::Moves;
use crate::raw;

/// Up to which size collections stay small in a game.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) packed: Limits,
    pub(crate) set: SetLimits,
    pub(crate) list: Limit,
    pub(crate) nodes: NodeLimits,
}

/// A collection that a model can follow.
pub(crate) trait Played: Collection {
    type Model: Default;

    /// Makes a move with both and checks that it came out alike; `None` when the moves are over.
    fn play(&mut self, model: &mut Self::Model, moves: &mut Moves<'_>, bounds: Bounds) -> Option<()>;

    /// Checks that the collection holds what the model does.
    fn check(&self, model: &Self::Model);
}

/// Plays the game that the first bytes choose.
pub(crate) fn run(data: &[u8]) {
    let Some(([game, size], rest)) = data.split_first_chunk() else { return };
    let packed = Limits {
        entries: [0, 3, 9, 1000][usize::from(size & 3)],
        value: [3, 64, 500, 5000][usize::from(size >> 2 & 3)],
    };
    let bounds = Bounds {
        packed,
        set: SetLimits { integers: [0, 4, 20, 512][usize::from(size >> 4 & 3)], packed },
        list: Limit::new([-1, -2, 1, 3][usize::from(size >> 4 & 3)]),
        nodes: NodeLimits {
            bytes: [0, 100, 4096, 4096][usize::from(size & 3)],
            entries: [0, 1, 3, 100][usize::from(size >> 4 & 3)],
        },
    };
    let moves = Moves(rest);
    match game % 8 {
        0 => play::<Hash>(moves, bounds),
        1 => play::<Set>(moves, bounds),
        2 => play::<SortedSet>(moves, bounds),
        3 => play::<List>(moves, bounds),
        4 => play::<Stream>(moves, bounds),
        5 => raw::packed(rest, bounds),
        6 => raw::integers(rest),
        _ => raw::ids(rest),
    }
}

const NOW: u64 = 1_700_000_000_000;

fn play<T: Played>(mut moves: Moves<'_>, bounds: Bounds) {
    let keyspace = Keyspace::new(Shape { databases: 1, shards: 1, workers: 1 });
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    let key = [b'k'; 9];
    let _held = keyspace.enter_key(&local, &key).unwrap_or_else(|_| panic!("nobody else is there"));
    let mut model = T::Model::default();
    while !moves.0.is_empty() {
        store.update(&key, |entry| {
            match entry.collection_mut::<T>().unwrap_or_else(|kind| panic!("it became {kind:?}")) {
                Some(value) => {
                    _ = value.play(&mut model, &mut moves, bounds);
                    if value.vanishes() {
                        entry.remove();
                    }
                }
                None => {
                    let mut value = T::default();
                    _ = value.play(&mut model, &mut moves, bounds);
                    if !value.vanishes() {
                        entry.set_object(value.into_object(), Ttl::Clear);
                    }
                }
            }
        });
        store.peek(&key, |record| {
            let Some(record) = record else { return T::default().check(&model) };
            let object = record.value().object().unwrap_or_else(|| panic!("no object"));
            T::of(&object).unwrap_or_else(|| panic!("another type")).check(&model);
        });
    }
}
