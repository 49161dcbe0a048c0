//! Values that do not fit into their record.

use bytes::Bytes;

pub use crate::value::memory::malloc_size;

/// The type of a value, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string of bytes.
    String,
}

impl Kind {
    /// The name that `TYPE` and `SCAN … TYPE` use.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
        }
    }
}

/// A value behind a record.
#[derive(Clone, Debug)]
pub enum Object {
    /// A string longer than a record embeds.
    String(LongString),
}

impl Object {
    /// The type of the value.
    pub fn kind(&self) -> Kind {
        match self {
            Object::String(_) => Kind::String,
        }
    }

    /// The string, if the object is one.
    #[inline]
    pub fn as_string(&self) -> Option<&LongString> {
        match self {
            Object::String(string) => Some(string),
        }
    }

    /// The string, if the object is one, to change it.
    #[inline]
    pub fn as_string_mut(&mut self) -> Option<&mut LongString> {
        match self {
            Object::String(string) => Some(string),
        }
    }

    /// The name of the way in which the value is kept, as `OBJECT ENCODING` tells it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::String(_) => "raw",
        }
    }

    /// Bytes that the object takes, as the allocator counts them.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + match self {
                Object::String(string) => string.memory(),
            }
    }
}

/// A string longer than a record embeds: in memory of its own, or in that in which it arrived.
#[derive(Clone, Debug)]
pub enum LongString {
    /// As it was received. The parser's reference goes with its next request, so it is soon the only one.
    Received(Bytes),
    /// Growable.
    Owned(Vec<u8>),
}

impl LongString {
    /// The bytes, to change them. What was received becomes growable without a copy if nobody else refers to it.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        if let LongString::Received(bytes) = self {
            *self = LongString::Owned(std::mem::take(bytes).into());
        }
        match self {
            LongString::Owned(bytes) => bytes,
            LongString::Received(_) => unreachable!("it was made growable above"),
        }
    }

    fn memory(&self) -> usize {
        match self {
            LongString::Received(bytes) => malloc_size(bytes.len()),
            LongString::Owned(bytes) => malloc_size(bytes.capacity()),
        }
    }
}

impl std::ops::Deref for LongString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            LongString::Received(bytes) => bytes,
            LongString::Owned(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for LongString {
    fn from(bytes: Vec<u8>) -> Self {
        LongString::Owned(bytes)
    }
}

impl From<Bytes> for LongString {
    fn from(bytes: Bytes) -> Self {
        LongString::Received(bytes)
    }
}
