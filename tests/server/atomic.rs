//! Commands of several keys are atomic over all shards, whatever other workers do.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Reply, Server};

/// Members that move about.
const MEMBERS: usize = 40;
/// Commands of each mover.
const MOVES: usize = 1500;

fn elements(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(parts) => parts.iter().flat_map(elements).collect(),
        Reply::Bulk(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        other => panic!("{other:?}"),
    }
}

/// Elements move between lists, sets and keys; at every moment, as transactions and multi-key commands see it, each is in one
/// place: a model in which commands happen one after the other has no other states.
#[test]
fn elements_in_motion_are_always_in_one_place() {
    let server = Server::start(&["--workers", "4", "--pin-workers", "no"]);
    let mut client = server.client();
    for member in 0..MEMBERS {
        client.say(&format!("RPUSH l{} m{member}", member % 4));
        client.say(&format!("SADD s{} m{member}", member % 4));
    }
    client.say("SET r0 token");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let movers: Vec<_> = (0..4)
            .map(|mover: usize| {
                let mut client = server.client();
                scope.spawn(move || {
                    for step in 0..MOVES {
                        let (from, to) = ((step * 7 + mover) % 4, (step * 5 + mover * 3 + 1) % 4);
                        match step % 3 {
                            0 => client.say(&format!("LMOVE l{from} l{to} LEFT RIGHT")),
                            1 => client.say(&format!("SMOVE s{from} s{to} m{}", (step * 13 + mover) % MEMBERS)),
                            _ => client.say(&format!("RENAME r{from} r{to}")),
                        };
                    }
                })
            })
            .collect();
        let mut observer = server.client();
        let over = &over;
        scope.spawn(move || {
            let mut is_first = true;
            while std::mem::take(&mut is_first) || !over.load(Ordering::Relaxed) {
                observer.say("MULTI");
                (0..4).for_each(|list| drop(observer.say(&format!("LRANGE l{list} 0 -1"))));
                let mut found = elements(&observer.say("EXEC"));
                found.sort();
                found.dedup();
                assert_eq!(found.len(), MEMBERS, "an element of a list was lost or doubled");
                assert_eq!(elements(&observer.say("SUNION s0 s1 s2 s3")).len(), MEMBERS);
                assert_eq!(observer.say("SINTERCARD 2 s0 s1"), Reply::Integer(0));
                assert_eq!(observer.say("EXISTS r0 r1 r2 r3"), Reply::Integer(1));
            }
        });
        movers.into_iter().for_each(|mover| mover.join().unwrap());
        over.store(true, Ordering::Relaxed);
    });
}

/// Transactions that add to several counters: their sum is as if one ran after the other, and WATCH loses no addition.
#[test]
fn transactions_are_isolated_and_watches_lose_nothing() {
    let server = Server::start(&["--workers", "4", "--pin-workers", "no"]);
    const EACH: usize = 300;
    std::thread::scope(|scope| {
        for client in 0..4 {
            let mut client = (server.client(), client);
            scope.spawn(move || {
                let (client, number) = (&mut client.0, client.1);
                for step in 0..EACH {
                    if (step + number) % 2 == 0 {
                        client.say("MULTI");
                        client.say("INCR a");
                        client.say("INCR b");
                        let Reply::Array(counts) = client.say("EXEC") else { panic!("EXEC") };
                        assert_eq!(counts[0], counts[1], "both counters move together");
                        continue;
                    }
                    // Read, add, and write back only if nobody came between.
                    loop {
                        client.say("WATCH a b");
                        let (a, b) = (client.say("GET a"), client.say("GET b"));
                        let next = |reply: &Reply| match reply {
                            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).parse::<u64>().unwrap() + 1,
                            _ => 1,
                        };
                        client.say("MULTI");
                        client.say(&format!("SET a {}", next(&a)));
                        client.say(&format!("SET b {}", next(&b)));
                        if client.say("EXEC") != Reply::Null {
                            break;
                        }
                    }
                }
            });
        }
    });
    let total = Reply::bulk((4 * EACH).to_string());
    let mut client = server.client();
    assert_eq!((client.say("GET a"), client.say("GET b")), (total.clone(), total));
}
