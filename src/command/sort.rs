//! SORT: the elements of a list, a set or a sorted set in order, or what other keys say of them.

use std::cmp::Ordering;
use std::ops::Range;

use super::collection::replace;
use super::guard;
use super::list_end::limit;
use super::sort_options::{May, Options};
use super::sort_pattern::Pattern;
use super::string::GROWING;
use super::{Access, Categories, Command, Context, Error, Flags, KeySpec};
use crate::protocol::{Args, number};
use crate::session::Mode;
use crate::store::{Event, Object, Record};
use crate::value::item::Item;
use crate::value::list::List;

/// What is sorted.
const SORTED: KeySpec = KeySpec::at(1, READ);
/// What BY and GET read.
const BESIDE: KeySpec = KeySpec::derived(
    reads_derived_keys,
    "For BY and GET with a pattern: the names derive from the elements of the key that is sorted",
    READ,
);
const DESTINATION: KeySpec =
    KeySpec::sought(destination, "For STORE, which may be anywhere among the options", Access::OW.and(Access::UPDATE));
const READ: Access = Access::RO.and(Access::ACCESS);

const CATEGORIES: Categories =
    Categories::SET.and(Categories::SORTEDSET).and(Categories::LIST).and(Categories::DANGEROUS);
const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements and M is the number of elements up to the last one returned; \
     O(N) where nothing is sorted.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("sort", -2, sort)
        .flags(GROWING)
        .keys(&[SORTED, BESIDE, DESTINATION])
        .categories(CATEGORIES)
        .complexity(COMPLEXITY)
        .doc(
            "Sorts the elements of a list, a set or a sorted set, and returns or stores them.",
            "key [BY by-pattern:pattern] [LIMIT offset count] [GET get-pattern:pattern] ... [ASC|DESC] [ALPHA] \
             [STORE destination]",
        ),
    Command::new("sort_ro", -2, sort_ro)
        .flags(Flags::READONLY)
        .keys(&[SORTED, BESIDE])
        .categories(CATEGORIES)
        .since("7.0.0")
        .complexity(COMPLEXITY)
        .doc(
            "Sorts the elements of a list, a set or a sorted set, and returns them.",
            "key [BY by-pattern:pattern] [LIMIT offset count] [GET get-pattern:pattern] ... [ASC|DESC] [ALPHA]",
        ),
];

fn reads_derived_keys(args: Args<'_>) -> bool {
    Options::parse(args.skip(2), May::ALL).is_ok_and(|options| options.reads_derived_keys())
}

fn destination(args: Args<'_>) -> Option<usize> {
    Options::parse(args.skip(2), May::ALL).ok()?.store.map(|word| word + 2)
}

fn sort(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    run(cx, args, true)
}

fn sort_ro(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    run(cx, args, false)
}

fn run(cx: &mut Context<'_>, args: Args<'_>, may_store: bool) -> Result<(), Error> {
    let may = May { store: may_store, read_derived: guard::reads_all_keys(cx, args) };
    let mut options = Options::parse(args.skip(2), may)?;
    let mut vector = Vector::load(cx, args.get(1), &mut options)?;
    if !options.unsorted {
        vector.weigh(cx, &options)?;
        vector.sort(&options);
    }
    match options.store {
        Some(word) => vector.store(cx, args.get(word + 2), &options.gets),
        None => vector.reply(cx, &options.gets),
    }
    Ok(())
}

/// The elements to be sorted. They are copied, because what they are compared by lies behind other keys.
#[derive(Default)]
struct Vector {
    /// The elements' bytes and those of their weights, one after the other.
    text: Vec<u8>,
    elements: Vec<Element>,
    /// Which of the elements are the result, once they are in order.
    window: Range<usize>,
}

#[derive(Clone, Copy)]
struct Element {
    text: Span,
    weight: Weight,
}

/// A part of [`Vector::text`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: usize,
    end: usize,
}

/// What elements are compared by before they are compared themselves.
#[derive(Clone, Copy)]
enum Weight {
    /// Only the elements themselves are compared, or this one has no weight: it comes first.
    None,
    /// A number.
    Score(f64),
    /// A string.
    Text(Span),
}

impl Vector {
    /// Copies the elements at `key`, in the order in which they are stored; if nothing is sorted, only those that `LIMIT`
    /// leaves.
    fn load(cx: &mut Context<'_>, key: &[u8], options: &mut Options<'_>) -> Result<Vector, Error> {
        let store = cx.store;
        let mut vector = Vector::default();
        store.read(key, |record| {
            cx.count_lookup(record.is_some());
            let object = match record.map(Record::value) {
                None => return Ok(()),
                Some(value) => value.object().ok_or(Error::WRONG_TYPE)?,
            };
            match &*object {
                Object::List(list) => {
                    let (part, count) = vector.plan(options, list.len() as usize);
                    if part.descending {
                        let last = (list.len() - 1).saturating_sub(part.skip as u64);
                        vector.fill(count, list.iter_back_from(last));
                    } else {
                        vector.fill(count, list.iter_from(part.skip as u64));
                    }
                }
                Object::Set(set) => {
                    if options.unsorted && (options.store.is_some() || cx.client.mode == Mode::Script) {
                        // What is stored, and what scripts do, must not depend on the order of a set, which is none.
                        (options.unsorted, options.alphabetic, options.by) = (false, true, None);
                    }
                    let (part, count) = vector.plan(options, set.len());
                    vector.fill(count, set.iter().skip(part.skip));
                }
                Object::SortedSet(set) => {
                    let len = set.len();
                    let (part, count) = vector.plan(options, len);
                    if part.descending {
                        let end = len - part.skip;
                        vector.fill(count, set.iter(end - count..end).rev().map(|(member, _)| member));
                    } else {
                        vector.fill(count, set.iter(part.skip..part.skip + count).map(|(member, _)| member));
                    }
                }
                Object::String(_) | Object::Hash(_) | Object::Stream(_) => return Err(Error::WRONG_TYPE),
            }
            Ok(())
        })?;
        Ok(vector)
    }

    /// Which of `len` stored elements are needed, and how many; says which of those the result is.
    fn plan(&mut self, options: &Options<'_>, len: usize) -> (Part, usize) {
        let window = options.window(len);
        if !options.unsorted {
            self.window = window;
            return (Part { skip: 0, descending: false }, len);
        }
        self.window = 0..window.len();
        (Part { skip: window.start, descending: options.descending }, window.len())
    }

    fn fill<'i>(&mut self, count: usize, items: impl Iterator<Item = Item<'i>>) {
        self.elements.reserve_exact(count);
        for item in items.take(count) {
            let weight = item.as_integer().map_or(Weight::None, |value| Weight::Score(value as f64));
            let text = self.append(&item);
            self.elements.push(Element { text, weight });
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() }
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Finds out what the elements are to be compared by.
    fn weigh(&mut self, cx: &mut Context<'_>, options: &Options<'_>) -> Result<(), Error> {
        let mut name = Vec::new();
        let mut value = Vec::new();
        for index in 0..self.elements.len() {
            let Element { text, weight } = self.elements[index];
            let weight = match &options.by {
                None if options.alphabetic => Weight::None,
                None => match weight {
                    Weight::Score(_) => weight,
                    _ => Weight::Score(score(self.bytes(text)).ok_or(NOT_DOUBLE)?),
                },
                Some(by) => {
                    let is_there = by.look_up(cx, self.bytes(text), &mut name, |_, found| {
                        value.clear();
                        value.extend_from_slice(found.unwrap_or_default());
                        found.is_some()
                    });
                    match (is_there, options.alphabetic) {
                        (false, true) => Weight::None,
                        (false, false) => Weight::Score(0.0),
                        (true, true) => Weight::Text(self.append(&value)),
                        (true, false) => Weight::Score(score(&value).ok_or(NOT_DOUBLE)?),
                    }
                }
            };
            self.elements[index].weight = weight;
        }
        Ok(())
    }

    /// Puts the elements up to the end of the window in order; what is behind it goes.
    fn sort(&mut self, options: &Options<'_>) {
        let mut elements = std::mem::take(&mut self.elements);
        let order = |a: &Element, b: &Element| {
            let order = self.compare(a, b, options.by.is_some());
            let order = if options.descending { order.reverse() } else { order };
            // What is equal stays as it was.
            order.then(a.text.cmp(&b.text))
        };
        if self.window.is_empty() {
            elements.clear();
        } else if self.window.end < elements.len() {
            elements.select_nth_unstable_by(self.window.end - 1, order);
            elements.truncate(self.window.end);
        }
        elements.sort_unstable_by(order);
        self.elements = elements;
    }

    fn compare(&self, a: &Element, b: &Element, weighed: bool) -> Ordering {
        let elements = || self.bytes(a.text).cmp(self.bytes(b.text));
        match (a.weight, b.weight) {
            (Weight::Score(x), Weight::Score(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal).then_with(elements),
            (Weight::Text(x), Weight::Text(y)) => self.bytes(x).cmp(self.bytes(y)),
            (Weight::None, Weight::None) if weighed => Ordering::Equal,
            (Weight::None, Weight::None) => elements(),
            (Weight::None, _) => Ordering::Less,
            (_, Weight::None) => Ordering::Greater,
            (Weight::Score(_), Weight::Text(_)) | (Weight::Text(_), Weight::Score(_)) => Ordering::Equal,
        }
    }

    fn result(&self) -> &[Element] {
        self.elements.get(self.window.clone()).unwrap_or_default()
    }

    /// Replies each element, or what it gets instead.
    fn reply(&self, cx: &mut Context<'_>, gets: &[Pattern<'_>]) {
        let mut name = Vec::new();
        let elements = self.result();
        cx.reply.array(elements.len().saturating_mul(gets.len().max(1)));
        for element in elements {
            let text = self.bytes(element.text);
            if gets.is_empty() {
                cx.reply.bulk(text);
            }
            for get in gets {
                get.look_up(cx, text, &mut name, |cx, found| cx.reply.bulk_or_null(found));
            }
        }
    }

    /// Stores as a list what [`Self::reply`] would reply, the empty string for null. An empty result removes the key.
    fn store(&self, cx: &mut Context<'_>, key: &[u8], gets: &[Pattern<'_>]) {
        let (store, limit) = (cx.store, limit(cx));
        let mut name = Vec::new();
        let mut list = List::new();
        for element in self.result() {
            let text = self.bytes(element.text);
            if gets.is_empty() {
                list.push_back([text], limit);
            }
            for get in gets {
                get.look_up(cx, text, &mut name, |_, found| list.push_back([found.unwrap_or_default()], limit));
            }
        }
        let len = list.len();
        store.update(key, |entry| {
            let was_there = entry.record().is_some();
            if replace(entry, list) {
                store.changed(key, Event::list("sortstore"));
                store.count_changes(len - 1);
            } else if was_there {
                store.changed(key, Event::DEL);
            }
        });
        cx.reply.integer(len as i64);
    }
}

/// Where in a collection the needed elements are.
struct Part {
    skip: usize,
    descending: bool,
}

const NOT_DOUBLE: Error =
    Error::Reply(std::borrow::Cow::Borrowed("ERR One or more scores can't be converted into double"));

/// A number as C's `strtod` reads it, which is what Redis does here: white space before it and nothing at all are fine, and
/// a NUL ends it.
fn score(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    number::parse_f64(&text[text.iter().take_while(|byte| space(byte)).count()..])
}

#[cfg(test)]
mod tests;
