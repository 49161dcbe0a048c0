//! The two ends of a list, as words, as events, and as the methods that they stand for.

use super::{Context, Error};
use crate::protocol::Args;
use crate::store::Event;
use crate::value::list::{Iter, Limit, List};

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The first element: `LEFT`.
    Head,
    /// The last one: `RIGHT`.
    Tail,
}

impl End {
    /// The end that a word names.
    pub(super) fn parse(word: &[u8]) -> Result<End, Error> {
        if word.eq_ignore_ascii_case(b"left") {
            Ok(End::Head)
        } else if word.eq_ignore_ascii_case(b"right") {
            Ok(End::Tail)
        } else {
            Err(Error::SYNTAX)
        }
    }

    /// What happens to a key whose list gets elements at this end.
    pub(super) const fn pushed(self) -> Event {
        match self {
            End::Head => Event::list("lpush"),
            End::Tail => Event::list("rpush"),
        }
    }

    /// What happens to a key whose list loses elements at this end.
    pub(super) const fn popped(self) -> Event {
        match self {
            End::Head => Event::list("lpop"),
            End::Tail => Event::list("rpop"),
        }
    }

    /// The elements from this end on.
    #[inline]
    pub(super) fn iter(self, list: &List) -> Iter<'_> {
        match self {
            End::Head => list.iter(),
            End::Tail => list.iter_back_from(u64::MAX),
        }
    }

    /// Pushes one value.
    #[inline]
    pub(super) fn push(self, list: &mut List, value: &[u8], limit: Limit) {
        match self {
            End::Head => list.push_front([value], limit),
            End::Tail => list.push_back([value], limit),
        }
    }

    /// Pushes arguments, one after the other.
    #[inline]
    pub(super) fn push_all(self, list: &mut List, values: Args<'_>, limit: Limit) {
        match self {
            End::Head => list.push_front(values, limit),
            End::Tail => list.push_back(values, limit),
        }
    }

    /// Removes so many elements.
    #[inline]
    pub(super) fn remove(self, list: &mut List, elements: u64, limit: Limit) {
        match self {
            End::Head => list.remove_front(elements, limit),
            End::Tail => list.remove_back(elements, limit),
        }
    }
}

/// How large the chunks of a list may be, by the setting `list-max-listpack-size`.
#[inline]
pub(super) fn limit(cx: &Context<'_>) -> Limit {
    Limit::new(cx.settings().list_max_listpack_size.into())
}
