use super::*;
use crate::value::testing::Random;

type Model = Vec<Vec<u8>>;

fn list_of<'a>(values: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>, limit: Limit) -> List {
    let mut list = List::new();
    list.push_back(values, limit);
    list
}

fn texts(list: &List) -> Model {
    list.iter().map(|item| item.to_vec()).collect()
}

/// Bytes of the chunks counted one by one, against what the list keeps count of.
fn audit(list: &List, limit: Limit) {
    let chunks: Vec<usize> = list.chunks().map(|(_, count)| count).collect();
    assert_eq!(chunks.iter().sum::<usize>() as u64, list.len());
    assert!(chunks.iter().all(|count| *count > 0));
    for (bytes, count) in list.chunks().filter(|_| list.encoding() == "quicklist") {
        assert!(count == 1 || !limit.exceeded(bytes.len() + 7, count), "{} {count}", bytes.len());
    }
    let entries: usize = list.chunks().map(|(bytes, _)| bytes.len()).sum();
    assert!(list.memory() >= entries);
}

/// One random change of both.
fn change(dice: &mut Random, list: &mut List, model: &mut Model, limit: Limit, growing: bool) {
    let longest = if dice.below(50) == 0 { 9000 } else { 30 };
    let value = dice.text(longest);
    let index = dice.below(model.len() + 2);
    match dice.below(if growing { 6 } else { 12 }) {
        0 | 1 => {
            list.push_front([&value[..], b"x"], limit);
            model.insert(0, value);
            model.insert(0, b"x".to_vec());
        }
        2 => {
            list.push_back([&value[..]], limit);
            model.push(value);
        }
        3 | 4 => {
            list.insert(index as u64, &value, limit);
            model.insert(index.min(model.len()), value);
        }
        5 => {
            assert_eq!(list.set(index as u64, &value, limit), index < model.len());
            if let Some(old) = model.get_mut(index) {
                *old = value;
            }
        }
        6 | 7 => {
            let count = dice.below(40).min(model.len());
            list.remove_front(count as u64, limit);
            model.drain(..count);
        }
        8 | 9 => {
            let count = dice.below(40);
            list.remove_back(count as u64, limit);
            model.truncate(model.len().saturating_sub(count));
        }
        10 => {
            let (pivot, before) = (dice.text(3), dice.below(2) == 0);
            let place = model.iter().position(|other| *other == pivot);
            assert_eq!(list.insert_beside(&pivot, before, &value, limit), place.is_some());
            if let Some(place) = place {
                model.insert(if before { place } else { place + 1 }, value);
            }
        }
        _ => remove_equal(dice, list, model, limit),
    }
}

fn remove_equal(dice: &mut Random, list: &mut List, model: &mut Model, limit: Limit) {
    let (value, most, from_end) = (dice.text(2), dice.below(9) as u64, dice.below(2) == 0);
    let mut left = most;
    if from_end {
        model.reverse();
    }
    model.retain(|other| {
        let gone = *other == value && left > 0;
        left -= u64::from(gone);
        !gone
    });
    if from_end {
        model.reverse();
    }
    assert_eq!(list.remove_equal(&value, most, from_end, limit), most - left);
}

#[test]
fn it_agrees_with_a_plain_array() {
    for (seed, setting) in [(1, -2), (2, -1), (3, 1), (4, 3), (5, 100), (6, 0), (7, -5)] {
        let (mut dice, limit) = (Random(seed), Limit::new(setting));
        let (mut list, mut model) = (List::new(), Model::new());
        for step in 0..6000 {
            change(&mut dice, &mut list, &mut model, limit, step % 3000 < 1500);
            if step % 61 == 0 {
                assert_eq!(texts(&list), model, "{setting} {step}");
                audit(&list, limit);
                let start = dice.below(model.len() + 3);
                let back: Model = list.iter_back_from(start as u64).map(|item| item.to_vec()).collect();
                let wanted: Model = model.iter().take(start + 1).rev().cloned().collect();
                assert_eq!(back, wanted);
                let forth: Model = list.iter_from(start as u64).map(|item| item.to_vec()).collect();
                assert_eq!(forth, model.get(start..).unwrap_or_default());
                assert_eq!(list.get(start as u64).map(|item| item.to_vec()), model.get(start).cloned());
            }
            if step % 700 == 699 {
                let (start, end) = (dice.below(model.len() + 1), dice.below(model.len() + 9));
                list.keep(start as u64..end as u64, limit);
                model = model.get(start..end.clamp(start, model.len())).unwrap_or_default().to_vec();
            }
        }
        list.keep(0..0, limit);
        assert_eq!((list.len(), list.memory(), list.encoding()), (0, 0, "listpack"));
    }
}

#[test]
fn positions_agree_with_a_plain_search() {
    let mut dice = Random(5);
    for setting in [-2, 2] {
        let values: Model = (0..3000).map(|_| dice.below(9).to_string().into_bytes()).collect();
        let list = list_of(values.iter().map(|value| &value[..]), Limit::new(setting));
        for _ in 0..300 {
            let rank = dice.below(700) as i64 - 350;
            let (count, max_len) = (dice.below(5) as u64, dice.below(4000) as u64);
            let mut found = Vec::new();
            list.positions(b"3", rank, count, max_len, |index| found.push(index));
            let mut order: Vec<usize> = (0..values.len()).collect();
            if rank < 0 {
                order.reverse();
            }
            order.truncate(if max_len == 0 { usize::MAX } else { max_len as usize });
            let matches = order.into_iter().filter(|index| values[*index] == b"3").map(|index| index as u64);
            let skipped = matches.skip((rank.unsigned_abs() as usize).saturating_sub(1));
            let wanted: Vec<u64> = skipped.take(if count == 0 { usize::MAX } else { count as usize }).collect();
            assert_eq!(found, wanted, "{rank} {count} {max_len}");
        }
    }
}

#[test]
fn the_form_follows_the_limit() {
    let limit = Limit::new(4);
    let mut list = list_of([&b"a"[..], b"b", b"c", b"d"], limit);
    assert_eq!(list.encoding(), "listpack");
    list.push_back([&b"e"[..]], limit);
    assert_eq!(list.encoding(), "quicklist");
    list.remove_front(2, limit);
    assert_eq!(list.encoding(), "quicklist");
    list.remove_front(2, limit);
    assert_eq!((list.len(), list.encoding()), (1, "listpack"));
    // Redis judges a group of values by their plain lengths.
    let value = [b'x'; 100];
    let full = list_of(vec![&value[..]; 81], Limit::default());
    assert_eq!(full.encoding(), "listpack");
    assert_eq!(list_of(vec![&value[..]; 82], Limit::default()).encoding(), "quicklist");
}

#[test]
fn inserting_beside_one_entry_leaves_full_chunks() {
    for before in [true, false] {
        let limit = Limit::default();
        let numbers: Model = (0..20_000u32).map(|number| format!("entry-{number}").into_bytes()).collect();
        let mut list = list_of(numbers.iter().map(|value| &value[..]), limit);
        for number in 0..20_000u32 {
            list.insert(10_000 + u64::from(!before), &number.to_le_bytes(), limit);
        }
        assert_eq!(list.len(), 40_000);
        audit(&list, limit);
        let chunks = list.chunks().count();
        let bytes: usize = list.chunks().map(|(bytes, _)| bytes.len()).sum();
        assert!(chunks * 8192 < bytes * 5 / 2, "{chunks} chunks for {bytes} bytes");
    }
}

#[test]
fn removing_every_other_entry_joins_chunks() {
    let limit = Limit::default();
    let numbers: Model = (0..40_000u32)
        .map(|number| if number % 16 == 0 { number.to_string() } else { "gone".into() }.into_bytes())
        .collect();
    let mut list = list_of(numbers.iter().map(|value| &value[..]), limit);
    let before = list.chunks().count();
    assert_eq!(list.remove_equal(b"gone", u64::MAX, false, limit), 37_500);
    assert!(list.chunks().count() * 4 < before, "{before} {}", list.chunks().count());
    audit(&list, limit);
}

#[test]
fn a_million_entries_take_little_more_than_their_bytes() {
    let limit = Limit::default();
    let mut tail = List::new();
    let mut head = List::new();
    for number in 0..200_000u32 {
        let value = format!("element:{number:06}");
        tail.push_back([value.as_bytes()], limit);
        head.push_front([value.as_bytes()], limit);
    }
    for list in [tail, head] {
        // 14 bytes of text and two of the listpack's.
        assert!(list.memory() < 200_000 * 17, "{}", list.memory());
    }
}

#[test]
fn huge_entries_have_chunks_of_their_own() {
    let (limit, huge) = (Limit::default(), vec![b'h'; 3 << 20]);
    let mut list = list_of([&b"1"[..], &huge, b"2", &huge, b"3"], limit);
    assert_eq!(list.chunks().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1, 1, 1, 1]);
    list.set(2, &huge, limit);
    list.insert(2, b"between", limit);
    list.set(1, b"small", limit);
    let lens: Vec<usize> = list.iter().map(|item| item.len()).collect();
    assert_eq!(lens, [1, 5, 7, 3 << 20, 3 << 20, 1]);
    assert!(list.memory() < (7 << 20) + 4096, "{}", list.memory());
}
