//! Collections as commands see them: reading one, changing one, and the key that comes and goes with its elements.

use super::Error;
use crate::store::{Collection, Entry, Lent, Record, Ttl, Value};
use crate::value::Full;

/// What became of a key whose collection was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed<R> {
    /// What the change returned.
    pub(super) result: R,
    /// The last element went, and the key with it: the second event is `del`.
    pub(super) vanished: bool,
}

/// The collection in a record, or nothing where there is no key; `WRONGTYPE` for any other type.
#[inline]
pub(super) fn collection_of<T: Collection>(record: Option<Record<'_>>) -> Result<Option<Lent<'_, T>>, Error> {
    match record.map(Record::value) {
        None => Ok(None),
        Some(Value::Boxed(object)) => T::of(object).ok_or(Error::WRONG_TYPE).map(|whole| Some(Lent::Whole(whole))),
        Some(Value::Compact(compact)) => compact.get().ok_or(Error::WRONG_TYPE).map(Some),
        Some(_) => Err(Error::WRONG_TYPE),
    }
}

/// Changes the collection of an entry, if there is one. A key whose last element goes is removed.
#[inline]
pub(super) fn change<T: Collection, R>(
    entry: &mut Entry<'_>,
    change: impl FnOnce(&mut T) -> Result<R, Error>,
) -> Result<Option<Changed<R>>, Error> {
    let Some(collection) = entry.collection_mut::<T>().map_err(|_| Error::WRONG_TYPE)? else { return Ok(None) };
    let result = change(collection)?;
    let vanished = collection.vanishes();
    if vanished {
        entry.remove();
    }
    Ok(Some(Changed { result, vanished }))
}

/// Changes the collection of an entry, or that which `make` makes where there is no key. If the change fails or leaves no
/// element, no key is created.
#[inline]
pub(super) fn change_or_create<T: Collection, R>(
    entry: &mut Entry<'_>,
    make: impl FnOnce() -> T,
    change: impl FnOnce(&mut T) -> Result<R, Error>,
) -> Result<Changed<R>, Error> {
    if let Some(collection) = entry.collection_mut::<T>().map_err(|_| Error::WRONG_TYPE)? {
        let result = change(collection)?;
        let vanished = collection.vanishes();
        if vanished {
            entry.remove();
        }
        return Ok(Changed { result, vanished });
    }
    let mut collection = make();
    let result = change(&mut collection)?;
    if !collection.vanishes() {
        entry.set_object(collection.into_object(), Ttl::Clear);
    }
    Ok(Changed { result, vanished: false })
}

/// Sets a key to a collection, whatever it was; an empty one removes it. Whether the key is there now.
pub(super) fn replace<T: Collection>(entry: &mut Entry<'_>, collection: T) -> bool {
    let stays = !collection.vanishes();
    if stays {
        entry.set_object(collection.into_object(), Ttl::Clear);
    } else {
        entry.remove();
    }
    stays
}

impl From<Full> for Error {
    fn from(full: Full) -> Error {
        Error::new(full.to_string())
    }
}
