//! Intersection, union and difference.

use super::{Item, Set, SetLimits};
use crate::value::Full;

/// The members that are in all sets: those of the smallest that are in the others, the smaller of which are asked
/// first. No set has no members. O(n m) for m sets, the smallest of n members.
pub fn intersection<'a>(sets: &[&'a Set]) -> impl Iterator<Item = Item<'a>> + use<'a> {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let smallest = sets.first().copied();
    let others = sets.split_off(sets.len().min(1));
    let members = smallest.into_iter().flat_map(Set::iter);
    members.filter(move |member| others.iter().all(|set| set.contains(member)))
}

/// The members that are in any set, as a new one. O(n) for n members in all.
pub fn union(sets: &[&Set], limits: SetLimits) -> Result<Set, Full> {
    let mut all = Set::new();
    for member in sets.iter().flat_map(|set| set.iter()) {
        all.insert(&member, limits)?;
    }
    Ok(all)
}

/// Visits the members of the first set that are in none of the others. O(n m) for m sets, the first of n members, or
/// O(n) for n members in all, whichever is likely to be less.
pub fn difference(first: &Set, others: &[&Set], visit: impl FnMut(Item<'_>)) {
    let mut others: Vec<_> = others.iter().filter(|set| !set.is_empty()).copied().collect();
    let all = others.iter().fold(first.len(), |sum, set| sum.saturating_add(set.len()));
    // Asking for members stops at the first set that has one, so half of the sets are asked.
    if first.len().saturating_mul(others.len() + 1) / 2 <= all {
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        first.iter().filter(|member| !others.iter().any(|set| set.contains(member))).for_each(visit);
        return;
    }
    let mut rest = first.clone();
    for set in others {
        if rest.is_empty() {
            return;
        }
        set.iter().for_each(|member| _ = rest.remove(&member));
    }
    rest.iter().for_each(visit);
}
