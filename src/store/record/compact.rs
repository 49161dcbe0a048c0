//! Small collections inside their record: no allocation of their own, and no pointer to follow.
//!
//! ```text
//! bytes in use u16 | packed entries or bytes of an integer u16 | bytes | room
//! ```
//!
//! Where a string's bytes would be. The record's 12-bit length covers all of it, so that the block's size stays the
//! same while the collection grows and shrinks in its room. [`Compact::get`] lends it out as the collection that it is.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use super::Record;
use crate::store::object::{Collection, Kind, Object};
use crate::value::buffer::Buffer;
use crate::value::compact::{Form, Parts};
use crate::value::memory::malloc_size;

/// The most bytes of a collection that stay in the record.
pub(in crate::store) const COMPACT_MAX: usize = 1024;

/// Bytes before those of the collection.
pub(super) const HEAD: usize = 4;

/// The number of a form in a record's meta.
pub(super) const fn number(form: Form) -> u32 {
    match form {
        Form::Hash => 3,
        Form::Set => 4,
        Form::Integers => 5,
        Form::SortedSet => 6,
        Form::List => 7,
    }
}

/// The form with a number.
#[inline]
pub(super) const fn form(number: u32) -> Form {
    match number {
        3 => Form::Hash,
        4 => Form::Set,
        5 => Form::Integers,
        6 => Form::SortedSet,
        _ => Form::List,
    }
}

/// Whether these parts can be kept in a record.
pub(in crate::store) fn fits(parts: &Parts<'_>) -> bool {
    parts.bytes.len() <= COMPACT_MAX && parts.count <= usize::from(u16::MAX)
}

/// Writes a head.
///
/// # Safety
/// There are [`HEAD`] bytes at `at`, which nobody else uses.
pub(super) unsafe fn write_head(at: *mut u8, len: usize, count: usize) {
    // SAFETY: the caller's promise; the words need no alignment.
    unsafe {
        at.cast::<u16>().write_unaligned(len as u16);
        at.add(2).cast::<u16>().write_unaligned(count as u16);
    }
}

/// A small collection in a record.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a> {
    form: Form,
    count: u16,
    bytes: &'a [u8],
}

/// A value as it is read: where it is, or put together for the time being over bytes inside a record.
#[derive(Debug)]
pub enum Lent<'a, T> {
    /// Where it is.
    Whole(&'a T),
    /// Its bytes are those of a record that lives at least as long.
    Inside(T, PhantomData<&'a [u8]>),
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Lent::Whole(value) => value,
            Lent::Inside(value, _) => value,
        }
    }
}

impl<'a> Compact<'a> {
    /// The type of the collection.
    pub fn kind(self) -> Kind {
        match self.form {
            Form::Hash => Kind::Hash,
            Form::Set | Form::Integers => Kind::Set,
            Form::SortedSet => Kind::SortedSet,
            Form::List => Kind::List,
        }
    }

    /// The parts, to copy them.
    pub(in crate::store) fn parts(self) -> Parts<'a> {
        Parts { form: self.form, count: self.count.into(), bytes: self.bytes, is_lent: true }
    }

    /// The bytes as a buffer that must not outlive `'a`.
    #[inline]
    fn buffer(self) -> Buffer {
        // SAFETY: the bytes live as long as `'a`. The buffer comes into a `Lent` of that lifetime, which gives no mutable
        // access to it, so nobody changes them through it.
        unsafe { Buffer::lent(NonNull::from(self.bytes).cast(), self.bytes.len(), self.bytes.len()) }
    }

    /// The collection, if it is of this type. O(1).
    #[inline]
    pub fn get<T: Collection>(self) -> Option<Lent<'a, T>> {
        T::of_form(self.form, self.count.into(), self.buffer()).map(|value| Lent::Inside(value, PhantomData))
    }

    /// The collection as an object. O(1).
    pub fn object(self) -> Option<Lent<'a, Object>> {
        Object::of_parts(self.form, self.count.into(), self.buffer()).map(|value| Lent::Inside(value, PhantomData))
    }
}

impl<'a> Record<'a> {
    /// Where the head of a compact value stands, its form, and the bytes behind the head.
    #[inline]
    fn compact_place(self) -> (*mut u8, Form, usize) {
        let meta = self.meta();
        let at = super::key_offset(meta) + self.key_len();
        let room = (meta >> super::VALUE_SHIFT) as usize - HEAD;
        // SAFETY: the value follows the key within the block.
        (unsafe { self.ptr.as_ptr().add(at) }, form(meta & super::KIND_MASK), room)
    }

    /// The compact value.
    #[inline]
    pub(super) fn compact(self) -> Compact<'a> {
        let (head, form, _) = self.compact_place();
        // SAFETY: a compact value begins with its head, and so many bytes as that says follow and are initialised.
        unsafe {
            let len = head.cast::<u16>().read_unaligned();
            let count = head.add(2).cast::<u16>().read_unaligned();
            Compact { form, count, bytes: std::slice::from_raw_parts(head.add(HEAD), len.into()) }
        }
    }

    /// The compact value as an object over the record's own bytes, to change it in place.
    ///
    /// # Safety
    /// The record is compact. The caller holds the entry exclusively, keeps the object no longer than it does and the
    /// record lives, and neither reads the value meanwhile nor moves the object or a part of it elsewhere.
    pub(in crate::store) unsafe fn lend(self) -> Option<Object> {
        let (head, form, room) = self.compact_place();
        let Compact { count, bytes, .. } = self.compact();
        // SAFETY: behind the head is so much room; the caller is alone with it and keeps the buffer inside its lifetime.
        let buffer = unsafe { Buffer::lent(NonNull::new(head.add(HEAD))?, bytes.len(), room) };
        Object::of_parts(form, count.into(), buffer)
    }

    /// Notes what became of a value that [`Self::lend`] lent and that is still in place. False if most of its room is
    /// free now, and it belongs into a smaller record.
    ///
    /// # Safety
    /// As for [`Self::lend`], whose object the parts are of.
    pub(in crate::store) unsafe fn settle(self, parts: &Parts<'_>) -> bool {
        let (head, _, room) = self.compact_place();
        let len = parts.bytes.len();
        // SAFETY: the bytes are within the room, behind the head; a list's may begin later than its first byte, so they
        // may overlap with where they go. The caller is alone with them, and nobody uses the parts afterwards.
        unsafe {
            let start = head.add(HEAD);
            if !std::ptr::eq(parts.bytes.as_ptr(), start) {
                start.copy_from(parts.bytes.as_ptr(), len);
            }
            write_head(head, len, parts.count);
        }
        room < 64 || malloc_size(len) > room / 2
    }
}
