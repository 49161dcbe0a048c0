//! Small collections taken apart into a name, a number and bytes, so that who keeps them needs no more than the bytes.

use super::buffer::Buffer;
use super::hash::Hash;
use super::intset::IntSet;
use super::list::List;
use super::packed::Packed;
use super::set::Set;
use super::sorted_set::SortedSet;

/// Which small collection some bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A packed hash without times.
    Hash,
    /// A packed set.
    Set,
    /// A set of integers.
    Integers,
    /// A packed sorted set.
    SortedSet,
    /// A list of one chunk.
    List,
}

/// A small collection, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Which it is.
    pub form: Form,
    /// Packed entries; bytes of one integer.
    pub count: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether the bytes are somebody else's, see [`Buffer`].
    pub is_lent: bool,
}

/// A collection that can be taken apart while it is small.
pub trait Compact: Sized {
    /// The parts, while the collection is small enough to be one run of bytes. O(1).
    fn parts(&self) -> Option<Parts<'_>>;

    /// The collection that [`Self::parts`] took apart; `None` if the form is another type's. O(1). With other bytes than
    /// came from there it is any collection, perhaps with too few elements.
    fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self>;
}

fn of_packed(form: Form, packed: &Packed) -> Parts<'_> {
    Parts { form, count: packed.len(), bytes: packed.as_bytes(), is_lent: packed.is_lent() }
}

impl Compact for Hash {
    #[inline]
    fn parts(&self) -> Option<Parts<'_>> {
        self.as_packed().map(|packed| of_packed(Form::Hash, packed))
    }

    #[inline]
    fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
        (form == Form::Hash).then(|| Hash::of_plain(Packed::of_parts(bytes, count)))
    }
}

impl Compact for Set {
    #[inline]
    fn parts(&self) -> Option<Parts<'_>> {
        if let Some(packed) = self.as_packed() {
            return Some(of_packed(Form::Set, packed));
        }
        let integers = self.as_integers()?;
        let (count, bytes, is_lent) = (integers.width(), integers.as_bytes(), integers.is_lent());
        Some(Parts { form: Form::Integers, count, bytes, is_lent })
    }

    #[inline]
    fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
        match form {
            Form::Set => Some(Set::of_small(Packed::of_parts(bytes, count))),
            Form::Integers => Some(Set::of_array(IntSet::of_parts(bytes, count))),
            _ => None,
        }
    }
}

impl Compact for SortedSet {
    #[inline]
    fn parts(&self) -> Option<Parts<'_>> {
        self.as_packed().map(|packed| of_packed(Form::SortedSet, packed))
    }

    #[inline]
    fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
        (form == Form::SortedSet).then(|| SortedSet::of_small(Packed::of_parts(bytes, count)))
    }
}

impl Compact for List {
    #[inline]
    fn parts(&self) -> Option<Parts<'_>> {
        let (bytes, count, is_lent) = self.as_chunk()?;
        Some(Parts { form: Form::List, count, bytes, is_lent })
    }

    #[inline]
    fn of_parts(form: Form, count: usize, bytes: Buffer) -> Option<Self> {
        (form == Form::List).then(|| List::of_chunk(bytes, count))
    }
}
