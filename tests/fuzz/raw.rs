//! Bytes that somebody else wrote, taken for packed sequences and arrays of integers, and texts taken for IDs.

use std::collections::BTreeSet;
use std::ffi::{CString, c_char, c_int, c_ulonglong};

use roster::value::Item;
use roster::value::buffer::Buffer;
use roster::value::compact::{Compact, Form};
use roster::value::hash::Hash;
use roster::value::intset::IntSet;
use roster::value::list::List;
use roster::value::packed::{self, Entry, Packed};
use roster::value::set::Set;
use roster::value::sorted_set::SortedSet;
use roster::value::stream::{Spelling, StreamId};

use crate::play::Bounds;

fn texts<'a>(items: impl Iterator<Item = Item<'a>>) -> Vec<Vec<u8>> {
    items.map(|item| item.to_vec()).collect()
}

/// What the validator lets through is a sequence that can be read from both ends, searched and changed.
pub(crate) fn packed(bytes: &[u8], bounds: Bounds) {
    damaged(bytes);
    let Some(sequence) = Packed::from_bytes(bytes.to_vec()) else { return };
    let all = texts(sequence.iter());
    let mut reversed = texts(sequence.iter().rev());
    reversed.reverse();
    assert_eq!((all.len(), &all), (sequence.len(), &reversed));
    assert_eq!(Packed::from_bytes(sequence.as_bytes().to_vec()), Some(sequence.clone()), "it is as we would write it");
    let mut written = Vec::new();
    all.iter().for_each(|text| packed::append(&mut written, Entry::of(text)));
    assert_eq!(written, sequence.as_bytes());
    for (index, text) in all.iter().enumerate().take(20) {
        let at = sequence.position(index).expect("it has so many");
        assert_eq!(sequence.get(at).map(|item| item.to_vec()).as_ref(), Some(text));
        let first = sequence.first().and_then(|first| sequence.find(text, first, 1)).expect("it is there");
        assert_eq!(
            all.iter().position(|other| other == text),
            (0..=index).find(|at| sequence.position(*at) == Some(first))
        );
        let mut changed = sequence.clone();
        changed.replace(at, Entry::of(b"another")).expect("there is room");
        changed.remove(at, 1);
        let mut model = all.clone();
        model.remove(index);
        assert_eq!(texts(changed.iter()), model);
    }
    let different = |stride| all.iter().step_by(stride).collect::<BTreeSet<_>>().len() == all.len().div_ceil(stride);
    let set = Set::of_packed(sequence.clone(), bounds.set).expect("there is room");
    assert_eq!(set.is_some(), different(1));
    set.iter().for_each(|set| assert!(all.iter().all(|member| set.contains(member)) && set.len() == all.len()));
    let hash = Hash::of_packed(sequence, bounds.packed).expect("there is room");
    assert_eq!(hash.is_some(), all.len() % 2 == 0 && different(2));
    for (hash, pair) in hash.iter().flat_map(|hash| all.chunks(2).map(move |pair| (hash, pair))) {
        assert_eq!(hash.get(&pair[0]).map(|value| value.to_vec()).as_ref(), Some(&pair[1]));
    }
}

/// Bytes that passed no validator, as a broken record would have them, are some collection that can at least be read.
fn damaged(bytes: &[u8]) {
    let Some((&count, bytes)) = bytes.split_first() else { return };
    let (count, buffer) = (usize::from(count), || Buffer::from(bytes.to_vec()));
    if let Some(hash) = Hash::of_parts(Form::Hash, count, buffer()) {
        hash.iter().for_each(|field| drop(hash.get(&field.name).map(|value| value.to_vec())));
        _ = (hash.random(|| 1 << 63).is_some(), hash.soonest(), hash.contains(b"7"));
    }
    if let Some(set) = Set::of_parts(Form::Set, count, buffer()) {
        set.iter().for_each(|member| _ = set.contains(&member));
        _ = set.random(|| u64::MAX).is_some();
    }
    if let Some(set) = SortedSet::of_parts(Form::SortedSet, count, buffer()) {
        set.iter(0..usize::MAX).for_each(|(member, _)| _ = set.rank(&member));
        set.iter(0..usize::MAX).rev().for_each(|(member, _)| _ = set.score(&member));
    }
    if let Some(list) = List::of_parts(Form::List, count, buffer()) {
        _ = (list.iter().count(), list.iter_back_from(u64::MAX).count(), list.get(3).is_some());
    }
    if let Some(set) = Set::of_parts(Form::Integers, [2, 4, 8][count % 3], buffer()) {
        set.iter().for_each(|member| _ = set.contains(&member));
    }
}

/// An array of integers is taken if it ascends, and is then a set.
pub(crate) fn integers(bytes: &[u8]) {
    let Some((&width, bytes)) = bytes.split_first() else { return };
    let Some(mut set) = IntSet::from_bytes(usize::from(width % 10), bytes.to_vec()) else { return };
    let mut model: BTreeSet<i64> = set.iter().collect();
    assert!(set.iter().eq(model.iter().copied()) && set.iter().rev().eq(model.iter().rev().copied()));
    assert_eq!(set.as_bytes(), bytes);
    for chunk in bytes.chunks(8).take(50) {
        let value = chunk.iter().fold(0i64, |value, byte| value << 8 | i64::from(*byte));
        for value in [value, value.wrapping_neg(), value >> 32, value >> 48] {
            assert_eq!(set.contains(value), model.contains(&value));
            assert_eq!(set.insert(value), model.insert(value));
            assert_eq!(set.remove(value ^ 1), model.remove(&(value ^ 1)));
        }
        assert!(set.iter().eq(model.iter().copied()) && set.len() == model.len());
        assert_eq!(set.get(set.len()), None);
    }
    assert_eq!(IntSet::from_bytes(set.width(), set.as_bytes().to_vec()), Some(set));
}

unsafe extern "C" {
    fn strtoull(text: *const c_char, end: *mut *mut c_char, base: c_int) -> c_ulonglong;
    fn __errno_location() -> *mut c_int;
}

/// A number as Redis reads the parts of an ID: a plain one that is not negative, or what C makes of the text.
fn number(text: &[u8]) -> Option<u64> {
    let plain = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok().filter(|value| value.to_string() == text));
    if let Some(value) = plain {
        return u64::try_from(value).ok();
    }
    let text = CString::new(text).ok()?;
    let mut end = std::ptr::null_mut();
    // SAFETY: the text ends with a zero, `end` is ours, and errno is this thread's.
    let (value, is_all, errno) = unsafe {
        *__errno_location() = 0;
        let value = strtoull(text.as_ptr(), &mut end, 10);
        (value, *end == 0, *__errno_location())
    };
    (errno == 0 && is_all && !text.is_empty()).then_some(value)
}

/// An ID is read as Redis's own code reads it; its neighbours are beside it, and it is written as it is read.
pub(crate) fn ids(text: &[u8]) {
    // A text with a zero would end there in C; there is no such ID here.
    let wanted = if text.contains(&0) || text.len() > 127 {
        None
    } else if let Some(dash) = text.iter().position(|byte| *byte == b'-') {
        let (ms, seq) = (number(&text[..dash]), &text[dash + 1..]);
        match seq {
            b"*" => ms.map(Spelling::AnySequence),
            seq => ms.and_then(|ms| Some(Spelling::Whole(StreamId::new(ms, number(seq)?)))),
        }
    } else {
        number(text).map(Spelling::Milliseconds)
    };
    let read = StreamId::parse(text);
    assert_eq!(read, wanted);
    let Some(Spelling::Whole(id)) = read else { return };
    let (next, previous) = (id.next(), id.previous());
    assert!(next.is_none_or(|next| next > id && next.previous() == Some(id)));
    assert!(previous.is_none_or(|previous| previous < id && previous.next() == Some(id)));
    assert_eq!((next.is_none(), previous.is_none()), (id == StreamId::MAX, id == StreamId::MIN));
    let mut written = Vec::new();
    id.write(&mut written);
    assert_eq!(StreamId::parse(&written), Some(Spelling::Whole(id)));
    assert_eq!(written, id.to_string().as_bytes());
}
