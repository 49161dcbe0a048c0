//! Collections of an entry: set, handed out to be changed, and taken.

use super::{Entry, OwnedValue, Parcel, Place, Ttl};
use crate::store::object::{Collection, Kind, LongString, Object};
use crate::store::record::compact::fits;
use crate::store::record::{Payload, Record, Value};
use crate::value::memory::malloc_size;

impl Entry<'_> {
    /// Sets a value of any other type than a string.
    pub fn set_object(&mut self, object: Object, ttl: Ttl) {
        let soonest = object.soonest();
        match object.parts().filter(fits) {
            Some(parts) => self.put(Payload::Compact(parts, 0), ttl),
            None => self.put(Payload::Boxed(Box::new(object)), ttl),
        }
        self.arm_if(soonest);
    }

    /// Sets what was taken elsewhere, with its time to live.
    pub fn set_parcel(&mut self, parcel: Parcel) {
        let ttl = parcel.expiry.map_or(Ttl::Clear, Ttl::At);
        match parcel.value {
            OwnedValue::Embedded(bytes, raw) => self.put(Payload::Embedded { bytes: &bytes, raw }, ttl),
            OwnedValue::Integer(value) => self.put(Payload::Integer(value), ttl),
            OwnedValue::Boxed(object) => {
                let soonest = object.soonest();
                match object.parts().filter(fits) {
                    Some(parts) => self.put(Payload::Compact(parts, 0), ttl),
                    None => self.put(Payload::Boxed(object), ttl),
                }
                self.arm_if(soonest);
            }
        }
    }

    /// A copy of the value with its time to live.
    pub fn copy(&self) -> Option<Parcel> {
        let record = self.record()?;
        let value = match record.value() {
            Value::Embedded { bytes, raw } => OwnedValue::Embedded(bytes.into(), raw),
            Value::Integer(value) => OwnedValue::Integer(value),
            Value::Boxed(object) => OwnedValue::Boxed(Box::new(object.clone())),
            Value::Compact(compact) => OwnedValue::Boxed(Box::new(compact.object()?.clone())),
        };
        Some(Parcel { value, expiry: record.expiry() })
    }

    /// Removes the key and hands its value out, without a copy where it has an allocation of its own.
    pub fn take(&mut self) -> Option<Parcel> {
        self.settle_object();
        let record = self.record()?;
        if !matches!(record.value(), Value::Boxed(_)) {
            let parcel = self.copy();
            self.remove();
            return parcel;
        }
        let expiry = record.expiry();
        self.uncount_record();
        let slot = self.unlink()?;
        let record = slot.into_record()?;
        // SAFETY: the record left the map with its slot, so it is ours; it is boxed.
        let object = unsafe { Record::unbox(record) };
        Some(Parcel { value: OwnedValue::Boxed(object), expiry })
    }

    /// The collection, to change it in place; `Err` with its type if the key holds something else, `Ok(None)` if it holds
    /// nothing. The entry counts afterwards what it grew or shrank.
    pub fn collection_mut<T: Collection>(&mut self) -> Result<Option<&mut T>, Kind> {
        self.settle_object();
        match self.kind() {
            None => Ok(None),
            Some(kind) if kind == T::KIND => Ok(self.object_mut().and_then(T::of_mut)),
            Some(kind) => Err(kind),
        }
    }

    /// The string, if it is one longer than a record embeds, to change it in place. The entry counts afterwards what it
    /// grew or shrank.
    pub fn string_mut(&mut self) -> Option<&mut LongString> {
        match self.record()?.value() {
            Value::Boxed(object) if object.kind() == Kind::String => self.object_mut()?.as_string_mut(),
            _ => None,
        }
    }

    /// The object, to change it in place. The entry counts afterwards what it grew or shrank. It must not be moved out of
    /// its place, nor any part of it: a small collection's bytes are those of the record.
    fn object_mut(&mut self) -> Option<&mut Object> {
        self.settle_object();
        let record = self.record()?;
        let (before, soonest) = match record.value() {
            Value::Boxed(object) => (object.memory(), object.soonest()),
            Value::Compact(_) => {
                self.touch(record);
                // SAFETY: this entry holds the exclusive lock, and settles the object before it reads the record, changes
                // it or gives the lock back. Callers get no more than a borrow; a collection copies its bytes where it
                // moves them into another form.
                self.lent = unsafe { record.lend() };
                return self.lent.as_mut();
            }
            _ => return None,
        };
        self.touch(record);
        self.object_bytes = before;
        self.object_soonest = soonest;
        let Place::Occupied(entry) = &self.place else { return None };
        // SAFETY: this entry holds the exclusive lock, and the borrow of `self` covers that of the object.
        entry.key().record().and_then(|record| unsafe { record.object_mut() })
    }

    /// Counts what an object grew or shrank since it was handed out; what outgrew its record gets another one.
    #[inline]
    pub(super) fn settle_object(&mut self) {
        if let Some(object) = self.lent.take() {
            return self.put_back(object);
        }
        if self.object_bytes == 0 {
            return;
        }
        let before = std::mem::take(&mut self.object_bytes);
        let Some(Value::Boxed(object)) = self.stored().map(Record::value) else { return };
        let (after, soonest) = (object.memory(), object.soonest());
        self.delta.bytes += after as i64 - before as i64;
        self.delta.partial += i64::from(soonest.is_some()) - i64::from(self.object_soonest.is_some());
        if soonest != self.object_soonest {
            self.arm_if(soonest);
        }
    }

    /// Takes a small collection back: where it is, or into a new record of the right size.
    fn put_back(&mut self, object: Object) {
        let Some(record) = self.stored() else { return };
        let mut parts = object.parts();
        if let Some(in_place) = parts.filter(|parts| parts.is_lent) {
            // SAFETY: this entry holds the exclusive lock; the object was lent by this record, and goes now.
            if unsafe { record.settle(&in_place) } {
                return;
            }
            parts = record.value().parts();
        }
        let (access, expiry, soonest) = (record.access(), record.expiry(), object.soonest());
        let payload = match parts.filter(fits) {
            // The room that an allocation of its own would have, so that growing costs no new record each time.
            Some(parts) => Payload::Compact(parts, malloc_size(parts.bytes.len())),
            None => Payload::Boxed(Box::new(object)),
        };
        let fresh = Record::build(self.key, expiry, payload);
        self.swap_record(fresh, access);
        self.arm_if(soonest);
    }
}
