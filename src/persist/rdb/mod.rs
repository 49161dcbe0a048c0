//! RDB, Redis's format of values, in `DUMP` payloads and in files.
//!
//! Read is what Redis 2.6 to 8.4 and Valkey up to 9 write, but for the values of modules, which nobody but the module
//! can. Written is version 10, which Redis since 7.0 and every Valkey load. A hash in which fields expire has no form in
//! version 10: it is written as Redis 7.4 does, and a payload of it says version 12. A file with such a hash is to be
//! begun with [`Version::V12`].
//!
//! The same numbers mean different types to Redis since 7.4 and to Valkey since 9; [`Dialect`] tells them apart.
//!
//! - [`payload`]: one value with version and checksum, as `DUMP` gives and `RESTORE` takes it.
//! - [`file`]: the parts of a file, one after the other; [`snapshot`]: the same the other way.
//! - [`extent`]: where parts end, for readers that share a file; [`quick`]: the commonest parts, in place.
//! - [`encode`] and the decoders behind [`Input`]: values.

mod blob;
mod code;
mod collection;
pub mod crc64;
pub mod encode;
pub mod extent;
pub mod file;
mod input;
mod listpack;
mod lzf;
pub mod payload;
pub mod quick;
pub mod snapshot;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

pub use encode::{Encoder, Sink};
pub use input::Input;

use crate::store::{EMBEDDED_MAX, Object, OwnedValue};
use crate::value::set::SetLimits;
use crate::value::{Full, Limits, list};
use code::kind;

/// The latest version of Redis's that is read.
pub const REDIS_LATEST: u16 = 14;
/// The latest version that Redis and Valkey share.
const SHARED_LATEST: u16 = 11;
/// Valkey's version since its 9.0.
pub const VALKEY: u16 = 80;

/// A version that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Redis since 7.0 and every Valkey read it.
    V10 = 10,
    /// Redis since 7.4 reads it; needed where fields of hashes expire.
    V12 = 12,
}

/// Whose types the bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis's, and Valkey's before its 9.0.
    Redis,
    /// Valkey's since its 9.0.
    Valkey,
}

impl Dialect {
    /// That of a payload's version; `None` if nobody known writes it.
    pub fn of(version: u16) -> Option<Self> {
        match version {
            1..=REDIS_LATEST => Some(Dialect::Redis),
            VALKEY => Some(Dialect::Valkey),
            _ => None,
        }
    }
}

/// The forms in which values are kept, and how large a string may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the longest string, whether it is a value or a part of one.
    pub string: u64,
    /// Of lists.
    pub list: list::Limit,
    /// Of sets.
    pub set: SetLimits,
    /// Of sorted sets.
    pub sorted_set: Limits,
    /// Of hashes.
    pub hash: Limits,
}

impl Default for Bounds {
    /// Those of the default settings.
    fn default() -> Self {
        Bounds {
            string: 512 << 20,
            list: list::Limit::default(),
            set: SetLimits { integers: 512, packed: Limits { entries: 128, value: 64 } },
            sorted_set: Limits { entries: 128, value: 64 },
            hash: Limits { entries: 512, value: 64 },
        }
    }
}

/// Why bytes are not read.
#[derive(Debug)]
pub enum Damage {
    /// They end too early.
    Truncated,
    /// They could not be had.
    Source(io::Error),
    /// Something in them is wrong: what.
    Corrupt(&'static str),
    /// A string longer than [`Bounds::string`].
    TooLong(u64),
    /// A type or a part that is not known, by its byte.
    Unknown(u8),
    /// A module's value.
    Module,
    /// A collection without elements, which is no value.
    Empty,
    /// More elements than a collection can have.
    Full,
    /// A version that is not read, as it is written.
    Version(Box<[u8]>),
    /// The bytes changed since they were written.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Truncated => f.write_str("it ends in the middle"),
            Damage::Source(error) => write!(f, "it cannot be read: {error}"),
            Damage::Corrupt(what) => write!(f, "it is damaged: {what}"),
            Damage::TooLong(bytes) => write!(f, "it has a string of {bytes} bytes, more than proto-max-bulk-len"),
            Damage::Unknown(byte) => write!(f, "type {byte} is not known"),
            Damage::Module => f.write_str("it holds the value of a module, which only that module can read"),
            Damage::Empty => f.write_str("it holds a collection without elements"),
            Damage::Full => write!(f, "{Full}"),
            Damage::Version(version) => write!(f, "its version {} is not known", version.escape_ascii()),
            Damage::Checksum => f.write_str("its checksum is wrong"),
        }
    }
}

impl std::error::Error for Damage {}

impl From<Full> for Damage {
    fn from(_: Full) -> Self {
        Damage::Full
    }
}

impl<R: io::BufRead> Input<R> {
    /// Reads a value of a type. O(bytes), O(bytes log elements) where the value is a sorted set.
    ///
    /// # Errors
    /// Any [`Damage`]; how much was read is then not defined.
    pub fn value(&mut self, kind: u8) -> Result<OwnedValue, Damage> {
        let object = match kind {
            kind::STRING => return self.string_value(),
            kind::LIST | kind::LIST_ZIPLIST | kind::QUICKLIST | kind::QUICKLIST_2 => self.list(kind)?,
            kind::SET | kind::SET_INTEGERS | kind::SET_LISTPACK => self.set(kind)?,
            kind::SORTED_SET_TEXT | kind::SORTED_SET | kind::SORTED_SET_ZIPLIST | kind::SORTED_SET_LISTPACK => {
                self.sorted_set(kind)?
            }
            kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => self.hash(kind)?,
            kind::VALKEY_HASH_TIMES if self.dialect == Dialect::Valkey => self.valkey_hash()?,
            23.. if self.dialect == Dialect::Valkey => return Err(Damage::Unknown(kind)),
            kind::HASH_TIMES_EARLY | kind::HASH_TIMES => self.timed_hash(kind)?,
            kind::HASH_LISTPACK_TIMES_EARLY | kind::HASH_LISTPACK_TIMES => self.timed_listpack(kind)?,
            kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => self.stream(kind)?,
            kind::MODULE | kind::MODULE_2 => return Err(Damage::Module),
            _ => return Err(Damage::Unknown(kind)),
        };
        Ok(OwnedValue::Boxed(Box::new(object)))
    }

    fn string_value(&mut self) -> Result<OwnedValue, Damage> {
        let mut text = Vec::new();
        self.string(&mut text)?;
        if text.len() <= 20
            && let Some(number) = crate::protocol::number::parse_i64(&text)
        {
            return Ok(OwnedValue::Integer(number));
        }
        Ok(if text.len() <= EMBEDDED_MAX {
            OwnedValue::Embedded(text.into(), false)
        } else {
            // It grew as it came; it is as long as it is for now.
            text.shrink_to_fit();
            OwnedValue::Boxed(Box::new(Object::String(text.into())))
        })
    }
}
