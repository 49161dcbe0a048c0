//! Snapshots under writers: the file is the keyspace as it was at one point in time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::load::Loading;
use super::rdb::Bounds;
use super::save::{self, Plan};
use super::saves::{Aim, Place, Refusal, Saves};
use super::snapshot::Snapshot;
use crate::store::{Busy, Held, Keyspace, Local, Object, Record, Shape, Store, Taker, Ttl, Value};
use crate::value::Limits;
use crate::value::hash::{Expiry, Hash};

const NOW: u64 = 1_700_000_000_000;
const LIMITS: Limits = Limits { entries: 16, value: 64 };
const DATABASES: usize = 4;

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("roster-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn plan(&self) -> Plan {
        Plan {
            folder: self.0.clone(),
            name: "dump.rdb".to_owned(),
            compresses: true,
            sums: true,
            texts: vec![("redis-ver", "7.2.4".to_owned())],
            functions: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn keyspace(shards: usize, workers: usize) -> Keyspace {
    Keyspace::new(Shape { databases: DATABASES, shards, workers })
}

fn patiently<'a>(mut enter: impl FnMut() -> Result<Held<'a>, Busy>) -> Held<'a> {
    loop {
        match enter() {
            Ok(held) => return held,
            Err(Busy) => std::thread::yield_now(),
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// Everything in a keyspace, as text that does not depend on how it is kept.
type Contents = BTreeMap<(usize, Vec<u8>), String>;

fn contents(keyspace: &Keyspace, local: &Local) -> Contents {
    let mut all = Contents::new();
    for database in 0..keyspace.databases() {
        let store = Store::new(keyspace, local, database, NOW);
        let note = |record: Record<'_>| {
            let value = match record.value() {
                Value::Embedded { bytes, .. } => bytes.escape_ascii().to_string(),
                Value::Integer(value) => value.to_string(),
                value => match &*value.object().expect("all others are objects") {
                    Object::String(string) => format!("{} long", string.len()),
                    Object::Hash(hash) => {
                        let mut fields: Vec<_> = hash.iter().map(|field| format!("{field:?}")).collect();
                        fields.sort();
                        fields.join(",")
                    }
                    other => panic!("nobody wrote {}", other.encoding()),
                },
            };
            let twice = all.insert((database, record.key().to_vec()), format!("{value} until {:?}", record.expiry()));
            assert_eq!(twice, None);
            true
        };
        store.for_each(note).expect("nobody else is inside");
    }
    all
}

fn load(folder: &Folder, workers: usize) -> Result<Contents, String> {
    let fresh = keyspace(64, workers);
    let loading = Loading::open(&folder.plan().path(), Bounds::default(), workers, 0)?.expect("the file is there");
    std::thread::scope(|scope| {
        let load = |worker| {
            let (fresh, loading) = (&fresh, &loading);
            scope.spawn(move || loading.work(fresh, &Local::new(worker, NOW)))
        };
        let results: Vec<_> = (0..workers).map(load).collect();
        results.into_iter().try_for_each(|result| result.join().expect("it does not panic").map(|_| ()))
    })?;
    Ok(contents(&fresh, &Local::new(0, NOW)))
}

/// One random change, of those that clients, timers and transactions make.
fn change(keyspace: &Keyspace, local: &Local, dice: &mut Dice, clock: u64) {
    let store = Store::new(keyspace, local, dice.below(2) as usize, clock);
    let key = |dice: &mut Dice| format!("key:{}", dice.below(3000)).into_bytes();
    match dice.below(100) {
        0..35 => {
            let key = key(dice);
            let ttl = if dice.below(4) == 0 { Ttl::At(clock + dice.below(200)) } else { Ttl::Clear };
            let text = vec![b'a' + dice.below(26) as u8; dice.below(120) as usize];
            let _held = patiently(|| keyspace.enter_key(local, &key));
            store.update(&key, |entry| entry.set_string(&text, ttl));
        }
        35..50 => {
            let key = key(dice);
            let _held = patiently(|| keyspace.enter_key(local, &key));
            store.remove(&key);
        }
        50..65 => {
            let key = key(dice);
            let _held = patiently(|| keyspace.enter_key_to_read(local, &key));
            store.read(&key, |_| ());
        }
        65..75 => {
            let key = format!("hash:{}", dice.below(10)).into_bytes();
            let field = dice.below(400).to_string();
            let _held = patiently(|| keyspace.enter_key(local, &key));
            store.select(3).update(&key, |entry| {
                if entry.record().is_none() {
                    entry.set_object(Object::Hash(Hash::new()), Ttl::Clear);
                }
                let hash = entry.collection_mut::<Hash>().expect("a hash").expect("it is there");
                hash.insert(field.as_bytes(), b"value", Expiry::Never, LIMITS).expect("there is room");
            });
        }
        75..93 => transfer(&store.select(3), local, dice),
        93..97 => _ = keyspace.expire_due(local, clock, 50),
        97 => {
            let _held = patiently(|| keyspace.enter_all(local));
            store.swap(0, 1).expect("inside");
        }
        98 => {
            let _held = patiently(|| keyspace.enter_all(local));
            store.select(2).flush().expect("inside").reclaim_later();
            for number in 0..20 {
                let key = format!("after:{number}").into_bytes();
                store.select(2).update(&key, |entry| entry.set_integer(clock as i64, Ttl::Keep));
            }
        }
        _ if dice.below(20) == 0 => drop(patiently_flush(&store)),
        _ => (),
    }
}

fn patiently_flush(store: &Store<'_>) -> crate::store::Flushed {
    loop {
        if let Ok(flushed) = store.flush() {
            return flushed;
        }
    }
}

/// Takes from one account what it gives to another.
fn transfer(store: &Store<'_>, local: &Local, dice: &mut Dice) {
    let (from, to) =
        (format!("account:{}", dice.below(20)).into_bytes(), format!("account:{}", dice.below(20)).into_bytes());
    let amount = dice.below(100) as i64;
    let _held = patiently(|| store.keyspace().enter_keys(local, [&from[..], &to[..]].into_iter()));
    for (key, amount) in [(&from, -amount), (&to, amount)] {
        store.update(key, |entry| {
            let old = match entry.value() {
                Some(Value::Integer(old)) => old,
                _ => 0,
            };
            entry.set_integer(old + amount, Ttl::Keep);
        });
    }
}

/// Saves, with everybody outside while the contents are noted and the cut begins.
fn begin(saves: &Arc<Saves>, place: Place<'_>, plan: &Plan) -> Contents {
    loop {
        let held = patiently(|| place.keyspace.enter_all(place.local));
        match saves.begin(place, plan, &Aim::Background) {
            // Nobody changed anything since: the entry is still in force.
            Ok(_) => {
                let wanted = contents(place.keyspace, place.local);
                drop(held);
                return wanted;
            }
            Err(Refusal::Busy | Refusal::Running) => drop(held),
            Err(Refusal::Failed) => panic!("no thread"),
        }
        place.keyspace.continue_cut(place.local);
    }
}

#[test]
fn a_file_is_the_keyspace_at_one_point_in_time() {
    const WORKERS: usize = 4;
    let folder = Folder::new("cut");
    let keyspace = keyspace(16, WORKERS);
    let (over, clock) = (AtomicBool::new(false), AtomicU64::new(NOW));
    let forced = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 1..WORKERS {
            let (keyspace, over, clock, forced) = (&keyspace, &over, &clock, &forced);
            scope.spawn(move || {
                let (local, mut dice) = (Local::new(worker, NOW), Dice(worker as u64 + 77));
                while !over.load(Ordering::Relaxed) {
                    change(keyspace, &local, &mut dice, clock.fetch_add(1, Ordering::Relaxed) / 50 + NOW - NOW / 50);
                    forced.fetch_add(u64::from(keyspace.is_cut()), Ordering::Relaxed);
                    // Mostly the writers come upon what is not written yet before the scan does.
                    if dice.below(200) == 0 {
                        keyspace.continue_cut(&local);
                    }
                }
            });
        }
        let (local, saves) = (Local::new(0, NOW), Arc::new(Saves::default()));
        let place = Place { keyspace: &keyspace, local: &local, functions: &Vec::new };
        for round in 0..12 {
            let wanted = begin(&saves, place, &folder.plan());
            while saves.is_running() {
                std::thread::sleep(std::time::Duration::from_micros(200 * round));
                keyspace.continue_cut(&local);
            }
            assert!(!saves.has_failed());
            let loaded = load(&folder, 2).expect("it is sound");
            let sum: i64 = loaded
                .iter()
                .filter(|((database, key), _)| *database == 3 && key.starts_with(b"account:"))
                .map(|(_, value)| value.split(' ').next().unwrap_or_default().parse::<i64>().expect("a number"))
                .sum();
            assert_eq!(sum, 0, "round {round}: a transfer was cut in two");
            if loaded != wanted {
                let differs = wanted.iter().find(|(key, value)| loaded.get(key) != Some(value));
                let extra = loaded.iter().find(|(key, _)| !wanted.contains_key(key));
                over.store(true, Ordering::Relaxed);
                panic!("round {round}: {differs:?} was wanted, {extra:?} was not");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let changes = forced.load(Ordering::Relaxed);
    println!("{changes} changes while a snapshot was taken");
    assert!(changes > 500, "{changes} changes are no contest");
}

fn fill(keyspace: &Keyspace, local: &Local, keys: u64) {
    let store = Store::new(keyspace, local, 0, NOW);
    for number in 0..keys {
        let key = format!("key:{number}").into_bytes();
        let _held = patiently(|| keyspace.enter_key(local, &key));
        store.update(&key, |entry| entry.set_string(&[b'v'; 100], Ttl::Clear));
    }
}

#[test]
fn a_snapshot_that_fails_leaves_the_old_file_and_the_keyspace_as_they_were() {
    let folder = Folder::new("failure");
    let (keyspace, local) = (keyspace(16, 1), Local::new(0, NOW));
    let (place, saves) =
        (Place { keyspace: &keyspace, local: &local, functions: &Vec::new }, Arc::new(Saves::default()));
    fill(&keyspace, &local, 1000);
    assert!(saves.save_now(place, &folder.plan()));
    let before = std::fs::read(folder.plan().path()).expect("a file");
    fill(&keyspace, &local, 2000);
    // A folder where the temporary file would be.
    std::fs::create_dir(folder.plan().temporary()).expect("a folder");
    saves.begin(place, &folder.plan(), &Aim::Background).expect("nobody else is there");
    while saves.is_running() {
        keyspace.continue_cut(&local);
    }
    assert!(saves.has_failed() && !saves.save_now(place, &folder.plan()));
    assert_eq!(std::fs::read(folder.plan().path()).expect("a file"), before);
    // Writes go on, and the next one is well.
    fill(&keyspace, &local, 3000);
    std::fs::remove_dir(folder.plan().temporary()).expect("it is empty");
    assert!(saves.save_now(place, &folder.plan()) && !saves.has_failed());
    assert_eq!(load(&folder, 1).expect("it is sound").len(), 3000);
    assert!(!folder.plan().temporary().exists());
    let missing = Plan { folder: folder.0.join("missing"), ..folder.plan() };
    assert!(!saves.save_now(place, &missing));
}

#[test]
fn threads_in_the_places_of_workers_save_and_load_as_workers_do() {
    let folder = Folder::new("widely");
    let (before, local) = (keyspace(16, 3), Local::new(0, NOW));
    fill(&before, &local, 20_000);
    for number in 0..1000u64 {
        let key = format!("volatile:{number}").into_bytes();
        let _held = patiently(|| before.enter_key(&local, &key));
        let store = Store::new(&before, &local, 1, NOW);
        store.update(&key, |entry| entry.set_integer(number as i64, Ttl::At(NOW + number * 1000)));
    }
    let progress = AtomicU64::new(0);
    let place = Place { keyspace: &before, local: &local, functions: &Vec::new };
    save::save_alone(&folder.plan(), place, &progress).expect("there is room");
    let wanted = contents(&before, &local);
    for workers in [1, 2, 5] {
        let (after, local) = (keyspace(64, workers), Local::new(0, NOW));
        let loading = Loading::open(&folder.plan().path(), Bounds::default(), 1, NOW + 100_001).expect("it is sound");
        let loaded = loading.expect("it is there").work_widely(&after, &local).expect("it is sound");
        assert_eq!((loaded.keys, loaded.expired), (20_899, 101));
        assert_eq!(local.timers(), 899, "every timer is kept");
        let found = contents(&after, &local);
        assert!(found.iter().all(|(key, value)| wanted.get(key) == Some(value)) && found.len() == 20_899);
    }
    // One that fails in the midst.
    let path = folder.plan().path();
    let mut bytes = std::fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(&path, bytes).expect("there is room");
    let (after, local) = (keyspace(64, 3), Local::new(0, NOW));
    let loading = Loading::open(&path, Bounds::default(), 1, 0).expect("it can be opened").expect("it is there");
    assert!(loading.work_widely(&after, &local).is_err());
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl std::io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_a_snapshot_wherever_it_happens() {
    let folder = Folder::new("full");
    let (keyspace, local) = (keyspace(16, 1), Local::new(0, NOW));
    fill(&keyspace, &local, 2000);
    let whole = {
        let snapshot = Arc::new(Snapshot::new(false));
        assert_eq!(keyspace.begin_cut(&local, || snapshot.clone()), Ok(true));
        while keyspace.is_cut() {
            keyspace.continue_cut(&local);
        }
        save::write(&folder.plan(), &snapshot, Disk(usize::MAX)).expect("there is room").1 as usize
    };
    for room in [0, 1, 70_000, whole - 1] {
        let snapshot = Arc::new(Snapshot::new(false));
        assert_eq!(keyspace.begin_cut(&local, || snapshot.clone()), Ok(true));
        let failure = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let failure = save::write(&folder.plan(), &snapshot, Disk(room)).map(|_| ()).expect_err("it is full");
                snapshot.lose();
                failure
            });
            while keyspace.is_cut() {
                keyspace.continue_cut(&local);
            }
            writer.join().expect("it does not panic")
        });
        assert_eq!(failure.kind(), std::io::ErrorKind::StorageFull, "{room}");
    }
    fill(&keyspace, &local, 10);
}

#[test]
fn commands_wait_for_the_disk_when_too_much_is_encoded_and_reads_go_on() {
    let (keyspace, local) = (keyspace(16, 1), Local::new(0, NOW));
    let store = Store::new(&keyspace, &local, 0, NOW);
    fill(&keyspace, &local, 100);
    {
        let _held = patiently(|| keyspace.enter_key(&local, b"large"));
        store.update(b"large", |entry| entry.set_string(&vec![b'x'; super::snapshot::URGENT_MAX], Ttl::Clear));
    }
    let snapshot = Arc::new(Snapshot::new(false));
    assert_eq!(keyspace.begin_cut(&local, || snapshot.clone()), Ok(true));
    // The command that changes the large value encodes it; those after it find no room.
    drop(keyspace.enter_key(&local, b"large").expect("there is room"));
    let refused =
        (0..100).filter(|number| keyspace.enter_key(&local, format!("key:{number}").as_bytes()).is_err()).count();
    assert!(refused > 50, "{refused}");
    assert!((0..100).all(|number| keyspace.enter_key_to_read(&local, format!("key:{number}").as_bytes()).is_ok()));
    assert!(keyspace.enter_keys(&local, [&b"key:1"[..], b"key:2"].into_iter()).is_err());
    assert!(snapshot.next().is_some_and(|chunk| chunk.len() > super::snapshot::URGENT_MAX));
    assert!((0..100).all(|number| keyspace.enter_key(&local, format!("key:{number}").as_bytes()).is_ok()));
    snapshot.lose();
    assert_eq!(snapshot.room(true), crate::store::Room::Lost);
    assert_eq!(keyspace.continue_cut(&local), crate::store::Progress::None);
    assert!(!keyspace.is_cut());
}

#[test]
fn damaged_files_are_refused_with_the_place_and_the_remedy() {
    let folder = Folder::new("damage");
    let (keyspace, local) = (keyspace(16, 1), Local::new(0, NOW));
    fill(&keyspace, &local, 20_000);
    let saves = Arc::new(Saves::default());
    assert!(saves.save_now(Place { keyspace: &keyspace, local: &local, functions: &Vec::new }, &folder.plan()));
    let path = folder.plan().path();
    let sound = std::fs::read(&path).expect("a file");
    assert_eq!(load(&folder, 2).expect("it is sound").len(), 20_000);
    let refusal = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("a file");
        load(&folder, 2).expect_err("it is damaged")
    };
    for cut in [0, 5, 9, 10, 100, sound.len() / 2, sound.len() - 9, sound.len() - 8, sound.len() - 1] {
        let text = refusal(&sound[..cut]);
        assert!(
            text.contains("dump.rdb cannot be loaded, at byte") && text.contains("put a sound copy"),
            "{cut}: {text}"
        );
    }
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    refusal(&flipped);
    let text = refusal(b"REDIS0099\xff");
    assert!(text.contains("its version REDIS0099 is not known"), "{text}");
    let text = refusal(b"REDIS0004\xfe\x00\x00\x01k\x01v\x00\x01k\x01w\xff");
    assert!(text.contains("at byte 16: it is damaged: a key that is there twice"), "{text}");
    let text = refusal(b"REDIS0004\xfe\x04\x00\x01k\x01v\xff");
    assert!(text.contains("the setting databases"), "{text}");
    assert!(Loading::open(&folder.0.join("none"), Bounds::default(), 1, 0).is_ok_and(|loading| loading.is_none()));
}
