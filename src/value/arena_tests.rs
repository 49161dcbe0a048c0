use super::*;
use crate::value::testing::Random;
use std::collections::BTreeMap;

/// What an owner does with a sparse page. Now and then it fails halfway, as where there is no room elsewhere.
fn settle(arena: &mut Arena, model: &mut BTreeMap<Handle, (Vec<u8>, bool)>, random: &mut Random) {
    while let Some(page) = arena.sparse() {
        let fails = random.below(4) == 0;
        for old in arena.live(page) {
            if fails && random.below(4) == 0 {
                arena.keep(page);
                return;
            }
            let new = arena.duplicate(old).unwrap();
            let content = model.remove(&old).unwrap();
            assert_eq!(arena.get(new), content.0);
            assert!(model.insert(new, content).is_none());
            arena.vacate(old);
        }
        arena.give_up(page);
    }
}

fn live(model: &BTreeMap<Handle, (Vec<u8>, bool)>) -> usize {
    model.values().map(|(bytes, _)| bytes.len() + 6).sum()
}

#[test]
fn behaves_as_a_map() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let mut arena = Arena::new();
        let mut model = BTreeMap::<Handle, (Vec<u8>, bool)>::new();
        let longest = [12, 40, 3000][seed as usize % 3];
        for round in 0..8000 {
            // Growing, then shrinking, then around one size.
            let grow = [9, 2, 5][round / 2700 % 3];
            let marked = random.below(2) == 0;
            let text = random.text(longest);
            let handle = model.range(Handle(random.bits() as u32 >> 12)..).next().map(|(handle, _)| *handle);
            match (random.below(10) < grow, handle) {
                (true, Some(old)) if random.below(3) == 0 => {
                    let (a, b) = text.split_at(text.len() / 2);
                    let new = arena.rewrite(old, &[a, b], marked).unwrap();
                    model.remove(&old);
                    assert!(model.insert(new, (text, marked)).is_none());
                }
                (false, Some(handle)) => {
                    arena.remove(handle);
                    model.remove(&handle);
                }
                _ => {
                    let handle = arena.insert(&[&text], marked).unwrap();
                    assert!(model.insert(handle, (text, marked)).is_none());
                }
            }
            settle(&mut arena, &mut model, &mut random);
            if round % 500 == 0 {
                for (handle, (bytes, marked)) in &model {
                    assert_eq!((arena.get(*handle), arena.is_marked(*handle)), (&**bytes, *marked));
                }
            }
        }
        let handles: Vec<_> = model.keys().copied().collect();
        assert!(arena.page_bytes <= live(&model) * 3 + PAGE, "{arena:?} for {}", live(&model));
        for handle in handles {
            arena.get_mut(handle).fill(1);
            arena.remove(handle);
        }
        assert!(arena.page_bytes <= PAGE && arena.live_bytes == 0, "{arena:?}");
    }
}

#[test]
fn memory_follows_the_content() {
    let mut random = Random(7);
    let mut arena = Arena::new();
    let mut model = BTreeMap::new();
    for index in 0..100_000u32 {
        let text = format!("{index:010}").into_bytes();
        model.insert(arena.insert(&[&text], false).unwrap(), (text, false));
    }
    // Twelve bytes each, and little else.
    assert!(arena.memory() < 100_000 * 13, "{arena:?}");
    let mut handles: Vec<_> = model.keys().copied().collect();
    while model.len() > 1000 {
        let handle = handles.swap_remove(random.below(handles.len()));
        arena.remove(handle);
        model.remove(&handle);
        let before = model.len();
        if arena.sparse.is_some() {
            settle(&mut arena, &mut model, &mut random);
            handles = model.keys().copied().collect();
        }
        assert_eq!(model.len(), before);
        assert!(arena.page_bytes <= model.len() * 12 * 3 + 2 * PAGE, "{arena:?} for {}", model.len());
    }
}

#[test]
fn equal_sizes_are_used_again() {
    let mut arena = Arena::new();
    let mut handles: Vec<_> = (0..1000).map(|_| arena.insert(&[b"0123456789"], false).unwrap()).collect();
    let memory = arena.page_bytes;
    for round in 0..10_000 {
        arena.remove(handles.swap_remove(round * 7 % handles.len()));
        handles.push(arena.insert(&[b"01234", b"56789"], true).unwrap());
    }
    assert_eq!(arena.page_bytes, memory);
}
