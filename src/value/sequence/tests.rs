use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Block {
    key: u64,
    weight: u64,
    text: Vec<u8>,
}

impl Counted for Block {
    type Key = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn weight(&self) -> u64 {
        self.weight
    }

    fn heap(&self) -> usize {
        vec_size(&self.text)
    }
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

impl<T: Counted> Node<T> {
    /// Counts everything from scratch and checks each branch's key and weight on the way.
    fn audit(&self, root: bool) -> Totals {
        match self {
            Node::Leaf(items) => {
                assert!(items.len() <= FAN_OUT && (root || !items.is_empty()));
                Totals::of(items)
            }
            Node::Inner(branches) => {
                assert!(branches.len() <= FAN_OUT && !branches.is_empty());
                let mut totals = Totals { memory: vec_size(branches), ..Totals::default() };
                for branch in branches {
                    let below = branch.node.audit(false);
                    assert_eq!(branch.weight, below.weight);
                    totals.items += below.items;
                    totals.weight += below.weight;
                    totals.memory += below.memory;
                }
                totals
            }
        }
    }
}

impl<T: Counted> Tree<T> {
    fn audit(&self) {
        let totals = self.root.audit(true);
        assert_eq!(
            (totals.items, totals.weight, totals.memory),
            (self.totals.items, self.totals.weight, self.totals.memory)
        );
    }
}

#[test]
fn it_agrees_with_a_sorted_array() {
    let mut dice = Dice(7);
    let (mut tree, mut model) = (Tree::default(), Vec::<Block>::new());
    for step in 0..30_000u64 {
        let shrinking = step / 5_000 % 2 == 1;
        let key = dice.roll(1 << 20);
        let new = Block { key, weight: 1 + dice.roll(9), text: vec![0; dice.roll(40) as usize] };
        match dice.roll(6) {
            0 | 1 if !shrinking => {
                if let Err(slot) = model.binary_search_by_key(&key, |item| item.key) {
                    model.insert(slot, new.clone());
                    tree.insert(new);
                }
            }
            0 | 1 if !model.is_empty() => {
                let key = model[dice.roll(model.len() as u64) as usize].key;
                assert_eq!(tree.remove(key).map(|item| item.key), Some(key));
                model.retain(|item| item.key != key);
            }
            2 => {
                let key = model.last().map_or(0, |item| item.key + 1);
                model.push(Block { key, ..new.clone() });
                tree.push_back(Block { key, ..new });
            }
            3 if shrinking => assert_eq!(tree.pop_front(), (!model.is_empty()).then(|| model.remove(0))),
            4 if shrinking => assert_eq!(tree.pop_back(), model.pop()),
            _ => {
                assert_eq!(tree.get(key).map(|item| item.key), model.iter().find(|i| i.key == key).map(|i| i.key));
            }
        }
        if step % 97 == 0 {
            tree.audit();
            tree.clone().audit();
            assert!(tree.iter().eq(&model));
            assert!(tree.range(key).eq(model.iter().filter(|item| item.key >= key)));
            let mut rank = 0;
            for item in &model {
                for entry in [rank, rank + item.weight - 1] {
                    let found = tree.find(Seek::Rank(entry)).expect("the entry is there");
                    assert_eq!((&found.leaf[found.slot], found.rank), (item, rank));
                }
                rank += item.weight;
            }
            assert_eq!(tree.weight(), rank);
        }
    }
    while tree.pop_front().is_some() {}
    tree.audit();
    assert_eq!(tree.memory(), 0);
}

#[test]
fn appending_leaves_full_leaves() {
    let mut tree = Tree::default();
    for key in 0..100_000 {
        tree.push_back(Block { key, weight: 1, text: Vec::new() });
    }
    tree.audit();
    assert!(tree.memory() < 100_000 * size_of::<Block>() * 5 / 4, "{}", tree.memory());
}
