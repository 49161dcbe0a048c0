//! Values that do not fit into their record.

use bytes::Bytes;

use crate::value::buffer::Buffer;
use crate::value::compact::{Compact, Form, Parts};
use crate::value::hash::Hash;
use crate::value::list::List;
use crate::value::memory::box_size;
pub use crate::value::memory::malloc_size;
use crate::value::set::Set;
use crate::value::sorted_set::SortedSet;
use crate::value::stream::Stream;

/// The type of a value, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string of bytes.
    String,
    /// A list of strings.
    List,
    /// A set of strings.
    Set,
    /// A set of strings with scores.
    SortedSet,
    /// Fields with values.
    Hash,
    /// An append-only log of entries.
    Stream,
}

impl Kind {
    /// The name that `TYPE` and `SCAN … TYPE` use.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// A value behind a record.
#[derive(Clone, Debug)]
pub enum Object {
    /// A string longer than a record embeds.
    String(LongString),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A hash.
    Hash(Hash),
    /// A stream, which is large even when empty.
    Stream(Box<Stream>),
}

/// A value of many elements, as one of the [`Object`]s.
pub trait Collection: Sized + Default {
    /// Its type.
    const KIND: Kind;
    /// The collection in an object, if it is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// The same, to change it.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// The collection of a form, if it is of this type and can be small.
    fn of_form(form: Form, count: usize, bytes: Buffer) -> Option<Self>;
    /// As an object.
    fn into_object(self) -> Object;
    /// Whether its key goes, because it has no element. A stream stays.
    fn vanishes(&self) -> bool;
}

macro_rules! collections {
    ($($type:ident: |$value:ident| $vanishes:expr, $of_form:expr;)+) => {
        $(impl Collection for $type {
            const KIND: Kind = Kind::$type;
            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$type(value) => Some(value),
                    _ => None,
                }
            }
            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                match object {
                    Object::$type(value) => Some(value),
                    _ => None,
                }
            }
            #[inline]
            fn of_form(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
                $of_form(form, count, bytes)
            }
            fn into_object(self) -> Object {
                Object::$type(self.into())
            }
            #[inline]
            fn vanishes(&self) -> bool {
                let $value = self;
                $vanishes
            }
        })+
    };
}

collections! {
    List: |list| list.is_empty(), List::of_parts;
    Set: |set| set.is_empty(), Set::of_parts;
    SortedSet: |set| set.is_empty(), SortedSet::of_parts;
    Hash: |hash| hash.is_empty(), Hash::of_parts;
    Stream: |_stream| false, |_, _, _| None;
}

impl Object {
    /// The type of the value.
    pub fn kind(&self) -> Kind {
        match self {
            Object::String(_) => Kind::String,
            Object::List(_) => Kind::List,
            Object::Set(_) => Kind::Set,
            Object::SortedSet(_) => Kind::SortedSet,
            Object::Hash(_) => Kind::Hash,
            Object::Stream(_) => Kind::Stream,
        }
    }

    /// The parts of a small collection.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        match self {
            Object::List(list) => list.parts(),
            Object::Set(set) => set.parts(),
            Object::SortedSet(set) => set.parts(),
            Object::Hash(hash) => hash.parts(),
            Object::String(_) | Object::Stream(_) => None,
        }
    }

    /// The small collection with these parts.
    pub(super) fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
        match form {
            Form::Hash => Hash::of_parts(form, count, bytes).map(Object::Hash),
            Form::Set | Form::Integers => Set::of_parts(form, count, bytes).map(Object::Set),
            Form::SortedSet => SortedSet::of_parts(form, count, bytes).map(Object::SortedSet),
            Form::List => List::of_parts(form, count, bytes).map(Object::List),
        }
    }

    /// The string, if the object is one.
    #[inline]
    pub fn as_string(&self) -> Option<&LongString> {
        match self {
            Object::String(string) => Some(string),
            _ => None,
        }
    }

    /// The string, if the object is one, to change it.
    #[inline]
    pub fn as_string_mut(&mut self) -> Option<&mut LongString> {
        match self {
            Object::String(string) => Some(string),
            _ => None,
        }
    }

    /// The name of the way in which the value is kept, as `OBJECT ENCODING` tells it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::String(_) => "raw",
            Object::List(list) => list.encoding(),
            Object::Set(set) => set.encoding(),
            Object::SortedSet(set) => set.encoding(),
            Object::Hash(hash) => hash.encoding(),
            Object::Stream(stream) => stream.encoding(),
        }
    }

    /// When a part of the value expires before the key does: the soonest field of a hash, in milliseconds of Unix time.
    #[inline]
    pub fn soonest(&self) -> Option<u64> {
        match self {
            Object::Hash(hash) => hash.soonest(),
            _ => None,
        }
    }

    /// Bytes that the object takes, as the allocator counts them.
    pub fn memory(&self) -> usize {
        box_size::<Self>()
            + match self {
                Object::String(string) => string.memory(),
                Object::List(list) => list.memory(),
                Object::Set(set) => set.memory(),
                Object::SortedSet(set) => set.memory(),
                Object::Hash(hash) => hash.memory(),
                Object::Stream(stream) => box_size::<Stream>() + stream.memory(),
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
