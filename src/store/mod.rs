//! The keyspace: records in shards of maps, and the protocol by which workers share them.
//!
//! [`Keyspace`] is the whole; a worker enters what its command needs ([`Keyspace::enter_key`] and its siblings), then
//! reads and changes keys through its [`Store`]. A key is one [`Record`], one allocation of the [`heap`]; larger values
//! hang behind it as an [`Object`].

mod ahead;
mod chase;
mod clock;
mod cut;
mod enter;
mod entry;
mod evict;
mod expire;
mod gate;
pub mod heap;
mod journal;
mod keyspace;
pub mod memory;
mod object;
mod observe;
mod prefetch;
pub mod reclaim;
mod record;
mod scan;
mod slot;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod wheel;
mod whole;

pub use ahead::AHEAD;
pub use ahead::Foresight;
pub use clock::Clock;
pub use cut::{Each, Progress, Room, Taker};
pub use enter::{Held, Local, Timers};
pub use entry::{Entry, OwnedValue, Parcel, Ttl};
pub use evict::{Eviction, Order, Policy};
pub use gate::Busy;
pub use journal::{Carry, Journal, Published, Recording};
pub use keyspace::{DATABASES_MAX, Keyspace, SLOTS, Shape, Totals};
pub use object::{Collection, Kind, LongString, Object, malloc_size};
pub use observe::{Change, Class, Event};
pub use prefetch::Target;
pub use record::{EMBEDDED_MAX, Lent, Record, Value};
pub use scan::Cursor;
pub use view::Store;
pub use watch::Watch;
pub use whole::Flushed;
