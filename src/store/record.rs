//! One key: its metadata, its name and, where short, its value, in a single allocation.
//!
//! ```text
//! access u32 | meta u32 | [expiry u64] | [key length u64] | [word u64] | key bytes | [value bytes]
//! ```
//!
//! `meta` holds the kind of value (4 bits), flags (4 bits) and two 12-bit lengths, of the key and of an embedded value.
//! The key length has a word of its own where 12 bits do not hold it. `word` is an integer or the pointer to a boxed
//! [`Object`]; an embedded string has none. So a string key costs 8 bytes beyond its key and value. A small collection
//! is embedded, too, see [`compact`].

pub(super) mod compact;

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::heap;
use super::object::{Kind, Object};
use crate::value::compact::Parts;
use compact::Compact;
pub use compact::Lent;

/// The longest string that is kept inside the record, in bytes.
pub const EMBEDDED_MAX: usize = 2048;

const LEN_MAX: usize = 0xfff;
const KIND_MASK: u32 = 0xf;
const EXPIRY: u32 = 1 << 4;
const LONG_KEY: u32 = 1 << 5;
const RAW: u32 = 1 << 6;
const WORD: u32 = 1 << 7;
const KEY_SHIFT: u32 = 8;
const VALUE_SHIFT: u32 = 20;

/// How a value is kept: what `meta`'s kind says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Form {
    Embedded = 0,
    Integer = 1,
    Boxed = 2,
    /// And all numbers above, which tell the form of the collection.
    Compact = 3,
}

/// A value on its way into a record.
#[derive(Debug)]
pub enum Payload<'a> {
    /// Bytes to copy into the record; at most [`EMBEDDED_MAX`]. `raw` marks strings that were changed in place.
    Embedded {
        /// The string.
        bytes: &'a [u8],
        /// Whether it was changed in place, which `OBJECT ENCODING` tells.
        raw: bool,
    },
    /// A string that is the decimal form of an integer.
    Integer(i64),
    /// A value of its own.
    Boxed(Box<Object>),
    /// A small collection to copy into the record, with room for so many bytes.
    Compact(Parts<'a>, usize),
}

/// A value as it stands in a record.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string inside the record.
    Embedded {
        /// The string.
        bytes: &'a [u8],
        /// Whether it was changed in place, which `OBJECT ENCODING` tells.
        raw: bool,
    },
    /// A string kept as an integer.
    Integer(i64),
    /// A value of its own.
    Boxed(&'a Object),
    /// A small collection inside the record.
    Compact(Compact<'a>),
}

impl<'a> Value<'a> {
    /// The parts of a small collection inside the record.
    pub(super) fn parts(self) -> Option<Parts<'a>> {
        match self {
            Value::Compact(compact) => Some(compact.parts()),
            _ => None,
        }
    }

    /// The value, if it is an object or can be lent as one.
    pub fn object(self) -> Option<Lent<'a, Object>> {
        match self {
            Value::Embedded { .. } | Value::Integer(_) => None,
            Value::Boxed(object) => Some(Lent::Whole(object)),
            Value::Compact(compact) => compact.object(),
        }
    }
}

/// A borrowed record. The lock that protects its entry lives at least as long as `'a`.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    ptr: NonNull<u8>,
    lives: PhantomData<&'a Object>,
}

impl<'a> Record<'a> {
    /// Allocates a record.
    pub(super) fn build(key: &[u8], expiry: Option<u64>, payload: Payload<'_>) -> NonNull<u8> {
        let mut meta = match &payload {
            Payload::Embedded { bytes, raw } => {
                debug_assert!(bytes.len() <= EMBEDDED_MAX);
                Form::Embedded as u32 | (bytes.len() as u32) << VALUE_SHIFT | if *raw { RAW } else { 0 }
            }
            Payload::Integer(_) => Form::Integer as u32 | WORD,
            Payload::Boxed(_) => Form::Boxed as u32 | WORD,
            Payload::Compact(parts, _) => compact::number(parts.form),
        };
        meta |= if expiry.is_some() { EXPIRY } else { 0 };
        meta |= if key.len() > LEN_MAX { LONG_KEY } else { (key.len() as u32) << KEY_SHIFT };
        let key_at = key_offset(meta);
        if let Payload::Compact(parts, room) = &payload {
            // What the block has beyond the size asked for is room, too.
            let before = key_at + key.len();
            let block = heap::class_size(before + compact::HEAD + (*room).max(parts.bytes.len()));
            meta |= ((block - before).min(LEN_MAX) as u32) << VALUE_SHIFT;
        }
        let value_len = (meta >> VALUE_SHIFT) as usize;
        let ptr = heap::alloc(key_at + key.len() + value_len);
        // SAFETY: the block has room for the header, the fields that `meta` names, the key and the value, and nobody
        // else has its address yet. Words are at multiples of 8 in a block aligned to 8.
        unsafe {
            let base = ptr.as_ptr();
            base.cast::<u32>().write(0);
            base.add(4).cast::<u32>().write(meta);
            if let Some(expiry) = expiry {
                base.add(8).cast::<u64>().write(expiry);
            }
            if meta & LONG_KEY != 0 {
                base.add(length_offset(meta)).cast::<u64>().write(key.len() as u64);
            }
            match payload {
                Payload::Embedded { bytes, .. } => {
                    base.add(key_at + key.len()).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                Payload::Integer(value) => base.add(word_offset(meta)).cast::<i64>().write(value),
                Payload::Boxed(object) => {
                    base.add(word_offset(meta)).cast::<*mut Object>().write(Box::into_raw(object))
                }
                Payload::Compact(parts, _) => {
                    let head = base.add(key_at + key.len());
                    compact::write_head(head, parts.bytes.len(), parts.count);
                    head.add(compact::HEAD).copy_from_nonoverlapping(parts.bytes.as_ptr(), parts.bytes.len());
                }
            }
            base.add(key_at).copy_from_nonoverlapping(key.as_ptr(), key.len());
        }
        ptr
    }

    /// Frees a record with all that hangs behind it.
    ///
    /// # Safety
    /// `ptr` came from [`Record::build`], and nobody uses it any more.
    pub(super) unsafe fn free(ptr: NonNull<u8>) {
        // SAFETY: the caller owns the record.
        let record = unsafe { Record::from_raw(ptr) };
        if record.form() == Form::Boxed {
            // SAFETY: the pointer came from Box::into_raw in `build` or `set_object`, and the record owned it.
            drop(unsafe { Box::from_raw(record.object_ptr()) });
        }
        // SAFETY: the block was allocated for a size of the same class as the record's present size.
        unsafe { heap::free(ptr, record.size()) };
    }

    /// Builds a record with the same key, value and access clock, and with another expiry. An object moves over.
    ///
    /// # Safety
    /// The caller holds the entry exclusively, and of this record only frees the block, by [`Record::free_block`].
    pub(super) unsafe fn rebuild(self, expiry: Option<u64>) -> NonNull<u8> {
        let payload = match self.value() {
            Value::Compact(compact) => Payload::Compact(compact.parts(), 0),
            Value::Embedded { bytes, raw } => Payload::Embedded { bytes, raw },
            Value::Integer(value) => Payload::Integer(value),
            // SAFETY: the pointer came from Box::into_raw; the caller frees this record without it.
            Value::Boxed(_) => Payload::Boxed(unsafe { Box::from_raw(self.object_ptr()) }),
        };
        let fresh = Record::build(self.key(), expiry, payload);
        // SAFETY: it was built just now.
        unsafe { Record::from_raw(fresh) }.set_access(self.access());
        fresh
    }

    /// Frees a record without the object behind it, which belongs to another by now.
    ///
    /// # Safety
    /// As for [`Record::free`].
    pub(super) unsafe fn free_block(ptr: NonNull<u8>) {
        // SAFETY: the caller owns the block, which was allocated for a size of the same class as its present size.
        unsafe { heap::free(ptr, Record::from_raw(ptr).size()) };
    }

    /// Frees a record's own block and hands out the object behind it.
    ///
    /// # Safety
    /// As for [`Record::free`]; the record is boxed.
    pub(super) unsafe fn unbox(ptr: NonNull<u8>) -> Box<Object> {
        // SAFETY: the caller owns the record, which is boxed; its pointer came from Box::into_raw.
        unsafe {
            let record = Record::from_raw(ptr);
            debug_assert!(record.form() == Form::Boxed);
            let object = Box::from_raw(record.object_ptr());
            heap::free(ptr, record.size());
            object
        }
    }

    /// A view of the record at `ptr`.
    ///
    /// # Safety
    /// `ptr` came from [`Record::build`] and is neither freed nor changed during `'a` but through its lock's holder.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: NonNull<u8>) -> Self {
        Record { ptr, lives: PhantomData }
    }

    #[inline]
    fn meta(self) -> u32 {
        // SAFETY: the header is 8 bytes and always initialised.
        unsafe { self.ptr.as_ptr().add(4).cast::<u32>().read() }
    }

    #[inline]
    fn form(self) -> Form {
        match self.meta() & KIND_MASK {
            0 => Form::Embedded,
            1 => Form::Integer,
            2 => Form::Boxed,
            _ => Form::Compact,
        }
    }

    /// Reads the 8-byte word at `offset`, which `meta` says exists.
    #[inline]
    fn word<T: Copy>(self, offset: usize) -> T {
        debug_assert!(size_of::<T>() == 8);
        // SAFETY: callers pass the offset of a field that exists; fields are 8-byte words at multiples of 8.
        unsafe { self.ptr.as_ptr().add(offset).cast::<T>().read() }
    }

    #[inline]
    fn key_len(self) -> usize {
        let meta = self.meta();
        if meta & LONG_KEY == 0 {
            (meta >> KEY_SHIFT) as usize & LEN_MAX
        } else {
            self.word::<u64>(length_offset(meta)) as usize
        }
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        // SAFETY: the key's bytes follow the fields and live as long as the record.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr().add(key_offset(self.meta())), self.key_len()) }
    }

    /// The value.
    #[inline]
    pub fn value(self) -> Value<'a> {
        let meta = self.meta();
        match self.form() {
            Form::Embedded => {
                let at = key_offset(meta) + self.key_len();
                let len = (meta >> VALUE_SHIFT) as usize;
                // SAFETY: an embedded value of that length follows the key.
                let bytes = unsafe { std::slice::from_raw_parts(self.ptr.as_ptr().add(at), len) };
                Value::Embedded { bytes, raw: meta & RAW != 0 }
            }
            Form::Integer => Value::Integer(self.word(word_offset(meta))),
            // SAFETY: the record owns the object, and whoever holds `self` holds the entry's lock.
            Form::Boxed => Value::Boxed(unsafe { &*self.object_ptr() }),
            Form::Compact => Value::Compact(self.compact()),
        }
    }

    /// The kind of value.
    pub fn kind(self) -> Kind {
        match self.value() {
            Value::Embedded { .. } | Value::Integer(_) => Kind::String,
            Value::Boxed(object) => object.kind(),
            Value::Compact(compact) => compact.kind(),
        }
    }

    /// When the key expires, in milliseconds of Unix time.
    #[inline]
    pub fn expiry(self) -> Option<u64> {
        (self.meta() & EXPIRY != 0).then(|| self.word(8))
    }

    /// Whether the key is past its time at `now_ms`. Redis keeps a key until its very millisecond has passed.
    #[inline]
    pub fn is_expired(self, now_ms: u64) -> bool {
        self.meta() & EXPIRY != 0 && self.word::<u64>(8) < now_ms
    }

    /// When the first part of the value expires before the key does.
    #[inline]
    pub fn soonest(self) -> Option<u64> {
        match self.value() {
            Value::Boxed(object) => object.soonest(),
            _ => None,
        }
    }

    /// Whether a part of the value is past its time at `now_ms`.
    #[inline]
    pub fn has_due(self, now_ms: u64) -> bool {
        self.soonest().is_some_and(|soonest| soonest < now_ms)
    }

    /// Bytes of this record's block, without what hangs behind it.
    #[inline]
    pub(super) fn size(self) -> usize {
        let meta = self.meta();
        key_offset(meta) + self.key_len() + (meta >> VALUE_SHIFT) as usize
    }

    /// Bytes that the key takes: block and object, as the allocator counts them.
    pub fn memory(self) -> usize {
        let behind = match self.value() {
            Value::Boxed(object) => object.memory(),
            _ => 0,
        };
        heap::class_size(self.size()) + behind
    }

    #[inline]
    fn access_word(self) -> &'a AtomicU32 {
        // SAFETY: the first word of the header is only ever used as an atomic once the record is shared.
        unsafe { AtomicU32::from_ptr(self.ptr.as_ptr().cast()) }
    }

    /// The access clock: seconds of Unix time of the last access (LRU), as the eviction policy reads it.
    #[inline]
    pub fn access(self) -> u32 {
        self.access_word().load(Ordering::Relaxed)
    }

    /// Sets the access clock, touching the cache line only when it changes.
    #[inline]
    pub fn set_access(self, clock: u32) {
        if self.access() != clock {
            self.access_word().store(clock, Ordering::Relaxed);
        }
    }

    fn object_ptr(self) -> *mut Object {
        self.word(word_offset(self.meta()))
    }

    /// Writes a new expiry into a record that has one.
    ///
    /// # Safety
    /// The caller holds the entry exclusively.
    #[inline]
    pub(super) unsafe fn set_expiry(self, expiry: u64) {
        debug_assert!(self.meta() & EXPIRY != 0);
        // SAFETY: the field exists, and nobody else reads it meanwhile.
        unsafe { self.ptr.as_ptr().add(8).cast::<u64>().write(expiry) }
    }

    /// Overwrites the value in place where the block's class allows: an integer by an integer, an embedded string by one
    /// of a length of the same class. False if it does not, and then nothing changed.
    ///
    /// # Safety
    /// The caller holds the entry exclusively and no borrow of the value.
    #[inline]
    pub(super) unsafe fn overwrite(self, payload: &Payload<'_>) -> bool {
        let meta = self.meta();
        match (self.form(), payload) {
            (Form::Integer, Payload::Integer(value)) => {
                // SAFETY: the word exists, and the caller is alone.
                unsafe { self.ptr.as_ptr().add(word_offset(meta)).cast::<i64>().write(*value) };
                true
            }
            (Form::Embedded, Payload::Embedded { bytes, raw }) => {
                let at = key_offset(meta) + self.key_len();
                let (old, new) = (at + (meta >> VALUE_SHIFT) as usize, at + bytes.len());
                if old != new && (new > heap::MAX_SMALL || heap::class_size(old) != heap::class_size(new)) {
                    return false;
                }
                let low = meta & ((1 << VALUE_SHIFT) - 1) & !RAW;
                let meta = low | (bytes.len() as u32) << VALUE_SHIFT | if *raw { RAW } else { 0 };
                // SAFETY: the block is of a class that holds `new` bytes, the caller is alone, and `bytes` is not part of
                // the record, because nobody holds a borrow of the value.
                unsafe {
                    self.ptr.as_ptr().add(4).cast::<u32>().write(meta);
                    self.ptr.as_ptr().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                true
            }
            _ => false,
        }
    }

    /// The object behind a boxed record, to change it.
    ///
    /// # Safety
    /// The caller holds the entry exclusively and no other borrow of the value.
    pub(super) unsafe fn object_mut(self) -> Option<&'a mut Object> {
        if self.form() != Form::Boxed {
            return None;
        }
        // SAFETY: the record owns the object, and the caller is alone with it.
        Some(unsafe { &mut *self.object_ptr() })
    }
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("key", &self.key()).field("expiry", &self.expiry()).finish_non_exhaustive()
    }
}

/// Where the key's length stands, if it has a word of its own.
#[inline]
const fn length_offset(meta: u32) -> usize {
    8 + if meta & EXPIRY != 0 { 8 } else { 0 }
}

/// Where the integer or pointer stands, if there is one.
#[inline]
const fn word_offset(meta: u32) -> usize {
    length_offset(meta) + if meta & LONG_KEY != 0 { 8 } else { 0 }
}

/// Where the key's bytes start.
#[inline]
const fn key_offset(meta: u32) -> usize {
    word_offset(meta) + if meta & WORD != 0 { 8 } else { 0 }
}

#[cfg(test)]
mod tests;
