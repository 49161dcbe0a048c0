use std::collections::BTreeMap;

use super::*;
use crate::value::testing::Random;

type Entries = BTreeMap<StreamId, Vec<Vec<u8>>>;

const GROUP: &[u8] = b"group";

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn add(stream: &mut Stream, id: StreamId, elements: &[&[u8]]) {
    stream.add(id, elements.iter().copied(), NodeLimits::default()).expect("the ID is above");
}

fn plain(record: Record<'_>) -> (StreamId, Vec<Vec<u8>>) {
    (record.id, record.fields.flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect())
}

fn elements(dice: &mut Random) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    // Mostly the same fields, so that nodes share them, and now and then others.
    let others = dice.below(8) == 0;
    for field in 0..1 + dice.below(if others { 5 } else { 1 }) {
        elements.push(if others { dice.text(20) } else { format!("field-{field}").into_bytes() });
        let longest = if dice.below(60) == 0 { 5000 } else { 20 };
        elements.push(dice.text(longest));
    }
    elements
}

/// An ID above the last one: often the next, at times far away.
fn next_id(dice: &mut Random, last: StreamId) -> StreamId {
    match dice.below(20) {
        0 => id(last.ms + 1 + dice.bits() % (1 << 30), dice.bits()),
        1..8 => last.next().expect("it is not the last"),
        _ => id(last.ms + 1 + dice.below(3) as u64, 0),
    }
}

fn trim(dice: &mut Random, stream: &mut Stream, model: &mut Entries) {
    let keep = match dice.below(2) {
        0 => Keep::Entries((model.len() as u64).saturating_sub(dice.below(60) as u64)),
        _ => Keep::From(model.keys().nth(dice.below(60)).copied().unwrap_or(StreamId::MIN)),
    };
    let approximate = dice.below(2) == 0;
    let limit = if approximate { dice.below(300) as u64 } else { 0 };
    let removed = stream.trim(Trim { keep, approximate, limit });
    let due = match keep {
        Keep::Entries(most) => model.len() - most as usize,
        Keep::From(start) => model.range(..start).count(),
    };
    assert!(if approximate { removed <= due as u64 } else { removed == due as u64 });
    assert!(limit == 0 || removed <= limit);
    for _ in 0..removed {
        model.pop_first();
    }
}

#[test]
fn it_agrees_with_a_sorted_map() {
    for (seed, limits) in [(1, (4096, 100)), (2, (0, 3)), (3, (200, 0)), (4, (4096, 1)), (5, (0, 0))] {
        let limits = NodeLimits { bytes: limits.0, entries: limits.1 };
        let (mut dice, mut stream, mut model) = (Random(seed), Stream::new(), Entries::new());
        for step in 0..8000 {
            match dice.below(if step % 4000 < 2000 { 5 } else { 12 }) {
                0..5 => {
                    let (id, elements) = (next_id(&mut dice, stream.last_id()), elements(&mut dice));
                    assert_eq!(stream.add(id, elements.iter().map(|element| &element[..]), limits), Ok(()));
                    assert_eq!(stream.add(id, [&b"f"[..], b"v"], limits), Err(AddError::NotAbove));
                    model.insert(id, elements);
                }
                5..9 if !model.is_empty() => {
                    let victim = *model.keys().nth(dice.below(model.len())).expect("it is there");
                    assert!(stream.delete(victim) && !stream.delete(victim));
                    model.remove(&victim);
                }
                9 => trim(&mut dice, &mut stream, &mut model),
                _ => {
                    let missing = id(dice.bits(), 0);
                    assert_eq!(stream.contains(missing), model.contains_key(&missing));
                    assert_eq!(stream.delete(missing), model.remove(&missing).is_some());
                }
            }
            assert_eq!(stream.len(), model.len() as u64);
            assert_eq!(stream.first_id(), model.keys().next().copied().unwrap_or_default());
            if step % 101 == 0 {
                compare(&mut dice, &stream, &model);
            }
        }
    }
}

fn compare(dice: &mut Random, stream: &Stream, model: &Entries) {
    let mut edge = || match dice.below(4) {
        0 => StreamId::MIN,
        1 => StreamId::MAX,
        2 => id(dice.bits() % 20_000, dice.bits() % 3),
        _ => model.keys().nth(dice.below(model.len() + 1)).copied().unwrap_or_default(),
    };
    let (a, b) = (edge(), edge());
    let (start, end) = (a.min(b), a.max(b));
    let wanted: Vec<_> = model.range(start..=end).map(|(id, elements)| (*id, elements.clone())).collect();
    assert_eq!(stream.range(start, end).map(plain).collect::<Vec<_>>(), wanted);
    let back: Vec<_> = wanted.into_iter().rev().collect();
    assert_eq!(stream.range_back(start, end).map(plain).collect::<Vec<_>>(), back);
    assert_eq!(stream.range(end, start).count(), usize::from(start == end && model.contains_key(&start)));
    for (id, elements) in model.iter().step_by(7) {
        assert_eq!(stream.get(*id).map(plain), Some((*id, elements.clone())));
    }
    assert_eq!(stream.last_entry_id(), model.keys().last().copied());
}

#[test]
fn ids_end_at_the_edge() {
    let mut stream = Stream::new();
    assert_eq!(stream.add(StreamId::MIN, [&b"f"[..], b"v"], NodeLimits::default()), Err(AddError::NotAbove));
    assert_eq!((stream.next_id(5), stream.next_id(0)), (Some(id(5, 0)), Some(id(0, 1))));
    add(&mut stream, id(7, u64::MAX), &[b"f", b"v"]);
    assert_eq!((stream.next_id(7), stream.next_id_in(7), stream.next_id_in(8)), (Some(id(8, 0)), None, Some(id(8, 0))));
    add(&mut stream, StreamId::MAX, &[b"f", b"v"]);
    assert_eq!((stream.next_id(9), stream.next_id_in(u64::MAX)), (None, None));
    assert_eq!(stream.range(StreamId::MIN, StreamId::MAX).count(), 2);
    assert_eq!(stream.range_back(StreamId::MAX, StreamId::MAX).count(), 1);
    stream.create_group(GROUP, id(7, u64::MAX), None);
    let consumer = stream.group_mut(GROUP).map(|group| group.consumer_or_create(b"c", 1).0).expect("it is there");
    let read = Read { consumer, count: 0, acknowledged: false, now_ms: 1 };
    assert_eq!(stream.deliver(GROUP, read, |_| {}), 1);
    assert_eq!(stream.deliver(GROUP, read, |_| {}), 0);
}

#[test]
fn the_last_id_is_set_within_bounds() {
    let mut stream = Stream::new();
    assert_eq!(stream.set_id(id(5, 0), Some(9), Some(id(2, 0))), Ok(()));
    assert_eq!((stream.last_id(), stream.entries_added(), stream.max_deleted_id()), (id(5, 0), 9, id(2, 0)));
    assert_eq!(stream.set_id(id(1, 0), None, None), Err(SetIdError::BelowDeleted));
    add(&mut stream, id(6, 0), &[b"f", b"v"]);
    assert_eq!(stream.set_id(id(5, 0), None, None), Err(SetIdError::BelowLast));
    assert_eq!(stream.set_id(id(6, 0), Some(0), None), Err(SetIdError::TooFewAdded));
    assert_eq!(stream.set_id(id(6, 0), Some(1), Some(StreamId::MIN)), Ok(()));
    assert_eq!((stream.entries_added(), stream.max_deleted_id()), (1, id(2, 0)));
}

/// What is pending, kept plainly.
type Model = BTreeMap<StreamId, (u8, i64, u64)>;

fn check_group(stream: &Stream, model: &Model, now: i64) {
    let group = stream.group(GROUP).expect("it is there");
    let name = |consumer| group.consumer(consumer).expect("it is there").name()[0];
    let pending: Vec<_> =
        group.pending_from(StreamId::MIN).map(|p| (p.id, (name(p.consumer), p.time, p.count))).collect();
    assert_eq!(pending, model.iter().map(|(id, entry)| (*id, *entry)).collect::<Vec<_>>());
    assert_eq!(group.pending_len(), model.len() as u64);
    assert_eq!(group.pending_edges(), model.keys().next().copied().zip(model.keys().last().copied()));
    let mut memory = 0;
    for (consumer, state) in group.consumers() {
        let own: Vec<StreamId> = state.pending_from(StreamId::MIN).collect();
        let wanted = model.iter().filter(|(_, entry)| entry.0 == state.name()[0]);
        assert_eq!(own, wanted.clone().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(state.pending_len(), own.len() as u64);
        let idle =
            group.pending_range(StreamId::MIN..=StreamId::MAX, Some(consumer), 30, now).map(|pending| pending.id);
        assert_eq!(
            idle.collect::<Vec<_>>(),
            wanted.filter(|(_, e)| now - e.1 >= 30).map(|(id, _)| *id).collect::<Vec<_>>()
        );
        memory += own.len() * size_of::<StreamId>();
    }
    assert!(group.memory() >= memory + model.len() * size_of::<Pending>());
}

#[test]
fn groups_agree_with_a_plain_map() {
    let (mut dice, mut stream, mut model) = (Random(8), Stream::new(), Model::new());
    stream.create_group(GROUP, StreamId::MIN, Some(0)).expect("it is new");
    assert!(stream.create_group(GROUP, StreamId::MIN, None).is_none());
    let names: Vec<[u8; 1]> = (b'a'..b'f').map(|name| [name]).collect();
    for now in 0..12_000i64 {
        let name = names[dice.below(names.len())];
        let (consumer, _) = stream.group_mut(GROUP).expect("it is there").consumer_or_create(&name, now);
        let count = dice.below(9) as u64;
        let read = Read { consumer, count, acknowledged: dice.below(9) == 0, now_ms: now };
        let some = model.keys().nth(dice.below(model.len() + 1)).copied().unwrap_or_default();
        let claim = Claim {
            consumer,
            min_idle: dice.below(50) as i64,
            time: now,
            count: None,
            just_id: dice.below(3) == 0,
            force: false,
            now_ms: now,
        };
        match dice.below(12) {
            0..4 => {
                let next = next_id(&mut dice, stream.last_id());
                add(&mut stream, next, &[b"field", b"value"]);
            }
            4 => {
                let first = stream.group(GROUP).expect("it is there").last_delivered;
                let wanted: Vec<_> =
                    stream.range(first.next().expect("not the last"), StreamId::MAX).map(|r| r.id).collect();
                let wanted = &wanted[..if count == 0 { wanted.len() } else { wanted.len().min(count as usize) }];
                let mut ids = Vec::new();
                assert_eq!(stream.deliver(GROUP, read, |record| ids.push(record.id)), wanted.len() as u64);
                assert_eq!(ids, wanted);
                if !read.acknowledged {
                    model.extend(ids.into_iter().map(|id| (id, (name[0], now, 1))));
                }
            }
            5 => {
                let mut ids = Vec::new();
                stream.deliver_again(GROUP, read, some, |id, record| ids.push((id, record.is_some())));
                let own: Vec<_> = model.range(some..).filter(|(_, e)| e.0 == name[0]).map(|(id, _)| *id).collect();
                let own = &own[..if count == 0 { own.len() } else { own.len().min(count as usize) }];
                assert_eq!(ids.iter().map(|(id, _)| *id).collect::<Vec<_>>(), own);
                for (id, there) in ids {
                    assert_eq!(there, stream.contains(id));
                    if let Some(entry) = model.get_mut(&id).filter(|_| there) {
                        *entry = (name[0], now, entry.2 + 1);
                    }
                }
            }
            6 | 7 => assert_eq!(
                stream.group_mut(GROUP).expect("it is there").acknowledge(some),
                model.remove(&some).is_some()
            ),
            8 => {
                stream.delete(some);
            }
            9 => claim_one(&mut stream, &mut model, some, name[0], claim),
            10 => claim_many(&mut stream, &mut model, some, count + 1, name[0], claim),
            _ if dice.below(20) == 0 => {
                let gone = model.iter().filter(|(_, entry)| entry.0 == name[0]).count() as u64;
                assert_eq!(stream.group_mut(GROUP).expect("it is there").delete_consumer(&name), Some(gone));
                model.retain(|_, entry| entry.0 != name[0]);
            }
            _ => {}
        }
        if now % 50 == 0 {
            check_group(&stream, &model, now);
        }
    }
    assert!(stream.destroy_group(GROUP) && !stream.destroy_group(GROUP));
}

fn claim_one(stream: &mut Stream, model: &mut Model, id: StreamId, name: u8, claim: Claim) {
    let there = stream.contains(id);
    let claimed = stream.claim(GROUP, id, claim);
    match (model.get_mut(&id), there) {
        (Some(_), false) => {
            assert!(matches!(claimed, Some(Claimed::Gone(gone)) if gone.id == id));
            model.remove(&id);
        }
        (Some(entry), true) if claim.min_idle == 0 || claim.now_ms - entry.1 >= claim.min_idle => {
            *entry = (name, claim.time, entry.2 + u64::from(!claim.just_id));
            assert!(
                matches!(claimed, Some(Claimed::Taken(record, pending)) if record.id == id && pending.count == entry.2)
            );
        }
        _ => assert!(claimed.is_none()),
    }
}

fn claim_many(stream: &mut Stream, model: &mut Model, start: StreamId, count: u64, name: u8, claim: Claim) {
    let (mut attempts, mut left) = (count * 10, count);
    let mut wanted = StreamId::MIN;
    for id in model.range(start..).map(|(id, _)| *id).collect::<Vec<_>>() {
        if attempts == 0 || left == 0 {
            wanted = id;
            break;
        }
        attempts -= 1;
        let entry = model[&id];
        if !stream.contains(id) {
            model.remove(&id);
            left -= 1;
        } else if claim.min_idle == 0 || claim.now_ms - entry.1 >= claim.min_idle {
            model.insert(id, (name, claim.time, entry.2 + u64::from(!claim.just_id)));
            left -= 1;
        }
    }
    let mut changed = 0;
    assert_eq!(stream.auto_claim(GROUP, start, count, claim, |_| changed += 1), wanted);
    assert_eq!(changed, count - left);
}

#[test]
fn a_forced_claim_makes_an_entry_pending() {
    let mut stream = Stream::new();
    add(&mut stream, id(1, 0), &[b"f", b"v"]);
    let group = stream.create_group(GROUP, StreamId::MIN, None).expect("it is new");
    let (consumer, created) = group.consumer_or_create(b"c", 5);
    assert!(created);
    let claim = Claim { consumer, min_idle: 9, time: 7, count: None, just_id: false, force: true, now_ms: 8 };
    assert!(stream.claim(GROUP, id(2, 0), claim).is_none());
    assert!(matches!(stream.claim(GROUP, id(1, 0), claim), Some(Claimed::Taken(_, Pending { count: 2, time: 7, .. }))));
    assert!(stream.is_referenced(id(1, 0)));
    stream.acknowledge_everywhere(id(1, 0));
    assert_eq!(stream.group(GROUP).map(Group::pending_len), Some(0));
}

#[test]
fn a_million_entries_take_few_bytes_each() {
    let mut stream = Stream::new();
    for number in 0..200_000u64 {
        let value = format!("value:{number:06}");
        add(&mut stream, id(1_700_000_000_000 + number / 3, number % 3), &[b"field", value.as_bytes()]);
    }
    assert_eq!(stream.nodes(), 2000);
    // 13 bytes of value and its mark, and 6 of ID and framing.
    assert!(stream.memory() < 200_000 * 23, "{}", stream.memory());
    for number in (0..200_000u64).filter(|number| number % 10 > 0) {
        assert!(stream.delete(id(1_700_000_000_000 + number / 3, number % 3)));
    }
    assert!(stream.memory() < 200_000 * 6, "{}", stream.memory());
    assert_eq!(stream.range(StreamId::MIN, StreamId::MAX).count(), 20_000);
}

#[test]
fn trimming_heeds_the_groups() {
    let limits = NodeLimits { bytes: 0, entries: 3 };
    let trim = |keep, approximate, limit| Trim { keep, approximate, limit };
    let make = || {
        let mut stream = Stream::new();
        for ms in 1..=9 {
            stream.add(id(ms, 0), [&b"f"[..], b"v"], limits).expect("IDs ascend");
        }
        let group = stream.create_group(GROUP, StreamId::MIN, None).expect("it is new");
        let consumer = group.consumer_or_create(b"c", 1).0;
        stream.deliver(GROUP, Read { consumer, count: 6, acknowledged: false, now_ms: 1 }, |_| {});
        for ms in [1, 2, 5] {
            assert!(stream.group_mut(GROUP).is_some_and(|group| group.acknowledge(id(ms, 0))));
        }
        stream
    };
    let left = |stream: &Stream| stream.range(StreamId::MIN, StreamId::MAX).map(|r| r.id.ms).collect::<Vec<_>>();
    let pending = |stream: &Stream| stream.group(GROUP).map(Group::pending_len);

    let mut stream = make();
    assert_eq!(stream.trim_with(trim(Keep::Entries(1), false, 0), References::Respect), 3);
    assert_eq!((left(&stream), pending(&stream)), (vec![3, 4, 6, 7, 8, 9], Some(3)));
    assert_eq!((stream.first_id(), stream.max_deleted_id()), (id(3, 0), id(5, 0)));
    assert_eq!(stream.trim_with(trim(Keep::Entries(1), false, 0), References::Respect), 0);

    let mut stream = make();
    assert_eq!(stream.trim_with(trim(Keep::From(id(5, 0)), false, 0), References::Delete), 4);
    assert_eq!((left(&stream), pending(&stream)), (vec![5, 6, 7, 8, 9], Some(1)));
    assert_eq!((stream.first_id(), stream.max_deleted_id()), (id(5, 0), StreamId::MIN));

    // Only whole nodes go, and only as many as the limit allows.
    let mut stream = make();
    assert_eq!(stream.trim_with(trim(Keep::From(id(5, 0)), true, 0), References::Delete), 3);
    assert_eq!(stream.trim_with(trim(Keep::Entries(0), true, 5), References::Delete), 3);
    assert_eq!((left(&stream), pending(&stream)), (vec![7, 8, 9], Some(0)));
    assert_eq!(stream.trim_with(trim(Keep::Entries(2), false, 0), References::Keep), 1);
    assert_eq!(stream.trim_with(trim(Keep::Entries(0), false, 0), References::Delete), 2);
    assert_eq!((stream.len(), stream.first_id()), (0, StreamId::MIN));

    // Without groups all three are the same.
    for references in [References::Keep, References::Delete, References::Respect] {
        let mut stream = make();
        assert!(stream.destroy_group(GROUP));
        assert_eq!(stream.trim_with(trim(Keep::Entries(2), false, 0), references), 7);
    }
}

#[test]
fn a_node_grows_again_when_it_is_the_last() {
    let mut stream = Stream::new();
    add(&mut stream, id(1, 0), &[b"f", b"v"]);
    add(&mut stream, id(2, 0), &[b"f", &[b'v'; 5000]]);
    assert_eq!(stream.nodes(), 2);
    assert!(stream.delete(id(2, 0)));
    add(&mut stream, id(3, 0), &[b"f", b"v"]);
    assert_eq!((stream.nodes(), stream.len()), (1, 2));
    assert!(stream.delete(id(3, 0)) && stream.delete(id(1, 0)));
    assert_eq!((stream.nodes(), stream.memory()), (0, Stream::new().memory()));
}

#[test]
fn lag_counts_what_is_left_to_read() {
    let mut stream = Stream::new();
    for ms in 1..=10 {
        add(&mut stream, id(ms, 0), &[b"f", b"v"]);
    }
    let lag = |stream: &Stream| stream.group(GROUP).map(|group| (group.entries_read, group.lag(stream)));
    let consumer = stream.create_group(GROUP, StreamId::MIN, None).map(|group| group.consumer_or_create(b"c", 1).0);
    let read = |count| Read { consumer: consumer.expect("it is new"), count, acknowledged: true, now_ms: 1 };
    stream.deliver(GROUP, read(2), |_| {});
    assert_eq!(lag(&stream), Some((Some(2), Some(8))));
    // The group never reads what is trimmed away, so it is ahead of its count afterwards.
    stream.trim(Trim { keep: Keep::Entries(3), approximate: false, limit: 0 });
    assert_eq!(lag(&stream), Some((Some(2), Some(3))));
    stream.deliver(GROUP, read(1), |_| {});
    assert_eq!(lag(&stream), Some((Some(8), Some(2))));
    stream.deliver(GROUP, read(0), |_| {});
    assert_eq!(lag(&stream), Some((Some(10), Some(0))));
    stream.trim(Trim { keep: Keep::Entries(0), approximate: false, limit: 0 });
    assert_eq!(lag(&stream), Some((Some(10), Some(0))));
}
